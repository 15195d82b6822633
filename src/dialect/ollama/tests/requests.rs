use serde_json::{Value, json};

use super::super::*;
use crate::{
    dialect::{Loss, openai_chat::OpenAiChat},
    llm::{EmbedInput, Media, Message, OutputFormat, Part, ReasoningRequest, Role},
};

/// What an OpenAI client's request becomes, and what it loses.
fn sent(egress: &dyn Egress, request: &Value) -> (Value, Vec<String>) {
    let request = OpenAiChat
        .decode_request(request.to_string().as_bytes())
        .unwrap();
    let encoded = egress.encode_request(&request).unwrap();
    let body = serde_json::from_slice(&encoded.body).unwrap();
    (body, encoded.lost.iter().map(Loss::to_string).collect())
}

fn refused(egress: &dyn Egress, request: &Value) -> String {
    let request = OpenAiChat
        .decode_request(request.to_string().as_bytes())
        .unwrap();
    egress.encode_request(&request).unwrap_err().to_string()
}

#[test]
fn a_chat_is_asked() {
    let (body, lost) = sent(
        &Ollama,
        &json!({
            "model": "gemma3",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
            ],
            "max_completion_tokens": 9, "temperature": 0.0, "top_p": 0.5, "top_k": 3, "stop": "x", "seed": 7,
            "frequency_penalty": 0.1, "presence_penalty": 0.2, "logprobs": true, "top_logprobs": 2, "n": 1,
            "response_format": {"type": "json_object"},
        }),
    );
    assert_eq!(
        body,
        json!({
            "model": "gemma3",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is\nthis?", "images": ["iVBORw0KGgo="]},
            ],
            "stream": false,
            "options": {"num_predict": 9, "temperature": 0.0, "top_p": 0.5, "top_k": 3, "stop": ["x"], "seed": 7,
                "frequency_penalty": 0.1, "presence_penalty": 0.2},
            "format": "json", "logprobs": true, "top_logprobs": 2,
        })
    );
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn trap_1_12_results_name_their_tools() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let (body, lost) = sent(
        &Ollama,
        &json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "Weather and time?"},
                {"role": "assistant", "content": null, "reasoning_content": "Two calls.",
                    "tool_calls": [call("a", "weather", "{\"city\":\"Rome\"}"), call("b", "time", ""), call("c", "odd", "{\"x")]},
                {"role": "tool", "tool_call_id": "b", "content": "noon"},
                {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "sun"}]},
                {"role": "assistant", "content": "Wait.", "tool_calls": [call("a", "time", "{}")]},
                {"role": "tool", "tool_call_id": "a", "content": "one"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
                {"type": "function", "function": {"name": "time", "description": "Now."}}],
            "tool_choice": "auto",
        }),
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "Weather and time?"},
            {"role": "assistant", "content": "", "thinking": "Two calls.", "tool_calls": [
                {"type": "function", "id": "a", "function": {"index": 0, "name": "weather", "arguments": {"city": "Rome"}}},
                {"type": "function", "id": "b", "function": {"index": 1, "name": "time", "arguments": {}}},
                {"type": "function", "id": "c", "function": {"index": 2, "name": "odd", "arguments": {"arguments": "{\"x"}}},
            ]},
            {"role": "tool", "content": "noon", "tool_name": "time", "tool_call_id": "b"},
            {"role": "tool", "content": "sun", "tool_name": "weather", "tool_call_id": "a"},
            {"role": "assistant", "content": "Wait.", "tool_calls": [
                {"type": "function", "id": "a", "function": {"index": 0, "name": "time", "arguments": {}}}]},
            {"role": "tool", "content": "one", "tool_name": "time", "tool_call_id": "a"},
        ])
    );
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "time", "description": "Now.", "parameters": {"type": "object", "properties": {}}}},
        ])
    );
    assert_eq!((body["tool_choice"].as_str(), lost), (Some("auto"), vec![]));
}

#[test]
fn what_has_no_place_is_refused() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let with = |key: &str, value: Value| {
        let mut request = user("x".into());
        request["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
        request[key] = value;
        request
    };
    let image = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
    let audio = json!([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]);
    let file = json!([{"type": "file", "file": {"file_id": "f"}}]);
    for (request, words) in [
        (user(image), "image"),
        (user(audio), "audio"),
        (user(file), "file"),
        (with("n", 2.into()), "n > 1"),
        (with("tool_choice", "required".into()), "tool_choice"),
        (
            with(
                "tool_choice",
                json!({"type": "function", "function": {"name": "f"}}),
            ),
            "tool_choice",
        ),
    ] {
        let said = refused(&Ollama, &request);
        assert!(said.contains(words), "{said}");
    }
    let (body, lost) = sent(&Ollama, &with("tool_choice", "none".into()));
    assert_eq!((body.get("tools"), lost.len()), (None, 0));
    assert!(refused(&Generate, &with("n", 1.into())).contains("tools"));
}

#[test]
fn trap_2_10_losses_are_told() {
    let (_, lost) = sent(
        &Ollama,
        &json!({
            "messages": [{"role": "user", "name": "Ann", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f", "strict": true}}], "parallel_tool_calls": false,
            "user": "u", "logit_bias": {"1": 2}, "store": null, "keep_alive": "5m", "reasoning_effort": "xhigh",
        }),
    );
    assert_eq!(
        lost,
        [
            "dropped:name",
            "dropped:parallel_tool_calls",
            "dropped:strict",
            "clamped:reasoning_effort",
            "dropped:user",
            "dropped:logit_bias",
            "dropped:keep_alive"
        ]
    );
}

#[test]
fn efforts_are_levels() {
    for (effort, think) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("low", json!("low")),
        ("high", json!("high")),
        ("xhigh", json!("high")),
    ] {
        let (body, _) = sent(
            &Ollama,
            &json!({"messages": [], "reasoning_effort": effort}),
        );
        assert_eq!(body["think"], think, "{effort}");
    }
    let request = ChatRequest {
        reasoning: ReasoningRequest {
            effort: None,
            budget: Some(8_000),
        },
        ..ChatRequest::default()
    };
    let body: Value =
        serde_json::from_slice(&Ollama.encode_request(&request).unwrap().body).unwrap();
    assert_eq!(body["think"], "medium");
}

#[test]
fn its_own_requests_survive_a_round_trip() {
    let wire = json!({
        "model": "qwen3",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u", "images": ["R0lGODlh"]},
            {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [
                {"type": "function", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}, "id": "c1"}]},
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
        ],
        "stream": false,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "options": {"num_ctx": 4096, "min_p": 0.1, "num_predict": 5, "stop": ["a", "b"]},
        "format": {"type": "object"},
        "think": "low",
        "keep_alive": "5m",
    });
    let request = Ollama.decode_request(wire.to_string().as_bytes()).unwrap();
    assert!(matches!(&request.output, OutputFormat::JsonSchema { .. }));
    let encoded = Ollama.encode_request(&request).unwrap();
    let again: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!((again, encoded.lost), (wire, vec![]));
}

#[test]
fn its_own_requests_are_read() {
    let request = Ollama
        .decode_request(
            br#"{"model":"m","messages":[
            {"role":"user","content":"x","images":["iVBORw0K","/9j/4AAQ"]},
            {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}},{"function":{"name":"g","arguments":{}}}]},
            {"role":"tool","content":"2","tool_name":"g"},
            {"role":"tool","content":"1"}],
            "options":{"num_predict":-1,"stop":"s"},"think":true}"#,
        )
        .unwrap();
    assert!(request.stream && request.stream_usage);
    assert_eq!(request.reasoning.effort.as_deref(), Some("medium"));
    assert_eq!(request.sampling.max_tokens, None);
    assert_eq!(request.sampling.stop, ["s"]);
    let ids: Vec<&str> = request.messages[1]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall { id, .. } => id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(ids[0].starts_with("call_") && ids[0] != ids[1]);
    let result = |at: usize| match &request.messages[at].parts[0] {
        Part::ToolResult { id, .. } => id.as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!((result(2), result(3)), (ids[1], ids[0]));
    assert!(
        matches!(&request.messages[0].parts[2], Part::Image { source: Media::Base64 { media_type, .. }, .. } if media_type == "image/jpeg")
    );
    for odd in [r#"[]"#, r#"{"messages":[{"role":"boss"}]}"#] {
        assert!(Ollama.decode_request(odd.as_bytes()).is_err(), "{odd}");
    }
}

#[test]
fn a_completion_is_asked() {
    let request = ChatRequest {
        model: Some("m".into()),
        messages: vec![
            Message::text(Role::System, "s"),
            Message::text(Role::User, "def f("),
        ],
        extra: Some(crate::llm::Extra {
            from: Format::OpenAi,
            fields: serde_json::Map::from_iter([
                ("suffix".into(), "return 1".into()),
                ("echo".into(), true.into()),
            ]),
        }),
        stream: true,
        ..ChatRequest::default()
    };
    let encoded = Generate.encode_request(&request).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        body,
        json!({"model": "m", "prompt": "def f(", "stream": true, "system": "s", "suffix": "return 1"})
    );
    assert_eq!(encoded.lost, [Loss::dropped("echo")]);
    let wire = json!({"model": "m", "prompt": "p", "stream": false, "system": "s", "images": ["R0lGOD"],
        "options": {"seed": 1}, "raw": true, "context": [1, 2]});
    let request = Generate
        .decode_request(wire.to_string().as_bytes())
        .unwrap();
    let encoded = Generate.encode_request(&request).unwrap();
    let again: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(again, wire);
}

#[test]
fn embeddings_go_there_and_back() {
    let request = EmbedRequest {
        model: Some("nomic".into()),
        input: vec![EmbedInput::Text("a".into()), EmbedInput::Text("b".into())],
        listed: true,
        dimensions: Some(8),
        base64: true,
        user: Some("u".into()),
        ..EmbedRequest::default()
    };
    let encoded = Ollama.encode_embeddings_request(&request);
    assert_eq!(
        encoded.0,
        json!({"model": "nomic", "input": ["a", "b"], "dimensions": 8})
    );
    assert_eq!(encoded.1, ["dropped:user"]);
    let single = EmbedRequest {
        input: vec![EmbedInput::Text("a".into())],
        ..EmbedRequest::default()
    };
    assert_eq!(Ollama.encode_embeddings_request(&single).0["input"], "a");
    let tokens = EmbedRequest {
        input: vec![EmbedInput::Tokens(vec![1])],
        ..EmbedRequest::default()
    };
    assert!(Egress::encode_embeddings(&Ollama, &tokens).is_err());
    let wire = json!({"model": "m", "input": "a", "truncate": false});
    let read = Ingress::decode_embeddings(&Ollama, wire.to_string().as_bytes()).unwrap();
    assert!(!read.listed);
    assert_eq!(Ollama.encode_embeddings_request(&read).0, wire);

    let body = br#"{"model":"nomic","embeddings":[[0.5,-1],[2,3e-3]],"total_duration":1,"prompt_eval_count":4}"#;
    let response = Egress::decode_embeddings(&Ollama, body).unwrap();
    assert_eq!(response.vectors, [[0.5, -1.0], [2.0, 0.003]]);
    let again = Ingress::encode_embeddings(&Ollama, &request, &response);
    assert_eq!(
        Egress::decode_embeddings(&Ollama, &again).unwrap(),
        response
    );
    let old = Egress::decode_embeddings(&Ollama, br#"{"embedding":[0.25]}"#).unwrap();
    assert_eq!(old.vectors, [[0.25]]);
    assert!(Egress::decode_embeddings(&Ollama, br#"{"error":"no"}"#).is_err());
}

impl Ollama {
    fn encode_embeddings_request(&self, request: &EmbedRequest) -> (Value, Vec<String>) {
        let encoded = Egress::encode_embeddings(self, request).unwrap();
        let body = serde_json::from_slice(&encoded.body).unwrap();
        (body, encoded.lost.iter().map(Loss::to_string).collect())
    }
}
