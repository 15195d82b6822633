use super::*;

#[test]
fn bodies_keep_their_form() {
    for (bytes, expected) in [
        (&b" {\"a\": 1.00}\n"[..], Some(r#"{"a": 1.00}"#)),
        (b"5", Some(r#""5""#)),
        (b"[1", Some(r#""[1""#)),
        (b"\xff\x00", None),
        (b"", Some(r#""""#)),
    ] {
        let shown = body(bytes);
        assert_eq!(shown.as_deref().map(RawValue::get), expected);
        let mut stage = StageTold::default();
        stage.set_body(bytes);
        assert_eq!(stage.bytes(), bytes);
    }
}

#[test]
fn a_detail_reads_what_it_wrote() {
    let mut stage = StageTold {
        stage: "client".into(),
        ..StageTold::default()
    };
    stage.set_body(br#"{"n": 12345678901234567890123, "x": 1.00}"#);
    let again = StageTold {
        stage: "sent".into(),
        same_as: Some("client".into()),
        ..StageTold::default()
    };
    let detail = Detail {
        summary: Summary {
            id: "a".into(),
            cost: Some(0.5),
            ..Summary::default()
        },
        rest: Rest {
            stages: vec![stage, again],
            ..Rest::default()
        },
    };
    let json = serde_json::to_string(&detail).unwrap();
    let read = Detail::parse(&json).unwrap();
    assert_eq!(read.summary, detail.summary);
    assert_eq!(
        read.body("sent").unwrap(),
        br#"{"n": 12345678901234567890123, "x": 1.00}"#
    );
}

#[test]
fn a_notice_is_flat() {
    let notice = Notice {
        seq: 3,
        exchange: "x".into(),
        profile: "mock".into(),
        at_ms: 1.5,
        what: What::Text {
            part: 0,
            text: "hi".into(),
        },
    };
    let json = serde_json::to_string(&notice).unwrap();
    assert_eq!(
        json,
        r#"{"seq":3,"exchange":"x","profile":"mock","at_ms":1.5,"type":"text","part":0,"text":"hi"}"#
    );
    assert_eq!(serde_json::from_str::<Notice>(&json).unwrap(), notice);
}
