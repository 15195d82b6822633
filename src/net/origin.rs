//! Connections to one origin: hyper-util's pool for HTTP/1.1, lanes for HTTP/2.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    body::Upload,
    connect::{Dialer, Link},
    error::{BEGAN, explain},
    http1::{self, Idle, Kept, Own},
    lanes::{Lanes, Next, UNTOLD},
    locked,
    pool::{self, IDLE, Pool, Spare},
};
use crate::transport::TransportError;

/// Longest wait for a peer to tell its limit; it comes with the first bytes of any that follows the protocol.
const TELL: Duration = Duration::from_secs(1);

/// Silence on a lane with live exchanges after which the peer is asked whether it is there, and how long it may take.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What a slow reader can hold: one stream, and all streams of a lane.
const STREAM_WINDOW: u32 = 64 * 1024;
const LANE_WINDOW: u32 = 64 * STREAM_WINDOW;

/// Longest response head; hyper's 16 kB are too few for some gateways' cookies and policies.
const MAX_HEADERS: u32 = 64 * 1024;

/// One upstream, reached one way.
pub(crate) struct Origin {
    dialer: Arc<Dialer>,
    /// Speak HTTP/2 if the upstream does.
    http2: bool,
    stream: bool,
    pool: Pool,
    spare: Arc<Spare>,
    /// HTTP/1.1 connections outside of the pool.
    idle: Idle,
    lanes: Mutex<Lanes<SendRequest<Upload>>>,
    /// Something changed that one who waits for a lane should look at.
    changed: Notify,
    /// Live exchanges, whatever they go over.
    live: AtomicUsize,
    used: Mutex<Instant>,
}

/// Which connection an exchange goes over.
pub(crate) enum Claim {
    /// One of hyper-util's pool.
    Http1(Exchange),
    /// A lane.
    Http2(SendRequest<Upload>, Exchange),
}

impl Origin {
    pub(crate) fn new(dialer: Dialer, http2: bool, stream: bool) -> Arc<Self> {
        let dialer = Arc::new(dialer);
        let spare = Arc::new(Spare::default());
        let pool = pool::new(&dialer, &spare, stream);
        Arc::new(Origin {
            http2: http2 && dialer.secure,
            dialer,
            stream,
            pool,
            spare,
            idle: Idle::default(),
            lanes: Mutex::default(),
            changed: Notify::new(),
            live: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        })
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// An HTTP/1.1 connection that the exchange drives itself.
    pub(crate) async fn own(&self) -> Result<Own, TransportError> {
        let link = match self.idle.take() {
            Some(Kept::Own(own)) => return Ok(own),
            Some(Kept::Bare(link)) => link,
            None => match self.spare.take() {
                Some(link) => link,
                // Seldom, and large: beside it, what is sent over a connection that is there takes a third of the room.
                None => Box::pin(self.dialer.connect(false)).await?,
            },
        };
        Own::new(link, self.stream, || self.dialer.name()).await
    }

    /// Live exchanges and open lanes.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let lanes = locked(&self.lanes).len();
        (self.live.load(Ordering::Relaxed), lanes)
    }

    /// Whether nothing was asked of it for a while.
    pub(crate) fn is_idle(&self) -> bool {
        self.live.load(Ordering::Relaxed) == 0 && locked(&self.used).elapsed() > IDLE
    }

    /// Finds a connection for one exchange. Drop it at any time: what it had begun, another takes over.
    pub(crate) async fn claim(self: &Arc<Self>) -> Result<Claim, TransportError> {
        *locked(&self.used) = Instant::now();
        if !self.http2 {
            return Ok(Claim::Http1(self.exchange(None)));
        }
        let mut waiting = None;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let next =
                locked(&self.lanes).next(waiting.as_ref().map(|waiting: &Waiting| waiting.since));
            match next {
                Next::Lane(id, sender) => return Ok(Claim::Http2(sender, self.exchange(Some(id)))),
                Next::Pool => return Ok(Claim::Http1(self.exchange(None))),
                Next::Failed(error) => return Err(error),
                Next::Open => {
                    drop(waiting);
                    return Box::pin(self.open(Opening(self))).await;
                }
                Next::Wait(since) => {
                    waiting.get_or_insert_with(|| Waiting::new(self, since));
                    changed.await;
                }
            }
        }
    }

    /// Takes a lane out of use; the exchanges on it go on.
    pub(crate) fn retire(&self, exchange: &Exchange) {
        if let Some(id) = exchange.lane {
            self.forget(id);
        }
    }

    fn exchange(self: &Arc<Self>, lane: Option<u64>) -> Exchange {
        self.live.fetch_add(1, Ordering::Relaxed);
        Exchange {
            origin: Arc::clone(self),
            lane,
        }
    }

    async fn open(self: &Arc<Self>, opening: Opening<'_>) -> Result<Claim, TransportError> {
        let opened = self.dial().await;
        let mut lanes = locked(&self.lanes);
        let claim = match opened {
            Ok(Opened::Lane(sender, connection)) => {
                let id = lanes.add(sender.clone());
                tokio::spawn(drive(connection, id, Arc::downgrade(self)));
                Ok(Claim::Http2(sender, self.exchange(Some(id))))
            }
            Ok(Opened::Http1(link)) => {
                lanes.speaks_http1();
                self.spare.put(link);
                Ok(Claim::Http1(self.exchange(None)))
            }
            Err(error) => {
                lanes.fail(&error);
                Err(error)
            }
        };
        drop(lanes);
        drop(opening);
        claim
    }

    async fn dial(&self) -> Result<Opened, TransportError> {
        let link = self.dialer.connect(true).await?;
        if !link.http2 {
            return Ok(Opened::Http1(link));
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_max_send_streams(UNTOLD)
            .max_header_list_size(MAX_HEADERS)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1);
        if self.stream {
            builder
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(LANE_WINDOW);
        }
        let made = builder.handshake(TokioIo::new(link)).await;
        let (sender, connection) = made.map_err(|error| {
            TransportError::Connect(explain(&error, &self.dialer.name(), BEGAN))
        })?;
        Ok(Opened::Lane(sender, Box::pin(connection)))
    }

    /// A lane's peer told how many streams it takes.
    fn told(&self, id: u64, limit: usize) {
        locked(&self.lanes).told(id, limit);
        self.changed.notify_waiters();
    }

    fn forget(&self, id: u64) {
        let sender = locked(&self.lanes).remove(id);
        drop(sender);
        self.changed.notify_waiters();
    }

    fn forget_if_idle(&self, id: u64) {
        let idle = locked(&self.lanes).is_idle(id);
        if idle {
            self.forget(id);
        }
    }
}

impl AsRef<Idle> for Origin {
    fn as_ref(&self) -> &Idle {
        &self.idle
    }
}

/// A connection that was just made.
enum Opened {
    Lane(SendRequest<Upload>, Pin<Box<Connection>>),
    Http1(Link),
}

type Connection = http2::Connection<TokioIo<Link>, Upload, TokioExecutor>;

/// One that waits for a lane.
struct Waiting<'a> {
    origin: &'a Origin,
    since: u64,
}

impl<'a> Waiting<'a> {
    fn new(origin: &'a Origin, since: u64) -> Self {
        locked(&origin.lanes).wait(true);
        Waiting { origin, since }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.origin.lanes).wait(false);
    }
}

/// A connection being made; when it is made, failed or given up, the others look again.
struct Opening<'a>(&'a Origin);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        locked(&self.0.lanes).opening_ended();
        self.0.changed.notify_waiters();
    }
}

/// A live exchange: from its connection to the end of the response's body.
pub(crate) struct Exchange {
    origin: Arc<Origin>,
    lane: Option<u64>,
}

impl Exchange {
    /// Its connection is free.
    pub(crate) fn release(&self, link: Kept) {
        if self.origin.idle.put(link) {
            tokio::spawn(http1::sweep(Arc::downgrade(&self.origin)));
        }
    }

    /// `HOST:PORT` of the upstream.
    pub(crate) fn name(&self) -> String {
        self.origin.dialer.name()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let origin = &self.origin;
        *locked(&origin.used) = Instant::now();
        origin.live.fetch_sub(1, Ordering::Relaxed);
        let Some(id) = self.lane else { return };
        let wanted = locked(&origin.lanes).end(id);
        if wanted {
            origin.changed.notify_waiters();
        }
    }
}

/// Runs a lane's connection, tells its limit, closes it when it has been idle.
async fn drive(mut connection: Pin<Box<Connection>>, id: u64, origin: Weak<Origin>) {
    let mut told = None;
    let opened = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        tokio::select! {
            _ = &mut connection => break,
            () = sleep(pause) => {}
        }
        let Some(origin) = origin.upgrade() else {
            // Nobody can send on it any more; what is on it goes on to its end.
            let _ = connection.await;
            return;
        };
        let limit = connection.current_max_send_streams();
        // Until the peer's settings come, the limit is the one we began with; a peer may mean the same.
        let known = limit != UNTOLD || opened.elapsed() > TELL;
        if known && told != Some(limit) {
            told = Some(limit);
            origin.told(id, limit);
        }
        // The connection has no way to say that its peer's settings came: ask often at first, seldom later.
        pause = if told.is_none() {
            (pause * 2).min(Duration::from_millis(50))
        } else {
            Duration::from_secs(5)
        };
        origin.forget_if_idle(id);
    }
    if let Some(origin) = origin.upgrade() {
        origin.forget(id);
    }
}
