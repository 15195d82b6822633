//! An answer as this side of the wire sees it, where nobody recorded it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header::CONTENT_TYPE, response::Parts};
use serde_json::Value;

use crate::{
    dialect::{Egress, anthropic::Anthropic, openai_chat::OpenAiChat},
    exchange::told::{Detail, PartTold, Rest, StageTold, Summary, Timings, Tokens},
    llm::{Accumulator, ChatResponse, Event, Part, Sink},
    pipeline::MODEL_HEADER,
    wire::{Framer, MAX_FRAME},
};

/// Bytes of an answer, and when they came.
pub(in crate::cli) struct Piece {
    pub(in crate::cli) at: Duration,
    pub(in crate::cli) bytes: Bytes,
}

/// What was seen of an exchange.
pub(in crate::cli) struct Seen {
    summary: Summary,
    head: Option<Parts>,
    first_byte: Duration,
    pub(in crate::cli) pieces: Vec<Piece>,
    pub(super) took: Duration,
    /// Why the answer ended before its end.
    pub(super) broke: Option<String>,
}

impl Seen {
    pub(in crate::cli) fn new(profile: &str, method: &Method, path: &str) -> Seen {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Seen {
            summary: Summary {
                profile: profile.to_owned(),
                began: format!("{:.3}", jiff::Timestamp::now()),
                method: method.to_string(),
                path: path.to_owned(),
                ..Summary::default()
            },
            head: None,
            first_byte: Duration::ZERO,
            pieces: Vec::new(),
            took: Duration::ZERO,
            broke: None,
        }
    }

    /// The answer's headers are there.
    pub(in crate::cli) fn head(&mut self, parts: Parts, after: Duration) {
        (self.head, self.first_byte) = (Some(parts), after);
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.head.as_ref()?.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The name that the other side gave it.
    pub(super) fn id(&self) -> Option<String> {
        self.header("x-aiproxy-exchange")
    }

    /// There was no answer at all.
    pub(super) fn failed(self, why: &str) -> Detail {
        let took = millis(self.took);
        let mut summary = self.summary;
        summary.outcome = "failed".into();
        summary.error = Some(why.to_owned());
        summary.timings.total_ms = took;
        Detail {
            summary,
            ..Detail::default()
        }
    }

    /// All that can be said of it.
    pub(in crate::cli) fn told(mut self) -> Detail {
        let body: Vec<u8> = self
            .pieces
            .iter()
            .flat_map(|piece| piece.bytes.iter().copied())
            .collect();
        let status = self.head.as_ref().map_or(0, |head| head.status.as_u16());
        let media = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media = media
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let read = self.read(status, &media, &body);
        let named = self.header(MODEL_HEADER.as_str()).unwrap_or_default();
        let (provider, model) = named.split_once('/').unwrap_or_default();
        let id = self.id().unwrap_or_default();
        let summary = &mut self.summary;
        summary.id = id;
        (summary.provider, summary.model) = (provider.to_owned(), model.to_owned());
        summary.answered_by = read.answer.model;
        summary.stream = media == "text/event-stream";
        summary.status = Some(status);
        summary.usage = read.answer.usage.map(Tokens::from);
        summary.response_bytes = body.len() as u64;
        summary.timings = Timings {
            first_byte_ms: Some(millis(self.first_byte)),
            first_token_ms: read.first.map(millis),
            total_ms: millis(self.took),
            ..Timings::default()
        };
        summary.error = self.broke.or(read.error);
        summary.outcome = if summary.error.is_some() || status >= 400 {
            "failed"
        } else {
            "ok"
        }
        .into();
        let mut returned = StageTold {
            stage: "returned".into(),
            status: Some(status),
            size: body.len() as u64,
            ..StageTold::default()
        };
        returned.set_body(&body);
        Detail {
            summary: self.summary,
            rest: Rest {
                stages: vec![returned],
                parts: parts(&read.answer.choices),
                ..Rest::default()
            },
        }
    }

    /// Reads the answer in the format that its path stands for.
    fn read(&self, status: u16, media: &str, body: &[u8]) -> Read {
        if status >= 400 {
            let json: Value = serde_json::from_slice(body).unwrap_or_default();
            let message = json.pointer("/error/message").and_then(Value::as_str);
            return Read {
                error: Some(message.map_or_else(|| format!("status {status}"), str::to_owned)),
                ..Read::default()
            };
        }
        let egress: &dyn Egress = if self.summary.path.ends_with("/messages") {
            &Anthropic
        } else {
            &OpenAiChat
        };
        if media == "text/event-stream" {
            return stream(egress, &self.pieces);
        }
        Read {
            answer: egress.decode_response(body).unwrap_or_default(),
            ..Read::default()
        }
    }
}

/// What an answer says.
#[derive(Default)]
struct Read {
    answer: ChatResponse,
    /// When its first content came.
    first: Option<Duration>,
    error: Option<String>,
}

/// Puts a stream together. One that is of another format stays as it is.
fn stream(egress: &dyn Egress, pieces: &[Piece]) -> Read {
    let Some(framing) = egress.framing("text/event-stream") else {
        return Read::default();
    };
    let (mut framer, mut decoder) = (Framer::new(framing, MAX_FRAME), egress.stream_decoder());
    let mut answer = Accumulator::default();
    let mut first = None;
    let mut pieces = pieces.iter();
    loop {
        let piece = pieces.next();
        if let Some(piece) = piece {
            framer.feed(piece.bytes.clone());
        }
        loop {
            let Ok(next) = framer.frame() else {
                return Read::default();
            };
            let ended = piece.is_none();
            let Some(frame) = next.or_else(|| ended.then(|| framer.finish()).flatten()) else {
                break;
            };
            let mut keep = |event: Event<'_>| {
                if event.is_content() {
                    first = first.or(piece.map(|piece| piece.at));
                }
                answer.event(event);
            };
            if decoder.frame(&frame, &mut keep).is_err() {
                return Read::default();
            }
        }
        if piece.is_none() {
            break;
        }
    }
    let failed = answer.failed().map(str::to_owned);
    let cut = || "the answer broke off before its end".to_owned();
    Read {
        error: failed.or_else(|| (!decoder.is_complete()).then(cut)),
        answer: answer.into_response(),
        first,
    }
}

/// The blocks of the answers, in the form of recorded ones.
fn parts(choices: &[crate::llm::Choice]) -> Vec<PartTold> {
    let mut parts = Vec::new();
    for (choice, answer) in (0..).zip(choices) {
        for part in &answer.parts {
            let (kind, text) = match part {
                Part::Text(text) => ("text", text),
                Part::Refusal(text) => ("refusal", text),
                Part::Thinking { text, .. } => ("thinking", text),
                Part::ToolCall { arguments, .. } => ("tool_call", arguments),
                _ => continue,
            };
            let (id, name) = match part {
                Part::ToolCall { id, name, .. } => (Some(id.clone()), Some(name.clone())),
                _ => (None, None),
            };
            parts.push(PartTold {
                choice,
                kind: kind.to_owned(),
                id,
                name,
                text: text.clone(),
            });
        }
    }
    parts
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
