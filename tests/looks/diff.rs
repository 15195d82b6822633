//! `aiproxy diff` of exchanges.

use serde_json::Value;

use crate::played::{FIRST, Played, SECOND};

#[tokio::test]
async fn the_stages_of_one() {
    let played = Played::start().await;
    let ended = played.run(&["diff", "a1"]).await.exits(0);
    assert!(
        ended.stdout.starts_with(
            "client → sent\nhead:\n~ url: {+https://api.openai.com+}/v1/chat/completions\n- headers.host: \"x\"\n"
        ),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("\nbody:\n~ model: \"gpt/small\" → \"small\"\n- messages[0]: "),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .ends_with("received → returned\n(the body is the same)\n\n"),
        "{}",
        ended.stdout
    );
    played.run(&["diff", "a1", "--exit-code"]).await.exits(1);
    let ended = played.run(&["diff", "a1", "--json"]).await.exits(0);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["exchange"], FIRST);
    assert_eq!(told["stages"][1]["equal"], true);
}

#[tokio::test]
async fn two_of_them() {
    let played = Played::start().await;
    let ended = played.run(&["diff", "a1", "a2"]).await.exits(0);
    assert!(
        ended
            .stdout
            .contains("ended    200                       failed 502\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("\nrequest: the same\nanswer:\n@@ -1 +0,0 @@\n-It is Paris.\n"),
        "{}",
        ended.stdout
    );
    let ended = played
        .run(&["diff", "a1", "a2", "--json", "--exit-code"])
        .await
        .exits(1);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["request"]["equal"], true);
    assert_eq!(told["answer"]["equal"], false);
    assert_eq!(told["new"]["id"], SECOND);
    played
        .run(&["diff", "a1", "a1", "--exit-code"])
        .await
        .exits(0);
}

#[tokio::test]
async fn a_file_comes_before_an_exchange() {
    let played = Played::start().await;
    let home = |name: &str| played.world.path("home").join(name);
    std::fs::write(home("a1"), "one\n").unwrap();
    std::fs::write(home("b"), "two\n").unwrap();
    let ended = played.run(&["diff", "a1", "b"]).await.exits(0);
    assert_eq!(ended.stdout, "@@ -1 +1 @@\n-one\n+two\n");
    let ended = played.run(&["diff", "b", "a2"]).await.exits(2);
    assert!(
        ended.stderr.contains("`a2` is an exchange, `b` is a body"),
        "{}",
        ended.stderr
    );
    // What `show --json` wrote is an exchange, wherever it is.
    let saved = played.run(&["show", FIRST, "--json"]).await.exits(0);
    std::fs::write(home("saved.json"), &saved.stdout).unwrap();
    let alone = played.run(&["diff", "saved.json"]).await.exits(0);
    let named = played.run(&["diff", FIRST]).await.exits(0);
    assert_eq!(alone.stdout, named.stdout);
    let ended = played.run(&["diff", "saved.json", "a2"]).await.exits(0);
    assert!(ended.stdout.contains("failed 502"), "{}", ended.stdout);
}
