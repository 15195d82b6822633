//! The families of numbers, and the members of them that a profile has touched: after the first request of a kind, nothing is looked up by
//! its labels or allocated.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, atomic::AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Ended, ErrorKind, Measured};
use crate::llm::Usage;

/// Up to ten minutes: a reasoning model's answer can take that long.
const DURATIONS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Closer together where a person waits.
const FIRST_TOKENS: [f64; 15] = [
    0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0,
];

/// A status by its hundreds; the last is for none.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// Kinds of tokens; reasoning is a part of the output.
const TOKENS: [&str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

/// A counter of fractions.
type Dollars = Counter<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InFlightLabels {
    profile: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    profile: Arc<str>,
    operation: &'static str,
    outcome: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    profile: Arc<str>,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    profile: Arc<str>,
    provider: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    profile: Arc<str>,
    provider: &'static str,
    operation: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    profile: Arc<str>,
    provider: &'static str,
    operation: &'static str,
    stream: bool,
}

/// All numbers with labels.
#[derive(Debug)]
pub(super) struct Families {
    in_flight: Family<InFlightLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<CallLabels, Dollars>,
    durations: Family<DurationLabels, Histogram>,
    first_tokens: Family<CallLabels, Histogram>,
}

impl Families {
    /// In this registry, under their names.
    pub(super) fn new(registry: &mut Registry) -> Families {
        let families = Families {
            in_flight: Family::default(),
            requests: Family::default(),
            errors: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            first_tokens: Family::new_with_constructor(|| Histogram::new(FIRST_TOKENS)),
        };
        registry.register(
            "requests_in_flight",
            "Requests that are not over",
            families.in_flight.clone(),
        );
        registry.register(
            "requests",
            "Requests that are over, by how they ended and the status that the client got",
            families.requests.clone(),
        );
        registry.register(
            "errors",
            "What went wrong with requests",
            families.errors.clone(),
        );
        registry.register(
            "tokens",
            "Tokens of answers: input is what no cache had, reasoning is a part of output",
            families.tokens.clone(),
        );
        registry.register(
            "cost_usd",
            "What the tokens cost in USD, where prices are known",
            families.cost.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's beginning to its end",
            Unit::Seconds,
            families.durations.clone(),
        );
        registry.register_with_unit(
            "time_to_first_token",
            "From a request's beginning to the first text of its stream",
            Unit::Seconds,
            families.first_tokens.clone(),
        );
        families
    }
}

/// What one profile has counted so far.
#[derive(Debug)]
pub(super) struct Profile {
    name: Arc<str>,
    pub(super) in_flight: Gauge,
    errors: [OnceLock<Counter>; ErrorKind::COUNT],
    /// One for each provider and operation. Those are words of the code: there are few.
    lines: RwLock<Vec<Arc<Line>>>,
}

/// What one operation at one provider has counted so far.
#[derive(Debug)]
struct Line {
    provider: &'static str,
    operation: &'static str,
    requests: [[OnceLock<Counter>; CLASSES.len()]; Ended::COUNT],
    tokens: [OnceLock<Counter>; TOKENS.len()],
    cost: OnceLock<Dollars>,
    durations: [OnceLock<Histogram>; 2],
    first_tokens: OnceLock<Histogram>,
}

impl Profile {
    pub(super) fn new(name: &str, families: &Families) -> Profile {
        let profile: Arc<str> = name.into();
        Profile {
            in_flight: families.in_flight.get_or_create_owned(&InFlightLabels {
                profile: Arc::clone(&profile),
            }),
            name: profile,
            errors: <[OnceLock<Counter>; ErrorKind::COUNT]>::default(),
            lines: RwLock::default(),
        }
    }

    /// Counts a request that is over.
    pub(super) fn count(&self, request: &Measured<'_>, families: &Families) {
        let line = self.line(request.provider, request.operation);
        let profile = || Arc::clone(&self.name);
        let (provider, operation) = (request.provider, request.operation);
        let call = || CallLabels {
            profile: profile(),
            provider,
            operation,
        };

        let class = class(request.status);
        let cells = line.requests.get(request.ended as usize);
        if let Some(cell) = cells.and_then(|cells| cells.get(class)) {
            let counter = cell.get_or_init(|| {
                families.requests.get_or_create_owned(&RequestLabels {
                    profile: profile(),
                    operation,
                    outcome: request.ended.name(),
                    status: CLASSES.get(class).copied().unwrap_or_default(),
                })
            });
            counter.inc();
        }
        if let Some(error) = request.error
            && let Some(cell) = self.errors.get(error as usize)
        {
            let counter = cell.get_or_init(|| {
                families.errors.get_or_create_owned(&ErrorLabels {
                    profile: profile(),
                    kind: error.name(),
                })
            });
            counter.inc();
        }
        if let Some(usage) = &request.usage {
            for ((cell, kind), tokens) in line.tokens.iter().zip(TOKENS).zip(counts(usage)) {
                if tokens > 0 {
                    let counter = cell.get_or_init(|| {
                        families.tokens.get_or_create_owned(&TokenLabels {
                            profile: profile(),
                            provider,
                            operation,
                            kind,
                        })
                    });
                    counter.inc_by(tokens);
                }
            }
        }
        // A counter must not fall, and one that is no number stays so.
        if let Some(cost) = request.cost.filter(|cost| cost.is_finite() && *cost >= 0.0) {
            let counter = line
                .cost
                .get_or_init(|| families.cost.get_or_create_owned(&call()));
            counter.inc_by(cost);
        }
        let stream = request.stream;
        if let Some(cell) = line.durations.get(usize::from(stream)) {
            let histogram = cell.get_or_init(|| {
                families.durations.get_or_create_owned(&DurationLabels {
                    profile: profile(),
                    provider,
                    operation,
                    stream,
                })
            });
            histogram.observe(request.took.as_secs_f64());
        }
        if let Some(first) = request.first_token.filter(|_| stream) {
            let histogram = line
                .first_tokens
                .get_or_init(|| families.first_tokens.get_or_create_owned(&call()));
            histogram.observe(first.as_secs_f64());
        }
    }

    fn line(&self, provider: &'static str, operation: &'static str) -> Arc<Line> {
        let same = |line: &&Arc<Line>| line.operation == operation && line.provider == provider;
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.iter().find(same) {
            return Arc::clone(line);
        }
        drop(lines);
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.iter().find(same) {
            return Arc::clone(line);
        }
        let line = Arc::new(Line {
            provider,
            operation,
            requests: Default::default(),
            tokens: Default::default(),
            cost: OnceLock::new(),
            durations: Default::default(),
            first_tokens: OnceLock::new(),
        });
        lines.push(Arc::clone(&line));
        line
    }
}

/// Where a status is in [`CLASSES`].
fn class(status: Option<u16>) -> usize {
    match status {
        Some(status @ 100..=599) => usize::from(status / 100) - 1,
        _ => CLASSES.len() - 1,
    }
}

/// In the order of [`TOKENS`].
fn counts(usage: &Usage) -> [u64; TOKENS.len()] {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write,
        usage.output,
        usage.reasoning,
    ]
}
