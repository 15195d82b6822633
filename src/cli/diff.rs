//! `aiproxy diff`: what changed between two bodies, or between two dry runs stage by stage.

use std::{io::Read, path::Path};

use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    diff::{self, Comparison, Content, Edit, Limits, Tag},
    exchange::Stage,
    term::{Exit, Ink, Problem, Term, diff as render},
};

/// Show what changed between two files.
///
/// JSON is compared by structure: moved keys and spaces are no change. Everything else is compared by line, and within lines by word.
/// Two files that `aiproxy transform --json` wrote are compared stage by stage. As with `git diff`, the exit code is 0 whether they differ
/// or not, unless --exit-code is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy diff before.json after.json\n  aiproxy transform body.json --to sent | aiproxy diff body.json -\n  aiproxy diff before.json after.json --diff json-patch > change.json"
)]
pub(super) struct Args {
    /// The old file; `-` reads stdin
    #[arg(value_name = "A")]
    old: String,
    /// The new file; `-` reads stdin
    #[arg(value_name = "B")]
    new: Option<String>,
    /// How differences are shown
    #[arg(long, value_name = "MODE", default_value = "structure")]
    diff: Mode,
    /// Exit with 1 if they differ
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "diff")]
    json: bool,
}

/// How differences are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// By path: added, removed, changed
    #[default]
    Structure,
    /// As `diff -u`, JSON with a line for each value
    Unified,
    /// In two columns
    Side,
    /// As a JSON patch (RFC 6902)
    JsonPatch,
    /// Not at all
    None,
}

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    let Some(new) = &args.new else {
        return Err(one_alone(&args.old));
    };
    if args.old == "-" && new == "-" {
        return Err(Problem::usage(
            "stdin can be one of the two files, not both",
        ));
    }
    let (old_name, new_name) = (args.old.as_str(), new.as_str());
    let (old, new) = (read(old_name)?, read(new_name)?);
    let limits = Limits::patient();
    let same = match runs(&old, &new) {
        Some(runs) => by_stage(args, &runs, term)?,
        None if args.json => {
            let compared = diff::compare(&old, &new, &limits);
            print(&as_json(&compared), term)?;
            compared.is_same()
        }
        None => {
            let names = (old_name, new_name);
            let shown = show(args.diff, &old, &new, names, term)?;
            term.out(&shown.text)?;
            if shown.same && shown.text.is_empty() {
                term.note(&term.ink_err(Ink::Faint, "no difference"));
            }
            shown.same
        }
    };
    Ok(if args.exit_code && !same {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// A single argument is an exchange by the rules of this command, and there is no way to get one yet.
fn one_alone(name: &str) -> Problem {
    if name == "-" || Path::new(name).exists() {
        return Problem::usage(format!("there is nothing to compare `{name}` with"))
            .hint("aiproxy diff A B");
    }
    no_exchange(name)
}

fn no_exchange(name: &str) -> Problem {
    Problem::usage(format!(
        "`{name}` is no file, and this version cannot compare exchanges by their ids yet"
    ))
    .hint("aiproxy diff A B compares two files; `aiproxy transform --json` writes one with every stage")
}

/// A file's bytes.
fn read(name: &str) -> Result<Vec<u8>, Problem> {
    let failed = |error: std::io::Error| Problem::new(format!("cannot read {name}: {error}"));
    if name == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        return Ok(bytes);
    }
    let path = Path::new(name);
    if !path.exists() && is_id(name) {
        return Err(no_exchange(name));
    }
    std::fs::read(path).map_err(failed)
}

/// Whether a text can name an exchange: `last`, or up to 10 characters of Crockford's base32.
fn is_id(text: &str) -> bool {
    text == "last"
        || (4..=10).contains(&text.len())
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() && !b"ilouILOU".contains(&c))
}

/// A comparison, ready for stdout.
pub(super) struct Shown {
    /// With a line end, or empty.
    pub(super) text: String,
    /// Nothing changed.
    pub(super) same: bool,
}

/// Compares two bodies, and shows what changed.
pub(super) fn show(
    mode: Mode,
    old: &[u8],
    new: &[u8],
    names: (&str, &str),
    term: &Term,
) -> Result<Shown, Problem> {
    let limits = Limits::patient();
    let (compared, text) = match mode {
        Mode::None => (diff::compare(old, new, &limits), String::new()),
        Mode::Structure => {
            let compared = diff::compare(old, new, &limits);
            let text = render::render(term, &compared);
            (compared, text)
        }
        Mode::Unified => {
            let compared = diff::lines(old, new, &limits);
            let text = render::unified(term, &compared, names);
            (compared, text)
        }
        Mode::Side => {
            let compared = diff::lines(old, new, &limits);
            let text = render::side_by_side(term, &compared, term.columns());
            (compared, text)
        }
        Mode::JsonPatch => {
            let Some(ops) = diff::patch(old, new, &limits) else {
                return Err(Problem::new(format!(
                    "there is no JSON patch of {} and {}: one of them is no JSON, or too large",
                    names.0, names.1
                ))
                .hint("--diff unified compares any text"));
            };
            return Ok(Shown {
                same: ops.is_empty(),
                text: diff::as_text(&ops) + "\n",
            });
        }
    };
    Ok(Shown {
        same: compared.is_same(),
        text,
    })
}

/// A comparison for programs.
pub(super) fn as_json(compared: &Comparison) -> Value {
    let mut out = match &compared.content {
        Content::Same => json!({"equal": true}),
        Content::Json { changes, more } => {
            let changes: Vec<Value> = changes.iter().map(change).collect();
            json!({"equal": false, "kind": "json", "changes": changes, "more": more})
        }
        Content::Lines(hunks) => {
            json!({"equal": false, "kind": "lines", "unified": diff::unified(hunks, "old", "new")})
        }
        Content::Bytes { at, old, new } => {
            json!({"equal": false, "kind": "bytes", "at": at, "old_length": old, "new_length": new})
        }
    };
    if let Some(out) = out.as_object_mut() {
        out.insert("notes".into(), json!(compared.notes));
    }
    out
}

fn change(change: &diff::Change) -> Value {
    let (old, new) = (change.path.in_old(), change.path.in_new());
    // Values keep their form; a number too large for this program stays text.
    let value = |json: &str| serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
    match &change.edit {
        Edit::Added(added) => json!({"op": "added", "path": new, "new": value(added)}),
        Edit::Removed(removed) => json!({"op": "removed", "path": old, "old": value(removed)}),
        Edit::Changed(before, after) => {
            json!({"op": "changed", "path": new, "old_path": old, "old": value(before), "new": value(after)})
        }
        Edit::Reworded(pieces) => {
            let side = |not: Tag| -> String {
                let kept = pieces.iter().filter(|piece| piece.tag != not);
                kept.map(|piece| piece.text.as_str()).collect()
            };
            json!({"op": "changed", "path": new, "old_path": old, "old": side(Tag::New), "new": side(Tag::Old)})
        }
    }
}

/// A stage of a saved dry run.
struct Saved {
    name: String,
    /// Method, URL, status and headers.
    head: String,
    body: Vec<u8>,
}

/// The stages of both files, if `transform --json` wrote them.
fn runs(old: &[u8], new: &[u8]) -> Option<(Vec<Saved>, Vec<Saved>)> {
    Some((saved(old)?, saved(new)?))
}

fn saved(file: &[u8]) -> Option<Vec<Saved>> {
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
        let body = match (entry.body.map(RawValue::get), entry.body_base64) {
            (Some(text), _) if text.starts_with('"') => {
                serde_json::from_str::<String>(text).ok()?.into_bytes()
            }
            (Some(json), _) => json.as_bytes().to_vec(),
            (None, Some(coded)) => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                STANDARD.decode(coded).ok()?
            }
            (None, None) => Vec::new(),
        };
        let mut head = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                head.insert(key.to_owned(), value);
            }
        };
        put("method", entry.method.map(Value::from));
        put("url", entry.url.map(Value::from));
        put("status", entry.status.map(Value::from));
        put("headers", Some(entry.headers.into()));
        Some(Saved {
            name: entry.stage,
            head: Value::from(head).to_string(),
            body,
        })
    };
    run.stages.into_iter().map(entry).collect()
}

/// Compares two dry runs stage by stage; whether nothing changed.
fn by_stage(
    args: &Args,
    (old, new): &(Vec<Saved>, Vec<Saved>),
    term: &Term,
) -> Result<bool, Problem> {
    let mut same = true;
    let mut out = Vec::new();
    for stage in Stage::ALL.iter().map(|stage| stage.name()) {
        let of = |saved: &'_ [Saved]| saved.iter().position(|saved| saved.name == stage);
        let find = |saved: &[Saved]| of(saved);
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
        print(&json!({"equal": same, "stages": out}), term)?;
    } else if same {
        term.note(&term.ink_err(Ink::Faint, "no difference"));
    }
    Ok(same)
}

fn print(json: &Value, term: &Term) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(json)
        .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
    term.line(&text)?;
    Ok(())
}
