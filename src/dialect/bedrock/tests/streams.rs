use bytes::BytesMut;
use serde_json::{Value, json};

use super::super::{Converse, EVENT_STREAM};
use crate::{
    dialect::{
        Egress, Ingress,
        openai_chat::OpenAiChat,
        testing::{answer, as_openai, events, read, streamed},
    },
    llm::{ChatResponse, Choice, Event, Finish, Kind, Part, Usage},
    wire::{
        Framer, Framing, MAX_FRAME,
        eventstream::{write_event, write_exception},
    },
};

/// A stream of these events, padded as Bedrock pads them.
fn stream(events: &[(&str, Value)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (name, payload) in events {
        let mut payload = payload.clone();
        payload["p"] = "abcdefgh".into();
        write_event(&mut out, name, payload.to_string().as_bytes());
    }
    out
}

fn delta(index: u64, delta: Value) -> (&'static str, Value) {
    let mut payload = json!({"contentBlockIndex": index});
    payload["delta"] = delta;
    ("contentBlockDelta", payload)
}

fn stop(index: u64) -> (&'static str, Value) {
    ("contentBlockStop", json!({"contentBlockIndex": index}))
}

fn tool(index: u64, id: &str, name: &str) -> (&'static str, Value) {
    (
        "contentBlockStart",
        json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}}),
    )
}

fn finish(reason: &str) -> (&'static str, Value) {
    ("messageStop", json!({"stopReason": reason}))
}

fn metadata() -> (&'static str, Value) {
    (
        "metadata",
        json!({"usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 34, "cacheReadInputTokens": 20}, "metrics": {"latencyMs": 9}}),
    )
}

fn chat(reason: &str, blocks: &[(&'static str, Value)]) -> BytesMut {
    let mut all = vec![("messageStart", json!({"role": "assistant"}))];
    all.extend_from_slice(blocks);
    all.extend([finish(reason), metadata()]);
    stream(&all)
}

#[test]
fn a_text_stream_under_every_split() {
    let bytes = chat(
        "end_turn",
        &[
            delta(0, json!({"text": "Hel"})),
            delta(0, json!({"text": ""})),
            delta(0, json!({"text": "lo ☺"})),
            stop(0),
        ],
    );
    assert_eq!(
        events(&Converse, EVENT_STREAM, &bytes),
        [
            r#"Start { id: "", model: "", created: None, fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Text }",
            r#"Text { part: 0, text: "Hel" }"#,
            r#"Text { part: 0, text: "lo ☺" }"#,
            "Close { part: 0 }",
            "Finish { choice: 0, reason: Stop }",
            "Usage(Usage { input: 10, cache_read: 20, cache_write: 0, output: 4, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
            "End",
        ]
    );
}

#[test]
fn trap_1_1_reasoning_text_and_parallel_calls_are_numbered_by_us() {
    let bytes = chat(
        "tool_use",
        &[
            delta(0, json!({"reasoningContent": {"text": "hm"}})),
            delta(0, json!({"reasoningContent": {"signature": "sig"}})),
            stop(0),
            delta(1, json!({"text": "So:"})),
            stop(1),
            tool(2, "t1", "f"),
            delta(2, json!({"toolUse": {"input": ""}})),
            delta(2, json!({"toolUse": {"input": "{\"a\""}})),
            delta(2, json!({"toolUse": {"input": ":1}"}})),
            stop(2),
            tool(3, "t2", "now"),
            stop(3),
        ],
    );
    assert_eq!(events(&Converse, EVENT_STREAM, &bytes).len(), 17);
    let (response, complete) = answer(&Converse, EVENT_STREAM, &bytes);
    assert!(complete);
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let parts = format!("{:?}", choice.parts);
    assert_eq!(
        parts,
        r#"[Thinking { text: "hm", signature: Some("sig") }, Text("So:"), ToolCall { id: "t1", name: "f", arguments: "{\"a\":1}", signature: None }, ToolCall { id: "t2", name: "now", arguments: "{}", signature: None }]"#
    );
    let seen = as_openai(&Converse, EVENT_STREAM, &bytes);
    assert!(
        seen.contains(r#""tool_calls":[{"index":0,"id":"t1""#),
        "{seen}"
    );
    assert!(seen.contains(r#""tool_calls":[{"index":1,"id":"t2""#));
    assert!(seen.contains(r#""finish_reason":"tool_calls""#));
    assert!(seen.contains(r#""prompt_tokens":30"#));
    assert!(seen.ends_with("data: [DONE]\n\n"));
}

#[test]
fn trap_1_13_a_signature_alone_and_encrypted_reasoning() {
    let bytes = chat(
        "end_turn",
        &[
            delta(0, json!({"reasoningContent": {"signature": "sig"}})),
            stop(0),
            delta(1, json!({"reasoningContent": {"redactedContent": "QQ=="}})),
            delta(1, json!({"reasoningContent": {"redactedContent": "Qg=="}})),
            stop(1),
            delta(2, json!({"text": "x"})),
            stop(2),
        ],
    );
    let (response, _) = answer(&Converse, EVENT_STREAM, &bytes);
    assert_eq!(
        format!("{:?}", response.choices[0].parts),
        r#"[Thinking { text: "", signature: Some("sig") }, Redacted("QUI="), Text("x")]"#
    );
}

#[test]
fn citations_come_once_their_statement_is_whole() {
    let bytes = chat(
        "end_turn",
        &[
            delta(0, json!({"text": "é: "})),
            stop(0),
            delta(1, json!({"text": "it rains."})),
            delta(
                1,
                json!({"citation": {"title": "Rain", "sourceContent": [{"text": "rain"}], "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}}),
            ),
            stop(1),
        ],
    );
    let (response, _) = answer(&Converse, EVENT_STREAM, &bytes);
    let citation = &response.choices[0].citations[0];
    assert_eq!((citation.start, citation.end), (Some(3), Some(12)));
    assert_eq!(citation.title.as_deref(), Some("Rain"));
    assert_eq!(citation.source.as_deref(), Some("0"));
}

#[test]
fn bedrocks_own_tools_and_missing_stops_do_no_harm() {
    let bytes = stream(&[
        // No `messageStart`, no `contentBlockStop`.
        delta(0, json!({"text": "a"})),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "s", "name": "grounding", "type": "server_tool_use"}}}),
        ),
        delta(1, json!({"toolUse": {"input": "{}"}})),
        stop(1),
        ("somethingNew", json!({"contentBlockIndex": 2})),
        delta(3, json!({"text": "b"})),
        finish("end_turn"),
    ]);
    let (response, complete) = answer(&Converse, EVENT_STREAM, &bytes);
    assert!(complete, "without `metadata` the answer is whole too");
    assert_eq!(response.text(), "ab");
    assert_eq!(response.choices[0].parts.len(), 2);
}

#[test]
fn a_cut_stream_is_not_complete() {
    let bytes = stream(&[delta(0, json!({"text": "a"})), stop(0)]);
    assert!(!answer(&Converse, EVENT_STREAM, &bytes).1);
}

#[test]
fn trap_1_7_exceptions_end_the_stream() {
    for (name, status) in [
        ("throttlingException", 429),
        ("validationException", 400),
        ("internalServerException", 500),
        ("modelStreamErrorException", 424),
        ("serviceUnavailableException", 503),
        ("modelTimeoutException", 408),
        ("accessDeniedException", 403),
        ("somethingNewException", 500),
        ("InternalFailure", 500),
    ] {
        let mut bytes = stream(&[delta(0, json!({"text": "a"}))]);
        write_exception(&mut bytes, name, br#"{"message":"Too busy"}"#);
        let told = events(&Converse, EVENT_STREAM, &bytes);
        assert_eq!(
            told.last().unwrap(),
            &format!(
                "Failed {{ kind: \"{name}\", message: \"Too busy\", status: Some({status}) }}"
            )
        );
        let seen = as_openai(&Converse, EVENT_STREAM, &bytes);
        assert!(
            seen.contains("Too busy") && !seen.contains("[DONE]"),
            "{seen}"
        );
    }
    let mut bytes = BytesMut::new();
    write_exception(&mut bytes, "modelStreamErrorException", b"");
    assert_eq!(
        events(&Converse, EVENT_STREAM, &bytes),
        [
            r#"Failed { kind: "modelStreamErrorException", message: "the provider failed: modelStreamErrorException", status: Some(424) }"#
        ]
    );
}

/// Names and payloads of a stream's messages.
fn messages(bytes: &[u8]) -> Vec<(String, Value)> {
    let mut framer = Framer::new(Framing::EventStream, MAX_FRAME);
    framer.feed(bytes::Bytes::copy_from_slice(bytes));
    let mut all = Vec::new();
    while let Some(frame) = framer.frame().unwrap() {
        all.push((
            String::from_utf8(frame.name().to_vec()).unwrap(),
            serde_json::from_slice(frame.data()).unwrap(),
        ));
    }
    all
}

#[test]
fn a_stream_is_written_as_bedrock_writes_it() {
    let response = ChatResponse {
        choices: vec![Choice {
            parts: vec![
                Part::Thinking {
                    text: "hm".into(),
                    signature: Some("sig".into()),
                },
                Part::Text("Hi".into()),
                Part::ToolCall {
                    id: "t".into(),
                    name: "f".into(),
                    arguments: "{\"a\":1}".into(),
                    signature: None,
                },
            ],
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 3,
            output: 2,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    };
    let expected = [
        ("messageStart", json!({"role": "assistant"})),
        delta(0, json!({"reasoningContent": {"text": "hm"}})),
        delta(0, json!({"reasoningContent": {"signature": "sig"}})),
        stop(0),
        delta(1, json!({"text": "Hi"})),
        stop(1),
        tool(2, "t", "f"),
        delta(2, json!({"toolUse": {"input": "{\"a\":1}"}})),
        stop(2),
        finish("tool_use"),
        (
            "metadata",
            json!({"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 0}}),
        ),
    ]
    .map(|(name, payload)| (name.to_owned(), payload));
    assert_eq!(messages(&streamed(&Converse, &response)), expected);
}

#[test]
fn calls_that_overlap_are_written_one_after_the_other() {
    let mut encoder = Converse.stream_encoder(false);
    let mut out = BytesMut::new();
    let open = |part, id: &'static str| Event::Open {
        part,
        choice: 0,
        kind: Kind::ToolCall {
            id: id.into(),
            name: "f".into(),
        },
    };
    let arguments = |part, json: &'static str| Event::Arguments {
        part,
        json: json.into(),
    };
    for event in [
        open(0, "a"),
        open(1, "b"),
        arguments(1, "{\"b\""),
        arguments(0, "{}"),
        arguments(1, ":1}"),
        Event::Close { part: 0 },
        Event::Close { part: 1 },
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
    ] {
        encoder.event(&event, &mut out);
    }
    let expected = [
        ("messageStart", json!({"role": "assistant"})),
        tool(0, "a", "f"),
        delta(0, json!({"toolUse": {"input": "{}"}})),
        stop(0),
        tool(1, "b", "f"),
        delta(1, json!({"toolUse": {"input": "{\"b\""}})),
        delta(1, json!({"toolUse": {"input": ":1}"}})),
        stop(1),
        finish("tool_use"),
    ]
    .map(|(name, payload)| (name.to_owned(), payload));
    assert_eq!(messages(&out), expected);
}

#[test]
fn a_failure_is_written_as_an_exception_and_nothing_follows() {
    let written = |kind: &'static str, status| {
        let (mut encoder, mut out) = (Converse.stream_encoder(false), BytesMut::new());
        let event = Event::Failed {
            kind: kind.into(),
            message: "no".into(),
            status,
        };
        encoder.event(&event, &mut out);
        encoder.keep_alive(&mut out);
        let mut all = messages(&out);
        assert_eq!(all.len(), 1);
        let (name, payload) = all.remove(0);
        assert_eq!(payload, json!({"message": "no"}));
        name
    };
    assert_eq!(
        written("rate_limit_error", Some(429)),
        "throttlingException"
    );
    assert_eq!(
        written("overloaded_error", Some(503)),
        "serviceUnavailableException"
    );
    assert_eq!(
        written("modelStreamErrorException", None),
        "modelStreamErrorException"
    );
    assert_eq!(written("upstream_error", None), "internalServerException");
}

#[test]
fn a_stream_of_openais_reaches_a_client_of_bedrocks() {
    let stream = b"data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"now\",\"arguments\":\"\"}}]}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let (mut encoder, mut out) = (Converse.stream_encoder(true), BytesMut::new());
    read(
        &OpenAiChat,
        "text/event-stream",
        stream,
        &[],
        &mut |event: Event<'_>| {
            encoder.event(&event, &mut out);
        },
    );
    let names: Vec<String> = messages(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "messageStart",
            "contentBlockDelta",
            "contentBlockStop",
            "contentBlockStart",
            "contentBlockStop",
            "messageStop",
            "metadata"
        ]
    );
}

#[test]
fn only_the_event_stream_is_a_stream() {
    let framing = |media_type| Egress::framing(&Converse, media_type);
    assert_eq!(framing(EVENT_STREAM), Some(Framing::EventStream));
    assert_eq!(framing("application/json"), None);
    assert_eq!(framing("text/html"), None);
    assert_eq!(Converse.stream_type(), EVENT_STREAM);
}
