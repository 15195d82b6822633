//! Counters of what went through, as Prometheus reads them.
//!
//! Labels come from the profiles and from fixed words, never from a client: no model, no path. Names follow
//! <https://prometheus.io/docs/practices/naming/>. A request touches them twice, at its beginning and its end, a streamed chunk never.

mod series;

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::Registry,
};

use self::series::{Families, Profile};
use crate::llm::Usage;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The label of requests for profiles that nobody serves.
const OTHER: &str = "other";

/// A request at its end.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The profile that it went through.
    pub profile: &'a str,
    /// The provider's name; empty if none was found.
    pub provider: &'static str,
    /// What was asked for, as Kong's route type; empty if that was not found.
    pub operation: &'static str,
    /// The status that the client got.
    pub status: Option<u16>,
    /// How it ended.
    pub ended: Ended,
    /// What went wrong, if anything did.
    pub error: Option<ErrorKind>,
    /// Its tokens.
    pub usage: Option<Usage>,
    /// What they cost in USD.
    pub cost: Option<f64>,
    /// From the beginning to the end.
    pub took: Duration,
    /// From the beginning to the first text.
    pub first_token: Option<Duration>,
    /// Whether the answer is a stream.
    pub stream: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client has its answer.
    Ok,
    /// It got an error.
    Failed,
    /// It left before the end.
    Cancelled,
}

impl Ended {
    /// How many there are.
    const COUNT: usize = Ended::Cancelled as usize + 1;

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ended::Ok => "ok",
            Ended::Failed => "failed",
            Ended::Cancelled => "cancelled",
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself.
    Client,
    /// The profile, or a secret that it names.
    Configuration,
    /// The upstream could not be reached.
    Connect,
    /// The upstream took too long.
    Timeout,
    /// The upstream refused the request.
    Upstream4xx,
    /// The upstream failed.
    Upstream5xx,
    /// The upstream wants fewer requests.
    RateLimited,
    /// The answer broke off, or could not be read.
    Stream,
    /// A transformer's LLM failed, or what it wrote was of no use.
    Transformer,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// How many there are.
    const COUNT: usize = ErrorKind::Other as usize + 1;

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Client => "client",
            ErrorKind::Configuration => "configuration",
            ErrorKind::Connect => "connect",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Upstream4xx => "upstream_4xx",
            ErrorKind::Upstream5xx => "upstream_5xx",
            ErrorKind::RateLimited => "rate_limited",
            ErrorKind::Stream => "stream",
            ErrorKind::Transformer => "transformer",
            ErrorKind::Other => "other",
        }
    }

    /// What an upstream's status says of it.
    #[must_use]
    pub fn of_upstream(status: u16) -> Option<ErrorKind> {
        match status {
            429 => Some(ErrorKind::RateLimited),
            400..=499 => Some(ErrorKind::Upstream4xx),
            500..=599 => Some(ErrorKind::Upstream5xx),
            _ => None,
        }
    }
}

/// The connections to upstreams, for whoever makes them.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// How many are open: one more when one is made, one less when it is dropped.
    pub open: Arc<AtomicI64>,
    /// How many were made.
    pub made: Arc<AtomicU64>,
}

/// All counters. One for the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    /// Those that were ever served, with their series so far.
    profiles: RwLock<HashMap<Box<str>, Arc<Profile>>>,
    /// All requests of other names.
    other: Arc<Profile>,
    connections: Connections,
    connections_open: Gauge,
    connections_made: Counter,
    lost: Counter,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new(Connections::default())
    }
}

impl Metrics {
    /// Nothing counted yet, and no profile served.
    #[must_use]
    pub fn new(connections: Connections) -> Metrics {
        let mut registry = Registry::with_prefix("aiproxy");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This aiproxy", build);
        let families = Families::new(&mut registry);
        let (connections_open, connections_made) = (Gauge::default(), Counter::default());
        registry.register(
            "upstream_connections",
            "Open connections to upstreams",
            connections_open.clone(),
        );
        registry.register(
            "upstream_connections_opened",
            "Connections made to upstreams",
            connections_made.clone(),
        );
        let lost = Counter::default();
        registry.register(
            "events_lost",
            "Events of exchanges that readers were too slow for",
            lost.clone(),
        );
        let other = Arc::new(Profile::new(OTHER, &families));
        Metrics {
            registry,
            families,
            profiles: RwLock::default(),
            other,
            connections,
            connections_open,
            connections_made,
            lost,
        }
    }

    /// These profiles are served now. Until it is said, requests for a profile are counted under `other`; what was counted stays.
    pub fn serve<'a>(&self, profiles: impl IntoIterator<Item = &'a str>) {
        let mut known = self
            .profiles
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for name in profiles {
            known
                .entry(name.into())
                .or_insert_with(|| Arc::new(Profile::new(name, &self.families)));
        }
    }

    /// A request began.
    pub fn opened(&self, profile: &str) {
        self.profile(profile).in_flight.inc();
    }

    /// A request ended: the same one, under the same name.
    pub fn closed(&self, request: &Measured<'_>) {
        let profile = self.profile(request.profile);
        profile.in_flight.dec();
        profile.count(request, &self.families);
    }

    /// Readers of events were too slow for so many until now.
    pub fn lost(&self, events: u64) {
        self.lost.inner().store(events, Ordering::Relaxed);
    }

    /// All of it, in OpenMetrics' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let Connections { open, made } = &self.connections;
        self.connections_open.set(open.load(Ordering::Relaxed));
        self.connections_made
            .inner()
            .store(made.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut out = String::new();
        // A string takes whatever is written to it.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    fn profile(&self, name: &str) -> Arc<Profile> {
        let known = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.get(name).unwrap_or(&self.other))
    }
}

#[cfg(test)]
mod tests;
