//! Responses that are kept where the provider keeps none: in memory alone, for an hour, within 64 MiB.
//!
//! One [`Store`] is a server's, whatever profile an answer was made under, so that a conversation may go on with another model. [`follow`]
//! finds what a request goes on from, [`Keeping`] takes its answer as it passes, [`kept`] answers what is asked of it later.

mod answers;
mod keeping;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use answers::{Made, What, kept};
pub use keeping::{Earlier, Keeping, follow};

pub(super) use keeping::whole;

/// What all of them may take together.
const MOST: usize = 64 << 20;

/// How long one is kept.
const LIFE: Duration = Duration::from_secs(3600);

/// What one takes beside its texts, roughly.
const OVERHEAD: usize = 512;

/// Answers, and what they were made of. The oldest go where there is no room.
pub struct Store {
    kept: Mutex<Kept>,
    /// Bytes of all turns, also of those that others go on from, and of input whose answer is still being made.
    used: Arc<AtomicUsize>,
    most: usize,
    life: Duration,
}

#[derive(Default)]
struct Kept {
    /// In order of age.
    entries: BTreeMap<u64, Entry>,
    numbers: HashMap<String, u64>,
    next: u64,
}

struct Entry {
    since: Instant,
    turn: Arc<Turn>,
}

/// One request's input and its answer, and the turns before it. These stay as long as one that goes on from them.
struct Turn {
    id: String,
    /// A list of items, as they are listed.
    input: Bytes,
    answer: Bytes,
    /// Where the items of the answer are in it.
    output: Range<usize>,
    earlier: Option<Arc<Turn>>,
    _weight: Weight,
    /// Bytes of it and all before it.
    total: usize,
}

/// A share of the memory, given back when it is dropped.
struct Weight {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Default for Store {
    fn default() -> Self {
        Store::new(MOST, LIFE)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("used", &self.used)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store of so many bytes, which keeps an answer for so long.
    #[must_use]
    pub fn new(most: usize, life: Duration) -> Store {
        Store {
            kept: Mutex::default(),
            used: Arc::default(),
            most,
            life,
        }
    }

    /// Whether an answer is kept.
    #[must_use]
    pub fn has(&self, id: &str, now: Instant) -> bool {
        self.find(id, now).is_some()
    }

    fn find(&self, id: &str, now: Instant) -> Option<Arc<Turn>> {
        let mut kept = self.lock();
        kept.age(now, self.life);
        let entry = kept.entries.get(kept.numbers.get(id)?)?;
        Some(Arc::clone(&entry.turn))
    }

    /// Whether there was such an answer.
    fn remove(&self, id: &str, now: Instant) -> bool {
        let mut kept = self.lock();
        kept.age(now, self.life);
        let number = kept.numbers.remove(id);
        number.is_some_and(|number| kept.entries.remove(&number).is_some())
    }

    /// Makes room; `None` if there cannot be so much.
    fn weigh(&self, bytes: usize, now: Instant) -> Option<Weight> {
        if bytes > self.most {
            return None;
        }
        let mut kept = self.lock();
        kept.age(now, self.life);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let weight = Weight {
            bytes,
            used: Arc::clone(&self.used),
        };
        while self.used.load(Ordering::Relaxed) > self.most {
            if !kept.pop() {
                return None;
            }
        }
        Some(weight)
    }

    fn keep(&self, turn: Turn, now: Instant) {
        let mut kept = self.lock();
        let number = kept.next;
        kept.next += 1;
        if let Some(old) = kept.numbers.insert(turn.id.clone(), number) {
            kept.entries.remove(&old);
        }
        let turn = Arc::new(turn);
        kept.entries.insert(number, Entry { since: now, turn });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops what has been here for too long.
    fn age(&mut self, now: Instant, life: Duration) {
        while let Some((_, oldest)) = self.entries.first_key_value() {
            if now.saturating_duration_since(oldest.since) < life {
                break;
            }
            self.pop();
        }
    }

    /// Drops the oldest; whether there was one.
    fn pop(&mut self) -> bool {
        let Some((_, entry)) = self.entries.pop_first() else {
            return false;
        };
        self.numbers.remove(&entry.turn.id);
        true
    }
}

impl Turn {
    /// The items of the answer.
    fn output(&self) -> &str {
        let output = self.answer.get(self.output.clone());
        std::str::from_utf8(output.unwrap_or_default()).unwrap_or_default()
    }

    /// The items that were put in.
    fn input(&self) -> &str {
        std::str::from_utf8(&self.input).unwrap_or_default()
    }

    /// It and those before it, the first one first.
    fn all(&self) -> Vec<&Turn> {
        let mut all = Vec::new();
        let mut next = Some(self);
        while let Some(turn) = next {
            all.push(turn);
            next = turn.earlier.as_deref();
        }
        all.reverse();
        all
    }
}

impl Drop for Turn {
    /// One after the other: a long conversation is a deep one.
    fn drop(&mut self) {
        let mut next = self.earlier.take();
        while let Some(mut turn) = next.and_then(Arc::into_inner) {
            next = turn.earlier.take();
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
