//! A client of HTTP/1.1 that sees bytes.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, Server, soon, within};

/// The headers of a message, in order, as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// Of a head, its first line left out.
    pub(crate) fn parse(head: &str) -> Headers {
        let lines = head.split("\r\n").skip(1).filter(|line| !line.is_empty());
        Headers(
            lines
                .map(|line| {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    (name.to_ascii_lowercase(), value.trim().to_owned())
                })
                .collect(),
        )
    }

    /// The value of a header; of several, the first.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    host: bool,
    length: bool,
    patience: Duration,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Ask {
        Ask {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            host: true,
            length: method != "GET" && method != "HEAD",
            patience: PATIENCE,
        }
    }

    pub(crate) fn get(target: &str) -> Ask {
        Ask::new("GET", target)
    }

    /// A POST of JSON.
    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Ask {
        Ask::new("POST", target)
            .header("content-type", "application/json")
            .body(body)
    }

    /// A POST of JSON to the chat operation of the profile `up`.
    pub(crate) fn chat(body: impl Into<Vec<u8>>) -> Ask {
        Ask::post("/up/v1/chat/completions", body)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces a header, or takes it out.
    pub(crate) fn instead(mut self, name: &str, value: Option<&str>) -> Ask {
        self.headers.retain(|(known, _)| known != name);
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Waits so long for each part of the answer.
    pub(crate) fn patient(mut self, patience: Duration) -> Ask {
        self.patience = patience;
        self
    }

    /// Sends no `host` of its own.
    pub(crate) fn no_host(mut self) -> Ask {
        self.host = false;
        self
    }

    /// Sends no `content-length` of its own.
    pub(crate) fn no_length(mut self) -> Ask {
        self.length = false;
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Ask {
        self.body = body.into();
        self
    }

    /// The bytes that are sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if self.host {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.length {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, server: &Server) -> Client {
        let mut client = Client::connect(server).await;
        client.patience = self.patience;
        client.write(self.bytes()).await;
        client
    }

    /// Sends it and reads the answer's head.
    pub(crate) async fn reply(&self, server: &Server) -> Reply {
        self.send(server).await.reply().await
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn whole(&self, server: &Server) -> Reply {
        self.reply(server).await.whole().await
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// When bytes came last.
    pub(crate) heard: Instant,
    patience: Duration,
}

impl Client {
    pub(crate) async fn connect(server: &Server) -> Client {
        let stream = soon("a connection", TcpStream::connect(server.address))
            .await
            .unwrap();
        let _ = stream.set_nodelay(true);
        Client {
            stream,
            unread: Vec::new(),
            heard: Instant::now(),
            patience: PATIENCE,
        }
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(
            "a write of the client",
            self.stream.write_all(bytes.as_ref()),
        )
        .await
        .unwrap();
    }

    /// Writes no more.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads more; whether there was any.
    async fn more(&mut self) -> bool {
        let read = within(
            self.patience,
            "bytes from the server",
            self.stream.read_buf(&mut self.unread),
        )
        .await;
        self.heard = Instant::now();
        read.is_ok_and(|read| read > 0)
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.more().await {}
        self.unread
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(at + 1);
                let line = std::mem::replace(&mut self.unread, rest);
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Waits for `100 Continue`: the server has begun to read the body.
    pub(crate) async fn is_told_to_continue(&mut self) {
        let line = self.line().await.unwrap();
        assert_eq!(line, "HTTP/1.1 100 Continue");
        assert_eq!(self.line().await.as_deref(), Some(""));
    }

    /// Reads the head of an answer. Interim answers are passed over.
    pub(crate) async fn reply(mut self) -> Reply {
        loop {
            let mut head = String::new();
            loop {
                let line = self.line().await;
                let Some(line) = line else {
                    panic!("the connection closed without an answer; so far: {head:?}");
                };
                if line.is_empty() {
                    break;
                }
                head.push_str(&line);
                head.push_str("\r\n");
            }
            let status: u16 = head.split(' ').nth(1).unwrap().trim().parse().unwrap();
            if status == 100 {
                continue;
            }
            let headers = Headers::parse(&head);
            let framing = if matches!(status, 204 | 304) {
                Framing::Length(0)
            } else if headers.get("transfer-encoding") == Some("chunked") {
                Framing::Chunked
            } else if let Some(length) = headers.get("content-length") {
                Framing::Length(length.parse().unwrap())
            } else {
                Framing::Close
            };
            return Reply {
                status,
                head,
                headers,
                body: Vec::new(),
                end: None,
                framing,
                client: self,
            };
        }
    }
}

#[derive(Debug)]
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Clean,
    /// The connection closed before.
    Cut,
}

/// An answer whose head is here.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    pub(crate) head: String,
    pub(crate) headers: Headers,
    /// What of the body was read so far.
    pub(crate) body: Vec<u8>,
    /// How the body ended, once it did.
    pub(crate) end: Option<End>,
    framing: Framing,
    client: Client,
}

impl Reply {
    /// Reads the next piece of the body: a chunk where it comes in chunks; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Option<Vec<u8>> {
        if self.end.is_some() {
            return None;
        }
        let piece = match self.framing {
            Framing::Length(length) => {
                let left = length - self.body.len();
                if left == 0 {
                    self.end = Some(End::Clean);
                    return None;
                }
                if self.client.unread.is_empty() && !self.client.more().await {
                    self.end = Some(End::Cut);
                    return None;
                }
                let size = left.min(self.client.unread.len());
                let rest = self.client.unread.split_off(size);
                std::mem::replace(&mut self.client.unread, rest)
            }
            Framing::Close => {
                if self.client.unread.is_empty() && !self.client.more().await {
                    self.end = Some(End::Clean);
                    return None;
                }
                std::mem::take(&mut self.client.unread)
            }
            Framing::Chunked => {
                let size = self.client.line().await;
                let size = size.and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
                let Some(size) = size else {
                    self.end = Some(End::Cut);
                    return None;
                };
                while self.client.unread.len() < size + 2 {
                    if !self.client.more().await {
                        self.end = Some(End::Cut);
                        return None;
                    }
                }
                let rest = self.client.unread.split_off(size + 2);
                let mut data = std::mem::replace(&mut self.client.unread, rest);
                data.truncate(size);
                if size == 0 {
                    self.end = Some(End::Clean);
                    return None;
                }
                data
            }
        };
        self.body.extend_from_slice(&piece);
        Some(piece)
    }

    /// Reads until the body holds this.
    pub(crate) async fn until(&mut self, needle: impl AsRef<[u8]>) -> &mut Reply {
        let needle = needle.as_ref();
        while !super::holds(&self.body, needle) {
            assert!(
                self.piece().await.is_some(),
                "the body ended ({:?}) without {:?}: {:?}",
                self.end,
                String::from_utf8_lossy(needle),
                self.text()
            );
        }
        self
    }

    /// Reads the rest of the body.
    pub(crate) async fn whole(mut self) -> Reply {
        while self.piece().await.is_some() {}
        self
    }

    /// Reads the rest of the body, and checks that it ended as its framing says.
    pub(crate) async fn clean(self) -> Reply {
        let reply = self.whole().await;
        assert_eq!(reply.end, Some(End::Clean), "{}", reply.text());
        reply
    }

    /// The body so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.text()))
    }

    /// The message of an error in OpenAI's shape, all four fields of which are there.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        for field in ["message", "type", "code", "param"] {
            assert!(error.get(field).is_some(), "no `{field}` in {json}");
        }
        error["message"].as_str().unwrap().to_owned()
    }

    /// Checks status and message of an error.
    #[track_caller]
    pub(crate) fn fails_with(&self, status: u16, message: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.error(), message);
    }

    /// Checks the status of an error and words in its message.
    #[track_caller]
    pub(crate) fn fails_about(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text());
        let message = self.error();
        for word in words {
            assert!(message.contains(word), "no `{word}` in: {message}");
        }
    }

    /// The connection, for another request.
    pub(crate) fn client(self) -> Client {
        self.client
    }
}
