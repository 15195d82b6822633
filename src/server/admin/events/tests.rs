use super::*;

#[test]
fn texts_are_written_as_serde_writes_them() {
    let text = || "a \"b\" \u{1} ü \n".to_owned();
    for (what, at) in [
        (
            What::Text {
                part: 0,
                text: text(),
            },
            0,
        ),
        (
            What::Thinking {
                part: u32::MAX,
                text: String::new(),
            },
            u64::MAX,
        ),
        (
            What::Arguments {
                part: 7,
                text: text(),
            },
            1_234_567,
        ),
    ] {
        let told = Happened {
            seq: 12,
            exchange: Some(ExchangeId::of(b"abc")),
            profile: "my \"profile\"".into(),
            at,
            what,
        };
        let mut out = Vec::new();
        event(&told, &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        let (head, data) = written.split_once("data: ").unwrap();
        assert!(head.starts_with("id: 12\nevent: "), "{head}");
        assert_eq!(
            data.trim_end(),
            serde_json::to_string(&told.notice()).unwrap()
        );
    }
}

#[test]
fn an_end_that_could_begin_a_secret_waits() {
    let redactor = Redactor::new(["sk-secret-0123456789"]);
    let mut seen = Seen::default();
    let what = |part, text| What::Text { part, text };
    let mut told = |part, text| hold(&mut seen, &redactor, part, text, what);
    assert_eq!(told(0, "say "), "say ");
    assert_eq!(told(0, "it: sk-sec"), "it: ");
    assert_eq!(told(1, "other"), "other");
    assert_eq!(told(0, "ret-01"), "");
    assert_eq!(told(0, "23456789, and"), "***, and");
    assert_eq!(told(0, "sk-sec"), "");
    assert_eq!(told(0, "tion"), "sk-section");
    assert!(seen.held.is_empty());
}
