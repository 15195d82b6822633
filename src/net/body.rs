//! Bodies on their way: the request's, which tells how far it got, and the response's, which keeps its exchange alive.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{error::explain, http1::Own, locked, origin::Exchange};
use crate::transport::{Body, BoxError, TransportError};

/// How far a request's body got; shared with whoever waits for the answer.
#[derive(Debug)]
pub(crate) struct Progress {
    moved: Mutex<Instant>,
    failed: AtomicBool,
    cut: AtomicBool,
    /// Whoever sends the body, when it waits for more of it.
    sender: AtomicWaker,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Progress {
            moved: Mutex::new(Instant::now()),
            failed: AtomicBool::new(false),
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
    body: Incoming,
    /// The connection, where it has no task of its own.
    own: Option<Own>,
    exchange: Option<Exchange>,
    woken: Arc<Woken>,
    waker: Waker,
    /// Nothing was there when it was asked last.
    waits: bool,
    _cut: Cut,
}

impl Download {
    pub(crate) fn new(body: Incoming, own: Option<Own>, exchange: Exchange, cut: Cut) -> Self {
        let over = body.is_end_stream();
        let woken = Arc::new(Woken {
            since: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        let mut download = Download {
            body,
            own,
            exchange: Some(exchange),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            waits: false,
            _cut: cut,
        };
        if over {
            download.over();
        }
        download
    }

    /// All of it is here.
    fn over(&mut self) {
        if let (Some(exchange), Some(own)) = (self.exchange.take(), self.own.take()) {
            exchange.release(own);
        }
    }

    fn poll_body(
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
        if polled.is_pending()
            && let Some(own) = &mut self.own
        {
            own.drive(&mut cx);
            polled = Pin::new(&mut self.body).poll_frame(&mut cx);
        }
        self.waits = polled.is_pending();
        polled
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match std::task::ready!(self.poll_body(cx)) {
            Some(Ok(frame)) => {
                if self.body.is_end_stream() {
                    self.over();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let name = self.exchange.take().map(|exchange| exchange.name());
                let name = name.as_deref().unwrap_or("upstream");
                let why = explain(&error, name, "the response was whole");
                Poll::Ready(Some(Err(TransportError::Broken(why).into())))
            }
            None => {
                self.over();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
