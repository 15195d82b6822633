//! Items read: a list of them becomes messages, what the model made in one turn one message.

use serde_json::{Map, Value, value::RawValue};

use super::{Rest, content, malformed, text};
use crate::{
    dialect::{
        Error,
        openai_responses::{
            seal::{self, Sealed},
            tools,
        },
    },
    llm::{Format, Message, Part, Role},
};

/// Items so far.
#[derive(Default)]
struct Reader {
    messages: Vec<Message>,
    /// Ids of the items, for references to them.
    ids: Vec<String>,
    /// Proofs of calls that have not come yet.
    proofs: Vec<(String, String)>,
}

/// Reads a list of items after `messages`.
pub(in crate::dialect::openai_responses) fn decode(
    items: Vec<Value>,
    messages: &mut Vec<Message>,
    rest: &mut Rest,
) -> Result<(), Error> {
    let mut reader = Reader::default();
    for (index, item) in items.into_iter().enumerate() {
        let Value::Object(item) = item else {
            return Err(malformed(format!("input[{index}]: an item is no object")));
        };
        reader.item(item, rest).map_err(|error| match error {
            Error::Malformed(why) => malformed(format!("input[{index}]: {why}")),
            other => other,
        })?;
    }
    messages.append(&mut reader.messages);
    Ok(())
}

impl Reader {
    fn item(&mut self, mut item: Map<String, Value>, rest: &mut Rest) -> Result<(), Error> {
        let kind = item.get("type").and_then(Value::as_str);
        let kind = match kind {
            Some(kind) => kind.to_owned(),
            None if item.contains_key("role") => "message".into(),
            None => "item_reference".into(),
        };
        let id = item.get("id").and_then(Value::as_str).map(str::to_owned);
        match kind.as_str() {
            "message" => self.message(&mut item, rest)?,
            "reasoning" => self.reasoning(item)?,
            "function_call" | "custom_tool_call" => self.call(&kind, &mut item, rest),
            "function_call_output" | "custom_tool_call_output" => {
                self.result(&mut item, rest)?;
            }
            // Searches of the client's own have an id, for their results to refer to.
            "tool_search_call" if item.get("call_id").is_some_and(Value::is_string) => {
                item.shift_remove("execution");
                item.insert("name".into(), tools::SEARCH.into());
                self.call(&kind, &mut item, rest);
            }
            "tool_search_output" if item.get("call_id").is_some_and(Value::is_string) => {
                item.shift_remove("execution");
                let found = item.shift_remove("tools");
                let found = found.as_ref().and_then(Value::as_array);
                let text = tools::found(found.map_or(&[], Vec::as_slice));
                item.insert("output".into(), text.into());
                self.result(&mut item, rest)?;
            }
            // Taken with the other tools.
            tools::BROUGHT => {}
            "item_reference" => self.reference(id.as_deref())?,
            // The conversation itself, for OpenAI's eyes alone.
            "compaction" | "compaction_summary" => {
                return Err(Error::Unsupported {
                    what: format!("an item of type `{kind}`"),
                });
            }
            _ => self.opaque(&Value::Object(item))?,
        }
        self.ids.extend(id);
        Ok(())
    }

    fn message(&mut self, item: &mut Map<String, Value>, rest: &mut Rest) -> Result<(), Error> {
        let role = text(item, "role").unwrap_or_default();
        let mut parts = Vec::new();
        content::decode(item.shift_remove("content"), &mut parts, rest)?;
        rest.add("input", item);
        let role = match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => {
                // Texts of a turn stay apart, unless there are calls between them, whose results have to follow at once.
                let says = |part: &Part| matches!(part, Part::Text(_) | Part::Refusal(_));
                let calls = |part: &Part| matches!(part, Part::ToolCall { .. });
                let before = self.messages.last().map(|last| &last.parts);
                let apart = before
                    .is_some_and(|before| before.iter().any(says) && !before.iter().any(calls));
                if apart {
                    self.begin(parts);
                } else {
                    self.say(parts);
                }
                return Ok(());
            }
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(malformed(format!("unknown role `{other}`")));
            }
        };
        self.messages.push(Message {
            role,
            name: None,
            parts,
        });
        Ok(())
    }

    /// Adds to the assistant's message, or begins one.
    fn say(&mut self, mut parts: Vec<Part>) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.parts.append(&mut parts),
            _ => self.begin(parts),
        }
    }

    fn begin(&mut self, parts: Vec<Part>) {
        self.messages.push(Message {
            role: Role::Assistant,
            name: None,
            parts,
        });
    }

    /// Reasoning of an earlier turn. What is OpenAI's own stays whole, for OpenAI.
    fn reasoning(&mut self, item: Map<String, Value>) -> Result<(), Error> {
        let texts = |key: &str| {
            let all = item.get(key).and_then(Value::as_array);
            let all = all.into_iter().flatten();
            let texts: Vec<&str> = all.filter_map(|part| part.get("text")?.as_str()).collect();
            texts.join("\n\n")
        };
        let text = match texts("summary") {
            text if text.is_empty() => texts("content"),
            text => text,
        };
        let content = item.get("encrypted_content").and_then(Value::as_str);
        let part = match content
            .filter(|content| !content.is_empty())
            .map(seal::read)
        {
            None if text.is_empty() => return Ok(()),
            None => Part::Thinking {
                text,
                signature: None,
            },
            Some(Sealed::Thinking(signature)) => Part::Thinking {
                text,
                signature: Some(signature.to_owned()),
            },
            Some(Sealed::Redacted(data)) => Part::Redacted(data.to_owned()),
            Some(Sealed::Call { id, signature }) => {
                self.proof(id.to_owned(), signature.to_owned());
                return Ok(());
            }
            Some(Sealed::Own(_)) => return self.opaque(&Value::Object(item)),
        };
        self.say(vec![part]);
        Ok(())
    }

    /// The proof of a call, which stands before it or after.
    fn proof(&mut self, of: String, proof: String) {
        let parts = self.messages.iter_mut().rev().flat_map(|m| &mut m.parts);
        for part in parts {
            if let Part::ToolCall { id, signature, .. } = part
                && *id == of
            {
                *signature = Some(proof);
                return;
            }
        }
        self.proofs.push((of, proof));
    }

    fn call(&mut self, kind: &str, item: &mut Map<String, Value>, rest: &mut Rest) {
        let id = text(item, "call_id").unwrap_or_default();
        let name = text(item, "name").unwrap_or_default();
        let namespace = text(item, "namespace");
        let arguments = if kind == "custom_tool_call" {
            tools::arguments_of(&text(item, "input").unwrap_or_default())
        } else {
            match item.shift_remove("arguments") {
                Some(Value::String(text)) if !text.is_empty() => text,
                None | Some(Value::Null | Value::String(_)) => "{}".into(),
                // Some clients send the object itself.
                Some(other) => other.to_string(),
            }
        };
        rest.add("input", item);
        let proof = self.proofs.iter().position(|(of, _)| *of == id);
        let signature = proof.map(|at| self.proofs.swap_remove(at).1);
        self.say(vec![Part::ToolCall {
            id,
            name: tools::flat(namespace.as_deref(), &name),
            arguments,
            signature,
        }]);
    }

    /// Results that follow each other are one message, as the calls were.
    fn result(&mut self, item: &mut Map<String, Value>, rest: &mut Rest) -> Result<(), Error> {
        let id = text(item, "call_id").unwrap_or_default();
        let mut parts = Vec::new();
        match item.shift_remove("output") {
            // Some clients send what the tool gave, as it is.
            Some(output @ (Value::Object(_) | Value::Number(_) | Value::Bool(_))) => {
                parts.push(Part::Text(output.to_string()));
            }
            output => content::decode(output, &mut parts, rest)?,
        }
        rest.add("input", item);
        let result = Part::ToolResult {
            id,
            parts,
            is_error: false,
        };
        let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User && last.parts.iter().all(is_result) => {
                last.parts.push(result);
            }
            _ => self.messages.push(Message {
                role: Role::User,
                name: None,
                parts: vec![result],
            }),
        }
        Ok(())
    }

    /// An item that is named, not told.
    fn reference(&self, id: Option<&str>) -> Result<(), Error> {
        let id = id.unwrap_or_default();
        if self.ids.iter().any(|known| known == id) {
            return Ok(());
        }
        let id: String = id.chars().take(100).collect();
        Err(malformed(format!(
            "`item_reference` to `{id}`, which is not among the items before it and is not kept here: send the item itself"
        )))
    }

    /// An item that only OpenAI knows.
    fn opaque(&mut self, item: &Value) -> Result<(), Error> {
        let json = RawValue::from_string(item.to_string())?;
        self.say(vec![Part::Opaque {
            from: Format::Responses,
            json,
        }]);
        Ok(())
    }
}
