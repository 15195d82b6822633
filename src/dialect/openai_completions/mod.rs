//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>.
//!
//! A prompt is one message of the user's. Answers and streams differ from chat's only in where the text stands, and chat's readers know
//! both places.

mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder,
    openai_chat::{self, OpenAiChat},
};
use crate::llm::{ChatRequest, ChatResponse, Finish, Format};

/// The format.
#[derive(Debug)]
pub struct OpenAiCompletions;

impl Egress for OpenAiCompletions {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        request::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        openai_chat::whole(body, "llm/v1/completions")
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        openai_chat::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        OpenAiChat.stream_decoder()
    }
}

impl Ingress for OpenAiCompletions {
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
        openai_chat::encode_fault(fault)
    }

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(usage))
    }
}

/// Writes a `finish_reason`; completions call no tools.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::Stop | Finish::ToolCalls | Finish::Other => "stop",
    }
}
