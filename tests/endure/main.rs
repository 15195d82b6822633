//! What clients and the machine do to a server: slow ones, vanishing ones, thousands of them; a full disk, no more files, a signal. Each test
//! leaves the server healthy, and looks at what it says of the limit that was met.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may fail loudly, and say what they could not try"
)]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod clock;
mod crowds;
#[cfg(target_os = "linux")]
mod disk;
mod process;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use support::{Ask, PATIENCE, Server};

/// What `path` of the server answers, as JSON.
async fn get(server: &Server, path: &str) -> Value {
    let reply = Ask::get(path).whole(server).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// What the server knows of its last exchanges, the youngest first, once none is under way.
async fn exchanges(server: &Server) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = get(server, "/_aiproxy/exchanges?limit=1000").await;
        let all = all["exchanges"].as_array().unwrap().clone();
        if all.iter().all(|one| one["outcome"] != "live") {
            return all;
        }
        assert!(Instant::now() < deadline, "still under way: {all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a state.
async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "{what}: never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many files a process has open.
#[cfg(target_os = "linux")]
fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Processor time that a process has spent.
#[cfg(target_os = "linux")]
fn spent(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

/// Memory that a process has, in kB.
#[cfg(target_os = "linux")]
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

/// The same command, begun by a shell that sets something up first: `set_up` ends in `exec "$@"`.
fn through_shell(command: &Command, set_up: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", set_up, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_clear();
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}
