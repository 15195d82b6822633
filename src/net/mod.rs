//! The upstream side of the network: [`Client`] is the [`Transport`](crate::transport::Transport) that opens sockets.
//!
//! `client` sends, `origin` holds an upstream's connections (`http1` and `pool` for HTTP/1.1, `lanes` for HTTP/2), `connect` makes
//! them, by `proxy` and `tunnel` where one is to be used and under `tls` where the URL says so. `body` is an answer's, `chunks` one that is
//! read off its connection without hyper (`chunked` is the coding alone, without I/O). `keys` fetches clouds' credentials. Imports `transport` and `keys` only.

mod body;
mod chunked;
mod chunks;
mod client;
mod connect;
mod error;
mod http1;
mod keys;
mod lanes;
mod origin;
mod pool;
mod proxy;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::{
    client::{Client, OriginStats, Stats},
    keys::{CloudKeys, Variables},
    proxy::Environment,
    tls::Roots,
};

/// Locks, also after a panic elsewhere: what these locks guard is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
