//! Takes secrets out of text: by their value, as they are and in the encodings that a body may hold them in.

use std::{borrow::Cow, ops::Range};

use aho_corasick::AhoCorasick;

/// Shorter values are not looked for: they would be found in ordinary words.
const SHORTEST: usize = 8;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Finds the values of secrets.
#[derive(Default)]
pub struct Redactor {
    /// In lower case, for the cut ends of texts.
    patterns: Vec<Vec<u8>>,
    /// The length of the longest of them.
    longest: usize,
    /// Of each byte, whether one of them begins with it.
    first: Vec<bool>,
    sieve: Sieve,
    automaton: Option<AhoCorasick>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("patterns", &self.patterns.len())
            .finish()
    }
}

impl Redactor {
    /// Finds these values, and what follows the first space in each: `Bearer KEY` hides `KEY` as well.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Redactor {
        let mut patterns = Vec::new();
        for secret in secrets {
            let bare = secret.split_once(' ').map(|(_, rest)| rest.trim());
            for value in [Some(secret), bare].into_iter().flatten() {
                if value.len() >= SHORTEST {
                    forms(value, &mut patterns);
                }
            }
        }
        for pattern in &mut patterns {
            pattern.make_ascii_lowercase();
        }
        patterns.sort_unstable();
        patterns.dedup();
        // Hex digits come in either case.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&patterns)
            .ok();
        let begins = |byte: u8| {
            patterns
                .iter()
                .any(|pattern| pattern.first() == Some(&byte))
        };
        Redactor {
            longest: patterns.iter().map(Vec::len).max().unwrap_or_default(),
            first: (0..=u8::MAX).map(begins).collect(),
            sieve: Sieve::of(&patterns),
            patterns,
            automaton,
        }
    }

    /// The text without them.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide(text, 0)
    }

    /// The same for a text that was cut off at its end: a secret's beginning there goes too.
    #[must_use]
    pub fn redact_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide(text, self.partial(text))
    }

    /// The length of the longest beginning of a secret that the text ends with.
    fn partial(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let from = (bytes.len() + 1).saturating_sub(self.longest);
        let ends = |end: &[u8]| {
            let begins = |pattern: &Vec<u8>| {
                let beginning = pattern.get(..end.len());
                // All of it is no beginning: it is found as what it is.
                pattern.len() > end.len()
                    && beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(end))
            };
            self.patterns.iter().any(begins)
        };
        // This runs on each word of each stream that somebody reads: few of its bytes are a secret's first.
        (from..bytes.len())
            .filter(|&at| bytes.get(at).is_some_and(|byte| self.begins(*byte)))
            .find(|&at| bytes.get(at..).is_some_and(ends))
            .map_or(0, |at| bytes.len() - at)
    }

    /// Whether a secret begins with this byte.
    fn begins(&self, byte: u8) -> bool {
        let first = self.first.get(usize::from(byte.to_ascii_lowercase()));
        first.is_some_and(|first| *first)
    }

    /// How much of a text can be told although more follows: all but an end that is a secret's beginning. What is shorter than four bytes
    /// gives nothing away.
    #[must_use]
    pub fn settled(&self, text: &str) -> usize {
        let partial = self.partial(text);
        if partial < 4 {
            return text.len();
        }
        text.floor_char_boundary(text.len() - partial)
    }

    /// Where they are in a text: in order, apart from each other, between characters.
    #[must_use]
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.found(text, 0)
    }

    /// A part of a text, without what lies in these ranges of the whole. Each leaves its mark where it begins.
    #[must_use]
    pub fn cut(&self, text: &str, part: Range<usize>, found: &[Range<usize>]) -> String {
        let mut out = String::new();
        let mut at = part.start;
        for range in found {
            if range.end <= part.start || range.start >= part.end {
                continue;
            }
            if range.start >= part.start {
                out.push_str(text.get(at..range.start).unwrap_or_default());
                out.push_str(MASK);
            }
            at = range.end.min(part.end);
        }
        out.push_str(text.get(at..part.end).unwrap_or_default());
        out
    }

    /// Where the values are, and the last `partial` bytes.
    fn found(&self, text: &str, partial: usize) -> Vec<Range<usize>> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let Some(automaton) = &self.automaton else {
            // No automaton of these values could be built: what cannot be searched is not shown.
            return std::iter::once(0..text.len()).collect();
        };
        let mut found: Vec<(usize, usize)> = Vec::new();
        if self.sieve.catches(text.as_bytes()) {
            // Overlapping matches: a value that begins inside another one must not leave its tail behind.
            let matches = automaton.find_overlapping_iter(text);
            found.extend(matches.map(|found| (found.start(), found.end())));
        }
        if partial > 0 {
            found.push((text.floor_char_boundary(text.len() - partial), text.len()));
        }
        found.sort_unstable();
        let mut apart: Vec<Range<usize>> = Vec::new();
        for (start, end) in found {
            match apart.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => apart.push(start..end),
            }
        }
        apart
    }

    /// Hides the values, and the last `partial` bytes.
    fn hide<'t>(&self, text: &'t str, partial: usize) -> Cow<'t, str> {
        let found = self.found(text, partial);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(self.cut(text, 0..text.len(), &found))
    }
}

/// Tells quickly of most texts that none of the values is in them.
///
/// All that is kept is searched, most of it several times, and next to none of it holds a value: the automaton, which reads each byte, took a
/// fifth of what recording costs. This looks at every sixth byte or so (Wu and Manber's way): three bytes that are nowhere in the first eight
/// of any value say that none begins there or just before.
struct Sieve {
    /// By a hash of three bytes: how far the next value can begin at the nearest.
    skips: Vec<u8>,
    /// The first bytes of each value, sorted.
    heads: Vec<u64>,
    /// A value is shorter than that.
    short: bool,
}

/// Bytes of a value that are looked at, and of them those that decide how far to go on.
const HEAD: usize = size_of::<u64>();
const BLOCK: usize = 3;

/// How many hashes of blocks there are.
const HASHES: usize = 1 << 12;

impl Default for Sieve {
    fn default() -> Sieve {
        Sieve::of(&[])
    }
}

impl Sieve {
    fn of(patterns: &[Vec<u8>]) -> Sieve {
        let farthest = HEAD - BLOCK;
        let mut skips = vec![u8::try_from(farthest + 1).unwrap_or(1); HASHES];
        let mut heads = Vec::new();
        for pattern in patterns {
            let Some(head) = pattern.first_chunk::<HEAD>() else {
                continue;
            };
            let head = folded(*head);
            heads.push(head);
            for place in 0..=farthest {
                let block = head >> (8 * place);
                if let Some(skip) = skips.get_mut(hash(block)) {
                    *skip = (*skip).min(u8::try_from(farthest - place).unwrap_or_default());
                }
            }
        }
        heads.sort_unstable();
        Sieve {
            skips,
            heads,
            short: patterns.iter().any(|pattern| pattern.len() < HEAD),
        }
    }

    /// Whether a value may be in this text; if not, none is.
    fn catches(&self, text: &[u8]) -> bool {
        if self.short {
            return true;
        }
        let mut rest = text;
        while let Some(window) = rest.first_chunk::<HEAD>() {
            let window = folded(*window);
            let last = window >> (8 * (HEAD - BLOCK));
            let skip = self.skips.get(hash(last)).copied().unwrap_or_default();
            if skip == 0 && self.heads.binary_search(&window).is_ok() {
                return true;
            }
            rest = rest.get(usize::from(skip.max(1))..).unwrap_or_default();
        }
        false
    }
}

/// Bytes that are the same for letters of either case; the first is the lowest.
fn folded(bytes: [u8; HEAD]) -> u64 {
    u64::from_le_bytes(bytes) | u64::from_le_bytes([0x20; HEAD])
}

/// The place of the lowest three bytes among [`HASHES`].
fn hash(block: u64) -> usize {
    let mixed = (block & 0xff_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 52).unwrap_or_default() & (HASHES - 1)
}

/// The ways in which a body can hold `value`.
fn forms(value: &str, out: &mut Vec<Vec<u8>>) {
    out.push(value.into());
    let percent: String = value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    out.push(percent.into());
    out.push(
        url::form_urlencoded::byte_serialize(value.as_bytes())
            .collect::<String>()
            .into(),
    );
    // Inside JSON, with and without the escaped slash that PHP writes.
    let json = serde_json::Value::from(value).to_string();
    let json = json
        .get(1..json.len().saturating_sub(1))
        .unwrap_or_default();
    out.push(json.replace('/', "\\/").into());
    out.push(json.into());
    // Inside base64 of a longer text (`user:KEY`) a value looks different at each of three alignments.
    for offset in 0..3 {
        for alphabet in [STANDARD, URL_SAFE] {
            out.push(base64(value.as_bytes(), offset, alphabet));
        }
    }
}

const STANDARD: [u8; 2] = *b"+/";
const URL_SAFE: [u8; 2] = *b"-_";

/// The characters of `value`'s base64 that do not depend on what stands around it, `offset` bytes into a group of three.
fn base64(value: &[u8], offset: usize, last: [u8; 2]) -> Vec<u8> {
    let bit = |index: usize| {
        let byte = index / 8;
        let byte = byte.checked_sub(offset).and_then(|at| value.get(at))?;
        Some((byte >> (7 - index % 8)) & 1)
    };
    let first = (offset * 8).div_ceil(6);
    let end = (offset + value.len()) * 8 / 6;
    (first..end)
        .filter_map(|character| {
            let bits = (0..6).try_fold(0, |bits, at| Some(bits << 1 | bit(character * 6 + at)?))?;
            Some(match bits {
                0..26 => b'A' + bits,
                26..52 => b'a' + bits - 26,
                52..62 => b'0' + bits - 52,
                62 => last[0],
                _ => last[1],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-Tést/+key\"1234";

    fn hides(text: &str) -> String {
        Redactor::new([KEY]).redact(text).into_owned()
    }

    #[test]
    fn every_encoding_is_found() {
        assert_eq!(hides(&format!("a {KEY} b")), "a *** b");
        assert_eq!(hides("k=sk-T%C3%A9st%2F%2Bkey%221234&x"), "k=***&x");
        assert_eq!(hides("k=sk-t%c3%a9st%2f%2bkey%221234"), "k=***");
        assert_eq!(hides(r#"{"k":"sk-Tést/+key\"1234"}"#), r#"{"k":"***"}"#);
        assert_eq!(hides(r#"{"k":"sk-Tést\/+key\"1234"}"#), r#"{"k":"***"}"#);
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        // base64 of `KEY`, `u:KEY`, `us:KEYx` and `user:KEY` with KEY = secret-key-value.
        let redactor = Redactor::new(["secret-key-value"]);
        for (encoded, expected) in [
            ("c2VjcmV0LWtleS12YWx1ZQ==", "***Q=="),
            ("dTpzZWNyZXQta2V5LXZhbHVl", "dTp***"),
            ("dXM6c2VjcmV0LWtleS12YWx1ZXg=", "dXM6***Xg="),
            ("dXNlcjpzZWNyZXQta2V5LXZhbHVl", "dXNlcjp***"),
        ] {
            let shown = redactor.redact(encoded);
            assert!(
                shown.contains("***") && shown.len() < 12,
                "{encoded}: {shown}, {expected}"
            );
        }
        let redactor = Redactor::new(["\u{fb}\u{fb}\u{fb}???>>>"]);
        assert!(redactor.redact("w7vDu8O7Pz8_Pj4-").starts_with("***"));
        assert!(redactor.redact("w7vDu8O7Pz8/Pj4+").starts_with("***"));
    }

    #[test]
    fn a_scheme_hides_the_bare_key_too() {
        let redactor = Redactor::new(["Bearer openai-key"]);
        assert_eq!(redactor.redact("Bearer openai-key"), "***");
        assert_eq!(redactor.redact("my openai-key!"), "my ***!");
        assert_eq!(redactor.redact("Bearer other"), "Bearer other");
    }

    #[test]
    fn short_values_are_left_and_nothing_is_copied() {
        let redactor = Redactor::new(["seven77"]);
        assert!(matches!(
            redactor.redact("seven77"),
            Cow::Borrowed("seven77")
        ));
        assert!(matches!(
            Redactor::default().redact("x"),
            Cow::Borrowed("x")
        ));
    }

    #[test]
    fn overlapping_and_neighbouring_values_leave_nothing() {
        let redactor = Redactor::new(["aaaabbbb", "bbbbcccc"]);
        assert_eq!(redactor.redact("xaaaabbbbccccx"), "x***x");
        assert_eq!(redactor.redact("aaaabbbbaaaabbbb"), "***");
    }

    proptest::proptest! {
        #[test]
        fn the_sieve_lets_nothing_through(
            values in proptest::collection::vec("[a-cA-C/é]{8,12}", 1..5),
            words in proptest::collection::vec("[a-cA-C/é \"]{0,9}", 0..20),
            place in 0usize..20,
        ) {
            let redactor = Redactor::new(values.iter().map(String::as_str));
            let mut words = words;
            let value = values[place % values.len()].clone();
            words.insert(place.min(words.len()), value);
            for text in [words.concat(), words.concat().to_ascii_uppercase()] {
                let found = redactor.automaton.as_ref().unwrap().is_match(&text);
                assert!(found && redactor.sieve.catches(text.as_bytes()), "{text}");
                assert!(!redactor.ranges(&text).is_empty());
            }
            let others: String = words.concat().replace(['a', 'A'], "x");
            let automaton = redactor.automaton.as_ref().unwrap();
            assert_eq!(redactor.ranges(&others).is_empty(), !automaton.is_match(&others));
        }
    }

    #[test]
    fn ordinary_text_is_not_caught() {
        let redactor =
            Redactor::new(["Bearer sk-ant-api03-0123456789abcdef", "AIzaSyA-0123456789"]);
        let text = "the quick brown fox jumps over the lazy dog, sk- and AIza, ".repeat(100);
        assert!(!redactor.sieve.catches(text.as_bytes()));
        assert!(!redactor.sieve.catches(b""));
        assert!(
            redactor
                .sieve
                .catches((text + "xAIZASYA-0123456789").as_bytes())
        );
        let cut = Redactor::new(["12345678"]);
        assert!(cut.sieve.catches(b"12345678"));
        assert!(!cut.sieve.catches(b"1234567"));
    }

    #[test]
    fn a_cut_end_shows_no_beginning_of_a_secret() {
        let redactor = Redactor::new(["openai-key"]);
        assert_eq!(redactor.redact_cut("text openai-k"), "text ***");
        assert_eq!(redactor.redact_cut("text openai-key"), "text ***");
        assert_eq!(redactor.redact_cut("text"), "text");
        assert_eq!(
            Redactor::new(["keykeykey"]).redact_cut("a keykeykey"),
            "a ***"
        );
    }
}
