//! Clients that are slow, rude or gone.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    exchanges,
    support::{
        Ask, Client, DONE, End, H2, ProfileText, Reply, STREAM_HEAD, Server, Upstream, chat,
        completion, delta, json_response, soon, stop,
    },
};

/// A server of the profile `up` with flags.
fn with(upstream: &Upstream, args: &[&str]) -> Server {
    let profile = ProfileText::openai(upstream).line("aiproxy", r#"other_paths = "forward""#);
    let setup = Server::setup().profile("up", &profile);
    setup.args(args.iter().copied()).start()
}

async fn fine() -> Upstream {
    Upstream::answering(json_response(200, completion("fine"))).await
}

/// What a client is told whose URL is longer than hyper takes.
const TOO_LONG: &str = "the request's URL is too long: it may have 65534 bytes";

/// An answer after which the connection closes.
async fn last_reply(client: Client) -> Reply {
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.headers.get("connection"), Some("close"));
    reply
}

/// Sends what is no whole request, as often as it takes, and reads to the end.
async fn told(server: &Server, first: &str, then: &str) -> String {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let (first, then) = (first.to_owned(), then.to_owned());
    let writing = tokio::spawn(async move {
        let mut next = first.into_bytes();
        while to.write_all(&next).await.is_ok() {
            next = then.clone().into_bytes();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut all = Vec::new();
    let _ = soon("the end", from.read_to_end(&mut all)).await;
    writing.abort();
    String::from_utf8(all).unwrap()
}

const NO_HEAD: &str = "the request's head was not complete within 1 s (--header-timeout)";

#[tokio::test]
async fn a_head_that_does_not_come_is_a_408_that_names_its_flag() {
    let upstream = fine().await;
    let server = with(&upstream, &["--header-timeout", "1"]);
    for start in ["P", "POST /up HTTP/1.1\r\nhost: localh", "PRI * HTTP"] {
        let mut client = Client::connect(&server).await;
        client.write(start).await;
        last_reply(client).await.fails_with(408, NO_HEAD);
    }
    // A byte now and then is no progress.
    let text = told(&server, "GET / HTTP/1.1\r\nx: ", "x").await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    server.is_healthy().await;
}

#[tokio::test]
async fn time_without_a_request_is_no_time_for_a_head() {
    let upstream = fine().await;
    let server = with(&upstream, &["--header-timeout", "1"]);
    let client = Ask::chat(chat("")).send(&server).await;
    let mut client = client.reply().await.clean().await.client();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    client.write(Ask::get("/_aiproxy/health").bytes()).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 200);
    // The next one has its second, too.
    let mut client = reply.client();
    client.write("GET /_aiproxy").await;
    last_reply(client).await.fails_with(408, NO_HEAD);
}

#[tokio::test]
async fn a_stream_is_no_time_for_a_head() {
    let mut upstream = Upstream::start().await;
    let flags = ["--header-timeout", "1", "--keep-alive", "1"];
    let server = with(&upstream, &[&flags[..], &["--body-timeout", "1"]].concat());
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("one"))).await;
    let mut reply = client.reply().await;
    reply.until("one").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    call.write(format!("{}{DONE}", stop())).await;
    call.finish().await;
    assert!(reply.clean().await.body.ends_with(DONE.as_bytes()));
}

#[tokio::test]
async fn connections_without_requests_end_in_silence() {
    let upstream = fine().await;
    let server = with(&upstream, &["--keep-alive", "1"]);
    let never = Client::connect(&server).await;
    assert_eq!(never.rest().await, b"");
    let client = Ask::get("/_aiproxy/health").send(&server).await;
    let client = client.reply().await.clean().await.client();
    assert_eq!(client.rest().await, b"");
    server.is_healthy().await;
}

#[tokio::test]
async fn a_body_that_does_not_go_on_is_a_408_that_names_its_flag() {
    let upstream = fine().await;
    let server = with(&upstream, &["--body-timeout", "1"]);
    let words = "the request's body did not go on within 1 s (--body-timeout)";
    for (path, framing, start) in [
        ("/up/v1/chat/completions", "content-length: 100", "{\"mod"),
        ("/v1/chat/completions", "content-length: 100", "{\"mod"),
        (
            "/up/v1/chat/completions",
            "transfer-encoding: chunked",
            "6\r\n{\"mod",
        ),
        // One that is not read here.
        ("/up/v1/files", "content-length: 100", "{\"mod"),
    ] {
        let mut client = Client::connect(&server).await;
        client
            .write(format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{start}"
            ))
            .await;
        let reply = client.reply().await.clean().await;
        reply.fails_with(408, words);
    }
    // In the format of the path.
    let mut client = Client::connect(&server).await;
    let head = "POST /up/v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    client.write(head).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 408);
    assert_eq!(reply.json()["type"], "error");
    assert_eq!(reply.json()["error"]["message"], words);
    for one in exchanges(&server).await {
        assert_eq!(
            (&one["outcome"], &one["error"]),
            (&"failed".into(), &words.into())
        );
    }
    server.is_healthy().await;
}

#[tokio::test]
async fn a_slow_body_is_whole_in_the_end() {
    let upstream = fine().await;
    let server = with(&upstream, &["--body-timeout", "5"]);
    let ask = Ask::chat(chat("")).bytes();
    let mut client = Client::connect(&server).await;
    // Longer in all than the limit of each pause.
    for piece in ask.chunks(ask.len() / 20) {
        client.write(piece).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(client.reply().await.clean().await.status, 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_and_its_upstream_let_go() {
    let mut upstream = Upstream::start().await;
    let mut server = with(&upstream, &["--send-timeout", "1"]);
    let client = Ask::get("/up/v1/files/f/content").send(&server).await;
    let mut call = upstream.call().await;
    call.write("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 1000000000\r\n\r\n")
        .await;
    let piece = "x".repeat(60_000);
    // Until the buffers on the way are full and somebody hangs up.
    while call.try_write(&piece).await {}
    server.process.until("a warning", |process| {
        process.stderr().contains("(--send-timeout)")
    });
    let all = exchanges(&server).await;
    assert_eq!(all[0]["outcome"], "cancelled");
    drop(client);
    server.is_healthy().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        for _ in 0..200 {
            call.write(delta(&"x".repeat(60_000))).await;
        }
        call.write(format!("{}{DONE}", stop())).await;
        call.finish().await;
    })
    .await;
    let server = with(&upstream, &["--send-timeout", "30"]);
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut reply = client.reply().await;
    for _ in 0..20 {
        reply.piece().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let reply = reply.clean().await;
    assert!(reply.body.len() > 200 * 60_000);
    assert!(reply.body.ends_with(DONE.as_bytes()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_that_leave_leave_nothing_behind() {
    let upstream = Upstream::playing(|mut call| async move {
        // A long stream, for as long as somebody listens.
        let mut open = call.try_write(STREAM_HEAD).await;
        while open {
            open = call.try_write(delta("word ")).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let server = with(&upstream, &[]);
    server.is_healthy().await;
    let pid = server.process.pid();
    let before = crate::files(pid);
    let ask = Ask::chat(chat(r#""stream":true"#)).bytes();
    for number in 0..60 {
        let mut client = Client::connect(&server).await;
        match number % 4 {
            // Inside its own request: its head, its body.
            0 => client.write(&ask[..20]).await,
            1 => client.write(&ask[..ask.len() - 5]).await,
            // At the first byte, or before it.
            2 => client.write(&ask).await,
            _ => {
                client.write(&ask).await;
                let mut reply = client.reply().await;
                reply.until("word").await;
            }
        }
    }
    let all = exchanges(&server).await;
    assert!(all.len() >= 30, "{}", all.len());
    assert!(
        all.iter().all(|one| one["outcome"] != "ok"),
        "nobody read to the end: {all:?}"
    );
    // The health check's own connection may still be there, and what the resolver or the log opened at first.
    crate::until("as many files as before", || {
        crate::files(pid) <= before + 2
    })
    .await;
    let metrics = Ask::get("/_aiproxy/metrics").whole(&server).await.text();
    let in_flight: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("aiproxy_requests_in_flight"))
        .collect();
    assert!(
        !in_flight.is_empty() && in_flight.iter().all(|line| line.ends_with(" 0")),
        "{in_flight:?}"
    );
}

#[tokio::test]
async fn a_hundred_pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::playing(|mut call| async move {
        let json = call.json();
        let user = json["user"].as_str().unwrap();
        if json["stream"] == true {
            let answer = format!("{STREAM_HEAD}{}{}{DONE}", delta(user), stop());
            call.write(answer).await;
        } else {
            call.write(json_response(200, completion(user))).await;
        }
        call.finish().await;
    })
    .await;
    let server = with(&upstream, &[]);
    let stream = |number: usize| number % 3 == 1;
    let asks: Vec<u8> = (0..100)
        .flat_map(|number| {
            let stream = stream(number);
            Ask::chat(chat(&format!(r#""user":"u{number}","stream":{stream}"#))).bytes()
        })
        .collect();
    let mut client = Client::connect(&server).await;
    client.write(asks).await;
    for number in 0..100 {
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 200);
        let kind = reply.headers.get("content-type").unwrap();
        assert_eq!(kind.starts_with("text/event-stream"), stream(number));
        let user = format!("\"u{number}\"");
        assert!(reply.text().contains(&user), "{user}: {}", reply.text());
        client = reply.client();
    }
}

#[tokio::test]
async fn heads_over_the_limits_are_refused_by_name() {
    let upstream = fine().await;
    let server = with(&upstream, &[]);
    let words = "the request's head is too large: it may have 65536 bytes (--max-header-size) and 100 headers (--max-headers)";
    let large = Ask::get("/_aiproxy/health").header("x-large", &"x".repeat(300_000));
    last_reply(large.send(&server).await)
        .await
        .fails_with(431, words);
    let long = Ask::get(&format!("/_aiproxy/health?{}", "x".repeat(70_000)));
    // Its URL alone is too long, too: what came first when it was looked at decides.
    let reply = last_reply(long.send(&server).await).await;
    match reply.status {
        414 => reply.fails_with(414, TOO_LONG),
        _ => reply.fails_with(431, words),
    }
    let many = (0..101).fold(Ask::get("/_aiproxy/health"), |ask, number| {
        ask.header(&format!("x-{number}"), "1")
    });
    last_reply(many.send(&server).await)
        .await
        .fails_with(431, words);
    let fits = (0..90).fold(Ask::get("/_aiproxy/health"), |ask, number| {
        ask.header(&format!("x-{number}"), &"1".repeat(600))
    });
    assert_eq!(fits.whole(&server).await.status, 200);
    // What comes after an answer on the same connection is no answer either.
    let client = Ask::get("/_aiproxy/nothing").send(&server).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 404);
    let mut client = reply.client();
    client.write(large.bytes()).await;
    last_reply(client).await.fails_with(431, words);
    let mut h2 = H2::connect(&server).await;
    let request = |size: usize| {
        let value = "x".repeat(size);
        let headers = [("x-large", value.as_str())];
        H2::request("GET", "localhost", "/_aiproxy/health", &headers, "")
    };
    assert_eq!(h2.status(request(40_000)).await, 200);
    let refused = h2.send(request(80_000)).await;
    assert!(
        refused
            .as_ref()
            .map_or(true, |answer| answer.status() == 431),
        "{refused:?}"
    );
    server.is_healthy().await;
}

#[tokio::test]
async fn the_limits_of_heads_are_flags() {
    let upstream = fine().await;
    let flags = ["--max-headers", "300", "--max-header-size", "200000"];
    let server = with(&upstream, &flags);
    let ask = (0..250).fold(Ask::get("/_aiproxy/health"), |ask, number| {
        ask.header(&format!("x-{number}"), &"1".repeat(600))
    });
    assert_eq!(ask.whole(&server).await.status, 200);
    let long = Ask::get(&format!("/_aiproxy/health?{}", "x".repeat(70_000)));
    last_reply(long.send(&server).await)
        .await
        .fails_with(414, TOO_LONG);
    let world = crate::support::World::new();
    for (flag, value, words) in [
        ("--max-header-size", "100", "it is not within 8192 and"),
        ("--max-headers", "0", "it is not within 16 and"),
        ("--header-timeout", "soon", "invalid digit"),
    ] {
        let ended = world
            .run(["serve", "--profile", "mock", flag, value])
            .exits(2);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn what_is_no_request_is_a_400_in_json() {
    let upstream = fine().await;
    let server = with(&upstream, &[]);
    let host = "host: localhost\r\n";
    for bytes in [
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /_aiproxy/health HTTP/1.1\r\n{host}x y: 1\r\n\r\n"),
        format!("GET /_aiproxy/health HTTP/1.1\r\n{host}x: a\u{0}b\r\n\r\n"),
        format!("POST /up HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        format!("POST /up HTTP/1.1\r\n{host}content-length: -1\r\n\r\n"),
        format!("POST /up HTTP/1.1\r\n{host}transfer-encoding: gzip\r\n\r\n"),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(&bytes).await;
        let reply = last_reply(client).await;
        reply.fails_with(400, "this is no HTTP request");
    }
    server.is_healthy().await;
}

#[tokio::test]
async fn bodies_without_a_length() {
    let upstream = fine().await;
    let server = with(&upstream, &[]);
    // None at all: there is none.
    let reply = Ask::chat("").no_length().whole(&server).await;
    reply.fails_with(
        400,
        "content-type header does not match request body, or bad JSON formatting",
    );
    // In chunks, to the end of which the server reads.
    let body = chat("");
    let (one, two) = body.split_at(10);
    let chunks = format!(
        "{:x};ext=1\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\ntrailer: 1\r\n\r\n",
        one.len(),
        two.len()
    );
    let ask = Ask::chat(chunks).no_length();
    let ask = ask.header("transfer-encoding", "chunked");
    let mut client = ask.send(&server).await;
    // A length of no number ends it.
    for (chunk, words) in [("zz\r\n", "the request's body broke off")] {
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        client = Ask::chat(chunk)
            .no_length()
            .header("transfer-encoding", "chunked")
            .send(&server)
            .await;
        client.reply().await.whole().await.fails_with(400, words);
        client = Client::connect(&server).await;
    }
    // HTTP/1.0 has no chunks: a body without a length is none.
    client
        .write("POST /up HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n\r\n")
        .await;
    let reply = client.reply().await.whole().await;
    assert_eq!((reply.status, reply.end), (400, Some(End::Clean)));
    server.is_healthy().await;
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let upstream = fine().await;
    let server = with(&upstream, &[]);
    let inner = Ask::get("/_aiproxy/exchanges").bytes();
    let body = [b"0\r\n\r\n", &*inner].concat();
    let mut client = Client::connect(&server).await;
    client
        .write(format!(
            "POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    client.write(body).await;
    // Chunks win, and the connection ends there, or it is refused as a whole (RFC 9112 §6.1); what follows is never an answer of its own.
    let text = String::from_utf8(client.rest().await).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(!text.contains("\"exchanges\""), "{text}");
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_it_is_wanted() {
    let upstream = fine().await;
    let server = with(&upstream, &[]);
    let head = |length: usize, path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let body = chat("");
    let mut client = Client::connect(&server).await;
    client.write(head(body.len(), "/up")).await;
    client.is_told_to_continue().await;
    client.write(&body).await;
    assert_eq!(client.reply().await.clean().await.status, 200);
    // Too large, or for nobody: the answer is the first thing that comes.
    for (length, path, status) in [
        (1 << 30, "/up", 413),
        (9, "/nobody/v1/chat/completions", 404),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(head(length, path)).await;
        let text = String::from_utf8(client.rest().await).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}
