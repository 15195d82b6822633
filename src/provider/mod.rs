//! Who speaks which format, where, and with which departures. Pure: settings and bytes in, URLs, headers and edits out.
//!
//! To add a provider: one file here with a unit struct that implements [`Provider`], its `mod` line and its line in `ALL` (and in `NAMES`,
//! if Kong does not know it). A wire format that is new is one folder in `dialect` with an [`Egress`], its `mod` line there, its name in
//! [`Format`], and a line in `dialect::native` for the paths at which its own clients ask. A service that speaks OpenAI's format without
//! departures needs no code at all: `provider = "openai"` and `[aiproxy] base_url` in a profile. It imports `dialect`, `llm`, `keys` and
//! `wire::envelope`.

mod anthropic;
mod azure;
mod bedrock;
mod cloud;
mod cohere;
mod gemini;
mod huggingface;
mod llama2;
mod mistral;
mod mock;
mod ollama;
mod openai;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Uri, request::Parts};

use crate::{
    dialect::{Egress, Fault, Loss},
    keys::Credential,
    llm::Format,
    wire::envelope::Envelope,
};

/// What a request asks for; Kong's `route_type` without `preserve`'s freedom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `llm/v1/chat`.
    Chat,
    /// `llm/v1/completions`.
    Completions,
    /// `llm/v1/embeddings`.
    Embeddings,
    /// `llm/v1/responses`.
    Responses,
    /// `llm/v1/assistants`.
    Assistants,
    /// `llm/v1/files`.
    Files,
    /// `llm/v1/batches`.
    Batches,
    /// `audio/v1/audio/speech`.
    Speech,
    /// `audio/v1/audio/transcriptions`.
    Transcriptions,
    /// `audio/v1/audio/translations`.
    Translations,
    /// `image/v1/images/generations`.
    ImageGenerations,
    /// `image/v1/images/edits`.
    ImageEdits,
    /// `video/v1/videos/generations`.
    VideoGenerations,
    /// `realtime/v1/realtime`.
    Realtime,
    /// `preserve`: everything as it is.
    Preserve,
}

/// Operation, Kong's `route_type`, path below the API root (OpenAI's).
const OPERATIONS: &[(Operation, &str, &str)] = &[
    (Operation::Chat, "llm/v1/chat", "/chat/completions"),
    (Operation::Completions, "llm/v1/completions", "/completions"),
    (Operation::Embeddings, "llm/v1/embeddings", "/embeddings"),
    (Operation::Responses, "llm/v1/responses", "/responses"),
    (Operation::Assistants, "llm/v1/assistants", "/assistants"),
    (Operation::Files, "llm/v1/files", "/files"),
    (Operation::Batches, "llm/v1/batches", "/batches"),
    (Operation::Speech, "audio/v1/audio/speech", "/audio/speech"),
    (
        Operation::Transcriptions,
        "audio/v1/audio/transcriptions",
        "/audio/transcriptions",
    ),
    (
        Operation::Translations,
        "audio/v1/audio/translations",
        "/audio/translations",
    ),
    (
        Operation::ImageGenerations,
        "image/v1/images/generations",
        "/images/generations",
    ),
    (
        Operation::ImageEdits,
        "image/v1/images/edits",
        "/images/edits",
    ),
    (
        Operation::VideoGenerations,
        "video/v1/videos/generations",
        "/videos",
    ),
    (Operation::Realtime, "realtime/v1/realtime", "/realtime"),
    (Operation::Preserve, "preserve", ""),
];

impl Operation {
    /// Of a Kong `route_type`.
    #[must_use]
    pub fn of_route_type(route_type: &str) -> Option<Operation> {
        OPERATIONS
            .iter()
            .find(|(_, name, _)| *name == route_type)
            .map(|(operation, ..)| *operation)
    }

    /// Of a path as OpenAI's SDKs use it below the API root, `/chat/completions`. What follows a whole segment (`/files/file-1`) belongs to
    /// the same operation where OpenAI has such paths.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Operation> {
        OPERATIONS
            .iter()
            .filter(|(_, _, known)| !known.is_empty())
            .find_map(|(operation, _, known)| {
                let rest = path.strip_prefix(known)?;
                let exact = rest.is_empty();
                let below = rest.starts_with('/') && !operation.is_read();
                (exact || below).then_some(*operation)
            })
    }

    /// Kong's `route_type`.
    #[must_use]
    pub fn route_type(self) -> &'static str {
        OPERATIONS
            .iter()
            .find(|(operation, ..)| *operation == self)
            .map_or("preserve", |(_, name, _)| name)
    }

    /// OpenAI's path below the API root; empty for `preserve`.
    #[must_use]
    pub fn path(self) -> &'static str {
        OPERATIONS
            .iter()
            .find(|(operation, ..)| *operation == self)
            .map_or("", |(.., path)| path)
    }

    /// Whether aiproxy reads its bodies: JSON in the operation's format, with a model, checked as Kong does.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Operation::Chat | Operation::Completions | Operation::Embeddings | Operation::Responses
        )
    }
}

/// A profile's `model.options` with request-time templates resolved, and the parts of `[aiproxy]` that a provider looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// Randomness.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sample from the k likeliest.
    pub top_k: Option<u64>,
    /// Size of embeddings.
    pub embeddings_dimensions: Option<u64>,
    /// One operation's whole URL.
    pub upstream_url: Option<String>,
    /// Replaces the path.
    pub upstream_path: Option<String>,
    /// API root of all operations, as the provider's own SDK takes it.
    pub base_url: Option<String>,
    /// The resource's name in `NAME.openai.azure.com`.
    pub azure_instance: Option<String>,
    /// The deployment in the path.
    pub azure_deployment_id: Option<String>,
    /// `api-version`.
    pub azure_api_version: Option<String>,
    /// `openai` or `ollama`.
    pub mistral_format: Option<String>,
    /// `raw`, `openai` or `ollama`.
    pub llama2_format: Option<String>,
    /// `dashscope.international`.
    pub dashscope_international: bool,
    /// `databricks.workspace_instance_id`.
    pub databricks_workspace: Option<String>,
    /// `anthropic-version`.
    pub anthropic_version: Option<String>,
    /// `gemini.api_endpoint`: host of Vertex AI's regional endpoint.
    pub gemini_endpoint: Option<String>,
    /// `gemini.project_id`; with `gemini.location_id`, it is Vertex AI that is meant.
    pub gemini_project: Option<String>,
    /// `gemini.location_id`.
    pub gemini_location: Option<String>,
    /// `gemini.endpoint_id`: an endpoint of Vertex's Model Garden.
    pub gemini_endpoint_id: Option<String>,
    /// `bedrock.aws_region`; where the profile has none, the credentials' own.
    pub aws_region: Option<String>,
    /// `bedrock.aws_assume_role_arn`.
    pub aws_role_arn: Option<String>,
    /// `bedrock.aws_role_session_name`.
    pub aws_role_session_name: Option<String>,
    /// `bedrock.aws_sts_endpoint_url`.
    pub aws_sts_endpoint: Option<String>,
    /// `bedrock.embeddings_normalize`.
    pub bedrock_normalize: Option<bool>,
    /// `bedrock.performance_config_latency`.
    pub bedrock_latency: Option<String>,
    /// `huggingface.use_cache`.
    pub huggingface_use_cache: Option<bool>,
    /// `huggingface.wait_for_model`.
    pub huggingface_wait: Option<bool>,
    /// `cohere.embedding_input_type`.
    pub cohere_input_type: Option<String>,
    /// `cohere.wait_for_model`.
    pub cohere_wait: Option<bool>,
}

/// What a provider may look at while a call is put together: settings, never sockets.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The path below the API root, with a leading slash; the client's own where the operation is unread.
    pub path: &'a str,
    /// The model; empty where none is known (unread operations).
    pub model: &'a str,
    /// The answer will be a stream.
    pub stream: bool,
    /// The request offers tools, or carries what came of them.
    pub tools: bool,
    /// The client speaks the provider's own format, and `path` is one of its own paths.
    pub native: bool,
    /// The profile's settings.
    pub options: &'a Options,
}

/// A cloud that has credentials of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's access keys.
    Aws,
    /// Google's tokens.
    Google,
    /// Microsoft Entra's tokens.
    Entra,
}

/// One provider.
pub trait Provider: Sync {
    /// Kong's name of it.
    fn name(&self) -> &'static str;

    /// The format in which it does a call's operation; `None`: it cannot, or the operation is unread.
    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress>;

    /// Whether an operation that aiproxy does not read can be forwarded: OpenAI's own to a provider of OpenAI's API alone, `preserve` and
    /// other paths to all.
    fn forwards_unread(&self, _operation: Operation) -> bool {
        true
    }

    /// Its API root, without a slash at the end, where the profile names none.
    ///
    /// # Errors
    ///
    /// If the root depends on settings that are missing.
    fn root(&self, call: &Call<'_>) -> Result<String, Fault>;

    /// The path below the root.
    fn path(&self, call: &Call<'_>) -> String {
        call.path.to_owned()
    }

    /// The path below the root of a call whose `path` is one of the provider's own.
    fn native_path(&self, call: &Call<'_>) -> String {
        call.path.to_owned()
    }

    /// What is asked where the profile names the URL: as it is given.
    fn upstream(&self, _call: &Call<'_>, url: &str) -> String {
        url.to_owned()
    }

    /// The whole path where `upstream_path` stands for the operation's.
    fn replaced_path(&self, _call: &Call<'_>, path: &str) -> String {
        path.to_owned()
    }

    /// A query parameter that every request needs, unless the URL or the client has it already.
    fn query(&self, _call: &Call<'_>) -> Option<(&'static str, String)> {
        None
    }

    /// The path below its origin at which it counts the tokens of a chat request of its own; `None`: nowhere.
    fn counts_tokens(&self) -> Option<&'static str> {
        None
    }

    /// Departures from the format that it claims to speak, of the host that is asked. Runs on the wire body, so whether translated or not.
    ///
    /// What a client asked for and the provider cannot take goes into `lost`: nothing is dropped in silence.
    fn adjust(
        &self,
        _body: &mut Envelope<'_>,
        _call: &Call<'_>,
        _host: &str,
        _lost: &mut Vec<Loss>,
    ) {
    }

    /// Headers beyond the profile's own auth header. One that is there already (the profile's, or the client's own) stays.
    fn headers(&self, _headers: &mut HeaderMap, _call: &Call<'_>) {}

    /// The cloud whose own credentials a call takes where the profile names no key.
    fn cloud(&self, _call: &Call<'_>) -> Option<Cloud> {
        None
    }

    /// Puts what the cloud gave on a request that is otherwise ready: a signature covers its bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    fn sign(
        &self,
        request: &mut Parts,
        _body: &[u8],
        credential: &Credential,
        _now: SystemTime,
    ) -> Result<(), Fault> {
        cloud::bearer(request, credential)
    }

    /// Whether it is known to take `stream_options` (SPEC `ask_usage = "auto"`), given the host that is asked.
    fn takes_stream_options(&self, host: &str) -> bool;
}

/// The providers that aiproxy speaks to. One line each.
static ALL: &[&dyn Provider] = &[
    &openai::OpenAi {
        name: "openai",
        root: "https://api.openai.com/v1",
    },
    &openai::OpenAi {
        name: "vllm",
        root: "http://127.0.0.1:8000/v1",
    },
    &openai::OpenAi {
        name: "cerebras",
        root: "https://api.cerebras.ai/v1",
    },
    &openai::OpenAi {
        name: "deepseek",
        root: "https://api.deepseek.com/v1",
    },
    &openai::OpenAi {
        name: "xai",
        root: "https://api.x.ai/v1",
    },
    &openai::Dashscope,
    &openai::Databricks,
    &anthropic::Anthropic,
    &azure::Azure,
    &bedrock::Bedrock,
    &cohere::Cohere,
    &gemini::Gemini,
    &huggingface::HuggingFace,
    &llama2::Llama2,
    &mistral::Mistral,
    &ollama::Ollama,
    &mock::Mock,
];

/// The names that a profile's `model.provider` may have: Kong's, and `mock`. Those that are not in `ALL` load, and refuse each operation.
pub const NAMES: &[&str] = &[
    "openai",
    "azure",
    "anthropic",
    "cohere",
    "mistral",
    "llama2",
    "gemini",
    "bedrock",
    "huggingface",
    "dashscope",
    "databricks",
    "cerebras",
    "deepseek",
    "ollama",
    "vllm",
    "xai",
    "mock",
];

/// The provider of a name, if aiproxy speaks to it.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    ALL.iter().copied().find(|provider| provider.name() == name)
}

/// Whether a path could lead out of where it is put: one of its segments is `.` or `..`, also where dots and slashes are percent-encoded, a
/// slash is turned, or the segment has parameters.
#[must_use]
pub fn climbs(path: &str) -> bool {
    // Most paths hold neither.
    if !path.contains(['.', '%']) {
        return false;
    }
    let decoded = path
        .replace("%2e", ".")
        .replace("%2E", ".")
        .replace("%2f", "/")
        .replace("%2F", "/")
        .replace("%5c", "/")
        .replace("%5C", "/");
    decoded
        .split(['/', '\\'])
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .any(|segment| matches!(segment, "." | ".."))
}

/// Refuses a client's path that [`climbs`].
///
/// # Errors
///
/// A 400.
pub fn steady(path: &str) -> Result<(), Fault> {
    if climbs(path) {
        return Err(Fault::invalid(
            400,
            "the path has a `.` or `..` segment, which could lead out of the profile's URL",
        ));
    }
    Ok(())
}

/// Where a call goes: `upstream_url` as it is given, else the API root and the operation's path; `upstream_path` replaces the path of either.
///
/// # Errors
///
/// A 500 that names the key if the profile's URL is none.
pub fn uri(provider: &dyn Provider, call: &Call<'_>) -> Result<Uri, Fault> {
    steady(call.path)?;
    let options = call.options;
    let path = || {
        if call.native {
            provider.native_path(call)
        } else {
            provider.path(call)
        }
    };
    let (key, url) = match (&options.upstream_url, &options.base_url) {
        (Some(url), _) => ("upstream_url", provider.upstream(call, url)),
        (None, Some(base)) => ("base_url", join(base, &path())),
        (None, None) => ("base_url", join(&provider.root(call)?, &path())),
    };
    let broken = |why: &dyn std::fmt::Display| Fault {
        kind: "configuration_error".into(),
        ..Fault::upstream(500, format!("`{key}` is no URL that can be asked: {why}"))
    };
    let uri = Uri::from_maybe_shared(Bytes::from(url)).map_err(|error| broken(&error))?;
    if uri.scheme().is_none() || uri.authority().is_none() {
        return Err(broken(&"it needs a scheme and a host"));
    }
    let Some(path) = &options.upstream_path else {
        return Ok(uri);
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{path}");
    let path = match &options.upstream_url {
        Some(_) => path,
        None => provider.replaced_path(call, &path),
    };
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(
        path.parse()
            .map_err(|error: http::uri::InvalidUri| broken(&error))?,
    );
    Uri::from_parts(parts).map_err(|error| broken(&error))
}

/// Where a path goes that names no operation: below the API root if it begins as the SDKs' paths do, with `/v1`, or if the profile names a
/// root; else to the host. `upstream_url` gives the host, `upstream_path` the path.
///
/// # Errors
///
/// A 500 that names the key if the profile's URL is none.
pub fn unread_uri(provider: &dyn Provider, call: &Call<'_>, path: &str) -> Result<Uri, Fault> {
    steady(path)?;
    let chat = Call {
        operation: Operation::Chat,
        ..*call
    };
    // Of the SDKs, OpenAI's alone has `/v1` in its base URL.
    let is_openai = provider
        .egress(&chat)
        .is_none_or(|egress| egress.format() == Format::OpenAi);
    let below = path
        .strip_prefix("/v1")
        .filter(|rest| is_openai && (rest.is_empty() || rest.starts_with('/')));
    let call = Call {
        path: below.unwrap_or(path),
        ..*call
    };
    if call.options.upstream_url.is_none() && (below.is_some() || call.options.base_url.is_some()) {
        return uri(provider, &call);
    }
    let host = uri(provider, &call)?;
    if call.options.upstream_path.is_some() {
        return Ok(host);
    }
    let mut parts = host.into_parts();
    let path = if path.is_empty() { "/" } else { path };
    parts.path_and_query = Some(path.parse().map_err(|_| {
        Fault::invalid(
            400,
            "the path cannot be sent on: it holds a character that URLs cannot hold",
        )
    })?);
    Uri::from_parts(parts).map_err(|error| Fault::invalid(400, error.to_string()))
}

/// An API root and a path; a query of the root's stays at the end.
fn join(root: &str, path: &str) -> String {
    let (root, query) = root
        .split_once('?')
        .map_or((root, None), |(root, query)| (root, Some(query)));
    let joined = format!("{}{path}", root.trim_end_matches('/'));
    match query {
        Some(query) => format!(
            "{joined}{}{query}",
            if path.contains('?') { '&' } else { '?' }
        ),
        None => joined,
    }
}

/// Percent-encodes what enters a path as one segment, so that a name like `../x?y` cannot steer the request.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~') && text.bytes().any(|b| b != b'.')
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
