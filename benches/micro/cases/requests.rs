//! What is done to each request, and what is kept of it.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aiproxy::{
    exchange::{
        Ended, Found, Head, Heard, Ledger, Listener, Measured, Metrics, Recorder, Redactor, Stage,
        price,
        told::{Detail, What},
    },
    llm::Usage,
    profile::Places,
    server::Served,
    wire::envelope::Envelope,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::{Case, Run};
use crate::streams;

/// Enough for some hundred exchanges.
const MEMORY: usize = 1 << 20;

/// So many fill it: from then on, the oldest make room.
const FILL: usize = 1_000;

/// Secrets of a profile as they are known in requests.
const SECRETS: [&str; 3] = [
    "Bearer sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z",
    "sk-ant-api03-Zy9xWv6uTs3rQp0oNm7lKj4iHg1f",
    "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
];

pub(super) fn all() -> Vec<Case> {
    vec![
        envelope("200-kb", 200 << 10).runs(40),
        envelope("1-mb", 1 << 20).runs(10),
        find().runs(20_000),
        read(),
        redact("token", 200, false),
        redact("body-4-kb", 4 << 10, false),
        redact("body-4-kb-found", 4 << 10, true),
        events("event", 0).runs(200),
        events("event-3-readers", 3).runs(200),
        chunks().runs(200),
        price_list().runs(20_000),
        price_profile().runs(20_000),
        metrics().runs(2_000),
    ]
}

/// A conversation of about so many bytes, as coding agents send them.
fn body(length: usize) -> Bytes {
    let text =
        "    let answer = client.send(&request).await?;\n    println!(\"{}\", answer.status());\n"
            .repeat(24);
    let mut messages = vec![json!({"role": "system", "content": "You are a careful programmer."})];
    let one = json!({"role": "user", "content": text});
    let count = length / one.to_string().len();
    messages.extend((0..count).map(|_| one.clone()));
    let body = json!({"model": "gpt-5-mini", "messages": messages, "temperature": 0.2, "stream": true, "tools": [], "user": "someone"});
    body.to_string().into()
}

/// What a request to a provider of the client's own format goes through.
fn envelope(name: &str, length: usize) -> Case {
    const MODEL: &str = "gpt-5-mini-2026-01-01";
    let yields = move || {
        let body = body(length);
        assert!(body.len() > length - length / 20, "{}", body.len());
        let added =
            MODEL.len() - "gpt-5-mini".len() + ",\"stream_options\":{\"include_usage\":true}".len();
        body.len() + added - ",\"user\":\"someone\"".len()
    };
    Case::new(format!("envelope/{name}"), 1, yields, move || -> Run {
        let body = body(length);
        Box::new(move || {
            let mut envelope = Envelope::parse(&body).unwrap();
            envelope.set("model", MODEL).unwrap();
            envelope
                .set("stream_options", &json!({"include_usage": true}))
                .unwrap();
            envelope.remove("user");
            envelope.finish(&body).len()
        })
    })
}

/// A profile of those that are served, as each request looks for it.
fn find() -> Case {
    Case::new(
        "profile/find",
        1,
        || 1,
        || {
            let profiles = Places::default().load_all().into_iter();
            let profiles = profiles.map(|loaded| Arc::new(loaded.result.unwrap()));
            let served = Served::new(profiles.collect());
            Box::new(move || usize::from(served.find(black_box("mistral")).is_some()))
        },
    )
}

/// A profile read from its text, as at the start and when a file changes.
fn read() -> Case {
    let read = || {
        let profile = Places::default().load(black_box("mistral")).unwrap();
        usize::from(&*profile.name == "mistral")
    };
    Case::new("profile/read", 1, || 1, move || Box::new(read)).runs(100)
}

/// A text without its secrets.
fn redact(name: &str, length: usize, found: bool) -> Case {
    let text = move || {
        let words = streams::text();
        let mut text: String = words.chars().cycle().take(length).collect();
        if found {
            text.insert_str(length / 2, SECRETS[1]);
        }
        text
    };
    let yields = move || text().replace(SECRETS[1], "***").len();
    let case = Case::new(format!("redact/{name}"), 1, yields, move || -> Run {
        let (redactor, text) = (Redactor::new(SECRETS), text());
        Box::new(move || {
            // As far as it can be told while more follows, as readers of events get it.
            let settled = redactor.settled(black_box(&text));
            redactor.redact(&text[..settled]).len()
        })
    });
    case.runs(200)
}

/// An exchange whose answer streams, in what keeps exchanges and tells those who listen.
fn exchange(ledger: &Arc<Ledger>, headers: &HeaderMap, stream: impl FnOnce(&Recorder)) {
    let mut recorder = ledger.open("openai".into());
    recorder.received(None, &Method::POST, "/openai/v1/chat/completions");
    recorder.routed("openai", "llm/v1/chat", "gpt-5-mini");
    recorder.planned(true, (None, None));
    recorder.sent();
    recorder.answered(200, None);
    recorder.streams(Stage::Received, || Head::answer(StatusCode::OK, headers));
    recorder.passes(Stage::Returned, Stage::Received, || {
        Head::answer(StatusCode::OK, headers)
    });
    recorder.responding(200);
    stream(&recorder);
    recorder.close();
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("date", "Tue, 10 Nov 2026 09:08:07 GMT"),
        ("x-request-id", "req_0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
        ("openai-processing-ms", "312"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// Bytes of text that a listener was told.
fn heard(listener: &Listener) -> usize {
    let mut bytes = 0;
    while let Some(heard) = listener.try_next() {
        match heard {
            Heard::Notice(notice) => {
                if let What::Text { text, .. } = &notice.what {
                    bytes += text.len();
                }
            }
            Heard::Lost(_) | Heard::End => panic!("a listener lost something"),
        }
    }
    bytes
}

/// A run on a ledger that is as full as it may be.
fn filled(ledger: &Arc<Ledger>, mut run: impl FnMut() -> usize + 'static) -> (Detail, Run) {
    for _ in 0..FILL {
        run();
    }
    match ledger.find("last") {
        Found::One(detail) => (*detail, Box::new(run)),
        other => panic!("{other:?}"),
    }
}

/// The events of an answer, kept, and told to so many.
fn events(name: &str, readers: usize) -> Case {
    let units = streams::events().len();
    let yields = move || match readers {
        0 => units,
        _ => readers * streams::text().len(),
    };
    Case::new(format!("record/{name}"), units, yields, move || {
        let ledger = Ledger::keeping(Vec::new(), MEMORY);
        let (headers, events) = (headers(), streams::events());
        let listen = |_| ledger.listen(false, None).0;
        let listeners: Vec<Listener> = (0..readers).map(listen).collect();
        let writes = Arc::clone(&ledger);
        let (detail, run) = filled(&ledger, move || {
            exchange(&writes, &headers, |recorder| {
                for event in &events {
                    recorder.observe(event);
                }
            });
            match listeners.as_slice() {
                [] => events.len(),
                all => all.iter().map(heard).sum(),
            }
        });
        assert_eq!(detail.rest.parts[0].text, streams::text());
        run
    })
}

/// The bytes of an answer, kept, on their way to the client.
fn chunks() -> Case {
    let stream = streams::openai_chat();
    let chunks = stream.chunks();
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    Case::new(
        "record/chunk",
        chunks.len(),
        move || bytes,
        move || {
            let ledger = Ledger::keeping(Vec::new(), MEMORY);
            let (headers, sent) = (headers(), chunks.clone());
            let writes = Arc::clone(&ledger);
            let (detail, run) = filled(&ledger, move || {
                exchange(&writes, &headers, |recorder| {
                    for chunk in &sent {
                        recorder.chunk(chunk);
                        recorder.passed(chunk);
                    }
                });
                sent.iter().map(Bytes::len).sum()
            });
            assert_eq!(detail.body("received").unwrap(), chunks.concat());
            run
        },
    )
}

fn usage() -> Usage {
    Usage {
        input: 1_200,
        cache_read: 300,
        output: 400,
        reasoning: 100,
        ..Usage::default()
    }
}

/// The cost of an answer, in units small enough to be whole ones.
fn price(configured: (Option<f64>, Option<f64>), list: Option<price::Rates>) -> usize {
    let cost = price::of(black_box(&usage()), configured, list);
    cost.map_or(0, |(cost, _)| (cost * 1e9).round() as usize)
}

/// By the list, of a model's dated name.
fn price_list() -> Case {
    let run = || {
        let (host, model) = ("api.anthropic.com", "claude-sonnet-4-5-20250929");
        let rates = price::list(black_box(host), black_box(model), SystemTime::UNIX_EPOCH);
        price((None, None), rates)
    };
    // 3 dollars, 0.3 from the cache, 15 for the answer.
    let yields = || 1_200 * 3_000 + 300 * 300 + 400 * 15_000;
    Case::new("price/list", 1, yields, move || Box::new(run))
}

/// By a profile.
fn price_profile() -> Case {
    let run = || price(black_box((Some(2.0), Some(8.0))), None);
    let yields = || 1_500 * 2_000 + 400 * 8_000;
    Case::new("price/profile", 1, yields, move || Box::new(run))
}

/// What metrics count of one request that was answered.
fn metrics() -> Case {
    let served = || {
        let metrics = Metrics::default();
        metrics.serve(["gpt", "mock"]);
        metrics
    };
    let count = |metrics: &Metrics| {
        metrics.opened(black_box("gpt"));
        metrics.closed(&Measured {
            profile: black_box("gpt"),
            provider: "openai",
            operation: "llm/v1/chat",
            status: Some(200),
            ended: Ended::Ok,
            error: None,
            usage: Some(usage()),
            cost: Some(0.1),
            took: Duration::from_millis(1_200),
            first_token: Some(Duration::from_millis(20)),
            stream: true,
        });
        1
    };
    let yields = move || {
        let metrics = served();
        let counted = count(&metrics);
        let text = metrics.text();
        assert!(
            text.contains("aiproxy_request_duration_seconds_count{"),
            "{text}"
        );
        counted
    };
    Case::new("metrics/request", 1, yields, move || -> Run {
        let metrics = served();
        Box::new(move || count(&metrics))
    })
}
