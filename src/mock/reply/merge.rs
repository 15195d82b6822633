//! `mock-transform`: the model in a transformer's `llm` that does what a small JSON object in its prompt says.

use serde_json::{Map, Value};

use crate::llm::{ChatRequest, Message, Part, Role};

/// The answer: the message, with the prompt's first JSON object merged into it (RFC 7396: `null` removes a field). A message that is no
/// JSON stays as it is.
///
/// An object of nothing but `headers`, `status` and `body`, with at least one of the first two, is a response instruction: the answer is
/// that object, its `body` merged into the message.
pub(super) fn answer(request: &ChatRequest, message: &str) -> String {
    let Some(instruction) = instruction(request) else {
        return message.to_owned();
    };
    let body = serde_json::from_str::<Value>(message).ok();
    if is_response(&instruction) {
        let mut answer = instruction;
        let patch = answer.remove("body");
        let body = match (body, patch) {
            (Some(body), Some(Value::Object(patch))) => merged(body, patch),
            (_, Some(patch)) => patch,
            (Some(body), None) => body,
            (None, None) => Value::String(message.to_owned()),
        };
        answer.insert("body".into(), body);
        return Value::Object(answer).to_string();
    }
    match body {
        Some(body) => merged(body, instruction).to_string(),
        None => message.to_owned(),
    }
}

/// The first JSON object in the prompt: the system messages, or the first of several messages where there is none.
fn instruction(request: &ChatRequest) -> Option<Map<String, Value>> {
    let system = |message: &&Message| message.role == Role::System;
    let mut prompts: Vec<&Message> = request.messages.iter().filter(system).collect();
    if prompts.is_empty() && request.messages.len() > 1 {
        prompts.extend(request.messages.first());
    }
    let parts = prompts.into_iter().flat_map(|prompt| &prompt.parts);
    let mut texts = parts.filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.find_map(first_object)
}

fn first_object(text: &str) -> Option<Map<String, Value>> {
    text.match_indices('{').take(64).find_map(|(at, _)| {
        let rest = text.get(at..)?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        values.next()?.ok()
    })
}

fn is_response(object: &Map<String, Value>) -> bool {
    let says = object.get("headers").is_some_and(Value::is_object)
        || object.get("status").is_some_and(Value::is_number);
    let known = |key: &String| matches!(key.as_str(), "headers" | "status" | "body");
    says && object.keys().all(known)
}

/// RFC 7396.
fn merged(target: Value, patch: Map<String, Value>) -> Value {
    let mut fields = match target {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (key, value) in patch {
        match value {
            Value::Null => {
                fields.shift_remove(&key);
            }
            Value::Object(patch) => {
                let old = fields.get_mut(&key).map(Value::take).unwrap_or_default();
                fields.insert(key, merged(old, patch));
            }
            value => {
                fields.insert(key, value);
            }
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::ask;

    fn transform(prompt: &str, message: &str) -> String {
        let messages =
            json!([{"role": "system", "content": prompt}, {"role": "user", "content": message}]);
        ask("mock-transform", json!({"messages": messages}))
            .unwrap()
            .text()
    }

    #[test]
    fn the_object_in_the_prompt_is_merged_into_the_message() {
        let message = r#"{"city":"London","a":{"b":1,"c":2}}"#;
        assert_eq!(
            transform(
                r#"Add {country} so: {"country": "UK", "a": {"b": null}}. Only JSON."#,
                message
            ),
            r#"{"city":"London","a":{"c":2},"country":"UK"}"#
        );
        assert_eq!(transform("Do nothing", message), message);
        assert_eq!(transform(r#"{"a":1}"#, "no JSON"), "no JSON");
        let three = json!([{"role": "user", "content": r#"{"a":1}"#}, {"role": "assistant", "content": "What is the message?"},
            {"role": "user", "content": "{}"}]);
        let said = ask("mock-transform", json!({"messages": three})).unwrap();
        assert_eq!(said.text(), r#"{"a":1}"#);
    }

    #[test]
    fn a_response_instruction_is_answered_with_one() {
        let message = r#"{"a":1}"#;
        for (prompt, expected) in [
            (
                r#"{"status": 201, "body": {"b": 2}}"#,
                r#"{"status":201,"body":{"a":1,"b":2}}"#,
            ),
            (
                r#"{"headers": {"x": "y"}, "status": 201, "body": "new"}"#,
                r#"{"headers":{"x":"y"},"status":201,"body":"new"}"#,
            ),
            (
                r#"{"headers": {"x": "y"}}"#,
                r#"{"headers":{"x":"y"},"body":{"a":1}}"#,
            ),
            (r#"{"status": "done"}"#, r#"{"a":1,"status":"done"}"#),
            (r#"{"body": 1}"#, r#"{"a":1,"body":1}"#),
            (
                r#"{"status": 1, "other": 2}"#,
                r#"{"a":1,"status":1,"other":2}"#,
            ),
        ] {
            assert_eq!(transform(prompt, message), expected, "{prompt}");
        }
        assert_eq!(
            transform(r#"{"status": 201}"#, "text"),
            r#"{"status":201,"body":"text"}"#
        );
    }
}
