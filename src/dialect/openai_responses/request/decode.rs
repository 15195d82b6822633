//! Requests read.

use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    dialect::{
        Error,
        openai_responses::{
            items::{self, Rest, malformed, object, text},
            tools::{self, BuiltIn},
        },
    },
    llm::{ChatRequest, Extra, Format, Message, OutputFormat, Role, Sampling},
};

type Fields = Map<String, Value>;

/// Reads a request; what has no canonical place stays among the unknown fields.
pub(in crate::dialect::openai_responses) fn decode(
    body: &[u8],
    own: BuiltIn,
) -> Result<ChatRequest, Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(malformed("the request is no JSON object"));
    };
    // `null` says nothing.
    fields.retain(|_, value| !value.is_null());
    elsewhere(&fields)?;
    let mut request = ChatRequest {
        model: text(&mut fields, "model"),
        sampling: sampling(&mut fields),
        stream: take(&mut fields, "stream", Value::as_bool).unwrap_or_default(),
        // The newer name says the same of the user.
        user: text(&mut fields, "user").or_else(|| text(&mut fields, "safety_identifier")),
        ..ChatRequest::default()
    };
    let mut rest = Rest::default();
    let brought = tools::brought(&fields);
    match fields.shift_remove("instructions") {
        None => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => request.messages.push(Message::text(Role::System, text)),
        // As answers repeat it, where it came from a template.
        Some(Value::Array(list)) => items::decode(list, &mut request.messages, &mut rest)?,
        Some(_) => return Err(malformed("`instructions` is no text")),
    }
    match fields.shift_remove("input") {
        None => {}
        Some(Value::String(text)) => request.messages.push(Message::text(Role::User, text)),
        Some(Value::Array(list)) => items::decode(list, &mut request.messages, &mut rest)?,
        Some(_) => return Err(malformed("`input` is neither a text nor a list of items")),
    }
    tools::decode(&mut fields, brought, &mut request, own)?;
    texts(&mut fields, &mut request)?;
    reasoning(&mut fields, &mut request);
    include(&mut fields, &mut request.sampling);
    if let Some(mut options) = object(&mut fields, "stream_options") {
        // Padding of OpenAI's events: nothing that an answer says.
        options.shift_remove("include_obfuscation");
        if !options.is_empty() {
            fields.insert("stream_options".into(), options.into());
        }
    }
    fields.extend(rest.0.into_iter().map(|name| (name, Value::Bool(true))));
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::Responses,
            fields,
        });
    }
    Ok(request)
}

/// What only a server knows that has kept it.
fn elsewhere(fields: &Fields) -> Result<(), Error> {
    for (key, way_out) in [
        ("previous_response_id", "send the earlier items as `input`"),
        ("conversation", "send its items as `input`"),
        ("prompt", "send its text as `instructions`"),
    ] {
        if fields.contains_key(key) {
            return Err(malformed(format!(
                "`{key}` names what is not kept here: {way_out}"
            )));
        }
    }
    Ok(())
}

/// Takes a value that can be read; one that cannot stays.
fn take<T>(fields: &mut Fields, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let value = read(fields.get(key)?)?;
    fields.shift_remove(key);
    Some(value)
}

/// A count, also as `3.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
    })
}

fn sampling(fields: &mut Fields) -> Sampling {
    let top = take(fields, "top_logprobs", whole).filter(|top| *top > 0);
    Sampling {
        max_tokens: take(fields, "max_output_tokens", whole),
        temperature: take(fields, "temperature", Value::as_f64),
        top_p: take(fields, "top_p", Value::as_f64),
        top_k: take(fields, "top_k", whole),
        logprobs: top.map(|_| true),
        top_logprobs: top,
        ..Sampling::default()
    }
}

/// What else is to be told; log probabilities have a place of their own.
fn include(fields: &mut Fields, sampling: &mut Sampling) {
    let Some(Value::Array(all)) = fields.get_mut("include") else {
        return;
    };
    all.retain(|one| {
        let logprobs = one == "message.output_text.logprobs";
        if logprobs {
            sampling.logprobs = Some(true);
        }
        !logprobs
    });
    if all.is_empty() {
        fields.shift_remove("include");
    }
}

/// `reasoning`: its effort; the rest stays, under a name that says where it was.
fn reasoning(fields: &mut Fields, request: &mut ChatRequest) {
    let Some(mut reasoning) = object(fields, "reasoning") else {
        return;
    };
    request.reasoning.effort = text(&mut reasoning, "effort");
    spread("reasoning", reasoning, fields);
}

/// `text`: the answer's format; the rest as with `reasoning`.
fn texts(fields: &mut Fields, request: &mut ChatRequest) -> Result<(), Error> {
    let Some(mut texts) = object(fields, "text") else {
        return Ok(());
    };
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
    match texts.get("format").and_then(kind).as_deref() {
        Some("text") => {
            texts.shift_remove("format");
        }
        Some("json_object") => {
            texts.shift_remove("format");
            request.output = OutputFormat::JsonObject;
        }
        Some("json_schema") => {
            let mut format = object(&mut texts, "format").unwrap_or_default();
            let schema = format.shift_remove("schema").unwrap_or_else(|| json!({}));
            request.output = OutputFormat::JsonSchema {
                name: text(&mut format, "name").unwrap_or_default(),
                schema: RawValue::from_string(schema.to_string())?,
                strict: format.get("strict").and_then(Value::as_bool),
                description: text(&mut format, "description"),
            };
        }
        // A grammar, or what else there will be.
        _ => {}
    }
    spread("text", texts, fields);
    Ok(())
}

fn spread(of: &str, from: Fields, fields: &mut Fields) {
    for (key, value) in from.into_iter().filter(|(_, value)| !value.is_null()) {
        fields.insert(format!("{of}.{key}"), value);
    }
}
