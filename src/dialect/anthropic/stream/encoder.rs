//! Our events to a client's.

use std::collections::VecDeque;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::super::{
    error_type,
    response::{citation_json, usage_json},
    stop_reason,
};
use crate::{
    dialect::StreamEncoder,
    llm::{Event, Finish, Kind, Usage},
    wire::sse::write_event,
};

/// A part on its way to the client.
#[derive(Debug)]
struct Block {
    part: u32,
    form: Form,
    /// Its beginning is written.
    begun: bool,
    /// Something of its contents is written, or waits.
    filled: bool,
    /// What came while another block was open.
    text: String,
    signature: String,
    closed: bool,
}

#[derive(Debug)]
enum Form {
    Text,
    Thinking,
    Redacted,
    Tool { id: String, name: String },
}

/// Writes one client's stream. Its events have a fixed order (TRAPS 1.4): blocks one after the other, so calls that come side by side
/// wait for each other; the beginning and the end wait for the counts that they tell.
#[derive(Debug, Default)]
pub(in crate::dialect::anthropic) struct Encoder {
    /// Id and model, until `message_start` is written.
    start: Option<(String, String)>,
    started: bool,
    usage: Usage,
    /// The first is the open one.
    blocks: VecDeque<Block>,
    index: u64,
    /// Text or a call is out: reasoning cannot follow.
    answering: bool,
    refused: bool,
    /// The stop sequence that ended it.
    stopped: Option<String>,
    finish: Option<Finish>,
    done: bool,
}

fn write(out: &mut BytesMut, name: &str, data: &Value) {
    write_event(out, Some(name), data.to_string().as_bytes());
}

impl Encoder {
    fn begin(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (id, model) = self.start.take().unwrap_or_default();
        let message = json!({
            "id": id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage_json(self.usage),
        });
        let data = json!({"type": "message_start", "message": message});
        write(out, "message_start", &data);
    }

    fn open(&mut self, part: u32, kind: &Kind<'_>, out: &mut BytesMut) {
        let form = match kind {
            Kind::Text => Form::Text,
            Kind::Refusal => {
                self.refused = true;
                Form::Text
            }
            // Late reasoning is dropped: no message of the assistant's may end with it.
            Kind::Thinking | Kind::Redacted if self.answering => return,
            Kind::Thinking => Form::Thinking,
            Kind::Redacted => Form::Redacted,
            Kind::ToolCall { id, name } => Form::Tool {
                // Results need an id to refer to.
                id: if id.is_empty() {
                    format!("toolu_{part}")
                } else {
                    id.to_string()
                },
                name: name.to_string(),
            },
        };
        self.answering |= matches!(form, Form::Text | Form::Tool { .. });
        self.blocks.push_back(Block {
            part,
            form,
            begun: false,
            filled: false,
            text: String::new(),
            signature: String::new(),
            closed: false,
        });
        self.advance(out);
    }

    /// What came of a part; `signature`: its proof, or the data of a redacted one.
    fn add(&mut self, part: u32, text: &str, signature: bool, out: &mut BytesMut) {
        let Some(block) = self.blocks.iter_mut().find(|block| block.part == part) else {
            return;
        };
        if signature {
            block.signature.push_str(text);
        } else {
            block.text.push_str(text);
        }
        self.advance(out);
    }

    /// Writes what can be written: all of the open block, and of those behind it once it is closed.
    fn advance(&mut self, out: &mut BytesMut) {
        while let Some(block) = self.blocks.front_mut() {
            block.write(self.index, out);
            if !block.closed {
                return;
            }
            if block.begun {
                let data = json!({"type": "content_block_stop", "index": self.index});
                write(out, "content_block_stop", &data);
                self.index += 1;
            }
            self.blocks.pop_front();
        }
    }

    fn cite(&mut self, citation: &Value, out: &mut BytesMut) {
        let delta = json!({"type": "citations_delta", "citation": citation});
        match self.blocks.front_mut() {
            Some(block) if matches!(block.form, Form::Text) => {
                block.start(self.index, out);
                block.delta(self.index, &delta, out);
            }
            // Between blocks it gets one of its own.
            None => {
                let mut block = Block {
                    part: u32::MAX,
                    form: Form::Text,
                    begun: false,
                    filled: false,
                    text: String::new(),
                    signature: String::new(),
                    closed: true,
                };
                block.start(self.index, out);
                block.delta(self.index, &delta, out);
                self.blocks.push_back(block);
                self.advance(out);
            }
            Some(_) => {}
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.begin(out);
        for block in &mut self.blocks {
            block.closed = true;
        }
        self.advance(out);
        let finish = self.finish.unwrap_or(Finish::Stop);
        let reason = stop_reason(finish, self.refused, self.stopped.is_some());
        let data = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": self.stopped},
            "usage": usage_json(self.usage),
        });
        write(out, "message_delta", &data);
        write(out, "message_stop", &json!({"type": "message_stop"}));
    }
}

impl Block {
    fn start(&mut self, index: u64, out: &mut BytesMut) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let block = match &self.form {
            Form::Text => json!({"type": "text", "text": ""}),
            Form::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Form::Redacted => {
                json!({"type": "redacted_thinking", "data": std::mem::take(&mut self.signature)})
            }
            Form::Tool { id, name } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": {}})
            }
        };
        let data = json!({"type": "content_block_start", "index": index, "content_block": block});
        write(out, "content_block_start", &data);
    }

    fn delta(&self, index: u64, delta: &Value, out: &mut BytesMut) {
        let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
        write(out, "content_block_delta", &data);
    }

    fn write(&mut self, index: u64, out: &mut BytesMut) {
        match &self.form {
            // A text begins with its first character, the data of a redacted block stands in its beginning.
            Form::Text if self.text.is_empty() => return,
            Form::Redacted if !self.closed => return,
            _ => {}
        }
        self.start(index, out);
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            self.filled = true;
            let delta = match &self.form {
                Form::Text => json!({"type": "text_delta", "text": text}),
                Form::Thinking | Form::Redacted => {
                    json!({"type": "thinking_delta", "thinking": text})
                }
                Form::Tool { .. } => json!({"type": "input_json_delta", "partial_json": text}),
            };
            self.delta(index, &delta, out);
        }
        let signature = std::mem::take(&mut self.signature);
        if !signature.is_empty() && matches!(self.form, Form::Thinking) {
            let delta = json!({"type": "signature_delta", "signature": signature});
            self.delta(index, &delta, out);
        }
        // A call without arguments still has an input (TRAPS 1.2).
        if self.closed && !self.filled && matches!(self.form, Form::Tool { .. }) {
            let delta = json!({"type": "input_json_delta", "partial_json": "{}"});
            self.delta(index, &delta, out);
        }
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.done {
            return;
        }
        match event {
            Event::Start { id, model, .. } => {
                // Written with the next event: the counts of the prompt may come first.
                self.start = Some((id.to_string(), model.to_string()));
                return;
            }
            Event::Usage(usage) => {
                self.usage = *usage;
                return;
            }
            Event::Failed { .. } => {}
            _ => self.begin(out),
        }
        match event {
            Event::Open { part, choice, kind } if *choice == 0 => self.open(*part, kind, out),
            Event::Text { part, text } | Event::Thinking { part, text } => {
                self.add(*part, text, false, out);
            }
            Event::Arguments { part, json } => self.add(*part, json, false, out),
            Event::Signature { part, value } => self.add(*part, value, true, out),
            Event::Citation {
                choice: 0,
                citation,
            } => self.cite(&citation_json(citation), out),
            Event::Close { part } => {
                if let Some(block) = self.blocks.iter_mut().find(|block| block.part == *part) {
                    block.closed = true;
                }
                self.advance(out);
            }
            Event::Stopped {
                choice: 0,
                sequence,
            } => self.stopped = Some(sequence.to_string()),
            Event::Finish { choice: 0, reason } => self.finish = Some(*reason),
            Event::Failed {
                kind,
                message,
                status,
            } => {
                self.done = true;
                let error = json!({"type": error_type(kind, *status), "message": message});
                write(out, "error", &json!({"type": "error", "error": error}));
            }
            Event::End => {
                self.end(out);
                self.done = true;
            }
            _ => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // Never before `message_start`, which some clients insist on.
        if self.start.is_some() || self.started {
            self.begin(out);
            write(out, "ping", &json!({"type": "ping"}));
        }
    }
}
