//! Server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//!
//! Lines end in LF, CRLF or CR, mixed at will; an event ends at an empty line. A byte order mark may open the stream, the space after a
//! colon may be missing, several `data` lines join with a line feed. Nothing is decoded as UTF-8 before an event is whole, so a character
//! cut by the network stays a character.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

use super::{Data, Frame};

/// Finds the end of events, and reads their lines.
#[derive(Debug, Default)]
pub(super) struct Sse {
    /// How far the buffer was searched.
    scanned: usize,
    /// Where the line under search began.
    line: usize,
    /// The first event was seen; before it, a byte order mark is skipped.
    begun: bool,
}

impl Sse {
    /// Length of the first whole event in `buffer`: its lines and the empty line after them.
    pub(super) fn split(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let rest = buffer.get(self.scanned..).unwrap_or_default();
            let Some(found) = memchr2(b'\n', b'\r', rest) else {
                self.scanned = buffer.len();
                return None;
            };
            let at = self.scanned + found;
            let byte = rest.get(found).copied();
            self.scanned = at + 1;
            // The second half of a CRLF whose first half ended the line already.
            if byte == Some(b'\n')
                && at > 0
                && at == self.line
                && buffer.get(at - 1) == Some(&b'\r')
            {
                self.line = at + 1;
                continue;
            }
            let empty = at == self.line;
            self.line = at + 1;
            if empty {
                let crlf = byte == Some(b'\r') && buffer.get(at + 1) == Some(&b'\n');
                self.scanned = 0;
                self.line = 0;
                return Some(at + 1 + usize::from(crlf));
            }
        }
    }

    /// Reads an event's lines. `raw` is what [`split`](Sse::split) measured, or the rest of a stream that ended without an empty line.
    pub(super) fn frame(&mut self, raw: Bytes) -> Frame {
        let mut at = 0;
        if !std::mem::replace(&mut self.begun, true) && raw.starts_with(b"\xEF\xBB\xBF") {
            at = 3;
        }
        let (mut name, mut data, mut joined) = (0..0, None, None::<BytesMut>);
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..end).unwrap_or_default();
            if let Some(value) = field(line, b"data") {
                let range = at + value..at + end;
                match (&mut joined, &data) {
                    (Some(joined), _) => push_line(joined, raw.get(range).unwrap_or_default()),
                    (None, Some(first)) => {
                        let mut both = BytesMut::from(
                            raw.get(std::ops::Range::clone(first)).unwrap_or_default(),
                        );
                        push_line(&mut both, raw.get(range).unwrap_or_default());
                        joined = Some(both);
                    }
                    (None, None) => data = Some(range),
                }
            } else if let Some(value) = field(line, b"event") {
                name = at + value..at + end;
            }
            // Comments, `id`, `retry` and unknown fields say nothing about the answer.
            at += end + 1;
        }
        let data = match joined {
            Some(joined) => Data::Joined(joined.freeze()),
            None => Data::Within(data.unwrap_or(0..0)),
        };
        Frame {
            raw,
            name,
            data,
            error: false,
        }
    }
}

fn push_line(joined: &mut BytesMut, line: &[u8]) {
    joined.put_u8(b'\n');
    joined.extend_from_slice(line);
}

/// Where the value of a `name: value` line begins, if it is one of that name.
fn field(line: &[u8], name: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(name)?;
    match rest {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(name.len() + 2),
        [b':', ..] => Some(name.len() + 1),
        _ => None,
    }
}

/// Appends one event with `data` (which holds no line breaks, as JSON on one line does).
pub fn write_event(out: &mut BytesMut, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.put_u8(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{FrameError, Framer, Framing, MAX_FRAME, testing};
    use super::*;

    fn read(bytes: &[u8], cuts: &[usize]) -> Vec<(String, String)> {
        testing::read(Framing::Sse, MAX_FRAME, bytes, cuts).texts()
    }

    const LAYOUTS: &[(&str, &[u8], &[&str])] = &[
        ("LF", b"data: a\n\ndata: b\n\n", &["a", "b"]),
        ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
        ("CR", b"data: a\r\rdata: b\r\r", &["a", "b"]),
        (
            "mixed",
            b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r",
            &["a", "b", "c"],
        ),
        ("byte order mark", b"\xEF\xBB\xBFdata: a\n\n", &["a"]),
        (
            "no space after the colon",
            b"data:a\n\ndata:{\"x\":1}\n\n",
            &["a", "{\"x\":1}"],
        ),
        ("two spaces keep one", b"data:  a\n\n", &[" a"]),
        (
            "several data lines",
            b"data: a\ndata: b\ndata:\ndata: c\n\n",
            &["a\nb\n\nc"],
        ),
        (
            "comments",
            b": OPENROUTER PROCESSING\n\n:\ndata: a\n: x\n\n",
            &["a"],
        ),
        (
            "keep-alive as data",
            b"data: : keepalive\n\ndata: a\n\n",
            &[": keepalive", "a"],
        ),
        (
            "no empty line at the end",
            b"data: a\n\ndata: [DONE]",
            &["a", "[DONE]"],
        ),
        (
            "one line feed at the end",
            b"data: a\n\ndata: [DONE]\n",
            &["a", "[DONE]"],
        ),
        (
            "empty lines between",
            b"\n\n\ndata: a\n\n\n\n\r\n\r\ndata: b\n\n",
            &["a", "b"],
        ),
        ("a field without a colon", b"data\n\ndata: a\n\n", &["a"]),
        (
            "other fields",
            b"id: 7\nretry: 10\ndatax: no\ndata: a\n\n",
            &["a"],
        ),
        (
            "characters of many bytes",
            "data: héllo 你好 🎉\n\n".as_bytes(),
            &["héllo 你好 🎉"],
        ),
        ("nothing", b"", &[]),
    ];

    #[test]
    fn trap_1_9_every_layout_at_every_split() {
        for (name, bytes, expected) in LAYOUTS {
            let whole = testing::at_every_split(Framing::Sse, bytes);
            assert_eq!(whole.data(), *expected, "{name}");
            assert_eq!((whole.error, whole.complete), (None, true), "{name}");
        }
    }

    #[test]
    fn names_are_read() {
        let events = read(
            b"event: ping\ndata: {}\n\nevent:x\ndata: 1\n\ndata: 2\n\n",
            &[],
        );
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ping", "x", ""]);
    }

    #[test]
    fn trap_1_10_utf8_split_over_reads_survives() {
        let bytes = "data: {\"content\":\"你好🎉\"}\n\n".as_bytes();
        let whole = testing::at_every_split(Framing::Sse, bytes);
        assert_eq!(whole.data(), ["{\"content\":\"你好🎉\"}"]);
    }

    #[test]
    fn a_frame_over_the_limit_is_an_error() {
        let mut framer = Framer::new(Framing::Sse, 16);
        framer.feed(Bytes::from_static(b"data: 0123456789abcdef"));
        assert_eq!(
            framer.frame().unwrap_err(),
            FrameError::TooLarge { limit: 16 }
        );
    }

    #[test]
    fn a_waiting_piece_does_not_pin_the_chunk() {
        let mut framer = Framer::new(Framing::Sse, MAX_FRAME);
        let chunk = Bytes::from(b"data: a\n\ndata: b".to_vec());
        framer.feed(chunk.clone());
        assert!(framer.frame().unwrap().is_some());
        assert!(framer.frame().unwrap().is_none());
        assert!(chunk.is_unique());
    }

    #[test]
    fn a_chunk_that_was_cut_to_its_end_is_not_pinned() {
        let mut framer = Framer::new(Framing::Sse, 100);
        let chunk = Bytes::from(b"data: a\n\ndata: b\n\n".to_vec());
        framer.feed(chunk.clone());
        while let Some(frame) = framer.frame().unwrap() {
            drop(frame);
        }
        assert!(chunk.is_unique());
    }

    proptest! {
        #[test]
        fn any_bytes_at_any_split_give_the_same_events(
            bytes in prop::collection::vec(prop::sample::select(b"data: xe:\r\n\xEF\xBB\xBFvnt".to_vec()), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..12),
            limit in prop::sample::select(vec![1, 7, 20, MAX_FRAME]),
        ) {
            testing::same_at(Framing::Sse, limit, &bytes, cuts);
        }
    }
}
