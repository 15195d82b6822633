//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>.
//!
//! A prompt is one user message; the answer is told by the same script as chat's.

use serde_json::Value;

use super::{
    fault::{self, Refusal},
    model::{Behaviour, Speech},
    reply,
    words::Hash,
};
use crate::llm::{ChatRequest, ChatResponse, Message, Part, Role, Usage};

/// Most prompts of one request, as OpenAI has it for choices.
const MAX_PROMPTS: usize = 128;

/// The whole answer to a completions request: `n` choices for each prompt.
pub(super) fn reply(
    mut request: ChatRequest,
    behaviour: Behaviour,
) -> Result<ChatResponse, Refusal> {
    let fields = request
        .extra
        .take()
        .map(|extra| extra.fields)
        .unwrap_or_default();
    let prompts = prompts(fields.get("prompt"));
    if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
        let why = format!("expected a string, a list of up to {MAX_PROMPTS} strings, or tokens.");
        return Err(fault::invalid("prompt", &why, "invalid_value"));
    }
    let echo = fields
        .get("echo")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    // Completions know neither tools nor reasoning.
    request.tools.clear();
    request.tool_choice = None;
    let speech = if behaviour.speech == Speech::Reasoning {
        Speech::Prose
    } else {
        behaviour.speech
    };
    let behaviour = Behaviour {
        speech,
        ..behaviour
    };
    let (mut all, mut hash, mut size) = (ChatResponse::default(), Hash::new(), 0);
    let mut usage = Usage::default();
    for prompt in prompts {
        request.messages = vec![Message::text(Role::User, prompt.clone())];
        let mut one = reply::reply(&request, behaviour)?;
        hash.add(one.id.as_bytes());
        size += one
            .choices
            .iter()
            .map(|choice| {
                choice
                    .parts
                    .iter()
                    .map(reply::spoken)
                    .map(str::len)
                    .sum::<usize>()
            })
            .sum::<usize>();
        size += if echo {
            prompt.len() * one.choices.len()
        } else {
            0
        };
        if size > reply::MAX_ANSWER {
            return Err(reply::too_long());
        }
        for choice in one.choices.iter_mut().filter(|_| echo) {
            choice.parts.insert(0, Part::Text(prompt.clone()));
        }
        let counts = one.usage.take();
        usage.input += counts.map_or(0, |counts| counts.input);
        usage.output += counts.map_or(0, |counts| counts.output);
        all.usage = counts.map(|_| usage);
        all.created = one.created;
        all.model = one.model;
        all.choices.append(&mut one.choices);
    }
    all.id = format!("cmpl-mock{:016x}", hash.value());
    Ok(all)
}

/// The prompts: a text, texts, tokens or lists of tokens. Tokens are told as numbers.
fn prompts(prompt: Option<&Value>) -> Vec<String> {
    let tokens = |tokens: &[Value]| {
        let numbers: Option<Vec<String>> = tokens
            .iter()
            .map(|token| token.as_u64().map(|token| token.to_string()))
            .collect();
        numbers
            .filter(|numbers| !numbers.is_empty())
            .map(|numbers| numbers.join(" "))
    };
    match prompt {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => match tokens(items) {
            Some(prompt) => vec![prompt],
            None => {
                let each = items.iter().map(|item| match item {
                    Value::String(text) => Some(text.clone()),
                    Value::Array(item) => tokens(item),
                    _ => None,
                });
                each.collect::<Option<Vec<String>>>().unwrap_or_default()
            }
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prompts_come_in_four_forms() {
        let of = |json: Value| prompts(Some(&json));
        assert_eq!(of(json!("a")), ["a"]);
        assert_eq!(of(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(of(json!([1, 2])), ["1 2"]);
        assert_eq!(of(json!([[1, 2], [3]])), ["1 2", "3"]);
        for json in [
            json!([]),
            json!([[]]),
            json!([1, "a"]),
            json!({}),
            json!(null),
            json!([-1]),
        ] {
            assert!(of(json.clone()).is_empty(), "{json}");
        }
    }
}
