//! The whole of aiproxy, as a process, beside nginx as a plain reverse proxy on the same machine in the same run.
//!
//!     cargo bench --bench whole -- [--rounds 5] [--only A,C] [--quick] [--json] [--aiproxy PATH] [--nginx PATH] [--peer NAME=PATH]
//!
//! The figure is CPU time, user and system, of the proxy's processes per unit of work, which noise on the machine hardly moves; wall figures stand
//! beside it. aiproxy runs with its default settings: exchanges are kept in memory, metrics counted, hosts checked. Without `--aiproxy` it is the one
//! that cargo builds beside the benchmark, whose tokio has its test clock in it; for figures of what is shipped:
//!
//!     cargo build --profile dist && cargo bench --bench whole -- --aiproxy target/dist/aiproxy
//!
//! The fake provider and the load are threads of this process, one each, over loopback sockets; what they cost is shown. Every measurement starts its
//! proxy anew, and every answer is checked: status, number of tokens, end. Without nginx, absolute figures alone are shown.
//!
//! A peer is started as `proxies::Running::start` says.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly, and prints"
)]

mod goals;
mod http;
mod load;
mod payload;
mod process;
mod provider;
mod proxies;
mod report;
mod scenario;

use std::{
    env,
    error::Error,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;

use crate::{
    goals::{Against, GOALS},
    provider::Provider,
    proxies::{Kind, Seeing},
    report::Report,
    scenario::{Sample, Scenario, Size},
};

/// Files that may be open at once: two for each slow stream here, and as many in the proxy.
const FILES: u64 = 8_192;

/// Set once the limit on open files has been lifted, so that it is tried once.
const LIFTED: &str = "AIPROXY_BENCH_LIFTED";

#[derive(Parser)]
struct Args {
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Scenarios by their letters, such as A,C
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The aiproxy to measure, in the place of the one just built
    #[arg(long)]
    aiproxy: Option<PathBuf>,
    /// The nginx to measure, in the place of the one on PATH
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// Another proxy (repeatable)
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// Short measurements, for a look
    #[arg(long)]
    quick: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // `cargo test --all-targets` runs benchmarks too: then it is enough that they work.
    let flags = ["--bench", "--rounds", "--only", "--quick", "--help"];
    let measures = env::args().any(|arg| flags.contains(&arg.as_str()));
    if !process::is_shown() {
        println!("this benchmark reads /proc, which only Linux has");
        return Ok(ExitCode::SUCCESS);
    }
    if !measures {
        return try_out();
    }
    let args = Args::parse();
    lift_limit()?;
    let mut kinds = vec![Kind::Direct];
    match args.nginx.clone().or_else(|| on_path("nginx")) {
        Some(nginx) => kinds.push(Kind::Nginx(nginx)),
        None => eprintln!("no nginx on PATH, and no --nginx: absolute figures alone"),
    }
    kinds.push(aiproxy(args.aiproxy.clone()));
    for peer in &args.peer {
        let (name, path) = peer.split_once('=').ok_or("--peer is NAME=PATH")?;
        kinds.push(Kind::Peer(name.to_owned(), path.into()));
    }
    let (size, length) = match args.quick {
        true => (Size::QUICK, "quick"),
        false => (Size::FULL, "full"),
    };
    let mut report = Report {
        about: about(&kinds),
        kinds,
        samples: Vec::new(),
        rounds: args.rounds,
    };
    report
        .about
        .push(("rounds", format!("{}, {length}", args.rounds)));
    let provider = Provider::start(size.tokens)?;
    for round in 0..args.rounds {
        for scenario in Scenario::ALL {
            let mut chosen: Vec<Kind> = report.kinds.clone();
            chosen.retain(|kind| scenario.suits(kind) && is_wanted(&args.only, scenario, kind));
            // Not always the same one after the same other.
            if round % 2 == 1 {
                chosen.reverse();
            }
            for kind in chosen {
                let name = kind.name().to_owned();
                let sample = scenario::measure(scenario, &kind, &provider, &size)
                    .unwrap_or_else(|error| Sample::failed(&error));
                let (at, all) = (round + 1, args.rounds);
                let figures = said(&sample);
                eprintln!("{at}/{all} {} {name}: {figures}", scenario.name());
                report.samples.push((round, scenario, name, sample));
            }
        }
    }
    match args.json {
        true => println!("{:#}", report.json()),
        false => print!("{}", report.markdown()),
    }
    Ok(match report.failed() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Whether it was asked for, or is the yardstick of what was asked for.
fn is_wanted(only: &[String], scenario: Scenario, kind: &Kind) -> bool {
    let chosen = |scenario: Scenario| {
        let letter = scenario.name().get(..1);
        only.is_empty()
            || only
                .iter()
                .any(|name| letter.is_some_and(|letter| name.eq_ignore_ascii_case(letter)))
    };
    chosen(scenario)
        || GOALS.iter().any(|goal| {
            chosen(goal.scenario)
                && match goal.against {
                    Against::Nginx(other) | Against::Above(other) => {
                        other == scenario && matches!(kind, Kind::Nginx(_))
                    }
                    Against::Itself(other) => {
                        other == scenario && matches!(kind, Kind::Aiproxy(..))
                    }
                    Against::Nothing => false,
                }
        })
}

/// A little of everything that takes no nginx.
fn try_out() -> Result<ExitCode, Box<dyn Error>> {
    let provider = Provider::start(Size::TINY.tokens)?;
    let kind = aiproxy(None);
    for scenario in [
        Scenario::A,
        Scenario::C,
        Scenario::D,
        Scenario::G,
        Scenario::H,
        Scenario::Tail,
    ] {
        let sample = scenario::measure(scenario, &kind, &provider, &Size::TINY)?;
        let name = scenario.name();
        if let Some(error) = sample.error {
            return Err(format!("{name}: {} errors, the first: {error}", sample.errors).into());
        }
        println!("{name} works: {}", said(&sample));
    }
    Ok(ExitCode::SUCCESS)
}

fn said(sample: &Sample) -> String {
    let mut said: Vec<String> = sample
        .figures
        .iter()
        .map(|(name, value)| format!("{name} {}", report::short(Some(*value))))
        .collect();
    if let Some(error) = &sample.error {
        said.push(format!("{} ERRORS: {error}", sample.errors));
    }
    said.join(", ")
}

fn aiproxy(path: Option<PathBuf>) -> Kind {
    let built = || env!("CARGO_BIN_EXE_aiproxy").into();
    Kind::Aiproxy(path.unwrap_or_else(built), Seeing::Default)
}

/// Where a program is: on PATH, or where servers are installed that only root has on it.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The day, the machine, the programs.
fn about(kinds: &[Kind]) -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or(env::consts::ARCH, |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let mut about = vec![
        ("date", jiff::Zoned::now().date().to_string()),
        (
            "machine",
            format!("{model}, {cores} cores, load {load} before"),
        ),
        (
            "kernel",
            format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        ),
    ];
    for kind in kinds {
        let version = kind.version();
        if let (false, Kind::Aiproxy(path, _)) = (version.is_empty(), kind) {
            let size = fs::metadata(path).map_or(0, |file| file.len() >> 20);
            about.push(("aiproxy", format!("{version}, {size} MiB")));
        } else if !version.is_empty() {
            about.push(("nginx", version));
        }
    }
    about
}

/// Runs itself again with as many open files as the system lets it have, if it has few.
fn lift_limit() -> io::Result<()> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    if soft.is_none_or(|soft| soft >= FILES) || env::var_os(LIFTED).is_some() {
        return Ok(());
    }
    let again = r#"ulimit -n "$(ulimit -Hn)"; exec "$0" "$@""#;
    let itself = env::current_exe()?;
    Err(Command::new("sh")
        .args([Path::new("-c"), Path::new(again), &itself])
        .args(env::args_os().skip(1))
        .env(LIFTED, "1")
        .exec())
}
