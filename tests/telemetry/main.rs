//! Exchanges as OpenTelemetry's spans. The collector is the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod collector;
mod content;
mod context;
mod delivery;
mod off;
mod spans;

use collector::{Collector, Span};

/// The exchange's own span, and that of the request upstream.
fn pair(spans: &[Span]) -> (&Span, &Span) {
    let [own, upstream] = spans else {
        panic!("{spans:#?}");
    };
    assert_eq!(
        (&upstream.parent, &upstream.trace),
        (&own.id, &own.trace),
        "{spans:#?}"
    );
    (own, upstream)
}
