//! One JSON array whose elements are the messages, as Google's services stream without `alt=sse`:
//! <https://cloud.google.com/apis/docs/system-parameters>.
//!
//! An element is an object, and ends where its brackets close; brackets inside strings do not count. What stands before it (white space,
//! commas however many and wherever, the array's own bracket) belongs to its frame. The closing bracket, and white space after it, are
//! frames without data, so that they are passed on and nothing waits. A single object instead of an array, an error's say, is one element.

use bytes::Bytes;
use memchr::memchr2;

use super::{Data, Frame, FrameError};

/// It may open the text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Finds the end of elements.
#[derive(Debug, Default)]
pub(super) struct JsonArray {
    /// How far the buffer was searched.
    scanned: usize,
    /// Where the element under search begins.
    start: Option<usize>,
    place: Place,
    /// Open brackets of the element.
    depth: usize,
    /// It stands in no array.
    alone: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the array.
    #[default]
    Before,
    /// Between elements.
    Between,
    /// In an element.
    Inside,
    /// In a string of an element.
    String,
    /// After a backslash in a string.
    Escape,
    /// After the array.
    After,
}

impl JsonArray {
    /// Length of the first whole element in `buffer` with what stands before it, of the array's end, or of white space after that.
    pub(super) fn split(&mut self, buffer: &[u8]) -> Result<Option<usize>, FrameError> {
        if self.place == Place::Before && self.scanned == 0 {
            if BYTE_ORDER_MARK.starts_with(buffer) {
                return Ok(None);
            }
            if buffer.starts_with(BYTE_ORDER_MARK) {
                self.scanned = BYTE_ORDER_MARK.len();
            }
        }
        while let Some(byte) = buffer.get(self.scanned).copied() {
            let at = self.scanned;
            self.scanned += 1;
            match (self.place, byte) {
                (Place::String, b'"') => self.place = Place::Inside,
                (Place::String, b'\\') => self.place = Place::Escape,
                (Place::String, _) => {
                    let rest = buffer.get(at..).unwrap_or_default();
                    self.scanned = at + memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                }
                (Place::Escape, _) => self.place = Place::String,
                (Place::Inside, b'"') => self.place = Place::String,
                (Place::Inside, b'{' | b'[') => self.depth += 1,
                (Place::Inside, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.place = if self.alone {
                            Place::After
                        } else {
                            Place::Between
                        };
                        return Ok(Some(std::mem::take(&mut self.scanned)));
                    }
                }
                (Place::Inside, _) => {}
                (Place::Before, b'[') => self.place = Place::Between,
                (Place::Before | Place::Between, b'{') => {
                    self.alone = self.place == Place::Before;
                    self.place = Place::Inside;
                    self.start = Some(at);
                    self.depth = 1;
                }
                (Place::Between, b']') => {
                    self.place = Place::After;
                    return Ok(Some(std::mem::take(&mut self.scanned)));
                }
                (Place::Between, b',') => {}
                (Place::After, _) if byte.is_ascii_whitespace() => {
                    let space = |byte: &&u8| byte.is_ascii_whitespace();
                    self.scanned = 0;
                    return Ok(Some(buffer.iter().take_while(space).count()));
                }
                (Place::Before | Place::Between, _) if byte.is_ascii_whitespace() => {}
                _ => {
                    return Err(FrameError::Corrupt(
                        "the stream is no JSON array of objects",
                    ));
                }
            }
        }
        Ok(None)
    }

    /// What [`split`](JsonArray::split) measured last.
    pub(super) fn frame(&mut self, raw: Bytes) -> Frame {
        let data = self.start.take().map_or(0..0, |start| start..raw.len());
        Frame {
            raw,
            name: 0..0,
            data: Data::Within(data),
            error: false,
        }
    }

    /// Whether the array, or the object that stands for it, is at its end.
    pub(super) fn is_closed(&self) -> bool {
        self.place == Place::After
    }
}

#[cfg(test)]
mod tests;
