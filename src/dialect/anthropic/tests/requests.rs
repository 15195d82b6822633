//! Requests, both ways.

use serde_json::{Value, json};

use crate::{
    dialect::{Egress, Encoded, Ingress, anthropic::Anthropic, openai_chat::OpenAiChat},
    llm::{ChatRequest, ReasoningRequest},
};

/// A request of OpenAI's format.
fn openai(body: Value) -> ChatRequest {
    OpenAiChat
        .decode_request(body.to_string().as_bytes())
        .unwrap()
}

fn encoded(body: Value) -> Encoded {
    Anthropic.encode_request(&openai(body)).unwrap()
}

fn json_of(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn lost(encoded: &Encoded) -> String {
    let lost: Vec<String> = encoded.lost.iter().map(ToString::to_string).collect();
    lost.join(" ")
}

/// One user's turn with more fields.
fn ask(model: &str, more: Value) -> Encoded {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    encoded(body)
}

fn refused(model: &str, more: Value) -> String {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    Anthropic
        .encode_request(&openai(body))
        .unwrap_err()
        .to_string()
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}])
}

#[test]
fn a_plain_request_is_as_kong_writes_it() {
    let encoded = encoded(json!({
        "model": "claude-2.1", "max_tokens": 256, "temperature": 1.0,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
    }));
    assert_eq!(
        encoded.body,
        r#"{"model":"claude-2.1","system":"Be brief.","messages":[{"role":"user","content":"1 + 1?"}],"max_tokens":256,"temperature":1.0,"stream":false}"#
    );
    assert_eq!(lost(&encoded), "");
}

#[test]
fn trap_1_12_turns_alternate_and_results_come_first() {
    let encoded = encoded(json!({
        "model": "claude-sonnet-4-5",
        "messages": [
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": " "}]},
            {"role": "user", "content": "a"},
            {"role": "user", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call:1", "type": "function", "function": {"name": "f", "arguments": "{\"n\":12345678901234567890123}"}},
                {"id": "call_2", "type": "function", "function": {"name": "my.tool", "arguments": ""}},
            ]},
            {"role": "user", "content": "And?"},
            {"role": "tool", "tool_call_id": "call:1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "two"}]},
            {"role": "assistant", "content": "Done. "},
        ],
        "tools": [{"type": "function", "function": {"name": "my.tool"}}],
    }));
    let json = json_of(&encoded);
    assert_eq!(
        json["system"],
        json!([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])
    );
    let messages = json["messages"].as_array().unwrap();
    assert_eq!(
        messages[0],
        json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
    );
    assert_eq!(messages[1]["content"][1]["name"], "my_tool");
    assert_eq!(messages[1]["content"][1]["input"], json!({}));
    assert_eq!(
        messages[2],
        json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "two"},
            {"type": "text", "text": "And?"},
        ]})
    );
    assert_eq!(messages[1]["content"][0]["id"], "call_1");
    assert_eq!(
        messages[3],
        json!({"role": "assistant", "content": "Done."})
    );
    // Trap 1.15: big numbers keep their digits.
    assert!(
        String::from_utf8_lossy(&encoded.body).contains(r#""input":{"n":12345678901234567890123}"#)
    );
    assert_eq!(
        json["tools"],
        json!([{"name": "my_tool", "input_schema": {"type": "object", "properties": {}}}])
    );
    assert_eq!(
        encoded.restore.tools,
        [("my_tool".to_owned(), "my.tool".to_owned())]
    );
}

#[test]
fn instructions_alone_are_a_question_and_calls_need_tools() {
    let alone =
        encoded(json!({"model": "m", "messages": [{"role": "system", "content": "Say hi."}]}));
    assert_eq!(
        json_of(&alone)["messages"],
        json!([{"role": "user", "content": "Say hi."}])
    );
    assert!(json_of(&alone).get("system").is_none());
    let called = json_of(&encoded(json!({"model": "m", "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
    ]})));
    assert_eq!(
        called["tools"],
        json!([{"name": "f", "input_schema": {"type": "object"}}])
    );
    assert_eq!(called["tool_choice"], json!({"type": "none"}));
    assert_eq!(
        called["messages"][2]["content"],
        json!([{"type": "tool_result", "tool_use_id": "c"}])
    );
}

#[test]
fn media() {
    let encoded = encoded(
        json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,R3LDvMOf"}},
            {"type": "video_url", "video_url": {}},
        ]}]}),
    );
    assert_eq!(
        json_of(&encoded)["messages"][0]["content"],
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a.pdf"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüß"}, "title": "a.txt"},
        ])
    );
    assert_eq!(lost(&encoded), "dropped:detail dropped:video_url");
    let audio = json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}]});
    assert_eq!(refused("m", audio), "the provider cannot take audio");
}

#[test]
fn limits_and_losses() {
    let encoded = ask(
        "claude-3-haiku-20240307",
        json!({
            "temperature": 1.7, "top_p": 0.5, "top_k": 9, "stop": ["\n", "END"], "seed": 1, "logprobs": true, "top_logprobs": 2,
            "frequency_penalty": 0.5, "presence_penalty": 0, "user": "u1", "store": true, "service_tier": "auto", "n": 1,
            "parallel_tool_calls": false, "tool_choice": "auto", "logit_bias": null,
        }),
    );
    let json = json_of(&encoded);
    assert_eq!(
        (
            json["temperature"].clone(),
            json["top_p"].clone(),
            json["top_k"].clone()
        ),
        (1.0.into(), 0.5.into(), 9.into())
    );
    assert_eq!(json["max_tokens"], 4_096);
    assert_eq!(json["stop_sequences"], json!(["END"]));
    assert_eq!(json["metadata"], json!({"user_id": "u1"}));
    assert!(json.get("tool_choice").is_none() && json.get("store").is_none());
    assert_eq!(
        lost(&encoded),
        "clamped:temperature dropped:stop dropped:seed dropped:frequency_penalty dropped:logprobs \
         dropped:top_logprobs dropped:store"
    );
    assert_eq!(
        refused("m", json!({"n": 2})),
        "the provider cannot take n > 1"
    );
}

#[test]
fn newer_models_take_no_sampling() {
    let both = json!({"temperature": 0.5, "top_p": 0.9});
    let one = ask("claude-opus-4-1", both.clone());
    assert_eq!(
        (json_of(&one)["temperature"].clone(), lost(&one).as_str()),
        (0.5.into(), "dropped:top_p")
    );
    let none = ask("claude-opus-5-5", both);
    assert_eq!(lost(&none), "dropped:temperature dropped:top_p");
    let defaults = ask("claude-opus-5-5", json!({"temperature": 1, "top_p": 1.0}));
    assert_eq!(lost(&defaults), "");
    assert!(json_of(&defaults).get("temperature").is_none());
}

#[test]
fn tools_and_choices() {
    let choice = |more: Value| {
        let mut all = json!({"tools": tools()});
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        json_of(&ask("claude-2.1", all))["tool_choice"].clone()
    };
    assert_eq!(choice(json!({})), Value::Null);
    assert_eq!(
        choice(json!({"tool_choice": "auto"})),
        json!({"type": "auto"})
    );
    assert_eq!(
        choice(json!({"tool_choice": "none"})),
        json!({"type": "none"})
    );
    assert_eq!(
        choice(json!({"tool_choice": "required"})),
        json!({"type": "any"})
    );
    assert_eq!(
        choice(json!({"tool_choice": {"type": "function", "function": {"name": "f"}}})),
        json!({"type": "tool", "name": "f"})
    );
    assert_eq!(
        choice(json!({"parallel_tool_calls": false})),
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    assert_eq!(
        choice(json!({"parallel_tool_calls": false, "tool_choice": "none"})),
        json!({"type": "none"})
    );
    assert!(
        refused(
            "claude-opus-5-5",
            json!({"tools": tools(), "tool_choice": "required"})
        )
        .contains("forced tool_choice")
    );
}

#[test]
fn strict_tools_where_the_model_has_them() {
    let tools = json!([{"type": "function", "function": {"name": "f", "strict": true,
        "parameters": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}}}]);
    let new = ask("claude-haiku-4-5", json!({"tools": tools}));
    let tool = &json_of(&new)["tools"][0];
    assert_eq!(
        (
            &tool["strict"],
            &tool["input_schema"]["additionalProperties"]
        ),
        (&json!(true), &json!(false))
    );
    assert_eq!(lost(&new), "dropped:schema.minimum");
    let old = ask("claude-3-5-sonnet-latest", json!({"tools": tools}));
    assert_eq!(lost(&old), "dropped:strict");
    assert_eq!(
        json_of(&old)["tools"][0]["input_schema"]["properties"]["n"]["minimum"],
        1
    );
}

#[test]
fn answers_of_a_form() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": true}}});
    let new = ask("claude-sonnet-4-5", format.clone());
    assert_eq!(
        json_of(&new)["output_config"]["format"]["type"],
        "json_schema"
    );
    assert_eq!(new.restore.answer_tool, None);

    let old = ask("claude-3-5-sonnet-latest", format.clone());
    assert_eq!(old.restore.answer_tool.as_deref(), Some("city"));
    assert!(old.restore.tools.is_empty());
    let json = json_of(&old);
    assert_eq!(json["tools"][0]["input_schema"], schema);
    assert_eq!(
        json["tool_choice"],
        json!({"type": "tool", "name": "city", "disable_parallel_tool_use": true})
    );
    // Beside the client's own tools it is one of several that must be called.
    let mut beside = format;
    beside["tools"] = tools();
    let json = json_of(&ask("claude-3-5-sonnet-latest", beside));
    assert_eq!(json["tool_choice"]["type"], "any");

    let any = ask(
        "claude-3-5-sonnet-latest",
        json!({"response_format": {"type": "json_object"}}),
    );
    assert!(
        json_of(&any)["system"]
            .as_str()
            .unwrap()
            .contains("one JSON object")
    );
    assert_eq!(lost(&any), "weakened:response_format");
    let list = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "l", "schema": {"type": "array"}}}});
    assert!(refused("claude-3-haiku-20240307", list).contains("JSON schema"));
}

#[test]
fn reasoning_in_the_words_of_each_generation() {
    let of = |model: &str, more: Value| {
        let encoded = ask(model, more);
        let json = json_of(&encoded);
        (
            json["thinking"].clone(),
            json["output_config"]["effort"].clone(),
            lost(&encoded),
        )
    };
    let effort = |word: &str| json!({"reasoning_effort": word});
    let (thinking, _, lost) = of("claude-sonnet-4-5", effort("medium"));
    assert_eq!(
        (thinking, lost.as_str()),
        (json!({"type": "enabled", "budget_tokens": 8_192}), "")
    );
    // The limit is the client's.
    let (thinking, _, lost) = of(
        "claude-sonnet-4-5",
        json!({"reasoning_effort": "high", "max_completion_tokens": 8_192}),
    );
    assert_eq!(
        (thinking, lost.as_str()),
        (
            json!({"type": "enabled", "budget_tokens": 4_096}),
            "clamped:reasoning_effort"
        )
    );
    let small = json!({"reasoning_effort": "low", "max_tokens": 1_000});
    assert_eq!(
        of("claude-sonnet-4-5", small),
        (
            Value::Null,
            Value::Null,
            "dropped:reasoning_effort".to_owned()
        )
    );
    assert_eq!(
        of("claude-3-opus-20240229", effort("low")).2,
        "dropped:reasoning_effort"
    );
    assert_eq!(of("claude-3-opus-20240229", effort("none")).2, "");

    let (thinking, level, lost) = of("claude-opus-4-6", effort("xhigh"));
    assert_eq!(
        (thinking, level, lost.as_str()),
        (
            json!({"type": "adaptive"}),
            "high".into(),
            "clamped:reasoning_effort"
        )
    );
    let (thinking, level, lost) = of("claude-opus-5-5", effort("xhigh"));
    assert_eq!(
        (thinking, level, lost.as_str()),
        (
            json!({"type": "adaptive", "display": "summarized"}),
            "xhigh".into(),
            ""
        )
    );
    let none = |model: &str| of(model, effort("none"));
    assert_eq!(
        none("claude-opus-4-8"),
        (Value::Null, Value::Null, String::new())
    );
    assert_eq!(none("claude-opus-5").0, json!({"type": "disabled"}));
    assert_eq!(
        none("claude-sonnet-5-5").0,
        json!({"type": "between_tools"})
    );
    assert_eq!(
        none("claude-fable-5-1"),
        (Value::Null, "low".into(), "clamped:reasoning_effort".into())
    );
}

#[test]
fn a_budget_does_not_go_with_forced_calls_nor_sampling() {
    let forced = ask(
        "claude-sonnet-4-5",
        json!({"reasoning_effort": "low", "tools": tools(), "tool_choice": "required"}),
    );
    assert_eq!(lost(&forced), "dropped:reasoning_effort");
    assert!(json_of(&forced).get("thinking").is_none());
    let adaptive = ask(
        "claude-opus-4-6",
        json!({"reasoning_effort": "low", "tools": tools(), "tool_choice": "required"}),
    );
    assert_eq!(json_of(&adaptive)["thinking"]["type"], "adaptive");
    let sampled = ask(
        "claude-sonnet-4-5",
        json!({"reasoning_effort": "low", "temperature": 0.2, "top_k": 4, "top_p": 0.5}),
    );
    assert_eq!(
        lost(&sampled),
        "dropped:temperature dropped:top_k clamped:top_p"
    );
    assert_eq!(json_of(&sampled)["top_p"], 0.95);
    assert!(json_of(&sampled).get("temperature").is_none());
}

#[test]
fn trap_1_13_reasoning_is_replayed_or_left_out() {
    let replay = |blocks: Value| {
        let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 9_000, "thinking": {"type": "enabled", "budget_tokens": 2_000},
            "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": blocks},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1", "is_error": true}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
        let request = Anthropic
            .decode_request(body.to_string().as_bytes())
            .unwrap();
        let encoded = Anthropic.encode_request(&request).unwrap();
        (json_of(&encoded), lost(&encoded), body)
    };
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let silent = json!({"type": "thinking", "thinking": "", "signature": "c2ln"});
    let redacted = json!({"type": "redacted_thinking", "data": "b3Bh"});
    let (json, lost, body) = replay(json!([silent, redacted, call]));
    assert_eq!(json["messages"], body["messages"]);
    assert_eq!((&json["thinking"], lost.as_str()), (&body["thinking"], ""));
    // It goes first, wherever it came.
    let (json, ..) = replay(json!([call, silent]));
    assert_eq!(json["messages"][1]["content"], json!([silent, call]));
    // Without it, and without its proof, the API refuses to reason on.
    let (json, lost, _) = replay(json!([call]));
    assert_eq!(
        (json.get("thinking"), lost.as_str()),
        (None, "dropped:reasoning_effort")
    );
    let (json, lost, _) =
        replay(json!([{"type": "thinking", "thinking": "unsigned", "signature": ""}, call]));
    assert_eq!(json["messages"][1]["content"], json!([call]));
    assert_eq!(lost, "dropped:reasoning_content dropped:reasoning_effort");
}

#[test]
fn a_request_of_this_format_survives_a_round_trip() {
    let body = json!({
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}, "title": "a.pdf"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüß"}},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": []},
            ]},
            {"role": "assistant", "content": [
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": 2}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [
                    {"type": "text", "text": "two"},
                    {"type": "image", "source": {"type": "url", "url": "https://e.org/b.png"}},
                ], "is_error": true},
            ]},
        ],
        "max_tokens": 99, "temperature": 0.5, "top_k": 3, "stop_sequences": ["END"],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": false}}},
        "metadata": {"user_id": "u"},
        "service_tier": "auto", "container": "c", "stream": true,
    });
    let request = Anthropic
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    assert!(request.stream && request.stream_usage);
    let encoded = Anthropic.encode_request(&request).unwrap();
    assert_eq!(json_of(&encoded), body);
    assert_eq!(lost(&encoded), "");
}

#[test]
fn fields_of_a_clients_request_are_understood() {
    let read = |more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}], "system": "s"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        Anthropic
            .decode_request(body.to_string().as_bytes())
            .unwrap()
    };
    let reasoning = |more: Value| read(more).reasoning;
    let budget = |budget| ReasoningRequest {
        effort: None,
        budget: Some(budget),
    };
    assert_eq!(
        reasoning(json!({"thinking": {"type": "enabled", "budget_tokens": 2_000}})),
        budget(2_000)
    );
    assert_eq!(
        reasoning(json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}})),
        budget(0)
    );
    assert_eq!(
        reasoning(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}))
            .effort
            .as_deref(),
        Some("xhigh")
    );
    assert!(reasoning(json!({"thinking": {"type": "adaptive", "display": "omitted"}})).is_unset());
    let cached = read(json!({
        "cache_control": {"type": "ephemeral"},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
            {"role": "system", "content": "Now be brief."}],
    }));
    assert_eq!(cached.messages.len(), 3);
    assert_eq!(
        cached.extra.unwrap().fields.keys().collect::<Vec<_>>(),
        ["cache_control"]
    );
    for (body, why) in [
        (
            r#"{"messages":[{"role":"alien","content":"x"}]}"#,
            "messages[0]: unknown role `alien`",
        ),
        (
            r#"{"messages":[{"role":"user","content":7}]}"#,
            "messages[0]: `content` is neither a string nor a list of blocks",
        ),
        ("[]", "the request is no JSON object"),
    ] {
        assert_eq!(
            Anthropic
                .decode_request(body.as_bytes())
                .unwrap_err()
                .to_string(),
            why
        );
    }
}
