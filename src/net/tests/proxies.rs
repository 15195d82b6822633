//! Ways through proxies: forward, CONNECT, SOCKS, and what refuses to be one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use super::support::*;
use crate::{
    net::{Client, Environment},
    transport::{Dial, HostPort, TransportError, full},
};

/// A user and a password with a colon and a blank in it, and what Basic makes of them.
const LOGIN: &str = "user:p%3Ass%20word";
const BASIC: &str = "Basic dXNlcjpwOnNzIHdvcmQ=";

type Heads = Arc<Mutex<Vec<String>>>;

/// Answers CONNECT with `answer`; after a 200 it connects to `target`, whatever was asked for.
async fn tunnel(answer: &'static str, target: SocketAddr) -> (SocketAddr, Heads) {
    let heads = Heads::default();
    let keep = Arc::clone(&heads);
    let address = raw(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move { through(&mut stream, answer, target, &keep).await }
    })
    .await;
    (address, heads)
}

async fn through<T>(stream: &mut T, answer: &str, target: SocketAddr, heads: &Heads)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let head = String::from_utf8(read_request(stream).await).unwrap();
    heads.lock().unwrap().push(head);
    stream.write_all(answer.as_bytes()).await.unwrap();
    if answer.contains(" 200 ") {
        let Ok(mut upstream) = TcpStream::connect(target).await else {
            return;
        };
        let _ = copy_bidirectional(stream, &mut upstream).await;
    }
}

async fn secure_upstream(authority: &Authority) -> Server {
    Server::tls(
        authority.server(&["h2", "http/1.1"]),
        100,
        |request: Request<Incoming>| async move {
            Response::new(full(format!("{:?}", request.version())))
        },
    )
    .await
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn https_goes_through_a_tunnel_with_either_protocol() {
    let authority = Authority::new();
    let server = secure_upstream(&authority).await;
    let (proxy, heads) = tunnel(ESTABLISHED, server.address).await;
    let environment = format!("http://{LOGIN}@{proxy}/");
    let client = authority.client_with(&[("https_proxy", &environment)]);
    for (http2, version) in [(true, "HTTP/2.0"), (false, "HTTP/1.1")] {
        let dial = Dial {
            http2,
            ..Dial::default()
        };
        let request = get("https://upstream.test/?key=secret");
        let (_, body) = fetch_by(&client, request, &dial).await.unwrap();
        assert_eq!(body, version);
    }
    for head in &*heads.lock().unwrap() {
        assert_eq!(
            *head,
            format!(
                "CONNECT upstream.test:443 HTTP/1.1\r\nHost: upstream.test:443\r\n\
                 Proxy-Authorization: {BASIC}\r\n\r\n"
            )
        );
    }
    // Loopback goes direct.
    fetch(&client, get(&server.secure_url("/"))).await.unwrap();
    assert_eq!(heads.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_proxy_of_the_dial_comes_first_and_serves_loopback_too() {
    let authority = Authority::new();
    let server = secure_upstream(&authority).await;
    let (proxy, heads) = tunnel(ESTABLISHED, server.address).await;
    let environment = [("all_proxy", "http://127.0.0.1:9"), ("no_proxy", "*")];
    let client = authority.client_with(&environment);
    let dial = Dial {
        https_proxy: Some(HostPort {
            host: "localhost".to_owned(),
            port: proxy.port(),
        }),
        ..Dial::default()
    };
    fetch_by(&client, get(&server.secure_url("/")), &dial)
        .await
        .unwrap();
    let head = heads.lock().unwrap()[0].clone();
    let target = format!("localhost:{}", server.address.port());
    let expected = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    assert_eq!(head, expected);
    // The other dial's connections are not shared.
    fetch(&client, get(&server.secure_url("/"))).await.unwrap();
    assert_eq!((heads.lock().unwrap().len(), server.seen()), (1, 2));
}

#[tokio::test]
async fn http_is_forwarded_with_the_whole_url() {
    let heads = Heads::default();
    let keep = Arc::clone(&heads);
    let proxy = raw(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move {
            loop {
                let head = read_request(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                keep.lock().unwrap().push(String::from_utf8(head).unwrap());
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let environment = format!("http://{LOGIN}@{proxy}");
    let client = Client::new(Environment::new([("http_proxy", environment.as_str())]));
    for _ in 0..2 {
        let request = get("http://upstream.test:8000/a?b=c");
        assert_eq!(fetch(&client, request).await.unwrap().1, "ok");
    }
    for head in &*heads.lock().unwrap() {
        let mut lines: Vec<_> = head.trim_end().lines().collect();
        lines.sort_unstable();
        let basic = format!("proxy-authorization: {BASIC}");
        let expected = [
            "GET http://upstream.test:8000/a?b=c HTTP/1.1",
            "host: upstream.test:8000",
            &basic,
        ];
        assert_eq!(lines, expected);
    }
    assert_eq!(heads.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_proxy_can_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let server = secure_upstream(&authority).await;
    let target = server.address;
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server(&[])));
    let heads = Heads::default();
    let keep = Arc::clone(&heads);
    let proxy = raw(move |stream, _| {
        let (tls, keep) = (tls.clone(), Arc::clone(&keep));
        async move {
            let mut stream = tls.accept(stream).await.unwrap();
            through(&mut stream, ESTABLISHED, target, &keep).await;
        }
    })
    .await;
    let environment = format!("https://{LOGIN}@localhost:{}", proxy.port());
    let client = authority.client_with(&[("https_proxy", &environment)]);
    let (_, body) = fetch(&client, get("https://upstream.test/")).await.unwrap();
    assert_eq!(body, "HTTP/2.0");
    assert!(heads.lock().unwrap()[0].contains(BASIC));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_named_without_its_password() {
    let (listener, closed) = bind().await;
    drop(listener);
    let authority = Authority::new();
    let long = Box::leak(format!("HTTP/1.1 200 {}", "x".repeat(40_000)).into_boxed_str());
    let answers: &[(&'static str, &str)] = &[
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "answered 407 to CONNECT",
        ),
        (
            "HTTP/1.0 502 Bad\r\ncontent-length: 2\r\n\r\nno",
            "answered 502 to CONNECT",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "spoke before the tunnel was used",
        ),
        (
            "SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "did not answer CONNECT in HTTP",
        ),
        ("", "closed the connection during CONNECT"),
        (long, "answered CONNECT with too long a header"),
    ];
    for (answer, expected) in answers {
        let (proxy, _) = tunnel(answer, closed).await;
        let environment = format!("http://{LOGIN}@{proxy}");
        let client = authority.client_with(&[("https_proxy", &environment)]);
        let request = get("https://upstream.test/?key=secret");
        let error = failure(&client, request, &Dial::default()).await;
        assert_eq!(
            error,
            TransportError::Connect(format!("proxy {proxy} {expected}"))
        );
    }
    let environment = format!("http://{LOGIN}@{closed}");
    let client = authority.client_with(&[("all_proxy", &environment)]);
    for scheme in ["http", "https"] {
        let request = get(&format!("{scheme}://upstream.test/?key=secret"));
        let error = failure(&client, request, &Dial::default()).await;
        let expected = format!("proxy {closed} refused the connection");
        assert_eq!(error, TransportError::Connect(expected));
    }
    assert!(!format!("{client:?}").contains("word"));
}

#[tokio::test]
async fn a_silent_proxy_is_a_connect_limit() {
    let silent = raw(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let dial = Dial {
        connect_timeout: Duration::from_millis(100),
        ..Dial::default()
    };
    for scheme in ["http", "socks5h"] {
        let environment = format!("{scheme}://{silent}");
        let environment = Environment::new([("https_proxy", environment.as_str())]);
        let client = Client::new(environment);
        let error = failure(&client, get("https://upstream.test/"), &dial).await;
        assert_eq!(error, TransportError::ConnectTimeout(dial.connect_timeout));
    }
}

#[tokio::test]
async fn socks_proxies_connect_by_name_and_by_address() {
    let server = Server::http1(|_| async { Response::new(full("ok")) }).await;
    let target = server.address;
    let asked: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let keep = Arc::clone(&asked);
    let proxy = raw(move |mut stream, _| {
        let keep = Arc::clone(&keep);
        async move {
            let mut asked = vec![0; 256];
            let mut take = async |stream: &mut TcpStream| {
                let read = stream.read(&mut asked).await.unwrap();
                asked[..read].to_vec()
            };
            let hello = take(&mut stream).await;
            if hello[0] == 5 {
                // The one method offered; for user and password, any will do.
                let method = hello[2];
                stream.write_all(&[5, method]).await.unwrap();
                if method == 2 {
                    let login = take(&mut stream).await;
                    keep.lock().unwrap().push(login);
                    stream.write_all(&[1, 0]).await.unwrap();
                }
                let target = take(&mut stream).await;
                keep.lock().unwrap().push(target);
                stream
                    .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                    .await
                    .unwrap();
            } else {
                keep.lock().unwrap().push(hello);
                stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await.unwrap();
            }
            let mut upstream = TcpStream::connect(target).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut upstream).await;
        }
    })
    .await;
    let ask = async |environment: String, url: &str| {
        let environment = Environment::new([("all_proxy", environment.as_str())]);
        let (_, body) = fetch(&Client::new(environment), get(url)).await.unwrap();
        assert_eq!(body, "ok");
        std::mem::take(&mut *asked.lock().unwrap())
    };
    let by_name = b"\x05\x01\x00\x03\x0dupstream.test\x00\x50".to_vec();
    let by_address = b"\x05\x01\x00\x01\x0a\x01\x02\x03\x1f\x40".to_vec();
    let seen = ask(format!("socks5h://u:pw@{proxy}"), "http://upstream.test/").await;
    assert_eq!(seen, [b"\x01\x01u\x02pw".to_vec(), by_name]);
    let seen = ask(format!("socks5://{proxy}"), "http://10.1.2.3:8000/").await;
    assert_eq!(seen, [by_address]);
    let seen = ask(format!("socks4a://{proxy}"), "http://upstream.test/").await;
    let (asked_for, name) = seen[0].split_at(9);
    assert_eq!(&asked_for[..4], b"\x04\x01\x00\x50");
    assert_eq!(name, b"upstream.test\0");
    let seen = ask(format!("socks4://{proxy}"), "http://10.1.2.3:8000/").await;
    assert_eq!(&seen[0][..8], b"\x04\x01\x1f\x40\x0a\x01\x02\x03");
}

#[tokio::test]
async fn a_socks_refusal_is_named() {
    let proxy = raw(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 64]).await;
        stream.write_all(&[5, 0]).await.unwrap();
        let _ = stream.read(&mut [0; 64]).await;
        stream
            .write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
    })
    .await;
    let environment = format!("socks5h://{proxy}");
    let client = Client::new(Environment::new([("all_proxy", environment.as_str())]));
    let error = failure(&client, get("http://upstream.test/"), &Dial::default()).await;
    let expected = format!(
        "proxy {proxy} did not connect to upstream.test:80: SOCKS error: connection refused"
    );
    assert_eq!(error, TransportError::Connect(expected));
}

#[tokio::test]
async fn a_proxy_that_is_this_process_is_left_out() {
    let server = Server::http1(|_| async { Response::new(full("direct")) }).await;
    let (_listener, ours) = bind().await;
    let client = Client::new(Environment::default());
    client.set_listeners(vec![ours]);
    let dial = Dial {
        http_proxy: Some(HostPort {
            host: "127.0.0.1".to_owned(),
            port: ours.port(),
        }),
        ..Dial::default()
    };
    let (_, body) = fetch_by(&client, get(&server.url("/")), &dial)
        .await
        .unwrap();
    assert_eq!(body, "direct");
}
