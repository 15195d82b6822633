//! Items written.

use serde_json::{Value, json};

use super::content;
use crate::{
    dialect::{Error, Loss, openai_chat::Names, openai_responses::seal},
    llm::{Format, Message, Part, Role},
};

/// Writes a conversation.
pub(in crate::dialect::openai_responses) fn encode(
    messages: &[Message],
    names: &Names,
    lost: &mut Vec<Loss>,
) -> Result<Vec<Value>, Error> {
    let mut writer = Writer {
        names,
        lost,
        out: Vec::with_capacity(messages.len()),
    };
    for message in messages {
        if message.name.is_some() {
            writer.lose("name");
        }
        match message.role {
            Role::Assistant => writer.assistant(message)?,
            Role::User => writer.other("user", message)?,
            Role::System => writer.other("system", message)?,
        }
    }
    Ok(writer.out)
}

struct Writer<'a> {
    names: &'a Names,
    lost: &'a mut Vec<Loss>,
    out: Vec<Value>,
}

impl Writer<'_> {
    fn other(&mut self, role: &str, message: &Message) -> Result<(), Error> {
        let mut said = Vec::new();
        for part in &message.parts {
            match part {
                Part::ToolResult {
                    id,
                    parts,
                    is_error,
                } => {
                    self.message(role, &mut said);
                    self.result(id, parts, *is_error)?;
                }
                Part::Opaque { .. } => {
                    if let Some(json) = self.own(part)? {
                        said.push(json);
                    }
                }
                _ => match content::encode(part) {
                    Some(json) => said.push(json),
                    None => self.lose("content"),
                },
            }
        }
        self.message(role, &mut said);
        Ok(())
    }

    /// Writes what was said so far.
    fn message(&mut self, role: &str, said: &mut Vec<Value>) {
        if !said.is_empty() {
            let content = std::mem::take(said);
            self.out
                .push(json!({"type": "message", "role": role, "content": content}));
        }
    }

    /// A result is a text, or a list where there is more to it.
    fn result(&mut self, id: &str, parts: &[Part], is_error: bool) -> Result<(), Error> {
        let mut list = Vec::new();
        let mut texts = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => texts.push(text.as_str()),
                Part::Opaque { .. } => {
                    list.extend(self.own(part)?);
                    continue;
                }
                _ => {}
            }
            match content::encode(part) {
                Some(json) => list.push(json),
                None => self.lose("content"),
            }
        }
        // There is no flag for it.
        let told = texts.first().is_some_and(|text| {
            text.get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case("error"))
        });
        let output = if texts.len() == list.len() {
            let text = texts.join("\n");
            let mark = match (is_error && !told, text.is_empty()) {
                (false, _) => "",
                (true, true) => "Error",
                (true, false) => "Error: ",
            };
            Value::from(format!("{mark}{text}"))
        } else {
            if is_error && !told {
                list.insert(0, json!({"type": "input_text", "text": "Error:"}));
            }
            list.into()
        };
        self.out
            .push(json!({"type": "function_call_output", "call_id": id, "output": output}));
        Ok(())
    }

    fn assistant(&mut self, message: &Message) -> Result<(), Error> {
        let mut said = Vec::new();
        for part in &message.parts {
            match part {
                // An empty text beside calls stands for none.
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => {
                    said.push(json!({"type": "output_text", "text": text, "annotations": []}));
                }
                Part::Refusal(text) => said.push(json!({"type": "refusal", "refusal": text})),
                other => {
                    self.message("assistant", &mut said);
                    self.made(other)?;
                }
            }
        }
        self.message("assistant", &mut said);
        Ok(())
    }

    /// What else the model made.
    fn made(&mut self, part: &Part) -> Result<(), Error> {
        let unsupported = |what: &str| {
            Err(Error::Unsupported {
                what: format!("{what} of the assistant's"),
            })
        };
        match part {
            Part::Thinking { text, signature } => {
                let own = signature.as_deref().and_then(seal::own);
                let Some((id, content)) = own else {
                    // Another provider's: it is no use here, and a forged item is refused.
                    self.lose("thinking");
                    return Ok(());
                };
                let summary = Some(text).filter(|text| !text.is_empty());
                let summary = summary.map(|text| json!({"type": "summary_text", "text": text}));
                let summary: Vec<Value> = summary.into_iter().collect();
                self.out.push(json!({"type": "reasoning", "id": id, "summary": summary, "encrypted_content": content}));
            }
            Part::Redacted(_) => self.lose("redacted_thinking"),
            Part::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if signature.is_some() {
                    self.lose("thinking.signature");
                }
                let name = self.names.sent(name);
                self.out.push(json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments}));
            }
            Part::Opaque { .. } => {
                let own = self.own(part)?;
                self.out.extend(own);
            }
            Part::Image { .. } => return unsupported("an image"),
            Part::Audio { .. } => return unsupported("audio"),
            Part::File { .. } => return unsupported("a file"),
            Part::ToolResult { .. } => self.lose("tool_result"),
            Part::Text(_) | Part::Refusal(_) => {}
        }
        Ok(())
    }

    /// What only OpenAI knows, as it came.
    fn own(&mut self, part: &Part) -> Result<Option<Value>, Error> {
        let Part::Opaque { from, json } = part else {
            return Ok(None);
        };
        let value: Value = serde_json::from_str(json.get())?;
        if *from == Format::Responses {
            return Ok(Some(value));
        }
        let kind = value.get("type").and_then(Value::as_str);
        self.lose(&format!("content.{}", kind.unwrap_or("unknown")));
        Ok(None)
    }

    fn lose(&mut self, what: &str) {
        let loss = Loss::dropped(what);
        if !self.lost.contains(&loss) {
            self.lost.push(loss);
        }
    }
}
