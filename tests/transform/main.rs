//! `aiproxy transform` and `aiproxy diff` as people and scripts use them: exit code, stdout, stderr.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod diff;
mod dry;
mod tune;
