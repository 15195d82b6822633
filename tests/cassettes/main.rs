//! Cassettes: exchanges recorded, exported, and played again, byte for byte and piece by piece.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod formats;
mod history;
mod missing;
mod playing;
mod secrets;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use serde_json::Value;
use support::{Process, Server, World};

/// A file that is there as long as this is.
struct Tape {
    path: PathBuf,
    _world: World,
}

impl Deref for Tape {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Writes the exchanges of a running server to a file; gives it and its text.
fn exported(server: &Server) -> (Tape, String) {
    let world = World::new();
    let path = world.path("tape.jsonl");
    let text = export_to(server, &path);
    let tape = Tape {
        path,
        _world: world,
    };
    (tape, text)
}

fn export_to(server: &Server, path: &Path) -> String {
    let url = server.url();
    let file = path.to_str().unwrap();
    server
        .world
        .run(["log", "--export", file, "--server", &url])
        .exits(0);
    std::fs::read_to_string(path).unwrap()
}

/// The exchanges of a cassette, without its head.
fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The pieces of a recorded answer, as text.
fn pieces(answer: &Value) -> Vec<String> {
    let chunks = answer["chunks"].as_array().unwrap();
    chunks
        .iter()
        .map(|chunk| match chunk["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("base64:{}", chunk["base64"].as_str().unwrap()),
        })
        .collect()
}

/// The times of the pieces.
fn times(answer: &Value) -> Vec<f64> {
    let chunks = answer["chunks"].as_array().unwrap();
    chunks
        .iter()
        .map(|chunk| chunk["at_ms"].as_f64().unwrap())
        .collect()
}

/// `aiproxy mock --from` these files, as a server.
fn mock_from(files: &[&Path], args: &[&str]) -> Server {
    let world = World::new();
    let mut command = world.aiproxy(["mock", "--listen", "127.0.0.1:0", "--from"]);
    command.args(files).args(args);
    let mut process = Process::start(command);
    process.until("its URL", |process| process.stdout().contains("/v1\n"));
    let said = process.stdout();
    let url = said.split_whitespace().last().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let address = address.strip_suffix("/v1").unwrap().parse().unwrap();
    Server {
        process,
        address,
        world,
    }
}
