//! A client's socket. It knows for how long it has waited for what, and ends when that is too long; and it gives the refusals that hyper
//! writes by itself a body that says what is wrong.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{listen::Terms, wait::Wait};
use crate::dialect::{Fault, Ingress, openai_chat::OpenAiChat};

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const H2: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long what a refused client still sends is read: a connection that closes over unread bytes is reset, and the client would see that
/// instead of the answer.
const LINGER: Option<Duration> = Some(Duration::from_secs(5));

/// What one connection's requests have come to; shared by its socket and what answers.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request whose answer is not complete.
pub(super) struct UnderWay(Arc<Traffic>);

impl UnderWay {
    pub(super) fn new(traffic: &Arc<Traffic>) -> UnderWay {
        traffic.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(traffic))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

/// A connection.
pub(super) struct Socket<S = TcpStream> {
    stream: S,
    traffic: Arc<Traffic>,
    terms: Arc<Terms>,
    /// The first bytes that came, how many, and how many of them are still to be given to who reads.
    first: [u8; H2.len()],
    count: usize,
    ahead: usize,
    /// Requests that had begun when it was looked at last.
    begun: usize,
    /// Some of another request has come, and hyper has not made one of it.
    in_head: bool,
    reads: Wait,
    writes: Wait,
    /// The last write did not go through.
    stuck: bool,
    /// Nothing is read any more: this is its end.
    over: bool,
    /// The client was refused while it may still be sending.
    refused: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: S, traffic: Arc<Traffic>, terms: Arc<Terms>) -> Socket<S> {
        Socket {
            stream,
            traffic,
            terms,
            first: [0; H2.len()],
            count: 0,
            ahead: 0,
            begun: 0,
            in_head: false,
            reads: Wait::default(),
            writes: Wait::default(),
            stuck: false,
            over: false,
            refused: false,
        }
    }

    /// Whether a request is being answered. A head that was waited for may be here by now.
    fn is_busy(&mut self) -> bool {
        let ended = self.traffic.ended.load(Ordering::Acquire);
        let begun = self.traffic.begun.load(Ordering::Relaxed);
        if begun != self.begun {
            self.begun = begun;
            self.in_head = false;
            self.reads.over();
        }
        begun != ended
    }

    fn is_h2(&self) -> bool {
        self.first == H2
    }

    /// Whether the client speaks HTTP/2 with prior knowledge. What is read for that comes again with the first read after it.
    pub(super) fn poll_is_h2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.count < H2.len()
            && H2
                .iter()
                .zip(&self.first)
                .take(self.count)
                .all(|(a, b)| a == b)
        {
            let mut bytes = [0; H2.len()];
            let mut buffer = ReadBuf::new(bytes.get_mut(self.count..).unwrap_or_default());
            ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
        }
        self.ahead = self.count;
        Poll::Ready(Ok(self.is_h2()))
    }

    /// Gives what was read ahead.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let from = self.count - self.ahead;
        let length = self.ahead.min(buffer.remaining());
        buffer.put_slice(self.first.get(from..from + length).unwrap_or_default());
        self.ahead -= length;
    }

    /// Bytes came.
    fn came(&mut self, bytes: &[u8]) {
        if self.count < H2.len() && self.ahead == 0 {
            let places = self.first.iter_mut().skip(self.count);
            for (place, byte) in places.zip(bytes) {
                *place = *byte;
            }
            self.count = (self.count + bytes.len()).min(H2.len());
        }
        if !self.is_busy() && !self.in_head && !self.is_h2() {
            self.in_head = true;
            self.reads.over();
        }
    }

    /// Nothing came: for how long may that go on?
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_busy() {
            self.reads.over();
            return Poll::Pending;
        }
        // Over HTTP/2, hyper asks by itself whether the client is still there.
        let limit = match (self.in_head, self.is_h2()) {
            (_, true) => None,
            (true, _) => self.terms.header_timeout,
            (false, _) => self.terms.keep_alive,
        };
        ready!(self.reads.poll(cx, limit));
        self.over = true;
        if self.in_head && !self.stuck {
            let text = self.terms.refusal(StatusCode::REQUEST_TIMEOUT);
            // The socket has room for a page: nothing else is on its way.
            let _ = Pin::new(&mut self.stream).poll_write(cx, text.as_bytes());
        }
        Poll::Ready(Ok(()))
    }

    /// What is to be written in the place of `bytes`, if they are hyper's own refusal: a head without a body, and no request to it.
    fn refusal(&mut self, bytes: &[u8]) -> Option<String> {
        let busy = self.is_busy();
        if busy || !self.in_head || self.stuck {
            return None;
        }
        let head = std::str::from_utf8(bytes).ok()?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
        if !status.is_client_error() || !head.contains("\r\ncontent-length: 0\r\n") {
            return None;
        }
        self.refused = true;
        Some(self.terms.refusal(status))
    }

    /// A write went through, or did not.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.stuck = written.is_pending();
        if !self.stuck {
            self.writes.over();
            return written;
        }
        ready!(self.writes.poll(cx, self.terms.send_timeout));
        if let Some(limit) = self.terms.send_timeout {
            tracing::warn!(
                "a connection was cut: its client took nothing of an answer for {} s (--send-timeout)",
                limit.as_secs()
            );
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn write_refusal(
        &mut self,
        cx: &mut Context<'_>,
        text: &str,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.stream).poll_write(cx, text.as_bytes()))?;
        Poll::Ready(Ok(length))
    }
}

impl Terms {
    /// A whole answer to what is no request yet, whose format nobody knows.
    fn refusal(&self, status: StatusCode) -> String {
        let message = match status {
            StatusCode::REQUEST_TIMEOUT => format!(
                "the request's head was not complete within {} s (--header-timeout)",
                self.header_timeout.unwrap_or_default().as_secs()
            ),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
                "the request's head is too large: it may have {} bytes (--max-header-size) and {} headers (--max-headers)",
                self.max_header_size, self.max_headers
            ),
            // hyper's own limit; how much of the head is there when it looks decides which of the two is told.
            StatusCode::URI_TOO_LONG => {
                "the request's URL is too long: it may have 65534 bytes".to_owned()
            }
            _ => "this is no HTTP request".to_owned(),
        };
        let body = OpenAiChat.encode_fault(&Fault::invalid(status.as_u16(), message));
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            String::from_utf8_lossy(&body)
        )
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(Ok(()));
        }
        // What follows it comes in the same read.
        let ahead = this.ahead > 0;
        if ahead {
            this.give(buffer);
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if ahead && !matches!(polled, Poll::Ready(Ok(()))) {
            return Poll::Ready(Ok(()));
        }
        if polled.is_pending() {
            return this.waits(cx);
        }
        match buffer.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => this.came(bytes),
            _ => {}
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(text) = this.refusal(bytes) {
            return this.write_refusal(cx, &text, bytes.len());
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [bytes] = slices
            && let Some(text) = this.refusal(bytes)
        {
            return this.write_refusal(cx, &text, bytes.len());
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if !this.refused {
            return Poll::Ready(Ok(()));
        }
        let mut rest = [0; 4096];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            if this.writes.poll(cx, LINGER).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What a connection is taken for that sends these pieces, and what is read from it then.
    async fn heard(pieces: &[&[u8]]) -> (bool, Vec<u8>) {
        let (mut client, server) = duplex(1024);
        let mut socket = Socket::new(server, Arc::default(), Arc::default());
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let reading = async {
            let is_h2 = poll_fn(|cx| socket.poll_is_h2(cx)).await.unwrap();
            let mut read = Vec::new();
            socket.read_to_end(&mut read).await.unwrap();
            (is_h2, read)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn the_first_bytes_tell_and_are_not_lost() {
        let post = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\r\n".as_slice();
        let h2 = [&H2[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (sent, expected) in [
            (post, false),
            (&h2, true),
            (&H2, true),
            (&H2[..23], false),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n0123456789", false),
            (b"PUT /", false),
            (b"P", false),
            (b"", false),
        ] {
            assert_eq!(heard(&[sent]).await, (expected, sent.to_vec()));
            let bytes: Vec<&[u8]> = sent.chunks(1).collect();
            assert_eq!(heard(&bytes).await, (expected, sent.to_vec()));
        }
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_with_what_follows() {
        let (mut client, server) = duplex(1024);
        client.write_all(&[b'x'; 100]).await.unwrap();
        let mut socket = Socket::new(server, Arc::default(), Arc::default());
        assert!(!poll_fn(|cx| socket.poll_is_h2(cx)).await.unwrap());
        assert_eq!(socket.read(&mut [0; 200]).await.unwrap(), 100);
    }
}
