//! Whole answers, of all the APIs.

use serde_json::{Map, Value, json};

use super::{
    Api, citation, each, failed, finish, finish_reason,
    request::{arguments, contents, said},
    string,
};
use crate::{
    dialect::{Error, put},
    llm::{ChatResponse, Choice, Finish, Logprob, Part, Usage},
};

/// Reads an answer. The shape tells the API, as in Kong: `text` is v1's chat, `generations` are completions, a `message` is v2's chat. The
/// wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|_| Error::Malformed("failed to decode cohere response".into()))?;
    let choices = if let Some(Value::Array(generations)) = json.get("generations") {
        generations.iter().map(generation).collect()
    } else if json.get("text").is_some_and(Value::is_string) {
        vec![chat_v1(&json)]
    } else if json.get("message").is_some_and(Value::is_object) {
        vec![chat_v2(&json)?]
    } else {
        return Err(Error::Malformed(
            "'text' or 'generations' missing from cohere response body".into(),
        ));
    };
    let reason = string(&json, "finish_reason");
    if let Some((_, _, what)) = failed(reason)
        && choices.iter().all(|choice| choice.parts.is_empty())
    {
        return Err(Error::Malformed(what.into()));
    }
    Ok(ChatResponse {
        id: id(&json).into(),
        choices,
        usage: usage(&json),
        ..ChatResponse::default()
    })
}

/// v1's chat has two ids; Kong takes the generation's.
pub(super) fn id(json: &Value) -> &str {
    ["generation_id", "response_id", "id"]
        .into_iter()
        .map(|key| string(json, key))
        .find(|id| !id.is_empty())
        .unwrap_or_default()
}

fn reason(json: &Value) -> Option<Finish> {
    let reason = string(json, "finish_reason");
    (!reason.is_empty()).then(|| finish(reason))
}

fn generation(wire: &Value) -> Choice {
    let mut choice = Choice {
        finish: reason(wire).or(Some(Finish::Stop)),
        ..Choice::default()
    };
    let text = string(wire, "text");
    if !text.is_empty() {
        choice.parts.push(Part::Text(text.into()));
    }
    for token in each(wire.get("token_likelihoods")) {
        if let Some(logprob) = token.get("likelihood").and_then(Value::as_f64) {
            choice.logprobs.push(Logprob {
                token: string(token, "token").into(),
                logprob,
                ..Logprob::default()
            });
        }
    }
    choice
}

fn chat_v1(json: &Value) -> Choice {
    let mut choice = Choice::default();
    let text = string(json, "text");
    if !text.is_empty() {
        choice.parts.push(Part::Text(text.into()));
    }
    for (index, call) in each(json.get("tool_calls")).iter().enumerate() {
        choice.parts.push(Part::ToolCall {
            id: format!("call_{index}"),
            name: string(call, "name").into(),
            arguments: arguments(call.get("parameters")),
            signature: None,
        });
    }
    choice.finish = Some(ended(&choice, reason(json)));
    let documents = each(json.get("documents"));
    for wire in each(json.get("citations")) {
        citation::read_v1(wire, documents, &mut choice.citations);
    }
    choice
}

fn chat_v2(json: &Value) -> Result<Choice, Error> {
    let message = json.get("message").unwrap_or(&Value::Null);
    let mut choice = Choice::default();
    contents(message.get("content"), &mut choice.parts).map_err(Error::Malformed)?;
    choice.parts.retain(|part| match part {
        Part::Text(text) | Part::Thinking { text, .. } => !text.is_empty(),
        _ => true,
    });
    said(message, &mut choice.parts);
    choice.finish = Some(ended(&choice, reason(json)));
    for wire in each(message.get("citations")) {
        citation::read_v2(wire, &mut choice.citations);
    }
    for wire in each(json.get("logprobs")) {
        choice.logprobs.extend(logprob(wire));
    }
    Ok(choice)
}

/// An answer that calls tools ends for them, even where Cohere says only that it is complete.
fn ended(choice: &Choice, reason: Option<Finish>) -> Finish {
    let calls = choice
        .parts
        .iter()
        .any(|part| matches!(part, Part::ToolCall { .. }));
    match reason {
        None | Some(Finish::Stop) if calls => Finish::ToolCalls,
        None => Finish::Stop,
        Some(reason) => reason,
    }
}

/// A piece of text with the probabilities of its tokens: their product is its own.
pub(super) fn logprob(wire: &Value) -> Option<Logprob> {
    let tokens = wire.get("logprobs")?.as_array()?;
    Some(Logprob {
        token: string(wire, "text").into(),
        logprob: tokens.iter().filter_map(Value::as_f64).sum(),
        ..Logprob::default()
    })
}

/// Writes one of v2's `logprobs`; the tokens' numbers are not known.
pub(super) fn logprob_json(token: &Logprob) -> Value {
    json!({"text": token.token, "token_ids": [], "logprobs": [token.logprob]})
}

/// Token counts: v2's `usage`, v1's `meta`. Billed units come first, as in Kong; they leave out Cohere's own additions to the prompt, which
/// `tokens` has. `cached_tokens` are counted among `tokens`, so they say nothing about what is billed.
pub(super) fn usage(json: &Value) -> Option<Usage> {
    let holder = json.get("usage").or_else(|| json.get("meta"));
    let pair = |value: Option<&Value>, input: &str, output: &str| {
        let value = value?;
        let count = |key: &str| {
            let number = value.get(key)?;
            // Cohere writes counts as `3.0` as well.
            number
                .as_u64()
                .or_else(|| number.as_f64().map(|n| n as u64))
        };
        match (count(input), count(output)) {
            (None, None) => None,
            (input, output) => Some((input.unwrap_or_default(), output.unwrap_or_default())),
        }
    };
    let part = |key: &str| pair(holder?.get(key), "input_tokens", "output_tokens");
    if let Some((input, output)) = part("billed_units") {
        return Some(Usage {
            input,
            output,
            ..Usage::default()
        });
    }
    let counts = part("tokens")
        .or_else(|| pair(json.get("token_count"), "prompt_tokens", "response_tokens"))?;
    let cached = holder
        .and_then(|holder| holder.get("cached_tokens"))
        .and_then(Value::as_f64)
        .map_or(0, |cached| cached as u64)
        .min(counts.0);
    Some(Usage {
        input: counts.0 - cached,
        cache_read: cached,
        output: counts.1,
        ..Usage::default()
    })
}

/// v2's `usage`, and the counts in v1's `meta`.
pub(super) fn usage_json(usage: Usage) -> Value {
    let counts = json!({"input_tokens": usage.prompt(), "output_tokens": usage.output});
    let mut json = json!({"billed_units": counts, "tokens": counts});
    if usage.cache_read > 0 {
        put(&mut json, "cached_tokens", usage.cache_read);
    }
    json
}

/// v1's `meta`.
fn meta(usage: Option<Usage>) -> Value {
    let mut meta = usage.map_or_else(|| json!({}), usage_json);
    put(&mut meta, "api_version", json!({"version": "1"}));
    meta
}

fn first(response: &ChatResponse) -> Choice {
    response.choices.first().cloned().unwrap_or_default()
}

/// The text of a choice.
pub(super) fn text(choice: &Choice) -> String {
    choice
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Writes v2's answer.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choice = first(response);
    let (mut content, mut calls) = (Vec::new(), Vec::new());
    for part in &choice.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                content.push(json!({"type": "text", "text": text}));
            }
            Part::Thinking { text, .. } if !text.is_empty() => {
                content.push(json!({"type": "thinking", "thinking": text}));
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let function = json!({"name": name, "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            _ => {}
        }
    }
    let mut message = json!({"role": "assistant"});
    let plan = if calls.is_empty() {
        None
    } else {
        content
            .pop_if(|block| string(block, "type") == "text")
            .and_then(|mut block| block.get_mut("text").map(Value::take))
    };
    if !content.is_empty() || calls.is_empty() {
        put(&mut message, "content", content);
    }
    if let Some(plan) = plan {
        put(&mut message, "tool_plan", plan);
    }
    if !calls.is_empty() {
        put(&mut message, "tool_calls", calls);
    }
    if !choice.citations.is_empty() {
        let text = text(&choice);
        let citations: Vec<Value> = choice
            .citations
            .iter()
            .enumerate()
            .map(|(number, citation)| citation::write_v2(citation, number, &text))
            .collect();
        put(&mut message, "citations", citations);
    }
    let mut json = json!({
        "id": response.id,
        "finish_reason": finish_reason(choice.finish, Api::V2),
        "message": message,
    });
    if let Some(usage) = response.usage {
        put(&mut json, "usage", usage_json(usage));
    }
    if !choice.logprobs.is_empty() {
        let logprobs: Vec<Value> = choice.logprobs.iter().map(logprob_json).collect();
        put(&mut json, "logprobs", logprobs);
    }
    json.to_string().into_bytes()
}

/// v1's calls: the parameters are an object, and there is no id.
pub(super) fn calls_v1(choice: &Choice) -> Vec<Value> {
    choice
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolCall {
                name, arguments, ..
            } => {
                let parameters = serde_json::from_str(arguments)
                    .unwrap_or_else(|_| Value::String(arguments.clone()));
                Some(json!({"name": name, "parameters": parameters}))
            }
            _ => None,
        })
        .collect()
}

/// Writes v1's answer to a chat.
pub(super) fn encode_v1(response: &ChatResponse) -> Value {
    let choice = first(response);
    let text = text(&choice);
    let mut json = json!({
        "response_id": response.id,
        "generation_id": response.id,
        "text": text,
        "finish_reason": finish_reason(choice.finish, Api::V1),
        "meta": meta(response.usage),
    });
    let calls = calls_v1(&choice);
    if !calls.is_empty() {
        put(&mut json, "tool_calls", calls);
    }
    if !choice.citations.is_empty() {
        let (mut citations, mut documents) = (Vec::new(), Map::new());
        for (number, citation) in choice.citations.iter().enumerate() {
            let (wire, document) = citation::write_v1(citation, number, &text);
            citations.push(wire);
            documents.insert(string(&document, "id").to_owned(), document);
        }
        let documents: Vec<Value> = documents
            .into_iter()
            .map(|(_, document)| document)
            .collect();
        put(&mut json, "citations", citations);
        put(&mut json, "documents", documents);
    }
    json
}

/// Writes an answer to a completion.
pub(super) fn encode_generations(response: &ChatResponse) -> Value {
    let generations: Vec<Value> = response
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let mut generation = json!({
                "id": format!("{}-{index}", response.id),
                "index": index,
                "text": text(choice),
                "finish_reason": finish_reason(choice.finish, Api::Generate),
            });
            if !choice.logprobs.is_empty() {
                let tokens: Vec<Value> = choice
                    .logprobs
                    .iter()
                    .map(|token| json!({"token": token.token, "likelihood": token.logprob}))
                    .collect();
                put(&mut generation, "token_likelihoods", tokens);
            }
            generation
        })
        .collect();
    json!({
        "id": response.id,
        "prompt": "",
        "generations": generations,
        "meta": meta(response.usage),
    })
}
