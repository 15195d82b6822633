use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    dialect::{
        Egress, Fault, Ingress,
        cohere::{ChatV1, ChatV2, Generate, decode_error},
        openai_chat::OpenAiChat,
        testing::there_and_back,
    },
    llm::{ChatResponse, Choice, Citation, Finish, Logprob, Part, Usage},
};

fn answer(egress: &dyn Egress, body: &Value) -> ChatResponse {
    egress.decode_response(body.to_string().as_bytes()).unwrap()
}

/// As a client of OpenAI's format gets it.
fn as_openai(egress: &dyn Egress, body: &Value) -> Value {
    serde_json::from_slice(&OpenAiChat.encode_response(&answer(egress, body))).unwrap()
}

#[test]
fn v1_answers_are_read() {
    let body = json!({
        "text": "It was 1642.", "generation_id": "g", "response_id": "r", "finish_reason": "COMPLETE",
        "citations": [{"start": 7, "end": 11, "text": "1642", "document_ids": ["web_0", "web_1"]}],
        "documents": [{"id": "web_0", "title": "Newton", "url": "https://example.com/n", "snippet": "born in 1642"}],
        "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 5.0, "output_tokens": 6.0},
            "tokens": {"input_tokens": 70.0, "output_tokens": 7.0}},
    });
    let response = answer(&ChatV1, &body);
    assert_eq!(
        (response.id.as_str(), response.text().as_str()),
        ("g", "It was 1642.")
    );
    let usage = response.usage.unwrap();
    assert_eq!((usage.prompt(), usage.output), (5, 6));
    let citations = &response.choices[0].citations;
    assert_eq!(citations.len(), 2);
    assert_eq!(citations[0].url.as_deref(), Some("https://example.com/n"));
    assert_eq!(citations[1].source.as_deref(), Some("web_1"));
    assert_eq!(
        as_openai(&ChatV1, &body)["choices"][0]["finish_reason"],
        "stop"
    );
}

#[test]
fn other_counts_serve_where_there_are_no_billed_ones() {
    let counts = json!({"prompt_tokens": 3, "response_tokens": 4, "total_tokens": 7});
    let old = answer(&ChatV1, &json!({"text": "x", "token_count": counts}));
    assert_eq!(old.usage.unwrap().total(), 7);
    let counts = json!({"tokens": {"input_tokens": 10, "output_tokens": 2}, "cached_tokens": 8});
    let cached = answer(&ChatV2, &json!({"message": {}, "usage": counts}));
    let usage = cached.usage.unwrap();
    assert_eq!((usage.input, usage.cache_read, usage.output), (2, 8, 2));
    assert_eq!(answer(&ChatV1, &json!({"text": "x"})).usage, None);
}

#[test]
fn v2_answers_are_read() {
    let body = json!({
        "id": "i", "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant", "tool_plan": "I will ask both.",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ""}],
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}},
            ],
        },
        "usage": {"billed_units": {"input_tokens": 37, "output_tokens": 28}, "tokens": {"input_tokens": 913, "output_tokens": 83}},
    });
    let json = as_openai(&ChatV2, &body);
    assert_eq!(
        json["choices"][0]["message"],
        json!({
            "role": "assistant", "content": "I will ask both.", "reasoning_content": "hm",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        })
    );
    assert_eq!(json["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(json["usage"]["total_tokens"], 65);
}

#[test]
fn every_finish_reason_has_a_word() {
    for (cohere, openai) in [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("TOOL_CALL", "tool_calls"),
        ("USER_CANCEL", "stop"),
        ("SOMETHING_NEW", "stop"),
    ] {
        for body in [
            json!({"text": "x", "finish_reason": cohere}),
            json!({"message": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": cohere}),
            json!({"generations": [{"text": "x", "finish_reason": cohere}]}),
        ] {
            let choice = &as_openai(&ChatV2, &body)["choices"][0];
            assert_eq!(choice["finish_reason"], openai, "{cohere}");
        }
    }
}

#[test]
fn answers_that_are_none_are_said_in_kongs_words() {
    let error = |body: &str| {
        ChatV1
            .decode_response(body.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let missing = "'text' or 'generations' missing from cohere response body";
    assert_eq!(error(r#"{"a":1}"#), missing);
    assert_eq!(error(r#"{"message":"flat"}"#), missing);
    assert_eq!(error("<html>"), "failed to decode cohere response");
    assert_eq!(
        error(r#"{"message":{"content":[]},"finish_reason":"ERROR"}"#),
        "the generation failed (ERROR)"
    );
}

#[test]
fn errors_have_openais_types() {
    let body = r#"{"id":"x","message":"invalid api token"}"#;
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (498, "invalid_request_error"),
        (499, "api_error"),
        (500, "api_error"),
        (501, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ] {
        let fault = decode_error(status, &Bytes::from_static(body.as_bytes()));
        assert_eq!((fault.kind.as_str(), fault.status), (kind, status));
        assert_eq!(fault.message, "invalid api token");
        assert_eq!(fault.provider.as_deref(), Some(body));
        assert_eq!(fault.code.is_some(), status == 498);
    }
    let html = Bytes::from_static(b"<html>");
    assert_eq!(decode_error(502, &html).verbatim, Some(html));
    let written = ChatV2.encode_fault(&Fault::invalid(400, "no"));
    assert_eq!(String::from_utf8(written).unwrap(), r#"{"message":"no"}"#);
}

fn said(text: &str) -> Part {
    Part::Text(text.into())
}

fn calls() -> Vec<Part> {
    let call = |id: &str, name: &str, arguments: &str| Part::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    };
    vec![
        said("I will look: é\"\n"),
        call("call_0", "f", r#"{"a":1}"#),
        call("call_1", "now", "{}"),
    ]
}

fn response(parts: Vec<Part>, finish: Finish) -> ChatResponse {
    ChatResponse {
        id: "i".into(),
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 5,
            output: 6,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    }
}

#[test]
fn texts_and_citations_there_and_back() {
    for finish in [Finish::Stop, Finish::Length, Finish::ContentFilter] {
        let mut plain = response(vec![said("In 1642 born")], finish);
        there_and_back(&ChatV1, &ChatV1, &plain);
        there_and_back(&ChatV2, &ChatV2, &plain);
        plain.choices[0].citations = vec![
            Citation {
                url: Some("https://example.com/n".into()),
                title: Some("Newton".into()),
                cited_text: Some("born".into()),
                start: Some(3),
                end: Some(7),
                source: Some("d1".into()),
            },
            Citation {
                start: Some(0),
                end: Some(2),
                source: Some("d2".into()),
                ..Citation::default()
            },
        ];
        there_and_back(&ChatV1, &ChatV1, &plain);
        there_and_back(&ChatV2, &ChatV2, &plain);
        let written = String::from_utf8(ChatV2.encode_response(&plain)).unwrap();
        assert!(written.contains(r#""start":3,"end":7,"text":"1642""#));
    }
}

#[test]
fn calls_reasoning_and_logprobs_there_and_back() {
    there_and_back(&ChatV1, &ChatV1, &response(calls(), Finish::ToolCalls));
    let mut parts = calls();
    parts.insert(
        0,
        Part::Thinking {
            text: "hm".into(),
            signature: None,
        },
    );
    let mut whole = response(parts, Finish::ToolCalls);
    whole.choices[0].logprobs = vec![Logprob {
        token: "I".into(),
        logprob: -0.25,
        ..Logprob::default()
    }];
    there_and_back(&ChatV2, &ChatV2, &whole);
}

#[test]
fn completions_there_and_back() {
    let mut two = response(vec![said("a")], Finish::Stop);
    // The stream of a completion has no id before its end.
    two.id.clear();
    two.choices.push(Choice {
        parts: vec![said("b")],
        finish: Some(Finish::Length),
        ..Choice::default()
    });
    there_and_back(&Generate, &Generate, &two);
}
