//! What must come back unchanged, in `encrypted_content` of a reasoning item.
//!
//! Clients replay these items as they got them and never look inside, so they carry other providers' proofs too: of reasoning, of calls
//! (the item then stands beside the call), and reasoning that only its provider can read. The other way round, OpenAI's own goes to
//! clients of other formats as the signature of the reasoning, with the item's id.

/// The beginning of what is not OpenAI's own.
const THINKING: &str = "aiproxy:thinking:";
const REDACTED: &str = "aiproxy:redacted:";
const CALL: &str = "aiproxy:call:";
/// The beginning of a signature that is OpenAI's own.
const OWN: &str = "openai:";

/// What an `encrypted_content` holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sealed<'a> {
    /// Another provider's proof of its reasoning.
    Thinking(&'a str),
    /// Reasoning that only its provider can read.
    Redacted(&'a str),
    /// The proof of a call.
    Call { id: &'a str, signature: &'a str },
    /// OpenAI's own.
    Own(&'a str),
}

/// Reads it.
pub(super) fn read(content: &str) -> Sealed<'_> {
    if let Some(signature) = content.strip_prefix(THINKING) {
        return Sealed::Thinking(signature);
    }
    if let Some(data) = content.strip_prefix(REDACTED) {
        return Sealed::Redacted(data);
    }
    let call = content.strip_prefix(CALL).and_then(|rest| {
        let (length, rest) = rest.split_once(':')?;
        rest.split_at_checked(length.parse().ok()?)
    });
    match call {
        Some((id, signature)) => Sealed::Call { id, signature },
        None => Sealed::Own(content),
    }
}

/// Of a reasoning part's signature.
pub(super) fn thinking(signature: &str) -> String {
    format!("{THINKING}{signature}")
}

/// Of a redacted part.
pub(super) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// Of a call.
pub(super) fn call(id: &str, signature: &str) -> String {
    format!("{CALL}{}:{id}{signature}", id.len())
}

/// The signature that carries OpenAI's own item.
pub(super) fn signature(id: &str, content: &str) -> String {
    format!("{OWN}{id}:{content}")
}

/// Id and content of OpenAI's own item, where a signature carries one.
pub(super) fn own(signature: &str) -> Option<(&str, &str)> {
    signature.strip_prefix(OWN)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_1_13_what_is_sealed_comes_back() {
        for text in ["", "EqQB+/=", "a:b", "7:x", "grüße"] {
            assert_eq!(read(&thinking(text)), Sealed::Thinking(text));
            assert_eq!(read(&redacted(text)), Sealed::Redacted(text));
            for id in ["", "call_1", "a:b:ü"] {
                let signature = text;
                assert_eq!(read(&call(id, signature)), Sealed::Call { id, signature });
            }
            assert_eq!(own(&signature("rs_1", text)), Some(("rs_1", text)));
        }
        for own in ["gAAAAABo", "aiproxy:call:9:x", "aiproxy:call:x", "aiproxy"] {
            assert_eq!(read(own), Sealed::Own(own));
        }
    }
}
