//! Whole answers and errors.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Error, Fault, finish, finish_reason};
use crate::{
    dialect::{
        openai_chat, put,
        text::{Text, count},
    },
    llm::{ChatResponse, Choice, Finish, Logprob, Part, Usage},
};

/// `{"generated_text": ..., "details": ...}`.
#[derive(Deserialize)]
pub(super) struct Generated<'a> {
    #[serde(borrow, default)]
    generated_text: Text<'a>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
}

/// `details` of answers and of a stream's last event.
#[derive(Deserialize)]
pub(super) struct Details<'a> {
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    generated_tokens: u64,
    /// Of streams.
    #[serde(default, deserialize_with = "count")]
    input_length: u64,
    #[serde(borrow)]
    prefill: Option<Vec<&'a RawValue>>,
    tokens: Option<Vec<Token>>,
    top_tokens: Option<Vec<Vec<Token>>>,
}

#[derive(Deserialize)]
pub(super) struct Token {
    #[serde(default)]
    pub(super) text: String,
    pub(super) logprob: Option<f64>,
    #[serde(default)]
    pub(super) special: bool,
}

impl Details<'_> {
    pub(super) fn finish(&self) -> Finish {
        finish(self.finish_reason.0.as_deref().unwrap_or_default())
    }

    /// The counts, if both are told: half of them would be taken for all.
    pub(super) fn usage(&self) -> Option<Usage> {
        let prefill = self.prefill.as_ref().map_or(0, Vec::len);
        let input = self
            .input_length
            .max(u64::try_from(prefill).unwrap_or_default());
        (input > 0).then(|| Usage {
            input,
            output: self.generated_tokens,
            ..Usage::default()
        })
    }
}

/// A token and those in its place as log probabilities; `None` for one that is no text.
pub(super) fn logprob(token: Token, top: Vec<Token>) -> Option<Logprob> {
    let top = top
        .into_iter()
        .filter_map(|token| logprob(token, Vec::new()));
    match token {
        Token {
            text,
            logprob: Some(logprob),
            special: false,
        } => Some(Logprob {
            token: text,
            logprob,
            bytes: None,
            top: top.collect(),
        }),
        _ => None,
    }
}

impl<'a> Generated<'a> {
    /// The text, why it ended, what it cost, how likely it was.
    pub(super) fn read(
        self,
    ) -> (
        Option<Cow<'a, str>>,
        Option<Finish>,
        Option<Usage>,
        Vec<Logprob>,
    ) {
        let finish = self.details.as_ref().map(Details::finish);
        let usage = self.details.as_ref().and_then(Details::usage);
        let (tokens, tops) = self
            .details
            .map_or((None, None), |details| (details.tokens, details.top_tokens));
        let mut tops = tops.unwrap_or_default().into_iter();
        // Without alternatives nobody asked: the tokens always come with the details.
        let logprobs = if tops.len() == 0 {
            Vec::new()
        } else {
            let tokens = tokens.into_iter().flatten();
            tokens
                .filter_map(|token| logprob(token, tops.next().unwrap_or_default()))
                .collect()
        };
        (self.generated_text.0, finish, usage, logprobs)
    }
}

/// The first answer of a list of them, or a lone one.
pub(super) fn generated(json: &str) -> Option<Generated<'_>> {
    if json.trim_start().starts_with('[') {
        let list: Vec<Generated<'_>> = serde_json::from_str(json).ok()?;
        return list.into_iter().next();
    }
    serde_json::from_str::<Generated<'_>>(json)
        .ok()
        .filter(|generated| generated.generated_text.0.is_some())
}

/// What a body says went wrong, if it is an error: `{"error": "..."}`, a list of them, or `{"message": "..."}`.
pub(super) fn error_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        error: Option<Value>,
        #[serde(borrow, default)]
        message: Text<'a>,
    }

    // A list is an answer; serde would read one as a struct's fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let wire: Wire<'_> = serde_json::from_slice(body).ok()?;
    match wire.error {
        None | Some(Value::Null) => wire.message.filled().map(Cow::into_owned),
        Some(error) => Some(words(&error)),
    }
}

fn words(error: &Value) -> String {
    match error {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join("; "),
        other => match other.get("message") {
            Some(Value::String(text)) => text.clone(),
            _ => other.to_string(),
        },
    }
}

/// Reads an answer. The wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    if let Some(message) = error_of(body) {
        return Err(Error::Malformed(format!("API error: {message}")));
    }
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|_| Error::Malformed("Failed to decode response".into()))?;
    let answer = generated(raw.get()).map(Generated::read);
    let Some((Some(text), finish, usage, logprobs)) = answer else {
        return Err(Error::Malformed("Invalid response format".into()));
    };
    let parts = if text.is_empty() {
        Vec::new()
    } else {
        vec![Part::Text(text.into_owned())]
    };
    Ok(ChatResponse {
        choices: vec![Choice {
            parts,
            finish: finish.or(Some(Finish::Other)),
            logprobs,
            ..Choice::default()
        }],
        usage,
        ..ChatResponse::default()
    })
}

/// Writes an answer: the text of the first choice.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choice = response.choices.first().cloned().unwrap_or_default();
    let mut details = details(choice.finish.unwrap_or(Finish::Stop), response.usage);
    let tokens: Vec<Value> = choice.logprobs.iter().map(token).collect();
    if !tokens.is_empty() {
        let top = |logprob: &Logprob| logprob.top.iter().map(token).collect::<Vec<_>>();
        let tops: Vec<Vec<Value>> = choice.logprobs.iter().map(top).collect();
        put(&mut details, "top_tokens", tops);
    }
    put(&mut details, "prefill", Vec::<Value>::new());
    put(&mut details, "tokens", tokens);
    json!([{"generated_text": response.text(), "details": details}])
        .to_string()
        .into_bytes()
}

pub(super) fn details(finish: Finish, usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    json!({
        "finish_reason": finish_reason(finish),
        "generated_tokens": usage.output,
        "input_length": usage.prompt(),
        "seed": null,
    })
}

pub(super) fn token(logprob: &Logprob) -> Value {
    json!({"id": 0, "text": logprob.token, "logprob": logprob.logprob, "special": false})
}

/// Reads an error body: `{"error": "...", "error_type": "..."}`, or OpenAI's shape where the servers speak that.
pub(super) fn decode_error(status: u16, body: &Bytes) -> Fault {
    let mut fault = openai_chat::decode_error(status, body);
    if fault.verbatim.is_some() {
        return fault;
    }
    if let Some(message) = error_of(body) {
        fault.message = message;
    }
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(kind) = json.get("error_type").and_then(Value::as_str) {
        kind.clone_into(&mut fault.kind);
    }
    fault
}

/// Writes an error body.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    json!({"error": fault.message, "error_type": fault.kind})
        .to_string()
        .into_bytes()
}
