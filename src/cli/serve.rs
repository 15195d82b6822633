//! `aiproxy serve`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    config,
    places::{Sources, served},
    signals,
    state::{self, Announced, Entry},
    upstreams::effects,
};
use crate::{
    exchange::{self, Keeper, Ledger, LogFile, RequestLog, history},
    profile::{Profile, Secret, Vault},
    server::{self, App, Change, Gate, Limits, Reloader, Served},
    term::{Exit, Ink, Problem, Term},
};

/// The address that `serve` listens on and the other commands look at.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8765";

/// How long the log's last lines may take.
const FLUSH: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "Examples:\n  aiproxy serve\n  OPENAI_API_KEY=... aiproxy serve --profile openai --profile mock";

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

    /// What clients are asked for.
    pub(super) fn token(&self) -> Option<Secret> {
        let token = self.token.as_deref().map(str::trim);
        token
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.to_owned()))
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let vault = args.sources.vault()?;
    let profiles = served(&args.sources.places(), &args.profiles, term)?;
    let gate = gate(&args)?;
    let log = request_log(&args)?;
    let listening = server::listen(args.listen)
        .await
        .map_err(|error| taken(args.listen, &error))?;
    let address = listening.address();
    let effects = effects(vec![address], vault, args.mock);
    let vault = Arc::clone(&effects.vault);
    let gate = Gate {
        port: address.port(),
        ..gate
    };
    let limits = Limits {
        body_memory: args.max_body_memory,
    };
    let keeper = keeper(&args, &profiles, term)?;
    let log_feed = log.as_ref().map(RequestLog::observer);
    let observers = log_feed.into_iter().chain([keeper.observer()]).collect();
    let ledger = Ledger::counting(observers, exchange::MEMORY, effects.connections.clone());
    let app = Arc::new(App::new(
        Served::new(profiles),
        gate,
        Arc::clone(&ledger),
        effects,
        limits,
    ));
    watch(&app, &args, keeper.clone(), *term);
    // The other commands find it by this until it ends.
    let _announced = announce(address, &app.served(), args.token(), term);
    let stop = signals::stop();
    banner(
        address,
        &app.served(),
        &*vault,
        args.token().is_some(),
        term,
    )?;
    if args.mock {
        term.note("--mock: the built-in mock answers in every provider's place");
    }
    let drain = args.drain;
    let listeners = Arc::clone(&ledger);
    let stopping = || {
        listeners.hang_up();
        term.note(&format!(
            "stopping: exchanges under way have {drain} s to end (once more to stop at once)"
        ));
    };
    let patience = Duration::from_secs(drain);
    let cut = listening
        .serve(app, args.max_connections, patience, stop, stopping)
        .await;
    if cut > 0 {
        term.warn(&format!(
            "{cut} connections were cut after {drain} s (--drain)"
        ));
    }
    flush(log, keeper, &ledger).await;
    Ok(Exit::Done)
}

/// What keeps exchanges on disk: all with `--record`, else those of profiles that log payloads.
fn keeper(args: &Args, profiles: &[Arc<Profile>], term: &Term) -> Result<Keeper, Problem> {
    let folder = if args.record {
        state::prepared()
    } else {
        state::folder().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let path = match folder {
        Ok(folder) => folder.join(history::FILE),
        Err(error) if args.record => {
            return Err(Problem::new(format!(
                "--record: the state folder cannot be used: {error}"
            ))
            .hint("AIPROXY_STATE_DIR names another one"));
        }
        Err(_) => PathBuf::new(),
    };
    let keeper = Keeper::new(path, args.record);
    let started = if args.record || profiles.iter().any(|profile| profile.logs_payloads()) {
        start(&keeper)
    } else {
        Ok(())
    };
    match started {
        Err(why) if args.record => Err(Problem::new(format!("--record: {why}"))),
        Err(why) => {
            term.warn(&format!("exchanges are not kept on disk: {why}"));
            Ok(keeper)
        }
        Ok(()) => Ok(keeper),
    }
}

/// Opens the history.
fn start(keeper: &Keeper) -> Result<(), String> {
    state::prepared().map_err(|error| format!("the state folder cannot be used: {error}"))?;
    keeper.start().map_err(|error| error.to_string())
}

/// The log of requests, if a file or people read one.
fn request_log(args: &Args) -> Result<Option<RequestLog>, Problem> {
    let file = match &args.log_file {
        Some(path) => Some(LogFile::open(path).map_err(|error| {
            Problem::new(format!(
                "cannot write the log file {}: {error}",
                path.display()
            ))
            .hint("its folder has to exist; --log-file or AIPROXY_LOG_FILE names the file")
        })?),
        None => None,
    };
    let told = tracing::enabled!(target: exchange::TARGET, tracing::Level::INFO);
    if file.is_none() && !told {
        return Ok(None);
    }
    let rotates = file.is_some();
    let log = RequestLog::start(file)
        .map_err(|error| Problem::new(format!("cannot start the request log: {error}")))?;
    if rotates {
        signals::on_hangup(log.reopener());
    }
    Ok(Some(log))
}

/// Ends the log with a line for every exchange. Those that were cut close their records a moment later.
async fn flush(log: Option<RequestLog>, keeper: Keeper, ledger: &Ledger) {
    for _ in 0..100 {
        if ledger.live() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let closed = tokio::task::spawn_blocking(move || {
        let kept = keeper.close(FLUSH);
        (log.is_none_or(|log| log.close(FLUSH)), kept)
    });
    let (logged, kept) = closed.await.unwrap_or_default();
    if !logged {
        tracing::warn!("the request log is not complete");
    }
    if !kept {
        tracing::warn!("the history is not complete");
    }
}

/// Swaps profiles in when their files change, and says so.
fn watch(app: &Arc<App>, args: &Args, keeper: Keeper, term: Term) {
    let reloader = Reloader::new(args.sources.places(), args.profiles.clone());
    let app = Arc::downgrade(app);
    let served = Weak::clone(&app);
    let watches = move || {
        reloader.watch(&app, |change| {
            if matches!(change, Change::Added(_) | Change::Changed(_))
                && let Some(app) = served.upgrade()
                && app.served().iter().any(|profile| profile.logs_payloads())
                && let Err(why) = start(&keeper)
            {
                term.warn(&format!("exchanges are not kept on disk: {why}"));
            }
            match change {
                Change::Added(name) => term.note(&format!("profile `{name}` is served now")),
                Change::Changed(name) => term.note(&format!("profile `{name}` was reloaded")),
                Change::Removed(name) => {
                    term.note(&format!("profile `{name}` is not served any more"));
                }
                Change::Broken { name, error, stays } => {
                    let stays = if stays {
                        "stays as it was"
                    } else {
                        "is not served"
                    };
                    let why = error.render(term.colour_err());
                    term.warn(&format!("profile `{name}` {stays}: {why}"));
                }
            }
        });
    };
    let thread = std::thread::Builder::new().name("profiles".into());
    if let Err(error) = thread.spawn(watches) {
        term.warn(&format!("profiles are not watched: {error}"));
    }
}

/// Writes the file by which other commands find this server. It serves without one, too.
fn announce(
    address: SocketAddr,
    served: &Served,
    token: Option<Secret>,
    term: &Term,
) -> Option<Announced> {
    let names = served.names().map(str::to_owned).collect();
    match state::announce(&Entry::of_process(address, names, token)) {
        Ok(announced) => Some(announced),
        Err(error) => {
            term.warn(&format!(
                "other commands will not find this server: its state cannot be written: {error}"
            ));
            None
        }
    }
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

fn taken(address: SocketAddr, error: &std::io::Error) -> Problem {
    let problem = Problem::new(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let holds = |entry: &Entry| entry.holds(address);
            let holder = match state::running().into_iter().find(holds) {
                Some(entry) => format!("aiproxy {} (pid {})", entry.version, entry.pid),
                None => "another server".to_owned(),
            };
            problem.hint(format!(
                "{holder} has it; stop that one, or choose --listen 127.0.0.1:0"
            ))
        }
        _ => problem,
    }
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
