//! The one seam through which bytes leave the process.
//!
//! `net` sends over sockets, `mock` and `cassette` answer in process; nothing else implements it. It imports nothing of ours.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

/// An error of a body under way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request or response body of any origin. Decoders are `Send` but not `Sync`, so bodies are not either.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is already whole.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// How long a request waited for its connection: an extension of the response. Next to nothing if one was open.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// From the connector's first step to the connection, TLS included.
    pub took: Duration,
    /// How many connections were found closed before the request was sent, so that it took another one.
    pub resent: u32,
}

/// Nobody charges for this response: the mock answered in somebody's place. An extension of the response.
#[derive(Clone, Copy, Debug)]
pub struct Free;

/// What a [`Transport::send`] resolves to.
pub type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, TransportError>> + Send + 'a>>;

/// Sends one request and resolves when the response's headers are there.
///
/// The future owns the exchange: dropping it, or later the response's body, cancels the request upstream at once.
pub trait Transport: Send + Sync {
    /// Sends `request` (absolute URI) the way `dial` says.
    fn send<'a>(&'a self, request: http::Request<Body>, dial: &'a Dial) -> Sending<'a>;
}

/// How an upstream is reached. Equal values share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dial {
    /// Verify the upstream's certificate (Kong's `https_verify`).
    pub verify: bool,
    /// The proxy that the profile itself names for `http://` upstreams (Kong's `http_proxy_host` and `_port`).
    pub http_proxy: Option<HostPort>,
    /// The proxy that the profile itself names for `https://` upstreams (Kong's `https_proxy_host` and `_port`).
    pub https_proxy: Option<HostPort>,
    /// Offer HTTP/2 by ALPN.
    pub http2: bool,
    /// Longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest wait from the request's last byte to the response's headers.
    pub first_byte_timeout: Duration,
    /// The request's body is in memory, all of it.
    pub whole: bool,
    /// The answer will be streamed: a small receive window bounds what a slow reader can hold.
    pub stream: bool,
}

impl Dial {
    /// The profile's proxy for upstreams of this kind.
    #[must_use]
    pub fn proxy(&self, secure: bool) -> &Option<HostPort> {
        if secure {
            &self.https_proxy
        } else {
            &self.http_proxy
        }
    }
}

impl Default for Dial {
    fn default() -> Self {
        Dial {
            verify: true,
            http_proxy: None,
            https_proxy: None,
            http2: true,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(600),
            whole: false,
            stream: false,
        }
    }
}

/// A proxy's address as a profile writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address, without a scheme.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why no response came. The text names host and port at most: an upstream URL can carry a key in its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The connection was not made: DNS, refused, unreachable, TLS. The text says which, and the address.
    Connect(String),
    /// [`Dial::connect_timeout`] passed.
    ConnectTimeout(Duration),
    /// [`Dial::first_byte_timeout`] passed.
    FirstByteTimeout(Duration),
    /// The connection was made, but broke before the response's headers were whole.
    Broken(String),
    /// Only what was recorded is answered, and this was not. The text says what comes near.
    Unrecorded(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Connect(why)
            | TransportError::Broken(why)
            | TransportError::Unrecorded(why) => f.write_str(why),
            TransportError::ConnectTimeout(limit) => write!(
                f,
                "upstream did not connect within {} ms",
                limit.as_millis()
            ),
            TransportError::FirstByteTimeout(limit) => {
                write!(f, "upstream did not answer within {} ms", limit.as_millis())
            }
        }
    }
}

impl std::error::Error for TransportError {}
