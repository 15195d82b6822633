//! The table as `SECURITY.md` has it. `UPDATE_GOLDENS=1` writes it anew.

use std::{fmt::Write as _, path::Path};

use crate::{
    clients::CLIENTS,
    table::{Limit, Line, Row, Told},
};

const BEGIN: &str = "<!-- faults: written by tests/faults, with UPDATE_GOLDENS=1 -->\n";
const END: &str = "<!-- /faults -->\n";

/// Holds the table to the appendix.
pub(crate) fn check(rows: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("no place for the table");
    let (_, after) = rest.split_once(END).expect("no end of the table");
    let told = format!("{before}{BEGIN}\n{}\n{END}{after}", table(rows));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &told).unwrap();
        return;
    }
    assert!(
        told == text,
        "the table of `SECURITY.md` says otherwise; `UPDATE_GOLDENS=1` writes it anew"
    );
}

fn table(rows: &[Row]) -> String {
    let mut out =
        "| the upstream | asked | the client is told | after |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for row in rows {
        for (number, line) in row.lines().iter().enumerate() {
            let what = if number == 0 { row.what } else { "" };
            let _ = writeln!(
                out,
                "| {what} | {} | {} | {} |",
                asked(line),
                told(&line.told),
                after(row.limit, &line.told)
            );
        }
    }
    out
}

fn asked(line: &Line) -> String {
    let how = match line.stream {
        None => "",
        Some(true) => "streamed",
        Some(false) => "whole",
    };
    if line.clients.len() == CLIENTS.len() {
        return how.to_owned();
    }
    let who: Vec<&str> = line.clients.iter().map(|client| client.name).collect();
    format!("{how} {}", who.join(", ")).trim().to_owned()
}

/// Messages with words in the place of what differs from case to case.
fn shown(message: &str) -> String {
    let names = [
        ("{at}", "HOST:PORT"),
        ("{host}", "HOST"),
        ("{provider}", "PROVIDER"),
        ("{route}", "ROUTE_TYPE"),
        ("{elsewhere}", "ELSEWHERE"),
        ("{half}", "N"),
    ];
    let message = names
        .iter()
        .fold(message.to_owned(), |all, (from, to)| all.replace(from, to));
    format!("`{}`", message.replace('|', "\\|"))
}

fn told(told: &Told) -> String {
    match told {
        Told::Right => "the right answer".to_owned(),
        Told::Error {
            status, message, ..
        } => format!("**{status}** {}", shown(message)),
        Told::Words { status, .. } => format!("**{status}**, and the provider's own text"),
        Told::Breaks { message, .. } => {
            format!("what came; then an error event: {}", shown(message))
        }
        Told::Garbled(_) => "all of it, as it came".to_owned(),
        Told::Endless => "all of it, until the client leaves".to_owned(),
    }
}

fn after(limit: Limit, told: &Told) -> String {
    match (limit, told) {
        (_, Told::Right | Told::Endless | Told::Garbled(_)) | (Limit::None, _) => String::new(),
        (Limit::Of(key, _), _) => format!("`{key}`"),
    }
}
