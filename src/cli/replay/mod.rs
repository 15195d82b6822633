//! `aiproxy replay`: an exchange's request again, and what came of it this time.

mod again;
pub(in crate::cli) mod local;
mod told;

use super::{
    chat::ask::Asker, diff::Mode, exchanges::Exchanges, places::Sources, request::Request,
    servers::ServerFlag, signals,
};
use crate::{
    exchange::{
        Stage,
        told::{Detail, PartTold},
    },
    term::{Exit, Problem, Progress, Spinner, Term},
};
use again::Again;

/// Send the client's request of an exchange again, through the same profile or others, and compare the answers with the first one.
///
/// Keys of the client are not kept and not sent; the profile's own are used. Through another profile a model that the body names is left
/// out, as it is the other provider's, unless --model names one. The exit code is 1 if one of the replays fails.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy replay last\n  aiproxy replay 7k3m --profile openai --profile anthropic\n  aiproxy replay 7k3m --times 5 --diff none"
)]
pub(super) struct Args {
    /// An id, the beginning of one, or `last`
    id: String,
    /// Through this profile (repeatable); without it, through the same
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// So many times through each profile, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Ask for this model
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "diff")]
    json: bool,
    /// How the answers' differences are shown
    #[arg(long, value_name = "MODE", default_value = "structure")]
    diff: Mode,
    #[command(flatten)]
    server: ServerFlag,
    #[command(flatten)]
    sources: Sources,
}

/// A replay.
struct Replay {
    /// The profile that it went through.
    profile: String,
    detail: Detail,
}

impl Replay {
    fn is_ok(&self) -> bool {
        self.detail.summary.outcome == "ok"
            && self.detail.summary.status.is_none_or(|status| status < 400)
    }

    fn parts(&self) -> &[PartTold] {
        &self.detail.rest.parts
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let exchanges = Exchanges::find(&args.server, term).await?;
    let original = exchanges.get(&args.id).await?;
    let request = request(&original)?;
    tokio::select! {
        replays = replays(&args, &original, &request, term) => {
            let replays = replays?;
            if args.json {
                told::print_json(&original, &replays, term)?;
            } else {
                term.out(&told::text(&original, &replays, args.diff, term))?;
            }
            Ok(if replays.iter().all(Replay::is_ok) { Exit::Done } else { Exit::Failed })
        }
        Some(signal) = signals::signal() => {
            // Dropping a request cancels it upstream.
            Ok(Exit::Signal(u8::try_from(signal).unwrap_or(2)))
        }
    }
}

/// The client's request, if it can be sent again.
fn request(original: &Detail) -> Result<Request, Problem> {
    let id = &original.summary.id;
    if original.summary.outcome == "live" {
        return Err(Problem::new(format!("{id} is still running"))
            .hint("once it has ended, it can be compared with"));
    }
    if original.stage(Stage::Client.name()).is_none() {
        return Err(
            Problem::new(format!("the request of {id} was not kept")).hint(
                "a request that reaches no profile, or whose profile keeps no bodies on disk, has none",
            ),
        );
    }
    Ok(Request::of(original, Stage::Client.name())?.without_secrets())
}

async fn replays(
    args: &Args,
    original: &Detail,
    request: &Request,
    term: &Term,
) -> Result<Vec<Replay>, Problem> {
    let own = &original.summary.profile;
    let mut profiles: Vec<&str> = args.profiles.iter().map(String::as_str).collect();
    if profiles.is_empty() {
        profiles.push(own);
    }
    if profiles.contains(&"") {
        return Err(
            Problem::usage(format!("{} went through no profile", original.summary.id))
                .hint("name one with --profile NAME"),
        );
    }
    let mut ways = Vec::new();
    for profile in profiles {
        let again = Again::of(request, own, profile, args.model.as_deref())?;
        let asker = Asker::find(&args.server, Some(profile), &args.sources, false, term).await?;
        ways.push((profile, again, asker));
    }
    let count = ways.len() as u64 * u64::from(args.times);
    let waits = Waits::start(term, count);
    let mut replays = Vec::new();
    for (profile, again, asker) in &ways {
        for _ in 0..args.times {
            waits.next(profile);
            replays.push(Replay {
                profile: (*profile).to_owned(),
                detail: again.send(profile, asker).await?,
            });
            waits.done();
        }
    }
    Ok(replays)
}

/// What is seen of the waiting.
enum Waits {
    One { _spinner: Spinner },
    Many(Progress),
}

impl Waits {
    fn start(term: &Term, count: u64) -> Waits {
        match count {
            1 => Waits::One {
                _spinner: Spinner::start(term, "waiting for the answer"),
            },
            many => Waits::Many(Progress::start(term, many)),
        }
    }

    fn next(&self, profile: &str) {
        if let Waits::Many(progress) = self {
            progress.next(profile);
        }
    }

    fn done(&self) {
        if let Waits::Many(progress) = self {
            progress.done();
        }
    }
}

#[cfg(test)]
mod tests;
