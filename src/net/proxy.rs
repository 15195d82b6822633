//! Which way leads to an upstream: direct, or by a proxy of the profile or of the environment.
//!
//! The environment is read as curl reads it, with two exceptions of our own: loopback and link-local upstreams (the clouds'
//! metadata services) go direct, and a proxy that is this process's own listener is left out, since a request would come
//! round for ever.

use std::{
    collections::HashMap,
    env, fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::transport::{Dial, HostPort, TransportError};

/// curl's port for a proxy whose URL names none.
const DEFAULT_PROXY_PORT: u16 = 1080;

/// The names this layer reads, in the order in which the first non-empty one of a row wins.
const READ: [&str; 9] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The environment variables that decide how upstreams are reached: proxies and roots.
///
/// `HTTP_PROXY` in capitals is not among them: a CGI server sets it from a request's `Proxy` header.
#[derive(Clone, Default)]
pub struct Environment(HashMap<&'static str, String>);

impl Environment {
    /// Takes what it knows from `(name, value)` pairs; empty values count as unset.
    pub fn new<N: AsRef<str>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let known = pairs.into_iter().filter_map(|(name, value)| {
            let name = READ.into_iter().find(|known| *known == name.as_ref())?;
            let value = value.into();
            (!value.is_empty()).then_some((name, value))
        });
        Environment(known.collect())
    }

    /// Reads the environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        Self::new(env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// What its proxies' URLs hold of passwords, as it is written and as it is meant, for what must not show it.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for value in self.0.values() {
            let Some((before, _)) = value.rsplit_once('@') else {
                continue;
            };
            let login = before.split_once("://").map_or(before, |(_, login)| login);
            let decoded = decoded(login);
            for login in [login, decoded.as_str()] {
                let password = login.split_once(':').map(|(_, password)| password);
                // A password alone, and the login that `Basic` would encode.
                secrets.extend(password.into_iter().chain([login]).map(str::to_owned));
            }
        }
        secrets
    }

    /// The first of `names` that is set, and its value.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names
            .iter()
            .find_map(|name| Some((*name, self.0.get(name)?.as_str())))
    }
}

/// A URL's text without its percent-encoding.
fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Names only: a proxy's URL can hold a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The way to one upstream.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    Direct,
    Proxy(Proxy),
}

/// A proxy that was chosen for an upstream.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) kind: ProxyKind,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `Proxy-Authorization` for HTTP proxies.
    pub(crate) basic: Option<HeaderValue>,
    /// User and password for SOCKS 5.
    pub(crate) login: Option<(String, String)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    Https,
    Socks4 { remote_dns: bool },
    Socks5 { remote_dns: bool },
}

impl Proxy {
    fn of_profile(named: &HostPort) -> Self {
        Proxy {
            kind: ProxyKind::Http,
            host: bare(&named.host).to_owned(),
            port: named.port,
            basic: None,
            login: None,
        }
    }

    fn of_intercept(intercept: &Intercept) -> Option<Self> {
        let uri = intercept.uri();
        let kind = match uri.scheme_str()? {
            "http" => ProxyKind::Http,
            "https" => ProxyKind::Https,
            "socks4" => ProxyKind::Socks4 { remote_dns: false },
            "socks4a" => ProxyKind::Socks4 { remote_dns: true },
            "socks5" => ProxyKind::Socks5 { remote_dns: false },
            "socks5h" => ProxyKind::Socks5 { remote_dns: true },
            _ => return None,
        };
        let default = if kind == ProxyKind::Https {
            443
        } else {
            DEFAULT_PROXY_PORT
        };
        Some(Proxy {
            kind,
            host: bare(uri.host()?).to_owned(),
            port: uri.port_u16().unwrap_or(default),
            basic: intercept.basic_auth().cloned(),
            login: intercept
                .raw_auth()
                .map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }

    /// `HOST:PORT`, for messages.
    pub(crate) fn name(&self) -> String {
        host_port(&self.host, self.port)
    }

    fn is_one_of(&self, listeners: &[SocketAddr]) -> bool {
        listeners.iter().any(|listener| {
            listener.port() == self.port
                && (is_loopback(&self.host) || self.host.parse() == Ok(listener.ip()))
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name())
    }
}

/// The environment's proxies, parsed once.
pub(crate) struct Proxies {
    http: Named,
    https: Named,
    /// Intercepts whatever NO_PROXY does not name.
    wanted: Matcher,
}

/// The variable that names a proxy, with the proxy unless its value is none.
type Named = Option<(&'static str, Option<Proxy>)>;

impl Proxies {
    pub(crate) fn new(environment: &Environment) -> Self {
        let named = |names: &[&'static str]| {
            let (name, value) = environment.first(names)?;
            // Whatever the variable, the value is parsed the same way; any URI will do to get it back.
            let parsed = Matcher::builder().all(value).build();
            let intercept = parsed.intercept(&Uri::from_static("http://upstream.invalid/"));
            Some((name, intercept.as_ref().and_then(Proxy::of_intercept)))
        };
        let no = environment
            .first(&["no_proxy", "NO_PROXY"])
            .map_or(String::new(), |(_, list)| {
                // curl takes blanks for separators too, and IPv6 addresses in brackets.
                list.replace(['[', ']'], "")
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(",")
            });
        Proxies {
            http: named(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: named(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            wanted: Matcher::builder()
                .all("http://proxy.invalid/")
                .no(no)
                .build(),
        }
    }

    /// The way to `uri`. A dial's own proxy comes first and asks neither NO_PROXY nor whether the upstream is near.
    ///
    /// # Errors
    ///
    /// A variable that is set but names no proxy is an error, as in curl: to go direct could be a leak.
    pub(crate) fn route(
        &self,
        uri: &Uri,
        dial: &Dial,
        listeners: &[SocketAddr],
    ) -> Result<Route, TransportError> {
        let host = uri.host().unwrap_or_default();
        let secure = uri.scheme_str() == Some("https");
        let (own, named) = if secure {
            (&dial.https_proxy, &self.https)
        } else {
            (&dial.http_proxy, &self.http)
        };
        let proxy = if let Some(own) = own {
            Proxy::of_profile(own)
        } else if is_loopback(host) || is_link_local(host) {
            return Ok(Route::Direct);
        } else if let Some((variable, proxy)) = named {
            if self.wanted.intercept(uri).is_none() {
                return Ok(Route::Direct);
            }
            proxy.clone().ok_or_else(|| {
                TransportError::Connect(format!("{variable} in the environment is no proxy URL"))
            })?
        } else {
            return Ok(Route::Direct);
        };
        if proxy.is_one_of(listeners) {
            tracing::warn!(
                "proxy {} is aiproxy itself: ignored for {host}",
                proxy.name()
            );
            return Ok(Route::Direct);
        }
        Ok(Route::Proxy(proxy))
    }
}

/// Whether a host name or address (brackets or not) can only mean this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = bare(host);
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        // 0.0.0.0 and :: are what servers bind; connecting to them reaches this machine.
        Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => is_localhost(host),
    }
}

/// Whether this is an IPv4 address of this link alone: to a proxy it is another machine, or none.
fn is_link_local(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_link_local())
}

/// `localhost` and what is below it (RFC 6761, 6.3).
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// A host without the brackets that URIs put around IPv6 addresses.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// `HOST:PORT`, brackets where needed.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(environment: &[(&str, &str)], uri: &str) -> String {
        way_of(environment, uri, &Dial::default())
    }

    fn way_of(environment: &[(&str, &str)], uri: &str, dial: &Dial) -> String {
        let proxies = Proxies::new(&Environment::new(environment.iter().copied()));
        let listeners = ["127.0.0.1:8765".parse().unwrap()];
        match proxies.route(&uri.parse().unwrap(), dial, &listeners) {
            Ok(Route::Direct) => "direct".to_owned(),
            Ok(Route::Proxy(proxy)) => format!("{proxy:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn variables_are_chosen_as_curl_chooses_them() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
        let table: &[Row<'_>] = &[
            (&[], "https://a.example/", "direct"),
            (
                &[("https_proxy", "http://p:3128")],
                "https://a.example/",
                "Http p:3128",
            ),
            (
                &[("HTTPS_PROXY", "http://p:3128")],
                "https://a.example/",
                "Http p:3128",
            ),
            (
                &[("HTTPS_PROXY", "http://up:1"), ("https_proxy", "low:2")],
                "https://a.example/",
                "Http low:2",
            ),
            (
                &[("https_proxy", "http://p:1")],
                "http://a.example/",
                "direct",
            ),
            (
                &[("HTTP_PROXY", "http://p:1")],
                "http://a.example/",
                "direct",
            ),
            (&[("http_proxy", "p")], "http://a.example/", "Http p:1080"),
            (&[("http_proxy", "p")], "http://169.254.169.254/", "direct"),
            (
                &[("http_proxy", "https://p")],
                "http://a.example/",
                "Https p:443",
            ),
            (
                &[("ALL_PROXY", "socks5h://p")],
                "https://a.example/",
                "Socks5 { remote_dns: true } p:1080",
            ),
            (
                &[("all_proxy", "socks4://p:9"), ("https_proxy", "")],
                "https://a.example/",
                "Socks4 { remote_dns: false } p:9",
            ),
            (
                &[
                    ("all_proxy", "http://all:1"),
                    ("http_proxy", "http://one:2"),
                ],
                "http://a.example/",
                "Http one:2",
            ),
            (
                &[("https_proxy", "ftp://user:secret@p:1")],
                "https://a.example/",
                "https_proxy in the environment is no proxy URL",
            ),
            (
                &[("https_proxy", "http://[::1]:9")],
                "https://a.example/",
                "Http [::1]:9",
            ),
        ];
        for (environment, uri, expected) in table {
            assert_eq!(way(environment, uri), *expected, "{environment:?} {uri}");
        }
    }

    #[test]
    fn no_proxy_names_hosts_suffixes_addresses_and_networks() {
        let table = [
            ("a.example", "a.example", true),
            ("a.example", "b.a.example", true),
            (".a.example", "a.example", true),
            (".a.example", "b.a.example", true),
            ("a.example", "nota.example", false),
            ("A.Example", "a.eXample", true),
            ("b.example, a.example", "a.example", true),
            ("b.example a.example", "a.example", true),
            ("*", "a.example", true),
            ("*", "10.0.0.1", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("fd00::/8", "[fd00::1]", true),
            ("[fd00::1]", "[fd00::1]", true),
            ("fd00::/8", "[fe80::1]", false),
            ("", "a.example", false),
        ];
        for (no, host, direct) in table {
            let environment = [("http_proxy", "http://p:1"), ("NO_PROXY", no)];
            let expected = if direct { "direct" } else { "Http p:1" };
            assert_eq!(
                way(&environment, &format!("http://{host}:8000/")),
                expected,
                "NO_PROXY={no} {host}"
            );
        }
    }

    #[test]
    fn loopback_goes_direct_unless_the_dial_names_a_proxy() {
        let environment = [("all_proxy", "http://p:1")];
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "ollama.localhost",
        ] {
            assert_eq!(way(&environment, &format!("http://{host}:1/")), "direct");
        }
        for host in ["128.0.0.1", "localhost.example", "notlocalhost"] {
            assert_eq!(way(&environment, &format!("http://{host}:1/")), "Http p:1");
        }
        let dial = Dial {
            http_proxy: Some(HostPort {
                host: "own".to_owned(),
                port: 7,
            }),
            ..Dial::default()
        };
        let with_no_proxy = [("http_proxy", "http://p:1"), ("no_proxy", "*")];
        assert_eq!(
            way_of(&with_no_proxy, "http://localhost:1/", &dial),
            "Http own:7"
        );
        assert_eq!(
            way_of(&with_no_proxy, "https://a.example/", &dial),
            "direct"
        );
    }

    #[test]
    fn a_proxy_that_is_this_listener_is_left_out() {
        for proxy in [
            "http://127.0.0.1:8765",
            "http://localhost:8765",
            "http://[::1]:8765",
        ] {
            assert_eq!(way(&[("all_proxy", proxy)], "http://a.example/"), "direct");
        }
        assert_eq!(
            way(
                &[("all_proxy", "http://127.0.0.1:8766")],
                "http://a.example/"
            ),
            "Http 127.0.0.1:8766"
        );
    }

    #[test]
    fn no_password_is_ever_printed() {
        let environment = Environment::new([("https_proxy", "http://user:hunter2@p:1")]);
        assert_eq!(format!("{environment:?}"), r#"{"https_proxy"}"#);
        let shown = way(
            &[("https_proxy", "http://user:hunter2@p:1")],
            "https://a.example/",
        );
        assert_eq!(shown, "Http p:1");
    }
}
