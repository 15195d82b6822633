//! Anthropic's Messages API: <https://platform.claude.com/docs/en/api/messages/create>.
//!
//! What differs between Claude's generations (reasoning, sampling, schemas) is decided by the model's name, in `model`.

mod blocks;
mod decode;
mod encode;
mod foreign;
mod messages;
mod model;
mod response;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder};
use crate::llm::{ChatRequest, ChatResponse, Event, Finish, Format};

pub(super) use encode::{sequences, temperature, unknown};
pub(super) use response::{decode_error, encode_fault};

/// The format.
#[derive(Debug)]
pub struct Anthropic;

impl Egress for Anthropic {
    fn format(&self) -> Format {
        Format::Anthropic
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        encode::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Anthropic {
    fn format(&self) -> Format {
        Format::Anthropic
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        decode::decode(body)
    }

    fn leave(&self, request: &mut ChatRequest) -> Result<(), Error> {
        foreign::leave(request)
    }

    fn owns_header(&self, name: &str) -> bool {
        name.starts_with("anthropic-") || name.starts_with("x-claude-code-")
    }

    /// Its SDKs mark calls of beta features so.
    fn own_query(&self) -> &'static [&'static str] {
        &["beta"]
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_encoder(&self, _usage: bool) -> Box<dyn StreamEncoder> {
        // Every stream of this format tells its usage.
        Box::<stream::Encoder>::default()
    }
}

/// Reads a `stop_reason`: <https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        // `pause_turn`: a server tool took too long; the client may ask on.
        _ => Finish::Other,
    }
}

/// Writes a `stop_reason`; `refused`: what was said is a refusal, `stopped`: a stop sequence is known to have ended it.
pub(super) fn stop_reason(finish: Finish, refused: bool, stopped: bool) -> &'static str {
    match finish {
        Finish::Stop if refused => "refusal",
        Finish::Stop if stopped => "stop_sequence",
        Finish::Stop | Finish::Other => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

/// `error.type` and the HTTP status that it stands for: <https://platform.claude.com/docs/en/api/errors>.
const ERRORS: &[(&str, u16)] = &[
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("conflict_error", 409),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

/// The status of an error inside a stream.
pub(super) fn status_of(kind: &str) -> Option<u16> {
    let (_, status) = ERRORS.iter().find(|(name, _)| *name == kind)?;
    Some(*status)
}

/// The documented `error.type` that says what `kind` and `status` say.
pub(super) fn error_type(kind: &str, status: Option<u16>) -> &'static str {
    let known = ERRORS.iter().find(|(name, _)| *name == kind);
    let by_status = status.and_then(|status| ERRORS.iter().find(|(_, code)| *code == status));
    match (known, by_status, status) {
        // The two words that other formats use for everything.
        (Some((name, 401..=404 | 409 | 413 | 429 | 504 | 529)), ..) => name,
        (_, Some((name, _)), _) => name,
        (_, None, Some(400..=499)) => "invalid_request_error",
        // What other services say in its place.
        (_, None, Some(503)) => "overloaded_error",
        (Some((name, _)), None, _) => name,
        (None, None, _) => "api_error",
    }
}

/// An error inside a stream: an `error` event's data.
pub(super) fn failed(error: &serde_json::Value) -> Event<'static> {
    let text = |key: &str| {
        error
            .get(key)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
    };
    let kind = text("type").unwrap_or_else(|| "upstream_error".into());
    let message = text("message")
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| error.to_string());
    Event::Failed {
        status: status_of(&kind),
        kind: kind.into(),
        message: message.into(),
    }
}
