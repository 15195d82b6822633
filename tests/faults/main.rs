//! What upstreams do wrong, and what becomes of it: a table of faults (`table.rs`), each asked by every kind of client, whole and
//! streamed. `SECURITY.md` has the table as its appendix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod document;
mod frames;
mod idle;
mod payload;
mod run;
mod table;
mod tls;
mod upstream;
