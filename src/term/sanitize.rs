//! Text from outside, on its way to a screen.

use std::{borrow::Cow, fmt::Write as _};

/// Model output is text: on a terminal, control sequences in it are shown, not obeyed. Line breaks and tabs stay.
#[must_use]
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_dangerous(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The same for JSON: what it leaves as it is and a screen obeys is written as JSON's own escape, which means the same.
pub(super) fn sanitize_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_dangerous) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_dangerous(c) {
            // All of them are below U+10000.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The last look at a line for people that has colours of ours and words of others in it: of control sequences, only colours are obeyed.
pub(super) fn defuse(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = colour(rest).unwrap_or(c.len_utf8());
        let (now, after) = rest.split_at(length);
        if length == c.len_utf8() && is_dangerous(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push_str(now);
        }
        rest = after;
    }
    Cow::Owned(out)
}

/// The length of the colour that a text begins with: `ESC [`, numbers, `m`.
fn colour(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let ends = inside.get(end..)?.starts_with('m');
    ends.then_some("\u{1b}[".len() + end + 1)
}

/// Controls, and the invisible characters that turn the direction of what follows.
fn is_dangerous(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_shown() {
        assert_eq!(sanitize("a\tb\nç 你好 🎉"), "a\tb\nç 你好 🎉");
        assert_eq!(
            sanitize("\u{1b}[2J\u{7}\r\u{9b}x"),
            "\\u{1b}[2J\\u{7}\\u{d}\\u{9b}x"
        );
        assert_eq!(sanitize("\u{202e}x"), "\\u{202e}x");
    }

    #[test]
    fn of_sequences_only_colours_are_obeyed() {
        for (text, expected) in [
            ("error: ü\n\tx", "error: ü\n\tx"),
            (
                "\u{1b}[1;31merror:\u{1b}[0m x",
                "\u{1b}[1;31merror:\u{1b}[0m x",
            ),
            ("\u{1b}[m", "\u{1b}[m"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("a\r\u{9b}1mb", "a\\u{d}\\u{9b}1mb"),
        ] {
            assert_eq!(defuse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"k\u{9b}": "\u{1b}[2J\u{7f}\u{202e}ü\u{85}\n"});
        for json in [
            serde_json::to_string(&value).unwrap(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            let shown = sanitize_json(&json);
            assert!(!shown.chars().any(is_dangerous), "{shown}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }
}
