//! Servers that do as they are told, certificates for them, and shorthands for requests.

use std::{
    convert::Infallible,
    future::Future,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    net::{Client, Environment},
    transport::{Body, Dial, Transport, TransportError, full},
};

/// Longest any step of a test may take; only a failing test waits so long.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// What counts as at once on a machine that has other things to do; alone it is 2 to 5 ms.
pub(super) const AT_ONCE: Duration = Duration::from_millis(500);

/// Fails the test instead of hanging.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("in time")
}

/// Waits until `condition` holds.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A listener on a free port.
pub(super) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs `each` for every connection, with its number.
pub(super) async fn raw<F, Fut>(each: F) -> SocketAddr
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(each(stream, number));
        }
    });
    address
}

/// Reads one request with a content length or none; an empty answer is a closed connection.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        if stream.read_buf(&mut all).await.unwrap_or(0) == 0 {
            return Vec::new();
        }
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        while all.len() < end + 4 + length {
            if stream.read_buf(&mut all).await.unwrap_or(0) == 0 {
                return Vec::new();
            }
        }
        return all;
    }
}

/// What a scripted server does with a request.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

impl<F, Fut> Answer for F
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send,
{
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self(request)
    }
}

/// An HTTP server on loopback.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Plain HTTP/1.1.
    pub(super) async fn http1(answer: impl Answer) -> Self {
        Self::run(None, None, answer).await
    }

    /// TLS; the protocol is by ALPN, `streams` the limit told to HTTP/2 clients.
    pub(super) async fn tls(config: ServerConfig, streams: u32, answer: impl Answer) -> Self {
        Self::run(Some(config), Some(streams), answer).await
    }

    async fn run(tls: Option<ServerConfig>, streams: Option<u32>, answer: impl Answer) -> Self {
        let (listener, address) = bind().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, answer) = (tls.clone(), answer.clone());
                tokio::spawn(async move {
                    if let Some(tls) = tls {
                        if let Ok(stream) = tls.accept(stream).await {
                            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve(stream, http2, streams, answer).await;
                        }
                    } else {
                        serve(stream, false, None, answer).await;
                    }
                });
            }
        });
        Server {
            address,
            connections,
        }
    }

    pub(super) fn seen(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// By name, as the test certificates have it.
    pub(super) fn secure_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

async fn serve<T>(stream: T, http2: bool, streams: Option<u32>, answer: impl Answer)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer.answer(request).await) }
    });
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(streams)
            .max_send_buf_size(1)
            .serve_connection(io, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .serve_connection(io, service)
            .await
    };
}

/// An authority of the test's own, and a client that trusts it alone.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::named("trusted")
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Authority { issuer, file }
    }

    /// Certificate and key for `names`, changed by `change`.
    pub(super) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (
            certificate.der().clone(),
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    /// A server's TLS for `localhost` and `upstream.test`.
    pub(super) fn server(&self, alpn: &[&str]) -> ServerConfig {
        let (certificate, key) = self.issue(&["localhost", "upstream.test"], |_| {});
        server_config(certificate, key, alpn)
    }

    pub(super) fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    pub(super) fn client(&self) -> Arc<Client> {
        self.client_with(&[])
    }

    pub(super) fn client_with(&self, environment: &[(&str, &str)]) -> Arc<Client> {
        let roots = [("SSL_CERT_FILE", self.path())];
        let all = environment.iter().copied().chain(roots);
        Arc::new(Client::new(Environment::new(all)))
    }
}

pub(super) fn server_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    alpn: &[&str],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A client with an empty environment.
pub(super) fn client() -> Arc<Client> {
    Arc::new(Client::new(Environment::default()))
}

pub(super) fn get(url: &str) -> Request<Body> {
    Request::get(url).body(full(Bytes::new())).unwrap()
}

pub(super) fn post(url: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post(url).body(full(body)).unwrap()
}

/// Sends with the default dial and reads the whole answer.
pub(super) async fn fetch(
    client: &Client,
    request: Request<Body>,
) -> Result<(http::response::Parts, Bytes), TransportError> {
    fetch_by(client, request, &Dial::default()).await
}

pub(super) async fn fetch_by(
    client: &Client,
    request: Request<Body>,
    dial: &Dial,
) -> Result<(http::response::Parts, Bytes), TransportError> {
    let (head, body) = soon(client.send(request, dial)).await?.into_parts();
    let body = soon(body.collect()).await.expect("a whole body");
    Ok((head, body.to_bytes()))
}

/// The error of a request that must fail.
pub(super) async fn failure(
    client: &Client,
    request: Request<Body>,
    dial: &Dial,
) -> TransportError {
    match soon(client.send(request, dial)).await {
        Ok(response) => panic!("answered {}", response.status()),
        Err(error) => error,
    }
}

/// A body that never ends by itself and tells when it is dropped.
struct Endless {
    sent: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    pause: Duration,
    chunk: Bytes,
    sleep: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

/// An [`Endless`] body of `chunk` bytes every `pause`, counted in `sent` and, at its end, in `dropped`.
pub(super) fn endless(
    chunk: usize,
    pause: Duration,
    sent: &Arc<AtomicUsize>,
    dropped: &Arc<AtomicUsize>,
) -> Body {
    Endless {
        sent: Arc::clone(sent),
        dropped: Arc::clone(dropped),
        pause,
        chunk: Bytes::from(vec![b'.'; chunk]),
        sleep: None,
    }
    .boxed_unsync()
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = crate::transport::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if let Some(sleep) = &mut self.sleep {
            std::task::ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = Some(Box::pin(tokio::time::sleep(self.pause)));
        self.sent.fetch_add(self.chunk.len(), Ordering::SeqCst);
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(self.chunk.clone()))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts when it is dropped.
pub(super) struct Dropped(pub(super) Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
