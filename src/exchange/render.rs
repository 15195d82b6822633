//! Records as programs read them ([`told`](super::told)): summaries, whole exchanges, and what happens as it happens.

use std::{
    borrow::Cow,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use serde_json::{Map, Value};

use super::{
    bodies::{self, Bodies},
    estimate::{self, Prompt},
    filter::Filter,
    history::Kept,
    kept::Text,
    live::Live,
    metrics::Ended,
    price::Source,
    record::{Exchange, Outcome},
    redact::Redactor,
    spoken::{self, Saying},
    stages::{LlmCall, Stage},
    told::{
        CallTold, ChunkTold, Detail, EventTold, PartTold, Rest, StageTold, Summary, Timings,
        Tokens, body,
    },
};
use crate::llm::Usage;

/// Longest beginning of a prompt or an answer in a summary, in characters.
const EXCERPT: usize = 200;

/// What takes a while to find out of an exchange that ended: found once.
#[derive(Clone, Debug, Default)]
pub(super) struct Late {
    /// What the user asked last.
    prompt: String,
    /// The answer.
    answer: String,
    /// Tokens that the provider did not tell, counted.
    usage: Option<Usage>,
}

/// Milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// A time of day: RFC 3339 in UTC, with milliseconds.
pub(super) fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// The summary of an exchange that a filter takes.
pub(super) fn wanted(
    exchange: &Exchange,
    live: Option<&Live>,
    filter: &Filter,
    redactor: &Redactor,
) -> Option<Summary> {
    let quick = (filter.profiles.is_empty()
        || filter
            .profiles
            .iter()
            .any(|name| **name == *exchange.profile))
        && filter.takes_model(&exchange.model, &exchange.answered_by)
        && (!filter.failed || live.is_none() && exchange.ended() != Ended::Ok)
        && (filter.grep.is_none() || finds(exchange, filter, redactor));
    if !quick {
        return None;
    }
    let summary = summary(exchange, live, redactor);
    filter.takes(&summary).then_some(summary)
}

/// Whether what is looked for is in the prompt or in the answer.
pub(super) fn finds(exchange: &Exchange, filter: &Filter, redactor: &Redactor) -> bool {
    let said = parts(exchange, redactor);
    let (prompt, answer) = texts(exchange, &said.parts, redactor);
    filter.finds(&prompt) || filter.finds(&answer)
}

/// All texts of the request, and of the answer, of which these are the parts.
fn texts(exchange: &Exchange, parts: &[PartTold], redactor: &Redactor) -> (String, String) {
    let asked = bodies::request(exchange).unwrap_or_default();
    let prompt = Prompt::of(&asked);
    let mut answer = String::new();
    for part in parts {
        if !answer.is_empty() {
            answer.push('\n');
        }
        answer.push_str(part.name.as_deref().unwrap_or_default());
        answer.push_str(&part.text);
    }
    (redactor.redact(prompt.text()).into_owned(), answer)
}

/// An exchange as the history keeps it.
pub(super) fn kept(exchange: &Exchange, redactor: &Redactor) -> Kept {
    let detail = detail(exchange, None, redactor);
    let (prompt, answer) = texts(exchange, &detail.rest.parts, redactor);
    Kept {
        detail,
        prompt,
        answer,
    }
}

/// The body of one stage, as it is shown.
pub(super) fn body_of(exchange: &Exchange, stage: Stage, redactor: &Redactor) -> Option<Vec<u8>> {
    let held = exchange.stage(stage)?;
    // An answer can give a secret away that its events spell together.
    let answers = matches!(stage, Stage::Received | Stage::Returned);
    let split = answers && parts(exchange, redactor).split;
    Some(Bodies::new(exchange, redactor, split).shown(held).0)
}

/// The summary of an exchange, which is under way if `live`.
pub(super) fn summary(exchange: &Exchange, live: Option<&Live>, redactor: &Redactor) -> Summary {
    match live {
        None => ended(exchange, redactor),
        Some(live) => {
            let mut summary = told(exchange, &late(exchange, false), redactor);
            summary.outcome = "live".into();
            summary.error = None;
            summary.failed_at = None;
            summary.timings.total_ms = ms(live.start.elapsed());
            summary.timings.tokens_per_second = None;
            summary
        }
    }
}

pub(super) fn ended(exchange: &Exchange, redactor: &Redactor) -> Summary {
    let late = exchange.late.get_or_init(|| late(exchange, true));
    told(exchange, late, redactor)
}

/// The same, for whom nobody may wait: tokens that the provider did not count are not counted.
pub(super) fn ended_at_once(exchange: &Exchange, redactor: &Redactor) -> Summary {
    match exchange.late.get() {
        Some(late) => told(exchange, late, redactor),
        None => told(exchange, &late(exchange, false), redactor),
    }
}

/// Finds out what takes a while.
fn late(exchange: &Exchange, counts: bool) -> Late {
    let asked = bodies::request(exchange).unwrap_or_default();
    let answer = answer(exchange);
    let served = exchange
        .upstream_status
        .is_some_and(|status| (200..300).contains(&status));
    let mut said = Text::default();
    for spoke in exchange.spoken().events() {
        said.push(spoke.text);
    }
    let counted = counts && served && exchange.usage.is_none() && !said.is_empty();
    Late {
        prompt: last_asked(&asked),
        answer: excerpt(&answer),
        usage: counted.then(|| Usage {
            input: Prompt::of(&asked).tokens(),
            output: estimate::tokens(&said),
            estimated: true,
            ..Usage::default()
        }),
    }
}

/// The text of the first choice; the tools that it calls if it has none.
fn answer(exchange: &Exchange) -> String {
    let spoken = exchange.spoken();
    let number_of = |part: u32| spoken.parts().iter().find(|opened| opened.part == part);
    let (mut text, mut calls) = (String::new(), String::new());
    for spoke in spoken.events() {
        let first = number_of(spoke.part).is_none_or(|opened| opened.choice == 0);
        match spoke.what {
            Saying::Text if first && text.len() < EXCERPT * 8 => text.push_str(spoke.text),
            Saying::Open => {
                if let Some((_, name)) = spoke.opened.and_then(|opened| opened.tool.as_ref()) {
                    calls.push_str(if calls.is_empty() { "" } else { " " });
                    calls.push_str(name);
                }
            }
            Saying::Arguments if calls.len() < EXCERPT * 8 => calls.push_str(spoke.text),
            _ => {}
        }
    }
    if text.is_empty() { calls } else { text }
}

/// The beginning of a text, in one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut out = String::new();
    for (number, word) in text.split_whitespace().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > EXCERPT
            && let Some((end, _)) = out.char_indices().nth(EXCERPT)
        {
            out.truncate(end);
            out.push('…');
            break;
        }
    }
    out
}

fn told(exchange: &Exchange, late: &Late, redactor: &Redactor) -> Summary {
    let hide = |text: &str| redactor.redact(text).into_owned();
    let error = match (&exchange.outcome, exchange.ended()) {
        (Outcome::Failed(why), _) => Some(hide(why)),
        (_, Ended::Failed) => {
            let status = exchange.status.unwrap_or_default();
            Some(format!("the upstream answered {status}"))
        }
        _ => None,
    };
    let usage = exchange.usage.or(late.usage);
    let (cost, cost_source) = costs(exchange, usage);
    Summary {
        id: exchange.id.to_string(),
        profile: exchange.profile.to_string(),
        began: time(exchange.began),
        outcome: exchange.ended().name().into(),
        failed_at: error.is_some().then(|| exchange.at.name().to_owned()),
        error,
        client_ip: exchange.client.map(|ip| ip.to_string()),
        method: exchange.method.to_string(),
        path: hide(&exchange.path),
        operation: exchange.operation.to_owned(),
        stream: exchange.stream,
        provider: exchange.provider.to_owned(),
        model: hide(&exchange.model),
        answered_by: hide(&exchange.answered_by),
        upstream_status: exchange.upstream_status,
        status: exchange.status,
        usage: usage.map(Tokens::from),
        cost,
        cost_source,
        timings: timings(exchange, usage),
        request_bytes: exchange
            .request_size
            .as_ref()
            .map_or(0, |size| size.load(Ordering::Relaxed)),
        response_bytes: exchange.bytes,
        warnings: exchange.warnings.iter().map(|text| hide(text)).collect(),
        calls: exchange.calls.len() as u64,
        prompt: hide(&late.prompt),
        answer: hide(&late.answer),
    }
}

/// What all calls of LLMs cost together, and where the prices are from; nothing if one is unknown.
fn costs(exchange: &Exchange, usage: Option<Usage>) -> (Option<f64>, Option<String>) {
    let own = usage.map(|usage| exchange.cost(&usage));
    let calls = exchange.calls.iter().filter(|call| call.usage.is_some());
    let calls = calls.map(|call| exchange.call_cost(call));
    let all: Option<Vec<(f64, Source)>> = own.into_iter().chain(calls).collect();
    let Some(all) = all.filter(|all| !all.is_empty()) else {
        return (None, None);
    };
    let listed = all.iter().any(|(_, source)| *source == Source::List);
    let source = if listed {
        Source::List
    } else {
        Source::Profile
    };
    let total = all.iter().map(|(cost, _)| cost).sum();
    (Some(total), Some(source.to_string()))
}

fn timings(exchange: &Exchange, usage: Option<Usage>) -> Timings {
    let first = exchange.first_token_after;
    let per_second = first.zip(usage).and_then(|(first, usage)| {
        let spent = exchange.took.saturating_sub(first).as_secs_f64();
        // One chunk has no pace.
        (exchange.stream && usage.output > 1 && spent > 0.001)
            .then(|| (usage.output as f64 / spent * 10.0).round() / 10.0)
    });
    Timings {
        sent_ms: exchange.sent_after.map(ms),
        connect_ms: exchange.connected.map(ms),
        first_byte_ms: exchange.headers_after.map(ms),
        first_token_ms: first.map(ms),
        total_ms: ms(exchange.took),
        tokens_per_second: per_second,
    }
}

/// All that is kept of an exchange, which is under way if `live`.
pub(super) fn detail(exchange: &Exchange, live: Option<&Live>, redactor: &Redactor) -> Detail {
    let said = parts(exchange, redactor);
    let bodies = Bodies::new(exchange, redactor, said.split);
    let (mut chunks, mut returned_chunks) = (Vec::new(), Vec::new());
    let stages = exchange.stages.iter().map(|held| {
        let mut told = StageTold {
            stage: held.stage.name().into(),
            method: held.method.as_ref().map(ToString::to_string),
            url: held.url.as_ref().map(|url| bodies.url(&url.text())),
            status: held.status,
            headers: fields(held.headers.iter(), redactor),
            ..StageTold::default()
        };
        let pieces = bodies.put(held, &mut told).into_iter();
        let pieces = pieces.map(|(at, bytes)| ChunkTold {
            at_ms: at as f64 / 1000.0,
            bytes: bytes as u64,
        });
        match held.stage {
            Stage::Received if chunks.is_empty() => chunks = pieces.collect(),
            Stage::Returned if returned_chunks.is_empty() => returned_chunks = pieces.collect(),
            _ => {}
        }
        told
    });
    let stages = stages.collect();
    Detail {
        summary: summary(exchange, live, redactor),
        rest: Rest {
            stages,
            calls: exchange
                .calls
                .iter()
                .map(|call| call_told(exchange, call, redactor))
                .collect(),
            parts: said.parts,
            events: said.events,
            chunks,
            returned_chunks,
        },
    }
}

fn call_told(exchange: &Exchange, call: &LlmCall, redactor: &Redactor) -> CallTold {
    let hide = |text: &str| redactor.redact(text).into_owned();
    let headers = call.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (Cow::Borrowed(name.as_str()), value)
    });
    let request = String::from_utf8_lossy(&call.request);
    let received = String::from_utf8_lossy(&call.received);
    CallTold {
        plugin: call.plugin.into(),
        provider: call.provider.clone(),
        model: hide(&call.model),
        url: hide(&call.url),
        headers: fields(headers, redactor),
        request: body(redactor.redact(&request).as_bytes()).filter(|_| !request.is_empty()),
        status: call.status,
        received: body(redactor.redact(&received).as_bytes()).filter(|_| !received.is_empty()),
        answer: call.answer.as_deref().map(hide),
        pattern: call.pattern.clone(),
        matched: call.matched.as_deref().map(hide),
        usage: call.usage.map(Tokens::from),
        took_ms: ms(call.took),
        cost: exchange.call_cost(call).map(|(cost, _)| cost),
        error: call.error.as_deref().map(hide),
    }
}

/// Headers as a JSON object; a name that comes several times has a list of values.
fn fields<'f>(
    fields: impl Iterator<Item = (Cow<'f, str>, Cow<'f, str>)>,
    redactor: &Redactor,
) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in fields {
        let value = Value::from(redactor.redact(&value).into_owned());
        match out.get_mut(&*name) {
            None => {
                out.insert(name.into_owned(), value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    out
}

/// Headers as a JSON object.
#[must_use]
pub fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let texts: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        })
        .collect();
    let pairs = texts
        .iter()
        .map(|(name, value)| (Cow::from(name), Cow::from(value)));
    fields(pairs, &Redactor::default())
}

/// What an answer says, without secrets.
struct Saids {
    parts: Vec<PartTold>,
    events: Vec<EventTold>,
    /// A secret is spread over several events: their bytes give it away, though nobody finds it in them.
    split: bool,
}

fn parts(exchange: &Exchange, redactor: &Redactor) -> Saids {
    let mut parts: Vec<PartTold> = exchange
        .spoken()
        .parts()
        .iter()
        .map(|opened| {
            let (id, name) = opened.tool.clone().unzip();
            PartTold {
                choice: opened.choice,
                kind: opened.kind.into(),
                id,
                name: name.map(|name| redactor.redact(&name).into_owned()),
                text: String::new(),
            }
        })
        .collect();
    let index_of = |part: u32| {
        let mut opened = exchange.spoken().parts().iter();
        opened.rposition(|opened| opened.part == part)
    };
    // Where each event's text stands in its part's.
    let mut places: Vec<Option<(usize, std::ops::Range<usize>)>> = Vec::new();
    let mut events = Vec::new();
    for spoke in exchange.spoken().events() {
        let index = match spoke.what {
            Saying::Finish(_) | Saying::Usage => None,
            _ => index_of(spoke.part),
        };
        let place = index.and_then(|index| {
            let text = &mut parts.get_mut(index)?.text;
            let from = text.len();
            text.push_str(spoke.text);
            Some((index, from..text.len()))
        });
        places.push(place.filter(|_| !spoke.text.is_empty()));
        let (what, text) = match spoke.what {
            Saying::Open => ("open", String::new()),
            Saying::Text => ("text", spoke.text.to_owned()),
            Saying::Thinking => ("thinking", spoke.text.to_owned()),
            Saying::Arguments => ("arguments", spoke.text.to_owned()),
            Saying::Close => ("close", String::new()),
            Saying::Finish(reason) => ("finish", spoken::reason(reason).to_owned()),
            Saying::Usage => ("usage", String::new()),
        };
        events.push(EventTold {
            at_ms: spoke.at as f64 / 1000.0,
            what: what.into(),
            part: index.and_then(|index| u32::try_from(index).ok()),
            text,
        });
    }
    let mut split = false;
    for (index, part) in parts.iter_mut().enumerate() {
        let found = redactor.ranges(&part.text);
        if found.is_empty() {
            continue;
        }
        for (event, place) in events.iter_mut().zip(&places) {
            if let Some((of, place)) = place
                && *of == index
            {
                split |= found.iter().any(|range| {
                    range.start < place.end
                        && place.start < range.end
                        && !(place.start <= range.start && range.end <= place.end)
                });
                event.text = redactor.cut(&part.text, place.clone(), &found);
            }
        }
        part.text = redactor.redact(&part.text).into_owned();
    }
    Saids {
        parts,
        events,
        split,
    }
}

/// What the user asked last, in a request of whatever format.
pub(super) fn last_asked(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return String::new();
    };
    let by_user = |message: &&Value| {
        let role = message.get("role").and_then(Value::as_str);
        role.is_none_or(|role| role.eq_ignore_ascii_case("user"))
    };
    for key in ["messages", "contents", "input"] {
        if let Some(Value::Array(messages)) = json.get(key)
            && messages.iter().any(Value::is_object)
            && let Some(last) = messages.iter().rev().find(by_user)
        {
            let mut text = String::new();
            all_text(last, &mut text);
            return excerpt(&text);
        }
    }
    let single = ["prompt", "input", "inputs", "inputText", "message", "texts"];
    let mut text = String::new();
    if let Some(value) = single.iter().find_map(|key| json.get(key)) {
        all_text(value, &mut text);
    }
    excerpt(&text)
}

/// The texts of a message.
fn all_text(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(text);
        }
        Value::Array(values) => values.iter().for_each(|value| all_text(value, out)),
        Value::Object(fields) => {
            for key in ["content", "parts", "text", "toolResult", "output"] {
                if let Some(value) = fields.get(key) {
                    all_text(value, out);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
