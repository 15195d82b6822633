//! Names of exchanges.

use std::{cell::RefCell, fmt};

/// Crockford's base32 alphabet, in lower case: no i, l, o, u, so that an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Ten random characters of Crockford's base32: 50 bits, so that a million exchanges share one with a chance of 0.05 %.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId([u8; 10]);

impl ExchangeId {
    /// A new one.
    #[must_use]
    pub fn random() -> ExchangeId {
        ExchangeId(random::<10>().map(|byte| {
            ALPHABET
                .get(usize::from(byte & 31))
                .copied()
                .unwrap_or(b'0')
        }))
    }

    /// The same one for the same bytes, by their FNV-1a hash.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ExchangeId {
        let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The high bits are the better mixed ones.
        hash ^= hash >> 14;
        ExchangeId(std::array::from_fn(|at| {
            let index = (hash >> (at * 5)) & 31;
            let index = usize::try_from(index).unwrap_or_default();
            ALPHABET.get(index).copied().unwrap_or(b'0')
        }))
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Random bytes that a thread has in store: the system is asked once for many ids.
struct Store {
    bytes: [u8; 320],
    left: usize,
}

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store { bytes: [0; 320], left: 0 }) };
}

/// So many random bytes, of those in store.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let stored = STORE.with_borrow_mut(|store| {
        if store.left < N {
            getrandom::fill(&mut store.bytes).ok()?;
            store.left = store.bytes.len();
        }
        let (_, last) = store.bytes.get(..store.left)?.split_last_chunk()?;
        store.left -= last.len();
        Some(*last)
    });
    stored.unwrap_or_else(|| {
        // No random source: time still tells exchanges of one process apart.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let mut bytes = [0; N];
        for (byte, part) in bytes.iter_mut().zip(now.to_le_bytes()) {
            *byte = part;
        }
        bytes
    })
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
    fn the_same_bytes_have_the_same_id() {
        let id = ExchangeId::of(b"0 {}");
        assert_eq!(id, ExchangeId::of(b"0 {}"));
        assert_ne!(id, ExchangeId::of(b"1 {}"));
        assert_eq!(id.as_str().len(), 10);
    }

    #[test]
    fn ids_are_ten_base32_characters_and_differ() {
        let (a, b) = (ExchangeId::random(), ExchangeId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 10);
        assert!(a.as_str().bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
