use bytes::BytesMut;

use super::{EncoderV1, EncoderV2};
use crate::{
    dialect::{
        Egress, StreamEncoder,
        cohere::{Api, ChatV1, ChatV2, Generate},
        testing::{answer, as_openai, events},
    },
    llm::{Event, Finish, Part},
    wire::Framing,
};

const SSE: &str = "text/event-stream";
const LINES: &str = "application/stream+json";

/// v2's stream of these data, each named as its type says.
fn stream(data: &[&str]) -> Vec<u8> {
    data.iter()
        .map(|data| {
            let name = data.split("\"type\":\"").nth(1).unwrap_or_default();
            let name = name.split('"').next().unwrap_or_default();
            format!("event: {name}\ndata: {data}\n\n")
        })
        .collect::<String>()
        .into_bytes()
}

const START: &str = r#"{"id":"c1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#;
const END: &str = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":3.0,"output_tokens":2},"tokens":{"input_tokens":71,"output_tokens":4}}}}"#;
const USAGE: &str = "Usage(Usage { input: 3, cache_read: 0, cache_write: 0, output: 2, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })";

#[test]
fn v2_text_after_reasoning() {
    let bytes = stream(&[
        START,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"Hé"}}},"logprobs":{"text":"Hé","token_ids":[1,2],"logprobs":[-0.5,-0.25]}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":" 😀"}}}}"#,
        r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"Hé","sources":[{"type":"document","id":"d","document":{"title":"T"}}],"type":"TEXT_CONTENT"}}}}"#,
        r#"{"type":"citation-end","index":0}"#,
        r#"{"type":"content-end","index":1}"#,
        END,
    ]);
    assert_eq!(
        events(&ChatV2, SSE, &bytes),
        [
            r#"Start { id: "c1", model: "", created: None, fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Thinking }",
            r#"Thinking { part: 0, text: "hm" }"#,
            "Close { part: 0 }",
            "Open { part: 1, choice: 0, kind: Text }",
            r#"Text { part: 1, text: "Hé" }"#,
            r#"Logprobs { choice: 0, tokens: [Logprob { token: "Hé", logprob: -0.75, bytes: None, top: [] }] }"#,
            r#"Text { part: 1, text: " 😀" }"#,
            r#"Citation { choice: 0, citation: Citation { url: None, title: Some("T"), cited_text: None, start: Some(0), end: Some(2), source: Some("d") } }"#,
            "Close { part: 1 }",
            "Finish { choice: 0, reason: Stop }",
            USAGE,
            "End",
        ]
    );
}

#[test]
fn trap_1_1_and_1_2_v2_parallel_and_empty_calls_after_a_plan() {
    let bytes = stream(&[
        START,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":" look."}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"x\":"}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"1}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":[{"id":"b","type":"function","function":{"name":"now","arguments":""}}]}}}"#,
        r#"{"type":"tool-call-end","index":1}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL"}}"#,
    ]);
    events(&ChatV2, SSE, &bytes);
    let (response, complete) = answer(&ChatV2, SSE, &bytes);
    assert!(complete);
    let parts: Vec<String> = response.choices[0]
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
    assert_eq!(parts, ["I will look.", r#"a f {"x":1}"#, "b now {}"]);
    assert_eq!(response.choices[0].finish, Some(Finish::ToolCalls));
    let seen = as_openai(&ChatV2, SSE, &bytes);
    assert!(seen.contains(r#""tool_calls":[{"index":1,"id":"b""#));
    assert!(seen.contains(r#""finish_reason":"tool_calls""#));
    assert!(seen.ends_with("data: [DONE]\n\n"));
}

#[test]
fn trap_1_7_v2_failures_end_the_stream() {
    let begun = [
        START,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"x"}}}}"#,
    ];
    for (last, failed) in [
        (
            r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"overloaded"}}"#,
            r#"Failed { kind: "api_error", message: "overloaded", status: Some(500) }"#,
        ),
        (
            r#"{"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}"#,
            r#"Failed { kind: "timeout_error", message: "the generation took too long (TIMEOUT)", status: Some(504) }"#,
        ),
        (
            r#"{"message":"internal server error"}"#,
            r#"Failed { kind: "api_error", message: "internal server error", status: None }"#,
        ),
        (
            r#"{"type":"error","error":{"message":"gone"}}"#,
            r#"Failed { kind: "api_error", message: "gone", status: None }"#,
        ),
    ] {
        let mut data = begun.to_vec();
        data.extend([last, END]);
        let events = events(&ChatV2, SSE, &stream(&data));
        assert_eq!(events.last().map(String::as_str), Some(failed));
    }
}

#[test]
fn a_v2_stream_without_its_end_is_not_complete() {
    let bytes = stream(&[
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"x"}}}}"#,
    ]);
    let (response, complete) = answer(&ChatV2, SSE, &bytes);
    assert_eq!((response.text().as_str(), complete), ("x", false));
    let mut bytes = stream(&[START, END]);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    assert_eq!(events(&ChatV2, SSE, &bytes).len(), 4);
}

#[test]
fn v2_writes_what_its_documentation_shows() {
    let (mut encoder, mut out) = (EncoderV2::default(), BytesMut::new());
    for event in [
        Event::Start {
            id: "i".into(),
            model: "m".into(),
            created: None,
            fingerprint: None,
        },
        Event::Open {
            part: 0,
            choice: 0,
            kind: crate::llm::Kind::ToolCall {
                id: "a".into(),
                name: "now".into(),
            },
        },
        Event::Close { part: 0 },
        Event::Finish {
            choice: 0,
            reason: Finish::ToolCalls,
        },
        Event::End,
    ] {
        encoder.event(&event, &mut out);
    }
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        r#"event: message-start
data: {"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}

event: tool-call-start
data: {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","type":"function","function":{"name":"now","arguments":""}}}}}

event: tool-call-delta
data: {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}}

event: tool-call-end
data: {"type":"tool-call-end","index":0}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"TOOL_CALL"}}

"#
    );
}

#[test]
fn failures_are_written_without_an_end() {
    let failed = Event::Failed {
        kind: "overloaded_error".into(),
        message: "no \"room\"".into(),
        status: Some(503),
    };
    let mut out = BytesMut::new();
    EncoderV2::default().event(&failed, &mut out);
    let told = events(&ChatV2, SSE, &out);
    assert!(told.last().unwrap().contains(r#"no \"room\""#), "{told:?}");
    let mut out = BytesMut::new();
    EncoderV1::new(Api::V1).event(&failed, &mut out);
    let told = events(&ChatV1, LINES, &out);
    assert!(told.last().unwrap().contains(r#"no \"room\""#), "{told:?}");
}

const V1: &str = concat!(
    r#"{"is_finished":false,"event_type":"stream-start","generation_id":"g"}"#,
    "\n\n",
    r#"{"is_finished":false,"event_type":"search-results","documents":[{"id":"d","url":"https://example.com"}]}"#,
    "\n",
    r#"{"is_finished":false,"event_type":"text-generation","text":"Hé"}"#,
    "\n\n",
    r#"{"is_finished":false,"event_type":"text-generation","text":" 😀"}"#,
    "\n",
    r#"{"is_finished":false,"event_type":"citation-generation","citations":[{"start":0,"end":2,"text":"Hé","document_ids":["d"]}]}"#,
    "\r\n",
    r#"{"is_finished":true,"event_type":"stream-end","response":{"response_id":"r","generation_id":"g","text":"Hé 😀","citations":[{"start":0,"end":2,"text":"Hé","document_ids":["d"]}],"meta":{"billed_units":{"input_tokens":3,"output_tokens":2}}},"finish_reason":"MAX_TOKENS"}"#,
    "\n",
);

#[test]
fn v1_lines_are_read_whatever_their_media_type() {
    for media_type in [
        LINES,
        SSE,
        "application/x-ndjson",
        "application/json-seq",
        "",
    ] {
        assert_eq!(ChatV1.framing(media_type), Some(Framing::NdJson));
    }
    assert_eq!(ChatV1.framing("application/json"), None);
    assert_eq!(
        events(&ChatV1, SSE, V1.as_bytes()),
        [
            r#"Start { id: "g", model: "", created: None, fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Text }",
            r#"Text { part: 0, text: "Hé" }"#,
            r#"Text { part: 0, text: " 😀" }"#,
            r#"Citation { choice: 0, citation: Citation { url: Some("https://example.com"), title: None, cited_text: None, start: Some(0), end: Some(2), source: Some("d") } }"#,
            "Close { part: 0 }",
            "Finish { choice: 0, reason: Length }",
            USAGE,
            "End",
        ]
    );
}

#[test]
fn v1_as_server_sent_events_is_the_same() {
    let named: String = V1
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| format!("event: x\ndata: {line}\n\n"))
        .collect();
    assert_eq!(
        events(&ChatV1, SSE, named.as_bytes()),
        events(&ChatV1, LINES, V1.as_bytes())
    );
}

#[test]
fn v1_calls_come_in_pieces_or_whole() {
    let whole = r#"{"event_type":"tool-calls-generation","is_finished":false,"tool_calls":[{"name":"f","parameters":{"x":1}},{"name":"now","parameters":{}}]}"#;
    let end = r#"{"event_type":"stream-end","is_finished":true,"finish_reason":"COMPLETE","response":{"text":"I look.","tool_calls":[{"name":"f","parameters":{"x":1}},{"name":"now","parameters":{}}]}}"#;
    let pieces = [
        r#"{"event_type":"tool-calls-chunk","is_finished":false,"tool_call_delta":{"text":"I look."}}"#,
        r#"{"event_type":"tool-calls-chunk","is_finished":false,"tool_call_delta":{"name":"f","index":0}}"#,
        r#"{"event_type":"tool-calls-chunk","is_finished":false,"tool_call_delta":{"index":0,"parameters":"{\"x\":"}}"#,
        r#"{"event_type":"tool-calls-chunk","is_finished":false,"tool_call_delta":{"index":0,"parameters":"1}"}}"#,
        r#"{"event_type":"tool-calls-chunk","is_finished":false,"tool_call_delta":{"name":"now","index":1}}"#,
    ]
    .join("\n");
    let text = r#"{"event_type":"text-generation","is_finished":false,"text":"I look."}"#;
    let all = [
        format!("{pieces}\n{whole}\n{end}\n"),
        format!("{text}\n{whole}\n{end}\n"),
        format!("{end}\n"),
    ]
    .map(|stream| {
        events(&ChatV1, LINES, stream.as_bytes());
        format!("{:?}", answer(&ChatV1, LINES, stream.as_bytes()))
    });
    assert_eq!(all[0], all[1]);
    assert_eq!(all[1], all[2]);
    assert!(all[0].contains(r#"id: "call_1", name: "now", arguments: "{}""#));
    assert!(all[0].contains("Some(ToolCalls)"));
}

#[test]
fn completions_of_several_choices_stay_apart() {
    let bytes = concat!(
        r#"{"text":"a","is_finished":false,"event_type":"text-generation"}"#,
        "\n",
        r#"{"text":"b","is_finished":false,"index":1}"#,
        "\n",
        r#"{"text":"A","is_finished":false,"index":0}"#,
        "\n",
        r#"{"is_finished":true,"finish_reason":"COMPLETE","response":{"id":"i","prompt":"p","generations":[{"id":"x","text":"aA","finish_reason":"MAX_TOKENS"},{"id":"y","text":"b"}]}}"#,
    );
    events(&Generate, LINES, bytes.as_bytes());
    let (response, complete) = answer(&Generate, LINES, bytes.as_bytes());
    assert!(complete);
    let choices: Vec<String> = response
        .choices
        .iter()
        .map(|choice| format!("{:?} {:?}", choice.parts, choice.finish))
        .collect();
    assert_eq!(
        choices,
        [r#"[Text("aA")] Some(Length)"#, r#"[Text("b")] Some(Stop)"#]
    );
}

#[test]
fn trap_1_7_v1_failures_end_the_stream() {
    for (last, failed) in [
        (
            r#"{"is_finished":true,"event_type":"stream-error","finish_reason":"ERROR","err":"broken"}"#,
            r#"Failed { kind: "api_error", message: "broken", status: None }"#,
        ),
        (
            r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR","response":{"text":""}}"#,
            r#"Failed { kind: "api_error", message: "the generation failed (ERROR)", status: Some(500) }"#,
        ),
        (
            r#"{"message":"internal error"}"#,
            r#"Failed { kind: "api_error", message: "internal error", status: None }"#,
        ),
    ] {
        let bytes = format!("{}\n{last}\n", V1.lines().next().unwrap());
        let events = events(&ChatV1, LINES, bytes.as_bytes());
        assert_eq!(events.last().map(String::as_str), Some(failed));
        assert_eq!(events.len(), 2);
    }
}

#[test]
fn a_v1_stream_without_its_end_is_not_complete() {
    let line = br#"{"is_finished":false,"event_type":"text-generation","text":"the answer"}"#;
    let (response, complete) = answer(&ChatV1, SSE, line);
    assert_eq!((response.text().as_str(), complete), ("the answer", false));
}
