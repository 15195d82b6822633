//! Other providers' streams as a client of the format sees them, and what it sends back.

use std::fmt::Write as _;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{check, order, told};
use crate::{
    dialect::{
        Egress, Ingress, anthropic::Anthropic, gemini::Gemini, openai_chat::OpenAiChat,
        openai_responses::OpenAiResponses, testing::read,
    },
    llm::{Event, Part},
};

/// A provider's stream, translated.
fn translated(egress: &dyn Egress, stream: &str) -> Vec<Value> {
    let (mut encoder, mut out) = (OpenAiResponses.stream_encoder(true), BytesMut::new());
    let complete = read(
        egress,
        "text/event-stream",
        stream.as_bytes(),
        &[],
        &mut |event: Event<'_>| {
            encoder.event(&event, &mut out);
        },
    );
    let ended = String::from_utf8_lossy(&out).contains("event: response.completed");
    if complete && !ended {
        encoder.event(&Event::End, &mut out);
    }
    let events = told(&out);
    check(&events);
    events
}

fn anthropic(events: &[Value]) -> String {
    let mut out = String::new();
    for event in events {
        write!(
            out,
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
        .unwrap();
    }
    out
}

fn message_start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}})
}

/// The next request of a client that sends items back as it got them, as a provider gets it.
fn next(egress: &dyn Egress, events: &[Value], result: &Value) -> Value {
    let mut input = vec![json!({"role": "user", "content": "Weather?"})];
    let output = events.last().unwrap()["response"]["output"]
        .as_array()
        .unwrap();
    input.extend(output.iter().cloned());
    for call in output.iter().filter(|item| item["type"] == "function_call") {
        input.push(
            json!({"type": "function_call_output", "call_id": call["call_id"], "output": result}),
        );
    }
    let body = json!({"model": "claude-sonnet-4-5", "input": input, "store": false, "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "max_output_tokens": 9000,
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": false}]});
    let request = OpenAiResponses
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    let encoded = egress.encode_request(&request).unwrap();
    assert_eq!(encoded.lost, [], "{body}");
    serde_json::from_slice(&encoded.body).unwrap()
}

#[test]
fn trap_1_13_anthropics_signatures_survive_a_client() {
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let events = translated(
        &Anthropic,
        &anthropic(&[
            message_start(),
            block(
                0,
                json!({"type": "thinking", "thinking": "", "signature": ""}),
            ),
            delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
            delta(
                0,
                json!({"type": "signature_delta", "signature": "EqQB+/="}),
            ),
            stop(0),
            block(1, json!({"type": "redacted_thinking", "data": "ZGF0YQ=="})),
            stop(1),
            block(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "Let me see."})),
            stop(2),
            block(
                3,
                json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
            ),
            delta(
                3,
                json!({"type": "input_json_delta", "partial_json": "{\"city\": \"Köln\"}"}),
            ),
            stop(3),
            block(
                4,
                json!({"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}),
            ),
            stop(4),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]),
    );
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    let kinds: Vec<&str> = events.last().unwrap()["response"]["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "reasoning",
            "reasoning",
            "message",
            "function_call",
            "function_call"
        ]
    );
    let sent = next(
        &Anthropic,
        &events,
        &json!([{"type": "input_text", "text": "sunny"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}]),
    );
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "Hm", "signature": "EqQB+/="},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}])
    );
    let results = &sent["messages"][2]["content"];
    assert_eq!(
        (&results[0]["tool_use_id"], &results[1]["tool_use_id"]),
        (&json!("toolu_1"), &json!("toolu_2"))
    );
    assert_eq!(
        results[0]["content"][1]["source"]["media_type"],
        "image/png"
    );
}

#[test]
fn trap_1_13_geminis_proofs_of_calls_survive_a_client() {
    let message = |parts: Value, finish: Value| {
        json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": finish, "index": 0}],
            "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}, "modelVersion": "gemini-3-pro", "responseId": "r"})
    };
    let stream: String = [
        message(json!([{"text": "Hm", "thought": true}]), Value::Null),
        message(
            json!([{"functionCall": {"name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "weather", "args": {}}}]),
            json!("STOP"),
        ),
    ]
    .iter()
    .map(|message| format!("data: {message}\r\n\r\n"))
    .collect();
    let events = translated(&Gemini, &stream);
    let sent = next(&Gemini, &events, &json!("sunny"));
    let contents = sent["contents"].as_array().unwrap();
    let calls = contents[1]["parts"].as_array().unwrap();
    let signed: Vec<&Value> = calls
        .iter()
        .filter(|part| part["functionCall"].is_object())
        .collect();
    assert_eq!(signed[0]["thoughtSignature"], "c2ln");
    assert_eq!(signed[0]["functionCall"]["args"]["city"], "Köln");
    assert!(signed[1]["thoughtSignature"].is_null());
    let results = contents[2]["parts"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["functionResponse"]["name"]),
        (2, &json!("weather"))
    );
}

#[test]
fn trap_1_7_errors_in_the_middle_and_the_limit() {
    let text = |text: &str| {
        vec![
            message_start(),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        ]
    };
    let mut failing = text("Hal");
    failing.push(
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    );
    let events = translated(&Anthropic, &anthropic(&failing));
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["error"]["message"]),
        (&json!("response.failed"), &json!("Overloaded"))
    );
    for (reason, status) in [
        ("max_tokens", "incomplete"),
        ("refusal", "incomplete"),
        ("end_turn", "completed"),
    ] {
        let mut all = text("Hal");
        all.push(json!({"type": "content_block_stop", "index": 0}));
        all.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}}));
        all.push(json!({"type": "message_stop"}));
        let events = translated(&Anthropic, &anthropic(&all));
        let response = &events.last().unwrap()["response"];
        assert_eq!(
            (&response["status"], &response["output"][0]["status"]),
            (&json!(status), &json!(status))
        );
        assert_eq!(response["usage"]["input_tokens"], 5);
    }
}

#[test]
fn chats_streams_are_told_in_order() {
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({"id": "chatcmpl-1", "created": 3, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    let call = |index: u64, id: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let stream = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"reasoning_content": "Hm"}), Value::Null),
        chunk(json!({"content": "Hi"}), Value::Null),
        chunk(call(0, "a"), Value::Null),
        chunk(call(1, "b"), Value::Null),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\":1}"}}]}),
            Value::Null,
        ),
        chunk(json!({}), json!("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let events = translated(&OpenAiChat, &stream);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(
        (&output[2]["arguments"], &output[3]["arguments"]),
        (&json!("{\"x\":1}"), &json!("{}"))
    );
    assert_eq!(events[0]["response"]["id"], "resp_1");
    assert!(order(&events).ends_with(&["output_item.done", "completed"]));
}

#[test]
fn a_call_of_a_custom_tool_comes_as_text() {
    let body = json!({"model": "m", "input": "Patch it", "tools": [{"type": "custom", "name": "apply_patch", "description": "Edits files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}}],
        "tool_choice": {"type": "custom", "name": "apply_patch"}})
    .to_string();
    let request = OpenAiResponses.decode_request(body.as_bytes()).unwrap();
    let sent: Value =
        serde_json::from_slice(&OpenAiChat.encode_request(&request).unwrap().body).unwrap();
    let function = &sent["tools"][0]["function"];
    assert_eq!(function["parameters"]["required"], json!(["input"]));
    assert!(
        function["description"]
            .as_str()
            .unwrap()
            .ends_with("start: \"x\"")
    );
    assert_eq!(sent["tool_choice"]["function"]["name"], "apply_patch");

    let echo = OpenAiResponses.echo(body.as_bytes());
    let (mut encoder, mut out) = (
        OpenAiResponses.echoing_encoder(true, &echo),
        BytesMut::new(),
    );
    let all = crate::llm::ChatResponse {
        id: "r".into(),
        choices: vec![crate::llm::Choice {
            parts: vec![Part::ToolCall {
                id: "c".into(),
                name: "apply_patch".into(),
                arguments: "{\"input\": \"a\\n\\\"b\\\"\"}".into(),
                signature: None,
            }],
            ..crate::llm::Choice::default()
        }],
        ..crate::llm::ChatResponse::default()
    };
    crate::llm::events_of(&all, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    let events = told(&out);
    check(&events);
    assert_eq!(
        order(&events)[2..6],
        [
            "output_item.added",
            "custom_tool_call_input.delta",
            "custom_tool_call_input.done",
            "output_item.done"
        ]
    );
    assert_eq!(events[5]["item"]["input"], "a\n\"b\"");
}
