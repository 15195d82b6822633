//! The commands around `serve`, through the built binary: how they find a server, settings, `doctor`, `chat`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod chat;
mod doctor;
mod home;
mod servers;
mod session;
mod settings;
