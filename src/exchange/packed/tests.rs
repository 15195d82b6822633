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
        secrets: Vec::new(),
    });
    let uri = Uri::from_static("https://api.example:8443/v1/chat");
    recorder.stage(Stage::Sent, &body, || Head {
        method: Some(&method),
        url: Some(Address::masked(&uri, &[])),
        status: None,
        headers: &headers,
        secrets: Vec::new(),
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
    recorder.copy()
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
    stages.chain(spoken).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_packed_comes_back() {
    let mut exchange = exchange();
    assert_eq!(exchange.stages.len(), 4);
    assert!(matches!(
        &exchange.stages[3].body,
        Body::Edited(Stage::Received, edits) if edits == &[Edit { at: 3, cut: 2, put: "put".into() }]
    ));
    let before = said(&exchange);
    assert!(
        before.contains("https://api.example:8443/v1/chat"),
        "{before}"
    );
    let mut shelf = Shelf::default();
    shelf.put(&mut exchange);
    assert!(exchange.stages.is_empty() && exchange.slot.is_some());
    let whole = shelf.whole(&exchange).unwrap();
    assert_eq!(said(&whole), before);
    assert!(whole.slot.is_none());
}

#[test]
fn the_oldest_memory_is_used_again() {
    let mut shelf = Shelf::default();
    let mut kept = VecDeque::new();
    let template = exchange();
    let before = said(&template);
    for round in 0..20_000 {
        let mut next = template.clone();
        next.took = Duration::from_micros(round);
        shelf.put(&mut next);
        kept.push_back(next);
        if kept.len() > 4_000 {
            shelf.forget(&kept.pop_front().unwrap());
        }
    }
    let segments = shelf.segments.len();
    assert!((2..6).contains(&segments), "{segments}");
    for exchange in [kept.front().unwrap(), kept.back().unwrap()] {
        assert_eq!(said(&shelf.whole(exchange).unwrap()), before);
    }
    let first = kept.pop_front().unwrap();
    for exchange in kept.drain(..) {
        shelf.forget(&exchange);
    }
    shelf.forget(&first);
    assert_eq!(shelf.segments.len(), 1);
    // What is forgotten is not found, and never somebody else's.
    assert!(shelf.whole(&first).is_none());
}

#[test]
fn what_is_broken_is_nothing() {
    let mut packed = Vec::new();
    let template = exchange();
    write(&template, &mut packed);
    for length in 0..packed.len() {
        let mut into = template.clone();
        assert!(read(&mut into, &packed[..length]).is_none(), "{length}");
    }
}
