//! Whether aiproxy holds: mixed traffic of all operations through the built binary, with faults of the provider, clients that leave and tails that
//! listen, each answer held against what was asked.
//!
//!     cargo bench --bench load -- [--minutes 1] [--clients 48] [--seed 1] [--report FILE] [--aiproxy PATH]
//!     cargo bench --bench load -- --streams 5000 [--tokens 30]
//!
//! Every request carries a token of its own, and every word of its answer repeats it: an answer that holds another's is crosstalk. At the end there
//! must be no wrong answer, no exchange under way, as many open files as before, and about as much memory in the last third as in the middle one.
//! `--streams` is the other mode: so many slow streams at once, none of which may fail.
//!
//! What is asked, in what order, and what goes wrong depends on the seed alone; what meets what depends on the machine. The report is Markdown. The
//! exit code is 1 if anything was found.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and prints"
)]

mod ask;
mod check;
#[path = "../whole/http.rs"]
#[allow(
    dead_code,
    reason = "the other benchmark's, of which this takes a part"
)]
mod http;
#[path = "../whole/process.rs"]
#[allow(
    dead_code,
    reason = "the other benchmark's, of which this takes a part"
)]
mod process;
mod provider;
mod proxy;
mod report;
mod soak;
mod streams;
mod work;

use std::{
    env,
    error::Error,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::Parser;

/// Files beyond those of the streams themselves.
const OTHER_FILES: u64 = 1_000;

/// Set once the limit on open files has been lifted, so that it is tried once.
const LIFTED: &str = "AIPROXY_BENCH_LIFTED";

/// What is to be done.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// How long traffic is mixed
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Clients at once
    #[arg(long, default_value_t = 48)]
    clients: u64,
    /// What is asked follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead of mixed traffic, so many slow streams at once
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// Tokens of each slow stream, one a second
    #[arg(long, default_value_t = 30)]
    tokens: u32,
    /// Write the report there, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The aiproxy to load, in the place of the one just built
    #[arg(long)]
    aiproxy: Option<PathBuf>,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// The program that is loaded.
    pub(crate) fn program(&self) -> PathBuf {
        let built = || env!("CARGO_BIN_EXE_aiproxy").into();
        self.aiproxy.clone().unwrap_or_else(built)
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if !process::is_shown() {
        println!("this benchmark reads /proc, which only Linux has");
        return Ok(ExitCode::SUCCESS);
    }
    // `cargo test --all-targets` runs benchmarks too: then it is enough that they work.
    let tried = env::args().len() == 1;
    let args = Args::parse();
    lift_limit(u64::from(args.streams.unwrap_or_default()) * 2 + OTHER_FILES)?;
    let report = match args.streams {
        _ if tried => soak::run(&args, Duration::from_secs(3))?,
        Some(number) => streams::run(&args, number)?,
        None => soak::run(&args, Duration::from_secs_f64(args.minutes * 60.0))?,
    };
    let text = report.text();
    println!("{text}");
    if let Some(path) = &args.report {
        fs::write(path, &text)?;
    }
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs itself again with as many open files as the system lets it have, if it has too few. What it starts inherits that.
fn lift_limit(files: u64) -> io::Result<()> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    if soft.is_none_or(|soft| soft >= files) {
        return Ok(());
    }
    if env::var_os(LIFTED).is_some() {
        let hard = soft.unwrap_or_default();
        let why = format!("{files} open files are needed, and `ulimit -Hn` is {hard}");
        return Err(io::Error::other(why));
    }
    let again = r#"ulimit -n "$(ulimit -Hn)"; exec "$0" "$@""#;
    let itself = env::current_exe()?;
    Err(Command::new("sh")
        .args([Path::new("-c"), Path::new(again), &itself])
        .args(env::args_os().skip(1))
        .env(LIFTED, "1")
        .exec())
}
