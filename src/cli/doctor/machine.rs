//! What this machine gives: a place for state, a port, trusted certificates, proxies.

use std::{io::ErrorKind, net::SocketAddr};

use super::{Check, Status};
use crate::{
    cli::{config, servers, state},
    net::{Environment, Roots},
    profile::Access,
};

pub(super) fn version() -> Check {
    let message = format!(
        "{} for {} {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    Check::new("version", "aiproxy", Status::Ok, message)
}

/// Whether running servers can be found, and nobody else reads their tokens.
pub(super) fn state() -> Check {
    let Some(folder) = state::folder() else {
        return Check::new("state", "folder", Status::Warn, "there is no place for it")
            .hint("set AIPROXY_STATE_DIR to a folder of yours");
    };
    let shown = config::shown(&folder);
    let access = Access::of(&folder);
    if let Some(access) = access.filter(|access| access.others_write()) {
        let what = format!("others can change what is in it (mode {access}), so no server starts");
        return Check::new("state", shown.clone(), Status::Fail, what)
            .hint(format!("look at what is in it, then: chmod 700 {shown}"));
    }
    let open = folder.is_dir() && !state::is_private(&folder);
    let written = state::prepared().and_then(|folder| {
        tempfile::NamedTempFile::new_in(folder)?
            .close()
            .map(|()| open)
    });
    match written {
        Ok(false) => Check::new("state", shown, Status::Ok, "writable, and private"),
        Ok(true) => Check::new(
            "state",
            shown,
            Status::Warn,
            "others could read it; now they cannot",
        ),
        Err(error) => Check::new(
            "state",
            shown,
            Status::Warn,
            format!("it cannot be written: {error}"),
        )
        .hint("without it other commands do not find a running server; AIPROXY_STATE_DIR names another place"),
    }
}

/// Whether the listener's address is to be had.
pub(super) async fn listen(address: SocketAddr, has_token: bool) -> Check {
    let check =
        |status, message: String| Check::new("listen", address.to_string(), status, message);
    if !address.ip().is_loopback() && !has_token {
        return check(
            Status::Fail,
            "other machines reach it, which needs a token".into(),
        )
        .hint("set --token, AIPROXY_TOKEN or `token` in config.toml");
    }
    let error = match std::net::TcpListener::bind(address) {
        Ok(_) => return check(Status::Ok, "free".into()),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::AddrInUse {
        return check(Status::Fail, format!("it cannot be had: {error}"))
            .hint("choose an address of this machine: aiproxy serve --listen 127.0.0.1:8765");
    }
    let known = state::running()
        .into_iter()
        .find(|entry| entry.holds(address));
    if let Some(entry) = known {
        return check(
            Status::Ok,
            format!(
                "aiproxy {} runs there (pid {}, since {}) and serves {}",
                entry.version,
                entry.pid,
                entry.started,
                servers::some(&entry.profiles)
            ),
        );
    }
    match servers::at(address).await {
        Some(server) => check(
            Status::Ok,
            format!(
                "an aiproxy runs there and serves {}",
                servers::some(&server.profiles)
            ),
        ),
        None => check(Status::Fail, "another program has it".into()).hint(
            "stop that one, or choose another address: aiproxy serve --listen 127.0.0.1:8766",
        ),
    }
}

/// Which certificates are trusted.
pub(super) fn roots(environment: &Environment) -> Check {
    let roots = Roots::load(environment);
    let named = environment.first(&["SSL_CERT_FILE", "SSL_CERT_DIR"]);
    let subject = named.map_or("certificates", |(name, _)| name);
    let message = format!("{} trusted, from {}", roots.trusted, source(roots.source));
    match (named, roots.source, roots.skipped) {
        (Some((name, _)), "built in", _) => Check::new(
            "roots",
            subject,
            Status::Warn,
            format!("no certificate could be read: {message}"),
        )
        .hint(format!("let {name} name PEM files, or unset it")),
        (_, _, 0) => Check::new("roots", subject, Status::Ok, message),
        (_, _, skipped) => Check::new(
            "roots",
            subject,
            Status::Warn,
            format!("{message}; {skipped} could not be read"),
        ),
    }
}

fn source(source: &str) -> &str {
    match source {
        "built in" => "those built in",
        source => source,
    }
}

/// The variables that send requests through a proxy: names and hosts.
pub(super) fn proxies(environment: &Environment, listen: SocketAddr) -> Vec<Check> {
    let check =
        |name: &str, status, message: String| Check::new("proxy", name.to_owned(), status, message);
    let mut checks = Vec::new();
    for names in [
        &["http_proxy"][..],
        &["https_proxy", "HTTPS_PROXY"],
        &["all_proxy", "ALL_PROXY"],
    ] {
        let Some((name, value)) = environment.first(names) else {
            continue;
        };
        checks.push(match host_of(value) {
            None => check(name, Status::Fail, "its value is no proxy URL".into())
                .hint(format!("write {name}=http://HOST:PORT, or unset it")),
            Some((host, port)) if is_listener(&host, port, listen) => check(
                name,
                Status::Warn,
                format!("{host}:{port} is aiproxy itself, so it is ignored"),
            )
            .hint(format!("unset {name}")),
            Some((host, port)) => check(name, Status::Ok, format!("in force, {host}:{port}")),
        });
    }
    if let Some((name, value)) = environment.first(&["no_proxy", "NO_PROXY"]) {
        checks.push(check(name, Status::Ok, format!("direct to {value}")));
    }
    if checks.is_empty() {
        checks.push(check("environment", Status::Ok, "none".into()));
    }
    checks
}

/// Host and port of a proxy as curl reads it; user and password are left out.
fn host_of(value: &str) -> Option<(String, u16)> {
    let url = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let url = url::Url::parse(&url).ok()?;
    let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let written = value.rsplit('@').next().unwrap_or_default();
    // `Url` drops a port that is the scheme's own, which curl would not assume.
    let port = match (url.port(), url.scheme()) {
        (Some(port), _) => port,
        (None, "https") => 443,
        (None, _) if written.trim_end_matches('/').ends_with(":80") => 80,
        (None, _) => 1080,
    };
    known
        .contains(&url.scheme())
        .then(|| (host.to_owned(), port))
}

fn is_listener(host: &str, port: u16, listen: SocketAddr) -> bool {
    let host = host.trim_matches(['[', ']']);
    let is_near = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || ip == listen.ip());
    port == listen.port() && is_near
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Vec<String> {
        let environment = Environment::new(pairs.iter().copied());
        proxies(&environment, ([127, 0, 0, 1], 8765).into())
            .into_iter()
            .map(|check| format!("{:?} {}: {}", check.status, check.subject, check.message))
            .collect()
    }

    #[test]
    fn proxies_are_named_without_their_passwords() {
        assert_eq!(told(&[]), ["Ok environment: none"]);
        assert_eq!(
            told(&[
                ("https_proxy", "http://user:pass@p.example:3128"),
                ("http_proxy", "user:pass@q.example"),
                ("NO_PROXY", "a.example,10.0.0.0/8"),
            ]),
            [
                "Ok http_proxy: in force, q.example:1080",
                "Ok https_proxy: in force, p.example:3128",
                "Ok NO_PROXY: direct to a.example,10.0.0.0/8",
            ]
        );
        assert_eq!(
            told(&[
                ("all_proxy", "http://localhost:8765"),
                ("https_proxy", "ftp://user:pass@x"),
                ("http_proxy", "http://user:pass@:1"),
            ]),
            [
                "Fail http_proxy: its value is no proxy URL",
                "Fail https_proxy: its value is no proxy URL",
                "Warn all_proxy: localhost:8765 is aiproxy itself, so it is ignored",
            ]
        );
        assert_eq!(
            told(&[("all_proxy", "http://p:80/")]),
            ["Ok all_proxy: in force, p:80"]
        );
    }

    #[test]
    fn roots_say_where_they_come_from() {
        let check = roots(&Environment::new([("SSL_CERT_FILE", "/nowhere.pem")]));
        assert_eq!(
            (check.status, &*check.subject),
            (Status::Warn, "SSL_CERT_FILE")
        );
        assert!(check.message.contains("from those built in"), "{check:?}");
    }

    #[tokio::test]
    async fn a_taken_port_and_an_open_one() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let check = listen(taken.local_addr().unwrap(), false).await;
        assert_eq!(
            (check.status, &*check.message),
            (Status::Fail, "another program has it")
        );
        let check = listen("127.0.0.1:0".parse().unwrap(), false).await;
        assert_eq!(check.status, Status::Ok);
        let check = listen("0.0.0.0:0".parse().unwrap(), false).await;
        assert_eq!(check.status, Status::Fail);
        let check = listen("0.0.0.0:0".parse().unwrap(), true).await;
        assert_eq!(check.status, Status::Ok);
    }
}
