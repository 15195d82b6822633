//! Sends spans: OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::time::{Duration, Instant};

use async_compression::tokio::write::GzipEncoder;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt, Limited};
use tokio::io::AsyncWriteExt;

use super::{
    json, protobuf,
    queue::{Queue, Waiting},
    settings::{Encoding, Settings},
    span::Span,
    told,
};
use crate::transport::{Dial, Transport, full};

/// What sends, as spans and requests name it.
const SCOPE: (&str, &str) = ("aiproxy", env!("CARGO_PKG_VERSION"));
const AGENT: &str = concat!("aiproxy/", env!("CARGO_PKG_VERSION"));

/// Most bytes of one request, before it is compressed: collectors take 4 to 20 MiB.
const LARGEST: usize = 4 << 20;

/// Largest answer that is read.
const MOST_ANSWERED: usize = 64 << 10;

/// The first wait before something is tried again; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Sends all that comes, to the end.
pub(super) async fn all(queue: &Queue, settings: &Settings, net: &dyn Transport) {
    let mut sender = Sender {
        queue,
        settings,
        net,
        broken: false,
        rejected: false,
    };
    while let Some(batch) = queue.take().await {
        sender.send(batch).await;
    }
}

/// Sends a request without spans.
pub(super) async fn probe(settings: &Settings, net: &dyn Transport) -> Result<(), String> {
    let body = written(settings, &[]).await;
    match once(settings, net, body).await {
        Ok(_) => Ok(()),
        Err(failed) => Err(failed.why),
    }
}

struct Sender<'a> {
    queue: &'a Queue,
    settings: &'a Settings,
    net: &'a dyn Transport,
    /// Spans are not taken, and that has been said.
    broken: bool,
    /// Some were refused, and that has been said.
    rejected: bool,
}

/// Why a request was not taken.
struct Failed {
    why: String,
    /// It may be taken later.
    again: bool,
    /// When, if the endpoint says so.
    after: Option<Duration>,
}

impl Failed {
    fn later(why: String) -> Failed {
        Failed {
            why,
            again: true,
            after: None,
        }
    }
}

impl Sender<'_> {
    /// Puts exchanges into words and sends them, in as many requests as that takes.
    async fn send(&mut self, batch: Vec<Waiting>) {
        let (mut spans, mut weight, mut exchanges) = (Vec::new(), 0, 0);
        for one in batch {
            let told = told::spans(&one.exchange, &one.redactor);
            // The record is not held any longer than it takes.
            drop(one);
            let more: usize = told.iter().map(Span::weight).sum();
            let full = weight + more > LARGEST
                || spans.len() + told.len() > self.settings.batch.size.max(told.len());
            if full && !spans.is_empty() {
                self.deliver(&std::mem::take(&mut spans), exchanges).await;
                (weight, exchanges) = (0, 0);
            }
            weight += more;
            exchanges += 1;
            spans.extend(told);
        }
        if !spans.is_empty() {
            self.deliver(&spans, exchanges).await;
        }
    }

    /// Sends one request, again and again while that may help and there is time.
    async fn deliver(&mut self, spans: &[Span], exchanges: u64) {
        let end = Instant::now() + self.settings.batch.limit;
        let body = written(self.settings, spans).await;
        let mut wait = FIRST_WAIT;
        loop {
            let failed = match once(self.settings, self.net, body.clone()).await {
                Ok(rejected) => return self.taken(rejected),
                Err(failed) => failed,
            };
            self.failed(&failed.why);
            let pause = failed.after.unwrap_or(wait);
            wait = wait.saturating_mul(2);
            let late = Instant::now() + pause > end;
            if !failed.again || late || !self.queue.pause(pause).await {
                return self.queue.lose(exchanges);
            }
        }
    }

    /// A request was taken, but for so many spans.
    fn taken(&mut self, rejected: Option<(u64, String)>) {
        let place = self.settings.place();
        if std::mem::take(&mut self.broken) {
            tracing::warn!("spans are taken again by {place}");
        }
        if let Some((count, why)) = rejected
            && (count > 0 || !why.is_empty())
            && !std::mem::replace(&mut self.rejected, true)
        {
            let why = line(&why);
            tracing::warn!("{place} did not take {count} spans: {why}");
        }
    }

    /// Said once, until it works again.
    fn failed(&mut self, why: &str) {
        if !std::mem::replace(&mut self.broken, true) {
            tracing::warn!("spans are not taken by {}: {why}", self.settings.place());
        }
    }
}

/// A request's body.
async fn written(settings: &Settings, spans: &[Span]) -> Vec<u8> {
    let body = match settings.encoding {
        Encoding::Protobuf => protobuf::request(&settings.resource, SCOPE, spans),
        Encoding::Json => json::request(&settings.resource, SCOPE, spans),
    };
    if !settings.gzip {
        return body;
    }
    let mut encoder = GzipEncoder::new(Vec::new());
    // Into memory: it does not fail.
    let _ = encoder.write_all(&body).await;
    let _ = encoder.shutdown().await;
    encoder.into_inner()
}

/// Sends a request once; what of it was refused though the rest was taken.
async fn once(
    settings: &Settings,
    net: &dyn Transport,
    body: Vec<u8>,
) -> Result<Option<(u64, String)>, Failed> {
    let limit = settings.timeout;
    let sent = tokio::time::timeout(limit, exchange(settings, net, body)).await;
    let response = sent.unwrap_or_else(|_| {
        let ms = limit.as_millis();
        Err(Failed::later(format!("no answer within {ms} ms")))
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(match settings.encoding {
            Encoding::Protobuf => protobuf::rejected(response.body()),
            Encoding::Json => json::rejected(response.body()),
        });
    }
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
    Err(Failed {
        why: match said(response.body()) {
            text if text.is_empty() => format!("it answered {}", status.as_u16()),
            text => format!("it answered {}: {text}", status.as_u16()),
        },
        again: [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ]
        .contains(&status),
        after: after.map(Duration::from_secs),
    })
}

async fn exchange(
    settings: &Settings,
    net: &dyn Transport,
    body: Vec<u8>,
) -> Result<Response<Vec<u8>>, Failed> {
    let mut request = Request::new(full(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = settings.endpoint.clone();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &settings.headers {
        headers.insert(name.clone(), value.clone());
    }
    let content_type = settings.encoding.content_type();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if settings.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let dial = Dial {
        connect_timeout: settings.timeout,
        first_byte_timeout: settings.timeout,
        whole: true,
        ..Dial::default()
    };
    let sent = net.send(request, &dial).await;
    let (head, body) = sent
        .map_err(|error| Failed::later(error.to_string()))?
        .into_parts();
    // What it says beside its status is of use, not needed.
    let body = Limited::new(body, MOST_ANSWERED).boxed_unsync();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(_) => Vec::new(),
    };
    Ok(Response::from_parts(head, body))
}

/// What a body says in plain words, if it does.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.and_then(|json| Some(json.get("message")?.as_str()?.to_owned()));
    let text = message.or_else(|| {
        let text = std::str::from_utf8(body).ok()?;
        (!text.trim_start().starts_with('<') && !text.contains('\0')).then(|| text.to_owned())
    });
    line(&text.unwrap_or_default())
}

/// The beginning of a text, on one line.
fn line(text: &str) -> String {
    let text = text.trim().chars().take(200);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
