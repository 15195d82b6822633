//! OpenAI's Responses: <https://platform.openai.com/docs/api-reference/responses>, its streams
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! An answer is a list of items (messages, reasoning, calls), each of them a part or several of the canonical model's. What a client has
//! to send back unchanged travels in `encrypted_content` of reasoning items (`seal`); tools of OpenAI's own kinds that the model has no
//! place for become functions on the way in and are told again as what they were on the way out (`tools`).

mod annotations;
mod echo;
mod items;
mod logprobs;
mod previous;
mod request;
mod response;
mod seal;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod usage;

use bytes::Bytes;
use serde_json::Value;

use super::{
    Echo, Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder,
    openai_chat::{decode_error, encode_fault},
};
use crate::llm::{ChatRequest, ChatResponse, Format};

pub use previous::{after, input_of, listed};

/// The format, as clients speak it to any provider: what a provider of another format cannot have is refused.
#[derive(Debug)]
pub struct OpenAiResponses;

/// The format as a server of OpenAI's own takes it: built-in tools are fine, though nobody calls them.
#[derive(Debug)]
pub struct Served;

impl Egress for OpenAiResponses {
    fn format(&self) -> Format {
        Format::Responses
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        request::encode(request)
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

macro_rules! ingress {
    ($format:ty, $own_tools:expr) => {
        impl Ingress for $format {
            fn format(&self) -> Format {
                Format::Responses
            }

            fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
                request::decode(body, $own_tools)
            }

            fn leave(&self, request: &mut ChatRequest) -> Result<(), Error> {
                leave(request)
            }

            fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
                response::encode(response, &Echo::default())
            }

            fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
                encode_fault(fault)
            }

            fn stream_encoder(&self, _usage: bool) -> Box<dyn StreamEncoder> {
                // Every stream of this format tells its usage.
                Box::<stream::Encoder>::default()
            }

            fn echo(&self, body: &[u8]) -> Echo {
                echo::of(body)
            }

            fn encode_echoing(&self, response: &ChatResponse, echo: &Echo) -> Vec<u8> {
                response::encode(response, echo)
            }

            fn echoing_encoder(&self, _usage: bool, echo: &Echo) -> Box<dyn StreamEncoder> {
                Box::new(stream::Encoder::new(echo.clone()))
            }
        }
    };
}

ingress!(OpenAiResponses, tools::BuiltIn::Refused);
ingress!(Served, tools::BuiltIn::Ignored);

/// Nobody else goes on with an answer whose client has left.
fn leave(request: &ChatRequest) -> Result<(), Error> {
    let extra = request.extra.as_ref();
    if extra.is_some_and(|extra| extra.fields.get("background") == Some(&Value::Bool(true))) {
        return Err(Error::Unsupported {
            what: "`background: true`: ask for a whole answer or a stream".into(),
        });
    }
    Ok(())
}

/// What a field that has no canonical place asks for needs no provider: it is answered here, or says what is so anyway.
pub(super) fn is_seen_to(key: &str, value: &Value) -> bool {
    match key {
        // Kept, and repeated, by whoever answers.
        "store" | "metadata" => true,
        // Reasoning is shown where the provider shows it, and always comes with what its replay needs.
        "reasoning.summary" | "reasoning.generate_summary" => true,
        "include" => value
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one == "reasoning.encrypted_content")),
        "text.verbosity" => value == "medium",
        "truncation" => value == "disabled",
        "service_tier" => value == "auto" || value == "default",
        "background" => value == false,
        _ => false,
    }
}

/// `error.code` of a response, and the HTTP status that says the same: <https://platform.openai.com/docs/api-reference/responses/object>,
/// and those that Codex knows.
const CODES: &[(&str, u16)] = &[
    ("server_error", 500),
    ("rate_limit_exceeded", 429),
    ("invalid_prompt", 400),
    ("context_length_exceeded", 400),
    ("insufficient_quota", 429),
    ("server_is_overloaded", 503),
    ("slow_down", 503),
    ("vector_store_timeout", 504),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("not_found_error", 404),
];

/// The status of an error that has only a code.
fn status_of(code: &str) -> Option<u16> {
    let known = CODES.iter().find(|(name, _)| *name == code);
    match known {
        Some((_, status)) => Some(*status),
        None if code.starts_with("invalid_") || code.contains("image_") => Some(400),
        None => code
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status)),
    }
}

/// The code of an error that came from elsewhere.
fn code_of(kind: &str, status: Option<u16>) -> &str {
    if CODES.iter().any(|(name, _)| *name == kind) {
        return kind;
    }
    match status {
        Some(429) => "rate_limit_exceeded",
        Some(503 | 529) => "server_is_overloaded",
        Some(400..=499) => "invalid_prompt",
        _ if kind == "overloaded_error" => "server_is_overloaded",
        _ if kind == "rate_limit_error" => "rate_limit_exceeded",
        _ => "server_error",
    }
}
