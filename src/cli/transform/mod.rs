//! `aiproxy transform`: a request, or an answer, through every stage but the last: nothing reaches the final upstream.

mod dry;
mod input;
mod json;
mod save;
mod show;
mod watch;

use super::{diff::Mode, hidden::redactor, places::Sources, signals, upstreams::effects};
use crate::{
    exchange::Stage,
    profile::{Profile, Setting, Text},
    server::Effects,
    term::{Exit, Ink, Problem, Spinner, Term},
};
use dry::Run;
use input::Input;

/// Show what a profile makes of a request, or of an answer, stage by stage. Nothing is sent to the final upstream.
///
/// A transformer's LLM is asked, since that is the transformation; --no-llm shows what it would be asked. Keys of the final upstream are
/// not needed, and secrets are shown as `(secret)`. A pattern that does not match the LLM's answer is exit 1, and shows both.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy transform body.json --profile openai\n  aiproxy transform body.json --profile shop --set prompt=\"Add a country beside every city.\" --watch\n  curl -s localhost:9000/orders | aiproxy transform - --profile shop --response --to returned"
)]
pub(super) struct Args {
    /// The body; `-`, or nothing with a pipe, reads stdin
    #[arg(value_name = "FILE|-")]
    file: Option<String>,
    /// The body as text; what is no JSON becomes a chat message, unless the profile is one of a plain upstream
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// The profile that it goes through, or its file (with a slash or an extension); without it, mock
    #[arg(long, value_name = "NAME", env = "AIPROXY_PROFILE", value_parser = first_name)]
    profile: Option<String>,
    /// The body is an answer of the upstream: show what the client gets of it
    #[arg(long)]
    response: bool,
    /// The answer's status
    #[arg(long, value_name = "N", requires = "response", default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..=599))]
    status: u16,
    /// A header of the request, or of the answer (repeatable): `NAME: VALUE`
    #[arg(long = "header", value_name = "H", value_parser = input::header)]
    headers: Vec<input::Header>,
    /// The path below the profile, such as /v1/embeddings; without it, the profile's own operation
    #[arg(long, value_name = "PATH", default_value = "")]
    path: String,
    /// The request's method
    #[arg(long, value_name = "M", default_value = "POST")]
    method: http::Method,
    /// Do not ask the transformers' LLMs: show what they would be asked
    #[arg(long)]
    no_llm: bool,
    /// Print the body of this stage alone, byte for byte
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    to: Option<Stage>,
    /// Print everything as JSON, for programs and for `aiproxy diff`
    #[arg(long, conflicts_with = "to")]
    json: bool,
    /// How differences between neighbouring stages are shown
    #[arg(long, value_name = "MODE", default_value = "structure")]
    diff: Mode,
    /// Override a key of the profile for this run (repeatable); the end of a key is enough where it is the only one, and KEY= takes it out
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Write the profile with --set into its file if the run went well; comments stay
    #[arg(long, requires = "settings")]
    save: bool,
    /// Run again whenever the profile or the body's file changes
    #[arg(long)]
    watch: bool,
    /// Ask the built-in mock in the place of the transformers' LLMs; no key, no network
    #[arg(long)]
    mock: bool,
    #[command(flatten)]
    sources: Sources,
}

/// The profile if none is named.
const DEFAULT: &str = "mock";

/// The first of a list: `AIPROXY_PROFILE` names all that `serve` serves.
#[expect(clippy::unnecessary_wraps, reason = "the form that clap wants")]
fn first_name(text: &str) -> Result<String, String> {
    let (first, _) = text.split_once(',').unwrap_or((text, ""));
    Ok(first.trim().to_owned())
}

fn stage(text: &str) -> Result<Stage, String> {
    let named = Stage::ALL.into_iter().find(|stage| stage.name() == text);
    named.ok_or_else(|| {
        let names: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        format!("the stages are {}", names.join(", "))
    })
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let mut input = Input::of(&args)?;
    if args.watch {
        return watch::run(&args, &mut input, term).await;
    }
    tokio::select! {
        done = once(&args, &input, term) => done.map(|()| Exit::Done),
        Some(signal) = signals::signal() => Ok(Exit::Signal(u8::try_from(signal).unwrap_or(2))),
    }
}

/// The text of the profile that is named.
fn profile_text(args: &Args) -> Result<Text, Problem> {
    let name = args.profile.as_deref().filter(|name| !name.is_empty());
    Ok(args.sources.text(name.unwrap_or(DEFAULT))?)
}

/// Runs once, and shows what came of it.
async fn once(args: &Args, input: &Input, term: &Term) -> Result<(), Problem> {
    let text = profile_text(args)?;
    let (profile, toml) = if args.settings.is_empty() {
        (text.load()?, None)
    } else {
        let tuned = text.tuned(&args.settings)?;
        (tuned.profile, Some(tuned.toml))
    };
    let effects = effects(Vec::new(), args.sources.vault()?, args.mock);
    let ran = ran(args, input, &profile, &effects, term).await?;
    let problem = told(args, &ran, term)?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    if let (true, Some(toml)) = (args.save, toml) {
        save::save(&text, &toml, &args.sources, term)?;
    }
    Ok(())
}

async fn ran(
    args: &Args,
    input: &Input,
    profile: &Profile,
    effects: &Effects,
    term: &Term,
) -> Result<Run, Problem> {
    let asks = if args.response {
        profile.ai_response_transformer.is_some()
    } else {
        profile.ai_request_transformer.is_some()
    };
    let _spinner =
        (asks && !args.no_llm).then(|| Spinner::start(term, "asking the transformer's LLM"));
    let mut run = dry::run(args, input, profile, effects).await?;
    run.hide(&redactor(Some(profile), &*effects.vault));
    Ok(run)
}

/// Shows a run as it was asked for; what was wrong with it, if anything was.
fn told(args: &Args, run: &Run, term: &Term) -> Result<Option<Problem>, Problem> {
    if args.json {
        json::print(run, term)?;
    } else if let Some(stage) = args.to {
        for warning in &run.warnings {
            term.warn(warning);
        }
        match run.stages.iter().rfind(|snapshot| snapshot.stage == stage) {
            Some(snapshot) => term.bytes(&snapshot.body)?,
            None if run.failure.is_none() => return Err(no_stage(stage, run)),
            None => {}
        }
    } else {
        show::show(args, run, term)?;
    }
    Ok(show::problem(run))
}

fn no_stage(stage: Stage, run: &Run) -> Problem {
    let there: Vec<&str> = run
        .stages
        .iter()
        .map(|snapshot| snapshot.stage.name())
        .collect();
    let name = stage.name();
    Problem::new(format!(
        "this run has no stage `{name}`, but {}",
        there.join(", ")
    ))
    .hint(match stage {
        Stage::RequestTransformed => "the profile has no [ai-request-transformer]",
        Stage::ResponseTransformed => {
            "give an answer with --response, to a profile with [ai-response-transformer]"
        }
        Stage::Received | Stage::Returned => "--response takes an answer through the profile",
        Stage::Client | Stage::Sent => "leave out --response to take a request through the profile",
    })
}

/// A line for people that something else goes on.
fn faint(term: &Term, text: &str) {
    term.note(&term.ink_err(Ink::Faint, text));
}
