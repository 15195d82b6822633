//! The fake provider: a listener for each kind of answer, so that no request has to be understood, on a thread of its own.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use memchr::memchr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use crate::{
    http::Head,
    payload::{self, DIGITS, MARK, STREAM_HEAD, Stream},
};

/// How many tokens the streams have, and how far apart the slow ones' are.
#[derive(Clone, Copy)]
pub(crate) struct Tokens {
    pub(crate) fast: usize,
    pub(crate) slow: usize,
    pub(crate) pause: Duration,
}

/// Where the provider gives which answer.
#[derive(Clone, Copy)]
pub(crate) struct Provider {
    pub(crate) whole: SocketAddr,
    pub(crate) fast: SocketAddr,
    pub(crate) slow: SocketAddr,
    pub(crate) anthropic: SocketAddr,
    pub(crate) gemini: SocketAddr,
}

enum Answer {
    Whole(Vec<u8>),
    /// As fast as the connection takes them, each token written by itself.
    Fast(Stream, usize),
    /// Token by token at its time, which it carries.
    Slow(Stream, usize, Duration),
}

impl Provider {
    pub(crate) fn start(tokens: Tokens) -> io::Result<Provider> {
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("provider".into())
            .spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let provider = Provider {
                        whole: listen(Answer::Whole(payload::whole())).await?,
                        fast: listen(Answer::Fast(payload::openai(false), tokens.fast)).await?,
                        slow: listen(Answer::Slow(
                            payload::openai(true),
                            tokens.slow,
                            tokens.pause,
                        ))
                        .await?,
                        anthropic: listen(Answer::Fast(payload::anthropic(), tokens.fast)).await?,
                        gemini: listen(Answer::Fast(payload::gemini(), tokens.fast)).await?,
                    };
                    let _ = tell.send(provider);
                    std::future::pending::<io::Result<()>>().await
                })
            })?;
        told.recv()
            .map_err(|_| io::Error::other("the fake provider does not start"))
    }
}

/// Time since the first call, in microseconds: what tokens carry.
pub(crate) fn clock() -> u64 {
    since(Instant::now())
}

fn since(moment: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    u64::try_from(moment.duration_since(start).as_micros()).unwrap_or(u64::MAX)
}

async fn listen(answer: Answer) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                // A proxy that hangs up is seen by the client, which counts errors.
                let _ = serve(stream, &answer).await;
            });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, answer: &Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4 << 10];
    let mut filled = 0;
    loop {
        // One request at a time: nobody here sends the next before the answer.
        let mut head = loop {
            if let Some(head) = Head::read(&buffer[..filled])? {
                break head;
            }
            if filled == buffer.len() {
                return Err(io::Error::other("too long a head"));
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            }
        };
        head.body.feed(&buffer[head.length..filled], |_| ())?;
        if !head.body.is_done() && buffer.len() < 64 << 10 {
            buffer.resize(if head.is_long() { 64 << 10 } else { 4 << 10 }, 0);
        }
        while !head.body.is_done() {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => head.body.feed(&buffer[..count], |_| ())?,
            };
        }
        filled = 0;
        match answer {
            Answer::Whole(bytes) => stream.write_all(bytes).await?,
            Answer::Fast(events, tokens) => {
                stream.write_all(STREAM_HEAD).await?;
                stream.write_all(&events.opening).await?;
                for _ in 0..*tokens {
                    stream.write_all(&events.token).await?;
                }
                stream.write_all(&events.closing).await?;
            }
            Answer::Slow(events, tokens, pause) => {
                stream.write_all(STREAM_HEAD).await?;
                stream.write_all(&events.opening).await?;
                let mut token = events.token.clone();
                let digits = memchr(MARK, &token).unwrap_or_default() + 1;
                let start = tokio::time::Instant::now();
                for number in 0..u32::try_from(*tokens).unwrap_or(u32::MAX) {
                    let due = start + *pause * (number + 1);
                    tokio::time::sleep_until(due).await;
                    let time = format!("{:0DIGITS$}", since(due.into_std()));
                    token[digits..digits + DIGITS].copy_from_slice(time.as_bytes());
                    stream.write_all(&token).await?;
                }
                stream.write_all(&events.closing).await?;
            }
        }
    }
}
