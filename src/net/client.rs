//! The client: one request, one connection of its origin, one answer.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{Duration, Instant},
};

use http::{
    HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION},
    uri::Authority,
};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::connect::capture_connection;
use tokio::time::timeout;

use super::{
    body::{Cut, Download, Progress, Upload},
    connect::{Count, Dialer},
    error::{BEGAN, explain, of_pool},
    http1::{Own, Unanswered},
    locked,
    origin::{Claim, Exchange, Origin},
    proxy::{Environment, Proxies, Proxy, ProxyKind, Route, bare},
    tls::Tls,
};
use crate::transport::{Body, Connected, Dial, HostPort, Sending, Transport, TransportError};

/// Origins that are kept before idle ones are looked for.
const MANY_ORIGINS: usize = 64;

/// How often a request may find the lane it was given closed before it was sent.
const MAX_ATTEMPTS: usize = 5;

/// Sends requests over sockets. Cheap to make: nothing is read, resolved or opened before the first request.
pub struct Client {
    proxies: Proxies,
    tls: Arc<Tls>,
    listeners: Mutex<Vec<SocketAddr>>,
    /// A few, as a rule: looking at each is quicker than a hash of what tells them apart.
    origins: Mutex<Vec<(Key, Arc<Origin>)>>,
    count: Count,
}

/// What connections are shared by: a [`Dial`] and an upstream, without what makes no difference.
struct Key {
    secure: bool,
    /// In lower case.
    host: String,
    port: u16,
    verify: bool,
    proxy: Option<HostPort>,
    http2: bool,
    stream: bool,
    limit: Duration,
}

impl Key {
    fn fits(&self, secure: bool, host: &str, port: u16, dial: &Dial) -> bool {
        self.port == port
            && self.secure == secure
            && self.stream == dial.stream
            && self.http2 == (dial.http2 && secure)
            && self.verify == (dial.verify || !secure)
            && self.limit == dial.connect_timeout
            && self.host.eq_ignore_ascii_case(host)
            && self.proxy == *dial.proxy(secure)
    }
}

/// What goes on, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Exchanges under way, to the end of the response's body.
    pub live: usize,
    /// By `scheme://host:port`, in order.
    pub origins: BTreeMap<String, OriginStats>,
}

/// What goes on with one origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginStats {
    /// Live exchanges.
    pub live: usize,
    /// Open HTTP/2 connections.
    pub lanes: usize,
}

impl Client {
    /// A client that honours `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Client {
            proxies: Proxies::new(&environment),
            tls: Arc::new(Tls::new(environment)),
            listeners: Mutex::default(),
            origins: Mutex::default(),
            count: Count::default(),
        }
    }

    /// Counts of the connections: those that are open, and all that were made.
    #[must_use]
    pub fn connections(&self) -> (Arc<AtomicI64>, Arc<AtomicU64>) {
        (Arc::clone(&self.count.open), Arc::clone(&self.count.made))
    }

    /// Says where this process listens: a proxy that is one of these is left out.
    pub fn set_listeners(&self, listeners: Vec<SocketAddr>) {
        *locked(&self.listeners) = listeners;
        // Ways were chosen without knowing.
        locked(&self.origins).clear();
    }

    /// Counts what goes on now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for (_, origin) in locked(&self.origins).iter() {
            let (live, lanes) = origin.counts();
            stats.live += live;
            let scheme = if origin.dialer().secure {
                "https"
            } else {
                "http"
            };
            let name = format!("{scheme}://{}", origin.dialer().name());
            let one = stats.origins.entry(name).or_default();
            one.live += live;
            one.lanes += lanes;
        }
        stats
    }

    fn origin(&self, uri: &Uri, dial: &Dial) -> Result<Arc<Origin>, TransportError> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(unusable("is neither http:// nor https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = bare(host.ok_or_else(|| unusable("names no host"))?);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut origins = locked(&self.origins);
        let known = origins
            .iter()
            .find(|(key, _)| key.fits(secure, host, port, dial));
        if let Some((_, origin)) = known {
            return Ok(Arc::clone(origin));
        }
        if origins.len() >= MANY_ORIGINS {
            origins.retain(|(_, origin)| !origin.is_idle());
        }
        let host = host.to_ascii_lowercase();
        let key = Key {
            secure,
            port,
            verify: dial.verify || !secure,
            proxy: dial.proxy(secure).clone(),
            http2: dial.http2 && secure,
            stream: dial.stream,
            limit: dial.connect_timeout,
            host: host.clone(),
        };
        let dialer = Dialer {
            host,
            port,
            secure,
            verify: key.verify,
            route: self.proxies.route(uri, dial, &locked(&self.listeners))?,
            limit: dial.connect_timeout,
            tls: Arc::clone(&self.tls),
            count: self.count.clone(),
        };
        let origin = Origin::new(dialer, key.http2, key.stream);
        origins.push((key, Arc::clone(&origin)));
        Ok(origin)
    }

    async fn exchange(
        &self,
        request: Request<Body>,
        dial: &Dial,
    ) -> Result<Response<Body>, TransportError> {
        let progress = Progress::new();
        let cut = Cut(Arc::clone(&progress));
        let mut request = request.map(|body| Upload::new(body, Arc::clone(&progress)));
        without_userinfo(request.uri_mut())?;
        let origin = self.origin(request.uri(), dial)?;
        prepare(&mut request, &origin.dialer().route, origin.dialer().secure);
        let mut once = Once {
            origin: &origin,
            dial,
            progress: &progress,
            connected: Duration::ZERO,
        };
        for (_, resent) in (0..MAX_ATTEMPTS).zip(0..) {
            match once.send(request).await {
                Ok((response, ..)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let name = origin.dialer().name();
                    return Err(TransportError::Broken(format!(
                        "{name} switched to another protocol, which nobody asked for"
                    )));
                }
                Ok((response, own, exchange)) => {
                    let mut response =
                        Download::new(response, own, exchange, cut).map(BodyExt::boxed_unsync);
                    response.extensions_mut().insert(Connected {
                        took: once.connected,
                        resent,
                    });
                    return Ok(response);
                }
                Err(Unsent::Failed(error)) => return Err(error),
                Err(Unsent::Again(back)) => request = *back,
            }
        }
        Err(TransportError::Broken(format!(
            "{} closed {MAX_ATTEMPTS} connections before the request was sent",
            origin.dialer().name()
        )))
    }
}

impl Transport for Client {
    fn send<'a>(&'a self, request: Request<Body>, dial: &'a Dial) -> Sending<'a> {
        Box::pin(self.exchange(request, dial))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// One attempt to send a request.
struct Once<'a> {
    origin: &'a Arc<Origin>,
    dial: &'a Dial,
    progress: &'a Arc<Progress>,
    /// How long it waited for a connection.
    connected: Duration,
}

/// Why an attempt gave no response.
enum Unsent {
    Failed(TransportError),
    /// No byte of it was sent: its connection had closed.
    Again(Box<Request<Upload>>),
}

impl From<TransportError> for Unsent {
    fn from(error: TransportError) -> Self {
        Unsent::Failed(error)
    }
}

impl Once<'_> {
    async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Option<Own>, Exchange), Unsent> {
        let (limit, began) = (self.dial.connect_timeout, Instant::now());
        let claim = timeout(limit, self.origin.claim()).await;
        match claim.unwrap_or(Err(TransportError::ConnectTimeout(limit)))? {
            Claim::Http1(exchange) if self.dial.whole => {
                let (response, own) = self.over_own(request, began).await?;
                Ok((response, Some(own), exchange))
            }
            Claim::Http1(exchange) => {
                let response = Box::pin(self.over_pool(request, began)).await?;
                Ok((response, None, exchange))
            }
            Claim::Http2(mut sender, exchange) => {
                self.connected = began.elapsed();
                let sending = pin!(sender.try_send_request(request));
                match self.first_byte(sending).await? {
                    Ok(response) => Ok((response, None, exchange)),
                    Err(mut unsent) => match unsent.take_message() {
                        Some(request) => {
                            self.origin.retire(&exchange);
                            Err(Unsent::Again(Box::new(request)))
                        }
                        None => Err(Unsent::Failed(self.broken(unsent.error()))),
                    },
                }
            }
        }
    }

    /// Over a connection that this exchange drives itself.
    async fn over_own(
        &mut self,
        request: Request<Upload>,
        began: Instant,
    ) -> Result<(Response<Incoming>, Own), Unsent> {
        let limit = self.dial.connect_timeout;
        let made = timeout(limit, self.origin.own()).await;
        let mut own = made.unwrap_or(Err(TransportError::ConnectTimeout(limit)))?;
        self.connected = began.elapsed();
        if self.dial.stream {
            own.listen();
        }
        let sent = self.first_byte(pin!(own.send(request))).await?;
        match sent {
            Ok(response) => Ok((response, own)),
            Err(Unanswered::Unsent(request)) => Err(Unsent::Again(request)),
            Err(Unanswered::Broken(error)) => Err(self.broken(&error).into()),
            Err(Unanswered::Closed) => {
                let name = self.origin.dialer().name();
                let why = format!("{name} closed the connection before {BEGAN}");
                Err(TransportError::Broken(why).into())
            }
        }
    }

    async fn over_pool(
        &mut self,
        mut request: Request<Upload>,
        began: Instant,
    ) -> Result<Response<Incoming>, TransportError> {
        let limit = self.dial.connect_timeout;
        let mut captured = capture_connection(&mut request);
        let mut sending = pin!(self.origin.pool().request(request));
        let connected = async {
            // Also ends, with nothing, when the request has failed; then `sending` is ready.
            let _ = captured.wait_for_connection_metadata().await;
        };
        tokio::select! {
            biased;
            sent = &mut sending => return sent.map_err(|error| self.of_pool(&error)),
            connected = timeout(limit, connected) => {
                connected.map_err(|_| TransportError::ConnectTimeout(limit))?;
                self.connected = began.elapsed();
            }
        }
        let sent = self.first_byte(sending).await?;
        sent.map_err(|error| self.of_pool(&error))
    }

    /// Waits for the response's headers, from when the request's body last moved.
    async fn first_byte<F: Future + Unpin>(
        &self,
        mut sending: F,
    ) -> Result<F::Output, TransportError> {
        let limit = self.dial.first_byte_timeout;
        self.progress.touch();
        loop {
            let left = limit.saturating_sub(self.progress.quiet());
            if left.is_zero() {
                return Err(TransportError::FirstByteTimeout(limit));
            }
            if let Ok(sent) = timeout(left, &mut sending).await {
                return Ok(sent);
            }
        }
    }

    fn of_pool(&self, error: &hyper_util::client::legacy::Error) -> TransportError {
        if self.progress.failed() {
            return upload_failed();
        }
        of_pool(error, &self.origin.dialer().name())
    }

    fn broken(&self, error: &hyper::Error) -> TransportError {
        if self.progress.failed() {
            return upload_failed();
        }
        TransportError::Broken(explain(error, &self.origin.dialer().name(), BEGAN))
    }
}

fn upload_failed() -> TransportError {
    TransportError::Broken("the request's body ended before it was whole".to_owned())
}

fn unusable(what: &str) -> TransportError {
    TransportError::Connect(format!("the upstream's URL {what}"))
}

/// Takes `user:password@` out of a URL: HTTP/2 would send it to the upstream as part of its name.
fn without_userinfo(uri: &mut Uri) -> Result<(), TransportError> {
    let Some((_, host)) = uri
        .authority()
        .and_then(|all| all.as_str().rsplit_once('@'))
    else {
        return Ok(());
    };
    let authority: Authority = host.parse().map_err(|_| unusable("names no host"))?;
    let mut parts = std::mem::take(uri).into_parts();
    parts.authority = Some(authority);
    *uri = Uri::from_parts(parts).map_err(|_| unusable("is none"))?;
    Ok(())
}

/// Headers that are the connection's rather than the caller's.
fn prepare(request: &mut Request<Upload>, route: &Route, secure: bool) {
    // A request that came in by HTTP/2 may still say so; what it goes out by is the connection's matter.
    *request.version_mut() = Version::HTTP_11;
    let length = request.body().size_hint().exact();
    let headers = request.headers_mut();
    headers.remove(HOST);
    // A length that does not fit the body would let the rest of it pass for another request.
    if let (Some(given), Some(length)) = (headers.get_mut(CONTENT_LENGTH), length) {
        *given = HeaderValue::from(length);
    }
    if let Route::Proxy(Proxy {
        kind,
        basic: Some(basic),
        ..
    }) = route
        && matches!(kind, ProxyKind::Http | ProxyKind::Https)
        && !secure
    {
        headers.insert(PROXY_AUTHORIZATION, basic.clone());
    }
}
