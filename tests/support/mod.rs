//! What the black-box tests share: the built binary in a world of its own, an upstream and clients that work with raw bytes.
//!
//! Every wait is bounded by [`PATIENCE`]; tests wait for events, never for time to pass.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses a part of it"
)]

mod client;
mod h2;
mod profile;
mod server;
mod upstream;

use std::{fmt::Write as _, time::Duration};

pub(crate) use client::{Ask, Client, End, Headers, Reply};
pub(crate) use h2::H2;
pub(crate) use profile::ProfileText;
pub(crate) use server::{Finished, Process, Server, Setup, World, signal};
pub(crate) use upstream::{Call, Upstream};

/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what has to happen.
pub(crate) async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    within(PATIENCE, what, event).await
}

/// The same with a limit of its own.
pub(crate) async fn within<F: Future>(limit: Duration, what: &str, event: F) -> F::Output {
    match tokio::time::timeout(limit, event).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// A chat request as an SDK writes it.
pub(crate) fn chat(extra: &str) -> String {
    let comma = if extra.is_empty() { "" } else { "," };
    format!(r#"{{"model":"m1","messages":[{{"role":"user","content":"hi"}}]{comma}{extra}}}"#)
}

/// One event of a chat stream, with its blank line.
pub(crate) fn delta(text: &str) -> String {
    let content = serde_json::to_string(text).unwrap();
    event(&format!(
        r#"{{"index":0,"delta":{{"content":{content}}},"finish_reason":null}}"#
    ))
}

/// The first event of a chat stream: a role and no content.
pub(crate) fn role() -> String {
    event(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#)
}

/// The event that says why a stream ends.
pub(crate) fn stop() -> String {
    event(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#)
}

/// The event that tells the usage and nothing else.
pub(crate) fn usage(input: u64, output: u64) -> String {
    let total = input + output;
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m1\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{total}}}}}\n\n"
    )
}

/// The end marker.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

fn event(choice: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m1\",\"choices\":[{choice}]}}\n\n"
    )
}

/// A whole chat answer.
pub(crate) fn completion(text: &str) -> String {
    let content = serde_json::to_string(text).unwrap();
    format!(
        r#"{{"id":"c1","object":"chat.completion","created":1700000000,"model":"m1","choices":[{{"index":0,"message":{{"role":"assistant","content":{content}}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
    )
}

/// An HTTP/1.1 response with a length, after which the connection closes.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(
        head,
        "content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A JSON response.
pub(crate) fn json_response(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    response(status, &[("content-type", "application/json")], body)
}

/// The head of a stream whose end is the connection's.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The head of a stream in chunks.
pub(crate) const CHUNKED_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [
        format!("{:x}\r\n", data.len()).as_bytes(),
        data,
        b"\r\n".as_slice(),
    ]
    .concat()
}

/// The payloads of a stream's events, comments left out.
pub(crate) fn payloads(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.trim().to_owned())
        .collect()
}

/// The text of all deltas of a chat stream.
pub(crate) fn text_of(stream: &[u8]) -> String {
    payloads(stream)
        .iter()
        .filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok())
        .filter_map(|json| {
            json["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
}

/// Whether `haystack` holds `needle`.
pub(crate) fn holds(haystack: &[u8], needle: impl AsRef<[u8]>) -> bool {
    let needle = needle.as_ref();
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
