//! What changed between two bodies: JSON by structure, everything else by line and word.
//!
//! Pure functions over bytes; [`compare`] gives what people read, [`lines()`] and [`patch`] the two forms that programs know. All are bounded:
//! beyond [`Limits`] the result is coarser and says so in its notes. It imports nothing of ours.

mod align;
mod json;
mod lines;
mod patch;
mod path;
mod structure;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use json::{Json, Kind};
pub use lines::{Hunk, Line, NO_END, Piece, Tag, unified};
pub use patch::{Op, OpKind, as_text};
pub use path::{Path, Step};
pub use structure::{Change, Edit};

use json::Reader;

/// How much work a comparison may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of both bodies together.
    pub bytes: usize,
    /// Values of both bodies together, if they are JSON.
    pub values: usize,
    /// Lines of both bodies together.
    pub lines: usize,
    /// Until when the best alignment is looked for; after that any will do.
    pub until: Instant,
}

impl Limits {
    /// What a person at a terminal waits for: bodies with pictures are large, but have few values.
    #[must_use]
    pub fn patient() -> Limits {
        Limits {
            bytes: 128 << 20,
            values: 1_000_000,
            lines: 1_000_000,
            until: Instant::now() + Duration::from_secs(3),
        }
    }

    fn passed(&self) -> bool {
        Instant::now() > self.until
    }
}

/// What changed, and how well it was looked at.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What changed.
    pub content: Content,
    /// What a reader should know of it, such as a limit that was met.
    pub notes: Vec<&'static str>,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing.
    Same,
    /// Both are JSON.
    Json {
        /// The first changes, in the order of the bodies.
        changes: Vec<Change>,
        /// How many more there are.
        more: usize,
    },
    /// Both are text.
    Lines(Vec<Hunk>),
    /// They differ from this byte on; nothing more can be said.
    Bytes {
        /// The first byte that differs.
        at: usize,
        /// Length of the old body.
        old: usize,
        /// Length of the new body.
        new: usize,
    },
}

impl Comparison {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_same(&self) -> bool {
        matches!(self.content, Content::Same)
    }

    fn same(notes: Vec<&'static str>) -> Comparison {
        Comparison {
            content: Content::Same,
            notes,
        }
    }

    fn bytes(old: &[u8], new: &[u8], note: &'static str) -> Comparison {
        let at = old.iter().zip(new).take_while(|(old, new)| old == new);
        Comparison {
            content: Content::Bytes {
                at: at.count(),
                old: old.len(),
                new: new.len(),
            },
            notes: vec![note],
        }
    }
}

/// Keys moved, or spaces.
pub const FORM_ONLY: &str =
    "equal in content; the bytes differ in form alone (order of keys, spaces, escapes)";
const TOO_LARGE: &str = "the bodies are too large to be compared by their content";
const NO_TEXT: &str = "at least one body is no text";
const HURRIED: &str =
    "the time for the best alignment was up: more is shown as changed than had to be";

/// What changed from `old` to `new`: by structure if both are JSON, else by line.
#[must_use]
pub fn compare(old: &[u8], new: &[u8], limits: &Limits) -> Comparison {
    if old == new {
        return Comparison::same(Vec::new());
    }
    if old.len().saturating_add(new.len()) > limits.bytes {
        return Comparison::bytes(old, new, TOO_LARGE);
    }
    if let Some((old, new)) = both(old, new, limits) {
        let (changes, more) = structure::changes(&old, &new, limits);
        if changes.is_empty() {
            return Comparison::same(vec![FORM_ONLY]);
        }
        return Comparison {
            content: Content::Json { changes, more },
            notes: hurried(limits),
        };
    }
    by_line(old, new, limits)
}

/// What changed by line; JSON is written with a line for each value first, the new one's keys in the order of the old one's.
#[must_use]
pub fn lines(old: &[u8], new: &[u8], limits: &Limits) -> Comparison {
    if old == new {
        return Comparison::same(Vec::new());
    }
    if old.len().saturating_add(new.len()) > limits.bytes {
        return Comparison::bytes(old, new, TOO_LARGE);
    }
    let Some((old, new)) = both(old, new, limits) else {
        return by_line(old, new, limits);
    };
    if old == new {
        return Comparison::same(vec![FORM_ONLY]);
    }
    let new = structure::like(&old, new, limits);
    by_line(old.pretty().as_bytes(), new.pretty().as_bytes(), limits)
}

/// The JSON patch (RFC 6902) that makes `new` of `old`; `None` if one of them is no JSON, or too large.
#[must_use]
pub fn patch(old: &[u8], new: &[u8], limits: &Limits) -> Option<Vec<Op>> {
    if old.len().saturating_add(new.len()) > limits.bytes {
        return None;
    }
    let (old, new) = both(old, new, limits)?;
    Some(patch::patch(&old, &new, limits))
}

/// A JSON body with a line for each value; `None` if it is none, or too large.
#[must_use]
pub fn pretty(body: &[u8]) -> Option<String> {
    let limits = Limits::patient();
    let mut reader = Reader::new(&limits);
    reader.read(body).map(|json| json.pretty())
}

fn both<'a>(old: &'a [u8], new: &'a [u8], limits: &Limits) -> Option<(Json<'a>, Json<'a>)> {
    let mut reader = Reader::new(limits);
    Some((reader.read(old)?, reader.read(new)?))
}

fn by_line(old: &[u8], new: &[u8], limits: &Limits) -> Comparison {
    let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return Comparison::bytes(old, new, NO_TEXT);
    };
    let count = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
    if count(old).saturating_add(count(new)) > limits.lines {
        return Comparison::bytes(old, new, TOO_LARGE);
    }
    Comparison {
        content: Content::Lines(lines::hunks(old_text, new_text, limits)),
        notes: hurried(limits),
    }
}

fn hurried(limits: &Limits) -> Vec<&'static str> {
    if limits.passed() {
        vec![HURRIED]
    } else {
        Vec::new()
    }
}
