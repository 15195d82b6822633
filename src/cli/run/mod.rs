//! `aiproxy run`: a program with a server of its own, or with the running one.

mod agents;
mod child;
mod receipt;

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::{
    agents::Behind,
    child::Changes,
    receipt::{Kept, Receipt, Tally},
};
use super::{
    cassettes::{Playing, Replay},
    env, exchanges,
    places::Sources,
    proxy::{self, Setup},
    servers::ServerFlag,
    signals::Relay,
    variables::{self, Place},
};
use crate::{
    exchange::Filter,
    profile::Secret,
    server::{Gate, Limits, Terms},
    term::{Exit, Problem, Term},
};

/// How long exchanges may take that are still under way when the program has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// Run a program with its SDKs pointed at aiproxy.
///
/// CMD finds base URL and key of OpenAI, Anthropic, Azure OpenAI, Gemini, Ollama, Cohere and Bedrock in its environment, all for a server of
/// its own on a free port, which lives as long as CMD and asks for a token that nobody else has. With one --profile everything goes through
/// that; else a request's model may name any profile. Its exit code is CMD's (127: not found, 126: cannot be run).
///
/// Codex has its URL from settings alone, so it gets them as `-c` arguments, before its own; with one --profile that is not of OpenAI's
/// kind, without OpenAI's web search and with the profile's model. Claude Code gets the profile's model, where that is no Claude, as
/// ANTHROPIC_MODEL. What you say yourself wins.
///
/// At the end a receipt says what it took, unless --quiet. While CMD runs, `aiproxy tail` shows its exchanges where no other server runs;
/// else `aiproxy tail --server $AIPROXY_SERVER` in CMD's own environment.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "aiproxy run [OPTIONS] -- CMD [ARGS]...",
    after_help = "Examples:\n  aiproxy run -- python app.py\n  aiproxy run --profile openai --record -- claude\n  aiproxy run --mock -- npm test\n  aiproxy run --profile openai --replay tests/chat.jsonl --record-missing -- pytest\n  aiproxy run --shared -- sh -c 'curl $OPENAI_BASE_URL/models -H \"Authorization: Bearer $OPENAI_API_KEY\"'"
)]
pub(super) struct Args {
    /// Serve this profile (repeatable; the first is the default); without it, all that load, `mock` by default
    #[arg(
        long = "profile",
        value_name = "NAME",
        env = "AIPROXY_PROFILE",
        value_delimiter = ','
    )]
    profiles: Vec<String>,
    /// Use the running server instead of one of its own
    #[arg(long, conflicts_with_all = ["folders", "mock", "replay", "log_file", "record"])]
    shared: bool,
    /// The server for --shared; without it, AIPROXY_SERVER, the running one on the usual address, else the only running one
    #[arg(long, value_name = "URL", requires = "shared")]
    server: Option<String>,
    #[command(flatten)]
    sources: Sources,
    /// Let the built-in mock answer in every provider's place, in its format; no key, no network
    #[arg(long, env = "AIPROXY_MOCK")]
    mock: bool,
    #[command(flatten)]
    replay: Replay,
    /// Append a line of JSON for each exchange to this file, with Kong's keys
    #[arg(long, value_name = "F", env = "AIPROXY_LOG_FILE", value_hint = clap::ValueHint::FilePath)]
    log_file: Option<PathBuf>,
    /// Keep every exchange on disk, 30 days and 1 GiB at most, for `aiproxy log`, `show`, `diff` and `replay`
    #[arg(long, env = "AIPROXY_RECORD")]
    record: bool,
    /// The program, and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        value_name = "CMD",
        value_hint = clap::ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    // From here on, what is for the program does not end this process before it.
    let relay = Relay::start()
        .map_err(|error| Problem::new(format!("signals cannot be taken: {error}")))?;
    if args.shared {
        shared(args, relay, term).await
    } else {
        private(args, relay, term).await
    }
}

/// With a server of its own.
async fn private(args: Args, mut relay: Relay, term: &Term) -> Result<Exit, Problem> {
    let token = token()?;
    let tally = Tally::start()?;
    let replay = args.replay.open()?;
    let profiles = Playing::profiles(replay.as_ref(), &args.profiles);
    let setup = Setup {
        sources: &args.sources,
        profiles: &profiles,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        gate: Gate {
            token: Some(token.clone()),
            ..Gate::default()
        },
        limits: Limits::default(),
        mock: args.mock,
        replay,
        log_file: args.log_file.as_deref(),
        record: args.record,
        private: true,
        observers: vec![tally.observer()],
        // The screen is the program's, unless somebody wants to know.
        notes: term.quiet(!proxy::tells_requests()),
    };
    let (listening, proxy) = proxy::open(setup, term).await?;
    let default = proxy.app.served().default_profile();
    let root = format!("http://{}", proxy.address);
    let place = Place {
        root: &root,
        profile: args.only_profile(),
        default: default.as_ref().map(|profile| &*profile.name),
        token: Some(token.expose()),
    };
    let served = proxy.app.served();
    let only = args.only_profile().and_then(|name| served.find(name));
    let (command, changes) = args.changes(&place, only.as_deref().map(Behind::of));
    let stop = CancellationToken::new();
    let ledger = Arc::clone(&proxy.ledger);
    let app = Arc::clone(&proxy.app);
    let stopped = stop.clone();
    let workers = proxy::workers()?;
    let serving = tokio::spawn(async move {
        let stopping = || ledger.hang_up();
        listening
            .serve(
                app,
                Some(&workers),
                Terms::default(),
                DRAIN,
                stopped,
                stopping,
            )
            .await
    });
    let clock = Clock::start();
    let ended = child::run(&command, changes, &mut relay).await;
    let took = clock.began.elapsed();
    stop.cancel();
    let _ = serving.await;
    proxy.close().await;
    let exit = ended?;
    let kept = if args.record {
        Kept::OnDisk
    } else {
        Kept::Nowhere
    };
    let receipt = tally.receipt().await;
    term.note(&receipt.text(took, &clock.since, &kept, term));
    Ok(exit)
}

/// With the running server.
async fn shared(args: Args, mut relay: Relay, term: &Term) -> Result<Exit, Problem> {
    if args.profiles.len() > 1 {
        return Err(Problem::usage("--shared takes one profile").hint(
            "without --profile, a request's model may name any that the server has: PROFILE/MODEL",
        ));
    }
    let variable = || std::env::var("AIPROXY_SERVER").ok();
    let named = args.server.clone().or_else(variable);
    let flag = ServerFlag {
        url: named.filter(|url| !url.is_empty()),
    };
    let server = env::running(&flag).await?;
    let (command, changes) = args.changes(&env::place(&server, args.only_profile())?, None);
    let clock = Clock::start();
    let exit = child::run(&command, changes, &mut relay).await?;
    let took = clock.began.elapsed();
    let filter = Filter {
        since: Some(clock.since.clone()),
        profiles: args.profiles,
        ..Filter::default()
    };
    match exchanges::list(&server, &filter, usize::MAX).await {
        Ok(all) => {
            let mut receipt = Receipt::default();
            for summary in &all {
                receipt.add(summary);
            }
            let kept = Kept::There(flag.url.map(|_| server.root.clone()));
            term.note(&receipt.text(took, &clock.since, &kept, term));
        }
        Err(problem) => term.warn(&format!("there is no receipt: {problem}")),
    }
    Ok(exit)
}

impl Args {
    /// The profile that everything goes through.
    fn only_profile(&self) -> Option<&str> {
        match self.profiles.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The command as it is run, and what it finds in its environment.
    fn changes(&self, place: &Place<'_>, behind: Option<Behind<'_>>) -> (Vec<OsString>, Changes) {
        let variable = |name: &str| std::env::var(name).ok();
        let mut set = variables::of(place);
        set.extend(variables::direct(variable));
        // Other commands of aiproxy that the program starts ask the same server.
        set.push(("AIPROXY_SERVER", place.root.to_owned()));
        let base = set.iter().find(|(name, _)| *name == "OPENAI_BASE_URL");
        let base = base.map_or("", |(_, url)| url.as_str());
        let needs = agents::needs(&self.command, base, behind);
        let (at, arguments) = needs.arguments;
        let mut command = self.command.clone();
        command.splice(at..at, arguments);
        let unset = needs.unset;
        set.retain(|(name, _)| !unset.contains(name));
        let own = needs.set.into_iter();
        set.extend(own.filter(|(name, _)| variable(name).is_none_or(|value| value.is_empty())));
        (command, Changes { set, unset })
    }
}

/// When the program began.
struct Clock {
    began: Instant,
    /// As `--since` takes it.
    since: String,
}

impl Clock {
    fn start() -> Clock {
        Clock {
            began: Instant::now(),
            since: format!("{:.3}", Timestamp::now()),
        }
    }
}

/// A token that cannot be guessed. It begins as OpenAI's keys do: some programs look.
fn token() -> Result<Secret, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(format!("the system gives no random numbers: {error}")))?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    Ok(Secret::new(format!("sk-aiproxy-{text}")))
}
