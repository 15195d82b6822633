//! `aiproxy diff`.

use serde_json::{Value, json};

use crate::{
    dry::{args, world},
    support::{Finished, World},
};

fn files(old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> World {
    let world = World::new();
    std::fs::write(world.path("home/a"), old).unwrap();
    std::fs::write(world.path("home/b"), new).unwrap();
    world
}

fn diff(world: &World, extra: &[&str]) -> Finished {
    let mut line = vec!["diff", "a", "b"];
    line.extend(extra);
    world.run(line)
}

const OLD: &str = r#"{"model":"a","n":1,"list":[1,2]}"#;
const NEW: &str = r#"{"n":2,"model":"a","list":[0,1,2]}"#;

#[test]
fn json_is_compared_by_structure() {
    let world = files(OLD, NEW);
    let ended = diff(&world, &[]).exits(0);
    assert_eq!(ended.stdout, "~ n: 1 → 2\n+ list[0]: 0\n");
    assert_eq!(ended.stderr, "");
    diff(&world, &["--exit-code"]).exits(1);
}

#[test]
fn moved_keys_are_no_difference() {
    let world = files(r#"{"a":1,"b":2}"#, "{\n  \"b\": 2, \"a\": 1\n}\n");
    let ended = diff(&world, &["--exit-code"]).exits(0);
    assert!(
        ended.stdout.starts_with("(equal in content"),
        "{}",
        ended.stdout
    );
    let world = files(OLD, OLD);
    let ended = diff(&world, &["--exit-code"]).exits(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("", "no difference\n")
    );
}

#[test]
fn text_is_compared_by_line() {
    let world = files("one\ntwo\n", "one\n2\n");
    let ended = diff(&world, &[]).exits(0);
    assert_eq!(ended.stdout, "@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
    let ended = diff(&world, &["--diff", "unified"]).exits(0);
    assert_eq!(
        ended.stdout,
        "--- a\n+++ b\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    );
    let ended = diff(&world, &["--diff", "json-patch"]).exits(1);
    assert!(ended.stderr.contains("no JSON patch"), "{}", ended.stderr);
    diff(&world, &["--diff", "none", "--exit-code"]).exits(1);
}

#[test]
fn programs_get_patches_and_changes() {
    let world = files(OLD, NEW);
    let patch: Value =
        serde_json::from_str(&diff(&world, &["--diff", "json-patch"]).exits(0).stdout).unwrap();
    assert_eq!(
        patch,
        json!([{"op": "replace", "path": "/n", "value": 2}, {"op": "add", "path": "/list/0", "value": 0}])
    );
    let told: Value = serde_json::from_str(&diff(&world, &["--json"]).exits(0).stdout).unwrap();
    assert_eq!(told["equal"], false);
    assert_eq!(
        told["changes"][1],
        json!({"op": "added", "path": "/list/0", "new": 0})
    );
}

#[test]
fn one_side_may_be_stdin() {
    let world = files(OLD, NEW);
    let ended = world.run_with(["diff", "a", "-"], OLD).exits(0);
    assert_eq!(ended.stderr, "no difference\n");
    let ended = world.run_with(["diff", "-", "-"], OLD).exits(2);
    assert!(ended.stderr.contains("not both"), "{}", ended.stderr);
}

#[test]
fn what_is_no_file_is_an_exchange() {
    let world = files(OLD, NEW);
    for line in [
        &["diff", "last"][..],
        &["diff", "0k3m9x2q7w"],
        &["diff", "last", "0k3m9x2q7w"],
        &["diff", "a", "0k3m9x2q7w"],
    ] {
        let mut command = world.aiproxy(line);
        // Nobody listens on the port for nothing.
        command.env("AIPROXY_LISTEN", "127.0.0.1:9");
        let ended = crate::support::Process::start(command).end().exits(1);
        assert!(
            ended.stderr.contains("nothing was recorded\nhint: "),
            "{line:?}: {}",
            ended.stderr
        );
    }
    let ended = world.run(["diff", "a"]).exits(2);
    assert!(
        ended.stderr.contains("nothing to compare `a` with"),
        "{}",
        ended.stderr
    );
    let ended = world.run(["diff", "a", "no/such.json"]).exits(1);
    assert!(
        ended.stderr.contains("cannot read no/such.json"),
        "{}",
        ended.stderr
    );
}

#[test]
fn saved_runs_are_compared_stage_by_stage() {
    let world = world();
    for (file, set) in [("a", "temperature=0.5"), ("b", "temperature=0.25")] {
        let line = [
            "transform",
            "body.json",
            "--profile",
            "up",
            "--json",
            "--set",
            set,
        ];
        let ended = world.run(args(&world, &line)).exits(0);
        std::fs::write(world.path("home").join(file), ended.stdout).unwrap();
    }
    let ended = diff(&world, &["--exit-code"]).exits(1);
    assert_eq!(ended.stdout, "sent:\n~ temperature: 0.5 → 0.25\n");
    let told: Value = serde_json::from_str(&diff(&world, &["--json"]).exits(0).stdout).unwrap();
    assert_eq!(
        told["stages"][0],
        json!({"stage": "client", "equal": true, "head": {"equal": true, "notes": []}, "body": {"equal": true, "notes": []}})
    );
    assert_eq!(told["stages"][1]["equal"], false);
    std::fs::copy(world.path("home/a"), world.path("home/b")).unwrap();
    assert_eq!(
        diff(&world, &["--exit-code"]).exits(0).stderr,
        "no difference\n"
    );
}
