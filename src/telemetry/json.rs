//! OTLP's request in JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Ids are hexadecimal, and 64-bit numbers
//! are texts.

use serde_json::{Value as Json, json};

use super::span::{Attribute, Span, Value, flags};
use crate::exchange::trace::hex;

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &[Attribute], scope: (&str, &str), spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let (name, version) = scope;
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": attributes(resource)},
        "scopeSpans": [{"scope": {"name": name, "version": version}, "spans": spans}],
    }]});
    request.to_string().into_bytes()
}

fn span(span: &Span) -> Json {
    let mut json = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes(&span.attributes),
        "flags": flags(span),
    });
    if let Json::Object(fields) = &mut json {
        if !span.state.is_empty() {
            fields.insert("traceState".into(), span.state.as_str().into());
        }
        if let Some(parent) = &span.parent {
            fields.insert("parentSpanId".into(), hex(parent).into());
        }
        if let Some(why) = &span.failed {
            fields.insert("status".into(), json!({"code": 2, "message": why}));
        }
    }
    json
}

fn attributes(attributes: &[Attribute]) -> Json {
    let pairs = attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": any(value)}));
    pairs.collect()
}

fn any(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::Double(number) => json!({"doubleValue": number}),
        Value::Texts(texts) => {
            let values: Vec<Json> = texts
                .iter()
                .map(|text| json!({"stringValue": text}))
                .collect();
            json!({"arrayValue": {"values": values}})
        }
    }
}

/// What an `ExportTraceServiceResponse` says was not taken: how many, and why.
pub(super) fn rejected(response: &[u8]) -> Option<(u64, String)> {
    let response: Json = serde_json::from_slice(response).ok()?;
    let partial = response.get("partialSuccess")?;
    let count = partial.get("rejectedSpans");
    let count = count.and_then(|count| match count {
        Json::String(text) => text.parse().ok(),
        count => count.as_u64(),
    });
    let why = partial.get("errorMessage").and_then(Json::as_str);
    Some((
        count.unwrap_or_default(),
        why.unwrap_or_default().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read() {
        let response = br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#;
        assert_eq!(rejected(response), Some((3, "no".into())));
        assert_eq!(
            rejected(br#"{"partialSuccess":{}}"#),
            Some((0, String::new()))
        );
        assert_eq!(rejected(b"{}"), None);
        assert_eq!(rejected(b""), None);
    }
}
