//! Frames that differ from the one before in nothing but their text.
//!
//! Most of a stream is such frames: hundreds of bytes that are the same, and a word. Reading the JSON of each is most of what a
//! forwarded chunk costs. So the frame that told one text is kept, and the next one is compared with it; only where they differ in more is
//! it read.

use std::borrow::Cow;

use memchr::memmem;

use super::{Error, StreamDecoder};
use crate::{
    llm::{Event, Sink},
    wire::Frame,
};

/// OpenAI's padding, different in every chunk (<https://platform.openai.com/docs/api-reference/chat/create#chat_create-stream_options>).
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// What the frame before looked like, if all it told was a text.
#[derive(Debug, Default)]
pub struct Steady {
    told: bool,
    part: u32,
    name: Vec<u8>,
    /// The bytes before the text.
    before: Vec<u8>,
    /// Those after it, from its closing quote on: up to the padding, and behind it.
    after: Vec<u8>,
    behind: Option<Vec<u8>>,
}

impl Steady {
    /// Reads one frame with `decoder`, or does what it would do.
    ///
    /// # Errors
    ///
    /// As [`StreamDecoder::frame`].
    pub fn frame(
        &mut self,
        decoder: &mut dyn StreamDecoder,
        frame: &Frame,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        if let Some(text) = self.text(frame)
            && decoder.repeat(text)
        {
            sink.event(Event::Text {
                part: self.part,
                text: Cow::Borrowed(text),
            });
            return Ok(());
        }
        let mut probe = Probe {
            sink,
            data: frame.data(),
            found: Found::Nothing,
        };
        let result = decoder.frame(frame, &mut probe);
        let found = probe.found;
        self.told = false;
        if let (Ok(()), Found::Text(part, at, length)) = (&result, found) {
            self.learn(frame, part, at, length);
        }
        result
    }

    /// The text of a frame that is like the one before.
    fn text<'f>(&self, frame: &'f Frame) -> Option<&'f str> {
        if !self.told || frame.name() != self.name {
            return None;
        }
        let rest = frame.data().strip_prefix(self.before.as_slice())?;
        let length = plain(rest)?;
        let (text, rest) = rest.split_at_checked(length)?;
        let rest = rest.strip_prefix(self.after.as_slice())?;
        let same = match &self.behind {
            None => rest.is_empty(),
            Some(behind) => rest.get(plain(rest)?..)? == behind.as_slice(),
        };
        // An empty one may say something else, or nothing.
        let says = same && !text.is_empty();
        says.then(|| std::str::from_utf8(text).ok()).flatten()
    }

    /// Keeps what is around the text.
    fn learn(&mut self, frame: &Frame, part: u32, at: usize, length: usize) {
        let Some((before, rest)) = frame.data().split_at_checked(at) else {
            return;
        };
        let after = rest.get(length..).unwrap_or_default();
        // Anything else is no JSON string without escapes, whose bytes are its text.
        if !before.ends_with(b"\"") || plain(rest) != Some(length) {
            return;
        }
        let padded = memmem::find(after, PADDING)
            .and_then(|padding| after.split_at_checked(padding + PADDING.len()));
        let (after, behind) = match padded {
            None => (after, None),
            Some((after, rest)) => {
                let Some(behind) = plain(rest).and_then(|end| rest.get(end..)) else {
                    return;
                };
                (after, Some(behind.to_vec()))
            }
        };
        replace(&mut self.name, frame.name());
        replace(&mut self.before, before);
        replace(&mut self.after, after);
        self.behind = behind;
        self.part = part;
        self.told = true;
    }
}

fn replace(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.clear();
    kept.extend_from_slice(bytes);
}

/// How long the inside of a JSON string is, if it has no escape in it.
fn plain(inside: &[u8]) -> Option<usize> {
    let end = inside
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (inside.get(end) == Some(&b'"')).then_some(end)
}

/// What a frame told so far.
#[derive(Clone, Copy)]
enum Found {
    Nothing,
    /// One text, which stands in the frame: its part, place and length.
    Text(u32, usize, usize),
    More,
}

/// Looks at the events of a frame on their way.
struct Probe<'a> {
    sink: &'a mut dyn Sink,
    data: &'a [u8],
    found: Found,
}

impl Sink for Probe<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.found = match (self.found, &event) {
            (
                Found::Nothing,
                Event::Text {
                    part,
                    text: Cow::Borrowed(text),
                },
            ) => {
                let start = self.data.as_ptr().addr();
                let at = text.as_ptr().addr().checked_sub(start);
                match at.filter(|at| at + text.len() <= self.data.len()) {
                    Some(at) => Found::Text(*part, at, text.len()),
                    None => Found::More,
                }
            }
            _ => Found::More,
        };
        self.sink.event(event);
    }
}

#[cfg(test)]
mod tests;
