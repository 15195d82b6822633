//! A request's top level.

use serde_json::{Map, Value, value::RawValue};

use super::{Rest, malformed, message, object, text, tools};
use crate::{
    dialect::Error,
    llm::{ChatRequest, Extra, Format, OutputFormat, ReasoningRequest, Sampling},
};

/// Reads a request.
///
/// What has no canonical place, and a number or word that cannot be read, stays among the unknown fields: reported as lost where it goes
/// to another format.
pub(in crate::dialect) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let (mut request, mut fields) = shared(body)?;
    let mut rest = Rest::default();
    match fields.shift_remove("messages") {
        None | Some(Value::Null) => {}
        Some(Value::Array(messages)) => {
            for (index, wire) in messages.into_iter().enumerate() {
                let message = message::decode(wire, &mut rest).map_err(|error| match error {
                    Error::Malformed(why) => malformed(format!("messages[{index}]: {why}")),
                    other => other,
                })?;
                request.messages.push(message);
            }
        }
        Some(_) => return Err(malformed("`messages` is no list")),
    }
    tools::decode(&mut fields, &mut request, &mut rest)?;
    request.output = output(&mut fields)?;
    request.reasoning = reasoning(&mut fields);
    fields.extend(rest.0.into_iter().map(|name| (name, Value::Bool(true))));
    request.extra = extra(fields);
    Ok(request)
}

/// Reads the fields that chat and completions share; gives the others, too.
pub(in crate::dialect) fn shared(body: &[u8]) -> Result<(ChatRequest, Map<String, Value>), Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(malformed("the request is no JSON object"));
    };
    // `null` says nothing.
    fields.retain(|_, value| !value.is_null());
    let mut request = ChatRequest {
        model: text(&mut fields, "model"),
        user: text(&mut fields, "user"),
        stream: take(&mut fields, "stream", Value::as_bool).unwrap_or_default(),
        sampling: sampling(&mut fields)?,
        ..ChatRequest::default()
    };
    if let Some(mut options) = object(&mut fields, "stream_options") {
        request.stream_usage =
            take(&mut options, "include_usage", Value::as_bool).unwrap_or_default();
        // Padding of OpenAI's chunks: nothing that an answer says.
        options.shift_remove("include_obfuscation");
        options.retain(|_, value| !value.is_null());
        if !options.is_empty() {
            fields.insert("stream_options".into(), options.into());
        }
    }
    Ok((request, fields))
}

/// Unknown fields, if there are any.
pub(in crate::dialect) fn extra(fields: Map<String, Value>) -> Option<Extra> {
    (!fields.is_empty()).then_some(Extra {
        from: Format::OpenAi,
        fields,
    })
}

/// Takes a value that can be read; one that cannot stays.
fn take<T>(
    fields: &mut Map<String, Value>,
    key: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
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

fn sampling(fields: &mut Map<String, Value>) -> Result<Sampling, Error> {
    let max_tokens = take(fields, "max_tokens", whole);
    let max_completion_tokens = take(fields, "max_completion_tokens", whole);
    Ok(Sampling {
        max_tokens: max_completion_tokens.or(max_tokens),
        temperature: take(fields, "temperature", Value::as_f64),
        top_p: take(fields, "top_p", Value::as_f64),
        top_k: take(fields, "top_k", whole),
        stop: stop(fields.shift_remove("stop"))?,
        seed: take(fields, "seed", Value::as_i64),
        n: take(fields, "n", whole),
        frequency_penalty: take(fields, "frequency_penalty", Value::as_f64),
        presence_penalty: take(fields, "presence_penalty", Value::as_f64),
        logprobs: take(fields, "logprobs", Value::as_bool),
        top_logprobs: take(fields, "top_logprobs", whole),
    })
}

fn stop(wire: Option<Value>) -> Result<Vec<String>, Error> {
    let wrong = || malformed("`stop` is neither a string nor a list of strings");
    match wire {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// OpenAI's `reasoning_effort`, OpenRouter's `reasoning` <https://openrouter.ai/docs/use-cases/reasoning-tokens>, and `thinking` as
/// LiteLLM, DeepSeek and Zhipu take it <https://docs.litellm.ai/docs/reasoning_content>.
fn reasoning(fields: &mut Map<String, Value>) -> ReasoningRequest {
    let mut asked = ReasoningRequest {
        effort: text(fields, "reasoning_effort"),
        budget: None,
    };
    if let Some(mut reasoning) = object(fields, "reasoning") {
        let effort = text(&mut reasoning, "effort");
        asked.effort = asked.effort.or(effort);
        asked.budget = take(&mut reasoning, "max_tokens", whole);
        match take(&mut reasoning, "enabled", Value::as_bool) {
            Some(false) => asked.effort = Some("none".into()),
            // OpenRouter's own default.
            Some(true) if asked.is_unset() => asked.effort = Some("medium".into()),
            _ => {}
        }
        reasoning.retain(|_, value| !value.is_null());
        if !reasoning.is_empty() {
            fields.insert("reasoning".into(), reasoning.into());
        }
    }
    let thinking = fields.get("thinking");
    let kind = thinking.and_then(|thinking| thinking.get("type")?.as_str());
    let budget = thinking.and_then(|thinking| thinking.get("budget_tokens")?.as_u64());
    match (kind, budget) {
        (Some("disabled"), _) => {
            asked.effort = Some("none".into());
            fields.shift_remove("thinking");
        }
        (Some("enabled"), Some(budget)) => {
            asked.budget = Some(budget);
            fields.shift_remove("thinking");
        }
        _ => {}
    }
    asked
}

fn output(fields: &mut Map<String, Value>) -> Result<OutputFormat, Error> {
    let kind = fields
        .get("response_format")
        .and_then(|format| format.get("type")?.as_str());
    let output = match kind {
        Some("text") => OutputFormat::Text,
        Some("json_object") => OutputFormat::JsonObject,
        Some("json_schema") => {
            let mut format = object(fields, "response_format")
                .and_then(|mut format| object(&mut format, "json_schema"))
                .ok_or_else(|| malformed("`response_format` has no `json_schema`"))?;
            OutputFormat::JsonSchema {
                name: text(&mut format, "name").unwrap_or_default(),
                schema: raw(format.get("schema"))?,
                strict: format.get("strict").and_then(Value::as_bool),
                description: text(&mut format, "description"),
            }
        }
        // A grammar or the like, which some servers know.
        _ => return Ok(OutputFormat::Text),
    };
    fields.shift_remove("response_format");
    Ok(output)
}

/// A schema as text; without one, anything goes.
pub(super) fn raw(value: Option<&Value>) -> Result<Box<RawValue>, Error> {
    let text = value.map_or_else(|| "{}".to_owned(), Value::to_string);
    RawValue::from_string(text).map_err(Error::from)
}
