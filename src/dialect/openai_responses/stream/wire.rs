//! What servers of the format send: events, and the items in them. Readers are lenient.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    dialect::{
        openai_responses::usage::Usage,
        text::{Text, count},
    },
    llm::Finish,
};

/// An event of a stream.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    pub(super) output_index: u64,
    #[serde(default, deserialize_with = "count")]
    pub(super) content_index: u64,
    #[serde(default, deserialize_with = "count")]
    pub(super) summary_index: u64,
    #[serde(borrow, default)]
    pub(super) delta: Text<'a>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// The `response` object.
#[derive(Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    pub(super) created_at: u64,
    #[serde(borrow, default)]
    pub(super) status: Text<'a>,
    #[serde(borrow)]
    pub(super) output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) incomplete_details: Option<Details<'a>>,
    pub(super) usage: Option<Usage>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Details<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
}

impl Response<'_> {
    /// Why it ended; `calls`: it calls tools.
    pub(super) fn finish(&self, calls: bool) -> Finish {
        let reason = self
            .incomplete_details
            .as_ref()
            .and_then(|details| details.reason.0.as_deref());
        match (reason, self.status.0.as_deref()) {
            (Some("content_filter"), _) => Finish::ContentFilter,
            // The second is what older servers say.
            (Some("max_output_tokens" | "max_tokens"), _) => Finish::Length,
            (_, Some("incomplete" | "cancelled" | "failed")) => Finish::Other,
            _ if calls => Finish::ToolCalls,
            _ => Finish::Stop,
        }
    }
}

/// An item of the output.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) call_id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) arguments: Text<'a>,
    #[serde(borrow)]
    pub(super) input: Text<'a>,
    #[serde(borrow)]
    pub(super) encrypted_content: Text<'a>,
    #[serde(borrow)]
    pub(super) summary: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Part<'a>>>,
}

/// A part of a message, or of reasoning.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// Reads what may be of another shape.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// An error's code and message, of an `error` event or object: `{"code", "message"}`, with the kind as `type` in place of a code.
pub(super) fn said(error: &Value) -> (String, String) {
    let text = |key: &str| match error.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let kind = text("type").filter(|kind| kind != "error");
    let code = text("code").or(kind);
    let message = text("message")
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| "the provider failed without a word".into());
    (code.unwrap_or_else(|| "server_error".into()), message)
}
