//! What seeing costs: CPU time of the server's own threads for each request and for each streamed chunk, with the record of exchanges off, on, read by
//! `tail`, and written to disk.
//!
//!     cargo bench --bench capture -- [ROUNDS] [REQUESTS] [KIND,KIND] [TURNS OF STREAMS]
//!
//! As what is shipped is built, after `bash .ci/dist`, which has counted what runs (the target is the machine's own, as `rustc -vV` names it):
//!
//!     RUSTFLAGS=-Cprofile-use=$PWD/target/dist/aiproxy.profdata cargo bench --profile dist --target TARGET --bench capture
//!
//! Times differ from run to run on a machine that does other things, too. Instructions do not:
//!
//!     valgrind --tool=callgrind --separate-threads=yes target/release/deps/capture-... 1 500 off 0
//!
//! Client, server and upstream run in this process, over loopback sockets, each on threads of its own; only the server's are counted. Every round
//! measures all kinds, a little of each in turn; the table shows medians, and that of the rounds' differences.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and prints"
)]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use aiproxy::{
    exchange::{Connections, Heard, Keeper, Ledger, MEMORY},
    keys::{Fetching, Keys, Wanted},
    net,
    profile::{Places, Vault},
    server::{self, App, Effects, Gate, Limits, Served, Terms, Workers},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of a measurement, each with and answered by a kilobyte, on this many connections.
const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 16;

/// Streams of a measurement, at once, and chunks of each.
const STREAMS: usize = 100;
const CHUNKS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// In how many turns the kinds are measured.
const TURNS: usize = 40;
const STREAM_TURNS: usize = 2;

/// How exchanges are kept.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Off,
    Ring,
    Tail,
    Disk,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Off, "off"),
    (Kind::Ring, "in memory"),
    (Kind::Tail, "and read by one"),
    (Kind::Disk, "and on disk"),
];

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<usize>().ok());
    // `cargo test --all-targets` runs benchmarks too: then it is enough that they work.
    let measures = !args.is_empty() || std::env::args().any(|arg| arg == "--bench");
    let requests_a_round = number(1).unwrap_or(if measures { REQUESTS } else { CONNECTIONS });
    let stream_turns = number(3).unwrap_or(if measures { STREAM_TURNS } else { 1 });
    let rounds = number(0).unwrap_or(if measures { 5 } else { 1 });
    let wanted = |name: &str| {
        let only = |kinds: &String| kinds.split(',').any(|kind| name.ends_with(kind));
        args.get(2).is_none_or(only)
    };
    let upstream = runtime("up", 1);
    let client = runtime("cli", 1);
    let address = upstream.block_on(play());
    let mut requests = vec![Vec::new(); KINDS.len()];
    let mut chunks = vec![Vec::new(); KINDS.len()];
    for _ in 0..rounds {
        let benches: Vec<(usize, Bench)> = KINDS
            .iter()
            .enumerate()
            .filter(|(_, (_, name))| wanted(name))
            .map(|(number, (kind, _))| (number, Bench::start(*kind, address)))
            .collect();
        for (_, bench) in &benches {
            // Until the memory for exchanges is full: from then on, the oldest make room.
            client.block_on(ask(bench.address, requests_a_round));
        }
        // In turn, so that what else the machine does falls on all of them alike.
        let a_turn = requests_a_round.div_ceil(TURNS).max(CONNECTIONS);
        let (mut asked, mut listened) = ([0; KINDS.len()], [0; KINDS.len()]);
        for _ in 0..requests_a_round.div_ceil(a_turn) {
            for (number, bench) in &benches {
                let before = bench.cpu();
                client.block_on(ask(bench.address, a_turn));
                bench.settle(measures);
                asked[*number] += bench.cpu() - before;
            }
        }
        for _ in 0..stream_turns {
            for (number, bench) in &benches {
                let before = bench.cpu();
                client.block_on(listen(bench.address));
                bench.settle(measures);
                listened[*number] += bench.cpu() - before;
            }
        }
        let asks =
            (requests_a_round.div_ceil(a_turn) * (a_turn / CONNECTIONS) * CONNECTIONS) as f64;
        for (number, bench) in benches {
            requests[number].push(asked[number] as f64 / asks);
            chunks[number].push(listened[number] as f64 / (stream_turns * STREAMS * CHUNKS) as f64);
            bench.stop();
        }
    }
    println!("| exchanges kept | CPU a request | | CPU a chunk | |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    // Each round against the same round without: what else the machine does is in both.
    let more = |kind: &[f64], off: &[f64]| {
        let ratios = kind.iter().zip(off).map(|(kind, off)| kind / off);
        (median(&ratios.collect::<Vec<f64>>()) - 1.0) * 100.0
    };
    for (number, (_, name)) in KINDS
        .iter()
        .enumerate()
        .filter(|(_, (_, name))| wanted(name))
    {
        let (request, chunk) = (median(&requests[number]), median(&chunks[number]));
        println!(
            "| {name} | {:.1} µs | {:+.1} % | {:.2} µs | {:+.1} % |",
            request / 1e3,
            more(&requests[number], &requests[0]),
            chunk / 1e3,
            more(&chunks[number], &chunks[0]),
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn runtime(name: &str, threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .thread_name(name)
        .enable_all();
    builder.build().unwrap()
}

/// A running server.
struct Bench {
    runtime: Runtime,
    /// The history's writer works for it, too.
    writes: bool,
    address: SocketAddr,
    stop: CancellationToken,
    ledger: Arc<Ledger>,
    keeper: Keeper,
    _folder: tempfile::TempDir,
}

struct NoKeys;

impl Keys for NoKeys {
    fn fetch<'a>(&'a self, _: &'a Wanted) -> Fetching<'a> {
        Box::pin(async { unreachable!("no cloud is asked") })
    }
}

struct NoVault;

impl Vault for NoVault {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn keyring(&self, _: &str) -> Result<String, String> {
        Err(String::new())
    }
}

impl Bench {
    fn start(kind: Kind, upstream: SocketAddr) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.toml");
        let profile = format!(
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.auth]\nheader_name = \"Authorization\"\nheader_value = \"Bearer sk-0123456789\"\n\
             [ai-proxy.model]\nprovider = \"openai\"\n[aiproxy]\nbase_url = \"http://{upstream}/v1\"\n"
        );
        std::fs::write(&path, profile).unwrap();
        let profile = Places::load_file(&path).unwrap();
        let keeper = Keeper::new(folder.path().join("history.db"), true);
        let (memory, observers) = match kind {
            Kind::Off => (0, Vec::new()),
            Kind::Ring | Kind::Tail => (MEMORY, Vec::new()),
            Kind::Disk => {
                keeper.start().unwrap();
                (MEMORY, vec![keeper.observer()])
            }
        };
        let ledger = Ledger::keeping(observers, memory);
        let listener = matches!(kind, Kind::Tail).then(|| ledger.listen(false, None).0);
        let runtime = runtime("srv", 1);
        let workers = Workers::start().unwrap();
        let stop = CancellationToken::new();
        let address = runtime.block_on(async {
            let listening = server::listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = listening.address();
            let client = net::Client::new(net::Environment::from_process());
            let effects = Effects {
                net: Arc::new(client),
                vault: Arc::new(NoVault),
                keys: Arc::new(NoKeys),
                connections: Connections::default(),
            };
            let gate = Gate {
                port: address.port(),
                ..Gate::default()
            };
            let served = Served::new(vec![Arc::new(profile)]);
            let ledger = Arc::clone(&ledger);
            let app = Arc::new(App::new(served, gate, ledger, effects, Limits::default()));
            let until = stop.clone();
            tokio::spawn(async move {
                listening
                    .serve(
                        app,
                        Some(&workers),
                        Terms::default(),
                        Duration::from_secs(1),
                        until,
                        || {},
                    )
                    .await
            });
            address
        });
        if let Some(listener) = listener {
            // A reader that takes all there is, on a thread that is not counted.
            std::thread::Builder::new()
                .name("tail".into())
                .spawn(move || {
                    let runtime = Builder::new_current_thread().build().unwrap();
                    runtime
                        .block_on(async { while !matches!(listener.next().await, Heard::End) {} });
                })
                .unwrap();
        }
        Bench {
            runtime,
            writes: matches!(kind, Kind::Disk),
            address,
            stop,
            ledger,
            keeper,
            _folder: folder,
        }
    }

    /// CPU time of the threads of all servers so far, in nanoseconds: of those, one alone has anything to do.
    fn cpu(&self) -> u64 {
        let mut sum = 0;
        for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
            let read = |name: &str| std::fs::read_to_string(task.path().join(name));
            let Ok(name) = read("comm") else { continue };
            let name = name.trim();
            if name.starts_with("worker-") || self.writes && name == "history" {
                let spent = read("schedstat").unwrap_or_default();
                let spent = spent
                    .split(' ')
                    .next()
                    .and_then(|time| time.parse::<u64>().ok());
                sum += spent.unwrap_or_default();
            }
        }
        sum
    }

    /// Waits until the history's writer has nothing left to do.
    fn settle(&self, measures: bool) {
        let mut before = 0;
        while self.writes && measures && before != self.cpu() {
            before = self.cpu();
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn stop(self) {
        self.stop.cancel();
        self.ledger.hang_up();
        let _ = self.keeper.close(Duration::from_secs(10));
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

/// An upstream: a kilobyte of JSON, or a stream of chunks.
async fn play() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

fn body(length: usize) -> String {
    let text = "word ".repeat(length / 5);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-5-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":200,"total_tokens":400}}}}"#
    )
}

async fn answer(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(request) = message(&mut read).await {
        if request.contains("\"stream\":true") {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            write.write_all(head.as_bytes()).await.unwrap();
            for number in 0..CHUNKS {
                let data = format!(
                    "data: {{\"id\":\"chatcmpl-9s8d7f6g5h4j3k2l1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5-mini-2026-01-01\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" token{number}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
                );
                let chunk = format!("{:x}\r\n{data}\r\n", data.len());
                if write.write_all(chunk.as_bytes()).await.is_err() {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
            let end = "data: {\"id\":\"chatcmpl-9s8d7f6g5h4j3k2l1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5-mini-2026-01-01\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            let chunk = format!("{:x}\r\n{end}\r\n0\r\n\r\n", end.len());
            let _ = write.write_all(chunk.as_bytes()).await;
        } else {
            let body = body(700);
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if write.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Reads a message with a length, or to the end of its chunks.
async fn message(read: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        chunked |= line == "transfer-encoding: chunked";
        if line.is_empty() {
            break;
        }
    }
    if !chunked {
        let mut body = vec![0; length];
        read.read_exact(&mut body).await.ok()?;
        return String::from_utf8(body).ok();
    }
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut data = vec![0; size + 2];
        read.read_exact(&mut data).await.ok()?;
        if size == 0 {
            return Some(String::new());
        }
    }
}

fn request(stream: bool) -> String {
    let prompt = "word ".repeat(170);
    let body = format!(
        r#"{{"model":"gpt-5-mini","stream":{stream},"messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{prompt}"}}]}}"#
    );
    format!(
        "POST /up/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer local\r\nuser-agent: bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn ask(server: SocketAddr, number: usize) {
    let tasks = (0..CONNECTIONS).map(|_| {
        tokio::spawn(async move {
            let (read, mut write) = TcpStream::connect(server).await.unwrap().into_split();
            let mut read = BufReader::new(read);
            let request = request(false);
            for _ in 0..number / CONNECTIONS {
                write.write_all(request.as_bytes()).await.unwrap();
                message(&mut read).await.unwrap();
            }
        })
    });
    futures_util::future::join_all(tasks).await;
}

async fn listen(server: SocketAddr) {
    let tasks = (0..STREAMS).map(|_| {
        tokio::spawn(async move {
            let (read, mut write) = TcpStream::connect(server).await.unwrap().into_split();
            write.write_all(request(true).as_bytes()).await.unwrap();
            message(&mut BufReader::new(read)).await.unwrap();
        })
    });
    futures_util::future::join_all(tasks).await;
}
