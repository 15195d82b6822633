//! `--replay` of `serve` and `run`: answers from recordings.

use std::{path::PathBuf, sync::Arc};

use crate::{
    cassette::{Appending, Cassette, Cassettes, Speed},
    exchange::Observer,
    term::Problem,
};

/// Where answers come from, if not from providers.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Replay {
    /// Answer from the exchanges in this file (`aiproxy log --export`), without a key or a network (repeatable); without --profile,
    /// the profiles that were recorded are served
    #[arg(
        long,
        value_name = "FILE",
        env = "AIPROXY_REPLAY",
        value_delimiter = ',',
        conflicts_with = "mock",
        value_hint = clap::ValueHint::FilePath
    )]
    replay: Vec<PathBuf>,
    /// With --replay: play answers so many times as fast as they came; 0 without pauses
    #[arg(
        long,
        value_name = "X",
        env = "AIPROXY_SPEED",
        default_value = "1",
        allow_negative_numbers = true
    )]
    speed: Speed,
    /// With --replay: ask the provider what is not in the file, and add it to the (last) file
    #[arg(long, env = "AIPROXY_RECORD_MISSING", requires = "replay")]
    record_missing: bool,
}

/// Recordings that answer in the providers' place.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) cassettes: Arc<Cassettes>,
    pub(super) speed: Speed,
    appending: Option<Appending>,
    files: Vec<String>,
}

impl Replay {
    /// Reads the files, if there are any.
    pub(super) fn open(&self) -> Result<Option<Playing>, Problem> {
        let Some(last) = self.replay.last() else {
            return Ok(None);
        };
        let mut read = Vec::new();
        for path in &self.replay {
            // The first time there is nothing yet.
            let is_new = self.record_missing && path == last;
            read.push(match Cassette::read(path) {
                Err(broken) if is_new && broken.is_missing() => Cassette::empty(path),
                Err(broken) => {
                    let problem = Problem::new(broken.to_string());
                    return Err(if broken.is_missing() {
                        problem.hint("aiproxy log --export FILE writes one; with --record-missing it fills itself")
                    } else {
                        problem
                    });
                }
                Ok(cassette) => cassette,
            });
        }
        let head = read.last().map(|cassette| cassette.head.clone());
        let cassettes = Arc::new(Cassettes::new(read));
        let appending = match (self.record_missing, head) {
            (true, Some(head)) => {
                let started = Appending::start(last.clone(), &head, Arc::clone(&cassettes));
                Some(started.map_err(|error| {
                    Problem::new(format!(
                        "--record-missing: cannot write {}: {error}",
                        last.display()
                    ))
                })?)
            }
            _ => None,
        };
        let files = self.replay.iter().map(|path| path.display().to_string());
        Ok(Some(Playing {
            cassettes,
            speed: self.speed,
            appending,
            files: files.collect(),
        }))
    }
}

impl Playing {
    /// Whether providers are asked for what is missing.
    pub(super) fn asks(&self) -> bool {
        self.appending.is_some()
    }

    /// What writes down what was missing.
    pub(super) fn observer(&self) -> Option<Box<dyn Observer>> {
        self.appending.as_ref().map(Appending::observer)
    }

    /// The profiles to serve: those that are named, else those that were recorded.
    pub(super) fn profiles(playing: Option<&Playing>, named: &[String]) -> Vec<String> {
        match playing {
            Some(playing) if named.is_empty() => playing.cassettes.profiles(),
            _ => named.to_vec(),
        }
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let count = match self.cassettes.len() {
            1 => "1 recording".to_owned(),
            many => format!("{many} recordings"),
        };
        let missing = if self.asks() {
            "; what is missing is asked and added"
        } else {
            ""
        };
        format!("{count} in {}{missing}", self.files.join(", "))
    }
}
