//! What changed between two texts: by line, and within lines by word.

use std::fmt::Write as _;

use similar::{ChangeTag, DiffTag, InlineChangeMode, InlineChangeOptions, TextDiff};

use super::Limits;

/// Lines that changed, with those around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// First line and number of lines in the old text, from 0.
    pub old: (usize, usize),
    /// The same in the new text.
    pub new: (usize, usize),
    /// All lines, in the order of a unified diff.
    pub lines: Vec<Line>,
}

/// Where a piece of text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// In both texts.
    Both,
    /// In the old one alone.
    Old,
    /// In the new one alone.
    New,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub tag: Tag,
    /// Its text in pieces; those that are marked are what changed of it.
    pub pieces: Vec<(bool, String)>,
    /// It has a line end.
    pub ended: bool,
}

/// A few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where they stand.
    pub tag: Tag,
    /// The words.
    pub text: String,
}

/// Lines around a change.
const AROUND: usize = 3;

/// Longer texts, in bytes of both, are not compared by word: it would take memory for each word of them.
const MOST_WORDS: usize = 512 << 10;

impl Line {
    /// Its whole text.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// The hunks of two texts.
pub(super) fn hunks(old: &str, new: &str, limits: &Limits) -> Vec<Hunk> {
    let diff = TextDiff::configure()
        .deadline(limits.until)
        .diff_lines(old, new);
    let mut options = InlineChangeOptions::default();
    options.mode(InlineChangeMode::UnicodeWords);
    let mut hunks = Vec::new();
    for group in diff.grouped_ops(AROUND) {
        let mut lines = Vec::new();
        for op in &group {
            let (tag, olds, news) = op.as_tag_tuple();
            let size = |range: std::ops::Range<usize>, old: bool| {
                let slice = |index| {
                    if old {
                        diff.old_slice(index)
                    } else {
                        diff.new_slice(index)
                    }
                };
                range.filter_map(slice).map(str::len).sum::<usize>()
            };
            if tag == DiffTag::Replace && size(olds, true) + size(news, false) <= MOST_WORDS {
                let changes =
                    diff.iter_inline_changes_with_options_deadline(op, options, Some(limits.until));
                for change in changes {
                    let pieces = change.iter_strings_lossy();
                    let pieces = pieces.map(|(marked, text)| (marked, text.into_owned()));
                    lines.push(line(change.tag(), pieces.collect()));
                }
            } else {
                for change in diff.iter_changes(op) {
                    let text = change.value().to_owned();
                    lines.push(line(change.tag(), vec![(false, text)]));
                }
            }
        }
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let range = |first: std::ops::Range<usize>, last: std::ops::Range<usize>| {
            (first.start, last.end.saturating_sub(first.start))
        };
        hunks.push(Hunk {
            old: range(first.old_range(), last.old_range()),
            new: range(first.new_range(), last.new_range()),
            lines,
        });
    }
    hunks
}

fn line(tag: ChangeTag, mut pieces: Vec<(bool, String)>) -> Line {
    let mut ended = false;
    if let Some((_, last)) = pieces.last_mut()
        && last.ends_with('\n')
    {
        last.pop();
        ended = true;
    }
    pieces.retain(|(_, text)| !text.is_empty());
    Line {
        tag: match tag {
            ChangeTag::Equal => Tag::Both,
            ChangeTag::Delete => Tag::Old,
            ChangeTag::Insert => Tag::New,
        },
        pieces,
        ended,
    }
}

/// The words of two texts; `None` if they have next to nothing in common, or are too long.
pub(super) fn words(old: &str, new: &str, limits: &Limits) -> Option<Vec<Piece>> {
    if old.len() + new.len() > MOST_WORDS {
        return None;
    }
    let diff = TextDiff::configure()
        .deadline(limits.until)
        .diff_unicode_words(old, new);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut kept = 0;
    for change in diff.iter_all_changes() {
        let tag = match change.tag() {
            ChangeTag::Equal => Tag::Both,
            ChangeTag::Delete => Tag::Old,
            ChangeTag::Insert => Tag::New,
        };
        let text = change.value();
        if tag == Tag::Both {
            kept += text.len();
        }
        match pieces.last_mut() {
            Some(last) if last.tag == tag => last.text.push_str(text),
            _ => pieces.push(Piece {
                tag,
                text: text.to_owned(),
            }),
        }
    }
    // Spaces alone are in common everywhere.
    (kept * 3 >= old.len().min(new.len())).then_some(pieces)
}

/// A unified diff, as `diff -u` writes it and `patch` reads it.
#[must_use]
pub fn unified(hunks: &[Hunk], old_name: &str, new_name: &str) -> String {
    let mut out = String::new();
    if hunks.is_empty() {
        return out;
    }
    let _ = writeln!(out, "--- {old_name}\n+++ {new_name}");
    for hunk in hunks {
        out.push_str(&hunk.header());
        out.push('\n');
        for line in &hunk.lines {
            out.push(line.tag.sign());
            for (_, text) in &line.pieces {
                out.push_str(text);
            }
            out.push('\n');
            if !line.ended {
                out.push_str(NO_END);
                out.push('\n');
            }
        }
    }
    out
}

/// What `diff` says of a last line without an end.
pub const NO_END: &str = "\\ No newline at end of file";

impl Hunk {
    /// `@@ -1,3 +1,4 @@`.
    #[must_use]
    pub fn header(&self) -> String {
        let range = |(start, count): (usize, usize)| match count {
            // An empty range is named by the line before it.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            _ => format!("{},{count}", start + 1),
        };
        format!("@@ -{} +{} @@", range(self.old), range(self.new))
    }
}

impl Tag {
    /// The sign of a unified diff.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Tag::Both => ' ',
            Tag::Old => '-',
            Tag::New => '+',
        }
    }
}
