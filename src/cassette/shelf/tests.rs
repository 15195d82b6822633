use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::cassette::{DEFAULT, file::Head, ignore::Ignore};

fn line(url: &str, body: &serde_json::Value, answer: &str) -> Line {
    serde_json::from_value(json!({
        "profile": "up", "client": {"method": "POST", "url": "/up/v1/chat/completions"},
        "sent": {"method": "POST", "url": url, "body": body},
        "received": {"status": 200, "chunks": [{"at_ms": 0.0, "text": answer}]},
    }))
    .unwrap()
}

fn shelf(lines: Vec<Line>) -> Cassettes {
    Cassettes::new(vec![Cassette {
        path: PathBuf::from("t.jsonl"),
        head: Head::default(),
        ignore: Ignore::read(DEFAULT).unwrap(),
        lines: lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| (index + 2, line))
            .collect(),
    }])
}

fn ask(
    shelf: &Cassettes,
    boundary: Boundary,
    url: &str,
    body: &serde_json::Value,
) -> Result<String, String> {
    let asked = Asked {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("user-agent".into(), "x".into())],
        body: body.to_string().into(),
    };
    let found = shelf.find(boundary, &asked)?;
    Ok(String::from_utf8(found.response().body()).unwrap())
}

const URL: &str = "https://api.example/v1/chat/completions";

fn says(text: &str) -> serde_json::Value {
    json!({"model": "m1", "messages": [{"role": "user", "content": text}]})
}

#[test]
fn recordings_of_one_request_answer_in_order_and_the_last_goes_on() {
    let shelf = shelf(vec![
        line(URL, &says("a"), "1"),
        line(URL, &says("b"), "other"),
        line(URL, &says("a"), "2"),
    ]);
    let ask = || ask(&shelf, Boundary::Upstream, URL, &says("a")).unwrap();
    assert_eq!([ask(), ask(), ask(), ask()], ["1", "2", "2", "2"]);
}

#[test]
fn what_was_just_recorded_answers_from_then_on() {
    let shelf = shelf(Vec::new());
    assert_eq!(
        ask(&shelf, Boundary::Upstream, URL, &says("a")).unwrap_err(),
        "no recording of this request: there is none at all in t.jsonl"
    );
    shelf.add(2, line(URL, &says("a"), "1"));
    shelf.add(3, line(URL, &says("a"), "2"));
    assert_eq!(
        ask(&shelf, Boundary::Upstream, URL, &says("a")).unwrap(),
        "2"
    );
    assert_eq!(shelf.profiles(), ["up"]);
}

#[test]
fn a_miss_names_the_nearest_and_the_first_difference() {
    let with = |key: &str, value: serde_json::Value| {
        let mut body = says("Hello");
        body[key] = value;
        body
    };
    let shelf = shelf(vec![
        line(URL, &says("Something else"), ""),
        line(URL, &with("seed", json!(1)), ""),
        line(
            "https://api.example/v1/embeddings",
            &json!({"input": "Hello"}),
            "",
        ),
    ]);
    for (url, body, expected) in [
        (
            URL,
            says("Hello"),
            "t.jsonl:3, has body.seed, which this request lacks",
        ),
        (
            URL,
            with("seed", json!(2)),
            "t.jsonl:3, has 1 at body.seed where this request has 2",
        ),
        (
            URL,
            says("Something new"),
            "t.jsonl:2, has \"Something else\" at body.messages[0].content where this request has \"Something new\"",
        ),
        (
            "https://api.other/v1/chat/completions",
            with("seed", json!(1)),
            "t.jsonl:3, has \"api.example\" at host where this request has \"api.other\"",
        ),
        (
            "https://api.example/v1/embeddings",
            json!({"input": "Hello", "model": "x"}),
            "t.jsonl:4, has no body.model",
        ),
        (
            "https://api.example/v1/responses",
            json!({"input": "Hello"}),
            "t.jsonl:4, has \"/v1/embeddings\" at path where this request has \"/v1/responses\"",
        ),
        (
            "https://api.example/v1/embeddings?a=b",
            json!({"input": "Hello"}),
            "t.jsonl:4, has no query.a",
        ),
    ] {
        let why = ask(&shelf, Boundary::Upstream, url, &body).unwrap_err();
        assert_eq!(
            why,
            format!("no recording of this request in t.jsonl: the nearest, {expected}")
        );
    }
}

#[test]
fn clients_find_both_pairs_whatever_stands_before_a_path() {
    let mut translated = line(
        "https://anthropic.example/v1/messages",
        &json!({"system": "s"}),
        "theirs",
    );
    translated.client = serde_json::from_value(
        json!({"method": "POST", "url": "/claude/v1/chat/completions", "body": says("a")}),
    )
    .unwrap();
    translated.returned =
        serde_json::from_value(json!({"status": 200, "chunks": [{"at_ms": 0.0, "text": "ours"}]}))
            .unwrap();
    let shelf = shelf(vec![translated]);
    for (url, body, expected) in [
        ("/v1/chat/completions", says("a"), "ours"),
        ("/chat/completions", says("a"), "ours"),
        ("/claude/v1/chat/completions", says("a"), "ours"),
        (
            "http://localhost:1/v1/messages",
            json!({"system": "s"}),
            "theirs",
        ),
    ] {
        assert_eq!(
            ask(&shelf, Boundary::Client, url, &body).as_deref(),
            Ok(expected),
            "{url}"
        );
    }
    for (url, body) in [
        ("/completions", says("a")),
        ("/v2/chat/completions", says("a")),
        ("/", says("a")),
        ("/v1/messages", says("a")),
        ("/s", json!({"system": "s"})),
    ] {
        assert!(ask(&shelf, Boundary::Client, url, &body).is_err(), "{url}");
    }
    // Upstream, only what was sent is one.
    assert!(
        ask(
            &shelf,
            Boundary::Upstream,
            "/v1/chat/completions",
            &says("a")
        )
        .is_err()
    );
}

#[test]
fn each_file_has_a_list_of_its_own() {
    let strict = Cassette {
        path: PathBuf::from("strict.jsonl"),
        head: Head::default(),
        ignore: Ignore::read::<&str>(&["headers.*"]).unwrap(),
        lines: vec![(2, line(URL, &json!({"user": "u1"}), "strict"))],
    };
    let usual = Cassette {
        path: PathBuf::from("usual.jsonl"),
        ignore: Ignore::read(DEFAULT).unwrap(),
        lines: vec![(2, line(URL, &json!({"user": "u1"}), "usual"))],
        ..strict.clone()
    };
    let shelf = Cassettes::new(vec![strict, usual]);
    assert_eq!(shelf.len(), 2);
    let ask = |user: &str| ask(&shelf, Boundary::Upstream, URL, &json!({"user": user})).unwrap();
    assert_eq!(
        [ask("u1"), ask("u2"), ask("u1")],
        ["strict", "usual", "usual"]
    );
}
