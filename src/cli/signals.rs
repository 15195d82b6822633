//! SIGINT, SIGTERM and SIGHUP.

use tokio_util::sync::CancellationToken;

/// Cancelled by the first SIGINT or SIGTERM. A second one ends the process at once.
pub(super) fn stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    // Before this returns: without a handler the signal ends the process.
    let first = signal();
    tokio::spawn(async move {
        let first = first.await;
        let second = signal();
        told.cancel();
        if first.is_some() {
            std::process::exit(128 + second.await.unwrap_or(2));
        }
    });
    stop
}

/// Calls `told` at every SIGHUP from now on: log files have been moved.
#[cfg(unix)]
pub(super) fn on_hangup(told: impl Fn() + Send + 'static) {
    use tokio::signal::unix::{SignalKind, signal};

    // Before this returns: without a handler the signal ends the process.
    if let Ok(mut hangups) = signal(SignalKind::hangup()) {
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                told();
            }
        });
    }
}

/// There is no such signal here.
#[cfg(not(unix))]
pub(super) fn on_hangup(_told: impl Fn() + Send + 'static) {}

/// The number of the next signal from now on; `None` if the system gives none.
#[cfg(unix)]
pub(super) fn signal() -> impl Future<Output = Option<i32>> + Send {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async move {
        let (mut interrupt, mut terminate) = signals.ok()?;
        tokio::select! {
            _ = interrupt.recv() => Some(2),
            _ = terminate.recv() => Some(15),
        }
    }
}

/// The number of the next signal; `None` if the system gives none.
#[cfg(not(unix))]
pub(super) fn signal() -> impl Future<Output = Option<i32>> + Send {
    async { tokio::signal::ctrl_c().await.ok().map(|()| 2) }
}
