//! The table of what providers cannot do, as it stands in `LIMITS.md`. `UPDATE_GOLDENS=1` writes it anew.

use std::{fmt::Write as _, path::Path};

use super::{CLIENTS, Cell, Outcome, cases::CASES};
use crate::providers::PROVIDERS;

const HEAD: &str = "# What comes through which provider

Written by the test that asks all of it (`tests/clients/matrix`), of the mock in each provider's place: clients of OpenAI's chat
(`chat`), Anthropic's Messages (`messages`) and OpenAI's Responses (`responses`), plain and streamed.

- ✓ comes through; with a note, something beside it does not, and the answer's `x-aiproxy-warnings` names it.
- **lost**: the request is answered without it, and `x-aiproxy-warnings` names what was dropped.
- **400**: the request is refused, and the error says why.

Where clients differ, their names stand beside; a feature that is not of all clients' formats names those that have it. What comes
through everywhere without a word stands below the table.

";

/// Holds the cells to the golden table.
pub(super) fn check(cells: &[Cell]) {
    let told = table(cells);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/LIMITS.md");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        told == golden,
        "`LIMITS.md` says otherwise; `UPDATE_GOLDENS=1` writes it anew. It is now:\n{told}"
    );
}

fn table(cells: &[Cell]) -> String {
    let mut notes = Vec::new();
    let mut out = HEAD.to_owned();
    let names: Vec<String> = PROVIDERS
        .iter()
        .map(|(name, ..)| format!("`{name}`"))
        .collect();
    let _ = writeln!(out, "| | {} |", names.join(" | "));
    let _ = writeln!(out, "| --- |{}", " :-: |".repeat(names.len()));
    let mut everywhere = Vec::new();
    for case in CASES {
        let of_row = cells.iter().filter(|cell| cell.case == case.name);
        let asked = of_row.filter(|cell| cell.outcome != Outcome::Unasked);
        let asked: Vec<&Cell> = asked.collect();
        let who: Vec<&str> = CLIENTS
            .iter()
            .map(|client| client.name)
            .filter(|name| asked.iter().any(|cell| cell.client == *name))
            .collect();
        let name = if who.len() == CLIENTS.len() {
            case.name.to_owned()
        } else {
            format!("{} ({})", case.name, who.join(", "))
        };
        if asked.iter().all(|cell| cell.outcome == Outcome::Holds) {
            everywhere.push(name);
            continue;
        }
        let row = PROVIDERS.iter().map(|(profile, ..)| {
            let outcomes: Vec<_> = who
                .iter()
                .filter_map(|client| {
                    let is_it = |cell: &&&Cell| (cell.client, cell.profile) == (*client, *profile);
                    asked.iter().find(is_it)
                })
                .map(|cell| (cell.client, &cell.outcome))
                .collect();
            entry(&outcomes, &mut notes)
        });
        let row: Vec<String> = row.collect();
        let _ = writeln!(out, "| {name} | {} |", row.join(" | "));
    }
    let _ = writeln!(out, "\nEverywhere: {}.", everywhere.join("; "));
    out.push_str("\nProfiles: ");
    let profiles = PROVIDERS.iter().map(|(name, provider, options, _)| {
        let options: Vec<&str> = options
            .iter()
            .filter(|option| option.contains("_format") || option.contains("_path"))
            .copied()
            .collect();
        match &options[..] {
            _ if *name == "vertex" => "`vertex` is `gemini` on Vertex AI".to_owned(),
            [] if name == provider => format!("`{name}`"),
            options => format!("`{name}` is `{provider}` with `{}`", options.join("`, `")),
        }
    });
    let _ = writeln!(out, "{}.\n", profiles.collect::<Vec<_>>().join("; "));
    for (number, note) in (1..).zip(&notes) {
        let _ = writeln!(out, "{number}. {note}");
    }
    out
}

/// One field of the table: what became of it, by client where they differ.
fn entry(outcomes: &[(&str, &Outcome)], notes: &mut Vec<String>) -> String {
    let mut groups: Vec<(Vec<&str>, &Outcome)> = Vec::new();
    for (client, outcome) in outcomes {
        match groups.iter_mut().find(|(_, known)| known == outcome) {
            Some((clients, _)) => clients.push(client),
            None => groups.push((vec![client], outcome)),
        }
    }
    let alone = groups.len() == 1;
    let told = groups.into_iter().map(|(clients, outcome)| {
        let mark = mark(outcome, notes);
        if alone {
            mark
        } else {
            format!("{mark} {}", clients.join(", "))
        }
    });
    told.collect::<Vec<_>>().join("<br>")
}

fn mark(outcome: &Outcome, notes: &mut Vec<String>) -> String {
    let (mark, note) = match outcome {
        Outcome::Holds | Outcome::Unasked => return "✓".into(),
        Outcome::Warns(warnings) => ("✓", format!("warning: `{warnings}`")),
        Outcome::Loses(warnings) => ("**lost**", format!("warning: `{warnings}`")),
        Outcome::Refuses(message) => ("**400**", format!("400: {message}")),
    };
    let known = notes.iter().position(|known| *known == note);
    let number = known.unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("{mark} ({})", number + 1)
}
