//! Which headers pass, in either direction.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
        COOKIE, ETAG, EXPECT, HOST, LAST_MODIFIED, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        REFERER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

/// What clients put their own credentials into.
fn is_credential(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || matches!(name.as_str(), "x-api-key" | "api-key" | "x-goog-api-key")
}

/// Headers of one connection, not of the message (RFC 9110 §7.6.1), beside those that `connection` names.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "http2-settings"
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
            || [
                HOST,
                CONTENT_LENGTH,
                CONTENT_ENCODING,
                ACCEPT_ENCODING,
                EXPECT,
                COOKIE,
                ORIGIN,
                REFERER,
            ]
            .contains(name)
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
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.is_empty()
        || essence == "application/json"
        || essence == "text/json"
        || essence.ends_with("+json")
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
            || (body_changed && is_about_the_body(name))
            || listed.iter().any(|listed| listed == name.as_str());
        if !dropped {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Length, coding and validators of one particular body.
fn is_about_the_body(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, ETAG, LAST_MODIFIED].contains(name)
        || matches!(
            name.as_str(),
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
}
