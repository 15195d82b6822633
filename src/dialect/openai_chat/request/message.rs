//! Messages read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{Rest, malformed, object, text, unsupported};
use crate::{
    dialect::{
        Error,
        openai_chat::wire::{ThinkingBlock, Thought, thoughts},
    },
    llm::{Format, Media, Message, Part, Role},
};

/// What answers hold and requests need not repeat: clients replay whole messages.
const ANSWERED: &[&str] = &["annotations", "provider_specific_fields"];

/// Reads a message; what has no place in it goes to `rest`.
pub(super) fn decode(wire: Value, rest: &mut Rest) -> Result<Message, Error> {
    let Value::Object(mut fields) = wire else {
        return Err(malformed(
            "a message is an object with `role` and `content`",
        ));
    };
    let role = text(&mut fields, "role").unwrap_or_default();
    let name = text(&mut fields, "name");
    let mut parts = Vec::new();
    let message = match role.as_str() {
        "system" | "developer" => {
            contents(&mut fields, &mut parts, rest)?;
            (Role::System, name)
        }
        "user" => {
            contents(&mut fields, &mut parts, rest)?;
            (Role::User, name)
        }
        "assistant" => {
            thinking(&mut fields, &mut parts);
            contents(&mut fields, &mut parts, rest)?;
            // Beside tool calls many clients send an empty text for none.
            parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
            assistant(&mut fields, &mut parts, rest)?;
            (Role::Assistant, name)
        }
        // A result of a function has its name where that of a tool has an id.
        "tool" | "function" => {
            let id = text(&mut fields, "tool_call_id").or(name);
            let mut result = Vec::new();
            contents(&mut fields, &mut result, rest)?;
            parts.push(Part::ToolResult {
                id: id.unwrap_or_default(),
                parts: result,
                is_error: false,
            });
            (Role::User, None)
        }
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(malformed(format!("unknown role `{other}`")));
        }
    };
    rest.add("messages", &fields);
    let (role, name) = message;
    Ok(Message { role, name, parts })
}

/// The reasoning of an earlier turn, with its signatures where the client kept them.
fn thinking(fields: &mut Map<String, Value>, parts: &mut Vec<Part>) {
    let content = text(fields, "reasoning_content").filter(|text| !text.is_empty());
    let reasoning = text(fields, "reasoning").filter(|text| !text.is_empty());
    let blocks = fields.shift_remove("thinking_blocks").unwrap_or_default();
    let blocks = Vec::<ThinkingBlock<'_>>::deserialize(&blocks).unwrap_or_default();
    for thought in thoughts(content.or(reasoning).map(Cow::Owned), blocks) {
        parts.push(match thought {
            Thought::Plain { text, signature } => Part::Thinking {
                text: text.into_owned(),
                signature: signature.map(Cow::into_owned),
            },
            Thought::Redacted(data) => Part::Redacted(data.into_owned()),
        });
    }
}

/// What only assistants say, beside their content.
fn assistant(
    fields: &mut Map<String, Value>,
    parts: &mut Vec<Part>,
    rest: &mut Rest,
) -> Result<(), Error> {
    for key in ANSWERED {
        fields.shift_remove(*key);
    }
    if let Some(refusal) = text(fields, "refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal(refusal));
    }
    // Speech of an earlier turn, by its id: https://platform.openai.com/docs/guides/audio.
    if let Some(audio) = object(fields, "audio") {
        let json = serde_json::json!({"type": "audio", "audio": audio});
        parts.push(opaque(&json)?);
    }
    match fields.shift_remove("tool_calls") {
        None | Some(Value::Null) => {}
        Some(Value::Array(calls)) => {
            for call in calls {
                parts.push(tool_call(call, rest)?);
            }
        }
        Some(_) => return Err(malformed("`tool_calls` is no list")),
    }
    if let Some(mut call) = object(fields, "function_call") {
        let name = text(&mut call, "name").unwrap_or_default();
        parts.push(Part::ToolCall {
            id: name.clone(),
            name,
            arguments: arguments(call.shift_remove("arguments")),
            signature: None,
        });
    }
    Ok(())
}

fn tool_call(call: Value, rest: &mut Rest) -> Result<Part, Error> {
    let Value::Object(mut call) = call else {
        return Err(malformed("a tool call is no object"));
    };
    let signature = ["extra_content", "provider_specific_fields"]
        .iter()
        .filter_map(|key| object(&mut call, key))
        .filter_map(|fields| {
            let of_google = fields
                .get("google")
                .and_then(|google| google.get("thought_signature"));
            let signature = of_google.or(fields.get("thought_signature"));
            signature?.as_str().map(str::to_owned)
        })
        .find(|signature| !signature.is_empty());
    match text(&mut call, "type").as_deref() {
        None | Some("function") => {}
        Some(kind) => {
            let kind: String = kind.chars().take(40).collect();
            return Err(unsupported(format!("a tool call of type `{kind}`")));
        }
    }
    let mut function =
        object(&mut call, "function").ok_or_else(|| malformed("a tool call has no `function`"))?;
    // The place in a stream, which clients keep.
    call.shift_remove("index");
    let part = Part::ToolCall {
        id: text(&mut call, "id").unwrap_or_default(),
        name: text(&mut function, "name").unwrap_or_default(),
        arguments: arguments(function.shift_remove("arguments")),
        signature,
    };
    rest.add("messages[].tool_calls", &call);
    Ok(part)
}

/// Arguments are JSON in a string; some clients send the object itself.
fn arguments(wire: Option<Value>) -> String {
    let text = match wire {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    if text.is_empty() { "{}".into() } else { text }
}

fn contents(
    fields: &mut Map<String, Value>,
    parts: &mut Vec<Part>,
    rest: &mut Rest,
) -> Result<(), Error> {
    let wrong = || malformed("`content` is neither a string nor a list of parts");
    match fields.shift_remove("content") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => parts.push(Part::Text(text)),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                parts.push(match block {
                    Value::Object(block) => content_block(block, rest)?,
                    Value::String(text) => Part::Text(text),
                    _ => return Err(wrong()),
                });
            }
        }
        Some(_) => return Err(wrong()),
    }
    Ok(())
}

fn content_block(mut block: Map<String, Value>, rest: &mut Rest) -> Result<Part, Error> {
    let kind = block
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let part =
        match kind.as_str() {
            "text" => Part::Text(text(&mut block, "text").ok_or_else(|| {
                malformed("message part type is 'text' but is missing .text block")
            })?),
            "refusal" => Part::Refusal(text(&mut block, "refusal").unwrap_or_default()),
            "image_url" => image(&mut block)?,
            "input_audio" => {
                let mut audio = object(&mut block, "input_audio").unwrap_or_default();
                match (text(&mut audio, "data"), text(&mut audio, "format")) {
                    (Some(data), Some(format)) => Part::Audio { data, format },
                    _ => return Err(malformed("`input_audio` has no `data` or no `format`")),
                }
            }
            "file" => file(&mut block)?,
            "thinking" => {
                let signature = text(&mut block, "signature").filter(|text| !text.is_empty());
                let text = match block.shift_remove("thinking") {
                    Some(Value::String(text)) => text,
                    // Mistral's: https://docs.mistral.ai/studio-api/conversations/reasoning.
                    Some(Value::Array(texts)) => texts
                        .iter()
                        .filter_map(|text| text.get("text")?.as_str())
                        .collect(),
                    _ => String::new(),
                };
                Part::Thinking { text, signature }
            }
            "redacted_thinking" => Part::Redacted(text(&mut block, "data").unwrap_or_default()),
            _ => return opaque(&Value::Object(block)),
        };
    block.shift_remove("type");
    rest.add("messages[].content", &block);
    Ok(part)
}

fn opaque(block: &Value) -> Result<Part, Error> {
    Ok(Part::Opaque {
        from: Format::OpenAi,
        json: RawValue::from_string(block.to_string())?,
    })
}

/// `{"url", "detail"}`, or the URL alone.
fn image(block: &mut Map<String, Value>) -> Result<Part, Error> {
    let (url, detail) = match block.shift_remove("image_url") {
        Some(Value::Object(mut image)) => (text(&mut image, "url"), text(&mut image, "detail")),
        _ => (None, None),
    };
    let url = url.ok_or_else(|| {
        malformed("message part type is 'image_url' but is missing .image_url.url block")
    })?;
    Ok(Part::Image {
        source: media(url),
        detail,
    })
}

/// By id, or its bytes: <https://platform.openai.com/docs/guides/pdf-files>.
fn file(block: &mut Map<String, Value>) -> Result<Part, Error> {
    let mut file = object(block, "file").unwrap_or_default();
    let name = text(&mut file, "filename");
    let source = match (text(&mut file, "file_id"), text(&mut file, "file_data")) {
        (Some(id), _) => Media::Id(id),
        // OpenRouter takes a URL here.
        (None, Some(data)) if data.starts_with("data:") || data.contains("://") => media(data),
        (None, Some(data)) => Media::Base64 {
            media_type: media_type(name.as_deref().unwrap_or_default()).to_owned(),
            data,
        },
        (None, None) => return Err(malformed("`file` has neither `file_id` nor `file_data`")),
    };
    Ok(Part::File { name, source })
}

/// The type of bytes that come without one: OpenAI reads PDF unless the name says otherwise.
pub(in crate::dialect) fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/pdf",
    }
}

/// A `data:` URL becomes its bytes; others stay where they are.
pub(in crate::dialect) fn media(mut url: String) -> Media {
    const MARK: &str = ";base64,";
    if let Some(at) = url.strip_prefix("data:").and_then(|rest| rest.find(MARK)) {
        let start = "data:".len();
        let data = url.split_off(start + at + MARK.len());
        url.truncate(start + at);
        return Media::Base64 {
            media_type: url.split_off(start),
            data,
        };
    }
    Media::Url(url)
}
