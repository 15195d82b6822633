//! The scenarios: what is asked of a proxy, and what is measured of it.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    load::{self, Outcome, Question},
    payload::{self, STREAM_END, WHOLE_END},
    process::{self, Tree},
    provider::{Provider, Tokens},
    proxies::{Kind, Running, Seeing},
};

/// How much is done.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) tokens: Tokens,
    /// How long requests are sent, before and while it is measured.
    pub(crate) warm: Duration,
    pub(crate) time: Duration,
    /// Connections of A, and streams of C, G, H and I.
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    /// Streams of D, and how long it takes until all have begun.
    pub(crate) slow: u32,
    pub(crate) ramp: Duration,
}

impl Size {
    pub(crate) const FULL: Size = Size {
        tokens: Tokens {
            fast: 500,
            slow: 200,
            pause: Duration::from_millis(50),
        },
        warm: Duration::from_millis(1_000),
        time: Duration::from_secs(4),
        connections: 32,
        streams: 64,
        slow: 1_000,
        ramp: Duration::from_secs(1),
    };

    /// For a look while something is changed.
    pub(crate) const QUICK: Size = Size {
        tokens: Tokens {
            slow: 60,
            ..Size::FULL.tokens
        },
        warm: Duration::from_millis(300),
        time: Duration::from_millis(1_500),
        ..Size::FULL
    };

    /// For `cargo test`: whether it works at all.
    pub(crate) const TINY: Size = Size {
        tokens: Tokens {
            fast: 20,
            slow: 5,
            pause: Duration::from_millis(20),
        },
        warm: Duration::from_millis(10),
        time: Duration::from_millis(100),
        connections: 4,
        streams: 4,
        slow: 10,
        ramp: Duration::from_millis(50),
    };
}

/// What is measured, by its letter in the table of goals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    Tail,
    Record,
}

use Scenario::{A, B, C, D, E, F, G, H, Record, Tail};

impl Scenario {
    pub(crate) const ALL: [Scenario; 10] = [A, B, C, D, E, F, G, H, Tail, Record];

    pub(crate) fn name(self) -> &'static str {
        match self {
            A => "A",
            B => "B",
            C => "C",
            D => "D",
            E => "E",
            F => "F",
            G => "G",
            H => "H",
            Tail => "I (tail)",
            Record => "I (record)",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            A => "whole answers, 1 KB each way, 32 connections",
            B => "200 requests/s",
            C => "64 streams of 500 chunks without a pause",
            D => "1,000 streams of a chunk each 50 ms for 10 s",
            E => "start, then idle",
            F => "1 MB request bodies, 8 connections",
            G => "as C, Anthropic upstream",
            H => "as C, Gemini upstream",
            Tail => "as C, with `aiproxy tail`",
            Record => "as C, with `--record`",
        }
    }

    /// What its CPU time is divided by.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            A | B | E | F => "request",
            C | D | G | H | Tail | Record => "chunk",
        }
    }

    /// Whether it makes sense with this in the middle.
    pub(crate) fn suits(self, kind: &Kind) -> bool {
        match kind {
            Kind::Direct => matches!(self, A | C | D | F),
            Kind::Nginx(_) | Kind::Peer(..) => self <= F,
            Kind::Aiproxy(..) => true,
        }
    }

    fn route(self) -> Route {
        match self {
            A | B | E | F => Route::Whole,
            C | Tail | Record => Route::Fast,
            D => Route::Slow,
            G => Route::Anthropic,
            H => Route::Gemini,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Whole,
    Fast,
    Slow,
    Anthropic,
    Gemini,
}

/// Figures of a measurement by name; the names end in their unit.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) errors: u64,
    pub(crate) error: Option<String>,
}

/// CPU time per unit, of the proxy and of the benchmark itself.
pub(crate) const CPU: &str = "cpu_us";
pub(crate) const OWN: &str = "harness_cpu_us";
/// The benchmark's part of the time of both.
pub(crate) const SHARE: &str = "harness_share";
/// How often per unit a thread of the proxy went to sleep.
pub(crate) const WAITS: &str = "waits";
/// What part of its CPU time was outside the kernel.
pub(crate) const USER: &str = "user_share";
/// How often per unit it touched memory that the kernel had to give it first.
pub(crate) const FAULTS: &str = "faults";
pub(crate) const RATE: &str = "units_per_s";
pub(crate) const P50: &str = "p50_ms";
pub(crate) const P99: &str = "p99_ms";
/// How much later the median answer comes than without a proxy.
pub(crate) const ADDED: &str = "added_ms";
/// Of chunks, after they were due, by the 99th of 100.
pub(crate) const LATE: &str = "lateness_p99_ms";
pub(crate) const PEAK: &str = "memory_peak_mb";
pub(crate) const IDLE: &str = "memory_idle_mb";
pub(crate) const START: &str = "first_answer_ms";

/// Measures one kind of proxy, started for this.
pub(crate) fn measure(
    scenario: Scenario,
    kind: &Kind,
    provider: &Provider,
    size: &Size,
) -> io::Result<Sample> {
    let kind = match (scenario, kind) {
        (Tail, Kind::Aiproxy(path, _)) => Kind::Aiproxy(path.clone(), Seeing::Tail),
        (Record, Kind::Aiproxy(path, _)) => Kind::Aiproxy(path.clone(), Seeing::Record),
        _ => kind.clone(),
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    let mut bench = Bench {
        running: Running::start(&kind, provider)?,
        kind,
        provider,
        scenario,
        size,
        runtime,
    };
    bench.until_ready()?;
    let ready = began.elapsed();
    if let Some(shown) = bench.running.watch()? {
        bench.until_shown(&shown)?;
    }
    let mut sample = Sample::default();
    match scenario {
        E => bench.idle(ready, &mut sample),
        B => bench.paced(&mut sample),
        D => bench.busy(&mut sample, |bench| {
            let streams = load::streams(bench.question(), bench.size.slow, bench.size.ramp);
            bench.runtime.block_on(streams)
        }),
        _ => {
            bench.closed(size.warm);
            bench.busy(&mut sample, |bench| bench.closed(bench.size.time));
        }
    }
    bench.running.check()?;
    Ok(sample)
}

struct Bench<'a> {
    kind: Kind,
    running: Running,
    provider: &'a Provider,
    scenario: Scenario,
    size: &'a Size,
    runtime: Runtime,
}

impl Bench<'_> {
    /// What the scenario asks, by way of the proxy or, of the provider itself, without one.
    fn question_of(&self, kind: &Kind) -> Question {
        let (name, direct) = match self.scenario.route() {
            Route::Whole => ("whole", self.provider.whole),
            Route::Fast => ("fast", self.provider.fast),
            Route::Slow => ("slow", self.provider.slow),
            Route::Anthropic => ("anthropic", self.provider.anthropic),
            Route::Gemini => ("gemini", self.provider.gemini),
        };
        let (address, path): (SocketAddr, _) = match kind {
            Kind::Direct => (direct, "/v1/chat/completions".to_owned()),
            _ => (self.running.address, format!("/{name}/v1/chat/completions")),
        };
        let whole = self.scenario.route() == Route::Whole;
        let length = match self.scenario {
            F => 1 << 20,
            _ => 1 << 10,
        };
        Question {
            request: payload::request(&address.to_string(), &path, !whole, length),
            address,
            tokens: match self.scenario.route() {
                Route::Whole => 1,
                Route::Slow => self.size.tokens.slow,
                _ => self.size.tokens.fast,
            },
            end: if whole { WHOLE_END } else { STREAM_END },
            timed: self.scenario.route() == Route::Slow,
        }
    }

    fn question(&self) -> Question {
        self.question_of(&self.kind)
    }

    /// Waits for a first right answer.
    fn until_ready(&mut self) -> io::Result<()> {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = load::closed(self.question(), 1, Duration::ZERO);
            let outcome = self.runtime.block_on(asked);
            let Some(error) = outcome.error else {
                return Ok(());
            };
            self.running.check()?;
            if Instant::now() > patience {
                return Err(io::Error::other(format!("no answer: {error}")));
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// Makes exchanges until one has been shown.
    fn until_shown(&mut self, shown: &Receiver<()>) -> io::Result<()> {
        let patience = Instant::now() + Duration::from_secs(10);
        while shown.recv_timeout(Duration::from_millis(200)).is_err() {
            if Instant::now() > patience {
                return Err(io::Error::other("`aiproxy tail` shows nothing"));
            }
            self.closed(Duration::ZERO);
        }
        Ok(())
    }

    fn closed(&self, time: Duration) -> Outcome {
        let connections = match self.scenario {
            A => self.size.connections,
            F => 8.min(self.size.connections),
            _ => self.size.streams,
        };
        let load = load::closed(self.question(), connections, time);
        self.runtime.block_on(load)
    }

    /// CPU time, memory and wall figures of a load.
    fn busy(&self, sample: &mut Sample, load: impl FnOnce(&Self) -> Outcome) {
        let tree = self.running.tree();
        let spent = || tree.as_ref().map(Tree::settled_cpu).unwrap_or_default();
        let waits = || tree.as_ref().map(Tree::waits).unwrap_or_default();
        let user = || tree.as_ref().map(Tree::user).unwrap_or_default();
        let faults = || tree.as_ref().map(Tree::faults).unwrap_or_default();
        let (before, used, own) = (spent(), user(), process::own_cpu());
        let (waited, faulted) = (waits(), faults());
        let mut outcome = load(self);
        let own = process::own_cpu() - own;
        let waited = waits().saturating_sub(waited);
        let peak = tree.as_ref().map(|tree| tree.memory().1);
        let cpu = spent() - before;
        let (used, faulted) = (user() - used, faults() - faulted);
        let units = match self.scenario.unit() {
            "chunk" => outcome.tokens,
            _ => outcome.answers,
        } as f64;
        sample.put(OWN, micros(own) / units);
        sample.put(SHARE, micros(own) / micros(own + cpu));
        if let Some(peak) = peak {
            sample.put(CPU, micros(cpu) / units);
            sample.put(USER, used as f64 * 1e4 / micros(cpu));
            sample.put(FAULTS, faulted as f64 / units);
            sample.put(WAITS, waited as f64 / units);
            sample.put(PEAK, peak);
        }
        sample.put(RATE, units / outcome.wall.as_secs_f64());
        sample.percentiles(&mut outcome);
    }

    fn paced(&self, sample: &mut Sample) {
        let time = self.size.time;
        let tree = self.running.tree();
        let spent = || tree.as_ref().map(Tree::settled_cpu).unwrap_or_default();
        let ask = |time| {
            let questions = [self.question(), self.question_of(&Kind::Direct)];
            self.runtime.block_on(load::paced(questions, 200, time))
        };
        ask(self.size.warm);
        let (before, own) = (spent(), process::own_cpu());
        let [mut outcome, mut direct] = ask(time);
        let own = process::own_cpu() - own;
        let cpu = spent() - before;
        sample.put(CPU, micros(cpu) / outcome.answers as f64);
        sample.put(SHARE, micros(own) / micros(own + cpu));
        sample.put(RATE, outcome.answers as f64 / outcome.wall.as_secs_f64());
        let with = percentile(&mut outcome.latencies, 50);
        let without = percentile(&mut direct.latencies, 50);
        sample.put(ADDED, with - without);
        sample.percentiles(&mut outcome);
        sample.fail(direct);
    }

    fn idle(&self, ready: Duration, sample: &mut Sample) {
        sample.put(START, micros(ready) / 1e3);
        thread::sleep(Duration::from_secs(1));
        if let Some(tree) = self.running.tree() {
            let (now, peak) = tree.memory();
            sample.put(IDLE, now);
            sample.put(PEAK, peak);
        }
    }
}

impl Sample {
    /// Of a proxy that could not be measured at all.
    pub(crate) fn failed(error: &io::Error) -> Sample {
        Sample {
            errors: 1,
            error: Some(error.to_string()),
            ..Sample::default()
        }
    }

    fn put(&mut self, name: &'static str, value: f64) {
        if value.is_finite() {
            self.figures.insert(name, value);
        }
    }

    fn percentiles(&mut self, outcome: &mut Outcome) {
        self.put(P50, percentile(&mut outcome.latencies, 50));
        self.put(P99, percentile(&mut outcome.latencies, 99));
        if !outcome.late.is_empty() {
            self.put(LATE, percentile(&mut outcome.late, 99));
        }
        self.fail(std::mem::take(outcome));
    }

    fn fail(&mut self, outcome: Outcome) {
        self.errors += outcome.errors;
        self.error = self.error.take().or(outcome.error);
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Of microseconds, in milliseconds; not a number of none.
fn percentile(values: &mut [u64], of_100: usize) -> f64 {
    values.sort_unstable();
    let at = values.len() * of_100 / 100;
    values.get(at).map_or(f64::NAN, |value| *value as f64 / 1e3)
}
