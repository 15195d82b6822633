//! Amazon Bedrock's Converse and ConverseStream:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.
//!
//! One format for the models of many vendors, who still differ in what they take: `family` knows how. The model is in the URL, and so
//! is whether the answer is a stream. Embeddings have no common format; `embeddings` speaks each family's own.

mod citations;
pub mod embeddings;
mod family;
mod fault;
mod names;
mod request;
mod response;
mod schema;
mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Egress, Encoded, Error, Fault, Ingress, StreamDecoder, StreamEncoder};
use crate::{
    llm::{ChatRequest, ChatResponse, Finish, Format},
    wire::Framing,
};

pub use family::takes_system;

/// The media type of Amazon's event stream.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// The format.
#[derive(Debug)]
pub struct Converse;

impl Egress for Converse {
    fn format(&self) -> Format {
        Format::Bedrock
    }

    fn takes_system(&self, model: &str) -> bool {
        takes_system(model)
    }

    fn framing(&self, media_type: &str) -> Option<Framing> {
        (media_type == EVENT_STREAM).then_some(Framing::EventStream)
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        request::encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        response::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        fault::decode(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Converse {
    fn format(&self) -> Format {
        Format::Bedrock
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        request::decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        response::encode(response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        fault::encode(fault)
    }

    fn stream_type(&self) -> &'static str {
        EVENT_STREAM
    }

    /// Bedrock tells the usage of every stream: there is no way to ask for it.
    fn stream_encoder(&self, _usage: bool) -> Box<dyn StreamEncoder> {
        Box::<stream::Encoder>::default()
    }
}

/// Reads a `stopReason`.
fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        // `malformed_model_output`, `malformed_tool_use`, and what may come.
        _ => Finish::Other,
    }
}

/// Where the fields of a Claude model's own answer tell the stop sequence that was met: in whole answers, and in the events of streams.
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_RequestSyntax>
const STOPPED: &[&str] = &["/stop_sequence", "/delta/stop_sequence"];

/// The stop sequence in `additionalModelResponseFields`.
fn stopped(fields: Option<&Value>) -> Option<&str> {
    let fields = fields?;
    let told = STOPPED
        .iter()
        .find_map(|path| fields.pointer(path)?.as_str());
    told.filter(|sequence| !sequence.is_empty())
}

/// Writes a `stopReason`; `stopped`: a stop sequence is known to have ended it.
fn stop_reason(finish: Finish, stopped: bool) -> &'static str {
    match finish {
        Finish::Stop if stopped => "stop_sequence",
        Finish::Stop | Finish::Other => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "content_filtered",
    }
}

/// A tool call's input, which must be an object; arguments that are none stay visible in one.
fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(fields)) => fields.into(),
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({"invalid_arguments": arguments}),
    }
}
