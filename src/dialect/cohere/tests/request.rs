use serde_json::{Value, json};

use super::{body, lost};
use crate::{
    dialect::{
        Egress, Encoded, Error, Ingress,
        cohere::{ChatV1, ChatV2, Generate},
        openai_chat::OpenAiChat,
    },
    llm::{ChatResponse, Choice, Part},
};

fn sent(egress: &dyn Egress, openai: &Value) -> Result<Encoded, Error> {
    egress.encode_request(&OpenAiChat.decode_request(openai.to_string().as_bytes())?)
}

/// A request of one message with these fields on top.
fn asked(egress: &dyn Egress, fields: &Value) -> Result<Encoded, Error> {
    let mut request = json!({"messages": [{"role": "user", "content": "x"}]});
    for (key, value) in fields.as_object().unwrap() {
        request[key] = value.clone();
    }
    sent(egress, &request)
}

fn refusal(egress: &dyn Egress, openai: &Value) -> String {
    asked(egress, openai).unwrap_err().to_string()
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn v1_has_a_message_and_the_history_before_it() {
    let encoded = sent(
        &ChatV1,
        &json!({
            "model": "command-r",
            "messages": [
                {"role": "system", "content": "Answer in French."},
                {"role": "user", "content": [{"type": "text", "text": "Bonjour"}, {"type": "text", "text": "Salut"}]},
                {"role": "assistant", "content": "Salut !"},
                {"role": "assistant", "content": ""},
                {"role": "user", "content": "Ça va ?"},
            ],
            "max_tokens": 20, "temperature": 0.2, "top_p": 1.0, "top_k": 7, "seed": 3, "stop": "END",
            "frequency_penalty": 0.5, "presence_penalty": 0,
        }),
    )
    .unwrap();
    assert_eq!(
        body(&encoded),
        json!({
            "model": "command-r", "stream": false, "message": "Ça va ?",
            "chat_history": [
                {"role": "USER", "message": "Answer in French."},
                {"role": "USER", "message": "Bonjour\nSalut"},
                {"role": "CHATBOT", "message": "Salut !"},
            ],
            "max_tokens": 20, "temperature": 0.2, "p": 1.0, "k": 7, "seed": 3, "stop_sequences": ["END"],
            "frequency_penalty": 0.5,
        })
    );
    assert_eq!(lost(&encoded), ["changed:system"]);
}

#[test]
fn one_message_has_no_history_and_fields_of_coheres_own_pass() {
    let encoded = asked(
        &ChatV1,
        &json!({
            "stream": true,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            "max_input_tokens": 100, "safety_mode": "STRICT", "logit_bias": {"1": 2}, "user": "u", "logprobs": true,
            "reasoning_effort": "low",
        }),
    )
    .unwrap();
    assert_eq!(
        body(&encoded),
        json!({
            "max_input_tokens": 100, "safety_mode": "STRICT", "stream": true, "message": "x",
            "response_format": {"type": "json_object", "schema": {"type": "object"}},
        })
    );
    assert_eq!(
        lost(&encoded),
        [
            "dropped:logit_bias",
            "dropped:logprobs",
            "dropped:user",
            "dropped:reasoning_effort"
        ]
    );
}

#[test]
fn a_conversation_that_the_assistant_ended_says_so() {
    let encoded = asked(
        &ChatV1,
        &json!({"messages": [{"role": "user", "content": "Once"}, {"role": "assistant", "content": "upon"}]}),
    )
    .unwrap();
    assert_eq!(body(&encoded)["message"], "upon");
    assert_eq!(lost(&encoded), ["changed:assistant"]);
}

#[test]
fn what_v1_cannot_carry_names_the_way_out() {
    let image = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]}]});
    assert_eq!(
        refusal(&ChatV1, &image),
        "the provider cannot take image through /v1/chat; `upstream_path = \"/v2/chat\"` selects the API that can"
    );
    let tools = json!({"tools": [tool("f")]});
    assert!(refusal(&ChatV1, &tools).contains("tools through /v1/chat"));
    let results = json!({"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]});
    assert!(refusal(&ChatV1, &results).contains("tools through /v1/chat"));
}

#[test]
fn neither_api_takes_everything() {
    let with = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let audio =
        with(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}));
    let file = with(json!({"type": "file", "file": {"file_id": "f"}}));
    for egress in [&ChatV1 as &dyn Egress, &ChatV2] {
        let refusal = |fields: &Value| refusal(egress, fields);
        assert_eq!(refusal(&audio), "the provider cannot take audio");
        assert_eq!(refusal(&file), "the provider cannot take file");
        assert_eq!(
            refusal(&json!({"n": 2})),
            "the provider cannot take `n` > 1"
        );
    }
    let named = json!({
        "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "function", "function": {"name": "g"}},
    });
    assert!(refusal(&ChatV2, &named).contains("`tool_choice`"));
}

#[test]
fn v2_takes_a_whole_conversation_with_tools() {
    let encoded = sent(
        &ChatV2,
        &json!({
            "model": "command-a",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "text", "text": ""},
                ]},
                {"role": "assistant", "content": "I will look.", "reasoning_content": "hm", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "a cat"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]},
                {"role": "developer", "content": "No emoji."},
                {"role": "user", "content": "And?"},
            ],
            "tools": [tool("look"), {"type": "function", "function": {"name": "now", "description": "the time"}}],
            "tool_choice": "required", "parallel_tool_calls": false,
            "logprobs": true, "top_logprobs": 2, "reasoning_effort": "medium",
        }),
    )
    .unwrap();
    assert_eq!(
        body(&encoded),
        json!({
            "model": "command-a", "stream": false, "logprobs": true,
            "messages": [
                {"role": "system", "content": "Be brief.\n\nNo emoji."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                ]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}], "tool_plan": "I will look.", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "a", "content": "a cat"},
                {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]},
                {"role": "user", "content": "And?"},
            ],
            "tools": [tool("look"), {"type": "function", "function": {
                "name": "now", "description": "the time", "parameters": {"type": "object", "properties": {}}}}],
            "tool_choice": "REQUIRED",
            "thinking": {"type": "enabled", "token_budget": 8192},
        })
    );
    assert_eq!(
        lost(&encoded),
        ["dropped:top_logprobs", "dropped:parallel_tool_calls"]
    );
}

#[test]
fn trap_1_12_null_content_beside_calls_and_empty_turns() {
    let encoded = asked(
        &ChatV2,
        &json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": ""},
            {"role": "assistant", "content": ""},
        ]}),
    )
    .unwrap();
    let messages = body(&encoded)["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 3);
    assert_eq!(messages[1].get("content"), None);
    assert_eq!(
        messages[2],
        json!({"role": "tool", "tool_call_id": "a", "content": ""})
    );
}

#[test]
fn images_in_tool_results_are_refused() {
    let error = refusal(
        &ChatV2,
        &json!({"messages": [{"role": "tool", "tool_call_id": "a", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]}]}),
    );
    assert_eq!(error, "the provider cannot take image in a tool result");
}

#[test]
fn numbers_that_cohere_refuses_are_clamped() {
    let encoded = asked(
        &ChatV2,
        &json!({
            "temperature": 1.7, "frequency_penalty": 2, "presence_penalty": 0.5, "top_k": 600, "seed": -1,
            "stop": ["1", "2", "3", "4", "5", "6"],
        }),
    )
    .unwrap();
    let json = body(&encoded);
    assert_eq!(json["temperature"], 1.0);
    assert_eq!(json["frequency_penalty"], 1.0);
    assert_eq!(json["k"], 500);
    assert_eq!(json["stop_sequences"].as_array().unwrap().len(), 5);
    assert_eq!(
        (json.get("presence_penalty"), json.get("seed")),
        (None, None)
    );
    assert_eq!(
        lost(&encoded),
        [
            "clamped:temperature",
            "clamped:top_k",
            "dropped:seed",
            "clamped:frequency_penalty",
            "dropped:presence_penalty",
            "clamped:stop",
        ]
    );
}

#[test]
fn fields_without_effect_are_no_loss() {
    let encoded = asked(
        &ChatV2,
        &json!({
            "temperature": 1, "frequency_penalty": 0, "presence_penalty": 0.3, "n": 1,
            "tool_choice": "required", "parallel_tool_calls": false, "logprobs": false,
        }),
    )
    .unwrap();
    assert!(encoded.lost.is_empty(), "{:?}", encoded.lost);
    let json = body(&encoded);
    assert_eq!(json["presence_penalty"], 0.3);
    assert_eq!(json.get("tool_choice"), None);
}

#[test]
fn tool_names_that_cohere_refuses_come_back() {
    let encoded = sent(
        &ChatV2,
        &json!({
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "fs-read", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "y"},
            ],
            "tools": [tool("fs-read"), tool("fs_read"), tool("2d")],
        }),
    )
    .unwrap();
    let json = body(&encoded);
    assert_eq!(json["tools"][0]["function"]["name"], "fs_read_2");
    assert_eq!(json["tools"][1]["function"]["name"], "fs_read");
    assert_eq!(json["tools"][2]["function"]["name"], "_2d");
    assert_eq!(
        json["messages"][1]["tool_calls"][0]["function"]["name"],
        "fs_read_2"
    );
    let called = |name: &str| Part::ToolCall {
        id: "c".into(),
        name: name.into(),
        arguments: "{}".into(),
        signature: None,
    };
    let mut answer = ChatResponse {
        choices: vec![Choice {
            parts: vec![called("fs_read_2"), called("fs_read")],
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    encoded.restore.response(&mut answer);
    let names: Vec<String> = answer.choices[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall { name, .. } => name.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["fs-read", "fs_read"]);
}

#[test]
fn a_named_choice_of_the_only_tool_is_the_duty_to_call() {
    let encoded = asked(
        &ChatV2,
        &json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    )
    .unwrap();
    assert_eq!(body(&encoded)["tool_choice"], "REQUIRED");
    let encoded = asked(
        &ChatV2,
        &json!({"tools": [tool("f")], "tool_choice": "none"}),
    )
    .unwrap();
    assert_eq!(body(&encoded)["tool_choice"], "NONE");
}

#[test]
fn strict_is_for_all_tools_or_none() {
    let strict = |required: Value| {
        json!({"type": "function", "function": {
            "name": "f", "parameters": {"type": "object", "required": required}, "strict": true,
        }})
    };
    let encoded = asked(&ChatV2, &json!({"tools": [strict(json!(["a"]))]})).unwrap();
    assert_eq!(body(&encoded)["strict_tools"], true);
    assert!(encoded.lost.is_empty());
    for tools in [
        json!([strict(json!(["a"])), tool("g")]),
        json!([strict(json!([]))]),
    ] {
        let encoded = asked(&ChatV2, &json!({"tools": tools})).unwrap();
        assert_eq!(body(&encoded).get("strict_tools"), None);
        assert_eq!(lost(&encoded), ["dropped:strict"]);
    }
}

#[test]
fn efforts_are_budgets() {
    for (effort, thinking) in [
        ("none", json!({"type": "disabled"})),
        ("low", json!({"type": "enabled", "token_budget": 1024})),
        ("high", json!({"type": "enabled"})),
        ("xhigh", json!({"type": "enabled"})),
    ] {
        let encoded = asked(&ChatV2, &json!({"reasoning_effort": effort})).unwrap();
        assert_eq!(body(&encoded)["thinking"], thinking, "{effort}");
    }
    let encoded = asked(&ChatV2, &json!({"reasoning_effort": "odd"})).unwrap();
    assert_eq!(lost(&encoded), ["dropped:reasoning_effort"]);
}

#[test]
fn v2_requests_survive_a_round_trip() {
    let request = json!({
        "safety_mode": "OFF",
        "model": "command-a", "stream": true, "max_tokens": 9, "temperature": 0.5, "p": 0.9, "k": 3, "seed": 7,
        "frequency_penalty": 0.1, "stop_sequences": ["a"], "logprobs": true,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
                {"type": "something_new", "x": [1]},
            ]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}], "tool_plan": "Look.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "ok"},
            {"role": "assistant", "content": "Done."},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}],
        "tool_choice": "REQUIRED", "strict_tools": true,
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
        "thinking": {"type": "enabled", "token_budget": 100},
    });
    let decoded = ChatV2
        .decode_request(request.to_string().as_bytes())
        .unwrap();
    let encoded = ChatV2.encode_request(&decoded).unwrap();
    assert!(encoded.lost.is_empty());
    assert_eq!(body(&encoded), request);
    assert!(decoded.stream_usage);
}

#[test]
fn documents_as_tool_results_are_read_as_text() {
    let request = ChatV2
        .decode_request(
            br#"{"messages":[{"role":"tool","tool_call_id":"a","content":[{"type":"document","document":{"id":"1","data":{"c":24}}}]}]}"#,
        )
        .unwrap();
    assert!(
        matches!(&request.messages[0].parts[0], Part::ToolResult { id, parts, .. }
            if id == "a" && matches!(&parts[0], Part::Text(text) if text == r#"{"c":24}"#))
    );
    let error = ChatV2
        .decode_request(br#"{"messages":[{"role":"robot"}]}"#)
        .unwrap_err();
    assert_eq!(error.to_string(), "messages[0]: unknown role `robot`");
}

#[test]
fn v1_requests_are_read_with_their_tools() {
    let wire = json!({
        "model": "command-r", "preamble": "Be brief.", "message": "", "p": 0.5, "connectors": [{"id": "web-search"}],
        "chat_history": [
            {"role": "USER", "message": "Time?"},
            {"role": "CHATBOT", "message": "I will look.", "tool_calls": [
                {"name": "now", "parameters": {}}, {"name": "now", "parameters": {"tz": "UTC"}},
            ]},
        ],
        "tool_results": [
            {"call": {"name": "now", "parameters": {"tz": "UTC"}}, "outputs": [{"t": 1}]},
            {"call": {"name": "now", "parameters": {}}, "outputs": [{"t": 2}]},
            {"call": {"name": "other", "parameters": {}}, "outputs": []},
        ],
        "tools": [{"name": "now", "description": "the time", "parameter_definitions": {
            "tz": {"type": "str", "description": "zone", "required": true}, "n": {"type": "List[int]"},
        }}],
    });
    let request = ChatV1.decode_request(wire.to_string().as_bytes()).unwrap();
    assert_eq!(
        body(&OpenAiChat.encode_request(&request).unwrap()),
        json!({
            "model": "command-r",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Time?"},
                {"role": "assistant", "content": "I will look.", "tool_calls": [
                    {"id": "call_0", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                    {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{\"tz\":\"UTC\"}"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_2", "type": "function", "function": {"name": "other", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "[{\"t\":1}]"},
                {"role": "tool", "tool_call_id": "call_0", "content": "[{\"t\":2}]"},
                {"role": "tool", "tool_call_id": "call_2", "content": "[]"},
            ],
            "tools": [{"type": "function", "function": {"name": "now", "description": "the time", "parameters": {
                "type": "object",
                "properties": {"tz": {"type": "string", "description": "zone"}, "n": {"type": "array", "items": {"type": "integer"}}},
                "required": ["tz"],
            }}}],
            "top_p": 0.5,
        })
    );
}

#[test]
fn completions_go_both_ways() {
    let request = Generate
        .decode_request(
            br#"{"model":"m","prompt":"Once","num_generations":2,"end_sequences":["."],"max_tokens":5,"p":0.75,"k":5,"temperature":2,"return_likelihoods":"GENERATION","truncate":"END"}"#,
        )
        .unwrap();
    let encoded = Generate.encode_request(&request).unwrap();
    assert_eq!(
        body(&encoded),
        json!({
            "truncate": "END", "model": "m", "stream": false, "max_tokens": 5, "temperature": 2.0, "p": 0.75, "k": 5,
            "end_sequences": ["."], "return_likelihoods": "GENERATION", "prompt": "Once", "num_generations": 2,
        })
    );
    assert!(encoded.lost.is_empty());
    let image = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "x"}},
    ]}]});
    assert!(refusal(&Generate, &image).contains("anything but text"));
}
