//! Two saved dry runs, stage by stage.

use serde_json::{Map, Value, json, value::RawValue};

use super::{Args, Mode, as_json, show};
use crate::{
    diff::{self, Limits},
    exchange::{
        Stage,
        told::{BodyTold, StageTold},
    },
    term::{Ink, Problem, Term, diff as render},
};

/// A stage of a saved dry run, or of an exchange.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) name: String,
    /// Method, URL, status and headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Saved {
    /// A stage with its body.
    pub(super) fn of(told: &StageTold, body: Vec<u8>) -> Saved {
        let head = head(
            told.method.as_deref(),
            told.url.as_deref(),
            told.status,
            told.headers.clone(),
        );
        Saved {
            name: told.stage.clone(),
            head,
            body,
        }
    }
}

/// A head as one JSON value.
fn head(
    method: Option<&str>,
    url: Option<&str>,
    status: Option<u16>,
    headers: Map<String, Value>,
) -> String {
    let mut head = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            head.insert(key.to_owned(), value);
        }
    };
    put("method", method.map(Value::from));
    put("url", url.map(Value::from));
    put("status", status.map(Value::from));
    put("headers", Some(headers.into()));
    Value::from(head).to_string()
}

/// The stages of a file, if `transform --json` wrote it.
pub(super) fn saved(file: &[u8]) -> Option<Vec<Saved>> {
    #[derive(serde::Deserialize)]
    struct Run<'a> {
        #[serde(borrow)]
        stages: Vec<Entry<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry<'a> {
        stage: String,
        method: Option<String>,
        url: Option<String>,
        status: Option<u16>,
        headers: Map<String, Value>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
        body_base64: Option<String>,
    }
    let run: Run<'_> = serde_json::from_slice(file).ok()?;
    let entry = |entry: Entry<'_>| {
        Stage::ALL
            .iter()
            .find(|stage| stage.name() == entry.stage)?;
        let told = StageTold {
            stage: entry.stage,
            method: entry.method,
            url: entry.url,
            status: entry.status,
            headers: entry.headers,
            body: entry.body.map(ToOwned::to_owned).map(BodyTold::from),
            body_base64: entry.body_base64,
            ..StageTold::default()
        };
        Some(Saved::of(&told, told.bytes()))
    };
    run.stages.into_iter().map(entry).collect()
}

/// Compares two dry runs stage by stage; whether nothing changed.
pub(super) fn by_stage(
    args: &Args,
    (old, new): (&[Saved], &[Saved]),
    term: &Term,
) -> Result<bool, Problem> {
    let mut same = true;
    let mut out = Vec::new();
    for stage in Stage::ALL.iter().map(|stage| stage.name()) {
        let find = |saved: &'_ [Saved]| saved.iter().position(|saved| saved.name == stage);
        let (before, after) = match (
            find(old).and_then(|at| old.get(at)),
            find(new).and_then(|at| new.get(at)),
        ) {
            (None, None) => continue,
            (Some(before), Some(after)) => (before, after),
            (before, _) => {
                same = false;
                let gone = before.is_some();
                if args.json {
                    let word = if gone { "removed" } else { "added" };
                    out.push(json!({"stage": stage, "equal": false, "op": word}));
                } else if args.diff != Mode::None {
                    let (ink, text) = if gone {
                        (
                            Ink::Bad,
                            format!("- {stage}: the second run has no such stage"),
                        )
                    } else {
                        (
                            Ink::Good,
                            format!("+ {stage}: the first run has no such stage"),
                        )
                    };
                    term.line(&term.ink(ink, &text))?;
                }
                continue;
            }
        };
        let limits = Limits::patient();
        let head = diff::compare(before.head.as_bytes(), after.head.as_bytes(), &limits);
        let body = diff::compare(&before.body, &after.body, &limits);
        let equal = head.is_same() && body.is_same();
        same &= equal;
        if args.json {
            out.push(json!({"stage": stage, "equal": equal, "head": as_json(&head), "body": as_json(&body)}));
            continue;
        }
        if equal || args.diff == Mode::None {
            continue;
        }
        term.line(&term.ink(Ink::Strong, &format!("{stage}:")))?;
        if !head.is_same() {
            term.out(&render::render(term, &head))?;
        }
        let names = (
            format!("{} {stage}", args.old),
            format!("{} {stage}", args.new.as_deref().unwrap_or_default()),
        );
        term.out(
            &show(
                args.diff,
                &before.body,
                &after.body,
                (&names.0, &names.1),
                term,
            )?
            .text,
        )?;
    }
    if args.json {
        super::print(&json!({"equal": same, "stages": out}), term)?;
    } else if same {
        term.note(&term.ink_err(Ink::Faint, "no difference"));
    }
    Ok(same)
}
