//! Who may talk to the listener (SPEC §4.9).
//!
//! Any web page can send requests to a port on localhost, under any name that it points there (TRAPS 2.18). So the name that a request
//! uses, the page that it comes from and, where one is set, a token are checked on every path, before anything else is looked at.

use std::net::IpAddr;

use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    header::{AUTHORIZATION, HOST, ORIGIN, PROXY_AUTHORIZATION},
    request::Parts,
};
use subtle::ConstantTimeEq;

use crate::{dialect::Fault, profile::Secret};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Where clients put a key, beside `authorization` and `?key=`.
const KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The page that may be navigated to from anywhere.
const PAGE: &str = "/_aiproxy/ui";

/// Below it is what the page is made of: a browser cannot send a token for those, and nothing in them is anybody's.
const OF_PAGE: &str = "/_aiproxy/ui/";

/// Who may talk to this listener.
#[derive(Debug, Default)]
pub struct Gate {
    /// The port that the listener's own origin has.
    pub port: u16,
    /// Names and addresses beyond loopback that requests may use (`--allow-host`), in lower case, without a port.
    pub hosts: Vec<String>,
    /// Pages that may ask (`--allow-origin`), as browsers write them.
    pub origins: Vec<String>,
    /// What every request must carry (`--token`).
    pub token: Option<Secret>,
}

/// The page behind a request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No browser, or a page of the listener itself.
    Own,
    /// A page named by `--allow-origin`; its answers carry CORS headers.
    Allowed(HeaderValue),
}

impl Gate {
    /// Passes a request or says why not. What was the listener's own affair is taken off it: the token is in no header and no query any
    /// more.
    ///
    /// # Errors
    ///
    /// 400, 401 or 403.
    pub fn pass(&self, parts: &mut Parts) -> Result<Origin, Fault> {
        self.form(parts)?;
        let host = host(parts)?;
        if !self.knows_host(host) {
            let name = printable(&host.to_ascii_lowercase());
            return Err(denied(format!(
                "host `{name}` is not this proxy's: if it should be, start it with --allow-host {name}"
            )));
        }
        let origin = self.origin(parts)?;
        if matches!(origin, Origin::Allowed(_))
            && parts.method == Method::OPTIONS
            && parts.headers.contains_key("access-control-request-method")
        {
            // A preflight cannot carry a token.
            return Ok(origin);
        }
        self.token(parts)?;
        Ok(origin)
    }

    /// A request to this server, not through it.
    fn form(&self, parts: &Parts) -> Result<(), Fault> {
        let absolute = parts.version < Version::HTTP_2 && parts.uri.authority().is_some();
        if parts.method == Method::CONNECT || absolute {
            return Err(denied(
                "this is no forward proxy: send requests to it, not through it".into(),
            ));
        }
        if !parts.uri.path().starts_with('/') && parts.uri.path() != "*" {
            return Err(Fault::invalid(400, "the request's target is no path"));
        }
        Ok(())
    }

    fn knows_host(&self, host: &str) -> bool {
        is_loopback(host)
            || self
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host))
    }

    fn origin(&self, parts: &Parts) -> Result<Origin, Fault> {
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        if let Some(origin) = origins.next() {
            if origins.next().is_some() {
                return Err(Fault::invalid(
                    400,
                    "the request has more than one `origin`",
                ));
            }
            let text = origin.to_str().unwrap_or_default();
            if self
                .origins
                .iter()
                .any(|known| known.eq_ignore_ascii_case(text))
            {
                return Ok(Origin::Allowed(origin.clone()));
            }
            if !self.is_own(text) {
                let name = printable(text);
                return Err(denied(format!(
                    "pages of `{name}` may not use this proxy: if they should, start it with --allow-origin {name}"
                )));
            }
            return Ok(Origin::Own);
        }
        let says = |name: &HeaderName, word: &str| {
            parts
                .headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == word.as_bytes())
        };
        // In a frame, a page of another site could have people click what they do not see.
        let framed =
            parts.headers.contains_key(&SEC_FETCH_DEST) && !says(&SEC_FETCH_DEST, "document");
        let navigates = says(&SEC_FETCH_MODE, "navigate")
            && !framed
            && parts.method == Method::GET
            && parts.uri.path() == PAGE;
        // To a browser, all ports of a host are one site: a page of another one is no less another's.
        let foreign = says(&SEC_FETCH_SITE, "cross-site") || says(&SEC_FETCH_SITE, "same-site");
        if foreign && !navigates {
            return Err(denied(
                "a page of another site or port may not use this proxy".into(),
            ));
        }
        Ok(Origin::Own)
    }

    /// A page that this listener itself served.
    fn is_own(&self, origin: &str) -> bool {
        let Some(authority) = origin.strip_prefix("http://") else {
            return false;
        };
        match split_port(authority) {
            Some((host, port)) => port.unwrap_or(80) == self.port && self.knows_host(host),
            None => false,
        }
    }

    fn token(&self, parts: &mut Parts) -> Result<(), Fault> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let is_token = |text: &[u8]| bool::from(text.ct_eq(token.expose().as_bytes()));
        let bearer = |value: &HeaderValue| {
            let text = value.as_bytes();
            let scheme = text
                .get(..7)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
            is_token(if scheme {
                text.get(7..).unwrap_or_default().trim_ascii()
            } else {
                text
            })
        };
        let mut found = false;
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION]
            .iter()
            .chain(&KEY_HEADERS)
        {
            if parts.headers.get(name).is_some_and(bearer) {
                parts.headers.remove(name);
                found = true;
            }
        }
        if let Some(query) = parts.uri.query() {
            let is_own = |pair: &&str| {
                url::form_urlencoded::parse(pair.as_bytes())
                    .any(|(key, value)| key == "key" && is_token(value.as_bytes()))
            };
            let kept: Vec<&str> = query.split('&').filter(|pair| !is_own(pair)).collect();
            if kept.len() < query.split('&').count() {
                found = true;
                parts.uri = with_query(&parts.uri, &kept.join("&"));
            }
        }
        let path = parts.uri.path();
        if found || path == PAGE || path.starts_with(OF_PAGE) {
            return Ok(());
        }
        Err(Fault {
            status: 401,
            kind: "authentication_error".into(),
            message: "this proxy asks for its token, as a bearer token or where your SDK puts its API key".into(),
            code: Some("invalid_api_key".into()),
            ..Fault::default()
        })
    }
}

fn denied(message: String) -> Fault {
    Fault {
        status: 403,
        kind: "permission_error".into(),
        message,
        ..Fault::default()
    }
}

/// What an error repeats of a name from outside.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

fn with_query(uri: &Uri, query: &str) -> Uri {
    let path_and_query = if query.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{query}", uri.path())
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

/// The one name that the request uses, without its port.
fn host(parts: &Parts) -> Result<&str, Fault> {
    let of_headers = parts.headers.get_all(HOST).iter();
    let of_target = parts.uri.authority().map(|name| name.as_str().as_bytes());
    let mut names = of_headers.map(HeaderValue::as_bytes).chain(of_target);
    let name = names
        .next()
        .ok_or_else(|| Fault::invalid(400, "the request has no `host`"))?;
    if names.any(|other| !other.eq_ignore_ascii_case(name)) {
        return Err(Fault::invalid(400, "the request names two hosts"));
    }
    let host = std::str::from_utf8(name).ok().and_then(split_port);
    host.map(|(host, _)| host)
        .ok_or_else(|| Fault::invalid(400, "the request's `host` is none"))
}

/// `name`, `name:80`, `[::1]`, `[::1]:80`; `None` for anything else.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let bracketed = authority.get(..inside.len() + 2)?;
            match after.strip_prefix(':') {
                Some(port) => (bracketed, Some(port)),
                None if after.is_empty() => (bracketed, None),
                None => return None,
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
        None => None,
    };
    let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ', '\\', '%']);
    plain.then_some((host, port))
}

/// `localhost` and loopback addresses, exactly: `127.0.0.1.evil.example` is a name like any other.
fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = host
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_loopback())
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a request with these headers; 200 if it passes.
    fn ask(gate: &Gate, target: &str, headers: &[(&str, &str)]) -> u16 {
        request(gate, Method::POST, target, headers).map_or_else(|fault| fault.status, |_| 200)
    }

    fn request(
        gate: &Gate,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Origin, Parts), Fault> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        gate.pass(&mut parts).map(|origin| (origin, parts))
    }

    fn gate() -> Gate {
        Gate {
            port: 8765,
            ..Gate::default()
        }
    }

    #[test]
    fn attacks_by_name() {
        for (host, status) in [
            ("localhost", 200),
            ("LocalHost:8765", 200),
            ("127.0.0.1:8765", 200),
            ("127.8.9.1", 200),
            ("[::1]:8765", 200),
            ("[::1]", 200),
            ("[::ffff:127.0.0.1]:1", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost.evil.example", 403),
            ("localhost.", 403),
            ("notlocalhost", 403),
            ("127.1", 403),
            ("2130706433", 403),
            ("0x7f000001", 403),
            ("0.0.0.0", 403),
            ("10.0.0.1", 403),
            ("[::]", 403),
            ("[::ffff:10.0.0.1]", 403),
            ("::1", 400),
            ("localhost:", 400),
            ("localhost:x", 400),
            ("localhost:99999", 400),
            ("localhost@evil.example", 400),
            ("evil.example#localhost", 400),
            ("", 400),
        ] {
            assert_eq!(
                ask(&gate(), "/v1/models", &[("host", host)]),
                status,
                "{host}"
            );
        }
        assert_eq!(ask(&gate(), "/", &[]), 400, "no host");
        assert_eq!(
            ask(
                &gate(),
                "/",
                &[("host", "localhost"), ("host", "evil.example")]
            ),
            400,
            "two hosts"
        );
        assert_eq!(
            ask(
                &gate(),
                "/",
                &[("host", "localhost"), ("host", "localhost")]
            ),
            200,
            "the same twice"
        );
    }

    #[test]
    fn hosts_are_allowed_exactly() {
        let gate = Gate {
            hosts: vec!["proxy.test".into(), "192.168.1.5".into()],
            ..gate()
        };
        for (host, status) in [
            ("proxy.test", 200),
            ("PROXY.test:80", 200),
            ("192.168.1.5", 200),
            ("a.proxy.test", 403),
            ("proxy.test.evil", 403),
        ] {
            assert_eq!(ask(&gate, "/", &[("host", host)]), status, "{host}");
        }
    }

    #[test]
    fn requests_through_the_listener_are_refused() {
        assert_eq!(
            ask(&gate(), "http://evil.example/x", &[("host", "localhost")]),
            403
        );
        let connect = request(
            &gate(),
            Method::CONNECT,
            "localhost:443",
            &[("host", "localhost")],
        );
        assert_eq!(connect.unwrap_err().status, 403);
    }

    #[test]
    fn attacks_by_a_page() {
        for (origin, status) in [
            ("http://localhost:8765", 200),
            ("http://127.0.0.1:8765", 200),
            ("http://[::1]:8765", 200),
            ("http://localhost:3000", 403),
            ("http://localhost", 403),
            ("https://localhost:8765", 403),
            ("http://localhost:8765.evil.example", 403),
            ("http://localhost:8765@evil.example", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("file://", 403),
            ("", 403),
        ] {
            assert_eq!(
                ask(
                    &gate(),
                    "/v1/models",
                    &[("host", "localhost:8765"), ("origin", origin)]
                ),
                status,
                "{origin}"
            );
        }
        for (site, status) in [
            ("cross-site", 403),
            ("same-site", 403),
            ("same-origin", 200),
            ("none", 200),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(ask(&gate(), "/v1/models", &headers), status, "{site}");
        }
        let navigation = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        assert!(request(&gate(), Method::GET, "/_aiproxy/ui", &navigation).is_ok());
        assert!(request(&gate(), Method::POST, "/_aiproxy/ui", &navigation).is_err());
        for (dest, passes) in [("document", true), ("iframe", false), ("embed", false)] {
            let [host, site, mode] = navigation;
            let framed = [host, site, mode, ("sec-fetch-dest", dest)];
            let passed = request(&gate(), Method::GET, "/_aiproxy/ui", &framed);
            assert_eq!(passed.is_ok(), passes, "{dest}");
        }
        assert!(request(&gate(), Method::GET, "/_aiproxy/exchanges", &navigation).is_err());
    }

    #[test]
    fn a_named_page_may_ask() {
        let gate = Gate {
            origins: vec!["http://localhost:3000".into()],
            ..gate()
        };
        let headers = [
            ("host", "localhost"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "cross-site"),
        ];
        let (origin, _) = request(&gate, Method::POST, "/v1/models", &headers).unwrap();
        assert_eq!(
            origin,
            Origin::Allowed(HeaderValue::from_static("http://localhost:3000"))
        );
        assert_eq!(
            ask(
                &gate,
                "/",
                &[("host", "localhost"), ("origin", "http://localhost:30000")]
            ),
            403
        );
    }

    #[test]
    fn the_token_is_asked_for_and_taken_off() {
        let gate = Gate {
            token: Some(Secret::new("sesame".into())),
            ..gate()
        };
        let host = ("host", "localhost");
        for header in [
            ("authorization", "Bearer sesame"),
            ("authorization", "bearer  sesame"),
            ("x-api-key", "sesame"),
            ("api-key", "sesame"),
            ("x-goog-api-key", "sesame"),
            ("proxy-authorization", "Bearer sesame"),
        ] {
            let (_, parts) = request(&gate, Method::POST, "/x?a=1", &[host, header]).unwrap();
            assert_eq!(parts.headers.len(), 1, "{header:?} is taken off");
        }
        let (_, parts) = request(&gate, Method::GET, "/x?a=1&key=sesame&b=2", &[host]).unwrap();
        assert_eq!(parts.uri, "/x?a=1&b=2");
        let (_, parts) = request(&gate, Method::GET, "/x?k%65y=ses%61me", &[host]).unwrap();
        assert_eq!(parts.uri, "/x");
        for header in [
            ("authorization", "Bearer sesam"),
            ("authorization", "Basic sesame"),
            ("cookie", "key=sesame"),
            ("x-api-key", ""),
        ] {
            assert_eq!(ask(&gate, "/v1/models", &[host, header]), 401, "{header:?}");
        }
        let (_, parts) = request(
            &gate,
            Method::POST,
            "/x",
            &[
                host,
                ("authorization", "Bearer sesame"),
                ("x-api-key", "own"),
            ],
        )
        .unwrap();
        assert!(
            parts.headers.contains_key("x-api-key"),
            "another key is not the listener's affair"
        );
    }

    #[test]
    fn what_the_page_is_made_of_needs_no_token() {
        let gate = Gate {
            token: Some(Secret::new("sesame".into())),
            ..gate()
        };
        for (path, status) in [
            ("/_aiproxy/ui", 200),
            ("/_aiproxy/ui/app.js", 200),
            ("/_aiproxy/uix", 401),
            ("/_aiproxy/exchanges", 401),
            ("/_aiproxy/prompts", 401),
            ("/ui/_aiproxy/ui/", 401),
        ] {
            assert_eq!(ask(&gate, path, &[("host", "localhost")]), status, "{path}");
        }
    }

    #[test]
    fn preflights_carry_no_token() {
        let gate = Gate {
            token: Some(Secret::new("t".into())),
            origins: vec!["http://a.test".into()],
            ..gate()
        };
        let headers = [
            ("host", "localhost"),
            ("origin", "http://a.test"),
            ("access-control-request-method", "POST"),
        ];
        assert!(request(&gate, Method::OPTIONS, "/v1/models", &headers).is_ok());
        assert!(request(&gate, Method::POST, "/v1/models", &headers).is_err());
    }
}
