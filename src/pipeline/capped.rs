//! A request body that goes through unread, up to a limit.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::transport::{Body, BoxError};

/// A body that ends in an error once it is over its limit.
pub(super) struct Capped {
    body: Body,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl Capped {
    /// At most `limit` bytes of `body`; `exceeded` tells whoever sees the broken request why.
    pub(super) fn new(body: Body, limit: u64, exceeded: Arc<AtomicBool>) -> Capped {
        Capped {
            body,
            left: limit,
            exceeded,
        }
    }
}

impl HttpBody for Capped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let size = frame.data_ref().map_or(0, Bytes::len) as u64;
            match this.left.checked_sub(size) {
                Some(left) => this.left = left,
                None => {
                    this.exceeded.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err("request body too large".into())));
                }
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
