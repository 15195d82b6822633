//! Requests, answers and LLM calls for people: what `transform` and `show` have in common.

use serde_json::{Map, Value, value::RawValue};

use super::chat::cost::money;
use crate::{
    diff::pretty,
    exchange::told::{CallTold, Tokens},
    term::{Ink, Term, sanitize},
};

/// A line of a body is cut at so many characters: a picture is one line.
const LONGEST: usize = 2000;

/// Adds a line.
pub(super) fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Adds a line that matters less.
pub(super) fn faint(out: &mut String, term: &Term, text: &str) {
    line(out, &term.ink(Ink::Faint, text));
}

/// Text from outside: as it is in a pipe, made harmless on a screen.
pub(super) fn shown(term: &Term, text: &str) -> String {
    if term.out_is_terminal() {
        sanitize(text).into_owned()
    } else {
        text.to_owned()
    }
}

/// The line above a stage.
pub(super) fn title(
    name: &str,
    method: Option<&str>,
    url: Option<&str>,
    status: Option<u16>,
    term: &Term,
) -> String {
    let mut title = term.ink(Ink::Strong, name);
    if let Some(method) = method {
        title.push_str(&format!(" {}", shown(term, method)));
    }
    if let Some(url) = url {
        title.push_str(&format!(" {}", term.ink(Ink::Literal, &shown(term, url))));
    }
    if let Some(status) = status {
        title.push_str(&format!(" {status}"));
    }
    title
}

/// Names and values of headers, one after the other.
pub(super) fn pairs(headers: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().flat_map(|(name, value)| {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let texts = values.iter().filter_map(Value::as_str);
        texts.map(move |value| (name.as_str(), value))
    })
}

/// Adds headers.
pub(super) fn headers<N: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (N, V)>,
    term: &Term,
    out: &mut String,
) {
    for (name, value) in pairs {
        let (name, value) = (shown(term, name.as_ref()), shown(term, value.as_ref()));
        faint(out, term, &format!("  {name}: {value}"));
    }
}

/// A body's bytes: a string's text, other JSON as it is.
fn bytes(body: &RawValue) -> Vec<u8> {
    match serde_json::from_str::<String>(body.get()) {
        Ok(text) => text.into_bytes(),
        Err(_) => body.get().as_bytes().to_vec(),
    }
}

/// Adds a body: JSON with a line for each value.
pub(super) fn body(body: &[u8], term: &Term, out: &mut String) {
    match text(body) {
        Ok(text) => lines(&text, term, out),
        Err(why) => faint(out, term, &why),
    }
}

/// A body as the text that people read, or what is to be said instead.
pub(super) fn text(body: &[u8]) -> Result<String, String> {
    if body.is_empty() {
        return Err("(no body)".to_owned());
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(pretty(body).unwrap_or_else(|| text.to_owned())),
        Err(_) => Err(format!("({} bytes that are no text)", body.len())),
    }
}

/// Adds text with its long lines cut.
pub(super) fn lines(text: &str, term: &Term, out: &mut String) {
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

/// Adds what a transformer's LLM was asked, and what it said. `no_llm`: it was left out on purpose.
pub(super) fn call(call: &CallTold, no_llm: bool, term: &Term, out: &mut String) {
    let plugin = term.ink(Ink::Strong, &shown(term, &call.plugin));
    let url = term.ink(Ink::Literal, &shown(term, &call.url));
    let model = shown(term, &call.model);
    line(
        out,
        &format!(
            "{plugin} asks {}/{model}: {url}",
            shown(term, &call.provider)
        ),
    );
    headers(pairs(&call.headers), term, out);
    body(
        &call.request.as_deref().map(bytes).unwrap_or_default(),
        term,
        out,
    );
    let mut how = Vec::new();
    how.extend(call.status.map(|status| format!("status {status}")));
    how.extend(call.usage.as_ref().map(tokens));
    let estimated = call.usage.is_some_and(|usage| usage.estimated);
    how.extend(call.cost.map(|cost| money(cost, estimated)));
    if call.took_ms > 0.0 {
        how.push(time(call.took_ms));
    }
    match &call.answer {
        None if no_llm && call.error.is_none() => {
            faint(out, term, "(not asked: --no-llm)");
        }
        None => {
            let why = call.error.as_deref().unwrap_or("it did not answer");
            let label = term.ink(Ink::Bad, "no answer:");
            line(out, &format!("{label} {}", shown(term, why)));
        }
        Some(answer) => {
            faint(out, term, &format!("its answer ({}):", how.join(" · ")));
            lines(answer, term, out);
            matched(call, answer, term, out);
        }
    }
    line(out, "");
}

/// Adds what the pattern took of an answer.
fn matched(call: &CallTold, answer: &str, term: &Term, out: &mut String) {
    let Some(pattern) = &call.pattern else {
        return;
    };
    let pattern = shown(term, pattern);
    match &call.matched {
        Some(matched) if matched == answer => {
            faint(
                out,
                term,
                &format!("(the pattern `{pattern}` takes all of it)"),
            );
        }
        Some(matched) => {
            faint(
                out,
                term,
                &format!("of which the pattern `{pattern}` takes:"),
            );
            lines(matched, term, out);
        }
        None => {
            let text = format!("the pattern `{pattern}` takes nothing of it");
            line(out, &term.ink(Ink::Bad, &text));
        }
    }
}

/// Adds warnings.
pub(super) fn warnings(warnings: &[String], term: &Term, out: &mut String) {
    if warnings.is_empty() {
        return;
    }
    let texts: Vec<String> = warnings.iter().map(|text| shown(term, text)).collect();
    let label = term.ink(Ink::Warn, "warnings:");
    line(out, &format!("{label} {}", texts.join(", ")));
}

/// Token counts in words.
pub(super) fn tokens(usage: &Tokens) -> String {
    let about = if usage.estimated { "~" } else { "" };
    format!(
        "{about}{} tokens in, {about}{} out",
        usage.prompt_tokens, usage.completion_tokens
    )
}

/// A length of time, given in milliseconds.
pub(super) fn time(ms: f64) -> String {
    if ms < 10.0 {
        let text = format!("{ms:.1}");
        format!("{} ms", text.trim_end_matches(".0"))
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else if ms < 120_000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else {
        format!("{:.0} s", ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_needed() {
        for (ms, expected) in [
            (0.0, "0 ms"),
            (0.44, "0.4 ms"),
            (3.0, "3 ms"),
            (412.3, "412 ms"),
            (1200.0, "1.20 s"),
            (600_000.0, "600 s"),
        ] {
            assert_eq!(time(ms), expected);
        }
    }

    #[test]
    fn headers_may_come_several_times() {
        let headers = serde_json::json!({"a": "1", "b": ["2", "3"]});
        let told: Vec<(&str, &str)> = pairs(headers.as_object().unwrap()).collect();
        assert_eq!(told, [("a", "1"), ("b", "2"), ("b", "3")]);
    }
}
