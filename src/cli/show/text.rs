//! An exchange for people.

use jiff::{Timestamp, tz::TimeZone};

use super::times;
use crate::{
    cli::{
        chat::cost::money,
        log::ending,
        page::{self, faint, line, shown},
    },
    exchange::told::{Detail, PartTold, StageTold, Summary, Tokens},
    term::{Ink, Term},
};

/// Of a stream's body, so many lines are shown among the others; more have a command of their own.
const LINES: usize = 20;

/// All of it.
pub(super) fn all(detail: &Detail, term: &Term) -> String {
    let mut out = String::new();
    head(&detail.summary, term, &mut out);
    for told in &detail.rest.stages {
        stage(told, detail, Some(LINES), term, &mut out);
        let plugin = match told.stage.as_str() {
            "client" => "ai-request-transformer",
            "received" => "ai-response-transformer",
            _ => continue,
        };
        for call in detail
            .rest
            .calls
            .iter()
            .filter(|call| call.plugin == plugin)
        {
            page::call(call, false, term, &mut out);
        }
    }
    answer(&detail.rest.parts, term, &mut out);
    page::warnings(&detail.summary.warnings, term, &mut out);
    if let Some(spent) = spent(&detail.summary) {
        let label = term.ink(Ink::Strong, "usage");
        line(&mut out, &format!("{label} {}", shown(term, &spent)));
    }
    times::draw(&detail.summary.timings, term, &mut out);
    out
}

/// One stage, the whole of it.
pub(super) fn one(told: &StageTold, detail: &Detail, term: &Term) -> String {
    let mut out = String::new();
    stage(told, detail, None, term, &mut out);
    out
}

fn head(summary: &Summary, term: &Term, out: &mut String) {
    let (ink, ended) = ending(summary);
    line(
        out,
        &format!(
            "{} {} {} {}",
            term.ink(Ink::Literal, &summary.id),
            term.ink(ink, &ended),
            shown(term, &summary.method),
            shown(term, &summary.path)
        ),
    );
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            let label = term.ink(Ink::Faint, &format!("  {label:8}"));
            line(out, &format!("{label} {}", shown(term, text)));
        }
    };
    row("began", &day(&summary.began));
    let mut profile = summary.profile.clone();
    if !summary.operation.is_empty() {
        profile.push_str(&format!(" · {}", summary.operation));
    }
    if summary.stream {
        profile.push_str(" · streamed");
    }
    row("profile", &profile);
    row("model", &model(summary));
    row("client", summary.client_ip.as_deref().unwrap_or_default());
    if summary.upstream_status != summary.status {
        let status = summary.upstream_status.map(|status| status.to_string());
        row("upstream", &status.unwrap_or_default());
    }
    let failed = match (&summary.failed_at, &summary.error) {
        (Some(stage), Some(error)) => format!("at {stage}: {error}"),
        (Some(stage), None) => format!("at {stage}"),
        (None, error) => error.clone().unwrap_or_default(),
    };
    row("failed", &failed);
    line(out, "");
}

/// A time on the user's clock.
pub(in crate::cli) fn day(began: &str) -> String {
    match began.parse::<Timestamp>() {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S%.3f %Z")
            .to_string(),
        Err(_) => began.to_owned(),
    }
}

/// Provider and model, and who answered if the name is another one.
pub(in crate::cli) fn model(summary: &Summary) -> String {
    let asked = match (summary.provider.as_str(), summary.model.as_str()) {
        ("", model) => model.to_owned(),
        (provider, "") => provider.to_owned(),
        (provider, model) => format!("{provider}/{model}"),
    };
    if summary.answered_by.is_empty() || summary.answered_by == summary.model {
        return asked;
    }
    format!("{asked}, answered by {}", summary.answered_by)
}

fn stage(told: &StageTold, detail: &Detail, most: Option<usize>, term: &Term, out: &mut String) {
    line(
        out,
        &page::title(
            &told.stage,
            told.method.as_deref(),
            told.url.as_deref(),
            told.status,
            term,
        ),
    );
    page::headers(page::pairs(&told.headers), term, out);
    match &told.same_as {
        Some(other) if most.is_some() => {
            faint(out, term, &format!("(the body is that of {other})"));
        }
        _ => {
            let body = detail.body(&told.stage).unwrap_or_default();
            if body.is_empty() && told.size > 0 {
                faint(
                    out,
                    term,
                    &format!("(a body of {} bytes, not kept)", told.size),
                );
            } else {
                self::body(&body, told, detail, most, term, out);
            }
        }
    }
    line(out, "");
}

fn body(
    body: &[u8],
    told: &StageTold,
    detail: &Detail,
    most: Option<usize>,
    term: &Term,
    out: &mut String,
) {
    let text = match page::text(body) {
        Ok(text) => text,
        Err(why) => return faint(out, term, &why),
    };
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    let count = text.lines().count();
    match most.filter(|most| !is_json && count > 2 * most) {
        Some(most) => {
            let first: Vec<&str> = text.lines().take(most).collect();
            page::lines(&first.join("\n"), term, out);
            let (id, stage) = (&detail.summary.id, &told.stage);
            let more = count - most;
            faint(
                out,
                term,
                &format!("… ({more} more lines: aiproxy show {id} --stage {stage})"),
            );
        }
        None => page::lines(&text, term, out),
    }
    if told.truncated {
        faint(out, term, &format!("({})", cut(told, detail)));
    }
}

/// How much of a stage's body was kept.
pub(super) fn cut(told: &StageTold, detail: &Detail) -> String {
    let kept = detail.body(&told.stage).unwrap_or_default().len();
    format!(
        "the body of {} was cut: {kept} of its {} bytes were kept",
        told.stage, told.size
    )
}

/// What the answer says.
fn answer(parts: &[PartTold], term: &Term, out: &mut String) {
    if parts.is_empty() {
        return;
    }
    line(out, &term.ink(Ink::Strong, "answer"));
    let several = parts.iter().any(|part| part.choice > 0);
    let mut choice = None;
    for part in parts {
        if several && choice != Some(part.choice) {
            choice = Some(part.choice);
            faint(out, term, &format!("choice {}:", part.choice));
        }
        match part.kind.as_str() {
            "thinking" => {
                faint(out, term, "(reasoning)");
                for text in part.text.lines() {
                    faint(out, term, &shown(term, text));
                }
                faint(out, term, "(end of the reasoning)");
            }
            "tool_call" => {
                let name = shown(term, part.name.as_deref().unwrap_or_default());
                let name = term.ink(Ink::Literal, &name);
                let id = match &part.id {
                    Some(id) if !id.is_empty() => {
                        term.ink(Ink::Faint, &format!("  {}", shown(term, id)))
                    }
                    _ => String::new(),
                };
                let arguments = shown(term, &part.text);
                line(out, &format!("→ {name}({arguments}){id}"));
            }
            "refusal" => {
                let label = term.ink(Ink::Warn, "refused:");
                line(out, &format!("{label} {}", shown(term, &part.text)));
            }
            _ => page::lines(&part.text, term, out),
        }
    }
    line(out, "");
}

/// Tokens and cost, with where the price is from.
fn spent(summary: &Summary) -> Option<String> {
    let mut words = Vec::new();
    words.extend(summary.usage.as_ref().map(usage));
    let estimated = summary.usage.is_some_and(|usage| usage.estimated);
    words.extend(summary.cost.map(|cost| {
        let cost = money(cost, estimated);
        match &summary.cost_source {
            Some(source) => format!("{cost} ({})", price(source)),
            None => cost,
        }
    }));
    (!words.is_empty()).then(|| words.join(" · "))
}

fn price(source: &str) -> String {
    match source {
        "profile" => "by the profile's prices".to_owned(),
        other => format!("by the {other}"),
    }
}

/// All counts in words.
pub(in crate::cli) fn usage(usage: &Tokens) -> String {
    let about = if usage.estimated { "~" } else { "" };
    let among = |counts: &[(u64, &str)]| -> String {
        let words: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if words.is_empty() {
            String::new()
        } else {
            format!(" ({})", words.join(", "))
        }
    };
    format!(
        "{about}{} tokens in{}, {about}{} out{}",
        usage.prompt_tokens,
        among(&[
            (usage.cached_tokens, "from the cache"),
            (usage.cache_write_tokens, "written to it")
        ]),
        usage.completion_tokens,
        among(&[(usage.reasoning_tokens, "reasoning")]),
    )
}

#[cfg(test)]
mod tests;
