//! The request log: `--log-file`, and lines for people on stderr (SPEC §4.6).

use std::path::Path;

use serde_json::Value;

use crate::support::{
    Ask, DONE, PATIENCE, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta,
    json_response, role, soon, stop, usage,
};

fn logged(upstream: &Upstream) -> ProfileText {
    ProfileText::openai(upstream)
        .line("ai-proxy.logging", "log_statistics = true")
        .line("ai-proxy.logging", "log_payloads = true")
        .key("Authorization", "Bearer sk-secret-0123456789")
}

fn serve(profile: &ProfileText) -> Server {
    let setup = Server::setup().profile("up", profile);
    setup.args(["--log-file", "requests.log"]).start()
}

fn file(server: &Server) -> std::path::PathBuf {
    server.world.path("home/requests.log")
}

/// The lines, once there are so many.
async fn lines(path: &Path, number: usize) -> Vec<Value> {
    let all = async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            if lines.len() >= number && text.ends_with('\n') {
                return lines
                    .iter()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
            }
            tokio::time::sleep(PATIENCE / 1000).await;
        }
    };
    soon("the log's lines", all).await
}

#[tokio::test]
async fn every_exchange_is_a_line() {
    let upstream = Upstream::playing(|mut call| async move {
        if call.target().ends_with("/files") {
            // Counting must not turn a known length into chunks.
            let known = call.headers.get("content-length") == Some("3");
            call.write(json_response(if known { 200 } else { 411 }, "{}"))
                .await;
        } else if call.text().contains("fail") {
            let body = r#"{"error":{"message":"no sk-secret-0123456789 here","type":"x"}}"#;
            call.write(json_response(401, body)).await;
        } else if call.text().contains("stream") {
            let events = [
                role(),
                delta("ap"),
                delta("ple"),
                stop(),
                usage(3, 2),
                DONE.into(),
            ];
            call.write(format!("{STREAM_HEAD}{}", events.concat()))
                .await;
        } else {
            call.write(json_response(200, completion("apple"))).await;
        }
        call.finish().await;
    })
    .await;
    let server = serve(&logged(&upstream).line("aiproxy", r#"other_paths = "forward""#));
    for (ask, status) in [
        (Ask::chat(chat("")), 200),
        (Ask::chat(chat(r#""stream":true"#)), 200),
        (Ask::chat(chat(r#""user":"fail""#)), 401),
        (Ask::chat("{}"), 400),
        (Ask::post("/up/v1/files?key=in-the-query", "abc"), 200),
    ] {
        assert_eq!(ask.whole(&server).await.status, status);
    }
    let path = file(&server);
    let lines = lines(&path, 5).await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret-0123456789"), "{text}");
    assert!(!text.contains("in-the-query"), "{text}");

    let [whole, stream, refused, bad, unread] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    for line in [whole, stream, unread] {
        assert_eq!(line["outcome"], "completed", "{line}");
    }
    for line in &lines {
        assert_eq!(line["client_ip"], "127.0.0.1");
        assert_eq!(line["request"]["method"], "POST");
        assert_eq!(line["profile"], "up");
    }
    let proxy = &whole["ai"]["proxy"];
    assert_eq!(proxy["meta"]["provider_name"], "openai");
    assert_eq!(proxy["meta"]["request_mode"], "oneshot");
    assert_eq!(proxy["usage"]["total_tokens"], 5);
    assert_eq!(proxy["payload"]["response"], completion("apple"));
    assert_eq!(whole["request"]["size"], chat("").len());
    assert_eq!(whole["response"]["size"], completion("apple").len());

    let proxy = &stream["ai"]["proxy"];
    assert_eq!(proxy["meta"]["request_mode"], "stream");
    assert_eq!(proxy["usage"]["completion_tokens"], 2);
    assert_eq!(proxy["usage"].get("estimated"), None);
    assert_eq!(proxy["payload"]["response"], "apple");
    assert!(stream["response"]["size"].as_u64().unwrap() > 100);

    assert_eq!(refused["outcome"], "failed");
    assert_eq!(refused["error"], "no *** here");
    assert_eq!(refused["response"]["status"], 401);
    assert_eq!(refused["ai"]["proxy"].get("usage"), None);

    assert_eq!(bad["response"]["status"], 400);
    assert_eq!(bad["latencies"]["proxy"], -1);
    assert_eq!(bad.get("ai"), None);

    assert_eq!(unread["request"]["path"], "/up/v1/files");
    assert_eq!(unread["request"]["size"], 3);
    assert_eq!(unread["response"]["size"], 2);
    assert_eq!(unread.get("ai"), None);
}

#[tokio::test]
async fn a_client_that_leaves_is_logged_with_what_it_got() {
    let mut upstream = Upstream::start().await;
    let server = serve(&logged(&upstream));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}{}", role(), delta("apple apple")))
        .await;
    let mut reply = client.reply().await;
    reply.until("apple").await;
    drop(reply);
    call.loses_its_client().await;
    let line = lines(&file(&server), 1).await.remove(0);
    assert_eq!(line["outcome"], "cancelled");
    assert_eq!(line["response"]["status"], 200);
    assert_eq!(line["ai"]["proxy"]["payload"]["response"], "apple apple");
    let usage = &line["ai"]["proxy"]["usage"];
    assert_eq!(usage["estimated"], true);
    assert_eq!(usage["completion_tokens"], 2);
}

#[tokio::test]
async fn an_exchange_that_is_cut_at_the_end_is_logged_too() {
    let mut upstream = Upstream::start().await;
    let server = serve(&logged(&upstream));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("apple"))).await;
    let mut reply = client.reply().await;
    reply.until("apple").await;
    server.process.signal("TERM");
    let path = file(&server);
    let Server { process, world, .. } = server;
    process.end().exits(0);
    assert_eq!(lines(&path, 1).await[0]["outcome"], "cancelled");
    drop(world);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_opened_anew_on_sighup() {
    use std::os::unix::fs::PermissionsExt;

    let upstream = Upstream::answering(json_response(200, completion("x"))).await;
    let server = serve(&ProfileText::openai(&upstream));
    Ask::chat(chat("")).whole(&server).await;
    let path = file(&server);
    lines(&path, 1).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let moved = server.world.path("home/requests.log.1");
    std::fs::rename(&path, &moved).unwrap();
    server.process.signal("HUP");
    let there = async {
        while !path.exists() {
            tokio::time::sleep(PATIENCE / 1000).await;
        }
    };
    soon("the new file", there).await;
    Ask::chat(chat("")).whole(&server).await;
    assert_eq!(lines(&path, 1).await.len(), 1);
    assert_eq!(lines(&moved, 1).await.len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_said_at_once() {
    let upstream = Upstream::start().await;
    let ended = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--log-file", "missing/requests.log"])
        .fails()
        .exits(1);
    assert!(
        ended.stderr.contains("missing/requests.log") && ended.stderr.contains("hint: "),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn stderr_tells_as_much_as_is_asked_for() {
    let upstream = Upstream::answering(json_response(200, completion("x"))).await;
    let start = |args: &[&str], rust_log: &str| {
        Server::setup()
            .profile("up", &ProfileText::openai(&upstream))
            .args(args.iter().copied())
            .variable("RUST_LOG", rust_log)
            .start()
    };
    let line = "POST /up/v1/chat/completions 200 up m1 3+2 tokens ";
    for (args, rust_log, told) in [
        (&[][..], "", false),
        (&["-v"], "", true),
        (&["-q"], "", false),
        (&["-v"], "error", false),
        (&[], "aiproxy::request=info", true),
    ] {
        let server = start(args, rust_log);
        let ask = Ask::post("/up/v1/chat/completions?key=in-the-query", chat(""));
        assert_eq!(ask.whole(&server).await.status, 200);
        server.process.signal("TERM");
        let ended = server.process.end().exits(0);
        assert_eq!(
            ended.stderr.contains(line),
            told,
            "{args:?} {rust_log}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("in-the-query"), "{}", ended.stderr);
    }
}
