//! A server that has a few exchanges in its memory, and answers chat requests.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Call, Finished, Upstream, World, completion, json_response};

pub(crate) const FIRST: &str = "a111111111";
pub(crate) const SECOND: &str = "a222222222";
pub(crate) const LAST: &str = "b333333333";
/// What the server gives to the exchanges that it answers during the test.
pub(crate) const FRESH: &str = "f000000000";

/// The server, and the requests that it got.
pub(crate) struct Played {
    pub(crate) server: Upstream,
    pub(crate) world: World,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A body as the client sent it: form and numbers have to stay.
pub(crate) const BODY: &str = r#"{"model":"gpt/small","messages":[{"role":"user","content":"What's the capital of France?"}], "seed":12345678901234567890123}"#;

impl Played {
    pub(crate) async fn start() -> Played {
        Played::with(Vec::new()).await
    }

    /// With these exchanges behind (so older than) the usual ones.
    pub(crate) async fn with(more: Vec<Value>) -> Played {
        let mut details = vec![last(), second(), first()];
        details.extend(more);
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let told = Arc::clone(&seen);
        let server = Upstream::playing(move |mut call| {
            told.lock().unwrap().push(Seen {
                target: call.target(),
                head: call.head.clone(),
                body: call.text(),
            });
            let answer = answer(&call, &details);
            async move {
                call.write(answer).await;
                call.finish().await;
            }
        })
        .await;
        Played {
            server,
            world: World::new(),
            seen,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Runs a command against it.
    pub(crate) async fn run(&self, args: &[&str]) -> Finished {
        let mut command = self.world.aiproxy(args);
        command.env("AIPROXY_SERVER", self.url()).env("TZ", "UTC");
        finished(command).await
    }

    /// The requests but those for health.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let of_tests = |seen: &&Seen| !seen.target.ends_with("/health");
        seen.iter().filter(of_tests).cloned().collect()
    }
}

/// Runs to its end without holding up the server of the same test.
pub(crate) async fn finished(command: std::process::Command) -> Finished {
    tokio::task::spawn_blocking(move || crate::support::Process::start(command).end())
        .await
        .unwrap()
}

fn answer(call: &Call, details: &[Value]) -> Vec<u8> {
    let target = call.target();
    let (method, url) = target.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    if method == "POST" {
        return chat(call, path);
    }
    match path {
        "/_aiproxy/health" => json_response(
            200,
            json!({"status": "ok", "server": "aiproxy", "profiles": ["gpt", "claude"]}).to_string(),
        ),
        "/_aiproxy/exchanges" => list(query, details),
        _ => match path.strip_prefix("/_aiproxy/exchanges/") {
            Some("last") => json_response(200, exact(&details[0])),
            Some(FRESH) => json_response(200, fresh().to_string()),
            Some(name) => by_name(name, details),
            None => json_response(404, r#"{"error":{"message":"nothing here"}}"#),
        },
    }
}

/// With the client's body as the client wrote it.
fn exact(detail: &Value) -> String {
    let body: Value = serde_json::from_str(BODY).unwrap();
    detail.to_string().replace(&body.to_string(), BODY)
}

fn by_name(name: &str, details: &[Value]) -> Vec<u8> {
    let id = |detail: &&Value| detail["id"].as_str().unwrap().starts_with(name);
    let found: Vec<&Value> = details.iter().filter(id).collect();
    match found.as_slice() {
        [] => json_response(
            404,
            json!({"error": {"message": format!("no exchange `{name}`")}}).to_string(),
        ),
        [one] => json_response(200, exact(one)),
        _ => json_response(
            409,
            r#"{"error":{"message":"several exchanges begin with `a`: a111111111, a222222222"}}"#,
        ),
    }
}

fn list(query: &str, details: &[Value]) -> Vec<u8> {
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
    };
    let limit: usize = value("limit").map_or(50, |limit| limit.parse().unwrap());
    let after = value("before").map_or(0, |before| {
        let at = |detail: &Value| detail["id"] == before;
        details.iter().position(at).unwrap() + 1
    });
    let wanted = details[after..]
        .iter()
        .filter(|detail| value("failed").is_none() || detail["outcome"] == "failed");
    // Never more than two at once, so that there is a next page.
    let page: Vec<&Value> = wanted.take(limit.min(2)).collect();
    let next = page
        .last()
        .filter(|last| Some(**last) != details.last().as_ref().copied())
        .map(|last| last["id"].clone());
    json_response(200, json!({"exchanges": page, "next": next}).to_string())
}

fn chat(call: &Call, path: &str) -> Vec<u8> {
    if path.starts_with("/claude/") {
        let body = r#"{"error":{"message":"overloaded"}}"#;
        let headers = [("content-type", "application/json")];
        return crate::support::response(529, &headers, body);
    }
    let id = if call.headers.get("x-known").is_some() {
        FRESH
    } else {
        "f999999999"
    };
    let headers = [
        ("content-type", "application/json"),
        ("x-aiproxy-exchange", id),
        ("x-kong-llm-model", "openai/small"),
    ];
    crate::support::response(200, &headers, completion("Paris, of course."))
}

fn detail(id: &str, minute: u32, outcome: &str) -> Value {
    json!({
        "id": id, "profile": "gpt", "began": format!("2026-11-22T08:{minute:02}:00.000Z"), "outcome": outcome,
        "method": "POST", "path": "/gpt/v1/chat/completions", "operation": "llm/v1/chat", "stream": false,
        "provider": "openai", "model": "small", "status": 200, "upstream_status": 200,
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        "cost": 0.0004, "cost_source": "profile",
        "timings": {"sent_ms": 2.0, "connect_ms": 8.0, "first_byte_ms": 90.0, "total_ms": 100.0},
        "request_bytes": 100, "response_bytes": 50, "prompt": "What's the capital of France?", "answer": "It is Paris.",
        "parts": [{"choice": 0, "kind": "text", "text": "It is Paris."}],
    })
}

fn client(detail: &mut Value, headers: &Value) {
    let raw: Value = serde_json::from_str(BODY).unwrap();
    detail["stages"] = json!([
        {"stage": "client", "method": "POST", "url": "/v1/chat/completions", "headers": headers, "size": BODY.len(), "body": raw},
        {"stage": "sent", "method": "POST", "url": "https://api.openai.com/v1/chat/completions",
         "headers": {"content-type": "application/json", "authorization": "(secret)"}, "size": 20, "body": {"model": "small", "messages": []}},
        {"stage": "received", "status": 200, "headers": {}, "size": 2, "body": {"id": 1}},
        {"stage": "returned", "status": 200, "headers": {}, "size": 2, "same_as": "received"},
    ]);
}

fn first() -> Value {
    let mut detail = detail(FIRST, 1, "ok");
    client(
        &mut detail,
        &json!({"content-type": "application/json", "authorization": "(secret)", "host": "x", "x-known": "1"}),
    );
    detail
}

fn second() -> Value {
    let mut detail = detail(SECOND, 2, "failed");
    detail["status"] = 502.into();
    detail["failed_at"] = "sent".into();
    detail["error"] = "connection refused".into();
    client(&mut detail, &json!({"content-type": "application/json"}));
    detail["parts"] = json!([]);
    detail["stages"] = json!([detail["stages"][0]]);
    detail
}

/// What hostile output looks like, and still running.
fn last() -> Value {
    let mut detail = detail(LAST, 3, "live");
    detail["prompt"] = "\u{1b}[2Jgone".into();
    client(&mut detail, &json!({"content-type": "application/json"}));
    detail["events"] = json!([
        {"at_ms": 90.0, "type": "open", "part": 0}, {"at_ms": 91.5, "type": "text", "part": 0, "text": "It is"},
    ]);
    detail
}

/// What the server recorded of a replay.
fn fresh() -> Value {
    let mut detail = detail(FRESH, 9, "ok");
    detail["parts"][0]["text"] = "Paris, of course.".into();
    detail["timings"]["total_ms"] = 250.0.into();
    detail
}
