//! HTTP/1.1: what is on the wire, pooling, resending, cancelling, limits.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;
use crate::transport::{Body, Dial, Transport, TransportError, full};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How the connection that a request goes over is driven.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// By the exchange itself: the request's body is in memory.
    Own,
    /// So, and a stream is asked for: a chunked answer is read without hyper.
    Stream,
    /// By a task.
    Pooled,
}

fn dial(way: Way) -> Dial {
    Dial {
        whole: way != Way::Pooled,
        stream: way == Way::Stream,
        ..Dial::default()
    }
}

/// Each of these with all kinds of connections.
macro_rules! all {
    ($($name:ident),* $(,)?) => {
        mod own {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Way::Own).await;
            })*
        }

        mod stream {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Way::Stream).await;
            })*
        }

        mod pooled {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Way::Pooled).await;
            })*
        }
    };
}

all!(
    the_wire_holds_what_was_given_a_host_and_a_length,
    big_and_binary_bodies_arrive_as_they_are,
    a_body_of_unknown_length_is_sent_as_it_comes,
    trailers_are_kept,
    redirects_pass_and_early_hints_do_not,
    connections_are_used_again_and_by_equal_dials_alone,
    a_request_that_met_a_closed_idle_connection_is_sent_again,
    a_request_that_was_read_is_never_sent_again,
    a_cut_body_is_an_error_that_names_the_upstream,
    dropping_the_request_or_the_body_closes_the_connection_at_once,
    limits_are_told_apart,
    the_first_byte_is_waited_for_from_the_last_byte_sent,
    a_body_that_fails_is_not_the_upstreams_fault,
    what_is_not_there_is_named,
    what_is_no_http_is_named,
    an_answer_that_comes_before_the_body_is_sent_is_taken,
);

/// Answers every request with `answer` and keeps what it read.
async fn recorder(answer: &'static [u8]) -> (std::net::SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let address = raw(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move {
            loop {
                let request = read_request(&mut stream).await;
                if request.is_empty() {
                    return;
                }
                keep.lock().unwrap().push(request);
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    (address, seen)
}

async fn the_wire_holds_what_was_given_a_host_and_a_length(way: Way) {
    let (address, seen) = recorder(OK).await;
    let request = Request::post(format!("http://user:secret@{address}/a/b?q=1%202"))
        .version(http::Version::HTTP_2)
        .header("x-one", "1")
        .header("x-one", "2")
        .header("host", "elsewhere.example")
        .header("content-length", "999")
        .body(full(vec![0, 159, 146, 150]))
        .unwrap();
    let (head, body) = fetch_by(&client(), request, &dial(way)).await.unwrap();
    assert_eq!((head.status, &body[..]), (StatusCode::OK, &b"ok"[..]));

    let mut sent = seen.lock().unwrap()[0].clone();
    assert_eq!(sent.split_off(sent.len() - 4), [0, 159, 146, 150]);
    let sent = String::from_utf8(sent).unwrap();
    let mut lines: Vec<_> = sent.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "POST /a/b?q=1%202 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {address}");
    assert_eq!(lines, ["content-length: 4", &host, "x-one: 1", "x-one: 2"]);

    fetch_by(&client(), get(&format!("http://{address}")), &dial(way))
        .await
        .unwrap();
    let sent = String::from_utf8(seen.lock().unwrap()[1].clone()).unwrap();
    assert_eq!(sent, format!("GET / HTTP/1.1\r\n{host}\r\n\r\n"));
}

async fn big_and_binary_bodies_arrive_as_they_are(way: Way) {
    let server = Server::http1(|request: Request<hyper::body::Incoming>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut response = Response::new(full(body));
        *response.headers_mut() = head.headers;
        response
    })
    .await;
    let big: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    for dial in [
        dial(way),
        Dial {
            stream: true,
            ..dial(way)
        },
    ] {
        let mut request = post(&server.url("/"), big.clone());
        request.headers_mut().append("x-many", "a".parse().unwrap());
        request.headers_mut().append("x-many", "b".parse().unwrap());
        let (head, body) = fetch_by(&client(), request, &dial).await.unwrap();
        assert_eq!(head.headers.get_all("x-many").iter().count(), 2);
        assert!(body == big, "{} bytes came back", body.len());
    }
}

async fn a_body_of_unknown_length_is_sent_as_it_comes(way: Way) {
    let server = Server::http1(|request: Request<hyper::body::Incoming>| async move {
        assert_eq!(request.headers()["transfer-encoding"], "chunked");
        Response::new(request.into_body().map_err(Into::into).boxed_unsync())
    })
    .await;
    let (mut sender, body) = Channel::<Bytes, crate::transport::BoxError>::new(1);
    let request = Request::post(server.url("/"))
        .body(body.boxed_unsync())
        .unwrap();
    let client = client();
    let dial = dial(way);
    // The answer to the first part is there before the second part is sent.
    let mut answer = soon(client.send(request, &dial)).await.unwrap().into_body();
    for part in ["one", "two"] {
        sender.send_data(Bytes::from(part)).await.unwrap();
        let frame = soon(answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(sender);
    assert!(soon(answer.frame()).await.is_none());
}

async fn trailers_are_kept(way: Way) {
    let answer =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let (address, _) = recorder(answer).await;
    let client = client();
    let dial = dial(way);
    let response = client.send(get(&format!("http://{address}/")), &dial);
    let body = soon(soon(response).await.unwrap().into_body().collect())
        .await
        .unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "7");
}

async fn redirects_pass_and_early_hints_do_not(way: Way) {
    let answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
        HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
    let (address, seen) = recorder(answer).await;
    let (head, _) = fetch_by(&client(), get(&format!("http://{address}/")), &dial(way))
        .await
        .unwrap();
    assert_eq!(head.status, StatusCode::FOUND);
    assert_eq!(head.headers["location"], "http://elsewhere.example/");
    assert!(!head.headers.contains_key("link"));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

async fn connections_are_used_again_and_by_equal_dials_alone(way: Way) {
    let server = Server::http1(|_| async { Response::new(full("hi")) }).await;
    let client = client();
    for _ in 0..5 {
        fetch_by(&client, get(&server.url("/")), &dial(way))
            .await
            .unwrap();
    }
    assert_eq!(server.seen(), 1);
    let other = Dial {
        stream: way != Way::Stream,
        ..dial(way)
    };
    fetch_by(&client, get(&server.url("/")), &other)
        .await
        .unwrap();
    assert_eq!(server.seen(), 2);
    assert_eq!(client.stats().live, 0);
}

async fn a_request_that_met_a_closed_idle_connection_is_sent_again(way: Way) {
    let seen = Arc::new(AtomicUsize::new(0));
    let closed = Arc::new(AtomicUsize::new(0));
    let (count, close) = (Arc::clone(&seen), Arc::clone(&closed));
    let address = raw(move |mut stream, _| {
        let (count, close) = (Arc::clone(&count), Arc::clone(&close));
        async move {
            // One answer that promises to stay open, and the end.
            read_request(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(OK).await.unwrap();
            drop(stream);
            close.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let client = client();
    for round in 1..=20 {
        let request = post(&format!("http://{address}/"), "body");
        let (_, body) = fetch_by(&client, request, &dial(way)).await.unwrap();
        assert_eq!(body, "ok");
        assert_eq!(seen.load(Ordering::SeqCst), round);
        until(|| closed.load(Ordering::SeqCst) == round).await;
    }
}

async fn a_request_that_was_read_is_never_sent_again(way: Way) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let address = raw(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut stream).await;
            // The first request of each connection is answered: the second one goes over a pooled connection.
            stream.write_all(OK).await.unwrap();
            if !read_request(&mut stream).await.is_empty() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let client = client();
    let url = format!("http://{address}/");
    fetch_by(&client, post(&url, "first"), &dial(way))
        .await
        .unwrap();
    let error = failure(&client, post(&url, "second"), &dial(way)).await;
    let text = format!("{address} closed the connection before the response began");
    assert_eq!(error, TransportError::Broken(text));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

async fn a_cut_body_is_an_error_that_names_the_upstream(way: Way) {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let address = raw(move |mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let client = client();
    let dial = dial(way);
    let response = soon(client.send(get(&format!("http://{address}/")), &dial)).await;
    let error = soon(response.unwrap().into_body().collect())
        .await
        .unwrap_err();
    let text = format!("{address} closed the connection before the response was whole");
    assert_eq!(error.to_string(), text);
    assert!(error.is::<TransportError>());
    assert_eq!(client.stats().live, 0);
}

async fn dropping_the_request_or_the_body_closes_the_connection_at_once(way: Way) {
    let closed = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let (close, begin) = (Arc::clone(&closed), Arc::clone(&begun));
    let address = raw(move |mut stream, number| {
        let (close, begin) = (Arc::clone(&close), Arc::clone(&begin));
        async move {
            read_request(&mut stream).await;
            if number > 0 {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n";
                stream.write_all(head).await.unwrap();
            }
            begin.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 1]).await;
            close.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let client = client();
    let dial = Dial {
        stream: true,
        ..dial(way)
    };
    let url = format!("http://{address}/");

    let sending = tokio::spawn({
        let (client, dial, request) = (Arc::clone(&client), dial.clone(), get(&url));
        async move { client.send(request, &dial).await.map(|_| ()) }
    });
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    let since = Instant::now();
    sending.abort();
    until(|| closed.load(Ordering::SeqCst) == 1).await;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());

    let mut body = soon(client.send(get(&url), &dial))
        .await
        .unwrap()
        .into_body();
    soon(body.frame()).await.unwrap().unwrap();
    assert_eq!(client.stats().live, 1);
    let since = Instant::now();
    drop(body);
    until(|| closed.load(Ordering::SeqCst) == 2).await;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_eq!(client.stats().live, 0);
}

async fn limits_are_told_apart(way: Way) {
    let silent = raw(|mut stream, _| async move {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    })
    .await;
    let client = client();
    let dial = Dial {
        connect_timeout: Duration::from_millis(150),
        first_byte_timeout: Duration::from_millis(100),
        ..dial(way)
    };
    let error = failure(&client, get(&format!("http://{silent}/")), &dial).await;
    assert_eq!(
        error,
        TransportError::FirstByteTimeout(dial.first_byte_timeout)
    );
    assert_eq!(error.to_string(), "upstream did not answer within 100 ms");

    // The TLS handshake is part of connecting, with one protocol on offer or two.
    for http2 in [true, false] {
        let dial = Dial {
            http2,
            ..dial.clone()
        };
        let error = failure(&client, get(&format!("https://{silent}/")), &dial).await;
        assert_eq!(error, TransportError::ConnectTimeout(dial.connect_timeout));
        assert_eq!(error.to_string(), "upstream did not connect within 150 ms");
    }
}

async fn the_first_byte_is_waited_for_from_the_last_byte_sent(way: Way) {
    let server = Server::http1(|request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    let (mut sender, body) = Channel::<Bytes, crate::transport::BoxError>::new(1);
    tokio::spawn(async move {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.send_data(Bytes::from_static(b".")).await.unwrap();
        }
    });
    let dial = Dial {
        first_byte_timeout: Duration::from_millis(500),
        ..dial(way)
    };
    let request = Request::post(server.url("/"))
        .body(body.boxed_unsync())
        .unwrap();
    let (_, body) = fetch_by(&client(), request, &dial).await.unwrap();
    assert_eq!(body, "........");
}

async fn a_body_that_fails_is_not_the_upstreams_fault(way: Way) {
    let (address, _) = recorder(OK).await;
    let frames: Vec<Result<Frame<Bytes>, crate::transport::BoxError>> = vec![
        Ok(Frame::data(Bytes::from_static(b"half"))),
        Err("the client left".into()),
    ];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let error = failure(&client(), request, &dial(way)).await;
    assert_eq!(
        error.to_string(),
        "the request's body ended before it was whole"
    );
}

async fn what_is_not_there_is_named(way: Way) {
    let (listener, closed) = bind().await;
    drop(listener);
    let client = client();
    let dial = dial(way);
    let long = "a".repeat(64);
    let table = [
        (
            format!("http://{closed}/?key=secret"),
            format!("{closed} refused the connection"),
        ),
        (
            format!("https://{closed}/?key=secret"),
            format!("{closed} refused the connection"),
        ),
        (
            format!("http://localhost:{}/", closed.port()),
            format!("localhost:{} refused the connection", closed.port()),
        ),
        (
            // No resolver is asked for a label of 64 characters.
            format!("http://{long}.example/?key=secret"),
            format!("could not resolve host {long}.example"),
        ),
        (
            "ftp://a.example/".to_owned(),
            "the upstream's URL is neither http:// nor https://".to_owned(),
        ),
        (
            "/only/a/path".to_owned(),
            "the upstream's URL is neither http:// nor https://".to_owned(),
        ),
    ];
    for (url, expected) in table {
        let error = failure(&client, get(&url), &dial).await;
        assert_eq!(error, TransportError::Connect(expected));
    }
}

async fn what_is_no_http_is_named(way: Way) {
    let garbage = raw(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"220 mail.example ESMTP\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let silent = raw(|mut stream, _| async move {
        read_request(&mut stream).await;
    })
    .await;
    let table = [
        (
            garbage,
            format!("{garbage} did not answer in HTTP: is this an https:// endpoint?"),
        ),
        (
            silent,
            format!("{silent} closed the connection before the response began"),
        ),
    ];
    for (address, expected) in table {
        let error = failure(&client(), get(&format!("http://{address}/")), &dial(way)).await;
        assert_eq!(error, TransportError::Broken(expected));
    }
}

async fn an_answer_that_comes_before_the_body_is_sent_is_taken(way: Way) {
    let address = raw(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let (sent, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let body: Body = endless(1000, Duration::from_millis(5), &sent, &dropped);
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let (head, _) = fetch_by(&client(), request, &dial(way)).await.unwrap();
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    until(|| dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn idle_connections_that_the_upstream_closed_are_let_go() {
    let address = raw(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    })
    .await;
    let client = client();
    fetch_by(&client, get(&format!("http://{address}/")), &dial(Way::Own))
        .await
        .unwrap();
    let (open, made) = client.connections();
    assert_eq!(made.load(Ordering::Relaxed), 1);
    soon(async {
        while open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
