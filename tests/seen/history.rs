//! What `--record` writes outlives the server, however it ends.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    asking,
    support::{Ask, ProfileText, Server, Upstream, World, completion, json_response, soon},
};

/// The summaries that `aiproxy log` finds, without a server.
fn logged(world: &World, args: &[&str]) -> Vec<Value> {
    let all = ["log", "--json", "--limit", "5000"].into_iter();
    let finished = world.run(all.chain(args.iter().copied())).exits(0);
    let lines = finished.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn what_was_recorded_is_found_without_a_server() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let profile = ProfileText::openai(&upstream).key("Authorization", "Bearer sk-0123456789");
    let setup = Server::setup().profile("up", &profile);
    let server = setup.args(["--record"]).start();
    for prompt in ["the first", "a needle", "the last"] {
        asking(prompt).whole(&server).await;
    }
    let Server { process, world, .. } = server;
    process.signal("TERM");
    process.end().exits(0);
    let all = logged(&world, &[]);
    let prompts: Vec<_> = all
        .iter()
        .map(|one| one["prompt"].as_str().unwrap())
        .collect();
    assert_eq!(prompts, ["the last", "a needle", "the first"]);
    let found = logged(&world, &["--grep", "NEEDLE"]);
    assert_eq!(found.len(), 1);
    let id = found[0]["id"].as_str().unwrap();
    let shown = world
        .run(["show", id, "--stage", "returned", "--body"])
        .exits(0);
    assert_eq!(shown.stdout, completion("fine"));
    let shown = world.run(["show", id]).exits(0).stdout;
    assert!(shown.contains("authorization: (secret)") && !shown.contains("sk-0123456789"));
    let changed = world.run(["diff", id]).exits(0).stdout;
    assert!(changed.contains("client → sent"), "{changed}");
}

#[tokio::test]
async fn only_profiles_that_log_payloads_are_on_disk_without_record() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let quiet = ProfileText::openai(&upstream);
    let logged_too = quiet
        .clone()
        .line("ai-proxy.logging", "log_payloads = true");
    let setup = Server::setup()
        .profile("up", &quiet)
        .profile("kept", &logged_too);
    let server = setup.start();
    asking("not kept").whole(&server).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"kept"}]}"#;
    Ask::post("/kept/v1/chat/completions", body)
        .whole(&server)
        .await;
    let Server { process, world, .. } = server;
    process.signal("TERM");
    process.end().exits(0);
    let all = logged(&world, &[]);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["prompt"], "kept");
}

#[tokio::test]
async fn a_killed_server_loses_nothing_that_is_older_than_a_second() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let profile = ProfileText::openai(&upstream);
    let setup = Server::setup().profile("up", &profile);
    let server = setup.args(["--record"]).start();
    // Killed at a point that differs from run to run.
    let random = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let kill_at = 600 + (random % 400) as usize;
    let mut finished: Vec<(String, Instant)> = Vec::new();
    for number in 0..kill_at {
        let reply = soon(
            "an answer",
            asking(&format!("number {number}")).whole(&server),
        )
        .await;
        let id = reply.headers.get("x-aiproxy-exchange").unwrap().to_owned();
        finished.push((id, Instant::now()));
    }
    let Server {
        process,
        world,
        address,
    } = server;
    process.signal("KILL");
    let killed = Instant::now();
    process.end();
    let known: HashSet<String> = logged(&world, &[])
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    let old = finished
        .iter()
        .filter(|(_, at)| killed.duration_since(*at) > Duration::from_secs(1));
    let lost: Vec<_> = old.filter(|(id, _)| !known.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {kill_at} are lost", lost.len());
    assert!(known.len() > kill_at / 2, "{} of {kill_at}", known.len());
    // The file goes on being written.
    let mut command = world.aiproxy(["serve", "--record", "--profile", "up", "--profiles"]);
    command.arg(world.profiles());
    command.args(["--listen", &address.to_string()]);
    let mut again = crate::support::Process::start(command);
    again.until("the banner", |process| {
        process.stdout().contains("listening")
    });
    let server = Server {
        process: again,
        address,
        world,
    };
    asking("after the kill").whole(&server).await;
    let Server { process, world, .. } = server;
    process.signal("TERM");
    process.end().exits(0);
    let all = logged(&world, &[]);
    assert_eq!(all[0]["prompt"], "after the kill");
    assert_eq!(all.len(), known.len() + 1);
}
