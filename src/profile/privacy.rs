//! What of a profile may be shown in messages: everything but secrets, also those in the wrong place.
//!
//! The rule is the specification's (on a line under an `auth` table only the key is shown), and wider where a mistake
//! would make it leak: a mistyped `auth`, a key that belongs under it, a key pasted where a name should be.

use super::{
    schema::{Document, Key, Shape},
    source::{Entry, Node, Syntax},
};

/// Stands for what is not shown.
pub(crate) const STARS: &str = "***";

/// Parts of key names that announce a secret.
const SECRET_WORDS: [&str; 13] = [
    "auth",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "credential",
    "header_value",
    "param_value",
    "service_account",
    "private",
];

/// How well-known secrets begin.
const SECRET_STARTS: [&str; 12] = [
    "sk-", "sk_", "pk-", "gsk_", "xai-", "hf_", "r8_", "AIza", "AKIA", "ghp_", "dapi", "eyJ",
];

/// What stands in front of a secret inside a longer text.
const SECRET_MARKS: [&str; 8] = [
    "Bearer ",
    "Basic ",
    "key=",
    "token=",
    "secret=",
    "password=",
    "sig=",
    "-----BEGIN",
];

/// Whether a key's value, and all that is inside it, is not shown.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
        || super::suggest::distance(&key, "auth") <= 1
}

/// Whether a value gives itself away, whatever its key.
pub(crate) fn is_secret_text(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    words.any(|word| SECRET_STARTS.iter().any(|start| word.starts_with(start)))
        || text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(is_random)
        || SECRET_MARKS.iter().any(|mark| text.contains(mark))
        || has_user_info(text)
}

/// Letters and digits mixed, and longer than names of models or hosts run without a dash.
fn is_random(run: &str) -> bool {
    let has = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
    let (upper, lower, digit) = (
        has(char::is_ascii_uppercase),
        has(char::is_ascii_lowercase),
        has(char::is_ascii_digit),
    );
    (run.len() >= 16 && upper && lower && digit) || (run.len() >= 24 && digit && (upper || lower))
}

/// A URL as it may be shown: a query that holds a secret is left out.
pub(crate) fn url_without_secret(text: &str) -> String {
    match text.split_once('?') {
        Some((before, query)) if SECRET_MARKS.iter().any(|mark| query.contains(mark)) => {
            format!("{before}?{STARS}")
        }
        _ => text.to_owned(),
    }
}

/// Whether a text can only be a name: letters and dashes, too short and too plain for a key.
pub(crate) fn is_plain_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_')
}

/// A name from a place where secrets stand.
pub(crate) fn name_or_stars(text: &str) -> &str {
    if is_plain_name(text) { text } else { STARS }
}

/// The parts of a file whose lines are not shown, as byte ranges.
pub(crate) fn secret_ranges(
    syntax: Syntax,
    text: &str,
    root: &Node,
) -> Vec<std::ops::Range<usize>> {
    let mut starts = Vec::new();
    each_entry(root, &mut |entry| starts.push(entry.span.start));
    starts.sort_unstable();
    let mut ranges = Vec::new();
    collect(root, false, &mut |entry| {
        let end = match syntax {
            Syntax::Toml | Syntax::Json => entry.value.span.end,
            // YAML's reader does not say where a block of text ends; the next key is the nearest safe bound.
            Syntax::Yaml => {
                let next = starts
                    .iter()
                    .copied()
                    .find(|start| *start > entry.span.start.max(entry.value.span.start));
                next.map_or(text.len(), |next| before_its_line(text, next))
            }
        };
        ranges.push(entry.span.start..end.max(entry.span.end));
    });
    ranges
}

fn collect(node: &Node, secret: bool, found: &mut impl FnMut(&Entry)) {
    for entry in node.entries() {
        let gives_itself_away = match &entry.value.kind {
            super::source::Kind::Text(text) => is_secret_text(text),
            _ => false,
        };
        let secret_here = secret || is_secret_key(&entry.key) || gives_itself_away;
        if secret_here {
            found(entry);
        }
        collect(&entry.value, secret_here, found);
    }
}

fn each_entry(node: &Node, found: &mut impl FnMut(&Entry)) {
    for entry in node.entries() {
        found(entry);
        each_entry(&entry.value, found);
    }
}

/// The end of the line before a key that begins its own line; the key itself if something stands in front of it.
fn before_its_line(text: &str, key: usize) -> usize {
    let before = text.get(..key).unwrap_or(text);
    let indent = before.trim_end_matches([' ', '\t', '"', '\'', '?', '-']);
    if indent.ends_with('\n') {
        indent.len() - 1
    } else {
        key
    }
}

/// A line of a file that does not parse: only words that the schema knows, and small numbers, are shown.
///
/// Where the file breaks, nobody knows what is a key and what is a value. The `usize` is where the byte `at` of the
/// line has gone.
pub(crate) fn mask_line(line: &str, at: usize) -> (String, usize) {
    let mut masked = String::new();
    let mut moved = None;
    let mut rest = line;
    while !rest.is_empty() {
        let start = line.len() - rest.len();
        let word_end = rest.find(is_separator).unwrap_or(rest.len());
        let end = if word_end > 0 {
            word_end
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        let (part, after) = rest.split_at(end);
        if moved.is_none() && at < start + end {
            let inside = if word_end == 0 || is_known_word(part) {
                at.saturating_sub(start)
            } else {
                0
            };
            moved = Some(masked.len() + inside);
        }
        masked.push_str(if word_end == 0 || is_known_word(part) {
            part
        } else {
            STARS
        });
        rest = after;
    }
    let end = masked.len();
    (masked, moved.unwrap_or(end))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '=' | ':' | '"' | '\'' | '[' | ']' | '{' | '}' | ',' | '#' | '.'
        )
}

fn is_known_word(word: &str) -> bool {
    matches!(word, "true" | "false" | "null" | "-" | "---")
        || (word.len() <= 4 && word.chars().all(|c| c.is_ascii_digit()))
        || knows(Document::KEYS, word)
}

fn knows(keys: &[Key], word: &str) -> bool {
    keys.iter().any(|key| {
        key.name == word
            || match (key.shape)() {
                Shape::Choice(texts) => texts.contains(&word),
                Shape::Table(keys) => knows(keys, word),
                _ => false,
            }
    })
}

/// `user:password@` in a URL.
fn has_user_info(text: &str) -> bool {
    text.split("://")
        .nth(1)
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .is_some_and(|a| a.contains('@'))
}

#[cfg(test)]
mod tests;
