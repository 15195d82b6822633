//! A server of this process: what `serve` and `run` have in common.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    cassettes::Playing,
    places::{Sources, served},
    signals,
    state::{self, Announced, Entry},
    upstreams::{effects, replaying},
};
use crate::{
    exchange::{self, Keeper, Ledger, LogFile, Observer, RequestLog, history},
    net::{self, Environment},
    profile::{Profile, Vault},
    server::{self, App, Change, Gate, Limits, Listening, Reloader, Served, Workers},
    telemetry::{self, Telemetry},
    term::{Problem, Term, sanitize},
};

/// How long the log's last lines may take.
const FLUSH: Duration = Duration::from_secs(5);

/// A server to be.
pub(super) struct Setup<'a> {
    /// Where profiles and secrets are.
    pub(super) sources: &'a Sources,
    /// The profiles to serve; without any, all that load.
    pub(super) profiles: &'a [String],
    /// Where to listen.
    pub(super) listen: SocketAddr,
    /// Who may talk to it. Its port is that of `listen`, once that is known.
    pub(super) gate: Gate,
    /// What it may hold.
    pub(super) limits: Limits,
    /// The mock answers in every provider's place.
    pub(super) mock: bool,
    /// Recordings answer in every provider's place.
    pub(super) replay: Option<Playing>,
    /// A file for a line about each exchange.
    pub(super) log_file: Option<&'a Path>,
    /// Every exchange is kept on disk.
    pub(super) record: bool,
    /// It belongs to one program alone.
    pub(super) private: bool,
    /// Who else is told of exchanges that end.
    pub(super) observers: Vec<Box<dyn Observer>>,
    /// Where it is said that profiles changed while it runs.
    pub(super) notes: Term,
}

/// A server that can accept, without its listener.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) app: Arc<App>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) vault: Arc<dyn Vault>,
    log: Option<RequestLog>,
    telemetry: Option<Telemetry>,
    keeper: Keeper,
    /// The other commands find it by this until it ends.
    announced: Option<Announced>,
}

/// Makes a server: profiles loaded, address bound, state file written. It accepts when its listener serves.
///
/// # Errors
///
/// If a profile that was named is broken, the address is taken, or a file cannot be written.
pub(super) async fn open(setup: Setup<'_>, term: &Term) -> Result<(Listening, Proxy), Problem> {
    state::check(term)?;
    let places = setup.sources.places();
    let vault = setup.sources.vault()?;
    let profiles = served(&places, setup.profiles, term)?;
    for profile in &profiles {
        tell_careless(profile, term);
    }
    let log = request_log(setup.log_file)?;
    let listening = server::listen(setup.listen)
        .await
        .map_err(|error| taken(setup.listen, &error))?;
    let address = listening.address();
    // Before the mock's keys stand for every variable.
    let telemetry = telemetry(&*vault, address, term)?;
    let effects = match &setup.replay {
        Some(_) if setup.mock => {
            return Err(Problem::usage(
                "--mock and --replay both answer in every provider's place",
            )
            .hint("one of them may stand in config.toml or in the environment"));
        }
        Some(playing) => replaying(vec![address], vault, playing),
        None => effects(vec![address], vault, setup.mock),
    };
    let vault = Arc::clone(&effects.vault);
    let token = setup.gate.token.clone();
    let gate = Gate {
        port: address.port(),
        ..setup.gate
    };
    let keeper = keeper(setup.record, &profiles, term)?;
    let log_feed = log.as_ref().map(RequestLog::observer);
    let spans = telemetry
        .as_ref()
        .map(|(telemetry, _)| telemetry.observer());
    let observers = log_feed
        .into_iter()
        .chain(spans)
        .chain([keeper.observer()])
        .chain(setup.replay.as_ref().and_then(Playing::observer))
        .chain(setup.observers)
        .collect();
    let ledger = Ledger::counting(observers, exchange::MEMORY, effects.connections.clone());
    if let Some(token) = &token {
        ledger.hide_value(token.expose());
    }
    for secret in Environment::from_process().secrets() {
        ledger.hide_value(&secret);
    }
    let telemetry = telemetry.map(|(telemetry, settings)| {
        settings
            .secrets()
            .for_each(|value| ledger.hide_value(value));
        telemetry
    });
    let app = Arc::new(App::new(
        Served::new(profiles),
        gate,
        Arc::clone(&ledger),
        effects,
        setup.limits,
    ));
    let reloader = Reloader::new(places, setup.profiles.to_vec());
    watch(&app, reloader, keeper.clone(), setup.notes);
    let names = app.served().names().map(str::to_owned).collect();
    let entry = Entry {
        private: setup.private,
        ..Entry::of_process(address, names, token)
    };
    let proxy = Proxy {
        address,
        app,
        ledger,
        vault,
        log,
        telemetry,
        keeper,
        announced: announce(&entry, term),
    };
    Ok((listening, proxy))
}

/// The threads that a server answers on.
pub(super) fn workers() -> Result<Workers, Problem> {
    Workers::start().map_err(|error| Problem::new(format!("cannot start: {error}")))
}

impl Proxy {
    /// Ends what its listener left, once that serves no more.
    pub(super) async fn close(self) {
        drop(self.app);
        flush(self.log, self.telemetry, self.keeper, &self.ledger).await;
        drop(self.announced);
    }
}

/// What keeps exchanges on disk: all with `--record`, else those of profiles that log payloads.
fn keeper(record: bool, profiles: &[Arc<Profile>], term: &Term) -> Result<Keeper, Problem> {
    let folder = if record {
        state::prepared()
    } else {
        state::folder().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let path = match folder {
        Ok(folder) => folder.join(history::FILE),
        Err(error) if record => {
            return Err(Problem::new(format!(
                "--record: the state folder cannot be used: {error}"
            ))
            .hint("AIPROXY_STATE_DIR names another one"));
        }
        Err(_) => PathBuf::new(),
    };
    let keeper = Keeper::new(path, record);
    let started = if record || profiles.iter().any(|profile| profile.logs_payloads()) {
        start(&keeper)
    } else {
        Ok(())
    };
    match started {
        Err(why) if record => Err(Problem::new(format!("--record: {why}"))),
        Err(why) => {
            term.warn(&format!("exchanges are not kept on disk: {why}"));
            Ok(keeper)
        }
        Ok(()) => Ok(keeper),
    }
}

/// Warns of a profile's file that others can read or change.
fn tell_careless(profile: &Profile, term: &Term) {
    if let Some((what, mend)) = profile.careless() {
        term.warn(&sanitize(&format!("{what}: {mend}")));
    }
}

/// Opens the history.
fn start(keeper: &Keeper) -> Result<(), String> {
    state::prepared().map_err(|error| format!("the state folder cannot be used: {error}"))?;
    keeper.start().map_err(|error| error.to_string())
}

/// The log of requests, if a file or people read one.
fn request_log(file: Option<&Path>) -> Result<Option<RequestLog>, Problem> {
    let file = match file {
        Some(path) => Some(LogFile::open(path).map_err(|error| {
            Problem::new(format!(
                "cannot write the log file {}: {error}",
                path.display()
            ))
            .hint("its folder has to exist; --log-file or AIPROXY_LOG_FILE names the file")
        })?),
        None => None,
    };
    if file.is_none() && !tells_requests() {
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

/// What sends spans, if the environment names an endpoint for them.
fn telemetry(
    vault: &dyn Vault,
    address: SocketAddr,
    term: &Term,
) -> Result<Option<(Telemetry, telemetry::Settings)>, Problem> {
    let read = telemetry::Settings::read(&|name| vault.env(name));
    for warning in &read.warnings {
        term.warn(warning);
    }
    let Some(settings) = read.settings else {
        return Ok(None);
    };
    // Not the upstreams' own client: the mock may stand in for that.
    let net = net::Client::new(net::Environment::from_process());
    net.set_listeners(vec![address]);
    let telemetry = Telemetry::start(settings.clone(), Arc::new(net))
        .map_err(|error| Problem::new(format!("cannot start telemetry: {error}")))?;
    let content = if settings.has_content() {
        ", with what was said"
    } else {
        ""
    };
    term.note(&format!("spans go to {}{content}", settings.place()));
    Ok(Some((telemetry, settings)))
}

/// Whether people read a line for each request on stderr.
pub(super) fn tells_requests() -> bool {
    tracing::enabled!(target: exchange::TARGET, tracing::Level::INFO)
}

/// Ends the log with a line for every exchange. Those that were cut close their records a moment later.
async fn flush(
    log: Option<RequestLog>,
    telemetry: Option<Telemetry>,
    keeper: Keeper,
    ledger: &Ledger,
) {
    for _ in 0..100 {
        if ledger.live() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Beside the others: it waits for another machine.
    let sent = tokio::task::spawn_blocking(move || {
        telemetry.is_none_or(|telemetry| telemetry.close(FLUSH))
    });
    let closed = tokio::task::spawn_blocking(move || {
        let kept = keeper.close(FLUSH);
        (log.is_none_or(|log| log.close(FLUSH)), kept)
    });
    let (logged, kept) = closed.await.unwrap_or_default();
    if !sent.await.unwrap_or_default() {
        tracing::warn!("not all spans were sent");
    }
    if !logged {
        tracing::warn!("the request log is not complete");
    }
    if !kept {
        tracing::warn!("the history is not complete");
    }
}

/// Swaps profiles in when their files change, and says so.
fn watch(app: &Arc<App>, reloader: Reloader, keeper: Keeper, term: Term) {
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
            if let (Change::Added(name) | Change::Changed(name), Some(app)) =
                (&change, served.upgrade())
                && let Some(profile) = app.served().find(name)
            {
                tell_careless(&profile, &term);
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
fn announce(entry: &Entry, term: &Term) -> Option<Announced> {
    match state::announce(entry) {
        Ok(announced) => Some(announced),
        Err(error) => {
            term.warn(&format!(
                "other commands will not find this server: its state cannot be written: {error}"
            ));
            None
        }
    }
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
