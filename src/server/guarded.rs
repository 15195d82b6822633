//! What a panic may end: one exchange, and nothing beside it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};

use super::socket::UnderWay;
use crate::{
    dialect::Fault,
    transport::{Body, BoxError},
};

/// What the client is told; what happened and where is on stderr.
pub(super) const BROKE: &str =
    "aiproxy broke inside this request, and in no other: a bug, and stderr says where";

/// What the client is told of a panic.
pub(super) fn fault() -> Fault {
    Fault {
        kind: "internal_error".into(),
        ..Fault::upstream(500, BROKE)
    }
}

/// Runs a future; `None` if it panicked. What it held is dropped by then.
pub(super) fn guarded<F: Future>(future: F) -> impl Future<Output = Option<F::Output>> {
    // An `async fn` would hold the future twice: as it was given, and as it runs.
    AssertUnwindSafe(future).catch_unwind().map(Result::ok)
}

/// An answer's body. Its request is under way until it is dropped; a panic in it ends it as an upstream that hangs up does.
pub(super) struct Guarded {
    body: Option<Body>,
    _under_way: UnderWay,
}

impl Guarded {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Guarded {
        Guarded {
            body: Some(body),
            _under_way: under_way,
        }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(mut body) = self.body.take() else {
            return Poll::Ready(None);
        };
        // It is inside, so that it is dropped while the panic goes by: its record learns that from `std::thread::panicking`.
        let polled = catch_unwind(AssertUnwindSafe(move || {
            let polled = Pin::new(&mut body).poll_frame(cx);
            (body, polled)
        }));
        match polled {
            Ok((body, polled)) => {
                self.body = Some(body);
                polled
            }
            Err(_) => Poll::Ready(Some(Err(BROKE.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
