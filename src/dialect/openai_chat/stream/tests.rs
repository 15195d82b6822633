use bytes::{Bytes, BytesMut};

use super::{Decoder, Encoder};
use crate::{
    dialect::{StreamDecoder, StreamEncoder},
    llm::{Accumulator, Event, Finish, Part, events_of},
    wire::{Framer, Framing, MAX_FRAME},
};

/// Decodes a stream; gives its events as text, and whether it was complete.
fn decode(stream: &str) -> (Vec<String>, bool) {
    let (mut framer, mut decoder, mut events) = (
        Framer::new(Framing::Sse, MAX_FRAME),
        Decoder::default(),
        Vec::new(),
    );
    framer.feed(Bytes::copy_from_slice(stream.as_bytes()));
    let mut sink = |event: Event<'_>| events.push(format!("{event:?}"));
    while let Some(frame) = framer.frame().unwrap() {
        decoder.frame(&frame, &mut sink).unwrap();
    }
    (events, decoder.is_complete())
}

fn accumulate(stream: &str) -> Accumulator {
    let (mut framer, mut decoder, mut sink) = (
        Framer::new(Framing::Sse, MAX_FRAME),
        Decoder::default(),
        Accumulator::default(),
    );
    framer.feed(Bytes::copy_from_slice(stream.as_bytes()));
    while let Some(frame) = framer.frame().unwrap() {
        decoder.frame(&frame, &mut sink).unwrap();
    }
    sink
}

fn stream(chunks: &[&str]) -> String {
    chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect()
}

#[test]
fn text_reasoning_and_usage_are_read() {
    let (events, complete) = decode(&stream(&[
        r#"{"id":"c","created":5,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Hé"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        "[DONE]",
    ]));
    assert_eq!(
        events,
        [
            r#"Start { id: "c", model: "m", created: Some(5) }"#,
            "Open { part: 0, choice: 0, kind: Thinking }",
            r#"Thinking { part: 0, text: "hm" }"#,
            "Close { part: 0 }",
            "Open { part: 1, choice: 0, kind: Text }",
            r#"Text { part: 1, text: "Hé" }"#,
            "Close { part: 1 }",
            "Finish { choice: 0, reason: Stop }",
            "Usage(Usage { input: 3, cache_read: 0, cache_write: 0, output: 2, reasoning: 0, estimated: false })",
            "End",
        ]
    );
    assert!(complete);
}

#[test]
fn trap_1_1_and_1_2_parallel_and_empty_calls_keep_their_arguments() {
    let sink = accumulate(&stream(&[
        r#"{"choices":[{"index":0,"delta":{"content":"ok","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"now"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    ]));
    let response = sink.into_response();
    let calls: Vec<String> = response.choices[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => format!("{id} {name} {arguments}"),
            Part::Text(text) => text.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(calls, ["ok", r#"a f {"x":1}"#, "b now {}"]);
    assert_eq!(response.choices[0].finish, Some(Finish::ToolCalls));
}

#[test]
fn trap_1_7_an_error_in_the_stream_is_a_failure() {
    for (chunk, status) in [
        (
            r#"{"error":{"message":"overloaded","type":"server_error","code":503}}"#,
            Some(503),
        ),
        (
            r#"{"error":{"message":"overloaded","type":"server_error","code":"rate_limited"}}"#,
            None,
        ),
        (
            r#"{"error":{"message":"overloaded","type":"server_error"},"choices":[]}"#,
            None,
        ),
    ] {
        let (events, complete) = decode(&stream(&[chunk]));
        assert_eq!(
            events,
            [format!(
                "Failed {{ kind: \"server_error\", message: \"overloaded\", status: {status:?} }}"
            )]
        );
        assert!(!complete);
    }
    let (events, _) = decode(&stream(&[r#"{"error":"flat"}"#]));
    assert!(events[0].contains("flat"));
}

#[test]
fn trap_1_8_keep_alives_are_no_events() {
    let (events, _) = decode(": OPENROUTER PROCESSING\n\ndata: : keepalive\n\ndata:\n\n");
    assert!(events.is_empty());
}

#[test]
fn several_choices_stay_apart() {
    let response = accumulate(&stream(&[
        r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"length"}]}"#,
    ]))
    .into_response();
    let texts: Vec<String> = response
        .choices
        .iter()
        .map(|c| format!("{:?} {:?}", c.parts, c.finish))
        .collect();
    assert_eq!(
        texts,
        [r#"[Text("aA")] Some(Stop)"#, r#"[Text("bB")] Some(Length)"#]
    );
}

#[test]
fn a_stream_is_complete_when_all_choices_finished() {
    let begun =
        r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#;
    let one = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let two = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
    assert!(!decode(&stream(&[begun])).1);
    assert!(!decode(&stream(&[begun, one])).1);
    assert!(decode(&stream(&[begun, one, two])).1);
    assert!(decode(&stream(&[begun, "[DONE]"])).1);
}

#[test]
fn what_is_encoded_decodes_to_the_same_answer() {
    let response = accumulate(&stream(&[
        r#"{"id":"x","created":9,"model":"m","choices":[{"index":0,"delta":{"reasoning":"why"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a\"b\n"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"u","function":{"name":"g","arguments":"[1]"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}"#,
        "[DONE]",
    ]))
    .into_response();
    let (mut encoder, mut out) = (Encoder::new(true), BytesMut::new());
    events_of(&response, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert_eq!(
        format!("{:?}", accumulate(&text).into_response()),
        format!("{response:?}")
    );
    assert!(text.ends_with("data: [DONE]\n\n"));
    assert_eq!(text.matches("\"role\"").count(), 1);
    assert_eq!(text.matches("\"finish_reason\":\"").count(), 1);
    let before_end = text.trim_end().rsplit("data: ").nth(1).unwrap();
    assert!(
        before_end.contains("\"choices\":[],\"usage\":{\"prompt_tokens\":5"),
        "usage comes last: {before_end}"
    );
}

#[test]
fn usage_is_shown_only_if_asked() {
    let (mut encoder, mut out) = (Encoder::new(false), BytesMut::new());
    let response = accumulate(&stream(&[
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
    ]))
    .into_response();
    events_of(&response, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    assert!(!String::from_utf8_lossy(&out).contains("usage"));
}

#[test]
fn a_failure_is_one_error_event_without_an_end() {
    let (mut encoder, mut out) = (Encoder::new(true), BytesMut::new());
    encoder.event(
        &Event::Failed {
            kind: "overloaded".into(),
            message: "no".into(),
            status: Some(529),
        },
        &mut out,
    );
    assert_eq!(
        String::from_utf8_lossy(&out),
        "data: {\"error\":{\"message\":\"no\",\"type\":\"overloaded\",\"code\":\"529\",\"param\":null}}\n\n"
    );
}
