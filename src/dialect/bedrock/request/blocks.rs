//! Messages and their blocks: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>.

use serde_json::{Value, json, value::RawValue};

use super::{
    super::{family::Vendor, input},
    Writer, claude, media,
};
use crate::{
    dialect::{Error, put},
    llm::{ChatRequest, Format, Part, Role},
};

/// The system prompt and the messages, in which user and assistant alternate (TRAPS 1.12).
pub(super) fn conversation(
    request: &ChatRequest,
    writer: &mut Writer<'_>,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut system = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        if message.name.is_some() {
            writer.drop("messages.name");
        }
        if message.role == Role::System {
            for part in &message.parts {
                system.extend(system_block(part, writer)?);
            }
            continue;
        }
        let mut blocks = Vec::new();
        for part in &message.parts {
            blocks.extend(block(part, writer)?);
        }
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((role, before)) if *role == message.role => before.append(&mut blocks),
            _ => turns.push((message.role, blocks)),
        }
    }
    let messages = turns
        .into_iter()
        .map(|(role, content)| {
            let role = if role == Role::Assistant {
                "assistant"
            } else {
                "user"
            };
            json!({"role": role, "content": content})
        })
        .collect();
    Ok((system, messages))
}

/// A text, unless it is blank: Bedrock refuses those.
fn text(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"text": text}))
}

fn system_block(part: &Part, writer: &mut Writer<'_>) -> Result<Option<Value>, Error> {
    match part {
        Part::Text(words) | Part::Refusal(words) => Ok(text(words)),
        Part::Image { .. } => Err(unsupported("image in a system message")),
        Part::Audio { .. } => Err(unsupported("audio in a system message")),
        Part::File { .. } => Err(unsupported("file in a system message")),
        Part::Opaque { from, json } => Ok(opaque(*from, json, writer)),
        _ => {
            writer.drop("messages.content");
            Ok(None)
        }
    }
}

fn unsupported(what: &str) -> Error {
    Error::Unsupported { what: what.into() }
}

/// A block that Bedrock's own clients sent goes back as it was; those of other formats have no place.
fn opaque(from: Format, json: &RawValue, writer: &mut Writer<'_>) -> Option<Value> {
    if from == Format::Bedrock {
        return serde_json::from_str(json.get()).ok();
    }
    writer.drop("messages.content");
    None
}

fn block(part: &Part, writer: &mut Writer<'_>) -> Result<Option<Value>, Error> {
    Ok(match part {
        Part::Text(words) | Part::Refusal(words) => text(words),
        Part::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                writer.drop("image_url.detail");
            }
            Some(media::image(source)?)
        }
        Part::Audio { data, format } => Some(media::audio(data, format)?),
        Part::File { name, source } => Some(media::file(name.as_deref(), source, writer)?),
        Part::Thinking { text, signature } => thinking(text, signature.as_deref(), writer),
        Part::Redacted(data) => Some(json!({"reasoningContent": {"redactedContent": data}})),
        Part::ToolCall {
            id,
            name,
            arguments,
            ..
        } => {
            let id = writer.names.id(id);
            let name = writer.names.tool(name);
            Some(json!({"toolUse": {"toolUseId": id, "name": name, "input": input(arguments)}}))
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => Some(result(id, parts, *is_error, writer)?),
        Part::Opaque { from, json } => opaque(*from, json, writer),
    })
}

/// Reasoning of an earlier turn. Claude checks its signature, and other models refuse one; of theirs, only OpenAI's take it back without.
fn thinking(text: &str, signature: Option<&str>, writer: &mut Writer<'_>) -> Option<Value> {
    let mut reasoning = json!({"text": text});
    match (signature, writer.model.vendor) {
        (_, Vendor::OpenAi) if !text.is_empty() => {}
        (Some(signature), vendor) if vendor != Vendor::OpenAi => {
            put(&mut reasoning, "signature", signature);
        }
        _ => {
            if !text.is_empty() || claude(writer.model) {
                writer.drop("reasoning_content");
            }
            return None;
        }
    }
    Some(json!({"reasoningContent": {"reasoningText": reasoning}}))
}

/// A tool's result: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html>.
fn result(
    id: &str,
    parts: &[Part],
    is_error: bool,
    writer: &mut Writer<'_>,
) -> Result<Value, Error> {
    let mut content = Vec::new();
    for part in parts {
        match part {
            // An object is said as one, as Kong does.
            Part::Text(words) => match serde_json::from_str(words) {
                Ok(object @ Value::Object(_)) => content.push(json!({"json": object})),
                _ => content.extend(text(words)),
            },
            Part::ToolCall { .. }
            | Part::ToolResult { .. }
            | Part::Thinking { .. }
            | Part::Redacted(_) => {
                writer.drop("messages.content");
            }
            Part::Audio { .. } => return Err(unsupported("audio in a tool's result")),
            _ => content.extend(block(part, writer)?),
        }
    }
    if content.is_empty() {
        // Neither an empty list nor a blank text is taken by all models.
        content.push(json!({"text": "(empty)"}));
    }
    let mut result = json!({"toolUseId": writer.names.id(id), "content": content});
    if is_error {
        put(&mut result, "status", "error");
    }
    Ok(json!({"toolResult": result}))
}

/// Reads the blocks of a message or of a tool's result.
pub(in crate::dialect::bedrock) fn content(blocks: &[Value]) -> Vec<Part> {
    blocks.iter().filter_map(part).collect()
}

fn part(block: &Value) -> Option<Part> {
    let (kind, value) = block.as_object()?.iter().next()?;
    let string =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| value.get(key).and_then(Value::as_array).map(Vec::as_slice);
    let known = match kind.as_str() {
        "text" => value.as_str().map(|text| Part::Text(text.to_owned())),
        "json" => Some(Part::Text(value.to_string())),
        "image" | "document" | "video" | "audio" => media::decode(kind, value),
        // Tools that Bedrock runs itself are no calls of the client's.
        "toolUse" if value.get("type").is_none() => Some(Part::ToolCall {
            id: string(value, "toolUseId").unwrap_or_default(),
            name: string(value, "name").unwrap_or_default(),
            arguments: match value.get("input") {
                None | Some(Value::Null) => "{}".into(),
                Some(input) => input.to_string(),
            },
            signature: None,
        }),
        "toolResult" if value.get("type").is_none() => Some(Part::ToolResult {
            id: string(value, "toolUseId").unwrap_or_default(),
            parts: content(list("content").unwrap_or_default()),
            is_error: string(value, "status").as_deref() == Some("error"),
        }),
        "reasoningContent" => {
            match (value.get("reasoningText"), string(value, "redactedContent")) {
                (_, Some(data)) => Some(Part::Redacted(data)),
                (Some(reasoning), None) => Some(Part::Thinking {
                    text: string(reasoning, "text").unwrap_or_default(),
                    signature: string(reasoning, "signature"),
                }),
                (None, None) => None,
            }
        }
        "citationsContent" => {
            let texts = list("content").unwrap_or_default().iter();
            let text: String = texts.filter_map(|piece| string(piece, "text")).collect();
            Some(Part::Text(text))
        }
        // What a guardrail is to look at is content like any other.
        "guardContent" => {
            let text = value.get("text").and_then(|text| string(text, "text"));
            let image = || media::decode("image", value.get("image")?);
            text.map(Part::Text).or_else(image)
        }
        // A hint for the cache, no content.
        "cachePoint" => return None,
        _ => None,
    };
    known.or_else(|| {
        Some(Part::Opaque {
            from: Format::Bedrock,
            json: RawValue::from_string(block.to_string()).ok()?,
        })
    })
}
