//! Errors, both ways.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::{Fault, kind_of, put};

/// Reads an error body. One of OpenAI's shape, and one that is no JSON, go on as they are.
pub(in crate::dialect) fn decode_error(status: u16, body: &Bytes) -> Fault {
    let mut fault = Fault {
        status,
        kind: kind_of(status).into(),
        ..Fault::default()
    };
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        fault.message = String::from_utf8_lossy(body).chars().take(2048).collect();
        if body.is_empty() {
            fault.message = format!("the provider answered {status} without a body");
        } else {
            fault.verbatim = Some(body.clone());
        }
        return fault;
    };
    // Google's endpoints wrap their error in a list (TRAPS 1.15).
    let first = json.get(0).unwrap_or(&json);
    // vLLM's and Mistral's are the error themselves.
    let flat = first.get("object").and_then(Value::as_str) == Some("error");
    let error = if flat {
        first
    } else {
        first.get("error").unwrap_or(&Value::Null)
    };
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    if let Some(kind) = text(error, "type") {
        fault.kind = kind;
    }
    fault.code = text(error, "code");
    fault.param = text(error, "param");
    if let Some(message) = text(error, "message").filter(|_| !flat) {
        fault.message = message;
        if json.is_object() {
            fault.verbatim = Some(body.clone());
        } else {
            fault.provider = Some(json.to_string());
        }
        return fault;
    }
    fault.message = said(error)
        .or_else(|| said(first))
        .unwrap_or_else(|| json.to_string());
    fault.provider = Some(json.to_string());
    fault
}

/// What a body of any other shape says: a text, FastAPI's list of mistakes with their places, or an object that holds one of these.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let first = items.first()?;
            let message = said(first)?;
            let place = first.get("loc").and_then(Value::as_array);
            let place: Vec<String> = place
                .into_iter()
                .flatten()
                .map(|step| {
                    step.as_str()
                        .map_or_else(|| step.to_string(), str::to_owned)
                })
                .collect();
            Some(if place.is_empty() {
                message
            } else {
                format!("{}: {message}", place.join("."))
            })
        }
        Value::Object(_) => ["message", "detail", "error_description", "msg"]
            .iter()
            .find_map(|key| said(value.get(key)?)),
        _ => None,
    }
}

/// Writes `{"error": ...}`; `code` and `param` are always there, `null` without a value.
pub(in crate::dialect) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let mut error = json!({"message": fault.message, "type": fault.kind, "code": fault.code, "param": fault.param});
    if let Some(provider) = &fault.provider {
        put(
            &mut error,
            "provider",
            serde_json::from_str(provider).unwrap_or_else(|_| Value::String(provider.clone())),
        );
    }
    json!({"error": error}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_openais_shape_go_on_as_they_are() {
        let body = Bytes::from_static(
            br#"{"error":{"message":"no","type":"t","code":429,"param":null,"extra":1}}"#,
        );
        let fault = decode_error(429, &body);
        assert_eq!(
            (
                fault.kind.as_str(),
                fault.code.as_deref(),
                fault.message.as_str()
            ),
            ("t", Some("429"), "no")
        );
        assert_eq!(fault.verbatim, Some(body));
    }

    #[test]
    fn errors_of_another_shape_are_moved_into_it() {
        let fault = decode_error(500, &Bytes::from_static(br#"{"detail":"odd","x":1}"#));
        assert_eq!(
            String::from_utf8(encode_fault(&fault)).unwrap(),
            r#"{"error":{"message":"odd","type":"api_error","code":null,"param":null,"provider":{"detail":"odd","x":1}}}"#
        );
        let listed = Bytes::from_static(br#"[{"error":{"code":400,"message":"listed"}}]"#);
        let fault = decode_error(400, &listed);
        assert_eq!((fault.message.as_str(), fault.verbatim), ("listed", None));
        assert_eq!(
            decode_error(400, &Bytes::from_static(br#"{"error":"flat"}"#)).message,
            "flat"
        );
    }

    #[test]
    fn flat_errors_and_lists_of_mistakes_are_read() {
        let vllm = br#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#;
        let fault = decode_error(400, &Bytes::from_static(vllm));
        assert_eq!(
            (fault.kind.as_str(), fault.message.as_str()),
            ("BadRequestError", "too long")
        );
        assert!(fault.provider.is_some() && fault.verbatim.is_none());
        let mistral = br#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",1],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error"}"#;
        assert_eq!(
            decode_error(422, &Bytes::from_static(mistral)).message,
            "body.messages.1: Extra inputs are not permitted"
        );
    }

    #[test]
    fn errors_that_are_no_json_pass_as_text() {
        let html = Bytes::from_static(b"<html>oops</html>");
        assert_eq!(decode_error(502, &html).verbatim, Some(html));
        assert_eq!(
            decode_error(502, &Bytes::new()).message,
            "the provider answered 502 without a body"
        );
    }
}
