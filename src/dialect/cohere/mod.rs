//! Cohere's own API: <https://docs.cohere.com/reference/about>.
//!
//! Four formats: v1's chat (`/v1/chat`), v1's completions (`/v1/generate`), v2's chat (`/v2/chat`) and embeddings (`/v2/embed`). v1's chat
//! has a `message` and the history before it, and streams JSON lines; v2's has messages and tools much as OpenAI's, and streams
//! server-sent events. What tells their answers apart is their shape, so one reader knows them all.

mod citation;
mod embed;
mod names;
mod request;
mod response;
mod sampling;
mod stream;
#[cfg(test)]
mod tests;
mod v1;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder, kind_of, openai_chat,
};
use crate::{
    llm::{ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Finish, Format},
    wire::Framing,
};

/// v2's chat: <https://docs.cohere.com/reference/chat>.
#[derive(Debug)]
pub struct ChatV2;

/// v1's chat: <https://docs.cohere.com/v1/reference/chat>.
#[derive(Debug)]
pub struct ChatV1;

/// v1's completions: <https://docs.cohere.com/v1/reference/generate>.
#[derive(Debug)]
pub struct Generate;

/// v2's embeddings: <https://docs.cohere.com/reference/embed>.
#[derive(Debug)]
pub struct Embed;

/// Which API a request is for: they share most fields, not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    V1,
    V2,
    Generate,
}

/// What v1 calls its streams.
const STREAM_JSON: &str = "application/stream+json";

/// v1's streams are JSON lines whatever their media type: with `text/event-stream` too, where each line may have a `data:` before it.
fn lines(media_type: &str) -> Option<Framing> {
    (!matches!(media_type, "application/json" | "text/html")).then_some(Framing::NdJson)
}

impl Egress for ChatV2 {
    fn format(&self) -> Format {
        Format::Cohere
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
        Box::<stream::DecoderV2>::default()
    }
}

impl Ingress for ChatV2 {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        request::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::<stream::EncoderV2>::default()
    }
}

impl Egress for ChatV1 {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn framing(&self, media_type: &str) -> Option<Framing> {
        lines(media_type)
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        v1::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::DecoderV1>::default()
    }
}

impl Ingress for ChatV1 {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        v1::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode_v1(response).to_string().into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_type(&self) -> &'static str {
        STREAM_JSON
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::EncoderV1::new(Api::V1))
    }
}

impl Egress for Generate {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn framing(&self, media_type: &str) -> Option<Framing> {
        lines(media_type)
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        v1::encode_generate(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::DecoderV1>::default()
    }
}

impl Ingress for Generate {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        v1::decode_generate(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode_generations(response)
            .to_string()
            .into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_type(&self) -> &'static str {
        STREAM_JSON
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::EncoderV1::new(Api::Generate))
    }
}

impl Egress for Embed {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn framing(&self, _: &str) -> Option<Framing> {
        None
    }

    fn encode_request(&self, _: &ChatRequest) -> Result<Encoded, Error> {
        Err(conversation())
    }

    /// Only what the answer cost: the vectors are read by [`decode_embeddings`](Egress::decode_embeddings).
    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        embed::usage(body)
    }

    fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
        embed::encode_request(request)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
        embed::decode_response(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::DecoderV2>::default()
    }
}

impl Ingress for Embed {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn decode_request(&self, _: &[u8]) -> Result<ChatRequest, Error> {
        Err(conversation())
    }

    fn encode_response(&self, _: &ChatResponse) -> Vec<u8> {
        b"{}".to_vec()
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        embed::decode_request(body)
    }

    fn encode_embeddings(&self, request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        embed::encode_response(request, response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::<stream::EncoderV2>::default()
    }
}

fn conversation() -> Error {
    Error::Unsupported {
        what: "a conversation where texts to embed are asked for".into(),
    }
}

/// Reads a `finish_reason`, of any of the APIs.
fn finish(reason: &str) -> Finish {
    match reason {
        "COMPLETE" | "STOP_SEQUENCE" => Finish::Stop,
        // ERROR_LIMIT: the context is full.
        "MAX_TOKENS" | "ERROR_LIMIT" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_TOXIC" => Finish::ContentFilter,
        // USER_CANCEL, and what is new. ERROR and TIMEOUT are failures: see `failed`.
        _ => Finish::Other,
    }
}

/// The finish reasons that are failures: our `error.type` of it, the status that says the same, and what to say where Cohere says nothing.
fn failed(reason: &str) -> Option<(&'static str, u16, &'static str)> {
    match reason {
        "ERROR" => Some(("api_error", 500, "the generation failed (ERROR)")),
        "TIMEOUT" => Some((
            "timeout_error",
            504,
            "the generation took too long (TIMEOUT)",
        )),
        _ => None,
    }
}

/// Writes a `finish_reason`. v1 has no word for calls; `ERROR_TOXIC` is v1's, and v2 has none that is closer.
fn finish_reason(finish: Option<Finish>, api: Api) -> &'static str {
    match finish {
        Some(Finish::Length) => "MAX_TOKENS",
        Some(Finish::ToolCalls) if api == Api::V2 => "TOOL_CALL",
        Some(Finish::ContentFilter) => "ERROR_TOXIC",
        _ => "COMPLETE",
    }
}

/// Reads an error body, `{"message": ...}`, whose status says what it is: <https://docs.cohere.com/reference/errors>.
fn decode_error(status: u16, body: &Bytes) -> Fault {
    let mut fault = openai_chat::decode_error(status, body);
    if fault.kind == kind_of(status) {
        fault.kind = kind(status).into();
    }
    if status == 498 {
        fault.code.get_or_insert_with(|| "content_filter".into());
    }
    fault
}

/// The `error.type` of a status, Cohere's own among them.
fn kind(status: u16) -> &'static str {
    match status {
        402 => "billing_error",
        // A deny-listed word in the request or the answer.
        498 => "invalid_request_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        other => kind_of(other),
    }
}

/// Writes an error body.
fn encode_fault(fault: &Fault) -> Vec<u8> {
    json!({"message": fault.message}).to_string().into_bytes()
}

/// A text field of an object; empty if there is none.
fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a list, those of an object itself as the only one; none of anything else. Cohere's streams have had both.
fn each(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(all)) => all,
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    }
}
