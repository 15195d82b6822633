//! Clients of OpenAI's chat.

use serde_json::{Value, json};

use super::{
    Client, Told, Words,
    talk::{Block, PNG, Talk, Turn, schema},
};
use crate::chunks;

pub(super) const CHAT: Client = Client {
    name: "chat",
    path: "/v1/chat/completions",
    headers: &[],
    words: Words {
        done: "stop",
        stopped: "stop",
        calls: "tool_calls",
        cut: "length",
    },
    // The provider's own.
    errors: None,
    broken: None,
    body,
    whole,
    streamed,
    refused,
    replay: |whole| vec![whole["choices"][0]["message"].clone()],
};

fn body(talk: &Talk) -> Option<Value> {
    let mut messages: Vec<Value> = talk
        .system
        .iter()
        .map(|text| json!({"role": "system", "content": text}))
        .collect();
    for turn in &talk.turns {
        match turn {
            Turn::User(blocks) => messages.push(json!({"role": "user", "content": content(blocks)})),
            Turn::Assistant(blocks) => messages.push(assistant(blocks)),
            Turn::Results(results) => messages.extend(results.iter().map(|(id, blocks, _)| {
                json!({"role": "tool", "tool_call_id": id, "content": content(blocks)})
            })),
            Turn::Replayed(own) => messages.extend(own.iter().cloned()),
        }
    }
    let mut body = json!({"messages": messages});
    if !talk.tools.is_empty() {
        let tools = talk.tools.iter().map(|tool| {
            json!({"type": "function", "function": {"name": tool.name(), "description": tool.description(),
                "parameters": tool.parameters()}})
        });
        body["tools"] = tools.collect();
    }
    if let Some(name) = talk.forced {
        body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
    }
    if talk.reasons {
        body["reasoning_effort"] = "medium".into();
    }
    if talk.schema {
        let schema = json!({"name": "person", "schema": schema(), "strict": true});
        body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
    }
    if let Some(stop) = talk.stop {
        body["stop"] = json!([stop]);
    }
    if let Some(limit) = talk.max_tokens {
        body["max_tokens"] = limit.into();
    }
    Some(body)
}

/// A text alone as a text, the rest as parts.
fn content(blocks: &[Block]) -> Value {
    match blocks {
        [] => "".into(),
        [Block::Text(text)] => (*text).into(),
        blocks => blocks
            .iter()
            .map(|block| match block {
                Block::Text(text) => json!({"type": "text", "text": text}),
                Block::Picture => {
                    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}})
                }
                other => panic!("{other:?} is the model's"),
            })
            .collect(),
    }
}

fn assistant(blocks: &[Block]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    for block in blocks {
        match block {
            Block::Text(text) => message["content"] = (*text).into(),
            Block::Thinking(text, signature) => {
                let block = json!({"type": "thinking", "thinking": text, "signature": signature});
                message["thinking_blocks"] = json!([block]);
                message["reasoning_content"] = (*text).into();
            }
            Block::Call(id, name, arguments) => {
                let function = json!({"name": name, "arguments": arguments.to_string()});
                let call = json!({"id": id, "type": "function", "function": function});
                match &mut message["tool_calls"] {
                    Value::Array(calls) => calls.push(call),
                    none => *none = json!([call]),
                }
            }
            Block::Picture => panic!("the model draws nothing"),
        }
    }
    message
}

fn whole(answer: Value) -> Told {
    let (choice, usage) = (&answer["choices"][0], &answer["usage"]);
    let message = &choice["message"];
    assert_eq!(answer["object"], "chat.completion", "{answer}");
    assert_eq!(message["role"], "assistant", "{answer}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    Told {
        id: text(&answer["id"]),
        model: text(&answer["model"]),
        text: text(&message["content"]),
        reasoning: text(&message["reasoning_content"]),
        calls: calls
            .map(|call| {
                assert_eq!(call["type"], "function", "{call}");
                let arguments = call["function"]["arguments"].as_str().unwrap();
                let arguments = serde_json::from_str(arguments).unwrap();
                (
                    text(&call["id"]),
                    text(&call["function"]["name"]),
                    arguments,
                )
            })
            .collect(),
        finish: text(&choice["finish_reason"]),
        stopped: choice["stop_reason"].as_str().map(str::to_owned),
        usage: usage.is_object().then(|| {
            let tokens = |key: &str| usage[key].as_u64().unwrap();
            let (input, output) = (tokens("prompt_tokens"), tokens("completion_tokens"));
            assert_eq!(tokens("total_tokens"), input + output, "{usage}");
            (input, output)
        }),
        whole: answer,
    }
}

fn streamed(stream: &str) -> (Told, Option<String>) {
    let told = chunks::read(stream);
    let kind = told.error.map(|error| {
        assert!(error["error"]["message"].is_string(), "{error}");
        error["error"]["type"].as_str().unwrap().to_owned()
    });
    (whole(told.answer), kind)
}

fn refused(error: &Value) -> (String, String) {
    for field in ["message", "type", "code", "param"] {
        assert!(error["error"].get(field).is_some(), "no `{field}`: {error}");
    }
    let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
    (text("type"), text("message"))
}
