//! What is secret in a message's head: shown as `(secret)` wherever somebody looks.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::packed::{put_bytes, take_bytes};

/// What stands for a secret.
pub const SECRET: &str = "(secret)";

/// What clients put their own credentials into.
#[must_use]
pub fn is_credential(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization" | "x-api-key" | "api-key" | "x-goog-api-key"
    )
}

/// Whether a header is not to be shown: it holds credentials by its name, or one of these values. It runs on every header of every
/// request: by the name alone, as far as that goes.
fn is_secret(name: &HeaderName, value: &HeaderValue, secrets: &[Option<&str>]) -> bool {
    let by_name = matches!(
        name.as_str(),
        "authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "cookie"
            | "proxy-authorization"
            | "set-cookie"
            | "x-amz-security-token"
    );
    let mut secrets = secrets.iter().flatten();
    by_name || value.is_sensitive() || secrets.any(|secret| shows(value, secret.as_bytes()))
}

/// Whether a text gives a secret away. A short one is found in ordinary words.
fn shows(value: &HeaderValue, secret: &[u8]) -> bool {
    let text = value.as_bytes();
    // Looking for a text that is too long to be there takes as long as for any other.
    text.len() >= secret.len() && (text == secret || secret.len() >= 8 && contains(text, secret))
}

/// Not `str`'s own, which gets ready for texts far longer than a header's value.
fn contains(text: &[u8], secret: &[u8]) -> bool {
    let mut windows = text.windows(secret.len());
    windows.any(|window| window.first() == secret.first() && window == secret)
}

/// Headers as they are shown.
#[must_use]
pub fn masked(headers: &HeaderMap, secrets: &[Option<&str>]) -> HeaderMap {
    let mut out = headers.clone();
    for (name, value) in &mut out {
        if is_secret(name, value, secrets) {
            *value = HeaderValue::from_static(SECRET);
        }
    }
    out
}

/// A URL, or its path and query, without the values of these parameters, and of `key`.
#[must_use]
pub fn masked_url(url: &str, names: &[&str]) -> String {
    let Some((path, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let pairs = query.split('&').map(|pair| {
        let name = url::form_urlencoded::parse(pair.as_bytes()).next();
        let secret = name.is_some_and(|(name, _)| name == "key" || names.contains(&&*name));
        match pair.split_once('=') {
            Some((name, _)) if secret => format!("{name}={SECRET}"),
            _ => pair.to_owned(),
        }
    });
    let pairs: Vec<String> = pairs.collect();
    format!("{path}?{}", pairs.join("&"))
}

/// Headers as they are shown, in one piece: a record keeps them with one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// These, without what is secret.
    #[must_use]
    pub fn of(headers: &HeaderMap, secrets: &[Option<&str>]) -> Fields {
        Fields::into(Vec::new(), headers, secrets)
    }

    /// The same, in memory that was used before.
    pub(super) fn into(mut text: Vec<u8>, headers: &HeaderMap, secrets: &[Option<&str>]) -> Fields {
        text.clear();
        // About what a header takes: to add them up would take as long as to copy them.
        text.reserve(headers.len() * 48);
        for (name, value) in headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(if is_secret(name, value, secrets) {
                SECRET.as_bytes()
            } else {
                value.as_bytes()
            });
            text.push(b'\n');
        }
        Fields(text)
    }

    /// Names and values. What is not UTF-8 in a value is told by U+FFFD.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        // No value has a line feed in it.
        let lines = self.0.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let colon = line.windows(2).position(|two| two == b": ")?;
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.get(2..)?;
            Some((
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            ))
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.0);
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Fields> {
        Some(Fields(take_bytes(bytes)?.to_vec()))
    }

    /// Its memory, to be used again.
    pub(super) fn memory(self) -> Vec<u8> {
        self.0
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer sk-1"),
            ("x-note", "the key is abcdefgh12"),
            ("x-empty", ""),
            ("accept", "a: b"),
            ("accept", "c"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut marked = HeaderValue::from_static("quiet");
        marked.set_sensitive(true);
        headers.insert("x-own", marked);
        let fields = Fields::of(&headers, &[None, Some("abcdefgh12")]);
        let shown: Vec<_> = fields.iter().collect();
        for expected in [
            ("authorization", SECRET),
            ("x-note", SECRET),
            ("x-own", SECRET),
            ("x-empty", ""),
            ("accept", "a: b"),
            ("accept", "c"),
        ] {
            let expected = (expected.0.into(), expected.1.into());
            assert!(shown.contains(&expected), "{shown:?}");
        }
        assert_eq!(shown.len(), 6);
    }

    #[test]
    fn keys_in_urls_are_hidden() {
        assert_eq!(
            masked_url("http://h/p?a=1&k%65y=x&token=y&b", &["token"]),
            "http://h/p?a=1&k%65y=(secret)&token=(secret)&b"
        );
        assert_eq!(masked_url("/v1", &[]), "/v1");
    }
}
