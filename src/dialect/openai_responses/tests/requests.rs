//! Requests, both ways.

use serde_json::{Value, json};

use crate::{
    dialect::{
        Egress, Encoded, Error, Ingress, Loss,
        openai_chat::OpenAiChat,
        openai_responses::{OpenAiResponses, Served},
    },
    llm::{ChatRequest, Format, Media, OutputFormat, Part, Role, ToolChoice},
};

fn decoded(body: &Value) -> Result<ChatRequest, Error> {
    OpenAiResponses.decode_request(body.to_string().as_bytes())
}

fn read(body: &Value) -> ChatRequest {
    decoded(body).unwrap()
}

fn refusal(body: &Value) -> String {
    decoded(body).unwrap_err().to_string()
}

fn written(request: &ChatRequest) -> (Value, Vec<String>) {
    let Encoded { body, lost, .. } = OpenAiResponses.encode_request(request).unwrap();
    (
        serde_json::from_slice(&body).unwrap(),
        lost.iter().map(ToString::to_string).collect(),
    )
}

/// A request of chat's, in this format.
fn of_chat(body: &Value) -> (Value, Vec<String>) {
    written(
        &OpenAiChat
            .decode_request(body.to_string().as_bytes())
            .unwrap(),
    )
}

/// A request of this format, in chat's.
fn as_chat(body: &Value) -> (Value, Vec<Loss>) {
    let encoded = OpenAiChat.encode_request(&read(body)).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.lost)
}

#[test]
fn requests_survive_a_round_trip() {
    let body = json!({
        "model": "gpt-5",
        "instructions": "Be kind.",
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "detail": "low", "image_url": "https://example.com/a.png"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
                {"type": "input_image", "detail": "auto", "file_id": "file_1"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://example.com/b.pdf"},
                {"type": "input_file", "file_id": "file_2"},
                {"type": "input_new", "x": 1}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}],
                "encrypted_content": "gAAAA"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "So:", "annotations": []}, {"type": "refusal", "refusal": "No."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{ \"a\":1 }"},
            {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "function_call_output", "call_id": "c2", "output": [
                {"type": "input_text", "text": "two"}, {"type": "input_image", "detail": "auto", "image_url": "https://example.com/c.png"}]},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on"}]}],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true, "description": "F."}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": false,
        "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9, "top_logprobs": 2,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "user": "u", "stream": true,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "metadata": {"k": "v"}, "store": false, "truncation": "auto", "service_tier": "flex",
        "prompt_cache_key": "k", "brand_new": {"x": [1]}});
    let (again, lost) = written(&read(&body));
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(again, body);
    let canonical = read(&body);
    let [first, user, assistant, results, ..] = &canonical.messages[..] else {
        panic!("{canonical:?}")
    };
    assert_eq!(
        (first.role, user.role, assistant.role),
        (Role::System, Role::User, Role::Assistant)
    );
    assert!(
        matches!(&user.parts[4], Part::File { name: Some(name), source: Media::Base64 { .. } } if name == "a.pdf")
    );
    assert!(matches!(
        &assistant.parts[0],
        Part::Opaque {
            from: Format::Responses,
            ..
        }
    ));
    assert_eq!((assistant.parts.len(), results.parts.len()), (6, 2));
    assert!(matches!(
        &canonical.output,
        OutputFormat::JsonSchema {
            strict: Some(true),
            ..
        }
    ));
}

#[test]
fn texts_and_bare_messages_are_read() {
    let one = read(&json!({"model": "m", "input": "Hi"}));
    assert!(
        matches!(&one.messages[..], [m] if m.role == Role::User && matches!(&m.parts[..], [Part::Text(t)] if t == "Hi"))
    );
    let many = read(
        &json!({"input": [{"role": "developer", "content": "D"}, {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B"}]}),
    );
    let roles: Vec<Role> = many.messages.iter().map(|message| message.role).collect();
    assert_eq!(
        roles,
        [Role::System, Role::User, Role::Assistant, Role::Assistant]
    );
    assert!(many.extra.is_none());
    assert!(read(&json!({"model": "m"})).messages.is_empty());
}

#[test]
fn trap_1_12_a_turn_is_one_message() {
    let (chat, lost) = as_chat(&json!({"model": "m", "input": [
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "One moment.", "annotations": [{"type": "file_path"}], "logprobs": []}]},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": {"k": 2}},
        {"type": "item_reference", "id": "msg_1"}]}));
    assert_eq!(lost, []);
    assert_eq!(
        chat["messages"],
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "One moment.", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{\"input\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "{\"k\":2}"}])
    );
}

#[test]
fn what_is_kept_elsewhere_is_refused_clearly() {
    for (body, expected) in [
        (
            json!({"previous_response_id": "resp_1", "input": "x"}),
            "`previous_response_id` names what is not kept here: send the earlier items as `input`",
        ),
        (
            json!({"conversation": "conv_1"}),
            "`conversation` names what is not kept here: send its items as `input`",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_9"}]}),
            "input[0]: `item_reference` to `msg_9`, which is not among the items before it and is not kept here: send the item itself",
        ),
        (
            json!({"input": [{"role": "user", "content": "x"}, {"role": "clown", "content": "x"}]}),
            "input[1]: unknown role `clown`",
        ),
        (
            json!({"input": 3}),
            "`input` is neither a text nor a list of items",
        ),
        (json!([]), "the request is no JSON object"),
    ] {
        assert_eq!(refusal(&body), expected);
    }
    assert!(decoded(&json!({"previous_response_id": null, "input": "x"})).is_ok());
}

#[test]
fn built_in_tools_are_refused_where_the_provider_has_none() {
    for kind in [
        "web_search",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "local_shell",
        "shell",
        "apply_patch",
        "computer_use_preview",
    ] {
        let error = decoded(&json!({"input": "x", "tools": [{"type": kind}]})).unwrap_err();
        assert_eq!(
            error,
            Error::Unsupported {
                what: format!(
                    "the built-in tool `{kind}`, which is OpenAI's own: turn it off in the client"
                )
            }
        );
        let choice = json!({"input": "x", "tool_choice": {"type": kind}});
        assert!(matches!(decoded(&choice), Err(Error::Unsupported { .. })));
    }
    let body = json!({"input": "x", "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}], "tool_choice": {"type": "web_search"}});
    let served = Served.decode_request(body.to_string().as_bytes()).unwrap();
    assert_eq!((served.tools.len(), served.tool_choice), (1, None));
}

#[test]
fn every_tool_choice_is_read() {
    let tools = json!([{"type": "function", "name": "f"}, {"type": "custom", "name": "g"},
        {"type": "namespace", "name": "mcp__x__", "tools": [{"type": "function", "name": "h"}]}]);
    let choose =
        |choice: Value| read(&json!({"input": "x", "tools": tools, "tool_choice": choice}));
    for (choice, expected) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
        (
            json!({"type": "function", "name": "f"}),
            ToolChoice::Named("f".into()),
        ),
        (
            json!({"type": "custom", "name": "g"}),
            ToolChoice::Named("g".into()),
        ),
    ] {
        let request = choose(choice);
        assert_eq!(
            (request.tool_choice, request.tools.len()),
            (Some(expected), 3)
        );
    }
    let allowed = choose(
        json!({"type": "allowed_tools", "mode": "required", "tools": [
        {"type": "custom", "name": "g"}, {"type": "function", "name": "h", "namespace": "mcp__x__"}]}),
    );
    let names: Vec<&str> = allowed
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(
        (allowed.tool_choice, names),
        (Some(ToolChoice::Required), vec!["g", "mcp__x__h"])
    );
    assert_eq!(
        refusal(&json!({"tool_choice": "some"})),
        "unknown `tool_choice` `some`"
    );
}

#[test]
fn what_codex_sends_costs_chat_nothing_that_matters() {
    let (chat, lost) = as_chat(&json!({
        "model": "m", "instructions": "You are a coding agent.",
        "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do it."}]}],
        "tools": [{"type": "function", "name": "shell", "description": "Runs.", "strict": false, "parameters": {"type": "object"}}],
        "tool_choice": "auto", "parallel_tool_calls": false, "reasoning": {"effort": "medium", "summary": "auto"},
        "store": false, "stream": true, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k",
        "text": {"verbosity": "medium"}}));
    assert_eq!(lost, [Loss::dropped("prompt_cache_key")]);
    assert_eq!(chat["messages"].as_array().unwrap().len(), 3);
    assert_eq!(chat["reasoning_effort"], "medium");
    let (_, lost) = as_chat(
        &json!({"model": "m", "input": [{"role": "user", "content": "x", "odd": 1}], "text": {"verbosity": "low"},
        "truncation": "auto", "background": false, "metadata": {"a": "b"}, "service_tier": "priority"}),
    );
    let lost: Vec<String> = lost.iter().map(|loss| loss.what.clone()).collect();
    assert_eq!(
        lost,
        [
            "truncation",
            "service_tier",
            "text.verbosity",
            "input[].odd"
        ]
    );
}

#[test]
fn chats_requests_are_written() {
    let (body, lost) = of_chat(&json!({
        "model": "gpt-5", "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a.b", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"}],
        "tools": [{"type": "function", "function": {"name": "a.b"}}], "tool_choice": "required",
        "response_format": {"type": "json_object"}, "max_completion_tokens": 5, "logprobs": true, "top_logprobs": 1,
        "stop": ["x"], "seed": 1, "frequency_penalty": 0, "verbosity": "low", "metadata": {"k": "v"}, "stream": true,
        "stream_options": {"include_usage": true}}));
    assert_eq!(lost, ["clamped:max_tokens", "dropped:stop", "dropped:seed"]);
    assert_eq!(
        body,
        json!({
            "model": "gpt-5", "instructions": "Be kind.",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"},
                    {"type": "input_image", "detail": "auto", "image_url": "https://example.com/a.png"}]},
                {"type": "function_call", "call_id": "c", "name": "a_b", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "r"}],
            "tools": [{"type": "function", "name": "a_b", "parameters": {"type": "object", "properties": {}}, "strict": false}],
            "tool_choice": "required", "max_output_tokens": 16, "top_logprobs": 1,
            "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "stream": true,
            "metadata": {"k": "v"}, "store": false,
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"]})
    );
    let many = OpenAiChat
        .decode_request(br#"{"messages":[],"n":2}"#)
        .unwrap();
    assert!(matches!(
        OpenAiResponses.encode_request(&many),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn reasoning_of_others_is_not_forged() {
    let body = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": "foreign"}]},
        {"role": "assistant", "content": "c", "thinking_blocks": [{"type": "thinking", "thinking": "y", "signature": "openai:rs_1:gAAA"}]},
        {"role": "user", "content": "d"}]});
    let (sent, lost) = of_chat(&body);
    assert_eq!(lost, ["dropped:thinking"]);
    let own = &sent["input"][2];
    assert_eq!(
        (&own["id"], &own["encrypted_content"]),
        (&json!("rs_1"), &json!("gAAA"))
    );
}
