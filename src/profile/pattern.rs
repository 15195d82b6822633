//! The regular expressions of profiles. Kong's are PCRE, so ours are, too: PCRE2, compiled.

use std::fmt;

use pcre2::bytes::{Regex, RegexBuilder};

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// PCRE2's words.
    pub message: String,
    /// The byte of the pattern at which it gave up.
    pub offset: Option<usize>,
}

/// A pattern that tries more than this many ways to match is given up: `^(a+)+$` would not end otherwise.
const LIMIT: &str = "(*LIMIT_MATCH=10000000)";

/// `\{(.|\n)*\}` needs a frame a character; at PCRE2's 32 KiB it fails on 2 KB of text.
const JIT_STACK: usize = 64 << 20;

/// `[aiproxy] path` after its `~`.
///
/// # Errors
///
/// If it is no regular expression.
pub fn route(pattern: &str) -> Result<Regex, BadPattern> {
    compile(pattern, &mut RegexBuilder::new())
}

/// `transformation_extract_pattern`. Kong's flags: without case, `^` and `$` at every line, `.` not for a line end.
///
/// # Errors
///
/// If it is no regular expression.
pub fn extraction(pattern: &str) -> Result<Regex, BadPattern> {
    compile(pattern, RegexBuilder::new().caseless(true).multi_line(true))
}

fn compile(pattern: &str, builder: &mut RegexBuilder) -> Result<Regex, BadPattern> {
    builder
        .jit_if_available(true)
        .max_jit_stack_size(Some(JIT_STACK));
    builder
        .build(&format!("{LIMIT}{pattern}"))
        .map_err(|error| {
            let text = error.to_string();
            BadPattern {
                // "PCRE2: error compiling pattern at offset 25: missing closing parenthesis"
                message: text
                    .splitn(3, ": ")
                    .last()
                    .unwrap_or(text.as_str())
                    .to_owned(),
                offset: error.offset().map(|at| at.saturating_sub(LIMIT.len())),
            }
        })
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(f, " at byte {offset} of the pattern"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_and_where() {
        for (pattern, expected) in [
            (
                "a(b",
                "missing closing parenthesis at byte 3 of the pattern",
            ),
            (
                "*a",
                "quantifier does not follow a repeatable item at byte 0 of the pattern",
            ),
            (
                "a[z-b]",
                "range out of order in character class at byte 4 of the pattern",
            ),
        ] {
            assert_eq!(route(pattern).unwrap_err().to_string(), expected);
            assert_eq!(extraction(pattern).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn extraction_matches_as_kong_does() {
        let found = |pattern: &str, text: &str| {
            let regex = extraction(pattern).unwrap();
            let found = regex.find(text.as_bytes()).unwrap();
            found.map(|found| text[found.start()..found.end()].to_owned())
        };
        assert_eq!(found("ok$", "Ok\nno").as_deref(), Some("Ok"));
        assert_eq!(found("a.b", "a\nb"), None);
        assert_eq!(found("(*UTF)^.$", "é").as_deref(), Some("é"));
        let body = format!("{{{}}}", "x\n".repeat(200_000));
        assert_eq!(found(r"\{(.|\n)*\}", &format!("so: {body}!")), Some(body));
    }

    #[test]
    fn a_pattern_without_end_ends() {
        let regex = extraction("^(a+)+$").unwrap();
        assert!(
            regex
                .is_match(format!("{}b", "a".repeat(40)).as_bytes())
                .is_err()
        );
    }
}
