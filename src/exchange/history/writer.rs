//! The thread that writes.

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};

use super::{
    Entry, Error, Limits,
    prune::{self, Bounds, Pages},
    queue::{Batch, Queue},
    row::{Packer, Row},
    schema,
};

/// The time from one batch to the next: what comes meanwhile goes into one transaction.
const PACE: Duration = Duration::from_millis(200);

/// How long a file that cannot be written is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How often at least the age of what is kept is looked at.
const TIDY: Duration = Duration::from_secs(600);

/// The history while it is written. It ends with [`History::close`], or with the process. Clones are the same history.
#[derive(Clone, Debug)]
pub struct History {
    queue: Arc<Queue>,
}

impl History {
    /// Opens the file, makes it if it is not there, and starts the thread that writes it. Several processes may write the same file;
    /// if one of them holds it, this waits some seconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be used. One that cannot be written later is tried again and again, and what waits for it is kept.
    pub fn start(path: &Path, limits: Limits) -> Result<History, Error> {
        let queue = Arc::new(Queue::default());
        let mut writer = Writer {
            queue: Arc::clone(&queue),
            path: path.to_owned(),
            limits,
            file: None,
            packer: Packer::new(),
        };
        writer.open()?;
        std::thread::Builder::new()
            .name("history".into())
            .spawn(move || {
                // Also if the thread panics: nobody must wait for it in vain.
                let _ended = Ended(Arc::clone(&writer.queue));
                writer.run();
            })
            .map_err(|source| Error::Io {
                path: path.to_owned(),
                source,
            })?;
        Ok(History { queue })
    }

    /// Keeps an exchange. It never waits: if too much waits already, the exchange is left out and counted.
    pub fn keep(&self, entry: Entry) {
        self.queue.push(entry);
    }

    /// How many exchanges were left out.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Writes what waits, and ends. Blocks up to `patience`; whether every exchange was written by then.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        self.queue.close(patience)
    }
}

struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Writer {
    queue: Arc<Queue>,
    path: PathBuf,
    limits: Limits,
    /// `None` after an error.
    file: Option<Open>,
    packer: Packer,
}

/// The open file.
struct Open {
    db: Connection,
    identity: Option<(u64, u64)>,
}

impl Writer {
    fn run(mut self) {
        let interval = (self.limits.age / 16).clamp(PACE, TIDY);
        let (mut earliest, mut tidy) = (Instant::now(), Instant::now());
        while let Some(mut batch) = self.queue.take(earliest, tidy) {
            earliest = Instant::now() + PACE;
            let began = Instant::now();
            let lost = self.write(&mut batch);
            self.queue.done(&batch, lost);
            // As long as writing took: so it cannot fall behind, and what waits does not wait much longer.
            if let Err(error) = self.trim(began.elapsed().max(PACE)) {
                tracing::debug!("the history was not pruned: {error}");
                self.file = None;
            }
            tidy = Instant::now() + interval;
        }
    }

    /// Writes a batch, and tries again until it is written or the history is to end; how many are lost.
    fn write(&mut self, batch: &mut Batch) -> u64 {
        let mut lost = 0;
        let mut rows = Vec::with_capacity(batch.entries.len());
        for entry in batch.entries.drain(..) {
            match rendered(entry, &mut self.packer) {
                Some(row) => rows.push(row),
                None => lost += 1,
            }
        }
        loop {
            let written = if rows.is_empty() {
                Ok(())
            } else {
                self.try_write(&rows)
            };
            match written {
                Ok(()) => {
                    if !rows.is_empty() && self.queue.set_broken(false) {
                        tracing::warn!("the history {} is written again", self.path.display());
                    }
                    return lost;
                }
                Err(error) => {
                    self.file = None;
                    if self.queue.set_broken(true) {
                        tracing::error!("{error}; exchanges are served without it");
                    }
                    if !self.queue.pause(RETRY) {
                        return lost + rows.len() as u64;
                    }
                }
            }
        }
    }

    /// The open file; opened anew if it is not, or if another one is in its place.
    fn open(&mut self) -> Result<&mut Connection, Error> {
        let same = |open: &Open| open.identity == identity(&self.path);
        let file = match self.file.take().filter(same) {
            Some(open) => open,
            None => Open {
                db: schema::create(&self.path)?,
                identity: identity(&self.path),
            },
        };
        Ok(&mut self.file.insert(file).db)
    }

    fn try_write(&mut self, rows: &[Row]) -> Result<(), Error> {
        let path = self.path.clone();
        let failed = |error| Error::of(&path, error);
        let db = self.open()?;
        let change = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        schema::check(&change, &path)?;
        for row in rows {
            row.insert(&change).map_err(failed)?;
        }
        change.commit().map_err(failed)
    }

    /// Removes what is too old or too much, for so long at most if something waits.
    fn trim(&mut self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        let path = self.path.clone();
        let failed = |error| Error::of(&path, error);
        let (queue, limits) = (Arc::clone(&self.queue), self.limits);
        if self.file.is_none() && queue.is_wanted() {
            return Ok(());
        }
        let db = self.open()?;
        schema::check(db, &path)?;
        // Some room is left, so that what comes next fills free pages and the file does not grow.
        let bytes = limits.bytes - limits.bytes / 16;
        loop {
            let since = prune::ago(limits.age);
            let removed = prune::step(db, Bounds { bytes, since }).map_err(failed)?;
            let pages = Pages::of(db).map_err(failed)?;
            let room = limits.bytes.saturating_sub(pages.used());
            let more = prune::give_back(db, room.min(limits.bytes / 8)).map_err(failed)?;
            let late = Instant::now() >= end && queue.is_wanted();
            if !(removed.more || more) || late {
                return Ok(());
            }
        }
    }
}

/// Puts an exchange into words. One that cannot be is lost; the others are not.
fn rendered(entry: Entry, packer: &mut Packer) -> Option<Row> {
    let kept = std::panic::catch_unwind(AssertUnwindSafe(entry.make)).ok()?;
    Row::of(kept, packer).ok()
}

/// What tells a file from one that took its place.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}
