//! A conversation that goes on from an earlier answer (`previous_response_id`), without a server that has kept it:
//! <https://developers.openai.com/api/docs/guides/conversation-state>.

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};

use super::Error;
use crate::wire::envelope::Envelope;

/// What a request puts in: its items, a text as the user's message.
///
/// # Errors
///
/// If the body is no request of this format.
pub fn input_of(body: &[u8]) -> Result<Vec<Value>, Error> {
    let body = Envelope::parse(body)?;
    match body.read::<Value>("input") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![
            json!({"type": "message", "role": "user", "content": text}),
        ]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Error::Malformed(
            "`input` is neither a text nor a list of items".into(),
        )),
    }
}

/// The same request with `earlier` items, lists of them as JSON, before its own, and no `previous_response_id`.
///
/// # Errors
///
/// If the body is no request of this format.
pub fn after<'a>(earlier: impl IntoIterator<Item = &'a str>, body: &Bytes) -> Result<Bytes, Error> {
    let own = Value::from(input_of(body)?).to_string();
    let mut all = String::from("[");
    let mut add = |list: &str| {
        let inside = list.trim().strip_prefix('[');
        let inside = inside.and_then(|list| list.strip_suffix(']'));
        let inside = inside.unwrap_or_default().trim();
        if !inside.is_empty() {
            if all.len() > 1 {
                all.push(',');
            }
            all.push_str(inside);
        }
    };
    earlier.into_iter().for_each(&mut add);
    add(&own);
    all.push(']');
    let all = RawValue::from_string(all)?;
    let mut request = Envelope::parse(body)?;
    request.remove("previous_response_id");
    request.set("input", &all)?;
    Ok(request.finish(body))
}

/// Items that a request put in, as OpenAI lists them: each has an id, made of its answer's where the client gave none, and a message a
/// list of contents.
#[must_use]
pub fn listed(items: Vec<Value>, answer: &str) -> Vec<Value> {
    let base = answer.strip_prefix("resp_").unwrap_or(answer);
    let number = |(item, index): (Value, usize)| match item {
        Value::Object(item) => Value::Object(list(item, base, index)),
        other => other,
    };
    items.into_iter().zip(0..).map(number).collect()
}

fn list(item: Map<String, Value>, base: &str, index: usize) -> Map<String, Value> {
    let kind = item.get("type").and_then(Value::as_str);
    let kind = match kind {
        Some(kind) => kind.to_owned(),
        None if item.contains_key("role") => "message".into(),
        // What is only named stays as it is.
        None => return item,
    };
    let prefix = match kind.as_str() {
        "item_reference" => return item,
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        _ => "item",
    };
    let given = item.get("id").filter(|id| id.is_string()).cloned();
    let id = given.unwrap_or_else(|| format!("{prefix}_{base}_in{index}").into());
    let mut out = Map::new();
    out.insert("id".into(), id);
    out.insert("type".into(), kind.as_str().into());
    out.extend(
        item.into_iter()
            .filter(|(key, _)| key != "id" && key != "type"),
    );
    if matches!(
        kind.as_str(),
        "message" | "function_call" | "function_call_output"
    ) {
        out.entry("status").or_insert_with(|| "completed".into());
    }
    if kind == "message"
        && let Some(Value::String(text)) = out.get("content")
    {
        let said = out.get("role").is_some_and(|role| role == "assistant");
        let content = if said {
            json!([{"type": "output_text", "text": text, "annotations": []}])
        } else {
            json!([{"type": "input_text", "text": text}])
        };
        out.insert("content".into(), content);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_items_come_first() {
        let earlier = [
            r#"[{"role":"user","content":"Hi","n":1.00}]"#,
            " [ ] ",
            r#"[{"type":"message","role":"assistant","content":[]}]"#,
        ];
        let next = Bytes::from_static(
            br#"{"model":"m","previous_response_id":"resp_1","input":[{"role":"user","content":"More"}],"x": 1.00}"#,
        );
        assert_eq!(
            after(earlier, &next).unwrap(),
            concat!(
                r#"{"model":"m","input":[{"role":"user","content":"Hi","n":1.00},"#,
                r#"{"type":"message","role":"assistant","content":[]},{"role":"user","content":"More"}],"x":1.00}"#
            )
        );
        let text = Bytes::from_static(br#"{"input":"Hi"}"#);
        assert_eq!(
            after([], &text).unwrap(),
            r#"{"input":[{"type":"message","role":"user","content":"Hi"}]}"#
        );
        let nothing = Bytes::from_static(br#"{"model":"m"}"#);
        assert_eq!(after([], &nothing).unwrap(), r#"{"model":"m","input":[]}"#);
        assert!(input_of(b"[]").is_err() && input_of(br#"{"input":7}"#).is_err());
    }

    #[test]
    fn what_is_listed_has_ids_and_contents() {
        let items = json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"type": "function_call_output", "call_id": "c1", "output": "7"},
            {"type": "message", "id": "msg_own", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "item_reference", "id": "msg_own"},
        ]);
        let Value::Array(items) = items else { panic!() };
        assert_eq!(
            Value::from(listed(items, "resp_a")),
            json!([
                {"id": "msg_a_in0", "type": "message", "role": "user", "status": "completed",
                    "content": [{"type": "input_text", "text": "Hi"}]},
                {"id": "msg_a_in1", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Yes?", "annotations": []}]},
                {"id": "fco_a_in2", "type": "function_call_output", "status": "completed", "call_id": "c1", "output": "7"},
                {"id": "msg_own", "type": "message", "role": "user", "status": "completed",
                    "content": [{"type": "input_text", "text": "x"}]},
                {"type": "item_reference", "id": "msg_own"},
            ])
        );
    }
}
