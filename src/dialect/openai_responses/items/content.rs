//! What messages and results of tools hold, both ways: <https://platform.openai.com/docs/api-reference/responses/create>.

use serde_json::{Map, Value, json, value::RawValue};

use super::{Rest, malformed, object, text};
use crate::{
    dialect::{
        Error,
        openai_chat::{media, media_type, url},
        put,
    },
    llm::{Format, Media, Part},
};

/// Reads a text or a list of parts.
pub(super) fn decode(
    content: Option<Value>,
    parts: &mut Vec<Part>,
    rest: &mut Rest,
) -> Result<(), Error> {
    let wrong = || malformed("the content is neither a text nor a list of parts");
    match content {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => parts.push(Part::Text(text)),
        Some(Value::Array(all)) => {
            for one in all {
                parts.push(match one {
                    Value::Object(one) => part(one, rest)?,
                    Value::String(text) => Part::Text(text),
                    _ => return Err(wrong()),
                });
            }
        }
        Some(_) => return Err(wrong()),
    }
    Ok(())
}

fn part(mut wire: Map<String, Value>, rest: &mut Rest) -> Result<Part, Error> {
    let kind = wire.get("type").and_then(Value::as_str).unwrap_or_default();
    let read = match kind {
        "input_text" | "output_text" | "text" | "summary_text" => {
            Part::Text(text(&mut wire, "text").ok_or_else(|| malformed("a text has no `text`"))?)
        }
        "refusal" => Part::Refusal(text(&mut wire, "refusal").unwrap_or_default()),
        "input_image" => {
            let url = text(&mut wire, "image_url");
            let id = text(&mut wire, "file_id");
            let source = match (url, id) {
                (Some(url), _) => media(url),
                (None, Some(id)) => Media::Id(id),
                (None, None) => {
                    return Err(malformed(
                        "an `input_image` has neither `image_url` nor `file_id`",
                    ));
                }
            };
            Part::Image {
                source,
                detail: text(&mut wire, "detail"),
            }
        }
        "input_file" => file(&mut wire)?,
        "input_audio" => {
            let mut audio = object(&mut wire, "input_audio").unwrap_or_default();
            match (text(&mut audio, "data"), text(&mut audio, "format")) {
                (Some(data), Some(format)) => Part::Audio { data, format },
                _ => return Err(malformed("`input_audio` has no `data` or no `format`")),
            }
        }
        _ => {
            return Ok(Part::Opaque {
                from: Format::Responses,
                json: RawValue::from_string(Value::Object(wire).to_string())?,
            });
        }
    };
    rest.add("input[].content", &wire);
    Ok(read)
}

/// By id, by URL, or its bytes: <https://platform.openai.com/docs/guides/pdf-files>.
fn file(wire: &mut Map<String, Value>) -> Result<Part, Error> {
    let name = text(wire, "filename");
    let (id, data, url) = (
        text(wire, "file_id"),
        text(wire, "file_data"),
        text(wire, "file_url"),
    );
    let source = match (id, data, url) {
        (Some(id), ..) => Media::Id(id),
        (None, Some(data), _) if data.starts_with("data:") => media(data),
        (None, Some(data), _) => Media::Base64 {
            media_type: media_type(name.as_deref().unwrap_or_default()).to_owned(),
            data,
        },
        (None, None, Some(url)) => Media::Url(url),
        (None, None, None) => {
            let why = "an `input_file` has none of `file_id`, `file_data`, `file_url`";
            return Err(malformed(why));
        }
    };
    Ok(Part::File { name, source })
}

/// Writes a part of a user's message, or of a tool's result; `None`: it is none.
pub(super) fn encode(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({"type": "input_text", "text": text}),
        // Only the assistant refuses; whoever says it here quotes.
        Part::Refusal(text) => json!({"type": "input_text", "text": text}),
        Part::Image { source, detail } => {
            let mut wire =
                json!({"type": "input_image", "detail": detail.as_deref().unwrap_or("auto")});
            match source {
                Media::Id(id) => put(&mut wire, "file_id", id.as_str()),
                _ => put(&mut wire, "image_url", url(source)),
            }
            wire
        }
        Part::Audio { data, format } => {
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        Part::File { name, source } => {
            let mut wire = json!({"type": "input_file"});
            match source {
                Media::Id(id) => put(&mut wire, "file_id", id.as_str()),
                Media::Url(url) => put(&mut wire, "file_url", url.as_str()),
                Media::Base64 { .. } => put(&mut wire, "file_data", url(source)),
            }
            // Bytes need a name.
            let data = matches!(source, Media::Base64 { .. });
            match name {
                Some(name) => put(&mut wire, "filename", name.as_str()),
                None if data => put(&mut wire, "filename", "file"),
                None => {}
            }
            wire
        }
        _ => return None,
    })
}
