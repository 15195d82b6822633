//! Google's Gemini: `generateContent`, `streamGenerateContent` and embeddings, <https://ai.google.dev/api/generate-content>.
//!
//! Model and stream stand in the URL, not in the body. The same format is spoken by the Gemini API and by Vertex AI,
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>, with few departures.

mod citations;
mod config;
mod decode;
mod embeddings;
mod errors;
mod ids;
mod media;
mod request;
mod response;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder};
use crate::{
    llm::{ChatRequest, ChatResponse, Finish, Format},
    wire::Framing,
};

pub use embeddings::GeminiEmbeddings;

/// The Gemini API; to clients, streams of server-sent events (`alt=sse`).
#[derive(Debug)]
pub struct Gemini;

/// Gemini on Vertex AI.
#[derive(Debug)]
pub struct Vertex;

/// To clients that ask without `alt=sse`: a stream is one JSON array.
#[derive(Debug)]
pub struct GeminiArray;

/// Which of Google's two services is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    /// `generativelanguage.googleapis.com`.
    Gemini,
    /// `aiplatform.googleapis.com`; its v1 refuses `id` in function calls and responses, though it sends them.
    Vertex,
}

/// Without `alt=sse` a stream is a JSON array: <https://cloud.google.com/apis/docs/system-parameters>.
fn framing(media_type: &str) -> Option<Framing> {
    match media_type {
        "application/json" => Some(Framing::JsonArray),
        "text/html" => None,
        other => (!other.ends_with("+json")).then_some(Framing::Sse),
    }
}

macro_rules! egress {
    ($name:ident, $api:expr) => {
        impl Egress for $name {
            fn format(&self) -> Format {
                Format::Gemini
            }

            fn names_version(&self) -> bool {
                true
            }

            fn takes_system(&self, model: &str) -> bool {
                version(model) != Some((1, 0))
            }

            fn framing(&self, media_type: &str) -> Option<Framing> {
                framing(media_type)
            }

            fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
                request::encode(request, $api)
            }

            fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
                response::decode(body)
            }

            fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
                errors::decode(status, body)
            }

            fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
                Box::<stream::Decoder>::default()
            }
        }
    };
}

egress!(Gemini, Api::Gemini);
egress!(Vertex, Api::Vertex);

macro_rules! ingress {
    ($name:ident, $stream_type:literal, $array:literal) => {
        impl Ingress for $name {
            fn format(&self) -> Format {
                Format::Gemini
            }

            fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
                decode::decode(body)
            }

            fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
                response::encode(response)
            }

            fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
                errors::encode(fault)
            }

            fn stream_type(&self) -> &'static str {
                $stream_type
            }

            // The usage is always there, as Google sends it.
            fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
                Box::new(stream::Encoder::new($array))
            }
        }
    };
}

ingress!(Gemini, "text/event-stream", false);
ingress!(GeminiArray, "application/json", true);

/// Reads a `finishReason`, <https://ai.google.dev/api/generate-content#FinishReason>. `None`: there is none yet.
fn finish(reason: &str) -> Option<Finish> {
    Some(match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" => Finish::Stop,
        // Not Google's word, but one that servers of its format use.
        "FUNCTION_CALL" => Finish::ToolCalls,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::ContentFilter,
        // OTHER, IMAGE_OTHER, NO_IMAGE, MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, TOO_MANY_TOOL_CALLS,
        // MISSING_THOUGHT_SIGNATURE, MALFORMED_RESPONSE, and those to come.
        _ => Finish::Other,
    })
}

/// Gemini says `STOP` where a model calls tools: only that is upgraded (TRAPS 1.6).
fn upgraded(finish: Finish, calls: bool) -> Finish {
    match finish {
        Finish::Stop if calls => Finish::ToolCalls,
        other => other,
    }
}

/// Writes a `finishReason`.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Other => "OTHER",
    }
}

/// Major and minor version of a Gemini model, where its name tells: `gemini-2.5-pro` is (2, 5).
fn version(model: &str) -> Option<(u32, u32)> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let version = name.strip_prefix("gemini-")?.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}
