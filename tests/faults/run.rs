//! Asks every row of the table, of every client, and looks at what is left behind.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    clients::{CHAT, CLIENTS, Client, PROVIDERS},
    document,
    payload::{SAYS, Said},
    support::{Ask, End, ProfileText, Reply, Server, Upstream, holds, payloads},
    table::{Limit, Place, Row, Told, WELL, rows},
    tls::{self, Authority},
    upstream::{Board, listen, listen_and_count, listen_in_silence, model},
};

/// Cases that are asked at once.
const AT_ONCE: usize = 32;

/// How long an answer may take beyond the limit that it is about, on a machine that has much else to do.
pub(crate) const LONG: Duration = Duration::from_secs(100);

/// A limit, in milliseconds, that has no part in what happens: an answer that waited for it would be too late.
const NO_LIMIT: u64 = 300_000;

/// A label that is too long for any resolver to be asked for it.
fn nameless() -> String {
    format!("{}.invalid", "n".repeat(64))
}

/// A row with its upstream.
struct Asking {
    row: Row,
    profile: String,
    /// `HOST:PORT` as errors name it.
    at: String,
}

/// All that is needed to ask.
struct Ground {
    server: Server,
    board: Arc<Board>,
    elsewhere: SocketAddr,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_told_in_every_format_and_leaves_the_server_healthy() {
    document::check(&rows());
    let (elsewhere, led_astray) = listen_and_count().await;
    let scripts = rows().into_iter().map(|row| (row.name, row.script));
    let board = Board::new(scripts.chain([WELL]), elsewhere);
    let authority = Authority::new();
    let plain = listen(&board, None).await;
    let http1 = listen(&board, Some(authority.right(&["http/1.1"]))).await;
    let (full, _queue) = full().await;
    let silent = listen_in_silence().await;
    let nobody = Upstream::nobody().await;
    let expired = listen(&board, Some(authority.expired())).await;
    let wrong_name = listen(&board, Some(authority.wrong_name())).await;
    let self_signed = listen(&board, Some(tls::self_signed())).await;
    let mut setup = Server::setup();
    let trusted = setup.folder().join("trusted.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    setup = setup.variable("SSL_CERT_FILE", trusted.to_str().unwrap());
    let mut all = Vec::new();
    for row in rows() {
        let local = |scheme: &str, address: SocketAddr| {
            (scheme.to_owned(), format!("localhost:{}", address.port()))
        };
        let (scheme, at) = match row.place {
            Place::Plain => ("http".to_owned(), plain.to_string()),
            Place::Tls => local("https", http1),
            Place::Http2 => local(
                "https",
                listen(&board, Some(authority.right(&["h2"]))).await,
            ),
            Place::Nobody => ("http".to_owned(), nobody.to_string()),
            Place::Nameless => ("http".to_owned(), format!("{}:80", nameless())),
            // What is sent to all is refused by the kernel, without a packet.
            Place::Unreachable => ("http".to_owned(), "255.255.255.255:80".to_owned()),
            Place::Full => ("http".to_owned(), full.to_string()),
            Place::SilentTls => local("https", silent),
            Place::Expired => local("https", expired),
            Place::WrongName => local("https", wrong_name),
            Place::SelfSigned => local("https", self_signed),
            Place::PlainForTls => local("https", plain),
            Place::TlsForPlain => local("http", http1),
        };
        let profile = match (row.place, row.limit) {
            (Place::Http2, _) => row.name.to_owned(),
            (place, limit) => profile_name(place, limit),
        };
        for (provider, option, path) in PROVIDERS {
            let mut text = ProfileText::at(&format!("{scheme}://{at}{path}"))
                .line("ai-proxy.model", format!("provider = \"{provider}\""))
                .key("Authorization", "Bearer sk-of-the-profile");
            if let Some(option) = option {
                text = text.line("ai-proxy.model.options", *option);
            }
            for (key, ms) in limits(row.limit) {
                text = text.line("aiproxy", format!("{key} = {ms}"));
            }
            let name = format!("{profile}-{provider}");
            if !setup.folder().join(format!("{name}.toml")).exists() {
                setup = setup.profile(&name, &text);
            }
        }
        all.push(Asking { row, profile, at });
    }
    let ground = Ground {
        server: setup.start(),
        board,
        elsewhere,
    };
    well(&ground, &profile_name(Place::Plain, Limit::None), "well")
        .await
        .unwrap();
    let before = descriptors(&ground.server);

    // `FAULT=NAME` asks one row.
    let only = std::env::var("FAULT").ok();
    let mut groups = Vec::new();
    for asking in &all {
        if only.as_ref().is_some_and(|only| only != asking.row.name) {
            continue;
        }
        let both = |client: &Client| [(*client, false), (*client, true)];
        let cases = CLIENTS
            .iter()
            .flat_map(both)
            .filter_map(|(client, stream)| {
                let told = asking.row.told(client, stream)?;
                Some((asking, client, stream, told))
            });
        // Exchanges of HTTP/2 share their connection: one after the other.
        if asking.row.place == Place::Http2 {
            groups.push(cases.collect());
        } else {
            groups.extend(cases.map(|case| vec![case]));
        }
    }
    let asked = stream::iter(groups.into_iter().map(|group| ask_all(&ground, group)));
    let wrong: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
    let wrong = wrong.concat();
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n\n{}\n",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert_eq!(*led_astray.lock().unwrap(), 0, "a redirect was followed");
    ground.board.stop();
    nothing_is_left(&ground.server, before).await;
}

/// Asks these, one after the other; gives what is wrong.
async fn ask_all(ground: &Ground, cases: Vec<(&Asking, Client, bool, &Told)>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (asking, client, stream, told) in cases {
        let asked = timeout(3 * LONG, case(ground, asking, client, stream, told));
        let why = match AssertUnwindSafe(asked).catch_unwind().await {
            Ok(Ok(Ok(()))) => continue,
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) => "no end to it".to_owned(),
            Err(panic) => format!("{:?}", panic.downcast_ref::<String>()),
        };
        let how = if stream { "stream" } else { "whole" };
        let name = format!("{} · {} · {how}", asking.row.name, client.name);
        wrong.push(format!("{name}: {why}"));
    }
    wrong
}

fn profile_name(place: Place, limit: Limit) -> String {
    let limit = match limit {
        Limit::None => "none".to_owned(),
        Limit::Of(key, ms) => format!("{}-{ms}", key.replace('_', "-")),
    };
    format!("{place:?}-{limit}").to_ascii_lowercase()
}

/// The three limits of a row's profile.
fn limits(limit: Limit) -> [(&'static str, u64); 3] {
    ["connect_timeout", "first_byte_timeout", "idle_timeout"].map(|key| match limit {
        Limit::Of(of, ms) if of == key => (key, ms),
        _ => (key, NO_LIMIT),
    })
}

/// A listener whose queue is full, and what fills it.
async fn full() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        let connecting = TcpStream::connect(address);
        match timeout(Duration::from_millis(100), connecting).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    (address, (listener, queue))
}

/// One client's request, and all that has to be true of it.
async fn case(
    ground: &Ground,
    asking: &Asking,
    client: Client,
    stream: bool,
    told: &Told,
) -> Result<(), String> {
    let Asking { row, profile, at } = asking;
    let Ground { server, board, .. } = ground;
    let name = model(row.name, &client, stream);
    let path = format!("/{profile}-{}{}", client.provider, client.path());
    let began = Instant::now();
    let ask = Ask::post(&path, client.body(&name, stream))
        .header("authorization", "Bearer own")
        .patient(LONG);
    let mut reply = ask.reply(server).await;
    let told = filled(ground, client, at, told);
    let id = reply.headers.get("x-aiproxy-exchange").unwrap().to_owned();
    let got = if told == Told::Endless {
        while !holds(&reply.body, SAYS[0]) && reply.piece().await.is_some() {}
        board.meet(&name);
        let goes_on = reply.status == 200
            && reply.end.is_none()
            && board.until(&name, |tally| tally.open == 1).await;
        if !goes_on {
            return Err(format!(
                "{} {:?} with {}",
                reply.status,
                reply.end,
                reply.text()
            ));
        }
        drop(reply);
        Told::Endless
    } else {
        while reply.piece().await.is_some() {
            board.meet(&name);
        }
        for (header, value) in row.headers {
            if reply.headers.get(header) != Some(value) {
                return Err(format!("no `{header}: {value}`"));
            }
        }
        read(&reply, client, stream)?
    };
    let took = began.elapsed();
    if got != told {
        return Err(format!("told {got:?}\n  instead of {told:?}"));
    }
    // In time: not before a limit, and not so late that another one could have had a part in it.
    let ms = match row.limit {
        Limit::Of(_, ms) if told != Told::Right => ms,
        _ => 0,
    };
    if took + Duration::from_millis(100) < Duration::from_millis(ms) {
        return Err(format!("after {took:?} already"));
    }
    if took > Duration::from_millis(ms) + LONG {
        return Err(format!("after {took:?} only"));
    }
    recorded(server, &id, &told).await?;
    // The upstream is let go of, and saw what it should.
    let released = board.until(&name, |tally| tally.seen == row.seen && tally.open == 0);
    if !released.await {
        return Err(format!(
            "the upstream has {:?} instead of {} requests and nothing open",
            board.tally(&name),
            row.seen
        ));
    }
    let plain = profile_name(Place::Plain, Limit::None);
    let place = match row.place {
        Place::Http2 => profile,
        _ => &plain,
    };
    well(ground, place, "well").await
}

/// What a client was told.
fn read(reply: &Reply, client: Client, stream: bool) -> Result<Told, String> {
    let json = serde_json::from_slice::<Value>(&reply.body);
    if reply.status != 200 {
        let Ok(json) = json else {
            return Ok(Told::Words {
                status: reply.status,
                body: reply.text().leak(),
            });
        };
        let error = shaped(&json, client)?;
        return Ok(Told::Error {
            status: reply.status,
            kind: error.0.leak(),
            message: error.1,
        });
    }
    if reply.end != Some(End::Clean) {
        return Err(format!("a body that breaks off: {}", reply.text()));
    }
    if !stream {
        let text = json.ok().and_then(|json| client.speaks.text_of(&json));
        if text == Some(SAYS.concat()) {
            return Ok(Told::Right);
        }
        return Err(format!("told {}", reply.text()));
    }
    let (mut text, mut garbage, mut ends) = (String::new(), None, 0);
    let mut failed = None;
    for data in payloads(&reply.body) {
        if failed.is_some() {
            return Err(format!("goes on after an error: {}", reply.text()));
        }
        match client.speaks.read(&data) {
            Said::Nothing => {}
            Said::Text(piece) => text.push_str(&piece),
            Said::Garbage(data) => garbage = Some(data),
            Said::End => ends += 1,
            Said::Error { kind, message } => failed = Some((kind, message)),
        }
    }
    match (failed, garbage) {
        (Some((kind, message)), None) if ends == 0 && text == SAYS[0] => Ok(Told::Breaks {
            kind: kind.leak(),
            message,
        }),
        (None, None) if ends == 1 && text == SAYS.concat() => Ok(Told::Right),
        (None, Some(data)) if ends == 1 && text == SAYS.concat() => Ok(Told::Garbled(data.leak())),
        _ => Err(format!("told {}", reply.text())),
    }
}

/// Type and message of an error that has the form of the client's format.
fn shaped(json: &Value, client: Client) -> Result<(String, String), String> {
    let error = &json["error"];
    let fields: &[&str] = if client.path() == "/v1/messages" {
        if json["type"] != "error" {
            return Err(format!("no error of Anthropic's: {json}"));
        }
        &["type", "message"]
    } else {
        &["type", "message", "code", "param"]
    };
    if let Some(missing) = fields.iter().find(|field| error.get(**field).is_none()) {
        return Err(format!("no `{missing}` in {json}"));
    }
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    Ok((text("type"), text("message")))
}

/// What a client should be told, with names in the place of their placeholders, and types in the client's words.
fn filled(ground: &Ground, client: Client, at: &str, told: &Told) -> Told {
    let fill = |message: &str| {
        message
            .replace("{at}", at)
            .replace("{host}", at.split(':').next().unwrap())
            .replace("{provider}", client.provider)
            .replace("{route}", client.route())
            .replace("{half}", &(client.asks_in().whole().len() / 2).to_string())
            .replace("{elsewhere}", &ground.elsewhere.to_string())
    };
    match told.clone() {
        Told::Error {
            status,
            kind,
            message,
        } => Told::Error {
            status,
            kind: client.kind(kind, status).leak(),
            message: fill(&message),
        },
        Told::Breaks { kind, message } => Told::Breaks {
            kind: client.kind_within(kind).leak(),
            message: fill(&message),
        },
        told => told,
    }
}

/// The record of an exchange says how it ended, where, and why.
async fn recorded(server: &Server, id: &str, told: &Told) -> Result<(), String> {
    let record = exchange(server, id, |record| record["outcome"] != "live").await;
    let outcome = |name: &str| record["outcome"] == name;
    let failed = |message: &str| {
        outcome("failed") && record["failed_at"] == "received" && record["error"] == message
    };
    let right = match told {
        Told::Right | Told::Garbled(_) => outcome("ok"),
        Told::Endless => outcome("cancelled"),
        Told::Error { message, .. } | Told::Breaks { message, .. } => failed(message),
        Told::Words { body, .. } => failed(body),
    };
    let status = match told {
        Told::Error { status, .. } | Told::Words { status, .. } => *status,
        _ => 200,
    };
    if right && record["status"] == status {
        return Ok(());
    }
    let told = ["outcome", "failed_at", "error", "status"].map(|field| record[field].to_string());
    Err(format!("recorded as {}", told.join(", ")))
}

/// The record of an exchange, once it is as wished.
async fn exchange(server: &Server, id: &str, wished: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let path = format!("/_aiproxy/exchanges/{id}");
        let record = Ask::get(&path).patient(LONG).whole(server).await.json();
        if wished(&record) || Instant::now() > deadline {
            return record;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A request that nothing is wrong with.
async fn well(ground: &Ground, profile: &str, fault: &str) -> Result<(), String> {
    let path = format!("/{profile}-{}{}", CHAT.provider, CHAT.path());
    let ask = Ask::post(&path, CHAT.body(&model(fault, &CHAT, false), false));
    let reply = ask.patient(LONG).whole(&ground.server).await;
    match read(&reply, CHAT, false)? {
        Told::Right => Ok(()),
        told => Err(format!("a healthy request is told {told:?}")),
    }
}

/// What the server holds open.
fn descriptors(server: &Server) -> Option<usize> {
    let all = std::fs::read_dir(format!("/proc/{}/fd", server.process.pid())).ok()?;
    Some(all.count())
}

/// MiB that the server has in memory.
fn memory(server: &Server) -> Option<u64> {
    let path = format!("/proc/{}/status", server.process.pid());
    let status = std::fs::read_to_string(path).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}

/// The value of a metric, over all of its series.
async fn metric(server: &Server, name: &str) -> f64 {
    let ask = Ask::get("/_aiproxy/metrics").patient(LONG);
    let text = ask.whole(server).await.text();
    text.lines()
        .filter(|line| line.starts_with(name) && !line.starts_with('#'))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// No exchange is under way, no connection is open, no descriptor is held that was not before, and memory is back but for what is kept
/// of exchanges: 64 MiB of them, and as much again for what was never given back by an allocator.
async fn nothing_is_left(server: &Server, before: Option<usize>) {
    let deadline = Instant::now() + LONG;
    loop {
        let live = metric(server, "aiproxy_requests_in_flight").await;
        let open = metric(server, "aiproxy_upstream_connections{").await
            + metric(server, "aiproxy_upstream_connections ").await;
        let now = descriptors(server);
        let held = before
            .zip(now)
            .map_or(0, |(before, now)| now.saturating_sub(before));
        // Runtimes and the database open a few as they need them.
        let mib = memory(server).unwrap_or_default();
        if live == 0.0 && open == 0.0 && held <= 4 && mib < 200 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{live} exchanges, {open} connections, {held} descriptors and {mib} MiB are left"
        );
        sleep(Duration::from_millis(200)).await;
    }
}
