//! An upstream whose every byte the test writes itself.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::{Headers, soon};

/// How soon an upstream has to learn that its client is gone (SPEC §4.10: at once).
const AT_ONCE: Duration = Duration::from_secs(1);

/// A listening upstream. The test takes its calls one by one, or lets it give each the same answer.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

/// A request that got its answer already.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A request, and the connection that its answer goes to.
#[derive(Debug)]
pub(crate) struct Call {
    /// Request line and headers as they came, up to the blank line.
    pub(crate) head: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    /// An upstream whose calls the test takes.
    pub(crate) async fn start() -> Upstream {
        Upstream::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same on an address.
    pub(crate) async fn at(address: SocketAddr) -> Upstream {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, calls) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    if let Some(call) = Call::read_head(stream, Vec::new()).await {
                        let _ = tell.send(call);
                    }
                });
            }
        });
        Upstream {
            address,
            calls,
            seen: Arc::default(),
            accepting,
        }
    }

    /// An upstream that gives every call the same answer and closes the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Upstream {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        Upstream::playing(move |mut call| {
            let answer = Arc::clone(&answer);
            async move {
                call.write(&*answer).await;
                call.finish().await;
            }
        })
        .await
    }

    /// An upstream that does the same with every call.
    pub(crate) async fn playing<F, R>(play: F) -> Upstream
    where
        F: Fn(Call) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let mut upstream = Upstream::start().await;
        let (_, none) = mpsc::unbounded_channel();
        let mut calls = std::mem::replace(&mut upstream.calls, none);
        let seen = Arc::clone(&upstream.seen);
        tokio::spawn(async move {
            while let Some(mut call) = calls.recv().await {
                let seen = Arc::clone(&seen);
                // Read in a task of its own only where the body is long under way.
                if !call.read_body().await {
                    continue;
                }
                seen.lock().unwrap().push(Seen {
                    head: call.head.clone(),
                    body: call.body.clone(),
                });
                tokio::spawn(play(call));
            }
        });
        upstream
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// The next call, its body read.
    pub(crate) async fn call(&mut self) -> Call {
        let mut call = self.head().await;
        let whole = soon("the body of a call", call.read_body()).await;
        assert!(whole, "the call's body broke off: {}", call.head);
        call
    }

    /// The next call as soon as its head is there.
    pub(crate) async fn head(&mut self) -> Call {
        soon("a call of the upstream", self.calls.recv())
            .await
            .unwrap()
    }

    /// The calls that [`Upstream::playing`] took so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Checks that nobody called.
    pub(crate) fn was_not_called(&mut self) {
        assert!(self.seen.lock().unwrap().is_empty(), "{:?}", self.seen());
        if let Ok(call) = self.calls.try_recv() {
            panic!("the upstream was called: {}", call.head);
        }
    }
}

impl Call {
    async fn read_head(mut stream: TcpStream, mut unread: Vec<u8>) -> Option<Call> {
        let end = loop {
            if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut unread).await.ok()? == 0 {
                return None;
            }
        };
        let rest = unread.split_off(end);
        let head = String::from_utf8_lossy(&unread).into_owned();
        Some(Call {
            headers: Headers::parse(&head),
            head,
            body: Vec::new(),
            stream,
            unread: rest,
        })
    }

    /// Reads the body; whether it is whole.
    pub(crate) async fn read_body(&mut self) -> bool {
        if self.headers.get("transfer-encoding") == Some("chunked") {
            loop {
                let Some(line) = self.line().await else {
                    return false;
                };
                let Ok(size) = usize::from_str_radix(line.trim(), 16) else {
                    return false;
                };
                let Some(data) = self.exactly(size + 2).await else {
                    return false;
                };
                if size == 0 {
                    return true;
                }
                self.body.extend_from_slice(&data[..size]);
            }
        }
        let length = self
            .headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        match self.exactly(length).await {
            Some(body) => {
                self.body = body;
                true
            }
            None => false,
        }
    }

    /// Reads the next chunk of a chunked body; `None` at its end.
    pub(crate) async fn next_chunk(&mut self) -> Option<Vec<u8>> {
        let line = soon("a chunk of the body", self.line()).await?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut data = self.exactly(size + 2).await?;
        data.truncate(size);
        (size > 0).then_some(data)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(at + 1);
                let line = std::mem::replace(&mut self.unread, rest);
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.unread.len() < size {
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
        let rest = self.unread.split_off(size);
        Some(std::mem::replace(&mut self.unread, rest))
    }

    /// The request's method and target.
    pub(crate) fn target(&self) -> String {
        let mut words = self.head.split(' ');
        let method = words.next().unwrap_or_default();
        format!("{method} {}", words.next().unwrap_or_default())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let written = self.try_write(bytes).await;
        assert!(written, "the connection of the call is gone");
    }

    /// Writes bytes; whether the peer is still there.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let writing = self.stream.write_all(bytes.as_ref());
        soon("a write of the upstream", writing).await.is_ok()
    }

    /// Ends the answer: no more bytes come; what the peer still sends is read.
    pub(crate) async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        let mut rest = Vec::new();
        // Closing before the peer does could reset the connection, and lose what it has not read.
        let _ =
            tokio::time::timeout(Duration::from_secs(5), self.stream.read_to_end(&mut rest)).await;
    }

    /// Ends the answer without waiting for the peer.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// The next request on the same connection.
    pub(crate) async fn next(self) -> Call {
        let read = soon(
            "another call on the connection",
            Call::read_head(self.stream, self.unread),
        );
        let mut call = read.await.expect("the connection closed");
        assert!(soon("the body of a call", call.read_body()).await);
        call
    }

    /// Checks that the peer hangs up at once.
    pub(crate) async fn loses_its_client(mut self) {
        let mut rest = Vec::new();
        let left = tokio::time::timeout(AT_ONCE, async {
            while self
                .stream
                .read_buf(&mut rest)
                .await
                .is_ok_and(|read| read > 0)
            {}
        });
        assert!(
            left.await.is_ok(),
            "the connection to the upstream is still open after {AT_ONCE:?}"
        );
    }
}
