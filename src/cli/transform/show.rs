//! A run for people.

use std::time::Duration;

use http::HeaderMap;

use super::{Args, Run};
use crate::{
    cli::{
        chat::cost::{self, money, tokens},
        diff::{self, Mode},
    },
    diff::pretty,
    exchange::{LlmCall, Snapshot, Stage},
    term::{Ink, Problem, Term, sanitize},
};

/// A line of a body is cut at so many characters: a picture is one line.
const LONGEST: usize = 2000;

/// Prints the stages with what changed between neighbours, the LLM calls where they stand, warnings and costs.
pub(super) fn show(args: &Args, run: &Run, term: &Term) -> Result<(), Problem> {
    term.out(&text(run, args.diff, args.no_llm, term))?;
    if let Some(spent) = spent(run).filter(|_| !args.no_llm) {
        super::faint(term, &spent);
    }
    Ok(())
}

/// The stages, calls and warnings.
fn text(run: &Run, mode: Mode, no_llm: bool, term: &Term) -> String {
    let mut out = String::new();
    let mut before: Option<&Snapshot> = None;
    for stage in Stage::ALL {
        if let Some(snapshot) = run.stages.iter().rfind(|snapshot| snapshot.stage == stage) {
            // A request and its answer have nothing to be compared by.
            before = before.filter(|_| stage != Stage::Received);
            self::stage(mode, before, snapshot, term, &mut out);
            before = Some(snapshot);
        }
        let plugin = match stage {
            Stage::Client => "ai-request-transformer",
            Stage::Received => "ai-response-transformer",
            _ => continue,
        };
        for call in run.calls.iter().filter(|call| call.plugin == plugin) {
            self::call(call, no_llm, term, &mut out);
        }
    }
    if !run.warnings.is_empty() {
        let warnings: Vec<_> = run
            .warnings
            .iter()
            .map(|warning| shown(term, warning))
            .collect();
        let label = term.ink(Ink::Warn, "warnings:");
        line(&mut out, &format!("{label} {}", warnings.join(", ")));
    }
    out
}

/// Number, tokens and cost of the LLM calls.
fn spent(run: &Run) -> Option<String> {
    let mut words = match run.calls.len() {
        0 => return None,
        1 => vec!["1 LLM call".to_owned()],
        calls => vec![format!("{calls} LLM calls")],
    };
    words.extend(cost::spent(&run.calls));
    Some(words.join(" · "))
}

/// Adds a line.
fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn stage(mode: Mode, before: Option<&Snapshot>, now: &Snapshot, term: &Term, out: &mut String) {
    let mut title = term.ink(Ink::Strong, now.stage.name());
    if let Some(method) = &now.method {
        title.push_str(&format!(" {method}"));
    }
    if let Some(url) = &now.url {
        title.push_str(&format!(" {}", term.ink(Ink::Literal, &shown(term, url))));
    }
    if let Some(status) = now.status {
        title.push_str(&format!(" {status}"));
    }
    line(out, &title);
    headers(&now.headers, term, out);
    match before {
        Some(before) if before.body == now.body => {
            let text = format!("(the body is that of {})", before.stage.name());
            line(out, &term.ink(Ink::Faint, &text));
        }
        _ => body(&now.body, term, out),
    }
    if let Some(before) = before.filter(|before| before.body != now.body)
        && mode != Mode::None
    {
        let (old, new) = (before.stage.name(), now.stage.name());
        let changes = diff::show(mode, &before.body, &now.body, (old, new), term);
        let text = match changes {
            Ok(changes) if changes.text.is_empty() => "(no difference)\n".to_owned(),
            Ok(changes) => changes.text,
            // Of bodies that are no JSON there is no patch; the run goes on.
            Err(problem) => format!("({problem})\n"),
        };
        line(out, &term.ink(Ink::Faint, &format!("from {old} to {new}:")));
        out.push_str(&text);
    }
    line(out, "");
}

fn headers(headers: &HeaderMap, term: &Term, out: &mut String) {
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let text = format!("  {name}: {}", shown(term, &value));
        line(out, &term.ink(Ink::Faint, &text));
    }
}

fn body(body: &[u8], term: &Term, out: &mut String) {
    if body.is_empty() {
        line(out, &term.ink(Ink::Faint, "(no body)"));
        return;
    }
    let Ok(text) = std::str::from_utf8(body) else {
        let text = format!("({} bytes that are no text)", body.len());
        line(out, &term.ink(Ink::Faint, &text));
        return;
    };
    let text = pretty(body).unwrap_or_else(|| text.to_owned());
    lines(&text, term, out);
}

/// Text with its long lines cut.
fn lines(text: &str, term: &Term, out: &mut String) {
    for line in text.lines() {
        match line.char_indices().nth(LONGEST) {
            None => out.push_str(&shown(term, line)),
            Some((end, _)) => {
                out.push_str(&shown(term, line.get(..end).unwrap_or(line)));
                let more = line.get(end..).unwrap_or_default().chars().count();
                out.push_str(&term.ink(Ink::Faint, &format!("… ({more} more characters)")));
            }
        }
        out.push('\n');
    }
}

fn call(call: &LlmCall, no_llm: bool, term: &Term, out: &mut String) {
    let plugin = term.ink(Ink::Strong, call.plugin);
    let url = term.ink(Ink::Literal, &shown(term, &call.url));
    line(
        out,
        &format!(
            "{plugin} asks {}/{}: {url}",
            call.provider,
            shown(term, &call.model)
        ),
    );
    headers(&call.headers, term, out);
    body(&call.request, term, out);
    let mut how = Vec::new();
    how.extend(call.status.map(|status| format!("status {status}")));
    if let Some(usage) = call.usage {
        how.push(tokens(usage.prompt(), usage.output, usage.estimated));
    }
    let estimated = call.usage.is_some_and(|usage| usage.estimated);
    how.extend(call.cost.map(|cost| money(cost, estimated)));
    if !call.took.is_zero() {
        how.push(seconds(call.took));
    }
    match &call.answer {
        None if no_llm && call.error.is_none() => {
            line(out, &term.ink(Ink::Faint, "(not asked: --no-llm)"));
        }
        None => {
            let why = call.error.as_deref().unwrap_or("it did not answer");
            line(
                out,
                &format!("{} {}", term.ink(Ink::Bad, "no answer:"), shown(term, why)),
            );
        }
        Some(answer) => {
            line(
                out,
                &term.ink(Ink::Faint, &format!("its answer ({}):", how.join(" · "))),
            );
            lines(answer, term, out);
            if let Some(pattern) = &call.pattern {
                let pattern = shown(term, pattern);
                match &call.matched {
                    Some(matched) if matched == answer => {
                        let text = format!("(the pattern `{pattern}` takes all of it)");
                        line(out, &term.ink(Ink::Faint, &text));
                    }
                    Some(matched) => {
                        let text = format!("of which the pattern `{pattern}` takes:");
                        line(out, &term.ink(Ink::Faint, &text));
                        lines(matched, term, out);
                    }
                    None => {
                        let text = format!("the pattern `{pattern}` takes nothing of it");
                        line(out, &term.ink(Ink::Bad, &text));
                    }
                }
            }
        }
    }
    line(out, "");
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

fn shown(term: &Term, text: &str) -> String {
    if term.out_is_terminal() {
        sanitize(text).into_owned()
    } else {
        text.to_owned()
    }
}

/// Why the command fails, if the run did.
pub(super) fn problem(run: &Run) -> Option<Problem> {
    let failure = run.failure.as_ref()?;
    let message = sanitize(&failure.message);
    let problem = Problem::new(format!("{message} (status {})", failure.status));
    let problem = match &failure.hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    };
    let Some(call) = run.calls.last() else {
        return Some(problem);
    };
    let Some(answer) = call.answer.as_deref() else {
        return Some(problem);
    };
    Some(match &call.pattern {
        _ if answer.trim_start().starts_with("```") && call.matched.is_none() => problem.hint(
            r"the answer stands in a Markdown fence: --set transformation_extract_pattern='\{(.|\n)*\}' takes the object inside",
        ),
        Some(_) if call.matched.is_none() => problem.hint(
            "try another one with --set transformation_extract_pattern=... until it takes what you want, then add --save",
        ),
        _ => problem,
    })
}

#[cfg(test)]
mod tests;
