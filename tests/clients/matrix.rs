//! A Messages client and every provider's format: each cell of the table holds, or stands among what a format cannot do.

use std::rc::Rc;

use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::{
    message::{Told, blocks, read, text},
    providers::{PROVIDERS, server},
    support::{Ask, Reply, Server},
};

/// What the client got.
#[derive(Debug)]
enum Got {
    /// An answer, put together where it was streamed.
    Answer(Value),
    /// An error in place of an answer.
    Refused(u16, Value),
    /// A stream that ended in an error, and what came of the answer.
    Broken(Value, Value),
}

/// One row of the table.
struct Case {
    name: &'static str,
    model: &'static str,
    /// Beside the model, `max_tokens` and `stream`.
    fields: fn() -> Value,
    holds: fn(&Got) -> bool,
}

/// What a format cannot do.
enum Limit {
    /// A 400 with this in its message.
    Refuses(&'static str),
    /// The answer comes with this warning.
    Warns(&'static str),
}

use Limit::{Refuses, Warns};

/// The cells that do not hold: profile, case, what becomes of it.
const LIMITS: &[(&str, &str, Limit)] = &[
    ("cohere", "image", Refuses("upstream_path")),
    ("cohere", "forced tool", Refuses("tool_choice")),
    (
        "cohere",
        "tool result with an image",
        Refuses("image in a tool result"),
    ),
    ("cohere-v2", "forced tool", Refuses("tool_choice")),
    (
        "cohere-v2",
        "tool result with an image",
        Refuses("image in a tool result"),
    ),
    ("cohere", "thinking", Warns("dropped:thinking")),
    ("ollama", "forced tool", Refuses("tool_choice")),
    ("mistral-ollama", "forced tool", Refuses("tool_choice")),
    // One prompt with markers: no roles but as text, no tools, no reasoning; the mock echoes the markers.
    ("llama2", "system", Warns("")),
    ("llama2", "system blocks", Warns("")),
    ("llama2", "multi-turn", Warns("dropped:messages.assistant")),
    (
        "llama2",
        "thinking, again",
        Warns("dropped:messages.assistant"),
    ),
    ("llama2", "image", Refuses("an image")),
    ("llama2", "tool call", Refuses("tools")),
    ("llama2", "parallel calls", Refuses("tools")),
    ("llama2", "no-argument call", Refuses("tools")),
    ("llama2", "forced tool", Refuses("tools")),
    ("llama2", "tool result", Refuses("tools")),
    ("llama2", "tool error", Refuses("tools")),
    ("llama2", "tool result with an image", Refuses("tools")),
    ("llama2", "thinking", Warns("dropped:reasoning_effort")),
    ("llama2", "stop", Warns("")),
];

/// Profiles whose service tells the usage of a stream unasked, which the mock does not.
const QUIET: &[&str] = &["mistral"];

fn user(content: impl Into<Value>) -> Value {
    json!({"messages": [{"role": "user", "content": content.into()}]})
}

fn with(mut fields: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        fields[key] = value.clone();
    }
    fields
}

fn tools() -> Value {
    json!([
        {"name": "get_weather", "description": "The weather in a city", "input_schema": {"type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}},
        {"name": "now", "description": "The time", "input_schema": {"type": "object", "properties": {}}},
    ])
}

/// The second turn of a tool's round.
fn after_tools(results: &Value) -> Value {
    json!({"tools": tools(), "messages": [
        {"role": "user", "content": "How warm is it in Rome, and what time is it?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I will look."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ]},
        {"role": "user", "content": results},
    ]})
}

/// One red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

fn picture() -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
}

fn answers(got: &Got, stop: &str, holds: impl Fn(&Value) -> bool) -> bool {
    let Got::Answer(message) = got else {
        return false;
    };
    message["type"] == "message"
        && message["role"] == "assistant"
        && message["id"].as_str().is_some_and(|id| !id.is_empty())
        && message["model"]
            .as_str()
            .is_some_and(|model| !model.is_empty())
        && message["stop_reason"] == stop
        && holds(message)
}

/// The calls of an answer: names and inputs; ids differ.
fn calls(message: &Value) -> Vec<(String, Value)> {
    let calls = blocks(message, "tool_use");
    let mut ids: Vec<&str> = calls
        .iter()
        .filter_map(|call| call["id"].as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), calls.len(), "ids are not apart: {message}");
    calls
        .iter()
        .map(|call| {
            (
                call["name"].as_str().unwrap().to_owned(),
                call["input"].clone(),
            )
        })
        .collect()
}

const CASES: &[Case] = &[
    Case {
        name: "text",
        model: "mock-fast",
        fields: || user("Tell me a story"),
        holds: |got| answers(got, "end_turn", |message| !text(message).is_empty()),
    },
    Case {
        name: "system",
        model: "mock-transform",
        fields: || with(user(r#"{"b":2}"#), &json!({"system": r#"Add {"a":1}"#})),
        holds: |got| answers(got, "end_turn", |message| text(message).contains("\"a\"")),
    },
    Case {
        name: "system blocks",
        model: "mock-transform",
        fields: || {
            let system = json!([
                {"type": "text", "text": "You are a program."},
                {"type": "text", "text": r#"Add {"a":1}"#, "cache_control": {"type": "ephemeral"}},
            ]);
            with(user(r#"{"b":2}"#), &json!({"system": system}))
        },
        holds: |got| answers(got, "end_turn", |message| text(message).contains("\"a\"")),
    },
    Case {
        name: "multi-turn",
        model: "mock-echo",
        fields: || {
            json!({"messages": [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
                {"role": "user", "content": [{"type": "text", "text": "three"}]},
            ]})
        },
        holds: |got| answers(got, "end_turn", |message| text(message) == "three"),
    },
    Case {
        name: "image",
        model: "mock-fast",
        fields: || user(json!([picture(), {"type": "text", "text": "What is it?"}])),
        holds: |got| answers(got, "end_turn", |message| text(message).contains("1 image")),
    },
    Case {
        name: "tool call",
        model: "mock-tools",
        fields: || with(user("How warm is it in Rome?"), &json!({"tools": tools()})),
        holds: |got| {
            answers(got, "tool_use", |message| {
                let calls = calls(message);
                calls.len() == 1 && calls[0].0 == "get_weather" && calls[0].1["city"].is_string()
            })
        },
    },
    Case {
        name: "parallel calls",
        model: "mock-tools-parallel",
        fields: || with(user("How warm is it in Rome?"), &json!({"tools": tools()})),
        holds: |got| {
            answers(got, "tool_use", |message| {
                let calls = calls(message);
                calls.len() == 2
                    && calls[0].1["city"].is_string()
                    && calls[1] == ("now".into(), json!({}))
            })
        },
    },
    Case {
        name: "no-argument call",
        model: "mock-tools-noargs",
        fields: || with(user("What time is it?"), &json!({"tools": [tools()[1]]})),
        holds: |got| {
            answers(got, "tool_use", |message| {
                calls(message) == [("now".into(), json!({}))]
            })
        },
    },
    Case {
        name: "forced tool",
        model: "mock-fast",
        fields: || {
            let choice = json!({"type": "tool", "name": "now"});
            with(
                user("Hello"),
                &json!({"tools": tools(), "tool_choice": choice}),
            )
        },
        holds: |got| {
            answers(got, "tool_use", |message| {
                calls(message).first().is_some_and(|call| call.0 == "now")
            })
        },
    },
    Case {
        name: "tool result",
        model: "mock-tools",
        fields: || {
            after_tools(&json!([
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 degrees"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "noon"}]},
            ]))
        },
        holds: |got| {
            answers(got, "end_turn", |message| {
                let text = text(message);
                text.find("18 degrees") < text.find("noon") && text.contains("18 degrees")
            })
        },
    },
    Case {
        name: "tool error",
        model: "mock-tools",
        fields: || {
            after_tools(&json!([
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": true},
                {"type": "tool_result", "tool_use_id": "toolu_2"},
            ]))
        },
        holds: |got| {
            answers(got, "end_turn", |message| {
                text(message).contains("no such city")
            })
        },
    },
    Case {
        name: "tool result with an image",
        model: "mock-tools",
        fields: || {
            after_tools(&json!([
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "a picture"}, picture()]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "noon"},
            ]))
        },
        holds: |got| matches!(got, Got::Answer(_)),
    },
    Case {
        name: "thinking",
        model: "mock-reasoning",
        fields: || {
            let thinking = json!({"type": "enabled", "budget_tokens": 2048});
            with(
                user("Why?"),
                &json!({"thinking": thinking, "max_tokens": 8192}),
            )
        },
        holds: |got| {
            answers(got, "end_turn", |message| {
                let first = &message["content"][0];
                first["type"] == "thinking"
                    && first["thinking"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty())
                    && first["signature"].is_string()
                    && !text(message).is_empty()
            })
        },
    },
    Case {
        name: "thinking, again",
        model: "mock-echo",
        fields: || {
            json!({"messages": [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "b3BhcXVl"},
                    {"type": "text", "text": "two"},
                ]},
                {"role": "user", "content": "three"},
            ]})
        },
        holds: |got| answers(got, "end_turn", |message| text(message) == "three"),
    },
    Case {
        name: "schema",
        model: "mock-fast",
        fields: || {
            let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name", "age"], "additionalProperties": false});
            let format = json!({"type": "json_schema", "schema": schema});
            with(user("Who?"), &json!({"output_config": {"format": format}}))
        },
        holds: |got| {
            answers(got, "end_turn", |message| {
                let told: Option<Value> = serde_json::from_str(&text(message)).ok();
                told.is_some_and(|told| told["name"].is_string() && told["age"].is_i64())
            })
        },
    },
    Case {
        name: "stop",
        model: "mock-echo",
        fields: || {
            with(
                user("alpha STOP beta"),
                &json!({"stop_sequences": ["STOP"]}),
            )
        },
        holds: |got| answers(got, "end_turn", |message| text(message).trim() == "alpha"),
    },
    Case {
        name: "max tokens",
        model: "mock-fast",
        fields: || with(user("Tell me a story"), &json!({"max_tokens": 3})),
        holds: |got| answers(got, "max_tokens", |message| !text(message).is_empty()),
    },
    Case {
        name: "429",
        model: "mock-error-429",
        fields: || user("Hello"),
        holds: |got| matches!(got, Got::Refused(429, error) if error["error"]["type"] == "rate_limit_error"),
    },
    Case {
        name: "529",
        model: "mock-error-529",
        fields: || user("Hello"),
        holds: |got| matches!(got, Got::Refused(529, error) if error["error"]["type"] == "overloaded_error"),
    },
    Case {
        name: "error mid-stream",
        model: "mock-error-stream",
        fields: || user("Tell me a story"),
        holds: |got| match got {
            Got::Refused(500, error) => error["error"]["type"] == "api_error",
            Got::Broken(message, error) => {
                !text(message).is_empty()
                    && message["stop_reason"].is_null()
                    && error["error"]["type"] == "api_error"
            }
            _ => false,
        },
    },
    Case {
        name: "unicode",
        model: "mock-unicode",
        fields: || user("Hello"),
        holds: |got| {
            answers(got, "end_turn", |message| {
                let text = text(message);
                text.chars().any(|c| c > '\u{ffff}') && !text.contains('\u{fffd}')
            })
        },
    },
    Case {
        name: "every byte alone",
        model: "mock-split",
        fields: || with(user("Hello"), &json!({"max_tokens": 12})),
        holds: |got| matches!(got, Got::Answer(message) if !text(message).is_empty()),
    },
];

async fn ask(server: &Server, profile: &str, case: &Case, stream: bool) -> (Reply, Got) {
    let mut body = json!({"model": case.model, "max_tokens": 1000});
    body = with(body, &(case.fields)());
    if stream {
        body["stream"] = true.into();
    }
    let reply = Ask::post(
        &format!("/{profile}/v1/messages?beta=true"),
        body.to_string(),
    )
    .header("anthropic-version", "2023-06-01")
    .header("anthropic-beta", "interleaved-thinking-2025-05-14")
    .header("x-api-key", "local")
    .header("x-model", case.model)
    .whole(server)
    .await;
    let id = reply.headers.get("request-id");
    assert!(id.is_some_and(|id| !id.is_empty()), "{}", reply.head);
    if reply.status != 200 {
        let error = reply.json();
        assert_eq!(error["type"], "error", "{error}");
        assert!(error["error"]["message"].is_string(), "{error}");
        assert!(
            error["request_id"].is_string() || profile == "anthropic",
            "{error}"
        );
        let status = reply.status;
        return (reply, Got::Refused(status, error));
    }
    if !stream {
        let answer = reply.json();
        return (reply, Got::Answer(answer));
    }
    assert_eq!(
        reply
            .headers
            .get("content-type")
            .map(|text| text.split(';').next().unwrap()),
        Some("text/event-stream")
    );
    let got = match read(&reply.text()) {
        Told {
            message,
            error: None,
        } => Got::Answer(message),
        Told {
            message,
            error: Some(error),
        } => Got::Broken(message, error),
    };
    (reply, got)
}

#[tokio::test]
async fn every_cell_holds_or_is_documented() {
    let server = Rc::new(server());
    let (local, mut columns) = (LocalSet::new(), JoinSet::new());
    for (profile, ..) in PROVIDERS {
        columns.spawn_local_on(column(Rc::clone(&server), profile), &local);
    }
    let (mut wrong, mut met) = (Vec::new(), 0);
    for (wrongs, limits) in local.run_until(columns.join_all()).await {
        wrong.extend(wrongs);
        met += limits;
    }
    let cells = wrong.len();
    assert!(wrong.is_empty(), "{cells} cells:\n{}", wrong.join("\n\n"));
    assert_eq!(met, LIMITS.len(), "a limit stands for no cell");
}

/// Asks one profile everything: the cells that do not hold, and the limits that were met.
async fn column(server: Rc<Server>, profile: &str) -> (Vec<String>, usize) {
    let (mut wrong, mut met) = (Vec::new(), 0);
    for case in CASES {
        for stream in [false, true] {
            let (reply, got) = ask(&server, profile, case, stream).await;
            let counted = is_counted(&got) || stream && QUIET.contains(&profile);
            let limit = LIMITS
                .iter()
                .find(|(known, name, _)| *known == profile && *name == case.name);
            let warnings = reply.headers.get("x-aiproxy-warnings").unwrap_or_default();
            let holds = match limit {
                None => counted && (case.holds)(&got),
                Some((_, _, Refuses(why))) => {
                    matches!(&got, Got::Refused(400, error)
                            if error["error"]["message"].as_str().unwrap().contains(why))
                }
                Some((_, _, Warns(what))) => {
                    matches!(&got, Got::Answer(_)) && warnings.contains(what)
                }
            };
            met += usize::from(limit.is_some() && stream);
            if !holds {
                let how = if stream { "stream" } else { "plain" };
                wrong.push(format!(
                    "{profile}, {}, {how}: {warnings}: {got:?}",
                    case.name
                ));
            }
        }
    }
    (wrong, met)
}

/// An answer tells its tokens.
fn is_counted(got: &Got) -> bool {
    let Got::Answer(message) = got else {
        return true;
    };
    let told = |key: &str| message["usage"][key].as_u64();
    ["input_tokens", "output_tokens"]
        .iter()
        .all(|key| told(key).is_some_and(|tokens| tokens > 0))
}
