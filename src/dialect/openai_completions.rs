//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>.
//!
//! Answers and streams differ from chat's only in where the text stands, and chat's readers know both places.

use bytes::Bytes;

use super::{Egress, Encoded, Error, Fault, StreamDecoder, openai_chat::OpenAiChat};
use crate::llm::{ChatRequest, ChatResponse, Format, Part, Role};

/// The format.
#[derive(Debug)]
pub struct OpenAiCompletions;

impl Egress for OpenAiCompletions {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        let mut prompt = String::new();
        for message in request
            .messages
            .iter()
            .filter(|message| message.role != Role::Assistant)
        {
            for part in &message.parts {
                match part {
                    Part::Text(text) => prompt.push_str(text),
                    _ => {
                        return Err(Error::Unsupported {
                            what: "anything but text in a completion".into(),
                        });
                    }
                }
            }
        }
        let body =
            serde_json::json!({"model": request.model, "prompt": prompt, "stream": request.stream});
        Ok(Encoded {
            body: Bytes::from(body.to_string()),
            lost: Vec::new(),
        })
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        OpenAiChat
            .decode_response(body)
            .map_err(|error| match error {
                Error::Malformed(why) => {
                    Error::Malformed(why.replace("llm/v1/chat", "llm/v1/completions"))
                }
                other => other,
            })
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        OpenAiChat.decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        OpenAiChat.stream_decoder()
    }
}
