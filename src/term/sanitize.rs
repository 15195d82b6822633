//! Text from outside, on its way to a screen.

use std::borrow::Cow;

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
}
