//! Messages to events.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use super::super::{
    citations::Citation,
    fault, finish,
    response::{Usage, length},
    stopped,
};
use crate::{
    dialect::{
        Error, StreamDecoder,
        text::{self, Text, count},
    },
    llm::{self, Event, Kind, Sink},
    wire::Frame,
};

/// The fields of all events; each has a few of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(default, deserialize_with = "count")]
    content_block_index: u64,
    #[serde(borrow)]
    start: Option<Start<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    additional_model_response_fields: Option<Value>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<ToolUseStart<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseStart<'a> {
    #[serde(borrow, default)]
    tool_use_id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    /// Of tools that Bedrock runs itself.
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow)]
    tool_use: Option<ToolUseDelta<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<ReasoningDelta<'a>>,
    #[serde(borrow)]
    citation: Option<Citation<'a>>,
}

#[derive(Deserialize)]
struct ToolUseDelta<'a> {
    #[serde(borrow, default)]
    input: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningDelta<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    redacted_content: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exception<'a> {
    #[serde(borrow, default, alias = "Message")]
    message: Text<'a>,
    #[serde(borrow, default)]
    original_message: Text<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Text,
    Thinking,
    Redacted,
    Tool,
}

#[derive(Debug)]
struct OpenPart {
    /// Bedrock's number of it.
    index: u64,
    slot: Slot,
    part: u32,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub(in crate::dialect::bedrock) struct Decoder {
    started: bool,
    open: Vec<OpenPart>,
    next: u32,
    /// Encrypted reasoning comes in pieces that are each base64 of their own; they are joined at the end of their block.
    redacted: Vec<String>,
    /// Characters of text so far, and where the block began that is being told.
    at: u64,
    from: u64,
    /// What the text of the block leans on; told once its end is known.
    citations: Vec<llm::Citation>,
    finished: bool,
    /// Nothing more is read.
    done: bool,
}

impl Decoder {
    fn start(&mut self, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id: Cow::Borrowed(""),
                model: Cow::Borrowed(""),
                created: None,
                fingerprint: None,
            });
        }
    }

    /// The part of a block, opened if need be: text and reasoning have no start of their own.
    fn part(&mut self, index: u64, slot: Slot, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let known = |open: &&OpenPart| open.index == index && open.slot == slot;
        if let Some(open) = self.open.iter().find(known) {
            return open.part;
        }
        // Blocks follow each other, calls excepted.
        self.close(|open| slot != Slot::Tool || open.slot != Slot::Tool, sink);
        let part = self.next;
        self.next = self.next.saturating_add(1);
        self.open.push(OpenPart { index, slot, part });
        sink.event(Event::Open {
            part,
            choice: 0,
            kind,
        });
        part
    }

    fn close(&mut self, which: impl Fn(&OpenPart) -> bool, sink: &mut dyn Sink) {
        let (closing, open) = std::mem::take(&mut self.open).into_iter().partition(which);
        self.open = open;
        let closing: Vec<OpenPart> = closing;
        for OpenPart { part, slot, .. } in closing {
            if slot == Slot::Redacted {
                let value = joined(&std::mem::take(&mut self.redacted));
                sink.event(Event::Signature {
                    part,
                    value: value.into(),
                });
            }
            sink.event(Event::Close { part });
        }
        self.cite(sink);
    }

    /// Tells the citations of the text that has ended.
    fn cite(&mut self, sink: &mut dyn Sink) {
        for citation in self.citations.drain(..) {
            sink.event(Event::Citation {
                choice: 0,
                citation: llm::Citation {
                    end: Some(self.at),
                    ..citation
                },
            });
        }
        self.from = self.at;
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, sink: &mut dyn Sink) {
        if let Some(text) = delta.text.filled() {
            let part = self.part(index, Slot::Text, Kind::Text, sink);
            self.at = self.at.saturating_add(length(&text));
            sink.event(Event::Text { part, text });
        }
        if let Some(json) = delta.tool_use.and_then(|tool| tool.input.filled()) {
            let tool = |open: &&OpenPart| open.index == index && open.slot == Slot::Tool;
            // Without its start it is a call of Bedrock's own.
            if let Some(OpenPart { part, .. }) = self.open.iter().find(tool) {
                sink.event(Event::Arguments { part: *part, json });
            }
        }
        if let Some(reasoning) = delta.reasoning_content {
            if let Some(text) = reasoning.text.filled() {
                let part = self.part(index, Slot::Thinking, Kind::Thinking, sink);
                sink.event(Event::Thinking { part, text });
            }
            if let Some(value) = reasoning.signature.filled() {
                let part = self.part(index, Slot::Thinking, Kind::Thinking, sink);
                sink.event(Event::Signature { part, value });
            }
            if let Some(data) = reasoning.redacted_content.filled() {
                self.part(index, Slot::Redacted, Kind::Redacted, sink);
                self.redacted.push(data.into_owned());
            }
        }
        if let Some(citation) = delta.citation {
            self.citations.push(citation.at(self.from, self.at));
        }
    }

    fn begin(&mut self, index: u64, start: Start<'_>, sink: &mut dyn Sink) {
        let Some(tool) = start.tool_use else { return };
        if tool.kind.filled().is_none() {
            let kind = Kind::ToolCall {
                id: tool.tool_use_id.or_empty(),
                name: tool.name.or_empty(),
            };
            self.part(index, Slot::Tool, kind, sink);
        }
    }
}

/// One base64 text for several.
fn joined(pieces: &[String]) -> String {
    if let [piece] = pieces {
        return piece.clone();
    }
    let bytes: Result<Vec<Vec<u8>>, _> =
        pieces.iter().map(|piece| STANDARD.decode(piece)).collect();
    match bytes {
        Ok(bytes) => STANDARD.encode(bytes.concat()),
        Err(_) => pieces.concat(),
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let (name, data) = (frame.name(), frame.data());
        if self.done {
            return Ok(());
        }
        if let Some(exception) = exception(name) {
            self.done = true;
            sink.event(failed(exception, data));
            return Ok(());
        }
        // After the end of the message, only its metadata counts.
        if data.is_empty() || (self.finished && name != b"metadata") {
            return Ok(());
        }
        let payload: Payload<'_> = text::json(data)?;
        let index = payload.content_block_index;
        self.start(sink);
        match name {
            b"contentBlockStart" => {
                if let Some(start) = payload.start {
                    self.begin(index, start, sink);
                }
            }
            b"contentBlockDelta" => {
                if let Some(delta) = payload.delta {
                    self.delta(index, delta, sink);
                }
            }
            b"contentBlockStop" => self.close(|open| open.index == index, sink),
            b"messageStop" => {
                self.close(|_| true, sink);
                self.finished = true;
                if let Some(sequence) = stopped(payload.additional_model_response_fields.as_ref()) {
                    sink.event(Event::Stopped {
                        choice: 0,
                        sequence: sequence.into(),
                    });
                }
                sink.event(Event::Finish {
                    choice: 0,
                    reason: finish(&payload.stop_reason.or_empty()),
                });
            }
            b"metadata" => {
                if let Some(usage) = payload.usage.and_then(|usage| usage.counts()) {
                    sink.event(Event::Usage(usage));
                }
                // Nothing follows.
                if self.finished {
                    self.done = true;
                    sink.event(Event::End);
                }
            }
            // `messageStart`, and what may come.
            _ => {}
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.finished
    }
}

/// The name of an exception, if that is what the message is. The service's own errors (`InternalFailure`) have no payload.
fn exception(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let ends = ["Exception", "Error", "Failure", "Fault"];
    ends.iter().any(|end| name.ends_with(end)).then_some(name)
}

fn failed(name: &str, data: &[u8]) -> Event<'static> {
    let message = match serde_json::from_slice::<Exception<'_>>(data) {
        Ok(said) => {
            let message = said.message.filled().or(said.original_message.filled());
            message.map(Cow::into_owned)
        }
        // Errors of the service itself have text in a header in place of a payload.
        Err(_) => Some(String::from_utf8_lossy(data).into_owned()),
    };
    let message = message.filter(|message| !message.is_empty());
    Event::Failed {
        kind: Cow::Owned(name.to_owned()),
        message: Cow::Owned(message.unwrap_or_else(|| format!("the provider failed: {name}"))),
        status: fault::status_of(name).or(Some(500)),
    }
}
