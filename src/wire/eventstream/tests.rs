use aws_smithy_types::DateTime;
use proptest::prelude::*;

use super::super::{Framer, Framing, MAX_FRAME, testing};
use super::*;

fn corrupt(error: Option<FrameError>) -> bool {
    matches!(error, Some(FrameError::Corrupt(_)))
}

/// A message with these headers.
fn message(headers: &[(&'static str, HeaderValue)], payload: &'static [u8]) -> Vec<u8> {
    let mut message = Message::new(payload);
    for (name, value) in headers {
        message = message.add_header(Header::new(*name, value.clone()));
    }
    let mut out = Vec::new();
    write_message_to(&message, &mut out).unwrap();
    out
}

fn text(text: &'static str) -> HeaderValue {
    HeaderValue::String(text.into())
}

/// Lengths as given, with the checksum that they should have.
fn prelude(length: u32, headers: u32) -> Vec<u8> {
    let mut out = [length.to_be_bytes(), headers.to_be_bytes()].concat();
    out.extend(crc32(&out).to_be_bytes());
    out
}

fn two_events() -> BytesMut {
    let mut out = BytesMut::new();
    write_event(&mut out, "messageStart", "{\"role\":\"你好\"}".as_bytes());
    write_event(&mut out, "messageStop", b"{}");
    out
}

#[test]
fn what_is_written_is_read_at_every_split() {
    let mut out = two_events();
    write_exception(&mut out, "throttlingException", b"{\"message\":\"slow\"}");
    let read = testing::at_every_split(Framing::EventStream, &out);
    assert_eq!((read.error, read.complete), (None, true));
    let expected = [
        ("messageStart", "{\"role\":\"你好\"}"),
        ("messageStop", "{}"),
        ("throttlingException", "{\"message\":\"slow\"}"),
    ];
    assert_eq!(
        read.texts(),
        expected.map(|(name, data)| (name.into(), data.into()))
    );
    let errors: Vec<bool> = read.frames.iter().map(|(_, _, error)| *error).collect();
    assert_eq!(errors, [false, false, true]);
}

#[test]
fn a_message_as_the_specification_of_the_format_encodes_it() {
    // Two test vectors of <https://github.com/awslabs/aws-c-event-stream>: no headers, and one.
    let bare = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
    let one = b"\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
    let both = [&bare[..], one].concat();
    let read = testing::at_every_split(Framing::EventStream, &both);
    assert_eq!(read.data(), ["{'foo':'bar'}", "{'foo':'bar'}"]);
    assert_eq!((read.error, read.complete), (None, true));
}

#[test]
fn an_error_without_a_payload_says_why_in_a_header() {
    let bytes = message(
        &[
            (":error-message", text("try again")),
            (":message-type", text("error")),
            (":error-code", text("InternalFailure")),
        ],
        b"",
    );
    let read = testing::at_every_split(Framing::EventStream, &bytes);
    let expected = (b"InternalFailure".to_vec(), b"try again".to_vec(), true);
    assert_eq!(read.frames, [expected]);
}

#[test]
fn names_are_found_among_headers_of_every_type() {
    let bytes = message(
        &[
            ("", HeaderValue::Bool(true)),
            ("no", HeaderValue::Bool(false)),
            ("byte", HeaderValue::Byte(-1)),
            ("short", HeaderValue::Int16(-1)),
            ("int", HeaderValue::Int32(-1)),
            ("long", HeaderValue::Int64(-1)),
            (
                "bytes",
                HeaderValue::ByteArray(Bytes::from_static(b":event-type")),
            ),
            (
                "time",
                HeaderValue::Timestamp(DateTime::from_secs(1_700_000_000)),
            ),
            ("id", HeaderValue::Uuid(7)),
            ("empty", text("")),
            (":event-type", text("chunk")),
            ("after", text("x")),
        ],
        b"{\"p\":\"abcd\"}",
    );
    let read = testing::at_every_split(Framing::EventStream, &bytes);
    let expected = (b"chunk".to_vec(), b"{\"p\":\"abcd\"}".to_vec(), false);
    assert_eq!(read.frames, [expected]);
}

#[test]
fn messages_without_name_or_payload_are_frames() {
    let mut framer = Framer::new(Framing::EventStream, MAX_FRAME);
    let nothing = message(&[], b"");
    assert_eq!(nothing.len(), PRELUDE + CHECKSUM);
    framer.feed(Bytes::from(nothing));
    framer.feed(Bytes::from(message(
        &[(":event-type", HeaderValue::Byte(1))],
        b"x",
    )));
    let frame = framer.frame().unwrap().unwrap();
    assert_eq!((frame.name(), frame.data()), (&b""[..], &b""[..]));
    let frame = framer.frame().unwrap().unwrap();
    assert_eq!((frame.name(), frame.data()), (&b""[..], &b"x"[..]));
}

#[test]
fn trap_1_11_a_length_over_the_limit_is_refused_before_the_message_comes() {
    let limit = 100;
    for length in [101, 1 << 24, u32::MAX] {
        let bytes = prelude(length, 0);
        let read = testing::same_at(Framing::EventStream, limit, &bytes, vec![4, 8]);
        assert_eq!(read.error, Some(FrameError::TooLarge { limit }));
    }
    let read = testing::read(Framing::EventStream, limit, &prelude(100, 0), &[]);
    assert_eq!((read.error, read.complete), (None, false));
}

#[test]
fn trap_1_11_lengths_that_cannot_be_are_corrupt() {
    for length in 0..16 {
        let read = testing::at_every_split(Framing::EventStream, &prelude(length, 0));
        assert!(corrupt(read.error), "{length}");
    }
    // Headers longer than the message, or ending inside one.
    for headers in [1, 3, 40, u32::MAX] {
        let mut bytes = prelude(28, headers);
        bytes.extend(b"\x01a\x07\x00\x05abcde\x00\x00");
        bytes.extend(crc32(&bytes).to_be_bytes());
        assert_eq!(bytes.len(), 28);
        let read = testing::at_every_split(Framing::EventStream, &bytes);
        assert!(corrupt(read.error), "{headers}");
    }
}

#[test]
fn what_is_no_event_stream_is_corrupt() {
    for bytes in [
        &b"{\"message\":\"denied\"}"[..],
        b"data: {\"a\":1}\n\n",
        b"<html></html>",
        &[0; 12],
    ] {
        let read = testing::at_every_split(Framing::EventStream, bytes);
        assert!(corrupt(read.error));
    }
}

#[test]
fn a_stream_cut_inside_a_message_is_told_from_one_that_ended() {
    let bytes = two_events();
    let first = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
    for length in 0..=bytes.len() {
        let read = testing::read(Framing::EventStream, MAX_FRAME, &bytes[..length], &[]);
        let whole = [0, first, bytes.len()].contains(&length);
        assert_eq!((read.error, read.complete), (None, whole), "{length}");
        let frames = usize::from(length >= first) + usize::from(length == bytes.len());
        assert_eq!(read.frames.len(), frames, "{length}");
    }
}

#[test]
fn trap_1_11_a_corrupted_byte_is_an_error_and_never_another_message() {
    let bytes = two_events();
    let first = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
    let good = testing::read(Framing::EventStream, MAX_FRAME, &bytes, &[]);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= flip;
            let read = testing::same_at(
                Framing::EventStream,
                MAX_FRAME,
                &bytes,
                vec![at, first, at + 1],
            );
            assert!(corrupt(read.error), "{flip} at {at}");
            assert_eq!(read.frames, good.frames[..usize::from(at >= first)]);
        }
    }
}

proptest! {
    #[test]
    fn messages_survive_any_split(
        messages in prop::collection::vec(("[a-zA-Z]{0,20}", prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..5),
        cuts in prop::collection::vec(0usize..800, 0..12),
    ) {
        let mut out = BytesMut::new();
        for (name, payload, exception) in &messages {
            let write = if *exception { write_exception } else { write_event };
            write(&mut out, name, payload);
        }
        let read = testing::same_at(Framing::EventStream, MAX_FRAME, &out, cuts);
        let expected: Vec<_> = messages
            .into_iter()
            .filter(|(_, payload, _)| !payload.is_empty())
            .map(|(name, payload, exception)| (name.into_bytes(), payload, exception))
            .collect();
        prop_assert_eq!(read.frames, expected);
        prop_assert!(read.complete);
    }

    #[test]
    fn any_bytes_at_any_split_give_the_same_messages(
        good in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(0usize..300, 0..12),
    ) {
        let mut all = if good { two_events().to_vec() } else { Vec::new() };
        all.extend(bytes);
        let read = testing::same_at(Framing::EventStream, MAX_FRAME, &all, cuts);
        prop_assert_eq!(read.frames.len(), if good { 2 } else { 0 });
    }

    #[test]
    fn headers_of_any_bytes_never_panic(
        headers in 0u32..50,
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let mut all = prelude(16 + u32::try_from(bytes.len()).unwrap(), headers);
        all.extend(bytes);
        all.extend(crc32(&all).to_be_bytes());
        testing::same_at(Framing::EventStream, MAX_FRAME, &all, cuts);
    }
}
