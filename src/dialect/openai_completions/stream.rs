//! Events to chunks. They are read where chat's are.

use std::{collections::BTreeSet, io::Write as _};

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::finish_reason;
use crate::{
    dialect::{
        Ingress, StreamEncoder,
        openai_chat::{DONE, OpenAiChat, usage_json, write_flat},
    },
    llm::{Event, Kind, Usage},
    wire::sse::write_event,
};

/// Writes one client's stream.
pub(super) struct Encoder {
    /// The client asked for the usage chunk.
    show_usage: bool,
    /// `data: {"id":..., "object":..., "created":..., "model":...,`: the head of every chunk, rendered once.
    head: Vec<u8>,
    usage: Option<Usage>,
    /// Part → choice; `None` if it has no place here.
    parts: Vec<Option<u32>>,
    finished: BTreeSet<u32>,
    /// Characters of each choice that log probabilities were told of.
    offsets: Vec<(u32, usize)>,
    /// The end, or an error, is out: nothing follows.
    over: bool,
    /// Writes what is the same in both formats.
    chat: Box<dyn StreamEncoder>,
}

impl Encoder {
    /// At the beginning of a stream.
    pub(super) fn new(show_usage: bool) -> Encoder {
        Encoder {
            show_usage,
            head: Vec::new(),
            usage: None,
            parts: Vec::new(),
            finished: BTreeSet::new(),
            offsets: Vec::new(),
            over: false,
            chat: OpenAiChat.stream_encoder(false),
        }
    }

    fn head(&mut self, id: &str, model: &str, created: Option<u64>, fingerprint: Option<&str>) {
        let mut head = json!({
            "id": id,
            "object": "text_completion",
            "created": created.unwrap_or_default(),
            "model": model,
        });
        if let Some(fingerprint) = fingerprint {
            crate::dialect::put(&mut head, "system_fingerprint", fingerprint);
        }
        self.head = b"data: ".to_vec();
        let _ = serde_json::to_writer(&mut self.head, &head);
        // The object's closing brace makes room for the choices.
        self.head.pop();
        self.head.push(b',');
    }

    fn chunk(
        &mut self,
        out: &mut BytesMut,
        choice: u32,
        text: &str,
        logprobs: &Value,
        finish: Option<&str>,
    ) {
        if self.head.is_empty() {
            self.head("", "", None, None);
        }
        out.reserve(self.head.len() + text.len() + 96);
        out.put_slice(&self.head);
        out.put_slice(b"\"choices\":[{\"text\":");
        let _ = serde_json::to_writer(out.writer(), text);
        let _ = write!(
            out.writer(),
            ",\"index\":{choice},\"logprobs\":{logprobs},\"finish_reason\":"
        );
        match finish {
            Some(finish) => {
                let _ = write!(out.writer(), "\"{finish}\"}}]");
            }
            None => out.put_slice(b"null}]"),
        }
        out.put_slice(if self.show_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.show_usage) {
            if self.head.is_empty() {
                self.head("", "", None, None);
            }
            out.put_slice(&self.head);
            let _ = write!(
                out.writer(),
                "\"choices\":[],\"usage\":{}}}\n\n",
                usage_json(usage)
            );
        }
        write_event(out, None, DONE);
        self.over = true;
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.over {
            return;
        }
        match event {
            Event::Start {
                id,
                model,
                created,
                fingerprint,
            } => self.head(id, model, *created, fingerprint.as_deref()),
            Event::Open { choice, kind, .. } => {
                let shown = matches!(kind, Kind::Text | Kind::Refusal);
                self.parts.push(shown.then_some(*choice));
            }
            Event::Text { part, text } if !text.is_empty() => {
                if let Some(choice) = self.parts.get(*part as usize).copied().flatten() {
                    self.chunk(out, choice, text, &Value::Null, None);
                }
            }
            Event::Logprobs { choice, tokens } => {
                if !self.offsets.iter().any(|(of, _)| of == choice) {
                    self.offsets.push((*choice, 0));
                }
                let offset = self.offsets.iter_mut().find(|(of, _)| of == choice);
                if let Some((_, offset)) = offset {
                    let logprobs = write_flat(tokens, offset);
                    self.chunk(out, *choice, "", &logprobs, None);
                }
            }
            Event::Finish { choice, reason } => {
                if self.finished.insert(*choice) {
                    self.chunk(out, *choice, "", &Value::Null, Some(finish_reason(*reason)));
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(out),
            Event::Failed { .. } => {
                self.chat.event(event, out);
                self.over = true;
            }
            Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::Arguments { .. }
            | Event::Citation { .. }
            | Event::Stopped { .. }
            | Event::Close { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        self.chat.keep_alive(out);
    }
}
