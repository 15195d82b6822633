//! The lines around what an exchange says: its header, its end, and the calls of transformers.

use super::{Look, block::Block};
use crate::{
    cli::chat::cost::money,
    exchange::told::{Summary, Tokens},
    term::Ink,
};

/// Columns of a prompt's beginning: at least, and where no screen has a width.
const PROMPT: (usize, usize) = (20, 100);

/// Short id, time, profile, provider and model, method and path where it is no plain chat, and what is asked.
pub(super) fn header(block: &Block, look: &Look) -> String {
    let known = &block.known;
    let mut words = vec![look.term.tint(block.tint, &block.short)];
    let time = time(&known.began, look);
    if !time.is_empty() {
        words.push(look.ink(Ink::Faint, &time));
    }
    let profile = look.line(&known.profile);
    if !profile.is_empty() {
        words.push(profile);
    }
    let answerer = look.line(&answerer(known));
    if !answerer.is_empty() {
        words.push(look.ink(Ink::Strong, &answerer));
    }
    if known.operation != "llm/v1/chat" && !known.path.is_empty() {
        words.push(look.line(&format!("{} {}", known.method, known.path)));
    }
    let mut header = words.join(" ");
    let prompt = look.line(&known.prompt);
    if !prompt.is_empty() {
        let used = console::measure_text_width(&header) + 3;
        let room = look
            .width
            .map_or(PROMPT.1, |width| width.saturating_sub(used).max(PROMPT.0));
        let prompt = console::truncate_str(&prompt, room, "…");
        header.push_str(&look.ink(Ink::Faint, &format!(" · {prompt}")));
    }
    header.push('\n');
    header
}

/// Provider and model.
pub(super) fn answerer(known: &Summary) -> String {
    [known.provider.as_str(), known.model.as_str()]
        .iter()
        .filter(|word| !word.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("/")
}

/// How it ended: status, tokens, times, cost.
pub(super) fn end(block: &Block, look: &Look) -> String {
    let known = &block.known;
    let mut words = vec![outcome(known, look)];
    if known.outcome == "ok"
        && let Some(status) = known
            .upstream_status
            .filter(|own| Some(*own) != known.status)
    {
        words.push(format!("upstream {status}"));
    }
    for reason in block.reasons() {
        if !matches!(reason.as_str(), "stop" | "tool_calls") {
            let reason = look.line(reason);
            words.push(look.ink(Ink::Warn, &format!("stopped by {reason}")));
        }
    }
    if let Some(usage) = block.usage() {
        words.push(tokens(&usage));
    }
    let times = &known.timings;
    if let Some(first) = times.first_token_ms {
        words.push(format!("first token after {}", span(first)));
    }
    if let Some(rate) = times.tokens_per_second {
        words.push(format!("{rate:.1} tokens/s"));
    }
    words.push(format!("took {}", span(times.total_ms)));
    if let Some(cost) = known.cost {
        words.push(money(
            cost,
            block.usage().is_some_and(|usage| usage.estimated),
        ));
    }
    format!(
        "{} {}",
        look.term.tint(block.tint, &block.short),
        words.join(&look.ink(Ink::Faint, " · "))
    )
}

fn outcome(known: &Summary, look: &Look) -> String {
    let status = known.status.map(|status| format!(" {status}"));
    let status = status.unwrap_or_default();
    let why = known.error.as_deref().map(|why| look.line(why));
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    match known.outcome.as_str() {
        "ok" => look.ink(Ink::Good, &format!("ok{status}")),
        "failed" => {
            let at = known.failed_at.as_deref().map(|at| look.line(at));
            let at = at.map_or(String::new(), |at| format!(" at {at}"));
            format!(
                "{}{why}",
                look.ink(Ink::Bad, &format!("failed{status}{at}"))
            )
        }
        "cancelled" => {
            let why = if why.is_empty() {
                ": the client left".to_owned()
            } else {
                why
            };
            format!(
                "{}{why}",
                look.ink(Ink::Warn, &format!("cancelled{status}"))
            )
        }
        other => look.line(other),
    }
}

/// The call of a transformer's LLM.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) plugin: &'a str,
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) took_ms: f64,
    pub(super) usage: Option<Tokens>,
    pub(super) cost: Option<f64>,
    pub(super) error: Option<&'a str>,
}

impl Call<'_> {
    pub(super) fn line(&self, look: &Look) -> String {
        let plugin = look.ink(Ink::Literal, &look.line(self.plugin));
        let mut words = vec![look.line(&format!("{}/{}", self.provider, self.model))];
        if let Some(error) = self.error {
            let failed = look.ink(Ink::Bad, "failed");
            words.push(format!("{failed}: {}", look.line(error)));
        }
        words.extend(self.usage.as_ref().map(tokens));
        words.push(format!("took {}", span(self.took_ms)));
        let estimated = self.usage.is_some_and(|usage| usage.estimated);
        words.extend(self.cost.map(|cost| money(cost, estimated)));
        format!("{plugin} {}", words.join(&look.ink(Ink::Faint, " · ")))
    }
}

fn tokens(usage: &Tokens) -> String {
    let about = if usage.estimated { "~" } else { "" };
    let beside = |count: u64, what: &str| match count {
        0 => String::new(),
        count => format!(" ({count} {what})"),
    };
    format!(
        "{about}{} tokens in{}, {about}{} out{}",
        usage.prompt_tokens,
        beside(usage.cached_tokens, "cached"),
        usage.completion_tokens,
        beside(usage.reasoning_tokens, "reasoning"),
    )
}

/// A time of day where the reader is.
fn time(began: &str, look: &Look) -> String {
    match began.parse::<jiff::Timestamp>() {
        Ok(time) => {
            let time = time.to_zoned(look.zone.clone());
            time.strftime("%H:%M:%S").to_string()
        }
        Err(_) => look.line(began),
    }
}

/// Milliseconds, for people.
fn span(ms: f64) -> String {
    if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 120_000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else {
        let seconds = ms / 1000.0;
        format!(
            "{:.0} min {:02.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        )
    }
}

/// A number of bytes, for people.
pub(super) fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}
