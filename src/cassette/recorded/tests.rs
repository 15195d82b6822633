use serde_json::json;

use super::*;

fn stage(name: &str, head: Value, body: &[u8]) -> StageTold {
    let mut told: StageTold = serde_json::from_value(head).unwrap();
    told.stage = name.to_owned();
    told.size = body.len() as u64;
    told.set_body(body);
    told
}

/// A stream that was forwarded, its first piece split inside a character.
fn detail() -> Detail {
    let asked = br#"{"model": "m1", "b": {"z": 1.00, "a": [ ]}, "n": 12345678901234567890123}"#;
    let request = json!({"method": "POST", "url": "http://h:1/v1/chat/completions?key=(secret)&a=1",
        "headers": {"x-b": ["2", "1"], "authorization": "(secret)", "user-agent": "sdk/1", "date": "Mon", "accept": "*/*", "x-api-token": "t", "openai-project": "p", "x-note": "it is ***"}});
    let mut client = stage("client", request.clone(), asked);
    client.url = Some("/v1/chat/completions?a=1".into());
    let mut sent = stage("sent", request, b"");
    (sent.body, sent.same_as) = (None, Some("client".into()));
    let answer = "data: é\n\ndata: b\n\n".as_bytes();
    let head = json!({"status": 200, "headers": {"date": "Mon", "content-type": "text/event-stream", "content-encoding": "gzip", "set-cookie": "(secret)", "x-request-id": "r1", "openai-organization": "o", "cf-cache-status": "HIT"}});
    let received = stage("received", head.clone(), answer);
    let mut returned = stage("returned", head, b"");
    (returned.body, returned.same_as) = (None, Some("received".into()));
    let mut detail = Detail::default();
    let summary = &mut detail.summary;
    (summary.id, summary.profile, summary.outcome) = ("a".into(), "up".into(), "ok".into());
    (summary.path, summary.stream) = ("/up/v1/chat/completions".into(), true);
    summary.timings.sent_ms = Some(1.5);
    summary.timings.first_byte_ms = Some(11.504);
    summary.timings.total_ms = 100.0;
    detail.rest.stages = vec![client, sent, received, returned];
    let chunk = |at_ms, bytes| ChunkTold { at_ms, bytes };
    detail.rest.chunks = vec![chunk(12.0, 7), chunk(40.25, 12)];
    detail
}

#[test]
fn a_line_holds_what_matters_in_order() {
    let line = Line::of(&detail()).unwrap();
    assert_eq!(
        line.text().unwrap(),
        concat!(
            r#"{"profile":"up","stream":true,"#,
            r#""client":{"method":"POST","url":"/up/v1/chat/completions?a=1","headers":{"accept":"*/*","x-b":["2","1"]}},"#,
            r#""sent":{"method":"POST","url":"http://h:1/v1/chat/completions?key=(secret)&a=1","headers":{"accept":"*/*","x-b":["2","1"]},"#,
            r#""body":{"b":{"a":[],"z":1.00},"model":"m1","n":12345678901234567890123}},"#,
            r#""received":{"status":200,"headers":{"content-type":"text/event-stream","x-request-id":"r1"},"head_ms":10.0,"#,
            r#""chunks":[{"at_ms":10.5,"base64":"ZGF0YTogww=="},{"at_ms":38.75,"base64":"qQoKZGF0YTogYgoK"}],"end_ms":98.5}}"#,
        )
    );
    assert_eq!(line.received.body(), "data: é\n\ndata: b\n\n".as_bytes());
}

#[test]
fn a_record_of_a_line_is_the_same_line() {
    let mut edited = detail();
    let returned = edited.rest.stages.last_mut().unwrap();
    returned.same_as = None;
    returned.set_body(b" {\"a\": 1}\n");
    returned.size = 10;
    edited.rest.returned_chunks = vec![ChunkTold {
        at_ms: 50.0,
        bytes: 10,
    }];
    let mut broken = detail();
    broken.summary.outcome = "failed".into();
    broken.summary.failed_at = Some("received".into());
    broken.summary.error = Some("the provider's stream broke: reset".into());
    for detail in [detail(), edited, broken] {
        let line = Line::of(&detail).unwrap();
        let again = Line::of(&line.detail("b", "2026-11-22T08:00:00.000Z")).unwrap();
        assert_eq!(again.text().unwrap(), line.text().unwrap());
    }
}

#[test]
fn a_connection_that_broke_is_told() {
    let mut detail = detail();
    detail.summary.outcome = "failed".into();
    detail.summary.failed_at = Some("received".into());
    for (error, broken) in [
        ("the upstream's answer broke: x", true),
        ("the provider's stream broke: x", true),
        ("the provider closed the stream before its end", false),
    ] {
        detail.summary.error = Some(error.into());
        assert_eq!(
            Line::of(&detail).unwrap().received.broken,
            broken,
            "{error}"
        );
    }
}

#[test]
fn a_whole_answer_is_one_piece_at_its_time() {
    let mut detail = detail();
    detail.rest.chunks.clear();
    detail.summary.timings.first_token_ms = Some(61.5);
    let line = Line::of(&detail).unwrap();
    let times: Vec<f64> = line
        .received
        .chunks
        .iter()
        .map(|chunk| chunk.at_ms)
        .collect();
    assert_eq!(times, [60.0]);
}

#[test]
fn what_is_not_whole_is_left_out() {
    type Change = fn(&mut Detail);
    let cases: [(Change, LeftOut); 6] = [
        (
            |detail| detail.summary.outcome = "live".into(),
            LeftOut::Live,
        ),
        (
            |detail| detail.summary.outcome = "cancelled".into(),
            LeftOut::Cancelled,
        ),
        (|detail| detail.rest.stages.truncate(2), LeftOut::Unanswered),
        (
            |detail| detail.rest.stages[2].truncated = true,
            LeftOut::Cut,
        ),
        (
            |detail| {
                detail.rest.stages[0] = StageTold {
                    stage: "client".into(),
                    size: 9,
                    ..StageTold::default()
                }
            },
            LeftOut::Cut,
        ),
        (|detail| detail.rest.chunks[0].bytes = 8, LeftOut::Secret),
    ];
    for (change, expected) in cases {
        let mut detail = detail();
        change(&mut detail);
        assert_eq!(Line::of(&detail).unwrap_err(), expected);
    }
}

#[test]
fn bodies_have_their_keys_in_order() {
    for (body, expected) in [
        (
            &b"{\"b\": {\"d\": 1e5, \"c\": []},\n \"a\": [{\"y\": \"\\u00e9\", \"x\": {}}]}"[..],
            r#"{"a":[{"x":{},"y":"\u00e9"}],"b":{"c":[],"d":1e5}}"#,
        ),
        (b"not json", r#""not json""#),
        (b"{broken", r#""{broken""#),
        (b"5", r#""5""#),
    ] {
        assert_eq!(sorted_body(body).unwrap().get(), expected);
    }
    assert!(sorted_body(b"\xff").is_none());
    // What is nested too deeply to be put in order is kept as a text.
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    assert!(
        sorted_body(deep.as_bytes())
            .unwrap()
            .get()
            .starts_with("\"[")
    );
}
