//! A client of HTTP/2 with prior knowledge.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Server, soon};

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct H2(http2::SendRequest<Full<Bytes>>);

impl H2 {
    pub(crate) async fn connect(server: &Server) -> H2 {
        let stream = soon("a connection", TcpStream::connect(server.address))
            .await
            .unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = soon("an HTTP/2 handshake", handshake).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        H2(sender)
    }

    /// A request to `authority`, with headers.
    pub(crate) fn request(
        method: &str,
        authority: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{authority}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body.into())).unwrap()
    }

    /// Sends a request and waits for the answer's head.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        soon("an answer over HTTP/2", self.0.send_request(request)).await
    }

    /// The status of the answer to a request.
    pub(crate) async fn status(&mut self, request: Request<Full<Bytes>>) -> u16 {
        self.send(request).await.unwrap().status().as_u16()
    }

    /// Reads a whole body.
    pub(crate) async fn body(response: Response<Incoming>) -> Vec<u8> {
        soon("a body over HTTP/2", response.into_body().collect())
            .await
            .unwrap()
            .to_bytes()
            .to_vec()
    }
}
