use serde_json::{Value, json};

use super::{
    CLAUDE, Converse, LLAMA, NEW_CLAUDE, NOVA, OLD_CLAUDE, body_of, encoded, refused, sent, tool,
};
use crate::{
    dialect::{Egress, Ingress, openai_chat::OpenAiChat},
    llm::Part,
};

#[test]
fn trap_1_12_neighbours_merge_and_blank_texts_go() {
    let (body, lost) = sent(
        OLD_CLAUDE,
        json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "Two"}]},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "assistant", "content": " \n"},
            {"role": "user", "content": "Three"},
            {"role": "assistant", "content": "Bien", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "now", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "{\"temperature\": 21}"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "user", "content": "And?"},
        ]}),
    );
    assert_eq!(
        body["system"],
        json!([{"text": "Be brief."}, {"text": "In French."}])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"text": "One"}, {"text": "Two"}, {"text": "Three"}]},
            {"role": "assistant", "content": [
                {"text": "Bien"},
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "c2", "name": "now", "input": {}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"json": {"temperature": 21}}]}},
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "noon"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}]}},
                {"text": "And?"},
            ]},
        ])
    );
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn null_content_malformed_arguments_and_empty_results() {
    let (body, _) = sent(
        OLD_CLAUDE,
        json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "[1]"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": ""},
            {"role": "tool", "tool_call_id": "c2", "content": "[1, 2]"},
        ]}),
    );
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"invalid_arguments": "{\"a\":"}}},
            {"toolUse": {"toolUseId": "c2", "name": "f", "input": {"invalid_arguments": "[1]"}}},
        ])
    );
    assert_eq!(
        body["messages"][2]["content"],
        json!([
            {"toolResult": {"toolUseId": "c1", "content": [{"text": "(empty)"}]}},
            {"toolResult": {"toolUseId": "c2", "content": [{"text": "[1, 2]"}]}},
        ])
    );
}

#[test]
fn limits_and_randomness() {
    let (body, lost) = sent(
        OLD_CLAUDE,
        json!({"max_tokens": 9, "temperature": 1.5, "top_p": 0.9, "top_k": 5, "stop": ["X", ""], "seed": 7, "n": 1,
            "frequency_penalty": 0, "presence_penalty": 0.5, "logprobs": true, "top_logprobs": 3, "logit_bias": {"1": 2},
            "stream": true, "tool_choice": "auto", "parallel_tool_calls": true}),
    );
    assert_eq!(
        body,
        json!({
            "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "inferenceConfig": {"maxTokens": 9, "temperature": 1.0, "topP": 0.9, "stopSequences": ["X"]},
            "additionalModelRequestFields": {"top_k": 5},
            "additionalModelResponseFieldPaths": ["/stop_sequence", "/delta/stop_sequence"],
        })
    );
    assert_eq!(
        lost,
        [
            "clamped:temperature",
            "dropped:seed",
            "dropped:presence_penalty",
            "dropped:logprobs",
            "dropped:top_logprobs",
            "dropped:logit_bias"
        ]
    );
    assert_eq!(
        refused(OLD_CLAUDE, json!({"n": 2})),
        "the provider cannot take `n` > 1"
    );
}

#[test]
fn each_vendor_takes_its_own() {
    let ask = json!({"temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 7});
    let fields = |model| {
        let (body, lost) = sent(model, ask.clone());
        (
            body["inferenceConfig"].clone(),
            body["additionalModelRequestFields"].clone(),
            lost,
        )
    };
    let both = json!({"temperature": 0.5, "topP": 0.9});
    assert_eq!(
        fields(NOVA),
        (
            both.clone(),
            json!({"inferenceConfig": {"topK": 5}}),
            vec!["dropped:seed".into()]
        )
    );
    assert_eq!(
        fields("cohere.command-r-plus-v1:0"),
        (both.clone(), json!({"k": 5, "seed": 7}), vec![])
    );
    assert_eq!(
        fields(LLAMA),
        (
            both.clone(),
            Value::Null,
            vec!["dropped:top_k".into(), "dropped:seed".into()]
        )
    );
    // Claude takes one of temperature and topP since 4.1, and none of them since 4.7.
    assert_eq!(
        fields(CLAUDE),
        (
            json!({"temperature": 0.5}),
            json!({"top_k": 5}),
            vec!["dropped:top_p".into(), "dropped:seed".into()]
        )
    );
    assert_eq!(
        fields(NEW_CLAUDE),
        (
            Value::Null,
            Value::Null,
            ["temperature", "top_p", "top_k", "seed"]
                .map(|name| format!("dropped:{name}"))
                .to_vec()
        )
    );
    let (_, lost) = sent(NEW_CLAUDE, json!({"temperature": 1, "top_p": 1.0}));
    assert!(lost.is_empty(), "what is so anyway is not lost: {lost:?}");
}

#[test]
fn models_without_system_prompts_say_so() {
    let body =
        json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]});
    assert_eq!(
        refused("amazon.titan-text-express-v1", body),
        "system prompts are unsupported for model 'amazon.titan-text-express-v1'"
    );
}

#[test]
fn tools_and_choices() {
    let spec = json!({"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}}}});
    for (choice, wire) in [
        (Value::Null, Value::Null),
        (json!("auto"), Value::Null),
        (json!("required"), json!({"any": {}})),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"tool": {"name": "f"}}),
        ),
    ] {
        let (body, lost) = sent(
            OLD_CLAUDE,
            json!({"tools": [tool("f")], "tool_choice": choice}),
        );
        assert_eq!(body["toolConfig"]["tools"], json!([spec]));
        assert_eq!(body["toolConfig"]["toolChoice"], wire);
        assert!(lost.is_empty());
    }
    let (body, lost) = sent(
        OLD_CLAUDE,
        json!({"tools": [tool("f")], "tool_choice": "none"}),
    );
    assert_eq!((&body["toolConfig"], lost.len()), (&Value::Null, 0));
    let (_, lost) = sent(
        OLD_CLAUDE,
        json!({"tools": [tool("f")], "parallel_tool_calls": false}),
    );
    assert_eq!(lost, ["dropped:parallel_tool_calls"]);
    let (body, _) = sent(
        OLD_CLAUDE,
        json!({"tools": [{"type": "function", "function": {"name": "now"}}]}),
    );
    assert_eq!(
        body["toolConfig"]["tools"],
        json!([{"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}}])
    );
}

#[test]
fn strict_tools_where_the_model_has_them() {
    let mut strict = tool("f");
    strict["function"]["strict"] = true.into();
    let (body, lost) = sent(CLAUDE, json!({"tools": [strict.clone()]}));
    assert_eq!(
        body["toolConfig"]["tools"][0]["toolSpec"],
        json!({"name": "f", "description": "d", "strict": true, "inputSchema": {"json": {
            "type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}}})
    );
    assert_eq!(lost, ["dropped:schema.minimum"]);
    let (body, lost) = sent(NEW_CLAUDE, json!({"tools": [strict]}));
    assert!(body.to_string().contains("minimum"));
    assert_eq!(lost, ["dropped:tools.strict"]);
}

#[test]
fn calls_in_the_history_need_tools_even_where_none_may_be_called() {
    let history = json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]);
    for body in [
        json!({"messages": history}),
        json!({"messages": history, "tools": [tool("f")], "tool_choice": "none"}),
    ] {
        let (body, lost) = sent(OLD_CLAUDE, body);
        let tools = body["toolConfig"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), 1);
        assert_eq!(tools[0]["toolSpec"]["name"], "no_tool");
        assert!(lost.is_empty());
    }
}

#[test]
fn trap_1_11_tool_names_are_mapped_and_come_back() {
    let long = "a".repeat(70);
    let other = format!("{}b", "a".repeat(69));
    let names = ["get.weather", "get_weather", "get/weather", &long, &other];
    let request = json!({
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "get.weather", "arguments": "{}"}},
                {"id": "d", "type": "function", "function": {"name": "gone away", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "sun"},
            {"role": "tool", "tool_call_id": "d", "content": "sun"},
        ],
        "tools": names.map(tool),
        "tool_choice": {"type": "function", "function": {"name": "get/weather"}},
    });
    let encoded = encoded(OLD_CLAUDE, request).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let sent: Vec<&str> = body["toolConfig"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["toolSpec"]["name"].as_str().unwrap())
        .collect();
    let short = "a".repeat(64);
    let numbered = format!("{}_2", "a".repeat(62));
    assert_eq!(
        sent,
        [
            "get_weather_2",
            "get_weather",
            "get_weather_3",
            &short,
            &numbered
        ]
    );
    assert_eq!(
        body["toolConfig"]["toolChoice"],
        json!({"tool": {"name": "get_weather_3"}})
    );
    let called = &body["messages"][1]["content"];
    assert_eq!(called[0]["toolUse"]["name"], "get_weather_2");
    assert_eq!(called[1]["toolUse"]["name"], "gone_away");

    let answer = json!({"output": {"message": {"role": "assistant", "content": [
        {"toolUse": {"toolUseId": "t", "name": "get_weather_2", "input": {}}}]}}, "stopReason": "tool_use"});
    let mut answer = Converse
        .decode_response(answer.to_string().as_bytes())
        .unwrap();
    encoded.restore.response(&mut answer);
    assert!(
        matches!(&answer.choices[0].parts[0], Part::ToolCall { name, .. } if name == "get.weather")
    );
}

#[test]
fn ids_that_bedrock_refuses_are_mapped_on_both_sides() {
    let id = format!("call_{}", "x".repeat(80));
    let (body, _) = sent(
        OLD_CLAUDE,
        json!({"messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "with space", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": id, "content": "1"},
            {"role": "tool", "tool_call_id": "with space", "content": "2"},
        ]}),
    );
    let messages = &body["messages"];
    for (index, expected) in ["tooluse_1", "tooluse_2"].iter().enumerate() {
        let call = &messages[1]["content"][index]["toolUse"]["toolUseId"];
        let result = &messages[2]["content"][index]["toolResult"]["toolUseId"];
        assert_eq!((call, result), (&json!(expected), &json!(expected)));
    }
}

#[test]
fn fields_of_converse_and_of_openai() {
    let (body, lost) = sent(
        OLD_CLAUDE,
        json!({
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
            "additionalModelRequestFields": {"top_k": 9, "anthropic_beta": ["x"]},
            "top_k": 5,
            "user": "u-1", "metadata": {"team": "a", "note": "né"}, "service_tier": "flex", "store": false,
            "verbosity": "low", "prompt_cache_key": null,
        }),
    );
    assert_eq!(
        body["guardrailConfig"],
        json!({"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"})
    );
    assert_eq!(
        body["additionalModelRequestFields"],
        json!({"top_k": 9, "anthropic_beta": ["x"]})
    );
    assert_eq!(body["requestMetadata"], json!({"team": "a", "user": "u-1"}));
    assert_eq!(body["serviceTier"], json!({"type": "flex"}));
    assert_eq!(lost, ["dropped:metadata", "dropped:verbosity"]);
}

/// A request as Bedrock's own clients send it.
fn own() -> Value {
    json!({
        "messages": [
            {"role": "user", "content": [
                {"text": "Look"},
                {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                {"document": {"format": "pdf", "name": "paper", "source": {"bytes": "BBBB"}}},
                {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "", "signature": "sig"}}},
                {"reasoningContent": {"redactedContent": "Q0ND"}},
                {"text": "Calling."},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"b": 1, "a": [2]}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"ok": false}}, {"text": "no"}], "status": "error"}},
            ]},
        ],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 4000, "stopSequences": ["X"]},
        "toolConfig": {"tools": [
            {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}},
            {"systemTool": {"name": "nova_grounding"}},
        ]},
        "guardrailConfig": {"guardrailIdentifier": "g"},
        "requestMetadata": {"team": "a", "user": "u"},
        "serviceTier": {"type": "priority"},
        "additionalModelRequestFields": {
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "anthropic_beta": ["x"],
        },
    })
}

#[test]
fn a_request_survives_a_round_trip() {
    let mut request = Converse
        .decode_request(own().to_string().as_bytes())
        .unwrap();
    assert_eq!(request.reasoning.budget, Some(2000));
    assert_eq!(request.user.as_deref(), Some("u"));
    request.model = Some(CLAUDE.into());
    let encoded = Converse.encode_request(&request).unwrap();
    assert_eq!(body_of(&encoded), own());
    assert!(encoded.lost.is_empty(), "{:?}", encoded.lost);
}

#[test]
fn a_request_reaches_openai() {
    let mut body = own();
    body["toolConfig"]["toolChoice"] = json!({"any": {}});
    body["outputConfig"] = json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}", "name": "n"}}}});
    body["messages"][2]["content"]
        .as_array_mut()
        .unwrap()
        .extend([
            json!({"cachePoint": {"type": "default"}}),
            json!({"guardContent": {"text": {"text": "Guarded"}}}),
        ]);
    let request = Converse
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    let encoded = OpenAiChat.encode_request(&request).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(
        messages[0],
        json!({"role": "system", "content": "Be brief."})
    );
    assert_eq!(
        messages[1]["content"][0],
        json!({"type": "text", "text": "Look"})
    );
    assert_eq!(
        messages[1]["content"][2],
        json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "paper"}})
    );
    assert_eq!(messages[2]["content"], "Calling.");
    assert_eq!(
        messages[2]["tool_calls"][0]["function"],
        json!({"name": "f", "arguments": "{\"b\":1,\"a\":[2]}"})
    );
    assert_eq!(messages[3]["tool_call_id"], "t1");
    assert_eq!(messages[4]["content"], "Guarded");
    assert_eq!(sent["tool_choice"], "required");
    assert_eq!(sent["max_tokens"], 4000);
    assert_eq!(sent["response_format"]["json_schema"]["name"], "n");
}

#[test]
fn mistakes_in_a_request_name_their_place() {
    for (body, why) in [
        ("[]", "the request is no JSON object"),
        (
            r#"{"messages":[{"role":"tool","content":[]}]}"#,
            "messages[0]: unknown role `tool`",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}]}"#,
            "messages[0]: `content` is no list of blocks",
        ),
        (
            r#"{"messages":[7]}"#,
            "messages[0]: a message is an object with `role` and `content`",
        ),
    ] {
        let error = Converse.decode_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), why);
    }
}
