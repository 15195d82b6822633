//! One JSON value a line: <https://github.com/ndjson/ndjson-spec>.
//!
//! Lines end in LF, CRLF or CR: a value holds neither, and a CR that were no line end could only stand between two values. Empty lines are
//! frames without data, a byte order mark and white space around a value are no part of it, and the last value may lack its line end. Some
//! servers put server-sent events' `data:` before each value; it is taken off.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

use super::{Data, Frame};

/// Finds the end of lines.
#[derive(Debug, Default)]
pub(super) struct NdJson {
    /// How far the buffer was searched.
    scanned: usize,
}

impl NdJson {
    /// Length of the first whole line in `buffer`, its end included. Of a CRLF that came in two pieces, the LF is a line of its own.
    pub(super) fn split(&mut self, buffer: &[u8]) -> Option<usize> {
        let rest = buffer.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(b'\n', b'\r', rest) else {
            self.scanned = buffer.len();
            return None;
        };
        let end = std::mem::take(&mut self.scanned) + found + 1;
        let crlf = rest.get(found..found + 2) == Some(b"\r\n".as_slice());
        Some(end + usize::from(crlf))
    }

    /// Reads a line.
    pub(super) fn frame(&mut self, raw: Bytes) -> Frame {
        let mut data = trimmed(&raw, without(&raw, 0, b"\xEF\xBB\xBF"));
        data = trimmed(&raw, without(&raw, data.start, b"data:"));
        Frame {
            raw,
            name: 0..0,
            data: Data::Within(data),
            error: false,
        }
    }
}

/// Where the text at `start` goes on after `prefix`, if it begins with that.
fn without(raw: &[u8], start: usize, prefix: &[u8]) -> usize {
    let begins = raw
        .get(start..)
        .is_some_and(|text| text.starts_with(prefix));
    if begins { start + prefix.len() } else { start }
}

/// The text from `start` on, without the white space around it.
fn trimmed(raw: &[u8], start: usize) -> Range<usize> {
    let text = raw.get(start..).unwrap_or_default().trim_ascii_end();
    let end = start + text.len();
    end - text.trim_ascii_start().len()..end
}

/// Appends one value (which holds no line breaks) as a line.
pub fn write_line(out: &mut BytesMut, json: &[u8]) {
    out.extend_from_slice(json);
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests;
