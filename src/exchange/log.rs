//! The request log: a queue, and a thread that counts, redacts and writes, so that no request waits for any of it.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Exchange, Observer, Redactor, log_file::LogFile, log_line::Shown};

/// Most bytes of exchanges that wait to be written: some 16,000 without payloads.
const MOST_WAITING: usize = 64 << 20;

/// What an exchange weighs beside its bodies.
const BARE: usize = 4 << 10;

/// How long a file that cannot be written is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A running log. It ends with [`RequestLog::close`], or with the process.
#[derive(Debug)]
pub struct RequestLog {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// A file is written, not only lines for people.
    to_file: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Arc<Exchange>, Arc<Redactor>)>,
    bytes: usize,
    dropped: u64,
    reopen: bool,
    stop: bool,
    ended: bool,
}

enum Next {
    Write(Arc<Exchange>, Arc<Redactor>),
    Reopen,
    End,
}

impl RequestLog {
    /// Starts the thread. It writes a line of JSON an exchange to `file`, if there is one, and a line for people to `tracing` at level INFO.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn start(file: Option<LogFile>) -> io::Result<RequestLog> {
        let queue = Arc::new(Queue {
            to_file: file.is_some(),
            ..Queue::default()
        });
        let writes = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("request-log".into())
            .spawn(move || {
                // Also if the thread panics: nobody must wait for it in vain.
                let _ended = Ended(&writes);
                write_all(&writes, file);
            })?;
        Ok(RequestLog { queue })
    }

    /// What tells it of exchanges.
    #[must_use]
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Feed(Arc::clone(&self.queue)))
    }

    /// What opens its file anew.
    pub fn reopener(&self) -> impl Fn() + Send + 'static {
        let queue = Arc::clone(&self.queue);
        move || {
            queue.lock().reopen = true;
            queue.changed.notify_all();
        }
    }

    /// Writes what waits, and ends. Blocks up to `limit`; whether everything is written by then.
    #[must_use]
    pub fn close(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.queue.lock();
        state.stop = true;
        self.queue.changed.notify_all();
        while !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.queue.wait(state, left);
        }
        state.dropped == 0
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                return Next::Reopen;
            }
            if let Some((exchange, redactor)) = state.waiting.pop_front() {
                state.bytes = state.bytes.saturating_sub(weight(&exchange));
                return Next::Write(exchange, redactor);
            }
            if state.stop {
                return Next::End;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits a while, less if there is something to do about the file; `false` at the end, when there is no more time to wait.
    fn pause(&self) -> bool {
        let end = Instant::now() + RETRY;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.stop {
                return false;
            }
            if left.is_zero() || state.reopen {
                return true;
            }
            state = self.wait(state, left);
        }
    }
}

fn weight(exchange: &Exchange) -> usize {
    let calls = exchange.call_logs.iter().flatten();
    let calls: usize = calls.map(|log| log.material.weight()).sum();
    BARE + calls + exchange.log.as_ref().map_or(0, |log| log.weight())
}

struct Feed(Arc<Queue>);

impl Observer for Feed {
    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        let queue = &self.0;
        let mut state = queue.lock();
        let weight = weight(exchange);
        if state.bytes + weight > MOST_WAITING || state.ended {
            state.dropped += 1;
            let first = state.dropped == 1;
            drop(state);
            if first {
                tracing::warn!("the request log cannot keep up: lines are dropped");
            }
            return;
        }
        state.bytes += weight;
        state
            .waiting
            .push_back((Arc::clone(exchange), Arc::clone(redactor)));
        drop(state);
        queue.changed.notify_all();
    }

    fn reads_bodies(&self) -> bool {
        self.0.to_file
    }
}

struct Ended<'a>(&'a Queue);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        if state.dropped > 0 {
            let dropped = state.dropped;
            tracing::warn!("{dropped} lines of the request log were dropped");
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

/// The thread.
fn write_all(queue: &Queue, file: Option<LogFile>) {
    let mut out = file.map(|file| Out {
        file,
        broken: false,
    });
    loop {
        match queue.next() {
            Next::End => return,
            Next::Reopen => {
                if let Some(out) = &mut out {
                    out.reopen();
                }
            }
            Next::Write(exchange, redactor) => {
                let shown = Shown::of(&exchange, &redactor);
                if tracing::enabled!(target: TARGET, tracing::Level::INFO) {
                    tracing::info!(target: TARGET, "{}", shown.sentence());
                }
                if let Some(out) = &mut out
                    && !out.write(&shown.json(), queue)
                {
                    queue.lock().dropped += 1;
                }
            }
        }
    }
}

/// The target of lines for people, as `RUST_LOG` names it.
pub const TARGET: &str = "aiproxy::request";

struct Out {
    file: LogFile,
    /// It failed, and that has been said.
    broken: bool,
}

impl Out {
    fn said(&mut self, result: io::Result<()>) -> bool {
        let path = self.file.path().display();
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.broken) {
                    tracing::warn!("the log file {path} is written again");
                }
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.broken, true) {
                    tracing::error!("cannot write the log file {path}: {error}");
                }
                false
            }
        }
    }

    fn reopen(&mut self) {
        let result = self.file.reopen();
        self.said(result);
    }

    /// Writes a line, and tries again until it is written or the log is to end.
    fn write(&mut self, line: &[u8], queue: &Queue) -> bool {
        loop {
            let result = self.file.write(line);
            if self.said(result) {
                return true;
            }
            if !queue.pause() {
                self.file.skip();
                return false;
            }
            if std::mem::take(&mut queue.lock().reopen) {
                self.reopen();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Ledger;

    #[test]
    fn what_waits_is_written_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.log");
        let log = RequestLog::start(Some(LogFile::open(&path).unwrap())).unwrap();
        let ledger = Ledger::new(vec![log.observer()]);
        for _ in 0..100 {
            ledger.open("p".into()).close();
        }
        assert_eq!(ledger.live(), 0);
        assert!(log.close(Duration::from_secs(20)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
        // Nobody writes any more: this one is dropped, not kept.
        ledger.open("p".into()).close();
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let queue = Arc::new(Queue::default());
        let ledger = Ledger::new(vec![Box::new(Feed(Arc::clone(&queue)))]);
        let fit = MOST_WAITING / BARE;
        for _ in 0..fit + 3 {
            ledger.open("p".into()).close();
        }
        let state = queue.lock();
        assert_eq!((state.waiting.len(), state.dropped), (fit, 3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_stays_full_does_not_hold_up_the_end() {
        let log = RequestLog::start(Some(LogFile::open("/dev/full".as_ref()).unwrap())).unwrap();
        let ledger = Ledger::new(vec![log.observer()]);
        ledger.open("p".into()).close();
        ledger.open("p".into()).close();
        assert!(!log.close(Duration::from_secs(20)));
    }
}
