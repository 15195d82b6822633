//! The format as a whole, on payloads after Amazon's documentation.

mod answers;
mod content;
mod reasoning;
mod requests;
mod streams;

use serde_json::{Value, json};

use super::Converse;
use crate::{
    dialect::{Egress, Encoded, Error, Ingress, openai_chat::OpenAiChat},
    llm::ChatRequest,
};

/// What a client of OpenAI's format asks, for a model.
fn asked(model: &str, mut body: Value) -> ChatRequest {
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "user", "content": "Hi"}]);
    }
    body["model"] = model.into();
    OpenAiChat
        .decode_request(body.to_string().as_bytes())
        .unwrap()
}

fn encoded(model: &str, body: Value) -> Result<Encoded, Error> {
    Converse.encode_request(&asked(model, body))
}

/// A body without what is in all of them.
fn body_of(encoded: &Encoded) -> Value {
    let mut body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let version = body.as_object_mut().unwrap().remove("anthropic_version");
    assert_eq!(version, Some("bedrock-2023-05-31".into()));
    body
}

/// What goes out, and what gets lost.
fn sent(model: &str, body: Value) -> (Value, Vec<String>) {
    let encoded = encoded(model, body).unwrap();
    let lost = encoded.lost.iter().map(ToString::to_string).collect();
    (body_of(&encoded), lost)
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const OLD_CLAUDE: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const NEW_CLAUDE: &str = "us.anthropic.claude-opus-4-7";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const LLAMA: &str = "us.meta.llama4-scout-17b-instruct-v1:0";

/// Why a request is refused.
fn refused(model: &str, body: Value) -> String {
    encoded(model, body).unwrap_err().to_string()
}

/// A tool on offer.
fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}}})
}
