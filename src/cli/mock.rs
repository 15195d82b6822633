//! `aiproxy mock`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::Request;

use super::signals;
use crate::{
    cassette::{Cassette, Cassettes, Missing, Replayer, Speed},
    mock::{self, MODELS, Mock},
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
    /// Answer from the exchanges in these files (`aiproxy log --export`) instead, as the provider or as aiproxy did
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = clap::ValueHint::FilePath)]
    from: Vec<PathBuf>,
    /// With --from: play answers so many times as fast as they came; 0 without pauses
    #[arg(
        long,
        value_name = "X",
        requires = "from",
        default_value = "1",
        allow_negative_numbers = true
    )]
    speed: Speed,
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
    format!(
        "Models:\n{models}\nExamples:\n  aiproxy mock --listen 127.0.0.1:8766\n  aiproxy mock --from tests/chat.jsonl --speed 0"
    )
}

enum Answers {
    Mock(Mock),
    Recordings(Replayer),
}

impl Service for Answers {
    async fn call(self: Arc<Self>, request: Request<Body>) -> http::Response<Body> {
        let replayer = match &*self {
            Answers::Mock(mock) => return mock.answer(request).await,
            Answers::Recordings(replayer) => replayer,
        };
        let uri = request.uri().clone();
        match replayer.answer(request).await {
            Ok(response) => response,
            Err(why) => mock::no_recording(&uri, why),
        }
    }
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let mut read = Vec::new();
    for path in &args.from {
        let cassette = Cassette::read(path);
        read.push(cassette.map_err(|broken| Problem::new(broken.to_string()))?);
    }
    let cassettes = Cassettes::new(read);
    let (answers, what) = if args.from.is_empty() {
        (Answers::Mock(Mock), "mock provider".to_owned())
    } else {
        let what = match cassettes.len() {
            1 => "1 recording".to_owned(),
            many => format!("{many} recordings"),
        };
        let cassettes = Arc::new(cassettes);
        let replayer = Replayer::new(cassettes, args.speed, Missing::Refused);
        (Answers::Recordings(replayer), what)
    };
    let listening = server::listen(args.listen)
        .await
        .map_err(|error| Problem::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let stop = signals::stop();
    let url = format!("http://{}/v1", listening.address());
    term.line(&format!("{what} on {}", term.ink(Ink::Literal, &url)))?;
    listening
        .serve(
            Arc::new(answers),
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
