//! Connections to upstreams: name, TCP, proxy, TLS, in this order and under one limit.

use std::{
    error::Error,
    fmt, io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name},
    rt::TokioIo,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop::poll_proceed,
};
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::{
    locked,
    proxy::{Proxy, ProxyKind, Route, host_port, is_localhost},
    tls::{Security, Tls},
    tunnel,
};
use crate::transport::TransportError;

/// Silence after which the kernel asks whether an upstream is still there.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long sent bytes may stay unacknowledged. A connection that died while the machine slept or changed networks is
/// found out by this, not by the limit on the first byte, which is minutes.
#[cfg(target_os = "linux")]
const TCP_UNHEARD: Duration = Duration::from_secs(30);

/// Bytes that count as one read.
const PIECE: usize = 8 * 1024;

/// Any two-way byte stream over TCP.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket at its bottom.
    fn socket(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Io for Box<dyn Io> {
    fn socket(&self) -> &TcpStream {
        (**self).socket()
    }
}

impl<T: Io> Io for TlsStream<T> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0.socket()
    }
}

/// Counts connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    /// Those that are open.
    pub(crate) open: Arc<AtomicI64>,
    /// All that were made.
    pub(crate) made: Arc<AtomicU64>,
}

impl Count {
    /// One more, until what this gives is dropped.
    fn one(&self) -> Counted {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.open))
    }
}

/// An open connection, counted.
struct Counted(Arc<AtomicI64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that HTTP can be spoken on.
pub(crate) struct Link {
    io: Box<dyn Io>,
    /// The peer chose HTTP/2 by ALPN.
    pub(crate) http2: bool,
    /// The other end is a forward proxy, which wants whole URLs.
    proxied: bool,
    marks: Arc<Marks>,
    _counted: Counted,
}

/// What is known of a [`Link`] by whoever gave it away.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Makes a read that finds nothing look at the socket itself: the runtime may not have heard yet that the other end closed it.
    pub(crate) doubt: AtomicBool,
    /// All that was written has left.
    pub(crate) flushed: AtomicBool,
    /// What is read is kept here, too.
    pub(crate) heard: Mutex<Option<Vec<u8>>>,
}

impl Link {
    /// Whether the other end is a forward proxy, which wants whole URLs.
    pub(crate) fn proxied(&self) -> bool {
        self.proxied
    }

    /// What it shares.
    pub(crate) fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.marks)
    }

    /// Counts what was read against the runtime's budget, which counts reads: a task yields after 128 of them, however large. An upstream
    /// that sends without an end would keep the thread, which other exchanges share, and all timers on it.
    fn spend(cx: &mut Context<'_>, read: usize) {
        for _ in 0..read / PIECE {
            match poll_proceed(cx) {
                Poll::Ready(one) => one.made_progress(),
                Poll::Pending => return,
            }
        }
    }

    fn is_closed(&self) -> bool {
        match SockRef::from(self.io.socket()).peek(&mut [MaybeUninit::uninit()]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        Link::spend(cx, buf.filled().len().saturating_sub(before));
        if let Some(heard) = &mut *locked(&self.marks.heard) {
            heard.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
        }
        if read.is_pending() && self.marks.doubt.load(Ordering::Relaxed) && self.is_closed() {
            // Nothing read is the end.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.marks.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        let all = matches!(flushed, Poll::Ready(Ok(())));
        self.marks.flushed.store(all, Ordering::Relaxed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.marks.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Makes the connections to one upstream.
pub(crate) struct Dialer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) secure: bool,
    pub(crate) verify: bool,
    pub(crate) route: Route,
    pub(crate) limit: Duration,
    pub(crate) tls: Arc<Tls>,
    pub(crate) count: Count,
}

impl Dialer {
    /// Connects, offering HTTP/2 or not.
    pub(crate) async fn connect(&self, http2: bool) -> Result<Link, TransportError> {
        tokio::time::timeout(self.limit, self.steps(http2))
            .await
            .unwrap_or(Err(TransportError::ConnectTimeout(self.limit)))
    }

    /// `HOST:PORT` of the upstream, for messages.
    pub(crate) fn name(&self) -> String {
        host_port(&self.host, self.port)
    }

    async fn steps(&self, http2: bool) -> Result<Link, TransportError> {
        let (host, port) = (self.host.as_str(), self.port);
        let mut proxied = false;
        let io: Box<dyn Io> = match &self.route {
            Route::Direct => Box::new(tcp(host, port, "").await?),
            Route::Proxy(proxy) => match proxy.kind {
                ProxyKind::Http | ProxyKind::Https => {
                    let mut io = self.http_proxy(proxy).await?;
                    if self.secure {
                        tunnel::connect(&mut io, proxy, host, port).await?;
                    } else {
                        proxied = true;
                    }
                    io
                }
                ProxyKind::Socks4 { .. } | ProxyKind::Socks5 { .. } => {
                    let host = self.name_for_socks(proxy).await?;
                    let stream = tcp(&proxy.host, proxy.port, "proxy ").await?;
                    Box::new(tunnel::socks(stream, proxy, &host, port).await?)
                }
            },
        };
        if !self.secure {
            return Ok(Link {
                io,
                http2: false,
                proxied,
                marks: Arc::default(),
                _counted: self.count.one(),
            });
        }
        let security = Security {
            verify: self.verify,
            http2,
        };
        let io = self.tls.handshake(security, host, port, io).await?;
        let http2 = io.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Link {
            io: Box::new(io),
            http2,
            proxied,
            marks: Arc::default(),
            _counted: self.count.one(),
        })
    }

    async fn http_proxy(&self, proxy: &Proxy) -> Result<Box<dyn Io>, TransportError> {
        let stream = tcp(&proxy.host, proxy.port, "proxy ").await?;
        if proxy.kind == ProxyKind::Http {
            return Ok(Box::new(stream));
        }
        // `https_verify` is about the upstream; whoever sees our credentials is always verified, as in curl.
        let security = Security {
            verify: true,
            http2: false,
        };
        let io = self
            .tls
            .handshake(security, &proxy.host, proxy.port, stream);
        Ok(Box::new(io.await?))
    }

    /// What a SOCKS proxy is asked for: the name, or its address if the scheme says that names are resolved here.
    async fn name_for_socks(&self, proxy: &Proxy) -> Result<String, TransportError> {
        let host = self.host.as_str();
        let only_v4 = match proxy.kind {
            ProxyKind::Socks4 { remote_dns: false } => true,
            ProxyKind::Socks5 { remote_dns: false } => false,
            _ => return Ok(host.to_owned()),
        };
        let unresolved = || TransportError::Connect(format!("could not resolve host {host}"));
        let addresses = resolve(host).await.map_err(|_| unresolved())?;
        addresses
            .into_iter()
            .map(|address| address.ip())
            .find(|ip| ip.is_ipv4() || !only_v4)
            .map(|ip| ip.to_string())
            .ok_or_else(unresolved)
    }
}

/// Opens a TCP connection; `what` goes before the peer's name in messages.
async fn tcp(host: &str, port: u16, what: &str) -> Result<TcpStream, TransportError> {
    let mut connector = HttpConnector::new_with_resolver(Resolver);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(TCP_KEEP_ALIVE));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(TCP_UNHEARD));
    let connected = connector.call(http_uri(host, port)?).await;
    connected
        .map(TokioIo::into_inner)
        .map_err(|error| TransportError::Connect(explain(&error, host, port, what)))
}

/// `http://host:port/`, as connectors want addresses.
pub(crate) fn http_uri(host: &str, port: u16) -> Result<Uri, TransportError> {
    Uri::builder()
        .scheme("http")
        .authority(host_port(host, port))
        .path_and_query("/")
        .build()
        .map_err(|_| TransportError::Connect(format!("{host} is no valid host name")))
}

/// A failed connection in words.
fn explain(error: &(dyn Error + 'static), host: &str, port: u16, what: &str) -> String {
    let at = format!("{what}{}", host_port(host, port));
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Unresolved>() {
            return format!("could not resolve {what}host {host}");
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => format!("{at} refused the connection"),
                io::ErrorKind::TimedOut => format!("{at} did not answer"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    format!("{at} is unreachable")
                }
                _ => format!("could not connect to {at} ({error})"),
            };
        }
        cause = error.source();
    }
    format!("could not connect to {at}")
}

/// The system's resolver, but for `localhost` and what is below it, which never leave this machine.
#[derive(Clone)]
struct Resolver;

/// A name that has no address.
#[derive(Debug)]
struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not resolve host")
    }
}

impl Error for Unresolved {}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let addresses = resolve(name.as_str()).await.map_err(|_| Unresolved)?;
            Ok(addresses.into_iter())
        })
    }
}

async fn resolve(host: &str) -> Result<Vec<SocketAddr>, Unresolved> {
    if is_localhost(host) {
        // Most local model servers bind 127.0.0.1 alone.
        let ips: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(ips.map(|ip| SocketAddr::new(ip, 0)).to_vec());
    }
    let addresses = tokio::net::lookup_host((host, 0)).await;
    let addresses: Vec<_> = addresses.map_err(|_| Unresolved)?.collect();
    if addresses.is_empty() {
        return Err(Unresolved);
    }
    Ok(addresses)
}
