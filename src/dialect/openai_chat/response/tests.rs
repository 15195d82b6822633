use super::*;
use crate::{
    dialect::{Egress, Error, Ingress, openai_chat::OpenAiChat, testing::there_and_back},
    llm::{Citation, Event, Finish, Logprob, Sink, Usage, events_of},
};

fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    OpenAiChat.decode_response(body)
}

fn encoded(response: &ChatResponse) -> Value {
    serde_json::from_slice(&OpenAiChat.encode_response(response)).unwrap()
}

fn parts(body: &Value) -> Vec<String> {
    let response = decode(body.to_string().as_bytes()).unwrap();
    let parts = response.choices[0].parts.iter();
    parts.map(|part| format!("{part:?}")).collect()
}

/// An answer with one message of OpenAI's.
fn answer(message: &Value) -> Value {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
}

#[test]
fn a_whole_answer_is_read() {
    let body = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","system_fingerprint":"fp_1",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"annotations":[],
          "tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
          "logprobs":null,"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
          "prompt_tokens_details":{"cached_tokens":16,"audio_tokens":0},
          "completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}},"service_tier":"default"}"#;
    let response = decode(body).unwrap();
    assert_eq!(response.text(), "Hello");
    assert_eq!(response.choices[0].finish, Some(Finish::ToolCalls));
    assert_eq!(
        (response.created, response.fingerprint.as_deref()),
        (Some(1_700_000_000), Some("fp_1"))
    );
    let usage = response.usage.unwrap();
    assert_eq!(
        (usage.input, usage.cache_read, usage.output, usage.reasoning),
        (3, 16, 10, 4)
    );
    assert_eq!((usage.prompt(), usage.total()), (19, 29));
}

#[test]
fn an_answer_without_choices_is_none() {
    for body in [&br#"{"a":1}"#[..], br#"{"choices":null}"#] {
        assert_eq!(
            decode(body).unwrap_err().to_string(),
            "'choices' not in llm/v1/chat response"
        );
    }
    assert!(decode(b"<html>").is_err());
    assert!(decode(br#"{"choices":[]}"#).unwrap().choices.is_empty());
}

#[test]
fn departures_are_read_leniently() {
    let body = br#"{"choices":[{"message":{"content":[{"type":"text","text":"x"}],"reasoning":"why"},"finish_reason":null},
        {"messages":{}}, {"text":"t"}], "usage":{"prompt_tokens":null,"completion_tokens":2.0}}"#;
    let response = decode(body).unwrap();
    assert_eq!(response.choices.len(), 3);
    assert!(matches!(&response.choices[0].parts[0], Part::Thinking { text, .. } if text == "why"));
    assert_eq!(response.text(), "x");
    assert!(matches!(&response.choices[2].parts[0], Part::Text(text) if text == "t"));
    assert_eq!(response.usage.unwrap().output, 2);
}

#[test]
fn mistrals_blocks_are_reasoning_and_text() {
    // https://docs.mistral.ai/studio-api/conversations/reasoning
    let message = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Two and "}, {"type": "text", "text": "two."}], "closed": true},
        {"type": "text", "text": "Four."}, {"type": "reference", "reference_ids": [1]}, 7,
    ], "tool_calls": null});
    assert_eq!(
        parts(&answer(&message)),
        [
            r#"Thinking { text: "Two and two.", signature: None }"#,
            r#"Text("Four.")"#
        ]
    );
}

#[test]
fn trap_1_13_signatures_are_preferred_to_bare_reasoning() {
    let message = json!({"content": "hi", "reasoning_content": "ab", "thinking_blocks": [
        {"type": "thinking", "thinking": "a", "signature": "s1"}, {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "", "signature": "s2"}]});
    assert_eq!(
        parts(&answer(&message)),
        [
            r#"Thinking { text: "a", signature: Some("s1") }"#,
            r#"Redacted("d")"#,
            r#"Thinking { text: "", signature: Some("s2") }"#,
            r#"Text("hi")"#,
        ]
    );
    let message = json!({"reasoning_content": "ab", "thinking_blocks": []});
    assert_eq!(
        parts(&answer(&message)),
        [r#"Thinking { text: "ab", signature: None }"#]
    );
}

#[test]
fn calls_are_read_in_every_form() {
    let message = json!({"content": null, "tool_calls": [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":"}},
        {"index": 0, "id": "b", "function": {"name": "now", "arguments": ""}},
        {"id": "c", "function": {"name": "g", "arguments": {"y": 1}}, "extra_content": {"google": {"thought_signature": "s"}}},
        {"function": {"name": "h"}, "provider_specific_fields": {"thought_signature": "t"}}, {"id": "e"}]});
    assert_eq!(
        parts(&answer(&message)),
        [
            r#"ToolCall { id: "a", name: "f", arguments: "{\"x\":", signature: None }"#,
            r#"ToolCall { id: "b", name: "now", arguments: "{}", signature: None }"#,
            r#"ToolCall { id: "c", name: "g", arguments: "{\"y\":1}", signature: Some("s") }"#,
            r#"ToolCall { id: "call_3", name: "h", arguments: "{}", signature: Some("t") }"#,
            r#"ToolCall { id: "e", name: "", arguments: "{}", signature: None }"#,
        ]
    );
    let legacy = json!({"content": null, "function_call": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        parts(&answer(&legacy)),
        [r#"ToolCall { id: "f", name: "f", arguments: "{}", signature: None }"#]
    );
}

#[test]
fn every_finish_reason_is_known() {
    for (reason, finish) in [
        ("stop", Finish::Stop),
        ("length", Finish::Length),
        ("tool_calls", Finish::ToolCalls),
        ("function_call", Finish::ToolCalls),
        ("content_filter", Finish::ContentFilter),
        ("eos", Finish::Stop),
        ("eos_token", Finish::Stop),
        ("model_length", Finish::Length),
        ("insufficient_system_resource", Finish::Length),
        ("sensitive", Finish::ContentFilter),
        ("error", Finish::Other),
    ] {
        let body = json!({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]});
        let response = decode(body.to_string().as_bytes()).unwrap();
        assert_eq!(response.choices[0].finish, Some(finish), "{reason}");
    }
}

#[test]
fn a_plain_answer_has_role_and_content_alone() {
    let response = ChatResponse {
        id: "a".into(),
        model: "m".into(),
        created: Some(5),
        choices: vec![Choice {
            parts: vec![Part::Text("hi".into())],
            finish: Some(Finish::Stop),
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    assert_eq!(
        encoded(&response),
        json!({"id": "a", "object": "chat.completion", "created": 5, "model": "m", "system_fingerprint": null, "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "logprobs": null, "finish_reason": "stop"}]})
    );
}

#[test]
fn content_is_null_only_beside_something_else() {
    let of = |parts: Vec<Part>| {
        let choice = Choice {
            parts,
            ..Choice::default()
        };
        message(&choice)["content"].clone()
    };
    assert_eq!(of(vec![]), "");
    assert_eq!(of(vec![Part::Refusal("no".into())]), Value::Null);
    let call = Part::ToolCall {
        id: "c".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: None,
    };
    assert_eq!(of(vec![call]), Value::Null);
}

/// Everything that an answer of chat can hold.
pub(crate) fn everything() -> ChatResponse {
    let call = |id: &str, signature: Option<&str>| Part::ToolCall {
        id: id.into(),
        name: format!("tool_{id}"),
        arguments: r#"{"a":[1,"é"]}"#.into(),
        signature: signature.map(str::to_owned),
    };
    let thinking = |text: &str, signature: Option<&str>| Part::Thinking {
        text: text.into(),
        signature: signature.map(str::to_owned),
    };
    let token = |token: &str, top: Vec<Logprob>| Logprob {
        token: token.into(),
        logprob: -0.5,
        bytes: Some(token.as_bytes().to_vec()),
        top,
    };
    let rich = Choice {
        parts: vec![
            thinking("First, ", Some("c2ln")),
            Part::Redacted("ZGF0YQ==".into()),
            thinking("", Some("only")),
            thinking("last", Some("end")),
            Part::Text("It is\n\"4\".".into()),
            call("c1", Some("gemini")),
            call("c2", None),
        ],
        finish: Some(Finish::ToolCalls),
        citations: vec![
            Citation {
                url: Some("https://example.com".into()),
                title: Some("Example".into()),
                start: Some(3),
                end: Some(5),
                ..Citation::default()
            },
            Citation {
                cited_text: Some("words".into()),
                source: Some("doc".into()),
                ..Citation::default()
            },
        ],
        logprobs: vec![token("It", vec![token("It", vec![]), token("So", vec![])])],
        ..Choice::default()
    };
    let refused = Choice {
        parts: vec![thinking("hm", None), Part::Refusal("I will not.".into())],
        finish: Some(Finish::ContentFilter),
        logprobs: vec![token("I", vec![])],
        ..Choice::default()
    };
    ChatResponse {
        extra: None,
        id: "chatcmpl-9".into(),
        model: "m".into(),
        created: Some(1_700_000_000),
        fingerprint: Some("fp_1".into()),
        choices: vec![rich, refused],
        usage: Some(Usage {
            input: 10,
            cache_read: 4,
            cache_write: 2,
            output: 30,
            reasoning: 12,
            input_audio: 1,
            output_audio: 3,
            estimated: false,
        }),
    }
}

#[test]
fn everything_survives_there_and_back() {
    there_and_back(&OpenAiChat, &OpenAiChat, &everything());
    let json = encoded(&everything());
    let message = &json["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "First, last");
    assert_eq!(message["thinking_blocks"][1]["data"], "ZGF0YQ==");
    assert_eq!(
        message["tool_calls"][0]["extra_content"]["google"]["thought_signature"],
        "gemini"
    );
    assert_eq!(
        message["annotations"][0],
        json!({"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "Example", "start_index": 3, "end_index": 5}})
    );
    let refused = &json["choices"][1];
    assert!(refused["logprobs"]["content"].is_null());
    assert_eq!(refused["logprobs"]["refusal"][0]["token"], "I");
    assert!(refused["message"].get("thinking_blocks").is_none());
}

#[test]
fn the_stop_sequence_that_was_met_is_told() {
    let mut response = ChatResponse {
        id: "c".into(),
        choices: vec![
            Choice {
                parts: vec![Part::Text("a".into())],
                finish: Some(Finish::Stop),
                stopped: Some("E\"ND".into()),
                ..Choice::default()
            },
            Choice {
                parts: vec![Part::Text("b".into())],
                finish: Some(Finish::Stop),
                ..Choice::default()
            },
        ],
        usage: Some(Usage::default()),
        ..ChatResponse::default()
    };
    there_and_back(&OpenAiChat, &OpenAiChat, &response);
    let json = encoded(&response);
    assert_eq!(json["choices"][0]["stop_reason"], "E\"ND");
    assert!(json["choices"][1].get("stop_reason").is_none());
    // vLLM tells a token by its number; SGLang has another name; elsewhere the field is the finish reason.
    for (field, stopped) in [
        (json!({"stop_reason": "END"}), Some("END")),
        (json!({"matched_stop": "END"}), Some("END")),
        (json!({"stop_reason": null, "matched_stop": 2}), None),
        (json!({"stop_reason": 128_009}), None),
        (json!({"stop_reason": "stop"}), None),
        (json!({"stop_reason": "end_turn"}), None),
        (
            json!({"stop_reason": "END", "finish_reason": "length"}),
            None,
        ),
    ] {
        let mut choice = json!({"message": {"content": "x"}, "finish_reason": "stop"});
        choice
            .as_object_mut()
            .unwrap()
            .extend(field.as_object().unwrap().clone());
        let body = json!({"choices": [choice]}).to_string();
        response = decode(body.as_bytes()).unwrap();
        assert_eq!(response.choices[0].stopped.as_deref(), stopped, "{body}");
    }
}

#[test]
fn perplexitys_sources_are_citations() {
    let body = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "citations": ["https://a", "https://b"],
        "search_results": [{"title": "A", "url": "https://a", "date": null}]});
    let response = decode(body.to_string().as_bytes()).unwrap();
    assert_eq!(response.choices[0].citations.len(), 1);
    assert_eq!(response.choices[0].citations[0].title.as_deref(), Some("A"));
}

#[test]
fn what_is_heard_is_what_is_read() {
    let told = |tell: &dyn Fn(&mut dyn Sink)| {
        let mut all = Vec::new();
        tell(&mut |event: Event<'_>| {
            // These have no place among what a record keeps of an answer.
            if !matches!(event, Event::Citation { .. } | Event::Logprobs { .. }) {
                all.push(format!("{event:?}"));
            }
        });
        all
    };
    let call = json!({"id": "a", "function": {"name": "f"}});
    for body in [
        encoded(&everything()),
        answer(&json!({"content": "hi"})),
        answer(&json!({"content": null, "refusal": "no", "reasoning": "why"})),
        answer(
            &json!({"content": [{"type": "thinking", "thinking": "a"}, {"text": "b"}, {"thinking": "c"}]}),
        ),
        answer(&json!({"content": "x", "tool_calls": [call, call]})),
        answer(
            &json!({"content": "x", "thinking_blocks": [{"thinking": "t", "signature": "s"}, {"data": "d"}]}),
        ),
        json!({"choices": []}),
        json!({"id": "i", "model": "m", "created": 3, "usage": {"prompt_tokens": 2, "completion_tokens": 1}, "choices": [
            {"message": {"content": "a"}, "finish_reason": null}, {"text": "b"}, {},
            {"message": {"content": "c"}, "finish_reason": "length", "stop_reason": "x"},
            {"message": {"content": "d"}, "finish_reason": "stop", "stop_reason": "END"}]}),
    ] {
        let body = body.to_string();
        let heard = told(&|sink| OpenAiChat.hear_response(body.as_bytes(), sink).unwrap());
        let read = told(&|sink| events_of(&decode(body.as_bytes()).unwrap(), sink));
        assert_eq!(heard, read, "{body}");
    }
    for body in ["{}", "[]", "", r#"{"choices":3}"#] {
        let heard = OpenAiChat.hear_response(body.as_bytes(), &mut |_: Event<'_>| ());
        assert_eq!(
            heard.unwrap_err().to_string(),
            decode(body.as_bytes()).unwrap_err().to_string()
        );
    }
}
