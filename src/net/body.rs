//! Bodies on their way: the request's, which tells how far it got, and the response's, which keeps its exchange alive.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    chunks::{Chunks, body, closes, is_chunked},
    error::Torn,
    http1::{Kept, Own},
    locked,
    origin::Exchange,
};
use crate::transport::{Body, BoxError, TransportError};

/// How far a request's body got; shared with whoever waits for the answer.
#[derive(Debug)]
pub(crate) struct Progress {
    moved: Mutex<Instant>,
    failed: AtomicBool,
    over: AtomicBool,
    cut: AtomicBool,
    /// Whoever sends the body, when it waits for more of it.
    sender: AtomicWaker,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Progress {
            moved: Mutex::new(Instant::now()),
            failed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            sender: AtomicWaker::new(),
        })
    }

    /// The waiting begins, or begins anew.
    pub(crate) fn touch(&self) {
        *locked(&self.moved) = Instant::now();
    }

    /// Time since the last part of the body went out.
    pub(crate) fn quiet(&self) -> Duration {
        locked(&self.moved).elapsed()
    }

    /// Whether the body itself ended in an error, so that the upstream is not to blame.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether nothing more is asked of the body: it was sent, or never will be.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Cuts the request's body off when it is dropped: nobody wants the answer any more, or all of it is here.
///
/// hyper alone would go on sending a body whose answer came early.
pub(crate) struct Cut(pub(crate) Arc<Progress>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.sender.wake();
    }
}

/// A request's body.
pub(crate) struct Upload {
    body: Body,
    progress: Arc<Progress>,
}

impl Upload {
    pub(crate) fn new(body: Body, progress: Arc<Progress>) -> Self {
        Upload { body, progress }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.progress.over.store(true, Ordering::Relaxed);
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // First, or a cut between the two would wake nobody.
        self.progress.sender.register(cx.waker());
        if self.progress.cut.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err("the exchange is over".into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            self.progress.touch();
            if let Some(Err(_)) = frame {
                self.progress.failed.store(true, Ordering::Relaxed);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Remembers that somebody was woken.
///
/// A server asks a body for more as soon as it has some, and is told that there is none: on an own connection, that is a look at the
/// connection, the socket and the timers in between. What waits already, and was not woken since, need not be asked again.
struct Woken {
    since: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First, or the task would find that it was not.
        self.since.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A response's body. Its trailers pass; its end, its error or its drop ends the exchange.
pub(crate) struct Download {
    source: Source,
    exchange: Option<Exchange>,
    _cut: Cut,
}

/// Where a body comes from.
enum Source {
    /// hyper, on a connection with a task of its own.
    Hyper(Incoming),
    /// hyper, on a connection that whoever reads drives.
    Own(Driven),
    /// A connection without hyper.
    Chunks(Chunks),
    Over,
}

/// A body, and the connection it comes over.
struct Driven {
    body: Incoming,
    own: Own,
    woken: Arc<Woken>,
    waker: Waker,
    /// Nothing was there when it was asked last.
    waits: bool,
}

impl Driven {
    fn new(body: Incoming, own: Own) -> Self {
        let woken = Arc::new(Woken {
            since: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        Driven {
            body,
            own,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            waits: false,
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Before the flag is looked at, or a wake between the two would be nobody's.
        self.woken.task.register(cx.waker());
        let woken = self.woken.since.load(Ordering::Acquire)
            && self.woken.since.swap(false, Ordering::AcqRel);
        if self.waits && !woken {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        let mut polled = Pin::new(&mut self.body).poll_frame(&mut cx);
        if polled.is_pending() {
            self.own.drive(&mut cx);
            polled = Pin::new(&mut self.body).poll_frame(&mut cx);
        }
        self.waits = polled.is_pending();
        polled
    }
}

impl Download {
    /// The body of an answer that came over `own`, or over a connection with a task of its own.
    pub(crate) fn new(
        answer: Response<Incoming>,
        own: Option<Own>,
        exchange: Exchange,
        cut: Cut,
    ) -> Response<Download> {
        let keep = !closes(answer.headers());
        // When nothing is left to do but to read.
        let heard = own.as_ref().and_then(|own| {
            let heard = own.heard()?;
            (is_chunked(&answer) && cut.0.over() && own.is_flushed()).then_some(heard)
        });
        let begun = heard.as_deref().and_then(|heard| body(heard, &answer));
        answer.map(|body| {
            let source = match (own, begun) {
                (Some(own), Some(begun)) => {
                    let keep = keep && !own.closes();
                    Source::Chunks(Chunks::new(own.into_link(), begun, keep))
                }
                (Some(own), None) => Source::Own(Driven::new(body, own)),
                (None, _) => Source::Hyper(body),
            };
            let mut download = Download {
                source,
                exchange: Some(exchange),
                _cut: cut,
            };
            download.end();
            download
        })
    }

    /// Lets the connection go when all of the body is here.
    fn end(&mut self) {
        if !self.is_end_stream() {
            return;
        }
        let link = match mem::replace(&mut self.source, Source::Over) {
            Source::Own(driven) => Some(Kept::Own(driven.own)),
            Source::Chunks(chunks) => chunks.into_link().map(Kept::Bare),
            Source::Hyper(_) | Source::Over => None,
        };
        if let (Some(exchange), Some(link)) = (self.exchange.take(), link) {
            exchange.release(link);
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        let polled = match &mut self.source {
            Source::Hyper(body) => Pin::new(body).poll_frame(cx),
            Source::Own(driven) => driven.poll_frame(cx),
            Source::Chunks(chunks) => return chunks.poll(cx),
            Source::Over => Poll::Ready(None),
        };
        polled.map_err(Torn::Hyper)
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(self.poll_source(cx)) {
            Some(Ok(frame)) => {
                self.end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(torn)) => {
                self.source = Source::Over;
                let name = self.exchange.take().map(|exchange| exchange.name());
                let name = name.as_deref().unwrap_or("upstream");
                Poll::Ready(Some(Err(TransportError::Broken(torn.explain(name)).into())))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Hyper(body) => body.is_end_stream(),
            Source::Own(driven) => driven.body.is_end_stream(),
            Source::Chunks(chunks) => chunks.is_over(),
            Source::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Hyper(body) => body.size_hint(),
            Source::Own(driven) => driven.body.size_hint(),
            Source::Chunks(_) => SizeHint::default(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
