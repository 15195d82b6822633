//! `aiproxy serve` over real sockets, against an upstream whose every byte the test writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod encoding;
mod errors;
mod fidelity;
mod gate;
mod lifecycle;
mod log;
mod providers;
mod routing;
mod streaming;
mod timeouts;
