//! Requests, both ways.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    dialect::{
        Encoded, Error, Loss, Restore,
        openai_chat::{decode_shared, encode_shared, extra, own_fields},
    },
    llm::{ChatRequest, Message, OutputFormat, Part, Role, ToolChoice},
};

/// Reads a request. `suffix`, `echo` and `best_of` have no canonical place.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let (mut request, mut fields) = decode_shared(body)?;
    if let Some(text) = prompt(fields.shift_remove("prompt"))? {
        request.messages.push(Message::text(Role::User, text));
    }
    // Here `logprobs` is the number of alternatives.
    if let Some(number) = fields.get("logprobs").and_then(Value::as_u64) {
        fields.shift_remove("logprobs");
        request.sampling.logprobs = Some(true);
        request.sampling.top_logprobs = Some(number);
    }
    request.extra = extra(fields);
    Ok(request)
}

/// A text, or a list of one; OpenAI takes several, and tokens, too.
fn prompt(wire: Option<Value>) -> Result<Option<String>, Error> {
    let unsupported = |what: &str| Err(Error::Unsupported { what: what.into() });
    match wire {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Array(mut prompts)) => match prompts.pop() {
            Some(Value::Number(_)) => unsupported("a prompt of tokens"),
            Some(_) if !prompts.is_empty() => unsupported("several prompts"),
            Some(Value::Array(_)) => unsupported("a prompt of tokens"),
            last => prompt(last),
        },
        Some(_) => Err(Error::Malformed(
            "`prompt` is neither a string nor a list".into(),
        )),
    }
}

/// Writes a request. A conversation is told as its texts, one after the other: completions know no roles.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let unsupported = |what: &str| Error::Unsupported { what: what.into() };
    let mut lost = Vec::new();
    let mut lose = |what: &str| {
        let loss = Loss::dropped(what);
        if !lost.contains(&loss) {
            lost.push(loss);
        }
    };
    let mut prompt = Vec::new();
    for message in &request.messages {
        let mut text = String::new();
        for part in &message.parts {
            match part {
                Part::Text(part) | Part::Refusal(part) => text.push_str(part),
                Part::Image { .. } => return Err(unsupported("an image in a completion")),
                Part::Audio { .. } => return Err(unsupported("audio in a completion")),
                Part::File { .. } => return Err(unsupported("a file in a completion")),
                Part::ToolCall { .. } | Part::ToolResult { .. } => {
                    return Err(unsupported("tools in a completion"));
                }
                Part::Thinking { .. } => lose("thinking"),
                Part::Redacted(_) => lose("redacted_thinking"),
                Part::Opaque { .. } => lose("content"),
            }
        }
        if message.name.is_some() {
            lose("name");
        }
        prompt.push(text);
    }
    if !request.tools.is_empty() {
        match request.tool_choice {
            Some(ToolChoice::None) => {}
            _ => return Err(unsupported("tools in a completion")),
        }
    }
    match request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => lose("response_format"),
        OutputFormat::JsonSchema { .. } => {
            return Err(unsupported("a JSON schema in a completion"));
        }
    }
    if !request.reasoning.is_unset() {
        lose("reasoning_effort");
    }
    let mut fields = Map::new();
    encode_shared(request, "max_tokens", &mut fields);
    let place = usize::from(request.model.is_some());
    fields.shift_insert(place, "prompt".into(), prompt.join("\n\n").into());
    let sampling = &request.sampling;
    if sampling.logprobs == Some(true) {
        let number = sampling.top_logprobs.unwrap_or_default();
        fields.insert("logprobs".into(), number.into());
    }
    own_fields(request, &mut fields, &mut lost);
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: Restore::default(),
    })
}
