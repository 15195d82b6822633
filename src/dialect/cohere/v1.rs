//! v1's requests: chat (<https://docs.cohere.com/v1/reference/chat>) and completions (<https://docs.cohere.com/v1/reference/generate>).
//!
//! Chat's last message is `message`, those before it are `chat_history`, which has texts alone. Instructions go there as the user's, which
//! is Kong's way. Tools are v2's: v1's have neither ids nor schemas; of its own clients they are read all the same.

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Api, each,
    request::{arguments, model, object, refused, stream},
    sampling::{self, lose},
    string,
};
use crate::{
    dialect::{Encoded, Error, Loss, Restore},
    llm::{ChatRequest, Message, OutputFormat, Part, Role, Tool},
};

/// What v1 cannot carry, with the way out.
fn only_v2(what: &str) -> Error {
    Error::Unsupported {
        what: format!(
            "{what} through /v1/chat; `upstream_path = \"/v2/chat\"` selects the API that can"
        ),
    }
}

/// Writes a chat request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    if !request.tools.is_empty() {
        return Err(only_v2("tools"));
    }
    let mut fields = Map::new();
    let mut lost = sampling::write(request, Api::V1, &mut fields)?;
    let mut turns = Vec::new();
    let (last, earlier) = match request.messages.split_last() {
        Some((last, earlier)) => (Some(last), earlier),
        None => (None, Default::default()),
    };
    for message in earlier {
        let text = text(message, &mut lost)?;
        if text.is_empty() {
            // `all elements in history must have a message`
            continue;
        }
        turns.push(json!({"role": role(message.role), "message": text}));
    }
    if request.messages.iter().any(|m| m.role == Role::System) {
        lose(&mut lost, changed("system"));
    }
    let message = match last {
        Some(last) => {
            if last.role == Role::Assistant {
                lose(&mut lost, changed("assistant"));
            }
            text(last, &mut lost)?
        }
        None => String::new(),
    };
    fields.insert("message".into(), message.into());
    if !turns.is_empty() {
        fields.insert("chat_history".into(), turns.into());
    }
    if let Some(format) = sampling::output(&request.output, Api::V1) {
        fields.insert("response_format".into(), format);
    }
    unreasoned(request, &mut lost);
    Ok(encoded(fields, lost))
}

/// A role that goes out as the user's.
fn changed(role: &str) -> Loss {
    Loss {
        how: "changed",
        what: role.into(),
    }
}

fn encoded(fields: Map<String, Value>, lost: Vec<Loss>) -> Encoded {
    Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: Restore::default(),
    }
}

fn unreasoned(request: &ChatRequest, lost: &mut Vec<Loss>) {
    match (&request.reasoning.effort, request.reasoning.budget) {
        (_, Some(budget)) if budget > 0 => lose(lost, Loss::dropped("thinking")),
        (Some(effort), None) if effort != "none" => lose(lost, Loss::dropped("reasoning_effort")),
        _ => {}
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Assistant => "CHATBOT",
        Role::User | Role::System => "USER",
    }
}

/// A message's text: all that v1 has.
fn text(message: &Message, lost: &mut Vec<Loss>) -> Result<String, Error> {
    let mut texts = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) if !text.is_empty() => texts.push(&**text),
            Part::Image { .. } => return Err(only_v2("image")),
            Part::ToolCall { .. } | Part::ToolResult { .. } => return Err(only_v2("tools")),
            other => refused(other, lost)?,
        }
    }
    Ok(texts.join("\n"))
}

/// Writes a request for a completion.
pub(super) fn encode_generate(request: &ChatRequest) -> Result<Encoded, Error> {
    let mut fields = Map::new();
    let mut lost = sampling::write(request, Api::Generate, &mut fields)?;
    let mut prompt = String::new();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        let Part::Text(text) = part else {
            return Err(Error::Unsupported {
                what: "anything but text in a completion".into(),
            });
        };
        prompt.push_str(text);
    }
    if !request.tools.is_empty() {
        return Err(Error::Unsupported {
            what: "tools in a completion".into(),
        });
    }
    fields.insert("prompt".into(), prompt.into());
    if let Some(n) = request.sampling.n.filter(|n| *n > 1) {
        fields.insert("num_generations".into(), n.into());
    }
    if !matches!(request.output, OutputFormat::Text) {
        return Err(Error::Unsupported {
            what: "a JSON schema in a completion".into(),
        });
    }
    unreasoned(request, &mut lost);
    Ok(encoded(fields, lost))
}

/// Reads a request for a completion.
pub(super) fn decode_generate(body: &[u8]) -> Result<ChatRequest, Error> {
    let mut fields = object(body)?;
    let prompt = fields.remove("prompt");
    let messages = prompt
        .as_ref()
        .and_then(Value::as_str)
        .map(|prompt| Message::text(Role::User, prompt));
    Ok(ChatRequest {
        model: model(&mut fields),
        stream: stream(&mut fields),
        stream_usage: true,
        messages: messages.into_iter().collect(),
        sampling: sampling::read(&mut fields),
        extra: sampling::rest(fields),
        ..ChatRequest::default()
    })
}

/// Reads a chat request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let mut fields = object(body)?;
    let mut history = History::default();
    if let Some(Value::String(preamble)) = fields.remove("preamble") {
        history.push(Role::System, vec![Part::Text(preamble)]);
    }
    if let Some(Value::Array(turns)) = fields.remove("chat_history") {
        for (index, turn) in turns.iter().enumerate() {
            history
                .turn(turn)
                .map_err(|why| Error::Malformed(format!("chat_history[{index}]: {why}")))?;
        }
    }
    if let Some(Value::String(message)) = fields.remove("message")
        && !message.is_empty()
    {
        history.push(Role::User, vec![Part::Text(message)]);
    }
    history.results(fields.remove("tool_results").as_ref());
    let tools = fields.remove("tools");
    let format = fields.remove("response_format");
    Ok(ChatRequest {
        model: model(&mut fields),
        stream: stream(&mut fields),
        stream_usage: true,
        messages: history.messages,
        tools: each(tools.as_ref()).iter().map(tool).collect(),
        output: sampling::read_output(format.as_ref()),
        sampling: sampling::read(&mut fields),
        extra: sampling::rest(fields),
        ..ChatRequest::default()
    })
}

/// The conversation so far. v1's calls have no ids: they are numbered, and a result belongs to the first open call that equals its own.
#[derive(Default)]
struct History {
    messages: Vec<Message>,
    /// Calls without a result yet: id, name, arguments.
    open: Vec<(String, String, String)>,
    calls: usize,
}

impl History {
    fn push(&mut self, role: Role, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.messages.push(Message {
                role,
                name: None,
                parts,
            });
        }
    }

    fn turn(&mut self, wire: &Value) -> Result<(), String> {
        let mut parts = Vec::new();
        let text = string(wire, "message");
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        // Upper case in the documentation, `User` and so on in older clients.
        let role = match string(wire, "role").to_ascii_uppercase().as_str() {
            "USER" => Role::User,
            "SYSTEM" => Role::System,
            "CHATBOT" => {
                for call in each(wire.get("tool_calls")) {
                    parts.push(self.call(call));
                }
                Role::Assistant
            }
            "TOOL" => {
                self.results(wire.get("tool_results"));
                return Ok(());
            }
            other => {
                return Err(format!(
                    "unknown role `{}`",
                    other.chars().take(40).collect::<String>()
                ));
            }
        };
        self.push(role, parts);
        Ok(())
    }

    fn call(&mut self, wire: &Value) -> Part {
        let id = format!("call_{}", self.calls);
        self.calls += 1;
        let (name, arguments) = (string(wire, "name"), arguments(wire.get("parameters")));
        self.open.push((id.clone(), name.into(), arguments.clone()));
        Part::ToolCall {
            id,
            name: name.into(),
            arguments,
            signature: None,
        }
    }

    fn results(&mut self, wire: Option<&Value>) {
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for result in each(wire) {
            let call = result.get("call").unwrap_or(&Value::Null);
            let key = (string(call, "name"), arguments(call.get("parameters")));
            let same = |(_, name, arguments): &(String, String, String)| {
                (name.as_str(), arguments) == (key.0, &key.1)
            };
            // In one step alone, the client sends results of calls that the history does not hold.
            if !self.open.iter().any(same) {
                let part = self.call(call);
                calls.push(part);
            }
            let Some(at) = self.open.iter().position(same) else {
                continue;
            };
            let outputs = result.get("outputs").unwrap_or(&Value::Null);
            results.push(Part::ToolResult {
                id: self.open.remove(at).0,
                parts: vec![Part::Text(outputs.to_string())],
                is_error: false,
            });
        }
        self.push(Role::Assistant, calls);
        self.push(Role::User, results);
    }
}

/// One of v1's tools: `parameter_definitions` in the words of Python's types.
fn tool(wire: &Value) -> Tool {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let definitions = wire.get("parameter_definitions").and_then(Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        let mut property = kind(string(definition, "type"));
        let description = string(definition, "description");
        if !description.is_empty() {
            crate::dialect::put(&mut property, "description", description);
        }
        properties.insert(name.clone(), property);
        if definition.get("required").and_then(Value::as_bool) == Some(true) {
            required.push(name.as_str());
        }
    }
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Tool {
        name: string(wire, "name").into(),
        description: wire
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        parameters: RawValue::from_string(schema.to_string()).ok(),
        strict: None,
    }
}

/// A type of Python's as JSON schema; none for one that is not known.
fn kind(python: &str) -> Value {
    let lower = python.trim().to_ascii_lowercase();
    let (outer, inner) = match lower.split_once('[') {
        Some((outer, inner)) => (outer, inner.strip_suffix(']')),
        None => (lower.as_str(), None),
    };
    match outer {
        "str" | "string" => json!({"type": "string"}),
        "int" | "integer" => json!({"type": "integer"}),
        "float" | "number" => json!({"type": "number"}),
        "bool" | "boolean" => json!({"type": "boolean"}),
        "list" | "array" => match inner {
            Some(inner) => json!({"type": "array", "items": kind(inner)}),
            None => json!({"type": "array"}),
        },
        "dict" | "object" => json!({"type": "object"}),
        _ => json!({}),
    }
}
