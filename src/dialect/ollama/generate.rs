//! Requests of `/api/generate`: <https://docs.ollama.com/api/generate>.

use serde_json::{Value, json};

use super::{
    Encoded, Error,
    messages::{decode_image, encode_image},
    request::{common, encode_common, encoded, keep, object, text},
};
use crate::{
    dialect::{Loss, put},
    llm::{ChatRequest, Message, Part, Role, ToolChoice},
};

/// Reads a request. `suffix`, `context`, `template` and `raw` have no name of ours.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let mut fields = object(body)?;
    let mut request = common(&mut fields);
    if let Some(system) = text(&mut fields, "system").filter(|text| !text.is_empty()) {
        request.messages.push(Message::text(Role::System, system));
    }
    let prompt = text(&mut fields, "prompt").unwrap_or_default();
    let mut message = Message::text(Role::User, prompt);
    if let Some(Value::Array(images)) = fields.remove("images") {
        let images = images.iter().filter_map(Value::as_str).map(decode_image);
        message.parts.extend(images);
    }
    request.messages.push(message);
    keep(&mut request, fields);
    Ok(request)
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    if !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None) {
        return Err(Error::Unsupported {
            what: "tools in a completion".into(),
        });
    }
    let (mut lost, mut system, mut prompt, mut images) =
        (Vec::new(), Vec::new(), String::new(), Vec::new());
    for message in &request.messages {
        for part in &message.parts {
            match (message.role, part) {
                (Role::System, Part::Text(text)) => system.push(text.as_str()),
                (Role::User, Part::Text(text)) => prompt.push_str(text),
                (Role::User, Part::Image { source, .. }) => images.push(encode_image(source)?),
                (Role::Assistant, _) => {
                    return Err(Error::Unsupported {
                        what: "a conversation in a completion".into(),
                    });
                }
                _ => {
                    return Err(Error::Unsupported {
                        what: "anything but text and images in a completion".into(),
                    });
                }
            }
        }
    }
    if request
        .messages
        .iter()
        .any(|message| message.name.is_some())
    {
        lost.push(Loss::dropped("name"));
    }
    let mut body = json!({"model": request.model, "prompt": prompt, "stream": request.stream});
    if !system.is_empty() {
        put(&mut body, "system", system.join("\n"));
    }
    if !images.is_empty() {
        put(&mut body, "images", images);
    }
    // Of OpenAI's completions; means the same.
    let suffix = request
        .extra
        .as_ref()
        .and_then(|extra| extra.fields.get("suffix"));
    if let Some(Value::String(suffix)) = suffix {
        put(&mut body, "suffix", suffix.as_str());
    }
    encode_common(request, &mut body, &["suffix"], &mut lost)?;
    Ok(encoded(&body, lost))
}
