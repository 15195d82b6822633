//! The inspector page in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod door;
mod exchange;
mod list;
mod many;
mod markup;
mod play;
mod views;

use serde_json::Value;

use support::{Ask, Server};

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

/// Sends a request, and gives the name of its exchange once it is over.
async fn exchange(server: &Server, ask: Ask) -> String {
    let reply = ask.whole(server).await;
    reply.headers.get("x-aiproxy-exchange").unwrap().to_owned()
}
