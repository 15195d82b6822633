//! OpenAI's chat completions: <https://platform.openai.com/docs/api-reference/chat>.
//!
//! Most providers speak it, each with departures of its own; readers are lenient, writers exact.

mod citations;
mod fault;
mod logprobs;
mod request;
mod response;
mod stream;
mod usage;
mod wire;

use bytes::Bytes;

use super::{
    Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder,
    openai_embeddings::OpenAiEmbeddings,
};
use crate::llm::{ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Finish, Format, Sink};

pub(super) use fault::{decode_error, encode_fault};
pub(super) use logprobs::write_flat;
pub(super) use request::{
    Names, decode_shared, encode_shared, extra, media, media_type, own_fields, url,
};
pub(super) use stream::{DONE, whole};
pub(super) use usage::{Usage as WireUsage, usage_json};

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
        stream::whole(body, "llm/v1/chat")
    }

    fn hear_response(&self, body: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        stream::hear(body, "llm/v1/chat", sink)
    }

    fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
        Egress::encode_embeddings(&OpenAiEmbeddings, request)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
        Egress::decode_embeddings(&OpenAiEmbeddings, body)
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

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        Ingress::decode_embeddings(&OpenAiEmbeddings, body)
    }

    fn encode_embeddings(&self, request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        Ingress::encode_embeddings(&OpenAiEmbeddings, request, response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(usage))
    }
}

/// Reads a `finish_reason`: OpenAI's, and those of servers that speak its format.
///
/// | reason | whose |
/// | --- | --- |
/// | `stop` `length` `tool_calls` `content_filter` `function_call` | OpenAI, <https://platform.openai.com/docs/api-reference/chat/object> |
/// | `model_length` | Mistral: the context is full |
/// | `insufficient_system_resource` | DeepSeek: cut short, and not by its own end, so it counts as a limit |
/// | `eos` | Together |
/// | `eos_token` `stop_sequence` | Hugging Face |
/// | `end_turn` `max_tokens` `tool_use` `refusal` | servers that pass on Anthropic's |
/// | `sensitive` | Zhipu's filter |
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Finish::Stop,
        "length" | "max_tokens" | "model_length" | "insufficient_system_resource" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "sensitive" | "refusal" => Finish::ContentFilter,
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
