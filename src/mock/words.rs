//! What the mock takes for tokens, and where its randomness comes from.
//!
//! A token is a word with the white space before it, as most tokenizers have it, so that a stream visibly comes word by word. Streams are
//! cut and usage is counted by the same function: what a client sees is what it is billed for.

/// The longest token, in characters: a URL or a line of JSON comes in several.
const LONGEST: usize = 12;

/// Cuts a text into tokens; joined they are the text.
pub(super) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { rest: text }
}

/// How many tokens a text has.
pub(super) fn count(text: &str) -> u64 {
    tokens(text).fold(0, |sum, _| sum + 1)
}

/// See [`tokens`].
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (token, rest) = self.rest.split_at_checked(first(self.rest))?;
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }
}

/// Length of the first token in bytes.
fn first(text: &str) -> usize {
    let mut in_word = false;
    for (seen, (at, char)) in text.char_indices().enumerate() {
        let ends = match (in_word, char.is_whitespace()) {
            (true, true) => true,
            // Scripts that put no spaces between words: a character is a token.
            (true, false) => is_ideographic(char),
            (false, _) => false,
        };
        if at > 0 && (ends || seen >= LONGEST) {
            return at;
        }
        if !char.is_whitespace() {
            if is_ideographic(char) {
                return at + char.len_utf8();
            }
            in_word = true;
        }
    }
    text.len()
}

fn is_ideographic(char: char) -> bool {
    matches!(char, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// FNV-1a, 64 bits: the same on every machine and in every version, which `std`'s hasher does not promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

impl Hash {
    /// A hash of nothing.
    pub(super) fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes, and an end mark: `ab`, `c` is not `a`, `bc`.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().copied().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash so far.
    pub(super) fn value(self) -> u64 {
        // FNV's low bits are weak for short input.
        Dice(self.0).roll()
    }
}

/// SplitMix64: a seeded sequence of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The next number.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(self.roll().checked_rem(limit).unwrap_or_default()).unwrap_or_default()
    }

    /// One of several texts.
    pub(super) fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts
            .get(self.below(texts.len()))
            .copied()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_a_word_with_the_space_before_it() {
        let of = |text| tokens(text).collect::<Vec<_>>();
        assert_eq!(
            of("Once upon  a\ntime."),
            ["Once", " upon", "  a", "\ntime."]
        );
        assert_eq!(of("  "), ["  "]);
        assert_eq!(of("a "), ["a", " "]);
        assert_eq!(of("你好 世界"), ["你", "好", " 世", "界"]);
        assert_eq!(of("abcdefghijklmnop"), ["abcdefghijkl", "mnop"]);
        assert_eq!(of(""), [""; 0]);
        assert_eq!(count("Once upon a time"), 4);
    }

    proptest! {
        #[test]
        fn tokens_join_to_the_text(text in "\\PC*|[ a-z\n世é🎉]{0,60}") {
            prop_assert_eq!(tokens(&text).collect::<String>(), text.clone());
            prop_assert!(tokens(&text).all(|token| !token.is_empty() && token.chars().count() <= LONGEST));
        }
    }

    #[test]
    fn hashes_and_dice_never_change() {
        let mut hash = Hash::new();
        hash.add(b"Tell me a story");
        assert_eq!(hash.value(), 0xdd93_0e0d_3f43_2cc2);
        // SplitMix64's first number for the seed 0, as its author publishes it.
        assert_eq!(Dice(0).roll(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(Dice(7).below(0), 0);
        assert_eq!(Dice(7).pick(&[]), "");
    }
}
