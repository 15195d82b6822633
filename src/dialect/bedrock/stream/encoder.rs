//! Events to messages.

use std::collections::VecDeque;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::super::{
    citations, fault,
    response::{MODEL_FIELDS, usage_json},
    stop_reason,
};
use crate::{
    dialect::{StreamEncoder, put},
    llm::{Event, Kind, Usage},
    wire::eventstream::{write_event, write_exception},
};

/// A part that is not told to its end.
#[derive(Debug)]
struct Told {
    part: u32,
    redacted: bool,
    /// `start` of a tool call's first message.
    start: Option<Value>,
    /// What waits until the parts before it are told.
    deltas: Vec<Value>,
    closed: bool,
}

/// Writes one client's stream.
///
/// Clients of this format expect one block after another, while calls of other formats may overlap: what belongs to a later block waits.
#[derive(Debug, Default)]
pub(in crate::dialect::bedrock) struct Encoder {
    started: bool,
    /// In order of opening; the first is being told.
    parts: VecDeque<Told>,
    /// Number of the block that is being told, or of the next one.
    index: u64,
    /// A text is told, but what it leans on may follow.
    ending: bool,
    /// Citations that came while a call was told.
    late: Vec<Value>,
    /// The stop sequence that ended it.
    stopped: Option<String>,
    usage: Option<Usage>,
}

impl Encoder {
    fn write(out: &mut BytesMut, name: &str, json: &Value) {
        write_event(out, name, json.to_string().as_bytes());
    }

    fn start(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.started, true) {
            Self::write(out, "messageStart", &json!({"role": "assistant"}));
        }
    }

    fn write_delta(&self, delta: &Value, out: &mut BytesMut) {
        let json = json!({"contentBlockIndex": self.index, "delta": delta});
        Self::write(out, "contentBlockDelta", &json);
    }

    fn stop(&mut self, out: &mut BytesMut) {
        let json = json!({"contentBlockIndex": self.index});
        Self::write(out, "contentBlockStop", &json);
        self.index += 1;
        self.ending = false;
    }

    fn open(&mut self, part: u32, kind: &Kind<'_>, out: &mut BytesMut) {
        let start = match kind {
            Kind::ToolCall { id, name } => {
                Some(json!({"toolUse": {"toolUseId": id, "name": name}}))
            }
            Kind::Text | Kind::Refusal | Kind::Thinking | Kind::Redacted => None,
        };
        if self.ending {
            self.stop(out);
        }
        self.parts.push_back(Told {
            part,
            redacted: *kind == Kind::Redacted,
            start,
            deltas: Vec::new(),
            closed: false,
        });
        self.tell(out);
    }

    fn delta(&mut self, part: u32, delta: Value, out: &mut BytesMut) {
        if let Some(told) = self.parts.iter_mut().find(|told| told.part == part) {
            told.deltas.push(delta);
            self.tell(out);
        }
    }

    /// Tells what is known of the first part, and goes on to the next when it is whole.
    fn tell(&mut self, out: &mut BytesMut) {
        while let Some(first) = self.parts.front_mut() {
            let tool = first.start.is_some();
            let (start, deltas, closed) = (
                first.start.as_mut().map(Value::take),
                std::mem::take(&mut first.deltas),
                first.closed,
            );
            // Taken, it is `null`: the start is out, and the part still a call.
            if let Some(start) = start.filter(|start| !start.is_null()) {
                let json = json!({"contentBlockIndex": self.index, "start": start});
                Self::write(out, "contentBlockStart", &json);
            }
            for delta in &deltas {
                self.write_delta(delta, out);
            }
            if !closed {
                return;
            }
            self.parts.pop_front();
            self.ending = true;
            if tool || !self.parts.is_empty() {
                self.stop(out);
            }
        }
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { .. } => self.start(out),
            // The format has room for one choice.
            Event::Open {
                part,
                choice: 0,
                kind,
            } => {
                self.start(out);
                self.open(*part, kind, out);
            }
            Event::Text { part, text } => self.delta(*part, json!({"text": text}), out),
            Event::Thinking { part, text } => {
                self.delta(*part, json!({"reasoningContent": {"text": text}}), out);
            }
            Event::Signature { part, value } => {
                let told = self.parts.iter().find(|told| told.part == *part);
                let Some(told) = told.filter(|told| told.start.is_none()) else {
                    return;
                };
                let key = if told.redacted {
                    "redactedContent"
                } else {
                    "signature"
                };
                let mut reasoning = json!({});
                put(&mut reasoning, key, value.as_ref());
                self.delta(*part, json!({"reasoningContent": reasoning}), out);
            }
            Event::Arguments { part, json } => {
                self.delta(*part, json!({"toolUse": {"input": json}}), out);
            }
            Event::Citation {
                choice: 0,
                citation,
            } => {
                self.start(out);
                let delta = json!({"citation": citations::encode(citation)});
                match self.parts.front() {
                    Some(told) if told.start.is_some() => self.late.push(delta),
                    Some(_) => self.write_delta(&delta, out),
                    None => {
                        self.write_delta(&delta, out);
                        self.ending = true;
                    }
                }
            }
            Event::Close { part } => {
                if let Some(told) = self.parts.iter_mut().find(|told| told.part == *part) {
                    told.closed = true;
                    self.tell(out);
                }
            }
            Event::Stopped {
                choice: 0,
                sequence,
            } => self.stopped = Some(sequence.to_string()),
            Event::Finish { choice: 0, reason } => {
                self.start(out);
                for delta in std::mem::take(&mut self.late) {
                    self.write_delta(&delta, out);
                    self.ending = true;
                }
                if self.ending {
                    self.stop(out);
                }
                let stopped = self.stopped.take();
                let mut json = json!({"stopReason": stop_reason(*reason, stopped.is_some())});
                if let Some(sequence) = stopped {
                    let fields = json!({"delta": {"stop_sequence": sequence}});
                    put(&mut json, MODEL_FIELDS, fields);
                }
                Self::write(out, "messageStop", &json);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed {
                kind,
                message,
                status,
            } => {
                let exception = fault::streamed(kind, *status);
                let json = json!({"message": message}).to_string();
                write_exception(out, exception, json.as_bytes());
            }
            Event::End => {
                let usage = usage_json(self.usage.unwrap_or_default());
                let json = json!({"usage": usage, "metrics": {"latencyMs": 0}});
                Self::write(out, "metadata", &json);
            }
            Event::Open { .. }
            | Event::Citation { .. }
            | Event::Stopped { .. }
            | Event::Finish { .. }
            | Event::Logprobs { .. } => {}
        }
    }

    /// Nothing: the format has no message that says nothing.
    fn keep_alive(&mut self, _out: &mut BytesMut) {}
}
