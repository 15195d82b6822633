//! Accepts connections, and lets those that are busy end when the server stops.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{drain::Connections, workers::Workers};
use crate::transport::{Body, BoxError};

/// How long a client may take for a request's head. hyper counts from the end of the request before, so this is how long an idle
/// connection lives, too: longer than any SDK's pool keeps one (Java and older Node ones: 5 minutes), or a request would now and then
/// meet a connection that is just being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// What hyper may hold of one HTTP/1 connection; also the largest head of a request.
const CONNECTION_BUFFER: usize = 64 << 10;

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
        max_connections: usize,
        drain: Duration,
        stop: CancellationToken,
        stopping: impl FnOnce(),
    ) -> usize {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(CONNECTION_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .max_concurrent_streams(1024);
        let builder = Arc::new(builder);
        let connections = Arc::<Connections>::default();
        let places = Arc::new(Semaphore::new(
            max_connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else {
                continue;
            };
            let (builder, service) = (Arc::clone(&builder), Arc::clone(&service));
            let here = connections.enter();
            let one = async move |stream: TcpStream| {
                let answer = answering(service, peer);
                let connection = builder.serve_connection(TokioIo::new(stream), answer);
                let drain =
                    |connection: Pin<&mut _>| auto::Connection::graceful_shutdown(connection);
                Connections::run(here, connection, drain).await;
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

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, address)) => {
                // Tokens are small and wait for nobody.
                let _ = stream.set_nodelay(true);
                Some((stream, Peer(address.ip().to_canonical()), place))
            }
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// Has `service` answer what comes over one connection.
fn answering<S: Service>(
    service: Arc<S>,
    peer: Peer,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = http::Response<Body>,
    Error = Infallible,
    Future: Send,
> + Send {
    service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let mut request = request.map(|body| {
                body.map_err(|error| Box::new(error) as BoxError)
                    .boxed_unsync()
            });
            request.extensions_mut().insert(peer);
            Ok::<_, Infallible>(service.call(request).await)
        }
    })
}
