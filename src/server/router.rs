//! What a path means (SPEC §2).

use std::sync::Arc;

use http::{Uri, request::Parts};

use super::{beside, served::Served};
use crate::{
    dialect::{
        Fault, Ingress, Native, Task, anthropic::Anthropic, native, native_default,
        openai_chat::OpenAiChat, openai_completions::OpenAiCompletions,
        openai_embeddings::OpenAiEmbeddings, openai_responses::OpenAiResponses,
    },
    llm::Format,
    pipeline::{Asked, Inbound, Target, operation_of},
    profile::{AiProxy, OtherPaths, Profile, RouteType, schema::values::LlmFormat},
    provider::{self, Call, Operation, Options},
};

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Place {
    /// `/_aiproxy/...`.
    Admin(String),
    /// The list of models, or one of them.
    Models {
        /// Of this profile alone.
        profile: Option<Arc<Profile>>,
        /// The model's id.
        id: Option<String>,
    },
    /// A profile that the path names.
    Profile(Way),
    /// The profile that the body's `model` names, else the default one.
    Root {
        /// The path as SDKs send it, with `/v1`.
        path: String,
    },
}

/// A profile, and what is asked of it.
#[derive(Debug)]
pub(super) struct Way {
    /// The profile.
    pub(super) profile: Arc<Profile>,
    /// The client's format.
    pub(super) ingress: &'static dyn Ingress,
    /// What is asked for.
    pub(super) target: Target,
    /// The same in the provider's own words, where the client speaks them.
    pub(super) native: Option<Native>,
    /// Who named the model.
    pub(super) asked: Asked,
    /// What the named groups of the profile's `path` matched.
    pub(super) captures: Vec<(String, String)>,
}

impl Way {
    /// A path of the SDKs' own, below no profile's name.
    pub(super) fn of(
        profile: Arc<Profile>,
        path: &str,
        query: Option<&str>,
        asked: Asked,
    ) -> Result<Way, Fault> {
        let (target, native, ingress) = target(&profile, path, query)?;
        Ok(Way {
            ingress,
            profile,
            target,
            native,
            asked,
            captures: Vec::new(),
        })
    }

    /// The request as the pipeline takes it.
    pub(super) fn inbound(self, parts: Parts) -> Inbound {
        Inbound {
            profile: self.profile,
            ingress: self.ingress,
            target: self.target,
            native: self.native,
            asked: self.asked,
            method: parts.method,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            captures: self.captures,
            earlier: None,
            llm: true,
        }
    }
}

/// First segments that belong to no profile (SPEC §2).
const ROOTS: &[&str] = &["v1", "v1beta", "api", "model"];

/// Finds the place of `path`.
pub(super) fn place(served: &Served, uri: &Uri) -> Result<Place, Fault> {
    let path = uri.path();
    let (first, rest) = split(path);
    if first == "_aiproxy" {
        return Ok(Place::Admin(rest.to_owned()));
    }
    if ROOTS.contains(&first) {
        if let Some(id) = models(path) {
            return Ok(Place::Models { profile: None, id });
        }
        return Ok(Place::Root {
            path: path.to_owned(),
        });
    }
    if first.is_empty() {
        let message = "this is aiproxy: base URLs are /PROFILE/v1, or /v1 with PROFILE as the model; /v1/models lists them, and /_aiproxy/ui shows what happens";
        return Err(Fault::invalid(404, message));
    }
    let Some(profile) = served.find(first) else {
        // Some clients want the base URL with the `/v1` that others put behind it (`ANTHROPIC_BASE_URL` of the Vercel AI SDK).
        let trimmed = path.trim_end_matches('/');
        if messages(trimmed).is_some() || operation_of(trimmed).is_some() {
            return Ok(Place::Root {
                path: format!("/v1{path}"),
            });
        }
        return Err(unknown_profile(served, first));
    };
    let Some(taken) = served.take(&profile, rest) else {
        let message = format!(
            "`{}` does not match `[aiproxy] path` of profile `{}`, which is `{}`",
            printable(rest),
            profile.name,
            profile.aiproxy.path
        );
        return Err(Fault::invalid(404, message));
    };
    if profile
        .ai_proxy
        .as_ref()
        .is_some_and(|proxy| proxy.route_type != RouteType::Preserve)
        && let Some(id) = models(taken.rest)
    {
        return Ok(Place::Models {
            profile: Some(profile),
            id,
        });
    }
    let spoken = spoken(&profile, taken.rest, uri.query());
    let trimmed = taken.rest.trim_end_matches('/');
    let named = spoken.is_some()
        || messages(trimmed).is_some()
        || operation_of(trimmed).is_some()
        || beside::of(trimmed).is_some();
    let (target, native, ingress) = if taken.matched && !named {
        own_target(&profile, taken.rest)
    } else {
        target(&profile, taken.rest, uri.query())?
    };
    Ok(Place::Profile(Way {
        ingress,
        profile,
        target,
        native,
        asked: Asked::Body,
        captures: taken.captures,
    }))
}

/// A match of the profile's own `path`, and nothing after `/{profile}`, ask for the profile's own operation.
fn own_target(profile: &Profile, rest: &str) -> Found {
    let route_type = profile.ai_proxy.as_ref().map(|proxy| proxy.route_type);
    let own = route_type.and_then(|route_type| Operation::of_route_type(route_type.as_str()));
    match own {
        None | Some(Operation::Preserve) => unread(rest),
        Some(own) => {
            let native = format(profile).and_then(|format| native_default(format, task(own)?));
            let served = served(profile, own, own);
            (
                Target::Operation(served, served.path().to_owned()),
                native.clone(),
                ingress(own, own.path(), native.as_ref()),
            )
        }
    }
}

/// What a path asks for, the same in the provider's own words, and who reads and writes the client's.
pub(super) type Found = (Target, Option<Native>, &'static dyn Ingress);

fn unread(rest: &str) -> Found {
    let target = Target::Unread(rest.to_owned());
    let ingress = ingress(Operation::Preserve, target.path(), None);
    (target, None, ingress)
}

/// The operation that the provider is asked for, `own` being the profile's: Responses are a conversation where it has none of its own.
pub(super) fn served(profile: &Profile, operation: Operation, own: Operation) -> Operation {
    let Some(proxy) = &profile.ai_proxy else {
        return operation;
    };
    if operation != Operation::Responses {
        return operation;
    }
    // The profile's URL is of its own operation.
    let elsewhere = proxy.model.options.upstream_url.is_some() && own != operation;
    let options = Options {
        base_url: profile
            .aiproxy
            .base_url
            .as_ref()
            .map(|url| url.as_str().to_owned()),
        ..Options::default()
    };
    let call = Call {
        operation,
        path: operation.path(),
        model: "",
        stream: false,
        tools: false,
        native: false,
        options: &options,
    };
    let provider = provider::find(proxy.model.provider.as_str());
    let has = provider.is_none_or(|provider| provider.egress(&call).is_some());
    if has && !elsewhere {
        operation
    } else {
        Operation::Chat
    }
}

/// Whether Responses reach a profile's provider as such, and are no conversation in another format.
#[must_use]
pub fn has_responses(profile: &Profile) -> bool {
    served(profile, Operation::Responses, Operation::Chat) == Operation::Responses
}

/// The provider's own format, where the profile's clients speak it.
fn format(profile: &Profile) -> Option<Format> {
    let proxy = profile.ai_proxy.as_ref()?;
    match proxy.llm_format {
        LlmFormat::Openai => None,
        LlmFormat::Anthropic => Some(Format::Anthropic),
        LlmFormat::Gemini => Some(Format::Gemini),
        LlmFormat::Bedrock => Some(Format::Bedrock),
        LlmFormat::Cohere => Some(Format::Cohere),
        LlmFormat::Huggingface => Some(Format::HuggingFace),
    }
}

fn spoken(profile: &Profile, path: &str, query: Option<&str>) -> Option<Native> {
    native(format(profile)?, path, query)
}

fn task(operation: Operation) -> Option<Task> {
    match operation {
        Operation::Chat => Some(Task::Chat),
        Operation::Completions => Some(Task::Completions),
        Operation::Embeddings => Some(Task::Embeddings),
        _ => None,
    }
}

fn operation_for(task: Task) -> Operation {
    match task {
        Task::Chat => Operation::Chat,
        Task::Completions => Operation::Completions,
        Task::Embeddings => Operation::Embeddings,
    }
}

/// What Anthropic's clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Messages {
    /// An answer.
    Create,
    /// How many tokens a request is.
    Count,
}

/// Anthropic's own paths, below a profile's name or with `/v1` alone. They name the client's format, whatever the profile's other clients
/// speak.
fn messages(path: &str) -> Option<Messages> {
    match path.strip_prefix("/v1").unwrap_or(path) {
        "/messages" => Some(Messages::Create),
        "/messages/count_tokens" => Some(Messages::Count),
        _ => None,
    }
}

/// Who reads what is said at a path before it leads anywhere: errors are in the client's format.
pub(super) fn speaker(path: &str) -> &'static dyn Ingress {
    let path = path.trim_end_matches('/');
    let (first, below) = split(path);
    let below = if ROOTS.contains(&first) { path } else { below };
    if messages(below).is_some() || messages(path).is_some() {
        &Anthropic
    } else {
        &OpenAiChat
    }
}

/// Who reads and writes what the client speaks.
fn ingress(asked: Operation, path: &str, native: Option<&Native>) -> &'static dyn Ingress {
    match (native, asked) {
        (Some(native), _) => native.ingress,
        (None, _) if messages(path).is_some() => &Anthropic,
        (None, Operation::Completions) => &OpenAiCompletions,
        (None, Operation::Embeddings) => &OpenAiEmbeddings,
        (None, Operation::Responses) => &OpenAiResponses,
        (None, _) => &OpenAiChat,
    }
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// `/first/rest` as `first` and `/rest`.
fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.find('/') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    }
}

/// `[/v1]/models[/ID]`: the id, if any.
fn models(path: &str) -> Option<Option<String>> {
    let below = path
        .strip_prefix("/v1")
        .unwrap_or(path)
        .strip_prefix("/models")?;
    match below.strip_prefix('/') {
        None => below.is_empty().then_some(None),
        Some("") => Some(None),
        Some(id) => Some(Some(percent_decoded(id))),
    }
}

pub(super) fn percent_decoded(text: &str) -> String {
    // `+` is itself in a path.
    let query = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// What `rest`, the path after `/{profile}`, asks of a profile.
fn target(profile: &Profile, rest: &str, query: Option<&str>) -> Result<Found, Fault> {
    let Some(proxy) = &profile.ai_proxy else {
        return Ok(unread(rest));
    };
    let own = Operation::of_route_type(proxy.route_type.as_str()).unwrap_or(Operation::Preserve);
    if own == Operation::Preserve {
        return Ok(unread(rest));
    }
    if matches!(rest, "" | "/" | "/v1" | "/v1/") {
        return Ok(own_target(profile, rest));
    }
    let trimmed = rest.trim_end_matches('/');
    let of_anthropic = messages(trimmed);
    if of_anthropic == Some(Messages::Count) {
        let target = Target::Count(Operation::Chat, trimmed.to_owned());
        return Ok((target, None, &Anthropic));
    }
    // Where clients speak the provider's own format, OpenAI's paths are paths like any other.
    let of_openai = format(profile).is_none();
    if of_openai
        && let Some(beside) = beside::of(of_azure(proxy, trimmed).unwrap_or(trimmed))
        && let Some(target) = beside::target(profile, own, beside)?
    {
        return Ok((target, None, &OpenAiResponses));
    }
    // `llm_format = "anthropic"` passes the path without `/v1` on as the other.
    let short = || {
        let format = format(profile).filter(|format| *format == Format::Anthropic)?;
        native_default(format, Task::Chat).filter(|_| of_anthropic.is_some())
    };
    let spoken = spoken(profile, trimmed, query).or_else(short);
    let found = match &spoken {
        Some(native) => Some((operation_for(native.task), trimmed)),
        None if of_anthropic.is_some() => Some((Operation::Chat, trimmed)),
        None if !of_openai => None,
        None => operation_of(trimmed).or_else(|| operation_of(of_azure(proxy, trimmed)?)),
    };
    if let Some((asked, below)) = found {
        let operation = served(profile, asked, own);
        let below = if operation == asked {
            below
        } else {
            operation.path()
        };
        if proxy.model.options.upstream_url.is_some() && operation != own {
            let (asked, serves) = (asked.route_type(), own.route_type());
            return Err(Fault::invalid(
                400,
                format!(
                    "`{rest}` is {asked}, but profile `{}` sets `upstream_url`, which serves {serves} alone",
                    profile.name
                ),
            ));
        }
        let ingress = ingress(asked, trimmed, spoken.as_ref());
        let target = Target::Operation(operation, below.to_owned());
        return Ok((target, spoken, ingress));
    }
    if profile.aiproxy.other_paths == OtherPaths::Forward && !profile.has_transformer() {
        return Ok(unread(rest));
    }
    let why = if profile.has_transformer() {
        "it has a transformer, which other paths would walk around".to_owned()
    } else {
        "set `[aiproxy] other_paths = \"forward\"` to send it on unread".to_owned()
    };
    Err(Fault::invalid(
        404,
        format!(
            "`{rest}` is no operation of profile `{}`: {why}",
            profile.name
        ),
    ))
}

/// Where the SDKs of Azure look for OpenAI's operations: `/openai/deployments/NAME/...` and `/openai/v1/...`
/// (<https://learn.microsoft.com/azure/foundry/openai/reference>). To Azure itself such a path goes as it is: there the name counts.
fn of_azure<'a>(proxy: &AiProxy, path: &'a str) -> Option<&'a str> {
    if proxy.model.provider.as_str() == "azure" {
        return None;
    }
    let below = path.strip_prefix("/openai")?;
    match below.strip_prefix("/deployments/") {
        Some(named) => named.find('/').and_then(|at| named.get(at..)),
        None => below.starts_with("/v1/").then_some(below),
    }
}

/// 404 that names those there are, nearest first.
fn unknown_profile(served: &Served, asked: &str) -> Fault {
    let asked: String = asked.chars().filter(|c| !c.is_control()).take(64).collect();
    let mut names: Vec<&str> = served.names().collect();
    names.sort_by_key(|name| distance(name, &asked));
    let names: Vec<String> = names
        .iter()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    Fault::invalid(
        404,
        format!(
            "there is no profile `{asked}` here; there are {}",
            names.join(", ")
        ),
    )
    .code("unknown_profile")
}

/// Levenshtein distance, for short names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut left = i + 1;
        for (slot, cb) in row.iter_mut().skip(1).zip(b.chars()) {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = *slot;
            left = substituted.min(left + 1).min(*slot + 1);
            *slot = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_their_first_segment() {
        assert_eq!(split("/mock/v1/chat"), ("mock", "/v1/chat"));
        assert_eq!(split("/mock"), ("mock", ""));
        assert_eq!(split("/"), ("", ""));
    }

    #[test]
    fn models_and_their_ids() {
        assert_eq!(models("/v1/models"), Some(None));
        assert_eq!(models("/models/"), Some(None));
        assert_eq!(models("/v1/models/mock"), Some(Some("mock".into())));
        assert_eq!(models("/v1/models/a%2Fb+c/d"), Some(Some("a/b+c/d".into())));
        assert_eq!(models("/v1/modelsx"), None);
    }

    #[test]
    fn anthropics_paths_name_its_format() {
        for (path, expected) in [
            ("/v1/messages", Format::Anthropic),
            ("/v1/messages/", Format::Anthropic),
            ("/v1/messages/count_tokens", Format::Anthropic),
            ("/gpt/v1/messages", Format::Anthropic),
            ("/gpt/messages", Format::Anthropic),
            ("/gpt/messages/count_tokens", Format::Anthropic),
            ("/messages", Format::Anthropic),
            ("/messages/x", Format::OpenAi),
            ("/v1/messages/batches", Format::OpenAi),
            ("/gpt/v1/threads/t/messages", Format::OpenAi),
            ("/gpt/v1messages", Format::OpenAi),
            ("/v1/chat/completions", Format::OpenAi),
        ] {
            assert_eq!(speaker(path).format(), expected, "{path}");
        }
    }

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(distance("mock", "mock"), 0);
        assert_eq!(distance("mock", "mok"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("openai", "opneai"), 2);
    }
}
