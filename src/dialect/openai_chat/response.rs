//! Whole answers and errors.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Error, Fault, finish, finish_reason};
use crate::{
    dialect::{
        put,
        text::{Text, count},
    },
    llm::{ChatResponse, Choice, Part, Usage as Counts},
};

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    created: u64,
    #[serde(borrow)]
    choices: Option<Vec<ResponseChoice<'a>>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct ResponseChoice<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// Of completions.
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// `usage` of chat, completions and embeddings, with the parts that providers add.
#[derive(Debug, Deserialize)]
pub(in crate::dialect) struct Usage {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name: <https://api-docs.deepseek.com/guides/kv_cache>.
    #[serde(default, deserialize_with = "count")]
    prompt_cache_hit_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: u64,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Counts {
        // OpenAI's prompt count includes what came from the cache (TRAPS 1.14).
        let cached = usage
            .prompt_tokens_details
            .map_or(0, |details| details.cached_tokens)
            .max(usage.prompt_cache_hit_tokens);
        let cache_read = cached.min(usage.prompt_tokens);
        Counts {
            input: usage.prompt_tokens - cache_read,
            cache_read,
            cache_write: 0,
            output: usage.completion_tokens,
            reasoning: usage
                .completion_tokens_details
                .map_or(0, |details| details.reasoning_tokens),
            estimated: false,
        }
    }
}

/// OpenAI's `usage` object.
pub(in crate::dialect) fn usage_json(usage: Counts) -> Value {
    let mut json = json!({
        "prompt_tokens": usage.prompt(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
    });
    if usage.cache_read > 0 {
        put(
            &mut json,
            "prompt_tokens_details",
            json!({"cached_tokens": usage.cache_read}),
        );
    }
    if usage.reasoning > 0 {
        put(
            &mut json,
            "completion_tokens_details",
            json!({"reasoning_tokens": usage.reasoning}),
        );
    }
    json
}

/// Reads the answer of chat or completions. The wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let response: Response<'_> = serde_json::from_slice(body)?;
    let choices = response
        .choices
        .ok_or_else(|| Error::Malformed("'choices' not in llm/v1/chat response".into()))?;
    Ok(ChatResponse {
        id: response.id.or_empty().into_owned(),
        model: response.model.or_empty().into_owned(),
        created: (response.created > 0).then_some(response.created),
        choices: choices.into_iter().map(choice).collect(),
        usage: response.usage.map(Into::into),
    })
}

fn choice(wire: ResponseChoice<'_>) -> Choice {
    let mut parts = Vec::new();
    if let Some(message) = wire.message {
        if let Some(text) = message
            .reasoning_content
            .filled()
            .or(message.reasoning.filled())
        {
            parts.push(Part::Thinking {
                text: text.into_owned(),
                signature: None,
            });
        }
        if let Some(text) = message.content.filled() {
            parts.push(Part::Text(text.into_owned()));
        }
        if let Some(text) = message.refusal.filled() {
            parts.push(Part::Refusal(text.into_owned()));
        }
        for call in message.tool_calls.into_iter().flatten() {
            let Some(function) = call.function else {
                continue;
            };
            parts.push(Part::ToolCall {
                id: call.id.or_empty().into_owned(),
                name: function.name.or_empty().into_owned(),
                arguments: arguments(function.arguments),
                signature: None,
            });
        }
    }
    if let Some(text) = wire.text.filled() {
        parts.push(Part::Text(text.into_owned()));
    }
    Choice {
        parts,
        finish: wire.finish_reason.filled().map(|reason| finish(&reason)),
    }
}

/// Arguments are JSON in a string; some servers send the object itself.
pub(super) fn arguments(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw else { return "{}".into() };
    let text = match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text,
        Err(_) if raw.get() == "null" => String::new(),
        Err(_) => raw.get().to_owned(),
    };
    if text.is_empty() { "{}".into() } else { text }
}

/// Writes a chat completion.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choices: Vec<Value> = response
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            json!({
                "index": index,
                "message": message(choice),
                "logprobs": null,
                "finish_reason": choice.finish.map(finish_reason),
            })
        })
        .collect();
    let mut json = json!({
        "id": response.id,
        "object": "chat.completion",
        "created": response.created.unwrap_or_default(),
        "model": response.model,
        "choices": choices,
    });
    if let Some(usage) = response.usage {
        put(&mut json, "usage", usage_json(usage));
    }
    json.to_string().into_bytes()
}

fn message(choice: &Choice) -> Value {
    let (mut content, mut refusal, mut reasoning) =
        (None::<String>, None::<String>, None::<String>);
    let mut calls = Vec::new();
    for part in &choice.parts {
        match part {
            Part::Text(text) => content.get_or_insert_default().push_str(text),
            Part::Refusal(text) => refusal.get_or_insert_default().push_str(text),
            Part::Thinking { text, .. } if !text.is_empty() => {
                reasoning.get_or_insert_default().push_str(text);
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
            }
            _ => {}
        }
    }
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(reasoning) = reasoning {
        put(&mut message, "reasoning_content", reasoning);
    }
    if !calls.is_empty() {
        put(&mut message, "tool_calls", calls);
    }
    message
}

/// Reads an error body. One of OpenAI's shape, and one that is no JSON, go on as they are.
pub(in crate::dialect) fn decode_error(status: u16, body: &Bytes) -> Fault {
    let mut fault = Fault {
        status,
        kind: kind_of(status).into(),
        ..Fault::default()
    };
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        fault.message = String::from_utf8_lossy(body).chars().take(2048).collect();
        if body.is_empty() {
            fault.message = format!("the provider answered {status} without a body");
        } else {
            fault.verbatim = Some(body.clone());
        }
        return fault;
    };
    // Google's endpoints wrap their error in a list (TRAPS 1.15).
    let first = json.get(0).unwrap_or(&json);
    let error = first.get("error").unwrap_or(&Value::Null);
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    if let Some(kind) = text(error, "type") {
        fault.kind = kind;
    }
    fault.code = text(error, "code");
    fault.param = text(error, "param");
    if let Some(message) = text(error, "message") {
        fault.message = message;
        if json.is_object() {
            fault.verbatim = Some(body.clone());
        } else {
            fault.provider = Some(json.to_string());
        }
        return fault;
    }
    fault.message = match error {
        Value::String(message) => message.clone(),
        _ => ["message", "detail", "error_description", "msg"]
            .iter()
            .find_map(|key| text(first, key))
            .unwrap_or_else(|| json.to_string()),
    };
    fault.provider = Some(json.to_string());
    fault
}

/// The `error.type` that says what a status says, where the provider names none.
pub(in crate::dialect) fn kind_of(status: u16) -> &'static str {
    match status {
        400 | 404 | 405 | 409 | 413 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        _ => "api_error",
    }
}

/// Writes `{"error": ...}`; `code` and `param` are always there, `null` without a value.
pub(in crate::dialect) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let mut error = json!({"message": fault.message, "type": fault.kind, "code": fault.code, "param": fault.param});
    if let Some(provider) = &fault.provider {
        put(
            &mut error,
            "provider",
            serde_json::from_str(provider).unwrap_or_else(|_| Value::String(provider.clone())),
        );
    }
    json!({"error": error}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Finish;

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini",
            "choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,
              "tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
              "logprobs":null,"finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
              "prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},
              "completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}},"service_tier":"default"}"#;
        let response = decode(body).unwrap();
        assert_eq!(response.text(), "Hello");
        assert_eq!(response.choices[0].finish, Some(Finish::ToolCalls));
        let usage = response.usage.unwrap();
        assert_eq!(
            (usage.input, usage.cache_read, usage.output, usage.reasoning),
            (3, 16, 10, 4)
        );
        assert_eq!((usage.prompt(), usage.total()), (19, 29));
    }

    #[test]
    fn an_answer_without_choices_is_none() {
        assert_eq!(
            decode(br#"{"a":1}"#).unwrap_err().to_string(),
            "'choices' not in llm/v1/chat response"
        );
        assert_eq!(
            decode(br#"{"choices":null}"#).unwrap_err().to_string(),
            "'choices' not in llm/v1/chat response"
        );
    }

    #[test]
    fn departures_are_read_leniently() {
        let body = br#"{"choices":[{"message":{"content":[{"type":"text","text":"x"}],"reasoning":"why"},"finish_reason":null},
            {"messages":{}}, {"text":"t"}], "usage":{"prompt_tokens":null,"completion_tokens":2.0}}"#;
        let response = decode(body).unwrap();
        assert!(
            matches!(&response.choices[0].parts[0], Part::Thinking { text, .. } if text == "why")
        );
        assert_eq!(response.usage.unwrap().output, 2);
    }

    #[test]
    fn an_answer_survives_a_round_trip() {
        let response = decode(
            br#"{"id":"a","created":3,"model":"m","choices":[{"message":{"content":"hi","reasoning_content":"hm","tool_calls":
            [{"id":"c","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":"length"}],
            "usage":{"prompt_tokens":2,"completion_tokens":3}}"#,
        )
        .unwrap();
        assert_eq!(
            format!("{:?}", decode(&encode(&response)).unwrap()),
            format!("{response:?}")
        );
    }

    #[test]
    fn errors_of_openais_shape_go_on_as_they_are() {
        let body = Bytes::from_static(
            br#"{"error":{"message":"no","type":"t","code":429,"param":null,"extra":1}}"#,
        );
        let fault = decode_error(429, &body);
        assert_eq!(
            (
                fault.kind.as_str(),
                fault.code.as_deref(),
                fault.message.as_str()
            ),
            ("t", Some("429"), "no")
        );
        assert_eq!(fault.verbatim, Some(body));
    }

    #[test]
    fn errors_of_another_shape_are_moved_into_it() {
        let fault = decode_error(500, &Bytes::from_static(br#"{"detail":"odd","x":1}"#));
        assert_eq!(
            String::from_utf8(encode_fault(&fault)).unwrap(),
            r#"{"error":{"message":"odd","type":"api_error","code":null,"param":null,"provider":{"detail":"odd","x":1}}}"#
        );
        let listed = Bytes::from_static(br#"[{"error":{"code":400,"message":"listed"}}]"#);
        let fault = decode_error(400, &listed);
        assert_eq!((fault.message.as_str(), fault.verbatim), ("listed", None));
        assert_eq!(
            decode_error(400, &Bytes::from_static(br#"{"error":"flat"}"#)).message,
            "flat"
        );
    }

    #[test]
    fn errors_that_are_no_json_pass_as_text() {
        let html = Bytes::from_static(b"<html>oops</html>");
        assert_eq!(decode_error(502, &html).verbatim, Some(html));
        assert_eq!(
            decode_error(502, &Bytes::new()).message,
            "the provider answered 502 without a body"
        );
    }
}
