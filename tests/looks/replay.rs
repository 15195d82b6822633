//! `aiproxy replay`.

use serde_json::{Value, json};

use crate::{
    played::{BODY, FRESH, Played},
    support::{ProfileText, Upstream, completion, json_response},
};

fn posts(played: &Played) -> Vec<crate::played::Seen> {
    let posts = |seen: &crate::played::Seen| seen.target.starts_with("POST");
    played.seen().into_iter().filter(posts).collect()
}

#[tokio::test]
async fn the_same_request_through_the_server() {
    let played = Played::start().await;
    let ended = played.run(&["replay", "a1"]).await.exits(0);
    let sent = posts(&played);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].target, "POST /gpt/v1/chat/completions");
    assert_eq!(sent[0].body, BODY);
    let head = sent[0].head.to_lowercase();
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    assert!(!head.contains("secret"), "{head}");
    // What the server recorded of it is what is shown.
    assert!(
        ended.stdout.contains(&format!(
            "replay 1  {FRESH}  gpt      openai/small  200       12+3         250 ms  $0.0004\n"
        )),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with(&format!(
            "a111111111 → {FRESH} through gpt\nanswer:\n@@ -1 +1 @@\n-It is Paris.\n+Paris, of course.\n"
        )),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn another_profile_gets_no_model_of_the_first_ones() {
    let played = Played::start().await;
    let ended = played
        .run(&["replay", "a1", "--profile", "claude", "--times", "2"])
        .await
        .exits(1);
    let sent = posts(&played);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].target, "POST /claude/v1/chat/completions");
    let body: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(body.get("model"), None);
    assert!(
        ended
            .stdout
            .ends_with("through claude\nfailed: overloaded\n"),
        "{}",
        ended.stdout
    );
    let line = [
        "replay",
        "a1",
        "--profile",
        "gpt",
        "--profile",
        "claude",
        "--model",
        "m2",
        "--json",
    ];
    let ended = played.run(&line).await.exits(1);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["original"]["id"], "a111111111");
    assert_eq!(told["replays"][0]["parts"][0]["text"], "Paris, of course.");
    assert_eq!(told["replays"][1]["exchange"]["error"], "overloaded");
    let sent = posts(&played);
    assert!(sent[3].body.contains(r#""model":"m2""#), "{}", sent[3].body);
}

#[tokio::test]
async fn what_cannot_be_sent_again_says_so() {
    let cut = json!({
        "id": "d444444444", "profile": "gpt", "began": "2026-11-22T07:00:00.000Z", "outcome": "ok", "method": "POST",
        "path": "/gpt/v1/chat/completions",
        "stages": [{"stage": "client", "method": "POST", "url": "/v1/chat/completions", "headers": {}, "size": 9_000_000, "truncated": true, "body": "abc"}],
    });
    let mut bare = cut.clone();
    bare["id"] = "d555555555".into();
    bare["stages"] = json!([]);
    let played = Played::with(vec![cut, bare]).await;
    for (id, expected) in [
        (
            "d4",
            "error: the request of d444444444 was not kept as a whole: 3 of its 9000000 bytes\nhint: ",
        ),
        (
            "d5",
            "error: the request of d555555555 was not kept\nhint: ",
        ),
        ("last", "error: b333333333 is still running\nhint: "),
    ] {
        let ended = played.run(&["replay", id]).await.exits(1);
        assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    }
    assert!(posts(&played).is_empty());
}

#[tokio::test]
async fn a_profile_that_the_server_does_not_have_runs_here() {
    let played = Played::start().await;
    let upstream = Upstream::answering(json_response(200, completion("From here."))).await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"default_model = "m1""#);
    played.world.profile("own", &profile.toml());
    let folder = played.world.profiles();
    let mut command = played
        .world
        .aiproxy(["replay", "a2", "--profile", "own", "--profiles"]);
    command.arg(folder);
    let nobody = Upstream::nobody().await;
    command.env("AIPROXY_LISTEN", nobody.to_string());
    announce(&played);
    let ended = crate::played::finished(command).await.exits(0);
    assert!(ended.stdout.contains("+From here."), "{}", ended.stdout);
    let call = &upstream.seen()[0];
    assert!(!String::from_utf8_lossy(&call.body).contains("gpt/small"));
}

/// The only live server, as its file in the state folder says.
fn announce(played: &Played) {
    let folder = played.world.path("state/aiproxy");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("server-1-1.json");
    let entry = json!({
        "pid": 1, "address": played.server.address, "profiles": ["gpt"], "version": "0", "started": "now",
    });
    std::fs::write(&path, entry.to_string()).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    file.lock().unwrap();
    // Locked until the test ends.
    std::mem::forget(file);
}
