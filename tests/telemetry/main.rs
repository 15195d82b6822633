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
use support::{Finished, Process, Server};

/// Waits for the end of a process, while the collector goes on.
async fn end(process: Process) -> Finished {
    let ending = tokio::task::spawn_blocking(|| process.end());
    ending.await.unwrap()
}

/// Stops a server in order.
async fn ended(server: Server) -> Finished {
    // The folder it lives in is needed to the end.
    let Server { process, world, .. } = server;
    process.signal("TERM");
    let finished = end(process).await.exits(0);
    drop(world);
    finished
}

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
