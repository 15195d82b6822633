//! A wait that has a limit, for what is polled by hand.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than anybody waits, and within what timers can count.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// One wait after the other for the same thing. By the clock that is never set: a step of the time of day changes nothing.
///
/// The timer is not set for each wait: one that fires early is set to the rest, so that a wait that is short costs a look at the clock.
#[derive(Debug, Default)]
pub(super) struct Wait {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    /// It came: what is waited for next has all its time.
    pub(super) fn over(&mut self) {
        self.since = None;
    }

    /// It is still waited for: ready once that has taken as long as `limit` says.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Option<Duration>) -> Poll<()> {
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        let end = since + limit.min(FOREVER);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn waits(wait: &mut Wait, seconds: u64) -> Duration {
        let began = Instant::now();
        let limit = Some(Duration::from_secs(seconds));
        poll_fn(|cx| wait.poll(cx, limit)).await;
        began.elapsed()
    }

    async fn waits_for(wait: &mut Wait, limit: u64, time: u64) -> bool {
        let time = Duration::from_secs(time);
        tokio::time::timeout(time, waits(wait, limit)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_all_its_time() {
        let mut wait = Wait::default();
        assert!(!waits_for(&mut wait, 10, 9).await);
        wait.over();
        // The timer of the first one fires meanwhile.
        assert!(!waits_for(&mut wait, 10, 9).await);
        assert!(waits_for(&mut wait, 10, 2).await);
        wait.over();
        // A shorter one than the timer was set for.
        assert!(!waits_for(&mut wait, 600, 1).await);
        wait.over();
        assert!(!waits_for(&mut wait, 5, 4).await);
        assert!(waits_for(&mut wait, 5, 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_and_a_huge_one_are_waits() {
        let mut wait = Wait::default();
        for limit in [None, Some(Duration::MAX)] {
            let polled = poll_fn(|cx| Poll::Ready(wait.poll(cx, limit))).await;
            assert!(polled.is_pending());
        }
    }
}
