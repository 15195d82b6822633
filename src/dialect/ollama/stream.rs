//! Streams of chat and generate.

use std::borrow::Cow;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{
    Error, Shape, finish,
    response::{Line, Said, encode_call, head, logprobs, put_end, say},
};
use crate::{
    dialect::{StreamDecoder, StreamEncoder, put, text, time},
    llm::{Event, Finish, Kind, Sink, Usage},
    wire::{Frame, ndjson::write_line},
};

/// The block that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    started: bool,
    open: Option<(Block, u32)>,
    next: u32,
    /// Tool calls so far.
    calls: usize,
    done: bool,
    failed: bool,
}

impl Decoder {
    fn part(&mut self, block: Block, sink: &mut dyn Sink) -> u32 {
        match self.open {
            Some((open, part)) if open == block => part,
            _ => {
                self.close(sink);
                let kind = match block {
                    Block::Text => Kind::Text,
                    Block::Thinking => Kind::Thinking,
                };
                let part = self.begin(kind, sink);
                self.open = Some((block, part));
                part
            }
        }
    }

    fn begin(&mut self, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        sink.event(Event::Open {
            part,
            choice: 0,
            kind,
        });
        part
    }

    fn close(&mut self, sink: &mut dyn Sink) {
        if let Some((_, part)) = self.open.take() {
            sink.event(Event::Close { part });
        }
    }

    fn said(&mut self, said: Said<'_>, created_at: &str, sink: &mut dyn Sink) {
        if let Some(text) = said.thinking.filled() {
            let part = self.part(Block::Thinking, sink);
            sink.event(Event::Thinking { part, text });
        }
        if let Some(text) = said.content.filled() {
            let part = self.part(Block::Text, sink);
            sink.event(Event::Text { part, text });
        }
        for call in said.tool_calls.into_iter().flatten() {
            self.close(sink);
            let (id, name, arguments) = call.read(created_at, self.calls);
            self.calls += 1;
            let part = self.begin(Kind::ToolCall { id, name }, sink);
            if arguments != "{}" {
                sink.event(Event::Arguments {
                    part,
                    json: Cow::Owned(arguments),
                });
            }
            sink.event(Event::Close { part });
        }
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        if self.done || self.failed || data.is_empty() {
            return Ok(());
        }
        let mut line: Line<'_> = text::json(data)?;
        if let Some(message) = line.error() {
            self.failed = true;
            sink.event(Event::Failed {
                kind: "upstream_error".into(),
                message: message.into(),
                status: None,
            });
            return Ok(());
        }
        let created_at = std::mem::take(&mut line.created_at).or_empty();
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id: "".into(),
                model: std::mem::take(&mut line.model).or_empty(),
                created: time::seconds(&created_at).filter(|seconds| *seconds > 0),
                fingerprint: None,
            });
        }
        if let Some(said) = line.said() {
            self.said(said, &created_at, sink);
        }
        if let Some(tokens) = line.logprobs.take().filter(|tokens| !tokens.is_empty()) {
            sink.event(Event::Logprobs {
                choice: 0,
                tokens: tokens.into_iter().map(Into::into).collect(),
            });
        }
        if line.done {
            self.done = true;
            self.close(sink);
            let usage = line.usage();
            sink.event(Event::Finish {
                choice: 0,
                reason: finish(&line.done_reason.or_empty(), self.calls > 0),
            });
            if let Some(usage) = usage {
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

/// A tool call whose arguments still come.
#[derive(Debug)]
struct Pending {
    part: u32,
    id: String,
    name: String,
    arguments: String,
}

/// Writes one client's stream.
#[derive(Debug)]
pub(super) struct Encoder {
    shape: Shape,
    head: Value,
    pending: Vec<Pending>,
    calls: usize,
    /// Parts of other choices than the first, which Ollama does not have.
    foreign: Vec<u32>,
    finish: Finish,
    usage: Option<Usage>,
}

impl Encoder {
    pub(super) fn new(shape: Shape) -> Encoder {
        Encoder {
            shape,
            head: head("", None),
            pending: Vec::new(),
            calls: 0,
            foreign: Vec::new(),
            finish: Finish::Stop,
            usage: None,
        }
    }

    fn line(
        &self,
        out: &mut BytesMut,
        content: &str,
        thinking: &str,
        calls: Vec<Value>,
        more: impl FnOnce(&mut Value),
    ) {
        let mut json = self.head.clone();
        say(&mut json, self.shape, content, thinking, calls);
        put(&mut json, "done", false);
        more(&mut json);
        write_line(out, json.to_string().as_bytes());
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { model, created, .. } => self.head = head(model, *created),
            Event::Open { part, choice, kind } => match kind {
                _ if *choice > 0 => self.foreign.push(*part),
                Kind::ToolCall { id, name } => self.pending.push(Pending {
                    part: *part,
                    id: id.clone().into_owned(),
                    name: name.clone().into_owned(),
                    arguments: String::new(),
                }),
                _ => {}
            },
            Event::Text { part, text } if !self.foreign.contains(part) => {
                self.line(out, text, "", Vec::new(), |_| {});
            }
            Event::Thinking { part, text } if !self.foreign.contains(part) => {
                self.line(out, "", text, Vec::new(), |_| {});
            }
            Event::Arguments { part, json } => {
                if let Some(call) = self.pending.iter_mut().find(|call| call.part == *part) {
                    call.arguments.push_str(json);
                }
            }
            // A call is told at once, when it is whole.
            Event::Close { part } => {
                if let Some(at) = self.pending.iter().position(|call| call.part == *part) {
                    let call = self.pending.remove(at);
                    let wire = encode_call(&call.id, &call.name, &call.arguments, self.calls);
                    self.calls += 1;
                    if self.shape == Shape::Chat {
                        self.line(out, "", "", vec![wire], |_| {});
                    }
                }
            }
            Event::Logprobs { choice: 0, tokens } => {
                self.line(out, "", "", Vec::new(), |json| {
                    put(json, "logprobs", logprobs(tokens));
                });
            }
            Event::Finish { choice: 0, reason } => self.finish = *reason,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed { message, .. } => {
                write_line(out, json!({"error": message}).to_string().as_bytes());
            }
            Event::End => self.line(out, "", "", Vec::new(), |json| {
                put_end(json, self.finish, self.usage);
            }),
            _ => {}
        }
    }

    /// Spaces before a line are nothing to any JSON reader, while an empty line is an error to those of Ollama's own clients.
    fn keep_alive(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b" ");
    }
}
