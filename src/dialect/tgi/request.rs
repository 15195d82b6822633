//! Requests.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Encoded, Error};
use crate::{
    dialect::{Loss, Restore, put, strangers},
    llm::{ChatRequest, Extra, Format, Message, OutputFormat, Part, Role, Sampling, ToolChoice},
};

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let (mut request, inputs) = decode_as(body)?;
    request.messages = vec![Message::text(Role::User, inputs)];
    Ok(request)
}

/// Reads a request, its text apart.
pub(super) fn decode_as(body: &[u8]) -> Result<(ChatRequest, String), Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    let Some(Value::String(inputs)) = fields.remove("inputs") else {
        return Err(Error::Malformed("`inputs` is no text".into()));
    };
    let mut parameters = match fields.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        _ => Map::new(),
    };
    let streams = [fields.remove("stream"), parameters.remove("stream")];
    let mut request = ChatRequest {
        model: match fields.remove("model") {
            Some(Value::String(model)) => Some(model),
            _ => None,
        },
        stream: streams
            .iter()
            .flatten()
            .any(|stream| stream.as_bool() == Some(true)),
        stream_usage: true,
        output: output(&mut parameters),
        sampling: sampling(&mut parameters),
        ..ChatRequest::default()
    };
    if !parameters.is_empty() {
        fields.insert("parameters".into(), parameters.into());
    }
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::HuggingFace,
            fields,
        });
    }
    Ok((request, inputs))
}

fn output(parameters: &mut Map<String, Value>) -> OutputFormat {
    let schema = parameters
        .get("grammar")
        .filter(|grammar| grammar.get("type").and_then(Value::as_str) == Some("json"))
        .and_then(|grammar| grammar.get("value"))
        .and_then(|schema| serde_json::value::to_raw_value(schema).ok());
    let Some(schema) = schema else {
        return OutputFormat::Text;
    };
    parameters.remove("grammar");
    OutputFormat::JsonSchema {
        name: "answer".into(),
        schema,
        strict: None,
        description: None,
    }
}

fn sampling(parameters: &mut Map<String, Value>) -> Sampling {
    let mut take = |key: &str| parameters.remove(key).filter(|value| !value.is_null());
    let top_logprobs = take("top_n_tokens").as_ref().and_then(Value::as_u64);
    Sampling {
        max_tokens: take("max_new_tokens").as_ref().and_then(Value::as_u64),
        temperature: take("temperature").as_ref().and_then(Value::as_f64),
        top_p: take("top_p").as_ref().and_then(Value::as_f64),
        top_k: take("top_k").as_ref().and_then(Value::as_u64),
        stop: match take("stop") {
            Some(Value::Array(stops)) => stops
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        },
        seed: take("seed").as_ref().and_then(Value::as_i64),
        frequency_penalty: take("frequency_penalty").as_ref().and_then(Value::as_f64),
        logprobs: top_logprobs.map(|_| true),
        top_logprobs,
        ..Sampling::default()
    }
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let mut inputs = String::new();
    for message in &request.messages {
        if message.role == Role::Assistant {
            return Err(unsupported("a conversation in a completion"));
        }
        for part in &message.parts {
            inputs.push_str(text_of(part)?);
        }
    }
    let mut lost = Vec::new();
    let (mut body, mut parameters) = begin(request, &inputs, &mut lost)?;
    tame(request, &mut parameters, &mut lost);
    // The prompt is not repeated, and the end and the counts are told.
    for (key, value) in [("return_full_text", false), ("details", true)] {
        parameters.entry(key).or_insert(value.into());
    }
    if let Some(model) = &request.model {
        put(&mut body, "model", model.as_str());
    }
    put(&mut body, "parameters", parameters);
    put(&mut body, "stream", request.stream);
    Ok(encoded(&body, lost))
}

pub(super) fn encoded(body: &Value, lost: Vec<Loss>) -> Encoded {
    Encoded {
        body: Bytes::from(body.to_string()),
        lost,
        restore: Restore::default(),
    }
}

pub(super) fn unsupported(what: &str) -> Error {
    Error::Unsupported { what: what.into() }
}

/// The text of a part; there is no place for anything else.
pub(super) fn text_of(part: &Part) -> Result<&str, Error> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Ok(text),
        Part::Image { .. } => Err(unsupported("an image")),
        Part::Audio { .. } => Err(unsupported("audio")),
        Part::File { .. } => Err(unsupported("a file")),
        Part::ToolCall { .. } | Part::ToolResult { .. } => Err(unsupported("tools")),
        // Earlier reasoning, which prompts leave out.
        Part::Thinking { .. } | Part::Redacted(_) | Part::Opaque { .. } => Ok(""),
    }
}

/// The body with its inputs and the fields of its own format, and the parameters as they were asked for.
pub(super) fn begin(
    request: &ChatRequest,
    inputs: &str,
    lost: &mut Vec<Loss>,
) -> Result<(Value, Map<String, Value>), Error> {
    if !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None) {
        return Err(unsupported("tools"));
    }
    let sampling = &request.sampling;
    if sampling.n.is_some_and(|n| n > 1) {
        return Err(unsupported("n > 1"));
    }
    let mut own = Map::new();
    if let Some(extra) = &request.extra
        && extra.from == Format::HuggingFace
    {
        own = extra.fields.clone();
    }
    let mut parameters = match own.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        _ => Map::new(),
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            parameters.insert(key.to_owned(), value);
        }
    };
    set("max_new_tokens", sampling.max_tokens.map(Value::from));
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
    match &request.output {
        OutputFormat::Text => {}
        // A grammar needs a schema with properties.
        OutputFormat::JsonObject => lost.push(Loss::dropped("response_format")),
        OutputFormat::JsonSchema { schema, .. } => {
            let schema: Value = serde_json::from_str(schema.get()).unwrap_or_default();
            set("grammar", Some(json!({"type": "json", "value": schema})));
        }
    }
    if sampling
        .presence_penalty
        .is_some_and(|penalty| penalty != 0.0)
    {
        lost.push(Loss::dropped("presence_penalty"));
    }
    if !request.reasoning.is_unset() {
        lost.push(Loss::dropped("reasoning_effort"));
    }
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    if request
        .messages
        .iter()
        .any(|message| message.name.is_some())
    {
        lost.push(Loss::dropped("name"));
    }
    lost.extend(strangers(request.extra.as_ref(), Format::HuggingFace, &[]));
    let mut body = json!({"inputs": inputs});
    for (key, value) in own {
        put(&mut body, &key, value);
    }
    Ok((body, parameters))
}

/// Keeps the parameters within what is taken: the server refuses the ends of ranges that mean "off" to OpenAI.
fn tame(request: &ChatRequest, parameters: &mut Map<String, Value>, lost: &mut Vec<Loss>) {
    let sampling = &request.sampling;
    // Greedy is what it does without a temperature.
    if sampling.temperature.is_some_and(|t| t <= 0.0) {
        parameters.remove("temperature");
        parameters.insert("do_sample".into(), false.into());
    }
    match sampling.top_p {
        Some(p) if p >= 1.0 => {
            parameters.remove("top_p");
        }
        Some(p) if p <= 0.0 => {
            parameters.insert("top_p".into(), 0.01.into());
            lost.push(Loss::clamped("top_p"));
        }
        _ => {}
    }
    if sampling.top_k == Some(0) {
        parameters.remove("top_k");
    }
    if sampling.seed.is_some_and(|seed| seed < 0) {
        parameters.remove("seed");
        lost.push(Loss::dropped("seed"));
    }
    // The server tells how likely alternatives are, or nothing that could be told from what it always tells.
    if sampling.logprobs == Some(true) {
        let top = sampling.top_logprobs.unwrap_or_default().max(1);
        parameters.insert("top_n_tokens".into(), top.into());
    }
}
