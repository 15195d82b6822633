//! Events to chunks.

use std::{collections::HashSet, io::Write as _};

use bytes::{BufMut, BytesMut};
use serde_json::json;

use super::{DONE, Slot};
use crate::{
    dialect::{
        StreamEncoder,
        openai_chat::{finish_reason, usage_json},
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
    /// Part → choice and, for tool calls, its index in the choice's `tool_calls`.
    parts: Vec<(u32, Slot)>,
    /// Choices whose first delta, with the role, is out.
    begun: HashSet<u32>,
}

impl Encoder {
    pub(in crate::dialect::openai_chat) fn new(show_usage: bool) -> Encoder {
        Encoder {
            show_usage,
            head: Vec::new(),
            usage: None,
            parts: Vec::new(),
            begun: HashSet::new(),
        }
    }

    fn head(&mut self, id: &str, model: &str, created: Option<u64>) {
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created.unwrap_or_default(),
            "model": model,
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
            self.head("", "", None);
        }
        if self.begun.insert(choice) {
            self.write(out, choice, None, |v| {
                v.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            });
        }
    }

    fn chunk(
        &mut self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        self.begin(out, choice);
        self.write(out, choice, finish, delta);
    }

    fn write(
        &self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut v = Vec::with_capacity(self.head.len() + 128);
        v.extend_from_slice(&self.head);
        let _ = write!(v, "\"choices\":[{{\"index\":{choice},\"delta\":{{");
        delta(&mut v);
        v.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        match finish {
            Some(finish) => {
                let _ = write!(v, "\"{finish}\"}}]");
            }
            None => v.extend_from_slice(b"null}]"),
        }
        v.extend_from_slice(if self.show_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
        out.extend_from_slice(&v);
    }

    fn place(&self, part: u32) -> Option<(u32, Slot)> {
        self.parts.get(usize::try_from(part).ok()?).copied()
    }
}

fn string(v: &mut Vec<u8>, key: &str, text: &str) {
    let _ = write!(v, "\"{key}\":");
    let _ = serde_json::to_writer(&mut *v, text);
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                self.head(id, model, *created);
                self.begin(out, 0);
            }
            Event::Open { part, choice, kind } => {
                let slot = match kind {
                    Kind::Text => Slot::Text,
                    Kind::Refusal => Slot::Refusal,
                    Kind::Thinking => Slot::Thinking,
                    Kind::ToolCall { .. } => {
                        let before = self
                            .parts
                            .iter()
                            .filter(|(c, slot)| c == choice && matches!(slot, Slot::Tool(_)))
                            .count();
                        Slot::Tool(before as u64)
                    }
                };
                if *part as usize == self.parts.len() {
                    self.parts.push((*choice, slot));
                }
                if let (Kind::ToolCall { id, name }, Slot::Tool(index)) = (kind, slot) {
                    let call = json!([{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]);
                    self.chunk(out, *choice, None, |v| {
                        v.extend_from_slice(b"\"tool_calls\":");
                        let _ = serde_json::to_writer(&mut *v, &call);
                    });
                }
            }
            Event::Text { part, text } => {
                if let Some((choice, slot)) = self.place(*part) {
                    let key = if slot == Slot::Refusal {
                        "refusal"
                    } else {
                        "content"
                    };
                    self.chunk(out, choice, None, |v| string(v, key, text));
                }
            }
            Event::Thinking { part, text } => {
                if let Some((choice, _)) = self.place(*part) {
                    self.chunk(out, choice, None, |v| string(v, "reasoning_content", text));
                }
            }
            Event::Arguments { part, json } => {
                if let Some((choice, Slot::Tool(index))) = self.place(*part) {
                    self.chunk(out, choice, None, |v| {
                        let _ = write!(v, "\"tool_calls\":[{{\"index\":{index},\"function\":{{");
                        string(v, "arguments", json);
                        v.extend_from_slice(b"}}]");
                    });
                }
            }
            Event::Finish { choice, reason } => {
                self.chunk(out, *choice, Some(finish_reason(*reason)), |_| {});
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
            }
            Event::End => {
                if let Some(usage) = self.usage.filter(|_| self.show_usage) {
                    out.extend_from_slice(&self.head);
                    out.extend_from_slice(b"\"choices\":[],\"usage\":");
                    out.extend_from_slice(usage_json(usage).to_string().as_bytes());
                    out.extend_from_slice(b"}\n\n");
                }
                crate::wire::sse::write_event(out, None, DONE);
            }
            Event::Signature { .. } | Event::Close { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }
}
