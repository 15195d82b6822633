//! `aiproxy doctor`: what would keep `aiproxy serve` from working, found before it does.

mod machine;
mod profiles;
mod settings;
mod telemetry;

use serde::Serialize;

use super::places::Sources;
use crate::term::{Exit, Ink, Problem, Term, sanitize};

/// Check settings, profiles, keys, endpoints and the listener's port, as `aiproxy serve` would find them now.
///
/// Exits with 1 if something that would be served cannot work. A profile of no use for want of a key is a warning, unless it is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  aiproxy doctor\n  aiproxy doctor --profile openai --json")]
pub(super) struct Args {
    /// Check this profile, which has to work (repeatable); without it, all that would be served
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Ask nothing over the network
    #[arg(long)]
    offline: bool,
    /// Print JSON: {"checks": [{"name", "subject", "status", "message", "hint"}], "ok"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    subject: String,
    status: Status,
    message: String,
    hint: Option<String>,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    checks: Vec<Check>,
    ok: bool,
}

impl Check {
    fn new(
        name: &'static str,
        subject: impl Into<String>,
        status: Status,
        message: impl Into<String>,
    ) -> Check {
        Check {
            name,
            subject: subject.into(),
            status,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Check {
        self.hint = Some(hint.into());
        self
    }
}

/// `command` is the whole command line, for what `serve` would do.
pub(super) async fn run(args: Args, term: &Term, command: clap::Command) -> Result<Exit, Problem> {
    let mut checks = vec![machine::version()];
    let (would, settings) = settings::check(args.sources.config(), command);
    checks.extend(settings);
    checks.push(machine::state());
    checks.push(machine::listen(would.listen, would.has_token).await);
    let environment = crate::net::Environment::from_process();
    let trusted = environment.clone();
    if let Ok(roots) = tokio::task::spawn_blocking(move || machine::roots(&trusted)).await {
        checks.push(roots);
    }
    checks.extend(machine::proxies(&environment, would.listen));
    if let Ok(vault) = args.sources.vault() {
        checks.extend(telemetry::check(&*vault, &environment, args.offline).await);
    }
    let names = if args.profiles.is_empty() {
        &would.profiles
    } else {
        &args.profiles
    };
    checks.extend(profiles::check(names, &args.sources, would.listen, args.offline).await);

    let ok = checks.iter().all(|check| check.status != Status::Fail);
    let report = Report { checks, ok };
    if args.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| Problem::new(error.to_string()))?;
        term.json(&json)?;
    } else {
        term.out(&render(&report, term))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// A line for each check, with its hint below, and the sum of all.
fn render(report: &Report, term: &Term) -> String {
    let width = |part: fn(&Check) -> usize| report.checks.iter().map(part).max().unwrap_or(0);
    let names = width(|check| check.name.len());
    let mut text = String::new();
    for check in &report.checks {
        let mark = match check.status {
            Status::Ok => term.ink(Ink::Good, "ok  "),
            Status::Warn => term.ink(Ink::Warn, "warn"),
            Status::Fail => term.ink(Ink::Bad, "fail"),
        };
        let (subject, message) = (sanitize(&check.subject), sanitize(&check.message));
        let subject = term.ink(Ink::Strong, &subject);
        text.push_str(&format!(
            "{mark}  {:names$}  {subject}: {message}\n",
            check.name
        ));
        if let Some(hint) = &check.hint {
            let hint = format!("hint: {}", sanitize(hint));
            let pad = names + 8;
            text.push_str(&format!("{:pad$}{}\n", "", term.ink(Ink::Faint, &hint)));
        }
    }
    let count = |status| {
        report
            .checks
            .iter()
            .filter(|check| check.status == status)
            .count()
    };
    let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    text.push_str(&format!(
        "\n{} checks, {warnings} warning{}, {failures} failure{}\n",
        report.checks.len(),
        plural(warnings),
        plural(failures)
    ));
    text
}
