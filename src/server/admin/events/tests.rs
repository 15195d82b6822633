use super::*;

#[test]
fn texts_are_written_as_serde_writes_them() {
    let text = || "a \"b\" \u{1} ü \n".to_owned();
    for (what, at_ms) in [
        (
            What::Text {
                part: 0,
                text: text(),
            },
            0.0,
        ),
        (
            What::Thinking {
                part: u32::MAX,
                text: String::new(),
            },
            1e21,
        ),
        (
            What::Arguments {
                part: 7,
                text: text(),
            },
            1234.567,
        ),
    ] {
        let notice = Notice {
            seq: 12,
            exchange: "abc".into(),
            profile: "my \"profile\"".into(),
            at_ms,
            what,
        };
        let mut out = Vec::new();
        event(&notice, &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        let data = written.split_once("data: ").unwrap().1.trim_end();
        assert_eq!(data, serde_json::to_string(&notice).unwrap());
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
