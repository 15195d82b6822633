//! What an LLM answers where `parse_llm_response_json_instructions` is on: `{"status": ..., "headers": {...}, "body": ...}`.

use std::{borrow::Cow, fmt::Write as _};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::wire::envelope::Envelope;

/// What the answer is to become.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instructions {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// The body is JSON by its form, not a string.
    pub(super) json: bool,
}

/// Reads them, leniently (SPEC §4.12): models put line feeds and tabs into strings as they are. The error says what is wrong.
pub(super) fn read(text: &str) -> Result<Instructions, String> {
    let strict = lenient(text);
    let object = Envelope::parse(strict.as_bytes()).map_err(|error| {
        // Line and column, never the text around them: it is somebody's data.
        let hint = if text.trim_start().starts_with("```") {
            ": it is in a Markdown fence, which `transformation_extract_pattern` can take off"
        } else {
            ""
        };
        let (line, column) = (error.line(), error.column());
        format!("no JSON object (line {line}, column {column}){hint}")
    })?;
    let mut headers = HeaderMap::new();
    if object.has("headers") {
        let given: Map<String, Value> = object
            .read("headers")
            .ok_or("`headers` is no JSON object")?;
        for (name, value) in &given {
            put(&mut headers, name, value)?;
        }
    }
    let status = match object.get("status").filter(|_| object.has("status")) {
        None => StatusCode::OK,
        Some(given) => {
            let digits = given.trim_matches('"');
            let status = digits.parse::<u16>().ok();
            let status = status.filter(|status| (200..1000).contains(status));
            status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .ok_or("`status` is no HTTP status")?
        }
    };
    let (body, json) = match object.get("body").filter(|_| object.has("body")) {
        None => (strict.trim().to_owned(), true),
        Some(body) => match serde_json::from_str::<String>(body) {
            Ok(text) => (text, false),
            Err(_) => (body.to_owned(), true),
        },
    };
    Ok(Instructions {
        status,
        headers,
        body,
        json,
    })
}

/// One header; a list is several of one name.
fn put(headers: &mut HeaderMap, name: &str, value: &Value) -> Result<(), String> {
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| "a name in `headers` is none that HTTP knows")?;
    let values = match value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    for value in values {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.trim()),
            Value::Number(_) | Value::Bool(_) => Cow::Owned(value.to_string()),
            _ => return Err(format!("the value of header `{parsed}` is no text")),
        };
        let value = HeaderValue::from_str(&text)
            .map_err(|_| format!("the value of header `{parsed}` cannot be sent"))?;
        headers.append(parsed.clone(), value);
    }
    Ok(())
}

/// JSON whose strings hold control characters as they are, made strict; no byte order mark.
fn lenient(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.contains(|c: char| c < ' ') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside && c < ' ' {
            let _ = match c {
                '\n' => write!(out, "\\n"),
                '\r' => write!(out, "\\r"),
                '\t' => write!(out, "\\t"),
                c => write!(out, "\\u{:04x}", u32::from(c)),
            };
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        out.push(c);
    }
    Cow::Owned(out)
}

/// For the fuzzer: status, headers and body.
///
/// # Errors
///
/// Those of [`read`].
#[cfg(fuzzing)]
pub fn fuzzed(text: &str) -> Result<(StatusCode, HeaderMap, String), String> {
    read(text).map(|told| (told.status, told.headers, told.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match read(text) {
            Ok(told) => {
                let headers: Vec<String> = told
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
                    .collect();
                let (status, headers) = (told.status.as_u16(), headers.join(","));
                format!("{status} [{headers}] {} {:?}", told.json, told.body)
            }
            Err(error) => error,
        }
    }

    #[test]
    fn all_three_are_optional() {
        for (text, expected) in [
            (
                r#"{"status": 209, "headers": {"X-A": "1", "x-b": 2}, "body": "<a/>"}"#,
                r#"209 [x-a=1,x-b=2] false "<a/>""#,
            ),
            (
                r#" {"persons": [1.00]} "#,
                r#"200 [] true "{\"persons\": [1.00]}""#,
            ),
            (
                r#"{"body": {"a": 1.00}, "status": "201"}"#,
                r#"201 [] true "{\"a\": 1.00}""#,
            ),
            (
                r#"{"body": null, "status": null, "headers": null}"#,
                r#"200 [] true "{\"body\": null, \"status\": null, \"headers\": null}""#,
            ),
            (
                r#"{"headers": {"set-cookie": ["a=1", "b=2"]}, "body": ""}"#,
                r#"200 [set-cookie=a=1,set-cookie=b=2] false """#,
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_model_writes_carelessly_is_read() {
        assert_eq!(
            told("\u{feff}{\"body\": \"a\nb\tc\r\n\\\"d\\\\\",\n\t\"status\": 418}"),
            "418 [] false \"a\\nb\\tc\\r\\n\\\"d\\\\\""
        );
        assert_eq!(told("{\"body\": \"\u{1}\"}"), "200 [] false \"\\u{1}\"");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("Sure! {}", "no JSON object (line 1, column 1)"),
            (
                "{\"status\": 200}.\nMore?",
                "no JSON object (line 1, column 16)",
            ),
            (
                "```json\n{}\n```",
                "no JSON object (line 1, column 1): it is in a Markdown fence, which `transformation_extract_pattern` can take off",
            ),
            ("[]", "no JSON object (line 1, column 0)"),
            (r#"{"status": 99}"#, "`status` is no HTTP status"),
            (r#"{"status": 101}"#, "`status` is no HTTP status"),
            (r#"{"status": {}}"#, "`status` is no HTTP status"),
            (r#"{"headers": []}"#, "`headers` is no JSON object"),
            (
                r#"{"headers": {"a b": "c"}}"#,
                "a name in `headers` is none that HTTP knows",
            ),
            (
                "{\"headers\": {\"a\": \"b\\nset-cookie: c\"}}",
                "the value of header `a` cannot be sent",
            ),
            (
                r#"{"headers": {"a": {}}}"#,
                "the value of header `a` is no text",
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
