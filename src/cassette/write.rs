//! Exchanges that were not recorded, put into the file as they end.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    file::{Cassette, Head},
    line::{Line, Request},
    recorded::LeftOut,
    shelf::Cassettes,
};
use crate::exchange::{Exchange, Observer, Redactor};

/// Adds what was really asked to a file, and to the recordings that answer from then on.
#[derive(Clone)]
pub struct Appending {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    cassettes: Arc<Cassettes>,
    /// The number of the file's last line; one exchange is written at a time.
    last: Mutex<usize>,
}

impl fmt::Debug for Appending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appending")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Appending {
    /// Adds to this file, which is the last of the cassettes'. One that is not there is made, with a head.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn start(path: PathBuf, head: &Head, cassettes: Arc<Cassettes>) -> io::Result<Appending> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.trim().is_empty() {
            writeln!(file, "{}", Cassette::head_line(head)?)?;
            text.push('\n');
        }
        let last = memchr::memchr_iter(b'\n', text.as_bytes()).count()
            + usize::from(!text.ends_with('\n'));
        Ok(Appending {
            shared: Arc::new(Shared {
                path,
                cassettes,
                last: Mutex::new(last),
            }),
        })
    }

    /// What tells it of exchanges.
    #[must_use]
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(self.clone())
    }

    fn has(&self, sent: &Request) -> bool {
        self.shared.cassettes.has(sent)
    }

    fn add(&self, line: Line) -> io::Result<()> {
        let shared = &self.shared;
        let mut last = shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&shared.path)?;
        let end = if ends_line(&mut file)? { "" } else { "\n" };
        let text = format!("{end}{}\n", line.text()?);
        file.write_all(text.as_bytes())?;
        *last += 1;
        shared.cassettes.add(*last, line);
        Ok(())
    }
}

/// Whether the last line of a file has its end.
fn ends_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// What says nothing of the provider's answers, but of the moment: a key that is wrong, patience that it asks for, an outage.
fn passes(status: u16) -> bool {
    matches!(status, 401 | 403 | 408 | 429) || status >= 500
}

impl Observer for Appending {
    /// Writes at once, so that whoever asks again when the answer is there gets the recording.
    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        // What was played cost nothing, and is there; so is a transformer's call, as a rule.
        if exchange.free && exchange.calls.is_empty() || exchange.upstream_status.is_none() {
            return;
        }
        let (id, status) = (exchange.id, exchange.upstream_status.unwrap_or_default());
        let place = self.shared.path.display();
        if passes(status) {
            tracing::warn!("{id} is not recorded in {place}: the upstream answered {status}");
            return;
        }
        let detail = exchange.detail(redactor);
        match Line::of(&detail) {
            Err(LeftOut::Cancelled | LeftOut::Unanswered) => {}
            Err(why) => tracing::warn!("{id} is not recorded in {place}: it is {}", why.words()),
            Ok(line) if exchange.free && line.calls.iter().all(|call| self.has(&call.sent)) => {}
            Ok(line) => {
                if let Err(error) = self.add(line) {
                    tracing::error!("{id} is not recorded in {place}: {error}");
                }
            }
        }
    }
}
