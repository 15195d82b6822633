//! `aiproxy show --events`.

use serde_json::Value;

use crate::{
    exchange::told::{Detail, EventTold},
    term::{Cell, Ink, Problem, Table, Term},
};

/// Prints what the provider's events said, in the order in which they came.
pub(super) fn print(detail: &Detail, json: bool, term: &Term) -> Result<(), Problem> {
    if json {
        for event in &detail.rest.events {
            let line = serde_json::to_string(event)
                .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
            term.json(&line)?;
        }
        return Ok(());
    }
    if detail.rest.events.is_empty() {
        let id = &detail.summary.id;
        term.note(&format!("no event of {id} was kept"));
        return Ok(());
    }
    term.out(&table(detail).render(term, term.columns()))?;
    Ok(())
}

fn table(detail: &Detail) -> Table {
    let mut table = Table::default();
    let faint = |text: &str| Cell::from(text).ink(Ink::Faint);
    table.row([
        faint("MS").right(),
        faint("AFTER").right(),
        faint("EVENT"),
        faint("PART"),
        faint("WHAT"),
    ]);
    let mut before = 0.0;
    for event in &detail.rest.events {
        let part = event.part.map(|part| part.to_string());
        table.row([
            Cell::from(format!("{:.1}", event.at_ms)).right(),
            faint(&format!("+{:.1}", (event.at_ms - before).max(0.0))).right(),
            event.what.as_str().into(),
            part.unwrap_or_default().into(),
            said(detail, event).into(),
        ]);
        before = event.at_ms;
    }
    table
}

/// What an event adds, in quotes so that spaces and line ends are seen; of a part's opening, its kind.
fn said(detail: &Detail, event: &EventTold) -> String {
    if event.what == "open" {
        let part = event
            .part
            .and_then(|part| detail.rest.parts.get(usize::try_from(part).ok()?));
        return part.map_or_else(String::new, |part| match &part.name {
            Some(name) => format!("{} {name}", part.kind),
            None => part.kind.clone(),
        });
    }
    match event.what.as_str() {
        "text" | "thinking" | "arguments" => Value::from(event.text.as_str()).to_string(),
        _ => event.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::told::{PartTold, Rest};

    #[test]
    fn events_have_times_and_distances() {
        let event = |at_ms, what: &str, part, text: &str| EventTold {
            at_ms,
            what: what.into(),
            part,
            text: text.into(),
        };
        let detail = Detail {
            rest: Rest {
                parts: vec![PartTold {
                    kind: "tool_call".into(),
                    name: Some("weather".into()),
                    ..PartTold::default()
                }],
                events: vec![
                    event(400.0, "open", Some(0), ""),
                    event(400.04, "arguments", Some(0), "{\"a\":\n"),
                    event(1512.3, "close", Some(0), ""),
                    event(1512.3, "finish", None, "tool_calls"),
                ],
                ..Rest::default()
            },
            ..Detail::default()
        };
        assert_eq!(
            table(&detail).render(&Term::plain(), None),
            "    MS    AFTER  EVENT      PART  WHAT\n\
             \u{20}400.0   +400.0  open       0     tool_call weather\n\
             \u{20}400.0     +0.0  arguments  0     \"{\\\"a\\\":\\n\"\n\
             1512.3  +1112.3  close      0\n\
             1512.3     +0.0  finish           tool_calls\n"
        );
    }
}
