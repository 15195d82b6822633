//! Fields that v1 and v2 share: sampling, the answer's form, and what is passed on as it came.

use serde_json::{Map, Value, json};

use super::Api;
use crate::{
    dialect::{Error, Loss, strangers},
    llm::{ChatRequest, Extra, Format, OutputFormat, Sampling},
};

/// Cohere's fields without a name in the canonical model, which a client of OpenAI's format may send along: its SDKs call it `extra_body`.
/// Cohere refuses the ones that it does not know.
fn own(api: Api) -> &'static [&'static str] {
    match api {
        Api::V1 => &[
            "preamble",
            "conversation_id",
            "prompt_truncation",
            "connectors",
            "search_queries_only",
            "documents",
            "citation_quality",
            "max_input_tokens",
            "raw_prompting",
            "safety_mode",
        ],
        Api::V2 => &[
            "documents",
            "citation_options",
            "safety_mode",
            "strict_tools",
            "thinking",
            "raw_prompting",
            "priority",
        ],
        Api::Generate => &["truncate", "preset", "raw_prompting", "return_likelihoods"],
    }
}

/// Most texts that end an answer.
const MAX_STOPS: usize = 5;

/// Likeliest tokens to sample from, at most.
const MAX_K: u64 = 500;

/// A field that is lost, once however often it stands there.
pub(super) fn lose(lost: &mut Vec<Loss>, loss: Loss) {
    if !lost.contains(&loss) {
        lost.push(loss);
    }
}

/// Writes what all the APIs share: model, stream, sampling, the client's own additions. Gives what gets lost.
pub(super) fn write(
    request: &ChatRequest,
    api: Api,
    fields: &mut Map<String, Value>,
) -> Result<Vec<Loss>, Error> {
    let sampling = &request.sampling;
    if api != Api::Generate && sampling.n.is_some_and(|n| n > 1) {
        return Err(Error::Unsupported {
            what: "`n` > 1".into(),
        });
    }
    let mut lost = passed(request.extra.as_ref(), api, fields);
    if let Some(model) = &request.model {
        fields.insert("model".into(), model.clone().into());
    }
    fields.insert("stream".into(), request.stream.into());
    sample(sampling, api, fields, &mut lost);
    if request.user.is_some() {
        lose(&mut lost, Loss::dropped("user"));
    }
    if request
        .messages
        .iter()
        .any(|message| message.name.is_some())
    {
        lose(&mut lost, Loss::dropped("name"));
    }
    Ok(lost)
}

/// Passes on the fields that are Cohere's; the others are lost.
fn passed(extra: Option<&Extra>, api: Api, fields: &mut Map<String, Value>) -> Vec<Loss> {
    let known = match extra.map(|extra| extra.from) {
        Some(Format::OpenAi | Format::Cohere) => own(api),
        _ => &[],
    };
    for (key, value) in extra.into_iter().flat_map(|extra| &extra.fields) {
        let cohere = extra.is_some_and(|extra| extra.from == Format::Cohere);
        if cohere || known.contains(&key.as_str()) {
            fields.insert(key.clone(), value.clone());
        }
    }
    strangers(extra, Format::Cohere, known)
}

fn sample(sampling: &Sampling, api: Api, fields: &mut Map<String, Value>, lost: &mut Vec<Loss>) {
    let mut set = |key: &str, value: Value| {
        fields.insert(key.into(), value);
    };
    if let Some(max_tokens) = sampling.max_tokens {
        set("max_tokens", max_tokens.into());
    }
    if let Some(temperature) = sampling.temperature {
        // `invalid request: temperature must be between 0 and 1.0 inclusive`
        let most = if api == Api::Generate { 5.0 } else { 1.0 };
        let taken = clamped(temperature, most, "temperature", lost);
        set("temperature", taken.into());
    }
    if let Some(p) = sampling.top_p {
        set("p", p.into());
    }
    if let Some(k) = sampling.top_k {
        if k > MAX_K {
            lose(lost, Loss::clamped("top_k"));
        }
        set("k", k.min(MAX_K).into());
    }
    match sampling.seed {
        Some(seed) if seed >= 0 => set("seed", seed.into()),
        Some(_) => lose(lost, Loss::dropped("seed")),
        None => {}
    }
    // 0 is no penalty, and Cohere refuses both at once.
    let mut penalty = |value: Option<f64>, name: &str| {
        value
            .map(|value| clamped(value, 1.0, name, lost))
            .filter(|value| *value > 0.0)
    };
    let frequency = penalty(sampling.frequency_penalty, "frequency_penalty");
    let presence = penalty(sampling.presence_penalty, "presence_penalty");
    match (frequency, presence) {
        (Some(frequency), presence) => {
            set("frequency_penalty", frequency.into());
            if presence.is_some() {
                lose(lost, Loss::dropped("presence_penalty"));
            }
        }
        (None, Some(presence)) => set("presence_penalty", presence.into()),
        (None, None) => {}
    }
    if sampling.stop.len() > MAX_STOPS {
        lose(lost, Loss::clamped("stop"));
    }
    let stops: Vec<&str> = sampling
        .stop
        .iter()
        .take(MAX_STOPS)
        .map(String::as_str)
        .collect();
    if !stops.is_empty() {
        // Completions' `stop_sequences` stay at the end of the text; chat's, `end_sequences` and OpenAI's `stop` do not.
        let key = if api == Api::Generate {
            "end_sequences"
        } else {
            "stop_sequences"
        };
        set(key, stops.into());
    }
    let logprobs = sampling.logprobs == Some(true);
    match api {
        Api::V2 if logprobs => set("logprobs", true.into()),
        Api::Generate if logprobs => set("return_likelihoods", "GENERATION".into()),
        Api::V1 if logprobs => lose(lost, Loss::dropped("logprobs")),
        _ => {}
    }
    if sampling.top_logprobs.is_some_and(|top| top > 0) {
        lose(lost, Loss::dropped("top_logprobs"));
    }
}

fn clamped(value: f64, most: f64, name: &str, lost: &mut Vec<Loss>) -> f64 {
    let taken = value.clamp(0.0, most);
    if taken != value {
        lose(lost, Loss::clamped(name));
    }
    taken
}

/// Reads what [`write`] writes; takes the fields out.
pub(super) fn read(fields: &mut Map<String, Value>) -> Sampling {
    let logprobs = match fields.get("return_likelihoods").and_then(Value::as_str) {
        Some("GENERATION") => {
            fields.remove("return_likelihoods");
            Some(true)
        }
        _ => None,
    };
    let mut take = |key: &str| fields.remove(key).filter(|value| !value.is_null());
    let stop = take("end_sequences").or(take("stop_sequences"));
    Sampling {
        max_tokens: take("max_tokens").as_ref().and_then(Value::as_u64),
        temperature: take("temperature").as_ref().and_then(Value::as_f64),
        top_p: take("p").as_ref().and_then(Value::as_f64),
        top_k: take("k").as_ref().and_then(Value::as_u64),
        stop: stop
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        seed: take("seed").as_ref().and_then(Value::as_i64),
        n: take("num_generations").as_ref().and_then(Value::as_u64),
        frequency_penalty: take("frequency_penalty").as_ref().and_then(Value::as_f64),
        presence_penalty: take("presence_penalty").as_ref().and_then(Value::as_f64),
        logprobs: logprobs.or(take("logprobs").as_ref().and_then(Value::as_bool)),
        top_logprobs: None,
    }
}

/// What is left of a request becomes its unknown fields.
pub(super) fn rest(fields: Map<String, Value>) -> Option<Extra> {
    (!fields.is_empty()).then_some(Extra {
        from: Format::Cohere,
        fields,
    })
}

/// Writes `response_format`; the schema's name differs between the APIs.
pub(super) fn output(output: &OutputFormat, api: Api) -> Option<Value> {
    match output {
        OutputFormat::Text => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema { schema, .. } if api == Api::V1 => {
            Some(json!({"type": "json_object", "schema": schema}))
        }
        OutputFormat::JsonSchema { schema, .. } => {
            Some(json!({"type": "json_object", "json_schema": schema}))
        }
    }
}

/// Reads `response_format`.
pub(super) fn read_output(wire: Option<&Value>) -> OutputFormat {
    let Some(wire) = wire.filter(|wire| super::string(wire, "type") == "json_object") else {
        return OutputFormat::Text;
    };
    let schema = wire
        .get("json_schema")
        .or_else(|| wire.get("schema"))
        .filter(|schema| schema.is_object());
    match schema.map(serde_json::value::to_raw_value) {
        Some(Ok(schema)) => OutputFormat::JsonSchema {
            name: "answer".into(),
            schema,
            strict: Some(true),
            description: None,
        },
        _ => OutputFormat::JsonObject,
    }
}
