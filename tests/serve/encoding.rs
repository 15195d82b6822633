//! Content codings (SPEC §2, TRAPS 2.13).

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::AsyncReadExt;

use crate::support::{
    Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta, json_response,
    response, stop,
};

async fn coded(coding: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => GzipEncoder::new(data).read_to_end(&mut out).await,
        "deflate" => ZlibEncoder::new(data).read_to_end(&mut out).await,
        "br" => BrotliEncoder::new(data).read_to_end(&mut out).await,
        "zstd" => ZstdEncoder::new(data).read_to_end(&mut out).await,
        other => panic!("{other}"),
    }
    .unwrap();
    out
}

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

#[tokio::test]
async fn request_bodies_are_inflated() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = chat(r#""x":1.00"#);
    for coding in CODINGS {
        for path in ["/up/v1/chat/completions", "/v1/chat/completions"] {
            let client = Ask::post(path, coded(coding, body.as_bytes()).await)
                .header("content-encoding", coding)
                .send(&server)
                .await;
            let mut call = upstream.call().await;
            assert_eq!(call.text(), body, "{coding}");
            assert_eq!(call.headers.get("content-encoding"), None);
            call.write(json_response(200, completion("ok"))).await;
            assert_eq!(client.reply().await.status, 200);
        }
    }
}

#[tokio::test]
async fn codings_are_undone_in_their_order() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = chat("");
    let twice = coded("gzip", &coded("br", body.as_bytes()).await).await;
    let client = Ask::chat(twice)
        .header("content-encoding", "br, gzip")
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(call.text(), body);
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn the_limit_counts_after_inflation() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("ai-proxy", "max_request_body_size = 20000");
    let server = Server::of(&profile);
    for coding in CODINGS {
        let bomb = coded(coding, &vec![b' '; 2 << 20]).await;
        assert!(bomb.len() < 20_000, "{coding}: {}", bomb.len());
        let reply = Ask::chat(bomb)
            .header("content-encoding", coding)
            .whole(&server)
            .await;
        reply.fails_with(413, "request body too large");
    }
    upstream.was_not_called();
    server.is_healthy().await;
}

#[tokio::test]
async fn a_body_that_does_not_inflate_or_in_an_unknown_coding_is_an_error() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for coding in CODINGS {
        let reply = Ask::chat("this is not coded at all")
            .header("content-encoding", coding)
            .whole(&server)
            .await;
        reply.fails_about(400, &[]);
        let mut cut = coded(coding, chat("").as_bytes()).await;
        cut.truncate(cut.len() / 2);
        let reply = Ask::chat(cut)
            .header("content-encoding", coding)
            .whole(&server)
            .await;
        assert!(
            (400..500).contains(&reply.status),
            "{coding}: {}",
            reply.text()
        );
        reply.error();
    }
    let reply = Ask::chat(chat(""))
        .header("content-encoding", "lzma")
        .whole(&server)
        .await;
    reply.fails_about(415, &["lzma"]);
    upstream.was_not_called();
}

#[tokio::test]
async fn trap_2_13_a_stream_is_never_compressed() {
    let upstream =
        Upstream::answering(format!("{STREAM_HEAD}{}{}{DONE}", delta("x"), stop())).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat(r#""stream":true"#))
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .whole(&server)
        .await;
    assert_eq!(reply.headers.get("content-encoding"), None);
    assert!(reply.text().starts_with("data: "));
    let seen = upstream.seen();
    assert!(
        seen[0].head.contains("accept-encoding: identity\r\n"),
        "{}",
        seen[0].head
    );
}

#[tokio::test]
async fn a_compressed_answer_passes_only_to_a_client_that_accepts_it() {
    let body = completion("compressed");
    for coding in CODINGS {
        let bytes = coded(coding, body.as_bytes()).await;
        let upstream = Upstream::answering(response(
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", coding),
                ("etag", "\"v1\""),
            ],
            &bytes,
        ))
        .await;
        let server = Server::of(&ProfileText::openai(&upstream));
        for accepts in [
            None,
            Some("identity"),
            Some("x-unknown"),
            Some("gzip;q=0, br;q=0, deflate;q=0, zstd;q=0"),
        ] {
            let ask = Ask::chat(chat("")).instead("accept-encoding", accepts);
            let reply = ask.whole(&server).await;
            assert_eq!(reply.status, 200, "{coding}: {}", reply.text());
            assert_eq!(reply.headers.get("content-encoding"), None, "{coding}");
            assert_eq!(reply.headers.get("etag"), None, "of another body");
            assert_eq!(reply.text(), body);
        }
        let ask = Ask::chat(chat("")).header("accept-encoding", coding);
        let reply = ask.whole(&server).await;
        assert_eq!(reply.headers.get("content-encoding"), Some(coding));
        assert_eq!(reply.headers.get("etag"), Some("\"v1\""));
        assert_eq!(reply.body, bytes);
    }
}

#[tokio::test]
async fn a_plain_answer_is_not_compressed() {
    let upstream = Upstream::answering(json_response(200, completion("plain"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat(""))
        .header("accept-encoding", "gzip")
        .whole(&server)
        .await;
    assert_eq!(reply.headers.get("content-encoding"), None);
    assert_eq!(reply.text(), completion("plain"));
}

#[tokio::test]
async fn compressed_errors_are_read() {
    let body = r#"{"error":{"message":"slow","type":"t","param":null,"code":null}}"#;
    let upstream = Upstream::answering(response(
        429,
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("retry-after", "1"),
        ],
        coded("gzip", body.as_bytes()).await,
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    reply.fails_with(429, "slow");
    assert_eq!(reply.headers.get("content-encoding"), None);
}

#[tokio::test]
async fn an_answer_that_does_not_inflate_is_an_error() {
    let upstream = Upstream::answering(response(
        200,
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
        "not gzip",
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert!(reply.status >= 500, "{}", reply.text());
    reply.error();
}
