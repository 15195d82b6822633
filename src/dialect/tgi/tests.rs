use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::{
        Loss,
        openai_chat::OpenAiChat,
        testing::{answer, as_openai, events, there_and_back},
    },
    llm::{Choice, EmbedInput, Event, Message, Part, Role, Sampling, Usage},
};

const SSE: &str = "text/event-stream";

fn sent(egress: &dyn Egress, request: &ChatRequest) -> (Value, Vec<String>) {
    let encoded = egress.encode_request(request).unwrap();
    let body = serde_json::from_slice(&encoded.body).unwrap();
    (body, encoded.lost.iter().map(Loss::to_string).collect())
}

fn from_openai(request: &Value) -> ChatRequest {
    OpenAiChat
        .decode_request(request.to_string().as_bytes())
        .unwrap()
}

#[test]
fn a_completion_is_asked() {
    let request = ChatRequest {
        model: Some("org/m".into()),
        messages: vec![Message::text(Role::User, "Once")],
        sampling: Sampling {
            max_tokens: Some(9),
            temperature: Some(0.7),
            top_p: Some(0.9),
            top_k: Some(5),
            stop: vec!["x".into()],
            seed: Some(1),
            frequency_penalty: Some(0.5),
            logprobs: Some(true),
            top_logprobs: Some(2),
            ..Sampling::default()
        },
        stream: true,
        ..ChatRequest::default()
    };
    let (body, lost) = sent(&Tgi, &request);
    assert_eq!(
        body,
        json!({"inputs": "Once", "model": "org/m", "stream": true, "parameters": {
            "max_new_tokens": 9, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "stop": ["x"], "seed": 1,
            "frequency_penalty": 0.5, "top_n_tokens": 2, "return_full_text": false, "details": true}})
    );
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn the_ends_of_ranges_are_kept_from_a_server_that_refuses_them() {
    let request = from_openai(&json!({
        "messages": [{"role": "user", "content": "x"}], "temperature": 0, "top_p": 1, "top_k": 0, "seed": -1,
    }));
    let (body, lost) = sent(&Tgi, &request);
    assert_eq!(
        body["parameters"],
        json!({"do_sample": false, "return_full_text": false, "details": true})
    );
    assert_eq!(lost, ["dropped:seed"]);
    let request = from_openai(&json!({"messages": [], "top_p": 0}));
    assert_eq!(sent(&Tgi, &request).1, ["clamped:top_p"]);
}

#[test]
fn trap_2_10_losses_are_told() {
    let request = from_openai(&json!({
        "messages": [{"role": "user", "content": "x", "name": "Ann"}], "presence_penalty": 0.5, "user": "u",
        "reasoning_effort": "low", "response_format": {"type": "json_object"}, "logit_bias": {"1": 1},
    }));
    assert_eq!(
        sent(&Tgi, &request).1,
        [
            "dropped:response_format",
            "dropped:presence_penalty",
            "dropped:reasoning_effort",
            "dropped:user",
            "dropped:name",
            "dropped:logit_bias"
        ]
    );
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let request = from_openai(
        &json!({"messages": [], "response_format": {"type": "json_schema",
        "json_schema": {"name": "n", "schema": schema}}}),
    );
    assert_eq!(
        sent(&Tgi, &request).0["parameters"]["grammar"],
        json!({"type": "json", "value": schema})
    );
}

#[test]
fn what_has_no_place_is_refused() {
    let image = json!([{"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}]);
    for (request, words) in [
        (
            json!({"messages": [{"role": "user", "content": image}]}),
            "image",
        ),
        (
            json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools",
        ),
        (json!({"messages": [], "n": 2}), "n > 1"),
    ] {
        let request = from_openai(&request);
        for egress in [&Tgi as &dyn Egress, &Llama2::Chat, &Llama2::Completions] {
            let said = egress.encode_request(&request).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn its_own_requests_survive_a_round_trip() {
    let wire = json!({"inputs": "Once", "options": {"use_cache": false}, "model": "m", "stream": false, "parameters": {
        "repetition_penalty": 1.1, "details": false, "return_full_text": true, "max_new_tokens": 3, "stop": ["x"],
        "grammar": {"type": "json", "value": {"type": "object", "properties": {}}}}});
    let request = Tgi.decode_request(wire.to_string().as_bytes()).unwrap();
    assert_eq!(sent(&Tgi, &request), (wire, vec![]));
    for odd in ["[]", "{}", r#"{"inputs":1}"#] {
        assert!(Tgi.decode_request(odd.as_bytes()).is_err(), "{odd}");
    }
}

#[test]
fn whole_answers_are_read() {
    let plain = Tgi
        .decode_response(br#"[{"generated_text":" upon a time"}]"#)
        .unwrap();
    assert_eq!((plain.text().as_str(), plain.usage), (" upon a time", None));
    assert_eq!(plain.choices[0].finish, Some(Finish::Other));
    let detailed = Tgi
        .decode_response(
            br#"{"generated_text":"a b","details":{"finish_reason":"length","generated_tokens":2,"seed":null,
            "prefill":[{"id":1,"text":"x","logprob":null}],
            "tokens":[{"id":5,"text":"a","logprob":-0.5,"special":false},{"id":6,"text":" b","logprob":-0.25,"special":false}],
            "top_tokens":[[{"id":7,"text":"c","logprob":-1.5,"special":false}],[]]}}"#,
        )
        .unwrap();
    assert_eq!(
        detailed.usage,
        Some(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        })
    );
    assert_eq!(detailed.choices[0].finish, Some(Finish::Length));
    assert_eq!(detailed.choices[0].logprobs.len(), 2);
    assert_eq!(detailed.choices[0].logprobs[0].top[0].token, "c");
    for (body, words) in [
        ("<html>", "Failed to decode response"),
        ("{}", "Invalid response format"),
        ("[]", "Invalid response format"),
        (
            r#"{"error":"loading","estimated_time":3.5}"#,
            "API error: loading",
        ),
        (r#"{"error":["a","b"]}"#, "API error: a; b"),
        (r#"{"message":"no"}"#, "API error: no"),
    ] {
        let error = Tgi.decode_response(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn finishes() {
    for (reason, expected) in [
        ("eos_token", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("length", Finish::Length),
        ("", Finish::Other),
    ] {
        assert_eq!(finish(reason), expected);
    }
}

const STREAM: &str = concat!(
    "data:{\"index\":1,\"token\":{\"id\":7,\"text\":\" Hällo\",\"logprob\":-0.5,\"special\":false},\"generated_text\":null,\"details\":null}\n\n",
    "data: {\"index\":2,\"token\":{\"id\":8,\"text\":\" 🌍\",\"logprob\":-0.1,\"special\":false},\"top_tokens\":[{\"id\":9,\"text\":\"!\",\"logprob\":-2.0,\"special\":false}],\"generated_text\":null,\"details\":null}\r\n\r\n",
    ": keep-alive\n\n",
    "data:{\"index\":3,\"token\":{\"id\":2,\"text\":\"</s>\",\"logprob\":-0.1,\"special\":true},\"generated_text\":\" Hällo 🌍\",\"details\":{\"finish_reason\":\"eos_token\",\"generated_tokens\":3,\"seed\":null,\"input_length\":5}}\n\n",
);

#[test]
fn a_stream_is_read() {
    assert_eq!(
        events(&Tgi, SSE, STREAM.as_bytes()),
        [
            r#"Start { id: "", model: "", created: None, fingerprint: None }"#,
            "Open { part: 0, choice: 0, kind: Text }",
            r#"Text { part: 0, text: " Hällo" }"#,
            r#"Text { part: 0, text: " 🌍" }"#,
            r#"Logprobs { choice: 0, tokens: [Logprob { token: " 🌍", logprob: -0.1, bytes: None, top: [Logprob { token: "!", logprob: -2.0, bytes: None, top: [] }] }] }"#,
            "Close { part: 0 }",
            "Finish { choice: 0, reason: Stop }",
            "Usage(Usage { input: 5, cache_read: 0, cache_write: 0, output: 3, reasoning: 0, input_audio: 0, output_audio: 0, estimated: false })",
            "End",
        ]
    );
    let seen = as_openai(&Tgi, SSE, STREAM.as_bytes());
    assert!(
        seen.contains(r#""prompt_tokens":5"#) && seen.ends_with("data: [DONE]\n\n"),
        "{seen}"
    );
    let (response, complete) = answer(&Llama2::Chat, SSE, STREAM.as_bytes());
    assert!(complete && response.text() == " Hällo 🌍");
}

#[test]
fn a_last_token_that_is_text_belongs_to_the_answer() {
    let stream = concat!(
        "data:{\"token\":{\"text\":\"a\",\"special\":false}}\n\n",
        "data:{\"token\":{\"text\":\"b\",\"special\":false},\"generated_text\":\"ab\",\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":2}}\n\n",
    );
    let (response, complete) = answer(&Tgi, SSE, stream.as_bytes());
    assert!(complete);
    assert_eq!(response.text(), "ab");
    assert_eq!(response.choices[0].finish, Some(Finish::Length));
    assert_eq!(response.usage, None, "half of the counts are none");
}

#[test]
fn trap_1_7_errors_inside_a_stream_end_it() {
    let stream = concat!(
        "data:{\"token\":{\"text\":\"a\",\"special\":false}}\n\n",
        "event:error\ndata:{\"error\":\"Model is overloaded\",\"error_type\":\"overloaded\"}\n\n",
        "data:{\"token\":{\"text\":\"b\",\"special\":false},\"generated_text\":\"ab\"}\n\n",
    );
    assert_eq!(
        events(&Tgi, SSE, stream.as_bytes()).last().unwrap(),
        r#"Failed { kind: "overloaded", message: "Model is overloaded", status: Some(429) }"#
    );
    assert!(!as_openai(&Tgi, SSE, stream.as_bytes()).contains("[DONE]"));
    let cut = "data:{\"token\":{\"text\":\"a\",\"special\":false}}\n\n";
    assert!(!answer(&Tgi, SSE, cut.as_bytes()).1);
}

#[test]
fn errors_are_moved() {
    let loading =
        Bytes::from_static(br#"{"error":"Model m is currently loading","estimated_time":305.6}"#);
    let fault = Tgi.decode_error(503, &loading);
    assert_eq!(
        (fault.message.as_str(), fault.kind.as_str()),
        ("Model m is currently loading", "api_error")
    );
    assert!(fault.provider.unwrap().contains("305.6"));
    let invalid = Bytes::from_static(
        br#"{"error":["`temperature` must be positive"],"error_type":"validation"}"#,
    );
    let fault = Chat.decode_error(422, &invalid);
    assert_eq!(
        (fault.message.as_str(), fault.kind.as_str()),
        ("`temperature` must be positive", "validation")
    );
    assert_eq!(
        Ingress::encode_fault(&Tgi, &fault),
        br#"{"error":"`temperature` must be positive","error_type":"validation"}"#
    );
    let html = Bytes::from_static(b"<html>");
    assert_eq!(Tgi.decode_error(404, &html).verbatim, Some(html));
    let mut out = bytes::BytesMut::new();
    Tgi.stream_encoder(false).event(
        &Event::Failed {
            kind: "overloaded".into(),
            message: "no".into(),
            status: None,
        },
        &mut out,
    );
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        "event: error\ndata: {\"error\":\"no\",\"error_type\":\"overloaded\"}\n\n"
    );
}

#[test]
fn trap_1_7_a_chat_that_failed_with_status_200() {
    let failed = br#"{"error":"Template error: undefined value","error_type":"template_error"}"#;
    assert_eq!(
        Chat.decode_response(failed).unwrap_err().to_string(),
        "API error: Template error: undefined value"
    );
    let fine = br#"{"choices":[{"message":{"content":"2"},"finish_reason":"stop"}]}"#;
    assert_eq!(Chat.decode_response(fine).unwrap().text(), "2");
    assert_eq!(Chat.format(), Format::OpenAi);
}

fn response(text: &str) -> ChatResponse {
    ChatResponse {
        choices: vec![Choice {
            parts: vec![Part::Text(text.into())],
            finish: Some(Finish::Length),
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

#[test]
fn answers_survive_round_trips() {
    there_and_back(&Tgi, &Tgi, &response(" über\n\"x\""));
    let whole = Ingress::encode_response(&Llama2::Chat, &response("Hi."));
    let again = Llama2::Chat.decode_response(&whole).unwrap();
    assert_eq!(
        (again.text().as_str(), again.usage),
        ("Hi.", response("").usage)
    );
}

#[test]
fn llama2s_template() {
    let say =
        |messages: Value| from_openai(&json!({"messages": messages, "max_tokens": 9, "top_p": 1}));
    let request = say(json!([
        {"role": "system", "content": "Be a poet."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "Rhyme"}]},
    ]));
    let (body, lost) = sent(&Llama2::Chat, &request);
    let prompt =
        "<s>[INST] <<SYS>> Be a poet. <</SYS>> Hi [/INST] Hello. </s> <s>[INST] Rhyme [/INST]";
    assert_eq!(
        body,
        json!({"inputs": prompt, "parameters": {"max_new_tokens": 9, "top_p": 1.0, "stream": false}})
    );
    assert_eq!(lost, Vec::<String>::new());
    let read = Llama2::Chat
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    let said: Vec<(Role, String)> = read
        .messages
        .iter()
        .map(|message| (message.role, format!("{:?}", message.parts)))
        .collect();
    assert_eq!(
        said,
        [
            (Role::System, r#"[Text("Be a poet.")]"#.to_owned()),
            (Role::User, r#"[Text("Hi")]"#.to_owned()),
            (Role::Assistant, r#"[Text("Hello.")]"#.to_owned()),
            (Role::User, r#"[Text("Rhyme")]"#.to_owned()),
        ]
    );
    let mut request = say(json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Rhyme"},
    ]));
    request.stream = true;
    let (body, lost) = sent(&Llama2::Chat, &request);
    assert_eq!(
        body["inputs"],
        "<s>[INST] Hi [/INST] <s>[INST] Rhyme [/INST]"
    );
    assert_eq!(
        (&body["stream"], &body["parameters"]["stream"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(lost, ["dropped:messages.assistant"]);
    let request = say(json!([{"role": "system", "content": "Sing."}]));
    assert_eq!(
        sent(&Llama2::Chat, &request).0["inputs"],
        "<s>[INST] <<SYS>> Sing. <</SYS>> [/INST]"
    );
    let request = say(json!([{"role": "user", "content": "Why?"}]));
    let (body, _) = sent(&Llama2::Completions, &request);
    assert_eq!(
        body["inputs"],
        "<s> [INST] <<SYS>> You are a helpful assistant. <<SYS>> Why? [/INST]"
    );
    let read = Llama2::Completions
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    assert_eq!(format!("{:?}", read.messages[0].parts), r#"[Text("Why?")]"#);
}

#[test]
fn llama2s_answers() {
    for body in [
        r#"{"data":[{"generated_text":"[INST]\nWho? [/INST] Me [INST] You? [/INST]\n\nI. \n"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"[{"generated_text":"<s>[INST] Who? [/INST] I."}]"#,
        r#"{"generated_text":" I. "}"#,
    ] {
        let response = Llama2::Chat.decode_response(body.as_bytes()).unwrap();
        assert_eq!(response.text(), "I.", "{body}");
        assert_eq!(response.usage.is_some(), body.contains("usage"));
    }
    for (body, words) in [
        ("x", "failed to decode llama2 response"),
        (
            r#"{"nothing":1}"#,
            "cannot parse response from llama2 endpoint",
        ),
        (
            r#"{"data":[{"generated_text":"a"},{"generated_text":"b"}]}"#,
            "cannot parse response from llama2 endpoint",
        ),
        (
            r#"{"data":[{}]}"#,
            "response data is empty from llama2 endpoint",
        ),
    ] {
        let error = Llama2::Chat.decode_response(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn embeddings_go_there_and_back() {
    let request = EmbedRequest {
        model: Some("org/m".into()),
        input: vec![EmbedInput::Text("a".into())],
        dimensions: Some(8),
        normalize: Some(true),
        ..EmbedRequest::default()
    };
    let encoded = Egress::encode_embeddings(&Tgi, &request).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body, json!({"inputs": ["a"], "normalize": true}));
    assert_eq!(encoded.lost, [Loss::dropped("dimensions")]);
    let wire = json!({"inputs": ["a", "b"], "prompt_name": "query", "truncate": true});
    let read = Ingress::decode_embeddings(&Tgi, wire.to_string().as_bytes()).unwrap();
    let encoded = Egress::encode_embeddings(&Tgi, &read).unwrap();
    let again: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!((again, encoded.lost), (wire, vec![]));
    let vectors = |body: &str| {
        Egress::decode_embeddings(&Tgi, body.as_bytes())
            .map(|response| response.vectors)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        vectors("[[1,2.5],[3,4]]").unwrap(),
        [[1.0, 2.5], [3.0, 4.0]]
    );
    assert_eq!(vectors("[1,2]").unwrap(), [[1.0, 2.0]]);
    assert!(vectors("[[[1],[2]]]").unwrap_err().contains("each token"));
    assert_eq!(vectors(r#"{"error":"no"}"#).unwrap_err(), "API error: no");
    assert!(vectors("[]").is_err());
    let response = EmbedResponse {
        vectors: vec![vec![1.0, 2.5]],
        ..EmbedResponse::default()
    };
    let body = Ingress::encode_embeddings(&Tgi, &request, &response);
    assert_eq!(Egress::decode_embeddings(&Tgi, &body).unwrap(), response);
}
