//! Whole answers, errors, and round trips.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    dialect::{
        Egress, Fault, Ingress,
        anthropic::{Anthropic, finish, stop_reason},
        openai_chat::OpenAiChat,
        testing::there_and_back,
    },
    llm::{ChatResponse, Choice, Citation, Finish, Part, Usage},
};

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall {
        id: id.into(),
        name: "look".into(),
        arguments: arguments.into(),
        signature: None,
    }
}

#[test]
fn answers_go_there_and_back() {
    let usage = Usage {
        input: 11,
        cache_read: 7,
        cache_write: 5,
        output: 30,
        reasoning: 12,
        ..Usage::default()
    };
    let response = |parts: Vec<Part>, finish: Finish| ChatResponse {
        id: "msg_01".into(),
        model: "claude-opus-5-5".into(),
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        usage: Some(usage),
        ..ChatResponse::default()
    };
    let thinking = Part::Thinking {
        text: "Hm.".into(),
        signature: Some("c2lnbmF0dXJl".into()),
    };
    // Trap 1.13: a proof without text is the normal shape.
    let silent = Part::Thinking {
        text: String::new(),
        signature: Some("c2ln".into()),
    };
    for (parts, finish) in [
        (vec![Part::Text("Grüße 🎉".into())], Finish::Stop),
        (vec![Part::Text("cut".into())], Finish::Length),
        (
            vec![thinking, Part::Text("a".into()), call("t1", r#"{"q":1}"#)],
            Finish::ToolCalls,
        ),
        (
            vec![
                silent,
                Part::Redacted("b3BhcXVl".into()),
                call("t1", "{}"),
                call("t2", r#"{"z":1,"a":[]}"#),
            ],
            Finish::ToolCalls,
        ),
        (vec![], Finish::ContentFilter),
    ] {
        there_and_back(&Anthropic, &Anthropic, &response(parts, finish));
    }
}

#[test]
fn citations_go_there_and_back() {
    let citation = |url: Option<&str>, source: Option<&str>, start: u64, end: u64| Citation {
        url: url.map(str::to_owned),
        title: Some("T".into()),
        cited_text: Some("words".into()),
        start: Some(start),
        end: Some(end),
        source: source.map(str::to_owned),
    };
    let response = ChatResponse {
        choices: vec![Choice {
            parts: vec![Part::Text("The sky ".into()), Part::Text("is blue".into())],
            finish: Some(Finish::Stop),
            citations: vec![
                citation(None, Some("2"), 0, 8),
                citation(Some("https://example.com"), None, 8, 15),
                citation(None, Some("kb/sky"), 8, 15),
            ],
            ..Choice::default()
        }],
        usage: Some(Usage::default()),
        ..ChatResponse::default()
    };
    let wire = Anthropic.encode_response(&response);
    let again = Anthropic.decode_response(&wire).unwrap();
    assert_eq!(format!("{again:?}"), format!("{response:?}"));
}

#[test]
fn stop_reasons_have_a_table() {
    for (word, reason) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("tool_use", Finish::ToolCalls),
        ("refusal", Finish::ContentFilter),
        ("pause_turn", Finish::Other),
        ("something_new", Finish::Other),
    ] {
        assert_eq!(finish(word), reason, "{word}");
        assert_eq!(
            finish(stop_reason(reason, false, false)),
            if reason == Finish::Other {
                Finish::Stop
            } else {
                reason
            }
        );
    }
}

#[test]
fn the_stop_sequence_that_was_met_is_told() {
    let mut response = ChatResponse {
        id: "msg_1".into(),
        model: "m".into(),
        choices: vec![Choice {
            parts: vec![Part::Text("a".into())],
            finish: Some(Finish::Stop),
            stopped: Some("END".into()),
            ..Choice::default()
        }],
        usage: Some(Usage::default()),
        ..ChatResponse::default()
    };
    there_and_back(&Anthropic, &Anthropic, &response);
    let told = |response: &ChatResponse| {
        let json: Value = serde_json::from_slice(&Anthropic.encode_response(response)).unwrap();
        (json["stop_reason"].clone(), json["stop_sequence"].clone())
    };
    assert_eq!(told(&response), (json!("stop_sequence"), json!("END")));
    response.choices[0].stopped = None;
    assert_eq!(told(&response), (json!("end_turn"), Value::Null));
    // As an OpenAI client sees it: in vLLM's field.
    let body = r#"{"id":"m","content":[{"type":"text","text":"a"}],"stop_reason":"stop_sequence","stop_sequence":"END"}"#;
    let response = Anthropic.decode_response(body.as_bytes()).unwrap();
    let seen: Value = serde_json::from_slice(&OpenAiChat.encode_response(&response)).unwrap();
    assert_eq!(seen["choices"][0]["finish_reason"], "stop");
    assert_eq!(seen["choices"][0]["stop_reason"], "END");
}

#[test]
fn what_an_openai_client_sees_of_an_answer() {
    let body = json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [
            {"type": "thinking", "thinking": "Look first.", "signature": "c2ln"},
            {"type": "text", "text": "Let me "},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "look."},
            {"type": "tool_use", "id": "toolu_1", "name": "stock", "input": {"item": "NewPhone", "n": 3}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 20, "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4}, "service_tier": "standard"},
    });
    let response = Anthropic
        .decode_response(body.to_string().as_bytes())
        .unwrap();
    let usage = response.usage.unwrap();
    assert_eq!(
        (usage.input, usage.prompt(), usage.reasoning, usage.output),
        (10, 33, 4, 9)
    );
    let seen: Value = serde_json::from_slice(&OpenAiChat.encode_response(&response)).unwrap();
    let choice = &seen["choices"][0];
    assert_eq!(choice["message"]["content"], "Let me look.");
    assert_eq!(choice["message"]["reasoning_content"], "Look first.");
    assert_eq!(choice["finish_reason"], "tool_calls");
    let calls = &choice["message"]["tool_calls"];
    assert_eq!(
        calls[0]["function"]["arguments"],
        r#"{"item":"NewPhone","n":3}"#
    );
    assert_eq!(calls[1]["function"]["arguments"], "{}");
    assert_eq!(seen["usage"]["prompt_tokens"], 33);
    // The provider's own blocks are there for a client of the provider's format.
    let again: Value = serde_json::from_slice(&Anthropic.encode_response(&response)).unwrap();
    assert_eq!(again["content"], body["content"]);
}

#[test]
fn an_answer_without_content_is_none_and_strange_counts_are_zero() {
    for body in [
        r#"{"a":1}"#,
        r#"{"content":"x"}"#,
        r#"{"type":"error","error":{}}"#,
    ] {
        assert_eq!(
            Anthropic
                .decode_response(body.as_bytes())
                .unwrap_err()
                .to_string(),
            "'content' not in anthropic://llm/v1/chat response"
        );
    }
    let usage = |usage: Value| {
        let body = json!({"content": [], "usage": usage}).to_string();
        Anthropic.decode_response(body.as_bytes()).unwrap().usage
    };
    assert_eq!(usage(json!({"foo": 1})), Some(Usage::default()));
    assert_eq!(usage(Value::Null), None);
}

#[test]
fn errors_are_moved_into_the_clients_shape() {
    let body = Bytes::from_static(
        br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
    );
    let fault = Anthropic.decode_error(529, &body);
    assert_eq!(
        (fault.kind.as_str(), fault.message.as_str()),
        ("overloaded_error", "Overloaded")
    );
    let seen: Value = serde_json::from_slice(&OpenAiChat.encode_fault(&fault)).unwrap();
    assert_eq!(seen["error"]["type"], "overloaded_error");
    assert_eq!(seen["error"]["provider"]["request_id"], "req_1");
    // A client of this format gets it as it came.
    assert_eq!(Anthropic.encode_fault(&fault), body);

    let html = Bytes::from_static(b"<html>");
    assert_eq!(Anthropic.decode_error(502, &html).verbatim, Some(html));
    let bare = Bytes::from_static(br#"{"message":"no route"}"#);
    let fault = Anthropic.decode_error(404, &bare);
    assert_eq!(
        (fault.kind.as_str(), fault.message.as_str()),
        ("invalid_request_error", "no route")
    );
}

#[test]
fn faults_have_documented_types() {
    let kind = |kind: &str, status: u16| {
        let fault = Fault {
            status,
            kind: kind.into(),
            message: "m".into(),
            ..Fault::default()
        };
        let json: Value = serde_json::from_slice(&Anthropic.encode_fault(&fault)).unwrap();
        assert_eq!(json["type"], "error");
        json["error"]["type"].as_str().unwrap().to_owned()
    };
    for (own, status, expected) in [
        ("invalid_request_error", 400, "invalid_request_error"),
        ("invalid_request_error", 404, "not_found_error"),
        ("invalid_request_error", 413, "request_too_large"),
        ("invalid_request_error", 422, "invalid_request_error"),
        ("upstream_error", 504, "timeout_error"),
        ("upstream_error", 502, "api_error"),
        ("configuration_error", 500, "api_error"),
        ("rate_limit_error", 429, "rate_limit_error"),
        ("overloaded_error", 503, "overloaded_error"),
        ("insufficient_quota", 429, "rate_limit_error"),
    ] {
        assert_eq!(kind(own, status), expected, "{own} {status}");
    }
}

#[test]
fn a_refusal_of_another_provider_is_one_here() {
    let response = ChatResponse {
        choices: vec![Choice {
            parts: vec![Part::Refusal("I cannot.".into())],
            finish: Some(Finish::Stop),
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    let json: Value = serde_json::from_slice(&Anthropic.encode_response(&response)).unwrap();
    assert_eq!(json["stop_reason"], "refusal");
    assert_eq!(json["content"][0]["text"], "I cannot.");
}
