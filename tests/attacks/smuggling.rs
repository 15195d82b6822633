//! Requests whose framing two readers could understand in two ways: one of them would see a request that nobody checked.

use crate::support::{Client, ProfileText, Server, Upstream, json_response};

/// Lines of a head, in place of a sound framing. `{}` would be its body.
const FRAMINGS: &[&str] = &[
    "content-length: 2\r\ncontent-length: 30",
    "content-length: 30\r\ncontent-length: 2",
    "content-length: 2, 30",
    "content-length: +2",
    "content-length: -2",
    "content-length: 0x2",
    "content-length: 2 2",
    "content-length: 99999999999999999999999",
    "content-length : 2",
    "transfer-encoding: xchunked",
    "transfer-encoding: chunked, identity",
    "transfer-encoding: identity",
    "transfer-encoding : chunked",
    "x-folded: a\r\n content-length: 2",
    "x-bare: a\rcontent-length: 2",
    "x-null: \0",
    "x y: 1",
    ": 1",
    "content-length",
];

/// First lines.
const LINES: &[&str] = &[
    "POST /plain/x HTTP/1.1 HTTP/1.1",
    "POST  /plain/x HTTP/1.1",
    "POST /plain/x\tHTTP/1.1",
    "POST /plain/x\rGET /plain/y HTTP/1.1",
    "POST /plain/x y HTTP/1.1",
    "POST /plain/x HTTP/3.7",
    "PO\0ST /plain/x HTTP/1.1",
    "POST plain/x HTTP/1.1",
    "POST ?x HTTP/1.1",
];

fn plain(upstream: &Upstream) -> ProfileText {
    let url = format!("url = \"http://{}\"", upstream.address);
    ProfileText::default().line("upstream", url)
}

/// All that comes back until the connection closes.
async fn said(server: &Server, bytes: String) -> String {
    let mut client = Client::connect(server).await;
    client.write(bytes).await;
    client.half_close().await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

#[tokio::test]
async fn unclear_framings_are_refused() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup().profile("plain", &plain(&upstream)).start();
    let framings = FRAMINGS
        .iter()
        .map(|lines| format!("POST /plain/x HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n\r\n{{}}"));
    let lines = LINES
        .iter()
        .map(|line| format!("{line}\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{{}}"));
    for bytes in framings.chain(lines) {
        let told = said(&server, bytes.clone()).await;
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 4"),
            "{bytes:?}: {told}"
        );
        assert!(!told.contains("HTTP/1.1 2"), "{bytes:?}: {told}");
    }
    upstream.was_not_called();
    server.is_healthy().await;
}

/// Where both framings stand, one of them counts here, and it alone goes on.
#[tokio::test]
async fn one_framing_goes_on() {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let server = Server::setup().profile("plain", &plain(&upstream)).start();
    for lines in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
    ] {
        let bytes = format!(
            "POST /plain/outer HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        said(&server, bytes).await;
    }
    for call in upstream.seen() {
        let head = call.head.to_ascii_lowercase();
        let both = head.contains("content-length:") && head.contains("transfer-encoding:");
        assert!(!both, "{head}");
        assert_eq!(call.body, b"{}", "{head}");
    }
    server.is_healthy().await;
}

/// What comes behind a request on its connection passes the same gate.
#[tokio::test]
async fn a_pipelined_request_is_checked_like_the_first() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup().profile("plain", &plain(&upstream)).start();
    let bytes = "GET /_aiproxy/health HTTP/1.1\r\nhost: localhost\r\n\r\n\
                 GET /plain/x HTTP/1.1\r\nhost: evil.example\r\n\r\n\
                 GET /plain/x HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\r\n";
    let mut client = Client::connect(&server).await;
    client.write(bytes).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let reply = client.reply().await.whole().await;
        statuses.push(reply.status);
        client = reply.client();
    }
    assert_eq!(statuses, [200, 403, 403]);
    upstream.was_not_called();
}
