use bytes::BytesMut;
use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::testing::{events, there_and_back},
    llm::{Choice, Event, Extra, Logprob, Media, Message, OutputFormat, Part, Role, Tool, Usage},
};

fn read(body: &Value) -> ChatRequest {
    OpenAiCompletions
        .decode_request(body.to_string().as_bytes())
        .unwrap()
}

fn refused(body: &Value) -> String {
    let error = OpenAiCompletions.decode_request(body.to_string().as_bytes());
    error.unwrap_err().to_string()
}

fn written(request: &ChatRequest) -> (Value, Vec<String>) {
    let Encoded { body, lost, .. } = OpenAiCompletions.encode_request(request).unwrap();
    let lost = lost.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), lost)
}

#[test]
fn a_request_survives_a_round_trip() {
    let body = json!({
        "model": "gpt-3.5-turbo-instruct", "prompt": "Say this", "max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "top_k": 3,
        "stop": ["\n"], "seed": 1, "n": 2, "frequency_penalty": 0.5, "presence_penalty": 0.5, "logprobs": 2, "user": "u",
        "stream": true, "stream_options": {"include_usage": true},
        "suffix": "end", "echo": true, "best_of": 3, "logit_bias": {"1": 2},
    });
    let request = read(&body);
    assert_eq!(
        (request.sampling.logprobs, request.sampling.top_logprobs),
        (Some(true), Some(2))
    );
    let extra: Vec<&str> = request
        .extra
        .iter()
        .flat_map(|extra| extra.fields.keys().map(String::as_str))
        .collect();
    assert_eq!(extra, ["suffix", "echo", "best_of", "logit_bias"]);
    assert_eq!(written(&request), (body, vec![]));
}

#[test]
fn one_prompt_is_one_message() {
    for prompt in [json!("a"), json!(["a"])] {
        let request = read(&json!({"prompt": prompt}));
        assert!(
            matches!(request.messages.as_slice(), [Message { role: Role::User, parts, .. }] if matches!(parts.as_slice(), [Part::Text(text)] if text == "a"))
        );
    }
    assert!(read(&json!({"prompt": null})).messages.is_empty());
    for (prompt, why) in [
        (
            json!(["a", "b"]),
            "the provider cannot take several prompts",
        ),
        (json!([1, 2]), "the provider cannot take a prompt of tokens"),
        (
            json!([[1, 2]]),
            "the provider cannot take a prompt of tokens",
        ),
        (
            json!([[1], [2]]),
            "the provider cannot take several prompts",
        ),
        (json!({}), "`prompt` is neither a string nor a list"),
    ] {
        assert_eq!(refused(&json!({"prompt": prompt})), why);
    }
}

#[test]
fn a_conversation_is_told_as_its_texts() {
    let mut request = ChatRequest {
        messages: vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Hi"),
            Message::text(Role::Assistant, "Hello."),
        ],
        output: OutputFormat::JsonObject,
        extra: Some(Extra {
            from: Format::Gemini,
            fields: serde_json::from_value(json!({"safetySettings": []})).unwrap(),
        }),
        ..ChatRequest::default()
    };
    request.reasoning.effort = Some("low".into());
    let (json, lost) = written(&request);
    assert_eq!(json, json!({"prompt": "Be brief.\n\nHi\n\nHello."}));
    assert_eq!(
        lost,
        [
            "dropped:response_format",
            "dropped:reasoning_effort",
            "dropped:safetySettings"
        ]
    );
}

#[test]
fn what_a_completion_cannot_hold_is_refused() {
    let image = Part::Image {
        source: Media::Url("https://example.com/a.png".into()),
        detail: None,
    };
    let with_image = ChatRequest {
        messages: vec![Message {
            role: Role::User,
            name: None,
            parts: vec![image],
        }],
        ..ChatRequest::default()
    };
    let with_tools = ChatRequest {
        tools: vec![Tool {
            name: "f".into(),
            description: None,
            parameters: None,
            strict: None,
        }],
        ..ChatRequest::default()
    };
    for request in [with_image, with_tools] {
        assert!(matches!(
            OpenAiCompletions.encode_request(&request),
            Err(Error::Unsupported { .. })
        ));
    }
}

fn response() -> ChatResponse {
    let choice = |text: &str, finish: Finish| Choice {
        parts: vec![Part::Text(text.into())],
        finish: Some(finish),
        ..Choice::default()
    };
    ChatResponse {
        extra: None,
        id: "cmpl-1".into(),
        model: "m".into(),
        created: Some(5),
        fingerprint: Some("fp".into()),
        choices: vec![
            Choice {
                logprobs: vec![Logprob {
                    token: "a\"é".into(),
                    logprob: -0.5,
                    bytes: None,
                    top: vec![Logprob {
                        token: "b".into(),
                        logprob: -1.5,
                        ..Logprob::default()
                    }],
                }],
                ..choice("a\"é", Finish::Length)
            },
            choice("other", Finish::ContentFilter),
        ],
        usage: Some(Usage {
            input: 3,
            cache_read: 1,
            output: 4,
            ..Usage::default()
        }),
    }
}

#[test]
fn answers_survive_there_and_back() {
    there_and_back(&OpenAiCompletions, &OpenAiCompletions, &response());
    let json: Value =
        serde_json::from_slice(&OpenAiCompletions.encode_response(&response())).unwrap();
    assert_eq!(json["object"], "text_completion");
    assert_eq!(
        json["choices"][0],
        json!({"text": "a\"é", "index": 0, "finish_reason": "length",
            "logprobs": {"tokens": ["a\"é"], "token_logprobs": [-0.5], "top_logprobs": [{"b": -1.5}], "text_offset": [0]}})
    );
}

#[test]
fn an_answer_without_choices_is_none() {
    let error = OpenAiCompletions.decode_response(b"{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "'choices' not in llm/v1/completions response"
    );
}

#[test]
fn a_stream_is_read_under_every_split() {
    let stream = concat!(
        r#"data: {"id":"cmpl-1","object":"text_completion","created":5,"choices":[{"text":"Hé","index":0,"logprobs":null,"finish_reason":null}],"model":"m"}"#,
        "\n\n",
        r#"data: {"id":"cmpl-1","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}"#,
        "\n\n",
        r#"data: {"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let events = events(&OpenAiCompletions, "text/event-stream", stream.as_bytes());
    assert_eq!(events.len(), 7, "{events:#?}");
    assert_eq!(events[2], r#"Text { part: 0, text: "Hé" }"#);
    assert_eq!(events[6], "End");
}

#[test]
fn chunks_are_openais_to_the_byte() {
    let (mut encoder, mut out) = (OpenAiCompletions.stream_encoder(false), BytesMut::new());
    let mut one = response();
    one.choices.truncate(1);
    one.choices[0].logprobs.clear();
    one.fingerprint = None;
    crate::llm::events_of(&one, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    encoder.event(&Event::End, &mut out);
    let head =
        r#"data: {"id":"cmpl-1","object":"text_completion","created":5,"model":"m","choices":"#;
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        format!(
            "{head}[{{\"text\":\"a\\\"é\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}}]}}\n\n\
             {head}[{{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\"}}]}}\n\ndata: [DONE]\n\n"
        )
    );
}

#[test]
fn a_failure_ends_the_stream_without_its_marker() {
    let (mut encoder, mut out) = (OpenAiCompletions.stream_encoder(true), BytesMut::new());
    let failed = Event::Failed {
        kind: "k".into(),
        message: "m".into(),
        status: Some(500),
    };
    encoder.event(&failed, &mut out);
    encoder.event(&Event::End, &mut out);
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        "data: {\"error\":{\"message\":\"m\",\"type\":\"k\",\"code\":\"500\",\"param\":null}}\n\n"
    );
}

#[test]
fn thoughts_and_calls_have_no_place() {
    let answer = ChatResponse {
        choices: vec![Choice {
            parts: vec![
                Part::Thinking {
                    text: "hm".into(),
                    signature: None,
                },
                Part::Text("x".into()),
                Part::ToolCall {
                    id: "c".into(),
                    name: "f".into(),
                    arguments: "{}".into(),
                    signature: None,
                },
            ],
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    let json: Value = serde_json::from_slice(&OpenAiCompletions.encode_response(&answer)).unwrap();
    assert_eq!(
        (
            &json["choices"][0]["text"],
            &json["choices"][0]["finish_reason"]
        ),
        (&json!("x"), &json!("stop"))
    );
    let stream = crate::dialect::testing::streamed(&OpenAiCompletions, &answer);
    let stream = String::from_utf8(stream).unwrap();
    assert_eq!(stream.matches(r#""text":"x""#).count(), 1);
    assert!(!stream.contains("hm") && !stream.contains("{}}"));
}
