//! Names of exchanges.

use std::fmt;

/// Crockford's base32 alphabet, in lower case: no i, l, o, u, so that an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Ten random characters of Crockford's base32: 50 bits, so that a million exchanges share one with a chance of 0.05 %.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId([u8; 10]);

impl ExchangeId {
    /// A new one.
    #[must_use]
    pub fn random() -> ExchangeId {
        let mut bytes = [0; 10];
        if getrandom::fill(&mut bytes).is_err() {
            // No random source: time and address still tell exchanges of one process apart.
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos();
            for (byte, part) in bytes.iter_mut().zip(now.to_le_bytes()) {
                *byte = part;
            }
        }
        ExchangeId(bytes.map(|byte| {
            ALPHABET
                .get(usize::from(byte & 31))
                .copied()
                .unwrap_or(b'0')
        }))
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ten_base32_characters_and_differ() {
        let (a, b) = (ExchangeId::random(), ExchangeId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 10);
        assert!(a.as_str().bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
