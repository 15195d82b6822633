//! One request's record, while it runs and after.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Method;

use super::{
    ExchangeId, bodies,
    kept::{Kept, Material},
    metrics::{Ended, ErrorKind},
    price::{self, Source},
    redact::Redactor,
    render::{self, Late},
    spoken::{Retold, Spoken},
    stages::{Body, CallLog, Held, LlmCall, Stage, host},
    told::{Detail, Summary},
    trace::Trace,
};
use crate::llm::Usage;

/// Most bytes of one piece of memory that the next exchange uses again.
pub(super) const REUSED: usize = 16 << 10;

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
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// The stage that is being worked on: where it failed, if it did.
    pub at: Stage,
    /// How long the request waited for its connection upstream.
    pub connected: Option<Duration>,
    /// How often it was sent again, because its connection had closed before it was sent.
    pub resent: u32,
    /// What the profile says that a million tokens cost in USD, of the prompt and of the answer.
    pub prices: (Option<f64>, Option<f64>),
    /// The mock answered in the provider's place: list prices do not hold.
    pub free: bool,
    /// The profile wants it on disk.
    pub recorded: bool,
    /// The name of the parameter that holds the profile's key.
    pub param: Option<String>,
    /// The stages that it reached; none unless they are kept.
    pub stages: Vec<Held>,
    /// What the answer says; nothing unless that is kept, or if its body tells it.
    pub(super) spoken: Spoken,
    /// What says it again, of a whole answer whose body is kept, and what it said then.
    pub(super) retold: Option<Retold>,
    pub(super) said: OnceLock<Box<Spoken>>,
    /// The numbers of its beginning, of its way to a provider, and of its end among all that happened; 0 if that is not reached.
    pub numbers: [u64; 3],
    /// Its place in a trace, where spans are wanted.
    pub trace: Option<Box<Trace>>,
    /// Memory of headers of another one, to be used again.
    pub(super) blank: Vec<Vec<u8>>,
    /// Bytes that it holds, as far as they are counted, and those that came since.
    pub(super) held: usize,
    pub(super) uncounted: usize,
    /// What takes a while to find out.
    pub(super) late: OnceLock<Late>,
}

impl Exchange {
    /// One that begins now.
    pub(super) fn new(profile: Arc<str>) -> Exchange {
        Exchange::named(ExchangeId::random(), profile, SystemTime::now())
    }

    /// No more will come, and it stays as it is.
    pub(super) fn shrink(&mut self) {
        self.spoken.finish();
        for held in &mut self.stages {
            if let Body::Pieces(pieces) = &mut held.body {
                pieces.finish();
            }
        }
    }

    /// What is left of a record that was taken away: it says that it is done.
    pub(super) fn husk(&self) -> Exchange {
        Exchange {
            numbers: self.numbers,
            ..Exchange::named(self.id, Arc::clone(&self.profile), self.began)
        }
    }

    /// Holds nothing any more, but for memory that the next one uses again.
    pub(super) fn clear(&mut self) {
        let mut blank = std::mem::take(&mut self.blank);
        for held in self.stages.drain(..) {
            let memory = held.headers.memory();
            if blank.len() < Stage::ALL.len() && memory.capacity() <= REUSED {
                blank.push(memory);
            }
        }
        for text in [&mut self.path, &mut self.model, &mut self.answered_by] {
            if text.capacity() > REUSED {
                *text = String::new();
            }
            text.clear();
        }
        self.spoken.clear();
        *self = Exchange {
            path: std::mem::take(&mut self.path),
            model: std::mem::take(&mut self.model),
            answered_by: std::mem::take(&mut self.answered_by),
            stages: std::mem::take(&mut self.stages),
            spoken: std::mem::take(&mut self.spoken),
            blank,
            ..Exchange::named(self.id, Arc::clone(&self.profile), self.began)
        };
    }

    /// Begins anew.
    pub(super) fn begin(&mut self, profile: Arc<str>) {
        self.id = ExchangeId::random();
        self.profile = profile;
        self.began = SystemTime::now();
    }

    pub(super) fn named(id: ExchangeId, profile: Arc<str>, began: SystemTime) -> Exchange {
        Exchange {
            id,
            profile,
            began,
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
            stream: false,
            at: Stage::Client,
            connected: None,
            resent: 0,
            prices: (None, None),
            free: false,
            recorded: false,
            param: None,
            stages: Vec::new(),
            spoken: Spoken::default(),
            retold: None,
            said: OnceLock::new(),
            numbers: [0; 3],
            trace: None,
            blank: Vec::new(),
            held: 0,
            uncounted: 0,
            late: OnceLock::new(),
        }
    }

    /// Whether it ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let [.., closed] = self.numbers;
        closed > 0
    }

    /// How it ended; an answer that passed through and says by its status that it is an error is a failure.
    #[must_use]
    pub fn ended(&self) -> Ended {
        match &self.outcome {
            Outcome::Failed(_) => Ended::Failed,
            Outcome::Cancelled => Ended::Cancelled,
            Outcome::Completed if self.status.is_some_and(|status| status >= 400) => Ended::Failed,
            Outcome::Completed => Ended::Ok,
        }
    }

    /// What kind of error it ended with, if it did.
    #[must_use]
    pub fn error_kind(&self) -> Option<ErrorKind> {
        if self.ended() != Ended::Failed {
            return None;
        }
        let upstream = self.upstream_status.and_then(ErrorKind::of_upstream);
        Some(match self.at {
            Stage::Client => ErrorKind::Client,
            Stage::RequestTransformed | Stage::ResponseTransformed => ErrorKind::Transformer,
            Stage::Sent if self.status == Some(500) => ErrorKind::Configuration,
            Stage::Sent => ErrorKind::Client,
            Stage::Received | Stage::Returned => match (upstream, self.upstream_status) {
                (Some(kind), _) => kind,
                _ if self.status == Some(504) => ErrorKind::Timeout,
                (None, None) => ErrorKind::Connect,
                (None, Some(_)) => ErrorKind::Stream,
            },
        })
    }

    /// What its own call of an LLM cost by these tokens, and where the price is from.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<(f64, Source)> {
        let sent = self.stage(Stage::Sent).filter(|_| !self.free);
        let list = sent.and_then(|sent| {
            let host = sent.url.as_ref()?.host()?;
            let price = |model: &str| price::list(host, model, self.began);
            price(&self.answered_by).or_else(|| price(&self.model))
        });
        price::of(usage, self.prices, list)
    }

    /// What a call of a transformer's LLM cost, and where the price is from.
    #[must_use]
    pub fn call_cost(&self, call: &LlmCall) -> Option<(f64, Source)> {
        if let Some(cost) = call.cost {
            return Some((cost, Source::Profile));
        }
        let host = host(&call.url).filter(|_| !self.free)?;
        let list = price::list(host, &call.model, self.began);
        price::of(&call.usage?, (None, None), list)
    }

    /// As in a list, once it has ended. What the provider did not tell is counted here, which takes a while.
    #[must_use]
    pub fn summary(&self, redactor: &Redactor) -> Summary {
        render::ended(self, redactor)
    }

    /// The body of a stage, as far as it is kept. Not redacted.
    #[must_use]
    pub fn body(&self, stage: Stage) -> Option<Vec<u8>> {
        let held = self.stage(stage)?;
        Some(bodies::bytes(self, &held.body).0)
    }

    /// All that is kept of it, once it has ended.
    #[must_use]
    pub fn detail(&self, redactor: &Redactor) -> Detail {
        render::detail(self, None, redactor)
    }

    /// A stage, if it was reached and is kept.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Option<&Held> {
        self.stages.iter().find(|held| held.stage == stage)
    }

    /// What the answer says; nothing unless that is kept.
    #[must_use]
    pub fn spoken(&self) -> &Spoken {
        let Some(retold) = &self.retold else {
            return &self.spoken;
        };
        self.said.get_or_init(|| {
            let mut said = Spoken::default();
            if let Some(body) = self.received() {
                retold.tell(body, &mut said);
            }
            Box::new(said)
        })
    }

    /// The body of the provider's answer, if all of it is kept as it came.
    pub(super) fn received(&self) -> Option<&[u8]> {
        match &self.stage(Stage::Received)?.body {
            Body::Whole(kept) if !kept.is_cut() => Some(kept.bytes()),
            _ => None,
        }
    }

    /// What answers, and what the provider calls its answer.
    pub(super) fn names(&mut self, answer: &str, model: &str) {
        model.clone_into(&mut self.answered_by);
        if let Some(trace) = &mut self.trace {
            answer.clone_into(&mut trace.answer);
        }
    }

    /// A whole body: shared with an earlier stage that has the same one.
    pub(super) fn whole(&self, stage: Stage, body: &Bytes, full: bool) -> Body {
        if full {
            return Body::Whole(Kept::nothing_of(body));
        }
        // A request and its answer have nothing in common.
        let requests = [Stage::Client, Stage::RequestTransformed, Stage::Sent];
        let before = self
            .stages
            .last()
            .filter(|held| requests.contains(&held.stage) == requests.contains(&stage));
        match before {
            Some(before) if !body.is_empty() => match &before.body {
                Body::Whole(kept) if kept.is_whole(body) => Body::Same(before.stage),
                Body::Same(first)
                    if self.stage(*first).is_some_and(
                        |held| matches!(&held.body, Body::Whole(kept) if kept.is_whole(body)),
                    ) =>
                {
                    Body::Same(*first)
                }
                _ => Body::Whole(Kept::of(body)),
            },
            _ => Body::Whole(Kept::of(body)),
        }
    }

    pub(super) fn stage_mut(&mut self, stage: Stage) -> Option<&mut Held> {
        self.stages.iter_mut().rfind(|held| held.stage == stage)
    }

    /// Bytes that it holds beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        let stages: usize = self.stages.iter().map(Held::weight).sum();
        let calls = self.calls.iter().map(LlmCall::weight);
        let texts = self.path.len() + self.model.len() + self.answered_by.len();
        let warnings: usize = self.warnings.iter().map(String::len).sum();
        stages + calls.sum::<usize>() + self.spoken.weight() + texts + warnings
    }
}
