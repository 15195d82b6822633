//! `aiproxy serve`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    cassettes::{Playing, Replay},
    config,
    places::Sources,
    proxy::{self, Setup},
    signals,
};
use crate::{
    profile::{Profile, Secret, Vault},
    server::{Gate, Limits, Served, Terms},
    term::{Exit, Ink, Problem, Term},
};

/// The address that `serve` listens on and the other commands look at.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8765";

const EXAMPLES: &str = "Examples:\n  aiproxy serve\n  OPENAI_API_KEY=... aiproxy serve --profile openai --profile mock\n  aiproxy serve --replay tests/chat.jsonl";

/// Run the proxy. It prints the base URL of each profile.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", config::help()))]
pub(super) struct Args {
    /// Serve this profile (repeatable; the first is the default); without it, all that load, `mock` by default
    #[arg(
        long = "profile",
        value_name = "NAME",
        env = "AIPROXY_PROFILE",
        value_delimiter = ','
    )]
    profiles: Vec<String>,
    #[command(flatten)]
    sources: Sources,
    /// Where to listen
    #[arg(long, value_name = "ADDR", env = "AIPROXY_LISTEN", default_value = DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// Ask every client for this token; needed to listen beyond loopback
    #[arg(long, value_name = "T", env = "AIPROXY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Accept requests for this host name or address, beside localhost (repeatable)
    #[arg(
        long = "allow-host",
        value_name = "H",
        env = "AIPROXY_ALLOW_HOST",
        value_delimiter = ','
    )]
    allow_hosts: Vec<String>,
    /// Accept requests from web pages of this origin, such as http://localhost:3000 (repeatable)
    #[arg(
        long = "allow-origin",
        value_name = "O",
        env = "AIPROXY_ALLOW_ORIGIN",
        value_delimiter = ','
    )]
    allow_origins: Vec<String>,
    /// Let the built-in mock answer in every provider's place, in its format; no key, no network
    #[arg(long, env = "AIPROXY_MOCK")]
    mock: bool,
    #[command(flatten)]
    replay: Replay,
    /// Append a line of JSON for each exchange to this file, with Kong's keys (reopened on SIGHUP)
    #[arg(long, value_name = "F", env = "AIPROXY_LOG_FILE", value_hint = clap::ValueHint::FilePath)]
    log_file: Option<PathBuf>,
    /// Keep every exchange on disk, 30 days and 1 GiB at most, for `aiproxy log`, `show`, `diff` and `replay`
    #[arg(long, env = "AIPROXY_RECORD")]
    record: bool,
    /// Seconds that exchanges under way have to end after SIGINT or SIGTERM
    #[arg(long, value_name = "S", env = "AIPROXY_DRAIN", default_value_t = 30)]
    drain: u64,
    /// Most connections at once; more wait to be accepted
    #[arg(
        long,
        value_name = "N",
        env = "AIPROXY_MAX_CONNECTIONS",
        default_value_t = 10_000
    )]
    max_connections: usize,
    /// Seconds from a request's first byte to the end of its head, at most (0: no limit)
    #[arg(
        long,
        value_name = "S",
        env = "AIPROXY_HEADER_TIMEOUT",
        default_value_t = 30
    )]
    header_timeout: u64,
    /// Seconds that a client may be silent inside a request's body (0: no limit)
    #[arg(
        long,
        value_name = "S",
        env = "AIPROXY_BODY_TIMEOUT",
        default_value_t = 60
    )]
    body_timeout: u64,
    /// Seconds in which a client has to take something of its answer (0: no limit)
    #[arg(
        long,
        value_name = "S",
        env = "AIPROXY_SEND_TIMEOUT",
        default_value_t = 600
    )]
    send_timeout: u64,
    /// Seconds that a connection may be without a request (0: no limit)
    #[arg(
        long,
        value_name = "S",
        env = "AIPROXY_KEEP_ALIVE",
        default_value_t = 600
    )]
    keep_alive: u64,
    /// Most bytes of a request's head: its first line and all headers
    #[arg(long, value_name = "B", env = "AIPROXY_MAX_HEADER_SIZE", default_value_t = 64 << 10, value_parser = size)]
    max_header_size: usize,
    /// Most headers of a request
    #[arg(long, value_name = "N", env = "AIPROXY_MAX_HEADERS", default_value_t = 100, value_parser = count)]
    max_headers: usize,
    /// Most bytes of request bodies in memory, all requests together
    #[arg(long, value_name = "B", env = "AIPROXY_MAX_BODY_MEMORY", default_value_t = 512 << 20)]
    max_body_memory: usize,
}

impl Args {
    /// Where it would listen.
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The profiles that were named.
    pub(super) fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// What clients' connections may take.
    fn terms(&self) -> Terms {
        Terms {
            max_connections: self.max_connections,
            header_timeout: seconds(self.header_timeout),
            keep_alive: seconds(self.keep_alive),
            send_timeout: seconds(self.send_timeout),
            max_header_size: self.max_header_size,
            max_headers: self.max_headers,
        }
    }

    /// What clients are asked for.
    pub(super) fn token(&self) -> Option<Secret> {
        let token = self.token.as_deref().map(str::trim);
        token
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.to_owned()))
    }
}

/// A limit of time; 0 is none.
fn seconds(number: u64) -> Option<Duration> {
    (number > 0).then(|| Duration::from_secs(number))
}

/// The size of a head: a smaller one than 8 KiB would refuse what browsers and SDKs send, a larger one than 16 MiB is a mistake.
fn size(text: &str) -> Result<usize, String> {
    within(text, 8 << 10, 16 << 20)
}

/// The number of headers.
fn count(text: &str) -> Result<usize, String> {
    within(text, 16, 10_000)
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) => Err(format!("it is not within {least} and {most}")),
        Err(error) => Err(format!("{error}")),
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let replay = args.replay.open()?;
    let told = replay.as_ref().map(Playing::words);
    let profiles = Playing::profiles(replay.as_ref(), &args.profiles);
    let setup = Setup {
        sources: &args.sources,
        profiles: &profiles,
        listen: args.listen,
        gate: gate(&args)?,
        limits: Limits {
            body_memory: args.max_body_memory,
            body_timeout: seconds(args.body_timeout),
        },
        mock: args.mock,
        replay,
        log_file: args.log_file.as_deref(),
        record: args.record,
        private: false,
        observers: Vec::new(),
        notes: *term,
    };
    let terms = args.terms();
    let (listening, proxy) = proxy::open(setup, term).await?;
    let workers = proxy::workers()?;
    let stop = signals::stop();
    banner(
        proxy.address,
        &proxy.app.served(),
        &*proxy.vault,
        args.token().is_some(),
        term,
    )?;
    if args.mock {
        term.note("--mock: the built-in mock answers in every provider's place");
    }
    if let Some(told) = told {
        term.note(&format!("--replay: {told}"));
    }
    let drain = args.drain;
    let listeners = Arc::clone(&proxy.ledger);
    let stopping = || {
        listeners.hang_up();
        term.note(&format!(
            "stopping: exchanges under way have {drain} s to end (once more to stop at once)"
        ));
    };
    let patience = Duration::from_secs(drain);
    let cut = listening
        .serve(
            Arc::clone(&proxy.app),
            Some(&workers),
            terms,
            patience,
            stop,
            stopping,
        )
        .await;
    if cut > 0 {
        term.warn(&format!(
            "{cut} connections were cut after {drain} s (--drain)"
        ));
    }
    proxy.close().await;
    Ok(Exit::Done)
}

/// The listener's rules, checked.
fn gate(args: &Args) -> Result<Gate, Problem> {
    let token = args.token();
    if !args.listen.ip().is_loopback() && token.is_none() {
        return Err(Problem::new(format!("{} is reachable from other machines, which needs a token", args.listen))
            .hint("add --token with a long random text, or set AIPROXY_TOKEN; clients send it as their API key"));
    }
    for origin in &args.allow_origins {
        let ends = origin
            .split_once("://")
            .is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains('/'));
        if !ends {
            return Err(
                Problem::usage(format!("--allow-origin `{origin}` is no origin"))
                    .hint("an origin is scheme, host and port, as in http://localhost:3000"),
            );
        }
    }
    Ok(Gate {
        port: args.listen.port(),
        hosts: args
            .allow_hosts
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
        origins: args.allow_origins.clone(),
        token,
    })
}

/// What to point an SDK at.
fn banner(
    address: SocketAddr,
    served: &Served,
    vault: &dyn Vault,
    asks_token: bool,
    term: &Term,
) -> Result<(), Problem> {
    let root = format!("http://{address}");
    let mut text = format!(
        "{} {} listening on {}\n\n",
        term.ink(Ink::Strong, "aiproxy"),
        env!("CARGO_PKG_VERSION"),
        term.ink(Ink::Literal, &root)
    );
    let width = served.names().map(str::len).max().unwrap_or_default();
    let url_width = root.len() + width + "//v1".len();
    for profile in served.iter() {
        let url = format!("{root}/{}/v1", profile.name);
        let pad = " ".repeat(url_width.saturating_sub(url.len()));
        let note = describe(profile, vault, term);
        text.push_str(&format!(
            "  {:width$}  {}{pad}  {note}\n",
            profile.name,
            term.ink(Ink::Literal, &url)
        ));
    }
    if let Some(first) = served.default_profile() {
        let model = model_of(&first).unwrap_or_else(|| "MODEL".into());
        text.push_str(&format!(
            "\nPaste into any OpenAI SDK (the default profile, `{}`):\n",
            first.name
        ));
        let key = if asks_token { "THE_TOKEN" } else { "local" };
        text.push_str(&format!(
            "  export OPENAI_BASE_URL={root}/{}/v1 OPENAI_API_KEY={key}\n",
            first.name
        ));
        text.push_str(&format!("  model: {model}\n"));
        text.push_str("\nTry it in another terminal:\n");
        text.push_str(&format!(
            "  aiproxy chat --stream{} \"Tell me a story\"\n",
            chosen(&first)
        ));
    }
    let token = if asks_token { "#token=THE_TOKEN" } else { "" };
    let page = format!("{root}/_aiproxy/ui{token}");
    text.push_str(&format!(
        "\nSee every exchange:\n  {}\n",
        term.ink(Ink::Literal, &page)
    ));
    term.out(&text)?;
    Ok(())
}

/// The flag that picks a profile, where it is not the one that `chat` takes anyway.
fn chosen(profile: &Profile) -> String {
    if *profile.name == *"mock" {
        String::new()
    } else {
        format!(" --profile {}", profile.name)
    }
}

fn model_of(profile: &Profile) -> Option<String> {
    let proxy = profile.ai_proxy.as_ref()?;
    proxy
        .model
        .name
        .as_ref()
        .map(|name| name.text().to_owned())
        .or_else(|| profile.aiproxy.default_model.clone())
}

fn describe(profile: &Profile, vault: &dyn Vault, term: &Term) -> String {
    match profile.unresolved(vault) {
        Some(missing) => term.ink(Ink::Warn, &missing.reason),
        None => {
            let model = model_of(profile).unwrap_or_else(|| "the request's model".into());
            term.ink(Ink::Faint, &format!("{}, {model}", profile.label()))
        }
    }
}
