//! One request's record, while it runs and after.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::Method;

use super::{
    ExchangeId, Ledger, estimate,
    kept::{Kept, Material},
    stages::{CallLog, LlmCall, Snapshot, cost},
};
use crate::llm::{ChatResponse, Event, Usage};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has its answer.
    Completed,
    /// It got an error; the text says which.
    Failed(String),
    /// It left before the end.
    Cancelled,
}

/// What is known of one request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name.
    pub id: ExchangeId,
    /// The profile that it went through.
    pub profile: Arc<str>,
    /// When it began.
    pub began: SystemTime,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// The request's method.
    pub method: Method,
    /// The request's path, without the query. Empty if nobody watches.
    pub path: String,
    /// Bytes of the request's body, inflated; of an unread one those so far. `None` if it was not taken.
    pub request_size: Option<Arc<AtomicU64>>,
    /// The provider's name; empty until one is found.
    pub provider: &'static str,
    /// What was asked for, as Kong's route type.
    pub operation: &'static str,
    /// The model that was asked.
    pub model: String,
    /// The model that answered, as the provider names it.
    pub answered_by: String,
    /// The upstream's status.
    pub upstream_status: Option<u16>,
    /// The status that the client got.
    pub status: Option<u16>,
    /// Token counts, if the provider sent them.
    pub usage: Option<Usage>,
    /// From the beginning to the request's way upstream.
    pub sent_after: Option<Duration>,
    /// From the beginning to the upstream's headers.
    pub headers_after: Option<Duration>,
    /// From the beginning to the first text.
    pub first_token_after: Option<Duration>,
    /// From the beginning to the end.
    pub took: Duration,
    /// Bytes of the answer's body as the client got it.
    pub bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What the profile wants logged; `None` if nothing, or if nobody logs.
    pub log: Option<Box<Material>>,
    /// The calls of transformers' LLMs, in order.
    pub calls: Vec<LlmCall>,
    /// What is to be logged of each of `calls`.
    pub call_logs: Vec<Option<Box<CallLog>>>,
    /// What was lost on the way to the provider: `dropped:logprobs`.
    pub warnings: Vec<String>,
}

/// Writes one record. Dropping it closes the record.
#[derive(Debug)]
pub struct Recorder {
    ledger: Arc<Ledger>,
    start: Instant,
    /// `None` once closed.
    exchange: Option<Box<Exchange>>,
    /// The stages so far, where somebody watches.
    watched: Option<Vec<Snapshot>>,
}

impl Recorder {
    pub(super) fn new(ledger: Arc<Ledger>, profile: Arc<str>) -> Recorder {
        let exchange = Exchange {
            id: ExchangeId::random(),
            profile,
            began: SystemTime::now(),
            client: None,
            method: Method::GET,
            path: String::new(),
            request_size: None,
            provider: "",
            operation: "",
            model: String::new(),
            answered_by: String::new(),
            upstream_status: None,
            status: None,
            usage: None,
            sent_after: None,
            headers_after: None,
            first_token_after: None,
            took: Duration::ZERO,
            bytes: 0,
            outcome: Outcome::Cancelled,
            log: None,
            calls: Vec::new(),
            call_logs: Vec::new(),
            warnings: Vec::new(),
        };
        Recorder {
            ledger,
            start: Instant::now(),
            exchange: Some(Box::new(exchange)),
            watched: None,
        }
    }

    /// The exchange's name.
    #[must_use]
    pub fn id(&self) -> Option<ExchangeId> {
        self.exchange.as_ref().map(|exchange| exchange.id)
    }

    /// Who asks for what.
    pub fn received(&mut self, client: Option<IpAddr>, method: &Method, path: &str) {
        if let Some(exchange) = &mut self.exchange
            && self.ledger.is_watched()
        {
            exchange.client = client;
            exchange.method = method.clone();
            path.clone_into(&mut exchange.path);
        }
    }

    /// The request's body has so many bytes, or they are counted while it goes by.
    pub fn request_size(&mut self, size: impl FnOnce() -> Arc<AtomicU64>) {
        if let Some(exchange) = &mut self.exchange
            && self.ledger.is_watched()
        {
            exchange.request_size = Some(size());
        }
    }

    /// Whether somebody logs what a profile asks for.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.exchange.is_some() && self.ledger.reads_bodies()
    }

    /// This is to be logged.
    pub fn log(&mut self, material: Material) {
        if let Some(exchange) = &mut self.exchange {
            exchange.log = Some(Box::new(material));
        }
    }

    /// What is to be logged, if anything is.
    pub fn material(&mut self) -> Option<&mut Material> {
        self.exchange.as_mut()?.log.as_deref_mut()
    }

    /// From now on, stages and all of the calls are kept in memory.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Whether somebody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// A stage is reached. Made only where somebody watches.
    pub fn stage(&mut self, snapshot: impl FnOnce() -> Snapshot) {
        if let Some(stages) = &mut self.watched {
            stages.push(snapshot());
        }
    }

    /// The stages so far; none unless somebody watches.
    #[must_use]
    pub fn stages(&self) -> &[Snapshot] {
        self.watched.as_deref().unwrap_or_default()
    }

    /// A transformer's LLM was called. Tokens that it does not tell are counted at once where somebody watches, else for the log.
    pub fn called(&mut self, mut call: LlmCall, log: Option<CallLog>) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        if self.watched.is_some()
            && call.answer.is_some()
            && call.usage.is_none()
            && let Some(log) = &log
        {
            call.usage = estimate::usage(&log.material);
            let material = &log.material;
            call.cost = call
                .usage
                .and_then(|usage| cost(&usage, material.input_cost, material.output_cost));
        }
        exchange.calls.push(call);
        let log = log.filter(|_| self.ledger.reads_bodies());
        exchange.call_logs.push(log.map(Box::new));
    }

    /// The calls of transformers' LLMs so far.
    #[must_use]
    pub fn calls(&self) -> &[LlmCall] {
        let exchange = self.exchange.as_deref();
        exchange.map_or(&[], |exchange| exchange.calls.as_slice())
    }

    /// This was lost on the way.
    pub fn warn(&mut self, warning: String) {
        if let Some(exchange) = &mut self.exchange {
            exchange.warnings.push(warning);
        }
    }

    /// What was lost on the way so far: `dropped:logprobs`.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        let exchange = self.exchange.as_deref();
        exchange.map_or(&[], |exchange| exchange.warnings.as_slice())
    }

    /// Provider, operation and model are known.
    pub fn routed(&mut self, provider: &'static str, operation: &'static str, model: &str) {
        if let Some(exchange) = &mut self.exchange {
            exchange.provider = provider;
            exchange.operation = operation;
            model.clone_into(&mut exchange.model);
        }
    }

    /// The request leaves.
    pub fn sent(&mut self) {
        let after = self.start.elapsed();
        if let Some(exchange) = &mut self.exchange {
            exchange.sent_after = Some(after);
            let (id, model) = (exchange.id, &exchange.model);
            tracing::debug!("{id} sent to {} {model:?}", exchange.provider);
        }
    }

    /// The upstream's headers are there.
    pub fn answered(&mut self, status: u16) {
        let after = self.start.elapsed();
        if let Some(exchange) = &mut self.exchange {
            exchange.upstream_status = Some(status);
            exchange.headers_after = Some(after);
            tracing::debug!(
                "{} upstream answered {status} after {after:.2?}",
                exchange.id
            );
        }
    }

    /// One event of a stream.
    pub fn observe(&mut self, event: &Event<'_>) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        if let Some(material) = &mut exchange.log {
            material.said.observe(event);
        }
        match event {
            Event::Start { model, .. } => (**model).clone_into(&mut exchange.answered_by),
            Event::Usage(usage) => exchange.usage = Some(*usage),
            Event::Failed { message, .. } => {
                exchange.outcome = Outcome::Failed(message.to_string());
            }
            Event::End => exchange.outcome = Outcome::Completed,
            _ if exchange.first_token_after.is_none() && event.is_content() => {
                exchange.first_token_after = Some(self.start.elapsed());
            }
            _ => {}
        }
    }

    /// A whole answer.
    pub fn whole(&mut self, response: &ChatResponse) {
        let after = self.start.elapsed();
        if let Some(exchange) = &mut self.exchange {
            exchange.answered_by.clone_from(&response.model);
            exchange.usage = response.usage;
            exchange.first_token_after = Some(after);
            if let Some(material) = &mut exchange.log
                && material.statistics
                && response.usage.is_none()
            {
                material.said.whole(response);
            }
        }
    }

    /// The client gets an answer of this status.
    pub fn responding(&mut self, status: u16) {
        if let Some(exchange) = &mut self.exchange {
            exchange.status = Some(status);
        }
    }

    /// The whole answer's body, in the client's format and inflated.
    pub fn body(&mut self, body: &Bytes) {
        if let Some(material) = self.material()
            && material.payloads
        {
            material.response = Some(Kept::of(body));
        }
    }

    /// Bytes of the answer went to the client.
    pub fn passed(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.bytes = exchange.bytes.saturating_add(bytes as u64);
        }
    }

    /// The client gets an error instead of an answer, with a body of so many bytes.
    pub fn refused(&mut self, status: u16, bytes: u64, message: &str) {
        if let Some(exchange) = &mut self.exchange {
            exchange.status = Some(status);
            exchange.bytes = bytes;
        }
        self.failed(message);
    }

    /// It failed.
    pub fn failed(&mut self, message: &str) {
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = Outcome::Failed(message.to_owned());
        }
        self.finish();
    }

    /// The client has all that there was.
    pub fn close(&mut self) {
        if let Some(exchange) = &mut self.exchange
            && exchange.outcome == Outcome::Cancelled
        {
            exchange.outcome = Outcome::Completed;
        }
        self.finish();
    }

    fn finish(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.took = self.start.elapsed();
            self.ledger.close(*exchange);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
    }
}
