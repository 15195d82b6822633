//! Amazon's event stream: <https://smithy.io/2.0/aws/amazon-eventstream.html>.
//!
//! A message is its length, the length of its headers, a checksum of both, headers, payload, and a checksum of all. The lengths are held
//! against their checksum and the limit before anything else is waited for; the other checksum must hold too.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::{
    event_stream::{Header, HeaderValue, Message},
    str_bytes::StrBytes,
};
use bytes::{Bytes, BytesMut};

use super::{Data, Frame, FrameError};

/// Two lengths and a checksum before the headers, a checksum after the payload.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// Finds the end of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventStream;

impl EventStream {
    /// Length of the first whole message in `buffer`.
    pub(super) fn split(self, buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
        let number = |at| Some(u32::from_be_bytes(*buffer.get(at..)?.first_chunk()?));
        let (Some(length), Some(lengths), Some(checksum)) = (number(0), buffer.get(..8), number(8))
        else {
            return Ok(None);
        };
        if crc32(lengths) != checksum {
            return Err(FrameError::Corrupt(
                "the event stream is corrupt: the checksum of a message's lengths is wrong",
            ));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < PRELUDE + CHECKSUM {
            return Err(FrameError::Corrupt(
                "the event stream is corrupt: a message is shorter than its own frame",
            ));
        }
        if length > limit {
            return Err(FrameError::TooLarge { limit });
        }
        Ok((buffer.len() >= length).then_some(length))
    }

    /// Reads a message, and holds it against its checksums.
    pub(super) fn frame(self, raw: Bytes) -> Result<Frame, FrameError> {
        const CORRUPT: FrameError =
            FrameError::Corrupt("the event stream is corrupt: a checksum or header is wrong");
        let message = read_message_from(raw.clone()).map_err(|_| CORRUPT)?;
        let (mut event, mut failure, mut reason) = (None, None, None);
        let mut error = false;
        // Where the headers lie is counted anew: those of `message` are copies.
        let mut at = PRELUDE;
        for header in message.headers() {
            let name = header.name().as_str();
            // Lengths of name and value are numbers of one and two bytes, the type is one.
            at += 1 + name.len() + 1;
            at += match header.value() {
                HeaderValue::Bool(_) => 0,
                HeaderValue::Byte(_) => 1,
                HeaderValue::Int16(_) => 2,
                HeaderValue::Int32(_) => 4,
                HeaderValue::Int64(_) | HeaderValue::Timestamp(_) => 8,
                HeaderValue::Uuid(_) => 16,
                HeaderValue::ByteArray(bytes) => 2 + bytes.len(),
                HeaderValue::String(text) => {
                    let text = text.as_str();
                    let range = at + 2..at + 2 + text.len();
                    match name {
                        ":event-type" => event = Some(range),
                        ":exception-type" | ":error-code" => failure = Some(range),
                        ":error-message" => reason = Some(range),
                        ":message-type" => error = matches!(text, "exception" | "error"),
                        _ => {}
                    }
                    2 + text.len()
                }
                _ => return Err(CORRUPT),
            };
        }
        error |= failure.is_some();
        let payload = at..raw.len().saturating_sub(CHECKSUM);
        let data = match reason {
            Some(reason) if error && payload.is_empty() => reason,
            _ => payload,
        };
        Ok(Frame {
            raw,
            name: failure.or(event).unwrap_or(0..0),
            data: Data::Within(data),
            error,
        })
    }
}

/// The checksum of a message's lengths: CRC-32 as in gzip. Eight bytes are worth no table.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = (crc & 1_u32).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & carry);
        }
    }
    !crc
}

/// Appends one event with a JSON payload.
pub fn write_event(out: &mut BytesMut, event_type: &str, payload: &[u8]) {
    write(out, "event", ":event-type", event_type, payload);
}

/// Appends one exception with a JSON payload.
pub fn write_exception(out: &mut BytesMut, exception_type: &str, payload: &[u8]) {
    write(out, "exception", ":exception-type", exception_type, payload);
}

fn write(out: &mut BytesMut, message_type: &str, key: &str, name: &str, payload: &[u8]) {
    let text = |text: &str| HeaderValue::String(StrBytes::from(text.to_owned()));
    let message = Message::new(Bytes::copy_from_slice(payload))
        .add_header(Header::new(key.to_owned(), text(name)))
        .add_header(Header::new(":content-type", text("application/json")))
        .add_header(Header::new(":message-type", text(message_type)));
    // A name over 32 KiB or a payload over 4 GiB is not written at all; none that comes here is near that.
    let _ = write_message_to(&message, out);
}

#[cfg(test)]
mod tests;
