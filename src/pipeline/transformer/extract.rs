//! `transformation_extract_pattern` on an answer.

use pcre2::bytes::Regex;

use crate::profile::pattern;

/// What a pattern takes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extracted {
    /// The first match, whole.
    Match(String),
    /// There is none.
    Nothing,
    /// The pattern did not come to an end, or is none; PCRE's words.
    Failed(String),
}

/// Looks for the first match. Off the async threads: a pattern may try for a while before it is stopped.
pub(super) async fn extract(pattern: &str, text: &str) -> Extracted {
    let (pattern, text) = (pattern.to_owned(), text.to_owned());
    let looked = tokio::task::spawn_blocking(move || first(&pattern, &text)).await;
    looked.unwrap_or_else(|error| Extracted::Failed(error.to_string()))
}

fn first(pattern: &str, text: &str) -> Extracted {
    let regex: Regex = match pattern::extraction(pattern) {
        Ok(regex) => regex,
        Err(error) => return Extracted::Failed(error.to_string()),
    };
    match regex.find(text.as_bytes()) {
        // Bytes are matched, so a match can begin or end inside a character.
        Ok(Some(found)) => Extracted::Match(String::from_utf8_lossy(found.as_bytes()).into_owned()),
        Ok(None) => Extracted::Nothing,
        Err(error) => Extracted::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(pattern: &str, text: &str) -> String {
        match extract(pattern, text).await {
            Extracted::Match(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_whole_match_is_taken() {
        assert_eq!(
            found(r"\{((.|\n)*)\}", "Sure!\n{\"a\":\n{}}\nBye").await,
            "{\"a\":\n{}}"
        );
        // Group 1 is not what is meant.
        assert_eq!(found("a(b)c", "xABCabc").await, "ABC");
        assert_eq!(found("(?<=<)\\w+(?=>)", "<one> <two>").await, "one");
        assert_eq!(found(r"(\w)\1", "abccd").await, "cc");
        assert_eq!(found("^b.$", "ab\nbc\nd").await, "bc");
        assert_eq!(extract("<xml>", "{}").await, Extracted::Nothing);
        assert_eq!(found("x*", "abc").await, "");
    }

    #[tokio::test]
    async fn a_pattern_that_runs_away_is_stopped() {
        let text = format!("{}b", "a".repeat(64));
        let found = extract("^(a+)+$", &text).await;
        assert!(matches!(found, Extracted::Failed(_)), "{found:?}");
    }
}
