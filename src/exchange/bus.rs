//! Who is told of what happens, while it happens.
//!
//! A notice is made only while somebody listens. Each listener has a queue of its own, bounded in bytes: one that reads too slowly loses
//! what does not fit and is told how much, and no request ever waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::{notices::Happened, told::What};

/// Most bytes that wait for one listener.
const MOST_WAITING: usize = 8 << 20;

/// What a notice weighs beside its texts.
const BARE: usize = 256;

/// Numbers what happens, and tells it.
#[derive(Debug, Default)]
pub(super) struct Bus {
    last: AtomicU64,
    listeners: RwLock<Vec<Arc<Queue>>>,
    /// How many listeners there are, and how many of them want the provider's own bytes.
    heard: AtomicUsize,
    raw: AtomicUsize,
    /// Keeps numbers and their order in the queues the same.
    order: Mutex<()>,
    lost: AtomicU64,
    ended: AtomicBool,
}

/// What waits for one listener.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    wake: Notify,
    raw: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Happened>>,
    bytes: usize,
    lost: u64,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus {
    /// The number of the last thing that happened.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// How many notices slow listeners have lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire) > 0
    }

    /// Whether anybody wants the provider's own bytes.
    pub(super) fn wants_raw(&self) -> bool {
        self.raw.load(Ordering::Acquire) > 0
    }

    /// Something happens: gives its number, and tells those who listen. `make` is called only if somebody does.
    pub(super) fn tell(&self, make: impl FnOnce(u64) -> Happened) -> u64 {
        if !self.is_heard() {
            return self.last.fetch_add(1, Ordering::AcqRel) + 1;
        }
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let notice = Arc::new(make(seq));
        let raw = matches!(notice.what, What::Raw { .. });
        let weight = weight(&notice);
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for queue in listeners.iter().filter(|queue| queue.raw || !raw) {
            let mut state = queue.lock();
            if state.bytes + weight > MOST_WAITING {
                state.lost += 1;
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            state.bytes += weight;
            state.waiting.push_back(Arc::clone(&notice));
            drop(state);
            queue.wake.notify_one();
        }
        seq
    }

    /// So many things happened that nobody is told of: gives the number of the first.
    pub(super) fn pass(&self, count: u64) -> u64 {
        self.last.fetch_add(count, Ordering::AcqRel) + 1
    }

    /// Tells nothing more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for queue in listeners.iter() {
            queue.wake.notify_one();
        }
    }

    /// Listens from now on.
    pub(super) fn listen(self: &Arc<Self>, raw: bool) -> Listener {
        let queue = Arc::new(Queue {
            raw,
            ..Queue::default()
        });
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::clone(&queue));
        drop(listeners);
        self.heard.fetch_add(1, Ordering::AcqRel);
        self.raw.fetch_add(usize::from(raw), Ordering::AcqRel);
        Listener {
            bus: Arc::clone(self),
            queue,
        }
    }
}

/// Bytes that a notice takes.
fn weight(notice: &Happened) -> usize {
    let texts = match &notice.what {
        What::Text { text, .. } | What::Thinking { text, .. } | What::Arguments { text, .. } => {
            text.len()
        }
        What::Raw { text, base64 } => {
            text.as_ref().map_or(0, String::len) + base64.as_ref().map_or(0, String::len)
        }
        What::Closed { .. } => 2048,
        _ => 0,
    };
    BARE + texts
}

/// Somebody who is told of all that happens. Dropping it ends that.
#[derive(Debug)]
pub struct Listener {
    bus: Arc<Bus>,
    queue: Arc<Queue>,
}

/// What a listener gets.
#[derive(Clone, Debug)]
pub enum Heard {
    /// This happened.
    Notice(Arc<Happened>),
    /// So many notices did not fit into the queue.
    Lost(u64),
    /// Nothing more will be told.
    End,
}

impl Listener {
    /// What comes next; waits for it.
    pub async fn next(&self) -> Heard {
        loop {
            let woken = self.queue.wake.notified();
            if let Some(heard) = self.try_next() {
                return heard;
            }
            if self.bus.ended.load(Ordering::Acquire) {
                return Heard::End;
            }
            woken.await;
        }
    }

    /// What waits already. What was lost came after it.
    pub fn try_next(&self) -> Option<Heard> {
        let mut state = self.queue.lock();
        if let Some(notice) = state.waiting.pop_front() {
            state.bytes = state.bytes.saturating_sub(weight(&notice));
            return Some(Heard::Notice(notice));
        }
        match std::mem::take(&mut state.lost) {
            0 => None,
            lost => Some(Heard::Lost(lost)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self
            .bus
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        drop(listeners);
        self.bus.heard.fetch_sub(1, Ordering::AcqRel);
        self.bus
            .raw
            .fetch_sub(usize::from(self.queue.raw), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ExchangeId;

    fn notice(seq: u64, text: &str) -> Happened {
        Happened {
            seq,
            exchange: Some(ExchangeId::of(b"x")),
            profile: "p".into(),
            at: 0,
            what: What::Text {
                part: 0,
                text: text.into(),
            },
        }
    }

    #[test]
    fn nothing_is_made_while_nobody_listens() {
        let bus = Arc::new(Bus::default());
        bus.tell(|_| unreachable!("nobody listens"));
        let listener = bus.listen(false);
        assert_eq!(bus.tell(|seq| notice(seq, "hi")), 2);
        assert!(matches!(listener.try_next(), Some(Heard::Notice(notice)) if notice.seq == 2));
        drop(listener);
        bus.tell(|_| unreachable!("nobody listens any more"));
    }

    #[test]
    fn a_slow_listener_loses_and_is_told() {
        let bus = Arc::new(Bus::default());
        let (slow, quick) = (bus.listen(false), bus.listen(false));
        let text = "x".repeat(1 << 20);
        let mut got = 0;
        for _ in 0..20 {
            bus.tell(|seq| notice(seq, &text));
            got += usize::from(matches!(quick.try_next(), Some(Heard::Notice(_))));
        }
        assert_eq!(got, 20);
        let mut kept = 0;
        let lost = loop {
            match slow.try_next() {
                Some(Heard::Notice(_)) => kept += 1,
                Some(Heard::Lost(lost)) => break lost,
                Some(Heard::End) | None => panic!("nothing was lost"),
            }
        };
        assert_eq!((kept, lost, bus.lost()), (7, 13, 13));
        bus.tell(|seq| notice(seq, "again"));
        assert!(matches!(slow.try_next(), Some(Heard::Notice(_))));
    }

    #[test]
    fn raw_bytes_go_to_those_who_want_them() {
        let bus = Arc::new(Bus::default());
        let (plain, raw) = (bus.listen(false), bus.listen(true));
        assert!(bus.wants_raw());
        bus.tell(|seq| Happened {
            what: What::Raw {
                text: Some("x".into()),
                base64: None,
            },
            ..notice(seq, "")
        });
        assert!(plain.try_next().is_none());
        assert!(raw.try_next().is_some());
    }
}
