//! One exchange as one line of the request log: JSON with Kong's keys (SPEC §4.6), as its `file-log` plugin writes them, and as a sentence
//! for people.

use std::{
    fmt::Write,
    sync::atomic::Ordering,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{
    CallLog, Exchange, LlmCall, Outcome, cost, estimate,
    kept::{Kept, Material},
    redact::Redactor,
};
use crate::llm::Usage;

/// What nginx, and so Kong, logs for a client that left before there was a status.
const CLIENT_LEFT: u16 = 499;

/// Longest error in a line for people, in characters.
const SHORT_ERROR: usize = 200;

/// An exchange, made ready to be shown: secrets found, tokens counted. Making one can take a while.
pub(super) struct Shown<'a> {
    exchange: &'a Exchange,
    usage: Option<Usage>,
    /// The tokens of each of the exchange's calls.
    call_usage: Vec<Option<Usage>>,
    redactor: &'a Redactor,
}

/// One LLM's part in an exchange, whichever plugin asked it.
struct Part<'a> {
    provider: &'a str,
    model: &'a str,
    answered_by: &'a str,
    took: Duration,
    /// From the request's way upstream to the first text of a stream.
    first_token: Option<Duration>,
    usage: Option<Usage>,
    material: &'a Material,
}

impl<'a> Shown<'a> {
    pub(super) fn of(exchange: &'a Exchange, redactor: &'a Redactor) -> Shown<'a> {
        let material = exchange.log.as_deref();
        // A provider that refused has not counted anything, and charges nothing.
        let served = exchange
            .upstream_status
            .is_some_and(|status| (200..300).contains(&status));
        let counted = || {
            material
                .filter(|material| served && material.statistics && material.countable)
                .and_then(estimate::usage)
        };
        let call_usage = exchange.calls.iter().zip(&exchange.call_logs);
        let call_usage = call_usage.map(|(call, log)| {
            let counted = || {
                log.as_deref()
                    .map(|log| &log.material)
                    .filter(|material| material.statistics && material.countable)
                    .and_then(estimate::usage)
            };
            let answered = call
                .status
                .is_some_and(|status| (200..300).contains(&status));
            call.usage.or_else(|| answered.then(counted)?)
        });
        Shown {
            exchange,
            usage: exchange.usage.or_else(counted),
            call_usage: call_usage.collect(),
            redactor,
        }
    }

    /// The line of the log file, with its end.
    pub(super) fn json(&self) -> Vec<u8> {
        let exchange = self.exchange;
        let mut line = json!({
            "started_at": millis(exchange.began.duration_since(UNIX_EPOCH).unwrap_or_default()),
            "exchange": exchange.id.as_str(),
            "profile": &*exchange.profile,
        });
        if let Some(client) = exchange.client {
            put(&mut line, "client_ip", client.to_string());
        }
        let mut request = json!({
            "method": exchange.method.as_str(),
            "path": self.redactor.redact(&exchange.path),
        });
        if let Some(size) = &exchange.request_size {
            put(&mut request, "size", size.load(Ordering::Relaxed));
        }
        put(&mut line, "request", request);
        put(
            &mut line,
            "response",
            json!({"status": self.status(), "size": exchange.bytes}),
        );
        put(&mut line, "latencies", latencies(exchange));
        put(&mut line, "outcome", outcome(&exchange.outcome));
        if let Outcome::Failed(error) = &exchange.outcome {
            put(&mut line, "error", &*self.redactor.redact(error));
        }
        let (ai, cost) = self.plugins();
        if !ai.is_empty() {
            put(&mut line, "ai", ai);
        }
        if let Some(cost) = cost {
            put(&mut line, "cost", cost);
        }
        let mut line = line.to_string().into_bytes();
        line.push(b'\n');
        line
    }

    /// `ai`: what each plugin's LLM did; and, where a transformer's did too, what all of them cost together.
    fn plugins(&self) -> (Map<String, Value>, Option<f64>) {
        let exchange = self.exchange;
        let first = exchange.first_token_after.zip(exchange.sent_after);
        let proxy = exchange.log.as_deref().map(|material| {
            let part = Part {
                provider: exchange.provider,
                model: &exchange.model,
                answered_by: &exchange.answered_by,
                took: upstream_time(exchange),
                first_token: first.map(|(first, sent)| first.saturating_sub(sent)),
                usage: self.usage,
                material,
            };
            ("proxy", part)
        });
        let calls = exchange.calls.iter().zip(&exchange.call_logs);
        let calls = calls.zip(&self.call_usage);
        let calls = calls.filter_map(|((call, log), usage)| {
            Some((call.plugin, transformer(call, log.as_deref()?, *usage)))
        });
        let mut ai = Map::new();
        let mut costs = Vec::new();
        for (plugin, part) in proxy.into_iter().chain(calls) {
            let shown = self.part(&part);
            if shown.is_empty() {
                continue;
            }
            let of_usage = |usage: &Value| usage.get("cost").and_then(Value::as_f64);
            costs.extend(shown.get("usage").and_then(of_usage));
            ai.insert(plugin.into(), shown.into());
        }
        let total = costs.iter().sum();
        let asked = !exchange.calls.is_empty() && !costs.is_empty();
        (ai, asked.then_some(total))
    }

    /// `ai.proxy`, and each transformer's.
    fn part(&self, part: &Part<'_>) -> Map<String, Value> {
        let mut proxy = Map::new();
        let material = part.material;
        if material.statistics {
            proxy.insert("meta".into(), self.meta(part));
            if let Some(usage) = &part.usage {
                proxy.insert("usage".into(), usage_json(usage, part));
            }
        }
        if material.payloads {
            let payload = self.payload(material);
            if !payload.is_empty() {
                proxy.insert("payload".into(), payload.into());
            }
        }
        proxy
    }

    fn meta(&self, part: &Part<'_>) -> Value {
        let answered_by = match part.answered_by {
            "" => part.model,
            model => model,
        };
        let mut meta = json!({
            "provider_name": part.provider,
            "request_model": self.redactor.redact(part.model),
            "response_model": self.redactor.redact(answered_by),
            "request_mode": if part.material.stream { "stream" } else { "oneshot" },
            "llm_latency": millis(part.took),
        });
        for (key, value) in &part.material.meta {
            put(&mut meta, key, value.as_str());
        }
        meta
    }

    fn payload(&self, material: &Material) -> Map<String, Value> {
        let mut payload = Map::new();
        let mut body = |kept: &Kept, key: &str, cut_key: &str| {
            let text = String::from_utf8_lossy(kept.bytes());
            payload.insert(key.into(), self.shown(&text, kept.is_cut()));
            if kept.is_cut() {
                payload.insert(cut_key.into(), true.into());
            }
        };
        if let Some(request) = &material.request {
            body(request, "request", "request_truncated");
        }
        if let Some(response) = &material.response {
            body(response, "response", "response_truncated");
        } else if !material.said.shown().is_empty() {
            let said = material.said.shown();
            payload.insert("response".into(), self.shown(said.as_str(), said.is_cut()));
            if said.is_cut() {
                payload.insert("response_truncated".into(), true.into());
            }
        }
        payload
    }

    fn shown(&self, text: &str, cut: bool) -> Value {
        let shown = if cut {
            self.redactor.redact_cut(text)
        } else {
            self.redactor.redact(text)
        };
        Value::String(shown.into_owned())
    }

    fn status(&self) -> u16 {
        self.exchange.status.unwrap_or(CLIENT_LEFT)
    }

    /// The line for people: method, path, status, profile, model, tokens, time, and what went wrong.
    pub(super) fn sentence(&self) -> String {
        let exchange = self.exchange;
        let mut line = format!(
            "{} {} {} {}",
            exchange.method,
            self.redactor.redact(&exchange.path),
            self.status(),
            exchange.profile
        );
        // A `String` takes every write.
        if !exchange.model.is_empty() {
            let _ = write!(line, " {}", self.redactor.redact(&exchange.model));
        }
        if let Some(usage) = &self.usage {
            let about = if usage.estimated { "~" } else { "" };
            let _ = write!(line, " {about}{}+{} tokens", usage.prompt(), usage.output);
        }
        for (call, usage) in exchange.calls.iter().zip(&self.call_usage) {
            let Some(usage) = usage else { continue };
            let about = if usage.estimated { "~" } else { "" };
            let (prompt, output, plugin) = (usage.prompt(), usage.output, call.plugin);
            let _ = write!(line, ", {about}{prompt}+{output} tokens of {plugin}");
        }
        let _ = write!(line, " {:.2} s", exchange.took.as_secs_f64());
        match &exchange.outcome {
            Outcome::Completed => {}
            Outcome::Cancelled => line.push_str(" cancelled by the client"),
            Outcome::Failed(error) => {
                let error = self.redactor.redact(error);
                let _ = write!(line, " failed: ");
                line.extend(error.chars().take(SHORT_ERROR));
                if error.chars().count() > SHORT_ERROR {
                    line.push('…');
                }
            }
        }
        line.chars()
            .map(|c| if steers(c) { ' ' } else { c })
            .collect()
    }
}

/// What a transformer's LLM did.
fn transformer<'a>(call: &'a LlmCall, log: &'a CallLog, usage: Option<Usage>) -> Part<'a> {
    Part {
        provider: &call.provider,
        model: &call.model,
        answered_by: &log.answered_by,
        took: call.took,
        first_token: None,
        usage,
        material: &log.material,
    }
}

fn usage_json(usage: &Usage, part: &Part<'_>) -> Value {
    let material = part.material;
    let mut json = json!({
        "prompt_tokens": usage.prompt(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
    });
    if usage.cache_read > 0 || usage.cache_write > 0 {
        put(
            &mut json,
            "prompt_tokens_details",
            json!({"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}),
        );
    }
    if usage.reasoning > 0 {
        put(
            &mut json,
            "completion_tokens_details",
            json!({"reasoning_tokens": usage.reasoning}),
        );
    }
    // Whole milliseconds, and of the whole time upstream, as in Kong.
    let per_token = millis(part.took).checked_div(usage.output);
    put(&mut json, "time_per_token", per_token.unwrap_or_default());
    if let Some(first) = part.first_token.filter(|_| material.stream) {
        put(&mut json, "time_to_first_token", millis(first));
    }
    if let Some(cost) = cost(usage, material.input_cost, material.output_cost) {
        put(&mut json, "cost", cost);
    }
    if usage.estimated {
        put(&mut json, "estimated", true);
    }
    json
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
    }
}

/// Kong's four: all of it, its own part, the wait for the upstream's headers (-1 without any), and the answer's arrival.
fn latencies(exchange: &Exchange) -> Value {
    let sent = exchange.sent_after.unwrap_or(exchange.took);
    let waited = exchange
        .headers_after
        .map(|headers| headers.saturating_sub(sent));
    let receive = exchange.headers_after.map_or(Duration::ZERO, |headers| {
        exchange.took.saturating_sub(headers)
    });
    json!({
        "request": millis(exchange.took),
        "kong": millis(sent + receive),
        "proxy": waited.map_or(-1, |waited| i64::try_from(waited.as_millis()).unwrap_or(i64::MAX)),
        "receive": millis(receive),
    })
}

/// From the request's way upstream to the end.
fn upstream_time(exchange: &Exchange) -> Duration {
    exchange
        .sent_after
        .map_or(Duration::ZERO, |sent| exchange.took.saturating_sub(sent))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn put(json: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = json {
        fields.insert(key.to_owned(), value.into());
    }
}

/// Controls, and the invisible characters that turn the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
