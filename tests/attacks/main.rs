//! What somebody who does not belong would try (SPEC §4.9), against the real binary. `table.rs` holds the attacks that are one request each;
//! `SECURITY.md` lists them.

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

mod browser;
mod files;
mod injection;
mod requests;
mod screens;
mod smuggling;
mod table;
