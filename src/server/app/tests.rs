//! What breaks inside one exchange, over real sockets: the transport is the test's own, and panics by the model's name.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Notify};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    exchange::{Filter, MEMORY},
    keys::{Fetching, Wanted},
    profile::{
        Origin as From,
        load::{Input, load},
        source::Syntax,
    },
    server::{Terms, listen},
    transport::{BoxError, Dial, Sending},
};

const CHUNK: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"},\"finish_reason\":null}]}\n\n";

const WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;

/// Panics before the answer (`panics`), inside a stream (`breaks`), or answers.
struct Breaking(Arc<Notify>);

impl Transport for Breaking {
    fn send<'a>(&'a self, request: Request<Body>, _: &'a Dial) -> Sending<'a> {
        Box::pin(async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(!body.contains("\"panics\""), "a panic of the test's");
            let (kind, body) = if body.contains("\"breaks\"") {
                let go = Arc::clone(&self.0).notified_owned();
                let breaks = Breaks {
                    said: false,
                    go: Box::pin(go),
                };
                ("text/event-stream", breaks.boxed_unsync())
            } else {
                ("application/json", full(WHOLE))
            };
            let mut response = Response::new(body);
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert("content-type", kind);
            Ok(response)
        })
    }
}

/// Gives one event, and panics when it is told to.
struct Breaks {
    said: bool,
    go: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl http_body::Body for Breaks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !std::mem::replace(&mut self.said, true) {
            let chunk = Bytes::from_static(CHUNK.as_bytes());
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        assert!(
            self.go.as_mut().poll(cx).is_pending(),
            "a panic of the test's"
        );
        Poll::Pending
    }
}

struct Nothing;

impl Keys for Nothing {
    fn fetch<'a>(&'a self, _: &'a Wanted) -> Fetching<'a> {
        Box::pin(async { Err("no cloud".into()) })
    }
}

impl Vault for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn keyring(&self, _: &str) -> Result<String, String> {
        Err("none".into())
    }
}

/// A server of the profile `up`.
async fn server(go: &Arc<Notify>) -> (SocketAddr, Arc<Ledger>) {
    let profile = load(Input {
        name: "up",
        origin: &From::BuiltIn,
        syntax: Syntax::Toml,
        bytes: b"[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n[aiproxy]\nbase_url = \"http://up/v1\"\n",
    });
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let effects = Effects {
        net: Arc::new(Breaking(Arc::clone(go))),
        vault: Arc::new(Nothing),
        keys: Arc::new(Nothing),
        connections: Connections::default(),
    };
    let app = App::new(
        Served::new(vec![Arc::new(profile.unwrap())]),
        Gate::default(),
        Arc::clone(&ledger),
        effects,
        Limits::default(),
    );
    let listening = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listening.address();
    tokio::spawn(async move {
        let (app, terms, stop) = (Arc::new(app), Terms::default(), CancellationToken::new());
        listening
            .serve(app, None, terms, Duration::ZERO, stop, || ())
            .await
    });
    (address, ledger)
}

fn ask(root: &str, path: &str, model: &str, stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"{model}","max_tokens":9,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    );
    Request::post(format!("{root}{path}"))
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// Outcome and error of each exchange, the oldest first, once none is under way.
async fn recorded(ledger: &Ledger) -> Vec<(String, String)> {
    while ledger.live() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (all, _) = ledger.list(&Filter::default(), 10);
    let mut all: Vec<_> = all
        .into_iter()
        .map(|summary| (summary.outcome, summary.error.unwrap_or_default()))
        .collect();
    all.reverse();
    all
}

#[tokio::test]
async fn a_panic_before_the_answer_is_a_500_in_the_client_s_format_and_ends_nothing_else() {
    let go = Arc::default();
    let (address, ledger) = server(&go).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (path, kind) in [
        ("/up/v1/chat/completions", "/error/type"),
        ("/up/v1/messages", "/type"),
    ] {
        let response = client
            .send_request(ask("", path, "panics", false))
            .await
            .unwrap();
        assert_eq!(response.status(), 500);
        assert!(response.headers().contains_key("x-aiproxy-exchange"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["message"], guarded::BROKE, "{json}");
        assert!(json.pointer(kind).is_some(), "{json}");
        // The same connection goes on.
        let well = client.send_request(ask("", "/up/v1/chat/completions", "m", false));
        let response = well.await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_ok());
    }
    let broke = ("failed".to_owned(), guarded::BROKE.to_owned());
    let well = ("ok".to_owned(), String::new());
    assert_eq!(
        recorded(&ledger).await,
        [broke.clone(), well.clone(), broke, well]
    );
}

#[tokio::test]
async fn a_panic_inside_a_stream_ends_that_stream_alone() {
    let go = Arc::default();
    let (address, ledger) = server(&go).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut broken = client.clone();
    let response = broken
        .send_request(ask(
            "http://localhost",
            "/up/v1/chat/completions",
            "breaks",
            true,
        ))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut text = Vec::new();
    let whole = loop {
        match body.frame().await {
            Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => break false,
            None => break true,
        }
        go.notify_one();
    };
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("word") && !text.contains("[DONE]"), "{text}");
    assert!(!whole, "nobody may take it for whole: {text}");
    // The connection that it happened on goes on.
    let mut well = client.clone();
    let response = well
        .send_request(ask(
            "http://localhost",
            "/up/v1/chat/completions",
            "m",
            false,
        ))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let recorded = recorded(&ledger).await;
    let outcomes: Vec<_> = recorded.iter().map(|(outcome, _)| &**outcome).collect();
    assert_eq!(outcomes, ["failed", "ok"]);
    assert!(recorded[0].1.contains("a bug"), "{recorded:?}");
}
