use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::{
    exchange::{
        Address, Found, Head, Heard, Ledger, Recorder,
        told::{Detail, What},
    },
    llm::{Event, Finish, Kind},
};

const MEMORY: usize = 1 << 20;

fn request(recorder: &mut Recorder, stage: Stage, body: &'static str) {
    let (method, headers) = (Method::POST, HeaderMap::new());
    recorder.stage(stage, &Bytes::from_static(body.as_bytes()), || Head {
        method: Some(&method),
        url: Some(Address::Text("/chat/completions?tok=abc".into())),
        status: None,
        headers: &headers,
        secrets: Default::default(),
    });
}

fn text(part: u32, text: &str) -> Event<'_> {
    Event::Text {
        part,
        text: text.into(),
    }
}

const BODY: &str = r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"What is\n  up?"}]}]}"#;

/// An exchange whose answer is streamed in these pieces.
fn streamed(ledger: &Arc<Ledger>, pieces: &[&str]) -> String {
    let mut recorder = ledger.open("p".into());
    recorder.received(None, &Method::POST, "/p/v1/chat/completions");
    request(&mut recorder, Stage::Client, BODY);
    recorder.routed("openai", "llm/v1/chat", "gpt");
    recorder.planned(true, (Some(1.0), Some(2.0)));
    request(&mut recorder, Stage::Sent, BODY);
    recorder.sent();
    recorder.answered(200, None);
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_static("b"));
    recorder.streams(Stage::Received, || Head::answer(StatusCode::OK, &headers));
    recorder.observe(&Event::Open {
        part: 0,
        choice: 0,
        kind: Kind::Text,
    });
    recorder.passes(Stage::Returned, Stage::Received, || {
        Head::answer(StatusCode::OK, &headers)
    });
    recorder.responding(200);
    for piece in pieces {
        recorder.chunk(format!("data: {piece}\n\n").as_bytes());
        recorder.observe(&text(0, piece));
    }
    recorder.observe(&Event::Close { part: 0 });
    recorder.observe(&Event::Finish {
        choice: 0,
        reason: Finish::Stop,
    });
    recorder.observe(&Event::Usage(Usage {
        input: 10,
        output: 5,
        ..Usage::default()
    }));
    recorder.observe(&Event::End);
    let id = recorder.id().to_string();
    recorder.close();
    id
}

fn get(ledger: &Ledger, id: &str) -> Detail {
    match ledger.find(id) {
        Found::One(detail) => *detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exchange_is_told_with_all_its_stages() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let id = streamed(&ledger, &["Not", " much"]);
    let detail = get(&ledger, id.get(..4).unwrap());
    let summary = &detail.summary;
    assert_eq!(
        (summary.outcome.as_str(), summary.status),
        ("ok", Some(200))
    );
    assert_eq!(
        (summary.prompt.as_str(), summary.answer.as_str()),
        ("What is up?", "Not much")
    );
    assert_eq!(summary.cost, Some(20e-6));
    let stages: Vec<_> = detail
        .rest
        .stages
        .iter()
        .map(|stage| stage.stage.as_str())
        .collect();
    assert_eq!(stages, ["client", "sent", "received", "returned"]);
    assert_eq!(
        detail.stage("sent").unwrap().same_as.as_deref(),
        Some("client")
    );
    assert_eq!(detail.body("sent").unwrap(), BODY.as_bytes());
    assert_eq!(
        detail.body("returned").unwrap(),
        b"data: Not\n\ndata:  much\n\n"
            .trim_ascii_end()
            .iter()
            .copied()
            .chain(*b"\n\n")
            .collect::<Vec<u8>>()
    );
    assert_eq!(detail.rest.chunks.len(), 2);
    assert_eq!(detail.rest.parts[0].text, "Not much");
    let events: Vec<_> = detail
        .rest
        .events
        .iter()
        .map(|event| event.what.as_str())
        .collect();
    assert_eq!(events, ["open", "text", "text", "close", "finish", "usage"]);
    // What was told can be read.
    let json = serde_json::to_string(&detail).unwrap();
    assert_eq!(Detail::parse(&json).unwrap().summary, detail.summary);
}

#[test]
fn what_was_left_out_of_a_stream_is_left_out() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let mut recorder = ledger.open("p".into());
    let headers = HeaderMap::new();
    recorder.streams(Stage::Received, || Head::answer(StatusCode::OK, &headers));
    recorder.passes(Stage::Returned, Stage::Received, || {
        Head::answer(StatusCode::OK, &headers)
    });
    recorder.chunk(b"one usage three");
    recorder.edited(4, 6, b"");
    recorder.edited(15, u64::MAX, b"!");
    recorder.close();
    let detail = get(&ledger, "last");
    assert_eq!(detail.body("received").unwrap(), b"one usage three");
    assert_eq!(detail.body("returned").unwrap(), b"one three!");
    assert_eq!(detail.stage("returned").unwrap().size, 10);
}

#[test]
fn secrets_are_in_nothing_that_is_told() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    ledger.hide_value("sk-verysecret");
    let id = streamed(
        &ledger,
        &["the key sk-very", "secret is", " sk-verysecret."],
    );
    let detail = get(&ledger, &id);
    assert_eq!(detail.rest.parts[0].text, "the key *** is ***.");
    let texts: Vec<_> = detail
        .rest
        .events
        .iter()
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(texts[1..4], ["the key ***", " is", " ***."]);
    // Nobody finds it in the stream's bytes, but it is there.
    let received = String::from_utf8(detail.body("received").unwrap()).unwrap();
    assert!(received.starts_with("[withheld"), "{received}");
    let json = serde_json::to_string(&detail).unwrap();
    assert!(!json.contains("verysecret"));
    let (listed, _) = ledger.list(&Filter::default(), 10);
    assert_eq!(listed[0].answer, "the key *** is ***.");
}

#[test]
fn the_parameter_of_the_key_is_hidden_in_what_the_client_sent() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let mut recorder = ledger.open("p".into());
    recorder.key_param("tok");
    request(
        &mut recorder,
        Stage::Client,
        r#"{"tok": "mine", "a": "mine"}"#,
    );
    recorder.close();
    let detail = get(&ledger, "last");
    let client = detail.stage("client").unwrap();
    assert_eq!(
        client.url.as_deref(),
        Some("/chat/completions?tok=(secret)")
    );
    let body = String::from_utf8(detail.body("client").unwrap()).unwrap();
    assert!(body.starts_with(r#"{"tok": "(secret)""#), "{body}");
}

#[test]
fn trap_2_14_the_oldest_go_where_memory_ends() {
    let ledger = Ledger::keeping(Vec::new(), 16_000);
    let ids: Vec<String> = (0..40).map(|_| streamed(&ledger, &["x"; 20])).collect();
    let (listed, more) = ledger.list(&Filter::default(), 1000);
    assert!(!more && listed.len() < 30, "{}", listed.len());
    assert_eq!(listed[0].id, ids[39]);
    assert!(matches!(ledger.find(&ids[0]), Found::None));
    // One that is too large alone is not kept whole, and is told as such.
    let mut recorder = ledger.open("p".into());
    let headers = HeaderMap::new();
    recorder.streams(Stage::Received, || Head::answer(StatusCode::OK, &headers));
    for number in 0..4000_u64 {
        let noise = format!("{:x}{:x}", number * 7_919_777_u64, number * 104_729);
        recorder.chunk(noise.repeat(3).as_bytes());
    }
    let id = recorder.id().to_string();
    let live = get(&ledger, &id);
    assert_eq!(live.summary.outcome, "live");
    assert!(live.stage("received").unwrap().truncated);
    recorder.close();
    assert_eq!(ledger.live(), 0);
}

#[test]
fn trap_2_14_what_is_under_way_is_kept_while_the_oldest_go() {
    let ledger = Ledger::keeping(Vec::new(), 256 << 10);
    let body = Bytes::from("x".repeat(2000));
    // Several at once, and the memory full all the time.
    let work = || {
        let (method, headers) = (Method::POST, HeaderMap::new());
        for _ in 0..5000 {
            let mut recorder = ledger.open("p".into());
            recorder.stage(Stage::Client, &body, || Head {
                method: Some(&method),
                url: Some(Address::Text("/".into())),
                status: None,
                headers: &headers,
                secrets: Default::default(),
            });
            assert_eq!(recorder.copy().body(Stage::Client).unwrap(), *body);
            recorder.close();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let (listed, _) = ledger.list(&Filter::default(), 1000);
    assert!((50..150).contains(&listed.len()), "{}", listed.len());
}

#[test]
fn pages_follow_each_other() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let ids: Vec<String> = (0..5).map(|_| streamed(&ledger, &["x"])).collect();
    let filter = Filter {
        before: Some(ids[3].clone()),
        limit: Some(2),
        ..Filter::default()
    };
    let (page, more) = ledger.list(&filter, 1000);
    let page: Vec<_> = page.into_iter().map(|summary| summary.id).collect();
    assert_eq!(page, [ids[2].clone(), ids[1].clone()]);
    assert!(more);
    for (query, expected) in [
        ("grep=BRIEF", 5),
        ("grep=nothing", 0),
        ("model=GP", 5),
        ("failed=1", 0),
    ] {
        let filter = Filter::of_query(Some(query)).unwrap();
        assert_eq!(ledger.list(&filter, 1000).0.len(), expected, "{query}");
    }
}

#[test]
fn a_listener_that_comes_back_misses_nothing() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let first = streamed(&ledger, &["one"]);
    let (listener, backlog) = ledger.listen(false, None);
    assert!(backlog.is_empty());
    let live = ledger.open("p".into());
    live.received(None, &Method::GET, "/p");
    live.observe(&text(0, "live"));
    let mut last = 0;
    while let Some(Heard::Notice(notice)) = listener.try_next() {
        last = notice.seq;
    }
    assert!(last > 0);
    drop(listener);
    let second = streamed(&ledger, &["two", "three"]);
    live.observe(&text(0, " still"));
    let (_listener, missed) = ledger.listen(false, Some(last));
    assert!(
        missed
            .iter()
            .all(|notice| notice.seq > last && notice.name() != first)
    );
    assert!(missed.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let said: Vec<_> = missed
        .iter()
        .filter_map(|notice| match &notice.what {
            What::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["two", "three", " still"]);
    assert!(
        missed
            .iter()
            .any(|notice| notice.name() == second && matches!(notice.what, What::Closed { .. }))
    );
    // A new one gets all of what is under way.
    let (_other, begun) = ledger.listen(false, None);
    assert!(
        begun
            .iter()
            .all(|notice| notice.name() == live.id().as_str())
    );
    assert_eq!(begun.len(), 3);
    // Numbers of another process begin anew.
    let (_again, all) = ledger.listen(false, Some(u64::MAX));
    assert!(all.iter().any(|notice| notice.name() == first));
}

#[test]
fn what_was_forgotten_is_told_as_lost() {
    let ledger = Ledger::keeping(Vec::new(), 20_000);
    for _ in 0..40 {
        streamed(&ledger, &["x"; 20]);
    }
    let (_listener, missed) = ledger.listen(false, Some(1));
    assert!(matches!(missed[0].what, What::Lost { events } if events > 1));
}

#[test]
fn the_last_question_is_found_in_every_format() {
    for (body, expected) in [
        (r#"{"prompt":"a  b"}"#, "a b"),
        (r#"{"prompt":["a","b"]}"#, "a b"),
        (r#"{"input":"text"}"#, "text"),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"x"}]}]}"#,
            "x",
        ),
        (
            r#"{"contents":[{"role":"user","parts":[{"text":"g"}]},{"role":"model","parts":[{"text":"h"}]}]}"#,
            "g",
        ),
        (
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]}"#,
            "q",
        ),
        (r#"{"message":"c"}"#, "c"),
        ("no json", ""),
    ] {
        assert_eq!(last_asked(body.as_bytes()), expected, "{body}");
    }
    let long = format!(r#"{{"prompt":"{}"}}"#, "é ".repeat(300));
    assert_eq!(last_asked(long.as_bytes()).chars().count(), EXCERPT + 1);
}

/// Says a whole answer's body as one text.
struct Plain;

impl crate::llm::Tells for Plain {
    fn tell(&self, body: &[u8], sink: &mut dyn crate::llm::Sink) {
        let text = String::from_utf8_lossy(body);
        sink.event(Event::Start {
            id: "a1".into(),
            model: "gpt-1".into(),
            created: None,
            fingerprint: None,
        });
        sink.event(Event::Open {
            part: 0,
            choice: 0,
            kind: Kind::Text,
        });
        sink.event(self::text(0, &text));
        sink.event(Event::Close { part: 0 });
    }
}

/// An exchange whose answer is whole, and goes on as it came.
fn answered(ledger: &Arc<Ledger>, body: &'static str) -> String {
    let mut recorder = ledger.open("p".into());
    recorder.received(None, &Method::POST, "/p/v1/chat/completions");
    request(&mut recorder, Stage::Client, BODY);
    recorder.sent();
    let (body, headers) = (Bytes::from_static(body.as_bytes()), HeaderMap::new());
    recorder.stage(Stage::Received, &body, || {
        Head::answer(StatusCode::OK, &headers)
    });
    let told = recorder.hear(&Plain, |sink| {
        crate::llm::Tells::tell(&Plain, &body, sink);
        Ok::<(), ()>(())
    });
    assert_eq!(told, Ok(()));
    recorder.passes(Stage::Returned, Stage::Received, || {
        Head::answer(StatusCode::OK, &headers)
    });
    let id = recorder.id().to_string();
    recorder.close();
    id
}

#[test]
fn what_a_whole_answer_says_is_told_from_its_body() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    let (first, _) = ledger.listen(false, None);
    let heard = answered(&ledger, "hello there");
    let mut live = Vec::new();
    while let Some(Heard::Notice(notice)) = first.try_next() {
        live.push(notice);
    }
    drop(first);
    let seen = live.last().unwrap().seq;
    let unheard = answered(&ledger, "hello again");
    for (id, text) in [(heard, "hello there"), (unheard.clone(), "hello again")] {
        let detail = get(&ledger, &id);
        assert_eq!(detail.summary.answered_by, "gpt-1");
        let said: Vec<_> = detail.rest.parts.iter().map(|part| &part.text).collect();
        assert_eq!(said, [text]);
        assert_eq!(detail.rest.events.len(), 3);
    }
    // Whoever comes back hears the same as if it had stayed: each with a number of its own, in order.
    let (_, missed) = ledger.listen(false, Some(seen));
    let missed: Vec<_> = missed
        .iter()
        .filter(|notice| notice.name() == unheard)
        .collect();
    let kinds = |notices: &[&Arc<crate::exchange::Happened>]| -> Vec<std::mem::Discriminant<What>> {
        let kinds = notices
            .iter()
            .map(|notice| std::mem::discriminant(&notice.what));
        kinds.collect()
    };
    assert_eq!(kinds(&missed), kinds(&live.iter().collect::<Vec<_>>()));
    assert!(missed.is_sorted_by(|one, next| one.seq < next.seq));
    assert!(missed.first().unwrap().seq > seen);
}

#[test]
fn nothing_of_an_exchange_is_in_the_next_that_uses_its_memory() {
    let ledger = Ledger::keeping(Vec::new(), MEMORY);
    streamed(&ledger, &["one", "two"]);
    answered(&ledger, "three");
    let mut refused = ledger.open("p".into());
    refused.warn("dropped:logprobs".into());
    refused.key_param("tok");
    refused.record();
    refused.refused(502, 7, "it broke");
    let next = ledger.open("q".into());
    let copy = next.copy();
    let fresh = Exchange::named(copy.id, "q".into(), copy.began);
    let plain = |exchange: &Exchange| {
        let mut exchange = exchange.clone();
        exchange.blank.clear();
        format!("{exchange:?}")
    };
    assert_eq!(plain(&copy), plain(&fresh));
    let fields =
        crate::exchange::Fields::into(b"left from before".to_vec(), &HeaderMap::new(), &[]);
    assert_eq!(fields.iter().count(), 0);
}
