use serde_json::Value;

use crate::{
    asking, streaming,
    support::{
        Ask, DONE, ProfileText, Reply, STREAM_HEAD, Server, Upstream, completion, delta,
        json_response, role, stop,
    },
};

/// A reader of events.
struct Tail {
    reply: Reply,
    read: usize,
}

impl Tail {
    async fn of(server: &Server, query: &str, last: Option<u64>) -> Tail {
        let mut ask = Ask::get(&format!("/_aiproxy/events{query}"));
        if let Some(last) = last {
            ask = ask.header("last-event-id", &last.to_string());
        }
        let mut reply = ask.reply(server).await;
        assert_eq!(reply.status, 200, "{}", reply.head);
        assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
        reply.until(": aiproxy\n\n").await;
        Tail { reply, read: 0 }
    }

    /// The events up to one of this type, included.
    async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut out = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&self.reply.body[self.read..]).into_owned();
            let Some((event, _)) = text.split_once("\n\n") else {
                assert!(
                    self.reply.piece().await.is_some(),
                    "the events ended: {out:?}"
                );
                continue;
            };
            self.read += event.len() + 2;
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let Some(data) = data else { continue };
            let json: Value = serde_json::from_str(data).unwrap();
            assert!(event.contains(&format!("event: {}\n", json["type"].as_str().unwrap())));
            let done = json["type"] == kind;
            out.push(json);
            if done {
                return out;
            }
        }
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

fn said(events: &[Value]) -> String {
    let texts = events.iter().filter(|event| event["type"] == "text");
    texts.map(|event| event["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_come_while_the_stream_runs() {
    let (go, waits) = tokio::sync::oneshot::channel::<()>();
    let waits = std::sync::Arc::new(tokio::sync::Mutex::new(Some(waits)));
    let upstream = Upstream::playing(move |mut call| {
        let waits = waits.clone();
        async move {
            call.write(STREAM_HEAD).await;
            call.write([role(), delta("first")].concat()).await;
            let waits = waits.lock().await.take().unwrap();
            waits.await.unwrap();
            call.write([delta(" second"), stop(), DONE.into()].concat())
                .await;
        }
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut tail = Tail::of(&server, "", None).await;
    let reply = streaming("x").reply(&server).await;
    let events = tail.until("text").await;
    assert_eq!(
        types(&events),
        [
            "opened", "stage", "stage", "routed", "stage", "open", "text"
        ]
    );
    assert_eq!(said(&events), "first");
    // One that comes later gets what was said so far.
    let mut late = Tail::of(&server, "", None).await;
    assert_eq!(said(&late.until("text").await), "first");
    go.send(()).unwrap();
    reply.whole().await;
    let rest = tail.until("closed").await;
    assert_eq!(said(&rest), " second");
    assert_eq!(rest.last().unwrap()["summary"]["answer"], "first second");
    assert_eq!(said(&late.until("closed").await), " second");
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut tail = Tail::of(&server, "", None).await;
    asking("one").whole(&server).await;
    let first = tail.until("closed").await;
    let last = first.last().unwrap()["seq"].as_u64().unwrap();
    drop(tail);
    asking("two").whole(&server).await;
    asking("three").whole(&server).await;
    let mut tail = Tail::of(&server, "", Some(last)).await;
    let mut prompts = Vec::new();
    for _ in 0..2 {
        let events = tail.until("closed").await;
        prompts.push(events.last().unwrap()["summary"]["prompt"].clone());
        assert_eq!(types(&events)[0], "opened");
    }
    assert_eq!(prompts, ["two", "three"]);
}

#[tokio::test]
async fn only_what_is_asked_for_comes() {
    let upstream = Upstream::playing(|mut call| async move {
        let status = if call.text().contains("fail") {
            500
        } else {
            200
        };
        call.write(json_response(status, completion("fine"))).await;
    })
    .await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("up", &profile)
        .profile("other", &profile)
        .start();
    let mut failed = Tail::of(&server, "?failed=1", None).await;
    let mut other = Tail::of(&server, "?profile=other&bodies=1", None).await;
    let mut prompts = Tail::of(&server, "?profile=other&bodies=client", None).await;
    let mut found = Tail::of(&server, "?grep=needle", None).await;
    let mut model = Tail::of(&server, "?model=m2", None).await;
    let mut raw = Tail::of(&server, "?raw=1", None).await;
    asking("fine").whole(&server).await;
    asking("a needle").whole(&server).await;
    asking("fail").whole(&server).await;
    let body = r#"{"model":"m2","messages":[{"role":"user","content":"x"}]}"#;
    Ask::post("/other/v1/chat/completions", body)
        .whole(&server)
        .await;
    let prompt = |events: &[Value]| events.last().unwrap()["summary"]["prompt"].clone();
    let events = failed.until("closed").await;
    assert_eq!(
        (types(&events)[0], prompt(&events)),
        ("opened", "fail".into())
    );
    assert_eq!(prompt(&found.until("closed").await), "a needle");
    let events = model.until("closed").await;
    assert_eq!((types(&events)[0], prompt(&events)), ("opened", "x".into()));
    let events = other.until("closed").await;
    assert!(events.iter().all(|event| event["profile"] == "other"));
    let client = events
        .iter()
        .find(|event| event["stage"] == "client")
        .unwrap();
    assert_eq!(client["body"], body);
    let told = |events: &[Value]| {
        let told = events.iter().filter(|event| event["body"].is_string());
        told.map(|event| event["stage"].clone()).collect::<Vec<_>>()
    };
    assert!(told(&events).len() > 1, "{events:?}");
    assert_eq!(told(&prompts.until("closed").await), ["client"]);
    let refused = Ask::get("/_aiproxy/events?bodies=all").whole(&server).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("no list of stages (client, "),
        "{}",
        refused.text()
    );
    let events = raw.until("closed").await;
    let bytes = events.iter().find(|event| event["type"] == "raw").unwrap();
    assert_eq!(bytes["text"], completion("fine"));
}

#[tokio::test]
async fn ten_streams_at_once_are_told_exactly() {
    let upstream = Upstream::playing(|mut call| async move {
        let name = call.text();
        let name = name
            .split("stream ")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        call.write(STREAM_HEAD).await;
        call.write(role()).await;
        for word in 0..50 {
            call.write(delta(&format!("{name}:{word} "))).await;
            tokio::task::yield_now().await;
        }
        call.write([stop(), DONE.into()].concat()).await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut tail = Tail::of(&server, "", None).await;
    let asks = (0..10).map(|number| {
        let ask = streaming(&format!("stream {number}"));
        let server = &server;
        async move { ask.whole(server).await }
    });
    futures_util::future::join_all(asks).await;
    let mut events = Vec::new();
    for _ in 0..10 {
        events.extend(tail.until("closed").await);
    }
    let mut last = 0;
    for event in &events {
        assert!(event["seq"].as_u64().unwrap() > last);
        last = event["seq"].as_u64().unwrap();
    }
    for number in 0..10 {
        let prompt = Value::from(format!("stream {number}"));
        let closed = events
            .iter()
            .find(|event| event["summary"]["prompt"] == prompt);
        let id = closed.unwrap()["exchange"].clone();
        let own: Vec<Value> = events
            .iter()
            .filter(|event| event["exchange"] == id)
            .cloned()
            .collect();
        let expected: String = (0..50).map(|word| format!("{number}:{word} ")).collect();
        assert_eq!(said(&own), expected);
    }
}

#[tokio::test]
async fn readers_do_not_hold_up_the_end() {
    let server = Server::setup()
        .built_in("mock")
        .args(["--drain", "20"])
        .start();
    let mut tail = Tail::of(&server, "", None).await;
    let began = std::time::Instant::now();
    server.process.signal("TERM");
    while tail.reply.piece().await.is_some() {}
    server.process.end().exits(0);
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

/// Counting takes a while, and is nothing that a request's own thread does.
#[tokio::test]
async fn tokens_that_nobody_counted_are_counted_for_the_reader() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        let parts = [
            role(),
            delta("so many"),
            delta(" words"),
            stop(),
            DONE.into(),
        ];
        call.write(parts.concat()).await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut tail = Tail::of(&server, "", None).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        streaming("how many?").reply(&server).await.whole().await;
        let events = tail.until("closed").await;
        let closed = events.last().unwrap();
        assert_eq!(closed["summary"]["usage"]["estimated"], true, "{closed}");
        assert_eq!(
            closed["summary"]["usage"]["completion_tokens"], 3,
            "{closed}"
        );
        numbers.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
}
