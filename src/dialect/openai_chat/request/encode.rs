//! Requests written.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{INSIDE, lose, names::Names, tools, turns};
use crate::{
    dialect::{Encoded, Error, Loss, put, strangers},
    llm::{ChatRequest, Format, OutputFormat, ReasoningRequest, Sampling},
};

/// Writes a request.
pub(in crate::dialect) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let names = Names::of(request);
    let mut lost = Vec::new();
    let messages = turns::encode(&request.messages, &names, &mut lost)?;
    let mut fields = Map::new();
    shared(request, limit_name(request), &mut fields);
    // After the model.
    fields.shift_insert(
        usize::from(request.model.is_some()),
        "messages".into(),
        messages.into(),
    );
    tools::encode(request, &names, &mut fields);
    let sampling = &request.sampling;
    set(&mut fields, "logprobs", sampling.logprobs);
    set(&mut fields, "top_logprobs", sampling.top_logprobs);
    let model = request.model.as_deref().unwrap_or_default();
    set(
        &mut fields,
        "reasoning_effort",
        effort(&request.reasoning, model, &mut lost),
    );
    if let Some(format) = response_format(&request.output) {
        fields.insert("response_format".into(), format);
    }
    own_fields(request, &mut fields, &mut lost);
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: names.restore(),
    })
}

/// Writes the fields that chat and completions share; `limit` is the name of the limit.
pub(in crate::dialect) fn shared(
    request: &ChatRequest,
    limit: &str,
    fields: &mut Map<String, Value>,
) {
    let Sampling {
        max_tokens,
        temperature,
        top_p,
        top_k,
        stop,
        seed,
        n,
        frequency_penalty,
        presence_penalty,
        ..
    } = &request.sampling;
    set(fields, "model", request.model.clone());
    set(fields, limit, *max_tokens);
    set(fields, "temperature", *temperature);
    set(fields, "top_p", *top_p);
    set(fields, "top_k", *top_k);
    set(fields, "stop", (!stop.is_empty()).then(|| stop.clone()));
    set(fields, "seed", *seed);
    set(fields, "n", *n);
    set(fields, "frequency_penalty", *frequency_penalty);
    set(fields, "presence_penalty", *presence_penalty);
    set(fields, "user", request.user.clone());
    if request.stream {
        fields.insert("stream".into(), true.into());
        if request.stream_usage {
            fields.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
}

fn set(fields: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value.into());
    }
}

/// Puts OpenAI's own unknown fields back, and reports those of others.
pub(in crate::dialect) fn own_fields(
    request: &ChatRequest,
    fields: &mut Map<String, Value>,
    lost: &mut Vec<Loss>,
) {
    for loss in strangers(request.extra.as_ref(), Format::OpenAi, &[]) {
        lose(lost, loss);
    }
    let extra = request.extra.iter();
    for (key, value) in extra
        .filter(|extra| extra.from == Format::OpenAi)
        .flat_map(|extra| &extra.fields)
    {
        if key.contains(INSIDE) {
            lose(lost, Loss::dropped(key));
            continue;
        }
        match (fields.get_mut(key), value) {
            // More options of the same object.
            (Some(Value::Object(here)), Value::Object(more)) => {
                for (key, value) in more {
                    here.entry(key).or_insert_with(|| value.clone());
                }
            }
            (Some(_), _) => {}
            (None, _) => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The field that limits the answer's tokens: OpenAI's reasoning models refuse `max_tokens`
/// <https://platform.openai.com/docs/api-reference/chat/create>, which all other servers know.
fn limit_name(request: &ChatRequest) -> &'static str {
    let model = request.model.as_deref().unwrap_or_default();
    let reasons = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| {
        model
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    });
    if reasons {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

/// The effort as asked for, or as a budget says it. A budget never becomes `xhigh`, which few models know.
fn effort<'a>(
    reasoning: &'a ReasoningRequest,
    model: &str,
    lost: &mut Vec<Loss>,
) -> Option<&'a str> {
    let level = reasoning.level()?;
    if reasoning.effort.is_none() && level == "xhigh" {
        lose(lost, Loss::clamped("reasoning_effort"));
        return Some("high");
    }
    // These never reason, and refuse the field.
    let plain = ["gpt-3", "gpt-4", "chatgpt"]
        .iter()
        .any(|family| model.starts_with(family));
    if plain {
        if level != "none" {
            lose(lost, Loss::dropped("reasoning_effort"));
        }
        return None;
    }
    Some(level)
}

fn response_format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema {
            name,
            schema,
            strict,
            description,
        } => {
            // OpenAI wants a name; formats without one leave it empty.
            let name = if name.is_empty() { "answer" } else { name };
            let mut format = json!({"name": name, "schema": schema});
            if let Some(strict) = strict {
                put(&mut format, "strict", *strict);
            }
            if let Some(description) = description {
                put(&mut format, "description", description.as_str());
            }
            Some(json!({"type": "json_schema", "json_schema": format}))
        }
    }
}
