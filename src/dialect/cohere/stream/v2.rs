//! v2's events: <https://docs.cohere.com/docs/streaming>. Each names its type in the data, and again as the event's name.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::parts::{Block, Parts};
use crate::{
    dialect::{
        Error, StreamDecoder, StreamEncoder,
        cohere::{
            Api, citation, each, failed, finish, finish_reason,
            response::{logprob, logprob_json, usage, usage_json},
            string,
        },
        text::{self, Text, count},
    },
    llm::{Event, Finish, Kind, Sink, Usage},
    wire::{Frame, sse::write_event},
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    /// Of an error.
    #[serde(borrow, default)]
    message: Text<'a>,
    /// Of an error in another form.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(borrow, default)]
    error: Text<'a>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_plan: Text<'a>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

/// The object, or the first of a list: what documentation and servers have had for the same field.
fn one<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> Result<T, Error> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(T::default());
    };
    if raw.get().starts_with('[') {
        let all: Vec<T> = serde_json::from_str(raw.get())?;
        return Ok(all.into_iter().next().unwrap_or_default());
    }
    Ok(serde_json::from_str(raw.get())?)
}

/// Reads v2's streams.
#[derive(Debug, Default)]
pub(in crate::dialect::cohere) struct DecoderV2 {
    started: bool,
    parts: Parts,
    calls: bool,
    done: bool,
}

impl DecoderV2 {
    fn start(&mut self, id: Cow<'_, str>, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id,
                model: Cow::Borrowed(""),
                created: None,
                fingerprint: None,
            });
        }
    }

    fn content(
        &mut self,
        wire: &Wire<'_>,
        content: Option<&RawValue>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let content: Content<'_> = one(content)?;
        let index = wire.index;
        self.parts
            .text(0, Block::Thinking(index), content.thinking.or_empty(), sink);
        self.parts
            .text(0, Block::Text(index), content.text.or_empty(), sink);
        if let Some(raw) = wire.logprobs {
            let json: Value = serde_json::from_str(raw.get())?;
            let tokens: Vec<_> = each(Some(&json)).iter().filter_map(logprob).collect();
            if !tokens.is_empty() {
                sink.event(Event::Logprobs { choice: 0, tokens });
            }
        }
        Ok(())
    }

    fn end(&mut self, delta: Delta<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
        self.done = true;
        let reason = delta.finish_reason.or_empty();
        let told = delta.error.filled();
        if let Some((kind, status, what)) = failed(&reason) {
            sink.event(Event::Failed {
                kind: kind.into(),
                message: told.unwrap_or(Cow::Borrowed(what)),
                status: Some(status),
            });
            return Ok(());
        }
        if let Some(message) = told {
            sink.event(failure(message));
            return Ok(());
        }
        self.parts.close(0, |_| true, sink);
        let reason = match finish(&reason) {
            Finish::Stop if self.calls => Finish::ToolCalls,
            Finish::Other if reason.is_empty() => Finish::Stop,
            known => known,
        };
        sink.event(Event::Finish { choice: 0, reason });
        if let Some(raw) = delta.usage {
            let json: Value = serde_json::from_str(raw.get())?;
            if let Some(usage) = usage(&json!({"usage": json})) {
                sink.event(Event::Usage(usage));
            }
        }
        sink.event(Event::End);
        Ok(())
    }
}

/// An error without a finish reason.
pub(super) fn failure(message: Cow<'_, str>) -> Event<'_> {
    Event::Failed {
        kind: "api_error".into(),
        message,
        status: None,
    }
}

/// What an error says, whichever of its forms it has.
pub(super) fn told(error: &RawValue) -> String {
    let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
    match json.as_str().unwrap_or_else(|| string(&json, "message")) {
        "" => error.get().to_owned(),
        message => message.to_owned(),
    }
}

impl StreamDecoder for DecoderV2 {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        if data.is_empty() || data == b"[DONE]" || self.done {
            return Ok(());
        }
        let mut wire: Wire<'_> = text::json(data)?;
        let name = String::from_utf8_lossy(frame.name());
        let kind = std::mem::take(&mut wire.kind).filled().unwrap_or(name);
        if let Some(error) = wire.error.filter(|error| error.get() != "null") {
            self.done = true;
            sink.event(failure(told(error).into()));
            return Ok(());
        }
        let said = std::mem::take(&mut wire.message).filled();
        if let Some(message) = said.filter(|_| wire.delta.is_none()) {
            self.done = true;
            sink.event(failure(message));
            return Ok(());
        }
        self.start(std::mem::take(&mut wire.id).or_empty(), sink);
        let mut delta = wire.delta.take().unwrap_or_default();
        let message = delta.message.take().unwrap_or_default();
        let index = wire.index;
        match &*kind {
            "content-start" | "content-delta" => return self.content(&wire, message.content, sink),
            "content-end" => self.parts.close(
                0,
                |block| block == Block::Text(index) || block == Block::Thinking(index),
                sink,
            ),
            "tool-plan-delta" => {
                self.parts
                    .text(0, Block::Plan, message.tool_plan.or_empty(), sink);
            }
            "tool-call-start" => {
                let call: Call<'_> = one(message.tool_calls)?;
                let function = call.function.unwrap_or_default();
                let (id, name) = (call.id.or_empty(), function.name.or_empty());
                self.calls = true;
                self.parts.call(0, index, id, name, sink);
                self.parts
                    .arguments(0, index, function.arguments.or_empty(), sink);
            }
            "tool-call-delta" => {
                let call: Call<'_> = one(message.tool_calls)?;
                let function = call.function.unwrap_or_default();
                self.parts
                    .arguments(0, index, function.arguments.or_empty(), sink);
            }
            "tool-call-end" => self
                .parts
                .close(0, |block| block == Block::Call(index), sink),
            "citation-start" => {
                let json: Option<Value> = message
                    .citations
                    .map(|raw| serde_json::from_str(raw.get()))
                    .transpose()?;
                let mut citations = Vec::new();
                for wire in each(json.as_ref()) {
                    citation::read_v2(wire, &mut citations);
                }
                for citation in citations {
                    sink.event(Event::Citation {
                        choice: 0,
                        citation,
                    });
                }
            }
            "message-end" => return self.end(delta, sink),
            // message-start, citation-end, debug, and what is new.
            _ => {}
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done
    }
}

/// What a part is in v2's terms: its index among the contents or the calls.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Content {
        index: u64,
        thinking: bool,
    },
    Call {
        index: u64,
        told: bool,
    },
    /// It has no place.
    None,
}

/// Writes v2's streams.
#[derive(Debug, Default)]
pub(in crate::dialect::cohere) struct EncoderV2 {
    started: bool,
    parts: Vec<Slot>,
    contents: u64,
    calls: u64,
    citations: u64,
    /// The answer's text so far, which citations quote.
    text: String,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl EncoderV2 {
    fn start(&mut self, id: &str, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.started, true) {
            let message = json!({
                "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [],
            });
            let json = json!({"id": id, "type": "message-start", "delta": {"message": message}});
            write(out, "message-start", &json);
        }
    }

    fn slot(&mut self, part: u32) -> Option<&mut Slot> {
        self.parts.get_mut(usize::try_from(part).ok()?)
    }

    fn open(&mut self, kind: &Kind<'_>, out: &mut BytesMut) -> Slot {
        match kind {
            Kind::Text | Kind::Refusal | Kind::Thinking => {
                let index = self.contents;
                self.contents += 1;
                let thinking = matches!(kind, Kind::Thinking);
                let name = if thinking { "thinking" } else { "text" };
                let content = json!({"type": name, name: ""});
                let message = json!({"content": content});
                write_delta(out, "content-start", index, &message);
                Slot::Content { index, thinking }
            }
            Kind::ToolCall { id, name } => {
                let index = self.calls;
                self.calls += 1;
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"id": id, "type": "function", "function": function});
                write_delta(out, "tool-call-start", index, &json!({"tool_calls": call}));
                Slot::Call { index, told: false }
            }
            Kind::Redacted => Slot::None,
        }
    }

    fn close(&mut self, part: u32, out: &mut BytesMut) {
        let Some(slot) = self.slot(part).copied() else {
            return;
        };
        let (name, index) = match slot {
            Slot::Content { index, .. } => ("content-end", index),
            Slot::Call { index, told } => {
                if !told {
                    piece(out, index, "{}");
                }
                ("tool-call-end", index)
            }
            Slot::None => return,
        };
        write(out, name, &json!({"type": name, "index": index}));
    }
}

fn write(out: &mut BytesMut, name: &str, json: &Value) {
    write_event(out, Some(name), json.to_string().as_bytes());
}

fn write_delta(out: &mut BytesMut, name: &str, index: u64, message: &Value) {
    let json = json!({"type": name, "index": index, "delta": {"message": message}});
    write(out, name, &json);
}

/// Writes an event with one text in it, whose place `before` and `after` are.
fn spliced(out: &mut BytesMut, name: &str, index: u64, before: &str, text: &str, after: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let head = format!(r#"{{"type":"{name}","index":{index},"delta":{{"message":{before}"#);
    out.extend_from_slice(head.as_bytes());
    // A string always has a JSON form, and a buffer takes every write.
    let _ = serde_json::to_writer((&mut *out).writer(), text);
    out.extend_from_slice(after.as_bytes());
    out.extend_from_slice(b"}}\n\n");
}

/// Writes a piece of a call's arguments.
fn piece(out: &mut BytesMut, index: u64, json: &str) {
    let before = r#"{"tool_calls":{"function":{"arguments":"#;
    spliced(out, "tool-call-delta", index, before, json, "}}}");
}

impl StreamEncoder for EncoderV2 {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, .. } => self.start(id, out),
            Event::Open { choice, kind, .. } => {
                self.start("", out);
                // There is one answer.
                let slot = if *choice == 0 {
                    self.open(kind, out)
                } else {
                    Slot::None
                };
                self.parts.push(slot);
            }
            Event::Text { part, text } | Event::Thinking { part, text } => {
                if let Some(Slot::Content { index, thinking }) = self.slot(*part).copied() {
                    let before = if thinking {
                        r#"{"content":{"thinking":"#
                    } else {
                        self.text.push_str(text);
                        r#"{"content":{"text":"#
                    };
                    spliced(out, "content-delta", index, before, text, "}}");
                }
            }
            Event::Arguments { part, json } => {
                if let Some(Slot::Call { index, told }) = self.slot(*part) {
                    *told = true;
                    piece(out, *index, json);
                }
            }
            Event::Close { part } => self.close(*part, out),
            Event::Citation {
                choice: 0,
                citation,
            } => {
                let number = self.citations;
                self.citations += 1;
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                let wire = citation::write_v2(citation, place, &self.text);
                write_delta(out, "citation-start", number, &json!({"citations": wire}));
                let end = json!({"type": "citation-end", "index": number});
                write(out, "citation-end", &end);
            }
            Event::Logprobs { choice: 0, tokens } => {
                for token in tokens {
                    let json = json!({
                        "type": "content-delta",
                        "index": self.contents.saturating_sub(1),
                        "delta": {"message": {"content": {"text": ""}}},
                        "logprobs": logprob_json(token),
                    });
                    write(out, "content-delta", &json);
                }
            }
            Event::Finish { choice: 0, reason } => self.finish = Some(*reason),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {
                self.start("", out);
                let mut delta = json!({"finish_reason": finish_reason(self.finish, Api::V2)});
                if let Some(usage) = self.usage {
                    crate::dialect::put(&mut delta, "usage", usage_json(usage));
                }
                let json = json!({"type": "message-end", "delta": delta});
                write(out, "message-end", &json);
            }
            Event::Failed { message, .. } => {
                let delta = json!({"error": message, "finish_reason": "ERROR"});
                let json = json!({"type": "message-end", "delta": delta});
                write(out, "message-end", &json);
            }
            Event::Signature { .. }
            | Event::Citation { .. }
            | Event::Logprobs { .. }
            | Event::Stopped { .. }
            | Event::Finish { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }
}
