//! `--set` and `--save`.

use crate::{
    dry::{args, world},
    support::World,
};

fn sent(world: &World, extra: &[&str]) -> String {
    let mut line = vec!["transform", "body.json", "--to", "sent"];
    line.extend(extra);
    world.run(args(world, &line)).exits(0).stdout
}

#[test]
fn a_key_holds_for_this_run() {
    let world = world();
    let set = [
        "--profile",
        "up",
        "--set",
        "temperature=0.5",
        "--set",
        "ai-proxy.model.name=m9",
    ];
    let body = sent(&world, &set);
    assert!(
        body.contains("\"temperature\":0.5") && body.contains("\"m9\""),
        "{body}"
    );
    let body = sent(&world, &["--profile", "up"]);
    assert!(
        !body.contains("temperature") && body.contains("\"m1\""),
        "{body}"
    );
}

#[test]
fn a_bad_key_is_told_as_of_a_file() {
    let world = world();
    let line = [
        "transform",
        "body.json",
        "--profile",
        "up",
        "--set",
        "ai-proxy.model.nam=x",
    ];
    let ended = world.run(args(&world, &line)).exits(1);
    assert!(
        ended.stderr.contains("up.toml with --set:"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("hint: did you mean `name`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_tuned_profile_is_saved_with_its_comments() {
    let world = world();
    let path = world.profiles().join("up.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = format!(
        "# Mine.\n{}",
        text.replace("name = \"m1\"", "name = \"m1\" # the model")
    );
    std::fs::write(&path, &text).unwrap();
    let line = [
        "transform",
        "body.json",
        "--profile",
        "up",
        "--set",
        "model.name=m2",
        "--save",
        "--to",
        "sent",
    ];
    let ended = world.run(args(&world, &line)).exits(0);
    assert!(
        ended.stderr.starts_with("wrote ") && ended.stderr.contains("up.toml"),
        "{}",
        ended.stderr
    );
    let saved = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        saved,
        text.replace("\"m1\" # the model", "\"m2\" # the model")
    );
}

#[test]
fn a_run_that_fails_saves_nothing() {
    let world = world();
    let path = world.profiles().join("up.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let line = [
        "transform",
        "-",
        "--profile",
        "up",
        "--set",
        "model.name=m2",
        "--save",
    ];
    world.run_with(args(&world, &line), "no JSON").exits(1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn a_built_in_profile_is_saved_as_the_users_own() {
    let world = world();
    let line = [
        "transform",
        "body.json",
        "--profile",
        "mock",
        "--set",
        "temperature=0.5",
        "--save",
    ];
    world.run(args(&world, &line)).exits(0);
    let own = std::fs::read_to_string(world.profiles().join("mock.toml")).unwrap();
    assert!(own.contains("temperature = 0.5"), "{own}");
    assert!(sent(&world, &[]).contains("\"temperature\":0.5"));
}

#[test]
fn only_toml_is_saved() {
    let world = world();
    let yaml = "ai-proxy:\n  route_type: llm/v1/chat\n  model: {provider: mock, name: mock}\n";
    std::fs::write(world.profiles().join("y.yaml"), yaml).unwrap();
    assert!(sent(&world, &["--profile", "y", "--set", "top_p=0.5"]).contains("\"top_p\":0.5"));
    let line = [
        "transform",
        "body.json",
        "--profile",
        "y",
        "--set",
        "top_p=0.5",
        "--save",
    ];
    let ended = world.run(args(&world, &line)).exits(1);
    assert!(
        ended.stderr.contains("--save writes TOML"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        std::fs::read_to_string(world.profiles().join("y.yaml")).unwrap(),
        yaml
    );
}
