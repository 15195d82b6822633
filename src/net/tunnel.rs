//! A way through a proxy to an `https://` upstream: HTTP `CONNECT` or SOCKS.

use std::{
    fmt,
    future::{Ready, ready},
    io,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::proxy::{SocksV4, SocksV5},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tower_service::Service;

use super::{
    connect::http_uri,
    proxy::{Proxy, ProxyKind, host_port},
};
use crate::transport::TransportError;

/// Longest answer to CONNECT that is read; a proxy's refusal often carries a page of HTML, which is not.
const MAX_HEAD: usize = 16 * 1024;

/// Asks the HTTP proxy at the other end of `io` for a tunnel to `host:port`.
pub(crate) async fn connect<T>(
    io: &mut T,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), TransportError>
where
    T: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let name = proxy.name();
    let failed = |what: &str| TransportError::Connect(format!("proxy {name} {what}"));

    let target = host_port(host, port);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(basic) = &proxy.basic {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(basic.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let closed = |_| failed("closed the connection during CONNECT");
    io.write_all(&head).await.map_err(closed)?;
    io.flush().await.map_err(closed)?;

    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if io.read_buf(&mut answer).await.map_err(closed)? == 0 {
            return Err(failed("closed the connection during CONNECT"));
        }
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if answer.len() > MAX_HEAD {
            return Err(failed("answered CONNECT with too long a header"));
        }
    };
    match status(&answer) {
        // The upstream cannot have spoken yet: in TLS the client is first.
        Some(200..=299) if answer.len() > end => Err(failed("spoke before the tunnel was used")),
        Some(200..=299) => Ok(()),
        Some(status) => Err(failed(&format!("answered {status} to CONNECT"))),
        None => Err(failed("did not answer CONNECT in HTTP")),
    }
}

/// The status code of an HTTP/1 response head.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, after) = rest.split_at_checked(3)?;
    if !matches!(after.first(), Some(b' ' | b'\r')) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reaches `host:port` through the SOCKS proxy at the other end of `stream`; `host` is resolved already where it should be.
pub(crate) async fn socks(
    stream: TcpStream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<TcpStream, TransportError> {
    let failed = |why: &dyn fmt::Display| {
        // hyper-util begins its texts with "SOCKS error: "; neither names anything secret.
        TransportError::Connect(format!(
            "proxy {} did not connect to {}: {why}",
            proxy.name(),
            host_port(host, port)
        ))
    };
    // The handshake asks for a port, and for a connector that is called with the proxy's address.
    let target = http_uri(host, port)?;
    let address = http_uri(&proxy.host, proxy.port)?;
    let inner = Opened(Some(stream));
    let opened = if let ProxyKind::Socks4 { .. } = proxy.kind {
        let opened = SocksV4::new(address, inner).call(target).await;
        opened.map_err(|error| failed(&error))?
    } else {
        let mut socks = SocksV5::new(address, inner);
        if let Some((user, password)) = &proxy.login {
            socks = socks.with_auth(user.clone(), password.clone());
        }
        let opened = socks.call(target).await;
        opened.map_err(|error| failed(&error))?
    };
    Ok(opened.into_inner())
}

/// A connector that gives the connection it already has.
struct Opened(Option<TcpStream>);

impl Service<Uri> for Opened {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take().map(TokioIo::new);
        ready(stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_strictly() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 407 Auth\r\n", Some(407)),
            ("HTTP/1.1 200\r\n", Some(200)),
            ("HTTP/1.1 2000 OK\r\n", None),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
