//! Streams, both ways.

use std::fmt::Write as _;

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::{
    dialect::{
        Ingress,
        anthropic::Anthropic,
        testing::{answer, as_openai, events},
    },
    llm::{Citation, Event, Finish, Kind, Part, Usage},
};

const SSE: &str = "text/event-stream";

/// A stream of events, named by their types.
fn stream(data: &[Value]) -> Vec<u8> {
    let mut out = String::new();
    for data in data {
        let name = data["type"].as_str().unwrap();
        write!(out, "event: {name}\ndata: {data}\n\n").unwrap();
    }
    out.into_bytes()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
        "model": "claude-opus-5-5", "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 1}}})
}

fn block(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str, output: u64) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": output}}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn trap_1_1_and_1_2_thinking_text_and_parallel_calls() {
    let mut all = vec![
        start(),
        json!({"type": "ping"}),
        block(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        block(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Grüße 🎉"})),
        stop(1),
        block(
            2,
            json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
        ),
        delta(
            2,
            json!({"type": "input_json_delta", "partial_json": "{\"a\""}),
        ),
        delta(
            2,
            json!({"type": "input_json_delta", "partial_json": ": 1}"}),
        ),
        stop(2),
        block(
            3,
            json!({"type": "tool_use", "id": "t2", "name": "now", "input": {}}),
        ),
        delta(3, json!({"type": "input_json_delta", "partial_json": ""})),
        stop(3),
    ];
    all.extend(end("tool_use", 15));
    let bytes = stream(&all);
    let events = events(&Anthropic, SSE, &bytes);
    let count = |word: &str| {
        events
            .iter()
            .filter(|event| event.starts_with(word))
            .count()
    };
    assert_eq!(
        (
            count("Start"),
            count("Open"),
            count("Close"),
            count("Arguments")
        ),
        (1, 4, 4, 2)
    );
    assert_eq!((count("Finish"), count("End")), (1, 1));
    let (response, complete) = answer(&Anthropic, SSE, &bytes);
    assert!(complete);
    assert_eq!(
        (response.id.as_str(), response.model.as_str()),
        ("msg_1", "claude-opus-5-5")
    );
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    assert!(
        matches!(&choice.parts[0], Part::Thinking { text, signature: Some(s) } if text == "Hm" && s == "c2ln")
    );
    assert!(
        matches!(&choice.parts[2], Part::ToolCall { arguments, .. } if arguments == "{\"a\": 1}")
    );
    assert!(matches!(&choice.parts[3], Part::ToolCall { arguments, .. } if arguments == "{}"));
    // Trap 1.4: totals replace each other.
    let usage = response.usage.unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (25, 100, 15));

    let seen = as_openai(&Anthropic, SSE, &bytes);
    assert!(
        seen.contains(r#""tool_calls":[{"index":1,"id":"t2""#),
        "{seen}"
    );
    assert!(seen.contains(r#""finish_reason":"tool_calls""#));
    assert!(seen.contains(r#""prompt_tokens":125,"completion_tokens":15,"total_tokens":140"#));
    assert!(!seen.contains(r#""index":2"#));
    assert!(seen.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_servers_tools_do_not_shift_the_parts() {
    let mut all = vec![
        start(),
        block(
            0,
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        ),
        delta(
            0,
            json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"}),
        ),
        stop(0),
        block(
            1,
            json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]}),
        ),
        stop(1),
        block(2, json!({"type": "text", "text": ""})),
        delta(2, json!({"type": "text_delta", "text": "The "})),
        stop(2),
        block(3, json!({"type": "text", "text": "", "citations": []})),
        delta(3, json!({"type": "text_delta", "text": "sky"})),
        delta(
            3,
            json!({"type": "citations_delta", "citation": {"type": "web_search_result_location", "url": "https://e.org",
            "title": "E", "cited_text": "sky", "encrypted_index": "x"}}),
        ),
        stop(3),
        json!({"type": "something_new", "x": 1}),
    ];
    all.extend(end("pause_turn", 3));
    let (response, complete) = answer(&Anthropic, SSE, &stream(&all));
    let choice = &response.choices[0];
    assert!(complete && choice.parts.len() == 2);
    assert_eq!(choice.finish, Some(Finish::Other));
    assert_eq!(
        choice.citations,
        [Citation {
            url: Some("https://e.org".into()),
            title: Some("E".into()),
            cited_text: Some("sky".into()),
            start: Some(4),
            end: Some(7),
            source: None,
        }]
    );
}

#[test]
fn redacted_and_silent_reasoning_survive() {
    let mut all = vec![
        start(),
        block(0, json!({"type": "redacted_thinking", "data": "b3BhcXVl"})),
        stop(0),
        block(
            1,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(1, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(1),
        block(2, json!({"type": "text", "text": ""})),
        stop(2),
        block(
            3,
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {"whole": true}}),
        ),
        stop(3),
    ];
    all.extend(end("refusal", 3));
    let bytes = stream(&all);
    events(&Anthropic, SSE, &bytes);
    let (response, _) = answer(&Anthropic, SSE, &bytes);
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::ContentFilter));
    assert_eq!(choice.parts.len(), 3, "an empty text is none");
    assert!(matches!(&choice.parts[0], Part::Redacted(data) if data == "b3BhcXVl"));
    assert!(
        matches!(&choice.parts[1], Part::Thinking { text, signature: Some(s) } if text.is_empty() && s == "c2ln")
    );
    assert!(
        matches!(&choice.parts[2], Part::ToolCall { arguments, .. } if arguments == "{\"whole\":true}")
    );
}

#[test]
fn trap_1_7_an_error_inside_the_stream_has_its_status() {
    for (kind, status) in [
        ("invalid_request_error", "Some(400)"),
        ("authentication_error", "Some(401)"),
        ("billing_error", "Some(402)"),
        ("permission_error", "Some(403)"),
        ("not_found_error", "Some(404)"),
        ("request_too_large", "Some(413)"),
        ("rate_limit_error", "Some(429)"),
        ("api_error", "Some(500)"),
        ("timeout_error", "Some(504)"),
        ("overloaded_error", "Some(529)"),
        ("new_error", "None"),
    ] {
        let mut all = vec![
            start(),
            json!({"type": "error", "error": {"type": kind, "message": "m"}}),
        ];
        all.extend(end("end_turn", 1));
        let mut seen = Vec::new();
        let mut sink = |event: Event<'_>| seen.push(format!("{event:?}"));
        let complete =
            crate::dialect::testing::read(&Anthropic, SSE, &stream(&all), &[], &mut sink);
        assert!(!complete);
        let failed = format!("Failed {{ kind: {kind:?}, message: \"m\", status: {status} }}");
        assert_eq!(seen.last(), Some(&failed));
    }
}

#[test]
fn a_cut_stream_is_not_complete() {
    let mut all = vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "cut"})),
    ];
    let (_, complete) = answer(&Anthropic, SSE, &stream(&all));
    assert!(!complete);
    all.extend(end("end_turn", 2));
    all.pop();
    let (response, complete) = answer(&Anthropic, SSE, &stream(&all));
    assert!(complete, "the reason is enough");
    assert_eq!(response.choices[0].finish, Some(Finish::Stop));
}

/// The data of what a client of this format sees of some events.
fn written(events: &[Event<'_>]) -> Vec<Value> {
    let (mut encoder, mut out) = (Anthropic.stream_encoder(true), BytesMut::new());
    for event in events {
        encoder.event(event, &mut out);
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    text.split_terminator("\n\n")
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            // `type` stands in every data object.
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

fn begin() -> Event<'static> {
    Event::Start {
        id: "msg_1".into(),
        model: "m".into(),
        created: Some(1),
        fingerprint: None,
    }
}

fn open(part: u32, kind: Kind<'static>) -> Event<'static> {
    Event::Open {
        part,
        choice: 0,
        kind,
    }
}

fn tool(id: &'static str) -> Kind<'static> {
    Kind::ToolCall {
        id: id.into(),
        name: "f".into(),
    }
}

fn arguments(part: u32, json: &'static str) -> Event<'static> {
    Event::Arguments {
        part,
        json: json.into(),
    }
}

fn counts(input: u64, output: u64) -> Event<'static> {
    Event::Usage(Usage {
        input,
        output,
        ..Usage::default()
    })
}

#[test]
fn trap_1_4_interleaved_calls_become_blocks_in_order() {
    let seen = written(&[
        begin(),
        counts(9, 0),
        open(0, tool("a")),
        open(1, tool("b")),
        arguments(0, "{\"x\""),
        arguments(1, "{\"y\":"),
        arguments(0, ":1}"),
        arguments(1, "2}"),
        open(2, tool("c")),
        Event::Close { part: 1 },
        Event::Close { part: 0 },
        Event::Close { part: 2 },
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
        counts(9, 21),
        Event::End,
    ]);
    let brief: Vec<String> = seen
        .iter()
        .map(|data| {
            let kind = data["type"].as_str().unwrap();
            let json = data["delta"]["partial_json"].as_str().unwrap_or_default();
            format!(
                "{kind} {} {json}",
                data["index"]
                    .as_u64()
                    .map_or(String::new(), |n| n.to_string())
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            "message_start  ",
            "content_block_start 0 ",
            "content_block_delta 0 {\"x\"",
            "content_block_delta 0 :1}",
            "content_block_stop 0 ",
            "content_block_start 1 ",
            "content_block_delta 1 {\"y\":2}",
            "content_block_stop 1 ",
            "content_block_start 2 ",
            "content_block_delta 2 {}",
            "content_block_stop 2 ",
            "message_delta  ",
            "message_stop  ",
        ]
    );
    assert_eq!(seen[0]["message"]["usage"]["input_tokens"], 9);
    assert_eq!(seen[11]["delta"]["stop_reason"], "tool_use");
    assert_eq!(seen[11]["usage"]["output_tokens"], 21);
}

#[test]
fn trap_1_3_the_end_waits_for_the_counts() {
    let seen = written(&[
        begin(),
        open(0, Kind::Text),
        Event::Text {
            part: 0,
            text: "x".into(),
        },
        Event::Close { part: 0 },
        Event::Finish {
            choice: 0,
            reason: Finish::Stop,
        },
    ]);
    assert_eq!(seen.last().unwrap()["type"], "content_block_stop");
    assert_eq!(seen[0]["message"]["usage"]["input_tokens"], 0);
}

#[test]
fn trap_1_4_late_reasoning_is_left_out() {
    let seen = written(&[
        begin(),
        open(0, Kind::Text),
        Event::Text {
            part: 0,
            text: "x".into(),
        },
        Event::Close { part: 0 },
        open(1, Kind::Thinking),
        Event::Thinking {
            part: 1,
            text: "late".into(),
        },
        Event::Close { part: 1 },
        Event::End,
    ]);
    assert_eq!(seen.len(), 6, "{seen:#?}");
    assert!(!seen.iter().any(|data| data.to_string().contains("late")));
}

#[test]
fn an_error_ends_the_clients_stream() {
    let seen = written(&[
        begin(),
        Event::Failed {
            kind: "server_error".into(),
            message: "gone".into(),
            status: Some(529),
        },
        Event::End,
    ]);
    assert_eq!(
        seen,
        [json!({"type": "error", "error": {"type": "overloaded_error", "message": "gone"}})]
    );
}

#[test]
fn trap_1_8_pings_come_after_the_beginning() {
    let (mut encoder, mut out) = (Anthropic.stream_encoder(true), BytesMut::new());
    encoder.keep_alive(&mut out);
    assert!(out.is_empty());
    encoder.event(&begin(), &mut out);
    encoder.keep_alive(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.starts_with("event: message_start\n"));
    assert!(text.ends_with("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
}

#[test]
fn citations_keep_their_place_in_a_stream() {
    let citation = Event::Citation {
        choice: 0,
        citation: Citation {
            url: Some("https://e.org".into()),
            ..Citation::default()
        },
    };
    let text = Event::Text {
        part: 0,
        text: "x".into(),
    };
    let seen = written(&[
        begin(),
        open(0, Kind::Text),
        text,
        citation.clone(),
        Event::Close { part: 0 },
        citation,
        Event::End,
    ]);
    let kinds: Vec<&str> = seen
        .iter()
        .map(|data| {
            data["delta"]["type"]
                .as_str()
                .unwrap_or_else(|| data["type"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "message_start",
            "content_block_start",
            "text_delta",
            "citations_delta",
            "content_block_stop",
            "content_block_start",
            "citations_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
}
