//! `aiproxy log`: past exchanges, one a line.

mod export;
mod since;

use std::path::PathBuf;

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{chat::cost::money, exchanges::Exchanges, page, servers::ServerFlag};
use crate::{
    exchange::{Filter, told::Summary},
    term::{Cell, Exit, Ink, Problem, Table, Term},
};

/// List past exchanges, the newest first: those in the running server's memory, then those that `aiproxy serve --record` wrote down.
///
/// FIRST is the time to the first token. A `~` stands before counts that the provider did not tell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy log --since 2h --failed\n  aiproxy log --grep invoice --profile openai --limit 5\n  aiproxy log --json --limit 1000 | jq -s 'map(.cost) | add'\n  aiproxy log --since 10m --export tests/chat.jsonl"
)]
pub(super) struct Args {
    /// Those of the last 30m, 2h, 1d, ..., or since a time: 08:00, 2026-11-22, 2026-11-22T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::read)]
    since: Option<Timestamp>,
    /// Failed and cancelled ones alone
    #[arg(long)]
    failed: bool,
    /// Those with this text in the prompt or the answer, in whatever case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Those of this profile (repeatable)
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Those whose model, asked or answering, holds this text
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// At most so many [default: 20; all with --export]
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<usize>,
    /// Print JSON, one exchange a line
    #[arg(long)]
    json: bool,
    /// Instead of listing, write them to a file (`-`: stdout), the oldest first, for `--replay` and `aiproxy mock --from`: what was sent
    /// upstream and what came back, piece by piece, without secrets; a list that was edited in the head of FILE stays
    #[arg(long, value_name = "FILE", conflicts_with = "json", value_hint = clap::ValueHint::FilePath)]
    export: Option<PathBuf>,
    /// Instead of listing, read the exchanges of such a file into the history on disk
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath,
        conflicts_with_all = ["since", "failed", "grep", "profiles", "model", "limit", "json", "export", "prune"])]
    import: Option<PathBuf>,
    /// Instead of listing, remove recorded exchanges that are over the database's limits of age and size
    #[arg(long, conflicts_with_all = ["since", "failed", "grep", "profiles", "model", "limit", "json", "export"])]
    prune: bool,
    #[command(flatten)]
    server: ServerFlag,
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| "it must be a number of 1 or more".to_owned())
}

/// So many are listed.
const SHOWN: usize = 20;

/// Below this width, first tokens and costs make room for the prompt.
const WIDE: usize = 110;

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    if args.prune {
        let removed = Exchanges::prune()?;
        term.line(&match removed {
            0 => "nothing is over the limits".to_owned(),
            1 => "removed 1 exchange".to_owned(),
            more => format!("removed {more} exchanges"),
        })?;
        return Ok(Exit::Done);
    }
    if let Some(path) = &args.import {
        export::import(path, term)?;
        return Ok(Exit::Done);
    }
    let limit = match args.export {
        Some(_) => args.limit,
        None => Some(args.limit.unwrap_or(SHOWN)),
    };
    let filter = Filter {
        profiles: args.profiles,
        model: args.model,
        failed: args.failed,
        grep: args.grep,
        since: args.since.map(|since| format!("{since:.3}")),
        before: None,
        limit,
    };
    let exchanges = Exchanges::find(&args.server, term).await?;
    if let Some(path) = &args.export {
        export::export(path, &exchanges, &filter, term).await?;
        return Ok(Exit::Done);
    }
    let all = exchanges.list(&filter).await?;
    if args.json {
        for summary in &all {
            let line = serde_json::to_string(summary)
                .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
            term.json(&line)?;
        }
        return Ok(Exit::Done);
    }
    if all.is_empty() {
        let unfiltered = Filter {
            limit: filter.limit,
            ..Filter::default()
        };
        term.note(if filter == unfiltered {
            "there is no exchange yet"
        } else {
            "no exchange is like that"
        });
        return Ok(Exit::Done);
    }
    let clock = Clock {
        zone: TimeZone::system(),
        now: Timestamp::now(),
    };
    let columns = term.columns();
    term.out(&table(&all, &clock, columns).render(term, columns))?;
    Ok(Exit::Done)
}

/// How times of day are shown.
struct Clock {
    zone: TimeZone,
    now: Timestamp,
}

impl Clock {
    /// A time, with its day if that is not today.
    fn time(&self, began: &str) -> String {
        let Ok(time) = began.parse::<Timestamp>() else {
            return began.to_owned();
        };
        let (time, now): (Zoned, Zoned) = (
            time.to_zoned(self.zone.clone()),
            self.now.to_zoned(self.zone.clone()),
        );
        let form = if time.date() == now.date() {
            "%H:%M:%S"
        } else if time.year() == now.year() {
            "%b %d %H:%M"
        } else {
            "%Y-%m-%d"
        };
        time.strftime(form).to_string()
    }
}

/// The exchanges as rows; `columns` is the width of the screen, if there is one.
fn table(all: &[Summary], clock: &Clock, columns: Option<usize>) -> Table {
    let wide = columns.is_none_or(|columns| columns >= WIDE);
    let mut table = Table::default();
    let faint = |text: &str| Cell::from(text).ink(Ink::Faint);
    let mut head = vec![
        faint("TIME"),
        faint("ID"),
        faint("PROFILE"),
        faint("MODEL"),
        faint("STATUS"),
        faint("TOKENS").right(),
    ];
    if wide {
        head.push(faint("FIRST").right());
    }
    head.push(faint("TOTAL").right());
    if wide {
        head.push(faint("COST").right());
    }
    head.push(faint("PROMPT"));
    table.row(head);
    // A long name must not push the prompt off the screen; in a pipe there is no edge.
    let (profile, model) = match (columns, wide) {
        (None, _) => (usize::MAX, usize::MAX),
        (Some(_), true) => (16, 28),
        (Some(_), false) => (10, 14),
    };
    for summary in all {
        let timings = &summary.timings;
        let mut row = vec![
            faint(&clock.time(&summary.began)),
            Cell::from(summary.id.as_str()).ink(Ink::Literal),
            cut(&summary.profile, profile).into(),
            cut(&summary.model, model).into(),
            status(summary),
            Cell::from(tokens(summary)).right(),
        ];
        if wide {
            let first = timings.first_token_ms.map(page::time);
            row.push(Cell::from(first.unwrap_or_default()).right());
        }
        row.push(Cell::from(page::time(timings.total_ms)).right());
        if wide {
            row.push(Cell::from(cost(summary)).right());
        }
        row.push(summary.prompt.as_str().into());
        table.row(row);
    }
    table
}

/// How it ended, for people: the status, with a word if it did not end well.
pub(super) fn ending(summary: &Summary) -> (Ink, String) {
    let status = summary.status.map(|status| status.to_string());
    match (summary.outcome.as_str(), status) {
        ("ok", Some(status)) => {
            let good = summary.status.is_some_and(|status| status < 400);
            (if good { Ink::Good } else { Ink::Bad }, status)
        }
        ("ok", None) => (Ink::Good, "ok".into()),
        ("live", _) => (Ink::Literal, "live".into()),
        ("cancelled", _) => (Ink::Warn, "cancelled".into()),
        (other, Some(status)) => (Ink::Bad, format!("{other} {status}")),
        (other, None) => (Ink::Bad, other.to_owned()),
    }
}

fn status(summary: &Summary) -> Cell {
    let (ink, text) = ending(summary);
    Cell::from(text).ink(ink)
}

/// Tokens in and out, short.
pub(super) fn tokens(summary: &Summary) -> String {
    summary.usage.map_or_else(String::new, |usage| {
        let about = if usage.estimated { "~" } else { "" };
        format!("{about}{}+{}", usage.prompt_tokens, usage.completion_tokens)
    })
}

/// The cost, or nothing where it is unknown.
pub(super) fn cost(summary: &Summary) -> String {
    let estimated = summary.usage.is_some_and(|usage| usage.estimated);
    summary
        .cost
        .map_or_else(String::new, |cost| money(cost, estimated))
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests;
