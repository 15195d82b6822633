//! Tools that items bring along: <https://developers.openai.com/api/docs/guides/tools-tool-search>.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{check, order, told};
use crate::{
    dialect::{
        Egress, Error, Ingress, StreamEncoder,
        openai_chat::OpenAiChat,
        openai_responses::{OpenAiResponses, Served},
    },
    llm::{ChatResponse, Choice, Event, Finish, Part, events_of},
};

/// As agents of OpenAI's send it that add their tools in the input.
fn added() -> Value {
    json!({"model": "m", "input": [
        {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [
            {"type": "namespace", "name": "functions", "description": "", "tools": [
                {"type": "custom", "name": "exec", "description": "Runs code.", "format": {"type": "text"}},
                {"type": "function", "name": "wait", "parameters": {"type": "object"}}]}]},
        {"type": "message", "role": "user", "content": "Go"}]})
}

/// As they send it that search for tools by themselves.
fn searched() -> Value {
    let found = json!([{"type": "function", "name": "lookup", "defer_loading": true, "parameters": {"type": "object"}},
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]}]);
    json!({"model": "m", "tools": [
            {"type": "tool_search", "execution": "client", "description": "Finds tools.",
                "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
            {"type": "function", "name": "lookup", "parameters": {"type": "object"}}],
        "input": [
            {"type": "message", "role": "user", "content": "Find"},
            {"type": "tool_search_call", "id": "tsc_1", "call_id": "c", "execution": "client", "status": "completed", "arguments": {"query": "x"}},
            {"type": "tool_search_output", "call_id": "c", "execution": "client", "status": "completed", "tools": found}]})
}

/// A request as chat sends it, and what it lost.
fn as_chat(body: &Value) -> (Value, Vec<String>) {
    let request = OpenAiResponses
        .decode_request(body.to_string().as_bytes())
        .unwrap();
    let encoded = OpenAiChat.encode_request(&request).unwrap();
    let lost = encoded.lost.into_iter().map(|loss| loss.what).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), lost)
}

fn names(chat: &Value) -> Vec<&str> {
    let tools = chat["tools"].as_array().unwrap();
    let names = tools.iter().map(|tool| tool["function"]["name"].as_str());
    names.map(Option::unwrap).collect()
}

/// The events of an answer to `body` that calls a tool.
fn called(body: &Value, name: &str, arguments: &str) -> Vec<Value> {
    let echo = OpenAiResponses.echo(body.to_string().as_bytes());
    let (mut encoder, mut out): (Box<dyn StreamEncoder>, BytesMut) = (
        OpenAiResponses.echoing_encoder(true, &echo),
        BytesMut::new(),
    );
    let call = Part::ToolCall {
        id: "c".into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    };
    let answer = ChatResponse {
        id: "r".into(),
        choices: vec![Choice {
            parts: vec![call],
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        ..ChatResponse::default()
    };
    events_of(&answer, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    let events = told(&out);
    check(&events);
    events
}

#[test]
fn tools_in_the_input_are_offered_and_told_as_they_were_declared() {
    let (chat, lost) = as_chat(&added());
    assert_eq!(names(&chat), ["functions__exec", "functions__wait"]);
    assert_eq!(chat["messages"].as_array().unwrap().len(), 1);
    assert_eq!(lost, [""; 0]);
    let events = called(&added(), "functions__exec", r#"{"input":"text(1)"}"#);
    let last = &events.last().unwrap()["response"];
    let call = &last["output"][0];
    assert_eq!(
        (
            &call["type"],
            &call["name"],
            &call["namespace"],
            &call["input"]
        ),
        (
            &json!("custom_tool_call"),
            &json!("exec"),
            &json!("functions"),
            &json!("text(1)")
        )
    );
    // What the request declares elsewhere is not repeated as if it were declared here.
    assert_eq!(last["tools"], json!([]));
    assert_eq!(last.get("additional_tools"), None);
    let mut mixed = added();
    mixed["input"][0]["tools"] = json!([{"type": "web_search"}]);
    let refused = OpenAiResponses.decode_request(mixed.to_string().as_bytes());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    assert!(Served.decode_request(mixed.to_string().as_bytes()).is_ok());
}

#[test]
fn a_search_of_the_clients_own_is_a_function() {
    let (chat, lost) = as_chat(&searched());
    assert_eq!(names(&chat), ["tool_search", "lookup", "crm__find"]);
    assert_eq!(
        chat["messages"],
        json!([
            {"role": "user", "content": "Find"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "tool_search", "arguments": "{\"query\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "Found, and now on offer: lookup, crm__find"}])
    );
    assert_eq!(lost, [""; 0]);
    let events = called(&searched(), "tool_search", r#"{"query":"y"}"#);
    assert_eq!(
        order(&events)[2..],
        ["output_item.added", "output_item.done", "completed"]
    );
    assert_eq!(
        events[3]["item"],
        json!({"id": "tsc_r_0", "type": "tool_search_call", "status": "completed", "execution": "client", "call_id": "c", "arguments": {"query": "y"}})
    );
    let events = called(&searched(), "crm__find", "");
    assert_eq!(
        events.last().unwrap()["response"]["output"][0]["namespace"],
        "crm"
    );
    // One that OpenAI makes is OpenAI's.
    let hosted = json!({"input": "x", "tools": [{"type": "tool_search"}]});
    let refused = OpenAiResponses.decode_request(hosted.to_string().as_bytes());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
}
