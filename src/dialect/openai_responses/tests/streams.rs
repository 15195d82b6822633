//! Streams, both ways.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{
    answers::{call, response},
    check, order, sse, told,
};
use crate::{
    dialect::{
        Ingress,
        openai_responses::OpenAiResponses,
        testing::{answer, as_openai, events, read, streamed},
    },
    llm::{Citation, Event, Finish, Kind, Part, Usage},
};

const SSE: &str = "text/event-stream";

/// What an encoder makes of events.
fn written(all: Vec<Event<'static>>) -> Vec<Value> {
    let (mut encoder, mut out) = (OpenAiResponses.stream_encoder(true), BytesMut::new());
    for event in all {
        encoder.event(&event, &mut out);
    }
    told(&out)
}

fn start() -> Event<'static> {
    Event::Start {
        id: "resp_1".into(),
        model: "m".into(),
        created: Some(7),
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

fn tool(part: u32, id: &'static str) -> Event<'static> {
    open(
        part,
        Kind::ToolCall {
            id: id.into(),
            name: "f".into(),
        },
    )
}

/// As <https://platform.openai.com/docs/api-reference/responses-streaming> has it.
#[test]
fn golden_order_of_a_text() {
    let answer = response(vec![Part::Text("Hi".into())], Finish::Stop);
    let events = told(&streamed(&OpenAiResponses, &answer));
    check(&events);
    assert_eq!(
        order(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(
        events[2].to_string(),
        r#"{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#
    );
    assert_eq!(
        events[3].to_string(),
        r#"{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}"#
    );
    assert_eq!(
        events[4].to_string(),
        r#"{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1_0","output_index":0,"content_index":0,"delta":"Hi","logprobs":[]}"#
    );
    assert_eq!(
        events[5].to_string(),
        r#"{"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1_0","output_index":0,"content_index":0,"text":"Hi","logprobs":[]}"#
    );
    assert_eq!(events[8]["response"]["usage"]["total_tokens"], 7);
}

#[test]
fn golden_order_of_reasoning_and_calls() {
    let thinking = Part::Thinking {
        text: "Hm.".into(),
        signature: Some("sig".into()),
    };
    let answer = response(
        vec![
            thinking,
            Part::Refusal("No.".into()),
            call("c1", None),
            call("c2", Some("proof")),
        ],
        Finish::ToolCalls,
    );
    let events = told(&streamed(&OpenAiResponses, &answer));
    check(&events);
    assert_eq!(
        order(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            // What proves the second call stands before it.
            "output_item.added",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(
        events[7]["item"].to_string(),
        r#"{"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"aiproxy:thinking:sig"}"#
    );
    let last = events.last().unwrap();
    assert_eq!(
        last["response"]["output"][4].to_string(),
        r#"{"id":"fc_1_4","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"c2","name":"f"}"#
    );
}

#[test]
fn trap_1_2_a_call_without_arguments_has_an_object() {
    let events = written(vec![
        start(),
        tool(0, "c1"),
        Event::Close { part: 0 },
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
        Event::End,
    ]);
    check(&events);
    assert_eq!(
        order(&events)[2..6],
        [
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done"
        ]
    );
    assert_eq!(events[4]["arguments"], "{}");
}

#[test]
fn trap_2_6_calls_that_overlap_are_told_apart() {
    let events = written(vec![
        start(),
        tool(0, "c1"),
        tool(1, "c2"),
        Event::Arguments {
            part: 1,
            json: "{}".into(),
        },
        Event::Arguments {
            part: 0,
            json: r#"{"a":"#.into(),
        },
        // Late, and still in time.
        Event::Signature {
            part: 1,
            value: "proof".into(),
        },
        Event::Arguments {
            part: 0,
            json: "1}".into(),
        },
        Event::Close { part: 0 },
        Event::Close { part: 1 },
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
        Event::End,
    ]);
    check(&events);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["arguments"], r#"{"a":1}"#);
    assert_eq!(output[2]["encrypted_content"], "aiproxy:call:2:c2proof");
    let (again, complete) = answer(&OpenAiResponses, SSE, &sse(&events));
    assert!(complete);
    assert!(
        matches!(&again.choices[0].parts[1], Part::ToolCall { signature: Some(s), .. } if s == "proof")
    );
}

#[test]
fn the_part_that_was_cut_is_incomplete() {
    for (reason, told) in [
        (Finish::Length, "max_output_tokens"),
        (Finish::ContentFilter, "content_filter"),
    ] {
        let events = written(vec![
            start(),
            tool(0, "c1"),
            Event::Arguments {
                part: 0,
                json: "{\"a".into(),
            },
            Event::Close { part: 0 },
            Event::Finish { choice: 0, reason },
            Event::Usage(Usage::default()),
            Event::End,
        ]);
        check(&events);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"]["reason"], told);
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
}

#[test]
fn citations_come_while_the_text_is_open_and_after() {
    let cite = |start| Event::Citation {
        choice: 0,
        citation: Citation {
            url: Some("https://example.com".into()),
            start: Some(start),
            end: Some(start + 1),
            ..Citation::default()
        },
    };
    let text = |part| Event::Text {
        part,
        text: "abcd".into(),
    };
    let events = written(vec![
        start(),
        open(0, Kind::Text),
        text(0),
        cite(1),
        Event::Close { part: 0 },
        open(1, Kind::Text),
        text(1),
        Event::Close { part: 1 },
        cite(6),
        tool(2, "c"),
        Event::Close { part: 2 },
        cite(2),
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
        Event::End,
    ]);
    check(&events);
    let content = &events.last().unwrap()["response"]["output"][0]["content"];
    let starts = |at: usize| -> Vec<u64> {
        let all = content[at]["annotations"].as_array().unwrap();
        all.iter()
            .map(|one| one["start_index"].as_u64().unwrap())
            .collect()
    };
    assert_eq!((starts(0), starts(1)), (vec![1, 2], vec![2]));
}

#[test]
fn trap_1_7_an_error_ends_the_stream_and_nothing_follows() {
    let failed = || Event::Failed {
        kind: "overloaded_error".into(),
        message: "Overloaded".into(),
        status: Some(529),
    };
    let events = written(vec![
        start(),
        open(0, Kind::Text),
        Event::Text {
            part: 0,
            text: "Hal".into(),
        },
        failed(),
        Event::End,
    ]);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(
        last["response"]["error"],
        json!({"code": "server_is_overloaded", "message": "Overloaded"})
    );
    assert_eq!(last["response"]["status"], "failed");
    let mut told = Vec::new();
    let complete = read(
        &OpenAiResponses,
        SSE,
        &sse(&events),
        &[],
        &mut |event: Event<'_>| {
            told.push(format!("{event:?}"));
        },
    );
    assert!(!complete);
    assert_eq!(
        told.last().unwrap(),
        r#"Failed { kind: "server_is_overloaded", message: "Overloaded", status: Some(503) }"#
    );
    // Nothing was begun: the error stands alone.
    let early = written(vec![failed()]);
    assert_eq!(
        early[0].to_string(),
        r#"{"type":"error","sequence_number":0,"code":"server_is_overloaded","message":"Overloaded","param":null}"#
    );
}

#[test]
fn keep_alives_are_comments() {
    let mut out = BytesMut::new();
    OpenAiResponses.stream_encoder(true).keep_alive(&mut out);
    assert_eq!(out, ": keep-alive\n");
}

fn recorded() -> Vec<Value> {
    let base = |status: &str| json!({"id": "resp_1", "object": "response", "created_at": 7, "status": status, "model": "gpt-5", "output": []});
    let item = |kind: &str, index: u64, item: Value| json!({"type": format!("response.output_item.{kind}"), "output_index": index, "item": item});
    let delta = |kind: &str, index: u64, at: &str, delta: &str| json!({"type": format!("response.{kind}.delta"), "item_id": "x", "output_index": index, at: 0, "delta": delta, "obfuscation": "abc"});
    let mut summary = delta("reasoning_summary_text", 0, "summary_index", "Two");
    summary["summary_index"] = 1.into();
    let mut done = base("completed");
    done["usage"] = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 13});
    vec![
        json!({"type": "response.created", "response": base("in_progress")}),
        json!({"type": "response.in_progress", "response": base("in_progress")}),
        item(
            "added",
            0,
            json!({"id": "rs_1", "type": "reasoning", "summary": []}),
        ),
        delta("reasoning_summary_text", 0, "summary_index", "One"),
        summary,
        item(
            "done",
            0,
            json!({"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAA",
            "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}]}),
        ),
        item(
            "added",
            1,
            json!({"id": "ws_1", "type": "web_search_call", "status": "in_progress"}),
        ),
        json!({"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"}),
        item(
            "done",
            1,
            json!({"id": "ws_1", "type": "web_search_call", "status": "completed"}),
        ),
        item(
            "added",
            2,
            json!({"id": "msg_1", "type": "message", "status": "in_progress", "content": [], "role": "assistant"}),
        ),
        json!({"type": "response.content_part.added", "output_index": 2, "content_index": 0, "item_id": "msg_1",
            "part": {"type": "output_text", "text": "", "annotations": []}}),
        delta("output_text", 2, "content_index", "Grüße "),
        delta("output_text", 2, "content_index", "🎉"),
        json!({"type": "response.output_text.annotation.added", "item_id": "msg_1", "output_index": 2, "content_index": 0,
            "annotation_index": 0, "annotation": {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 5}}),
        item(
            "done",
            2,
            json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": "Grüße 🎉", "annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 5}]}]}),
        ),
        item(
            "added",
            3,
            json!({"id": "fc_1", "type": "function_call", "status": "in_progress", "call_id": "c1", "name": "f", "arguments": ""}),
        ),
        delta("function_call_arguments", 3, "_", "{\"a\""),
        delta("function_call_arguments", 3, "_", ":1}"),
        item(
            "done",
            3,
            json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"}),
        ),
        item(
            "added",
            4,
            json!({"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g", "input": ""}),
        ),
        delta("custom_tool_call_input", 4, "_", "x \"y\""),
        delta("custom_tool_call_input", 4, "_", "\nz"),
        item(
            "done",
            4,
            json!({"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x \"y\"\nz"}),
        ),
        json!({"type": "response.completed", "response": done}),
    ]
}

#[test]
fn trap_1_1_a_recorded_stream_under_any_split() {
    let bytes = sse(&recorded());
    let told = events(&OpenAiResponses, SSE, &bytes);
    assert_eq!(
        told,
        [
            r#"Start { id: "resp_1", model: "gpt-5", created: Some(7), fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Thinking }",
            r#"Thinking { part: 0, text: "One" }"#,
            r#"Thinking { part: 0, text: "\n\n" }"#,
            r#"Thinking { part: 0, text: "Two" }"#,
            r#"Signature { part: 0, value: "openai:rs_1:gAAA" }"#,
            "Close { part: 0 }",
            "Open { part: 1, choice: 0, kind: Text }",
            r#"Text { part: 1, text: "Grüße " }"#,
            r#"Text { part: 1, text: "🎉" }"#,
            r#"Citation { choice: 0, citation: Citation { url: Some("u"), title: Some("t"), cited_text: None, start: None, end: None, source: None } }"#
                .replace("start: None, end: None", "start: Some(0), end: Some(5)").as_str(),
            "Close { part: 1 }",
            r#"Open { part: 2, choice: 0, kind: ToolCall { id: "c1", name: "f" } }"#,
            r#"Arguments { part: 2, json: "{\"a\"" }"#,
            r#"Arguments { part: 2, json: ":1}" }"#,
            "Close { part: 2 }",
            r#"Open { part: 3, choice: 0, kind: ToolCall { id: "c2", name: "g" } }"#,
            r#"Arguments { part: 3, json: "{\"input\":\"x \\\"y\\\"" }"#,
            r#"Arguments { part: 3, json: "\\nz" }"#,
            r#"Arguments { part: 3, json: "\"}" }"#,
            "Close { part: 3 }",
            "Finish { choice: 0, reason: ToolCalls }",
            "Usage(Usage { input: 6, cache_read: 4, cache_write: 0, output: 3, reasoning: 1, input_audio: 0, output_audio: 0, estimated: false })",
            "End",
        ]
    );
    let seen = as_openai(&OpenAiResponses, SSE, &bytes);
    assert!(seen.contains(r#""finish_reason":"tool_calls""#) && seen.ends_with("data: [DONE]\n\n"));
}

#[test]
fn servers_without_deltas_are_read_by_the_whole() {
    let without: Vec<Value> = recorded()
        .into_iter()
        .filter(|event| {
            let kind = event["type"].as_str().unwrap();
            !kind.ends_with(".delta") && !kind.contains("annotation")
        })
        .collect();
    let (whole, _) = answer(&OpenAiResponses, SSE, &sse(&recorded()));
    let (again, complete) = answer(&OpenAiResponses, SSE, &sse(&without));
    assert!(complete);
    assert_eq!(format!("{again:?}"), format!("{whole:?}"));
    // Nor do some tell of items before the end.
    let mut last = without.last().unwrap().clone();
    last["response"]["output"] = without
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| event["item"].clone())
        .collect();
    let (bare, complete) = answer(&OpenAiResponses, SSE, &sse(&[last]));
    assert!(complete);
    assert_eq!(format!("{bare:?}"), format!("{whole:?}"));
}

#[test]
fn reasoning_as_it_is_and_other_ends_are_read() {
    let stream = sse(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-oss"}}),
        json!({"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Raw"}),
        json!({"type": "response.brand_new.delta", "delta": {"x": 1}}),
        json!({"type": "response.refusal.delta", "output_index": 1, "content_index": 0, "delta": "No."}),
        json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}}),
    ]);
    events(&OpenAiResponses, SSE, &stream);
    let (read, complete) = answer(&OpenAiResponses, SSE, &stream);
    assert!(complete);
    let choice = &read.choices[0];
    assert_eq!(choice.finish, Some(Finish::ContentFilter));
    assert!(
        matches!(&choice.parts[..], [Part::Thinking { text, .. }, Part::Refusal(no)] if text == "Raw" && no == "No.")
    );
}

#[test]
fn trap_1_7_errors_of_every_shape_are_read() {
    for (event, expected) in [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow", "param": null}),
            r#"Failed { kind: "rate_limit_exceeded", message: "Slow", status: Some(429) }"#,
        ),
        (
            json!({"type": "error", "error": {"type": "server_error", "message": "Oh"}}),
            r#"Failed { kind: "server_error", message: "Oh", status: Some(500) }"#,
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "odd", "message": "?"}}}),
            r#"Failed { kind: "odd", message: "?", status: None }"#,
        ),
    ] {
        let bytes = sse(&[event, json!({"type": "response.completed", "response": {}})]);
        let told = events(&OpenAiResponses, SSE, &bytes);
        assert_eq!(told.last().unwrap(), expected);
    }
    let cut = sse(&recorded()[..13]);
    assert!(!answer(&OpenAiResponses, SSE, &cut).1);
}
