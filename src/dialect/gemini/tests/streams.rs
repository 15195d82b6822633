use bytes::BytesMut;
use serde_json::{Value, json};

use super::short;
use crate::{
    dialect::{
        Ingress as _,
        gemini::{Gemini, GeminiArray, Vertex},
        testing::{answer, as_openai, events, read},
    },
    llm::{Event, Finish},
};

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

/// Server-sent events with the line ends that Google sends.
fn sse(messages: &[Value]) -> Vec<u8> {
    let events = messages
        .iter()
        .map(|message| format!("data: {message}\r\n\r\n"));
    events.collect::<String>().into_bytes()
}

fn array(messages: &[Value]) -> Vec<u8> {
    let messages: Vec<String> = messages.iter().map(ToString::to_string).collect();
    format!("[{}\r\n]", messages.join("\n,\r\n")).into_bytes()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write the JSON in place"
)]
fn message(parts: Value, finish: Value, tokens: u64) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": tokens, "totalTokenCount": 4 + tokens},
        "modelVersion": "gemini-2.5-flash", "responseId": "r"})
}

#[test]
fn trap_1_5_usage_is_a_running_total_and_thoughts_are_text_apart() {
    let stream = [
        message(json!([{"text": "Hm", "thought": true}]), Value::Null, 0),
        message(json!([{"text": "m.", "thought": true}]), Value::Null, 0),
        message(json!([{"text": "Hé"}]), Value::Null, 1),
        message(json!([{"text": "llo"}]), json!("STOP"), 2),
    ];
    let expected = [
        r#"Start { id: "r", model: "gemini-2.5-flash", created: None, fingerprint: None }"#,
        "Usage(Usage { input: 4, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
        "Open { part: 0, choice: 0, kind: Thinking }",
        r#"Thinking { part: 0, text: "Hm" }"#,
        r#"Thinking { part: 0, text: "m." }"#,
        "Usage(Usage { input: 4, cache_read: 0, cache_write: 0, output: 1, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
        "Close { part: 0 }",
        "Open { part: 1, choice: 0, kind: Text }",
        r#"Text { part: 1, text: "Hé" }"#,
        "Usage(Usage { input: 4, cache_read: 0, cache_write: 0, output: 2, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
        r#"Text { part: 1, text: "llo" }"#,
        "Close { part: 1 }",
        "Finish { choice: 0, reason: Stop }",
    ];
    assert_eq!(events(&Gemini, SSE, &sse(&stream)), expected);
    assert_eq!(events(&Gemini, JSON, &array(&stream)), expected);
    assert!(answer(&Gemini, SSE, &sse(&stream)).1);
}

#[test]
fn a_reason_in_every_message_ends_the_answer_once() {
    let stream = [
        message(json!([{"text": "John"}]), json!("STOP"), 1),
        message(json!([{"text": "Jane"}]), json!("STOP"), 2),
        message(json!([{"text": ""}]), json!("STOP"), 2),
    ];
    for (media_type, bytes) in [(SSE, sse(&stream)), (JSON, array(&stream))] {
        let events = events(&Gemini, media_type, &bytes);
        let finishes = events.iter().filter(|event| event.starts_with("Finish"));
        assert_eq!(finishes.count(), 1);
        let (response, complete) = answer(&Gemini, media_type, &bytes);
        assert_eq!(response.text(), "JohnJane");
        assert!(complete);
    }
}

#[test]
fn trap_1_6_stop_in_a_later_message_than_the_call() {
    let stream = [
        message(
            json!([{"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "b", "name": "now", "args": {}}}]),
            Value::Null,
            3,
        ),
        message(json!([{"text": ""}]), json!("STOP"), 3),
    ];
    let told = events(&Gemini, SSE, &sse(&stream));
    assert_eq!(
        told.iter()
            .filter(|event| !event.starts_with("Usage") && !event.starts_with("Start"))
            .collect::<Vec<_>>(),
        [
            r#"Open { part: 0, choice: 0, kind: ToolCall { id: "a__thought__c2ln", name: "f" } }"#,
            r#"Signature { part: 0, value: "c2ln" }"#,
            r#"Arguments { part: 0, json: "{\"x\":1}" }"#,
            "Close { part: 0 }",
            r#"Open { part: 1, choice: 0, kind: ToolCall { id: "b", name: "now" } }"#,
            "Close { part: 1 }",
            "Finish { choice: 0, reason: ToolCalls }",
        ]
    );
    // The other way round, and a limit that stays one.
    for (reason, expected) in [("STOP", Finish::ToolCalls), ("MAX_TOKENS", Finish::Length)] {
        let stream = [
            message(json!([{"text": "x"}]), json!(reason), 1),
            message(json!([{"functionCall": {"name": "f"}}]), Value::Null, 1),
        ];
        let (response, complete) = answer(&Gemini, SSE, &sse(&stream));
        assert_eq!(response.choices[0].finish, Some(expected));
        assert!(complete);
    }
}

#[test]
fn whole_and_streamed_ids_are_the_same() {
    let whole = message(
        json!([{"functionCall": {"name": "f", "args": {"x": 1}}}, {"functionCall": {"name": "f", "args": {"x": 1}}}]),
        json!("STOP"),
        1,
    );
    let (streamed, _) = answer(&Gemini, JSON, &array(std::slice::from_ref(&whole)));
    let read = crate::dialect::Egress::decode_response(&Gemini, whole.to_string().as_bytes());
    let parts = short(&read.unwrap().choices[0].parts);
    assert_eq!(short(&streamed.choices[0].parts), parts);
    assert_ne!(parts[0], parts[1]);
}

#[test]
fn trap_1_13_signatures_of_texts_are_kept() {
    let stream = [
        message(json!([{"text": "Hi"}]), Value::Null, 1),
        message(
            json!([{"text": "", "thoughtSignature": "c2ln"}]),
            json!("STOP"),
            1,
        ),
    ];
    let (response, _) = answer(&Vertex, SSE, &sse(&stream));
    assert_eq!(
        short(&response.choices[0].parts),
        ["Hi", r#"(|Some("c2ln"))"#]
    );
}

#[test]
fn trap_1_6_a_blocked_prompt_ends_filtered() {
    let stream = [
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}, "modelVersion": "m"}),
    ];
    let (response, complete) = answer(&Gemini, SSE, &sse(&stream));
    assert_eq!(response.choices[0].finish, Some(Finish::ContentFilter));
    assert!(complete);
}

#[test]
fn an_empty_array_is_an_empty_answer() {
    assert_eq!(
        events(&Gemini, JSON, b"[ ]\n"),
        [
            r#"Start { id: "", model: "", created: None, fingerprint: None }"#,
            "Finish { choice: 0, reason: Stop }",
        ]
    );
    assert!(as_openai(&Gemini, JSON, b"[]").ends_with("data: [DONE]\n\n"));
}

#[test]
fn trap_2_2_a_cut_stream_is_not_complete() {
    let stream = [message(json!([{"text": "Hel"}]), Value::Null, 1)];
    let (response, complete) = answer(&Gemini, SSE, &sse(&stream));
    assert_eq!(response.text(), "Hel");
    assert_eq!(response.choices[0].finish, None);
    assert!(!complete);
}

#[test]
fn trap_1_7_an_error_in_the_stream_is_the_last_event() {
    let error = json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}});
    let failed =
        r#"Failed { kind: "api_error", message: "The model is overloaded.", status: Some(503) }"#;
    let stream = [
        message(json!([{"text": "Hel"}]), Value::Null, 1),
        error.clone(),
        message(json!([{"text": "lo"}]), json!("STOP"), 1),
    ];
    for (media_type, bytes) in [(SSE, sse(&stream)), (JSON, array(&stream))] {
        let events = events(&Gemini, media_type, &bytes);
        assert_eq!(events.last().unwrap(), failed);
        assert!(!read(&Gemini, media_type, &bytes, &[], &mut |_: Event<
            '_,
        >| {}));
    }
    // An answer that is nothing but an error, in and without a list.
    assert_eq!(
        events(&Gemini, JSON, &array(std::slice::from_ref(&error))),
        [failed]
    );
    assert_eq!(
        events(&Gemini, JSON, error.to_string().as_bytes()),
        [failed]
    );
    assert_eq!(events(&Gemini, SSE, &sse(&[json!([error])])), [failed]);
}

#[test]
fn trap_1_8_comments_are_no_events() {
    let mut stream = b": ping\n\ndata: : keepalive\n\ndata:\n\n".to_vec();
    stream.extend(sse(&[message(json!([{"text": "x"}]), json!("STOP"), 1)]));
    assert_eq!(answer(&Gemini, SSE, &stream).0.text(), "x");
}

#[test]
fn several_candidates_stay_apart() {
    let stream = [
        json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}, {"content": {"parts": [{"text": "b"}]}, "index": 1}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "B"}]}, "index": 1, "finishReason": "MAX_TOKENS"}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "A"}]}, "index": 0, "finishReason": "STOP"}]}),
    ];
    let (response, complete) = answer(&Gemini, SSE, &sse(&stream));
    let choices: Vec<String> = response
        .choices
        .iter()
        .map(|choice| format!("{} {:?}", short(&choice.parts).concat(), choice.finish))
        .collect();
    assert_eq!(choices, ["aA Some(Stop)", "bB Some(Length)"]);
    assert!(complete);
}

#[test]
fn citations_come_once_and_before_the_end() {
    let grounding = json!({"groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 6}, "groundingChunkIndices": [0]}]});
    let with = |text: &str, finish: Value| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": finish, "groundingMetadata": grounding}]});
    let stream = [with("é abcd", Value::Null), with("", json!("STOP"))];
    let (response, _) = answer(&Gemini, SSE, &sse(&stream));
    let citations = &response.choices[0].citations;
    assert_eq!(citations.len(), 1);
    assert_eq!((citations[0].start, citations[0].end), (Some(2), Some(5)));
}

#[test]
fn an_openai_client_sees_a_stream() {
    let stream = [
        message(json!([{"text": "Hm", "thought": true}]), Value::Null, 0),
        message(json!([{"text": "Hi"}]), Value::Null, 1),
        message(
            json!([{"functionCall": {"id": "a", "name": "now"}}]),
            json!("STOP"),
            2,
        ),
    ];
    let seen = as_openai(&Gemini, SSE, &sse(&stream));
    for expected in [
        r#""reasoning_content":"Hm""#,
        r#""content":"Hi""#,
        r#""name":"now""#,
        r#""finish_reason":"tool_calls""#,
        r#""prompt_tokens":4,"completion_tokens":2"#,
    ] {
        assert_eq!(seen.matches(expected).count(), 1, "{expected} in {seen}");
    }
    assert!(seen.ends_with("data: [DONE]\n\n"));
}

fn written(array: bool, events: &[Event<'_>]) -> String {
    let mut out = BytesMut::new();
    let mut encoder = if array {
        GeminiArray.stream_encoder(false)
    } else {
        Gemini.stream_encoder(false)
    };
    encoder.keep_alive(&mut out);
    for event in events {
        encoder.event(event, &mut out);
    }
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn streams_are_written_as_google_does() {
    let start = Event::Start {
        id: "r".into(),
        model: "m".into(),
        created: None,
        fingerprint: None,
    };
    let open = Event::Open {
        part: 0,
        choice: 0,
        kind: crate::llm::Kind::Text,
    };
    let text = Event::Text {
        part: 0,
        text: "Hi".into(),
    };
    let first = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"index":0}],"modelVersion":"m","responseId":"r"}"#;
    let last = r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}],"modelVersion":"m","responseId":"r"}"#;
    let ended = [
        start.clone(),
        open.clone(),
        text.clone(),
        Event::Close { part: 0 },
        Event::Finish {
            choice: 0,
            reason: Finish::Length,
        },
        Event::End,
    ];
    assert_eq!(
        written(false, &ended),
        format!(": keep-alive\ndata: {first}\n\ndata: {last}\n\n")
    );
    assert_eq!(written(true, &ended), format!("\n[{first},\r\n{last}]"));
    let failed = [
        start,
        open,
        text,
        Event::Failed {
            kind: "overloaded_error".into(),
            message: "no".into(),
            status: Some(503),
        },
    ];
    let error = r#"{"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}"#;
    assert_eq!(
        written(false, &failed),
        format!(": keep-alive\ndata: {first}\n\ndata: {error}\n\n")
    );
    assert_eq!(written(true, &failed), format!("\n[{first},\r\n{error}]"));
}
