//! Payloads after <https://ai.google.dev/api/generate-content> and its guides.

mod answers;
mod embeddings;
mod native;
mod requests;
mod schemas;
mod streams;

use serde_json::{Value, json};

use super::{Api, Gemini, request};
use crate::{
    dialect::{Egress as _, Ingress as _, openai_chat::OpenAiChat},
    llm::{ChatRequest, Part},
};

/// A request of an OpenAI client for a model.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn asked(model: &str, body: Value) -> ChatRequest {
    let mut request = OpenAiChat
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    request.model = Some(model.into());
    request
}

/// What Gemini gets of it, and what was lost.
fn sent(model: &str, body: Value) -> (Value, Vec<String>) {
    encoded(&asked(model, body), Api::Gemini)
}

fn encoded(request: &ChatRequest, api: Api) -> (Value, Vec<String>) {
    let encoded = request::encode(request, api).unwrap();
    let lost = encoded.lost.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), lost)
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// Parts in short.
fn short(parts: &[Part]) -> Vec<String> {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Thinking { text, signature } => format!("({text}|{signature:?})"),
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => format!("{id} {name} {arguments}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn versions_are_read_from_names() {
    for (model, version) in [
        ("gemini-2.5-pro", Some((2, 5))),
        ("models/gemini-3-pro-preview", Some((3, 0))),
        ("gemini-3.1-flash-lite", Some((3, 1))),
        ("gemini-1.0-pro", Some((1, 0))),
        ("gemini-flash-latest", None),
        ("gemma-3-27b-it", None),
    ] {
        assert_eq!(super::version(model), version, "{model}");
    }
}

#[test]
fn framing_follows_the_media_type() {
    use crate::wire::Framing;
    assert_eq!(Gemini.framing("application/json"), Some(Framing::JsonArray));
    assert_eq!(Gemini.framing("text/event-stream"), Some(Framing::Sse));
    assert_eq!(Gemini.framing(""), Some(Framing::Sse));
    assert_eq!(Gemini.framing("text/html"), None);
}
