//! Errors: <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::{Fault, openai_chat};

/// The exceptions of Converse and ConverseStream, as errors and within streams (there with a small first letter), by their status. The
/// first of a status is the one to write.
const EXCEPTIONS: &[(u16, &str)] = &[
    (400, "ValidationException"),
    (403, "AccessDeniedException"),
    (404, "ResourceNotFoundException"),
    (408, "ModelTimeoutException"),
    (424, "ModelErrorException"),
    (424, "ModelStreamErrorException"),
    (429, "ThrottlingException"),
    (429, "ModelNotReadyException"),
    (500, "InternalServerException"),
    (503, "ServiceUnavailableException"),
];

/// Exceptions that can come inside a stream:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>.
const STREAMED: &[(u16, &str)] = &[
    (400, "validationException"),
    (424, "modelStreamErrorException"),
    (429, "throttlingException"),
    (503, "serviceUnavailableException"),
    (500, "internalServerException"),
];

/// The status that an exception stands for.
pub(super) fn status_of(exception: &str) -> Option<u16> {
    let known = EXCEPTIONS
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(exception));
    known.map(|(status, _)| *status)
}

/// The exception that stands for an error inside a stream.
pub(super) fn streamed(kind: &str, status: Option<u16>) -> &'static str {
    let named = STREAMED
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(kind));
    let by_status = || STREAMED.iter().find(|(code, _)| Some(*code) == status);
    named
        .or_else(by_status)
        .map_or("internalServerException", |(_, name)| name)
}

/// Reads an error body: `{"message"}`, some services' `{"Message"}`, and where it is, the type in `__type`.
pub(super) fn decode(status: u16, body: &Bytes) -> Fault {
    let mut fault = openai_chat::decode_error(status, body);
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    if let Some(message) = text("message").or_else(|| text("Message")) {
        message.clone_into(&mut fault.message);
    }
    // `com.amazon.coral.service#AccessDeniedException`, `ValidationException:http://...`
    if let Some(kind) = text("__type") {
        let kind = kind.rsplit('#').next().unwrap_or_default();
        let kind = kind.split(':').next().unwrap_or_default();
        kind.clone_into(&mut fault.kind);
    }
    fault
}

/// Writes an error body. SDKs take the type from the header `x-amzn-errortype`, or from `__type`.
pub(super) fn encode(fault: &Fault) -> Vec<u8> {
    let kind = if fault.kind.ends_with("Exception") {
        fault.kind.as_str()
    } else {
        let status = match fault.status {
            401 => 403,
            400..=599 => fault.status,
            _ => 500,
        };
        let of_status = EXCEPTIONS.iter().find(|(code, _)| *code == status);
        match of_status {
            Some((_, name)) => name,
            None if status < 500 => "ValidationException",
            None => "InternalServerException",
        }
    };
    json!({"message": fault.message, "__type": kind})
        .to_string()
        .into_bytes()
}
