//! Log probabilities: the list that stands beside a text.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{dialect::text::Text, llm::Logprob};

/// What OpenAI says of a token that is not among the likeliest.
const LEAST: f64 = -9999.0;

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
    logprob: Option<f64>,
    bytes: Option<Vec<u8>>,
    #[serde(borrow)]
    top_logprobs: Option<Vec<Token<'a>>>,
}

impl From<Token<'_>> for Logprob {
    fn from(token: Token<'_>) -> Logprob {
        let top = token.top_logprobs.into_iter().flatten();
        Logprob {
            token: token.token.or_empty().into_owned(),
            logprob: token.logprob.unwrap_or(LEAST),
            // Streams leave them out; an empty list says as little.
            bytes: token.bytes.filter(|bytes| !bytes.is_empty()),
            top: top
                .map(|token| Logprob {
                    top: Vec::new(),
                    ..token.into()
                })
                .collect(),
        }
    }
}

/// Reads a list; anything else is empty.
pub(super) fn read(raw: Option<&RawValue>) -> Vec<Logprob> {
    let tokens = raw.and_then(|raw| serde_json::from_str::<Vec<Token<'_>>>(raw.get()).ok());
    tokens.into_iter().flatten().map(Into::into).collect()
}

/// Writes one.
pub(super) fn write(token: &Logprob) -> Value {
    let bytes = |token: &Logprob| token.bytes.clone().unwrap_or_default();
    let top: Vec<Value> = token
        .top
        .iter()
        .map(|top| json!({"token": top.token, "logprob": top.logprob, "bytes": bytes(top)}))
        .collect();
    json!({"token": token.token, "logprob": token.logprob, "bytes": bytes(token), "top_logprobs": top})
}
