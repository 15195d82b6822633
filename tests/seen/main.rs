//! What a server tells of its exchanges: `/_aiproxy/events`, `/_aiproxy/exchanges`, `/_aiproxy/metrics`, and the history on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod events;
mod exchanges;
mod history;
mod secrets;

use serde_json::Value;

use support::{Ask, Server};

/// What `path` of the server answers, as JSON.
async fn get(server: &Server, path: &str) -> Value {
    let reply = Ask::get(path).whole(server).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The exchange of this id.
async fn exchange(server: &Server, id: &str) -> Value {
    get(server, &format!("/_aiproxy/exchanges/{id}")).await
}

/// A chat request whose answer streams.
fn streaming(prompt: &str) -> Ask {
    let prompt = Value::from(prompt);
    Ask::chat(format!(
        r#"{{"model":"m1","stream":true,"messages":[{{"role":"user","content":{prompt}}}]}}"#
    ))
}

/// A chat request whose answer is whole.
fn asking(prompt: &str) -> Ask {
    let prompt = Value::from(prompt);
    Ask::chat(format!(
        r#"{{"model":"m1","messages":[{{"role":"user","content":{prompt}}}]}}"#
    ))
}
