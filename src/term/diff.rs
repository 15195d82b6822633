//! Differences on the screen.

use super::{Ink, Term, sanitize};
use crate::diff::{Change, Comparison, Content, Edit, Hunk, Line, NO_END, Piece, Tag};

/// Of what stays the same in a long string, so many characters around a change are shown.
const AROUND: usize = 40;

/// A value is cut at so many characters; the whole of it stands in the body.
const LONGEST: usize = 400;

/// The narrowest column of two that can be read.
const NARROWEST: usize = 20;

/// The width of two columns where no terminal says one.
const WIDTH: usize = 160;

/// A comparison in words, for stdout; empty if nothing changed and there is nothing to say. Lines are marked, so that it reads without
/// colours as well.
#[must_use]
pub fn render(term: &Term, compared: &Comparison) -> String {
    let mut out = match &compared.content {
        Content::Same => String::new(),
        Content::Json { changes, more } => {
            let mut out: String = changes
                .iter()
                .map(|change| self::change(term, change))
                .collect();
            if *more > 0 {
                out.push_str(&format!("… and {more} more changes\n"));
            }
            out
        }
        Content::Lines(hunks) => hunks.iter().map(|hunk| self::hunk(term, hunk)).collect(),
        Content::Bytes { at, old, new } => {
            format!("the bodies differ from byte {at} on ({old} and {new} bytes)\n")
        }
    };
    for note in &compared.notes {
        out.push_str(&term.ink(Ink::Faint, &format!("({note})")));
        out.push('\n');
    }
    out
}

/// A comparison by lines as a unified diff, with these names for its sides.
#[must_use]
pub fn unified(term: &Term, compared: &Comparison, names: (&str, &str)) -> String {
    let Content::Lines(hunks) = &compared.content else {
        return render(term, compared);
    };
    let head =
        |sign: &str, name: &str| term.ink(Ink::Strong, &format!("{sign} {}", shown(term, name)));
    let mut out = format!("{}\n{}\n", head("---", names.0), head("+++", names.1));
    out.extend(hunks.iter().map(|hunk| self::hunk(term, hunk)));
    out
}

fn change(term: &Term, Change { path, edit }: &Change) -> String {
    let path = path.to_string();
    let path = term.ink(Ink::Strong, &shown(term, &path));
    match edit {
        Edit::Added(new) => {
            let (sign, new) = (term.ink(Ink::Good, "+"), value(term, Ink::Good, new));
            format!("{sign} {path}: {new}\n")
        }
        Edit::Removed(old) => {
            let (sign, old) = (term.ink(Ink::Bad, "-"), value(term, Ink::Bad, old));
            format!("{sign} {path}: {old}\n")
        }
        Edit::Changed(old, new) => {
            let (old, new) = (value(term, Ink::Bad, old), value(term, Ink::Good, new));
            format!("{} {path}: {old} → {new}\n", term.ink(Ink::Warn, "~"))
        }
        Edit::Reworded(pieces) => {
            format!(
                "{} {path}: {}\n",
                term.ink(Ink::Warn, "~"),
                reworded(term, pieces)
            )
        }
    }
}

fn value(term: &Term, ink: Ink, json: &str) -> String {
    let cut = cut(json, LONGEST);
    let left = json.chars().count().saturating_sub(LONGEST);
    let text = term.ink(ink, &shown(term, cut));
    if left == 0 {
        return text;
    }
    format!(
        "{text}{}",
        term.ink(Ink::Faint, &format!("… ({left} more characters)"))
    )
}

/// The first `length` characters.
fn cut(text: &str, length: usize) -> &str {
    match text.char_indices().nth(length) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// The last `length` characters.
fn cut_front(text: &str, length: usize) -> &str {
    match text.char_indices().rev().nth(length.saturating_sub(1)) {
        Some((start, _)) => text.get(start..).unwrap_or(text),
        None => text,
    }
}

/// What changed of a string: `[-old-]{+new+}` as `git diff --word-diff` marks it, with colours instead where there are some.
fn reworded(term: &Term, pieces: &[Piece]) -> String {
    let mut out = String::new();
    let last = pieces.len().saturating_sub(1);
    for (index, Piece { tag, text }) in pieces.iter().enumerate() {
        let text = match tag {
            Tag::Both => around(text, index == 0, index == last),
            Tag::Old | Tag::New => text.clone(),
        };
        let text = shown(term, &text).replace('\n', "\n    ");
        out.push_str(&match (tag, term.colour_out()) {
            (Tag::Both, _) => text,
            (Tag::Old, true) => term.ink(Ink::Bad, &text),
            (Tag::New, true) => term.ink(Ink::Good, &text),
            (Tag::Old, false) => format!("[-{text}-]"),
            (Tag::New, false) => format!("{{+{text}+}}"),
        });
    }
    out
}

/// What stays the same, with the middle left out.
fn around(text: &str, first: bool, last: bool) -> String {
    let shown = match (first, last) {
        (true, _) | (_, true) => AROUND,
        _ => 2 * AROUND,
    };
    if text.chars().count() <= shown + 10 {
        return text.to_owned();
    }
    match (first, last) {
        (true, true) => text.to_owned(),
        (true, false) => format!("…{}", cut_front(text, AROUND)),
        (false, true) => format!("{}…", cut(text, AROUND)),
        (false, false) => format!("{} … {}", cut(text, AROUND), cut_front(text, AROUND)),
    }
}

fn hunk(term: &Term, hunk: &Hunk) -> String {
    let mut out = term.ink(Ink::Literal, &hunk.header());
    out.push('\n');
    for line in &hunk.lines {
        out.push_str(&self::line(term, line));
        out.push('\n');
        if !line.ended {
            out.push_str(&term.ink(Ink::Faint, NO_END));
            out.push('\n');
        }
    }
    out
}

fn ink_of(tag: Tag) -> Option<Ink> {
    match tag {
        Tag::Both => None,
        Tag::Old => Some(Ink::Bad),
        Tag::New => Some(Ink::Good),
    }
}

/// The line in its colour; where only words of it changed, these stand out and the rest does not.
fn line(term: &Term, line: &Line) -> String {
    let sign = line.tag.sign().to_string();
    let Some(ink) = ink_of(line.tag) else {
        return format!("{sign}{}", shown(term, &line.text()));
    };
    let by_word = line.pieces.iter().any(|(marked, _)| *marked);
    let mut out = term.ink(ink, &sign);
    for (marked, text) in &line.pieces {
        let text = shown(term, text);
        if *marked || !by_word {
            out.push_str(&term.ink(ink, &text));
        } else {
            out.push_str(&text);
        }
    }
    out
}

/// Text from outside: as it is in a pipe, made harmless on a screen.
fn shown(term: &Term, text: &str) -> String {
    if term.out_is_terminal() {
        sanitize(text).into_owned()
    } else {
        text.to_owned()
    }
}

/// A comparison by lines in two columns, for a terminal of this width.
#[must_use]
pub fn side_by_side(term: &Term, compared: &Comparison, width: Option<usize>) -> String {
    let Content::Lines(hunks) = &compared.content else {
        return render(term, compared);
    };
    let column = (width.unwrap_or(WIDTH).saturating_sub(3) / 2).max(NARROWEST);
    let mut out = String::new();
    for hunk in hunks {
        out.push_str(&term.ink(Ink::Literal, &hunk.header()));
        out.push('\n');
        let mut lines = hunk.lines.iter().peekable();
        while let Some(line) = lines.next() {
            if line.tag == Tag::Both {
                row(term, Some(line), Some(line), column, &mut out);
                continue;
            }
            // What was taken out and what was put in its place stand side by side.
            let (mut olds, mut news) = (Vec::new(), Vec::new());
            let mut next = Some(line);
            while let Some(line) = next {
                match line.tag {
                    Tag::Old => olds.push(line),
                    _ => news.push(line),
                }
                next = lines.next_if(|line| line.tag != Tag::Both);
            }
            for index in 0..olds.len().max(news.len()) {
                let (old, new) = (olds.get(index), news.get(index));
                row(term, old.copied(), new.copied(), column, &mut out);
            }
        }
    }
    out
}

/// A line of each side; one that is too long goes on below.
fn row(term: &Term, old: Option<&Line>, new: Option<&Line>, column: usize, out: &mut String) {
    let wrap = |line: Option<&Line>| {
        line.map(|line| wrapped(term, line, column))
            .unwrap_or_default()
    };
    let (old_rows, new_rows) = (wrap(old), wrap(new));
    let middle = match (old.map(|line| line.tag), new.map(|line| line.tag)) {
        (Some(Tag::Both), _) => ' ',
        (Some(_), Some(_)) => '|',
        (Some(_), None) => '<',
        (None, _) => '>',
    };
    for index in 0..old_rows.len().max(new_rows.len()) {
        let empty = (String::new(), 0);
        let (left, used) = old_rows.get(index).unwrap_or(&empty);
        let (right, _) = new_rows.get(index).unwrap_or(&empty);
        let pad = " ".repeat(column.saturating_sub(*used));
        let line = format!("{left}{pad} {middle} {right}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// A line in pieces of at most this width, each with the width that it has.
fn wrapped(term: &Term, line: &Line, width: usize) -> Vec<(String, usize)> {
    let ink = ink_of(line.tag);
    let by_word = line.pieces.iter().any(|(marked, _)| *marked);
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    for (marked, text) in &line.pieces {
        let ink = ink.filter(|_| *marked || !by_word);
        let mut run = String::new();
        let painted = |run: &mut String| {
            let text = std::mem::take(run);
            match ink {
                Some(ink) if !text.is_empty() => term.ink(ink, &text),
                _ => text,
            }
        };
        let text = sanitize(text).replace('\t', "    ");
        for c in text.chars() {
            let wide = console::measure_text_width(c.encode_utf8(&mut [0; 4]));
            if used + wide > width {
                row.push_str(&painted(&mut run));
                rows.push((std::mem::take(&mut row), used));
                used = 0;
            }
            run.push(c);
            used += wide;
        }
        row.push_str(&painted(&mut run));
    }
    rows.push((row, used));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Limits, compare, lines};

    fn term(colour: bool) -> Term {
        if colour {
            Term::screen(true)
        } else {
            Term::plain()
        }
    }

    fn structural(term: &Term, old: &str, new: &str) -> String {
        render(
            term,
            &compare(old.as_bytes(), new.as_bytes(), &Limits::patient()),
        )
    }

    const OLD: &str = r#"{"a":1,"gone":true,"text":"Answer briefly and in the language of the question that was asked, please, and nothing else."}"#;
    const NEW: &str = r#"{"a":2,"text":"Answer at length and in the language of the question that was asked, please, and nothing else.","new":[1]}"#;

    #[test]
    fn structure_reads_without_colours() {
        assert_eq!(
            structural(&term(false), OLD, NEW),
            "~ a: 1 → 2\n- gone: true\n~ text: Answer [-briefly-]{+at length+} and in the language of the question tha…\n+ new: [1]\n"
        );
    }

    #[test]
    fn colours_replace_the_marks_of_words() {
        let text = structural(&term(true), OLD, NEW);
        assert!(
            text.contains("\u{1b}[31m\u{1b}[1mbriefly\u{1b}[0m"),
            "{text:?}"
        );
        assert!(text.contains("\u{1b}[32mat length\u{1b}[0m"), "{text:?}");
        assert!(!text.contains("[-"), "{text:?}");
    }

    #[test]
    fn a_screen_is_not_steered() {
        let text = structural(&term(true), r#"{"a":"x"}"#, "{\"a\":\"\u{202e}\u{9b}y\"}");
        assert!(text.contains("\\u{202e}\\u{9b}y"), "{text:?}");
        let piped = structural(&term(false), r#"{"a":"x"}"#, "{\"a\":\"\u{202e}y\"}");
        assert!(piped.contains("\u{202e}y"), "{piped:?}");
    }

    #[test]
    fn two_columns() {
        let compared = lines(
            "same\nold words here\nthird\n".as_bytes(),
            "same\nnew words here, and so many more that they take two lines\n".as_bytes(),
            &Limits::patient(),
        );
        assert_eq!(
            side_by_side(&term(false), &compared, Some(53)),
            "@@ -1,3 +1,2 @@\n\
             same                        same\n\
             old words here            | new words here, and so ma\n\
             \u{20}                         | ny more that they take tw\n\
             \u{20}                         | o lines\n\
             third                     <\n"
        );
    }

    #[test]
    fn unified_has_names() {
        let compared = lines(b"a\n", b"b\n", &Limits::patient());
        assert_eq!(
            unified(&term(false), &compared, ("old.txt", "new.txt")),
            "--- old.txt\n+++ new.txt\n@@ -1 +1 @@\n-a\n+b\n"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let new = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
        let text = structural(&term(false), "{}", &new);
        assert!(text.ends_with("x… (602 more characters)\n"), "{text}");
    }
}
