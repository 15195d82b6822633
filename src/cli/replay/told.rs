//! What came of the replays.

use serde_json::{Value, json};

use super::Replay;
use crate::{
    cli::{
        diff::{Mode, answers, answers_json},
        log::{cost, ending, tokens},
        page,
        show::text::model,
    },
    exchange::told::{Detail, Summary},
    term::{Cell, Ink, Problem, Table, Term},
};

/// A table of all, then what each answer has that the first one does not.
pub(super) fn text(original: &Detail, replays: &[Replay], mode: Mode, term: &Term) -> String {
    let mut out = table(original, replays).render(term, term.columns());
    if mode == Mode::None {
        return out;
    }
    for (number, replay) in replays.iter().enumerate() {
        let detail = &replay.detail;
        let id = match detail.summary.id.as_str() {
            "" => "a replay".to_owned(),
            id => id.to_owned(),
        };
        page::line(&mut out, "");
        let title = format!("{} → {id} through {}", original.summary.id, replay.profile);
        page::line(&mut out, &term.ink(Ink::Strong, &page::shown(term, &title)));
        if !replay.is_ok() {
            let why = detail.summary.error.as_deref().unwrap_or("it failed");
            let label = term.ink(Ink::Bad, "failed:");
            page::line(&mut out, &format!("{label} {}", page::shown(term, why)));
            continue;
        }
        // Answers of temperature 0 are one and the same each time.
        let known = replays.iter().take(number).position(|earlier| {
            earlier.is_ok() && !replay.parts().is_empty() && earlier.parts() == replay.parts()
        });
        match known {
            Some(earlier) => {
                let text = format!("the answer is that of replay {}", earlier + 1);
                page::faint(&mut out, term, &text);
            }
            None => out.push_str(&answers(mode, (original, detail), term).0),
        }
    }
    out
}

fn table(original: &Detail, replays: &[Replay]) -> Table {
    let mut table = Table::default();
    let faint = |text: &str| Cell::from(text).ink(Ink::Faint);
    table.row([
        faint(""),
        faint("ID"),
        faint("PROFILE"),
        faint("MODEL"),
        faint("STATUS"),
        faint("TOKENS").right(),
        faint("FIRST").right(),
        faint("TOTAL").right(),
        faint("COST"),
    ]);
    let mut row = |label: &str, profile: &str, summary: &Summary| {
        let (ink, ended) = ending(summary);
        let first = summary.timings.first_token_ms.map(page::time);
        table.row([
            faint(label),
            Cell::from(summary.id.as_str()).ink(Ink::Literal),
            profile.into(),
            model(summary).into(),
            Cell::from(ended).ink(ink),
            Cell::from(tokens(summary)).right(),
            Cell::from(first.unwrap_or_default()).right(),
            Cell::from(page::time(summary.timings.total_ms)).right(),
            cost(summary).into(),
        ]);
    };
    row("original", &original.summary.profile, &original.summary);
    for (number, replay) in (1..).zip(replays) {
        let label = format!("replay {number}");
        row(&label, &replay.profile, &replay.detail.summary);
    }
    table
}

/// The same for programs.
pub(super) fn print_json(
    original: &Detail,
    replays: &[Replay],
    term: &Term,
) -> Result<(), Problem> {
    let replays: Vec<Value> = replays
        .iter()
        .map(|replay| {
            let (mut told, equal) = answers_json(original, &replay.detail);
            let equal = equal && replay.is_ok();
            told.insert("equal".into(), equal.into());
            told.insert("exchange".into(), json!(replay.detail.summary));
            told.insert("parts".into(), json!(replay.parts()));
            told.into()
        })
        .collect();
    let told = json!({"original": original.summary, "replays": replays});
    let text = serde_json::to_string_pretty(&told)
        .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
    term.json(&text)?;
    Ok(())
}
