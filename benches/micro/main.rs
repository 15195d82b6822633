//! What the small parts cost, one by one: framings, decoders, encoders, edits of a body, look-ups, redaction, records, prices.
//!
//!     cargo bench --bench micro -- [NAME]
//!     cargo bench --bench micro -- --instructions [--only NAME] [--write]
//!
//! The first tells times, by criterion, of the cases whose names hold NAME; where a stream is gone through, that of all of it, and its chunks or
//! events a second. The second counts instructions of one chunk or event, by valgrind's callgrind: what else the machine does hardly moves them.
//! They are held against `benches/micro/instructions.txt`, and what grew by more than a tenth is an error; `--write` writes that file. Where
//! counts cannot be had, it ends with 77.
//!
//! `cargo test --bench micro` looks whether each case does what it is meant to do.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and prints"
)]

mod cases;
mod instructions;
mod streams;

use std::{env, error::Error, hint::black_box, process::ExitCode, time::Duration};

use clap::Parser;
use criterion::{Criterion, Throughput};

use crate::{cases::Case, instructions::Args};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let cases = cases::all();
    if let [flag, name, times] = args.as_slice()
        && flag == instructions::RUN
    {
        let case = cases.iter().find(|case| case.name == *name);
        repeat(case.ok_or("there is no such case")?, times.parse()?);
    } else if has("--instructions") {
        return instructions::count(&cases, &Args::parse());
    } else if has("--bench") {
        time(&cases);
    } else {
        // `cargo test --all-targets` runs benchmarks too: then it is enough that they work.
        for case in &cases {
            case.check();
        }
        println!("{} cases do what they are meant to do", cases.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a case so many times.
fn repeat(case: &Case, times: u64) {
    let mut run = case.begin();
    for _ in 0..times {
        black_box(run());
    }
}

/// Shows how long each takes.
fn time(cases: &[Case]) {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for case in cases {
        let (group, name) = case.name.split_once('/').unwrap_or(("", &case.name));
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(case.units));
        // It is asked for each sample, and not at all for what the filter leaves out.
        let mut run = None;
        group.bench_function(name, |bencher| {
            let run = run.get_or_insert_with(|| case.begin());
            bencher.iter(run);
        });
        group.finish();
    }
    criterion.final_summary();
}
