use proptest::prelude::*;

use super::super::{FrameError, Framer, Framing, MAX_FRAME, testing};
use super::*;

const CORRUPT: Option<FrameError> = Some(FrameError::Corrupt(
    "the stream is no JSON array of objects",
));

/// What the bytes are, and their elements.
const CLOSED: &[(&str, &[u8], &[&str])] = &[
    (
        "one line",
        br#"[{"a":1},{"a":2}]"#,
        &[r#"{"a":1}"#, r#"{"a":2}"#],
    ),
    (
        "comma first, as Google's services write it",
        b"[{\n  \"a\": 1\n}\n,\r\n{\n  \"a\": 2\n}\n]\n",
        &["{\n  \"a\": 1\n}", "{\n  \"a\": 2\n}"],
    ),
    (
        "pretty-printed with CRLF",
        b"[\r\n  {\r\n    \"a\": [\r\n      1\r\n    ]\r\n  },\r\n  {}\r\n]\r\n\r\n",
        &["{\r\n    \"a\": [\r\n      1\r\n    ]\r\n  }", "{}"],
    ),
    ("none", b"[]", &[]),
    ("none, and white space", b" [ \n ] \r\n\t ", &[]),
    ("byte order mark", b"\xEF\xBB\xBF[{}]", &["{}"]),
    (
        "brackets in strings",
        br#"[{"]}":"[{,"},{"a":["}","]"]}]"#,
        &[r#"{"]}":"[{,"}"#, r#"{"a":["}","]"]}"#],
    ),
    (
        "escapes in strings",
        br#"[{"a":"\"}]"},{"a":"\\"},{"\\\"{":"\u005d\\\\"}]"#,
        &[
            r#"{"a":"\"}]"}"#,
            r#"{"a":"\\"}"#,
            r#"{"\\\"{":"\u005d\\\\"}"#,
        ],
    ),
    (
        "deep",
        br#"[{"a":{"b":[{"c":[[]]},{}]}}]"#,
        &[r#"{"a":{"b":[{"c":[[]]},{}]}}"#],
    ),
    (
        "characters of many bytes",
        "[{\"a\":\"héllo 你好 🎉\"}]".as_bytes(),
        &["{\"a\":\"héllo 你好 🎉\"}"],
    ),
    ("a comma too many", b"[{},{},]", &["{}", "{}"]),
    (
        "an error in an array",
        br#"[{"error":{"code":503}}]"#,
        &[r#"{"error":{"code":503}}"#],
    ),
    (
        "an error alone",
        b"{\n  \"error\": {\"code\": 429}\n}\n",
        &["{\n  \"error\": {\"code\": 429}\n}"],
    ),
];

/// What ends too early.
const CUT: &[(&str, &[&str])] = &[
    ("", &[]),
    (" \n", &[]),
    ("[", &[]),
    ("[{\"a\":", &[]),
    ("[{\"a\":\"}", &[]),
    ("[{\"a\":\"\\", &[]),
    ("[{}", &["{}"]),
    ("[{},", &["{}"]),
    ("[{}\n", &["{}"]),
    ("[{},{\"a\":1", &["{}"]),
    ("{\"error\":{}", &[]),
];

/// What is none, and the elements before that is known.
const NO_ARRAY: &[(&[u8], &[&str])] = &[
    (b"<html>busy</html>", &[]),
    (b"data: {}\n\n", &[]),
    (b"upstream connect error", &[]),
    (b"null", &[]),
    (b"\"[{}]\"", &[]),
    (b"\x1f\x8b\x08", &[]),
    (b"\xEF\xBB{", &[]),
    (b"[1]", &[]),
    (b"[[{}]]", &[]),
    (b"[null]", &[]),
    (b"[{}x]", &["{}"]),
    (b"[{}}", &["{}"]),
    (b"[{}]]", &["{}"]),
    (b"[{}],", &["{}"]),
    (b"[{}]\n[{}]", &["{}"]),
    (b"{}{}", &["{}"]),
    (b"{}]", &["{}"]),
];

#[test]
fn every_layout_at_every_split() {
    for (name, bytes, expected) in CLOSED {
        let whole = testing::at_every_split(Framing::JsonArray, bytes);
        assert_eq!(whole.data(), *expected, "{name}");
        assert_eq!((whole.error, whole.complete), (None, true), "{name}");
    }
}

#[test]
fn a_cut_array_is_told_from_a_closed_one() {
    for (text, expected) in CUT {
        let whole = testing::at_every_split(Framing::JsonArray, text.as_bytes());
        assert_eq!(whole.data(), *expected, "{text}");
        assert_eq!((whole.error, whole.complete), (None, false), "{text}");
    }
}

#[test]
fn what_is_no_array_of_objects_is_an_error_after_what_came_before() {
    for (bytes, expected) in NO_ARRAY {
        let whole = testing::at_every_split(Framing::JsonArray, bytes);
        let text = bytes.escape_ascii();
        assert_eq!(whole.data(), *expected, "{text}");
        assert_eq!((whole.error, whole.complete), (CORRUPT, false), "{text}");
    }
}

#[test]
fn the_end_of_the_array_is_passed_on_without_data() {
    let mut framer = Framer::new(Framing::JsonArray, MAX_FRAME);
    framer.feed(Bytes::from_static(b"[{}\n,{}\n]\n\n"));
    let mut frames = Vec::new();
    while let Some(frame) = framer.frame().unwrap() {
        frames.push((frame.raw.clone(), frame.data().to_vec()));
    }
    let expected = [("[{}", "{}"), ("\n,{}", "{}"), ("\n]", ""), ("\n\n", "")];
    assert_eq!(
        frames,
        expected.map(|(raw, data)| (Bytes::from(raw), data.as_bytes().to_vec()))
    );
    assert_eq!(framer.pending(), 0);
}

#[test]
fn an_element_over_the_limit_is_an_error_whole_or_in_pieces() {
    let bytes = b"[{\"a\":1},{\"a\":12}]";
    let limit = 8;
    for cut in 0..bytes.len() {
        let read = testing::same_at(Framing::JsonArray, limit, bytes, vec![cut]);
        assert_eq!(read.data(), ["{\"a\":1}"]);
        assert_eq!(read.error, Some(FrameError::TooLarge { limit }));
    }
    // Whether what is corrupt comes with what is too large, or after it.
    let bytes = b"[,,,,,,,,x";
    let read = testing::same_at(Framing::JsonArray, limit, bytes, vec![limit + 1]);
    assert_eq!(read.error, Some(FrameError::TooLarge { limit }));
    let space = b" ".repeat(2 * limit);
    for (open, error) in [
        (&b"["[..], Some(FrameError::TooLarge { limit })),
        (b"[{}]", None),
    ] {
        let bytes = [open, &space].concat();
        let read = testing::same_at(Framing::JsonArray, limit, &bytes, vec![limit]);
        assert_eq!(read.error, error);
    }
}

/// A JSON value with all that could mislead: brackets, quotes and backslashes in strings, and nesting.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = "[\\[\\]{}\",:\\\\a é]{0,6}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i32>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((text, inner), 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_at_any_split_give_the_same_elements(
        start in prop::sample::select(vec!["", "[", "[{", "[{\"", "[{},"]),
        bytes in prop::collection::vec(prop::sample::select(b"[]{}{}\"\\,, \r\nx\xEF\xBB\xBF".to_vec()), 0..80),
        cuts in prop::collection::vec(0usize..80, 0..12),
        limit in prop::sample::select(vec![1, 5, 20, MAX_FRAME]),
    ) {
        let bytes = [start.as_bytes(), &bytes].concat();
        testing::same_at(Framing::JsonArray, limit, &bytes, cuts);
    }

    #[test]
    fn elements_survive_any_layout(
        values in prop::collection::vec(value(), 0..5),
        between in prop::sample::select(vec![",", ",\r\n", "\n,\n", " , "]),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(0usize..400, 0..12),
    ) {
        let objects: Vec<String> = values
            .iter()
            .map(|value| serde_json::json!({"v": value}))
            .map(|object| if pretty { format!("{object:#}") } else { object.to_string() })
            .collect();
        let bytes = format!("[{}]\n", objects.join(between));
        let read = testing::same_at(Framing::JsonArray, MAX_FRAME, bytes.as_bytes(), cuts);
        prop_assert_eq!(read.data(), objects);
        prop_assert!(read.complete);
    }
}
