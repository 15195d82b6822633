//! An exchange's place in a distributed trace: W3C trace context in and out (<https://www.w3.org/TR/trace-context/>), and whether its
//! spans are wanted.
//!
//! Nothing here runs unless an [`Observer`](super::Observer) wants spans.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Recorder, id};
use crate::llm::ChatRequest;

/// Sixteen bytes that all spans of a trace share.
pub type TraceId = [u8; 16];

/// Eight bytes that name a span.
pub type SpanId = [u8; 8];

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The flag of a trace whose id is random (level 2 of the standard).
const RANDOM: u8 = 2;

/// Most bytes of a `tracestate` that goes on; the standard asks for 512 at least.
const MOST_STATE: usize = 4 << 10;

/// Which exchanges have spans, and what goes on upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracing {
    /// What decides where nobody else has.
    pub sampler: Sampler,
    /// A client that says whether its trace is recorded has decided.
    pub parent_based: bool,
    /// `traceparent` is read from clients and sent to upstreams.
    pub propagates: bool,
    /// Spans hold what was said.
    pub content: bool,
}

/// What decides on a trace that begins here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// All.
    On,
    /// None.
    Off,
    /// This part of all, by the trace's id: every program decides alike.
    Ratio(f64),
}

impl Sampler {
    fn takes(self, trace: TraceId) -> bool {
        match self {
            Sampler::On => true,
            Sampler::Off => false,
            Sampler::Ratio(ratio) => {
                let [_, _, _, _, _, _, _, _, low @ ..] = trace;
                // The lower 63 bits against a part of their range, as OpenTelemetry's SDKs do.
                let bits = u64::from_be_bytes(low) >> 1;
                bits < (ratio * (1u64 << 63) as f64) as u64
            }
        }
    }
}

/// Reads a request's body as its client's format has it.
#[derive(Clone)]
pub struct Reads(Arc<Read>);

type Read = dyn Fn(&[u8]) -> Option<ChatRequest> + Send + Sync;

impl Reads {
    /// By this function.
    #[must_use]
    pub fn new(read: impl Fn(&[u8]) -> Option<ChatRequest> + Send + Sync + 'static) -> Reads {
        Reads(Arc::new(read))
    }

    /// What a body asks.
    #[must_use]
    pub fn chat(&self, body: &[u8]) -> Option<ChatRequest> {
        (self.0)(body)
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reads")
    }
}

/// An exchange's place in a trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// The exchange's span.
    pub span: SpanId,
    /// The client's.
    pub parent: Option<SpanId>,
    /// That of the request upstream.
    pub upstream: SpanId,
    /// W3C's flags.
    pub flags: u8,
    /// The client's `tracestate`.
    pub state: String,
    /// What the provider calls its answer.
    pub answer: String,
    /// How the client's body is read.
    pub reads: Option<Reads>,
    propagates: bool,
    content: bool,
}

impl Trace {
    /// Goes on with the client's trace, or begins one.
    pub(super) fn of(headers: &HeaderMap, tracing: &Tracing) -> Trace {
        let client = tracing.propagates.then(|| parent(headers)).flatten();
        let trace = client.map_or_else(|| nonzero(id::random()), |(trace, ..)| trace);
        let sampled = match client {
            Some((.., flags)) if tracing.parent_based => flags & SAMPLED != 0,
            _ => tracing.sampler.takes(trace),
        };
        let random = client.map_or(RANDOM, |(.., flags)| flags & RANDOM);
        Trace {
            id: trace,
            span: span(),
            parent: client.map(|(_, parent, _)| parent),
            upstream: span(),
            flags: random | u8::from(sampled),
            state: client.map_or_else(String::new, |_| state(headers)),
            answer: String::new(),
            reads: None,
            propagates: tracing.propagates,
            content: tracing.content,
        }
    }

    /// Whether its spans are wanted.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether they are to hold what was said.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.content && self.is_sampled()
    }

    /// Tells the receiver of a request whose part it is.
    pub(super) fn put(&self, span: SpanId, headers: &mut HeaderMap) {
        if !self.propagates {
            return;
        }
        headers.remove(TRACESTATE);
        let text = format!("00-{}-{}-{:02x}", hex(&self.id), hex(&span), self.flags);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
        if !self.state.is_empty()
            && let Ok(value) = HeaderValue::try_from(&self.state)
        {
            headers.insert(TRACESTATE, value);
        }
    }
}

/// A transformer's call in a trace.
#[derive(Clone, Debug, Default)]
pub struct CallTrace {
    /// Its span.
    pub span: SpanId,
    /// What it is asked, in OpenAI's words; nothing unless spans hold that.
    pub asked: Bytes,
}

impl Recorder {
    /// Where spans are wanted: goes on with the client's trace, or begins one.
    pub fn trace(&self, headers: &HeaderMap) {
        if let Some(tracing) = self.ledger.tracing() {
            let trace = Trace::of(headers, tracing);
            self.with(|exchange| exchange.trace = Some(Box::new(trace)));
        }
    }

    /// Where spans are wanted: these headers go upstream, and name the request's span there. `reads` reads the client's body.
    pub fn trace_upstream(&self, headers: &mut HeaderMap, reads: impl FnOnce() -> Reads) {
        if self.ledger.tracing().is_none() {
            return;
        }
        self.with(|exchange| {
            if let Some(trace) = &mut exchange.trace {
                trace.put(trace.upstream, headers);
                trace.reads = trace.has_content().then(reads);
            }
        });
    }

    /// The same for the call of a transformer's LLM, which is asked this.
    #[must_use]
    pub fn trace_call(&self, headers: &mut HeaderMap, asked: &Bytes) -> Option<Box<CallTrace>> {
        self.ledger.tracing()?;
        self.with(|exchange| {
            let trace = exchange.trace.as_ref()?;
            let span = span();
            trace.put(span, headers);
            let asked = trace.has_content().then(|| asked.clone());
            Some(Box::new(CallTrace {
                span,
                asked: asked.unwrap_or_default(),
            }))
        })?
    }
}

/// A new span's name.
#[must_use]
pub fn span() -> SpanId {
    nonzero(id::random())
}

/// All zeros name nothing.
fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id.iter().all(|byte| *byte == 0)
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

/// In lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The client's trace, span and flags; nothing if it tells none, several, or one that is malformed.
fn parent(headers: &HeaderMap) -> Option<(TraceId, SpanId, u8)> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let text = all.next()?.to_str().ok()?.trim();
    if all.next().is_some() {
        return None;
    }
    let mut fields = text.splitn(5, '-');
    let [version] = digits(fields.next()?)?;
    let trace: TraceId = digits(fields.next()?)?;
    let span: SpanId = digits(fields.next()?)?;
    let [flags] = digits(fields.next()?)?;
    // Later versions may say more behind these; version 0 may not.
    let more = fields.next().is_some();
    let sound = version != 0xff && !(version == 0 && more) && trace != [0; 16] && span != [0; 8];
    sound.then_some((trace, span, flags))
}

/// So many bytes in lower-case hexadecimal digits, and nothing else.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if bytes.len() != 2 * N || !bytes.iter().all(lower) {
        return None;
    }
    let mut out = [0; N];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(out)
}

/// The client's `tracestate`, of several headers together; nothing if it is too long to go on.
fn state(headers: &HeaderMap) -> String {
    let values = headers.get_all(TRACESTATE).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let values: Vec<&str> = values
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .collect();
    let joined = values.join(",");
    if joined.len() > MOST_STATE {
        return String::new();
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Tracing = Tracing {
        sampler: Sampler::On,
        parent_based: true,
        propagates: true,
        content: false,
    };

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(pairs: &[(&'static str, &str)], tracing: Tracing) -> Trace {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Trace::of(&headers, &tracing)
    }

    #[test]
    fn the_clients_trace_goes_on() {
        let trace = of(
            &[
                ("traceparent", PARENT),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ],
            ALL,
        );
        assert_eq!(hex(&trace.id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(
            trace.parent.map(|id| hex(&id)),
            Some("b7ad6b7169203331".into())
        );
        assert!(trace.is_sampled());
        let mut headers = HeaderMap::new();
        headers.append("tracestate", HeaderValue::from_static("old=1"));
        trace.put(trace.upstream, &mut headers);
        let sent = headers.get("traceparent").unwrap().to_str().unwrap();
        assert_eq!(
            sent,
            format!(
                "00-0af7651916cd43dd8448eb211c80319c-{}-01",
                hex(&trace.upstream)
            )
        );
        assert_eq!(headers.get("tracestate").unwrap(), "a=1,b=2");
    }

    #[test]
    fn a_malformed_parent_is_none() {
        let long = format!("{PARENT}-00");
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            long.as_str(),
        ] {
            let trace = of(&[("traceparent", text), ("tracestate", "a=1")], ALL);
            assert_eq!((trace.parent, &*trace.state), (None, ""), "{text}");
        }
        let twice = of(&[("traceparent", PARENT), ("traceparent", PARENT)], ALL);
        assert_eq!(twice.parent, None);
        // A later version may say more.
        let later = PARENT.replacen("00-", "01-", 1) + "-more";
        assert!(of(&[("traceparent", &later)], ALL).parent.is_some());
    }

    #[test]
    fn who_decides_what_is_sampled() {
        let quiet = PARENT.replace("-01", "-00");
        let off = Tracing {
            sampler: Sampler::Off,
            ..ALL
        };
        let alone = Tracing {
            parent_based: false,
            ..ALL
        };
        for (parent, tracing, expected) in [
            (Some(PARENT), off, true),
            (Some(quiet.as_str()), ALL, false),
            (Some(quiet.as_str()), alone, true),
            (None, ALL, true),
            (None, off, false),
        ] {
            let pairs: Vec<_> = parent
                .map(|parent| ("traceparent", parent))
                .into_iter()
                .collect();
            assert_eq!(of(&pairs, tracing).is_sampled(), expected, "{parent:?}");
        }
    }

    #[test]
    fn a_ratio_goes_by_the_id() {
        let half = Sampler::Ratio(0.5);
        let mut id = [0; 16];
        assert!(half.takes(id));
        id[8] = 0xff;
        assert!(!half.takes(id) && Sampler::Ratio(1.0).takes([0xff; 16]));
        assert!(!Sampler::Ratio(0.0).takes([0; 16]));
    }

    #[test]
    fn nothing_is_passed_on_where_that_is_not_wanted() {
        let silent = Tracing {
            propagates: false,
            ..ALL
        };
        let trace = of(&[("traceparent", PARENT)], silent);
        assert_eq!(trace.parent, None);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().unwrap());
        trace.put(trace.upstream, &mut headers);
        assert_eq!(headers.get("traceparent").unwrap(), PARENT);
    }
}
