//! How connections hear that the server stops.
//!
//! Each looks at one flag whenever it is polled, and is polled once more when the flag changes. Waiting for a channel beside the connection
//! would take a lock each time that a byte comes.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

/// What the flag says; 0 while the server runs.
const DRAINING: u8 = 1;
const CUT: u8 = 2;

/// The connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: AtomicU8,
    open: Mutex<Open>,
    /// The last one ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// Of each one its task's waker, once that has run.
    wakers: HashMap<u64, Option<Waker>>,
}

impl Connections {
    /// Runs a connection to its end, or until the server has no patience left. `drain` asks it to end once the exchange under way is over.
    /// `here` is its place.
    pub(super) async fn run<C>(here: Here, mut connection: C, drain: impl Fn(&mut C))
    where
        C: Future<Output = ()> + Unpin,
    {
        let mut known = false;
        let mut asked = false;
        poll_fn(|cx| {
            // Known before the flag is read: a change after that wakes this one.
            if !std::mem::replace(&mut known, true) {
                here.wakes(cx);
            }
            match here.connections.state.load(Ordering::Acquire) {
                CUT => return Poll::Ready(()),
                DRAINING if !asked => {
                    asked = true;
                    drain(&mut connection);
                }
                _ => {}
            }
            Pin::new(&mut connection).poll(cx)
        })
        .await;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().wakers.len()
    }

    /// Asks all to end, and waits until they have.
    pub(super) async fn drain(&self) {
        self.tell(DRAINING);
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Ends all.
    pub(super) fn cut(&self) {
        self.tell(CUT);
    }

    fn tell(&self, state: u8) {
        self.state.fetch_max(state, Ordering::AcqRel);
        let wakers: Vec<Waker> = self.lock().wakers.values().flatten().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// A place for one more, which counts from now on.
    pub(super) fn enter(self: &Arc<Self>) -> Here {
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.wakers.insert(number, None);
        Here {
            connections: Arc::clone(self),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the others.
pub(super) struct Here {
    connections: Arc<Connections>,
    number: u64,
}

impl Here {
    /// Whom to wake when the server stops: a task's waker stays the same.
    fn wakes(&self, cx: &Context<'_>) {
        let mut open = self.connections.lock();
        open.wakers.insert(self.number, Some(cx.waker().clone()));
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.wakers.remove(&self.number);
        if open.wakers.is_empty() {
            self.connections.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::oneshot,
        time::{sleep, timeout},
    };

    use super::*;

    /// Ends when it is told to, or some time after it was asked to.
    struct Fake {
        told: oneshot::Receiver<()>,
        patience: Duration,
        asked: Option<Pin<Box<tokio::time::Sleep>>>,
    }

    impl Future for Fake {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if let Some(asked) = &mut self.asked
                && asked.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(());
            }
            Pin::new(&mut self.told).poll(cx).map(|_| ())
        }
    }

    impl Fake {
        fn drain(&mut self) {
            self.asked = Some(Box::pin(sleep(self.patience)));
        }
    }

    fn open(connections: &Arc<Connections>, patience: Duration) -> oneshot::Sender<()> {
        let (tell, told) = oneshot::channel();
        let fake = Fake {
            told,
            patience,
            asked: None,
        };
        tokio::spawn(Connections::run(connections.enter(), fake, Fake::drain));
        tell
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_asked_and_waited_for() {
        let connections = Arc::<Connections>::default();
        timeout(Duration::from_secs(1), connections.drain())
            .await
            .unwrap();
        let first = open(&connections, Duration::from_secs(2));
        let _second = open(&connections, Duration::from_secs(9));
        // Before either has run.
        assert_eq!(connections.count(), 2);
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(connections.count(), 1);
        let draining = connections.drain();
        assert!(timeout(Duration::from_secs(8), draining).await.is_err());
        // One that comes late is asked as well.
        let _third = open(&connections, Duration::from_millis(500));
        timeout(Duration::from_secs(2), connections.drain())
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_is_cut() {
        let connections = Arc::<Connections>::default();
        let _held = open(&connections, Duration::from_secs(3600));
        tokio::task::yield_now().await;
        assert!(
            timeout(Duration::from_secs(1), connections.drain())
                .await
                .is_err()
        );
        connections.cut();
        timeout(Duration::from_secs(1), connections.drain())
            .await
            .unwrap();
    }
}
