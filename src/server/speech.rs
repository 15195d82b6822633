//! Which HTTP a client speaks: its first bytes tell.
//!
//! hyper-util has this, too, but what it read it gives to hyper as a read of its own: hyper then asks for twice the memory, and parses the
//! first request twice. That is 8 KiB for each stream.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{guarded::Guarded, listen::Terms, socket::Socket};

/// What hyper takes of headers, unless it is told otherwise.
pub(super) const HEADERS: usize = 100;

/// What serves connections, whatever they speak.
pub(super) struct Speech {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Speech {
    /// Within these limits. Time is for [`Socket`] to watch: hyper has one limit for heads and idleness.
    pub(super) fn new(terms: &Terms) -> Speech {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(terms.max_header_size);
        // With a number of its own, hyper asks for memory for each request's headers.
        if terms.max_headers != HEADERS {
            http1.max_headers(terms.max_headers);
        }
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .max_header_list_size(u32::try_from(terms.max_header_size).unwrap_or(u32::MAX))
            .max_concurrent_streams(1024);
        Speech { http1, http2 }
    }

    /// Serves one connection.
    pub(super) fn serve<S: Answers>(self: Arc<Self>, socket: Socket, service: S) -> Connection<S> {
        Connection(State::New {
            speech: self,
            socket,
            service,
        })
    }
}

/// What answers a connection's requests.
pub(super) trait Answers:
    Service<
        Request<Incoming>,
        Response = Response<Guarded>,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Unpin
{
}

impl<S> Answers for S where
    S: Service<
            Request<Incoming>,
            Response = Response<Guarded>,
            Error = std::convert::Infallible,
            Future: Send + 'static,
        > + Unpin
{
}

/// A connection that is served; it is ready once it has ended.
pub(super) struct Connection<S: Answers>(State<S>);

enum State<S: Answers> {
    /// Nobody knows yet what it speaks.
    New {
        speech: Arc<Speech>,
        socket: Socket,
        service: S,
    },
    Http1(Pin<Box<http1::Connection<TokioIo<Socket>, S>>>),
    Http2(Pin<Box<http2::Connection<TokioIo<Socket>, S, TokioExecutor>>>),
    Over,
}

impl<S: Answers> Connection<S> {
    /// Asks it to end, once the exchange under way is over.
    pub(super) fn drain(&mut self) {
        match &mut self.0 {
            State::Http1(connection) => connection.as_mut().graceful_shutdown(),
            State::Http2(connection) => connection.as_mut().graceful_shutdown(),
            State::New { .. } | State::Over => self.0 = State::Over,
        }
    }
}

impl<S: Answers> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let state = &mut self.0;
        if let State::New { socket, .. } = state {
            let is_http2 = ready!(socket.poll_is_h2(cx)).ok();
            let State::New {
                speech,
                socket,
                service,
            } = mem::replace(state, State::Over)
            else {
                return Poll::Ready(());
            };
            let io = TokioIo::new(socket);
            match is_http2 {
                None => return Poll::Ready(()),
                Some(true) => {
                    let connection = speech.http2.serve_connection(io, service);
                    *state = State::Http2(Box::pin(connection));
                }
                Some(false) => {
                    let connection = speech.http1.serve_connection(io, service);
                    *state = State::Http1(Box::pin(connection));
                }
            }
        }
        // An error here is the client's: it hung up, or spoke no HTTP. It was answered where it could be.
        match state {
            State::Http1(connection) => connection.as_mut().poll(cx).map(|_| ()),
            State::Http2(connection) => connection.as_mut().poll(cx).map(|_| ()),
            State::New { .. } | State::Over => Poll::Ready(()),
        }
    }
}
