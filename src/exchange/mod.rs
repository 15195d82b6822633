//! What happened to each request, and who is told.
//!
//! A [`Recorder`] belongs to whoever owns the request: the handler, then the response's body. Dropping it closes the record, so a client
//! that hangs up is [`Outcome::Cancelled`] with no code for it. A [`RequestLog`] is told of each and writes it down. It imports `llm`.

mod estimate;
mod filter;
mod id;
mod kept;
mod log;
mod log_file;
mod log_line;
mod record;
mod redact;
mod stages;
pub mod told;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use estimate::{Prompt, tokens};
pub use filter::{Filter, flag};
pub use id::ExchangeId;
pub use kept::{Kept, MOST, Material, Said, Text};
pub use log::{RequestLog, TARGET};
pub use log_file::LogFile;
pub use record::{Exchange, Outcome, Recorder};
pub use redact::Redactor;
pub use stages::{CallLog, LlmCall, Snapshot, Stage, cost};

/// Told of every exchange that ended.
pub trait Observer: Send + Sync {
    /// Takes a finished exchange. Runs on the request's own thread: it must not wait.
    fn closed(&self, exchange: &Arc<Exchange>);

    /// Whether it wants what a profile's `logging` asks for. Otherwise nobody collects it.
    fn reads_bodies(&self) -> bool {
        false
    }
}

/// Shared by all requests: opens records, and hands finished ones on.
#[derive(Default)]
pub struct Ledger {
    observers: Vec<Box<dyn Observer>>,
    /// Records that are open.
    live: AtomicUsize,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("observers", &self.observers.len())
            .finish()
    }
}

impl Ledger {
    /// A ledger that tells these.
    #[must_use]
    pub fn new(observers: Vec<Box<dyn Observer>>) -> Arc<Ledger> {
        Arc::new(Ledger {
            observers,
            live: AtomicUsize::new(0),
        })
    }

    /// Opens a record.
    #[must_use]
    pub fn open(self: &Arc<Self>, profile: Arc<str>) -> Recorder {
        self.live.fetch_add(1, Ordering::Relaxed);
        Recorder::new(Arc::clone(self), profile)
    }

    /// How many records are open.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Whether anybody is told of exchanges.
    fn is_watched(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Whether anybody wants what a profile's `logging` asks for.
    fn reads_bodies(&self) -> bool {
        self.observers
            .iter()
            .any(|observer| observer.reads_bodies())
    }

    fn close(&self, exchange: Exchange) {
        if self.is_watched() {
            let exchange = Arc::new(exchange);
            for observer in &self.observers {
                observer.closed(&exchange);
            }
        }
        self.live.fetch_sub(1, Ordering::Release);
    }
}
