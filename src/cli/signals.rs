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

/// The signals that are meant for a program that this process runs.
///
/// On a terminal, Ctrl-C and Ctrl-\ reach the program by themselves: this process only has to outlive them. Without one, somebody sent them
/// to this process, and they are handed on as the others are. (Stopping and continuing is between the shell and both.)
pub(super) struct Relay {
    #[cfg(unix)]
    signals: Vec<(tokio::signal::unix::Signal, &'static str)>,
    #[cfg(unix)]
    on_terminal: bool,
}

#[cfg(unix)]
impl Relay {
    /// Takes them from now on.
    ///
    /// # Errors
    ///
    /// If the system gives none.
    pub(super) fn start() -> std::io::Result<Relay> {
        use tokio::signal::unix::{SignalKind, signal};

        let kinds = [
            (SignalKind::interrupt(), "INT"),
            (SignalKind::quit(), "QUIT"),
            (SignalKind::terminate(), "TERM"),
            (SignalKind::hangup(), "HUP"),
            (SignalKind::user_defined1(), "USR1"),
            (SignalKind::user_defined2(), "USR2"),
        ];
        let signals = kinds
            .into_iter()
            .map(|(kind, name)| Ok((signal(kind)?, name)))
            .collect::<std::io::Result<_>>()?;
        Ok(Relay {
            signals,
            on_terminal: std::fs::File::open("/dev/tty").is_ok(),
        })
    }

    /// The name of the next one that is to be handed on.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            let name = std::future::poll_fn(|context| {
                let came = self.signals.iter_mut().find_map(|(signal, name)| {
                    signal.poll_recv(context).is_ready().then_some(*name)
                });
                came.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
            })
            .await;
            if !(self.on_terminal && matches!(name, "INT" | "QUIT")) {
                return name;
            }
        }
    }
}

#[cfg(not(unix))]
impl Relay {
    /// Takes them from now on.
    pub(super) fn start() -> std::io::Result<Relay> {
        Ok(Relay {})
    }

    /// The console tells the program itself; this process outlives it.
    pub(super) async fn next(&mut self) -> &'static str {
        while tokio::signal::ctrl_c().await.is_ok() {}
        std::future::pending().await
    }
}

/// Sends a signal to a process of one's own. One that is gone misses nothing.
pub(super) async fn send(pid: u32, name: &str) {
    // The shell's own `kill`: every Unix has it, and a call to the system would be unsafe code.
    let _ = tokio::process::Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .await;
}
