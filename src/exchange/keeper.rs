//! Puts exchanges into the history: all of them, or those of profiles that ask for it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use super::{
    Exchange, Observer, Redactor,
    history::{Entry, Error, History, Limits},
    render,
};

/// Hands exchanges to a history. Clones are the same.
#[derive(Clone, Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Every exchange is kept, not only those of profiles that log payloads.
    all: bool,
    history: RwLock<Option<History>>,
    /// Starts are one after the other.
    starting: Mutex<()>,
}

impl Keeper {
    /// One that writes to this file, once it is started.
    #[must_use]
    pub fn new(path: PathBuf, all: bool) -> Keeper {
        Keeper {
            shared: Arc::new(Shared {
                path,
                all,
                history: RwLock::default(),
                starting: Mutex::default(),
            }),
        }
    }

    /// Opens the file, unless it is open. This can take seconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be used.
    pub fn start(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let _starting = shared
            .starting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.history().is_some() {
            return Ok(());
        }
        let history = History::start(&shared.path, Limits::default())?;
        let mut place = shared
            .history
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(history);
        Ok(())
    }

    /// What tells it of exchanges.
    #[must_use]
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(self.clone())
    }

    /// Writes what waits, and ends. Blocks up to `patience`; whether every exchange was written by then.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        self.history().is_none_or(|history| history.close(patience))
    }

    fn history(&self) -> Option<History> {
        let history = self
            .shared
            .history
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        history.clone()
    }
}

impl Observer for Keeper {
    fn wants(&self, exchange: &Exchange) -> bool {
        self.shared.all || exchange.recorded
    }

    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        let Some(history) = self.history() else {
            return;
        };
        let (exchange, redactor) = (Arc::clone(exchange), Arc::clone(redactor));
        history.keep(Entry {
            weight: exchange.weight(),
            make: Box::new(move || render::kept(&exchange, &redactor)),
        });
    }
}
