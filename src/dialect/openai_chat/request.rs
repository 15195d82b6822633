//! Requests.

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};

use super::{Encoded, Error, response::arguments};
use crate::dialect::put;
use crate::llm::{
    ChatRequest, Extra, Format, Media, Message, OutputFormat, Part, ReasoningRequest, Role,
    Sampling, Tool, ToolChoice,
};

/// Reads a request.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    let mut request = ChatRequest {
        model: text(&mut fields, "model"),
        stream: boolean(&mut fields, "stream").unwrap_or_default(),
        user: text(&mut fields, "user"),
        parallel_tool_calls: boolean(&mut fields, "parallel_tool_calls"),
        sampling: sampling(&mut fields),
        reasoning: ReasoningRequest {
            effort: text(&mut fields, "reasoning_effort"),
            budget: None,
        },
        ..ChatRequest::default()
    };
    if let Some(options) = fields.remove("stream_options") {
        request.stream_usage = options
            .get("include_usage")
            .and_then(Value::as_bool)
            .unwrap_or_default();
    }
    if let Some(Value::Array(messages)) = fields.remove("messages") {
        for (index, wire) in messages.into_iter().enumerate() {
            request.messages.push(
                message(wire)
                    .map_err(|why| Error::Malformed(format!("messages[{index}]: {why}")))?,
            );
        }
    }
    if let Some(Value::Array(tools)) = fields.remove("tools") {
        request.tools = tools.iter().filter_map(tool).collect();
    }
    request.tool_choice = fields
        .remove("tool_choice")
        .and_then(|choice| tool_choice(&choice));
    request.output = fields
        .remove("response_format")
        .as_ref()
        .map(output)
        .unwrap_or_default();
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::OpenAi,
            fields,
        });
    }
    Ok(request)
}

fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    match fields.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn boolean(fields: &mut Map<String, Value>, key: &str) -> Option<bool> {
    fields.remove(key).as_ref().and_then(Value::as_bool)
}

fn sampling(fields: &mut Map<String, Value>) -> Sampling {
    let max_tokens = fields.remove("max_tokens").as_ref().and_then(Value::as_u64);
    let max_completion_tokens = fields
        .remove("max_completion_tokens")
        .as_ref()
        .and_then(Value::as_u64);
    let mut take = |key: &str| fields.remove(key).filter(|value| !value.is_null());
    Sampling {
        max_tokens: max_completion_tokens.or(max_tokens),
        temperature: take("temperature").as_ref().and_then(Value::as_f64),
        top_p: take("top_p").as_ref().and_then(Value::as_f64),
        top_k: take("top_k").as_ref().and_then(Value::as_u64),
        stop: match take("stop") {
            Some(Value::String(stop)) => vec![stop],
            Some(Value::Array(stops)) => stops
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        },
        seed: take("seed").as_ref().and_then(Value::as_i64),
        n: take("n").as_ref().and_then(Value::as_u64),
        frequency_penalty: take("frequency_penalty").as_ref().and_then(Value::as_f64),
        presence_penalty: take("presence_penalty").as_ref().and_then(Value::as_f64),
        logprobs: take("logprobs").as_ref().and_then(Value::as_bool),
        top_logprobs: take("top_logprobs").as_ref().and_then(Value::as_u64),
    }
}

fn message(wire: Value) -> Result<Message, String> {
    let Value::Object(mut fields) = wire else {
        return Err("a message is an object with `role` and `content`".into());
    };
    let role = text(&mut fields, "role").unwrap_or_default();
    let name = text(&mut fields, "name");
    let mut parts = Vec::new();
    if let Some(reasoning) = text(&mut fields, "reasoning_content").filter(|text| !text.is_empty())
    {
        parts.push(Part::Thinking {
            text: reasoning,
            signature: None,
        });
    }
    contents(fields.remove("content"), &mut parts)?;
    if let Some(refusal) = text(&mut fields, "refusal") {
        parts.push(Part::Refusal(refusal));
    }
    if let Some(Value::Array(calls)) = fields.remove("tool_calls") {
        for call in calls {
            let function = call.get("function").cloned().unwrap_or_default();
            let raw = function
                .get("arguments")
                .and_then(|value| serde_json::value::to_raw_value(value).ok());
            parts.push(Part::ToolCall {
                id: string(&call, "id"),
                name: string(&function, "name"),
                arguments: arguments(raw.as_deref()),
                signature: None,
            });
        }
    }
    let role = match role.as_str() {
        "system" | "developer" => Role::System,
        "assistant" => Role::Assistant,
        "user" => Role::User,
        "tool" | "function" => {
            let id = text(&mut fields, "tool_call_id")
                .or(name)
                .unwrap_or_default();
            return Ok(Message {
                role: Role::User,
                name: None,
                parts: vec![Part::ToolResult {
                    id,
                    parts,
                    is_error: false,
                }],
            });
        }
        other => {
            return Err(format!(
                "unknown role `{}`",
                other.chars().take(40).collect::<String>()
            ));
        }
    };
    Ok(Message { role, name, parts })
}

fn string(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn contents(content: Option<Value>, parts: &mut Vec<Part>) -> Result<(), String> {
    match content {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => parts.push(Part::Text(text)),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                parts.push(content_block(&block)?);
            }
        }
        Some(_) => return Err("`content` is neither a string nor a list of parts".into()),
    }
    Ok(())
}

fn content_block(block: &Value) -> Result<Part, String> {
    let kind = string(block, "type");
    Ok(match kind.as_str() {
        "text" => Part::Text(string(block, "text")),
        "refusal" => Part::Refusal(string(block, "refusal")),
        "image_url" => {
            let image = block.get("image_url").cloned().unwrap_or_default();
            let url = image
                .as_str()
                .map_or_else(|| string(&image, "url"), str::to_owned);
            Part::Image {
                source: media(url),
                detail: image
                    .get("detail")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            }
        }
        "input_audio" => {
            let audio = block.get("input_audio").cloned().unwrap_or_default();
            Part::Audio {
                data: string(&audio, "data"),
                format: string(&audio, "format"),
            }
        }
        "file" => {
            let file = block.get("file").cloned().unwrap_or_default();
            let source = match file.get("file_id").and_then(Value::as_str) {
                Some(id) => Media::Id(id.to_owned()),
                None => media(string(&file, "file_data")),
            };
            Part::File {
                name: file
                    .get("filename")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                source,
            }
        }
        _ => Part::Opaque {
            from: Format::OpenAi,
            json: RawValue::from_string(block.to_string()).map_err(|_| "a part is no JSON")?,
        },
    })
}

/// A `data:` URL becomes its bytes; others stay where they are.
fn media(url: String) -> Media {
    let parsed = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match parsed {
        Some((media_type, data)) => Media::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        },
        None => Media::Url(url),
    }
}

fn url(source: &Media) -> String {
    match source {
        Media::Url(url) => url.clone(),
        Media::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Media::Id(id) => id.clone(),
    }
}

fn tool(wire: &Value) -> Option<Tool> {
    let function = wire.get("function")?;
    Some(Tool {
        name: string(function, "name"),
        description: function
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        parameters: function
            .get("parameters")
            .and_then(|schema| serde_json::value::to_raw_value(schema).ok()),
        strict: function.get("strict").and_then(Value::as_bool),
    })
}

fn tool_choice(wire: &Value) -> Option<ToolChoice> {
    match wire {
        Value::String(word) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => None,
        },
        Value::Object(_) => Some(ToolChoice::Named(string(wire.get("function")?, "name"))),
        _ => None,
    }
}

fn output(wire: &Value) -> OutputFormat {
    match wire.get("type").and_then(Value::as_str) {
        Some("json_object") => OutputFormat::JsonObject,
        Some("json_schema") => {
            let format = wire.get("json_schema").cloned().unwrap_or_default();
            let schema = format.get("schema").cloned().unwrap_or_else(|| json!({}));
            match serde_json::value::to_raw_value(&schema) {
                Ok(schema) => OutputFormat::JsonSchema {
                    name: string(&format, "name"),
                    schema,
                    strict: format.get("strict").and_then(Value::as_bool),
                    description: format
                        .get("description")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                },
                Err(_) => OutputFormat::JsonObject,
            }
        }
        _ => OutputFormat::Text,
    }
}

/// Writes a request.
pub(super) fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let mut messages = Vec::new();
    for message in &request.messages {
        encode_message(message, &mut messages);
    }
    let mut fields = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value);
        }
    };
    set("model", request.model.clone().map(Value::from));
    set("messages", Some(messages.into()));
    if !request.tools.is_empty() {
        set(
            "tools",
            Some(request.tools.iter().map(encode_tool).collect()),
        );
    }
    set(
        "tool_choice",
        request.tool_choice.as_ref().map(|choice| match choice {
            ToolChoice::Auto => "auto".into(),
            ToolChoice::None => "none".into(),
            ToolChoice::Required => "required".into(),
            ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        }),
    );
    set(
        "parallel_tool_calls",
        request.parallel_tool_calls.map(Value::from),
    );
    let sampling = &request.sampling;
    set("max_tokens", sampling.max_tokens.map(Value::from));
    set("temperature", sampling.temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("top_k", sampling.top_k.map(Value::from));
    set(
        "stop",
        (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()),
    );
    set("seed", sampling.seed.map(Value::from));
    set("n", sampling.n.map(Value::from));
    set(
        "frequency_penalty",
        sampling.frequency_penalty.map(Value::from),
    );
    set(
        "presence_penalty",
        sampling.presence_penalty.map(Value::from),
    );
    set("logprobs", sampling.logprobs.map(Value::from));
    set("top_logprobs", sampling.top_logprobs.map(Value::from));
    set(
        "reasoning_effort",
        request.reasoning.effort.clone().map(Value::from),
    );
    set("user", request.user.clone().map(Value::from));
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => set("response_format", Some(json!({"type": "json_object"}))),
        OutputFormat::JsonSchema {
            name,
            schema,
            strict,
            description,
        } => {
            let mut format = json!({"name": name, "schema": schema});
            if let Some(strict) = strict {
                put(&mut format, "strict", *strict);
            }
            if let Some(description) = description {
                put(&mut format, "description", description.clone());
            }
            set(
                "response_format",
                Some(json!({"type": "json_schema", "json_schema": format})),
            );
        }
    }
    if request.stream {
        set("stream", Some(true.into()));
        if request.stream_usage {
            set("stream_options", Some(json!({"include_usage": true})));
        }
    }
    for (key, value) in request
        .extra
        .iter()
        .filter(|extra| extra.from == Format::OpenAi)
        .flat_map(|extra| &extra.fields)
    {
        fields.insert(key.clone(), value.clone());
    }
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost: Vec::new(),
    })
}

fn encode_tool(tool: &Tool) -> Value {
    let mut function = json!({"name": tool.name});
    if let Some(description) = &tool.description {
        put(&mut function, "description", description.clone());
    }
    if let Some(parameters) = &tool.parameters {
        put(
            &mut function,
            "parameters",
            serde_json::from_str::<Value>(parameters.get()).unwrap_or_default(),
        );
    }
    if let Some(strict) = tool.strict {
        put(&mut function, "strict", strict);
    }
    json!({"type": "function", "function": function})
}

/// One canonical message is one of OpenAI's, but each tool result is one of its own.
fn encode_message(message: &Message, out: &mut Vec<Value>) {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let (mut content, mut calls, mut reasoning, mut refusal) =
        (Vec::new(), Vec::new(), String::new(), None);
    for part in &message.parts {
        match part {
            Part::ToolResult { id, parts, .. } => {
                let blocks: Vec<Value> = parts.iter().filter_map(encode_block).collect();
                out.push(json!({"role": "tool", "tool_call_id": id, "content": joined(blocks)}));
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
            }
            Part::Thinking { text, .. } => reasoning.push_str(text),
            Part::Refusal(text) => refusal = Some(text.clone()),
            _ => content.extend(encode_block(part)),
        }
    }
    if content.is_empty() && calls.is_empty() && refusal.is_none() && !message.parts.is_empty() {
        return;
    }
    let mut wire = json!({"role": role, "content": joined(content)});
    if let Some(name) = &message.name {
        put(&mut wire, "name", name.clone());
    }
    if !reasoning.is_empty() {
        put(&mut wire, "reasoning_content", reasoning);
    }
    if let Some(refusal) = refusal {
        put(&mut wire, "refusal", refusal);
    }
    if !calls.is_empty() {
        put(&mut wire, "tool_calls", calls);
    }
    out.push(wire);
}

/// A single text is written as a string, nothing as `null`.
fn joined(mut blocks: Vec<Value>) -> Value {
    match blocks.as_slice() {
        [] => Value::Null,
        [block] if block.get("type").and_then(Value::as_str) == Some("text") => blocks
            .pop()
            .and_then(|mut block| block.get_mut("text").map(Value::take))
            .unwrap_or_default(),
        _ => blocks.into(),
    }
}

fn encode_block(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image { source, detail } => {
            let mut image = json!({"url": url(source)});
            if let Some(detail) = detail {
                put(&mut image, "detail", detail.clone());
            }
            json!({"type": "image_url", "image_url": image})
        }
        Part::Audio { data, format } => {
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        Part::File { name, source } => {
            let mut file = match source {
                Media::Id(id) => json!({"file_id": id}),
                _ => json!({"file_data": url(source)}),
            };
            if let Some(name) = name {
                put(&mut file, "filename", name.clone());
            }
            json!({"type": "file", "file": file})
        }
        Part::Opaque {
            from: Format::OpenAi,
            json,
        } => serde_json::from_str(json.get()).ok()?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(body: &Value) -> Value {
        let request = decode(body.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&encode(&request).unwrap().body).unwrap()
    }

    #[test]
    fn a_request_survives_a_round_trip() {
        let body = json!({
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "something_new", "x": [1]},
                ]},
                {"role": "assistant", "content": "Looking.", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "one"},
                {"role": "tool", "tool_call_id": "c2", "content": "two"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": false,
            "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "seed": 7, "n": 2,
            "reasoning_effort": "low", "user": "u",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "stream": true, "stream_options": {"include_usage": true},
            "some_new_field": {"kept": [1, 2]},
        });
        assert_eq!(round(&body), body);
    }

    #[test]
    fn null_content_beside_calls_and_empty_arguments_are_understood() {
        let request = decode(
            br#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"now","arguments":""}}]}]}"#,
        )
        .unwrap();
        assert!(
            matches!(request.messages[0].parts.as_slice(), [Part::ToolCall { arguments, .. }] if arguments == "{}")
        );
    }

    #[test]
    fn mistakes_name_their_place() {
        let error = decode(br#"{"messages":[{"role":"user","content":"x"},{"role":"alien"}]}"#)
            .unwrap_err();
        assert_eq!(error.to_string(), "messages[1]: unknown role `alien`");
        let error = decode(br#"{"messages":[{"role":"user","content":7}]}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "messages[0]: `content` is neither a string nor a list of parts"
        );
    }
}
