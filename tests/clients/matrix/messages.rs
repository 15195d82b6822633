//! Clients of Anthropic's Messages.

use serde_json::{Value, json};

use super::{
    Client, Told, Words,
    talk::{Block, PNG, Talk, Turn, schema},
};
use crate::message::{blocks, read, text};

pub(super) const MESSAGES: Client = Client {
    name: "messages",
    path: "/v1/messages?beta=true",
    headers: &[
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "interleaved-thinking-2025-05-14"),
        ("x-api-key", "local"),
    ],
    words: Words {
        done: "end_turn",
        stopped: "stop_sequence",
        calls: "tool_use",
        cut: "max_tokens",
    },
    errors: Some(&[
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ]),
    broken: Some("api_error"),
    body,
    whole,
    streamed,
    refused,
    replay: |whole| vec![json!({"role": "assistant", "content": whole["content"]})],
};

fn body(talk: &Talk) -> Option<Value> {
    let mut messages = Vec::new();
    for turn in &talk.turns {
        match turn {
            Turn::User(blocks) => {
                messages.push(json!({"role": "user", "content": content(blocks)}));
            }
            Turn::Assistant(blocks) => {
                messages.push(json!({"role": "assistant", "content": content(blocks)}));
            }
            Turn::Results(results) => {
                let results = results.iter().map(|(id, blocks, failed)| {
                    let mut result = json!({"type": "tool_result", "tool_use_id": id});
                    if !blocks.is_empty() {
                        result["content"] = content(blocks);
                    }
                    if *failed {
                        result["is_error"] = true.into();
                    }
                    result
                });
                let results: Vec<Value> = results.collect();
                messages.push(json!({"role": "user", "content": results}));
            }
            Turn::Replayed(own) => messages.extend(own.iter().cloned()),
        }
    }
    let limit = if talk.reasons { 8192 } else { 1000 };
    let mut body = json!({"max_tokens": talk.max_tokens.unwrap_or(limit), "messages": messages});
    match talk.system {
        [] => {}
        [one] => body["system"] = (*one).into(),
        [first, rest @ ..] => {
            let cached =
                json!({"type": "text", "text": first, "cache_control": {"type": "ephemeral"}});
            let rest = rest
                .iter()
                .map(|text| json!({"type": "text", "text": text}));
            body["system"] = std::iter::once(cached).chain(rest).collect();
        }
    }
    if !talk.tools.is_empty() {
        let tools = talk.tools.iter().map(|tool| {
            json!({"name": tool.name(), "description": tool.description(), "input_schema": tool.parameters()})
        });
        body["tools"] = tools.collect();
    }
    if let Some(name) = talk.forced {
        body["tool_choice"] = json!({"type": "tool", "name": name});
    }
    if talk.reasons {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
    }
    if talk.schema {
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema()}});
    }
    if let Some(stop) = talk.stop {
        body["stop_sequences"] = json!([stop]);
    }
    Some(body)
}

fn content(blocks: &[Block]) -> Value {
    if let [Block::Text(text)] = blocks {
        return (*text).into();
    }
    blocks
        .iter()
        .map(|block| match block {
            Block::Text(text) => json!({"type": "text", "text": text}),
            Block::Picture => {
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
            }
            Block::Thinking(text, signature) => {
                json!({"type": "thinking", "thinking": text, "signature": signature})
            }
            Block::Call(id, name, input) => {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        })
        .collect()
}

fn whole(message: Value) -> Told {
    assert_eq!(message["type"], "message", "{message}");
    assert_eq!(message["role"], "assistant", "{message}");
    let own = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let thoughts = blocks(&message, "thinking");
    assert!(
        thoughts.iter().all(|block| block["signature"].is_string()),
        "{message}"
    );
    let usage = &message["usage"];
    let tokens = |key: &str| usage[key].as_u64();
    Told {
        id: own(&message["id"]),
        model: own(&message["model"]),
        text: text(&message),
        reasoning: thoughts
            .iter()
            .map(|block| own(&block["thinking"]))
            .collect(),
        calls: blocks(&message, "tool_use")
            .iter()
            .map(|call| (own(&call["id"]), own(&call["name"]), call["input"].clone()))
            .collect(),
        finish: own(&message["stop_reason"]),
        stopped: message["stop_sequence"].as_str().map(str::to_owned),
        usage: tokens("input_tokens").zip(tokens("output_tokens")),
        whole: message,
    }
}

fn streamed(stream: &str) -> (Told, Option<String>) {
    let told = read(stream);
    let kind = told.error.map(|error| {
        assert!(error["error"]["message"].is_string(), "{error}");
        error["error"]["type"].as_str().unwrap().to_owned()
    });
    (whole(told.message), kind)
}

fn refused(error: &Value) -> (String, String) {
    assert_eq!(error["type"], "error", "{error}");
    let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
    (text("type"), text("message"))
}
