//! Whole answers, and both forms there and back.

use serde_json::{Value, json};

use crate::{
    dialect::{
        Egress, Ingress,
        openai_responses::OpenAiResponses,
        testing::{streamed, there_and_back},
    },
    llm::{ChatResponse, Choice, Citation, Finish, Logprob, Part, Usage},
};

pub(super) fn response(parts: Vec<Part>, finish: Finish) -> ChatResponse {
    ChatResponse {
        id: "resp_1".into(),
        model: "m".into(),
        created: Some(7),
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 3,
            output: 4,
            ..Usage::default()
        }),
        ..ChatResponse::default()
    }
}

pub(super) fn call(id: &str, signature: Option<&str>) -> Part {
    Part::ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: r#"{"a":1}"#.into(),
        signature: signature.map(str::to_owned),
    }
}

fn encoded(response: &ChatResponse, request: &Value) -> Value {
    let echo = OpenAiResponses.echo(request.to_string().as_bytes());
    serde_json::from_slice(&OpenAiResponses.encode_echoing(response, &echo)).unwrap()
}

#[test]
fn answers_survive_a_round_trip() {
    let thinking = |text: &str, signature: Option<&str>| Part::Thinking {
        text: text.into(),
        signature: signature.map(str::to_owned),
    };
    for parts in [
        vec![Part::Text("Grüße 🎉".into())],
        vec![Part::Refusal("No.".into())],
        vec![thinking("Hm.", None), Part::Text("a".into())],
        vec![thinking("Hm.", Some("EqQB+/=")), Part::Text("a".into())],
        // The normal shape of reasoning that is kept to itself (TRAPS 1.13).
        vec![
            thinking("", Some("c2ln")),
            Part::Redacted("ZGF0YQ==".into()),
        ],
        vec![thinking("Own.", Some("openai:rs_9:gAAA"))],
        vec![Part::Text("a".into()), Part::Refusal("b".into())],
    ] {
        let response = response(parts, Finish::Stop);
        there_and_back(&OpenAiResponses, &OpenAiResponses, &response);
    }
    for parts in [
        vec![call("c1", None), call("c2", None)],
        vec![
            Part::Text("So:".into()),
            call("c1", Some("proof")),
            call("c2", Some("pröof")),
        ],
        vec![
            call("c1", None),
            Part::Text("after".into()),
            call("c2", None),
        ],
    ] {
        let response = response(parts, Finish::ToolCalls);
        there_and_back(&OpenAiResponses, &OpenAiResponses, &response);
    }
    for finish in [Finish::Length, Finish::ContentFilter] {
        let response = response(vec![Part::Text("cut".into())], finish);
        there_and_back(&OpenAiResponses, &OpenAiResponses, &response);
    }
    there_and_back(
        &OpenAiResponses,
        &OpenAiResponses,
        &response(vec![], Finish::Stop),
    );
}

#[test]
fn citations_and_probabilities_survive_a_round_trip() {
    let mut response = response(
        vec![Part::Text("First. ".into()), Part::Text("Second.".into())],
        Finish::Stop,
    );
    let cited = |start: u64, url: &str| Citation {
        url: Some(url.into()),
        title: Some("T".into()),
        start: Some(start),
        end: Some(start + 5),
        ..Citation::default()
    };
    let token = |token: &str, top: Vec<Logprob>| Logprob {
        token: token.into(),
        logprob: -0.25,
        bytes: Some(token.bytes().collect()),
        top,
    };
    let choice = &mut response.choices[0];
    choice.citations = vec![
        cited(0, "https://example.com/a"),
        cited(7, "https://example.com/b"),
    ];
    choice.logprobs = vec![
        token("Second", vec![token("Third", vec![])]),
        token(".", vec![]),
    ];
    there_and_back(&OpenAiResponses, &OpenAiResponses, &response);
    let json = encoded(&response, &json!({}));
    let second = &json["output"][0]["content"][1];
    assert_eq!(second["annotations"][0]["start_index"], 0);
    assert_eq!(second["logprobs"][0]["top_logprobs"][0]["token"], "Third");
}

#[test]
fn the_object_is_complete_and_repeats_its_request() {
    let mut answer = response(vec![Part::Text("Hi".into())], Finish::Stop);
    answer.id = "chatcmpl-x".into();
    let json = encoded(
        &answer,
        &json!({"model": "other", "input": "Hello", "instructions": "Be kind.",
        "temperature": 0.5, "text": {"verbosity": "low"}, "store": false, "metadata": {"k": "v"}, "stream": true,
        "tools": [{"type": "function", "name": "f", "parameters": {}}], "service_tier": "auto"}),
    );
    let expected = json!({
        "id": "resp_x", "object": "response", "created_at": 7, "status": "completed", "error": null, "incomplete_details": null,
        "background": false, "instructions": "Be kind.", "max_output_tokens": null, "max_tool_calls": null, "model": "m",
        "output": [{"id": "msg_x_0", "type": "message", "status": "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"}], "role": "assistant"}],
        "parallel_tool_calls": true, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": "default", "store": false,
        "temperature": 0.5, "text": {"format": {"type": "text"}, "verbosity": "low"}, "tool_choice": "auto",
        "tools": [{"type": "function", "name": "f", "parameters": {}}], "top_logprobs": 0, "top_p": 1.0,
        "truncation": "disabled",
        "usage": {"input_tokens": 3, "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0}, "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7},
        "user": null, "metadata": {"k": "v"}});
    assert_eq!(json.to_string(), expected.to_string());
    answer.usage = None;
    assert!(encoded(&answer, &json!({}))["usage"].is_null());
}

#[test]
fn custom_tools_and_namespaces_are_told_as_they_were_declared() {
    let request = json!({"tools": [
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "crm", "description": "", "tools": [{"type": "function", "name": "find"}]}]});
    let made = |name: &str, arguments: &str| Part::ToolCall {
        id: "c".into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    };
    let patch = "*** Begin\n+\"x\"";
    let parts = vec![
        made("apply_patch", &json!({"input": patch}).to_string()),
        made("crm__find", "{}"),
        made("apply_patch", "no JSON"),
    ];
    let json = encoded(&response(parts, Finish::ToolCalls), &request);
    let [first, second, third] = &json["output"].as_array().unwrap()[..] else {
        panic!("{json}")
    };
    assert_eq!(
        (&first["type"], &first["input"], &first["call_id"]),
        (&json!("custom_tool_call"), &json!(patch), &json!("c"))
    );
    assert_eq!(
        (&second["name"], &second["namespace"]),
        (&json!("find"), &json!("crm"))
    );
    assert_eq!(third["input"], "no JSON");
}

#[test]
fn what_openai_answers_is_read() {
    let body = json!({
        "id": "resp_68", "object": "response", "created_at": 1_754_000_000, "status": "completed", "model": "gpt-5-2025-08-07",
        "error": null, "incomplete_details": null,
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}],
                "encrypted_content": "gAAAA"},
            {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "Hé.", "logprobs": [],
                    "annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}]}]},
            {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_2", "name": "g", "input": "a\"b"}],
        "usage": {"input_tokens": 75, "input_tokens_details": {"cached_tokens": 25}, "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 84}});
    let read = OpenAiResponses
        .decode_response(body.to_string().as_bytes())
        .unwrap();
    assert_eq!(
        (read.id.as_str(), read.created),
        ("resp_68", Some(1_754_000_000))
    );
    let choice = &read.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let [
        Part::Thinking { text, signature },
        Part::Text(said),
        Part::ToolCall { id, .. },
        Part::ToolCall { arguments, .. },
    ] = &choice.parts[..]
    else {
        panic!("{choice:?}")
    };
    assert_eq!(
        (text.as_str(), signature.as_deref()),
        ("A\n\nB", Some("openai:rs_1:gAAAA"))
    );
    assert_eq!((said.as_str(), id.as_str()), ("Hé.", "call_1"));
    assert_eq!(arguments, r#"{"input":"a\"b"}"#);
    assert_eq!(choice.citations[0].end, Some(2));
    let usage = read.usage.unwrap();
    assert_eq!(
        (
            usage.input,
            usage.cache_read,
            usage.reasoning,
            usage.total()
        ),
        (50, 25, 5, 84)
    );
}

#[test]
fn ends_are_read_and_written() {
    for (status, details, finish) in [
        ("completed", Value::Null, Some(Finish::Stop)),
        (
            "incomplete",
            json!({"reason": "max_output_tokens"}),
            Some(Finish::Length),
        ),
        (
            "incomplete",
            json!({"reason": "content_filter"}),
            Some(Finish::ContentFilter),
        ),
        ("incomplete", json!({"reason": "new"}), Some(Finish::Other)),
        ("queued", Value::Null, None),
    ] {
        let body = json!({"status": status, "incomplete_details": details, "output": []});
        let read = OpenAiResponses
            .decode_response(body.to_string().as_bytes())
            .unwrap();
        assert_eq!(read.choices[0].finish, finish, "{status}");
    }
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "Oh."}, "output": []});
    let error = OpenAiResponses
        .decode_response(failed.to_string().as_bytes())
        .unwrap_err();
    assert_eq!(error.to_string(), "server_error: Oh.");
    let none = OpenAiResponses.decode_response(b"{}").unwrap_err();
    assert_eq!(
        none.to_string(),
        "'output' not in llm/v1/responses response"
    );

    let cut = encoded(
        &response(
            vec![Part::Text("a".into()), call("c", None)],
            Finish::Length,
        ),
        &json!({}),
    );
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    // What was whole before the end stays so.
    assert_eq!(
        (&cut["output"][0]["status"], &cut["output"][1]["status"]),
        (&json!("completed"), &json!("incomplete"))
    );
}

#[test]
fn a_text_that_stays_empty_is_no_item() {
    let answer = response(
        vec![Part::Text(String::new()), call("c", None)],
        Finish::ToolCalls,
    );
    let stream = String::from_utf8(streamed(&OpenAiResponses, &answer)).unwrap();
    assert!(!stream.contains("\"message\"") && stream.contains("\"output_index\":0"));
}
