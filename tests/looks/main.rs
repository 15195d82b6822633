//! The commands that look at past exchanges, through the built binary, against a server that the test plays itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod diff;
mod log;
mod played;
mod programs;
mod replay;
mod show;
