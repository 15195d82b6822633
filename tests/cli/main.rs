//! The commands as people and scripts use them: exit code, stdout, stderr.

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

mod chat;
mod commands;
mod mock;
mod pipes;
mod screen;
mod terminal;
