//! `aiproxy mock`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::Request;

use super::signals;
use crate::{
    mock::{MODELS, Mock},
    server::{self, Service, Terms},
    term::{Exit, Ink, Problem, Term},
    transport::Body,
};

/// Run the built-in mock provider as a server of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(super) struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8766")]
    listen: SocketAddr,
}

fn after_help() -> String {
    let width = MODELS
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let models: String = MODELS
        .iter()
        .map(|(name, what)| format!("  {name:width$}  {what}\n"))
        .collect();
    format!("Models:\n{models}\nExample:\n  aiproxy mock --listen 127.0.0.1:8766")
}

struct Answers(Mock);

impl Service for Answers {
    async fn call(self: Arc<Self>, request: Request<Body>) -> http::Response<Body> {
        self.0.answer(request).await
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let listening = server::listen(args.listen)
        .await
        .map_err(|error| Problem::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let stop = signals::stop();
    let url = format!("http://{}/v1", listening.address());
    term.line(&format!(
        "mock provider on {}",
        term.ink(Ink::Literal, &url)
    ))?;
    listening
        .serve(
            Arc::new(Answers(Mock)),
            None,
            Terms {
                max_connections: 1024,
                ..Terms::default()
            },
            Duration::from_secs(1),
            stop,
            || (),
        )
        .await;
    Ok(Exit::Done)
}
