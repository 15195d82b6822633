use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::*;
use crate::{
    exchange::{
        Address, Head, Ledger,
        stages::{Body, Edit},
    },
    llm::{Event, Finish, Kind, Usage},
};

/// An exchange with something of everything, as it ends.
fn exchange() -> Exchange {
    let ledger = Ledger::keeping(Vec::new(), 1 << 20);
    let mut recorder = ledger.open("p".into());
    let mut headers = HeaderMap::new();
    headers.insert("x-one", HeaderValue::from_static("1"));
    headers.append("x-one", HeaderValue::from_bytes(b"\xff").unwrap());
    let method = Method::POST;
    let body = Bytes::from_static(b"{\"a\":1}");
    recorder.stage(Stage::Client, &body, || Head {
        method: Some(&method),
        url: Some(Address::Text("/v1/chat?x=1".into())),
        status: None,
        headers: &headers,
        secrets: Default::default(),
    });
    let uri = Uri::from_static("https://api.example:8443/v1/chat");
    recorder.stage(Stage::Sent, &body, || Head {
        method: Some(&method),
        url: Some(Address::masked(&uri, &[])),
        status: None,
        headers: &headers,
        secrets: Default::default(),
    });
    recorder.streams(Stage::Received, || Head::answer(StatusCode::OK, &headers));
    for piece in ["data: a\n\n", "data: ab\n\n", "data: ac\n\n"] {
        recorder.chunk(piece.as_bytes());
    }
    recorder.passes(Stage::Returned, Stage::Received, || {
        Head::answer(StatusCode::OK, &headers)
    });
    recorder.edited(3, 2, b"put");
    let tool = Kind::ToolCall {
        id: "c1".into(),
        name: "f".into(),
    };
    for event in [
        Event::Open {
            part: 0,
            choice: 0,
            kind: Kind::Text,
        },
        Event::Text {
            part: 0,
            text: "hé".into(),
        },
        Event::Close { part: 0 },
        Event::Open {
            part: 1,
            choice: 2,
            kind: tool,
        },
        Event::Finish {
            choice: 2,
            reason: Finish::Length,
        },
        Event::Usage(Usage::default()),
    ] {
        recorder.observe(&event);
    }
    recorder.warn("dropped:logprobs".into());
    recorder.routed("openai", "llm/v1/chat", "gpt-5");
    recorder.key_param("token");
    recorder.planned(true, (Some(0.5), None));
    recorder.sent();
    recorder.answered(200, Some((Duration::from_micros(7), 2)));
    recorder.responding(200);
    let mut exchange = recorder.copy();
    exchange.client = Some(IpAddr::from([127, 0, 0, 1]));
    exchange.outcome = Outcome::Failed("it broke".into());
    exchange.usage = Some(Usage {
        input: 1,
        cache_read: 2,
        cache_write: 300,
        output: 4,
        reasoning: 5,
        input_audio: 6,
        output_audio: 7,
        estimated: true,
    });
    exchange.request_size = Some(Arc::new(AtomicU64::new(99)));
    exchange
}

/// All that a record says.
fn said(exchange: &Exchange) -> String {
    let stages = exchange.stages.iter().map(|held| {
        let body = match &held.body {
            Body::Whole(kept) => format!("{:?} {}", kept.bytes(), kept.is_cut()),
            Body::Pieces(pieces) => format!("{:?} {}", pieces.joined(), pieces.whole()),
            Body::Same(stage) => format!("{stage:?}"),
            Body::Edited(stage, edits) => format!("{stage:?} {edits:?}"),
        };
        let url = held.url.as_ref().map(|url| url.text().into_owned());
        format!(
            "{:?} {} {} {:?} {url:?} {:?} {:?} {body}",
            held.stage, held.seq, held.at, held.method, held.status, held.headers
        )
    });
    let spoken: Vec<String> = exchange
        .spoken
        .events()
        .map(|spoke| format!("{spoke:?}"))
        .collect();
    let mut rest = exchange.clone();
    (rest.stages, rest.spoken) = (Vec::new(), Spoken::default());
    // What it weighs is known elsewhere.
    (rest.held, rest.uncounted) = (0, 0);
    let rest = format!("{rest:?}");
    stages
        .chain(spoken)
        .chain([rest])
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_is_packed_comes_back() {
    let exchange = exchange();
    assert_eq!(exchange.stages.len(), 4);
    assert!(matches!(
        &exchange.stages[3].body,
        Body::Edited(Stage::Received, edits) if edits == &[Edit { at: 3, cut: 2, put: "put".into() }]
    ));
    let before = said(&exchange);
    for part in [
        "https://api.example:8443/v1/chat",
        "it broke",
        "dropped:logprobs",
    ] {
        assert!(before.contains(part), "{before}");
    }
    let mut shelf = Shelf::default();
    let common = Common::of(&exchange);
    let weight = exchange.weight();
    let slot = shelf.put(&exchange, weight).unwrap();
    assert!(
        slot.length() < weight + BESIDE,
        "{} of {weight}",
        slot.length()
    );
    assert_eq!(said(&shelf.whole(slot, &common).unwrap()), before);
}

#[test]
fn the_oldest_memory_is_used_again() {
    let mut shelf = Shelf::default();
    let mut kept = VecDeque::new();
    let mut template = exchange();
    let common = Common::of(&template);
    for round in 0..20_000 {
        template.took = Duration::from_micros(round);
        kept.push_back((round, shelf.put(&template, template.weight()).unwrap()));
        if kept.len() > 4_000 {
            shelf.forget(kept.pop_front().unwrap().1);
        }
    }
    let segments = shelf.segments.len();
    assert!((2..6).contains(&segments), "{segments}");
    for (round, slot) in [kept.front().unwrap(), kept.back().unwrap()] {
        template.took = Duration::from_micros(*round);
        assert_eq!(said(&shelf.whole(*slot, &common).unwrap()), said(&template));
    }
    let (_, first) = kept.pop_front().unwrap();
    for (_, slot) in kept.drain(..) {
        shelf.forget(slot);
    }
    shelf.forget(first);
    assert_eq!(shelf.segments.len(), 1);
    // What is forgotten is not found, and never somebody else's.
    assert!(shelf.whole(first, &common).is_none());
}

#[test]
fn what_is_broken_is_nothing() {
    let mut packed = Vec::new();
    let template = exchange();
    write(&template, &mut packed);
    let common = Common::of(&template);
    for length in 0..packed.len() {
        assert!(read(&common, &packed[..length]).is_none(), "{length}");
    }
}

#[test]
fn a_call_of_an_llm_stays_as_it_is() {
    let mut shelf = Shelf::default();
    let mut exchange = exchange();
    exchange.calls.push(crate::exchange::LlmCall::default());
    assert!(shelf.put(&exchange, 100).is_none());
    exchange.calls.clear();
    assert!(shelf.put(&exchange, MOST).is_none());
    assert!(shelf.put(&exchange, 100).is_some());
}
