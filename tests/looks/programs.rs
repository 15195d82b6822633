//! What `aiproxy show --curl`, `--python` and `--node` print is run.

use std::process::Command;

use serde_json::Value;

use crate::{
    played::{BODY, Played, Seen, finished},
    support::Finished,
};

/// A key with all that a shell could stumble over.
const KEY: &str = "k'\"$1";

async fn ran(played: &Played, flag: &str, interpreter: &[&str]) -> (Finished, Seen) {
    let program = played.run(&["show", "a1", flag]).await.exits(0).stdout;
    let file = played.world.path("home/program");
    std::fs::write(&file, program).unwrap();
    let mut command = played.world.command(interpreter[0]);
    command
        .args(&interpreter[1..])
        .arg(&file)
        .env("OPENAI_API_KEY", KEY);
    let ended = finished(command).await.exits(0);
    let posted = |seen: &Seen| seen.target.starts_with("POST");
    let seen = played.seen().into_iter().rfind(posted);
    (ended, seen.unwrap())
}

/// Whether a program is there and does what it is needed for; without it, the test says so and passes.
fn is_there(played: &Played, line: &[&str]) -> bool {
    let mut command: Command = played.world.command(line[0]);
    let there = command
        .args(&line[1..])
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: `{}` does not run here", line.join(" "));
    }
    there
}

fn arrived(seen: &Seen) {
    assert_eq!(seen.target, "POST /gpt/v1/chat/completions");
    let key = format!("authorization: bearer {KEY}\r\n");
    assert!(seen.head.to_lowercase().contains(&key), "{}", seen.head);
    assert!(!seen.head.contains("secret"), "{}", seen.head);
}

fn sent() -> Value {
    serde_json::from_str(BODY).unwrap()
}

#[tokio::test]
async fn curl() {
    let played = Played::start().await;
    if !is_there(&played, &["curl", "--version"]) {
        return;
    }
    let (ended, seen) = ran(&played, "--curl", &["sh"]).await;
    arrived(&seen);
    assert_eq!(seen.body, BODY);
    assert!(ended.stdout.contains("Paris, of course."), "{ended:?}");
}

#[tokio::test]
async fn node() {
    let played = Played::start().await;
    if !is_there(
        &played,
        &["node", "-e", "if (!globalThis.fetch) process.exit(1)"],
    ) {
        return;
    }
    let (ended, seen) = ran(&played, "--node", &["node"]).await;
    arrived(&seen);
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body, sent());
    assert!(
        seen.body.contains("12345678901234567890123"),
        "{}",
        seen.body
    );
    assert!(ended.stdout.contains("Paris, of course."), "{ended:?}");
}

#[tokio::test]
async fn python() {
    let played = Played::start().await;
    if !is_there(&played, &["python3", "-c", "import openai"]) {
        return;
    }
    let (ended, seen) = ran(&played, "--python", &["python3"]).await;
    arrived(&seen);
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body, sent());
    assert!(
        seen.body.contains("12345678901234567890123"),
        "{}",
        seen.body
    );
    assert!(ended.stdout.contains("Paris, of course."), "{ended:?}");
}

#[tokio::test]
async fn the_providers_request_has_the_providers_key() {
    let played = Played::start().await;
    let ended = played
        .run(&["show", "a1", "--curl", "--stage", "sent"])
        .await
        .exits(0);
    assert!(
        ended
            .stdout
            .starts_with("curl https://api.openai.com/v1/chat/completions \\\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("-H \"authorization: Bearer ${OPENAI_API_KEY}\""),
        "{}",
        ended.stdout
    );
    let ended = played
        .run(&["show", "a1", "--curl", "--stage", "received"])
        .await
        .exits(2);
    assert!(
        ended.stderr.contains("`received` is no request"),
        "{}",
        ended.stderr
    );
}
