//! One prompt: flags, pictures, cost.

use serde_json::Value;

use crate::home::{ANSWER, Home, Ran, profile_to, upstream};

/// A profile of the mock with prices.
const PRICED: &str = "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'mock'\n\
     [ai-proxy.model.options]\ninput_cost = 1000.0\noutput_cost = 2000.0\n[aiproxy]\ndefault_model = 'mock-echo'\n";

/// What the upstream of a profile gets for these arguments.
fn sent(args: &[&str]) -> Value {
    let home = Home::new();
    let (address, requests) = upstream(ANSWER);
    home.profile("own", &profile_to(address, "own-key"));
    let line = ["chat", "hi", "--profile", "own"];
    let mut command = home.command(line.into_iter().chain(args.iter().copied()));
    command.env("OWN_KEY", "k");
    assert_eq!(Ran::of(command.output().unwrap()).done().out, "hello\n");
    let request = requests.recv().unwrap();
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn flags_reach_the_request() {
    let body = sent(&[
        "--max-tokens",
        "7",
        "--temperature",
        "0.5",
        "--system",
        "be kind",
    ]);
    assert_eq!(body["max_tokens"], 7);
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["messages"][0]["content"], "be kind");
    assert_eq!(body["messages"][1]["content"], "hi");
}

#[test]
fn pictures_go_along() {
    let home = Home::new();
    let png = home
        .write("a.bin", b"\x89PNG\r\n\x1a\n")
        .display()
        .to_string();
    let body = sent(&["--image", &png, "--image", "https://h.example/x.gif"]);
    let parts = &body["messages"][0]["content"];
    assert_eq!(parts[0]["text"], "hi");
    assert_eq!(
        parts[1]["image_url"]["url"],
        "data:image/png;base64,iVBORw0KGgo="
    );
    assert_eq!(parts[2]["image_url"]["url"], "https://h.example/x.gif");
}

#[test]
fn bad_flags_are_told() {
    let home = Home::new();
    for args in [
        ["--max-tokens", "0"],
        ["--max-tokens", "many"],
        ["--temperature", "-1"],
        ["--temperature", "NaN"],
    ] {
        home.run(["chat", "hi"].into_iter().chain(args)).failed(2);
    }
    let text = home.write("a.png", "text").display().to_string();
    let ran = home.run(["chat", "hi", "--image", &text]).failed(1);
    assert_eq!(
        ran.err,
        format!(
            "error: --image {text}: it is no picture that models take\nhint: send a PNG, JPEG, GIF or WebP file\n"
        )
    );
    let large = home.path("large.png");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(21 << 20)
        .unwrap();
    let large = large.display().to_string();
    let ran = home.run(["chat", "hi", "--image", &large]).failed(1);
    assert!(ran.err.contains("it is larger than 20 MiB"), "{ran:?}");
}

#[test]
fn the_last_line_has_the_cost_where_both_prices_are_known() {
    let home = Home::new();
    home.profile("own", PRICED);
    home.profile("half", &PRICED.replace("output_cost = 2000.0\n", ""));
    let server = home.serve([]);
    for at in [None, Some(server.url.as_str())] {
        for flag in [None, Some("--stream")] {
            let line = ["chat", "one two", "--profile", "own"].into_iter();
            let line = line
                .chain(flag)
                .chain(at.iter().flat_map(|url| ["--server", *url]));
            let ran = home.run(line).done();
            assert_eq!(ran.out, "one two\n");
            let last = ran.err.lines().last().unwrap();
            let cost = last.rsplit(" · ").next().unwrap();
            assert!(cost.starts_with("$0.0"), "{ran:?}");
        }
    }
    let ran = home.run(["chat", "hi", "--profile", "half"]).done();
    assert!(!ran.err.contains('$'), "{ran:?}");
}

#[test]
fn json_is_the_providers_alone() {
    let home = Home::new();
    home.profile("own", PRICED);
    let ran = home
        .run(["chat", "hi", "--profile", "own", "--json"])
        .done();
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
}

#[test]
fn a_prompt_is_needed_where_there_is_no_terminal() {
    let home = Home::new();
    let ran = home.run(["chat"]).failed(2);
    assert!(
        ran.err.starts_with("error: the prompt on stdin is empty"),
        "{ran:?}"
    );
}

#[test]
fn the_first_of_several_profiles_in_the_environment_is_asked() {
    let home = Home::new();
    home.profile("own", PRICED);
    let mut command = home.command(["chat", "hi"]);
    command.env("AIPROXY_PROFILE", "own,mock");
    assert_eq!(Ran::of(command.output().unwrap()).done().out, "hi\n");
}
