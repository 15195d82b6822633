//! HTTP/1.1 connections: hyper-util pools them, this is what it makes them with.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::Upload,
    connect::{Dialer, Link},
    locked,
};
use crate::transport::TransportError;

/// How long a connection without exchanges is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(90);

/// Most idle connections that are kept for an origin.
pub(crate) const MAX_IDLE: usize = 64;

/// What a slow reader of a stream can hold here.
pub(crate) const STREAM_BUFFER: usize = 64 * 1024;

/// How long a spare connection is good for: the request that made it is next to ask.
const FRESH: Duration = Duration::from_secs(1);

/// One origin's pool.
pub(crate) type Pool = legacy::Client<PoolConnector, Upload>;

pub(crate) fn new(dialer: &Arc<Dialer>, spare: &Arc<Spare>, stream: bool) -> Pool {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE);
    if stream {
        builder.http1_max_buf_size(STREAM_BUFFER);
    }
    builder.build(PoolConnector {
        dialer: Arc::clone(dialer),
        spare: Arc::clone(spare),
    })
}

/// The connection that showed that an upstream speaks HTTP/1.1, until the pool takes it.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Option<(Instant, Link)>>);

impl Spare {
    pub(crate) fn put(&self, link: Link) {
        *locked(&self.0) = Some((Instant::now(), link));
    }

    pub(crate) fn take(&self) -> Option<Link> {
        let (since, link) = mem::take(&mut *locked(&self.0))?;
        (since.elapsed() < FRESH).then_some(link)
    }
}

/// What hyper-util's pool makes connections with.
#[derive(Clone)]
pub(crate) struct PoolConnector {
    dialer: Arc<Dialer>,
    spare: Arc<Spare>,
}

impl fmt::Debug for PoolConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dialer.name())
    }
}

impl Service<Uri> for PoolConnector {
    type Response = TokioIo<Link>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let link = match connector.spare.take() {
                Some(link) => link,
                None => connector.dialer.connect(false).await?,
            };
            Ok(TokioIo::new(link))
        })
    }
}
