//! Chunked streams that are read off their connections without hyper.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;
use crate::transport::{Body, BoxError, Dial, Transport, TransportError};

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";

fn stream() -> Dial {
    Dial {
        whole: true,
        stream: true,
        ..Dial::default()
    }
}

/// Answers every request with these parts, a moment between them, and keeps the connection. Counts the connections.
async fn upstream(parts: &'static [&'static str]) -> (SocketAddr, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let address = raw(move |mut stream, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            while !read_request(&mut stream).await.is_empty() {
                for (number, part) in parts.iter().enumerate() {
                    if number > 0 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    let _ = stream.write_all(part.as_bytes()).await;
                }
            }
        }
    })
    .await;
    (address, seen)
}

/// The frames of a body, to its end or what cut it.
async fn frames(body: &mut Body) -> (Vec<Bytes>, Option<BoxError>) {
    let mut frames = Vec::new();
    while let Some(frame) = soon(body.frame()).await {
        match frame {
            Ok(frame) => frames.extend(frame.into_data().ok()),
            Err(error) => return (frames, Some(error)),
        }
    }
    (frames, None)
}

async fn ask(client: &impl Transport, address: SocketAddr) -> Response<Body> {
    soon(client.send(post(&format!("http://{address}/"), "{}"), &stream()))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stream_leaves_its_connection_to_the_next() {
    for parts in [
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"]
            [..],
        &[
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
            "3\r\ntwo\r\n",
            "0\r\n\r\n",
        ],
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "3\r",
            "\none\r\n3\r\ntw",
            "o",
            "\r\n0\r\n\r",
            "\n",
        ],
        &[
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        ],
    ] {
        let (address, seen) = upstream(parts).await;
        let client = client();
        for _ in 0..3 {
            let answer = ask(&*client, address).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let (frames, error) = frames(&mut answer.into_body()).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(frames.concat(), b"onetwo");
            assert_eq!(client.stats().live, 0);
        }
        assert_eq!(seen.load(Ordering::SeqCst), 1, "{parts:?}");
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_used_again_is_not() {
    for parts in [
        &[
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, Close\r\ntransfer-encoding: chunked\r\n\r\n",
            "2\r\nok\r\n0\r\n\r\n",
        ][..],
        // An answer to nothing: whoever asks next must not have it.
        &[
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ],
        &[
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ],
    ] {
        let (address, seen) = upstream(parts).await;
        let client = client();
        for round in 1..=3 {
            let (frames, error) = frames(ask(&*client, address).await.body_mut()).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(frames.concat(), b"ok");
            assert_eq!(seen.load(Ordering::SeqCst), round, "{parts:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn what_one_read_brings_keeps_its_chunks() {
    let (address, _) = upstream(&[
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "1\r\na\r\n2\r\nbb\r\n3\r\nccc\r\n1\r\nd\r\n0\r\nx-sum: 7\r\n\r\n",
    ])
    .await;
    let client = client();
    let mut body = ask(&*client, address).await.into_body();
    let mut seen = Vec::new();
    let mut after = None;
    while let Some(frame) = soon(body.frame()).await {
        match frame.unwrap().into_data() {
            Ok(data) => seen.push(data),
            Err(frame) => after = frame.into_trailers().ok(),
        }
    }
    assert_eq!(seen, ["a", "bb", "ccc", "d"]);
    assert_eq!(after.unwrap()["x-sum"], "7");
}

#[tokio::test]
async fn what_tears_a_stream_is_named_after_what_came_before() {
    for (parts, why) in [
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "2\r\nok\r\n2\r\nnok\r\n",
            ][..],
            "broke HTTP's framing",
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
                "what\r\n",
            ],
            "broke HTTP's framing",
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
                "2\r\n",
            ],
            "closed the connection",
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "2\r\nok\r\n0\r\n",
            ],
            "closed the connection",
        ),
    ] {
        let address = raw(move |mut stream, _| async move {
            read_request(&mut stream).await;
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let client = client();
        let mut body = ask(&*client, address).await.into_body();
        let (frames, error) = frames(&mut body).await;
        assert!(frames.concat().starts_with(b"ok"), "{parts:?}");
        let error = error.unwrap();
        assert!(error.is::<TransportError>());
        let text = format!("{address} {why} before the response was whole");
        assert_eq!(error.to_string(), text, "{parts:?}");
        assert!(soon(body.frame()).await.is_none());
        assert_eq!(client.stats().live, 0);
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_all_was_sent_stays_with_hyper() {
    let size = 8_000_000;
    let address = raw(move |mut stream, _| async move {
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        stream
            .write_all(format!("{HEAD}\r\n5\r\nearly\r\n").as_bytes())
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut read = 1000;
        while read < size {
            read += stream.read(&mut vec![0; 100_000]).await.unwrap();
        }
        stream.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let client = client();
    let request = post(&format!("http://{address}/"), vec![b'x'; size]);
    let answer = soon(client.send(request, &stream())).await.unwrap();
    let (frames, error) = frames(&mut answer.into_body()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.concat(), b"earlylate");
}

#[tokio::test]
async fn streams_under_tls_are_read_so_too() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(&["http/1.1"]), 100, |_| async {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            for number in 0..50 {
                let part = Bytes::from(format!("data: {number}\n\n"));
                sender.send(Frame::data(part)).await.unwrap();
                if number % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Response::new(body.map_err(|never| match never {}).boxed_unsync())
    })
    .await;
    let client = authority.client();
    let expected: String = (0..50)
        .map(|number| format!("data: {number}\n\n"))
        .collect();
    for _ in 0..3 {
        let request = post(&server.secure_url("/"), "{}");
        let answer = soon(client.send(request, &stream())).await.unwrap();
        let (frames, error) = frames(&mut answer.into_body()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(frames.concat(), expected.as_bytes());
    }
    assert_eq!(server.seen(), 1);
}
