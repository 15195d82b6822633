//! The provider's events to ours.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{
    failed, finish,
    response::{Usage, WireBlock, WireCitation},
};
use crate::{
    dialect::{
        Error, StreamDecoder,
        text::{Text, count, json},
    },
    llm::{Citation, Event, Finish, Kind, Sink, Usage as Counts},
    wire::Frame,
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow)]
    message: Option<WireMessage<'a>>,
    #[serde(borrow)]
    content_block: Option<WireBlock<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Usage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    usage: Option<Usage>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    partial_json: Text<'a>,
    #[serde(borrow)]
    citation: Option<WireCitation<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    #[serde(borrow, default)]
    stop_sequence: Text<'a>,
}

/// A block that is not closed yet. Its index is the provider's and goes nowhere (TRAPS 1.1).
#[derive(Debug)]
struct Block {
    index: u64,
    form: Form,
    /// Its part, once opened.
    part: Option<u32>,
    /// The characters of the answer before it.
    start: u64,
    citations: Vec<Citation>,
    /// The input that its beginning has, if no delta brings one.
    input: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Thinking,
    Redacted,
    Tool,
    /// A server's tool or its result, or what is new: no part of ours.
    Other,
}

/// Reads the provider's stream.
#[derive(Debug, Default)]
pub(in crate::dialect::anthropic) struct Decoder {
    started: bool,
    finished: bool,
    stopped: bool,
    failed: bool,
    blocks: Vec<Block>,
    next: u32,
    said: u64,
    usage: Counts,
}

impl Decoder {
    fn start(&mut self, message: Option<WireMessage<'_>>, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (id, model, usage) = message
            .map(|message| (message.id, message.model, message.usage))
            .unwrap_or_default();
        sink.event(Event::Start {
            id: id.or_empty(),
            model: model.or_empty(),
            created: None,
            fingerprint: None,
        });
        self.count(usage, sink);
    }

    fn count(&mut self, usage: Option<Usage>, sink: &mut dyn Sink) {
        if let Some(usage) = usage {
            usage.replace(&mut self.usage);
            sink.event(Event::Usage(self.usage));
        }
    }

    fn open(&mut self, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        sink.event(Event::Open {
            part,
            choice: 0,
            kind,
        });
        part
    }

    fn begin(&mut self, index: u64, wire: WireBlock<'_>, sink: &mut dyn Sink) {
        // Blocks follow each other; one that was never closed is now.
        self.close(|_| true, sink);
        let form = match wire.kind.0.as_deref() {
            Some("text") => Form::Text,
            Some("thinking") => Form::Thinking,
            Some("redacted_thinking") => Form::Redacted,
            Some("tool_use") => Form::Tool,
            _ => Form::Other,
        };
        let part = match form {
            // A text opens with its first character: empty ones are none.
            Form::Text | Form::Other => None,
            Form::Thinking => Some(self.open(Kind::Thinking, sink)),
            Form::Redacted => Some(self.open(Kind::Redacted, sink)),
            Form::Tool => {
                let (id, name) = (wire.id.or_empty(), wire.name.or_empty());
                Some(self.open(Kind::ToolCall { id, name }, sink))
            }
        };
        // `{}` stands there for the sake of the shape (TRAPS 1.1); some servers put the whole input there.
        let input = wire
            .input
            .map(RawValue::get)
            .filter(|input| form == Form::Tool && input.len() > 2 && input.starts_with('{'))
            .map(str::to_owned);
        self.blocks.push(Block {
            index,
            form,
            part,
            start: self.said,
            citations: Vec::new(),
            input,
        });
        let delta = Delta {
            text: wire.text,
            thinking: wire.thinking,
            signature: match form {
                Form::Redacted => wire.data,
                _ => wire.signature,
            },
            ..Delta::default()
        };
        self.delta(index, delta, sink);
    }

    fn say(&mut self, text: &str) {
        self.said = self.said.saturating_add(text.chars().count() as u64);
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, sink: &mut dyn Sink) {
        let Some(at) = self.blocks.iter().position(|block| block.index == index) else {
            return;
        };
        let Some(form) = self.blocks.get(at).map(|block| block.form) else {
            return;
        };
        if form == Form::Text
            && let Some(text) = delta.text.filled()
        {
            let part = match self.blocks.get(at).and_then(|block| block.part) {
                Some(part) => part,
                None => self.open(Kind::Text, sink),
            };
            if let Some(block) = self.blocks.get_mut(at) {
                block.part = Some(part);
            }
            self.say(&text);
            sink.event(Event::Text { part, text });
        }
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        if let Some(citation) = delta.citation.filter(|_| form == Form::Text) {
            block.citations.push(citation.citation());
        }
        let Some(part) = block.part else {
            return;
        };
        match form {
            Form::Tool => {
                if let Some(json) = delta.partial_json.filled() {
                    block.input = None;
                    sink.event(Event::Arguments { part, json });
                }
            }
            Form::Thinking | Form::Redacted => {
                if let Some(text) = delta.thinking.filled() {
                    sink.event(Event::Thinking { part, text });
                }
                if let Some(value) = delta.signature.filled() {
                    sink.event(Event::Signature { part, value });
                }
            }
            Form::Text | Form::Other => {}
        }
    }

    fn close(&mut self, which: impl Fn(u64) -> bool, sink: &mut dyn Sink) {
        let end = self.said;
        self.blocks.retain_mut(|block| {
            if !which(block.index) {
                return true;
            }
            for citation in block.citations.drain(..) {
                sink.event(Event::Citation {
                    choice: 0,
                    citation: Citation {
                        start: Some(block.start),
                        end: Some(end),
                        ..citation
                    },
                });
            }
            if let Some(part) = block.part {
                if let Some(json) = block.input.take() {
                    sink.event(Event::Arguments {
                        part,
                        json: json.into(),
                    });
                }
                sink.event(Event::Close { part });
            }
            false
        });
    }

    fn finish(&mut self, reason: Finish, stopped: Option<Cow<'_, str>>, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.finished, true) {
            self.close(|_| true, sink);
            if let Some(sequence) = stopped {
                sink.event(Event::Stopped {
                    choice: 0,
                    sequence,
                });
            }
            sink.event(Event::Finish { choice: 0, reason });
        }
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Some services end this format as OpenAI's.
        if data.is_empty() || data.starts_with(b":") || data == b"[DONE]" || self.failed {
            return Ok(());
        }
        let wire: Wire<'_> = json(data)?;
        let name = String::from_utf8_lossy(frame.name());
        let kind = wire.kind.filled().unwrap_or(name);
        if kind == "error" || (wire.error.is_some() && kind.is_empty()) {
            self.failed = true;
            let error = wire.error.map_or(data, |error| error.get().as_bytes());
            let error = serde_json::from_slice(error).unwrap_or_default();
            sink.event(failed(&error));
            return Ok(());
        }
        if self.stopped || kind == "ping" {
            return Ok(());
        }
        match &*kind {
            "message_start" => self.start(wire.message, sink),
            "content_block_start" if !self.finished => {
                self.start(None, sink);
                self.begin(wire.index, wire.content_block.unwrap_or_default(), sink);
            }
            "content_block_delta" => {
                if let Some(delta) = wire.delta {
                    self.delta(wire.index, delta, sink);
                }
            }
            "content_block_stop" => self.close(|index| index == wire.index, sink),
            "message_delta" => {
                self.start(None, sink);
                let delta = wire.delta.unwrap_or_default();
                if let Some(reason) = delta.stop_reason.filled() {
                    self.finish(finish(&reason), delta.stop_sequence.filled(), sink);
                }
                self.count(wire.usage, sink);
            }
            "message_stop" => {
                self.start(None, sink);
                self.finish(Finish::Other, None, sink);
                self.stopped = true;
                sink.event(Event::End);
            }
            // Events may be added: https://platform.claude.com/docs/en/api/versioning
            _ => {}
        }
        Ok(())
    }

    fn repeat(&mut self, text: &str) -> bool {
        let goes_on = !self.failed && !self.stopped;
        if goes_on {
            self.say(text);
        }
        goes_on
    }

    fn is_complete(&self) -> bool {
        self.finished && !self.failed
    }
}
