//! Reads a request's body: inflated, within its limit and the memory of all requests together.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::EXPECT};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{app::Limits, wait::Wait};
use crate::{
    dialect::Fault,
    pipeline::{Failure, Inflated, inflate, too_large},
    transport::{Body, BoxError},
};

/// How long the rest of a refused body is read (nginx's lingering close).
const LINGER: Duration = Duration::from_secs(5);

/// How long a request waits for others to free memory (SPEC §4.11).
const MEMORY_WAIT: Duration = Duration::from_secs(5);

/// What one permit stands for.
const UNIT: usize = 16 << 10;

/// The memory that request bodies may hold together, and how long each may be silent.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    semaphore: Arc<Semaphore>,
    bytes: usize,
    silence: Option<Duration>,
}

/// A body in memory, and its share of the budget. Dropping it gives the share back.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _shares: Vec<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Budget {
        let bytes = limits.body_memory;
        let permits = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Budget {
            semaphore: Arc::new(Semaphore::new(permits)),
            bytes,
            silence: limits.body_timeout,
        }
    }

    /// A share of the memory, given back when it is dropped.
    pub(super) async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let full = || {
            let limit = self.bytes >> 20;
            Fault {
                status: 503,
                ..Fault::invalid(
                    503,
                    format!("request bodies in flight fill {limit} MiB (--max-body-memory)"),
                )
            }
        };
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| full())?;
        let wait = Arc::clone(&self.semaphore).acquire_many_owned(units);
        match tokio::time::timeout(MEMORY_WAIT, wait).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(full()),
        }
    }
}

/// Reads a whole body. `limit` is in bytes after inflation; 0 is none.
///
/// Where it is refused, what the client still sends is read and thrown away for a while: a connection that closes over unread bytes is
/// reset, and the client would see that instead of the answer.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: u64,
    budget: &Budget,
) -> Result<Held, Fault> {
    let limit = usize::try_from(limit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let mut inflated = inflate(headers, body).map_err(|name| {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        Fault::invalid(
            415,
            format!("content-encoding `{name}` is not known here: gzip, deflate, br and zstd are"),
        )
    })?;
    let held = hold(&mut inflated, limit, budget).await;
    if held.is_err() {
        linger(headers, inflated);
    }
    held
}

/// The same for a request that is refused before its body is read.
pub(super) fn skip(headers: &HeaderMap, body: Body) {
    linger(headers, Inflated { body, coded: false });
}

fn stalled(silence: Option<Duration>) -> Fault {
    let seconds = silence.unwrap_or_default().as_secs();
    Fault::invalid(
        408,
        format!("the request's body did not go on within {seconds} s (--body-timeout)"),
    )
}

/// A body that goes on as it comes, and ends in an error if it is silent for too long.
struct Paced {
    body: Body,
    wait: Wait,
    silence: Option<Duration>,
    stalled: Arc<AtomicBool>,
}

/// Whether a body was silent for too long.
pub(super) struct Stalled {
    it: Arc<AtomicBool>,
    silence: Option<Duration>,
}

impl Stalled {
    /// What went wrong on the way, if it is not the body's silence that it went wrong of.
    pub(super) fn explains(&self, mut failure: Box<Failure>) -> Box<Failure> {
        if self.it.load(Ordering::Relaxed) {
            failure.fault = stalled(self.silence);
        }
        failure
    }
}

/// A body that is not read here: nobody waits forever for the rest of it.
pub(super) fn paced(body: Body, budget: &Budget) -> (Body, Stalled) {
    let it = Arc::<AtomicBool>::default();
    let silence = budget.silence;
    let stalled = Stalled {
        it: Arc::clone(&it),
        silence,
    };
    if silence.is_none() || http_body::Body::is_end_stream(&body) {
        return (body, stalled);
    }
    let paced = Paced {
        body,
        wait: Wait::default(),
        silence,
        stalled: it,
    };
    (paced.boxed_unsync(), stalled)
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_ready() {
            this.wait.over();
            return polled;
        }
        if this.wait.poll(cx, this.silence).is_pending() {
            return Poll::Pending;
        }
        this.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err("the request's body did not go on".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Throws away what is left of a body, while the answer is on its way.
fn linger(headers: &HeaderMap, mut inflated: Inflated) {
    // A client that waits for `100 Continue` has not begun to send, and is not asked to.
    if headers.contains_key(EXPECT) {
        return;
    }
    // Inflating what nobody wants is work for an attacker's benefit.
    let patience = if inflated.coded { LINGER / 10 } else { LINGER };
    tokio::spawn(tokio::time::timeout(patience, async move {
        while let Some(Ok(_)) = inflated.body.frame().await {}
    }));
}

async fn hold(inflated: &mut Inflated, limit: usize, budget: &Budget) -> Result<Held, Fault> {
    let coded = inflated.coded;
    let body = &mut inflated.body;
    let announced = http_body::Body::size_hint(body)
        .upper()
        .and_then(|size| usize::try_from(size).ok());
    if announced.is_some_and(|size| size > limit) {
        return Err(too_large());
    }
    // What is announced is taken at once, so that two large requests cannot starve each other half-way.
    let first = announced.unwrap_or(UNIT).max(1);
    let mut shares = vec![budget.take(first).await?];
    let mut held = first.div_ceil(UNIT) * UNIT;
    let mut out = BytesMut::with_capacity(announced.unwrap_or_default().min(1 << 20));
    loop {
        let silence = budget.silence.unwrap_or(Duration::MAX);
        let Ok(frame) = tokio::time::timeout(silence, body.frame()).await else {
            return Err(stalled(budget.silence));
        };
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) if coded => {
                return Err(Fault::invalid(400, "the request's body does not inflate"));
            }
            Some(Err(_)) => return Err(Fault::invalid(400, "the request's body broke off")),
        };
        if data.len() > limit.saturating_sub(out.len()) {
            return Err(too_large());
        }
        let needed = out.len() + data.len();
        if needed > held {
            let more = (needed - held).max(held.min(1 << 20));
            shares.push(budget.take(more).await?);
            held += more.div_ceil(UNIT) * UNIT;
        }
        out.extend_from_slice(&data);
    }
    Ok(Held {
        bytes: out.freeze(),
        _shares: shares,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::full;

    fn budget() -> Budget {
        Budget::new(Limits {
            body_memory: 1 << 20,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn a_body_within_its_limit_is_read() {
        let budget = self::budget();
        let held = read(&HeaderMap::new(), full("hello"), 5, &budget)
            .await
            .unwrap();
        assert_eq!(held.bytes, "hello");
        assert_eq!(
            read(&HeaderMap::new(), full("hello!"), 5, &budget)
                .await
                .unwrap_err()
                .status,
            413
        );
        assert_eq!(
            read(&HeaderMap::new(), full("x".repeat(1 << 18)), 0, &budget)
                .await
                .unwrap()
                .bytes
                .len(),
            1 << 18
        );
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_given_back() {
        let budget = self::budget();
        let first = read(&HeaderMap::new(), full("x".repeat(900 << 10)), 0, &budget)
            .await
            .unwrap();
        let fault = read(&HeaderMap::new(), full("x".repeat(300 << 10)), 0, &budget)
            .await
            .unwrap_err();
        assert_eq!(
            (fault.status, fault.message.as_str()),
            (
                503,
                "request bodies in flight fill 1 MiB (--max-body-memory)"
            )
        );
        drop(first);
        assert!(
            read(&HeaderMap::new(), full("x".repeat(300 << 10)), 0, &budget)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn unknown_codings_are_refused() {
        let headers =
            HeaderMap::from_iter([(http::header::CONTENT_ENCODING, "compress".parse().unwrap())]);
        assert_eq!(
            read(&headers, full("x"), 0, &budget())
                .await
                .unwrap_err()
                .status,
            415
        );
    }
}
