//! Whole answers.

use serde_json::{Value, json};

use super::finish_reason;
use crate::{
    dialect::{
        openai_chat::{usage_json, write_flat},
        put,
    },
    llm::{ChatResponse, Part},
};

/// Writes a completion: the texts, and nothing else that an answer of chat may hold.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choices: Vec<Value> = response
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let texts = choice.parts.iter().filter_map(|part| match part {
                Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
                _ => None,
            });
            json!({
                "text": texts.collect::<String>(),
                "index": index,
                "logprobs": write_flat(&choice.logprobs, &mut 0),
                "finish_reason": choice.finish.map(finish_reason),
            })
        })
        .collect();
    let mut body = json!({
        "id": response.id,
        "object": "text_completion",
        "created": response.created.unwrap_or_default(),
        "model": response.model,
        "choices": choices,
    });
    if let Some(fingerprint) = &response.fingerprint {
        put(&mut body, "system_fingerprint", fingerprint.as_str());
    }
    if let Some(usage) = response.usage {
        put(&mut body, "usage", usage_json(usage));
    }
    body.to_string().into_bytes()
}
