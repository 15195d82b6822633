//! What a request looked like at each stage, and the calls of LLMs that rewrote it. Kept in memory where somebody watches.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::kept::Material;
use crate::llm::Usage;

/// A place on a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// As the client sent it.
    Client,
    /// As the request transformer made it.
    RequestTransformed,
    /// As it leaves for the upstream.
    Sent,
    /// The upstream's answer.
    Received,
    /// As the response transformer made it.
    ResponseTransformed,
    /// As the client gets it.
    Returned,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 6] = [
        Stage::Client,
        Stage::RequestTransformed,
        Stage::Sent,
        Stage::Received,
        Stage::ResponseTransformed,
        Stage::Returned,
    ];

    /// Its name, as commands take it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Client => "client",
            Stage::RequestTransformed => "request-transformed",
            Stage::Sent => "sent",
            Stage::Received => "received",
            Stage::ResponseTransformed => "response-transformed",
            Stage::Returned => "returned",
        }
    }
}

/// A request or an answer at one stage. No secret is in its head.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where.
    pub stage: Stage,
    /// A request's method.
    pub method: Option<Method>,
    /// A request's URL; of the client's, path and query.
    pub url: Option<String>,
    /// An answer's status.
    pub status: Option<u16>,
    /// Its headers; a secret is `(secret)`.
    pub headers: HeaderMap,
    /// Its body, inflated.
    pub body: Bytes,
}

/// One call of a transformer's LLM.
#[derive(Clone, Debug, Default)]
pub struct LlmCall {
    /// Whose: `ai-request-transformer` or `ai-response-transformer`.
    pub plugin: &'static str,
    /// The provider's name.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// Where it was asked; a secret is `(secret)`.
    pub url: String,
    /// The request's headers; a secret is `(secret)`. Only where somebody watches.
    pub headers: HeaderMap,
    /// The request's body, in the provider's words. Only where somebody watches.
    pub request: Bytes,
    /// The status of its answer, if there was one.
    pub status: Option<u16>,
    /// The text of its answer. Only where somebody watches.
    pub answer: Option<String>,
    /// `transformation_extract_pattern`.
    pub pattern: Option<String>,
    /// What the pattern took of the answer. Only where somebody watches.
    pub matched: Option<String>,
    /// Its tokens.
    pub usage: Option<Usage>,
    /// How long it took.
    pub took: Duration,
    /// What it cost in USD, where the profile has both prices.
    pub cost: Option<f64>,
    /// Why there is no answer, or none that can be used.
    pub error: Option<String>,
}

/// What is to be logged of a transformer's call.
#[derive(Clone, Debug, Default)]
pub struct CallLog {
    /// The model that answered, as the provider names it.
    pub answered_by: String,
    /// What the profile wants logged, and what that takes.
    pub material: Material,
}

/// What tokens cost in USD; `None` unless both prices are known.
#[must_use]
pub fn cost(usage: &Usage, input_cost: Option<f64>, output_cost: Option<f64>) -> Option<f64> {
    let (input, output) = (input_cost?, output_cost?);
    Some((usage.prompt() as f64 * input + usage.output as f64 * output) / 1_000_000.0)
}
