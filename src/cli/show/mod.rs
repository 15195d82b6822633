//! `aiproxy show`: one exchange with everything that was kept of it.

mod code;
mod events;
pub(super) mod text;
mod times;

use super::{
    exchanges::{self, Exchanges},
    places::Sources,
    request::{Request, no_stage},
    servers::{self, ServerFlag},
};
use crate::{
    exchange::{Stage, told::Detail},
    term::{Exit, Problem, Term},
};
use code::Language;

/// Show an exchange: each stage of the request and of its answer, what the answer says, times, tokens and cost.
///
/// The id is in the answer's header x-aiproxy-exchange and in `aiproxy log`; its beginning is enough. Secrets are shown as `(secret)`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy show last\n  aiproxy show 7k3m --stage sent --body | jq .messages\n  aiproxy show last --curl | sh\n  aiproxy show last --python > again.py"
)]
pub(super) struct Args {
    /// An id, the beginning of one, or `last`
    #[arg(default_value = exchanges::LAST)]
    id: String,
    /// This stage alone: client, request-transformed, sent, received, response-transformed or returned
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stage: Option<Stage>,
    /// Print the stage's body alone, byte for byte
    #[arg(long, requires = "stage")]
    body: bool,
    /// What the provider's events said, and when they came
    #[arg(long, conflicts_with_all = ["stage", "body"])]
    events: bool,
    /// Print JSON: all that was kept, or with --events one event a line
    #[arg(long, conflicts_with_all = ["stage", "body"])]
    json: bool,
    /// Print the client's request as a curl command; --stage sent prints that to the provider
    #[arg(long, group = "language", conflicts_with_all = ["body", "events", "json"])]
    curl: bool,
    /// Print it as a Python program: with OpenAI's SDK where it can, else with httpx
    #[arg(long, group = "language", conflicts_with_all = ["body", "events", "json"])]
    python: bool,
    /// Print it as a program for Node
    #[arg(long, group = "language", conflicts_with_all = ["body", "events", "json"])]
    node: bool,
    #[command(flatten)]
    server: ServerFlag,
}

fn stage(text: &str) -> Result<Stage, String> {
    let named = Stage::ALL.into_iter().find(|stage| stage.name() == text);
    named.ok_or_else(|| {
        let names: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        format!("the stages are {}", names.join(", "))
    })
}

impl Args {
    fn language(&self) -> Option<Language> {
        [
            (self.curl, Language::Curl),
            (self.python, Language::Python),
            (self.node, Language::Node),
        ]
        .into_iter()
        .find_map(|(asked, language)| asked.then_some(language))
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let exchanges = Exchanges::find(&args.server, term).await?;
    let detail = exchanges.get(&args.id).await?;
    if let Some(language) = args.language() {
        let stage = args.stage.unwrap_or(Stage::Client);
        let program = program(&detail, stage, language, &exchanges, term)?;
        term.bytes(program.as_bytes())?;
    } else if args.events {
        events::print(&detail, args.json, term)?;
    } else if args.json {
        let json = serde_json::to_string_pretty(&detail)
            .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
        term.json(&json)?;
    } else if let Some(stage) = args.stage {
        let name = stage.name();
        let told = detail.stage(name).ok_or_else(|| no_stage(&detail, name))?;
        if args.body {
            if told.truncated {
                term.warn(&text::cut(told, &detail));
            }
            term.bytes(&detail.body(name).unwrap_or_default())?;
        } else {
            term.out(&text::one(told, &detail, term))?;
        }
    } else {
        term.out(&text::all(&detail, term))?;
    }
    Ok(Exit::Done)
}

/// The request as a program that sends it.
fn program(
    detail: &Detail,
    stage: Stage,
    language: Language,
    exchanges: &Exchanges,
    term: &Term,
) -> Result<String, Problem> {
    let mut request = Request::of(detail, stage.name())?;
    let key = match (stage, exchanges.server()) {
        (Stage::Sent, _) => Some(code::provider_variable(
            detail,
            &Sources::default().places(),
        )),
        (_, Some(server)) if server.asks_for_token() => {
            let named = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
            request
                .headers
                .retain(|(name, _)| !named.contains(&name.as_str()));
            let bearer = ("authorization".to_owned(), crate::profile::MASK.to_owned());
            request.headers.push(bearer);
            Some("AIPROXY_TOKEN".to_owned())
        }
        _ => None,
    };
    if stage != Stage::Sent {
        let root = match exchanges.server() {
            Some(server) => server.root.clone(),
            None => format!("http://{}", servers::usual_address(None)),
        };
        // What a transformer made goes on as if the client had sent it.
        if stage == Stage::RequestTransformed {
            request.url = Request::of(detail, Stage::Client.name())?.url;
        }
        request.url = format!("{root}{}", request.url);
    }
    if request.header("x-amz-date").is_some() {
        term.warn("AWS takes this request's signature for 15 minutes, and it is not kept: without --stage sent, it goes through the proxy, which signs it");
    }
    if request
        .text()
        .is_some_and(|body| body.contains(crate::profile::MASK))
    {
        term.warn("the body holds a secret, which is not kept: put it in place of `(secret)`");
    }
    Ok(language.program(&request, key.as_deref(), detail.summary.stream))
}
