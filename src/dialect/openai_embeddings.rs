//! OpenAI's embeddings: <https://platform.openai.com/docs/api-reference/embeddings>.
//!
//! Only read: who answered, and what it cost. The vectors stay bytes.

use bytes::Bytes;
use serde::Deserialize;

use super::{Egress, Encoded, Error, Fault, StreamDecoder, openai_chat, text::Text};
use crate::llm::{ChatRequest, ChatResponse, Format};

/// The format.
#[derive(Debug)]
pub struct OpenAiEmbeddings;

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    model: Text<'a>,
    usage: Option<openai_chat::WireUsage>,
}

impl Egress for OpenAiEmbeddings {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn encode_request(&self, _: &ChatRequest) -> Result<Encoded, Error> {
        Err(Error::Unsupported {
            what: "a conversation where texts to embed are asked for".into(),
        })
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        let response: Response<'_> = serde_json::from_slice(body)?;
        Ok(ChatResponse {
            model: response.model.or_empty().into_owned(),
            usage: response.usage.map(Into::into),
            ..ChatResponse::default()
        })
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        openai_chat::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        openai_chat::OpenAiChat.stream_decoder()
    }
}
