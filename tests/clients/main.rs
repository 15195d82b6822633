//! Clients of OpenAI's chat, Anthropic's Messages and OpenAI's Responses, through every provider's own format.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod chunks;
mod count;
mod matrix;
mod message;
mod models;
mod order;
mod paths;
mod providers;
mod response;
mod sequences;
mod stored;
