//! Connections that died while nothing was on them, and what is never sent twice.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::support::{
    Ask, DONE, ProfileText, Reply, Server, chat, completion, delta, soon, stop, text_of,
};

/// What an upstream does to a connection after its first answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    Close,
    Reset,
    /// Says this, in the same breath as the answer, and goes on.
    Beside(&'static str),
    /// Says this once nobody asks, and closes.
    Unasked(&'static str),
    /// Reads the next request, and closes.
    CloseOnNext,
    ResetOnNext,
}

/// An upstream that does this to each connection. What it read, by what the requests say, and when it has done it.
struct Dying {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    done: mpsc::UnboundedReceiver<()>,
}

const SMUGGLED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"smuggled\":\"\"}";
const TIMED_OUT: &str =
    "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Dying {
    async fn start(then: Then) -> Dying {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (tell, done) = mpsc::unbounded_channel();
        let keep = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keep, tell) = (Arc::clone(&keep), tell.clone());
                tokio::spawn(async move {
                    serve(stream, then, &keep).await;
                    let _ = tell.send(());
                });
            }
        });
        Dying {
            address,
            seen,
            done,
        }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, then: Then, seen: &Mutex<Vec<String>>) {
    let read = async |stream: &mut TcpStream| {
        let request = request(stream).await?;
        seen.lock().unwrap().push(request.clone());
        Some(request)
    };
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let mut answer = answer_to(&request);
    if let Then::Beside(words) = then {
        answer.push_str(words);
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    match then {
        Then::Close => {}
        Then::Reset => stream.set_zero_linger().unwrap(),
        Then::Beside(_) => {
            let _ = read(&mut stream).await;
        }
        Then::Unasked(words) => {
            let _ = stream.write_all(words.as_bytes()).await;
        }
        Then::CloseOnNext => {
            let _ = read(&mut stream).await;
        }
        Then::ResetOnNext => {
            let _ = read(&mut stream).await;
            stream.set_zero_linger().unwrap();
        }
    }
}

/// What a request says: its body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut all = Vec::new();
    loop {
        if stream.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&all).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let whole = match length {
            Some(length) => body.len() >= length.parse().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return Some(body.to_owned());
        }
    }
}

/// The right answer, after which the connection can be used again.
fn answer_to(request: &str) -> String {
    let (kind, body) = if request.contains(r#""stream":true"#) {
        (
            "text/event-stream",
            [delta(&number(request)), stop(), DONE.into()].concat(),
        )
    } else {
        ("application/json", completion(&number(request)))
    };
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// What a request is told apart by.
fn number(request: &str) -> String {
    let (_, rest) = request.split_once("number ").unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

/// How requests go out.
#[derive(Clone, Copy, Debug)]
enum How {
    Whole,
    Streamed,
    /// Unread, while the client still sends it.
    Unread,
}

const ALL: [How; 3] = [How::Whole, How::Streamed, How::Unread];

fn ask(how: How, number: usize) -> Ask {
    let extra = match how {
        How::Streamed => format!(r#""user":"number {number}","stream":true"#),
        _ => format!(r#""user":"number {number}""#),
    };
    match how {
        How::Unread => Ask::post("/up/v1/files", chat(&extra)),
        _ => Ask::chat(chat(&extra)),
    }
}

#[track_caller]
fn answers(reply: &Reply, how: How, number: usize) {
    assert_eq!(reply.status, 200, "{how:?} {number}: {}", reply.text());
    let text = match how {
        How::Streamed => text_of(&reply.body),
        _ => reply.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    assert_eq!(text, number.to_string(), "another request's answer");
}

async fn serving(then: Then) -> (Server, Dying) {
    let upstream = Dying::start(then).await;
    let profile = ProfileText::at(&format!("http://{}/v1", upstream.address))
        .line("aiproxy", r#"other_paths = "forward""#);
    (Server::of(&profile), upstream)
}

/// As each number once, in order.
#[track_caller]
fn were_each_seen_once(upstream: &Dying, count: usize) {
    let seen: Vec<String> = upstream.seen().iter().map(|body| number(body)).collect();
    let each: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(seen, each);
}

#[tokio::test]
async fn connections_that_died_while_idle_are_replaced_before_anything_is_sent() {
    for then in [
        Then::Close,
        Then::Reset,
        Then::Unasked(TIMED_OUT),
        Then::Unasked(SMUGGLED),
    ] {
        let (server, mut upstream) = serving(then).await;
        let mut count = 0;
        for how in ALL.iter().cycle().take(12) {
            let reply = ask(*how, count).whole(&server).await;
            answers(&reply, *how, count);
            count += 1;
            // The connection is dead before the next is asked.
            soon("the end of a connection", upstream.done.recv()).await;
        }
        were_each_seen_once(&upstream, count);
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_no_answer_to_the_next_request() {
    let (server, upstream) = serving(Then::Beside(SMUGGLED)).await;
    let mut count = 0;
    for how in ALL.iter().cycle().take(12) {
        let reply = ask(*how, count).whole(&server).await;
        answers(&reply, *how, count);
        count += 1;
    }
    were_each_seen_once(&upstream, count);
}

#[tokio::test]
async fn a_request_that_an_upstream_may_have_read_is_never_sent_again() {
    for (then, what) in [(Then::CloseOnNext, "closed"), (Then::ResetOnNext, "reset")] {
        for how in ALL {
            let (server, upstream) = serving(then).await;
            let mut count = 0;
            for _ in 0..4 {
                let reply = ask(how, count).whole(&server).await;
                answers(&reply, how, count);
                let reply = ask(how, count + 1).whole(&server).await;
                let message = format!(
                    "{} {what} the connection before the response began",
                    upstream.address
                );
                reply.fails_with(502, &message);
                count += 2;
            }
            were_each_seen_once(&upstream, count);
            server.is_healthy().await;
        }
    }
}
