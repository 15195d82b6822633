//! Clients of OpenAI's Responses.

use serde_json::{Value, json};

use super::{
    CHAT, Client, Told, Words,
    talk::{Block, PNG, Talk, Turn, schema},
};
use crate::response::read;

pub(super) const RESPONSES: Client = Client {
    name: "responses",
    path: "/v1/responses",
    headers: &[],
    words: Words {
        done: "completed",
        stopped: "completed",
        calls: "completed",
        cut: "incomplete: max_output_tokens",
    },
    errors: CHAT.errors,
    broken: Some("server_error"),
    body,
    whole,
    streamed,
    refused: CHAT.refused,
    replay: |whole| whole["output"].as_array().unwrap().clone(),
};

fn body(talk: &Talk) -> Option<Value> {
    // The format has no stop sequences.
    if talk.stop.is_some() {
        return None;
    }
    let mut input = Vec::new();
    for text in talk.system.iter().skip(1) {
        input.push(json!({"role": "developer", "content": text}));
    }
    for turn in &talk.turns {
        match turn {
            Turn::User(blocks) => input.push(json!({"role": "user", "content": content(blocks)})),
            Turn::Assistant(blocks) => input.extend(blocks.iter().map(assistant)),
            Turn::Results(results) => input.extend(results.iter().map(|(id, blocks, _)| {
                json!({"type": "function_call_output", "call_id": id, "output": content(blocks)})
            })),
            Turn::Replayed(own) => input.extend(own.iter().cloned()),
        }
    }
    let mut body = json!({"input": input, "store": false});
    if let Some(text) = talk.system.first() {
        body["instructions"] = (*text).into();
    }
    if !talk.tools.is_empty() {
        let tools = talk.tools.iter().map(|tool| {
            json!({"type": "function", "name": tool.name(), "description": tool.description(),
                "parameters": tool.parameters(), "strict": false})
        });
        body["tools"] = tools.collect();
    }
    if let Some(name) = talk.forced {
        body["tool_choice"] = json!({"type": "function", "name": name});
    }
    if talk.reasons {
        body["reasoning"] = json!({"effort": "medium", "summary": "auto"});
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if talk.schema {
        let format =
            json!({"type": "json_schema", "name": "person", "schema": schema(), "strict": true});
        body["text"] = json!({"format": format});
    }
    if let Some(limit) = talk.max_tokens {
        body["max_output_tokens"] = limit.into();
    }
    Some(body)
}

fn content(blocks: &[Block]) -> Value {
    match blocks {
        [] => "".into(),
        [Block::Text(text)] => (*text).into(),
        blocks => blocks
            .iter()
            .map(|block| match block {
                Block::Text(text) => json!({"type": "input_text", "text": text}),
                Block::Picture => {
                    json!({"type": "input_image", "detail": "auto", "image_url": format!("data:image/png;base64,{PNG}")})
                }
                other => panic!("{other:?} is the model's"),
            })
            .collect(),
    }
}

fn assistant(block: &Block) -> Value {
    match block {
        Block::Text(text) => {
            let content = json!({"type": "output_text", "text": text, "annotations": []});
            json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]})
        }
        Block::Thinking(text, sealed) => {
            let summary = json!({"type": "summary_text", "text": text});
            json!({"type": "reasoning", "id": "rs_1", "summary": [summary], "encrypted_content": sealed})
        }
        Block::Call(id, name, arguments) => {
            json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
                "arguments": arguments.to_string(), "status": "completed"})
        }
        Block::Picture => panic!("the model draws nothing"),
    }
}

fn whole(response: Value) -> Told {
    assert_eq!(response["object"], "response", "{response}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let output = response["output"].as_array().unwrap();
    let of = |kind: &'static str| output.iter().filter(move |item| item["type"] == kind);
    let inner = |item: &Value, key: &str| -> String {
        let parts = item[key].as_array().into_iter().flatten();
        parts.map(|part| text(&part["text"])).collect()
    };
    let status = text(&response["status"]);
    let why = &response["incomplete_details"]["reason"];
    let usage = &response["usage"];
    Told {
        id: text(&response["id"]),
        model: text(&response["model"]),
        text: of("message").map(|item| inner(item, "content")).collect(),
        reasoning: of("reasoning").map(|item| inner(item, "summary")).collect(),
        calls: of("function_call")
            .map(|call| {
                let arguments = serde_json::from_str(call["arguments"].as_str().unwrap());
                (
                    text(&call["call_id"]),
                    text(&call["name"]),
                    arguments.unwrap(),
                )
            })
            .collect(),
        finish: match why.as_str() {
            Some(why) => format!("{status}: {why}"),
            None => status,
        },
        stopped: None,
        usage: usage.is_object().then(|| {
            let tokens = |key: &str| usage[key].as_u64().unwrap();
            let (input, output) = (tokens("input_tokens"), tokens("output_tokens"));
            assert_eq!(tokens("total_tokens"), input + output, "{usage}");
            (input, output)
        }),
        whole: response,
    }
}

fn streamed(stream: &str) -> (Told, Option<String>) {
    let told = read(stream);
    let kind = told.error.map(|error| {
        assert!(error["message"].is_string(), "{error}");
        error["code"].as_str().unwrap().to_owned()
    });
    let mut answer = whole(told.response);
    answer.text.push_str(&told.said);
    (answer, kind)
}
