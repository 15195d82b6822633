//! Whole answers. They are read where chunks are: `stream/decoder.rs`.

use serde_json::{Value, json};

use super::{citations, finish_reason, logprobs, usage_json};
use crate::{
    dialect::put,
    llm::{ChatResponse, Choice, Part},
};

/// vLLM's field for the stop sequence that was met; OpenAI has none.
pub(super) const STOP_REASON: &str = "stop_reason";

/// Writes a chat completion.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choices: Vec<Value> = response
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let has = |which: fn(&Part) -> bool| choice.parts.iter().any(which);
            let refused = has(|part| matches!(part, Part::Refusal(_)))
                && !has(|part| matches!(part, Part::Text(_)));
            let mut json = json!({
                "index": index,
                "message": message(choice),
                "logprobs": logprobs::write(&choice.logprobs, refused),
                "finish_reason": choice.finish.map(finish_reason),
            });
            if let Some(sequence) = &choice.stopped {
                put(&mut json, STOP_REASON, sequence.as_str());
            }
            json
        })
        .collect();
    let mut json = json!({
        "id": response.id,
        "object": "chat.completion",
        "created": response.created.unwrap_or_default(),
        "model": response.model,
        "system_fingerprint": response.fingerprint,
        "choices": choices,
    });
    if let Some(usage) = response.usage {
        put(&mut json, "usage", usage_json(usage));
    }
    // Kong passes Bedrock's `trace` on beside the answer.
    let extra = response.extra.iter().flat_map(|extra| &extra.fields);
    for (key, value) in extra {
        put(&mut json, key, value.clone());
    }
    json.to_string().into_bytes()
}

/// Fields beyond role and content are there only if they say something: Kong's answers have no others.
fn message(choice: &Choice) -> Value {
    let (mut content, mut refusal, mut reasoning) = (None, None, None);
    let (mut calls, mut thoughts, mut signatures) = (Vec::new(), Vec::new(), false);
    let add = |to: &mut Option<String>, text: &str| to.get_or_insert_default().push_str(text);
    for part in &choice.parts {
        match part {
            Part::Text(text) => add(&mut content, text),
            Part::Refusal(text) => add(&mut refusal, text),
            Part::Thinking { text, signature } => {
                if !text.is_empty() {
                    add(&mut reasoning, text);
                }
                let mut block = json!({"type": "thinking", "thinking": text});
                if let Some(signature) = signature {
                    put(&mut block, "signature", signature.as_str());
                    signatures = true;
                }
                thoughts.push(block);
            }
            Part::Redacted(data) => {
                thoughts.push(json!({"type": "redacted_thinking", "data": data}));
                signatures = true;
            }
            Part::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
                if let Some(signature) = signature {
                    signed(&mut call, signature);
                }
                calls.push(call);
            }
            _ => {}
        }
    }
    // `null` says that there is something else instead.
    if content.is_none() && refusal.is_none() && calls.is_empty() {
        content = Some(String::new());
    }
    let mut message = json!({"role": "assistant", "content": content});
    if let Some(refusal) = refusal {
        put(&mut message, "refusal", refusal);
    }
    if let Some(reasoning) = reasoning {
        put(&mut message, "reasoning_content", reasoning);
    }
    if signatures {
        put(&mut message, "thinking_blocks", thoughts);
    }
    if !calls.is_empty() {
        put(&mut message, "tool_calls", calls);
    }
    if !choice.citations.is_empty() {
        let annotations: Vec<Value> = choice.citations.iter().map(citations::write).collect();
        put(&mut message, "annotations", annotations);
    }
    message
}

/// Puts Gemini's proof on a call, where Google's own endpoint has it:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
pub(super) fn signed(call: &mut Value, signature: &str) {
    put(
        call,
        "extra_content",
        json!({"google": {"thought_signature": signature}}),
    );
}

#[cfg(test)]
mod tests;
