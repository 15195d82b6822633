//! Streams: an event a token, the last one with the whole text and the details. There is no end marker.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    Error,
    response::{Details, Token, details, error_of, logprob},
};
use crate::{
    dialect::{
        StreamDecoder, StreamEncoder,
        text::{self, Text, count},
    },
    llm::{Event, Finish, Kind, Sink, Usage},
    wire::{Frame, sse},
};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    token: Option<Said<'a>>,
    top_tokens: Option<Vec<Token>>,
    #[serde(borrow, default)]
    generated_text: Text<'a>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_type: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    status: u64,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    logprob: Option<f64>,
    /// An end-of-text token and its like, no part of the text.
    #[serde(default)]
    special: bool,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    started: bool,
    open: bool,
    /// There was text.
    spoke: bool,
    done: bool,
    failed: bool,
}

impl Decoder {
    fn text(&mut self, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.open, true) {
            sink.event(Event::Open {
                part: 0,
                choice: 0,
                kind: Kind::Text,
            });
        }
        self.spoke = true;
        sink.event(Event::Text { part: 0, text });
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        if self.done || self.failed || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let chunk: Chunk<'_> = text::json(data)?;
        if chunk.error.is_some_and(|error| error.get() != "null") {
            self.failed = true;
            let kind = chunk.error_type.filled();
            let status = u16::try_from(chunk.status).ok();
            sink.event(Event::Failed {
                status: status
                    .filter(|status| (400..600).contains(status))
                    .or(status_of(kind.as_deref())),
                kind: kind.unwrap_or("upstream_error".into()),
                message: error_of(data).unwrap_or_default().into(),
            });
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id: "".into(),
                model: "".into(),
                created: None,
                fingerprint: None,
            });
        }
        if let Some(said) = chunk.token.filter(|said| !said.special)
            && let Some(text) = said.text.filled()
        {
            // Without alternatives nobody asked: every token tells how likely it was.
            let top = chunk.top_tokens.unwrap_or_default();
            let told = Token {
                text: text.clone().into_owned(),
                logprob: said.logprob.filter(|_| !top.is_empty()),
                special: false,
            };
            self.text(text, sink);
            if let Some(logprob) = logprob(told, top) {
                sink.event(Event::Logprobs {
                    choice: 0,
                    tokens: vec![logprob],
                });
            }
        }
        if chunk.generated_text.0.is_some() || chunk.details.is_some() {
            if let Some(text) = chunk.generated_text.filled().filter(|_| !self.spoke) {
                self.text(text, sink);
            }
            self.done = true;
            if self.open {
                sink.event(Event::Close { part: 0 });
            }
            let details = chunk.details.as_ref();
            sink.event(Event::Finish {
                choice: 0,
                reason: details.map_or(Finish::Other, Details::finish),
            });
            if let Some(usage) = details.and_then(Details::usage) {
                sink.event(Event::Usage(usage));
            }
            sink.event(Event::End);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done
    }
}

/// The status that TGI gives each type of error outside of streams.
fn status_of(kind: Option<&str>) -> Option<u16> {
    match kind? {
        "validation" | "tool_error" | "template_error" => Some(422),
        "generation" => Some(424),
        "overloaded" => Some(429),
        "incomplete_generation" => Some(500),
        "healthcheck" | "unhealthy" => Some(503),
        _ => None,
    }
}

/// Writes one client's stream: the text of its first choice.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    index: u64,
    text: String,
    /// Parts of the first choice that are text.
    texts: Vec<u32>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Encoder {
    /// One event; the end has the whole text and the details.
    fn write(&mut self, out: &mut BytesMut, text: &str, end: bool) {
        self.index += 1;
        let (whole, details) = if end {
            let finish = self.finish.unwrap_or(Finish::Stop);
            (Some(self.text.as_str()), Some(details(finish, self.usage)))
        } else {
            (None, None)
        };
        let json = json!({
            "index": self.index,
            "token": {"id": 0, "text": text, "logprob": 0.0, "special": end},
            "generated_text": whole,
            "details": details,
        });
        sse::write_event(out, None, json.to_string().as_bytes());
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Open {
                part,
                choice: 0,
                kind: Kind::Text | Kind::Refusal,
            } => self.texts.push(*part),
            Event::Text { part, text } if self.texts.contains(part) => {
                self.text.push_str(text);
                self.write(out, text, false);
            }
            Event::Finish { choice: 0, reason } => self.finish = Some(*reason),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed { kind, message, .. } => {
                let json = json!({"error": message, "error_type": kind});
                sse::write_event(out, Some("error"), json.to_string().as_bytes());
            }
            Event::End => self.write(out, "", true),
            _ => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }
}
