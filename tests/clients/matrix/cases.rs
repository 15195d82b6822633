//! The rows of the table.

use serde_json::{Value, json};

use super::{
    Told,
    talk::{Block, PNG, Talk, Tool, Turn, after_tools, said, user},
};

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// The model was done.
    Done,
    /// It met `STOP`.
    Stopped,
    /// It calls tools.
    Calls,
    /// The token limit.
    Cut,
    /// There is none, but this status.
    Fails(u16),
    /// In the middle; in place of a whole answer there is a 500.
    Breaks,
}

/// One row.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) model: &'static str,
    pub(super) talk: fn() -> Talk,
    pub(super) ends: Ends,
    /// What must be in the answer.
    pub(super) says: fn(&Told) -> bool,
    /// What must be in the request that the provider gets.
    pub(super) sent: &'static [&'static str],
    /// An answer of this model to the same question comes before it, and a user who says `three` after that.
    pub(super) after: Option<&'static str>,
}

const TEXT: Case = Case {
    name: "text",
    model: "mock-fast",
    talk: || user("Tell me a story"),
    ends: Ends::Done,
    says: |told| told.text.len() > 20 && told.calls.is_empty() && told.reasoning.is_empty(),
    sent: &["Tell me a story"],
    after: None,
};

fn is_weather(call: &(String, String, Value)) -> bool {
    let city = call.2["city"].as_str();
    call.1 == "get_weather"
        && city.is_some_and(|city| !city.is_empty())
        && call.2.as_object().is_some_and(|fields| {
            fields
                .iter()
                .all(|(key, value)| key == "city" || key == "days" && value.is_i64())
        })
}

fn is_now(call: &(String, String, Value)) -> bool {
    call.1 == "now" && call.2 == json!({})
}

const TOOLS: &[&str] = &["get_weather", "The weather in a city", "\"city\"", "now"];

/// The rows.
pub(super) const CASES: &[Case] = &[
    TEXT,
    Case {
        name: "system",
        model: "mock-transform",
        talk: || Talk {
            system: &[r#"Add {"a":1}"#],
            ..user(r#"{"b":2}"#)
        },
        says: |told| {
            let json: Value = serde_json::from_str(&told.text).unwrap_or_default();
            json == json!({"a": 1, "b": 2})
        },
        sent: &[r#"Add {\"a\":1}"#, r#"{\"b\":2}"#],
        ..TEXT
    },
    Case {
        name: "several system texts",
        model: "mock-transform",
        talk: || Talk {
            system: &["You are a program.", r#"Add {"a":1}"#],
            ..user(r#"{"b":2}"#)
        },
        says: |told| {
            let json: Value = serde_json::from_str(&told.text).unwrap_or_default();
            json == json!({"a": 1, "b": 2})
        },
        sent: &["You are a program.", r#"Add {\"a\":1}"#],
        ..TEXT
    },
    Case {
        name: "multi-turn",
        model: "mock-echo",
        talk: || Talk {
            turns: vec![
                Turn::User(vec![Block::Text("one")]),
                Turn::Assistant(vec![Block::Text("two")]),
                Turn::User(vec![Block::Text("three")]),
            ],
            ..Talk::default()
        },
        says: |told| told.text == "three",
        sent: &["one", "two", "three"],
        ..TEXT
    },
    Case {
        name: "image",
        talk: || said(vec![Block::Picture, Block::Text("What is it?")]),
        says: |told| told.text.contains("1 image"),
        sent: &[PNG, "What is it?"],
        ..TEXT
    },
    Case {
        name: "one tool",
        model: "mock-tools",
        talk: || Talk {
            tools: &[Tool::Weather, Tool::Now],
            ..user("How warm is it in Rome?")
        },
        ends: Ends::Calls,
        says: |told| matches!(&told.calls[..], [call] if is_weather(call)),
        sent: TOOLS,
        ..TEXT
    },
    Case {
        name: "two parallel tools",
        model: "mock-tools-parallel",
        talk: || Talk {
            tools: &[Tool::Weather, Tool::Now],
            ..user("How warm is it in Rome?")
        },
        ends: Ends::Calls,
        says: |told| matches!(&told.calls[..], [one, two] if is_weather(one) && is_now(two) && one.0 != two.0),
        sent: TOOLS,
        ..TEXT
    },
    Case {
        name: "no-argument tool",
        model: "mock-tools-noargs",
        talk: || Talk {
            tools: &[Tool::Now],
            ..user("What time is it?")
        },
        ends: Ends::Calls,
        says: |told| matches!(&told.calls[..], [call] if is_now(call)),
        sent: &["now", "The time"],
        ..TEXT
    },
    Case {
        name: "forced tool",
        talk: || Talk {
            tools: &[Tool::Weather, Tool::Now],
            forced: Some("now"),
            ..user("Hello")
        },
        ends: Ends::Calls,
        says: |told| matches!(&told.calls[..], [call] if is_now(call)),
        sent: TOOLS,
        ..TEXT
    },
    Case {
        name: "tool result",
        model: "mock-tools",
        talk: || {
            after_tools(
                vec![Block::Text("18 degrees")],
                false,
                vec![Block::Text("noon")],
            )
        },
        says: |told| {
            let at = |text: &str| told.text.find(text);
            told.calls.is_empty() && at("18 degrees").is_some() && at("18 degrees") < at("noon")
        },
        sent: &["I will look.", "get_weather", "Rome", "18 degrees", "noon"],
        ..TEXT
    },
    Case {
        name: "tool error",
        model: "mock-tools",
        talk: || after_tools(vec![Block::Text("no such city")], true, Vec::new()),
        says: |told| told.calls.is_empty() && told.text.contains("no such city"),
        sent: &["no such city"],
        ..TEXT
    },
    Case {
        name: "tool result with an image",
        talk: || {
            after_tools(
                vec![Block::Text("a picture"), Block::Picture],
                false,
                vec![Block::Text("noon")],
            )
        },
        // Where it goes into a message of its own, the tools are not asked again: the model calls none.
        says: |told| !told.text.is_empty() && told.calls.is_empty(),
        sent: &["a picture", PNG, "noon"],
        ..TEXT
    },
    Case {
        name: "JSON schema",
        talk: || Talk {
            schema: true,
            ..user("Who?")
        },
        says: |told| {
            let json: Value = serde_json::from_str(&told.text).unwrap_or_default();
            json["name"].is_string() && json["age"].is_i64() && told.calls.is_empty()
        },
        sent: &["age", "integer"],
        ..TEXT
    },
    Case {
        name: "reasoning",
        model: "mock-reasoning",
        talk: || Talk {
            reasons: true,
            ..user("Why?")
        },
        says: |told| !told.reasoning.is_empty() && !told.text.contains(&told.reasoning),
        sent: &["Why?"],
        ..TEXT
    },
    Case {
        name: "reasoning, sent back",
        model: "mock-echo",
        talk: || Talk {
            reasons: true,
            ..user("Why?")
        },
        says: |told| told.text == "three",
        sent: &["Why?", "three"],
        after: Some("mock-reasoning"),
        ..TEXT
    },
    Case {
        name: "reasoning of another provider",
        model: "mock-echo",
        talk: || Talk {
            turns: vec![
                Turn::User(vec![Block::Text("one")]),
                Turn::Assistant(vec![Block::Thinking("hm", "c2ln"), Block::Text("two")]),
                Turn::User(vec![Block::Text("three")]),
            ],
            ..Talk::default()
        },
        says: |told| told.text == "three",
        sent: &["one", "two", "three"],
        ..TEXT
    },
    Case {
        name: "stop",
        model: "mock-echo",
        talk: || Talk {
            stop: Some("STOP"),
            ..user("alpha STOP beta")
        },
        ends: Ends::Stopped,
        says: |told| told.text.trim_end() == "alpha",
        sent: &[r#"["STOP"]"#],
        ..TEXT
    },
    Case {
        name: "max tokens",
        talk: || Talk {
            max_tokens: Some(3),
            ..user("Tell me a story")
        },
        ends: Ends::Cut,
        says: |told| {
            (1..40).contains(&told.text.len())
                && told.usage.is_none_or(|(_, output)| matches!(output, 0 | 3))
        },
        ..TEXT
    },
    Case {
        name: "429",
        model: "mock-error-429",
        ends: Ends::Fails(429),
        ..TEXT
    },
    Case {
        name: "529",
        model: "mock-error-529",
        ends: Ends::Fails(529),
        ..TEXT
    },
    Case {
        name: "error mid-stream",
        model: "mock-error-stream",
        ends: Ends::Breaks,
        says: |told| !told.text.is_empty(),
        ..TEXT
    },
    Case {
        name: "unicode",
        model: "mock-unicode",
        talk: || user("Grüße, 日本 🎉"),
        says: |told| told.text.chars().any(|c| c > '\u{ffff}') && !told.text.contains('\u{fffd}'),
        sent: &["Grüße, 日本 🎉"],
        ..TEXT
    },
    Case {
        name: "every byte alone",
        model: "mock-split",
        talk: || Talk {
            max_tokens: Some(12),
            ..user("Tell me a story")
        },
        ends: Ends::Cut,
        ..TEXT
    },
];
