//! Whole answers and errors.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{Error, Fault, Shape, done_reason, finish};
use crate::{
    dialect::{
        put,
        text::{Text, count},
        time,
    },
    llm::{ChatResponse, Choice, Finish, Logprob, Part, Usage},
};

/// An answer, or one line of a stream; of chat or of generate.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) created_at: Text<'a>,
    #[serde(borrow)]
    pub(super) message: Option<Said<'a>>,
    /// Of generate.
    #[serde(borrow)]
    response: Option<Text<'a>>,
    /// Of generate.
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(default)]
    pub(super) done: bool,
    #[serde(borrow, default)]
    pub(super) done_reason: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: u64,
    #[serde(default, deserialize_with = "count")]
    eval_count: u64,
    pub(super) logprobs: Option<Vec<WireLogprob>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// `message`.
#[derive(Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow, default)]
    pub(super) content: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct WireLogprob {
    #[serde(default)]
    token: String,
    #[serde(default)]
    logprob: f64,
    bytes: Option<Vec<u8>>,
    top_logprobs: Option<Vec<WireLogprob>>,
}

impl From<WireLogprob> for Logprob {
    fn from(wire: WireLogprob) -> Logprob {
        Logprob {
            token: wire.token,
            logprob: wire.logprob,
            bytes: wire.bytes,
            top: wire
                .top_logprobs
                .into_iter()
                .flatten()
                .map(Into::into)
                .collect(),
        }
    }
}

impl<'a> Line<'a> {
    /// What was said, wherever it stands; `None`: the line says nothing at all.
    pub(super) fn said(&mut self) -> Option<Said<'a>> {
        match (self.message.take(), self.response.take()) {
            (Some(said), _) => Some(said),
            (None, Some(content)) => Some(Said {
                content,
                thinking: std::mem::take(&mut self.thinking),
                tool_calls: None,
            }),
            (None, None) if self.thinking.0.is_some() || self.done => Some(Said {
                thinking: std::mem::take(&mut self.thinking),
                ..Said::default()
            }),
            (None, None) => None,
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        (self.prompt_eval_count > 0 || self.eval_count > 0).then(|| Usage {
            input: self.prompt_eval_count,
            output: self.eval_count,
            ..Usage::default()
        })
    }

    /// The error's text, if the line is one.
    pub(super) fn error(&self) -> Option<String> {
        let error = self.error.filter(|error| error.get() != "null")?;
        let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
        let message = json
            .as_str()
            .or_else(|| json.get("message").and_then(Value::as_str));
        Some(message.unwrap_or_else(|| error.get()).to_owned())
    }
}

impl<'a> Call<'a> {
    /// Id, name and arguments. `seed` makes ids of different answers differ where the provider gives none.
    pub(super) fn read(self, seed: &str, number: usize) -> (Cow<'a, str>, Cow<'a, str>, String) {
        let (name, raw) = self.function.map_or((Cow::default(), None), |function| {
            (function.name.or_empty(), function.arguments)
        });
        let arguments = arguments(raw);
        let id = self
            .id
            .filled()
            .unwrap_or_else(|| Cow::Owned(call_id(seed, number, &name, &arguments)));
        (id, name, arguments)
    }
}

/// Arguments are an object; some servers send it as text. Never empty.
fn arguments(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return "{}".into();
    };
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) if text.trim().is_empty() => "{}".into(),
        Ok(text) => text,
        Err(_) => raw.get().to_owned(),
    }
}

/// An id for a call that came without one: always the same for the same call, another for another (FNV-1a over all that tells them apart).
pub(super) fn call_id(seed: &str, number: usize, name: &str, arguments: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in [seed, &number.to_string(), name, arguments] {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("call_{hash:016x}")
}

/// Reads an answer of chat or generate.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let mut line: Line<'_> = crate::dialect::text::json(body)?;
    if let Some(error) = line.error() {
        return Err(Error::Malformed(error));
    }
    let Some(said) = line.said() else {
        return Err(Error::Malformed("failed to decode ollama response".into()));
    };
    let created_at = std::mem::take(&mut line.created_at).or_empty();
    let mut parts = Vec::new();
    if let Some(text) = said.thinking.filled() {
        parts.push(Part::Thinking {
            text: text.into_owned(),
            signature: None,
        });
    }
    if let Some(text) = said.content.filled() {
        parts.push(Part::Text(text.into_owned()));
    }
    let mut called = false;
    for (number, call) in said.tool_calls.into_iter().flatten().enumerate() {
        let (id, name, arguments) = call.read(&created_at, number);
        called = true;
        parts.push(Part::ToolCall {
            id: id.into_owned(),
            name: name.into_owned(),
            arguments,
            signature: None,
        });
    }
    let usage = line.usage();
    Ok(ChatResponse {
        model: line.model.or_empty().into_owned(),
        created: time::seconds(&created_at).filter(|seconds| *seconds > 0),
        choices: vec![Choice {
            parts,
            finish: Some(finish(&line.done_reason.or_empty(), called)),
            logprobs: line
                .logprobs
                .into_iter()
                .flatten()
                .map(Into::into)
                .collect(),
            ..Choice::default()
        }],
        usage,
        ..ChatResponse::default()
    })
}

/// Writes an answer: the first choice, Ollama has one.
pub(super) fn encode(response: &ChatResponse, shape: Shape) -> Vec<u8> {
    let (mut content, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    let choice = response.choices.first();
    for part in choice.into_iter().flat_map(|choice| &choice.parts) {
        match part {
            Part::Text(text) | Part::Refusal(text) => content.push_str(text),
            Part::Thinking { text, .. } => thinking.push_str(text),
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => calls.push(encode_call(id, name, arguments, calls.len())),
            _ => {}
        }
    }
    let mut json = head(&response.model, response.created);
    say(&mut json, shape, &content, &thinking, calls);
    let choice = choice.cloned().unwrap_or_default();
    if !choice.logprobs.is_empty() {
        put(&mut json, "logprobs", logprobs(&choice.logprobs));
    }
    let finish = choice.finish.unwrap_or(Finish::Stop);
    put_end(&mut json, finish, response.usage);
    json.to_string().into_bytes()
}

/// What every line begins with.
pub(super) fn head(model: &str, created: Option<u64>) -> Value {
    json!({"model": model, "created_at": time::stamp(created.unwrap_or_default())})
}

/// What a line says.
pub(super) fn say(
    json: &mut Value,
    shape: Shape,
    content: &str,
    thinking: &str,
    calls: Vec<Value>,
) {
    let mut message = json!({"role": "assistant", "content": content});
    let said = match shape {
        Shape::Chat => &mut message,
        Shape::Generate => {
            put(json, "response", content);
            &mut *json
        }
    };
    if !thinking.is_empty() {
        put(said, "thinking", thinking);
    }
    if shape == Shape::Chat {
        if !calls.is_empty() {
            put(said, "tool_calls", calls);
        }
        put(json, "message", message);
    }
}

pub(super) fn encode_call(id: &str, name: &str, arguments: &str, index: usize) -> Value {
    let arguments = serde_json::from_str::<Map<String, Value>>(arguments).map_or_else(
        // Malformed arguments stay visible.
        |_| match arguments.trim() {
            "" => json!({}),
            text => json!({"arguments": text}),
        },
        Value::Object,
    );
    json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments}})
}

pub(super) fn logprobs(tokens: &[Logprob]) -> Vec<Value> {
    let one = |token: &Logprob| {
        let mut json = json!({"token": token.token, "logprob": token.logprob});
        if let Some(bytes) = &token.bytes {
            put(&mut json, "bytes", bytes.clone());
        }
        json
    };
    tokens
        .iter()
        .map(|token| {
            let mut json = one(token);
            if !token.top.is_empty() {
                put(
                    &mut json,
                    "top_logprobs",
                    token.top.iter().map(one).collect::<Vec<_>>(),
                );
            }
            json
        })
        .collect()
}

/// What only the last line has.
pub(super) fn put_end(json: &mut Value, finish: Finish, usage: Option<Usage>) {
    put(json, "done", true);
    if let Some(reason) = done_reason(finish) {
        put(json, "done_reason", reason);
    }
    if let Some(usage) = usage {
        put(json, "prompt_eval_count", usage.prompt());
        put(json, "eval_count", usage.output);
    }
}

/// Writes `{"error": "..."}`.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    json!({"error": fault.message}).to_string().into_bytes()
}
