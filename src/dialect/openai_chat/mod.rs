//! OpenAI's chat completions: <https://platform.openai.com/docs/api-reference/chat>.
//!
//! Most providers speak it, each with departures of its own; readers are lenient, writers exact.

mod request;
mod response;
mod stream;

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder};
use crate::llm::{ChatRequest, ChatResponse, Finish, Format};

pub(super) use response::{Usage as WireUsage, decode_error, encode_fault, usage_json};

/// The format.
#[derive(Debug)]
pub struct OpenAiChat;

impl Egress for OpenAiChat {
    fn format(&self) -> Format {
        Format::OpenAi
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

impl Ingress for OpenAiChat {
    fn format(&self) -> Format {
        Format::OpenAi
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

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(usage))
    }
}

/// Reads a `finish_reason`.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        _ => Finish::Other,
    }
}

/// Writes a `finish_reason`.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}
