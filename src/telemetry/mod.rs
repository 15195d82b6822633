//! Exchanges as OpenTelemetry's spans, sent by OTLP over HTTP where the environment names an endpoint; nothing runs and nothing is sent
//! otherwise.
//!
//! [`Settings`] are what the `OTEL_*` variables say. [`Telemetry`] is a queue that requests never wait for, and a thread that puts
//! exchanges into words (`told`), without secrets, and sends them. OTLP is written here, in `protobuf` and `json`: OpenTelemetry's own
//! crates bring a tracer, its clock, its queue and its samplers, of which a record that ended needs none. It imports `exchange`, `llm` and
//! `transport`.

mod asked;
mod export;
mod json;
mod protobuf;
mod queue;
mod said;
mod settings;
mod span;
mod told;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    exchange::{Exchange, Observer, Redactor, trace::Tracing},
    transport::Transport,
};

pub use settings::{Read, Settings};

use queue::{Queue, Waiting};

/// What sends spans. It ends with [`Telemetry::close`], or with the process.
#[derive(Debug)]
pub struct Telemetry {
    queue: Arc<Queue>,
    tracing: Tracing,
}

impl Telemetry {
    /// Starts the thread. Spans leave by `net`.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn start(settings: Settings, net: Arc<dyn Transport>) -> io::Result<Telemetry> {
        let queue = Arc::new(Queue::new(settings.batch));
        let tracing = settings.tracing;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sends = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("telemetry".into())
            .spawn(move || {
                // Also if the thread panics: nobody must wait for it in vain.
                let _ended = Ended(&sends);
                runtime.block_on(export::all(&sends, &settings, &*net));
                runtime.shutdown_background();
            })?;
        Ok(Telemetry { queue, tracing })
    }

    /// What tells it of exchanges.
    #[must_use]
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Feed {
            queue: Arc::clone(&self.queue),
            tracing: self.tracing,
        })
    }

    /// Sends what waits, and ends. Blocks up to `limit`; whether every span was taken by then.
    #[must_use]
    pub fn close(self, limit: Duration) -> bool {
        self.queue.close(Instant::now() + limit)
    }
}

/// Asks an endpoint whether it would take spans: sends a request with none.
///
/// # Errors
///
/// Why not.
pub async fn probe(settings: &Settings, net: &dyn Transport) -> Result<(), String> {
    export::probe(settings, net).await
}

struct Feed {
    queue: Arc<Queue>,
    tracing: Tracing,
}

impl Observer for Feed {
    fn wants(&self, exchange: &Exchange) -> bool {
        let trace = exchange.trace.as_ref();
        trace.is_some_and(|trace| trace.is_sampled())
    }

    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>) {
        self.queue.push(Waiting {
            exchange: Arc::clone(exchange),
            redactor: Arc::clone(redactor),
        });
    }

    fn tracing(&self) -> Option<Tracing> {
        Some(self.tracing)
    }
}

struct Ended<'a>(&'a Queue);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
