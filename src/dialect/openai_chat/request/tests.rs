use serde_json::json;

use super::*;
use crate::{
    dialect::Encoded,
    llm::{ChatRequest, Extra, Format, Media, Message, Part, Role, Tool, ToolChoice},
};

fn read(body: &Value) -> ChatRequest {
    decode(body.to_string().as_bytes()).unwrap()
}

fn refused(body: &Value) -> String {
    decode(body.to_string().as_bytes()).unwrap_err().to_string()
}

fn written(request: &ChatRequest) -> (Value, Vec<String>) {
    let Encoded { body, lost, .. } = encode(request).unwrap();
    let lost = lost.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), lost)
}

fn round(body: &Value) -> Value {
    written(&read(body)).0
}

fn unknown(body: &Value) -> Vec<String> {
    let extra = read(body).extra;
    extra
        .into_iter()
        .flat_map(|extra| extra.fields)
        .map(|(key, _)| key)
        .collect()
}

fn of(messages: Vec<Message>) -> ChatRequest {
    ChatRequest {
        messages,
        ..ChatRequest::default()
    }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        name: None,
        parts,
    }
}

#[test]
fn a_request_survives_a_round_trip() {
    let body = json!({
        "model": "o4-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCCC", "filename": "a.pdf"}},
                {"type": "something_new", "x": [1]},
            ]},
            {"role": "assistant", "content": "Looking.", "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
                    "extra_content": {"google": {"thought_signature": "s"}}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "assistant", "content": null, "refusal": "No."},
            {"role": "assistant", "content": null, "audio": {"id": "audio_1"}},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop": ["a", "b"], "seed": 7, "n": 2,
        "frequency_penalty": 0.25, "presence_penalty": -0.5, "logprobs": true, "top_logprobs": 3,
        "reasoning_effort": "low", "user": "u",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true, "description": "d"}},
        "stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true},
        "some_new_field": {"kept": [1, 2]}, "logit_bias": {"1": -100}, "metadata": {"a": "b"}, "store": true,
        "service_tier": "flex", "verbosity": "low", "web_search_options": {}, "modalities": ["text"],
    });
    assert_eq!(round(&body), body);
    assert!(written(&read(&body)).1.is_empty());
}

#[test]
fn nothing_is_dropped_in_silence() {
    let body = json!({
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": "b", "prefix": true, "annotations": [{}], "refusal": null, "audio": null,
                "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "note": 1}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": null, "x": 1}, "cache_control": {"type": "ephemeral"}}],
        "logit_bias": {"1": 2}, "metadata": null, "max_tokens": -1, "temperature": "warm", "logprobs": 3, "store": false,
        "response_format": {"type": "grammar", "grammar": "g"}, "reasoning": {"effort": "low", "exclude": true},
    });
    assert_eq!(
        unknown(&body),
        [
            "logit_bias",
            "max_tokens",
            "temperature",
            "logprobs",
            "store",
            "response_format",
            "reasoning",
            "messages[].content[].cache_control",
            "messages[].tool_calls[].note",
            "messages[].prefix",
            "tools[].cache_control",
            "tools[].x",
        ]
    );
    // Back in OpenAI's format, the provider is the judge of values; what stood inside is reported.
    let (json, lost) = written(&read(&body));
    assert_eq!(
        (&json["max_tokens"], &json["temperature"]),
        (&json!(-1), &json!("warm"))
    );
    assert_eq!(lost.len(), 5);
    assert!(lost.contains(&"dropped:messages[].prefix".to_owned()));
}

#[test]
fn nulls_say_nothing() {
    let body = json!({"model": null, "messages": null, "tools": null, "tool_choice": null, "stop": null, "n": null, "stream": null,
        "stream_options": null, "response_format": null, "functions": null, "function_call": null, "parallel_tool_calls": null, "x": null});
    let request = read(&body);
    assert!(request.extra.is_none() && request.messages.is_empty() && request.tools.is_empty());
    assert_eq!((request.tool_choice, request.sampling.n), (None, None));
}

#[test]
fn null_content_beside_calls_and_empty_arguments_are_understood() {
    for content in [json!(null), json!("")] {
        let request = read(
            &json!({"messages": [{"role": "assistant", "content": content,
            "tool_calls": [{"id": "c", "function": {"name": "now", "arguments": ""}}]}]}),
        );
        assert!(
            matches!(request.messages[0].parts.as_slice(), [Part::ToolCall { arguments, .. }] if arguments == "{}")
        );
    }
}

#[test]
fn trap_1_13_reasoning_keeps_its_signatures() {
    let parts = |message: Value| {
        let request = read(&json!({"messages": [message]}));
        format!("{:?}", request.messages[0].parts)
    };
    assert_eq!(
        parts(
            json!({"role": "assistant", "content": "x", "reasoning_content": "a", "thinking_blocks": [
            {"type": "thinking", "thinking": "a", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]})
        ),
        r#"[Thinking { text: "a", signature: Some("s") }, Redacted("d"), Text("x")]"#
    );
    // A client that joined our deltas by name alone.
    assert_eq!(
        parts(
            json!({"role": "assistant", "content": "x", "reasoning": "a", "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]})
        ),
        r#"[Thinking { text: "a", signature: Some("s") }, Text("x")]"#
    );
    assert_eq!(
        parts(
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "x"}]})
        ),
        r#"[Thinking { text: "a", signature: None }, Text("x")]"#
    );
    for field in ["extra_content", "provider_specific_fields"] {
        let signed = match field {
            "extra_content" => json!({"google": {"thought_signature": "s"}}),
            _ => json!({"thought_signature": "s"}),
        };
        let mut call =
            json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        crate::dialect::put(&mut call, field, signed);
        assert_eq!(
            parts(json!({"role": "assistant", "tool_calls": [call]})),
            r#"[ToolCall { id: "c", name: "f", arguments: "{}", signature: Some("s") }]"#
        );
    }
}

#[test]
fn functions_are_tools_of_an_older_kind() {
    let request = read(&json!({
        "messages": [
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}},
            {"role": "function", "name": "f", "content": "3"},
        ],
        "functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": {"name": "f"},
    }));
    assert_eq!(request.tools[0].name, "f");
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert!(
        matches!(&request.messages[0].parts[0], Part::ToolCall { id, name, .. } if id == "f" && name == "f")
    );
    assert!(matches!(&request.messages[1].parts[0], Part::ToolResult { id, .. } if id == "f"));
}

#[test]
fn every_tool_choice_is_read() {
    let tools = json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}]);
    let read = |choice: Value| {
        let request = read(&json!({"tools": tools, "tool_choice": choice}));
        (request.tool_choice.unwrap(), request.tools.len())
    };
    assert_eq!(read(json!("auto")), (ToolChoice::Auto, 2));
    assert_eq!(read(json!("none")), (ToolChoice::None, 2));
    assert_eq!(read(json!("required")), (ToolChoice::Required, 2));
    assert_eq!(read(json!("any")), (ToolChoice::Required, 2));
    let named = json!({"type": "function", "function": {"name": "b"}});
    assert_eq!(read(named), (ToolChoice::Named("b".into()), 2));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}});
    assert_eq!(read(allowed), (ToolChoice::Required, 1));
    for (choice, why) in [
        (json!("sometimes"), "unknown `tool_choice` `sometimes`"),
        (json!(3), "`tool_choice` is neither a word nor an object"),
        (
            json!({"type": "custom", "custom": {"name": "x"}}),
            "the provider cannot take a tool of type `custom`",
        ),
        (json!({"type": "function"}), "a function has no `name`"),
    ] {
        assert_eq!(
            refused(&json!({"tools": tools, "tool_choice": choice})),
            why
        );
    }
}

#[test]
fn mistakes_name_their_place() {
    for (body, why) in [
        (json!([]), "the request is no JSON object"),
        (json!({"messages": "x"}), "`messages` is no list"),
        (
            json!({"messages": ["x"]}),
            "messages[0]: a message is an object with `role` and `content`",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "alien"}]}),
            "messages[1]: unknown role `alien`",
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages[0]: `content` is neither a string nor a list of parts",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages[0]: message part type is 'image_url' but is missing .image_url.url block",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": {}}]}),
            "messages[0]: `tool_calls` is no list",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}]}),
            "the provider cannot take a tool call of type `custom`",
        ),
        (json!({"tools": {}}), "`tools` is no list"),
        (
            json!({"tools": [{"type": "function"}]}),
            "a tool of type `function` has no `function`",
        ),
        (
            json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}),
            "the provider cannot take a tool of type `custom`",
        ),
        (
            json!({"stop": [1]}),
            "`stop` is neither a string nor a list of strings",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "`response_format` has no `json_schema`",
        ),
    ] {
        assert_eq!(refused(&body), why);
    }
}

#[test]
fn limits_and_reasoning_are_read_in_every_spelling() {
    assert_eq!(
        read(&json!({"max_tokens": 5, "max_completion_tokens": 7.0}))
            .sampling
            .max_tokens,
        Some(7)
    );
    for (body, effort, budget) in [
        (json!({"reasoning_effort": "high"}), Some("high"), None),
        (json!({"reasoning": {"effort": "low"}}), Some("low"), None),
        (json!({"reasoning": {"max_tokens": 2000}}), None, Some(2000)),
        (
            json!({"reasoning": {"enabled": true}}),
            Some("medium"),
            None,
        ),
        (json!({"reasoning": {"enabled": false}}), Some("none"), None),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
            None,
            Some(4096),
        ),
        (
            json!({"thinking": {"type": "disabled"}}),
            Some("none"),
            None,
        ),
    ] {
        let request = read(&body);
        assert_eq!(
            (
                request.reasoning.effort.as_deref(),
                request.reasoning.budget
            ),
            (effort, budget),
            "{body}"
        );
        assert!(request.extra.is_none(), "{body}");
    }
    assert_eq!(
        unknown(&json!({"thinking": {"type": "enabled"}})),
        ["thinking"]
    );
}

#[test]
fn images_and_files_are_read_in_every_form() {
    let request = read(&json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": "QUJD", "filename": "notes.TXT"}},
        {"type": "file", "file": {"file_data": "QUJD"}},
        {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
    ]}]}));
    assert_eq!(
        format!("{:?}", request.messages[0].parts),
        r#"[Image { source: Url("https://example.com/a.png"), detail: None }, File { name: Some("notes.TXT"), source: Base64 { media_type: "text/plain", data: "QUJD" } }, File { name: None, source: Base64 { media_type: "application/pdf", data: "QUJD" } }, File { name: None, source: Url("https://example.com/a.pdf") }]"#
    );
}

#[test]
fn tool_results_hold_text_and_images_follow_them() {
    let request = read(
        &json!({"messages": [{"role": "tool", "tool_call_id": "c", "content": [
        {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]}),
    );
    assert!(
        matches!(&request.messages[0].parts[0], Part::ToolResult { parts, .. } if parts.len() == 2)
    );

    let image = || Part::Image {
        source: Media::Url("https://example.com/a.png".into()),
        detail: None,
    };
    let result = |id: &str, parts: Vec<Part>, is_error: bool| Part::ToolResult {
        id: id.into(),
        parts,
        is_error,
    };
    let (json, lost) = written(&of(vec![
        message(Role::User, vec![result("a", vec![image()], false)]),
        message(
            Role::User,
            vec![result(
                "b",
                vec![Part::Text("no".into()), Part::Text("way".into())],
                true,
            )],
        ),
        message(
            Role::User,
            vec![result("c", vec![], true), Part::Text("Go on.".into())],
        ),
        message(Role::User, vec![result("d", vec![image()], false)]),
    ]));
    assert!(lost.is_empty());
    assert_eq!(
        json["messages"],
        json!([
            {"role": "tool", "tool_call_id": "a", "content": "The result follows in the next message of the user."},
            {"role": "tool", "tool_call_id": "b", "content": "Error: no\nway"},
            {"role": "tool", "tool_call_id": "c", "content": "Error"},
            {"role": "user", "content": [
                {"type": "text", "text": "Result of the tool call a:"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "text", "text": "Go on."}]},
            {"role": "tool", "tool_call_id": "d", "content": "The result follows in the next message of the user."},
            {"role": "user", "content": [
                {"type": "text", "text": "Result of the tool call d:"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
        ])
    );
}

#[test]
fn reasoning_goes_back_as_text_and_its_proof_is_reported() {
    let thinking = |text: &str, signature: Option<&str>| Part::Thinking {
        text: text.into(),
        signature: signature.map(str::to_owned),
    };
    let (json, lost) = written(&of(vec![
        message(
            Role::Assistant,
            vec![
                thinking("hm", Some("s")),
                Part::Redacted("d".into()),
                Part::Text("a".into()),
                Part::Text("b".into()),
            ],
        ),
        message(Role::Assistant, vec![thinking("alone", None)]),
        message(Role::Assistant, vec![]),
    ]));
    assert_eq!(
        json["messages"],
        json!([{"role": "assistant", "content": "ab", "reasoning_content": "hm"}, {"role": "assistant", "content": ""}])
    );
    assert_eq!(
        lost,
        [
            "dropped:thinking.signature",
            "dropped:redacted_thinking",
            "dropped:thinking"
        ]
    );
}

#[test]
fn several_texts_are_one_string() {
    let texts = || vec![Part::Text("a".into()), Part::Text("b".into())];
    let (json, _) = written(&of(vec![
        message(Role::System, texts()),
        message(Role::User, texts()),
    ]));
    assert_eq!(
        json["messages"],
        json!([{"role": "system", "content": "a\nb"}, {"role": "user", "content": "a\nb"}])
    );
}

#[test]
fn what_openai_cannot_take_is_refused_or_reported() {
    let by_id = Part::Image {
        source: Media::Id("f".into()),
        detail: None,
    };
    let error = encode(&of(vec![message(Role::User, vec![by_id])])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the provider cannot take an image by its file's id"
    );

    let opaque = Part::Opaque {
        from: Format::Anthropic,
        json: serde_json::value::RawValue::from_string(r#"{"type":"server_tool_use"}"#.into())
            .unwrap(),
    };
    let mut request = of(vec![message(
        Role::User,
        vec![Part::Text("a".into()), opaque],
    )]);
    request.extra = Some(Extra {
        from: Format::Anthropic,
        fields: serde_json::from_value(json!({"container": "c", "none": null})).unwrap(),
    });
    let (json, lost) = written(&request);
    assert!(json.get("container").is_none());
    assert_eq!(
        lost,
        ["dropped:content.server_tool_use", "dropped:container"]
    );
}

#[test]
fn budgets_become_efforts_and_limits_get_the_models_name() {
    let asked = |model: &str, effort: Option<&str>, budget: Option<u64>| {
        let mut request = of(vec![]);
        request.model = Some(model.into());
        request.sampling.max_tokens = Some(5);
        request.reasoning.effort = effort.map(str::to_owned);
        request.reasoning.budget = budget;
        written(&request)
    };
    for (model, effort, budget, sent, loss) in [
        ("o4-mini", Some("xhigh"), None, json!("xhigh"), None),
        ("gpt-5.1", None, Some(5000), json!("medium"), None),
        ("gpt-5.1", None, Some(0), json!("none"), None),
        (
            "gpt-5",
            None,
            Some(31_999),
            json!("high"),
            Some("clamped:reasoning_effort"),
        ),
        ("gpt-4o", None, Some(0), Value::Null, None),
        (
            "gpt-4o",
            None,
            Some(5000),
            Value::Null,
            Some("dropped:reasoning_effort"),
        ),
        ("deepseek-chat", Some("low"), Some(1), json!("low"), None),
    ] {
        let (json, lost) = asked(model, effort, budget);
        assert_eq!(json["reasoning_effort"], sent, "{model}");
        assert_eq!(lost, loss.into_iter().collect::<Vec<_>>(), "{model}");
        let reasons = ["o4-mini", "gpt-5.1", "gpt-5"].contains(&model);
        assert_eq!(
            json.get("max_completion_tokens").is_some(),
            reasons,
            "{model}"
        );
        assert_eq!(json.get("max_tokens").is_some(), !reasons, "{model}");
    }
}

#[test]
fn a_choice_without_tools_is_left_out() {
    let mut request = of(vec![]);
    request.tool_choice = Some(ToolChoice::Auto);
    request.parallel_tool_calls = Some(true);
    let (json, lost) = written(&request);
    assert_eq!((json, lost), (json!({"messages": []}), vec![]));
}

#[test]
fn long_names_are_known_again_in_answers() {
    let long = "x".repeat(70);
    let mut request = of(vec![message(
        Role::Assistant,
        vec![Part::ToolCall {
            id: "c".into(),
            name: long.clone(),
            arguments: "{}".into(),
            signature: None,
        }],
    )]);
    request.tools = vec![Tool {
        name: long.clone(),
        description: None,
        parameters: None,
        strict: None,
    }];
    request.tool_choice = Some(ToolChoice::Named(long.clone()));
    let encoded = encode(&request).unwrap();
    let json: Value = serde_json::from_slice(&encoded.body).unwrap();
    let short = "x".repeat(64);
    for place in [
        "/tools/0/function/name",
        "/tool_choice/function/name",
        "/messages/0/tool_calls/0/function/name",
    ] {
        assert_eq!(json.pointer(place).unwrap(), &json!(short), "{place}");
    }
    assert_eq!(encoded.restore.tools, [(short, long)]);
}

#[test]
fn a_schema_without_a_name_gets_one() {
    let body = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}, "messages": []});
    assert_eq!(
        round(&body)["response_format"]["json_schema"]["name"],
        "answer"
    );
}
