//! `aiproxy show`.

use serde_json::Value;

use crate::played::{BODY, FIRST, LAST, Played};

#[tokio::test]
async fn an_exchange_by_any_name() {
    let played = Played::start().await;
    for name in [FIRST, "a1", "A1"] {
        let ended = played.run(&["show", name]).await.exits(0);
        assert!(
            ended.stdout.starts_with(
                "a111111111 200 POST /gpt/v1/chat/completions\n  began    2026-11-22 08:01:00.000 UTC\n"
            ),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stdout.contains(
                "usage 12 tokens in, 3 out · $0.0004 (by the profile's prices)\ntimes\n  prepare  █"
            ),
            "{}",
            ended.stdout
        );
    }
    let ended = played.run(&["show"]).await.exits(0);
    assert!(ended.stdout.starts_with(LAST), "{}", ended.stdout);
    let ended = played.run(&["show", "a"]).await.exits(1);
    assert_eq!(
        ended.stderr,
        "error: several exchanges begin with `a`: a111111111, a222222222\nhint: write more of the id\n"
    );
    let ended = played.run(&["show", "c"]).await.exits(1);
    assert!(
        ended.stderr.starts_with(&format!(
            "error: there is no exchange `c` in the memory of {}\nhint: aiproxy log",
            played.url()
        )),
        "{}",
        ended.stderr
    );
    played.run(&["show", "../health"]).await.exits(2);
}

#[tokio::test]
async fn parts_of_it() {
    let played = Played::start().await;
    let ended = played
        .run(&["show", "a1", "--stage", "sent"])
        .await
        .exits(0);
    assert!(
        ended
            .stdout
            .starts_with("sent POST https://api.openai.com/v1/chat/completions\n  content-type"),
        "{}",
        ended.stdout
    );
    let ended = played
        .run(&["show", "a1", "--stage", "returned", "--body"])
        .await
        .exits(0);
    assert_eq!(ended.stdout, "{\"id\":1}");
    let ended = played
        .run(&["show", "a1", "--stage", "request-transformed"])
        .await
        .exits(1);
    assert!(
        ended.stderr.contains(
            "a111111111 has no stage `request-transformed`, but client, sent, received, returned"
        ),
        "{}",
        ended.stderr
    );
    let ended = played.run(&["show", "last", "--events"]).await.exits(0);
    assert!(
        ended
            .stdout
            .ends_with("91.5   +1.5  text   0     \"It is\"\n"),
        "{}",
        ended.stdout
    );
    let ended = played.run(&["show", "a1", "--json"]).await.exits(0);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["stages"][0]["stage"], "client");
    assert_eq!(told["timings"]["connect_ms"], 8.0);
}

#[tokio::test]
async fn trap_2_11_bodies_keep_their_bytes() {
    let played = Played::start().await;
    let ended = played
        .run(&["show", "a1", "--stage", "client", "--body"])
        .await
        .exits(0);
    assert_eq!(ended.stdout, BODY);
    let ended = played.run(&["show", "a1", "--json"]).await.exits(0);
    assert!(
        ended.stdout.contains("12345678901234567890123"),
        "{}",
        ended.stdout
    );
}
