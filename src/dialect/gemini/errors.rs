//! Errors: `{"error": {"code", "message", "status", "details"}}`, <https://cloud.google.com/apis/design/errors>.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};

use crate::{
    dialect::{Fault, kind_of, openai_chat, put},
    llm::Event,
};

/// Google's words and the statuses that go with them. Of a status the first is written.
const STATUSES: &[(&str, u16)] = &[
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("CANCELLED", 499),
    ("INTERNAL", 500),
    ("UNKNOWN", 500),
    ("DATA_LOSS", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

/// Google's word for a status.
fn word(status: u16) -> &'static str {
    let exact = STATUSES.iter().find(|(_, known)| *known == status);
    let fallback = if status < 500 {
        "INVALID_ARGUMENT"
    } else {
        "INTERNAL"
    };
    exact.map_or(fallback, |(word, _)| word)
}

/// What Google's error object says.
struct Told {
    message: String,
    /// `error.status`.
    word: Option<String>,
    status: Option<u16>,
    param: Option<String>,
}

fn told(error: &Value) -> Option<Told> {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let word = text("status");
    let code = error.get("code").and_then(Value::as_u64);
    let status = code
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .or_else(|| {
            let word = word.as_deref()?;
            let (_, status) = STATUSES.iter().find(|(known, _)| *known == word)?;
            Some(*status)
        });
    let details = error.get("details").and_then(Value::as_array);
    let param = details.into_iter().flatten().find_map(|detail| {
        let violation = detail.get("fieldViolations")?.get(0)?;
        Some(violation.get("field")?.as_str()?.to_owned())
    });
    Some(Told {
        message: text("message")?,
        word,
        status,
        param,
    })
}

/// Reads an error's body, which may be a list (TRAPS 1.15).
pub(super) fn decode(status: u16, body: &Bytes) -> Fault {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let first = json.as_ref().map(|json| json.get(0).unwrap_or(json));
    let Some(told) = first.and_then(|json| json.get("error")).and_then(told) else {
        return openai_chat::decode_error(status, body);
    };
    Fault {
        status,
        kind: kind_of(told.status.unwrap_or(status)).into(),
        message: told.message,
        code: told.word,
        param: told.param,
        provider: json.map(|json| json.to_string()),
        ..Fault::default()
    }
}

/// Reads an error inside a stream.
pub(super) fn event(error: &RawValue) -> Event<'static> {
    let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let (message, status) = match told(&json) {
        Some(told) => (told.message, told.status),
        None => (
            json.as_str()
                .map_or_else(|| json.to_string(), str::to_owned),
            None,
        ),
    };
    Event::Failed {
        kind: Cow::Borrowed(status.map_or("upstream_error", kind_of)),
        message: Cow::Owned(message),
        status,
    }
}

/// Writes an error's body. One of Google's own goes on as it is.
pub(super) fn encode(fault: &Fault) -> Vec<u8> {
    let provider: Option<Value> = fault
        .provider
        .as_deref()
        .map(|own| serde_json::from_str(own).unwrap_or_else(|_| own.into()));
    let own = provider
        .as_ref()
        .map(|json| json.get(0).unwrap_or(json))
        .filter(|json| {
            json.get("error")
                .and_then(told)
                .is_some_and(|told| told.word.is_some())
        });
    if let Some(own) = own {
        return own.to_string().into_bytes();
    }
    let code = fault.code.as_deref();
    let word = STATUSES
        .iter()
        .find(|(word, _)| code == Some(*word))
        .map_or_else(|| word(fault.status), |(word, _)| word);
    let mut error = json!({"code": fault.status, "message": fault.message, "status": word});
    if let Some(provider) = provider {
        put(&mut error, "provider", provider);
    }
    json!({"error": error}).to_string().into_bytes()
}

/// Writes an error inside a stream.
pub(super) fn failed(message: &str, status: Option<u16>) -> Value {
    let status = status.unwrap_or(500);
    json!({"error": {"code": status, "message": message, "status": word(status)}})
}
