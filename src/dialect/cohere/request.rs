//! v2's chat requests: <https://docs.cohere.com/reference/chat>.
//!
//! The model's plan before its calls, `tool_plan`, is text: that is what Kong and OpenAI's clients see it as, and what they send back
//! beside the calls.

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};

use super::{Api, each, names::Names, sampling, string};
use crate::{
    dialect::{Encoded, Error, Loss, Restore, put},
    llm::{ChatRequest, Format, Media, Message, Part, ReasoningRequest, Role, Tool, ToolChoice},
};

use sampling::lose;

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let mut fields = Map::new();
    let mut lost = sampling::write(request, Api::V2, &mut fields)?;
    let names = Names::of(request);
    let mut messages = system(&request.messages, &mut lost)?;
    for message in &request.messages {
        match message.role {
            Role::System => {}
            Role::User => user(message, &mut messages, &mut lost)?,
            Role::Assistant => assistant(message, &names, &mut messages, &mut lost)?,
        }
    }
    fields.insert("messages".into(), messages.into());
    if !request.tools.is_empty() {
        tools(request, &names, &mut fields, &mut lost)?;
    }
    if let Some(format) = sampling::output(&request.output, Api::V2) {
        fields.insert("response_format".into(), format);
    }
    if let Some(thinking) = thinking(&request.reasoning, &mut lost) {
        fields.insert("thinking".into(), thinking);
    }
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: Restore {
            tools: names.changed(),
            answer_tool: None,
        },
    })
}

/// All instructions as one first message: `system turn must be the first in the list`.
fn system(messages: &[Message], lost: &mut Vec<Loss>) -> Result<Vec<Value>, Error> {
    let mut texts = Vec::new();
    for message in messages.iter().filter(|m| m.role == Role::System) {
        for part in &message.parts {
            match part {
                Part::Text(text) | Part::Refusal(text) if !text.is_empty() => texts.push(&**text),
                Part::Text(_) | Part::Refusal(_) => {}
                other => refused(other, lost)?,
            }
        }
    }
    Ok(if texts.is_empty() {
        Vec::new()
    } else {
        vec![json!({"role": "system", "content": texts.join("\n\n")})]
    })
}

/// A part that has no place: an error if it is content, a loss if it is a proof or another format's own.
pub(super) fn refused(part: &Part, lost: &mut Vec<Loss>) -> Result<(), Error> {
    let what = match part {
        Part::Image { .. } => "image",
        Part::Audio { .. } => "audio",
        Part::File { .. } => "file",
        Part::ToolCall { .. } => "tool call of another than the assistant",
        Part::ToolResult { .. } => "tool result of another than the user",
        Part::Thinking { .. } => {
            lose(lost, Loss::dropped("reasoning_content"));
            return Ok(());
        }
        Part::Redacted(_) => {
            lose(lost, Loss::dropped("redacted_thinking"));
            return Ok(());
        }
        Part::Opaque { json, .. } => {
            let block: Value = serde_json::from_str(json.get()).unwrap_or_default();
            let kind = match string(&block, "type") {
                "" => "content",
                kind => kind,
            };
            lose(lost, Loss::dropped(kind));
            return Ok(());
        }
        Part::Text(_) | Part::Refusal(_) => return Ok(()),
    };
    Err(Error::Unsupported { what: what.into() })
}

/// A user's message; each tool result in it becomes one of its own, before it.
fn user(message: &Message, out: &mut Vec<Value>, lost: &mut Vec<Loss>) -> Result<(), Error> {
    let mut blocks = Vec::new();
    let mut results = false;
    for part in &message.parts {
        if let Part::ToolResult {
            id,
            parts,
            is_error,
        } = part
        {
            results = true;
            if *is_error {
                lose(lost, Loss::dropped("is_error"));
            }
            let mut content = Vec::new();
            for part in parts {
                match part {
                    Part::Image { .. } => {
                        return Err(Error::Unsupported {
                            what: "image in a tool result".into(),
                        });
                    }
                    _ => content.extend(block(part, lost)?),
                }
            }
            out.push(json!({"role": "tool", "tool_call_id": id, "content": joined(content)}));
        } else {
            blocks.extend(block(part, lost)?);
        }
    }
    if !blocks.is_empty() || !results {
        out.push(json!({"role": "user", "content": joined(blocks)}));
    }
    Ok(())
}

/// A content block; none for an empty text, which Cohere refuses.
fn block(part: &Part, lost: &mut Vec<Loss>) -> Result<Option<Value>, Error> {
    Ok(match part {
        Part::Text(text) | Part::Refusal(text) => {
            (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
        }
        Part::Image { source, detail } => {
            let url = match source {
                Media::Url(url) => url.clone(),
                Media::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
                Media::Id(_) => {
                    return Err(Error::Unsupported {
                        what: "image that was uploaded elsewhere".into(),
                    });
                }
            };
            let mut image = json!({"url": url});
            if let Some(detail) = detail {
                put(&mut image, "detail", detail.clone());
            }
            Some(json!({"type": "image_url", "image_url": image}))
        }
        Part::Opaque {
            from: Format::Cohere,
            json,
        } => serde_json::from_str(json.get()).ok(),
        other => {
            refused(other, lost)?;
            None
        }
    })
}

/// A single text is written as a string, nothing as an empty one.
fn joined(mut blocks: Vec<Value>) -> Value {
    match blocks.as_slice() {
        [] => "".into(),
        [block] if string(block, "type") == "text" => blocks
            .pop()
            .and_then(|mut block| block.get_mut("text").map(Value::take))
            .unwrap_or_default(),
        _ => blocks.into(),
    }
}

/// What the model said. Text beside calls is its plan; a turn without anything in it is left out.
fn assistant(
    message: &Message,
    names: &Names,
    out: &mut Vec<Value>,
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    let (mut content, mut calls, mut plan) = (Vec::new(), Vec::new(), Vec::new());
    let calling = message
        .parts
        .iter()
        .any(|part| matches!(part, Part::ToolCall { .. }));
    for part in &message.parts {
        match part {
            Part::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if signature.is_some() {
                    lose(lost, Loss::dropped("signature"));
                }
                let function = json!({"name": names.sent(name), "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            Part::Thinking { text, signature } => {
                if signature.is_some() {
                    lose(lost, Loss::dropped("signature"));
                }
                if !text.is_empty() {
                    content.push(json!({"type": "thinking", "thinking": text}));
                }
            }
            Part::Text(text) | Part::Refusal(text) if calling => {
                if !text.is_empty() {
                    plan.push(text.as_str());
                }
            }
            Part::Image { .. } => refused(part, lost)?,
            _ => content.extend(block(part, lost)?),
        }
    }
    let mut wire = json!({"role": "assistant"});
    if !content.is_empty() {
        put(&mut wire, "content", joined(content));
    }
    if !plan.is_empty() {
        put(&mut wire, "tool_plan", plan.join("\n\n"));
    }
    if !calls.is_empty() {
        put(&mut wire, "tool_calls", calls);
    }
    if wire.as_object().is_some_and(|fields| fields.len() > 1) {
        out.push(wire);
    }
    Ok(())
}

fn tools(
    request: &ChatRequest,
    names: &Names,
    fields: &mut Map<String, Value>,
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    let wire: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            let mut function = json!({"name": names.sent(&tool.name)});
            if let Some(description) = &tool.description {
                put(&mut function, "description", description.clone());
            }
            // Both are mandatory, so a tool without parameters has an empty schema.
            put(&mut function, "parameters", schema(tool));
            json!({"type": "function", "function": function})
        })
        .collect();
    fields.insert("tools".into(), wire.into());
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => None,
        Some(ToolChoice::None) => Some("NONE"),
        Some(ToolChoice::Required) => Some("REQUIRED"),
        // One tool and the duty to call one: the same.
        Some(ToolChoice::Named(name)) if matches!(request.tools.as_slice(), [only] if only.name == *name) => {
            Some("REQUIRED")
        }
        Some(ToolChoice::Named(_)) => {
            return Err(Error::Unsupported {
                what: "`tool_choice` naming one of several tools".into(),
            });
        }
    };
    if let Some(choice) = choice {
        fields.insert("tool_choice".into(), choice.into());
    }
    if request.parallel_tool_calls == Some(false) {
        lose(lost, Loss::dropped("parallel_tool_calls"));
    }
    // Strictness is for all tools or none, and needs a required parameter in each.
    if request.tools.iter().any(|tool| tool.strict == Some(true)) {
        if request.tools.iter().all(can_be_strict) {
            fields.insert("strict_tools".into(), true.into());
        } else {
            lose(lost, Loss::dropped("strict"));
        }
    }
    Ok(())
}

fn schema(tool: &Tool) -> Value {
    tool.parameters
        .as_ref()
        .and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({"type": "object", "properties": {}}))
}

fn can_be_strict(tool: &Tool) -> bool {
    let required = schema(tool)
        .get("required")
        .and_then(Value::as_array)
        .map(Vec::len);
    tool.strict == Some(true) && required.is_some_and(|required| required > 0)
}

/// `thinking`: <https://docs.cohere.com/docs/reasoning>. High efforts set no budget, as in Cohere's own endpoint for OpenAI's clients.
fn thinking(reasoning: &ReasoningRequest, lost: &mut Vec<Loss>) -> Option<Value> {
    if reasoning.is_unset() {
        return None;
    }
    let high = matches!(reasoning.effort.as_deref(), Some("high" | "xhigh" | "max"));
    Some(match (reasoning.budget, reasoning.tokens()) {
        (None, _) if high => json!({"type": "enabled"}),
        (_, Some(0)) => json!({"type": "disabled"}),
        (_, Some(tokens)) => json!({"type": "enabled", "token_budget": tokens}),
        (_, None) => {
            lose(lost, Loss::dropped("reasoning_effort"));
            return None;
        }
    })
}

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let mut fields = object(body)?;
    let mut messages = Vec::new();
    if let Some(Value::Array(wire)) = fields.remove("messages") {
        for (index, wire) in wire.iter().enumerate() {
            messages.push(
                message(wire)
                    .map_err(|why| Error::Malformed(format!("messages[{index}]: {why}")))?,
            );
        }
    }
    let strict = fields
        .remove("strict_tools")
        .as_ref()
        .and_then(Value::as_bool);
    let tools = fields.remove("tools");
    let choice = fields.remove("tool_choice");
    let thinking = fields.remove("thinking");
    let format = fields.remove("response_format");
    Ok(ChatRequest {
        model: model(&mut fields),
        stream: stream(&mut fields),
        stream_usage: true,
        messages,
        tools: each(tools.as_ref())
            .iter()
            .filter_map(|wire| tool(wire, strict))
            .collect(),
        tool_choice: match choice.as_ref().and_then(Value::as_str) {
            Some("REQUIRED") => Some(ToolChoice::Required),
            Some("NONE") => Some(ToolChoice::None),
            _ => None,
        },
        reasoning: thinking.as_ref().map(reasoning).unwrap_or_default(),
        output: sampling::read_output(format.as_ref()),
        sampling: sampling::read(&mut fields),
        extra: sampling::rest(fields),
        ..ChatRequest::default()
    })
}

/// The fields of a request.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(body)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::Malformed("the request is no JSON object".into())),
    }
}

/// Takes the model out.
pub(super) fn model(fields: &mut Map<String, Value>) -> Option<String> {
    match fields.remove("model") {
        Some(Value::String(model)) => Some(model),
        _ => None,
    }
}

/// Takes `stream` out.
pub(super) fn stream(fields: &mut Map<String, Value>) -> bool {
    fields.remove("stream").and_then(|stream| stream.as_bool()) == Some(true)
}

fn reasoning(wire: &Value) -> ReasoningRequest {
    let budget = wire.get("token_budget").and_then(Value::as_u64);
    match (string(wire, "type"), budget) {
        ("disabled", _) => ReasoningRequest {
            effort: None,
            budget: Some(0),
        },
        (_, Some(budget)) => ReasoningRequest {
            effort: None,
            budget: Some(budget),
        },
        _ => ReasoningRequest {
            effort: Some("high".into()),
            budget: None,
        },
    }
}

fn tool(wire: &Value, strict: Option<bool>) -> Option<Tool> {
    let function = wire.get("function")?;
    Some(Tool {
        name: string(function, "name").into(),
        description: function
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        parameters: function
            .get("parameters")
            .and_then(|schema| serde_json::value::to_raw_value(schema).ok()),
        strict: strict.filter(|strict| *strict),
    })
}

fn message(wire: &Value) -> Result<Message, String> {
    let mut parts = Vec::new();
    contents(wire.get("content"), &mut parts)?;
    let role = match string(wire, "role") {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => {
            said(wire, &mut parts);
            Role::Assistant
        }
        "tool" => {
            parts = vec![Part::ToolResult {
                id: string(wire, "tool_call_id").into(),
                parts,
                is_error: false,
            }];
            Role::User
        }
        other => {
            return Err(format!(
                "unknown role `{}`",
                other.chars().take(40).collect::<String>()
            ));
        }
    };
    Ok(Message {
        role,
        name: None,
        parts,
    })
}

/// The plan and the calls of an assistant's message, of a request or an answer.
pub(super) fn said(wire: &Value, parts: &mut Vec<Part>) {
    let plan = string(wire, "tool_plan");
    if !plan.is_empty() {
        parts.push(Part::Text(plan.into()));
    }
    for call in each(wire.get("tool_calls")) {
        let function = call.get("function").unwrap_or(&Value::Null);
        parts.push(Part::ToolCall {
            id: string(call, "id").into(),
            name: string(function, "name").into(),
            arguments: arguments(function.get("arguments")),
            signature: None,
        });
    }
}

/// Arguments are JSON in a string in v2, the object itself in v1.
pub(super) fn arguments(wire: Option<&Value>) -> String {
    match wire {
        None | Some(Value::Null) => "{}".into(),
        Some(Value::String(text)) if text.is_empty() => "{}".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The blocks of a message's content.
pub(super) fn contents(content: Option<&Value>, parts: &mut Vec<Part>) -> Result<(), String> {
    match content {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => parts.push(Part::Text(text.clone())),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                parts.push(content_block(block)?);
            }
        }
        Some(_) => return Err("`content` is neither a string nor a list of blocks".into()),
    }
    Ok(())
}

fn content_block(block: &Value) -> Result<Part, String> {
    Ok(match string(block, "type") {
        "text" => Part::Text(string(block, "text").into()),
        "thinking" => Part::Thinking {
            text: string(block, "thinking").into(),
            signature: None,
        },
        "image_url" => {
            let image = block.get("image_url").unwrap_or(&Value::Null);
            Part::Image {
                source: media(string(image, "url")),
                detail: image
                    .get("detail")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            }
        }
        // A tool's result as a document: its data is what the tool said.
        "document" => {
            let data = block.pointer("/document/data").unwrap_or(&Value::Null);
            Part::Text(
                data.as_str()
                    .map_or_else(|| data.to_string(), str::to_owned),
            )
        }
        _ => Part::Opaque {
            from: Format::Cohere,
            json: RawValue::from_string(block.to_string()).map_err(|_| "a block is no JSON")?,
        },
    })
}

/// A `data:` URL becomes its bytes.
fn media(url: &str) -> Media {
    match url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        Some((media_type, data)) => Media::Base64 {
            media_type: media_type.into(),
            data: data.into(),
        },
        None => Media::Url(url.into()),
    }
}
