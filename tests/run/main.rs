//! `aiproxy run` and `aiproxy env`: what a program finds, and what becomes of its signals, its terminal and its exit code.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod choice;
mod env;
mod program;
mod receipt;
mod signals;

use std::process::Command;

use support::{Finished, Process, World};

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// A question with the variables of OpenAI's SDK; prints status and body.
const ASK: &str = r#"curl -s --max-time 20 -w '%{http_code}' "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" -H 'content-type: application/json' -d '{"model":"mock-echo","messages":[{"role":"user","content":"hello there"}]}'"#;

/// `aiproxy` with these arguments, and no server on the usual address.
fn aiproxy<'a>(world: &World, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = world.aiproxy(args);
    command
        .env("AIPROXY_LISTEN", NOBODY)
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"));
    command
}

/// Runs lines of a shell below `aiproxy run` with these flags.
fn sh(world: &World, flags: &[&str], lines: &str) -> Finished {
    let args = ["run"]
        .into_iter()
        .chain(flags.iter().copied())
        .chain(["--", "sh", "-c", lines]);
    Process::start(aiproxy(world, args)).end()
}

/// Whether a program is there; says so if it is not.
fn has(program: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        println!("skipped: there is no {program}");
    }
    there
}

/// The value of a variable in the output of `env`.
fn value<'a>(output: &'a str, name: &str) -> Option<&'a str> {
    output
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
