//! `aiproxy diff`: what the stages of an exchange changed, or what two bodies, dry runs or exchanges differ in.

mod exchange;
mod runs;

use std::{io::Read, path::Path};

use serde_json::{Value, json};

pub(super) use self::exchange::{answers, answers_json};
use super::{
    exchanges::{self, Exchanges},
    servers::ServerFlag,
};
use crate::{
    diff::{self, Comparison, Content, Edit, Limits, Tag},
    exchange::told::Detail,
    term::{Exit, Ink, Problem, Term, diff as render},
};

/// Show what each stage of an exchange changed, or what two files or exchanges differ in.
///
/// An argument that is no file is an exchange's id, its beginning, or `last`. JSON is compared by structure: moved keys and spaces are no
/// change. Everything else is compared by line, and within lines by word. Two files that `aiproxy transform --json` wrote are compared
/// stage by stage; of two exchanges the requests and the answers. As with `git diff`, the exit code is 0 whether they differ or not,
/// unless --exit-code is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy diff last\n  aiproxy diff 7k3m b2x9\n  aiproxy diff before.json after.json --diff json-patch > change.json\n  aiproxy transform body.json --to sent | aiproxy diff body.json -"
)]
pub(super) struct Args {
    /// An exchange, or the old file; `-` reads stdin
    #[arg(value_name = "A")]
    old: String,
    /// Another exchange, or the new file; `-` reads stdin
    #[arg(value_name = "B")]
    new: Option<String>,
    /// How differences are shown
    #[arg(long, value_name = "MODE", default_value = "structure")]
    diff: Mode,
    /// Exit with 1 if they differ: bodies, or requests and answers of exchanges
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "diff")]
    json: bool,
    #[command(flatten)]
    server: ServerFlag,
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

/// One of the two things that are compared.
struct Side {
    bytes: Vec<u8>,
    /// The exchange that was named, or that the file holds.
    exchange: Option<Detail>,
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let same = match &args.new {
        Some(new) => two(&args, new, term).await?,
        None => one(&args, term).await?,
    };
    Ok(if args.exit_code && !same {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// What the stages of one exchange changed.
async fn one(args: &Args, term: &Term) -> Result<bool, Problem> {
    let name = args.old.as_str();
    let exchange = if is_file(name) {
        exchange(&read(name)?).ok_or_else(|| {
            Problem::usage(format!("there is nothing to compare `{name}` with"))
                .hint("aiproxy diff A B; alone stands an exchange's id, or a file of `aiproxy show --json`")
        })?
    } else {
        Exchanges::find(&args.server, term).await?.get(name).await?
    };
    if args.json {
        let (json, same) = exchange::stages_json(&exchange);
        print(&json, term)?;
        return Ok(same);
    }
    let (text, same) = exchange::stages(&exchange, args.diff, term)?;
    term.out(&text)?;
    Ok(same)
}

async fn two(args: &Args, new: &str, term: &Term) -> Result<bool, Problem> {
    if args.old == "-" && new == "-" {
        return Err(Problem::usage(
            "stdin can be one of the two files, not both",
        ));
    }
    let (old_name, new_name) = (args.old.as_str(), new);
    let mut exchanges = None;
    let old = side(old_name, args, &mut exchanges, term).await?;
    let new = side(new_name, args, &mut exchanges, term).await?;
    if let (Some(old), Some(new)) = (&old.exchange, &new.exchange) {
        return exchanges_differ(args, old, new, term);
    }
    for (one, other, names) in [
        (&old, &new, (old_name, new_name)),
        (&new, &old, (new_name, old_name)),
    ] {
        let (named, file) = names;
        if one.exchange.is_some() && !is_file(named) && runs::saved(&other.bytes).is_none() {
            return Err(
                Problem::usage(format!("`{named}` is an exchange, `{file}` is a body")).hint(
                    format!("aiproxy show {named} --stage client --body | aiproxy diff {file} -"),
                ),
            );
        }
    }
    let stages = |side: &Side| match &side.exchange {
        Some(exchange) => Some(exchange_stages(exchange)),
        None => runs::saved(&side.bytes),
    };
    if let (Some(old), Some(new)) = (stages(&old), stages(&new)) {
        return runs::by_stage(args, (&old, &new), term);
    }
    if args.json {
        let compared = diff::compare(&old.bytes, &new.bytes, &Limits::patient());
        print(&as_json(&compared), term)?;
        return Ok(compared.is_same());
    }
    let names = (old_name, new_name);
    let shown = show(args.diff, &old.bytes, &new.bytes, names, term)?;
    term.out(&shown.text)?;
    if shown.same && shown.text.is_empty() {
        term.note(&term.ink_err(Ink::Faint, "no difference"));
    }
    Ok(shown.same)
}

fn exchanges_differ(args: &Args, old: &Detail, new: &Detail, term: &Term) -> Result<bool, Problem> {
    if args.json {
        let (json, same) = exchange::two_json(old, new);
        print(&json, term)?;
        return Ok(same);
    }
    let (text, same) = exchange::two(args.diff, old, new, term);
    term.out(&text)?;
    Ok(same)
}

/// A file or, where there is none of that name, an exchange.
async fn side(
    name: &str,
    args: &Args,
    exchanges: &mut Option<Exchanges>,
    term: &Term,
) -> Result<Side, Problem> {
    if is_file(name) || !exchanges::is_name(name) {
        let bytes = read(name)?;
        return Ok(Side {
            exchange: exchange(&bytes),
            bytes,
        });
    }
    let exchanges = match exchanges {
        Some(exchanges) => exchanges,
        None => exchanges.insert(Exchanges::find(&args.server, term).await?),
    };
    Ok(Side {
        exchange: Some(exchanges.get(name).await?),
        bytes: Vec::new(),
    })
}

/// Whether a name is that of a file that is there, or of stdin.
fn is_file(name: &str) -> bool {
    name == "-" || Path::new(name).exists()
}

/// The exchange that a file holds, if `show --json` wrote it.
fn exchange(file: &[u8]) -> Option<Detail> {
    let text = std::str::from_utf8(file).ok()?;
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let detail = Detail::parse(text).ok()?;
    let is_one = !detail.summary.id.is_empty()
        && !detail.summary.began.is_empty()
        && !detail.rest.stages.is_empty();
    is_one.then_some(detail)
}

fn exchange_stages(exchange: &Detail) -> Vec<runs::Saved> {
    let stages = exchange.rest.stages.iter();
    let saved = stages.map(|told| {
        let body = exchange.body(&told.stage).unwrap_or_default();
        runs::Saved::of(told, body)
    });
    saved.collect()
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
    std::fs::read(name).map_err(failed)
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

fn print(json: &Value, term: &Term) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(json)
        .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
    term.json(&text)?;
    Ok(())
}
