//! HTTP/1.1 connections that the exchange itself drives.
//!
//! hyper-util's pool runs each connection on a task of its own, and each chunk of an answer goes from task to task. Here whoever reads the
//! answer reads the socket: a chunk wakes one task, and what one read brings leaves by one write. This is for requests whose body is in
//! memory. One that the client is still sending has to go on while nobody reads the answer, so it is the pool's.

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::noop_waker_ref;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{
    body::Upload,
    connect::Link,
    error::{BEGAN, explain},
    locked,
    pool::{IDLE, MAX_IDLE, STREAM_BUFFER},
};
use crate::transport::TransportError;

/// How often idle connections are looked at: those that the upstream closed are let go.
const SWEEP: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(5)
};

/// How long a connection that fell idle is taken to be open, without another look at its socket.
const TRUSTED: Duration = Duration::from_millis(1);

/// A connection, and what sends on it.
pub(crate) struct Own {
    sender: http1::SendRequest<Upload>,
    connection: Pin<Box<http1::Connection<TokioIo<Link>, Upload>>>,
    /// The other end is a forward proxy, which wants whole URLs.
    proxied: bool,
    closed: bool,
    /// Makes the connection look at its socket.
    doubt: Arc<AtomicBool>,
    /// Since when nothing is on it.
    since: Instant,
}

/// Why there is no answer.
pub(crate) enum Unanswered {
    /// No byte of the request was sent.
    Unsent(Box<Request<Upload>>),
    Broken(hyper::Error),
    /// The connection ended without a word.
    Closed,
}

impl Own {
    /// Speaks HTTP on a new connection to `name`.
    pub(crate) async fn new(
        link: Link,
        stream: bool,
        name: impl Fn() -> String,
    ) -> Result<Own, TransportError> {
        let mut builder = http1::Builder::new();
        if stream {
            builder.max_buf_size(STREAM_BUFFER);
        }
        let (proxied, doubt) = (link.proxied(), link.doubt());
        let made = builder.handshake(TokioIo::new(link)).await;
        let (sender, connection) =
            made.map_err(|error| TransportError::Connect(explain(&error, &name(), BEGAN)))?;
        Ok(Own {
            sender,
            connection: Box::pin(connection),
            proxied,
            closed: false,
            doubt,
            since: Instant::now(),
        })
    }

    /// Lets the connection read and write.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // What went wrong is told where the answer is read.
        self.closed = self.closed || self.connection.as_mut().poll(cx).is_ready();
    }

    /// Sends a request and gives the head of its answer.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        address(&mut request, self.proxied);
        let mut sending = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(Unanswered::from));
            }
            self.closed = self.closed || self.connection.as_mut().poll(cx).is_ready();
            match sending.as_mut().poll(cx) {
                Poll::Ready(sent) => Poll::Ready(sent.map_err(Unanswered::from)),
                Poll::Pending if self.closed => Poll::Ready(Err(Unanswered::Closed)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether it could take a request: nothing is on it, and its upstream has not closed it.
    fn is_free(&mut self) -> bool {
        let idle = self.since.elapsed();
        self.doubt.store(idle > TRUSTED, Ordering::Relaxed);
        self.drive(&mut Context::from_waker(noop_waker_ref()));
        self.doubt.store(false, Ordering::Relaxed);
        !self.closed && self.sender.is_ready() && idle < IDLE
    }
}

impl From<TrySendError<Request<Upload>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Upload>>) -> Self {
        match error.take_message() {
            Some(request) => Unanswered::Unsent(Box::new(request)),
            None => Unanswered::Broken(error.into_error()),
        }
    }
}

/// The connections to one upstream that nothing is on.
#[derive(Default)]
pub(crate) struct Idle {
    free: Mutex<Vec<Own>>,
    swept: AtomicBool,
}

impl Idle {
    /// The one that was used last: others can fall idle.
    pub(crate) fn take(&self) -> Option<Own> {
        loop {
            let mut own = locked(&self.free).pop()?;
            if own.is_free() {
                return Some(own);
            }
        }
    }

    /// Keeps one whose exchange is over, if it can be used again. Tells whether somebody has to begin to [`sweep`].
    pub(crate) fn put(&self, mut own: Own) -> bool {
        own.since = Instant::now();
        if !own.is_free() {
            return false;
        }
        let mut free = locked(&self.free);
        let oldest = (free.len() >= MAX_IDLE).then(|| free.remove(0));
        free.push(own);
        drop(free);
        // Closing a socket takes a while.
        drop(oldest);
        !self.swept.swap(true, Ordering::AcqRel)
    }

    /// Lets those go that are closed or old. Tells whether any are left.
    fn look(&self) -> bool {
        let mut kept = mem::take(&mut *locked(&self.free));
        kept.retain_mut(Own::is_free);
        let mut free = locked(&self.free);
        // Those that came meanwhile are younger.
        kept.append(&mut free);
        *free = kept;
        if free.is_empty() {
            self.swept.store(false, Ordering::Release);
        }
        !free.is_empty()
    }
}

/// Looks after idle connections, as long as there are any.
pub(crate) async fn sweep<O: AsRef<Idle>>(origin: std::sync::Weak<O>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(origin) = origin.upgrade() else {
            return;
        };
        if !(*origin).as_ref().look() {
            return;
        }
    }
}

/// The URL as HTTP/1.1 has it (RFC 9112 §3.2), and whom it is for.
fn address(request: &mut Request<Upload>, proxied: bool) {
    let uri = request.uri();
    if let (Some(host), false) = (uri.host(), request.headers().contains_key(HOST)) {
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let host = match uri.port_u16() {
            Some(port) if port != usual => HeaderValue::try_from(format!("{host}:{port}")),
            _ => HeaderValue::try_from(host),
        };
        if let Ok(host) = host {
            request.headers_mut().insert(HOST, host);
        }
    }
    let uri = request.uri_mut();
    // A proxy of https:// sees a tunnel.
    if !proxied || uri.scheme_str() == Some("https") {
        let path = uri.path_and_query().cloned();
        *uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
}
