//! Tests over real sockets, loopback only: scripted servers, and a client that must cope with them.

mod chunks;
mod http1;
mod http2;
mod keys;
mod proxies;
mod support;
mod trust;
