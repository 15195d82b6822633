use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{Converse, finish, stop_reason};
use crate::{
    dialect::{Egress, Fault, Ingress, openai_chat::OpenAiChat, testing::there_and_back},
    llm::{
        ChatRequest, ChatResponse, Choice, Citation, Finish, Message, Part, Role, Sampling, Usage,
    },
};

fn decoded(body: &Value) -> ChatResponse {
    Converse
        .decode_response(body.to_string().as_bytes())
        .unwrap()
}

fn answer() -> Value {
    json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
            {"text": "Sunny."},
            {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"b": 1, "a": [2, null]}}},
            {"toolUse": {"toolUseId": "tooluse_2", "name": "now", "input": {}}},
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 40, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 6},
        "metrics": {"latencyMs": 551},
    })
}

#[test]
fn a_client_of_openais_sees_the_whole_answer() {
    let seen = OpenAiChat.encode_response(&decoded(&answer()));
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    assert_eq!(
        seen["choices"][0]["message"],
        json!({"role": "assistant", "content": "Sunny.", "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}], "tool_calls": [
            {"id": "tooluse_1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":[2,null]}"}},
            {"id": "tooluse_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ]})
    );
    assert_eq!(seen["choices"][0]["finish_reason"], "tool_calls");
    // TRAPS 1.14: Bedrock's input does not include the cache, OpenAI's prompt does.
    assert_eq!(seen["usage"]["prompt_tokens"], 36);
    assert_eq!(seen["usage"]["completion_tokens"], 4);
    assert_eq!(seen["usage"]["total_tokens"], 40);
    assert_eq!(seen["usage"]["prompt_tokens_details"]["cached_tokens"], 20);
}

#[test]
fn every_stop_reason_has_its_word() {
    for (reason, meaning) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("tool_use", Finish::ToolCalls),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("guardrail_intervened", Finish::ContentFilter),
        ("content_filtered", Finish::ContentFilter),
        ("malformed_model_output", Finish::Other),
        ("malformed_tool_use", Finish::Other),
        ("something_new", Finish::Other),
    ] {
        assert_eq!(finish(reason), meaning, "{reason}");
    }
    for meaning in [
        Finish::Stop,
        Finish::Length,
        Finish::ToolCalls,
        Finish::ContentFilter,
    ] {
        assert_eq!(finish(stop_reason(meaning, false)), meaning);
    }
}

#[test]
fn the_stop_sequence_that_was_met_is_told() {
    let response = ChatResponse {
        choices: vec![Choice {
            parts: vec![Part::Text("a".into())],
            finish: Some(Finish::Stop),
            stopped: Some("END".into()),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 1,
            output: 1,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    };
    there_and_back(&Converse, &Converse, &response);
    let asked = |model: &str, stop: &str| {
        let request = ChatRequest {
            model: Some(model.into()),
            messages: vec![Message::text(Role::User, "hi")],
            sampling: Sampling {
                stop: vec![stop.into()],
                ..Sampling::default()
            },
            ..ChatRequest::default()
        };
        let body = Converse.encode_request(&request).unwrap().body;
        let json: Value = serde_json::from_slice(&body).unwrap();
        json["additionalModelResponseFieldPaths"].clone()
    };
    let claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(
        asked(claude, "END"),
        json!(["/stop_sequence", "/delta/stop_sequence"])
    );
    // Blank ones are left out, and other models tell nothing.
    assert!(asked(claude, "").is_null());
    assert!(asked("amazon.nova-lite-v1:0", "END").is_null());
}

#[test]
fn an_answer_without_a_message_is_none() {
    for body in [r#"{"nothing":1}"#, r#"{"output":null}"#, r#"{"output":{}}"#] {
        let error = Converse.decode_response(body.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no generation candidates received from Bedrock, or max_tokens too short"
        );
    }
    let error = Converse.decode_response(b"<html>").unwrap_err();
    assert!(error.to_string().starts_with("not the expected JSON"));
}

#[test]
fn departures_are_read_leniently() {
    // Counts under other names, a tool that Bedrock ran itself, an empty text, no stop reason.
    let response = decoded(&json!({
        "output": {"message": {"content": [
            {"text": ""},
            {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use", "input": {}}},
            {"toolResult": {"toolUseId": "s", "type": "nova_grounding_result", "content": []}},
            {"text": "x"},
        ]}},
        "usage": {"prompt_tokens": 3},
    }));
    assert_eq!(response.usage, None);
    assert_eq!(response.choices[0].finish, None);
    assert_eq!(response.text(), "x");
    assert!(
        !response.choices[0]
            .parts
            .iter()
            .any(|part| matches!(part, Part::ToolCall { .. }))
    );
}

#[test]
fn citations_tell_their_source_and_their_statement() {
    let response = decoded(&json!({
        "output": {"message": {"role": "assistant", "content": [
            {"text": "As é says: "},
            {"citationsContent": {
                "content": [{"text": "it "}, {"text": "rains."}],
                "citations": [
                    {"title": "Paper", "sourceContent": [{"text": "Rain"}], "location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}}},
                    {"location": {"web": {"url": "https://example.com/", "domain": "example.com"}}},
                ],
            }},
        ]}},
        "stopReason": "end_turn",
    }));
    assert_eq!(response.text(), "As é says: it rains.");
    assert_eq!(
        response.choices[0].citations,
        [
            Citation {
                title: Some("Paper".into()),
                cited_text: Some("Rain".into()),
                source: Some("1".into()),
                start: Some(11),
                end: Some(20),
                ..Citation::default()
            },
            Citation {
                url: Some("https://example.com/".into()),
                start: Some(11),
                end: Some(20),
                ..Citation::default()
            },
        ]
    );
}

/// All that the format can say of an answer.
fn full(parts: Vec<Part>, finish: Finish) -> ChatResponse {
    ChatResponse {
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 10,
            output: 4,
            cache_read: 20,
            cache_write: 6,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    }
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: None,
    }
}

#[test]
fn answers_survive_a_round_trip() {
    let text = |text: &str| Part::Text(text.into());
    let thinking = |text: &str| Part::Thinking {
        text: text.into(),
        signature: Some("c2ln".into()),
    };
    for (parts, finish) in [
        (vec![text("Hello ☺")], Finish::Stop),
        (vec![text("Hel")], Finish::Length),
        (vec![], Finish::ContentFilter),
        (
            vec![
                thinking("hm"),
                Part::Redacted("Q0ND".into()),
                text("So:"),
                call("a", r#"{"a":"\n☺"}"#),
                call("b", "{}"),
            ],
            Finish::ToolCalls,
        ),
        // TRAPS 1.13: the normal shape of reasoning that is not shown.
        (vec![thinking(""), text("x")], Finish::Stop),
    ] {
        let response = full(parts, finish);
        there_and_back(&Converse, &Converse, &response);
    }
    let mut cited = full(vec![text("It rains.")], Finish::Stop);
    cited.choices[0].citations.push(Citation {
        url: Some("https://example.com/".into()),
        title: Some("Rain".into()),
        cited_text: Some("rain".into()),
        source: Some("doc-1".into()),
        start: Some(0),
        end: Some(9),
    });
    there_and_back(&Converse, &Converse, &cited);
}

#[test]
fn errors_are_read_as_services_write_them() {
    let read = |status, body: &'static str| {
        Converse.decode_error(status, &Bytes::from_static(body.as_bytes()))
    };
    let fault = read(
        403,
        r#"{"message":"The security token included in the request is invalid."}"#,
    );
    assert_eq!(
        (fault.kind.as_str(), fault.message.as_str()),
        (
            "permission_error",
            "The security token included in the request is invalid."
        )
    );
    assert!(fault.provider.is_some() && fault.verbatim.is_none());
    let fault = read(
        400,
        r#"{"__type":"com.amazon.coral.validate#ValidationException","Message":"bad"}"#,
    );
    assert_eq!(
        (fault.kind.as_str(), fault.message.as_str()),
        ("ValidationException", "bad")
    );
    let fault = read(503, "<html>busy</html>");
    assert_eq!(fault.verbatim.unwrap(), "<html>busy</html>");
}

#[test]
fn errors_are_written_as_services_write_them() {
    let written = |status, kind: &str| {
        let fault = Fault {
            kind: kind.into(),
            ..Fault::upstream(status, "no")
        };
        let json: Value = serde_json::from_slice(&Converse.encode_fault(&fault)).unwrap();
        assert_eq!(json["message"], "no");
        json["__type"].as_str().unwrap().to_owned()
    };
    for (status, exception) in [
        (400, "ValidationException"),
        (401, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (413, "ValidationException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (502, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ] {
        assert_eq!(written(status, "api_error"), exception, "{status}");
    }
    assert_eq!(
        written(429, "ModelNotReadyException"),
        "ModelNotReadyException"
    );
}
