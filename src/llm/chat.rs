//! Requests and whole answers.

use serde_json::{Map, Value, value::RawValue};

use super::{Finish, Usage};

/// The wire formats that clients or providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI's chat completions, completions and embeddings.
    OpenAi,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Bedrock's Converse.
    Bedrock,
    /// Cohere's chat.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// Hugging Face's text generation.
    HuggingFace,
}

/// A chat request, whatever format it came in.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The model asked for.
    pub model: Option<String>,
    /// The conversation, oldest first, system messages included where they stand.
    pub messages: Vec<Message>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not call one.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// Limits and randomness.
    pub sampling: Sampling,
    /// How much to reason.
    pub reasoning: ReasoningRequest,
    /// What the answer must look like.
    pub output: OutputFormat,
    /// Answer as a stream.
    pub stream: bool,
    /// The client wants to see the usage of a stream.
    pub stream_usage: bool,
    /// An id of the end user, passed on.
    pub user: Option<String>,
    /// Fields of the source format that have no name here.
    pub extra: Option<Extra>,
}

/// Unknown fields; only the dialect that they came from writes them back.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Where they came from.
    pub from: Format,
    /// The fields, in order.
    pub fields: Map<String, Value>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the developer (OpenAI's `system` and `developer`).
    System,
    /// The user, and results of tools.
    User,
    /// The model.
    Assistant,
}

/// One message: who, and its parts in order.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The name of the speaker, if given.
    pub name: Option<String>,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message that is one text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Message {
        Message {
            role,
            name: None,
            parts: vec![Part::Text(text.into())],
        }
    }
}

/// A content block.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text.
    Text(String),
    /// The model's refusal.
    Refusal(String),
    /// A picture.
    Image {
        /// Where it is.
        source: Media,
        /// OpenAI's `detail`.
        detail: Option<String>,
    },
    /// Sound.
    Audio {
        /// The sound itself, base64.
        data: String,
        /// `wav`, `mp3`, ...
        format: String,
    },
    /// A document.
    File {
        /// Its name.
        name: Option<String>,
        /// Where it is.
        source: Media,
    },
    /// Reasoning, of an earlier turn or of the answer.
    Thinking {
        /// Its text; may be empty where only the signature is kept.
        text: String,
        /// The provider's proof, replayed unchanged.
        signature: Option<String>,
    },
    /// Reasoning that only the provider can read (Anthropic's and Bedrock's `redacted`), replayed unchanged: opaque text.
    Redacted(String),
    /// A call of a tool.
    ToolCall {
        /// The id that its result carries.
        id: String,
        /// The tool.
        name: String,
        /// JSON text as the model wrote it, malformed included; never empty.
        arguments: String,
        /// Gemini's proof, replayed unchanged.
        signature: Option<String>,
    },
    /// A tool's result.
    ToolResult {
        /// The call's id.
        id: String,
        /// The result.
        parts: Vec<Part>,
        /// The tool failed.
        is_error: bool,
    },
    /// A block that only one format knows, kept whole for that format.
    Opaque {
        /// The format.
        from: Format,
        /// The block.
        json: Box<RawValue>,
    },
}

/// Where a picture or document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// At a URL that the provider fetches.
    Url(String),
    /// Here.
    Base64 {
        /// Its MIME type.
        media_type: String,
        /// The bytes, base64.
        data: String,
    },
    /// Uploaded to the provider before.
    Id(String),
}

/// A tool on offer.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: Option<Box<RawValue>>,
    /// The arguments must match the schema exactly.
    pub strict: Option<bool>,
}

/// Whether tools may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// Limits and randomness of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// Randomness, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sample from the k likeliest.
    pub top_k: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// For repeatable answers.
    pub seed: Option<i64>,
    /// How many answers.
    pub n: Option<u64>,
    /// Against repeating what was said often.
    pub frequency_penalty: Option<f64>,
    /// Against repeating what was said at all.
    pub presence_penalty: Option<f64>,
    /// Report log probabilities.
    pub logprobs: Option<bool>,
    /// Of this many alternatives.
    pub top_logprobs: Option<u64>,
}

/// How much to reason before answering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasoningRequest {
    /// OpenAI's `reasoning_effort`: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    pub effort: Option<String>,
    /// Anthropic's and Gemini's budget in tokens; 0: do not reason.
    pub budget: Option<u64>,
}

/// Effort and the budget that says the same: Google's own table for OpenAI clients,
/// <https://ai.google.dev/gemini-api/docs/openai#thinking>, with `none` and `xhigh` added at its ends.
const BUDGETS: &[(&str, u64)] = &[
    ("none", 0),
    ("minimal", 1_024),
    ("low", 1_024),
    ("medium", 8_192),
    ("high", 24_576),
    ("xhigh", 32_768),
];

impl ReasoningRequest {
    /// Nothing was said about reasoning.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.effort.is_none() && self.budget.is_none()
    }

    /// The budget in tokens: as given, or what the effort stands for. `None` if neither says anything that is known.
    #[must_use]
    pub fn tokens(&self) -> Option<u64> {
        self.budget.or_else(|| {
            let effort = self.effort.as_deref()?;
            let (_, tokens) = BUDGETS.iter().find(|(name, _)| *name == effort)?;
            Some(*tokens)
        })
    }

    /// The effort: as given, or the least whose budget is not below the given one.
    #[must_use]
    pub fn level(&self) -> Option<&str> {
        self.effort.as_deref().or_else(|| {
            let budget = self.budget?;
            let fits = BUDGETS
                .iter()
                .find(|(name, tokens)| *name != "minimal" && *tokens >= budget);
            Some(fits.map_or("xhigh", |(name, _)| name))
        })
    }
}

/// What the answer must look like.
#[derive(Clone, Debug, Default)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// The schema.
        schema: Box<RawValue>,
        /// Match it exactly.
        strict: Option<bool>,
        /// What it is for.
        description: Option<String>,
    },
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct ChatResponse {
    /// The provider's id of the answer; empty if it has none.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// Seconds since the epoch, if told.
    pub created: Option<u64>,
    /// OpenAI's `system_fingerprint`: the provider's configuration.
    pub fingerprint: Option<String>,
    /// The answers.
    pub choices: Vec<Choice>,
    /// Token counts, if told.
    pub usage: Option<Usage>,
    /// What the provider tells beside the answer (Bedrock's `trace`).
    pub extra: Option<Extra>,
}

impl ChatResponse {
    /// The text of the first choice, its text parts joined.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = self
            .choices
            .first()
            .map(|choice| choice.parts.as_slice())
            .unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| {
                if let Part::Text(text) = part {
                    Some(text.as_str())
                } else {
                    None
                }
            })
            .collect()
    }
}

/// One answer of possibly several.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Its blocks in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// The stop sequence that ended it, where the provider tells which.
    pub stopped: Option<String>,
    /// What its text leans on.
    pub citations: Vec<Citation>,
    /// How likely its tokens were, if asked for.
    pub logprobs: Vec<Logprob>,
}

/// Where a statement comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation {
    /// A web page.
    pub url: Option<String>,
    /// The name of page or document.
    pub title: Option<String>,
    /// The words of the source.
    pub cited_text: Option<String>,
    /// Where in the answer's text the statement begins, in characters.
    pub start: Option<u64>,
    /// Where it ends.
    pub end: Option<u64>,
    /// Of which document, as the provider names it: an id, or an index among the request's documents.
    pub source: Option<String>,
}

/// How likely one token of the answer was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, where the text cannot hold them.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens in its place, without alternatives of their own.
    pub top: Vec<Logprob>,
}
