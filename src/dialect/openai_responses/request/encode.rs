//! Requests written.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    dialect::{
        Encoded, Error, Loss,
        openai_chat::Names,
        openai_responses::{
            items::{self, INSIDE},
            tools,
        },
        put, strangers,
    },
    llm::{ChatRequest, Format, Message, OutputFormat, Part, Role},
};

/// The least that `max_output_tokens` may be: <https://platform.openai.com/docs/api-reference/responses/create>.
const LEAST: u64 = 16;

/// Fields that OpenAI's chat has too, and their names here.
const CARRIED: &[(&str, &str)] = &[
    ("store", "store"),
    ("metadata", "metadata"),
    ("service_tier", "service_tier"),
    ("prompt_cache_key", "prompt_cache_key"),
    ("prompt_cache_retention", "prompt_cache_retention"),
    ("safety_identifier", "safety_identifier"),
    ("verbosity", "text.verbosity"),
];

/// Writes a request.
pub(in crate::dialect::openai_responses) fn encode(
    request: &ChatRequest,
) -> Result<Encoded, Error> {
    let names = Names::of(request);
    let mut lost = Vec::new();
    let (instructions, messages) = instructions(&request.messages);
    let input = items::encode(messages, &names, &mut lost)?;
    let mut fields = Map::new();
    set(&mut fields, "model", request.model.clone());
    set(&mut fields, "instructions", instructions);
    fields.insert("input".into(), input.into());
    tools::encode(request, &names, &mut fields);
    sampling(request, &mut fields, &mut lost)?;
    if let Some(format) = format(&request.output) {
        fields.insert("text".into(), json!({"format": format}));
    }
    let model = request.model.as_deref().unwrap_or_default();
    if let Some(effort) = effort(request, model, &mut lost) {
        fields.insert("reasoning".into(), json!({"effort": effort}));
    }
    set(&mut fields, "user", request.user.clone());
    if request.stream {
        fields.insert("stream".into(), true.into());
    }
    let own = request
        .extra
        .as_ref()
        .filter(|extra| extra.from == Format::Responses);
    match own {
        Some(extra) => own_fields(&extra.fields, &mut fields, &mut lost),
        None => {
            carried(request, &mut fields);
            // Clients of other formats never come back for it.
            fields.entry("store").or_insert(false.into());
            let known: Vec<&str> = CARRIED.iter().map(|(chat, _)| *chat).collect();
            let known = if from_chat(request) {
                known.as_slice()
            } else {
                &[]
            };
            lost.extend(strangers(request.extra.as_ref(), Format::Responses, known));
        }
    }
    let mut included = fields
        .get("include")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut include = |what: &str, wanted: bool| {
        if wanted && !included.iter().any(|one| one == what) {
            included.push(what.into());
        }
    };
    let stored = fields.get("store") != Some(&Value::Bool(false));
    include("reasoning.encrypted_content", !stored && reasons(model));
    include(
        "message.output_text.logprobs",
        request.sampling.logprobs == Some(true),
    );
    if !included.is_empty() {
        fields.insert("include".into(), included.into());
    }
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: names.restore(),
    })
}

fn set(fields: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value.into());
    }
}

/// The first system message, where it is text and something follows.
fn instructions(messages: &[Message]) -> (Option<String>, &[Message]) {
    let (Some(first), Some(rest)) = (messages.first(), messages.get(1..)) else {
        return (None, messages);
    };
    if first.role != Role::System || first.name.is_some() || rest.is_empty() {
        return (None, messages);
    }
    let texts: Option<Vec<&str>> = first
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    match texts {
        Some(texts) => (Some(texts.join("\n")), rest),
        None => (None, messages),
    }
}

fn sampling(
    request: &ChatRequest,
    fields: &mut Map<String, Value>,
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    let sampling = &request.sampling;
    if sampling.n.is_some_and(|n| n > 1) {
        return Err(Error::Unsupported {
            what: "n > 1".into(),
        });
    }
    if let Some(limit) = sampling.max_tokens {
        if limit < LEAST {
            lost.push(Loss::clamped("max_tokens"));
        }
        fields.insert("max_output_tokens".into(), limit.max(LEAST).into());
    }
    set(fields, "temperature", sampling.temperature);
    set(fields, "top_p", sampling.top_p);
    set(fields, "top_logprobs", sampling.top_logprobs);
    for (what, said) in [
        ("top_k", sampling.top_k.is_some()),
        ("stop", !sampling.stop.is_empty()),
        ("seed", sampling.seed.is_some()),
        (
            "frequency_penalty",
            sampling
                .frequency_penalty
                .is_some_and(|penalty| penalty != 0.0),
        ),
        (
            "presence_penalty",
            sampling
                .presence_penalty
                .is_some_and(|penalty| penalty != 0.0),
        ),
    ] {
        if said {
            lost.push(Loss::dropped(what));
        }
    }
    Ok(())
}

fn format(output: &OutputFormat) -> Option<Value> {
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
            let mut format = json!({"type": "json_schema", "name": name, "schema": schema});
            if let Some(strict) = strict {
                put(&mut format, "strict", *strict);
            }
            if let Some(description) = description {
                put(&mut format, "description", description.as_str());
            }
            Some(format)
        }
    }
}

/// Whether a model of OpenAI's reasons, by its name. Others refuse to be asked for it.
fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5", "gpt-6", "codex"]
        .iter()
        .any(|family| {
            model
                .strip_prefix(family)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        })
}

/// The effort as asked for, or as a budget says it. A budget never becomes `xhigh`, which few models know.
fn effort<'a>(request: &'a ChatRequest, model: &str, lost: &mut Vec<Loss>) -> Option<&'a str> {
    let level = request.reasoning.level()?;
    // These never reason, and refuse the field.
    let plain = ["gpt-3", "gpt-4", "chatgpt"]
        .iter()
        .any(|family| model.starts_with(family));
    if plain {
        if level != "none" {
            lost.push(Loss::dropped("reasoning_effort"));
        }
        return None;
    }
    if request.reasoning.effort.is_none() && level == "xhigh" {
        lost.push(Loss::clamped("reasoning_effort"));
        return Some("high");
    }
    Some(level)
}

fn from_chat(request: &ChatRequest) -> bool {
    let extra = request.extra.as_ref();
    extra.is_some_and(|extra| extra.from == Format::OpenAi)
}

/// Takes over what OpenAI's chat says in the same words.
fn carried(request: &ChatRequest, fields: &mut Map<String, Value>) {
    let extra = request.extra.as_ref().filter(|_| from_chat(request));
    for (chat, own) in CARRIED {
        if let Some(value) = extra.and_then(|extra| extra.fields.get(*chat)) {
            place(own, value, fields);
        }
    }
}

/// Puts the format's own unknown fields back where they were.
fn own_fields(own: &Map<String, Value>, fields: &mut Map<String, Value>, lost: &mut Vec<Loss>) {
    for (key, value) in own {
        if key.contains(INSIDE) {
            lost.push(Loss::dropped(key));
            continue;
        }
        place(key, value, fields);
    }
}

/// Sets a field where it belongs, unless it is set.
fn place(key: &str, value: &Value, fields: &mut Map<String, Value>) {
    match key.split_once('.') {
        Some((of @ ("text" | "reasoning"), inner)) => {
            let holder = fields.entry(of).or_insert_with(|| json!({}));
            put(holder, inner, value.clone());
        }
        _ => {
            fields.entry(key).or_insert_with(|| value.clone());
        }
    }
}
