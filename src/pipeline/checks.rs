//! Kong's checks of a request, in Kong's order and words (SPEC §2's error table).

use bytes::Bytes;

use super::{Inbound, headers::is_json};
use crate::{dialect::Fault, llm::Format, provider::Operation, wire::envelope::Envelope};

const NO_JSON: &str = "content-type header does not match request body, or bad JSON formatting";

/// The fields that a rule reads: of these, one value alone goes on.
const RULED: &[&str] = &["model", "messages", "prompt", "stream", "stream_options"];

/// Reads a body's top level, and refuses what is none of the operation's.
pub(super) fn check<'a>(inbound: &Inbound, body: &'a Bytes) -> Result<Envelope<'a>, Fault> {
    if !is_json(&inbound.headers) {
        return Err(Fault::invalid(400, NO_JSON));
    }
    let mut envelope = Envelope::parse(body).map_err(|_| Fault::invalid(400, NO_JSON))?;
    envelope.keep_last(RULED);
    // Responses that are translated are chat under another form.
    if inbound.native.is_none() && inbound.ingress.format() != Format::Responses {
        format_of(inbound.target.operation(), &envelope)?;
    }
    Ok(envelope)
}

/// Whether the body is of the operation's format, as Kong tells them apart: by `messages` and `prompt`.
fn format_of(operation: Operation, envelope: &Envelope<'_>) -> Result<(), Fault> {
    if !matches!(operation, Operation::Chat | Operation::Completions) {
        return Ok(());
    }
    let first = |key: &str| {
        envelope
            .get(key)
            .and_then(|value| value.as_bytes().first().copied())
    };
    let messages = first("messages") == Some(b'[') && !envelope.is_empty_list("messages");
    let prompt = match first("prompt") {
        Some(b'"') => true,
        Some(b'[') => !envelope.is_empty_list("prompt"),
        _ => false,
    };
    let found = match (messages, prompt) {
        (true, true) => {
            return Err(Fault::invalid(
                400,
                "request matches multiple LLM request formats",
            ));
        }
        (false, false) => {
            return Err(Fault::invalid(
                400,
                "request body doesn't contain valid prompts",
            ));
        }
        (true, false) => Operation::Chat,
        (false, true) => Operation::Completions,
    };
    if found != operation {
        let (found, wanted) = (found.route_type(), operation.route_type());
        return Err(Fault::invalid(
            400,
            format!("[{found}] message format is not compatible with [{wanted}] route type"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(operation: Operation, body: &str) -> String {
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        format_of(operation, &envelope).map_or_else(|fault| fault.message, |()| "ok".into())
    }

    #[test]
    fn formats_are_told_apart_as_kong_does() {
        let (chat, completions) = (Operation::Chat, Operation::Completions);
        let none = "request body doesn't contain valid prompts";
        for (operation, body, expected) in [
            (chat, r#"{"messages":[{"role":"user"}]}"#, "ok"),
            (chat, r#"{"messages":[]}"#, none),
            (chat, r#"{"messages":[ ]}"#, none),
            (chat, r#"{"messages":"x"}"#, none),
            (chat, r#"{"messages":null}"#, none),
            (chat, r#"{"input":"x"}"#, none),
            (completions, r#"{"prompt":"x"}"#, "ok"),
            (completions, r#"{"prompt":["x"]}"#, "ok"),
            (completions, r#"{"prompt":{"a":1}}"#, none),
            (
                chat,
                r#"{"messages":[{}],"prompt":"x"}"#,
                "request matches multiple LLM request formats",
            ),
            (chat, r#"{"messages":[{}],"prompt":null}"#, "ok"),
            (
                chat,
                r#"{"prompt":"x"}"#,
                "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type",
            ),
            (
                completions,
                r#"{"messages":[{}]}"#,
                "[llm/v1/chat] message format is not compatible with [llm/v1/completions] route type",
            ),
            (Operation::Embeddings, r#"{"input":"x"}"#, "ok"),
        ] {
            assert_eq!(verdict(operation, body), expected, "{body}");
        }
    }
}
