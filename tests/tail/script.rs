//! A server that plays a part: it says that it is aiproxy, and leaves its events to the test.

use serde_json::{Value, json};

use crate::support::{Call, Process, STREAM_HEAD, Upstream, World, json_response};

/// What a server says of itself.
const HEALTH: &str =
    r#"{"status":"ok","server":"aiproxy","version":"0.0.0","profiles":["up","mock"]}"#;

/// `aiproxy tail` of this server.
pub(crate) fn tail(world: &World, server: &Upstream, args: &[&str]) -> Process {
    let url = format!("http://{}", server.address);
    let mut command = world.aiproxy(["tail", "--server", &url]);
    command.args(args).env("TZ", "UTC");
    Process::start(command)
}

/// The next call that is not about the server itself.
pub(crate) async fn call(server: &mut Upstream) -> Call {
    loop {
        let mut call = server.call().await;
        if call.target() != "GET /_aiproxy/health" {
            return call;
        }
        call.write(json_response(200, HEALTH)).await;
        tokio::spawn(call.finish());
    }
}

/// The next call for events, and the beginning of its answer.
pub(crate) async fn events(server: &mut Upstream) -> Call {
    let mut call = call(server).await;
    assert!(
        call.target().starts_with("GET /_aiproxy/events"),
        "{}",
        call.target()
    );
    call.write(format!("{STREAM_HEAD}: aiproxy\n\n")).await;
    call
}

/// Answers the next call, which has to be this one.
pub(crate) async fn answer(server: &mut Upstream, target: &str, status: u16, body: &Value) {
    let mut call = call(server).await;
    assert_eq!(call.target(), target);
    call.write(json_response(status, body.to_string())).await;
    tokio::spawn(call.finish());
}

/// One event.
pub(crate) fn event(seq: u64, exchange: &str, what: &Value) -> String {
    let mut notice = json!({"seq": seq, "exchange": exchange, "profile": "up", "at_ms": 1.5});
    for (key, value) in what.as_object().unwrap() {
        notice[key] = value.clone();
    }
    let name = what["type"].as_str().unwrap();
    format!("id: {seq}\nevent: {name}\ndata: {notice}\n\n")
}

/// What begins an exchange: its opening, what the client asks, and where it goes. Takes three numbers.
pub(crate) fn opening(seq: u64, exchange: &str, prompt: &str) -> String {
    let body = json!({"messages": [{"role": "user", "content": prompt}]}).to_string();
    [
        event(
            seq,
            exchange,
            &json!({"type": "opened", "began": "2026-11-22T14:03:21.250Z", "method": "POST", "path": "/up/v1/chat/completions"}),
        ),
        event(
            seq + 1,
            exchange,
            &json!({"type": "stage", "stage": "client", "size": body.len(), "body": body}),
        ),
        event(
            seq + 2,
            exchange,
            &json!({"type": "routed", "provider": "mock", "model": "gpt-5", "operation": "llm/v1/chat", "stream": true}),
        ),
    ]
    .concat()
}

/// Text of an answer.
pub(crate) fn text(seq: u64, exchange: &str, text: &str) -> String {
    event(
        seq,
        exchange,
        &json!({"type": "text", "part": 0, "text": text}),
    )
}

/// An end.
pub(crate) fn closed(seq: u64, exchange: &str) -> String {
    event(
        seq,
        exchange,
        &json!({"type": "closed", "summary": summary(exchange)}),
    )
}

/// What is told of an exchange that ended.
pub(crate) fn summary(exchange: &str) -> Value {
    json!({
        "id": exchange, "profile": "up", "began": "2026-11-22T14:03:21.250Z", "outcome": "ok", "method": "POST",
        "path": "/up/v1/chat/completions", "operation": "llm/v1/chat", "stream": true, "provider": "mock", "model": "gpt-5",
        "status": 200, "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        "timings": {"first_token_ms": 20.0, "total_ms": 100.0, "tokens_per_second": 50.0},
    })
}

/// How an exchange of [`summary`] ends.
pub(crate) const END: &str =
    "ok 200 · 3 tokens in, 5 out · first token after 20 ms · 50.0 tokens/s · took 100 ms";

pub(crate) const A: &str = "k3f9000000";
pub(crate) const B: &str = "a81x000000";
