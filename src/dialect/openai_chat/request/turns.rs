//! Messages written.

use serde_json::{Value, json};

use super::{lose, names::Names, unsupported};
use crate::{
    dialect::{Error, Loss, openai_chat::response::signed, put},
    llm::{Format, Media, Message, Part, Role},
};

/// Writes a conversation. One canonical message is one of OpenAI's, but each tool result is one of its own.
pub(super) fn encode(
    messages: &[Message],
    names: &Names,
    lost: &mut Vec<Loss>,
) -> Result<Vec<Value>, Error> {
    let mut turns = Turns {
        names,
        lost,
        out: Vec::with_capacity(messages.len()),
        shown: Vec::new(),
    };
    for message in messages {
        match message.role {
            Role::Assistant => turns.assistant(message)?,
            Role::User | Role::System => turns.other(message)?,
        }
    }
    turns.show();
    Ok(turns.out)
}

struct Turns<'a> {
    names: &'a Names,
    lost: &'a mut Vec<Loss>,
    out: Vec<Value>,
    /// Blocks of tool results that a tool message cannot hold. They follow in a message of the user's, after all results of the turn:
    /// nothing may stand between them.
    shown: Vec<Value>,
}

impl Turns<'_> {
    /// The user's, the developer's, and results of tools.
    fn other(&mut self, message: &Message) -> Result<(), Error> {
        let mut content = Vec::new();
        for part in &message.parts {
            match part {
                Part::ToolResult {
                    id,
                    parts,
                    is_error,
                } => {
                    self.result(id, parts, *is_error)?;
                }
                Part::ToolCall { .. } => self.lose("tool_calls"),
                _ => content.extend(self.block(part)?),
            }
        }
        if content.is_empty() && !message.parts.is_empty() {
            return Ok(());
        }
        let role = if message.role == Role::System {
            self.show();
            "system"
        } else {
            content.splice(0..0, std::mem::take(&mut self.shown));
            "user"
        };
        let mut wire = json!({"role": role, "content": joined(content, "\n")});
        named(&mut wire, message);
        self.out.push(wire);
        Ok(())
    }

    fn assistant(&mut self, message: &Message) -> Result<(), Error> {
        self.show();
        let (mut content, mut calls) = (Vec::new(), Vec::new());
        let (mut reasoning, mut refusal, mut audio) = (String::new(), None::<String>, None);
        for part in &message.parts {
            match part {
                Part::ToolCall {
                    id,
                    name,
                    arguments,
                    signature,
                } => {
                    let name = self.names.sent(name);
                    let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
                    if let Some(signature) = signature {
                        signed(&mut call, signature);
                    }
                    calls.push(call);
                }
                Part::Thinking { text, signature } => {
                    reasoning.push_str(text);
                    if signature.is_some() {
                        self.lose("thinking.signature");
                    }
                }
                Part::Redacted(_) => self.lose("redacted_thinking"),
                Part::Refusal(text) => refusal.get_or_insert_default().push_str(text),
                Part::ToolResult { .. } => self.lose("tool_result"),
                Part::Opaque { .. } => {
                    if let Some(mut block) = self.block(part)? {
                        match block.get("type").and_then(Value::as_str) {
                            Some("audio") => audio = block.get_mut("audio").map(Value::take),
                            _ => content.push(block),
                        }
                    }
                }
                Part::Image { .. } => return Err(unsupported("an image of the assistant's")),
                Part::Audio { .. } => return Err(unsupported("audio of the assistant's")),
                Part::File { .. } => return Err(unsupported("a file of the assistant's")),
                Part::Text(_) => content.extend(self.block(part)?),
            }
        }
        let other = !calls.is_empty() || refusal.is_some() || audio.is_some();
        if content.is_empty() && !other && !message.parts.is_empty() {
            // Nothing but reasoning, which is no turn of its own.
            if !reasoning.is_empty() {
                self.lose("thinking");
            }
            return Ok(());
        }
        let content = match joined(content, "") {
            Value::String(text) if text.is_empty() && other => Value::Null,
            content => content,
        };
        let mut wire = json!({"role": "assistant", "content": content});
        named(&mut wire, message);
        if !reasoning.is_empty() {
            // DeepSeek, Moonshot and others want it back with tool calls: https://api-docs.deepseek.com/guides/thinking_mode.
            put(&mut wire, "reasoning_content", reasoning);
        }
        if let Some(refusal) = refusal {
            put(&mut wire, "refusal", refusal);
        }
        if let Some(audio) = audio {
            put(&mut wire, "audio", audio);
        }
        if !calls.is_empty() {
            put(&mut wire, "tool_calls", calls);
        }
        self.out.push(wire);
        Ok(())
    }

    /// A tool message holds text alone: <https://platform.openai.com/docs/api-reference/chat/create>.
    fn result(&mut self, id: &str, parts: &[Part], is_error: bool) -> Result<(), Error> {
        let (mut texts, mut shown) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(_) => texts.extend(self.block(part)?),
                _ => shown.extend(self.block(part)?),
            }
        }
        let mut text = match joined(texts, "\n") {
            Value::String(text) => text,
            other => other.to_string(),
        };
        if text.is_empty() && !shown.is_empty() {
            text.push_str("The result follows in the next message of the user.");
        }
        // There is no flag for it.
        let told = text
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("error"));
        if is_error && !told {
            text.insert_str(0, if text.is_empty() { "Error" } else { "Error: " });
        }
        self.out
            .push(json!({"role": "tool", "tool_call_id": id, "content": text}));
        if !shown.is_empty() {
            let label = format!("Result of the tool call {id}:");
            self.shown.push(json!({"type": "text", "text": label}));
            self.shown.extend(shown);
        }
        Ok(())
    }

    /// Writes what tools have shown, unless the user goes on at once.
    fn show(&mut self) {
        if !self.shown.is_empty() {
            let content = std::mem::take(&mut self.shown);
            self.out.push(json!({"role": "user", "content": content}));
        }
    }

    fn block(&mut self, part: &Part) -> Result<Option<Value>, Error> {
        Ok(Some(match part {
            Part::Text(text) => json!({"type": "text", "text": text}),
            Part::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            Part::Image { source, detail } => {
                if matches!(source, Media::Id(_)) {
                    return Err(unsupported("an image by its file's id"));
                }
                let mut image = json!({"url": url(source)});
                if let Some(detail) = detail {
                    put(&mut image, "detail", detail.as_str());
                }
                json!({"type": "image_url", "image_url": image})
            }
            Part::Audio { data, format } => {
                json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
            }
            Part::File { name, source } => {
                let mut file = match source {
                    Media::Id(id) => json!({"file_id": id}),
                    _ => json!({"file_data": url(source)}),
                };
                if let Some(name) = name {
                    put(&mut file, "filename", name.as_str());
                }
                json!({"type": "file", "file": file})
            }
            Part::Opaque {
                from: Format::OpenAi,
                json,
            } => serde_json::from_str(json.get())?,
            Part::Opaque { json, .. } => {
                let block: Value = serde_json::from_str(json.get()).unwrap_or_default();
                let kind = block
                    .get("type")
                    .and_then(Value::as_str)
                    .unwrap_or("unknown");
                self.lose(&format!("content.{kind}"));
                return Ok(None);
            }
            Part::Thinking { .. } => {
                self.lose("thinking");
                return Ok(None);
            }
            Part::Redacted(_) => {
                self.lose("redacted_thinking");
                return Ok(None);
            }
            Part::ToolCall { .. } | Part::ToolResult { .. } => {
                self.lose("tool_calls");
                return Ok(None);
            }
        }))
    }

    fn lose(&mut self, what: &str) {
        lose(self.lost, Loss::dropped(what));
    }
}

fn named(wire: &mut Value, message: &Message) {
    if let Some(name) = &message.name {
        put(wire, "name", name.as_str());
    }
}

/// Texts alone are written as one string: many servers take no list, and those that do join it.
fn joined(blocks: Vec<Value>, between: &str) -> Value {
    let text = |block: &Value| match block.get("type")?.as_str()? {
        "text" => block.get("text")?.as_str().map(str::to_owned),
        _ => None,
    };
    match blocks.iter().map(text).collect::<Option<Vec<_>>>() {
        Some(texts) => texts.join(between).into(),
        None => blocks.into(),
    }
}

pub(in crate::dialect) fn url(source: &Media) -> String {
    match source {
        Media::Url(url) => url.clone(),
        Media::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Media::Id(id) => id.clone(),
    }
}
