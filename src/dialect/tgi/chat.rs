//! OpenAI's chat as Hugging Face's servers speak it.

use bytes::Bytes;

use super::response;
use crate::{
    dialect::{Egress, Encoded, Error, Fault, StreamDecoder, openai_chat::OpenAiChat},
    llm::{ChatRequest, ChatResponse, Format},
};

/// OpenAI's chat completions, but an error is a text, with a type beside it, and may come with status 200.
#[derive(Debug)]
pub struct Chat;

impl Egress for Chat {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        OpenAiChat.encode_request(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        match response::error_of(body) {
            Some(message) => Err(Error::Malformed(format!("API error: {message}"))),
            None => OpenAiChat.decode_response(body),
        }
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        response::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        OpenAiChat.stream_decoder()
    }
}
