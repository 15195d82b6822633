//! Values with a form of their own: fixed sets of strings, provider names, URLs, paths.

use serde_json::Value;
use url::Url;

use super::table::{Field, Shape, choice};
use crate::{
    profile::{privacy, reader::Reader, source::Node},
    provider,
};

choice! {
    /// What a route does, in Kong's words.
    pub enum RouteType {
        /// A conversation.
        Chat = "llm/v1/chat",
        /// The continuation of a prompt.
        Completions = "llm/v1/completions",
        /// Vectors.
        Embeddings = "llm/v1/embeddings",
        /// OpenAI's Responses.
        Responses = "llm/v1/responses",
        /// Anything, unread.
        Preserve = "preserve",
        /// OpenAI's Assistants.
        Assistants = "llm/v1/assistants",
        /// Batches.
        Batches = "llm/v1/batches",
        /// Files.
        Files = "llm/v1/files",
        /// Text to speech.
        Speech = "audio/v1/audio/speech",
        /// Speech to text.
        Transcriptions = "audio/v1/audio/transcriptions",
        /// Speech to English text.
        Translations = "audio/v1/audio/translations",
        /// Text to image.
        ImageGenerations = "image/v1/images/generations",
        /// Image to image.
        ImageEdits = "image/v1/images/edits",
        /// Realtime sessions.
        Realtime = "realtime/v1/realtime",
        /// Text to video.
        VideoGenerations = "video/v1/videos/generations",
    }
}

choice! {
    /// Whether answers are streamed.
    pub enum ResponseStreaming {
        /// As the client asks.
        Allow = "allow",
        /// Never; a request that asks for it is refused.
        Deny = "deny",
        /// Always, whatever the client asks.
        Always = "always",
    }
}

choice! {
    /// The format that clients speak.
    pub enum LlmFormat {
        /// OpenAI's.
        Openai = "openai",
        /// Anthropic's Messages.
        Anthropic = "anthropic",
        /// Gemini's generateContent.
        Gemini = "gemini",
        /// Bedrock's Converse.
        Bedrock = "bedrock",
        /// Cohere's v2.
        Cohere = "cohere",
        /// Hugging Face's text generation.
        Huggingface = "huggingface",
    }
}

choice! {
    /// Kong's label for what a request is about.
    pub enum GenaiCategory {
        /// Text.
        TextGeneration = "text/generation",
        /// Vectors.
        TextEmbeddings = "text/embeddings",
        /// Speech.
        AudioSpeech = "audio/speech",
        /// Transcripts.
        AudioTranscription = "audio/transcription",
        /// Images.
        ImageGeneration = "image/generation",
        /// Videos.
        VideoGeneration = "video/generation",
        /// Realtime sessions.
        RealtimeGeneration = "realtime/generation",
    }
}

choice! {
    /// Where an auth parameter is put.
    pub enum ParamLocation {
        /// The query string.
        Query = "query",
        /// A field of the JSON body.
        Body = "body",
    }
}

choice! {
    /// What a llama2 server speaks.
    pub enum Llama2Format {
        /// One prompt with Llama's own markers.
        Raw = "raw",
        /// OpenAI's format.
        Openai = "openai",
        /// Ollama's format.
        Ollama = "ollama",
    }
}

choice! {
    /// What a Mistral server speaks.
    pub enum MistralFormat {
        /// OpenAI's format, as Mistral's own service.
        Openai = "openai",
        /// Ollama's format.
        Ollama = "ollama",
    }
}

choice! {
    /// What Cohere's vectors are for.
    pub enum EmbeddingInputType {
        /// Classification.
        Classification = "classification",
        /// Clustering.
        Clustering = "clustering",
        /// Images.
        Image = "image",
        /// Documents to be searched.
        SearchDocument = "search_document",
        /// What is searched for.
        SearchQuery = "search_query",
    }
}

choice! {
    /// How `model.options` meet the same fields of a request.
    pub enum OptionsMode {
        /// The profile wins, as in Kong's source.
        Enforce = "enforce",
        /// The profile fills in what the request leaves out.
        Default = "default",
    }
}

choice! {
    /// Whether the upstream is asked for a stream's usage.
    pub enum AskUsage {
        /// Hosts known to take `stream_options` are asked.
        Auto = "auto",
        /// Every upstream is asked.
        Always = "always",
        /// None is asked.
        Never = "never",
    }
}

choice! {
    /// What a response transformer does with a streaming request.
    pub enum StreamTransform {
        /// The whole answer is fetched, transformed and replayed as a stream.
        Buffer = "buffer",
        /// The request is refused.
        Reject = "reject",
    }
}

choice! {
    /// What happens to paths that name no operation.
    pub enum OtherPaths {
        /// 404.
        Refuse = "refuse",
        /// They are forwarded unread.
        Forward = "forward",
    }
}

/// A provider that there is: one of [`provider::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProviderName(&'static str);

/// The absolute `http` or `https` URL of a host, without user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    url: Url,
}

/// `[aiproxy] path` in Kong's route syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePath {
    /// A prefix, beginning with `/`.
    Prefix(String),
    /// The PCRE after the `~`.
    Pattern(String),
}

/// Why a text is not an [`HttpUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It does not parse, is relative, or of another scheme.
    #[error("must be an http or https URL")]
    NotHttp,
    /// It has no host.
    #[error("must be a URL with a host")]
    NoHost,
    /// It holds `user:password@`.
    #[error("must not hold a user name or password")]
    UserInfo,
}

impl ProviderName {
    /// The provider that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<ProviderName> {
        provider::NAMES
            .iter()
            .find(|name| **name == text)
            .map(|name| ProviderName(name))
    }

    /// The name as Kong writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl std::fmt::Display for ProviderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Field for ProviderName {
    fn shape() -> Shape {
        Shape::Choice(provider::NAMES)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::shape())?;
        ProviderName::parse(text).or_else(|| {
            reader.not_one_of(node, text, provider::NAMES);
            None
        })
    }

    fn show(&self) -> Value {
        self.0.into()
    }
}

impl HttpUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<HttpUrl, BadUrl> {
        // `url` repairs `http:host` and control characters; a profile should say what it means.
        let scheme_is_http = ["http://", "https://"].iter().any(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if !scheme_is_http || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadUrl::NotHttp);
        }
        let authority = text
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split(['/', '\\', '?', '#']).next());
        match authority {
            None | Some("") => return Err(BadUrl::NoHost),
            Some(authority) if authority.contains('@') => return Err(BadUrl::UserInfo),
            Some(_) => {}
        }
        let url = Url::parse(text).map_err(|_| BadUrl::NotHttp)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadUrl::NoHost);
        }
        Ok(HttpUrl {
            text: text.to_owned(),
            url,
        })
    }

    /// The text as the profile writes it, without slashes at its end: paths are appended to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.trim_end_matches('/')
    }

    /// Its parts.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Field for HttpUrl {
    fn shape() -> Shape {
        Shape::Url
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::shape())?;
        match HttpUrl::parse(text) {
            Ok(url) => Some(url),
            Err(error) => {
                reader.bad_url(node, error);
                None
            }
        }
    }

    fn show(&self) -> Value {
        privacy::url_without_secret(&self.text).into()
    }
}

impl RoutePath {
    /// Reads a path: it begins with `/`, or with `~` and a pattern.
    #[must_use]
    pub fn parse(text: &str) -> Option<RoutePath> {
        match text.strip_prefix('~') {
            Some("") => None,
            Some(pattern) => Some(RoutePath::Pattern(pattern.to_owned())),
            None => text
                .starts_with('/')
                .then(|| RoutePath::Prefix(text.to_owned())),
        }
    }
}

impl std::fmt::Display for RoutePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RoutePath::Prefix(prefix) => f.write_str(prefix),
            RoutePath::Pattern(pattern) => write!(f, "~{pattern}"),
        }
    }
}

impl Field for RoutePath {
    fn shape() -> Shape {
        Shape::Text
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::shape())?;
        RoutePath::parse(text).or_else(|| {
            let key = reader.path();
            reader.report(
                node,
                format!("`{key}` must begin with `/`, or with `~` and a regular expression"),
                Some("`/chat` is a prefix, `~/(?<tier>[a-z]+)/chat` a pattern".into()),
            );
            None
        })
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}
