//! Threads that answer, each with connections of its own.
//!
//! All that a connection waits for belongs to the thread that it was given to: its socket, those to upstreams that its requests open, its
//! timers. So nothing has to wake another thread, which takes longer than most of what a request needs.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// The threads. They end, and what is left on them with them, when this is dropped.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Connections that it has.
    busy: Arc<AtomicUsize>,
    /// Dropped to end it.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// One for each processor.
    ///
    /// # Errors
    ///
    /// If the system has no more threads or file descriptors.
    pub fn start() -> io::Result<Workers> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        (0..count)
            .map(Worker::start)
            .collect::<io::Result<_>>()
            .map(Workers)
    }

    /// Runs a connection where there are fewest. `connection` is called on that thread.
    pub(super) fn run<C, F>(&self, connection: C)
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let busy = |worker: &&Worker| worker.busy.load(Ordering::Relaxed);
        let Some(worker) = self.0.iter().min_by_key(busy) else {
            return;
        };
        let counted = Counted::new(&worker.busy);
        worker.handle.spawn(async move {
            connection().await;
            drop(counted);
        });
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Worker> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // Not what blocks in a file or a resolver: nobody waits for it any more.
                runtime.shutdown_background();
            })?;
        Ok(Worker {
            handle,
            busy: Arc::default(),
            _stop: stop,
        })
    }
}

/// One of a worker's connections.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn connections_are_shared_out() {
        let workers = Workers(
            (0..2)
                .map(|number| Worker::start(number).unwrap())
                .collect(),
        );
        let (tell, told) = mpsc::channel();
        let mut held = Vec::new();
        for _ in 0..4 {
            let (hold, holds) = oneshot::channel::<()>();
            held.push(hold);
            let tell = tell.clone();
            workers.run(move || async move {
                tell.send(thread::current().name().map(str::to_owned))
                    .unwrap();
                let _ = holds.await;
            });
        }
        let mut names: Vec<_> = (0..4).map(|_| told.recv().unwrap().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["worker-0", "worker-0", "worker-1", "worker-1"]);
        drop(workers);
        for hold in held {
            // They end with their threads.
            while !hold.is_closed() {
                thread::yield_now();
            }
        }
    }
}
