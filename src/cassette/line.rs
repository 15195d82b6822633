//! One exchange as a line of a cassette, from a record and back.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::recorded::BROKE;
use crate::exchange::{
    Stage,
    told::{
        BodyTold, CallTold, ChunkTold, Detail, Rest, StageTold, Summary, Timings, Tokens, body,
    },
};

/// One exchange. Its keys are in this order, those of maps in alphabetical order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The profile that it went through.
    pub profile: String,
    /// The provider's name; empty for a plain backend.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Kong's route type.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// The model that was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The model that answered, as the provider names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answered_by: String,
    /// Whether the answer is a stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// Tokens, if the provider told them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Tokens>,
    /// The calls of transformers' LLMs, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// The client's request, its URL a path; without a body where that is the one that was sent.
    pub client: Request,
    /// The request that was sent upstream.
    pub sent: Request,
    /// The upstream's answer.
    pub received: Response,
    /// The client's answer, where it has another body or status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Response>,
}

/// A call of a transformer's LLM.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Whose: `ai-request-transformer` or `ai-response-transformer`.
    pub plugin: String,
    /// The provider's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// The model that was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What it was sent.
    pub sent: Request,
    /// What came back, as one piece.
    pub received: Response,
}

/// A request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its URL; of a client's, path and query.
    pub url: String,
    /// Names and values; a name that comes several times has a list of values. Credentials are left out, and what each request has anew.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// A body that is text: JSON with its keys in alphabetical order, or a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
    /// A body that is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// An answer. Times are milliseconds since the request was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// As of a request.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// When its head was there.
    #[serde(default)]
    pub head_ms: f64,
    /// Its body, inflated, in the pieces in which it came.
    #[serde(default)]
    pub chunks: Vec<Chunk>,
    /// When it ended.
    #[serde(default)]
    pub end_ms: f64,
    /// It did not end: the connection broke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

/// A piece of a body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// When it came.
    pub at_ms: f64,
    /// Its bytes, if they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its bytes, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl Line {
    /// The answer that the client got.
    #[must_use]
    pub fn answer(&self) -> &Response {
        self.returned.as_ref().unwrap_or(&self.received)
    }

    /// The body of the client's request.
    #[must_use]
    pub fn asked(&self) -> Vec<u8> {
        if self.client.has_body() {
            self.client.bytes()
        } else {
            self.sent.bytes()
        }
    }

    /// As a record of this id, that began at this time.
    #[must_use]
    pub fn detail(&self, id: &str, began: &str) -> Detail {
        let (asked, answer) = (self.asked(), self.answer());
        let mut client = self.client.told(Stage::Client, &asked);
        client.url = Some(self.client.url.clone());
        let mut sent = self.sent.told(Stage::Sent, &self.sent.bytes());
        if !self.client.has_body() {
            (sent.body, sent.body_base64, sent.same_as) = (None, None, Some(client.stage.clone()));
        }
        let (received, chunks) = self.received.told(Stage::Received);
        let (mut returned, returned_chunks) = answer.told(Stage::Returned);
        if self.returned.is_none() {
            (returned.body, returned.body_base64, returned.around) = (None, None, None);
            returned.same_as = Some(received.stage.clone());
        }
        let broken = answer.broken || self.received.broken;
        let failed = broken || answer.status >= 400;
        let path = self.client.url.split('?').next().unwrap_or_default();
        let summary = Summary {
            id: id.to_owned(),
            profile: self.profile.clone(),
            began: began.to_owned(),
            outcome: if failed { "failed" } else { "ok" }.into(),
            failed_at: broken.then(|| Stage::Received.name().to_owned()),
            error: match (broken, failed) {
                (true, _) => Some(format!("the upstream's {BROKE}as it was recorded")),
                (_, true) => Some(format!("the upstream answered {}", self.received.status)),
                _ => None,
            },
            method: self.client.method.clone(),
            path: path.to_owned(),
            operation: self.operation.clone(),
            stream: self.stream,
            provider: self.provider.clone(),
            model: self.model.clone(),
            answered_by: self.answered_by.clone(),
            upstream_status: Some(self.received.status),
            status: Some(answer.status),
            usage: self.usage,
            timings: Timings {
                sent_ms: Some(0.0),
                first_byte_ms: Some(self.received.head_ms),
                first_token_ms: self.received.chunks.first().map(|chunk| chunk.at_ms),
                total_ms: self.received.end_ms,
                ..Timings::default()
            },
            request_bytes: asked.len() as u64,
            response_bytes: returned.size,
            ..Summary::default()
        };
        Detail {
            summary,
            rest: Rest {
                stages: vec![client, sent, received, returned],
                calls: self.calls.iter().map(Call::told).collect(),
                chunks,
                returned_chunks: if self.returned.is_some() {
                    returned_chunks
                } else {
                    Vec::new()
                },
                ..Rest::default()
            },
        }
    }

    /// On one line, without its end.
    ///
    /// # Errors
    ///
    /// Never, as all keys are texts.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Call {
    fn told(&self) -> CallTold {
        CallTold {
            plugin: self.plugin.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            url: self.sent.url.clone(),
            headers: self.sent.headers.clone(),
            request: body(&self.sent.bytes()),
            status: Some(self.received.status),
            received: body(&self.received.body()),
            took_ms: self.received.end_ms,
            ..CallTold::default()
        }
    }
}

impl Request {
    fn has_body(&self) -> bool {
        self.body.is_some() || self.body_base64.is_some()
    }

    /// Its body.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let told = StageTold {
            body: self.body.clone().map(BodyTold::from),
            body_base64: self.body_base64.clone(),
            ..StageTold::default()
        };
        told.bytes()
    }

    fn told(&self, stage: Stage, body: &[u8]) -> StageTold {
        let mut told = StageTold {
            stage: stage.name().into(),
            method: Some(self.method.clone()),
            url: Some(self.url.clone()),
            headers: self.headers.clone(),
            size: body.len() as u64,
            ..StageTold::default()
        };
        told.set_body(body);
        told
    }
}

impl Response {
    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.bytes().into_owned())
            .collect()
    }

    fn told(&self, stage: Stage) -> (StageTold, Vec<ChunkTold>) {
        let body = self.body();
        let mut told = StageTold {
            stage: stage.name().into(),
            status: Some(self.status),
            headers: self.headers.clone(),
            size: body.len() as u64,
            ..StageTold::default()
        };
        told.set_body(&body);
        let chunks = self.chunks.iter().map(|chunk| ChunkTold {
            at_ms: chunk.at_ms,
            bytes: chunk.bytes().len() as u64,
        });
        (told, chunks.collect())
    }
}

impl Chunk {
    /// These bytes, that came at this time.
    #[must_use]
    pub fn new(at_ms: f64, bytes: &[u8]) -> Chunk {
        match std::str::from_utf8(bytes) {
            Ok(text) => Chunk {
                at_ms,
                text: Some(text.to_owned()),
                base64: None,
            },
            Err(_) => Chunk {
                at_ms,
                text: None,
                base64: Some(STANDARD.encode(bytes)),
            },
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match (&self.text, &self.base64) {
            (Some(text), _) => Cow::Borrowed(text.as_bytes()),
            (None, Some(coded)) => Cow::Owned(STANDARD.decode(coded).unwrap_or_default()),
            (None, None) => Cow::Borrowed(&[]),
        }
    }

    /// Why it is none.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        match (&self.text, &self.base64) {
            (Some(_), None) => None,
            (None, Some(coded)) if STANDARD.decode(coded).is_ok() => None,
            (None, Some(_)) => Some("`base64` is no base64"),
            _ => Some("a chunk has either `text` or `base64`"),
        }
    }
}
