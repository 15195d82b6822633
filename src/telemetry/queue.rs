//! Exchanges that wait to be told: bounded, and never waited for.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::settings::Batch;
use crate::exchange::{Exchange, Redactor};

/// Most bytes of exchanges that wait.
const MOST_WAITING: usize = 32 << 20;

/// What an exchange weighs beside what it says itself.
const BARE: usize = 1 << 10;

/// An exchange that ended.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) exchange: Arc<Exchange>,
    pub(super) redactor: Arc<Redactor>,
}

impl Waiting {
    fn weight(&self) -> usize {
        self.exchange.weight().saturating_add(BARE)
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    batch: Batch,
    state: Mutex<State>,
    /// Something came, or it is to stop.
    news: Notify,
    /// It ended.
    over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// When the first of those that wait came.
    since: Option<Instant>,
    /// Exchanges whose spans were not taken.
    lost: u64,
    /// Some found no place here, and that has been said.
    overflowed: bool,
    stop: bool,
    ended: bool,
}

impl Queue {
    pub(super) fn new(batch: Batch) -> Queue {
        Queue {
            batch,
            state: Mutex::default(),
            news: Notify::new(),
            over: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an exchange, or counts it as lost.
    pub(super) fn push(&self, one: Waiting) {
        let weight = one.weight();
        let mut state = self.lock();
        let full = state.waiting.len() >= self.batch.waiting
            || state.bytes.saturating_add(weight) > MOST_WAITING;
        if full || state.ended {
            state.lost += 1;
            let first = !std::mem::replace(&mut state.overflowed, true);
            drop(state);
            if first {
                tracing::warn!("telemetry cannot keep up: spans are dropped");
            }
            return;
        }
        state.bytes += weight;
        state.since.get_or_insert_with(Instant::now);
        state.waiting.push_back(one);
        let waiting = state.waiting.len();
        drop(state);
        if waiting == 1 || waiting == self.batch.size {
            self.news.notify_one();
        }
    }

    /// Waits until there is a batch, or time to send what there is. Nothing: it is over.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            let left = {
                let mut state = self.lock();
                let waited = state.since.map(|since| since.elapsed());
                match waited {
                    _ if state.stop && state.waiting.is_empty() => return None,
                    Some(waited)
                        if state.stop
                            || state.waiting.len() >= self.batch.size
                            || waited >= self.batch.delay =>
                    {
                        return Some(state.batch(self.batch.size));
                    }
                    Some(waited) => Some(self.batch.delay.saturating_sub(waited)),
                    None => None,
                }
            };
            let news = self.news.notified();
            match left {
                None => news.await,
                Some(left) => {
                    let _ = tokio::time::timeout(left, news).await;
                }
            }
        }
    }

    /// Waits before something is tried again; `false` at the end, when there is no more time to wait.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.lock().stop {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let _ = tokio::time::timeout(left, self.news.notified()).await;
        }
    }

    /// The spans of so many exchanges were not taken.
    pub(super) fn lose(&self, exchanges: u64) {
        self.lock().lost += exchanges;
    }

    /// Nobody sends any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.lost += state.waiting.drain(..).count() as u64;
        let lost = state.lost;
        drop(state);
        if lost > 0 {
            tracing::warn!("the spans of {lost} exchanges were dropped");
        }
        self.over.notify_all();
    }

    /// Asks for the end, and waits for it; whether all was taken by then.
    pub(super) fn close(&self, by: Instant) -> bool {
        let mut state = self.lock();
        state.stop = true;
        self.news.notify_one();
        while !state.ended {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.over.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lost == 0
    }
}

impl State {
    fn batch(&mut self, most: usize) -> Vec<Waiting> {
        let count = most.min(self.waiting.len());
        let batch: Vec<Waiting> = self.waiting.drain(..count).collect();
        let weight: usize = batch.iter().map(Waiting::weight).sum();
        self.bytes = self.bytes.saturating_sub(weight);
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        batch
    }
}
