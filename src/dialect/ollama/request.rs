//! Requests of `/api/chat`: <https://docs.ollama.com/api/chat>.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Encoded, Error, messages};
use crate::{
    dialect::{Loss, Restore, put, strangers},
    llm::{ChatRequest, Extra, Format, OutputFormat, ReasoningRequest, Sampling, Tool, ToolChoice},
};

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let mut fields = object(body)?;
    let mut request = common(&mut fields);
    if let Some(Value::Array(wire)) = fields.remove("messages") {
        request.messages = messages::decode(&wire)?;
    }
    if let Some(Value::Array(tools)) = fields.remove("tools") {
        request.tools = tools.iter().filter_map(tool).collect();
    }
    keep(&mut request, fields);
    Ok(request)
}

/// The fields of a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(body)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::Malformed("the request is no JSON object".into())),
    }
}

/// A string field.
pub(super) fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    match fields.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// What chat and generate have in common.
pub(super) fn common(fields: &mut Map<String, Value>) -> ChatRequest {
    let mut options = match fields.remove("options") {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    let mut sampling = sampling(&mut options);
    if !options.is_empty() {
        fields.insert("options".into(), options.into());
    }
    sampling.logprobs = fields.remove("logprobs").as_ref().and_then(Value::as_bool);
    sampling.top_logprobs = fields
        .remove("top_logprobs")
        .as_ref()
        .and_then(Value::as_u64);
    ChatRequest {
        model: text(fields, "model"),
        // Ollama streams unless it is told not to, and tells the usage unasked.
        stream: fields
            .remove("stream")
            .as_ref()
            .and_then(Value::as_bool)
            .unwrap_or(true),
        stream_usage: true,
        sampling,
        reasoning: ReasoningRequest {
            effort: match fields.remove("think") {
                Some(Value::Bool(true)) => Some("medium".into()),
                Some(Value::Bool(false)) => Some("none".into()),
                Some(Value::String(level)) if level == "max" => Some("xhigh".into()),
                Some(Value::String(level)) => Some(level),
                _ => None,
            },
            budget: None,
        },
        output: match fields.remove("format") {
            Some(Value::String(word)) if word == "json" => OutputFormat::JsonObject,
            Some(schema @ Value::Object(_)) => match serde_json::value::to_raw_value(&schema) {
                Ok(schema) => OutputFormat::JsonSchema {
                    name: "answer".into(),
                    schema,
                    strict: None,
                    description: None,
                },
                Err(_) => OutputFormat::JsonObject,
            },
            _ => OutputFormat::Text,
        },
        ..ChatRequest::default()
    }
}

/// Keeps the fields without a name of ours.
pub(super) fn keep(request: &mut ChatRequest, fields: Map<String, Value>) {
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::Ollama,
            fields,
        });
    }
}

/// Takes what has a name of ours out of `options`; a value of an odd type (`"num_predict": -1`, no limit) stays there.
fn sampling(options: &mut Map<String, Value>) -> Sampling {
    fn take<T>(
        options: &mut Map<String, Value>,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = options.get(key).and_then(read)?;
        options.remove(key);
        Some(value)
    }
    Sampling {
        max_tokens: take(options, "num_predict", Value::as_u64),
        temperature: take(options, "temperature", Value::as_f64),
        top_p: take(options, "top_p", Value::as_f64),
        top_k: take(options, "top_k", Value::as_u64),
        stop: take(options, "stop", |value| match value {
            Value::String(stop) => Some(vec![stop.clone()]),
            Value::Array(stops) => stops
                .iter()
                .map(|stop| stop.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        })
        .unwrap_or_default(),
        seed: take(options, "seed", Value::as_i64),
        frequency_penalty: take(options, "frequency_penalty", Value::as_f64),
        presence_penalty: take(options, "presence_penalty", Value::as_f64),
        ..Sampling::default()
    }
}

fn tool(wire: &Value) -> Option<Tool> {
    let function = wire.get("function")?;
    let string = |key: &str| function.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Tool {
        name: string("name").unwrap_or_default(),
        description: string("description"),
        parameters: function
            .get("parameters")
            .and_then(|schema| serde_json::value::to_raw_value(schema).ok()),
        strict: None,
    })
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let mut lost = Vec::new();
    let messages = messages::encode(&request.messages, &mut lost)?;
    let mut body = json!({"model": request.model, "messages": messages, "stream": request.stream});
    encode_tools(request, &mut body, &mut lost)?;
    encode_common(request, &mut body, &[], &mut lost)?;
    Ok(encoded(&body, lost))
}

pub(super) fn encoded(body: &Value, lost: Vec<Loss>) -> Encoded {
    Encoded {
        body: Bytes::from(body.to_string()),
        lost,
        restore: Restore::default(),
    }
}

/// Ollama has no `tool_choice` of its own: `none` is said by offering no tools, and nothing can be forced. Servers in its place know
/// `auto`, as Kong sends it.
fn encode_tools(
    request: &ChatRequest,
    body: &mut Value,
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    if request.tools.is_empty() || request.tool_choice == Some(ToolChoice::None) {
        return Ok(());
    }
    match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => {
            return Err(Error::Unsupported {
                what: "a forced tool_choice".into(),
            });
        }
        Some(ToolChoice::Auto) => put(body, "tool_choice", "auto"),
        Some(ToolChoice::None) | None => {}
    }
    if request.parallel_tool_calls == Some(false) {
        lost.push(Loss::dropped("parallel_tool_calls"));
    }
    if request.tools.iter().any(|tool| tool.strict == Some(true)) {
        lost.push(Loss::dropped("strict"));
    }
    let tools: Vec<Value> = request.tools.iter().map(encode_tool).collect();
    put(body, "tools", tools);
    Ok(())
}

fn encode_tool(tool: &Tool) -> Value {
    let parameters = tool
        .parameters
        .as_ref()
        .and_then(|schema| serde_json::from_str::<Value>(schema.get()).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut function = json!({"name": tool.name});
    if let Some(description) = &tool.description {
        put(&mut function, "description", description.clone());
    }
    put(&mut function, "parameters", parameters);
    json!({"type": "function", "function": function})
}

/// Writes what chat and generate have in common. `known`: fields of other formats that were carried over already.
pub(super) fn encode_common(
    request: &ChatRequest,
    body: &mut Value,
    known: &[&str],
    lost: &mut Vec<Loss>,
) -> Result<(), Error> {
    let sampling = &request.sampling;
    if sampling.n.is_some_and(|n| n > 1) {
        return Err(Error::Unsupported {
            what: "n > 1".into(),
        });
    }
    let mut own = Map::new();
    if let Some(extra) = &request.extra
        && extra.from == Format::Ollama
    {
        own = extra.fields.clone();
    }
    let mut options = match own.remove("options") {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(key.to_owned(), value);
        }
    };
    set("num_predict", sampling.max_tokens.map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("top_k", sampling.top_k.map(Value::from));
    set(
        "stop",
        (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()),
    );
    set("seed", sampling.seed.map(Value::from));
    set(
        "frequency_penalty",
        sampling.frequency_penalty.map(Value::from),
    );
    set(
        "presence_penalty",
        sampling.presence_penalty.map(Value::from),
    );
    if !options.is_empty() {
        put(body, "options", options);
    }
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => put(body, "format", "json"),
        OutputFormat::JsonSchema { schema, .. } => {
            put(
                body,
                "format",
                serde_json::from_str::<Value>(schema.get()).unwrap_or_default(),
            );
        }
    }
    if let Some(think) = think(&request.reasoning, lost) {
        put(body, "think", think);
    }
    if sampling.logprobs == Some(true) {
        put(body, "logprobs", true);
        if let Some(top) = sampling.top_logprobs {
            put(body, "top_logprobs", top);
        }
    }
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    lost.extend(strangers(request.extra.as_ref(), Format::Ollama, known));
    for (key, value) in own {
        put(body, &key, value);
    }
    Ok(())
}

/// `think` has three levels; models that know none take each for `true`.
fn think(reasoning: &ReasoningRequest, lost: &mut Vec<Loss>) -> Option<Value> {
    if reasoning.is_unset() {
        return None;
    }
    let mut clamp = |level: &str| {
        lost.push(Loss::clamped("reasoning_effort"));
        Some(level.into())
    };
    match reasoning.level() {
        Some("none") => Some(false.into()),
        Some("minimal") => clamp("low"),
        Some(level @ ("low" | "medium" | "high")) => Some(level.into()),
        Some("xhigh" | "max") => clamp("high"),
        _ => {
            lost.push(Loss::dropped("reasoning_effort"));
            None
        }
    }
}
