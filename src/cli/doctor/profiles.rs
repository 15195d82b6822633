//! The profiles that would be served: do they load, are their keys there, does anybody answer where they send to.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{Method, Request, Uri};

use super::{Check, Status};
use crate::{
    cli::{places::Sources, upstreams::Upstreams},
    pipeline,
    profile::{Lookup, Places, Profile, ProfileError, Target, Vault},
    provider::{self, Call, Operation},
    transport::{Dial, HostPort, Transport, full},
};

/// How long an endpoint may take to answer anything at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What servers on this machine are started with, by the port that they have unless told otherwise.
const LOCAL: &[(u16, &str)] = &[
    (11434, "start it: ollama serve"),
    (1234, "start it: lms server start"),
    (8000, "start it: vllm serve MODEL"),
    (8080, "start it: llama-server -m MODEL.gguf"),
];

/// Where a profile sends to.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    /// To the mock in the process.
    Here,
    /// To this URL's host.
    At(Box<(Uri, Dial)>),
    /// The request decides.
    Open,
    /// Nowhere: aiproxy has no words for this provider.
    Unspoken(String),
    /// Nowhere: its settings are not enough.
    Unset(String),
}

/// Templates have no values here.
struct NoRequest;

impl Lookup for NoRequest {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn uri_capture(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn query_param(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// Looks at the named profiles, or at all.
pub(super) async fn check(
    names: &[String],
    sources: &Sources,
    listen: SocketAddr,
    offline: bool,
) -> Vec<Check> {
    let vault = match sources.vault() {
        Ok(vault) => vault,
        Err(problem) => {
            return vec![Check::new(
                "profile",
                "--env-file",
                Status::Fail,
                problem.to_string(),
            )];
        }
    };
    let named = !names.is_empty();
    let net = Upstreams::new(vec![listen]);
    let (mut checks, mut asked) = (Vec::new(), Vec::new());
    for (name, result) in loaded(&sources.places(), names) {
        let profile = match result {
            Ok(profile) => profile,
            Err(error) => {
                checks.push(broken(&name, &error));
                continue;
            }
        };
        // Key rings and files are slow or block.
        let (keys, vault) = (profile.clone(), Arc::clone(&vault));
        let secrets = tokio::task::spawn_blocking(move || secrets(&keys, &*vault, named)).await;
        let Ok((check, usable)) = secrets else {
            continue;
        };
        checks.push(check);
        if let Some((what, mend)) = profile.careless() {
            checks.push(Check::new("profile", &*profile.name, Status::Warn, what).hint(mend));
        }
        if usable {
            asked.extend(endpoints(&profile));
        }
    }
    let answers = asked.into_iter().map(|(subject, endpoint)| {
        let net = Arc::clone(&net);
        async move { reached(&net, subject, endpoint, named, offline).await }
    });
    checks.extend(join_all(answers).await);
    checks
}

fn loaded(places: &Places, names: &[String]) -> Vec<(String, Result<Profile, ProfileError>)> {
    if names.is_empty() {
        let all = places.load_all().into_iter();
        return all.map(|loaded| (loaded.name, loaded.result)).collect();
    }
    let mut named: Vec<(String, _)> = Vec::with_capacity(names.len());
    for name in names {
        if !named.iter().any(|(other, _)| other == name) {
            named.push((name.clone(), places.load(name)));
        }
    }
    named
}

/// The first of a profile's mistakes.
fn broken(name: &str, error: &ProfileError) -> Check {
    let (message, hint) = match error {
        ProfileError::Unknown { name, known } => (
            format!("there is no profile `{}`", name.escape_debug()),
            Some(format!("there are {}", known.join(", "))),
        ),
        ProfileError::Broken(problems) => match problems.as_slice() {
            [] => ("it does not load".into(), None),
            [problem] => (problem.headline(), problem.hint.clone()),
            [problem, others @ ..] => (
                format!("{} (and {} more)", problem.headline(), others.len()),
                problem.hint.clone(),
            ),
        },
    };
    let check = Check::new("profile", name, Status::Fail, message);
    match hint {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

/// Whether a profile's references have values, and whether it is of any use.
fn secrets(profile: &Profile, vault: &dyn Vault, named: bool) -> (Check, bool) {
    let check = |status, message: String| Check::new("profile", &*profile.name, status, message);
    let Some(missing) = profile.unresolved(vault) else {
        let count: usize = profile
            .secrets()
            .map(|(_, secret)| secret.references().count())
            .sum();
        let message = match count {
            0 => format!("loads ({}), and needs no key", profile.origin),
            1 => format!("loads ({}), and its key is there", profile.origin),
            count => format!(
                "loads ({}), and its {count} references resolve",
                profile.origin
            ),
        };
        return (check(Status::Ok, message), true);
    };
    let reason = missing
        .reason
        .strip_prefix("environment variable ")
        .unwrap_or(&missing.reason);
    if !named {
        // Most people have keys for few of the built-in profiles: a line each is enough.
        return (check(Status::Warn, format!("skipped: {reason}")), false);
    }
    let variable = profile
        .secrets()
        .flat_map(|(_, secret)| secret.references())
        .find(|reference| reference.text() == missing.reference)
        .and_then(|reference| reference.variable());
    let hint = match variable {
        Some(variable) => {
            format!("export {variable}=..., or write it into a file for --env-file")
        }
        None => format!("the profile reads it from {}", missing.reference),
    };
    (check(Status::Fail, reason.to_owned()).hint(hint), false)
}

/// Where a profile and its transformers send to, with what each is called.
fn endpoints(profile: &Profile) -> Vec<(String, Endpoint)> {
    let mut found: Vec<(String, Endpoint)> = profile
        .targets()
        .map(|(table, target)| {
            let subject = if table == "ai-proxy" {
                profile.name.to_string()
            } else {
                format!("{} {table}", profile.name)
            };
            (subject, endpoint(profile, table, target))
        })
        .collect();
    if let Some(upstream) = &profile.upstream {
        let endpoint = match upstream.url.as_str().parse() {
            Ok(uri) => Endpoint::At(Box::new((uri, dial(profile, "upstream")))),
            Err(_) => Endpoint::Unset("its URL cannot be asked".into()),
        };
        found.push((profile.name.to_string(), endpoint));
    }
    found
}

fn endpoint(profile: &Profile, table: &str, target: Target<'_>) -> Endpoint {
    let name = target.model.provider.as_str();
    let Some(provider) = provider::find(name) else {
        return Endpoint::Unspoken(name.to_owned());
    };
    let base_url = profile.aiproxy.base_url.as_ref();
    let base_url = base_url.filter(|_| table == "ai-proxy");
    let Ok(options) = pipeline::options(&target.model.options, base_url, &NoRequest) else {
        return Endpoint::Open;
    };
    let call = Call {
        operation: Operation::Preserve,
        path: "/models",
        model: "",
        stream: false,
        tools: false,
        native: false,
        options: &options,
    };
    match provider::unread_uri(provider, &call, "/v1/models") {
        Ok(uri) if uri.scheme_str() == Some("mock") => Endpoint::Here,
        Ok(uri) => Endpoint::At(Box::new((uri, dial(profile, table)))),
        Err(fault) => Endpoint::Unset(fault.message),
    }
}

/// The way that the profile itself would take.
fn dial(profile: &Profile, table: &str) -> Dial {
    let mut dial = Dial {
        http2: profile.aiproxy.http2,
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        ..Dial::default()
    };
    let proxy = |host: &Option<String>, port: Option<u16>| {
        Some(HostPort {
            host: host.clone()?,
            port: port?,
        })
    };
    match table {
        "ai-request-transformer.llm" => {
            if let Some(own) = &profile.ai_request_transformer {
                dial.verify = own.https_verify;
                dial.http_proxy = proxy(&own.http_proxy_host, own.http_proxy_port);
                dial.https_proxy = proxy(&own.https_proxy_host, own.https_proxy_port);
            }
        }
        "ai-response-transformer.llm" => {
            if let Some(own) = &profile.ai_response_transformer {
                dial.verify = own.https_verify;
                dial.http_proxy = proxy(&own.http_proxy_host, own.http_proxy_port);
                dial.https_proxy = proxy(&own.https_proxy_host, own.https_proxy_port);
            }
        }
        _ => {}
    }
    dial
}

/// Whether anybody answers there.
async fn reached(
    net: &Upstreams,
    subject: String,
    endpoint: Endpoint,
    named: bool,
    offline: bool,
) -> Check {
    let check = |status, message: String| Check::new("endpoint", subject.clone(), status, message);
    let unless_named = if named { Status::Fail } else { Status::Warn };
    let (uri, dial) = match endpoint {
        Endpoint::Here => return check(Status::Ok, "aiproxy itself answers".into()),
        Endpoint::Open => {
            return check(
                Status::Ok,
                "the request decides where it goes: not asked".into(),
            );
        }
        Endpoint::Unspoken(provider) => {
            return check(
                unless_named,
                format!("aiproxy does not speak to provider `{provider}`"),
            );
        }
        Endpoint::Unset(why) => return check(unless_named, why),
        Endpoint::At(at) => *at,
    };
    // Scheme, host and port: a path or query can hold a key.
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map_or("", |authority| {
            let whole = authority.as_str();
            whole.rsplit_once('@').map_or(whole, |(_, host)| host)
        })
    );
    if offline {
        return check(Status::Ok, format!("{origin} was not asked (--offline)"));
    }
    let (is_near, port) = (is_local(&uri), uri.port_u16());
    let request = Request::builder()
        .method(Method::GET)
        .uri(uri)
        .header("user-agent", concat!("aiproxy/", env!("CARGO_PKG_VERSION")))
        .body(full(""));
    let Ok(request) = request else {
        return check(Status::Fail, format!("{origin} cannot be asked"));
    };
    let why = match tokio::time::timeout(PATIENCE, net.send(request, &dial)).await {
        Ok(Ok(response)) => {
            let status = response.status().as_u16();
            let message = match status {
                401 | 403 => format!("{origin} answers, and wants a key (status {status})"),
                _ => format!("{origin} answers (status {status})"),
            };
            return check(Status::Ok, message);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it does not answer within {} s", PATIENCE.as_secs()),
    };
    if is_near {
        let hint = port
            .and_then(|port| LOCAL.iter().find(|(known, _)| *known == port))
            .map_or("start the server that belongs there", |(_, hint)| *hint);
        return check(unless_named, format!("{origin} is not running: {why}")).hint(hint);
    }
    check(Status::Fail, format!("{origin} cannot be reached: {why}"))
        .hint("check the network, the proxy variables and the profile's URL")
}

fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{
        Origin,
        load::{Input, load},
        source::Syntax,
    };

    fn profile(text: &str) -> Profile {
        load(Input {
            name: "p",
            origin: &Origin::BuiltIn,
            syntax: Syntax::Toml,
            bytes: text.as_bytes(),
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }

    fn ends(text: &str) -> Vec<String> {
        endpoints(&profile(text))
            .into_iter()
            .map(|(subject, endpoint)| match endpoint {
                Endpoint::At(at) => format!("{subject} {}", at.0),
                other => format!("{subject} {other:?}"),
            })
            .collect()
    }

    #[test]
    fn endpoints_are_the_api_roots() {
        let model = |rest: &str| {
            format!("[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\n{rest}")
        };
        for (rest, expected) in [
            (
                "provider = 'openai'\nname = 'm'",
                "p https://api.openai.com/v1/models",
            ),
            ("provider = 'mock'", "p Here"),
            (
                "provider = 'openai'\n[aiproxy]\nbase_url = 'http://127.0.0.1:1/x'",
                "p http://127.0.0.1:1/x/models",
            ),
            (
                "provider = 'openai'\n[ai-proxy.model.options]\nupstream_url = 'http://h:1/a?key=s'",
                "p http://h:1/v1/models",
            ),
            (
                "provider = 'openai'\n[ai-proxy.model.options]\nupstream_url = 'http://$(headers.h)/a'",
                "p Open",
            ),
        ] {
            assert_eq!(ends(&model(rest)), [expected], "{rest}");
        }
        let upstream = "[upstream]\nurl = 'http://127.0.0.1:9'\n[ai-request-transformer]\nprompt = 'x'\n\
             [ai-request-transformer.llm]\nroute_type = 'llm/v1/chat'\n[ai-request-transformer.llm.model]\nprovider = 'mock'\n";
        assert_eq!(
            ends(upstream),
            ["p ai-request-transformer.llm Here", "p http://127.0.0.1:9/"]
        );
    }

    #[tokio::test]
    async fn a_local_server_that_is_down_is_a_warning_unless_named() {
        let net = Upstreams::new(Vec::new());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let text = format!(
            "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'openai'\n[aiproxy]\nbase_url = 'http://127.0.0.1:{port}/v1'\n"
        );
        for (named, offline, expected) in [
            (false, false, Status::Warn),
            (true, false, Status::Fail),
            (true, true, Status::Ok),
        ] {
            let (subject, endpoint) = endpoints(&profile(&text)).remove(0);
            let check = reached(&net, subject, endpoint, named, offline).await;
            assert_eq!(check.status, expected, "{check:?}");
        }
    }
}
