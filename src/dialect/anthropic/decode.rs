//! Requests of clients.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, value::RawValue};

use super::response::arguments;
use crate::{
    dialect::Error,
    llm::{
        ChatRequest, Extra, Format, Media, Message, OutputFormat, Part, ReasoningRequest, Role,
        Sampling, Tool, ToolChoice,
    },
};

/// Before the name of a tool's field that no other format has.
pub(super) const TOOLS: &str = "tools.";

/// The top level as values.
type Fields = Map<String, Value>;

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    let raw: Raw<'_> = serde_json::from_slice(body)?;
    let mut request = ChatRequest {
        model: text(&mut fields, "model"),
        sampling: sampling(&mut fields),
        stream: take(&mut fields, "stream")
            .and_then(|value| value.as_bool())
            .unwrap_or_default(),
        ..ChatRequest::default()
    };
    // Every stream of this format tells its usage.
    request.stream_usage = request.stream;
    let request_system = take(&mut fields, "system");
    if let Some(system) = &request_system {
        let mut parts = Vec::new();
        match system {
            Value::String(text) => parts.push(Part::Text(text.clone())),
            Value::Array(blocks) => parts.extend(
                blocks
                    .iter()
                    .filter_map(|block| block.get("text")?.as_str())
                    .map(|text| Part::Text(text.to_owned())),
            ),
            _ => {
                return Err(Error::Malformed(
                    "`system` is neither a string nor a list of blocks".into(),
                ));
            }
        }
        request.messages.push(Message {
            role: Role::System,
            name: None,
            parts,
        });
    }
    let messages = fields.shift_remove("messages");
    let cached = [
        request_system.as_ref(),
        messages.as_ref(),
        fields.get("tools"),
    ]
    .into_iter()
    .flatten()
    .find_map(cache_control)
    .cloned();
    for (index, wire) in raw.messages.into_iter().flatten().enumerate() {
        request.messages.push(
            message(&wire).map_err(|why| Error::Malformed(format!("messages[{index}]: {why}")))?,
        );
    }
    tools(&mut fields, &mut request);
    if let Some(Value::Object(mut metadata)) = take(&mut fields, "metadata") {
        request.user = text(&mut metadata, "user_id");
        if !metadata.is_empty() {
            fields.insert("metadata".into(), metadata.into());
        }
    }
    reasoning(&mut fields, &mut request);
    // Where blocks say what to cache, the request as a whole says it, too: that much can be told to others, and what is lost.
    if let Some(cached) = cached {
        fields.entry("cache_control").or_insert(cached);
    }
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::Anthropic,
            fields,
        });
    }
    Ok(request)
}

/// The first `cache_control` of any block: <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>.
fn cache_control(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(blocks) => blocks.iter().find_map(cache_control),
        Value::Object(block) => block
            .get("cache_control")
            .filter(|value| !value.is_null())
            .or_else(|| cache_control(block.get("content")?)),
        _ => None,
    }
}

/// The messages, whose calls keep the text of their input (TRAPS 1.15).
#[derive(serde::Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    messages: Option<Vec<RawMessage<'a>>>,
}

#[derive(serde::Deserialize)]
struct RawMessage<'a> {
    #[serde(default)]
    role: String,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// The parts of a block whose text must be kept.
#[derive(serde::Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

fn take(fields: &mut Fields, key: &str) -> Option<Value> {
    // `shift_remove`, unlike `remove`, keeps the order of what is left.
    fields.shift_remove(key).filter(|value| !value.is_null())
}

fn text(fields: &mut Fields, key: &str) -> Option<String> {
    match take(fields, key)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn string(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn sampling(fields: &mut Fields) -> Sampling {
    let mut number = |key: &str| take(fields, key);
    Sampling {
        max_tokens: number("max_tokens").and_then(|value| value.as_u64()),
        temperature: number("temperature").and_then(|value| value.as_f64()),
        top_p: number("top_p").and_then(|value| value.as_f64()),
        top_k: number("top_k").and_then(|value| value.as_u64()),
        stop: match number("stop_sequences") {
            Some(Value::Array(stops)) => stops
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        },
        ..Sampling::default()
    }
}

fn message(wire: &RawMessage<'_>) -> Result<Message, String> {
    let role = match wire.role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        // Instructions in mid-conversation.
        "system" => Role::System,
        other => {
            return Err(format!(
                "unknown role `{}`",
                other.chars().take(40).collect::<String>()
            ));
        }
    };
    let mut parts = Vec::new();
    contents(wire.content, &mut parts)?;
    Ok(Message {
        role,
        name: None,
        parts,
    })
}

pub(super) fn contents(content: Option<&RawValue>, parts: &mut Vec<Part>) -> Result<(), String> {
    let Some(content) = content.filter(|content| content.get() != "null") else {
        return Ok(());
    };
    if let Ok(text) = serde_json::from_str::<String>(content.get()) {
        parts.push(Part::Text(text));
        return Ok(());
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get())
        .map_err(|_| "`content` is neither a string nor a list of blocks")?;
    for block in blocks {
        parts.push(part(block)?);
    }
    Ok(())
}

fn part(raw: &RawValue) -> Result<Part, String> {
    let block: Value = serde_json::from_str(raw.get()).map_err(|_| "a block is no JSON")?;
    let opaque = || Part::Opaque {
        from: Format::Anthropic,
        json: raw.to_owned(),
    };
    let texts: RawBlock<'_> =
        serde_json::from_str(raw.get()).map_err(|_| "a block is no JSON object")?;
    Ok(match string(&block, "type").as_str() {
        "text" => Part::Text(string(&block, "text")),
        "image" => match media(&block) {
            Some(source) => Part::Image {
                source,
                detail: None,
            },
            None => opaque(),
        },
        "document" => match media(&block) {
            Some(source) => Part::File {
                name: block
                    .get("title")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                source,
            },
            None => opaque(),
        },
        "thinking" => Part::Thinking {
            text: string(&block, "thinking"),
            signature: Some(string(&block, "signature")).filter(|text| !text.is_empty()),
        },
        "redacted_thinking" => Part::Redacted(string(&block, "data")),
        "tool_use" => Part::ToolCall {
            id: string(&block, "id"),
            name: string(&block, "name"),
            arguments: arguments(texts.input),
            signature: None,
        },
        "tool_result" => {
            let mut parts = Vec::new();
            contents(texts.content, &mut parts)?;
            Part::ToolResult {
                id: string(&block, "tool_use_id"),
                parts,
                is_error: block
                    .get("is_error")
                    .and_then(Value::as_bool)
                    .unwrap_or_default(),
            }
        }
        _ => opaque(),
    })
}

fn media(block: &Value) -> Option<Media> {
    let source = block.get("source")?;
    Some(match string(source, "type").as_str() {
        "url" => Media::Url(string(source, "url")),
        "base64" => Media::Base64 {
            media_type: string(source, "media_type"),
            data: string(source, "data"),
        },
        "file" => Media::Id(string(source, "file_id")),
        "text" => Media::Base64 {
            media_type: "text/plain".into(),
            data: STANDARD.encode(string(source, "data")),
        },
        _ => return None,
    })
}

/// Tools with a schema are the client's own; the provider's stay as they are, for the provider.
fn tools(fields: &mut Fields, request: &mut ChatRequest) {
    let mut native = Vec::new();
    if let Some(Value::Array(tools)) = take(fields, "tools") {
        for tool in tools {
            let kind = tool.get("type").and_then(Value::as_str);
            if kind.is_some_and(|kind| kind != "custom") {
                native.push(tool);
                continue;
            }
            hints(&tool, fields);
            request.tools.push(Tool {
                name: string(&tool, "name"),
                description: tool
                    .get("description")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                parameters: tool
                    .get("input_schema")
                    .and_then(|schema| serde_json::value::to_raw_value(schema).ok()),
                strict: tool.get("strict").and_then(Value::as_bool),
            });
        }
    }
    if !native.is_empty() {
        fields.insert("tools".into(), native.into());
    }
    let Some(choice) = take(fields, "tool_choice") else {
        return;
    };
    request.tool_choice = match string(&choice, "type").as_str() {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "any" => Some(ToolChoice::Required),
        "tool" => Some(ToolChoice::Named(string(&choice, "name"))),
        _ => None,
    };
    let one = choice.get("disable_parallel_tool_use");
    request.parallel_tool_calls = one.and_then(Value::as_bool).map(|one| !one);
}

/// What else is said of a tool, which other formats have no word for.
fn hints(tool: &Value, fields: &mut Fields) {
    const KNOWN: &[&str] = &[
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
    ];
    // How the input is streamed is no matter of what is said.
    const EMPTY: &[&str] = &["eager_input_streaming"];
    for (key, value) in tool.as_object().into_iter().flatten() {
        let says = !matches!(value, Value::Null | Value::Bool(false));
        if says && !KNOWN.contains(&key.as_str()) && !EMPTY.contains(&key.as_str()) {
            fields.insert(format!("{TOOLS}{key}"), true.into());
        }
    }
}

fn reasoning(fields: &mut Fields, request: &mut ChatRequest) {
    let mut config = take(fields, "output_config").unwrap_or_default();
    let mut part = |key: &str| {
        config
            .as_object_mut()
            .and_then(|config| config.shift_remove(key))
    };
    let effort = part("effort").and_then(|effort| effort.as_str().map(str::to_owned));
    // `output_format` is the name that the beta had.
    let format = part("format").or_else(|| take(fields, "output_format"));
    if let Some(format) = format.filter(|format| string(format, "type") == "json_schema")
        && let Some(schema) = format
            .get("schema")
            .and_then(|schema| serde_json::value::to_raw_value(schema).ok())
    {
        request.output = OutputFormat::JsonSchema {
            name: "answer".into(),
            schema,
            strict: Some(true),
            description: None,
        };
    }
    if config.as_object().is_some_and(|config| !config.is_empty()) {
        fields.insert("output_config".into(), config);
    }
    let thinking = take(fields, "thinking").unwrap_or_default();
    request.reasoning = match string(&thinking, "type").as_str() {
        "disabled" | "between_tools" => ReasoningRequest {
            effort: None,
            budget: Some(0),
        },
        kind => ReasoningRequest {
            // `max` is a step above what the others have.
            effort: effort.map(|effort| match effort.as_str() {
                "max" => "xhigh".into(),
                _ => effort,
            }),
            budget: thinking
                .get("budget_tokens")
                .and_then(Value::as_u64)
                .filter(|_| kind == "enabled"),
        },
    };
}
