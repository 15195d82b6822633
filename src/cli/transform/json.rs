//! A run for programs.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::Run;
use crate::{
    exchange::{LlmCall, Snapshot, told},
    llm::Usage,
    term::{Problem, Term},
};

#[derive(Serialize)]
struct Told<'a> {
    profile: &'a str,
    ok: bool,
    stages: Vec<Stage<'a>>,
    calls: Vec<Call<'a>>,
    warnings: &'a [String],
    /// Of all calls; absent if no LLM was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Tokens>,
    /// USD for all calls with prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    headers: Map<String, Value>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Serialize)]
struct Call<'a> {
    plugin: &'static str,
    provider: &'a str,
    model: &'a str,
    url: &'a str,
    headers: Map<String, Value>,
    request: Box<RawValue>,
    status: Option<u16>,
    answer: Option<&'a str>,
    pattern: Option<&'a str>,
    matched: Option<&'a str>,
    usage: Option<Tokens>,
    took_ms: u128,
    cost: Option<f64>,
    error: Option<&'a str>,
}

/// Token counts under OpenAI's names.
#[derive(Serialize)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    estimated: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: u16,
    message: &'a str,
}

/// A body: an object or array as it is, other text as a string, other bytes coded.
#[derive(Serialize)]
enum Body {
    #[serde(rename = "body")]
    Plain(Box<RawValue>),
    #[serde(rename = "body_base64")]
    Coded(String),
}

pub(super) fn print(run: &Run, term: &Term) -> Result<(), Problem> {
    let failed = |error: serde_json::Error| Problem::new(format!("cannot write JSON: {error}"));
    let usages: Vec<Usage> = run.calls.iter().filter_map(|call| call.usage).collect();
    let costs: Vec<f64> = run.calls.iter().filter_map(|call| call.cost).collect();
    let told = Told {
        profile: &run.profile,
        ok: run.failure.is_none(),
        stages: run.stages.iter().map(stage).collect(),
        calls: run
            .calls
            .iter()
            .map(call)
            .collect::<Result<_, _>>()
            .map_err(failed)?,
        warnings: &run.warnings,
        usage: (!usages.is_empty()).then(|| Tokens {
            prompt_tokens: usages.iter().map(Usage::prompt).sum(),
            completion_tokens: usages.iter().map(|usage| usage.output).sum(),
            total_tokens: usages.iter().map(Usage::total).sum(),
            estimated: usages.iter().any(|usage| usage.estimated),
        }),
        cost: (!costs.is_empty()).then(|| costs.iter().sum()),
        error: run.failure.as_ref().map(|failure| Failure {
            status: failure.status,
            message: &failure.message,
        }),
    };
    let text = serde_json::to_string_pretty(&told).map_err(failed)?;
    term.json(&text)?;
    Ok(())
}

fn stage(snapshot: &Snapshot) -> Stage<'_> {
    Stage {
        stage: snapshot.stage.name(),
        method: snapshot.method.as_ref().map(http::Method::as_str),
        url: snapshot.url.as_deref(),
        status: snapshot.status,
        headers: headers(&snapshot.headers),
        body: body(&snapshot.body),
    }
}

fn call(call: &LlmCall) -> serde_json::Result<Call<'_>> {
    Ok(Call {
        plugin: call.plugin,
        provider: &call.provider,
        model: &call.model,
        url: &call.url,
        headers: headers(&call.headers),
        request: match body(&call.request) {
            Body::Plain(json) => json,
            Body::Coded(text) => serde_json::value::to_raw_value(&text)?,
        },
        status: call.status,
        answer: call.answer.as_deref(),
        pattern: call.pattern.as_deref(),
        matched: call.matched.as_deref(),
        usage: call.usage.map(|usage| Tokens {
            prompt_tokens: usage.prompt(),
            completion_tokens: usage.output,
            total_tokens: usage.total(),
            estimated: usage.estimated,
        }),
        took_ms: call.took.as_millis(),
        cost: call.cost,
        error: call.error.as_deref(),
    })
}

/// Names and values; a header that comes several times has a list of values.
pub(super) fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut out = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let values: Vec<String> = values.collect();
        let value = match values.as_slice() {
            [one] => Value::from(one.as_str()),
            _ => Value::from(values),
        };
        out.insert(name.as_str().to_owned(), value);
    }
    out
}

fn body(bytes: &[u8]) -> Body {
    told::body(bytes).map_or_else(|| Body::Coded(STANDARD.encode(bytes)), Body::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_keep_their_form() {
        for (bytes, expected) in [
            (&b" {\"a\": 1.00}\n"[..], r#"{"body":{"a": 1.00}}"#),
            (b"5", r#"{"body":"5"}"#),
            (b"[1", r#"{"body":"[1"}"#),
            (b"\xff\x00", r#"{"body_base64":"/wA="}"#),
            (b"", r#"{"body":""}"#),
        ] {
            let body = body(bytes);
            assert_eq!(serde_json::to_string(&body).unwrap(), expected);
        }
    }
}
