//! The fake provider: OpenAI's and Anthropic's operations on one listener. What a request says decides what comes, and what goes wrong.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use memchr::memmem;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::watch,
};

use crate::{
    http::Head,
    work::{Fault, LENGTH, TOKEN, numbers, said, word},
};

/// A running provider.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    hang_up: watch::Sender<bool>,
    open: Arc<Streams>,
}

/// Seconds that a stream waits for the others.
const LONGEST: u64 = 600;

/// Slow streams under way: now, and the most there were.
#[derive(Default)]
struct Streams {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Provider {
    pub(crate) fn start() -> io::Result<Provider> {
        let (tell, told) = mpsc::channel();
        let (hang_up, over) = watch::channel(false);
        let open = Arc::<Streams>::default();
        let streams = Arc::clone(&open);
        thread::Builder::new()
            .name("provider".into())
            .spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    let _ = tell.send(listener.local_addr()?);
                    loop {
                        let (stream, _) = listener.accept().await?;
                        let (streams, mut over) = (Arc::clone(&streams), over.clone());
                        tokio::spawn(async move {
                            tokio::select! {
                                // A proxy that hangs up is what some clients make it do.
                                _ = serve(stream, &streams) => {}
                                _ = over.wait_for(|over| *over) => {}
                            }
                        });
                    }
                })
            })
            .map(|_: thread::JoinHandle<io::Result<()>>| ())?;
        let address = told
            .recv()
            .map_err(|_| io::Error::other("the fake provider does not start"))?;
        Ok(Provider {
            address,
            hang_up,
            open,
        })
    }

    /// Ends all connections, as a provider does that is deployed anew.
    pub(crate) fn hang_up(&self) {
        let _ = self.hang_up.send(true);
    }

    /// The most slow streams that there were at once.
    pub(crate) fn most(&self) -> usize {
        self.open.most.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, streams: &Streams) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        let mut head = loop {
            if let Some(head) = Head::read(&buffer)? {
                break head;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let rest = buffer.split_off(head.length);
        let line = String::from_utf8_lossy(&buffer).into_owned();
        let mut body = Vec::new();
        head.body
            .feed(&rest, |content| body.extend_from_slice(content))?;
        while !head.body.is_done() {
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            head.body
                .feed(&buffer, |content| body.extend_from_slice(content))?;
        }
        buffer.clear();
        let path = line.split(' ').nth(1).unwrap_or_default();
        if !answer(&mut stream, path, &body, streams).await? {
            return Ok(());
        }
    }
}

/// What a request asks of the provider.
struct Asked {
    token: String,
    fault: Fault,
    words: u64,
    /// Milliseconds between two words.
    pause: u64,
    /// After the first word, it waits until so many others have begun.
    others: usize,
}

impl Asked {
    fn of(body: &[u8]) -> Asked {
        let at = memmem::find(body, TOKEN.as_bytes()).unwrap_or(body.len());
        let text = String::from_utf8_lossy(&body[at..(at + LENGTH + 60).min(body.len())]);
        let value = |name: &str| {
            let found = text.split(' ').find_map(|part| part.strip_prefix(name));
            found.unwrap_or_default().to_owned()
        };
        Asked {
            token: text.chars().take(LENGTH).collect(),
            fault: Fault::of_name(&value("fault=")),
            words: value("words=").parse().unwrap_or(1),
            pause: value("pause=").parse().unwrap_or_default(),
            others: value("others=").parse().unwrap_or_default(),
        }
    }
}

/// Answers; whether the connection goes on.
async fn answer(
    stream: &mut TcpStream,
    path: &str,
    body: &[u8],
    streams: &Streams,
) -> io::Result<bool> {
    let asked = Asked::of(body);
    let anthropic = path.contains("/messages");
    let token = &asked.token;
    if let Fault::Status(status) = asked.fault {
        let error = json!({"type": "api_error", "message": format!("{token} fails"), "code": null, "param": null});
        let error = if anthropic {
            json!({"type": "error", "error": error})
        } else {
            json!({"error": error})
        };
        whole(stream, status, &error.to_string(), None).await?;
        return Ok(true);
    }
    match asked.fault {
        Fault::Hangup => return Ok(false),
        Fault::Garbage => {
            whole(stream, 200, &format!("<{token}"), None).await?;
            return Ok(true);
        }
        _ => {}
    }
    if memmem::find(body, b"\"stream\":true").is_some() {
        let _counted = (asked.pause > 0).then(|| Counted::new(streams));
        return streamed(stream, path, &asked, streams).await;
    }
    let text = said(token, asked.words);
    let answer = if path.ends_with("/count_tokens") {
        json!({"input_tokens": numbers(token).iter().sum::<u32>()})
    } else if anthropic {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}],
               "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": asked.words}})
    } else if path.ends_with("/responses") {
        response(&text)
    } else if path.ends_with("/embeddings") {
        json!({"object": "list", "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3},
               "data": [{"object": "embedding", "index": 0, "embedding": numbers(token)}]})
    } else if path.ends_with("/files") {
        json!({"id": token, "bytes": body.len()})
    } else if path.ends_with("/chat/completions") {
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage(asked.words),
               "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]})
    } else {
        json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "usage": usage(asked.words),
               "choices": [{"index": 0, "finish_reason": "stop", "text": text, "logprobs": null}]})
    };
    let cut = (asked.fault == Fault::Cut).then_some(20);
    whole(stream, 200, &answer.to_string(), cut).await?;
    Ok(cut.is_none())
}

fn usage(words: u64) -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": words, "total_tokens": words + 3})
}

fn response(text: &str) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
           "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                       "content": [{"type": "output_text", "text": text, "annotations": []}]}],
           "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})
}

async fn whole(
    stream: &mut TcpStream,
    status: u16,
    body: &str,
    cut: Option<usize>,
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let body = &body[..cut.unwrap_or(body.len())];
    stream
        .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
        .await
}

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The events of a stream: those before the words, one for a word, those after, and one for an error.
struct Events {
    opening: String,
    word: fn(&str) -> Value,
    closing: String,
    error: fn(&str) -> Value,
}

fn event(value: &Value) -> String {
    match value["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {value}\n\n"),
        None => format!("data: {value}\n\n"),
    }
}

fn events(path: &str, asked: &Asked) -> Events {
    let all = |values: &[Value]| values.iter().map(event).collect::<String>();
    if path.contains("/messages") {
        return Events {
            opening: all(&[
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                       "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ]),
            word: |word| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
            closing: all(&[
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": asked.words}}),
                json!({"type": "message_stop"}),
            ]),
            error: |token| json!({"type": "error", "error": {"type": "api_error", "message": format!("{token} fails")}}),
        };
    }
    if path.ends_with("/responses") {
        let text = said(&asked.token, asked.words);
        return Events {
            opening: all(&[
                json!({"type": "response.created", "response": {"id": "resp_1", "object": "response", "status": "in_progress", "model": "m", "output": []}}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}),
                json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "item_id": "msg_1", "part": {"type": "output_text", "text": "", "annotations": []}}),
            ]),
            word: |word| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": word}),
            closing: all(&[json!({"type": "response.completed", "response": response(&text)})]),
            error: |token| json!({"type": "error", "code": "server_error", "message": format!("{token} fails"), "param": null}),
        };
    }
    let error: fn(&str) -> Value =
        |token| json!({"error": {"message": format!("{token} fails"), "type": "api_error"}});
    if path.ends_with("/chat/completions") {
        let stop = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        return Events {
            opening: String::new(),
            word: |word| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}]}),
            closing: event(&stop) + "data: [DONE]\n\n",
            error,
        };
    }
    let stop = json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]});
    Events {
        opening: String::new(),
        word: |word| json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"index": 0, "text": word, "finish_reason": null}]}),
        closing: event(&stop) + "data: [DONE]\n\n",
        error,
    }
}

async fn streamed(
    stream: &mut TcpStream,
    path: &str,
    asked: &Asked,
    streams: &Streams,
) -> io::Result<bool> {
    let events = events(path, asked);
    let mut out = STREAM_HEAD.to_vec();
    if !events.opening.is_empty() {
        chunk(&mut out, &events.opening);
    }
    // At least one word comes before anything goes wrong.
    let breaks = (asked.words / 2).max(1);
    for at in 0..asked.words {
        if at == breaks && asked.fault == Fault::Cut {
            stream.write_all(&out).await?;
            return Ok(false);
        }
        if at == breaks && asked.fault == Fault::Event {
            chunk(&mut out, &event(&(events.error)(&asked.token)));
            chunk(&mut out, "");
            stream.write_all(&out).await?;
            return Ok(true);
        }
        chunk(&mut out, &event(&(events.word)(&word(&asked.token, at))));
        stream.write_all(&out).await?;
        out.clear();
        let mut patience = LONGEST;
        while at == 0 && streams.most.load(Ordering::Relaxed) < asked.others && patience > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            patience -= 1;
        }
        if asked.pause > 0 {
            tokio::time::sleep(Duration::from_millis(asked.pause)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
    chunk(&mut out, &events.closing);
    chunk(&mut out, "");
    stream.write_all(&out).await?;
    Ok(true)
}

fn chunk(out: &mut Vec<u8>, data: &str) {
    out.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
}

/// A slow stream that is under way.
struct Counted<'a>(&'a Streams);

impl Counted<'_> {
    fn new(streams: &Streams) -> Counted<'_> {
        let now = streams.now.fetch_add(1, Ordering::Relaxed) + 1;
        streams.most.fetch_max(now, Ordering::Relaxed);
        Counted(streams)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
