//! Chunks to events.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{DONE, Slot};
use crate::{
    dialect::{
        Error, StreamDecoder,
        openai_chat::{WireUsage, finish},
        text::{Text, count},
    },
    llm::{Event, Kind, Sink},
    wire::Frame,
};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    created: u64,
    #[serde(borrow)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    usage: Option<WireUsage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// Of completions.
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolDelta<'a>>>,
}

#[derive(Deserialize)]
struct ToolDelta<'a> {
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

#[derive(Debug)]
struct OpenPart {
    choice: u32,
    slot: Slot,
    part: u32,
}

/// Reads chat and completions streams.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_chat) struct Decoder {
    started: bool,
    open: Vec<OpenPart>,
    next: u32,
    finished: HashSet<u32>,
    begun: HashSet<u32>,
    done: bool,
}

impl Decoder {
    /// The open part of a slot, opened if need be. A part of another kind is closed first: an answer's blocks follow each other.
    fn part(
        &mut self,
        choice: u32,
        slot: Slot,
        kind: impl FnOnce() -> Kind<'static>,
        sink: &mut dyn Sink,
    ) -> u32 {
        if let Some(open) = self
            .open
            .iter()
            .find(|open| open.choice == choice && open.slot == slot)
        {
            return open.part;
        }
        if !matches!(slot, Slot::Tool(_)) {
            self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
        } else {
            self.close(
                choice,
                |open| matches!(open, Slot::Text | Slot::Thinking),
                sink,
            );
        }
        self.begin(choice, slot, kind(), sink)
    }

    fn begin(&mut self, choice: u32, slot: Slot, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        self.begun.insert(choice);
        self.open.push(OpenPart { choice, slot, part });
        sink.event(Event::Open { part, choice, kind });
        part
    }

    fn close(&mut self, choice: u32, which: impl Fn(Slot) -> bool, sink: &mut dyn Sink) {
        self.open.retain(|open| {
            let closes = open.choice == choice && which(open.slot);
            if closes {
                sink.event(Event::Close { part: open.part });
            }
            !closes
        });
    }

    fn choice(&mut self, wire: ChunkChoice<'_>, sink: &mut dyn Sink) {
        let choice = u32::try_from(wire.index).unwrap_or(u32::MAX);
        if self.finished.contains(&choice) {
            return;
        }
        self.begun.insert(choice);
        if let Some(delta) = wire.delta {
            if let Some(text) = delta
                .reasoning_content
                .filled()
                .or(delta.reasoning.filled())
            {
                let part = self.part(choice, Slot::Thinking, || Kind::Thinking, sink);
                sink.event(Event::Thinking { part, text });
            }
            self.text(choice, Slot::Text, || Kind::Text, delta.content, sink);
            self.text(choice, Slot::Refusal, || Kind::Refusal, delta.refusal, sink);
            for call in delta.tool_calls.into_iter().flatten() {
                self.tool(choice, call, sink);
            }
        }
        self.text(choice, Slot::Text, || Kind::Text, wire.text, sink);
        if let Some(reason) = wire.finish_reason.filled() {
            self.close(choice, |_| true, sink);
            self.finished.insert(choice);
            sink.event(Event::Finish {
                choice,
                reason: finish(&reason),
            });
        }
    }

    fn text(
        &mut self,
        choice: u32,
        slot: Slot,
        kind: impl FnOnce() -> Kind<'static>,
        text: Text<'_>,
        sink: &mut dyn Sink,
    ) {
        if let Some(text) = text.filled() {
            let part = self.part(choice, slot, kind, sink);
            sink.event(Event::Text { part, text });
        }
    }

    fn tool(&mut self, choice: u32, call: ToolDelta<'_>, sink: &mut dyn Sink) {
        let id = call.id.filled();
        let (name, json) = call
            .function
            .map(|function| (function.name, function.arguments))
            .unwrap_or_default();
        // Some servers number no calls: then a new id is a new call.
        let last = self.open.iter().rev().find_map(|open| match open.slot {
            Slot::Tool(index) if open.choice == choice => Some(index),
            _ => None,
        });
        let index = call.index.unwrap_or(match (last, &id) {
            (Some(last), None) => last,
            (Some(last), Some(_)) => last.saturating_add(1),
            (None, _) => 0,
        });
        let slot = Slot::Tool(index);
        let part = match self
            .open
            .iter()
            .find(|open| open.choice == choice && open.slot == slot)
        {
            Some(open) => open.part,
            None => {
                self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
                let kind = Kind::ToolCall {
                    id: id.unwrap_or_default(),
                    name: name.or_empty(),
                };
                self.begin(choice, slot, kind, sink)
            }
        };
        if let Some(json) = json.filled() {
            sink.event(Event::Arguments { part, json });
        }
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Vertex's partner models send comments as data (TRAPS 1.8).
        if data.is_empty() || data.starts_with(b":") {
            return Ok(());
        }
        if data == DONE {
            if !std::mem::replace(&mut self.done, true) {
                sink.event(Event::End);
            }
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data)?;
        if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
            sink.event(failed(error));
            return Ok(());
        }
        if frame.name() == b"error" && chunk.choices.is_none() {
            sink.event(failed_flat(data));
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            let created = (chunk.created > 0).then_some(chunk.created);
            sink.event(Event::Start {
                id: chunk.id.or_empty(),
                model: chunk.model.or_empty(),
                created,
            });
        }
        for choice in chunk.choices.into_iter().flatten() {
            self.choice(choice, sink);
        }
        if let Some(usage) = chunk.usage {
            sink.event(Event::Usage(usage.into()));
        }
        Ok(())
    }

    fn is_bare_usage(&self, frame: &Frame) -> bool {
        #[derive(Deserialize)]
        struct Bare<'a> {
            #[serde(borrow)]
            choices: Option<Vec<&'a RawValue>>,
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }

        serde_json::from_slice::<Bare<'_>>(frame.data())
            .is_ok_and(|chunk| chunk.choices.is_none_or(|c| c.is_empty()) && chunk.usage.is_some())
    }

    fn is_complete(&self) -> bool {
        self.done || (!self.finished.is_empty() && self.begun.is_subset(&self.finished))
    }
}

/// An `error` object inside the stream: `{"message", "type", "code"}`, or just a text.
fn failed(error: &RawValue) -> Event<'static> {
    let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| json.as_str().map(str::to_owned))
        .unwrap_or_else(|| error.get().to_owned());
    let number = |key: &str| match json.get(key) {
        Some(Value::Number(code)) => code.as_u64(),
        Some(Value::String(code)) => code.parse().ok(),
        _ => None,
    };
    let status = number("code")
        .or_else(|| number("status"))
        .and_then(|code| u16::try_from(code).ok());
    Event::Failed {
        kind: Cow::Owned(text("type").unwrap_or_else(|| "upstream_error".into())),
        message: Cow::Owned(message),
        status: status.filter(|status| (400..600).contains(status)),
    }
}

/// An `event: error` whose data is the error itself.
fn failed_flat(data: &[u8]) -> Event<'static> {
    match serde_json::from_slice::<Box<RawValue>>(data) {
        Ok(error) => failed(&error),
        Err(_) => Event::Failed {
            kind: "upstream_error".into(),
            message: "the provider failed".into(),
            status: None,
        },
    }
}
