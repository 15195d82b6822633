//! Hugging Face's text generation, as its inference API and Text Generation Inference (TGI) do it:
//! <https://huggingface.co/docs/inference-providers/tasks/text-generation>, <https://huggingface.github.io/text-generation-inference/>.
//!
//! [`Tgi`] continues a prompt; feature extraction is here too. [`Llama2`] asks for chats and completions through the prompt template of
//! Llama 2, which is Kong's `llama2_format = "raw"`. [`Chat`] is OpenAI's chat as the same servers speak it, with their own errors.

mod chat;
mod embed;
mod llama2;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder};
use crate::llm::{ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Finish, Format};

pub use chat::Chat;
pub use llama2::Llama2;

/// Text generation and feature extraction.
#[derive(Debug)]
pub struct Tgi;

impl Egress for Tgi {
    fn format(&self) -> Format {
        Format::HuggingFace
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
        response::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Tgi {
    fn format(&self) -> Format {
        Format::HuggingFace
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        request::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        embed::decode_request(body)
    }

    fn encode_embeddings(&self, request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        embed::encode_response(request, response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        response::encode_fault(fault)
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::<stream::Encoder>::default()
    }
}

/// Reads a `finish_reason`.
fn finish(reason: &str) -> Finish {
    match reason {
        "eos_token" | "stop_sequence" | "stop" => Finish::Stop,
        "length" => Finish::Length,
        _ => Finish::Other,
    }
}

/// Writes a `finish_reason`.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        _ => "eos_token",
    }
}
