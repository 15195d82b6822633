//! Reading requests.

use serde_json::{Map, Value};

use super::blocks::content;
use crate::{
    dialect::Error,
    llm::{
        ChatRequest, Extra, Format, Message, OutputFormat, ReasoningRequest, Role, Sampling, Tool,
        ToolChoice,
    },
};

/// Reads a request.
pub(in crate::dialect::bedrock) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    let mut request = ChatRequest {
        // Every stream of this format tells its usage.
        stream_usage: true,
        ..ChatRequest::default()
    };
    if let Some(Value::Array(blocks)) = fields.remove("system") {
        let parts = content(&blocks);
        if !parts.is_empty() {
            request.messages.push(Message {
                role: Role::System,
                name: None,
                parts,
            });
        }
    }
    if let Some(Value::Array(messages)) = fields.remove("messages") {
        for (index, wire) in messages.iter().enumerate() {
            let message = message(wire)
                .map_err(|why| Error::Malformed(format!("messages[{index}]: {why}")))?;
            request.messages.push(message);
        }
    }
    if let Some(Value::Object(mut inference)) = fields.remove("inferenceConfig") {
        request.sampling = sampling(&mut inference);
    }
    tools(&mut fields, &mut request);
    output(&mut fields, &mut request);
    additional(&mut fields, &mut request);
    if let Some(Value::Object(metadata)) = fields.get_mut("requestMetadata") {
        if let Some(Value::String(user)) = metadata.shift_remove("user") {
            request.user = Some(user);
        }
        if metadata.is_empty() {
            fields.shift_remove("requestMetadata");
        }
    }
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::Bedrock,
            fields,
        });
    }
    Ok(request)
}

fn message(wire: &Value) -> Result<Message, String> {
    let role = match wire.get("role").and_then(Value::as_str) {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            return Err(format!("unknown role `{other}`"));
        }
        None => return Err("a message is an object with `role` and `content`".into()),
    };
    let parts = match wire.get("content") {
        Some(Value::Array(blocks)) => content(blocks),
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err("`content` is no list of blocks".into()),
    };
    Ok(Message {
        role,
        name: None,
        parts,
    })
}

fn sampling(inference: &mut Map<String, Value>) -> Sampling {
    let number = |key: &str| inference.get(key).and_then(Value::as_f64);
    let stops = inference.get("stopSequences").and_then(Value::as_array);
    Sampling {
        max_tokens: inference.get("maxTokens").and_then(Value::as_u64),
        temperature: number("temperature"),
        top_p: number("topP"),
        stop: stops
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        ..Sampling::default()
    }
}

fn tools(fields: &mut Map<String, Value>, request: &mut ChatRequest) {
    let Some(mut config) = fields.shift_remove("toolConfig") else {
        return;
    };
    let choice = config.get("toolChoice");
    request.tool_choice = choice.and_then(Value::as_object).and_then(|choice| {
        let (kind, value) = choice.iter().next()?;
        match kind.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "any" => Some(ToolChoice::Required),
            "tool" => Some(ToolChoice::Named(string(value, "name")?)),
            _ => None,
        }
    });
    let tools = config.get_mut("tools").and_then(Value::as_array_mut);
    let mut own = Vec::new();
    for tool in tools.into_iter().flat_map(std::mem::take) {
        match tool.get("toolSpec") {
            Some(spec) => request.tools.push(Tool {
                name: string(spec, "name").unwrap_or_default(),
                description: string(spec, "description"),
                parameters: spec
                    .get("inputSchema")
                    .and_then(|schema| schema.get("json"))
                    .and_then(|schema| serde_json::value::to_raw_value(schema).ok()),
                strict: spec.get("strict").and_then(Value::as_bool),
            }),
            None if tool.get("cachePoint").is_some() => {}
            // Tools that Bedrock runs itself.
            None => own.push(tool),
        }
    }
    if !own.is_empty() {
        fields.insert("toolConfig".into(), serde_json::json!({"tools": own}));
    }
}

fn output(fields: &mut Map<String, Value>, request: &mut ChatRequest) {
    let Some(Value::Object(mut config)) = fields.shift_remove("outputConfig") else {
        return;
    };
    if let Some(Value::String(effort)) = config.shift_remove("effort") {
        request.reasoning = effort_of(&effort);
    }
    let definition = config
        .get("textFormat")
        .and_then(|format| format.get("structure"))
        .and_then(|structure| structure.get("jsonSchema"));
    if let Some(definition) = definition {
        let schema = string(definition, "schema").unwrap_or_default();
        if let Ok(schema) = serde_json::value::RawValue::from_string(schema) {
            request.output = OutputFormat::JsonSchema {
                name: string(definition, "name").unwrap_or_default(),
                schema,
                strict: Some(true),
                description: string(definition, "description"),
            };
            config.shift_remove("textFormat");
        }
    }
    if !config.is_empty() {
        fields.insert("outputConfig".into(), config.into());
    }
}

/// What the vendors' own fields say that has a name in the canonical model; the rest stays where it is.
fn additional(fields: &mut Map<String, Value>, request: &mut ChatRequest) {
    let Some(Value::Object(additional)) = fields.get_mut("additionalModelRequestFields") else {
        return;
    };
    let sampling = &mut request.sampling;
    let mut number = |key: &str| match additional.get(key) {
        Some(Value::Number(_)) => additional.shift_remove(key),
        _ => None,
    };
    sampling.top_k = number("top_k")
        .or_else(|| number("k"))
        .and_then(|k| k.as_u64());
    sampling.seed = number("seed").and_then(|seed| seed.as_i64());
    sampling.frequency_penalty = number("frequency_penalty").and_then(|n| n.as_f64());
    sampling.presence_penalty = number("presence_penalty").and_then(|n| n.as_f64());
    // Nova's.
    if let Some(Value::Object(inference)) = additional.get_mut("inferenceConfig") {
        if let Some(k) = inference.get("topK").and_then(Value::as_u64) {
            sampling.top_k = Some(k);
            inference.shift_remove("topK");
        }
        if inference.is_empty() {
            additional.shift_remove("inferenceConfig");
        }
    }
    if let Some(Value::String(effort)) = additional.shift_remove("reasoning_effort") {
        request.reasoning = effort_of(&effort);
    }
    if let Some(config) = additional.shift_remove("reasoningConfig") {
        let effort = string(&config, "maxReasoningEffort").unwrap_or_else(|| "medium".into());
        request.reasoning = match string(&config, "type").as_deref() {
            Some("disabled") => effort_of("none"),
            _ => effort_of(&effort),
        };
    }
    // Claude's.
    if let Some(Value::Object(config)) = additional.get_mut("output_config") {
        if let Some(Value::String(effort)) = config.shift_remove("effort") {
            request.reasoning = effort_of(&effort);
        }
        if config.is_empty() {
            additional.shift_remove("output_config");
        }
    }
    let thinking = additional.shift_remove("thinking");
    if let Some(thinking) = thinking.or_else(|| additional.shift_remove("reasoning_config")) {
        match string(&thinking, "type").as_deref() {
            Some("disabled") => request.reasoning.budget = Some(0),
            Some("enabled") => {
                request.reasoning.budget = thinking.get("budget_tokens").and_then(Value::as_u64);
            }
            _ if request.reasoning.is_unset() => request.reasoning = effort_of("high"),
            _ => {}
        }
    }
    if additional.is_empty() {
        fields.shift_remove("additionalModelRequestFields");
    }
}

fn effort_of(effort: &str) -> ReasoningRequest {
    let effort = if effort == "max" { "xhigh" } else { effort };
    ReasoningRequest {
        effort: Some(effort.to_owned()),
        budget: None,
    }
}

fn string(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}
