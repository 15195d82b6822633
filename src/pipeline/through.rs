//! A body that goes through unread: watched for silence and for its end, never changed.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::relay::idle_message;
use crate::{
    exchange::{Recorder, Stage},
    transport::{Body, BoxError},
};

/// A response body on its way to the client.
pub(super) struct Through {
    upstream: Option<Body>,
    recorder: Recorder,
    /// The body is the upstream's as it comes, not one that was read already.
    arrives: bool,
    idle: Duration,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Through {
    pub(super) fn new(upstream: Body, idle: Duration, recorder: Recorder) -> Through {
        let heard = Instant::now();
        let mut through = Through {
            upstream: Some(upstream),
            recorder,
            arrives: true,
            idle,
            heard,
            timer: Box::pin(sleep_until(heard + idle)),
        };
        through.note_end();
        through
    }

    /// A body that is here already.
    pub(super) fn ready(body: Body, recorder: Recorder) -> Through {
        Through {
            arrives: false,
            ..Through::new(body, Duration::from_secs(3600), recorder)
        }
    }

    /// Closes the record if nothing follows.
    fn note_end(&mut self) {
        if self.upstream.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.upstream = None;
            self.recorder.close();
        }
    }

    /// An error of a body has no words that the client sees: the connection breaks, which is what happened upstream.
    fn fail(&mut self, message: String) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.upstream = None;
        self.recorder.reaching(Stage::Received);
        self.recorder.failed(&message);
        Poll::Ready(Some(Err(message.into())))
    }
}

impl HttpBody for Through {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(upstream) = &mut this.upstream else {
            return Poll::Ready(None);
        };
        match Pin::new(upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.heard = Instant::now();
                if let Some(data) = frame.data_ref() {
                    if this.arrives {
                        this.recorder.chunk(data);
                    }
                    this.recorder.passed(data);
                }
                // Whoever sends a body of known length does not ask for more after its last byte.
                this.note_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fail(format!("the upstream's answer broke: {error}"))
            }
            Poll::Ready(None) => {
                this.upstream = None;
                this.recorder.close();
                Poll::Ready(None)
            }
            Poll::Pending => {
                while this.timer.as_mut().poll(cx).is_ready() {
                    if this.heard.elapsed() >= this.idle {
                        let message = idle_message(this.idle);
                        return this.fail(message);
                    }
                    let due = this.heard + this.idle;
                    this.timer.as_mut().reset(due);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.upstream
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
