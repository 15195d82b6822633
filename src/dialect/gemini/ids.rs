//! Ids of tool calls.
//!
//! Older models give none, so they are made here, always the same for the same answer. Gemini 3 refuses a call whose
//! `thoughtSignature` does not come back, and most clients drop fields that they do not know: the signature travels in the id
//! (TRAPS 1.13), <https://ai.google.dev/gemini-api/docs/thought-signatures>.

use std::borrow::Cow;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// Between id and signature; the signature's bytes follow in base64 for URLs.
const MARK: &str = "__thought__";
/// The same, of a signature that is no base64: its text follows.
const TEXT_MARK: &str = "__thought_text__";
/// How ids begin that were made here: this, 16 hexadecimal digits, `_`, a number.
const OWN: &str = "call_";

/// An id for a call that came without one.
pub(super) fn made(
    response: &str,
    choice: u32,
    number: u32,
    name: &str,
    arguments: &str,
) -> String {
    // FNV-1a: spread, not secrecy.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [response, name, arguments] {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = hash.wrapping_add(u64::from(choice));
    format!("{OWN}{hash:016x}_{number}")
}

/// Whether an id (without signature) was made here: the provider does not know it.
pub(super) fn is_made(id: &str) -> bool {
    id.strip_prefix(OWN)
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(hash, number)| {
            hash.len() == 16
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// The id that carries a signature.
pub(super) fn joined(id: &str, signature: &str) -> String {
    match STANDARD.decode(signature) {
        Ok(bytes) => format!("{id}{MARK}{}", URL_SAFE_NO_PAD.encode(bytes)),
        Err(_) => format!("{id}{TEXT_MARK}{}", URL_SAFE_NO_PAD.encode(signature)),
    }
}

/// An id without its signature, and that.
pub(super) fn split(id: &str) -> (&str, Option<Cow<'static, str>>) {
    if let Some((own, coded)) = id.rsplit_once(MARK)
        && let Ok(bytes) = URL_SAFE_NO_PAD.decode(coded)
    {
        return (own, Some(STANDARD.encode(bytes).into()));
    }
    if let Some((own, coded)) = id.rsplit_once(TEXT_MARK)
        && let Some(text) = URL_SAFE_NO_PAD
            .decode(coded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
    {
        return (own, Some(text.into()));
    }
    (id, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_1_13_signatures_survive_in_ids() {
        for signature in ["aGk=", "+/+/", "CiQB0e2Kb8x", "not base64!", ""] {
            let id = joined("call_1", signature);
            let (own, again) = split(&id);
            assert_eq!((own, again.as_deref()), ("call_1", Some(signature)));
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
                "{id}"
            );
        }
        assert_eq!(split("call_1"), ("call_1", None));
        assert_eq!(split("a__thought__%%"), ("a__thought__%%", None));
    }

    #[test]
    fn made_ids_are_stable_and_known_again() {
        let id = made("r", 0, 1, "f", "{}");
        assert_eq!(id, made("r", 0, 1, "f", "{}"));
        assert_ne!(id, made("s", 0, 1, "f", "{}"));
        assert_ne!(id, made("r", 0, 2, "f", "{}"));
        assert!(is_made(&id));
        for other in [
            "call_abc",
            "call_0123456789abcdef",
            "call_0123456789abcdeg_1",
            "toolu_1",
        ] {
            assert!(!is_made(other), "{other}");
        }
    }
}
