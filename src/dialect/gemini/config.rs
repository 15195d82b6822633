//! `generationConfig`: <https://ai.google.dev/api/generate-content#generationconfig>.

use serde_json::{Map, Value, json, value::to_raw_value};

use super::{decode::take, schema, version};
use crate::{
    dialect::Loss,
    llm::{ChatRequest, OutputFormat, ReasoningRequest, Sampling},
};

/// Most alternatives to a token.
const MOST_LOGPROBS: u64 = 20;

/// Writes it.
pub(super) fn encode(request: &ChatRequest, lost: &mut Vec<Loss>) -> Map<String, Value> {
    let mut config = Map::new();
    sampling(&request.sampling, &mut config, lost);
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => {
            config.insert("responseMimeType".into(), "application/json".into());
        }
        OutputFormat::JsonSchema {
            schema,
            description,
            ..
        } => {
            config.insert("responseMimeType".into(), "application/json".into());
            let mut schema = schema::reduce(schema, lost);
            if let (Some(description), Some(fields)) = (description, schema.as_object_mut()) {
                fields
                    .entry("description")
                    .or_insert_with(|| description.clone().into());
            }
            config.insert("responseSchema".into(), schema);
        }
    }
    let model = request.model.as_deref().unwrap_or_default();
    if let Some(thinking) = thinking(&request.reasoning, model, lost) {
        config.insert("thinkingConfig".into(), thinking);
    }
    config
}

fn sampling(sampling: &Sampling, config: &mut Map<String, Value>, lost: &mut Vec<Loss>) {
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    };
    set("maxOutputTokens", sampling.max_tokens.map(Value::from));
    let temperature = sampling.temperature.map(|temperature| {
        if temperature > 2.0 {
            lost.push(Loss::clamped("temperature"));
        }
        temperature.min(2.0)
    });
    set("temperature", temperature.map(Value::from));
    set("topP", sampling.top_p.map(Value::from));
    set("topK", sampling.top_k.map(Value::from));
    if !sampling.stop.is_empty() {
        set("stopSequences", Some(sampling.stop.clone().into()));
    }
    set(
        "candidateCount",
        sampling.n.filter(|n| *n != 1).map(Value::from),
    );
    let seed = sampling.seed.map(|seed| {
        i32::try_from(seed).unwrap_or_else(|_| {
            lost.push(Loss::clamped("seed"));
            if seed < 0 { i32::MIN } else { i32::MAX }
        })
    });
    set("seed", seed.map(Value::from));
    set(
        "presencePenalty",
        sampling.presence_penalty.map(Value::from),
    );
    set(
        "frequencyPenalty",
        sampling.frequency_penalty.map(Value::from),
    );
    let top = sampling.top_logprobs.filter(|top| *top > 0);
    if sampling.logprobs == Some(true) {
        set("responseLogprobs", Some(true.into()));
        if top.is_some_and(|top| top > MOST_LOGPROBS) {
            lost.push(Loss::clamped("top_logprobs"));
        }
        set("logprobs", top.map(|top| top.min(MOST_LOGPROBS).into()));
    } else if top.is_some() {
        lost.push(Loss::dropped("top_logprobs"));
    }
}

/// Gemini 2.5 takes a budget, later models a level, earlier ones neither:
/// <https://ai.google.dev/gemini-api/docs/thinking>.
fn thinking(reasoning: &ReasoningRequest, model: &str, lost: &mut Vec<Loss>) -> Option<Value> {
    if reasoning.is_unset() {
        return None;
    }
    let field = if reasoning.effort.is_some() {
        "reasoning_effort"
    } else {
        "reasoning"
    };
    let Some(tokens) = reasoning.tokens() else {
        lost.push(Loss::dropped(field));
        return None;
    };
    let version = version(model);
    if version.is_some_and(|version| version < (2, 5)) {
        if tokens > 0 {
            lost.push(Loss::dropped(field));
        }
        return None;
    }
    if version.is_some_and(|version| version >= (3, 0)) {
        let (level, exact) = level(reasoning.level().unwrap_or_default(), model, version);
        if !exact {
            lost.push(Loss::clamped(field));
        }
        return Some(json!({"includeThoughts": tokens > 0, "thinkingLevel": level}));
    }
    let within = if model.contains("flash-lite") {
        512..=24_576
    } else if model.contains("flash") {
        0..=24_576
    } else if model.contains("pro") {
        128..=32_768
    } else {
        0..=u64::MAX
    };
    let off = tokens == 0 && !model.contains("pro");
    let budget = if off {
        0
    } else {
        tokens.clamp(*within.start(), *within.end())
    };
    if budget != tokens {
        lost.push(Loss::clamped(field));
    }
    Some(json!({"includeThoughts": tokens > 0, "thinkingBudget": budget}))
}

/// The level that a model has for an effort, and whether that says the same. No model of these can be kept from reasoning; `MINIMAL` is
/// known to the smaller ones up to 3.6, `MEDIUM` to all but Gemini 3 Pro.
fn level(effort: &str, model: &str, version: Option<(u32, u32)>) -> (&'static str, bool) {
    let minimal = model.contains("flash") && version.is_some_and(|version| version < (3, 6));
    match effort {
        "none" => (if minimal { "MINIMAL" } else { "LOW" }, false),
        "minimal" if minimal => ("MINIMAL", true),
        "minimal" | "low" => ("LOW", true),
        "medium" if version == Some((3, 0)) && model.contains("pro") => ("HIGH", false),
        "medium" => ("MEDIUM", true),
        "xhigh" => ("HIGH", false),
        _ => ("HIGH", true),
    }
}

/// Reads it; takes what it knows out of `config`.
pub(super) fn decode(config: &mut Map<String, Value>, request: &mut ChatRequest) {
    let number = |value: Option<Value>| value.as_ref().and_then(Value::as_f64);
    // Google also takes counts as texts, as Protobuf's JSON writes 64 bits.
    let count = |value: Option<Value>| match value? {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    request.sampling = Sampling {
        max_tokens: count(take(config, "maxOutputTokens")),
        temperature: number(take(config, "temperature")),
        top_p: number(take(config, "topP")),
        top_k: number(take(config, "topK")).map(|k| k as u64),
        stop: take(config, "stopSequences")
            .and_then(|stop| serde_json::from_value(stop).ok())
            .unwrap_or_default(),
        seed: take(config, "seed").as_ref().and_then(Value::as_i64),
        n: count(take(config, "candidateCount")),
        frequency_penalty: number(take(config, "frequencyPenalty")),
        presence_penalty: number(take(config, "presencePenalty")),
        logprobs: take(config, "responseLogprobs")
            .as_ref()
            .and_then(Value::as_bool),
        top_logprobs: count(take(config, "logprobs")),
    };
    if let Some(Value::Object(mut thinking)) = take(config, "thinkingConfig") {
        request.reasoning = ReasoningRequest {
            effort: take(&mut thinking, "thinkingLevel")
                .as_ref()
                .and_then(Value::as_str)
                .map(str::to_ascii_lowercase)
                .filter(|level| level != "thinking_level_unspecified"),
            // -1: as much as the model likes, which is what no budget means.
            budget: count(take(&mut thinking, "thinkingBudget")),
        };
    }
    let json = config
        .get("responseMimeType")
        .or_else(|| config.get("response_mime_type"))
        .and_then(Value::as_str)
        == Some("application/json");
    let own = take(config, "responseSchema").map(schema::standard);
    let schema = own
        .or_else(|| take(config, "responseJsonSchema"))
        .or_else(|| take(config, "_responseJsonSchema"));
    match schema.and_then(|schema| to_raw_value(&schema).ok()) {
        Some(schema) => {
            take(config, "responseMimeType");
            request.output = OutputFormat::JsonSchema {
                name: "response".into(),
                schema,
                strict: None,
                description: None,
            };
        }
        None if json => {
            take(config, "responseMimeType");
            request.output = OutputFormat::JsonObject;
        }
        None => {}
    }
}
