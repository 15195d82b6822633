//! An exchange, stage by stage, and two exchanges.

use serde_json::{Map, Value, json};

use super::{Mode, as_json, runs::Saved, show};
use crate::{
    cli::{
        log::{cost, ending},
        page,
        show::text::{model, usage},
    },
    diff::{self, Comparison, Limits},
    exchange::told::{Detail, PartTold, Summary},
    term::{Cell, Ink, Problem, Table, Term, diff as render},
};

/// Stages that follow each other: those of the request, and those of the answer.
const WAYS: [&[&str]; 2] = [
    &["client", "request-transformed", "sent"],
    &["received", "response-transformed", "returned"],
];

/// What one stage made of the one before it.
struct Step {
    from: Saved,
    to: Saved,
    head: Comparison,
    body: Comparison,
}

fn steps(detail: &Detail) -> Vec<Step> {
    let limits = Limits::patient();
    let mut steps = Vec::new();
    for way in WAYS {
        let there: Vec<_> = way.iter().filter_map(|name| detail.stage(name)).collect();
        for pair in there.windows(2) {
            let [from, to] = pair else { continue };
            let saved = |told: &crate::exchange::told::StageTold| {
                Saved::of(told, detail.body(&told.stage).unwrap_or_default())
            };
            let (from, to) = (saved(from), saved(to));
            steps.push(Step {
                head: diff::compare(from.head.as_bytes(), to.head.as_bytes(), &limits),
                body: diff::compare(&from.body, &to.body, &limits),
                from,
                to,
            });
        }
    }
    steps
}

/// What each stage changed of one exchange, as text; whether all bodies stayed as they were.
pub(super) fn stages(detail: &Detail, mode: Mode, term: &Term) -> Result<(String, bool), Problem> {
    let mut out = String::new();
    let mut same = true;
    let steps = steps(detail);
    if steps.is_empty() {
        let id = &detail.summary.id;
        return Err(Problem::new(format!(
            "of {id} no two stages were kept, so there is nothing to compare"
        ))
        .hint(format!("aiproxy show {id} shows what there is")));
    }
    for step in &steps {
        same &= step.body.is_same();
        if mode == Mode::None {
            continue;
        }
        let title = format!("{} → {}", step.from.name, step.to.name);
        page::line(&mut out, &term.ink(Ink::Strong, &title));
        let heads = render::render(term, &step.head);
        if !heads.is_empty() {
            page::faint(&mut out, term, "head:");
            out.push_str(&heads);
        }
        let names = (step.from.name.as_str(), step.to.name.as_str());
        if step.from.body == step.to.body {
            page::faint(&mut out, term, "(the body is the same)");
        } else {
            page::faint(&mut out, term, "body:");
            out.push_str(&changes(mode, &step.from.body, &step.to.body, names, term));
        }
        for told in detail.rest.stages.iter().filter(|told| told.truncated) {
            if told.stage == step.from.name || told.stage == step.to.name {
                let text = format!(
                    "(of {}, the first {} bytes of {} are compared)",
                    told.stage,
                    detail.body(&told.stage).unwrap_or_default().len(),
                    told.size
                );
                page::faint(&mut out, term, &text);
            }
        }
        page::line(&mut out, "");
    }
    Ok((out, same))
}

/// The same for programs.
pub(super) fn stages_json(detail: &Detail) -> (Value, bool) {
    let steps = steps(detail);
    let same = steps.iter().all(|step| step.body.is_same());
    let told: Vec<Value> = steps
        .iter()
        .map(|step| {
            json!({
                "from": step.from.name, "to": step.to.name, "equal": step.body.is_same(),
                "head": as_json(&step.head), "body": as_json(&step.body),
            })
        })
        .collect();
    (
        json!({"exchange": detail.summary.id, "equal": same, "stages": told}),
        same,
    )
}

/// Differences as text. Of bodies that are no JSON there is no patch; the rest goes on.
fn changes(mode: Mode, old: &[u8], new: &[u8], names: (&str, &str), term: &Term) -> String {
    match show(mode, old, new, names, term) {
        Ok(shown) if shown.text.is_empty() && mode != Mode::None => "(no difference)\n".to_owned(),
        Ok(shown) => shown.text,
        Err(problem) => format!("({problem})\n"),
    }
}

/// What two exchanges are compared by.
struct Aspect {
    name: &'static str,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What an exchange came to.
pub(in crate::cli) struct Answer {
    text: Vec<u8>,
    reasoning: Vec<u8>,
    tool_calls: Vec<u8>,
}

impl Answer {
    /// What the parts say; where there are none, the body that the client got.
    pub(in crate::cli) fn of(detail: &Detail) -> Answer {
        let parts = &detail.rest.parts;
        let joined = |kinds: &[&str]| -> Vec<u8> {
            let texts: Vec<&str> = parts
                .iter()
                .filter(|part| kinds.contains(&part.kind.as_str()))
                .map(|part| part.text.as_str())
                .collect();
            texts.join("\n").into_bytes()
        };
        let calls: Vec<Value> = parts
            .iter()
            .filter(|part| part.kind == "tool_call")
            .map(tool_call)
            .collect();
        Answer {
            text: if parts.is_empty() {
                detail.body("returned").unwrap_or_default()
            } else {
                joined(&["text", "refusal"])
            },
            reasoning: joined(&["thinking"]),
            tool_calls: if calls.is_empty() {
                Vec::new()
            } else {
                Value::from(calls).to_string().into_bytes()
            },
        }
    }

    fn against(mut self, mut new: Answer) -> [Aspect; 3] {
        // No call is a list like any other, if the other side has one.
        match (&mut self.tool_calls, &mut new.tool_calls) {
            (none, some) | (some, none) if none.is_empty() && !some.is_empty() => {
                *none = b"[]".to_vec();
            }
            _ => {}
        }
        // Few answers end with a line end, and that none does is nothing to tell.
        for (old, new) in [
            (&mut self.text, &mut new.text),
            (&mut self.reasoning, &mut new.reasoning),
        ] {
            if !old.ends_with(b"\n") && !new.ends_with(b"\n") {
                for text in [old, new] {
                    if !text.is_empty() {
                        text.push(b'\n');
                    }
                }
            }
        }
        let aspect = |name, old, new| Aspect { name, old, new };
        [
            aspect("answer", self.text, new.text),
            aspect("reasoning", self.reasoning, new.reasoning),
            aspect("tool calls", self.tool_calls, new.tool_calls),
        ]
    }
}

/// A call without its id, which differs each time.
fn tool_call(part: &PartTold) -> Value {
    let arguments =
        serde_json::from_str(&part.text).unwrap_or_else(|_| Value::from(part.text.as_str()));
    json!({"name": part.name, "arguments": arguments})
}

/// What two answers differ in: text, and whether it is nothing.
pub(in crate::cli) fn answers(
    mode: Mode,
    (old, new): (&Detail, &Detail),
    term: &Term,
) -> (String, bool) {
    let mut out = String::new();
    let names = (old.summary.id.as_str(), new.summary.id.as_str());
    let same = aspects(
        Answer::of(old).against(Answer::of(new)),
        mode,
        names,
        term,
        &mut out,
    );
    (out, same)
}

/// The same for programs.
pub(in crate::cli) fn answers_json(old: &Detail, new: &Detail) -> (Map<String, Value>, bool) {
    aspects_json(Answer::of(old).against(Answer::of(new)))
}

fn aspects(
    aspects: impl IntoIterator<Item = Aspect>,
    mode: Mode,
    names: (&str, &str),
    term: &Term,
    out: &mut String,
) -> bool {
    let mut same = true;
    for Aspect { name, old, new } in aspects {
        if old.is_empty() && new.is_empty() {
            continue;
        }
        let equal = diff::compare(&old, &new, &Limits::patient()).is_same();
        same &= equal;
        if mode == Mode::None {
            continue;
        }
        let title = term.ink(Ink::Strong, &format!("{name}:"));
        if equal {
            let rest = term.ink(Ink::Faint, "the same");
            page::line(out, &format!("{title} {rest}"));
        } else {
            page::line(out, &title);
            // What is there on one side alone is no list of changes.
            out.push_str(&changes(mode, &old, &new, names, term));
        }
    }
    same
}

fn aspects_json(aspects: impl IntoIterator<Item = Aspect>) -> (Map<String, Value>, bool) {
    let mut same = true;
    let mut out = Map::new();
    for Aspect { name, old, new } in aspects {
        let compared = diff::compare(&old, &new, &Limits::patient());
        same &= compared.is_same();
        out.insert(name.replace(' ', "_"), as_json(&compared));
    }
    (out, same)
}

fn requests(old: &Detail, new: &Detail) -> Aspect {
    Aspect {
        name: "request",
        old: old.body("client").unwrap_or_default(),
        new: new.body("client").unwrap_or_default(),
    }
}

/// Two exchanges side by side; whether request and answer are the same.
pub(super) fn two(mode: Mode, old: &Detail, new: &Detail, term: &Term) -> (String, bool) {
    let mut out = if mode == Mode::None {
        String::new()
    } else {
        table(&old.summary, &new.summary).render(term, term.columns()) + "\n"
    };
    let names = (old.summary.id.as_str(), new.summary.id.as_str());
    let asked = aspects([requests(old, new)], mode, names, term, &mut out);
    let (text, answered) = answers(mode, (old, new), term);
    (out + &text, asked && answered)
}

/// The same for programs.
pub(super) fn two_json(old: &Detail, new: &Detail) -> (Value, bool) {
    let (mut out, asked) = aspects_json([requests(old, new)]);
    let (answer, answered) = answers_json(old, new);
    out.extend(answer);
    out.insert("equal".into(), (asked && answered).into());
    out.insert("old".into(), json!(old.summary));
    out.insert("new".into(), json!(new.summary));
    (out.into(), asked && answered)
}

/// What a list tells of both, where at least one has it.
fn table(old: &Summary, new: &Summary) -> Table {
    let mut table = Table::default();
    let faint = |text: &str| Cell::from(text).ink(Ink::Faint);
    let id = |summary: &Summary| Cell::from(summary.id.as_str()).ink(Ink::Literal);
    table.row([faint(""), id(old), id(new)]);
    let mut row = |name: &str, of: &dyn Fn(&Summary) -> String| {
        let (old, new) = (of(old), of(new));
        if !old.is_empty() || !new.is_empty() {
            let differs = old != new;
            let new = Cell::from(new);
            table.row([
                faint(name),
                old.into(),
                if differs { new.ink(Ink::Warn) } else { new },
            ]);
        }
    };
    let time = |time: Option<f64>| time.map(page::time).unwrap_or_default();
    row("began", &|summary| summary.began.clone());
    row("profile", &|summary| summary.profile.clone());
    row("model", &model);
    row("ended", &|summary| ending(summary).1);
    row("error", &|summary| {
        summary.error.clone().unwrap_or_default()
    });
    row("usage", &|summary| {
        summary.usage.as_ref().map(usage).unwrap_or_default()
    });
    row("cost", &cost);
    row("first token", &|summary| {
        time(summary.timings.first_token_ms)
    });
    row("total", &|summary| time(Some(summary.timings.total_ms)));
    row("tokens/s", &|summary| {
        let rate = summary.timings.tokens_per_second;
        rate.map(|rate| format!("{rate:.1}")).unwrap_or_default()
    });
    row("warnings", &|summary| summary.warnings.join(", "));
    table
}

#[cfg(test)]
mod tests;
