use proptest::prelude::*;

use super::super::{FrameError, Framing, MAX_FRAME, testing};
use super::*;

const LAYOUTS: &[(&str, &[u8], &[&str])] = &[
    ("LF", b"{\"a\":1}\n{\"a\":2}\n", &["{\"a\":1}", "{\"a\":2}"]),
    (
        "CRLF",
        b"{\"a\":1}\r\n{\"a\":2}\r\n",
        &["{\"a\":1}", "{\"a\":2}"],
    ),
    ("CR", b"{\"a\":1}\r{\"a\":2}\r", &["{\"a\":1}", "{\"a\":2}"]),
    ("mixed", b"1\r\n2\n\r3\r\r\n4", &["1", "2", "3", "4"]),
    ("no last line end", b"1\n2", &["1", "2"]),
    (
        "a line end of which half came",
        b"{\"a\":1}\r",
        &["{\"a\":1}"],
    ),
    ("blank lines", b"\n\r\n\r\n1\n\n  \t\n2\n\n", &["1", "2"]),
    ("white space around", b"  {\"a\": 1} \t\n", &["{\"a\": 1}"]),
    ("byte order mark", b"\xEF\xBB\xBF1\n2\n", &["1", "2"]),
    (
        "data:",
        b"data: {\"a\":1}\n\ndata:2\n\ndata:\n",
        &["{\"a\":1}", "2"],
    ),
    (
        "data: within a value",
        b"{\"data:\":\"data: x\"}\n",
        &["{\"data:\":\"data: x\"}"],
    ),
    (
        "escaped line ends",
        br#"{"a":"x\ny\r\n"}"#,
        &[r#"{"a":"x\ny\r\n"}"#],
    ),
    (
        "characters of many bytes",
        "{\"a\":\"héllo 你好 🎉\u{2028}\"}\n".as_bytes(),
        &["{\"a\":\"héllo 你好 🎉\u{2028}\"}"],
    ),
    ("cut", b"{\"a\":1}\n{\"a\":", &["{\"a\":1}", "{\"a\":"]),
    ("only white space", b" \r\n \n ", &[]),
    ("nothing", b"", &[]),
];

#[test]
fn trap_1_9_every_layout_at_every_split() {
    for (name, bytes, expected) in LAYOUTS {
        let whole = testing::at_every_split(Framing::NdJson, bytes);
        assert_eq!(whole.data(), *expected, "{name}");
        assert_eq!((whole.error, whole.complete), (None, true), "{name}");
        assert!(
            whole
                .frames
                .iter()
                .all(|(name, _, error)| name.is_empty() && !error)
        );
    }
}

#[test]
fn what_is_written_is_read() {
    let mut out = BytesMut::new();
    write_line(&mut out, b"{\"a\":1}");
    write_line(&mut out, b"[]");
    assert_eq!(out, "{\"a\":1}\n[]\n");
    assert_eq!(
        testing::at_every_split(Framing::NdJson, &out).data(),
        ["{\"a\":1}", "[]"]
    );
}

#[test]
fn a_line_over_the_limit_is_an_error_whole_or_in_pieces() {
    let bytes = b"1234567\r\n12345678\n";
    let limit = 8;
    for cut in 0..bytes.len() {
        let read = testing::same_at(Framing::NdJson, limit, bytes, vec![cut]);
        assert_eq!(read.data(), ["1234567"]);
        assert_eq!(read.error, Some(FrameError::TooLarge { limit }));
    }
}

proptest! {
    #[test]
    fn any_bytes_at_any_split_give_the_same_values(
        bytes in prop::collection::vec(prop::sample::select(b"data: {}x\r\n\r\n\xEF\xBB\xBF".to_vec()), 0..120),
        cuts in prop::collection::vec(0usize..120, 0..12),
        limit in prop::sample::select(vec![1, 5, 20, MAX_FRAME]),
    ) {
        testing::same_at(Framing::NdJson, limit, &bytes, cuts);
    }

    #[test]
    fn values_survive_any_layout(
        values in prop::collection::vec(prop::collection::vec(any::<char>(), 0..8), 0..8),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", " \r\n\t\n"]), 8),
        cuts in prop::collection::vec(0usize..400, 0..12),
    ) {
        let values: Vec<String> = values
            .iter()
            .map(|value| serde_json::to_string(&value.iter().collect::<String>()).unwrap())
            .collect();
        let bytes: String = values.iter().zip(&ends).flat_map(|(value, end)| [value, *end]).collect();
        let read = testing::same_at(Framing::NdJson, MAX_FRAME, bytes.as_bytes(), cuts);
        prop_assert_eq!(read.data(), values);
    }
}
