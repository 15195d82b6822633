use bytes::BytesMut;

use super::Encoder;
use crate::{
    dialect::{
        StreamEncoder,
        openai_chat::OpenAiChat,
        testing::{answer, as_openai, events, read},
    },
    llm::{ChatResponse, Event, Finish, Kind, Part, events_of},
};

const SSE: &str = "text/event-stream";

/// Decodes a stream, whole and under every split; gives its events as text, and whether it was complete.
fn decode(stream: &str) -> (Vec<String>, bool) {
    let complete = read(&OpenAiChat, SSE, stream.as_bytes(), &[], &mut |_: Event<
        '_,
    >| {});
    (events(&OpenAiChat, SSE, stream.as_bytes()), complete)
}

fn response(stream: &str) -> ChatResponse {
    answer(&OpenAiChat, SSE, stream.as_bytes()).0
}

/// The parts of the first choice.
fn parts(chunks: &[&str]) -> Vec<String> {
    let response = response(&stream(chunks));
    let parts = response.choices[0].parts.iter();
    parts.map(|part| format!("{part:?}")).collect()
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
            r#"Start { id: "c", model: "m", created: Some(5), fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Thinking }",
            r#"Thinking { part: 0, text: "hm" }"#,
            "Close { part: 0 }",
            "Open { part: 1, choice: 0, kind: Text }",
            r#"Text { part: 1, text: "Hé" }"#,
            "Close { part: 1 }",
            "Finish { choice: 0, reason: Stop }",
            "Usage(Usage { input: 3, cache_read: 0, cache_write: 0, output: 2, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
            "End",
        ]
    );
    assert!(complete);
}

#[test]
fn trap_1_1_and_1_2_parallel_and_empty_calls_keep_their_arguments() {
    let response = response(&stream(&[
        r#"{"choices":[{"index":0,"delta":{"content":"ok","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"now"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    ]));
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
        (
            r#"{"object":"error","message":"overloaded","type":"server_error","code":400}"#,
            Some(400),
        ),
        (
            r#"{"message":"overloaded","type":"server_error","status_code":429}"#,
            Some(429),
        ),
        (r#"{"detail":"overloaded","type":"server_error"}"#, None),
        (
            r#"{"x_groq":{"id":"r","error":{"message":"overloaded","type":"server_error"}},"choices":[]}"#,
            None,
        ),
        (
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":null,"error":{"message":"overloaded","type":"server_error","code":502}}]}"#,
            Some(502),
        ),
    ] {
        // vLLM and SGLang end the stream as if nothing had happened.
        let after = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
        let (mut events, complete) = decode(&stream(&[chunk, after, "[DONE]"]));
        events.retain(|event| !event.starts_with("Start"));
        assert_eq!(
            events,
            [format!(
                "Failed {{ kind: \"server_error\", message: \"overloaded\", status: {status:?} }}"
            )]
        );
        assert!(!complete);
        assert!(
            !as_openai(&OpenAiChat, SSE, stream(&[chunk, "[DONE]"]).as_bytes()).contains("[DONE]")
        );
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
    let response = response(&stream(&[
        r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"length"}]}"#,
    ]));
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
    let response = response(&stream(&[
        r#"{"id":"x","created":9,"model":"m","choices":[{"index":0,"delta":{"reasoning":"why"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a\"b\n"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"u","function":{"name":"g","arguments":"[1]"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}"#,
        "[DONE]",
    ]));
    let (mut encoder, mut out) = (Encoder::new(true), BytesMut::new());
    events_of(&response, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert_eq!(
        format!("{:?}", self::response(&text)),
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
    let response = response(&stream(&[
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
    ]));
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

#[test]
fn trap_1_7_a_finish_that_is_an_error_is_none() {
    let (events, complete) = decode(&stream(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
        "[DONE]",
    ]));
    assert!(events.last().unwrap().starts_with("Failed"));
    assert!(!complete);
    let (events, _) = decode("event: error\ndata: {\"code\":\"503\",\"message\":\"busy\"}\n\n");
    assert_eq!(
        events,
        [r#"Failed { kind: "upstream_error", message: "busy", status: Some(503) }"#]
    );
}

#[test]
fn azures_first_chunk_is_no_start() {
    let (events, _) = decode(&stream(&[
        r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#,
        r#"{"choices":[{"content_filter_results":{},"delta":{"content":"","role":"assistant"},"finish_reason":null,"index":0}],"created":7,"id":"c","model":"gpt-4o","system_fingerprint":"fp"}"#,
    ]));
    assert_eq!(
        events,
        [r#"Start { id: "c", model: "gpt-4o", created: Some(7), fingerprint: Some("fp") }"#]
    );
}

#[test]
fn groqs_usage_comes_unasked() {
    let (events, _) = decode(&stream(&[
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"x_groq":{"id":"req_1"}}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.1,"prompt_tokens":4,"completion_tokens":2}}}"#,
    ]));
    assert!(events.last().unwrap().starts_with("Usage(Usage { input: 4"));
}

#[test]
fn togethers_text_is_not_told_twice() {
    assert_eq!(
        parts(&[
            r#"{"choices":[{"index":0,"text":"a","delta":{"role":"assistant","content":"a"},"logprobs":-0.5}]}"#,
            r#"{"choices":[{"index":0,"text":"b","delta":{"content":"b"},"finish_reason":"eos"}]}"#,
        ]),
        [r#"Text("ab")"#]
    );
}

#[test]
fn mistrals_blocks_are_reasoning_and_text() {
    assert_eq!(
        parts(&[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Two "}]}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"and two"}],"closed":true},{"type":"text","text":"Fo"}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"ur"},"finish_reason":"stop"}]}"#,
        ]),
        [
            r#"Thinking { text: "Two and two", signature: None }"#,
            r#"Text("Four")"#
        ]
    );
}

#[test]
fn trap_1_13_signatures_come_with_the_end_of_their_block() {
    // LiteLLM: each delta twice, then the signature alone.
    assert_eq!(
        parts(&[
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"a","thinking_blocks":[{"type":"thinking","thinking":"a","signature":null}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"b","thinking_blocks":[{"type":"thinking","thinking":"b"}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"","thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"c"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
        ]),
        [
            r#"Thinking { text: "ab", signature: Some("s") }"#,
            r#"Thinking { text: "c", signature: None }"#,
            r#"Text("x")"#
        ]
    );
}

#[test]
fn calls_without_numbers_or_ids_stay_apart() {
    let calls = |deltas: &[&str]| {
        let chunks: Vec<String> = deltas
            .iter()
            .map(|call| {
                format!(
                    r#"{{"id":"r","choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#
                )
            })
            .chain([
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
            ])
            .collect();
        parts(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Google's compatible endpoint: whole calls, all with the same number.
    assert_eq!(
        calls(&[
            r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}"#,
            r#"{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
        ]),
        [
            r#"ToolCall { id: "a", name: "f", arguments: "{}", signature: Some("s") }"#,
            r#"ToolCall { id: "b", name: "f", arguments: "{\"x\":1}", signature: None }"#
        ]
    );
    // A server that repeats the id, or has none.
    assert_eq!(
        calls(&[
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
            r#"{"index":0,"id":"a","function":{"arguments":"}"}}"#,
            r#"{"index":1,"function":{"name":"g","arguments":{"y":2}}}"#,
        ]),
        [
            r#"ToolCall { id: "a", name: "f", arguments: "{}", signature: None }"#,
            r#"ToolCall { id: "call_r1", name: "g", arguments: "{\"y\":2}", signature: None }"#
        ]
    );
    let legacy = parts(&[
        r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":""}}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"function_call":{"arguments":"{}"}}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"function_call"}]}"#,
    ]);
    assert_eq!(
        legacy,
        [r#"ToolCall { id: "f", name: "f", arguments: "{}", signature: None }"#]
    );
}

#[test]
fn logprobs_and_sources_are_read() {
    let answer = response(&stream(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}],"refusal":null}}],"citations":["https://a"]}"#,
        r#"{"choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":0,"end_index":1}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"citations":["https://a"]}"#,
    ]));
    let choice = &answer.choices[0];
    assert_eq!(choice.logprobs[0].token, "a");
    let urls: Vec<_> = choice
        .citations
        .iter()
        .map(|c| c.url.as_deref().unwrap())
        .collect();
    assert_eq!(urls, ["u", "https://a"]);
}

#[test]
fn a_bare_usage_chunk_is_one_without_choices() {
    let bare = |chunk: &str| {
        let mut framer = crate::wire::Framer::new(crate::wire::Framing::Sse, 1 << 20);
        framer.feed(bytes::Bytes::from(format!("data: {chunk}\n\n")));
        crate::dialect::Egress::stream_decoder(&OpenAiChat)
            .is_bare_usage(&framer.frame().unwrap().unwrap())
    };
    assert!(bare(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#));
    assert!(!bare(r#"{"choices":[],"usage":null}"#));
    assert!(!bare(
        r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#
    ));
}

/// Writes events as a client sees them.
fn encode(usage: bool, events: &[Event<'_>]) -> Vec<String> {
    let (mut encoder, mut out) = (Encoder::new(usage), BytesMut::new());
    for event in events {
        encoder.event(event, &mut out);
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"));
    text.split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
        .collect()
}

/// The deltas of a stream's chunks.
fn deltas(chunks: &[String]) -> Vec<String> {
    chunks
        .iter()
        .filter_map(|chunk| serde_json::from_str::<serde_json::Value>(chunk).ok())
        .map(|chunk| chunk["choices"][0]["delta"].to_string())
        .collect()
}

fn start() -> Event<'static> {
    Event::Start {
        id: "c".into(),
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

#[test]
fn chunks_are_openais_to_the_byte() {
    let chunks = encode(
        true,
        &[
            start(),
            open(0, Kind::Text),
            Event::Text {
                part: 0,
                text: "hi".into(),
            },
            Event::Close { part: 0 },
            Event::Finish {
                choice: 0,
                reason: Finish::Stop,
            },
            Event::Finish {
                choice: 0,
                reason: Finish::Length,
            },
            Event::Usage(crate::llm::Usage {
                input: 1,
                output: 2,
                ..Default::default()
            }),
            Event::End,
            Event::End,
            start(),
        ],
    );
    let head = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":null,"choices":"#;
    assert_eq!(
        chunks,
        [
            format!(
                r#"{head}[{{"index":0,"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#
            ),
            format!(
                r#"{head}[{{"index":0,"delta":{{"content":"hi"}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#
            ),
            format!(
                r#"{head}[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}],"usage":null}}"#
            ),
            format!(
                r#"{head}[],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
            ),
            "[DONE]".to_owned(),
        ]
    );
}

#[test]
fn a_calls_signature_comes_with_the_call() {
    let call = || Kind::ToolCall {
        id: "t".into(),
        name: "f".into(),
    };
    let arguments = |part| Event::Arguments {
        part,
        json: "{}".into(),
    };
    let signature = |part, value: &'static str| Event::Signature {
        part,
        value: value.into(),
    };
    let chunks = encode(
        false,
        &[
            start(),
            open(0, call()),
            signature(0, "s"),
            arguments(0),
            Event::Close { part: 0 },
            open(1, call()),
            arguments(1),
            signature(1, "late"),
            open(2, call()),
            Event::Close { part: 2 },
        ],
    );
    assert_eq!(
        deltas(&chunks)[1..],
        [
            r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":""},"extra_content":{"google":{"thought_signature":"late"}}}]}"#,
            r#"{"tool_calls":[{"index":2,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}"#,
            // A call without arguments (TRAPS 1.2).
            r#"{"tool_calls":[{"index":2,"function":{"arguments":"{}"}}]}"#,
        ]
    );
}

#[test]
fn a_signed_thought_is_told_whole_at_its_end() {
    let thought = |text: &'static str| Event::Thinking {
        part: 0,
        text: text.into(),
    };
    let signature = |part, value: &'static str| Event::Signature {
        part,
        value: value.into(),
    };
    let chunks = encode(
        false,
        &[
            start(),
            open(0, Kind::Thinking),
            thought("a"),
            thought(""),
            thought("b"),
            signature(0, "s1"),
            signature(0, "s2"),
            Event::Close { part: 0 },
            open(1, Kind::Redacted),
            signature(1, "d"),
            Event::Close { part: 1 },
        ],
    );
    assert_eq!(
        deltas(&chunks)[1..],
        [
            r#"{"reasoning_content":"a"}"#,
            r#"{"reasoning_content":"b"}"#,
            r#"{"thinking_blocks":[{"index":0,"type":"thinking","thinking":"ab","signature":"s1s2"}]}"#,
            r#"{"thinking_blocks":[{"index":1,"type":"redacted_thinking","data":"d"}]}"#,
        ]
    );
}

#[test]
fn nothing_follows_a_failure() {
    let failed = Event::Failed {
        kind: "k".into(),
        message: "m".into(),
        status: None,
    };
    let chunks = encode(true, &[start(), failed.clone(), failed, Event::End]);
    assert_eq!(chunks.len(), 2);
    assert!(chunks[1].starts_with(r#"{"error""#));
}
