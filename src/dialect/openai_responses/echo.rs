//! What an answer repeats of its request: <https://platform.openai.com/docs/api-reference/responses/object>.

use serde_json::{Map, Value, json};

use super::{Echo, tools};

/// The fields, in the order of the API, with what they are where the request does not say.
const FIELDS: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("metadata", "{}"),
];

/// The fields of a request that its answer repeats.
pub(super) fn of(body: &[u8]) -> Echo {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Echo::default();
    };
    let brought = tools::brought(&fields);
    fields.retain(|key, _| FIELDS.iter().any(|(name, _)| name == key));
    if !brought.is_empty() {
        // Not repeated, but calls of them are told by it.
        fields.insert(tools::BROUGHT.into(), brought.into());
    }
    Echo::of(fields)
}

/// Writes one of them.
pub(super) fn put(to: &mut Map<String, Value>, echo: &Echo, key: &str) {
    let default = || {
        let known = FIELDS.iter().find(|(name, _)| *name == key);
        known.map_or(Value::Null, |(_, json)| {
            serde_json::from_str(json).unwrap_or_default()
        })
    };
    let said = echo.get(key).filter(|value| !value.is_null());
    let value = match (key, said) {
        (_, None) => default(),
        // What is left open is told as it is taken.
        ("text" | "reasoning", Some(Value::Object(said))) => {
            let mut whole = default();
            if let Value::Object(whole) = &mut whole {
                whole.extend(said.clone());
            }
            whole
        }
        ("service_tier", Some(tier)) if tier == "auto" => json!("default"),
        (_, Some(said)) => said.clone(),
    };
    to.insert(key.to_owned(), value);
}
