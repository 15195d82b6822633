//! What writes one request's record.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use http::Method;

use super::{
    ExchangeId, Ledger, estimate,
    kept::{Kept, Material},
    live::{Live, Tap, append, micros},
    mask::{Fields, masked},
    notices,
    pieces::Pieces,
    record::{Exchange, Outcome},
    spoken::{Retold, is_told},
    stages::{Body, CallLog, Edit, Head, Held, LlmCall, Snapshot, Stage, cost},
};
use crate::llm::{ChatResponse, Event, Sink, Tells, events_of};

/// Writes one record. Dropping it closes the record.
#[derive(Debug)]
pub struct Recorder {
    pub(super) ledger: Arc<Ledger>,
    id: ExchangeId,
    /// `None` once closed.
    live: Option<Arc<Live>>,
    /// The stages so far, where somebody watches.
    watched: Option<Vec<Snapshot>>,
}

impl Recorder {
    pub(super) fn new(ledger: Arc<Ledger>, profile: Arc<str>) -> Recorder {
        let (id, live) = Live::open(profile);
        ledger.begin(id, &live);
        Recorder {
            ledger,
            id,
            live: Some(live),
            watched: None,
        }
    }

    /// The exchange's name.
    #[must_use]
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// The record as it is now.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Exchange {
        self.with(|exchange| exchange.clone()).unwrap()
    }

    /// Changes the record, while it is open.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        let live = self.live.as_ref()?;
        Some(change(&mut live.lock()))
    }

    /// Who asks for what.
    pub fn received(&self, client: Option<IpAddr>, method: &Method, path: &str) {
        if !self.ledger.is_watched() {
            return;
        }
        self.with(|exchange| {
            exchange.client = client;
            exchange.method = method.clone();
            path.clone_into(&mut exchange.path);
            let seq = self.ledger.tell(|seq| notices::opened(exchange, seq));
            let [opened, ..] = &mut exchange.numbers;
            *opened = seq;
        });
    }

    /// The request's body has so many bytes, or they are counted while it goes by.
    pub fn request_size(&self, size: impl FnOnce() -> Arc<AtomicU64>) {
        if self.ledger.is_watched() {
            self.with(|exchange| exchange.request_size = Some(size()));
        }
    }

    /// Whether somebody logs what a profile asks for.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.live.is_some() && self.ledger.reads_bodies()
    }

    /// This is to be logged.
    pub fn log(&self, material: Material) {
        self.with(|exchange| exchange.log = Some(Box::new(material)));
    }

    /// Changes what is to be logged, if anything is.
    pub fn material(&self, change: impl FnOnce(&mut Material)) {
        self.with(|exchange| exchange.log.as_deref_mut().map(change));
    }

    /// These values are not to be shown to anybody.
    pub fn secrets<'s>(&self, values: impl Iterator<Item = &'s str>) {
        self.ledger.hide(values);
    }

    /// The parameter of query or body that holds the profile's key.
    pub fn key_param(&self, name: &str) {
        self.with(|exchange| exchange.param = Some(name.to_owned()));
    }

    /// From now on, stages and all of the calls are kept in memory, whole.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Whether somebody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Whether stages are kept, by the record or by whoever watches.
    #[must_use]
    pub fn keeps_stages(&self) -> bool {
        self.watched.is_some() || self.live.is_some() && self.ledger.captures()
    }

    /// This stage is being worked on.
    pub fn reaching(&self, stage: Stage) {
        self.with(|exchange| exchange.at = stage);
    }

    /// A stage is reached, with all of its body. The head is made only where it is kept.
    pub fn stage<'h>(&mut self, stage: Stage, body: &Bytes, head: impl FnOnce() -> Head<'h>) {
        if !self.keeps_stages() {
            return;
        }
        let head = head();
        if let Some(stages) = &mut self.watched {
            stages.push(Snapshot {
                stage,
                method: head.method.cloned(),
                url: head.url.as_ref().map(|url| url.text().into_owned()),
                status: head.status,
                headers: masked(head.headers, &head.secrets),
                body: body.clone(),
            });
        }
        self.hold(stage, head, Reached::Whole(body));
    }

    /// A stage is reached, whose body comes piece by piece.
    pub fn streams<'h>(&self, stage: Stage, head: impl FnOnce() -> Head<'h>) {
        if self.keeps_stages() {
            self.hold(stage, head(), Reached::Pieces);
        }
    }

    /// A stage is reached, whose body is that of an earlier one.
    pub fn passes<'h>(&self, stage: Stage, body_of: Stage, head: impl FnOnce() -> Head<'h>) {
        if self.keeps_stages() {
            self.hold(stage, head(), Reached::Same(body_of));
        }
    }

    /// Keeps a stage. For all of them the same code: it runs several times a request, and the processor has to fetch it each time.
    #[inline(never)]
    fn hold(&self, stage: Stage, head: Head<'_>, body: Reached<'_>) {
        let Some(live) = self.live.as_ref().filter(|_| self.ledger.captures()) else {
            return;
        };
        let (at, full) = (live.now(), self.ledger.is_full());
        let mut exchange = live.lock();
        if stage == Stage::Received
            && let Reached::Whole(body) = body
            && self.ledger.wants_raw()
        {
            self.ledger
                .tell(|seq| notices::raw(&exchange, body, at, seq));
        }
        let body = match body {
            Reached::Whole(body) => exchange.whole(stage, body, full),
            Reached::Pieces => Body::Pieces(Pieces::default()),
            Reached::Same(stage) => Body::Same(stage),
        };
        if exchange.stages.capacity() == 0 {
            // A request has four, as a rule.
            exchange.stages.reserve_exact(4);
        }
        let blank = exchange.blank.pop().unwrap_or_default();
        let param = exchange.param.as_deref();
        let url = head.url.map(|url| match param {
            Some(param) => url.without(param),
            None => url,
        });
        exchange.stages.push(Held {
            stage,
            seq: 0,
            at,
            method: head.method.cloned(),
            url,
            status: head.status,
            headers: Fields::into(blank, head.headers, &head.secrets),
            body,
        });
        let seq = self
            .ledger
            .tell(|seq| notices::stage(&exchange, exchange.stages.last(), seq));
        if let Some(held) = exchange.stages.last_mut() {
            held.seq = seq;
            let weight = held.weight();
            self.ledger.grown(&mut exchange, weight);
        }
    }

    /// Adds to the client's body from elsewhere, if stages are kept.
    #[must_use]
    pub fn tap(&self) -> Option<Tap> {
        let live = self.live.as_ref().filter(|_| self.ledger.captures())?;
        Some(Tap {
            ledger: Arc::clone(&self.ledger),
            live: Arc::clone(live),
        })
    }

    /// The stages so far; none unless somebody watches.
    #[must_use]
    pub fn stages(&self) -> &[Snapshot] {
        self.watched.as_deref().unwrap_or_default()
    }

    /// A transformer's LLM was called. Tokens that it does not tell are counted at once where somebody watches, else for the log.
    pub fn called(&self, mut call: LlmCall, log: Option<CallLog>) {
        let Some(live) = &self.live else { return };
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
        call.at = live.now();
        let mut exchange = live.lock();
        call.seq = self.ledger.tell(|seq| notices::call(&exchange, &call, seq));
        let weight = call.weight();
        exchange.calls.push(call);
        let log = log.filter(|_| self.ledger.reads_bodies());
        exchange.call_logs.push(log.map(Box::new));
        self.ledger.grown(&mut exchange, weight);
    }

    /// The calls of transformers' LLMs so far.
    #[must_use]
    pub fn calls(&self) -> Vec<LlmCall> {
        self.with(|exchange| exchange.calls.clone())
            .unwrap_or_default()
    }

    /// This was lost on the way.
    pub fn warn(&self, warning: String) {
        if let Some(live) = &self.live {
            let at = live.now();
            let mut exchange = live.lock();
            self.ledger
                .tell(|seq| notices::warning(&exchange, &warning, at, seq));
            exchange.warnings.push(warning);
        }
    }

    /// What was lost on the way so far: `dropped:logprobs`.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.with(|exchange| exchange.warnings.clone())
            .unwrap_or_default()
    }

    /// Provider, operation and model are known.
    pub fn routed(&self, provider: &'static str, operation: &'static str, model: &str) {
        self.with(|exchange| {
            exchange.provider = provider;
            exchange.operation = operation;
            model.clone_into(&mut exchange.model);
        });
    }

    /// The profile wants it on disk.
    pub fn record(&self) {
        self.with(|exchange| exchange.recorded = true);
    }

    /// Whether the answer is to be a stream, and what a million tokens cost by the profile.
    pub fn planned(&self, stream: bool, prices: (Option<f64>, Option<f64>)) {
        self.with(|exchange| {
            exchange.stream = stream;
            exchange.prices = prices;
        });
    }

    /// The request leaves.
    pub fn sent(&self) {
        let Some(live) = &self.live else { return };
        let after = live.start.elapsed();
        let mut exchange = live.lock();
        exchange.sent_after = Some(after);
        exchange.at = Stage::Received;
        let seq = self
            .ledger
            .tell(|seq| notices::routed(&exchange, micros(after), seq));
        let [_, routed, _] = &mut exchange.numbers;
        *routed = seq;
        let (id, model) = (exchange.id, &exchange.model);
        tracing::debug!(
            "{id} sent to {} {:?}",
            exchange.provider,
            self.ledger.redactor().redact(model)
        );
    }

    /// The upstream's headers are there; a connection made for it took so long, after so many that had closed.
    pub fn answered(&self, status: u16, connected: Option<(Duration, u32)>) {
        let Some(live) = &self.live else { return };
        let after = live.start.elapsed();
        let mut exchange = live.lock();
        exchange.upstream_status = Some(status);
        exchange.headers_after = Some(after);
        exchange.connected = connected.map(|(took, _)| took);
        exchange.resent = connected.map_or(0, |(_, resent)| resent);
        let id = exchange.id;
        tracing::debug!("{id} upstream answered {status} after {after:.2?}");
    }

    /// Nobody charges for the answer: list prices do not hold.
    pub fn free(&self) {
        self.with(|exchange| exchange.free = true);
    }

    /// A piece of the upstream's answer came.
    pub fn chunk(&self, data: &[u8]) {
        let Some(live) = self.live.as_ref().filter(|_| self.ledger.captures()) else {
            return;
        };
        let (at, full) = (live.now(), self.ledger.is_full());
        let mut exchange = live.lock();
        append(&mut exchange, Stage::Received, at, data, full);
        // What events say is about as long as what is new in their bytes.
        self.ledger.grown(&mut exchange, data.len() / 4);
        if self.ledger.wants_raw() {
            self.ledger
                .tell(|seq| notices::raw(&exchange, data, at, seq));
        }
    }

    /// Of the upstream's answer, which otherwise goes through, `cut` bytes from `at` are left out, and `put` stands in their place.
    pub fn edited(&self, at: u64, cut: u64, put: &[u8]) {
        if !self.ledger.captures() {
            return;
        }
        self.with(|exchange| {
            let Some(held) = exchange.stage_mut(Stage::Returned) else {
                return;
            };
            let edit = Edit {
                at,
                cut,
                put: Bytes::copy_from_slice(put),
            };
            match &mut held.body {
                Body::Same(stage) => held.body = Body::Edited(*stage, vec![edit]),
                Body::Edited(_, edits) if edits.len() < 10_000 => edits.push(edit),
                _ => {}
            }
        });
    }

    /// One event of a stream.
    pub fn observe(&self, event: &Event<'_>) {
        let Some(live) = &self.live else { return };
        let mut exchange = live.lock();
        let exchange = &mut *exchange;
        if let Some(material) = &mut exchange.log {
            material.said.observe(event);
        }
        match event {
            Event::Start { id, model, .. } => exchange.names(id, model),
            Event::Usage(usage) => exchange.usage = Some(*usage),
            Event::Failed { message, .. } => {
                exchange.at = Stage::Received;
                exchange.outcome = Outcome::Failed(message.to_string());
            }
            Event::End => exchange.outcome = Outcome::Completed,
            _ if exchange.first_token_after.is_none() && event.is_content() => {
                exchange.first_token_after = Some(live.start.elapsed());
            }
            _ => {}
        }
        if self.ledger.captures() {
            self.spoke(exchange, event, live.now());
        }
    }

    /// Keeps and tells what an event says.
    fn spoke(&self, exchange: &mut Exchange, event: &Event<'_>, at: u64) {
        if !notices::speaks(event) {
            return;
        }
        let seq = self
            .ledger
            .tell(|seq| notices::event(exchange, event, at, seq));
        exchange.spoken.push(event, seq, at, self.ledger.is_full());
    }

    /// A whole answer that goes on as it came: `tell` tells what it says, and `tells` would again.
    ///
    /// # Errors
    ///
    /// Those of `tell`.
    pub fn hear<E>(
        &self,
        tells: &'static dyn Tells,
        tell: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(live) = &self.live else {
            return tell(&mut |_: Event<'_>| ());
        };
        let after = live.start.elapsed();
        let at = micros(after);
        let mut exchange = live.lock();
        let exchange = &mut *exchange;
        let captures = self.ledger.captures();
        exchange.first_token_after = Some(after);
        // What its body tells anyway need not be kept beside it.
        let again = captures && !self.ledger.is_heard() && exchange.received().is_some();
        let mut events = 0;
        let told = tell(&mut |event: Event<'_>| {
            match &event {
                Event::Start { id, model, .. } => exchange.names(id, model),
                Event::Usage(usage) if usage.estimated => return,
                Event::Usage(usage) => exchange.usage = Some(*usage),
                _ => {}
            }
            if let Some(material) = &mut exchange.log
                && material.statistics
            {
                material.said.observe(&event);
            }
            if again {
                events += u64::from(is_told(&event));
            } else if captures {
                self.spoke(exchange, &event, at);
            }
        });
        if again {
            let first = self.ledger.pass(events);
            exchange.retold = Some(Retold { tells, first, at });
        }
        told?;
        let weight = exchange.spoken.weight();
        self.ledger.grown(exchange, weight);
        Ok(())
    }

    /// A whole answer.
    pub fn whole(&self, response: &ChatResponse) {
        let Some(live) = &self.live else { return };
        let after = live.start.elapsed();
        let mut exchange = live.lock();
        let exchange = &mut *exchange;
        exchange.names(&response.id, &response.model);
        exchange.usage = response.usage;
        exchange.first_token_after = Some(after);
        if let Some(material) = &mut exchange.log
            && material.statistics
            && response.usage.is_none()
        {
            material.said.whole(response);
        }
        if self.ledger.captures() && !response.choices.is_empty() {
            let at = micros(after);
            events_of(response, &mut |event: Event<'_>| {
                // A missing usage is counted later, not told as nothing.
                let told = !matches!(event, Event::Usage(_)) || response.usage.is_some();
                if told {
                    self.spoke(exchange, &event, at);
                }
            });
            let weight = exchange.spoken.weight();
            self.ledger.grown(exchange, weight);
        }
    }

    /// The client gets an answer of this status.
    pub fn responding(&self, status: u16) {
        self.with(|exchange| {
            exchange.status = Some(status);
            exchange.at = Stage::Returned;
        });
    }

    /// The whole answer's body, in the client's format and inflated.
    pub fn body(&self, body: &Bytes) {
        self.material(|material| {
            if material.payloads {
                material.response = Some(Kept::of(body));
            }
        });
    }

    /// Bytes of the answer went to the client. They are kept where the stage's body is one of pieces.
    pub fn passed(&self, data: &[u8]) {
        let Some(live) = &self.live else { return };
        let mut exchange = live.lock();
        exchange.bytes = exchange.bytes.saturating_add(data.len() as u64);
        let pieces = exchange.stages.last().is_some_and(|held| {
            held.stage == Stage::Returned && matches!(held.body, Body::Pieces(_))
        });
        if pieces {
            let (at, full) = (live.now(), self.ledger.is_full());
            append(&mut exchange, Stage::Returned, at, data, full);
            self.ledger.grown(&mut exchange, data.len() / 4);
        }
    }

    /// The client gets an error instead of an answer, with a body of so many bytes.
    pub fn refused(&mut self, status: u16, bytes: u64, message: &str) {
        self.with(|exchange| {
            exchange.status = Some(status);
            exchange.bytes = bytes;
        });
        self.failed(message);
    }

    /// It failed.
    pub fn failed(&mut self, message: &str) {
        self.with(|exchange| exchange.outcome = Outcome::Failed(message.to_owned()));
        self.finish();
    }

    /// The client has all that there was.
    pub fn close(&mut self) {
        self.with(|exchange| {
            if exchange.outcome == Outcome::Cancelled {
                exchange.outcome = Outcome::Completed;
            }
        });
        self.finish();
    }

    fn finish(&mut self) {
        let Some(live) = self.live.take() else { return };
        let took = live.start.elapsed();
        let mut exchange = live.lock();
        exchange.took = took;
        self.ledger.count(&mut exchange);
        self.ledger.close(&mut exchange);
        drop(exchange);
        Live::reuse(live);
    }
}

/// What is known of a stage's body when it is reached.
#[derive(Clone, Copy)]
enum Reached<'b> {
    Whole(&'b Bytes),
    /// It comes piece by piece.
    Pieces,
    Same(Stage),
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Whatever held it broke: nobody cancelled anything.
        if std::thread::panicking() {
            self.failed("aiproxy broke inside this exchange: a bug, and stderr says where");
        }
        self.finish();
    }
}
