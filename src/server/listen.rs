//! Accepts connections, and lets those that are busy end when the server stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{
    drain::Connections,
    guarded::{self, Guarded, guarded},
    socket::{Socket, Traffic, UnderWay},
    speech::{Answers, Connection, HEADERS, Speech},
    workers::Workers,
};
use crate::transport::{Body, BoxError};

/// After an accept that failed for want of file descriptors or memory: others have to end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a request's connection; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub std::net::IpAddr);

/// What answers.
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn call(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> impl Future<Output = http::Response<Body>> + Send;
}

impl Service for super::App {
    async fn call(self: Arc<Self>, request: Request<Body>) -> http::Response<Body> {
        self.handle(request).await
    }
}

/// What clients' connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Most connections at once.
    pub max_connections: usize,
    /// Longest time from a request's first byte to the end of its head.
    pub header_timeout: Option<Duration>,
    /// Longest time without a request. Longer than any SDK's pool keeps a connection (Java and older Node ones: 5 minutes), or a request
    /// would now and then meet one that is just being closed.
    pub keep_alive: Option<Duration>,
    /// Longest time in which a client takes nothing of its answer.
    pub send_timeout: Option<Duration>,
    /// Most bytes of a request's head, 8 KiB at least; also what hyper may hold of one HTTP/1 connection.
    pub max_header_size: usize,
    /// Most headers of a request.
    pub max_headers: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            max_connections: 10_000,
            header_timeout: Some(Duration::from_secs(30)),
            keep_alive: Some(Duration::from_secs(600)),
            send_timeout: Some(Duration::from_secs(600)),
            max_header_size: 64 << 10,
            max_headers: HEADERS,
        }
    }
}

/// A listener, bound and not accepting yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds `address`.
///
/// # Errors
///
/// If the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// The address, with the port that was found where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled, then waits up to `drain` for the exchanges under way. What is not done by then is cut.
    /// `stopping` is called once new connections are refused. Connections are shared out among `workers`; without any, all are the
    /// caller's runtime's.
    ///
    /// Gives the number of connections that were cut.
    pub async fn serve<S: Service>(
        self,
        service: Arc<S>,
        workers: Option<&Workers>,
        terms: Terms,
        drain: Duration,
        stop: CancellationToken,
        stopping: impl FnOnce(),
    ) -> usize {
        let speech = Arc::new(Speech::new(&terms));
        let terms = Arc::new(terms);
        let connections = Arc::<Connections>::default();
        let mut places = Places::new(terms.max_connections);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&mut places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else {
                continue;
            };
            let (speech, service) = (Arc::clone(&speech), Arc::clone(&service));
            let terms = Arc::clone(&terms);
            let here = connections.enter();
            let one = async move |stream: TcpStream| {
                let traffic = Arc::<Traffic>::default();
                let answer = answering(service, peer, Arc::clone(&traffic));
                let connection = speech.serve(Socket::new(stream, traffic, terms), answer);
                Connections::run(here, connection, Connection::drain).await;
                drop(place);
            };
            let Some(workers) = workers else {
                tokio::spawn(async move { one(stream).await });
                continue;
            };
            // From here on it is another thread's.
            let Ok(stream) = stream.into_std() else {
                continue;
            };
            workers.run(move || async move {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    one(stream).await;
                }
            });
        }
        drop(self.listener);
        stopping();
        let left = connections.count();
        let drained = tokio::time::timeout(drain, connections.drain())
            .await
            .is_ok();
        connections.cut();
        if drained { 0 } else { left }
    }

    async fn accept(&self, places: &mut Places) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
        let place = places.next().await?;
        match self.listener.accept().await {
            Ok((stream, address)) => {
                places.fails = false;
                // Tokens are small and wait for nobody.
                let _ = stream.set_nodelay(true);
                Some((stream, Peer(address.ip().to_canonical()), place))
            }
            Err(error) => {
                // A client that left before it was taken is none of our troubles.
                let own = error.kind() != io::ErrorKind::ConnectionAborted;
                if own && !std::mem::replace(&mut places.fails, true) {
                    tracing::warn!(
                        "connections cannot be taken: {error}; they wait until others end (`ulimit -n` is the most files a process may open)"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// The connections that there may be at once.
struct Places {
    free: Arc<Semaphore>,
    most: usize,
    /// All are taken, and that has been said.
    full: bool,
    /// The last one could not be accepted, and that has been said.
    fails: bool,
}

impl Places {
    fn new(most: usize) -> Places {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Places {
            free: Arc::new(Semaphore::new(most)),
            most,
            full: false,
            fails: false,
        }
    }

    /// Waits until there is a place.
    async fn next(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            // Said again once there was room for some time, not each time that one goes and one comes.
            if self.free.available_permits() > self.most / 10 {
                self.full = false;
            }
            return Some(place);
        }
        if !std::mem::replace(&mut self.full, true) {
            tracing::warn!(
                "{} connections are open, the most that may be (--max-connections): others wait",
                self.most
            );
        }
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

/// Has `service` answer what comes over one connection. A panic ends the one request that it happens in.
fn answering<S: Service>(
    service: Arc<S>,
    peer: Peer,
    traffic: Arc<Traffic>,
) -> impl Answers + Send {
    service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        let under_way = UnderWay::new(&traffic);
        async move {
            let mut request = request.map(|body| {
                body.map_err(|error| Box::new(error) as BoxError)
                    .boxed_unsync()
            });
            request.extensions_mut().insert(peer);
            // hyper keeps the room for what answers as long as the connection is open; a stream needs none of it.
            let answer = Box::pin(guarded(service.call(request))).await;
            let response = answer.unwrap_or_else(|| super::app::refuse(guarded::fault()));
            Ok::<_, std::convert::Infallible>(response.map(|body| Guarded::new(body, under_way)))
        }
    })
}
