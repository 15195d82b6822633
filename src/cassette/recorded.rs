//! Lines of records: what of an exchange is worth keeping beside tests.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::line::{Call, Chunk, Line, Request, Response};
use crate::exchange::{
    MASK, SECRET, Stage,
    told::{BodyTold, CallTold, ChunkTold, Detail, StageTold, Summary},
};

/// How a record says that the connection broke inside an answer.
pub(super) const BROKE: &str = "answer broke: ";

/// The same of a stream that is read.
const STREAM_BROKE: &str = "stream broke: ";

/// Why an exchange cannot be a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It is not over.
    Live,
    /// Its client left before its end.
    Cancelled,
    /// Nothing was sent upstream, or nothing came back.
    Unanswered,
    /// Not all of its bodies was kept.
    Cut,
    /// A secret stood in bytes that are no text.
    Secret,
}

impl LeftOut {
    /// For people, after a number.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            LeftOut::Live => "still running",
            LeftOut::Cancelled => "cancelled by the client",
            LeftOut::Unanswered => "without an upstream's answer",
            LeftOut::Cut => "not kept as a whole (1 MiB a stage is)",
            LeftOut::Secret => "with a secret inside bytes that cannot be shown without it",
        }
    }
}

impl Line {
    /// Of a record.
    ///
    /// # Errors
    ///
    /// If there is no whole answer in it.
    pub fn of(detail: &Detail) -> Result<Line, LeftOut> {
        let summary = &detail.summary;
        match summary.outcome.as_str() {
            "live" => return Err(LeftOut::Live),
            "cancelled" => return Err(LeftOut::Cancelled),
            _ => {}
        }
        let stage = |stage: Stage| detail.stage(stage.name());
        let (Some(client), Some(sent), Some(received)) = (
            stage(Stage::Client),
            stage(Stage::Sent),
            stage(Stage::Received),
        ) else {
            return Err(LeftOut::Unanswered);
        };
        let client_body = whole(detail, client)?;
        let sent_body = whole(detail, sent)?;
        let answer = whole(detail, received)?;
        let mut own = request(client, &client_body);
        own.url = client_url(summary, &own.url);
        let sent = request(sent, &sent_body);
        if own.body.as_deref().map(RawValue::get) == sent.body.as_deref().map(RawValue::get)
            && own.body_base64 == sent.body_base64
        {
            (own.body, own.body_base64) = (None, None);
        }
        let returned = match stage(Stage::Returned) {
            Some(returned) if returned.status.is_some() => {
                let body = whole(detail, returned)?;
                let same = body == answer && returned.status == received.status;
                (!same).then_some((returned, body))
            }
            _ => None,
        };
        let times = Times::of(summary);
        let returned = returned
            .map(|(stage, body)| times.response(stage, &body, &detail.rest.returned_chunks))
            .transpose()?;
        Ok(Line {
            profile: summary.profile.clone(),
            provider: summary.provider.clone(),
            operation: summary.operation.clone(),
            model: summary.model.clone(),
            answered_by: summary.answered_by.clone(),
            stream: summary.stream,
            usage: summary.usage.filter(|usage| !usage.estimated),
            calls: detail.rest.calls.iter().filter_map(call).collect(),
            client: own,
            sent,
            received: times.response(received, &answer, &detail.rest.chunks)?,
            returned,
        })
    }
}

/// The client's path and query: what follows the profile is what a stage keeps.
fn client_url(summary: &Summary, url: &str) -> String {
    match url.split_once('?') {
        _ if summary.path.is_empty() => url.to_owned(),
        Some((_, query)) => format!("{}?{query}", summary.path),
        None => summary.path.clone(),
    }
}

/// A stage's body, all of it.
fn whole(detail: &Detail, stage: &StageTold) -> Result<Vec<u8>, LeftOut> {
    let shared = stage.same_as.as_deref().and_then(|of| detail.stage(of));
    let source = shared.unwrap_or(stage);
    if source.truncated {
        return Err(LeftOut::Cut);
    }
    let bytes = source.bytes();
    // A body that passed unread is counted, and may not be kept.
    if bytes.is_empty() && source.size > 0 {
        return Err(LeftOut::Cut);
    }
    Ok(bytes)
}

/// A call that was answered.
fn call(told: &CallTold) -> Option<Call> {
    let bytes = |body: &Option<Box<RawValue>>| {
        let told = StageTold {
            body: body.clone().map(BodyTold::from),
            ..StageTold::default()
        };
        told.bytes()
    };
    let stage = StageTold {
        method: Some("POST".into()),
        url: Some(told.url.clone()),
        headers: told.headers.clone(),
        ..StageTold::default()
    };
    let answer = bytes(&told.received);
    let took = (told.took_ms * 100.0).round() / 100.0;
    let json = || {
        let json = Value::from("application/json");
        std::iter::once(("content-type".to_owned(), json)).collect()
    };
    told.received.as_ref().map(|_| Call {
        plugin: told.plugin.clone(),
        provider: told.provider.clone(),
        model: told.model.clone(),
        sent: request(&stage, &bytes(&told.request)),
        received: Response {
            status: told.status.unwrap_or(200),
            headers: json(),
            head_ms: took,
            chunks: vec![Chunk::new(took, &answer)],
            end_ms: took,
            broken: false,
        },
    })
}

fn request(stage: &StageTold, bytes: &[u8]) -> Request {
    let (body, body_base64) = match sorted_body(bytes) {
        _ if bytes.is_empty() => (None, None),
        Some(body) => (Some(body), None),
        None => (None, Some(STANDARD.encode(bytes))),
    };
    Request {
        method: stage.method.clone().unwrap_or_default(),
        url: stage.url.clone().unwrap_or_default(),
        headers: kept(&stage.headers, |name, _| {
            is_fresh(name) || is_secret(name) || is_account(name)
        }),
        body,
        body_base64,
    }
}

/// Headers without those that are secret, or that this takes out; by name.
fn kept(headers: &Map<String, Value>, out: impl Fn(&str, &Value) -> bool) -> Map<String, Value> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.contains(SECRET) || text.contains(MASK),
        _ => false,
    };
    let masked = |value: &Value| match value {
        Value::Array(all) => all.iter().any(shown),
        one => shown(one),
    };
    let names: BTreeMap<&String, &Value> = headers
        .iter()
        .filter(|(name, value)| !out(name, value) && !masked(value))
        .collect();
    names
        .into_iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What belongs to a connection, or is another one in each request.
fn is_fresh(name: &str) -> bool {
    const FRESH: &[&str] = &[
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "baggage",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "host",
        "idempotency-key",
        "keep-alive",
        "request-id",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-client-request-id",
        "x-request-id",
    ];
    FRESH.contains(&name) || name.starts_with("x-stainless-") || name.starts_with("sec-")
}

/// What names an account, or the network between: it says nothing of an answer.
fn is_account(name: &str) -> bool {
    name.contains("organization") || name.contains("project") || name.starts_with("cf-")
}

/// What may hold a credential by its name: a file that is shared has none, known or not.
fn is_secret(name: &str) -> bool {
    [
        "auth",
        "cookie",
        "credential",
        "key",
        "password",
        "secret",
        "token",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// When things happened, as a record tells it.
struct Times {
    sent: f64,
    head: f64,
    body: f64,
    end: f64,
    broken: bool,
}

impl Times {
    fn of(summary: &Summary) -> Times {
        let timings = &summary.timings;
        let sent = timings.sent_ms.unwrap_or_default();
        let head = timings.first_byte_ms.unwrap_or(sent);
        let end = timings.total_ms.max(head);
        let broken = summary.error.as_deref().is_some_and(|error| {
            summary.failed_at.as_deref() == Some(Stage::Received.name())
                && (error.contains(BROKE) || error.contains(STREAM_BROKE))
        });
        Times {
            sent,
            head,
            // A whole answer is read at once, and heard when it is there.
            body: timings.first_token_ms.unwrap_or(end).clamp(head, end),
            end,
            broken,
        }
    }

    /// Milliseconds since the request was sent, without digits that mean nothing.
    fn since(&self, at: f64) -> f64 {
        ((at - self.sent).max(0.0) * 100.0).round() / 100.0
    }

    fn response(
        &self,
        stage: &StageTold,
        body: &[u8],
        pieces: &[ChunkTold],
    ) -> Result<Response, LeftOut> {
        let mut chunks = Vec::new();
        let mut rest = body;
        for piece in pieces {
            let length = usize::try_from(piece.bytes).map_err(|_| LeftOut::Secret)?;
            let (chunk, after) = rest.split_at_checked(length).ok_or(LeftOut::Secret)?;
            rest = after;
            chunks.push(Chunk::new(self.since(piece.at_ms), chunk));
        }
        if !rest.is_empty() {
            // Pieces that are told are told all.
            if !pieces.is_empty() {
                return Err(LeftOut::Secret);
            }
            chunks.push(Chunk::new(self.since(self.body), rest));
        }
        let inflated = std::str::from_utf8(body).is_ok() || is_event_stream(stage);
        Ok(Response {
            status: stage.status.unwrap_or_default(),
            headers: kept(&stage.headers, |name, _| {
                // An unread body is kept as it came; one that is read, inflated.
                matches!(
                    name,
                    "alt-svc"
                        | "connection"
                        | "content-length"
                        | "date"
                        | "keep-alive"
                        | "set-cookie"
                        | "trailer"
                        | "transfer-encoding"
                        | "x-aiproxy-exchange"
                ) || is_account(name)
                    || inflated && name == "content-encoding"
            }),
            head_ms: self.since(self.head),
            chunks,
            end_ms: self.since(self.end),
            broken: self.broken,
        })
    }
}

/// Whether a body is Amazon's binary stream, which is no text inflated either.
fn is_event_stream(stage: &StageTold) -> bool {
    let told = stage.headers.get("content-type").and_then(Value::as_str);
    told.is_some_and(|told| told.contains("vnd.amazon.eventstream"))
}

/// A body as JSON: what is JSON with its keys in order and no blanks, other text as a string. `None` if it is no text.
fn sorted_body(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    // What is nested too deeply for this is a text.
    let is_json =
        text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok();
    let sorted = is_json
        .then(|| RawValue::from_string(text.to_owned()).ok())
        .flatten()
        .and_then(|json| sorted(&json));
    match sorted {
        Some(sorted) => RawValue::from_string(sorted).ok(),
        None => to_raw_value(text).ok(),
    }
}

/// The same JSON with keys in order; numbers and strings as they are written.
fn sorted(json: &RawValue) -> Option<String> {
    let text = json.get().trim();
    let mut out = String::new();
    match text.as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            for (number, (key, value)) in fields.into_iter().enumerate() {
                out.push(if number == 0 { '{' } else { ',' });
                out.push_str(&serde_json::to_string(&key).ok()?);
                out.push(':');
                out.push_str(&sorted(value)?);
            }
            out.push_str(if out.is_empty() { "{}" } else { "}" });
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            for (number, value) in items.into_iter().enumerate() {
                out.push(if number == 0 { '[' } else { ',' });
                out.push_str(&sorted(value)?);
            }
            out.push_str(if out.is_empty() { "[]" } else { "]" });
        }
        _ => out.push_str(text),
    }
    Some(out)
}

#[cfg(test)]
mod tests;
