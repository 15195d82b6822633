//! Exchanges on disk: a SQLite file, written by one thread of each server that records, read by commands and servers at the same time.
//!
//! [`History`] takes exchanges without ever waiting and writes them in batches; [`Reader`] lists, finds and prunes them. The file is in WAL
//! mode with `synchronous = NORMAL`: a process that is killed loses what it had not committed, some hundred milliseconds; a machine that
//! loses power may also lose the last commits before it. Neither breaks the file. It is its owner's alone, as are the files beside it.
//!
//! What is looked for is found by folded text: prompts and answers are kept in lower case, and are read from the newest on. So a search agrees
//! with [`Filter::finds`](super::Filter::finds) to the letter.

mod error;
mod prune;
mod queue;
mod reader;
mod row;
mod schema;
mod writer;

use std::{fmt, time::Duration};

use super::told::Detail;

pub use error::Error;
pub use reader::{Found, Reader};
pub use writer::History;

/// The file's name in the state folder.
pub const FILE: &str = "history.db";

/// How much is kept, and for how long. What is older, or too much, goes, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the file.
    pub bytes: u64,
    /// The age of the oldest exchange.
    pub age: Duration,
}

impl Default for Limits {
    /// 1 GiB, 30 days.
    fn default() -> Limits {
        Limits {
            bytes: 1 << 30,
            age: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// An exchange that is to be kept: it is put into words on the writer's thread.
pub struct Entry {
    /// Bytes that it holds until then.
    pub weight: usize,
    /// Renders it, without secrets.
    pub make: Box<dyn FnOnce() -> Kept + Send>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

/// An exchange as it is kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// All about it.
    pub detail: Detail,
    /// What was asked, for the search.
    pub prompt: String,
    /// What was answered, for the search.
    pub answer: String,
}

/// What a pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Exchanges that are gone.
    pub exchanges: u64,
    /// Bytes by which the file is smaller.
    pub bytes: u64,
}

/// A text as it is compared.
fn folded(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests;
