//! Which running server a command asks (SPEC §3).
//!
//! The one that `--server` names, else the live one on the usual address, else the only live one. The state folder says which live, and
//! gives their tokens; `/_aiproxy/health` confirms that what answers there is aiproxy.
//!
//! A private server, which `aiproxy run` has for its program, never stands in the way of another. Commands that look at exchanges take it if
//! there is no other; those that send some take it only by its name.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, header::AUTHORIZATION,
    request::Builder,
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::{
    config,
    serve::DEFAULT_ADDRESS,
    state::{self, Entry},
    upstreams::Upstreams,
};
use crate::{
    profile::Secret,
    term::Problem,
    transport::{Body, Dial, Transport, full},
};

/// How long a server on this machine may take to say that it is one.
const LOOK: Duration = Duration::from_secs(2);

/// The server that a command asks.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ServerFlag {
    /// The server to ask; without it, the running one on the usual address, else the only running one
    #[arg(long = "server", value_name = "URL", env = "AIPROXY_SERVER")]
    pub(super) url: Option<String>,
}

/// A server that answers.
#[derive(Clone)]
pub(super) struct Server {
    net: Arc<Upstreams>,
    /// Scheme, host and port, without a slash at the end.
    pub(super) root: String,
    /// The names of what it serves now, the default first.
    pub(super) profiles: Vec<String>,
    token: Option<Secret>,
}

/// What a command wants of a server that nobody named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// To look at its exchanges: one of `aiproxy run` will do if there is no other.
    Look,
    /// To send through it: that is not what such a one is for.
    Send,
}

/// What a look for a server came to.
#[derive(Debug)]
pub(super) enum Found {
    /// This one.
    Running(Server),
    /// None, and why, for a note.
    Nobody(String),
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("root", &self.root)
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}

/// The address that commands look at first: the one that `serve` would take by the environment and the settings.
pub(super) fn usual_address(config: Option<&Path>) -> SocketAddr {
    let variable = std::env::var("AIPROXY_LISTEN").ok();
    variable
        .and_then(|address| address.parse().ok())
        .or_else(|| config::shared(config).listen)
        .filter(|address| address.port() != 0)
        .or_else(|| DEFAULT_ADDRESS.parse().ok())
        .map_or(SocketAddr::from(([127, 0, 0, 1], 8765)), state::reached)
}

/// Finds the server to ask.
///
/// # Errors
///
/// If the named one does not answer, or several could be meant.
pub(super) async fn find(
    flag: &ServerFlag,
    usual: SocketAddr,
    want: Want,
) -> Result<Found, Problem> {
    let net = Upstreams::new(Vec::new());
    let live = state::running();
    if let Some(url) = &flag.url {
        return named(&net, url, &live).await.map(Found::Running);
    }
    let answers = join_all(live.iter().map(|entry| {
        let (net, token) = (&net, entry.token.0.clone());
        async move { Some((entry, look(net, entry.url(), token).await.ok()?)) }
    }))
    .await
    .into_iter()
    .flatten();
    let (private, mut answers): (Vec<_>, Vec<_>) = answers.partition(|(entry, _)| entry.private);
    if let Some(at) = answers
        .iter()
        .position(|(entry, _)| is_at(entry, usual.ip(), usual.port()))
    {
        return Ok(Found::Running(answers.swap_remove(at).1));
    }
    // One that could not write its file, or keeps it elsewhere.
    let unlisted = look(&net, format!("http://{usual}"), own_token()).await;
    if let Ok(server) = unlisted {
        return Ok(Found::Running(server));
    }
    if answers.is_empty() && want == Want::Look {
        answers = private;
    }
    match (answers.pop(), answers.as_slice(), unlisted) {
        (Some((_, only)), [], _) => Ok(Found::Running(only)),
        (Some(last), others, _) => {
            let urls: Vec<String> = others
                .iter()
                .chain([&last])
                .map(|(_, server)| format!("{} ({})", server.root, some(&server.profiles)))
                .collect();
            Err(Problem::new(format!(
                "{} servers are running, none of them on {usual}: {}",
                urls.len(),
                urls.join(", ")
            ))
            .hint("choose one with --server URL or AIPROXY_SERVER"))
        }
        (None, _, Err(Unfit::Token)) => Ok(Found::Nobody(format!(
            "the server at http://{usual} asks for a token (AIPROXY_TOKEN)"
        ))),
        (None, ..) => Ok(Found::Nobody("no server is running".to_owned())),
    }
}

/// The server on an address, if it is one of ours.
pub(super) async fn at(address: SocketAddr) -> Option<Server> {
    let net = Upstreams::new(Vec::new());
    look(
        &net,
        format!("http://{}", state::reached(address)),
        own_token(),
    )
    .await
    .ok()
}

/// As [`find`], for a command that waits for its server: a named one that does not answer is nobody yet.
///
/// # Errors
///
/// If the named one asks for a token, its name is no URL, or several could be meant.
pub(super) async fn awaited(flag: &ServerFlag, usual: SocketAddr) -> Result<Found, Problem> {
    let Some(url) = &flag.url else {
        return find(flag, usual, Want::Look).await;
    };
    let (root, token) = place(url, &state::running())?;
    match look(&Upstreams::new(Vec::new()), root.clone(), token).await {
        Ok(server) => Ok(Found::Running(server)),
        Err(Unfit::Token) => Err(unanswered(&root, &Unfit::Token)),
        Err(why) => Ok(Found::Nobody(unanswered(&root, &why).to_string())),
    }
}

async fn named(net: &Arc<Upstreams>, url: &str, live: &[Entry]) -> Result<Server, Problem> {
    let (root, token) = place(url, live)?;
    look(net, root.clone(), token)
        .await
        .map_err(|why| unanswered(&root, &why))
}

/// Where a named server is, and the token to show there.
fn place(url: &str, live: &[Entry]) -> Result<(String, Option<Secret>), Problem> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let parsed = url::Url::parse(&url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Problem::usage(format!("--server `{url}` is no URL"))
                .hint("such as http://127.0.0.1:8765")
        })?;
    let known = live.iter().find(|entry| is_of(entry, &parsed));
    let token = known
        .and_then(|entry| entry.token.0.clone())
        .or_else(own_token);
    Ok((url.trim_end_matches('/').to_owned(), token))
}

fn unanswered(root: &str, why: &Unfit) -> Problem {
    let problem = Problem::new(format!("no aiproxy answers at {root}: {why}"));
    match why {
        Unfit::Token => problem.hint("set AIPROXY_TOKEN to the token that it was started with"),
        Unfit::Other(_) => problem.hint("start one: aiproxy serve"),
    }
}

/// A few names, for a list of servers.
pub(super) fn some(names: &[String]) -> String {
    match names {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}

/// The token that the user's environment holds.
fn own_token() -> Option<Secret> {
    std::env::var("AIPROXY_TOKEN")
        .ok()
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

fn is_at(entry: &Entry, ip: IpAddr, port: u16) -> bool {
    let own = entry.address.ip();
    entry.address.port() == port && (own == ip || (own.is_unspecified() && ip.is_loopback()))
}

/// Whether a URL leads to a server of this machine. A token is sent to no other place than its own.
fn is_of(entry: &Entry, url: &url::Url) -> bool {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return false;
    };
    match host {
        url::Host::Ipv4(ip) => is_at(entry, ip.into(), port),
        url::Host::Ipv6(ip) => is_at(entry, ip.into(), port),
        url::Host::Domain(name) => {
            let own = entry.address.ip();
            name == "localhost"
                && entry.address.port() == port
                && (own.is_loopback() || own.is_unspecified())
        }
    }
}

/// Why an address is no server that can be asked.
#[derive(Debug)]
enum Unfit {
    Token,
    Other(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Token => "it asks for a token",
            Unfit::Other(why) => why,
        })
    }
}

/// The server at `root`, if there is one of ours.
async fn look(net: &Arc<Upstreams>, root: String, token: Option<Secret>) -> Result<Server, Unfit> {
    let other = |why: String| Unfit::Other(why);
    let mut server = Server {
        net: Arc::clone(net),
        root,
        profiles: Vec::new(),
        token,
    };
    let request = server
        .request(&Method::GET, "/_aiproxy/health")
        .and_then(|request| {
            request
                .body(full(""))
                .map_err(|error| Problem::new(error.to_string()))
        })
        .map_err(|problem| other(problem.to_string()))?;
    let dial = Dial {
        connect_timeout: LOOK,
        first_byte_timeout: LOOK,
        ..Dial::default()
    };
    let response = net
        .send(request, &dial)
        .await
        .map_err(|error| other(error.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 1 << 20).collect();
    let body = tokio::time::timeout(LOOK, body)
        .await
        .map_err(|_| other("it is silent".into()))?
        .map_err(|error| other(error.to_string()))?;
    let health: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let ours = health.get("server").and_then(Value::as_str) == Some("aiproxy");
    if !ours && status == StatusCode::UNAUTHORIZED {
        return Err(Unfit::Token);
    }
    if !ours {
        return Err(other(format!("something else is there (status {status})")));
    }
    let names = health
        .get("profiles")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    server.profiles = names.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(server)
}

impl Server {
    /// Whether it serves a profile.
    pub(super) fn serves(&self, profile: &str) -> bool {
        self.profiles.iter().any(|name| name == profile)
    }

    /// What it asks for.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Whether it asks for a token.
    pub(super) fn asks_for_token(&self) -> bool {
        self.token.is_some()
    }

    /// A request to it, with its token.
    ///
    /// # Errors
    ///
    /// If the path cannot stand in a URL, or the token in a header.
    pub(super) fn request(&self, method: &Method, path: &str) -> Result<Builder, Problem> {
        let uri: Uri = format!("{}{path}", self.root).parse().map_err(|_| {
            Problem::usage(format!("`{}{path}` is no URL", self.root))
                .hint("such as http://127.0.0.1:8765")
        })?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.token {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| Problem::new("the server's token cannot be sent in a header"))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        Ok(request)
    }

    /// Sends a request of [`Server::request`], and waits for the answer's headers.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
        dial: &Dial,
    ) -> Result<Response<Body>, Problem> {
        self.net
            .send(request, dial)
            .await
            .map_err(|error| Problem::new(format!("{} does not answer: {error}", self.root)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_their_own_server_alone() {
        let entry = |address: &str| Entry::of_process(address.parse().unwrap(), Vec::new(), None);
        for (address, url, expected) in [
            ("127.0.0.1:80", "http://127.0.0.1/", true),
            ("127.0.0.1:81", "http://localhost:81", true),
            ("127.0.0.1:81", "http://127.0.0.1:82", false),
            ("127.0.0.1:81", "http://127.0.0.2:81", false),
            ("127.0.0.1:81", "http://localhost.evil.example:81", false),
            ("0.0.0.0:81", "http://127.0.0.1:81", true),
            ("0.0.0.0:81", "http://10.1.1.1:81", false),
            ("[::1]:81", "http://[::1]:81", true),
            ("10.0.0.1:81", "http://10.0.0.1:81", true),
            ("10.0.0.1:81", "http://localhost:81", false),
        ] {
            let url = url::Url::parse(url).unwrap();
            assert_eq!(is_of(&entry(address), &url), expected, "{address} {url}");
        }
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names = |text: &str| some(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(names("a b c"), "a, b, c");
        assert_eq!(names("a b c d e"), "a, b, c and 2 more");
    }
}
