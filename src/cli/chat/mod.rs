//! `aiproxy chat`: one prompt ([`run`]), or a session on a terminal (`session`).

pub(super) mod ask;
mod command;
pub(super) mod cost;
mod image;
mod line;
mod session;
mod show;
mod spent;

use std::io::{IsTerminal, Read};

use serde_json::{Value, json};

use self::{ask::Asker, cost::Prices, session::Session, show::Show};
use super::{hidden::redactor, places::Sources, servers::ServerFlag, signals};
use crate::{
    dialect::put,
    profile::Profile,
    term::{Exit, Problem, Spinner, Term},
};

/// Send a test prompt, through the running server or, without one, in this process.
///
/// The answer goes to stdout, everything else to stderr. Without a prompt, on a terminal, it is a session: the whole conversation is sent
/// each time, and /help lists what else there is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy chat --stream \"Tell me a story\"\n  aiproxy chat --profile openai --image photo.jpg \"What is this?\"\n  git diff | aiproxy chat --system \"Write a commit message\" --profile openai"
)]
pub(super) struct Args {
    /// What to say; `-`, or nothing with a pipe, reads stdin; nothing on a terminal begins a session
    prompt: Option<String>,
    /// The profile to ask; without it, the server's default
    #[arg(long, value_name = "NAME", env = "AIPROXY_PROFILE", value_parser = first_name)]
    profile: Option<String>,
    /// The model to ask for; without it, the profile's own
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// A system message to put in front
    #[arg(long, value_name = "S")]
    system: Option<String>,
    /// Send a picture along (repeatable): a URL, or a PNG, JPEG, GIF or WebP file
    #[arg(long = "image", value_name = "FILE|URL")]
    images: Vec<String>,
    /// Most tokens of the answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: Option<u64>,
    /// Sampling temperature
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// Show the answer as it comes; a session always does
    #[arg(long)]
    stream: bool,
    /// Print the provider's JSON: the answer, or one event a line with --stream
    #[arg(long)]
    json: bool,
    /// Ask the built-in mock in the provider's place, in the provider's format, from this process; no key, no network
    #[arg(long)]
    mock: bool,
    #[command(flatten)]
    server: ServerFlag,
    #[command(flatten)]
    sources: Sources,
}

/// The first of a list: `AIPROXY_PROFILE` names all that `serve` serves.
#[expect(clippy::unnecessary_wraps, reason = "the form that clap wants")]
fn first_name(text: &str) -> Result<String, String> {
    let (first, _) = text.split_once(',').unwrap_or((text, ""));
    Ok(first.trim().to_owned())
}

fn temperature(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && *value >= 0.0)
        .ok_or_else(|| "it must be a number of 0 or more".to_owned())
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let images = args
        .images
        .iter()
        .map(|named| image::url(named))
        .collect::<Result<Vec<String>, Problem>>()?;
    let Some(prompt) = prompt(&args, term)? else {
        let asker = find(&args, term).await?;
        return Session::new(args, images, asker, term).run().await;
    };
    let asker = find(&args, term).await?;
    let profile = asker.profile(args.model.as_deref(), &args.sources);
    let mut messages = Vec::new();
    if let Some(system) = &args.system {
        messages.push(message("system", system.as_str().into()));
    }
    messages.push(message("user", content(&prompt, &images)));
    let request = Request {
        messages: &messages,
        model: args.model.as_deref(),
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        stream: args.stream,
    };
    let body = request.body(profile.as_ref());
    let spinner = Spinner::start(term, "waiting for the first token");
    let mut show = Show::new(
        term,
        args.json,
        spinner,
        profile.as_ref().and_then(Prices::of),
        asker.calls(),
    )
    .hiding(redactor(profile.as_ref(), &*args.sources.vault()?));
    let told = async {
        let response = asker.ask(&body).await?;
        if args.stream {
            show.stream(response).await
        } else {
            show.whole(response).await
        }
    };
    tokio::select! {
        told = told => told.map(|()| Exit::Done),
        Some(signal) = signals::signal() => {
            // The answer ends where it is; dropping the request cancels it upstream. The spinner ends before the line does.
            show.stopped();
            Ok(Exit::Signal(u8::try_from(signal).unwrap_or(2)))
        }
    }
}

async fn find(args: &Args, term: &Term) -> Result<Asker, Problem> {
    let profile = args.profile.as_deref().filter(|name| !name.is_empty());
    Asker::find(&args.server, profile, &args.sources, args.mock, term).await
}

/// What to say; nothing for a session.
fn prompt(args: &Args, term: &Term) -> Result<Option<String>, Problem> {
    match args.prompt.as_deref() {
        Some(prompt) if prompt != "-" => Ok(Some(prompt.to_owned())),
        None if std::io::stdin().is_terminal() => {
            let why = if args.json {
                "a session has no --json"
            } else if !term.out_is_terminal() {
                "a session needs a terminal to write to"
            } else {
                return Ok(None);
            };
            Err(Problem::usage(format!("there is no prompt, and {why}"))
                .hint("aiproxy chat --stream \"Tell me a story\""))
        }
        _ => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .map_err(|error| {
                    Problem::new(format!("cannot read the prompt from stdin: {error}"))
                })?;
            match text.trim_end_matches(['\r', '\n']) {
                "" => Err(Problem::usage("the prompt on stdin is empty")),
                text => Ok(Some(text.to_owned())),
            }
        }
    }
}

/// What is asked for, in OpenAI's format.
struct Request<'a> {
    messages: &'a [Value],
    model: Option<&'a str>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    stream: bool,
}

impl Request<'_> {
    /// The request's body; `profile` is where it goes, if that is known.
    fn body(&self, profile: Option<&Profile>) -> Value {
        let mut body = json!({"messages": self.messages});
        if let Some(model) = self.model {
            put(&mut body, "model", model);
        }
        if let Some(limit) = self.max_tokens {
            put(&mut body, limit_name(profile), limit);
        }
        if let Some(temperature) = self.temperature {
            put(&mut body, "temperature", temperature);
        }
        if self.stream {
            put(&mut body, "stream", true);
            put(&mut body, "stream_options", json!({"include_usage": true}));
        }
        body
    }
}

/// The field that limits an answer. OpenAI's own service takes the new name for all its models, and for some of them no other; services
/// like it may know the old one alone: <https://platform.openai.com/docs/api-reference/chat/create>.
fn limit_name(profile: Option<&Profile>) -> &'static str {
    let is_openai = profile.is_some_and(|profile| {
        profile.aiproxy.base_url.is_none()
            && profile.ai_proxy.as_ref().is_some_and(|proxy| {
                matches!(proxy.model.provider.as_str(), "openai" | "azure")
                    && proxy.model.options.upstream_url.is_none()
            })
    });
    if is_openai {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

fn message(role: &str, content: Value) -> Value {
    let mut message = json!({"role": role});
    put(&mut message, "content", content);
    message
}

/// A user's message: text alone, or text and pictures.
fn content(text: &str, images: &[String]) -> Value {
    if images.is_empty() {
        return text.into();
    }
    let mut parts = vec![json!({"type": "text", "text": text})];
    parts.extend(
        images
            .iter()
            .map(|url| json!({"type": "image_url", "image_url": {"url": url}})),
    );
    parts.into()
}
