//! Many slow streams at once.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, task::JoinSet, time::sleep};

use crate::{
    Args,
    ask::Client,
    check::check,
    provider::Provider,
    proxy::Proxy,
    report::Report,
    work::{Chance, Fault, Kind, Manner, Task},
};

/// Opened at this rate: a queue of connections holds a few hundred.
const RAMP: u32 = 500;

/// Between two tokens of a stream.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args, number: u32) -> Result<Report, Box<dyn Error>> {
    let provider = Provider::start()?;
    let most = (number + 100).to_string();
    let proxy = Proxy::start(
        &args.program(),
        provider.address,
        &["--max-connections", &most],
    )?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hold(args, number, &provider, &proxy))
}

async fn hold(
    args: &Args,
    number: u32,
    provider: &Provider,
    proxy: &Proxy,
) -> Result<Report, Box<dyn Error>> {
    let ramp = Duration::from_secs(1) * number / RAMP;
    // The first word comes at once, the others when all are there: so they are open together, however long opening takes.
    let words = u64::from(args.tokens).max(2);
    let mut report = Report::new(format!(
        "aiproxy with {number} slow streams at once, {words} tokens each, seed {}",
        args.seed
    ));
    let began = Instant::now();
    let wrong = Arc::<Mutex<Vec<String>>>::default();
    let mut streams = JoinSet::new();
    let mut chance = Chance::new(args.seed);
    for at in 0..number {
        let task = Task {
            kind: Kind::Chat,
            profile: "oai",
            root: false,
            stream: true,
            fault: Fault::None,
            manner: Manner::Reads,
            words,
            ..Task::next(&mut chance)
        };
        let (wrong, address) = (Arc::clone(&wrong), proxy.address);
        let begins = ramp * at / number;
        streams.spawn(async move {
            sleep(begins).await;
            let mut client = Client::new(address);
            let answer = client.ask_paced(&task, PAUSE, number).await;
            let checked = match answer {
                Ok(answer) => check(&task, &answer, ""),
                Err(error) => Err(error.to_string()),
            };
            if let (Err(why), Ok(mut wrong)) = (checked, wrong.lock()) {
                wrong.push(format!("{}: {why}", task.token));
            }
        });
    }
    while streams.join_next().await.is_some() {}
    let wrong = std::mem::take(&mut *wrong.lock().map_err(|_| "a stream panicked")?);
    report.row("streams", number.to_string());
    report.row("at once at the provider", provider.most().to_string());
    report.row("wrong or failed", wrong.len().to_string());
    let (_, memory) = proxy.tree().memory();
    report.row("memory at most", format!("{memory:.0} MB"));
    let cpu = proxy.tree().cpu();
    report.row(
        "processor",
        format!(
            "{:.1} s of {:.1} s",
            cpu.as_secs_f64(),
            began.elapsed().as_secs_f64()
        ),
    );
    report.must(provider.most() >= number as usize, || {
        format!("no more than {} were open at once", provider.most())
    });
    for one in wrong {
        report.found(one);
    }
    Ok(report)
}
