//! An exchange as a row, and how it is looked for.

use rusqlite::{Connection, params};

use super::{Kept, folded};
use crate::exchange::told::Summary;

/// What goes into the tables.
#[derive(Debug)]
pub(super) struct Row {
    told: Summary,
    began: i64,
    summary: String,
    rest: String,
    prompt: String,
    answer: String,
}

impl Row {
    pub(super) fn of(kept: Kept) -> serde_json::Result<Row> {
        let Kept {
            detail,
            prompt,
            answer,
        } = kept;
        Ok(Row {
            began: millis(&detail.summary.began)
                .unwrap_or_else(|| jiff::Timestamp::now().as_millisecond()),
            summary: serde_json::to_string(&detail.summary)?,
            rest: serde_json::to_string(&detail.rest)?,
            prompt: folded(&prompt),
            answer: folded(&answer),
            told: detail.summary,
        })
    }

    pub(super) fn size(&self) -> usize {
        [&self.summary, &self.rest, &self.prompt, &self.answer]
            .iter()
            .map(|text| text.len())
            .sum()
    }

    /// Puts it in, unless it is there: a batch whose commit was in doubt comes again.
    pub(super) fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        let told = &self.told;
        let added = db
            .prepare_cached(
                "INSERT INTO exchanges (id, began, profile, model, answered_by, outcome, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                told.id,
                self.began,
                told.profile,
                told.model,
                told.answered_by,
                told.outcome,
                self.summary
            ])?;
        if added == 0 {
            return Ok(());
        }
        let number = db.last_insert_rowid();
        db.prepare_cached(
            "INSERT INTO contents (number, prompt, answer, rest) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![number, self.prompt, self.answer, self.rest])?;
        db.prepare_cached("INSERT INTO search (rowid, prompt, answer) VALUES (?1, ?2, ?3)")?
            .execute(params![number, self.prompt, self.answer])?;
        Ok(())
    }
}

/// A time of a summary, in milliseconds.
pub(super) fn millis(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}

/// More trigrams than these narrow nothing down.
const MOST_TRIGRAMS: usize = 24;

/// A query of the index that finds every row whose folded text holds `wanted`, and others. `None` if it is too short for an index.
pub(super) fn query(wanted: &str) -> Option<String> {
    // The index leaves these out, too.
    let letters: Vec<char> = wanted.chars().filter(|c| *c != '\0').collect();
    let windows = letters.windows(3);
    let step = windows.len() / MOST_TRIGRAMS + 1;
    let quoted = windows.step_by(step).map(|trigram| {
        let text: String = trigram.iter().collect();
        format!("\"{}\"", text.replace('"', "\"\""))
    });
    let quoted: Vec<String> = quoted.collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}
