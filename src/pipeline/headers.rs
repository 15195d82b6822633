//! Which headers pass, in either direction.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPECT, IF_MATCH,
        IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
        SET_COOKIE,
    },
};

use crate::exchange::is_credential;

/// Puts these in the place of those of their names.
pub(super) fn put_all(headers: &mut HeaderMap, own: &HeaderMap) {
    let mut before = None;
    for (name, value) in own {
        // Values of one name follow each other.
        if before == Some(name) {
            headers.append(name.clone(), value.clone());
        } else {
            headers.insert(name.clone(), value.clone());
        }
        before = Some(name);
    }
}

/// The client's own credentials alone.
pub(super) fn credentials(client: &HeaderMap) -> HeaderMap {
    let own = client.iter().filter(|(name, _)| is_credential(name));
    own.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Headers of one connection, not of the message (RFC 9110 §7.6.1), beside those that `connection` names.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    // By text: lengths tell most of them apart.
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The names that `connection` lists.
fn listed(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// The client's headers that go on to a provider. Its own credentials do only if the profile allows; what a browser says of the page,
/// and its cookies of other services on this host, never do.
pub(super) fn upstream(client: &HeaderMap, keep_credentials: bool) -> HeaderMap {
    let listed = listed(client);
    let mut out = HeaderMap::with_capacity(client.len());
    for (name, value) in client {
        let text = name.as_str();
        let dropped = is_hop_by_hop(name)
            || matches!(
                text,
                "accept-encoding"
                    | "content-encoding"
                    | "content-length"
                    | "cookie"
                    | "expect"
                    | "host"
                    | "origin"
                    | "referer"
            )
            || text.starts_with("sec-")
            || text.starts_with("x-aiproxy-")
            || text.starts_with("access-control-")
            || (!keep_credentials && is_credential(name))
            || listed.iter().any(|listed| listed == text);
        if !dropped {
            let mut value = value.clone();
            if is_credential(name) {
                value.set_sensitive(true);
            }
            out.append(name.clone(), value);
        }
    }
    out
}

/// All end-to-end headers, for a backend that is the client's own affair.
pub(super) fn end_to_end(client: &HeaderMap) -> HeaderMap {
    let listed = listed(client);
    let mut out = HeaderMap::with_capacity(client.len());
    for (name, value) in client {
        let dropped = is_hop_by_hop(name)
            || *name == EXPECT
            || *name == CONTENT_LENGTH
            || listed.iter().any(|listed| listed == name.as_str());
        if !dropped {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Whether the content type says JSON: `application/json`, `application/problem+json; charset=utf-8`, ...; none says nothing.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    // What most clients send.
    if value == "application/json" {
        return true;
    }
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    text.split(';').next().unwrap_or_default().trim().is_empty() || says_json(&text)
}

/// Whether a content type, in lower case, is JSON's.
fn says_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// Whether a body of this content type can be read as text or JSON; none says nothing.
pub(super) fn is_text(content_type: Option<&HeaderValue>) -> bool {
    let Some(value) = content_type else {
        return true;
    };
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    text.trim_start().starts_with("text/") || says_json(&text)
}

/// The upstream's headers that go back. Where the body changed, what described the old one goes.
pub(super) fn downstream(
    upstream: &HeaderMap,
    body_changed: bool,
    keep_cookies: bool,
) -> HeaderMap {
    let listed = listed(upstream);
    let mut out = HeaderMap::with_capacity(upstream.len() + 4);
    for (name, value) in upstream {
        let dropped = is_hop_by_hop(name)
            || (*name == SET_COOKIE && !keep_cookies)
            || name.as_str().starts_with("access-control-")
            || (body_changed && is_about_the_body(name.as_str()))
            || listed.iter().any(|listed| listed == name.as_str());
        if !dropped {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Takes off what describes a body that is no longer the client's: its coding, its length, its digests.
pub(super) fn forget_body(headers: &mut HeaderMap) {
    forget(headers, is_about_the_body);
}

/// Takes these off.
pub(super) fn forget(headers: &mut HeaderMap, which: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| which(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Takes off what makes an answer depend on one that the client has already, or on a part of one: the body that such an answer is about
/// was never the client's.
pub(super) fn ask_all(headers: &mut HeaderMap) {
    for name in [
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_RANGE,
        IF_UNMODIFIED_SINCE,
        RANGE,
    ] {
        headers.remove(name);
    }
}

/// The content type of a text that a model wrote where `old` was the content type before. JSON is told by what it is; a type that says
/// JSON of anything else is wrong; of what else there is, the old one knows more.
pub(super) fn content_type_of(text: &str, old: Option<&HeaderValue>) -> HeaderValue {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let structured = start.starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let told = old.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let says_json = told.as_deref().is_some_and(says_json);
    match old {
        Some(old) if says_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
            old.clone()
        }
        _ if structured => HeaderValue::from_static("application/json"),
        Some(old) if !says_json && !old.is_empty() => old.clone(),
        _ => HeaderValue::from_static("text/plain; charset=utf-8"),
    }
}

/// Length, coding and validators of one particular body.
fn is_about_the_body(name: &str) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, ETAG, LAST_MODIFIED]
        .iter()
        .any(|known| known == name)
        || matches!(
            name,
            "content-md5"
                | "digest"
                | "content-digest"
                | "repr-digest"
                | "accept-ranges"
                | "content-range"
        )
}

/// A query without the parameters of these names; `None` if nothing is left. What stays keeps its bytes.
pub(super) fn without(query: Option<&str>, names: &[&str]) -> Option<String> {
    let kept: Vec<&str> = query?
        .split('&')
        .filter(|pair| {
            let name = url::form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(name, _)| name.into_owned());
            !pair.is_empty() && !name.is_some_and(|name| names.contains(&name.as_str()))
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// Whether a query has such a parameter.
pub(super) fn has(query: Option<&str>, name: &str) -> bool {
    query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
    })
}

/// A header value that is never printed.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn only_end_to_end_headers_go_upstream() {
        let client = map(&[
            ("host", "localhost:8765"),
            ("connection", "keep-alive, X-Once"),
            ("x-once", "1"),
            ("te", "trailers"),
            ("authorization", "Bearer own"),
            ("x-api-key", "own"),
            ("cookie", "session=1"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "same-site"),
            ("content-length", "3"),
            ("accept-encoding", "br"),
            ("user-agent", "sdk"),
            ("openai-organization", "org"),
        ]);
        assert_eq!(
            names(&upstream(&client, false)),
            ["user-agent", "openai-organization"]
        );
        let kept = upstream(&client, true);
        assert_eq!(
            names(&kept),
            [
                "authorization",
                "x-api-key",
                "user-agent",
                "openai-organization"
            ]
        );
        assert!(kept["authorization"].is_sensitive());
    }

    #[test]
    fn answers_lose_what_describes_another_body() {
        let answer = map(&[
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("content-encoding", "gzip"),
            ("etag", "x"),
            ("retry-after", "1"),
            ("x-request-id", "r"),
        ]);
        assert_eq!(
            names(&downstream(&answer, true, false)),
            ["retry-after", "x-request-id"]
        );
        assert_eq!(
            names(&downstream(&answer, false, false)),
            [
                "content-length",
                "content-encoding",
                "etag",
                "retry-after",
                "x-request-id"
            ]
        );
    }

    #[test]
    fn content_types_that_are_json() {
        for (text, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("", true),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
            ("application/jsonx", false),
        ] {
            assert_eq!(is_json(&map(&[("content-type", text)])), expected, "{text}");
        }
        assert!(is_json(&HeaderMap::new()));
    }

    #[test]
    fn queries_lose_parameters_by_decoded_name() {
        assert_eq!(
            without(Some("a=1&k%65y=x&b=%20&key"), &["key"]).as_deref(),
            Some("a=1&b=%20")
        );
        assert_eq!(without(Some("key=x"), &["key"]), None);
        assert!(has(Some("a&k%65y=1"), "key"));
    }

    #[test]
    fn content_types_follow_what_a_model_wrote() {
        for (text, old, expected) in [
            (r#"{"a":1}"#, "application/json", "application/json"),
            (
                r#"{"a":1}"#,
                "application/problem+json; charset=utf-8",
                "application/problem+json; charset=utf-8",
            ),
            ("[1]", "text/csv", "application/json"),
            ("a,b", "text/csv", "text/csv"),
            ("1", "text/plain", "text/plain"),
            ("1", "application/json", "application/json"),
            ("Sure! {}", "application/json", "text/plain; charset=utf-8"),
            ("{oops", "application/xml", "application/xml"),
            ("", "application/json", "text/plain; charset=utf-8"),
        ] {
            let old: HeaderValue = old.parse().unwrap();
            assert_eq!(content_type_of(text, Some(&old)), expected, "{text}");
        }
        assert_eq!(content_type_of("{}", None), "application/json");
        assert_eq!(content_type_of("x", None), "text/plain; charset=utf-8");
    }

    #[test]
    fn a_body_of_ours_has_no_words_of_the_clients() {
        let mut headers = map(&[
            ("content-type", "text/csv"),
            ("content-encoding", "gzip"),
            ("content-length", "3"),
            ("content-digest", "x"),
            ("if-none-match", "x"),
            ("range", "bytes=0-1"),
        ]);
        forget_body(&mut headers);
        ask_all(&mut headers);
        assert_eq!(names(&headers), ["content-type"]);
    }
}
