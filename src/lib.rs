//! aiproxy: one stable LLM endpoint on localhost for every app of a developer.
//!
//! A pure core inside thin edges. `wire` cuts bytes into messages, `dialect` reads and writes them in terms of the canonical model in
//! `llm`, `provider` knows where they go. `profile` is what people configure. `pipeline` runs a request through all of these: prepare,
//! send, finish. `net` and `mock` are the two ways for bytes to leave, both a [`transport::Transport`], and `cassette` is one, too: it plays
//! recorded answers. `exchange` records what happened, `telemetry` sends that on as spans. `diff` says what changed between two bodies.
//! `server` listens, `cli` and `term` talk to people.

#![forbid(unsafe_code)]

pub mod cassette;
pub mod cli;
pub mod dialect;
pub mod diff;
pub mod exchange;
pub mod keys;
pub mod llm;
pub mod mock;
pub mod net;
pub mod pipeline;
pub mod profile;
pub mod provider;
pub mod server;
pub mod telemetry;
pub mod term;
pub mod transport;
pub mod wire;
