//! One client: a connection that is kept while it can be.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    http::Head,
    work::{Manner, Task},
};

/// An answer that takes longer than this is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// Also for the slowest streams.
const MOST: Duration = Duration::from_secs(1200);

/// What came.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// It ended as its framing says.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn exchange(&self) -> Option<&str> {
        let lines = self.head.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix("x-aiproxy-exchange: "));
        values.next()
    }
}

pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client {
            address,
            stream: None,
        }
    }

    /// Sends a request and reads what comes of it; nothing if the client is one that leaves.
    pub(crate) async fn ask(&mut self, task: &Task, path: &str) -> io::Result<Option<Answer>> {
        let body = task.body();
        let method = if task.is_post() { "POST" } else { "GET" };
        let request = request(method, path, &body);
        timeout(PATIENCE, self.exchange(&request, task.manner))
            .await
            .unwrap_or_else(|_| Err(io::Error::other(format!("no answer within {PATIENCE:?}"))))
    }

    /// The whole answer to a request whose words come so far apart, once there are so many of its kind.
    pub(crate) async fn ask_paced(
        &mut self,
        task: &Task,
        pause: Duration,
        others: u32,
    ) -> io::Result<Answer> {
        let pause = format!(" pause={} others={others} words=", pause.as_millis());
        let body = task.body().replacen(" words=", &pause, 1);
        self.post(&task.path(""), &body).await
    }

    /// The whole answer to a body.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.whole(&request("POST", path, body)).await
    }

    /// The whole answer to any request.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.whole(&request("GET", path, "")).await
    }

    async fn whole(&mut self, request: &[u8]) -> io::Result<Answer> {
        let answer = timeout(MOST, self.exchange(request, Manner::Reads)).await??;
        answer.ok_or_else(|| io::Error::other("no answer"))
    }

    async fn exchange(&mut self, request: &[u8], manner: Manner) -> io::Result<Option<Answer>> {
        // Taken out, so that an error or a time-out ends it.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        if manner == Manner::Stops {
            stream.write_all(&request[..request.len() * 2 / 3]).await?;
            return Ok(None);
        }
        stream.write_all(request).await?;
        let leaves = match manner {
            Manner::Leaves(after) => after,
            _ => usize::MAX,
        };
        if leaves == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut head = loop {
            if let Some(head) = Head::read(&bytes)? {
                break head;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::other("the connection ends without an answer"));
            }
        };
        let mut answer = Answer {
            status: head.status,
            head: String::from_utf8_lossy(&bytes[..head.length]).into_owned(),
            ..Answer::default()
        };
        let mut rest = bytes.split_off(head.length);
        let mut buffer = vec![
            0;
            if manner == Manner::Slowly {
                256
            } else {
                16 << 10
            }
        ];
        loop {
            let body = &mut answer.body;
            head.body
                .feed(&rest, |content| body.extend_from_slice(content))?;
            if head.body.is_done() {
                answer.whole = true;
                break;
            }
            if answer.body.len() > leaves {
                return Ok(None);
            }
            if manner == Manner::Slowly {
                sleep(Duration::from_millis(1)).await;
            }
            match stream.read(&mut buffer).await {
                Ok(count @ 1..) => {
                    rest.clear();
                    rest.extend_from_slice(&buffer[..count]);
                }
                _ => return Ok(Some(answer)),
            }
        }
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(Some(answer))
    }
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = match method {
        "GET" => String::new(),
        _ => format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        ),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{length}\r\n{body}").into_bytes()
}
