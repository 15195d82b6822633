//! HTTP/1.1 connections that the exchange itself drives.
//!
//! hyper-util's pool runs each connection on a task of its own, and each chunk of an answer goes from task to task. Here whoever reads the
//! answer reads the socket: a chunk wakes one task, and what one read brings leaves by one write. This is for requests whose body is in
//! memory. One that the client is still sending has to go on while nobody reads the answer, so it is the pool's. hyper speaks on them, but
//! for what `chunks` reads.

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread::{self, ThreadId},
    time::Duration,
};

use futures_util::task::noop_waker_ref;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, ReadBuf},
    runtime::{Handle, RuntimeFlavor},
    time::Instant,
};

use super::{
    body::Upload,
    chunks::closes,
    connect::{Link, Marks},
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

/// Room for an answer's head and the first of its body.
const HEARD: usize = 1024;

/// A connection, and what sends on it.
pub(crate) struct Own {
    sender: http1::SendRequest<Upload>,
    connection: Box<http1::Connection<TokioIo<Link>, Upload>>,
    /// The other end is a forward proxy, which wants whole URLs.
    proxied: bool,
    closed: bool,
    /// The request said that it is the last one.
    closes: bool,
    marks: Arc<Marks>,
    /// Its socket wakes this thread.
    home: ThreadId,
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
        let (proxied, marks) = (link.proxied(), link.marks());
        let made = builder.handshake(TokioIo::new(link)).await;
        let (sender, connection) =
            made.map_err(|error| TransportError::Connect(explain(&error, &name(), BEGAN)))?;
        Ok(Own {
            sender,
            connection: Box::new(connection),
            proxied,
            closed: false,
            closes: false,
            marks,
            home: here(),
        })
    }

    /// Lets the connection read and write.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // What went wrong is told where the answer is read.
        self.closed = self.closed || Pin::new(&mut *self.connection).poll(cx).is_ready();
    }

    /// Sends a request and gives the head of its answer.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        address(&mut request, self.proxied);
        self.closes = closes(request.headers());
        let mut sending = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(Unanswered::from));
            }
            self.closed = self.closed || Pin::new(&mut *self.connection).poll(cx).is_ready();
            match sending.as_mut().poll(cx) {
                Poll::Ready(sent) => Poll::Ready(sent.map_err(Unanswered::from)),
                Poll::Pending if self.closed => Poll::Ready(Err(Unanswered::Closed)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Keeps what is read, until it is asked for.
    pub(crate) fn listen(&self) {
        *locked(&self.marks.heard) = Some(Vec::with_capacity(HEARD));
    }

    /// What was read since [`Own::listen`].
    pub(crate) fn heard(&self) -> Option<Vec<u8>> {
        locked(&self.marks.heard).take()
    }

    /// Whether all that was written has left, so that no more than reading is to be done.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.closed && self.marks.flushed.load(Ordering::Relaxed)
    }

    /// Whether the request said that it is the last one.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// The connection without hyper.
    pub(crate) fn into_link(self) -> Link {
        self.connection.into_parts().io.into_inner()
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

/// The thread that asks.
fn here() -> ThreadId {
    thread_local!(static HERE: ThreadId = thread::current().id());
    HERE.with(|here| *here)
}

/// A connection that nothing is on.
pub(crate) struct Free {
    link: Kept,
    marks: Arc<Marks>,
    since: Instant,
    /// Its socket wakes this thread.
    home: ThreadId,
}

/// What is kept of it.
pub(crate) enum Kept {
    /// hyper is on it.
    Own(Own),
    /// It was read without.
    Bare(Link),
}

impl Free {
    pub(crate) fn new(link: Kept) -> Self {
        let (marks, home) = match &link {
            Kept::Own(own) => (Arc::clone(&own.marks), own.home),
            Kept::Bare(link) => (link.marks(), here()),
        };
        Free {
            link,
            marks,
            since: Instant::now(),
            home,
        }
    }

    /// Whether it could take a request: nothing is on it, and its upstream has not closed it.
    fn is_usable(&mut self) -> bool {
        // However short it was idle: some upstreams close after each answer, and do not say so.
        self.marks.doubt.store(!self.is_home(), Ordering::Relaxed);
        let mut cx = Context::from_waker(noop_waker_ref());
        let quiet = match &mut self.link {
            Kept::Own(own) => {
                own.drive(&mut cx);
                !own.closed && own.sender.is_ready()
            }
            // What comes now is no answer, and the end is one byte that is not there.
            Kept::Bare(link) => Pin::new(link)
                .poll_read(&mut cx, &mut ReadBuf::new(&mut [0]))
                .is_pending(),
        };
        self.marks.doubt.store(false, Ordering::Relaxed);
        quiet && self.since.elapsed() < IDLE
    }

    /// Whether what woke this thread has told of all that came for the connection, too: they wait for the same.
    fn is_home(&self) -> bool {
        let alone = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
        self.home == here() && Handle::try_current().is_ok_and(alone)
    }
}

/// The connections to one upstream that nothing is on.
#[derive(Default)]
pub(crate) struct Idle {
    free: Mutex<Vec<Free>>,
    swept: AtomicBool,
}

impl Idle {
    /// The one that was used last, so that others can fall idle; one of this thread, if there is any.
    pub(crate) fn take(&self) -> Option<Kept> {
        let here = here();
        loop {
            let mut free = locked(&self.free);
            let at = free.iter().rposition(|one| one.home == here);
            let at = at.or(free.len().checked_sub(1))?;
            let mut one = free.remove(at);
            drop(free);
            if one.is_usable() {
                return Some(one.link);
            }
        }
    }

    /// Keeps one whose exchange is over, if it can be used again. Tells whether somebody has to begin to [`sweep`].
    pub(crate) fn put(&self, link: Kept) -> bool {
        let mut one = Free::new(link);
        if !one.is_usable() {
            return false;
        }
        let mut free = locked(&self.free);
        let oldest = (free.len() >= MAX_IDLE).then(|| free.remove(0));
        free.push(one);
        drop(free);
        // Closing a socket takes a while.
        drop(oldest);
        !self.swept.swap(true, Ordering::AcqRel)
    }

    /// Lets those go that are closed or old. Tells whether any are left.
    fn look(&self) -> bool {
        let mut kept = mem::take(&mut *locked(&self.free));
        kept.retain_mut(Free::is_usable);
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
    if !request.headers().contains_key(HOST)
        && let Some(host) = host(request.uri())
    {
        request.headers_mut().insert(HOST, host);
    }
    let uri = request.uri_mut();
    // A proxy of https:// sees a tunnel.
    if !proxied || uri.scheme_str() == Some("https") {
        let path = mem::take(uri).into_parts().path_and_query;
        *uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
}

/// Host and port of a URL, without a port that is the usual one.
fn host(uri: &Uri) -> Option<HeaderValue> {
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let authority = uri.authority()?;
    match authority.port_u16() {
        // Nobody is named beside host and port: that was taken out.
        Some(port) if port != usual => HeaderValue::from_str(authority.as_str()).ok(),
        _ => HeaderValue::from_str(authority.host()).ok(),
    }
}
