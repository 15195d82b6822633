use serde_json::{Value, json};

use super::{Api, asked, encoded, sent, user};
use crate::{
    dialect::{Error, Ingress, Loss, gemini::request, openai_responses::OpenAiResponses},
    llm::{Media, Message, Part, Role},
};

#[test]
fn a_conversation_is_written() {
    let (body, lost) = sent(
        "gemini-1.5-pro",
        json!({
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {"role": "user", "content": "Hi"},
                {"role": "user", "content": ""},
                {"role": "user", "content": "there"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Bye"},
            ],
            "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop": ["a", "b"], "seed": 7, "n": 2,
            "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": true, "top_logprobs": 4,
        }),
    );
    assert_eq!(
        body,
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
                {"role": "model", "parts": [{"text": "Hello"}]},
                {"role": "user", "parts": [{"text": "Bye"}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
            "generationConfig": {
                "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 3, "stopSequences": ["a", "b"],
                "candidateCount": 2, "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": 0.2,
                "responseLogprobs": true, "logprobs": 4,
            },
        })
    );
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn what_cannot_be_said_is_told() {
    let (_, lost) = sent(
        "gemini-2.5-flash",
        json!({
            "messages": [{"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "x"},
                {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
            ]}],
            "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
            "parallel_tool_calls": false, "user": "u", "temperature": 3, "seed": 99_999_999_999_i64, "top_logprobs": 2,
            "logit_bias": {"1": 2}, "store": null, "n": 1,
        }),
    );
    assert_eq!(
        lost,
        [
            "dropped:name",
            "dropped:detail",
            "dropped:strict",
            "clamped:temperature",
            "clamped:seed",
            "dropped:top_logprobs",
            "dropped:user",
            "dropped:parallel_tool_calls",
            "dropped:logit_bias",
        ]
    );
    let (_, lost) = sent(
        "gemini-2.5-flash",
        json!({"messages": user("x"), "tool_choice": "auto", "parallel_tool_calls": false}),
    );
    assert!(lost.is_empty(), "without tools nothing is lost: {lost:?}");
}

#[test]
fn pictures_sound_and_documents() {
    let (body, _) = sent(
        "gemini-2.5-flash",
        json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://h/a.webp?x=1"}},
            {"type": "image_url", "image_url": {"url": "https://h/picture"}},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {"type": "file", "file": {"file_id": "files/abc"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
        ]}]}),
    );
    assert_eq!(
        body["contents"][0]["parts"],
        json!([
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://h/a.webp?x=1"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://h/picture"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "BBBB"}},
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "CCCC"}},
        ])
    );
}

#[test]
fn another_providers_own_blocks_are_left_out_and_told() {
    let body = json!({"model": "m", "input": [
        {"role": "user", "content": "one"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
        {"role": "user", "content": "three"},
    ]});
    let request = OpenAiResponses
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    let encoded = request::encode(&request, Api::Gemini).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        sent["contents"],
        json!([
            {"role": "user", "parts": [{"text": "one"}]},
            {"role": "model", "parts": [{"text": "two"}]},
            {"role": "user", "parts": [{"text": "three"}]},
        ])
    );
    assert_eq!(encoded.lost, [Loss::dropped("reasoning")]);
}

#[test]
fn blocks_that_nobody_knows_are_refused_in_kongs_words() {
    let request = asked(
        "gemini-1.5-pro",
        json!({"messages": [{"role": "user", "content": [{"type": "odd", "odd": 1}]}]}),
    );
    let error = request::encode(&request, Api::Gemini).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot transform part of type 'odd' to Gemini format"
    );
    let request = asked(
        "gemini-1.0-pro",
        json!({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]}),
    );
    let error = request::encode(&request, Api::Gemini).unwrap_err();
    assert_eq!(
        error.to_string(),
        "system prompts aren't supported on gemini-1.0 models"
    );
    let request = asked(
        "gemini-2.5-pro",
        json!({"messages": [{"role": "system", "content": [
            {"type": "image_url", "image_url": {"url": "https://h/a.png"}}
        ]}]}),
    );
    assert!(matches!(
        request::encode(&request, Api::Gemini),
        Err(Error::Unsupported { what }) if what.starts_with("image")
    ));
}

/// Two calls, one without arguments, answered in the other order, with words in between.
fn called(first: &str, second: &str) -> Value {
    json!([
        {"role": "user", "content": "Do it"},
        {"role": "assistant", "content": "Well.", "tool_calls": [
            {"id": first, "type": "function", "function": {"name": "find", "arguments": "{\"q\":123456789012345678901234567890}"}},
            {"id": second, "type": "function", "function": {"name": "now", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": second, "content": "noon"},
        {"role": "tool", "tool_call_id": first, "content": [{"type": "text", "text": "{\"hits\":[]}"}]},
        {"role": "user", "content": "And?"},
    ])
}

#[test]
fn trap_1_12_results_stand_alone_in_call_order_with_names() {
    let request = asked("gemini-2.5-pro", json!({"messages": called("a", "b")}));
    let encoded = request::encode(&request, Api::Gemini).unwrap();
    let text = String::from_utf8(encoded.body.to_vec()).unwrap();
    assert!(
        text.contains(r#""args":{"q":123456789012345678901234567890}"#),
        "big numbers keep their digits: {text}"
    );
    let body: Value = serde_json::from_str(&text).unwrap();
    let contents = body["contents"].as_array().unwrap();
    assert_eq!(contents.len(), 4);
    assert_eq!(contents[1]["parts"][0], json!({"text": "Well."}));
    assert_eq!(
        contents[1]["parts"][2],
        json!({"functionCall": {"name": "now", "args": {}}})
    );
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "find", "response": {"hits": []}}},
            {"functionResponse": {"name": "now", "response": {"result": "noon"}}},
        ]})
    );
    assert_eq!(
        contents[3],
        json!({"role": "user", "parts": [{"text": "And?"}]})
    );
}

#[test]
fn ids_go_where_the_api_knows_them() {
    let ids = |model: &str, api: Api, first: &str| {
        let request = asked(model, json!({"messages": called(first, "b")}));
        let (body, _) = encoded(&request, api);
        [
            body["contents"][1]["parts"][1]["functionCall"]["id"].clone(),
            body["contents"][2]["parts"][0]["functionResponse"]["id"].clone(),
        ]
    };
    assert_eq!(ids("gemini-3.5-flash", Api::Gemini, "a"), ["a", "a"]);
    assert_eq!(
        ids("gemini-2.5-pro", Api::Gemini, "a"),
        [Value::Null, Value::Null]
    );
    assert_eq!(
        ids("gemini-3.5-flash", Api::Vertex, "a"),
        [Value::Null, Value::Null]
    );
    let made = crate::dialect::gemini::ids::made("r", 0, 1, "find", "{}");
    assert_eq!(
        ids("gemini-3.5-flash", Api::Gemini, &made),
        [Value::Null, Value::Null]
    );
}

#[test]
fn trap_1_13_signatures_come_back_out_of_ids() {
    let id = crate::dialect::gemini::ids::joined("a", "c2ln");
    let (body, _) = sent("gemini-3.5-flash", json!({"messages": called(&id, "b")}));
    let parts = &body["contents"][1]["parts"];
    assert_eq!(parts[1]["thoughtSignature"], "c2ln");
    assert_eq!(parts[1]["functionCall"]["id"], "a");
    assert_eq!(parts[2].get("thoughtSignature"), None);
    assert_eq!(
        body["contents"][2]["parts"][0]["functionResponse"]["id"], "a",
        "the result finds its call"
    );
    // Another model's call has none, and Gemini 3 would refuse it.
    let (body, _) = sent("gemini-3.5-flash", json!({"messages": called("a", "b")}));
    let parts = &body["contents"][1]["parts"];
    assert_eq!(
        parts[1]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
    assert_eq!(parts[2].get("thoughtSignature"), None);
    let (body, _) = sent("gemini-2.5-pro", json!({"messages": called("a", "b")}));
    assert_eq!(
        body["contents"][1]["parts"][1].get("thoughtSignature"),
        None
    );
}

#[test]
fn trap_1_13_reasoning_is_replayed() {
    let mut request = asked("gemini-3.5-flash", json!({"messages": user("x")}));
    let thinking = |text: &str, signature: Option<&str>| Part::Thinking {
        text: text.into(),
        signature: signature.map(Into::into),
    };
    request.messages.push(Message {
        role: Role::Assistant,
        name: None,
        parts: vec![
            thinking("why", Some("czE=")),
            Part::Text("because".into()),
            thinking("", Some("czI=")),
            thinking("", None),
            thinking("", Some("czM=")),
            Part::Redacted("secret".into()),
        ],
    });
    let (body, lost) = encoded(&request, Api::Gemini);
    assert_eq!(
        body["contents"][1]["parts"],
        json!([
            {"text": "why", "thought": true, "thoughtSignature": "czE="},
            {"text": "because", "thoughtSignature": "czI="},
            {"text": "", "thoughtSignature": "czM="},
        ])
    );
    assert_eq!(lost, ["dropped:redacted_thinking"]);
}

#[test]
fn results_hold_errors_pictures_and_anything() {
    let mut request = asked("gemini-3.5-flash", json!({"messages": called("a", "b")}));
    request.messages.truncate(2);
    let picture = Part::Image {
        source: Media::Base64 {
            media_type: "image/png".into(),
            data: "AAAA".into(),
        },
        detail: None,
    };
    let result = |id: &str, parts: Vec<Part>, is_error| Part::ToolResult {
        id: id.into(),
        parts,
        is_error,
    };
    request.messages.push(Message {
        role: Role::User,
        name: None,
        parts: vec![
            result("a", vec![Part::Text("[1]".into()), picture], false),
            result("b", vec![Part::Text("broken".into())], true),
        ],
    });
    let (body, _) = encoded(&request, Api::Vertex);
    assert_eq!(
        body["contents"][2]["parts"],
        json!([
            {"functionResponse": {"name": "find", "response": {"result": "[1]"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}},
            {"functionResponse": {"name": "now", "response": {"error": "broken"}}},
        ])
    );
    // Earlier models have no place for the picture: it follows.
    request.model = Some("gemini-2.5-pro".into());
    let (body, _) = encoded(&request, Api::Gemini);
    assert_eq!(
        body["contents"][3],
        json!({"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]})
    );
}

#[test]
fn malformed_arguments_stay_visible() {
    let (body, _) = sent(
        "gemini-2.5-pro",
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{\"a\":"}},
        ]}]}),
    );
    assert_eq!(
        body["contents"][1]["parts"][0]["functionCall"]["args"],
        json!({"arguments": "{\"a\":"})
    );
}

#[test]
fn tools_and_every_choice() {
    let tools = json!([
        {"type": "function", "function": {"name": "get weather", "description": "d",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    ]);
    let ask = |choice: Value| {
        let body = json!({"messages": user("x"), "tools": tools, "tool_choice": choice});
        let request = asked("gemini-2.5-pro", body);
        let encoded = request::encode(&request, Api::Gemini).unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        (body, encoded.restore)
    };
    let (body, restore) = ask(json!("auto"));
    assert_eq!(
        body["tools"],
        json!([{"functionDeclarations": [
            {"name": "get_weather", "description": "d",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
            {"name": "now"},
        ]}])
    );
    assert_eq!(
        restore.tools,
        [("get_weather".to_owned(), "get weather".to_owned())]
    );
    for (choice, config) in [
        (json!("auto"), json!({"mode": "AUTO"})),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (
            json!({"type": "function", "function": {"name": "get weather"}}),
            json!({"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
        ),
    ] {
        assert_eq!(ask(choice).0["toolConfig"]["functionCallingConfig"], config);
    }
}

#[test]
fn reasoning_by_model() {
    for (model, effort, config, loss) in [
        (
            "gemini-2.5-pro",
            "low",
            json!({"includeThoughts": true, "thinkingBudget": 1024}),
            "",
        ),
        (
            "gemini-2.5-pro",
            "none",
            json!({"includeThoughts": false, "thinkingBudget": 128}),
            "clamped:reasoning_effort",
        ),
        (
            "gemini-2.5-flash",
            "none",
            json!({"includeThoughts": false, "thinkingBudget": 0}),
            "",
        ),
        (
            "gemini-2.5-flash-lite",
            "none",
            json!({"includeThoughts": false, "thinkingBudget": 0}),
            "",
        ),
        (
            "gemini-2.5-flash",
            "xhigh",
            json!({"includeThoughts": true, "thinkingBudget": 24576}),
            "clamped:reasoning_effort",
        ),
        (
            "gemini-3-pro-preview",
            "medium",
            json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
            "clamped:reasoning_effort",
        ),
        (
            "gemini-3.1-pro-preview",
            "medium",
            json!({"includeThoughts": true, "thinkingLevel": "MEDIUM"}),
            "",
        ),
        (
            "gemini-3.1-pro-preview",
            "minimal",
            json!({"includeThoughts": true, "thinkingLevel": "LOW"}),
            "",
        ),
        (
            "gemini-3-flash-preview",
            "minimal",
            json!({"includeThoughts": true, "thinkingLevel": "MINIMAL"}),
            "",
        ),
        (
            "gemini-3.8-flash",
            "none",
            json!({"includeThoughts": false, "thinkingLevel": "LOW"}),
            "clamped:reasoning_effort",
        ),
        (
            "gemini-3.8-flash",
            "high",
            json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
            "",
        ),
        (
            "gemini-flash-latest",
            "low",
            json!({"includeThoughts": true, "thinkingBudget": 1024}),
            "",
        ),
        (
            "gemini-2.0-flash",
            "low",
            Value::Null,
            "dropped:reasoning_effort",
        ),
        ("gemini-2.0-flash", "none", Value::Null, ""),
        (
            "gemini-2.5-pro",
            "odd",
            Value::Null,
            "dropped:reasoning_effort",
        ),
    ] {
        let (body, lost) = sent(
            model,
            json!({"messages": user("x"), "reasoning_effort": effort}),
        );
        assert_eq!(
            body["generationConfig"]["thinkingConfig"], config,
            "{model} {effort}"
        );
        assert_eq!(lost.join(","), loss, "{model} {effort}");
    }
    let mut request = asked("gemini-3.5-flash", json!({"messages": user("x")}));
    request.reasoning.budget = Some(5000);
    let (body, _) = encoded(&request, Api::Gemini);
    assert_eq!(
        body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
        "MEDIUM"
    );
}

#[test]
fn json_answers() {
    let (body, _) = sent(
        "gemini-2.5-pro",
        json!({"messages": user("x"), "response_format": {"type": "json_object"}}),
    );
    assert_eq!(
        body["generationConfig"],
        json!({"responseMimeType": "application/json"})
    );
    let (body, lost) = sent(
        "gemini-2.5-pro",
        json!({"messages": user("x"), "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}}}}),
    );
    assert_eq!(
        body["generationConfig"],
        json!({"responseMimeType": "application/json",
            "responseSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}})
    );
    assert_eq!(lost, ["dropped:schema.additionalProperties"]);
}

#[test]
fn changed_names_do_not_meet_others() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let long = "x".repeat(80);
    let request = asked(
        "gemini-2.5-pro",
        json!({"messages": user("x"), "tools": [tool("a b"), tool("a_b"), tool("a/b"), tool("1"), tool(&long)]}),
    );
    let encoded = request::encode(&request, Api::Gemini).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let names: Vec<&str> = body["tools"][0]["functionDeclarations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a_b_2", "a_b", "a_b_3", "_", &"x".repeat(60)]);
    assert_eq!(encoded.restore.tools.len(), 4);
}
