//! Mixed traffic, for as long as it takes.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::sleep,
};

use crate::{
    Args,
    ask::{Answer, Client, request},
    check::check,
    provider::Provider,
    proxy::Proxy,
    report::Report,
    work::{Chance, Fault, Kind, Manner, Task},
};

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(500);

/// How long what is left may take to end.
const SETTLE: Duration = Duration::from_secs(60);

/// A run that is too short says nothing of memory.
const SHORT: Duration = Duration::from_secs(45);

/// By how much memory may grow from the middle third to the last one.
const GROWTH: f64 = 0.05;

/// So much is recorded first that the server's memory of exchanges is full, and stays so.
const FILLING: u64 = 260;
const FILLING_SIZE: u64 = 400 << 10;

/// What came of the requests.
#[derive(Default)]
struct Tally {
    /// By operation and fault: asked, right, left.
    counts: BTreeMap<String, [u64; 3]>,
    wrong: u64,
    first: Vec<String>,
}

impl Tally {
    fn note(&mut self, what: String) {
        self.wrong += 1;
        if self.first.len() < 20 {
            self.first.push(what);
        }
    }
}

pub(crate) fn run(args: &Args, time: Duration) -> Result<Report, Box<dyn Error>> {
    let provider = Provider::start()?;
    let proxy = Proxy::start(&args.program(), provider.address, &[])?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(soak(args, time, &provider, &proxy))
}

async fn soak(
    args: &Args,
    time: Duration,
    provider: &Provider,
    proxy: &Proxy,
) -> Result<Report, Box<dyn Error>> {
    let mut report = Report::new(format!(
        "aiproxy under mixed load: {:.1} minutes, {} clients, seed {}",
        time.as_secs_f64() / 60.0,
        args.clients,
        args.seed
    ));
    let mut client = Client::new(proxy.address);
    let health = client.get("/_aiproxy/health").await?;
    report.must(health.status == 200, || "it is not healthy at first".into());
    drop(client);
    let before = settled(|| proxy.files()).await;
    if time >= SHORT {
        fill(proxy, args.seed).await?;
    }
    let (tally, over) = (
        Arc::<Mutex<Tally>>::default(),
        Arc::new(AtomicBool::new(false)),
    );
    let heard: Vec<_> = (0..3).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut tails = JoinSet::new();
    for (number, heard) in heard.iter().enumerate() {
        // The last one cannot keep up.
        tails.spawn(tail(proxy.address, number == 2, Arc::clone(heard)));
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..args.clients {
        let (tally, over) = (Arc::clone(&tally), Arc::clone(&over));
        let chance = Chance::new(args.seed.wrapping_mul(10_000) + number);
        clients.spawn(asks(proxy.address, chance, tally, over));
    }
    let mut memory = Vec::new();
    while began.elapsed() < time {
        sleep(SAMPLE).await;
        memory.push(proxy.tree().memory().0);
    }
    over.store(true, Ordering::Relaxed);
    while clients.join_next().await.is_some() {}
    let took = began.elapsed();
    tails.shutdown().await;
    idle(proxy, &mut report).await;
    provider.hang_up();
    let leaked = files(proxy, before).await;
    let tally = std::mem::take(&mut *tally.lock().map_err(|_| "a client panicked")?);
    let asked: u64 = tally.counts.values().map(|[asked, ..]| asked).sum();
    report.row(
        "requests",
        format!("{asked}, {:.0} a second", asked as f64 / took.as_secs_f64()),
    );
    report.row("wrong answers", tally.wrong.to_string());
    for first in &tally.first {
        report.found(first.as_str());
    }
    report.row("open files", format!("{before} before, {leaked} after"));
    report.must(leaked <= before, || {
        format!("{} files are left open", leaked - before)
    });
    let events: Vec<_> = heard
        .iter()
        .map(|heard| heard.load(Ordering::Relaxed) >> 10)
        .collect();
    report.row("heard by the tails", format!("{events:?} KiB"));
    report.must(events.iter().all(|heard| *heard > 0), || {
        "a tail heard nothing".into()
    });
    flat(&memory, time, &mut report);
    report.row(
        "processor",
        format!("{:.1} s", proxy.tree().cpu().as_secs_f64()),
    );
    let said = proxy.said();
    report.row("lines on stderr", said.lines().count().to_string());
    for line in said.lines().filter(|line| line.contains("panicked")) {
        report.found(line);
    }
    for (name, [asked, right, left]) in &tally.counts {
        report.line([
            name.clone(),
            asked.to_string(),
            right.to_string(),
            left.to_string(),
        ]);
    }
    Ok(report)
}

/// One client, until it is over.
async fn asks(
    address: std::net::SocketAddr,
    mut chance: Chance,
    tally: Arc<Mutex<Tally>>,
    over: Arc<AtomicBool>,
) {
    let mut client = Client::new(address);
    // The last request that was answered, and its exchange.
    let mut last = (String::new(), "0000000000".to_owned());
    while !over.load(Ordering::Relaxed) {
        let task = Task::next(&mut chance);
        let pause = chance.below(30);
        let path = task.path(&last.1);
        let answer = client.ask(&task, &path).await;
        let mut wrong = None;
        let (mut right, mut left) = (0, 0);
        match &answer {
            Ok(None) => left = 1,
            Ok(Some(answer)) => match check(&task, answer, &last.0) {
                Ok(()) => right = 1,
                Err(why) => wrong = Some(format!("{why}: {}", shown(answer))),
            },
            Err(error) => wrong = Some(error.to_string()),
        }
        if let Ok(mut tally) = tally.lock() {
            let name = format!(
                "{:?}{}, {}",
                task.kind,
                if task.stream { ", streamed" } else { "" },
                task.fault.name()
            );
            let counts = tally.counts.entry(name.clone()).or_default();
            for (count, one) in counts.iter_mut().zip([1, right, left]) {
                *count += one;
            }
            if let Some(wrong) = wrong {
                tally.note(format!(
                    "{name}, {path}, {:?}, {}: {wrong}",
                    task.manner, task.token
                ));
            }
        }
        let kept = matches!(task.kind, Kind::Chat | Kind::Messages) && task.fault == Fault::None;
        if let (Ok(Some(answer)), true) = (&answer, kept)
            && let Some(exchange) = answer.exchange()
        {
            last = (task.token.clone(), exchange.to_owned());
        }
        sleep(Duration::from_millis(pause)).await;
    }
}

/// The beginning of an answer, on one line.
fn shown(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text
        .chars()
        .take(300)
        .flat_map(char::escape_debug)
        .collect();
    format!("{} `{text}`", answer.status)
}

/// Listens to everything, until it is stopped.
async fn tail(address: std::net::SocketAddr, slow: bool, heard: Arc<AtomicU64>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            return;
        };
        if stream
            .write_all(&request("GET", "/_aiproxy/events", ""))
            .await
            .is_err()
        {
            continue;
        }
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            heard.fetch_add(count as u64, Ordering::Relaxed);
            if slow {
                sleep(Duration::from_millis(300)).await;
            }
        }
    }
}

/// Large requests, no two alike, until the server's memory of exchanges is full.
async fn fill(proxy: &Proxy, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut chance = Chance::new(seed ^ 0xf111);
    let mut client = Client::new(proxy.address);
    for _ in 0..FILLING {
        let task = Task {
            kind: Kind::File,
            manner: Manner::Reads,
            fault: Fault::None,
            ..Task::next(&mut chance)
        };
        let noise: String = (0..FILLING_SIZE / 16)
            .map(|_| format!("{:016x}", chance.number()))
            .collect();
        let body = format!("{{\"input\":\"{}\",\"noise\":\"{noise}\"}}", task.token);
        let answer = client.post("/oai/v1/files", &body).await?;
        if answer.status != 200 {
            return Err(format!("filling: {}", shown(&answer)).into());
        }
    }
    Ok(())
}

/// Waits until nothing is under way; what is then still under way is found.
async fn idle(proxy: &Proxy, report: &mut Report) {
    let end = Instant::now() + SETTLE;
    let mut client = Client::new(proxy.address);
    let left = loop {
        let text = match client.get("/_aiproxy/metrics").await {
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(error) => return report.found(format!("metrics: {error}")),
        };
        let left: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("aiproxy_requests_in_flight{") && !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect();
        if left.is_empty() || Instant::now() > end {
            break left;
        }
        sleep(Duration::from_millis(100)).await;
    };
    report.row("exchanges under way at the end", left.len().to_string());
    for line in left {
        report.found(format!(
            "under way for a minute after the last request: {line}"
        ));
    }
}

/// Waits until no more files are open than before; how many are.
async fn files(proxy: &Proxy, before: usize) -> usize {
    let end = Instant::now() + SETTLE;
    while proxy.files() > before && Instant::now() < end {
        sleep(Duration::from_millis(100)).await;
    }
    proxy.files()
}

/// A number once it stays the same.
async fn settled(number: impl Fn() -> usize) -> usize {
    let mut before = number();
    for _ in 0..20 {
        sleep(Duration::from_millis(200)).await;
        let now = number();
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// Holds the last third's memory against the middle one's.
fn flat(memory: &[f64], time: Duration, report: &mut Report) {
    let third = memory.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (middle, last) = (mean(&memory[third..2 * third]), mean(&memory[2 * third..]));
    let growth = last / middle.max(1.0) - 1.0;
    let most = memory.iter().copied().fold(0.0, f64::max);
    report.row(
        "memory",
        format!("{middle:.1} MB in the middle third, {last:.1} MB in the last ({:+.1} %), {most:.1} MB at most", growth * 100.0),
    );
    let tenths: Vec<String> = memory
        .chunks(memory.len().div_ceil(10).max(1))
        .map(|tenth| format!("{:.0}", mean(tenth)))
        .collect();
    report.row("memory by tenths", format!("{} MB", tenths.join(", ")));
    if time < SHORT {
        report.row("memory is held to", "nothing: the run is too short");
    } else {
        report.must(growth <= GROWTH, || {
            format!("memory grows by {:.1} %", growth * 100.0)
        });
    }
}
