//! Translation between one wire format and the canonical model. Pure: no I/O, no clock, no globals.
//!
//! A format that clients speak is an [`Ingress`], one that providers speak an [`Egress`]; a format can be both. It imports `llm` and `wire`.

pub mod anthropic;
pub mod anthropic_complete;
pub mod bedrock;
pub mod cohere;
pub mod gemini;
mod native;
pub mod ollama;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_responses;
mod restore;
mod steady;
#[cfg(test)]
pub(crate) mod testing;
mod text;
pub mod tgi;
mod time;

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::{
    llm::{
        ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, Event, Extra, Format, Sink, Tells,
        events_of,
    },
    wire::{Frame, Framing},
};

pub use native::{Native, Task, any_native, native, native_default};
pub use restore::{Restore, Restored};
pub use steady::Steady;

impl<E: Egress> Tells for E {
    fn tell(&self, body: &[u8], sink: &mut dyn Sink) {
        // Where it ends is what was told before, too.
        let _ = self.hear_response(body, sink);
    }
}

/// A format that aiproxy sends upstream.
pub trait Egress: Tells {
    /// Its name.
    fn format(&self) -> Format;

    /// How an answer of this media type (lower case, without parameters; empty if the provider names none) to a request for a stream is
    /// cut into messages. `None`: it is a whole answer after all.
    fn framing(&self, media_type: &str) -> Option<Framing> {
        let json = media_type == "application/json" || media_type.ends_with("+json");
        (!json && media_type != "text/html").then_some(Framing::Sse)
    }

    /// A request of this format.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for content that the format cannot carry at all; what it merely cannot express is in [`Encoded::lost`].
    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error>;

    /// Reads a whole answer.
    ///
    /// # Errors
    ///
    /// If it is none of this format; the text is Kong's.
    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error>;

    /// Tells what a whole answer says that goes on as it came: the same events as [`events_of`] what [`decode_response`] reads, without a
    /// second copy of it.
    ///
    /// # Errors
    ///
    /// As [`decode_response`].
    ///
    /// [`decode_response`]: Egress::decode_response
    fn hear_response(&self, body: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        events_of(&self.decode_response(body)?, sink);
        Ok(())
    }

    /// A request for embeddings.
    ///
    /// # Errors
    ///
    /// As [`encode_request`](Egress::encode_request); always, where the format has none.
    fn encode_embeddings(&self, _request: &EmbedRequest) -> Result<Encoded, Error> {
        Err(Error::Unsupported {
            what: "embeddings".into(),
        })
    }

    /// Reads an answer to a request for embeddings.
    ///
    /// # Errors
    ///
    /// As [`decode_response`](Egress::decode_response).
    fn decode_embeddings(&self, _body: &[u8]) -> Result<EmbedResponse, Error> {
        Err(Error::Unsupported {
            what: "embeddings".into(),
        })
    }

    /// Whether the model that an answer names is a version of the one that was asked for: clients know it by the name that they used, and
    /// see the version as `system_fingerprint`.
    fn names_version(&self) -> bool {
        false
    }

    /// Whether a model takes system messages.
    fn takes_system(&self, _model: &str) -> bool {
        true
    }

    /// Reads the body of an answer whose status is an error.
    fn decode_error(&self, status: u16, body: &Bytes) -> Fault;

    /// A decoder at the beginning of a stream.
    fn stream_decoder(&self) -> Box<dyn StreamDecoder>;
}

/// A format that clients speak to aiproxy.
pub trait Ingress: Sync {
    /// Its name.
    fn format(&self) -> Format;

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// If it is none of this format.
    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error>;

    /// Makes a request ready for providers of other formats.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what this format's provider alone has, and nothing can stand for.
    fn leave(&self, _request: &mut ChatRequest) -> Result<(), Error> {
        Ok(())
    }

    /// Whether a header, in lower case, says something to servers of this format alone.
    fn owns_header(&self, _name: &str) -> bool {
        false
    }

    /// The query parameters that say something to servers of this format alone.
    fn own_query(&self) -> &'static [&'static str] {
        &[]
    }

    /// Writes a whole answer.
    fn encode_response(&self, response: &ChatResponse) -> Vec<u8>;

    /// Reads a request for embeddings.
    ///
    /// # Errors
    ///
    /// As [`decode_request`](Ingress::decode_request); always, where the format has none.
    fn decode_embeddings(&self, _body: &[u8]) -> Result<EmbedRequest, Error> {
        Err(Error::Unsupported {
            what: "embeddings".into(),
        })
    }

    /// Writes an answer to a request for embeddings.
    fn encode_embeddings(&self, _request: &EmbedRequest, _response: &EmbedResponse) -> Vec<u8> {
        b"{}".to_vec()
    }

    /// Writes an error's body.
    fn encode_fault(&self, fault: &Fault) -> Vec<u8>;

    /// The content type of its streams.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// An encoder at the beginning of a stream; `usage`: the client asked to see it.
    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder>;

    /// What of a request its answer repeats; nothing, in most formats.
    fn echo(&self, _body: &[u8]) -> Echo {
        Echo::default()
    }

    /// Writes a whole answer that repeats it.
    fn encode_echoing(&self, response: &ChatResponse, _echo: &Echo) -> Vec<u8> {
        self.encode_response(response)
    }

    /// An encoder of a stream that repeats it.
    fn echoing_encoder(&self, usage: bool, _echo: &Echo) -> Box<dyn StreamEncoder> {
        self.stream_encoder(usage)
    }
}

/// Fields of a request that its answer repeats.
#[derive(Clone, Debug, Default)]
pub struct Echo(Option<Arc<Map<String, Value>>>);

impl Echo {
    /// These fields.
    #[must_use]
    pub fn of(fields: Map<String, Value>) -> Echo {
        Echo(Some(Arc::new(fields)))
    }

    /// A field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.get(key)
    }

    /// Says a field otherwise than the request does.
    pub fn set(&mut self, key: &str, value: Value) {
        let fields = self.0.get_or_insert_default();
        Arc::make_mut(fields).insert(key.to_owned(), value);
    }
}

/// Turns the frames of one stream into events. It owns its state; an event borrows from the frame.
pub trait StreamDecoder: Send {
    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// If it is not of this format. The stream goes on: the caller decides what that means.
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error>;

    /// The upstream ended in order: what was held back until here. Called once, before [`is_complete`](StreamDecoder::is_complete) is asked
    /// for the last time.
    fn end(&mut self, _sink: &mut dyn Sink) {}

    /// Whether a frame holds the usage and no part of the answer: the only kind that may be withheld from a client that did not ask for it.
    fn is_bare_usage(&self, _frame: &Frame) -> bool {
        false
    }

    /// A frame came that differs from the last one in its text alone, and the last one told nothing but that text: takes it in as
    /// reading it would. `false`: it has to be read.
    fn repeat(&mut self, _text: &str) -> bool {
        false
    }

    /// Whether the stream could end here: the provider said that it is done.
    fn is_complete(&self) -> bool;
}

/// Turns events into one client's stream.
pub trait StreamEncoder: Send {
    /// Appends what the client sees of `event`.
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut);

    /// Appends something that keeps the connection alive and that no client takes for an event (TRAPS 1.8).
    fn keep_alive(&mut self, out: &mut BytesMut);

    /// The client already has `events` events as the provider wrote them, `start` among them: what comes must fit them.
    fn follows(&mut self, _start: &Event<'_>, _events: u64) {}
}

/// A request as the provider gets it.
#[derive(Debug)]
pub struct Encoded {
    /// The body.
    pub body: Bytes,
    /// What the format could not express.
    pub lost: Vec<Loss>,
    /// What has to be undone in the answer.
    pub restore: Restore,
}

impl Encoded {
    /// A body that lost nothing.
    #[must_use]
    pub fn of(json: &Value) -> Encoded {
        Encoded {
            body: Bytes::from(json.to_string()),
            lost: Vec::new(),
            restore: Restore::default(),
        }
    }
}

/// One thing that a request or an answer lost on the way; shown as `dropped:logprobs`, `clamped:temperature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What was done: `dropped`, `clamped`, ...
    pub how: &'static str,
    /// To which field.
    pub what: String,
}

impl Loss {
    /// A field that the provider does not get.
    #[must_use]
    pub fn dropped(what: &str) -> Loss {
        Loss {
            how: "dropped",
            what: what.into(),
        }
    }

    /// A number that the provider gets as the nearest one that it takes.
    #[must_use]
    pub fn clamped(what: &str) -> Loss {
        Loss {
            how: "clamped",
            what: what.into(),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.how, self.what)
    }
}

/// An error as the client will see it, in whichever format it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's `error.type`, Anthropic's too: `invalid_request_error`, ...
    pub kind: String,
    /// What happened.
    pub message: String,
    /// OpenAI's `error.code`.
    pub code: Option<String>,
    /// OpenAI's `error.param`: the field at fault.
    pub param: Option<String>,
    /// What support asks for; in formats whose errors tell it.
    pub request_id: Option<String>,
    /// The provider's own body, where it was JSON of another shape; goes under `error.provider`.
    pub provider: Option<String>,
    /// The provider's own body, where it goes to the client as it is: an error of the client's own format, or no JSON at all.
    pub verbatim: Option<Bytes>,
}

impl Fault {
    /// The client's mistake.
    #[must_use]
    pub fn invalid(status: u16, message: impl Into<String>) -> Fault {
        Fault {
            status,
            kind: "invalid_request_error".into(),
            message: message.into(),
            ..Fault::default()
        }
    }

    /// The upstream's, or the way's to it.
    #[must_use]
    pub fn upstream(status: u16, message: impl Into<String>) -> Fault {
        Fault {
            status,
            kind: "upstream_error".into(),
            message: message.into(),
            ..Fault::default()
        }
    }

    /// With a `code`.
    #[must_use]
    pub fn code(mut self, code: &str) -> Fault {
        self.code = Some(code.into());
        self
    }
}

/// Why a body could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no JSON, or not of the format. The text says where.
    Malformed(String),
    /// The format cannot carry this at all.
    Unsupported {
        /// What: `image`, `tools`, ...
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed(why) => f.write_str(why),
            Error::Unsupported { what } => write!(f, "the provider cannot take {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        // Line and column, never the text around them: it is somebody's prompt.
        Error::Malformed(format!(
            "not the expected JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    }
}

/// The fields of `extra` that another format wrote, as losses; `known` were carried over some other way.
pub(crate) fn strangers(extra: Option<&Extra>, to: Format, known: &[&str]) -> Vec<Loss> {
    extra
        .filter(|extra| extra.from != to)
        .into_iter()
        .flat_map(|extra| {
            let seen_to = |key: &str, value: &Value| {
                extra.from == Format::Responses && openai_responses::is_seen_to(key, value)
            };
            extra
                .fields
                .iter()
                .filter(move |(key, value)| !seen_to(key, value))
        })
        .filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null())
        .map(|(key, _)| Loss::dropped(key))
        .collect()
}

/// The `error.type` that says what a status says, where the provider names none (OpenAI's and Anthropic's words).
#[must_use]
pub fn kind_of(status: u16) -> &'static str {
    match status {
        400 | 404 | 405 | 409 | 413 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        _ => "api_error",
    }
}

/// Sets a field of a JSON object; anything else has none and stays as it is.
pub(crate) fn put(json: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = json {
        fields.insert(key.to_owned(), value.into());
    }
}

/// The ingress of a client format, where there is one.
#[must_use]
pub fn ingress(format: Format) -> Option<&'static dyn Ingress> {
    match format {
        Format::OpenAi => Some(&openai_chat::OpenAiChat),
        Format::Responses => Some(&openai_responses::OpenAiResponses),
        _ => None,
    }
}
