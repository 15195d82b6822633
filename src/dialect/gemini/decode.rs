//! Requests, read. Lenient as Google is: both spellings of names, one part without its list, old roles.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    config, response, schema,
    wire::{self, FunctionResponse},
};
use crate::{
    dialect::Error,
    llm::{ChatRequest, Extra, Format, Message, Part, Role, Tool, ToolChoice},
};

/// Takes a field out by its name in camel case or in snake case.
pub(super) fn take(fields: &mut Map<String, Value>, key: &str) -> Option<Value> {
    let value = fields
        .shift_remove(key)
        .or_else(|| fields.shift_remove(&snake(key)));
    value.filter(|value| !value.is_null())
}

fn snake(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[derive(Deserialize)]
struct Contents<'a> {
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow, alias = "systemInstruction")]
    system_instruction: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    role: Option<String>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

/// Reads a request. Model and stream stand in the URL: whoever knows it sets them.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let contents: Contents<'_> = serde_json::from_slice(body)?;
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    for key in ["contents", "systemInstruction"] {
        take(&mut fields, key);
    }
    let mut request = ChatRequest {
        // Google always tells the usage.
        stream_usage: true,
        model: take(&mut fields, "model")
            .as_ref()
            .and_then(Value::as_str)
            .map(|model| model.trim_start_matches("models/").to_owned()),
        ..ChatRequest::default()
    };
    if let Some(system) = contents.system_instruction {
        let parts = if system.get().starts_with('"') {
            vec![Part::Text(serde_json::from_str(system.get())?)]
        } else {
            let content: Content<'_> = serde_json::from_str(system.get())?;
            parts(content.parts, &mut Calls::default(), false)?
        };
        request.messages.push(Message {
            role: Role::System,
            name: None,
            parts,
        });
    }
    let mut calls = Calls::default();
    for (index, content) in listed(contents.contents)?.into_iter().enumerate() {
        let message = message(content, &mut calls)
            .map_err(|why| Error::Malformed(format!("contents[{index}]: {why}")))?;
        request.messages.push(message);
    }
    let mut extra = Map::new();
    if let Some(Value::Object(mut own)) = take(&mut fields, "generationConfig") {
        config::decode(&mut own, &mut request);
        if !own.is_empty() {
            extra.insert("generationConfig".into(), own.into());
        }
    }
    tools(&mut fields, &mut request, &mut extra);
    tool_config(&mut fields, &mut request, &mut extra);
    extra.extend(fields);
    if !extra.is_empty() {
        request.extra = Some(Extra {
            from: Format::Gemini,
            fields: extra,
        });
    }
    Ok(request)
}

/// A list, or the one element that should stand in it.
fn listed(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, Error> {
    Ok(match raw {
        None => Vec::new(),
        Some(raw) if raw.get() == "null" => Vec::new(),
        Some(raw) if raw.get().starts_with('[') => serde_json::from_str(raw.get())?,
        Some(raw) => vec![raw],
    })
}

/// Calls that came without an id, oldest first: their results find them by name and order.
#[derive(Default)]
struct Calls {
    waiting: VecDeque<(String, String)>,
    number: u32,
}

impl Calls {
    fn called(&mut self, name: &str) -> String {
        self.number += 1;
        let id = super::ids::made("", 0, self.number, name, "");
        self.waiting.push_back((name.to_owned(), id.clone()));
        id
    }

    fn answered(&mut self, name: &str) -> String {
        let place = self.waiting.iter().position(|(known, _)| known == name);
        place
            .and_then(|place| self.waiting.remove(place))
            .map_or_else(|| name.to_owned(), |(_, id)| id)
    }
}

fn message(content: &RawValue, calls: &mut Calls) -> Result<Message, Error> {
    let content: Content<'_> = serde_json::from_str(content.get())?;
    let role = match content.role.as_deref().unwrap_or("user") {
        "user" | "function" | "tool" => Role::User,
        "model" | "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            return Err(Error::Malformed(format!(
                "unknown role `{}`",
                other.chars().take(40).collect::<String>()
            )));
        }
    };
    Ok(Message {
        role,
        name: None,
        parts: parts(content.parts, calls, role == Role::Assistant)?,
    })
}

fn parts(raw: Option<&RawValue>, calls: &mut Calls, assistant: bool) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for raw in listed(raw)? {
        let wire: wire::Part<'_> = serde_json::from_str(raw.get())?;
        if let Some(result) = wire.function_response {
            parts.push(result_part(result, calls)?);
        } else if let Some(call) = &wire.function_call {
            let name = call.name.clone().or_empty().into_owned();
            let id = match call.id.clone().filled() {
                Some(id) => id.into_owned(),
                None => calls.called(&name),
            };
            parts.push(Part::ToolCall {
                id,
                name,
                arguments: call.arguments().to_owned(),
                signature: wire.thought_signature.filled().map(Into::into),
            });
        } else if !response::part(wire, &mut parts, assistant) {
            parts.push(Part::Opaque {
                from: Format::Gemini,
                json: raw.to_owned(),
            });
        }
    }
    Ok(parts)
}

fn result_part(result: FunctionResponse<'_>, calls: &mut Calls) -> Result<Part, Error> {
    let name = result.name.or_empty();
    let id = match result.id.filled() {
        Some(id) => id.into_owned(),
        None => calls.answered(&name),
    };
    let mut parts = Vec::new();
    let mut is_error = false;
    if let Some(response) = result.response {
        let fields: Map<String, Value> = serde_json::from_str(response.get()).unwrap_or_default();
        let only = (fields.len() == 1).then(|| fields.iter().next()).flatten();
        let text = match only {
            Some((key, Value::String(text))) if matches!(&**key, "result" | "output" | "error") => {
                is_error = key == "error";
                text.clone()
            }
            Some((key, value)) if key == "error" => {
                is_error = true;
                value.to_string()
            }
            _ => response.get().to_owned(),
        };
        parts.push(Part::Text(text));
    }
    for part in result.parts.into_iter().flatten() {
        response::part(part, &mut parts, false);
    }
    Ok(Part::ToolResult {
        id,
        parts,
        is_error,
    })
}

/// Functions become tools; those that Google itself runs stay for Google.
fn tools(
    fields: &mut Map<String, Value>,
    request: &mut ChatRequest,
    extra: &mut Map<String, Value>,
) {
    let tools = match take(fields, "tools") {
        Some(Value::Array(tools)) => tools,
        Some(tool @ Value::Object(_)) => vec![tool],
        _ => return,
    };
    let mut others = Vec::new();
    for tool in tools {
        let Value::Object(mut tool) = tool else {
            continue;
        };
        if let Some(Value::Array(declarations)) = take(&mut tool, "functionDeclarations") {
            request
                .tools
                .extend(declarations.into_iter().filter_map(declaration));
        }
        if !tool.is_empty() {
            others.push(Value::Object(tool));
        }
    }
    if !others.is_empty() {
        extra.insert("tools".into(), others.into());
    }
}

fn declaration(wire: Value) -> Option<Tool> {
    let Value::Object(mut fields) = wire else {
        return None;
    };
    let text = |value: Option<Value>| match value? {
        Value::String(text) => Some(text),
        _ => None,
    };
    let parameters = take(&mut fields, "parameters").map(schema::standard);
    let parameters = parameters
        .or_else(|| take(&mut fields, "parametersJsonSchema"))
        .unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    Some(Tool {
        name: text(fields.shift_remove("name"))?,
        description: text(fields.shift_remove("description")),
        parameters: to_raw_value(&parameters).ok(),
        strict: None,
    })
}

fn tool_config(
    fields: &mut Map<String, Value>,
    request: &mut ChatRequest,
    extra: &mut Map<String, Value>,
) {
    let Some(Value::Object(mut config)) = take(fields, "toolConfig") else {
        return;
    };
    if let Some(Value::Object(mut calling)) = take(&mut config, "functionCallingConfig") {
        let allowed: Vec<String> = take(&mut calling, "allowedFunctionNames")
            .and_then(|names| serde_json::from_value(names).ok())
            .unwrap_or_default();
        let mode = take(&mut calling, "mode");
        let mode = mode.as_ref().and_then(Value::as_str).unwrap_or_default();
        request.tool_choice = match mode.to_ascii_uppercase().as_str() {
            "AUTO" | "VALIDATED" => Some(ToolChoice::Auto),
            "NONE" => Some(ToolChoice::None),
            "ANY" => Some(match allowed.as_slice() {
                [name] => ToolChoice::Named(name.clone()),
                _ => ToolChoice::Required,
            }),
            _ => None,
        };
        if allowed.len() > 1 {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
    }
    if !config.is_empty() {
        extra.insert("toolConfig".into(), config.into());
    }
}
