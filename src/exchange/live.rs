//! A record that is being written, as others see it.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    ExchangeId, Ledger,
    record::Exchange,
    stages::{Body, Stage},
};

/// A record that is being written: its recorder writes, and others may look.
#[derive(Debug)]
pub struct Live {
    pub(super) start: Instant,
    pub(super) state: Mutex<Exchange>,
}

thread_local! {
    /// Those whose exchanges are over, to be used again: their memory is still in the processor's caches.
    static SPARE: RefCell<Vec<Arc<Live>>> = const { RefCell::new(Vec::new()) };
}

/// So many are kept for that, on each thread.
const MOST_SPARE: usize = 16;

impl Live {
    /// Begins an exchange: its name, and its record.
    pub(super) fn open(profile: Arc<str>) -> (ExchangeId, Arc<Live>) {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        if let Some(mut live) = spare.ok().flatten()
            && let Some(own) = Arc::get_mut(&mut live)
            && let Ok(exchange) = own.state.get_mut()
        {
            exchange.begin(profile);
            let id = exchange.id;
            own.start = Instant::now();
            return (id, live);
        }
        let exchange = Exchange::new(profile);
        let id = exchange.id;
        let live = Live {
            start: Instant::now(),
            state: Mutex::new(exchange),
        };
        (id, Arc::new(live))
    }

    /// An exchange is over, and nobody looks at its record any more. What it holds is let go of at once.
    pub(super) fn reuse(mut live: Arc<Live>) {
        let Some(own) = Arc::get_mut(&mut live) else {
            return;
        };
        let Ok(exchange) = own.state.get_mut() else {
            return;
        };
        exchange.clear();
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(live);
            }
        });
    }

    /// The record as it is now.
    pub(super) fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Adds to the body that the client sends, from where it is read.
#[derive(Debug)]
pub struct Tap {
    pub(super) ledger: Arc<Ledger>,
    pub(super) live: Arc<Live>,
}

impl Tap {
    /// More of the client's body.
    pub fn push(&self, data: &[u8]) {
        let (at, full) = (self.live.now(), self.ledger.is_full());
        let mut exchange = self.live.lock();
        if !exchange.is_done() {
            append(&mut exchange, Stage::Client, at, data, full);
            self.ledger.grown(&mut exchange, data.len());
        }
    }
}

/// Adds to the body of a stage that comes in pieces.
pub(super) fn append(exchange: &mut Exchange, stage: Stage, at: u64, data: &[u8], full: bool) {
    if let Some(held) = exchange.stage_mut(stage)
        && let Body::Pieces(pieces) = &mut held.body
    {
        pieces.push(at, data, full);
    }
}
