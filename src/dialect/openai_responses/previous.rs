//! A conversation that goes on from an earlier answer (`previous_response_id`), without a server that has kept it:
//! <https://platform.openai.com/docs/guides/conversation-state>.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Error;

/// What a request puts in: its items, a text as the user's message.
///
/// # Errors
///
/// If the body is no request of this format.
pub fn input_of(body: &[u8]) -> Result<Vec<Value>, Error> {
    items(&mut fields(body)?)
}

/// The items of an answer, to go before the next request's.
///
/// # Errors
///
/// If the body is no answer of this format.
pub fn output_of(answer: &[u8]) -> Result<Vec<Value>, Error> {
    match fields(answer)?.shift_remove("output") {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(Error::Malformed("the response has no `output`".into())),
    }
}

/// The same request with `earlier` items before its own, and no `previous_response_id`.
///
/// # Errors
///
/// If the body is no request of this format.
pub fn after(earlier: &[Value], body: &[u8]) -> Result<Bytes, Error> {
    let mut fields = fields(body)?;
    fields.shift_remove("previous_response_id");
    let mut all = earlier.to_vec();
    all.extend(items(&mut fields)?);
    fields.insert("input".into(), all.into());
    Ok(Bytes::from(Value::Object(fields).to_string()))
}

fn fields(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(body)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::Malformed("the body is no JSON object".into())),
    }
}

fn items(fields: &mut Map<String, Value>) -> Result<Vec<Value>, Error> {
    match fields.shift_remove("input") {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_items_come_first() {
        let asked = br#"{"model":"m","input":"Hi"}"#;
        let answer =
            br#"{"id":"resp_1","output":[{"type":"message","role":"assistant","content":[]}]}"#;
        let mut earlier = input_of(asked).unwrap();
        earlier.extend(output_of(answer).unwrap());
        let next = br#"{"model":"m","previous_response_id":"resp_1","input":[{"role":"user","content":"More"}],"store":false}"#;
        assert_eq!(
            after(&earlier, next).unwrap(),
            concat!(
                r#"{"model":"m","store":false,"input":[{"type":"message","role":"user","content":"Hi"},"#,
                r#"{"type":"message","role":"assistant","content":[]},{"role":"user","content":"More"}]}"#
            )
        );
        assert!(output_of(b"{}").is_err() && input_of(b"[]").is_err());
    }
}
