//! An upstream that does wrong what it is told to: the request's `model` names the fault.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    clients::{CLIENTS, Client},
    frames,
    payload::Speaks,
    run::LONG,
};

/// The first byte of a TLS client.
const TLS_HANDSHAKE: u8 = 22;

/// What an upstream does, one after the other. Then it waits until the proxy hangs up.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(Vec<u8>),
    /// Byte by byte, with a pause before each.
    Slowly(Vec<u8>, Duration),
    /// The same bytes until the proxy hangs up.
    Forever(Vec<u8>),
    /// Waits until the client has the first piece of the text.
    Met,
    /// Of HTTP/2: waits until the proxy has read all of this.
    Heard,
    /// No more comes; what the proxy sends is still read. TLS says so.
    Shut,
    /// The same without a word of TLS.
    Cut,
    /// Ends the connection with a reset.
    Reset,
    /// Of HTTP/2: the stream is over, the connection goes on.
    Over,
}

/// What is asked, as far as faults care.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) speaks: Speaks,
    pub(crate) stream: bool,
    /// Of HTTP/2.
    pub(crate) id: u32,
    /// Where redirects lead.
    pub(crate) elsewhere: SocketAddr,
}

/// A fault's steps.
pub(crate) type Script = fn(&Asked) -> Vec<Step>;

/// What came of one case at the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Requests.
    pub(crate) seen: usize,
    /// Connections, or streams of HTTP/2, that the proxy has not let go.
    pub(crate) open: usize,
    /// The client has the first piece of the text.
    met: bool,
}

/// The model of one case.
pub(crate) fn model(fault: &str, client: &Client, stream: bool) -> String {
    let number = CLIENTS.iter().position(|known| known == client).unwrap();
    format!(
        "{fault}.{number}.{}",
        if stream { "stream" } else { "whole" }
    )
}

/// What all upstreams of a run share.
pub(crate) struct Board {
    scripts: HashMap<&'static str, Script>,
    tallies: Mutex<HashMap<String, Tally>>,
    changed: Notify,
    /// Ends connections of HTTP/2.
    stopped: CancellationToken,
    elsewhere: SocketAddr,
}

impl Board {
    pub(crate) fn new(
        scripts: impl IntoIterator<Item = (&'static str, Script)>,
        elsewhere: SocketAddr,
    ) -> Arc<Board> {
        Arc::new(Board {
            scripts: scripts.into_iter().collect(),
            tallies: Mutex::default(),
            changed: Notify::new(),
            stopped: CancellationToken::new(),
            elsewhere,
        })
    }

    /// What came of a case so far.
    pub(crate) fn tally(&self, model: &str) -> Tally {
        let tallies = self.tallies.lock().unwrap();
        tallies.get(model).copied().unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(&mut Tally)) {
        change(
            self.tallies
                .lock()
                .unwrap()
                .entry(model.to_owned())
                .or_default(),
        );
        self.changed.notify_waiters();
    }

    /// Closes the connections of HTTP/2 that nothing is on.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }

    /// The client has the first piece of the text.
    pub(crate) fn meet(&self, model: &str) {
        self.change(model, |tally| tally.met = true);
    }

    /// Waits until a case is as wished; whether it ever was.
    pub(crate) async fn until(&self, model: &str, wished: impl Fn(Tally) -> bool) -> bool {
        timeout(LONG, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if wished(self.tally(model)) {
                    return;
                }
                changed.await;
            }
        })
        .await
        .is_ok()
    }

    /// The model of a request's body, what it asks, and what is to be done.
    fn read(&self, body: &[u8], id: u32) -> (String, Vec<Step>) {
        let json: Value = serde_json::from_slice(body).unwrap();
        let model = json["model"].as_str().unwrap().to_owned();
        let mut words = model.split('.');
        let script = self.scripts[words.next().unwrap()];
        let number: usize = words.next().unwrap().parse().unwrap();
        let client = CLIENTS[number];
        let asked = Asked {
            speaks: client.asks_in(),
            stream: words.next() == Some("stream"),
            id,
            elsewhere: self.elsewhere,
        };
        assert_eq!(
            json["stream"].as_bool().unwrap_or_default(),
            asked.stream,
            "{json}"
        );
        (model, script(&asked))
    }
}

/// What steps are done on.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    fn socket(&mut self) -> &mut TcpStream;
}

impl Wire for TcpStream {
    fn socket(&mut self) -> &mut TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// Listens; with `tls`, HTTP/2 is spoken to who chose it.
pub(crate) async fn listen(board: &Arc<Board>, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let board = Arc::clone(board);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (board, tls) = (Arc::clone(&board), tls.clone());
            tokio::spawn(async move {
                let Some(tls) = tls else {
                    return serve(stream, &board).await;
                };
                // What is wrong with the certificate is told by the proxy.
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    serve_http2(stream, &board).await;
                } else {
                    serve(stream, &board).await;
                }
            });
        }
    });
    address
}

/// Takes connections and says nothing.
pub(crate) async fn listen_in_silence() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

/// Counts the connections that are made.
pub(crate) async fn listen_and_count() -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            *counting.lock().unwrap() += 1;
        }
    });
    (address, count)
}

/// One request of HTTP/1.1.
async fn serve(mut wire: impl Wire, board: &Board) {
    let Some(body) = request(&mut wire).await else {
        return;
    };
    let (model, steps) = board.read(&body, 0);
    board.change(&model, |tally| {
        tally.seen += 1;
        tally.open += 1;
    });
    if play(&mut wire, board, &model, steps).await {
        let _ = wire.read_to_end(&mut Vec::new()).await;
    }
    drop(wire);
    board.change(&model, |tally| tally.open -= 1);
}

async fn request(wire: &mut impl Wire) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        if wire.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
        if all[0] == TLS_HANDSHAKE {
            write(
                wire,
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            )
            .await;
            let _ = wire.shutdown().await;
            return None;
        }
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        let whole = end + 4 + length.parse::<usize>().unwrap();
        while all.len() < whole {
            if wire.read_buf(&mut all).await.ok()? == 0 {
                return None;
            }
        }
        return Some(all.split_off(end + 4));
    }
}

/// Does the steps; whether the connection is still there.
async fn play(wire: &mut impl Wire, board: &Board, model: &str, steps: Vec<Step>) -> bool {
    for step in steps {
        let done = match step {
            Step::Write(bytes) => write(wire, &bytes).await,
            Step::Slowly(bytes, pause) => {
                let mut there = true;
                for byte in bytes {
                    sleep(pause).await;
                    there = write(wire, &[byte]).await;
                    if !there {
                        break;
                    }
                }
                there
            }
            Step::Forever(bytes) => {
                while write(wire, &bytes).await {}
                false
            }
            Step::Met => board.until(model, |tally| tally.met).await,
            Step::Heard => heard(wire).await,
            Step::Shut => wire.shutdown().await.is_ok(),
            Step::Cut => wire.socket().shutdown().await.is_ok(),
            Step::Reset => {
                let _ = wire.socket().set_zero_linger();
                false
            }
            Step::Over => true,
        };
        if !done {
            return false;
        }
    }
    true
}

async fn write(wire: &mut impl Wire, bytes: &[u8]) -> bool {
    wire.write_all(bytes).await.is_ok() && wire.flush().await.is_ok()
}

/// Asks the proxy whether it is there.
async fn heard(wire: &mut impl Wire) -> bool {
    if !write(wire, &frames::frame(frames::PING, 0, 0, &[7; 8])).await {
        return false;
    }
    while let Some((kind, flags, ..)) = read_frame(wire).await {
        if kind == frames::PING && flags & frames::ACK != 0 {
            return true;
        }
    }
    false
}

/// A connection of HTTP/2, with one stream at a time.
async fn serve_http2(mut wire: impl Wire, board: &Board) {
    let mut preface = [0; frames::PREFACE.len()];
    if wire.read_exact(&mut preface).await.is_err() || !write(&mut wire, &frames::settings()).await
    {
        return;
    }
    assert_eq!(preface, frames::PREFACE);
    let (mut id, mut body) = (0, Vec::new());
    // The case whose stream the proxy may still end.
    let mut open: Option<String> = None;
    let close = |open: &mut Option<String>| {
        if let Some(model) = open.take() {
            board.change(&model, |tally| tally.open -= 1);
        }
    };
    loop {
        let next = tokio::select! {
            next = read_frame(&mut wire) => next,
            () = board.stopped.cancelled() => None,
        };
        let Some((kind, flags, stream, payload)) = next else {
            break;
        };
        match kind {
            frames::SETTINGS | frames::PING if flags & frames::ACK == 0 => {
                let back = frames::frame(kind, frames::ACK, 0, &payload);
                if !write(&mut wire, &back).await {
                    break;
                }
            }
            frames::HEADERS => {
                close(&mut open);
                id = stream;
                body.clear();
            }
            frames::RST_STREAM if stream == id => close(&mut open),
            frames::DATA if stream == id => {
                body.extend_from_slice(&payload);
                if flags & frames::END_STREAM == 0 {
                    continue;
                }
                let (model, steps) = board.read(&body, id);
                board.change(&model, |tally| {
                    tally.seen += 1;
                    tally.open += 1;
                });
                let over = matches!(steps.last(), Some(Step::Over));
                open = Some(model.clone());
                if !play(&mut wire, board, &model, steps).await {
                    break;
                }
                if over {
                    close(&mut open);
                }
            }
            _ => {}
        }
    }
    drop(wire);
    close(&mut open);
}

async fn read_frame(wire: &mut impl Wire) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    wire.read_exact(&mut head).await.ok()?;
    let size = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; size];
    wire.read_exact(&mut payload).await.ok()?;
    // A SETTINGS acknowledgement is empty.
    if head[3] == frames::SETTINGS {
        payload.clear();
    }
    Some((head[3], head[4], stream, payload))
}
