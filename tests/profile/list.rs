//! `profile list`.

use super::{GPT, Home, built_in};

#[test]
fn every_profile_has_a_line() {
    let home = Home::new().with_variable("OPENAI_API_KEY", "q7Zp04mXw9");
    home.profile("gpt.toml", GPT);
    home.profile(
        "mine.json",
        r#"{"upstream": {"url": "http://127.0.0.1:9000"}, "aiproxy": {"label": "Mine"}}"#,
    );
    home.profile("bad.yaml", "ai-proxy:\n  route_tipe: llm/v1/chat\n");
    let list = home.run(&["profile", "list"]).out();
    assert!(!list.contains('\u{1b}'));
    let line = |name: &str| {
        let words = list
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        words
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("name"), "name provider model streaming key from");
    assert_eq!(
        line("gpt"),
        "gpt openai gpt-5 allow MY_KEY missing HOME/config/aiproxy/profiles/gpt.toml"
    );
    assert_eq!(
        line("mine"),
        "mine Mine - - none needed HOME/config/aiproxy/profiles/mine.json"
    );
    assert_eq!(
        line("bad"),
        "bad broken: HOME/config/aiproxy/profiles/bad.yaml:1:1: required key `route_type` is missing in [ai-proxy]"
    );
    assert_eq!(line("mock"), "mock mock mock allow none needed built in");
    assert!(line("openai").ends_with(" allow present built in"));
    for name in built_in() {
        line(&name);
    }
}

#[test]
fn shadowed_ones_are_told_when_asked() {
    let home = Home::new();
    home.profile("groq.toml", GPT);
    let groq = |args: &[&str]| {
        let list = home.run(args).out();
        list.lines()
            .filter(|line| line.starts_with("groq "))
            .count()
    };
    assert_eq!(groq(&["profile", "list"]), 1);
    assert_eq!(groq(&["profile", "list", "--all"]), 2);
    let list = home.run(&["profile", "list", "--all", "--json"]).json();
    let shadowed: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| !line["shadowed_by"].is_null())
        .collect();
    assert_eq!(shadowed.len(), 1);
    assert_eq!(shadowed[0]["origin"], "built in");
    assert_eq!(shadowed[0]["label"], "Groq");
    assert_eq!(shadowed[0]["missing"][0], "GROQ_API_KEY");
    assert_eq!(
        shadowed[0]["shadowed_by"],
        "HOME/config/aiproxy/profiles/groq.toml"
    );
}

#[test]
fn a_folder_that_is_not_there() {
    let home = Home::new();
    let done = home.run(&["profile", "list", "--profiles", "nowhere"]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("\nmock "));
    assert_eq!(
        done.err,
        "error: nowhere: profiles cannot be looked up: there is no such folder\n"
    );
}

#[test]
fn variables_of_a_file_count() {
    let home = Home::new();
    home.profile("gpt.toml", GPT);
    std::fs::write(home.path("keys.env"), "MY_KEY=q7Zp04mXw9\n").unwrap();
    let list = home.run(&["profile", "list", "--env-file", "keys.env", "--json"]);
    assert!(!list.out.contains("q7Zp04mXw9"));
    let list = list.json();
    let gpt = list
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["name"] == "gpt");
    assert_eq!(gpt.unwrap()["key"], "present");
}
