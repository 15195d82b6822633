//! The listener's side: who may ask, what a path means, and the form of every answer.
//!
//! [`App`] answers requests, with a socket in front of it ([`listen`]) or without (`chat` in process). It alone turns a
//! [`Failure`](crate::pipeline::Failure) into a response, in the client's format. It imports `pipeline`, `exchange`, `profile`, `net`.

mod admin;
mod app;
mod beside;
mod confine;
mod drain;
mod dry;
mod gate;
mod guarded;
mod intake;
mod listen;
mod models;
mod naming;
mod reload;
mod router;
mod served;
mod socket;
mod speech;
mod ui;
mod wait;
mod workers;

pub use app::{App, Effects, Limits, render};
pub use dry::inbound;
pub use gate::{Gate, Origin};
pub use listen::{Listening, Peer, Service, Terms, listen};
pub use reload::{Change, Reloader};
pub use router::has_responses;
pub use served::Served;
pub use workers::Workers;
