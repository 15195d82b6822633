//! Ollama's own API: <https://docs.ollama.com/api>.
//!
//! `/api/chat` is [`Ollama`], which also does `/api/embed`; `/api/generate` is [`Generate`]. Answers and streams differ only in where the
//! text stands, so both share their readers. Streams are one JSON object a line; the last one says `"done": true`.

mod embed;
mod generate;
mod messages;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder, openai_chat};
use crate::{
    llm::{ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Finish, Format},
    wire::Framing,
};

/// `/api/chat` and `/api/embed`.
#[derive(Debug)]
pub struct Ollama;

/// `/api/generate`, for completions.
#[derive(Debug)]
pub struct Generate;

/// Where an answer's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `message.content`.
    Chat,
    /// `response`.
    Generate,
}

/// Lines of JSON, whatever they are called, unless they are called server-sent events. A whole answer is a stream of one line.
fn framing(media_type: &str) -> Option<Framing> {
    match media_type {
        "text/event-stream" => Some(Framing::Sse),
        "text/html" => None,
        _ => Some(Framing::NdJson),
    }
}

impl Egress for Ollama {
    fn format(&self) -> Format {
        Format::Ollama
    }

    fn framing(&self, media_type: &str) -> Option<Framing> {
        framing(media_type)
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        request::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
        embed::encode_request(request)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
        embed::decode_response(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        openai_chat::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Ollama {
    fn format(&self) -> Format {
        Format::Ollama
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        request::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response, Shape::Chat)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        embed::decode_request(body)
    }

    fn encode_embeddings(&self, _: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        embed::encode_response(response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        response::encode_fault(fault)
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(Shape::Chat))
    }
}

impl Egress for Generate {
    fn format(&self) -> Format {
        Format::Ollama
    }

    fn framing(&self, media_type: &str) -> Option<Framing> {
        framing(media_type)
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        generate::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        openai_chat::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Generate {
    fn format(&self) -> Format {
        Format::Ollama
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        generate::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response, Shape::Generate)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        response::encode_fault(fault)
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(Shape::Generate))
    }
}

/// Reads a `done_reason`; `called`: the answer calls tools, of which the reason says nothing (TRAPS 1.6). Old servers, and those whose
/// model stopped for no reason that Ollama has a word for, leave it out.
fn finish(reason: &str, called: bool) -> Finish {
    match reason {
        "length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        _ if called => Finish::ToolCalls,
        // `load` and `unload` answer requests without a prompt.
        "stop" | "load" | "unload" => Finish::Stop,
        "tool_calls" => Finish::ToolCalls,
        _ => Finish::Other,
    }
}

/// Writes a `done_reason`; `None`: it is left out.
fn done_reason(finish: Finish) -> Option<&'static str> {
    match finish {
        Finish::Stop | Finish::ToolCalls => Some("stop"),
        Finish::Length => Some("length"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Other => None,
    }
}
