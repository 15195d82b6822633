//! HTTP/2: lanes, windows, cancelling, lost connections.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::support::*;
use crate::{
    net::{Client, OriginStats},
    transport::{Body, Dial, Transport, TransportError, full},
};

const BOTH: &[&str] = &["h2", "http/1.1"];

fn streaming() -> Dial {
    Dial {
        stream: true,
        ..Dial::default()
    }
}

fn of(client: &Client, server: &Server) -> OriginStats {
    let name = server.secure_url("");
    client
        .stats()
        .origins
        .get(&name)
        .copied()
        .unwrap_or_default()
}

/// Opens `count` streams at once against a server that takes `limit` on a connection; none ends before all have begun.
async fn crowd(
    count: usize,
    limit: u32,
    alpn: &[&str],
    request: fn(&str) -> Request<Body>,
) -> (Duration, usize) {
    let authority = Authority::new();
    let (sent, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (s, d) = (Arc::clone(&sent), Arc::clone(&dropped));
    let server = Server::tls(authority.server(alpn), limit, move |_| {
        let body = endless(10, Duration::from_secs(60), &s, &d);
        async move { Response::new(body) }
    })
    .await;
    let client = authority.client();
    let dial = streaming();
    let url = server.secure_url("/");
    let since = Instant::now();
    let begun = join_all((0..count).map(|_| {
        let (client, dial, request) = (&client, &dial, request(&url));
        async move {
            let mut body = client.send(request, dial).await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
            body
        }
    }));
    let bodies = soon(begun).await;
    let took = since.elapsed();
    assert_eq!(client.stats().live, count);
    let lanes = of(&client, &server).lanes;
    drop(bodies);
    assert_eq!(client.stats().live, 0);
    until(|| dropped.load(Ordering::SeqCst) == count).await;
    assert!(lanes <= server.seen());
    (took, server.seen())
}

#[tokio::test]
async fn three_hundred_slow_streams_all_begin() {
    for (limit, most) in [(100, 6), (10, 40), (1_000, 6)] {
        let (took, connections) = crowd(300, limit, BOTH, |url| post(url, "{}")).await;
        println!("peer takes {limit}: {took:?} over {connections} connections");
        assert!(connections <= most, "{connections} connections");
        assert!(connections >= 300 / (limit.min(64) as usize));
    }
}

#[tokio::test]
async fn a_peer_that_takes_one_stream_gets_a_connection_for_each() {
    let (took, connections) = crowd(10, 1, BOTH, |url| post(url, "{}")).await;
    println!("{took:?}");
    assert!(connections >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_without_a_body_begin_too() {
    let (took, connections) = crowd(100, 10, BOTH, get).await;
    println!("{took:?} over {connections} connections");
}

#[tokio::test]
async fn an_upstream_without_http2_gets_a_connection_an_exchange() {
    let (took, connections) = crowd(50, 10, &["http/1.1"], |url| post(url, "{}")).await;
    println!("{took:?}");
    assert_eq!(connections, 50);
    // No ALPN at all is HTTP/1.1 too.
    assert_eq!(crowd(3, 10, &[], get).await.1, 3);
}

#[tokio::test]
async fn the_protocol_is_the_dials_choice() {
    let authority = Authority::new();
    let server = Server::tls(
        authority.server(BOTH),
        100,
        |request: Request<Incoming>| async move {
            Response::new(full(format!("{:?}", request.version())))
        },
    )
    .await;
    let client = authority.client();
    for (http2, expected) in [(true, Version::HTTP_2), (false, Version::HTTP_11)] {
        let dial = Dial {
            http2,
            ..Dial::default()
        };
        for _ in 0..3 {
            let (_, body) = fetch_by(&client, get(&server.secure_url("/")), &dial)
                .await
                .unwrap();
            assert_eq!(body, format!("{expected:?}"));
        }
    }
    assert_eq!(server.seen(), 2);
}

#[tokio::test]
async fn requests_and_trailers_arrive_as_they_are() {
    let authority = Authority::new();
    let server = Server::tls(
        authority.server(BOTH),
        100,
        |request: Request<Incoming>| async move {
            let mut seen: HashMap<String, String> = HashMap::new();
            for (name, value) in request.headers() {
                let value = value.to_str().unwrap();
                let all = seen.entry(name.to_string()).or_default();
                *all = format!("{all}{value};");
            }
            let authority = request.uri().authority().unwrap().to_string();
            let mut seen: Vec<_> = seen.into_iter().collect();
            seen.sort_unstable();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            let frames = [
                Ok::<_, crate::transport::BoxError>(Frame::data(
                    format!("{authority} {seen:?}").into(),
                )),
                Ok(Frame::data(body)),
                Ok(Frame::trailers(trailers)),
            ];
            Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
        },
    )
    .await;
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 11 % 251) as u8).collect();
    let port = server.address.port();
    let request = Request::post(format!("https://user:secret@localhost:{port}/"))
        .header("x-one", "1")
        .header("x-one", "2")
        .header("host", "elsewhere.example")
        .body(full(big.clone()))
        .unwrap();
    let client = authority.client();
    let dial = Dial::default();
    let response = soon(client.send(request, &dial)).await.unwrap();
    let collected = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    let all = collected.to_bytes();
    let expected =
        format!(r#"localhost:{port} [("content-length", "3000000;"), ("x-one", "1;2;")]"#);
    let (head, body) = all.split_at(expected.len());
    assert_eq!(String::from_utf8_lossy(head), expected);
    assert!(body == big);
}

#[tokio::test]
async fn dropping_the_request_or_the_body_resets_the_stream_at_once() {
    let authority = Authority::new();
    let (begun, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (sent, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begin, leave, s, c) = (
        Arc::clone(&begun),
        Arc::clone(&left),
        Arc::clone(&sent),
        Arc::clone(&cut),
    );
    let server = Server::tls(
        authority.server(BOTH),
        100,
        move |request: Request<Incoming>| {
            let silent = request.uri().path() == "/silent";
            let guard = Dropped(Arc::clone(&leave));
            let body = endless(10, Duration::from_secs(60), &s, &c);
            begin.fetch_add(1, Ordering::SeqCst);
            async move {
                if silent {
                    std::future::pending::<()>().await;
                }
                std::mem::forget(guard);
                Response::new(body)
            }
        },
    )
    .await;
    let client = authority.client();
    let dial = streaming();

    let sending = tokio::spawn({
        let (client, dial) = (Arc::clone(&client), dial.clone());
        let request = post(&server.secure_url("/silent"), "{}");
        async move { client.send(request, &dial).await.map(|_| ()) }
    });
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    let since = Instant::now();
    sending.abort();
    until(|| left.load(Ordering::SeqCst) == 1).await;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    let cut_before = cut.load(Ordering::SeqCst);

    let request = post(&server.secure_url("/stream"), "{}");
    let mut body = soon(client.send(request, &dial)).await.unwrap().into_body();
    soon(body.frame()).await.unwrap().unwrap();
    let since = Instant::now();
    drop(body);
    until(|| cut.load(Ordering::SeqCst) == cut_before + 1).await;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());

    // Uploading, with the answer not begun.
    let (up, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let upload = endless(10, Duration::from_millis(1), &up, &dropped);
    let sending = tokio::spawn({
        let (client, dial) = (Arc::clone(&client), dial.clone());
        let request = Request::post(server.secure_url("/silent"))
            .body(upload)
            .unwrap();
        async move { client.send(request, &dial).await.map(|_| ()) }
    });
    until(|| begun.load(Ordering::SeqCst) == 3).await;
    sending.abort();
    until(|| left.load(Ordering::SeqCst) == 2 && dropped.load(Ordering::SeqCst) == 1).await;

    // Uploading, with an answer that came early and is not wanted any more.
    let upload = endless(10, Duration::from_millis(1), &up, &dropped);
    let request = Request::post(server.secure_url("/stream"))
        .body(upload)
        .unwrap();
    drop(soon(client.send(request, &dial)).await.unwrap());
    until(|| dropped.load(Ordering::SeqCst) == 2).await;

    // All of it on one connection, which is as good as new.
    assert_eq!(server.seen(), 1);
    assert_eq!(of(&client, &server), OriginStats { live: 0, lanes: 1 });
}

#[tokio::test]
async fn a_slow_reader_holds_one_window() {
    let authority = Authority::new();
    let (sent, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (s, d) = (Arc::clone(&sent), Arc::clone(&dropped));
    let server = Server::tls(authority.server(BOTH), 100, move |_| {
        let body = endless(1000, Duration::ZERO, &s, &d);
        async move { Response::new(body) }
    })
    .await;
    let client = authority.client();
    let mut held = Vec::new();
    for dial in [streaming(), Dial::default()] {
        sent.store(0, Ordering::SeqCst);
        let body = soon(client.send(get(&server.secure_url("/")), &dial))
            .await
            .unwrap();
        let mut before = usize::MAX;
        soon(async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let now = sent.load(Ordering::SeqCst);
                if now == before {
                    break;
                }
                before = now;
            }
        })
        .await;
        held.push(before);
        drop(body);
    }
    println!("held: {held:?}");
    assert!(held[0] <= 80_000, "{held:?}");
    assert!(held[1] >= 1_000_000, "{held:?}");
}

#[tokio::test]
async fn a_reader_that_stands_still_does_not_stop_the_others() {
    let authority = Authority::new();
    let (sent, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Server::tls(
        authority.server(BOTH),
        100,
        move |request: Request<Incoming>| {
            let body = if request.uri().path() == "/endless" {
                endless(1000, Duration::ZERO, &sent, &dropped)
            } else {
                full(vec![b'.'; 200_000])
            };
            async move { Response::new(body) }
        },
    )
    .await;
    let client = authority.client();
    let dial = streaming();
    let url = server.secure_url("/endless");
    let mut still = Vec::new();
    for _ in 0..60 {
        still.push(soon(client.send(get(&url), &dial)).await.unwrap());
    }
    let (_, body) = fetch_by(&client, get(&server.secure_url("/")), &dial)
        .await
        .unwrap();
    assert_eq!(body.len(), 200_000);
    assert_eq!(of(&client, &server), OriginStats { live: 60, lanes: 1 });
}

/// Serves HTTP/2 and closes, gracefully, as soon as a request has been answered.
#[tokio::test]
async fn a_lane_that_closed_is_replaced() {
    let authority = Authority::new();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server(BOTH)));
    let (seen, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, close) = (Arc::clone(&seen), Arc::clone(&closed));
    let address = raw(move |stream, _| {
        let (tls, count, close) = (tls.clone(), Arc::clone(&count), Arc::clone(&close));
        async move {
            let io = hyper_util::rt::TokioIo::new(tls.accept(stream).await.unwrap());
            let answered = Arc::new(Semaphore::new(0));
            let tell = Arc::clone(&answered);
            let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                count.fetch_add(1, Ordering::SeqCst);
                tell.add_permits(1);
                async { Ok::<_, std::convert::Infallible>(Response::new(full("ok"))) }
            });
            let mut connection = std::pin::pin!(
                hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(io, service)
            );
            tokio::select! {
                _ = &mut connection => {}
                _ = answered.acquire() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
            close.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let client = authority.client();
    let url = format!("https://localhost:{}/", address.port());
    for round in 1..=10 {
        let (_, body) = fetch(&client, post(&url, "{}")).await.unwrap();
        assert_eq!(body, "ok");
        assert_eq!(seen.load(Ordering::SeqCst), round);
        until(|| closed.load(Ordering::SeqCst) == round).await;
    }
    until(|| {
        client
            .stats()
            .origins
            .values()
            .all(|origin| origin.lanes == 0)
    })
    .await;
}

#[tokio::test]
async fn a_request_that_was_read_is_never_sent_again() {
    let authority = Authority::new();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server(BOTH)));
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let address = raw(move |stream, _| {
        let (tls, count) = (tls.clone(), Arc::clone(&count));
        async move {
            let io = hyper_util::rt::TokioIo::new(tls.accept(stream).await.unwrap());
            let read = Arc::new(Semaphore::new(0));
            let tell = Arc::clone(&read);
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (count, tell) = (Arc::clone(&count), Arc::clone(&tell));
                async move {
                    let _ = request.into_body().collect().await;
                    count.fetch_add(1, Ordering::SeqCst);
                    tell.add_permits(1);
                    std::future::pending::<Result<Response<Body>, std::convert::Infallible>>().await
                }
            });
            let connection =
                hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(io, service);
            tokio::select! {
                _ = connection => {}
                _ = read.acquire() => {}
            }
        }
    })
    .await;
    let url = format!("https://localhost:{}/", address.port());
    let error = failure(&authority.client(), post(&url, "{}"), &Dial::default()).await;
    assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("localhost:{}", address.port()))
    );
    println!("{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_waits_for_a_connection_takes_over_or_learns_why_not() {
    // Connections 0 is never answered; the later ones are.
    let authority = Authority::new();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server(BOTH)));
    let held = Arc::new(Mutex::new(Vec::new()));
    let hold = Arc::clone(&held);
    let address = raw(move |stream, number| {
        let (tls, hold) = (tls.clone(), Arc::clone(&hold));
        async move {
            if number == 0 {
                hold.lock().unwrap().push(stream);
                return;
            }
            let io = hyper_util::rt::TokioIo::new(tls.accept(stream).await.unwrap());
            let service = hyper::service::service_fn(|_: Request<Incoming>| async {
                Ok::<_, std::convert::Infallible>(Response::new(full("ok")))
            });
            let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                .serve_connection(io, service)
                .await;
        }
    })
    .await;
    let client = authority.client();
    let url = format!("https://localhost:{}/", address.port());
    let sending = |client: &Arc<Client>| {
        let (client, request) = (Arc::clone(client), post(&url, "{}"));
        tokio::spawn(async move { fetch(&client, request).await })
    };
    let first = sending(&client);
    until(|| held.lock().unwrap().len() == 1).await;
    let others: Vec<_> = (0..20).map(|_| sending(&client)).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    first.abort();
    for other in others {
        soon(other).await.unwrap().unwrap();
    }

    let (listener, closed) = bind().await;
    drop(listener);
    let url = format!("https://{closed}/");
    let dial = Dial::default();
    let all = join_all((0..200).map(|_| client.send(get(&url), &dial)));
    for refused in soon(all).await {
        let text = format!("{closed} refused the connection");
        assert_eq!(refused.map(|_| ()), Err(TransportError::Connect(text)));
    }
}

#[tokio::test]
async fn a_peer_that_stands_still_is_a_first_byte_limit() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(BOTH), 100, |_| std::future::pending()).await;
    let dial = Dial {
        first_byte_timeout: Duration::from_millis(100),
        ..Dial::default()
    };
    let error = failure(
        &authority.client(),
        post(&server.secure_url("/"), "{}"),
        &dial,
    )
    .await;
    assert_eq!(
        error,
        TransportError::FirstByteTimeout(dial.first_byte_timeout)
    );
}
