use serde_json::Value;

use super::super::*;
use crate::{
    dialect::testing::{answer, as_openai, events, there_and_back},
    llm::{Choice, Event, Part, Usage},
};

const NDJSON: &str = "application/x-ndjson";

#[test]
fn an_answer_is_read() {
    let body = br#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.123456Z",
        "message":{"role":"assistant","content":"Hm.","thinking":"Let me see.","tool_calls":[
            {"id":"call_x","function":{"index":0,"name":"f","arguments":{"b":1,"a":[1.5]}}},
            {"function":{"index":1,"name":"g","arguments":{}}},
            {"function":{"index":2,"name":"g","arguments":{}}}]},
        "done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":12,"eval_count":34,
        "logprobs":[{"token":"Hm","logprob":-0.5,"bytes":[72,109],"top_logprobs":[{"token":"Oh","logprob":-1.5}]}]}"#;
    let response = Ollama.decode_response(body).unwrap();
    assert_eq!(response.created, Some(1_762_941_600));
    assert_eq!(
        response.usage,
        Some(Usage {
            input: 12,
            output: 34,
            ..Usage::default()
        })
    );
    let choice = &response.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    assert_eq!(choice.logprobs[0].top[0].token, "Oh");
    assert!(matches!(&choice.parts[0], Part::Thinking { text, .. } if text == "Let me see."));
    assert!(matches!(&choice.parts[1], Part::Text(text) if text == "Hm."));
    let ids: Vec<(&str, &str)> = choice.parts[2..]
        .iter()
        .map(|part| match part {
            Part::ToolCall { id, arguments, .. } => (id.as_str(), arguments.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids[0], ("call_x", r#"{"b":1,"a":[1.5]}"#));
    assert_eq!(ids[1].1, "{}");
    assert_ne!(ids[1].0, ids[2].0, "calls without ids get different ones");
    let again = Ollama.decode_response(body).unwrap();
    assert_eq!(
        format!("{again:?}"),
        format!("{response:?}"),
        "the same ones"
    );
}

#[test]
fn finishes() {
    for (reason, called, expected) in [
        ("stop", false, Finish::Stop),
        ("stop", true, Finish::ToolCalls),
        ("length", false, Finish::Length),
        ("length", true, Finish::Length),
        ("load", false, Finish::Stop),
        ("unload", false, Finish::Stop),
        ("tool_calls", false, Finish::ToolCalls),
        ("content_filter", true, Finish::ContentFilter),
        ("", false, Finish::Other),
        ("", true, Finish::ToolCalls),
        ("connection_closed", false, Finish::Other),
    ] {
        assert_eq!(finish(reason, called), expected, "{reason} {called}");
    }
}

#[test]
fn answers_of_both_calls_are_read() {
    let body = br#"{"model":"m","created_at":"t","response":"Blue.","thinking":"Sky","done":true,"context":[1]}"#;
    for egress in [&Generate as &dyn Egress, &Ollama] {
        let response = egress.decode_response(body).unwrap();
        assert_eq!(response.text(), "Blue.");
        assert_eq!((response.created, response.usage), (None, None));
        assert_eq!(response.choices[0].finish, Some(Finish::Other));
    }
    for (body, words) in [
        (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
        (r#"{"model":"m"}"#, "failed to decode ollama response"),
        ("[]", "not the expected JSON"),
    ] {
        let error = Ollama.decode_response(body.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn answers_survive_round_trips() {
    let call = |id: &str, arguments: &str| Part::ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: None,
    };
    let mut response = ChatResponse {
        model: "m".into(),
        created: Some(1_700_000_000),
        choices: vec![Choice {
            parts: vec![
                Part::Thinking {
                    text: "hm".into(),
                    signature: None,
                },
                Part::Text("über\n\"x\"".into()),
                call("a", "{\"x\":1}"),
                call("b", "{}"),
            ],
            finish: Some(Finish::ToolCalls),
            logprobs: vec![crate::llm::Logprob {
                token: "ü".into(),
                logprob: -0.25,
                bytes: Some(vec![195, 188]),
                top: Vec::new(),
            }],
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 3,
            output: 4,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    };
    there_and_back(&Ollama, &Ollama, &response);
    response.choices[0].parts.truncate(2);
    for finish in [
        Finish::Stop,
        Finish::Length,
        Finish::ContentFilter,
        Finish::Other,
    ] {
        response.choices[0].finish = Some(finish);
        there_and_back(&Ollama, &Ollama, &response);
        there_and_back(&Generate, &Generate, &response);
    }
}

const STREAM: &str = concat!(
    r#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.1Z","message":{"role":"assistant","content":"","thinking":"Wetter"},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.2Z","message":{"role":"assistant","content":"","thinking":" für Köln"},"done":false}"#,
    "\r\n",
    r#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.3Z","message":{"role":"assistant","content":"One 🌦"},"done":false}"#,
    "\n\n",
    r#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.4Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"weather","arguments":{"city":"Köln"}}},{"id":"call_b","function":{"index":1,"name":"now","arguments":{}}}]},"done":false}"#,
    "\n",
    r#"{"model":"qwen3","created_at":"2025-11-12T10:00:00.5Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":9,"prompt_eval_count":20,"eval_count":30}"#,
    "\n",
);

#[test]
fn trap_1_2_a_stream_with_parallel_and_no_argument_calls() {
    assert_eq!(
        events(&Ollama, NDJSON, STREAM.as_bytes()),
        [
            r#"Start { id: "", model: "qwen3", created: Some(1762941600), fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Thinking }",
            r#"Thinking { part: 0, text: "Wetter" }"#,
            r#"Thinking { part: 0, text: " für Köln" }"#,
            "Close { part: 0 }",
            "Open { part: 1, choice: 0, kind: Text }",
            r#"Text { part: 1, text: "One 🌦" }"#,
            "Close { part: 1 }",
            r#"Open { part: 2, choice: 0, kind: ToolCall { id: "call_a", name: "weather" } }"#,
            r#"Arguments { part: 2, json: "{\"city\":\"Köln\"}" }"#,
            "Close { part: 2 }",
            r#"Open { part: 3, choice: 0, kind: ToolCall { id: "call_b", name: "now" } }"#,
            "Close { part: 3 }",
            "Finish { choice: 0, reason: ToolCalls }",
            "Usage(Usage { input: 20, cache_read: 0, cache_write: 0, output: 30, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
            "End",
        ]
    );
    let seen = as_openai(&Ollama, NDJSON, STREAM.as_bytes());
    assert!(seen.contains(r#""finish_reason":"tool_calls""#), "{seen}");
    assert!(seen.contains(r#""prompt_tokens":20"#), "{seen}");
    assert!(seen.ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_completion_streams() {
    let stream = concat!(
        r#"{"model":"m","created_at":"t","response":"be","done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"t","response":"cause","done":false,"logprobs":[{"token":"cause","logprob":-1.0}]}"#,
        "\n",
        r#"{"model":"m","done":true,"response":"","done_reason":"length","eval_count":2}"#,
    );
    let (response, complete) = answer(&Generate, NDJSON, stream.as_bytes());
    assert!(complete);
    assert_eq!(response.text(), "because");
    assert_eq!(response.choices[0].finish, Some(Finish::Length));
    assert_eq!(response.choices[0].logprobs[0].token, "cause");
    events(&Generate, NDJSON, stream.as_bytes());
}

#[test]
fn a_whole_answer_is_a_stream_of_one_line() {
    for media_type in [NDJSON, "application/json", "text/plain", ""] {
        assert_eq!(Ollama.framing(media_type), Some(Framing::NdJson));
    }
    assert_eq!(Ollama.framing("text/event-stream"), Some(Framing::Sse));
    assert_eq!(Ollama.framing("text/html"), None);
    let line = r#"{"model":"m","message":{"content":"all"},"done":true,"done_reason":"stop"}"#;
    let (response, complete) = answer(&Ollama, "application/json", line.as_bytes());
    assert!(complete && response.text() == "all");
}

#[test]
fn trap_1_7_errors_inside_a_stream_end_it() {
    let stream = concat!(
        r#"{"model":"m","message":{"content":"a"},"done":false}"#,
        "\n",
        r#"{"error":"an error was encountered while running the model"}"#,
        "\n",
        r#"{"model":"m","message":{"content":"b"},"done":true}"#,
        "\n",
    );
    let seen = events(&Ollama, NDJSON, stream.as_bytes());
    assert_eq!(
        seen.last().unwrap(),
        r#"Failed { kind: "upstream_error", message: "an error was encountered while running the model", status: None }"#
    );
    assert!(!as_openai(&Ollama, NDJSON, stream.as_bytes()).contains("[DONE]"));
    let cut = r#"{"model":"m","message":{"content":"a"},"done":false}"#;
    assert!(!answer(&Ollama, NDJSON, cut.as_bytes()).1, "a cut stream");
}

#[test]
fn errors_are_moved() {
    let body = Bytes::from_static(br#"{"error":"model 'x' not found"}"#);
    let fault = Ollama.decode_error(404, &body);
    assert_eq!(
        (fault.message.as_str(), fault.kind.as_str()),
        ("model 'x' not found", "invalid_request_error")
    );
    assert!(fault.provider.is_some() && fault.verbatim.is_none());
    assert_eq!(
        Ingress::encode_fault(&Ollama, &fault),
        br#"{"error":"model 'x' not found"}"#
    );
    let mut out = bytes::BytesMut::new();
    let mut encoder = Ollama.stream_encoder(false);
    encoder.event(
        &Event::Failed {
            kind: "k".into(),
            message: "no".into(),
            status: None,
        },
        &mut out,
    );
    assert_eq!(&out[..], b"{\"error\":\"no\"}\n");
}

#[test]
fn trap_1_8_keep_alives_are_nothing_to_a_reader() {
    let (mut encoder, mut out) = (Ollama.stream_encoder(false), bytes::BytesMut::new());
    encoder.keep_alive(&mut out);
    encoder.event(&Event::End, &mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
}
