//! A run for people.

use std::borrow::Cow;

use http::HeaderMap;

use super::{Args, Run, json};
use crate::{
    cli::{
        chat::cost,
        diff::{self, Mode},
        page::{self, line},
    },
    exchange::{
        LlmCall, Snapshot, Stage,
        told::{self, CallTold, Tokens},
    },
    term::{Problem, Term, sanitize},
};

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
            page::call(&told(call), no_llm, term, &mut out);
        }
    }
    page::warnings(&run.warnings, term, &mut out);
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

fn stage(mode: Mode, before: Option<&Snapshot>, now: &Snapshot, term: &Term, out: &mut String) {
    let (method, url) = (
        now.method.as_ref().map(http::Method::as_str),
        now.url.as_deref(),
    );
    line(
        out,
        &page::title(now.stage.name(), method, url, now.status, term),
    );
    page::headers(pairs(&now.headers), term, out);
    match before {
        Some(before) if before.body == now.body => {
            let text = format!("(the body is that of {})", before.stage.name());
            page::faint(out, term, &text);
        }
        _ => page::body(&now.body, term, out),
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
        page::faint(out, term, &format!("from {old} to {new}:"));
        out.push_str(&text);
    }
    line(out, "");
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
}

/// A call as exchanges tell it.
fn told(call: &LlmCall) -> CallTold {
    CallTold {
        plugin: call.plugin.to_owned(),
        provider: call.provider.clone(),
        model: call.model.clone(),
        url: call.url.clone(),
        headers: json::headers(&call.headers),
        request: told::body(&call.request),
        status: call.status,
        received: told::body(&call.received).filter(|_| !call.received.is_empty()),
        answer: call.answer.clone(),
        pattern: call.pattern.clone(),
        matched: call.matched.clone(),
        usage: call.usage.map(Tokens::from),
        took_ms: call.took.as_secs_f64() * 1000.0,
        cost: call.cost,
        error: call.error.clone(),
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
