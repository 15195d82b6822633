//! {request, response, both} × {ai-proxy, plain upstream} × {plain, stream, gzip upstream, error upstream}.

use async_compression::tokio::bufread::GzipEncoder;
use tokio::io::AsyncReadExt;

use crate::{
    Plugin, mocked, plain,
    support::{
        Ask, Call, DONE, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta,
        holds, json_response, response, role, stop, text_of,
    },
};

const REQUEST: &str = r#"Say who asks: {"user": "rt"}"#;
const RESPONSE: &str = r#"Review: {"reviewed": true, "choices": [{"index": 0, "message": {"role": "assistant", "content": "reviewed"}, "finish_reason": "stop"}]}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    Stream,
    Gzip,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Proxy,
    Backend,
}

const ERROR: &str = r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#;

async fn gzip(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = GzipEncoder::new(text.as_bytes());
    encoder.read_to_end(&mut out).await.unwrap();
    out
}

async fn play(mut call: Call, mode: Mode) {
    let streams = call.json()["stream"] == true;
    let answer = match mode {
        Mode::Plain => json_response(200, completion("apple")),
        Mode::Stream if streams => {
            let events = [role(), delta("app"), delta("le"), stop(), DONE.into()];
            format!("{STREAM_HEAD}{}", events.concat()).into_bytes()
        }
        Mode::Stream => json_response(200, completion("apple")),
        Mode::Gzip => {
            let headers = [
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
                ("etag", "\"of-the-upstreams-body\""),
            ];
            response(200, &headers, gzip(&completion("apple")).await)
        }
        Mode::Error => {
            let headers = [("content-type", "application/json"), ("retry-after", "7")];
            response(429, &headers, ERROR)
        }
    };
    call.write(answer).await;
    call.finish().await;
}

async fn cell(plugins: &[Plugin], behind: Behind, mode: Mode) {
    let name = format!("{plugins:?} {behind:?} {mode:?}");
    let (requests, responses) = (
        plugins.contains(&Plugin::Request),
        plugins.contains(&Plugin::Response),
    );
    let upstream = Upstream::playing(move |call| play(call, mode)).await;
    let mut profile = match behind {
        Behind::Proxy => ProfileText::openai(&upstream),
        Behind::Backend => plain(&upstream),
    };
    if requests {
        profile = mocked(profile, Plugin::Request, REQUEST);
    }
    if responses {
        profile = mocked(profile, Plugin::Response, RESPONSE);
    }
    let server = Server::of(&profile);
    let (path, target) = match behind {
        Behind::Proxy => ("/up/v1/chat/completions", "POST /v1/chat/completions "),
        Behind::Backend => ("/up/any/path?x=1", "POST /base/any/path?x=1 "),
    };
    let extra = if mode == Mode::Stream {
        r#""stream":true"#
    } else {
        ""
    };
    let mut ask = Ask::post(path, chat(extra));
    if mode == Mode::Gzip {
        ask = ask.header("accept-encoding", "gzip");
    }
    let reply = ask.whole(&server).await;

    // What the upstream got.
    let [seen] = upstream.seen().try_into().unwrap();
    assert!(seen.head.starts_with(target), "{name}: {}", seen.head);
    let sent: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(sent["messages"][0]["content"], "hi", "{name}");
    assert_eq!(sent["user"] == "rt", requests, "{name}: {sent}");
    let length = format!("content-length: {}\r\n", seen.body.len());
    assert!(seen.head.to_ascii_lowercase().contains(&length), "{name}");
    if mode == Mode::Stream {
        let asked_whole = responses && behind == Behind::Proxy;
        assert_eq!(sent["stream"], !asked_whole, "{name}");
    }

    // What the client gets.
    let status = if mode == Mode::Error { 429 } else { 200 };
    assert_eq!(reply.status, status, "{name}: {}", reply.text());
    let coded = reply.headers.get("content-encoding");
    if mode == Mode::Error {
        assert_eq!(reply.headers.get("retry-after"), Some("7"), "{name}");
    }
    if !responses {
        assert_eq!(reply.headers.get("x-aiproxy-stream"), None, "{name}");
        match mode {
            Mode::Plain => assert_eq!(reply.text(), completion("apple"), "{name}"),
            Mode::Stream => assert_eq!(text_of(&reply.body), "apple", "{name}"),
            Mode::Gzip => {
                assert_eq!(coded, Some("gzip"), "{name}");
                assert_eq!(reply.body, gzip(&completion("apple")).await, "{name}");
            }
            Mode::Error => assert_eq!(reply.text(), ERROR, "{name}"),
        }
        return;
    }
    assert_eq!(coded, None, "{name}");
    assert_eq!(reply.headers.get("etag"), None, "{name}");
    if mode == Mode::Stream {
        assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
        assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
        assert_eq!(text_of(&reply.body), "reviewed", "{name}");
        assert!(holds(&reply.body, DONE), "{name}: {}", reply.text());
        return;
    }
    assert_eq!(reply.headers.get("content-type"), Some("application/json"));
    let json = reply.json();
    assert_eq!(json["reviewed"], true, "{name}: {json}");
    match mode {
        Mode::Error => assert_eq!(json["error"]["message"], "slow down", "{name}"),
        _ => assert_eq!(json["id"], "c1", "{name}"),
    }
}

async fn row(plugins: &[Plugin], behind: Behind) {
    for mode in [Mode::Plain, Mode::Stream, Mode::Gzip, Mode::Error] {
        cell(plugins, behind, mode).await;
    }
}

#[tokio::test]
async fn request_before_ai_proxy() {
    row(&[Plugin::Request], Behind::Proxy).await;
}

#[tokio::test]
async fn request_before_a_plain_upstream() {
    row(&[Plugin::Request], Behind::Backend).await;
}

#[tokio::test]
async fn response_behind_ai_proxy() {
    row(&[Plugin::Response], Behind::Proxy).await;
}

#[tokio::test]
async fn response_behind_a_plain_upstream() {
    row(&[Plugin::Response], Behind::Backend).await;
}

#[tokio::test]
async fn both_around_ai_proxy() {
    row(&[Plugin::Request, Plugin::Response], Behind::Proxy).await;
}

#[tokio::test]
async fn both_around_a_plain_upstream() {
    row(&[Plugin::Request, Plugin::Response], Behind::Backend).await;
}
