//! `aiproxy tail` against a server whose every event the test writes itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod output;
mod screen;
mod script;
mod terminal;
