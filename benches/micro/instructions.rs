//! Instructions of each case, as valgrind's callgrind counts them, beside those that were written down.

use std::{
    collections::BTreeMap,
    env, fs,
    io::ErrorKind,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use clap::Parser;

use crate::cases::Case;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Makes this program run one case so many times: `--run-case NAME TIMES`.
pub(crate) const RUN: &str = "--run-case";

const BASELINE: &str = "benches/micro/instructions.txt";

/// More growth than this is an error.
const MOST: f64 = 0.10;

/// It could not be run here.
const SKIPPED: u8 = 77;

/// Runs before the first that counts: what is done once is done then.
const WARM: u64 = 4;

#[derive(Parser)]
pub(crate) struct Args {
    /// Count instructions
    #[arg(long)]
    instructions: bool,
    /// Cases whose names hold this
    #[arg(long, default_value = "")]
    only: String,
    /// Write the counts down
    #[arg(long)]
    write: bool,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// Counts written down before: what they hold for, what they were made with, and each.
#[derive(Default)]
struct Baseline {
    target: String,
    made: String,
    counts: BTreeMap<String, u64>,
}

impl Baseline {
    fn read(path: &Path) -> Result<Baseline> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Baseline::default()),
            read => read?,
        };
        let about = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().trim().to_owned()
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let counts = lines.map(|line| {
            let (name, count) = line
                .split_once(' ')
                .ok_or_else(|| format!("{BASELINE}: {line}"))?;
            Ok((name.to_owned(), count.trim().parse()?))
        });
        Ok(Baseline {
            target: about("# target:"),
            made: about("# made with:"),
            counts: counts.collect::<Result<_>>()?,
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# Instructions for one unit of each case's work: a chunk, an event, a body, a look-up. Written by\n\
             #\n\
             #     cargo bench --bench micro -- --instructions --write\n\
             #\n\
             # They hold for Cargo.toml's bench settings, and for what is named here: another compiler or C library moves all of them, and so does\n\
             # a processor that lacks what these were counted with (AVX2). Then they are to be written anew.\n\
             #\n\
             # target: {}\n\
             # made with: {}\n",
            self.target, self.made
        );
        for (name, count) in &self.counts {
            text.push_str(&format!("{name:<34} {count:>9}\n"));
        }
        text
    }
}

/// Counts, and says what became more. A failure if that is too much.
pub(crate) fn count(cases: &[Case], args: &Args) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return Err("this is no optimised build: cargo bench makes one".into());
    }
    let Some(valgrind) = version("valgrind") else {
        eprintln!("error: valgrind is not installed: instructions cannot be counted");
        return Ok(ExitCode::from(SKIPPED));
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE);
    let mut baseline = Baseline::read(&path)?;
    let compiler = version("rustc").unwrap_or_else(|| "another compiler".into());
    let compiler = compiler.split(" (").next().unwrap_or_default();
    let (target, made) = (target(), format!("{compiler}, {valgrind}"));
    if !args.write && !baseline.target.is_empty() && baseline.target != target {
        eprintln!(
            "error: {BASELINE} holds for {}, and this is {target}",
            baseline.target
        );
        return Ok(ExitCode::from(SKIPPED));
    }
    let chosen = |name: &str| name.contains(&args.only);
    if !cases.iter().any(|case| chosen(&case.name)) {
        return Err(format!("there is no case with `{}` in its name", args.only).into());
    }
    let folder = tempfile::tempdir()?;
    let mut found = Findings::default();
    println!(
        "{:<34} {:>9} {:>9} {:>9}",
        "instructions", "before", "now", "change"
    );
    for case in cases.iter().filter(|case| chosen(&case.name)) {
        let now = measure(case, folder.path())?;
        let before = baseline.counts.get(&case.name).copied();
        found.add(&case.name, before, now);
    }
    let gone = baseline
        .counts
        .keys()
        .filter(|name| chosen(name) && cases.iter().all(|case| case.name != **name));
    found.gone = gone.cloned().collect();
    if args.write {
        baseline.counts.retain(|name, _| !found.gone.contains(name));
        baseline.counts.extend(found.counts);
        (baseline.target, baseline.made) = (target, made);
        fs::write(&path, baseline.text())?;
        println!("\n{BASELINE} is written");
        return Ok(ExitCode::SUCCESS);
    }
    if baseline.made != made {
        println!(
            "\nnote: {BASELINE} was made with {}, and this is {made}",
            baseline.made
        );
    }
    Ok(found.tell())
}

/// What became of the counts.
#[derive(Default)]
struct Findings {
    counts: BTreeMap<String, u64>,
    grown: Vec<String>,
    fallen: Vec<String>,
    new: Vec<String>,
    gone: Vec<String>,
}

impl Findings {
    fn add(&mut self, name: &str, before: Option<u64>, now: u64) {
        self.counts.insert(name.to_owned(), now);
        let Some(before) = before else {
            println!("{name:<34} {:>9} {now:>9} {:>9}", "-", "new");
            self.new.push(name.to_owned());
            return;
        };
        let change = now as f64 / before.max(1) as f64 - 1.0;
        let percent = format!("{:+.1} %", change * 100.0);
        println!("{name:<34} {before:>9} {now:>9} {percent:>9}");
        if change > MOST {
            self.grown.push(format!("{name} ({percent})"));
        } else if change < -MOST {
            self.fallen.push(format!("{name} ({percent})"));
        }
    }

    fn tell(&self) -> ExitCode {
        println!();
        if !self.fallen.is_empty() {
            let fallen = self.fallen.join(", ");
            println!(
                "note: fell by more than {:.0} %, so write it down: {fallen}",
                MOST * 100.0
            );
        }
        let errors = [
            (
                &self.grown,
                format!("grew by more than {:.0} %", MOST * 100.0),
            ),
            (&self.new, format!("not in {BASELINE}")),
            (&self.gone, format!("in {BASELINE}, and measured no more")),
        ];
        let mut code = ExitCode::SUCCESS;
        for (names, what) in errors.iter().filter(|(names, _)| !names.is_empty()) {
            eprintln!("error: {what}: {}", names.join(", "));
            code = ExitCode::FAILURE;
        }
        if code != ExitCode::SUCCESS {
            eprintln!(
                "hint: if that is meant: cargo bench --bench micro -- --instructions --write"
            );
        }
        code
    }
}

/// Instructions for one unit: what so many more runs cost, so that all that is done once falls out.
fn measure(case: &Case, folder: &Path) -> Result<u64> {
    let (few, many) = (WARM, WARM + case.runs);
    let begun = [few, many].map(|times| begin(case, times, folder));
    let [few, many] = begun.map(|begun| begun.and_then(end));
    let runs = many?.saturating_sub(few?) as f64 / case.runs as f64;
    Ok((runs / case.units as f64).round() as u64)
}

/// Starts this program under callgrind; it writes to that file.
fn begin(case: &Case, times: u64, folder: &Path) -> Result<(Child, std::path::PathBuf)> {
    let file = folder.join(times.to_string());
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe()?)
        .args([RUN, &case.name, &times.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok((command.spawn()?, file))
}

/// How many instructions it took.
fn end((child, file): (Child, std::path::PathBuf)) -> Result<u64> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("callgrind: {}\n{said}", output.status).into());
    }
    let text = fs::read_to_string(&file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    Ok(total.ok_or("callgrind told no total")?.trim().parse()?)
}

/// What a program says of its version; nothing if it is not there.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
}

/// What counts hold for.
fn target() -> String {
    let library = match () {
        () if cfg!(target_env = "gnu") => "-gnu",
        () if cfg!(target_env = "musl") => "-musl",
        () => "",
    };
    format!("{}-{}{library}", env::consts::ARCH, env::consts::OS)
}
