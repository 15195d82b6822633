//! Messages of `/api/chat`.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Error, response::call_id};
use crate::{
    dialect::{Loss, put},
    llm::{Media, Message, Part, Role},
};

/// Reads messages. Old clients send no ids of tool calls: a result then belongs to the first call of its tool that has none yet.
pub(super) fn decode(wire: &[Value]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    // Calls that wait for their results: id, name.
    let mut waiting: Vec<(String, String)> = Vec::new();
    for (index, wire) in wire.iter().enumerate() {
        let text = |key: &str| wire.get(key).and_then(Value::as_str).unwrap_or_default();
        let malformed = |why: String| Error::Malformed(format!("messages[{index}]: {why}"));
        let mut parts = Vec::new();
        if !text("thinking").is_empty() {
            parts.push(Part::Thinking {
                text: text("thinking").into(),
                signature: None,
            });
        }
        let images = wire.get("images").and_then(Value::as_array);
        let calls = wire.get("tool_calls").and_then(Value::as_array);
        let bare = images.is_none_or(Vec::is_empty) && calls.is_none_or(Vec::is_empty);
        if !text("content").is_empty() || (bare && parts.is_empty()) {
            parts.push(Part::Text(text("content").into()));
        }
        for image in images.into_iter().flatten().filter_map(Value::as_str) {
            parts.push(decode_image(image));
        }
        for (number, call) in calls.into_iter().flatten().enumerate() {
            let function = call.get("function").unwrap_or(&Value::Null);
            let name = function
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let arguments = match function.get("arguments") {
                None | Some(Value::Null) => "{}".to_owned(),
                Some(Value::String(text)) if text.is_empty() => "{}".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(arguments) => arguments.to_string(),
            };
            let id = match call.get("id").and_then(Value::as_str) {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => call_id(&index.to_string(), number, name, &arguments),
            };
            waiting.push((id.clone(), name.to_owned()));
            parts.push(Part::ToolCall {
                id,
                name: name.to_owned(),
                arguments,
                signature: None,
            });
        }
        let role = match text("role") {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => {
                let (id, name) = (text("tool_call_id"), text("tool_name"));
                let found = waiting.iter().position(|(waits, tool)| {
                    if id.is_empty() {
                        name.is_empty() || tool == name
                    } else {
                        waits == id
                    }
                });
                let id = match found {
                    Some(found) => waiting.remove(found).0,
                    None if id.is_empty() => name.to_owned(),
                    None => id.to_owned(),
                };
                messages.push(Message {
                    role: Role::User,
                    name: None,
                    parts: vec![Part::ToolResult {
                        id,
                        parts,
                        is_error: false,
                    }],
                });
                continue;
            }
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(malformed(format!("unknown role `{other}`")));
            }
        };
        messages.push(Message {
            role,
            name: None,
            parts,
        });
    }
    Ok(messages)
}

/// Images are base64 without a media type, which their first bytes tell.
pub(super) fn decode_image(data: &str) -> Part {
    let media_type = match data.get(..4) {
        Some("iVBO") => "image/png",
        Some("R0lG") => "image/gif",
        Some("UklG") => "image/webp",
        _ => "image/jpeg",
    };
    Part::Image {
        source: Media::Base64 {
            media_type: media_type.into(),
            data: data.into(),
        },
        detail: None,
    }
}

/// An image as Ollama takes it: its bytes, never a URL.
pub(super) fn encode_image(source: &Media) -> Result<Value, Error> {
    match source {
        Media::Base64 { data, .. } => Ok(data.clone().into()),
        Media::Url(_) => Err(Error::Unsupported {
            what: "an image that is a URL".into(),
        }),
        Media::Id(_) => Err(Error::Unsupported {
            what: "an image that is a file id".into(),
        }),
    }
}

/// Writes messages. Results name their tool, which other formats leave out: it is the one that an earlier call of the same id names
/// (TRAPS 1.12).
pub(super) fn encode(messages: &[Message], lost: &mut Vec<Loss>) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    let mut names = HashMap::new();
    for message in messages {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if message.name.is_some() {
            lose(lost, Loss::dropped("name"));
        }
        let mut draft = Draft::default();
        for part in &message.parts {
            match part {
                Part::ToolResult {
                    id,
                    parts,
                    is_error,
                } => {
                    draft.flush(role, &mut out);
                    if *is_error {
                        lose(lost, Loss::dropped("is_error"));
                    }
                    let mut result = Draft::default();
                    for part in parts {
                        result.take(part, lost)?;
                    }
                    let mut wire = result.wire("tool");
                    if let Some(name) = names.get(id) {
                        put(&mut wire, "tool_name", *name);
                    }
                    if !id.is_empty() {
                        put(&mut wire, "tool_call_id", id.as_str());
                    }
                    out.push(wire);
                }
                Part::ToolCall { id, name, .. } => {
                    names.insert(id, name.as_str());
                    draft.take(part, lost)?;
                }
                _ => draft.take(part, lost)?,
            }
        }
        if message.parts.is_empty() {
            out.push(draft.wire(role));
        } else {
            draft.flush(role, &mut out);
        }
    }
    Ok(out)
}

/// Notes a loss once, however often it happens.
fn lose(lost: &mut Vec<Loss>, loss: Loss) {
    if !lost.contains(&loss) {
        lost.push(loss);
    }
}

/// One message while its parts are read.
#[derive(Default)]
struct Draft {
    texts: Vec<String>,
    thinking: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Draft {
    fn take(&mut self, part: &Part, lost: &mut Vec<Loss>) -> Result<(), Error> {
        match part {
            Part::Text(text) | Part::Refusal(text) => self.texts.push(text.clone()),
            Part::Thinking { text, .. } => self.thinking.push_str(text),
            Part::Image { source, detail } => {
                if detail.as_ref().is_some_and(|detail| detail != "auto") {
                    lose(lost, Loss::dropped("detail"));
                }
                self.images.push(encode_image(source)?);
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let arguments = match serde_json::from_str::<Value>(arguments) {
                    Ok(object @ Value::Object(_)) => object,
                    _ if arguments.trim().is_empty() => json!({}),
                    // It takes objects alone; what the model wrote stays visible to it.
                    _ => json!({"arguments": arguments}),
                };
                let mut call = json!({"type": "function", "function": {"index": self.calls.len(), "name": name, "arguments": arguments}});
                if !id.is_empty() {
                    put(&mut call, "id", id.as_str());
                }
                self.calls.push(call);
            }
            Part::Audio { .. } => {
                return Err(Error::Unsupported {
                    what: "audio".into(),
                });
            }
            Part::File { .. } => {
                return Err(Error::Unsupported {
                    what: "a file".into(),
                });
            }
            Part::Redacted(_) => lose(lost, Loss::dropped("redacted_thinking")),
            Part::Opaque { .. } => lose(lost, Loss::dropped("content")),
            // A result inside a result.
            Part::ToolResult { .. } => lose(lost, Loss::dropped("tool_result")),
        }
        Ok(())
    }

    /// The message, unless nothing is in it.
    fn flush(&mut self, role: &str, out: &mut Vec<Value>) {
        let draft = std::mem::take(self);
        let empty = draft.texts.is_empty()
            && draft.thinking.is_empty()
            && draft.images.is_empty()
            && draft.calls.is_empty();
        if !empty {
            out.push(draft.wire(role));
        }
    }

    fn wire(self, role: &str) -> Value {
        let mut wire = json!({"role": role, "content": self.texts.join("\n")});
        if !self.thinking.is_empty() {
            put(&mut wire, "thinking", self.thinking);
        }
        if !self.images.is_empty() {
            put(&mut wire, "images", self.images);
        }
        if !self.calls.is_empty() {
            put(&mut wire, "tool_calls", self.calls);
        }
        wire
    }
}
