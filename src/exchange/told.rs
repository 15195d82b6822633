//! Exchanges as programs read them: what `/_aiproxy/exchanges` answers, `/_aiproxy/events` tells, the database holds and commands print
//! with `--json`. Nothing in here is secret: values were taken out before.
//!
//! Times of day are RFC 3339 in UTC with milliseconds; lengths of time are milliseconds with fractions, counted from the exchange's
//! beginning.

mod stage;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::llm::Usage;

pub use stage::{BodyTold, StageTold, body};

/// What an id leads to.
#[derive(Clone, Debug)]
pub enum Found {
    /// This one.
    One(Box<Detail>),
    /// Several begin so.
    Many(Vec<String>),
    /// Nothing.
    None,
}

/// One exchange in a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Its name.
    pub id: String,
    /// The profile that it went through.
    pub profile: String,
    /// When it began.
    pub began: String,
    /// `live`, `ok`, `failed` or `cancelled`.
    pub outcome: String,
    /// The stage that could not be reached, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path, without the query.
    pub path: String,
    /// What was asked for, as Kong's route type.
    pub operation: String,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// The provider's name; empty for a plain backend.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// The model that answered, as the provider names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answered_by: String,
    /// The upstream's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// The status that the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Tokens>,
    /// USD, transformers' calls included; absent where a price is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Where the price is from: `profile`, or `list price of DATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_source: Option<String>,
    /// How long it took.
    pub timings: Timings,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body as the client got it.
    pub response_bytes: u64,
    /// What was lost on the way to the provider: `dropped:logprobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Calls of transformers' LLMs.
    #[serde(skip_serializing_if = "is_zero")]
    pub calls: u64,
    /// The beginning of what the user asked last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// The beginning of the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Token counts under OpenAI's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Generated tokens, reasoning included.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Those of the prompt that were read from the provider's cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// Those of the prompt that were written to it.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Those generated that are reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// Counted here, because the provider sent none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Tokens {
        Tokens {
            prompt_tokens: usage.prompt(),
            completion_tokens: usage.output,
            total_tokens: usage.total(),
            cached_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            reasoning_tokens: usage.reasoning,
            estimated: usage.estimated,
        }
    }
}

/// How long an exchange took, in milliseconds from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Until the request left for the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_ms: Option<f64>,
    /// How long the request waited for its connection; next to nothing if one was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// Until the upstream's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// Until the first text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Until the end; of a live one until now.
    pub total_ms: f64,
    /// Generated tokens for each second between the first token and the end, of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
}

/// All that is kept of one exchange.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Detail {
    /// As in a list.
    #[serde(flatten)]
    pub summary: Summary,
    /// The rest.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What a list does not show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    /// Each stage that it reached, in order.
    pub stages: Vec<StageTold>,
    /// The calls of transformers' LLMs, in order.
    #[serde(rename = "llm_calls", skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallTold>,
    /// What the answer says: texts, reasoning, tool calls, in the order of their opening.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartTold>,
    /// What the provider's events said, with the time of their arrival.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventTold>,
    /// Where the bytes of the upstream's answer were split, as it is shown, and when each piece came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkTold>,
    /// The same of the client's answer, where it is another one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub returned_chunks: Vec<ChunkTold>,
}

impl Detail {
    /// Reads what [`Serialize`] wrote.
    ///
    /// # Errors
    ///
    /// If it is no exchange.
    pub fn parse(json: &str) -> serde_json::Result<Detail> {
        // In one pass, `flatten` would rewrite the numbers of bodies.
        Ok(Detail {
            summary: serde_json::from_str(json)?,
            rest: serde_json::from_str(json)?,
        })
    }

    /// One stage.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageTold> {
        self.rest.stages.iter().find(|stage| stage.stage == name)
    }

    /// The body of a stage; that of another one where both are the same.
    #[must_use]
    pub fn body(&self, name: &str) -> Option<Vec<u8>> {
        let stage = self.stage(name)?;
        match &stage.same_as {
            Some(other) => self.stage(other).map(StageTold::bytes),
            None => Some(stage.bytes()),
        }
    }
}

/// One call of a transformer's LLM.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallTold {
    /// Whose: `ai-request-transformer` or `ai-response-transformer`.
    pub plugin: String,
    /// The provider's name.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// Where it was asked.
    pub url: String,
    /// The request's headers.
    pub headers: Map<String, Value>,
    /// The request's body, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<RawValue>>,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
    /// The body of its answer, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Box<RawValue>>,
    /// The text of its answer.
    pub answer: Option<String>,
    /// `transformation_extract_pattern`.
    pub pattern: Option<String>,
    /// What the pattern took of the answer.
    pub matched: Option<String>,
    /// Its tokens.
    pub usage: Option<Tokens>,
    /// How long it took.
    pub took_ms: f64,
    /// What it cost in USD.
    pub cost: Option<f64>,
    /// Why there is no answer, or none that can be used.
    pub error: Option<String>,
}

/// A part of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartTold {
    /// Which choice it belongs to.
    pub choice: u32,
    /// `text`, `refusal`, `thinking` or `tool_call`.
    pub kind: String,
    /// A tool call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A tool's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The text; of a tool call its arguments, as JSON.
    pub text: String,
}

/// Something that the provider said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventTold {
    /// When, in milliseconds from the exchange's beginning.
    pub at_ms: f64,
    /// `open`, `text`, `thinking`, `arguments`, `close`, `finish` or `usage`.
    #[serde(rename = "type")]
    pub what: String,
    /// The number of its part: an index into `parts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// What it adds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A piece of the upstream's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkTold {
    /// When it came, in milliseconds from the exchange's beginning.
    pub at_ms: f64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Something that happens, as it happens: one message of `/_aiproxy/events`, one line of `aiproxy tail --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number: later ones have higher ones. The `id` of the server-sent event.
    #[serde(default)]
    pub seq: u64,
    /// The exchange; empty for [`What::Lost`].
    #[serde(default)]
    pub exchange: String,
    /// Its profile.
    #[serde(default)]
    pub profile: String,
    /// When, in milliseconds from the exchange's beginning.
    #[serde(default)]
    pub at_ms: f64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A request came.
    Opened {
        /// When.
        began: String,
        /// Its method.
        method: String,
        /// Its path, without the query.
        path: String,
        /// Who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_ip: Option<String>,
    },
    /// Provider and model are known.
    Routed {
        /// The provider's name; empty for a plain backend.
        provider: String,
        /// The model that is asked.
        model: String,
        /// Kong's route type.
        operation: String,
        /// Whether the answer is to be a stream.
        stream: bool,
    },
    /// A stage is reached. Of an answer that streams, when its headers are there.
    Stage {
        /// Its name.
        stage: String,
        /// A request's method.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
        /// A request's URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// An answer's status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Bytes of the body so far.
        size: u64,
        /// The body, if the reader asked for bodies (`?bodies=1`, or `?bodies=client,received` for some stages) and it is text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// A transformer's LLM answered, or failed.
    Call {
        /// Whose: `ai-request-transformer` or `ai-response-transformer`.
        plugin: String,
        /// The provider's name.
        provider: String,
        /// The model that was asked.
        model: String,
        /// How long it took.
        took_ms: f64,
        /// Its tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Tokens>,
        /// What it cost in USD.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Something was lost on the way to the provider: `dropped:logprobs`.
    Warning {
        /// What.
        warning: String,
    },
    /// A part of the answer begins.
    Open {
        /// Its number.
        part: u32,
        /// Which choice it belongs to.
        choice: u32,
        /// `text`, `refusal`, `thinking` or `tool_call`.
        kind: String,
        /// A tool call's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// A tool's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Text of a part.
    Text {
        /// The part's number.
        part: u32,
        /// More of it.
        text: String,
    },
    /// Reasoning.
    Thinking {
        /// The part's number.
        part: u32,
        /// More of it.
        text: String,
    },
    /// Arguments of a tool call.
    Arguments {
        /// The part's number.
        part: u32,
        /// More of the JSON text.
        text: String,
    },
    /// A part ends.
    Close {
        /// Its number.
        part: u32,
    },
    /// A choice ends.
    Finish {
        /// Which.
        choice: u32,
        /// Why: `stop`, `length`, `tool_calls`, `content_filter` or `other`.
        reason: String,
    },
    /// The tokens so far.
    Usage {
        /// How many.
        usage: Tokens,
    },
    /// Bytes of the upstream's answer as they came, if the reader asked for them (`?raw=1`).
    Raw {
        /// Them, if they are text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Them, if they are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    /// The exchange ended.
    Closed {
        /// All about it.
        summary: Box<Summary>,
    },
    /// The reader was too slow, or came too late for these.
    Lost {
        /// How many.
        events: u64,
    },
}

#[cfg(test)]
mod tests;
