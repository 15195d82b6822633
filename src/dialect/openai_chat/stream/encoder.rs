//! Events to chunks.

use std::{collections::BTreeSet, io::Write as _};

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::{DONE, Slot};
use crate::{
    dialect::{
        StreamEncoder,
        openai_chat::{
            citations, finish_reason, logprobs,
            response::{STOP_REASON, signed},
            usage_json,
        },
    },
    llm::{Event, Kind, Usage},
};

/// Writes one client's stream.
#[derive(Debug)]
pub(in crate::dialect::openai_chat) struct Encoder {
    /// The client asked for the usage chunk.
    show_usage: bool,
    /// `data: {"id":..., "object":..., "created":..., "model":...,`: the head of every chunk, rendered once.
    head: Vec<u8>,
    usage: Option<Usage>,
    parts: Vec<Part>,
    /// A call that is open but not written: its signature may come with it.
    waiting: Option<Call>,
    /// Choices whose first delta, with the role, is out.
    begun: BTreeSet<u32>,
    /// Choices that a stop sequence ends, and it.
    stopped: Vec<(u32, String)>,
    finished: BTreeSet<u32>,
    /// Citations so far, by choice: clients that join deltas tell list entries apart by number.
    cited: Vec<(u32, u64)>,
    /// The end, or an error, is out: nothing follows.
    over: bool,
}

#[derive(Debug)]
struct Part {
    choice: u32,
    slot: Slot,
    /// Reasoning is told again with its signature: clients keep that block to replay it, and the deltas to show them.
    text: String,
    /// Signature of reasoning, or what was redacted.
    signature: String,
    /// A call's arguments have begun.
    told: bool,
}

#[derive(Debug)]
struct Call {
    part: u32,
    choice: u32,
    json: Value,
}

impl Encoder {
    pub(in crate::dialect::openai_chat) fn new(show_usage: bool) -> Encoder {
        Encoder {
            show_usage,
            head: Vec::new(),
            usage: None,
            parts: Vec::new(),
            waiting: None,
            begun: BTreeSet::new(),
            stopped: Vec::new(),
            finished: BTreeSet::new(),
            cited: Vec::new(),
            over: false,
        }
    }

    fn head(&mut self, id: &str, model: &str, created: Option<u64>, fingerprint: Option<&str>) {
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created.unwrap_or_default(),
            "model": model,
            "system_fingerprint": fingerprint,
        });
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        let _ = serde_json::to_writer(&mut self.head, &head);
        // The object's closing brace makes room for the choices.
        self.head.pop();
        self.head.push(b',');
    }

    /// The choice's first chunk, which alone has the role.
    fn begin(&mut self, out: &mut BytesMut, choice: u32) {
        if self.head.is_empty() {
            self.head("", "", None, None);
        }
        if self.begun.insert(choice) {
            self.write(out, choice, None, None, |out| {
                out.put_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            });
        }
    }

    fn chunk(
        &mut self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        delta: impl FnOnce(&mut BytesMut),
    ) {
        self.begin(out, choice);
        self.write(out, choice, finish, None, delta);
    }

    fn write(
        &self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        logprobs: Option<&Value>,
        delta: impl FnOnce(&mut BytesMut),
    ) {
        out.reserve(self.head.len() + 128);
        out.put_slice(&self.head);
        let _ = write!(
            out.writer(),
            "\"choices\":[{{\"index\":{choice},\"delta\":{{"
        );
        delta(out);
        out.put_slice(b"},\"logprobs\":");
        match logprobs {
            Some(logprobs) => json(out, logprobs),
            None => out.put_slice(b"null"),
        }
        out.put_slice(b",\"finish_reason\":");
        match finish {
            Some(finish) => string(out, finish),
            None => out.put_slice(b"null"),
        }
        let stopped = self.stopped.iter().filter(|_| finish.is_some());
        for (_, sequence) in stopped.filter(|(of, _)| *of == choice) {
            let _ = write!(out.writer(), ",\"{STOP_REASON}\":");
            string(out, sequence);
        }
        out.put_slice(b"}]");
        out.put_slice(if self.show_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
    }

    fn place(&self, part: u32) -> Option<(u32, Slot)> {
        let part = self.parts.get(usize::try_from(part).ok()?)?;
        Some((part.choice, part.slot))
    }

    fn part(&mut self, part: u32) -> Option<&mut Part> {
        self.parts.get_mut(usize::try_from(part).ok()?)
    }

    /// How many parts of a choice are in `which` slots.
    fn count(&self, choice: u32, which: impl Fn(Slot) -> bool) -> usize {
        let parts = self.parts.iter();
        parts
            .filter(|part| part.choice == choice && which(part.slot))
            .count()
    }

    fn open(&mut self, part: u32, choice: u32, kind: &Kind<'_>) {
        let slot = match kind {
            Kind::Text => Slot::Text,
            Kind::Refusal => Slot::Refusal,
            Kind::Thinking => Slot::Thinking,
            Kind::Redacted => Slot::Redacted,
            Kind::ToolCall { .. } => {
                Slot::Tool(self.count(choice, |slot| matches!(slot, Slot::Tool(_))) as u64)
            }
        };
        if part as usize == self.parts.len() {
            self.parts.push(Part {
                choice,
                slot,
                text: String::new(),
                signature: String::new(),
                told: false,
            });
        }
        if let (Kind::ToolCall { id, name }, Slot::Tool(index)) = (kind, slot) {
            let json = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
            self.waiting = Some(Call { part, choice, json });
        }
    }

    /// Writes the call that waits for its signature.
    fn flush(&mut self, out: &mut BytesMut, signature: Option<&str>) {
        if let Some(call) = self.waiting.take() {
            let mut entry = call.json;
            if let Some(signature) = signature {
                signed(&mut entry, signature);
            }
            self.chunk(out, call.choice, None, |out| {
                list(out, "tool_calls", &entry);
            });
        }
    }

    fn signature(&mut self, out: &mut BytesMut, number: u32, value: &str) {
        if self
            .waiting
            .as_ref()
            .is_some_and(|call| call.part == number)
        {
            self.flush(out, Some(value));
            return;
        }
        self.flush(out, None);
        match self.place(number) {
            Some((choice, Slot::Tool(index))) => {
                let mut entry = json!({"index": index, "function": {"arguments": ""}});
                signed(&mut entry, value);
                self.chunk(out, choice, None, |out| list(out, "tool_calls", &entry));
            }
            Some((_, Slot::Thinking | Slot::Redacted)) => {
                if let Some(part) = self.part(number) {
                    part.signature.push_str(value);
                }
            }
            _ => {}
        }
    }

    /// A part is whole: its signature is, too.
    fn arguments(&mut self, out: &mut BytesMut, choice: u32, index: u64, json: &str) {
        self.chunk(out, choice, None, |out| {
            let _ = write!(
                out.writer(),
                "\"tool_calls\":[{{\"index\":{index},\"function\":{{"
            );
            field(out, "arguments", json);
            out.put_slice(b"}}]");
        });
    }

    fn close(&mut self, out: &mut BytesMut, number: u32) {
        let Some(part) = self.part(number) else {
            return;
        };
        let (choice, slot) = (part.choice, part.slot);
        // A call without arguments has none of these events, and clients parse what they joined.
        if let Slot::Tool(index) = slot
            && !std::mem::replace(&mut part.told, true)
        {
            self.arguments(out, choice, index, "{}");
            return;
        }
        let Some(part) = self.part(number) else {
            return;
        };
        let (text, signature) = (
            std::mem::take(&mut part.text),
            std::mem::take(&mut part.signature),
        );
        if signature.is_empty() {
            return;
        }
        let before = self.parts.iter().take(number as usize);
        let index = before
            .filter(|part| {
                part.choice == choice && matches!(part.slot, Slot::Thinking | Slot::Redacted)
            })
            .count();
        let block = match slot {
            Slot::Thinking => {
                json!({"index": index, "type": "thinking", "thinking": text, "signature": signature})
            }
            Slot::Redacted => {
                json!({"index": index, "type": "redacted_thinking", "data": signature})
            }
            _ => return,
        };
        self.chunk(out, choice, None, |out| {
            list(out, "thinking_blocks", &block);
        });
    }

    fn cite(&mut self, out: &mut BytesMut, choice: u32, citation: &crate::llm::Citation) {
        if !self.cited.iter().any(|(of, _)| *of == choice) {
            self.cited.push((choice, 0));
        }
        let mut entry = citations::write(citation);
        if let Some((_, count)) = self.cited.iter_mut().find(|(of, _)| *of == choice) {
            crate::dialect::put(&mut entry, "index", *count);
            *count += 1;
        }
        self.chunk(out, choice, None, |out| list(out, "annotations", &entry));
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.show_usage) {
            if self.head.is_empty() {
                self.head("", "", None, None);
            }
            out.put_slice(&self.head);
            out.put_slice(b"\"choices\":[],\"usage\":");
            json(out, &usage_json(usage));
            out.put_slice(b"}\n\n");
        }
        crate::wire::sse::write_event(out, None, DONE);
        self.over = true;
    }
}

fn json(out: &mut BytesMut, value: &Value) {
    let _ = serde_json::to_writer(out.writer(), value);
}

fn string(out: &mut BytesMut, text: &str) {
    let _ = serde_json::to_writer(out.writer(), text);
}

/// `"key":"text"`.
fn field(out: &mut BytesMut, key: &str, text: &str) {
    let _ = write!(out.writer(), "\"{key}\":");
    string(out, text);
}

/// `"key":[entry]`.
fn list(out: &mut BytesMut, key: &str, entry: &Value) {
    let _ = write!(out.writer(), "\"{key}\":[");
    json(out, entry);
    out.put_u8(b']');
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.over {
            return;
        }
        if !matches!(
            event,
            Event::Signature { .. } | Event::Usage(_) | Event::Failed { .. }
        ) {
            self.flush(out, None);
        }
        match event {
            Event::Start {
                id,
                model,
                created,
                fingerprint,
            } => {
                self.head(id, model, *created, fingerprint.as_deref());
                self.begin(out, 0);
            }
            Event::Open { part, choice, kind } => self.open(*part, *choice, kind),
            Event::Text { part, text } => {
                if let Some((choice, slot)) = self.place(*part) {
                    let key = if slot == Slot::Refusal {
                        "refusal"
                    } else {
                        "content"
                    };
                    self.chunk(out, choice, None, |out| field(out, key, text));
                }
            }
            Event::Thinking { part, text } if !text.is_empty() => {
                if let Some(part) = self.part(*part) {
                    part.text.push_str(text);
                    let choice = part.choice;
                    self.chunk(out, choice, None, |out| {
                        field(out, "reasoning_content", text);
                    });
                }
            }
            Event::Signature { part, value } => self.signature(out, *part, value),
            Event::Arguments { part, json } => {
                if let Some((choice, Slot::Tool(index))) = self.place(*part) {
                    if let Some(part) = self.part(*part) {
                        part.told |= !json.is_empty();
                    }
                    self.arguments(out, choice, index, json);
                }
            }
            Event::Close { part } => self.close(out, *part),
            Event::Citation { choice, citation } => self.cite(out, *choice, citation),
            Event::Logprobs { choice, tokens } => {
                self.begin(out, *choice);
                let refused = self.count(*choice, |slot| slot == Slot::Refusal) > 0
                    && self.count(*choice, |slot| slot == Slot::Text) == 0;
                let tokens = logprobs::write(tokens, refused);
                self.write(out, *choice, None, Some(&tokens), |_| {});
            }
            Event::Stopped { choice, sequence } => {
                self.stopped.push((*choice, sequence.to_string()));
            }
            Event::Finish { choice, reason } => {
                if self.finished.insert(*choice) {
                    self.chunk(out, *choice, Some(finish_reason(*reason)), |_| {});
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed {
                kind,
                message,
                status,
            } => {
                let code = status.map(|status| status.to_string());
                let error = json!({"error": {"message": message, "type": kind, "code": code, "param": null}});
                crate::wire::sse::write_event(out, None, error.to_string().as_bytes());
                self.over = true;
            }
            Event::End => self.end(out),
            Event::Thinking { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }
}
