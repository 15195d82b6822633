//! What waits to be written: bounded in bytes, and never waited for.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Entry;

/// Most bytes of exchanges that wait to be written.
pub(super) const MOST_WAITING: usize = 32 << 20;

/// What an exchange weighs beside what it says itself.
pub(super) const BARE: usize = 1 << 10;

/// From so many bytes on nothing waits for more.
const HASTE: usize = MOST_WAITING / 4;

/// Most bytes and exchanges of one transaction.
const BATCH: (usize, usize) = (4 << 20, 256);

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Of those that wait, and of those that are being written.
    bytes: usize,
    /// All that were lost.
    lost: u64,
    /// Of these, those that nobody has been told of.
    untold: u64,
    /// The file cannot be written, and that has been said.
    broken: bool,
    stop: bool,
    ended: bool,
}

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    weight: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes an exchange, or counts it as lost.
    pub(super) fn push(&self, entry: Entry) {
        let weight = entry.weight.saturating_add(BARE);
        let mut state = self.lock();
        if state.bytes.saturating_add(weight) > MOST_WAITING || state.ended {
            state.lost += 1;
            state.untold += 1;
            let first = state.untold == 1 && !state.broken;
            drop(state);
            if first {
                tracing::warn!("the history cannot keep up: exchanges are left out");
            }
            return;
        }
        state.bytes += weight;
        state.waiting.push_back(entry);
        let wake = state.waiting.len() == 1 || state.bytes >= HASTE;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Waits for something to write, and for the time to write it. An empty batch: it is time to tidy up. `None`: the end.
    pub(super) fn take(&self, earliest: Instant, tidy: Instant) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let until = if state.waiting.is_empty() {
                if state.stop {
                    return None;
                }
                if now >= tidy {
                    return Some(Batch::default());
                }
                tidy
            } else {
                if state.stop || state.bytes >= HASTE || now >= earliest {
                    return Some(state.batch());
                }
                earliest
            };
            state = self.wait(state, until.saturating_duration_since(now));
        }
    }

    /// A batch is written, but for `lost` of it.
    pub(super) fn done(&self, batch: &Batch, lost: u64) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(batch.weight);
        state.lost += lost;
        state.untold += lost;
        if state.waiting.is_empty() {
            state.tell();
        }
    }

    /// Whether the file could be written; whether that is news.
    pub(super) fn set_broken(&self, broken: bool) -> bool {
        std::mem::replace(&mut self.lock().broken, broken) != broken
    }

    /// Waits before something is tried again; `false` at the end, when there is no more time to wait.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.stop {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            state = self.wait(state, left);
        }
    }

    /// Whether there is something more urgent than tidying up.
    pub(super) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.stop || !state.waiting.is_empty()
    }

    /// How many were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Asks for the end, and waits for it; whether everything is written by then.
    pub(super) fn close(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        state.stop = true;
        self.changed.notify_all();
        while !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait(state, left);
        }
        state.lost == 0
    }

    /// Nobody writes any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let rest = state.waiting.drain(..).count() as u64;
        state.lost += rest;
        state.untold += rest;
        state.tell();
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let (bytes, entries) = BATCH;
        while batch.weight < bytes
            && batch.entries.len() < entries
            && let Some(entry) = self.waiting.pop_front()
        {
            batch.weight += entry.weight.saturating_add(BARE);
            batch.entries.push(entry);
        }
        batch
    }

    fn tell(&mut self) {
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            tracing::warn!("{untold} exchanges are not in the history");
        }
    }
}
