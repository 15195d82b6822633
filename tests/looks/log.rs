//! `aiproxy log`.

use serde_json::Value;

use crate::{
    played::{FIRST, LAST, Played, SECOND},
    support::World,
};

fn ids(text: &str) -> Vec<String> {
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].clone();
    text.lines()
        .map(|text| line(text).as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_table_of_what_is_in_memory() {
    let played = Played::start().await;
    let ended = played.run(&["log"]).await.exits(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.stdout);
    assert!(lines[0].starts_with("TIME"), "{}", ended.stdout);
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    assert!(words.contains(&SECOND), "{}", ended.stdout);
    assert!(
        lines[2].contains("gpt      small  failed 502    12+3         100 ms  $0.0004  What's the"),
        "{}",
        ended.stdout
    );
    // A line for each, whatever a prompt holds.
    assert!(lines[1].ends_with("\\u{1b}[2Jgone"), "{}", ended.stdout);
}

#[tokio::test]
async fn pages_are_put_together_and_filters_are_the_servers() {
    let played = Played::start().await;
    let ended = played.run(&["log", "--json"]).await.exits(0);
    assert_eq!(ids(&ended.stdout), [LAST, SECOND, FIRST]);
    let ended = played
        .run(&["log", "--json", "--limit", "1"])
        .await
        .exits(0);
    assert_eq!(ids(&ended.stdout), [LAST]);
    let line = [
        "log",
        "--json",
        "--failed",
        "--grep",
        "a b",
        "--model",
        "m",
        "--profile",
        "gpt",
        "--since",
        "2026-11-22T08:00:00Z",
    ];
    let ended = played.run(&line).await.exits(0);
    assert_eq!(ids(&ended.stdout), [SECOND]);
    let asked = played
        .seen()
        .into_iter()
        .rev()
        .find(|seen| !seen.target.contains("before"));
    assert_eq!(
        asked.unwrap().target,
        "GET /_aiproxy/exchanges?profile=gpt&failed=1&model=m&grep=a+b&since=2026-11-22T08%3A00%3A00.000Z&limit=20"
    );
}

#[tokio::test]
async fn without_a_server_and_a_database_there_is_a_way_out() {
    let world = World::new();
    for line in [
        &["log"][..],
        &["show"],
        &["show", "a111111111"],
        &["diff", "last"],
        &["replay", "last"],
    ] {
        let mut command = world.aiproxy(line);
        let nobody = crate::support::Upstream::nobody().await;
        command.env("AIPROXY_LISTEN", nobody.to_string());
        let ended = crate::played::finished(command).await.exits(1);
        assert!(
            ended
                .stderr
                .starts_with("error: no server is running, and nothing was recorded\nhint: "),
            "{line:?}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("aiproxy serve"), "{}", ended.stderr);
    }
    let ended = world.run(["log", "--prune"]).exits(1);
    assert!(ended.stderr.contains("--record"), "{}", ended.stderr);
    let ended = world.run(["log", "--since", "soon"]).exits(2);
    assert!(ended.stderr.contains("2h"), "{}", ended.stderr);
}
