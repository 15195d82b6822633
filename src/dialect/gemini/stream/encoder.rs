//! Events to messages.

use bytes::BytesMut;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    dialect::{
        StreamEncoder,
        gemini::{
            citations, errors, finish_reason, ids,
            response::{logprobs_json, redacted_part, tail, usage_json},
            wire::{OutContent, OutPart},
        },
        put,
    },
    llm::{Citation, Event, Finish, Kind, Usage},
    wire::sse::write_event,
};

/// Writes one client's stream.
#[derive(Debug)]
pub(in crate::dialect::gemini) struct Encoder {
    /// One JSON array instead of server-sent events.
    array: bool,
    /// Something is out: the array's next element needs a comma.
    begun: bool,
    tail: Map<String, Value>,
    parts: Vec<(u32, Slot)>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

/// What is known of a part. Calls and signatures are written whole, at the part's end.
#[derive(Debug)]
enum Slot {
    Text,
    Thinking {
        said: bool,
        signature: String,
    },
    Redacted(String),
    Call {
        id: String,
        name: String,
        arguments: String,
        signature: String,
    },
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    finish: Option<Finish>,
    text: String,
    citations: Vec<Citation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    candidates: [Candidate<'a>; 1],
    #[serde(flatten)]
    tail: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    content: OutContent<'a>,
    index: u32,
}

impl Encoder {
    pub(in crate::dialect::gemini) fn new(array: bool) -> Encoder {
        Encoder {
            array,
            begun: false,
            tail: tail("", "", None),
            parts: Vec::new(),
            choices: Vec::new(),
            usage: None,
        }
    }

    fn write(&mut self, message: &impl Serialize, out: &mut BytesMut) {
        // Texts and maps of texts always have a JSON form.
        let json = serde_json::to_vec(message).unwrap_or_default();
        if self.array {
            out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
            out.extend_from_slice(&json);
        } else {
            write_event(out, None, &json);
        }
        self.begun = true;
    }

    fn part(&mut self, index: u32, part: OutPart<'_>, out: &mut BytesMut) {
        let tail = std::mem::take(&mut self.tail);
        let content = OutContent {
            role: Some("model"),
            parts: vec![part],
        };
        let message = Message {
            candidates: [Candidate { content, index }],
            tail: &tail,
        };
        self.write(&message, out);
        self.tail = tail;
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
            self.choices.len() - 1
        });
        self.choices.get_mut(at)
    }

    fn slot(&mut self, part: u32) -> Option<&mut (u32, Slot)> {
        self.parts.get_mut(usize::try_from(part).ok()?)
    }

    fn close(&mut self, part: u32, out: &mut BytesMut) {
        let Some((choice, slot)) = self.slot(part) else {
            return;
        };
        let choice = *choice;
        match std::mem::replace(slot, Slot::Text) {
            Slot::Text => {}
            Slot::Thinking { said, signature } => {
                if signature.is_empty() {
                    return;
                }
                // Behind reasoning its own; without any that of the text before it.
                let mut wire = OutPart::thinking("", Some(&signature));
                if said && let Some(OutPart::Known(known)) = &mut wire {
                    known.thought = Some(true);
                }
                if let Some(wire) = wire {
                    self.part(choice, wire, out);
                }
            }
            Slot::Redacted(data) => self.part(choice, redacted_part(&data), out),
            Slot::Call {
                id,
                name,
                arguments,
                signature,
            } => {
                let (id, carried) = ids::split(&id);
                let signature = if signature.is_empty() {
                    carried
                } else {
                    Some(signature.into())
                };
                let id = (!id.is_empty()).then_some(id);
                let call = OutPart::call(id, name, &arguments, signature);
                self.part(choice, call, out);
            }
        }
    }

    /// The last message: why it ended, what it leans on, what it cost.
    fn end(&mut self, out: &mut BytesMut) {
        if self.choices.is_empty() {
            self.choice(0);
        }
        let candidates: Vec<Value> = self
            .choices
            .drain(..)
            .map(|choice| {
                let finish = choice.finish.unwrap_or(Finish::Stop);
                let mut json = json!({
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": finish_reason(finish),
                    "index": choice.index,
                });
                if let Some(grounding) = citations::encode(&choice.citations, &choice.text) {
                    put(&mut json, "groundingMetadata", grounding);
                }
                json
            })
            .collect();
        let mut message = json!({"candidates": candidates});
        if let Some(usage) = self.usage {
            put(&mut message, "usageMetadata", usage_json(usage));
        }
        for (key, value) in std::mem::take(&mut self.tail) {
            put(&mut message, &key, value);
        }
        self.write(&message, out);
        if self.array {
            out.extend_from_slice(b"]");
        }
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start {
                id, model, created, ..
            } => self.tail = tail(id, model, *created),
            Event::Open { part, choice, kind } => {
                let slot = match kind {
                    Kind::Text | Kind::Refusal => Slot::Text,
                    Kind::Thinking => Slot::Thinking {
                        said: false,
                        signature: String::new(),
                    },
                    Kind::Redacted => Slot::Redacted(String::new()),
                    Kind::ToolCall { id, name } => Slot::Call {
                        id: id.to_string(),
                        name: name.to_string(),
                        arguments: String::new(),
                        signature: String::new(),
                    },
                };
                if *part as usize == self.parts.len() {
                    self.parts.push((*choice, slot));
                }
                self.choice(*choice);
            }
            Event::Text { part, text } => {
                let Some((choice, Slot::Text)) = self.slot(*part) else {
                    return;
                };
                let choice = *choice;
                if let Some(choice) = self.choice(choice) {
                    choice.text.push_str(text);
                }
                if !text.is_empty() {
                    self.part(choice, OutPart::text(&**text), out);
                }
            }
            Event::Thinking { part, text } => {
                if let Some((choice, Slot::Thinking { said, .. })) = self.slot(*part)
                    && !text.is_empty()
                {
                    *said = true;
                    let choice = *choice;
                    if let Some(thought) = OutPart::thinking(text, None) {
                        self.part(choice, thought, out);
                    }
                }
            }
            Event::Signature { part, value } => match self.slot(*part) {
                Some((_, Slot::Thinking { signature, .. } | Slot::Call { signature, .. })) => {
                    signature.push_str(value);
                }
                Some((_, Slot::Redacted(data))) => data.push_str(value),
                _ => {}
            },
            Event::Arguments { part, json } => {
                if let Some((_, Slot::Call { arguments, .. })) = self.slot(*part) {
                    arguments.push_str(json);
                }
            }
            Event::Close { part } => self.close(*part, out),
            Event::Citation { choice, citation } => {
                if let Some(choice) = self.choice(*choice) {
                    choice.citations.push(citation.clone());
                }
            }
            Event::Logprobs { choice, tokens } => {
                let mut message = json!({"candidates": [{"index": choice, "logprobsResult": logprobs_json(tokens)}]});
                for (key, value) in &self.tail {
                    put(&mut message, key, value.clone());
                }
                self.write(&message, out);
            }
            Event::Finish { choice, reason } => {
                if let Some(choice) = self.choice(*choice) {
                    choice.finish = Some(*reason);
                }
            }
            // The format has no word for it.
            Event::Stopped { .. } => {}
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed {
                message, status, ..
            } => {
                self.write(&errors::failed(message, *status), out);
                // Without it no client could read the error.
                if self.array {
                    out.extend_from_slice(b"]");
                }
            }
            Event::End => self.end(out),
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event. Between an array's elements it is white space.
        out.extend_from_slice(if self.array { b"\n" } else { b": keep-alive\n" });
    }
}
