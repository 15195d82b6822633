//! Token counts, both ways.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    dialect::{put, text::count},
    llm::Usage as Counts,
};

/// `usage` of chat, completions and embeddings, with the fields that providers add.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dialect) struct Usage {
    #[serde(deserialize_with = "count")]
    prompt_tokens: u64,
    #[serde(deserialize_with = "count")]
    completion_tokens: u64,
    #[serde(deserialize_with = "count")]
    total_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name: <https://api-docs.deepseek.com/guides/kv_cache>.
    #[serde(deserialize_with = "count")]
    prompt_cache_hit_tokens: u64,
    /// Moonshot's: <https://platform.moonshot.ai/docs/api/chat>.
    #[serde(deserialize_with = "count")]
    cached_tokens: u64,
    /// Our own mark.
    estimated: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    #[serde(deserialize_with = "count")]
    cached_tokens: u64,
    /// OpenRouter's: <https://openrouter.ai/docs/use-cases/usage-accounting>.
    #[serde(deserialize_with = "count")]
    cache_write_tokens: u64,
    /// LiteLLM's.
    #[serde(deserialize_with = "count")]
    cache_creation_tokens: u64,
    #[serde(deserialize_with = "count")]
    audio_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    #[serde(deserialize_with = "count")]
    reasoning_tokens: u64,
    #[serde(deserialize_with = "count")]
    audio_tokens: u64,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Counts {
        let prompt = usage.prompt_tokens_details.unwrap_or_default();
        let completion = usage.completion_tokens_details.unwrap_or_default();
        // OpenAI's prompt count includes what came from the cache (TRAPS 1.14), and what OpenRouter and LiteLLM say went into it.
        let cache_read = prompt
            .cached_tokens
            .max(usage.prompt_cache_hit_tokens)
            .max(usage.cached_tokens)
            .min(usage.prompt_tokens);
        let cache_write = prompt
            .cache_write_tokens
            .max(prompt.cache_creation_tokens)
            .min(usage.prompt_tokens - cache_read);
        // xAI counts reasoning beside the completion:
        // https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning. The total tells.
        let (output, reasoning) = (usage.completion_tokens, completion.reasoning_tokens);
        let sum = usage.prompt_tokens.saturating_add(output);
        let apart = reasoning > output || usage.total_tokens == sum.saturating_add(reasoning);
        Counts {
            input: usage.prompt_tokens - cache_read - cache_write,
            cache_read,
            cache_write,
            output: if apart {
                output.saturating_add(reasoning)
            } else {
                output
            },
            reasoning,
            input_audio: prompt.audio_tokens,
            output_audio: completion.audio_tokens,
            estimated: usage.estimated.unwrap_or_default(),
        }
    }
}

/// OpenAI's `usage` object; details only where there is something to detail.
pub(in crate::dialect) fn usage_json(usage: Counts) -> Value {
    let mut json = json!({
        "prompt_tokens": usage.prompt(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
    });
    let details = |counts: &[(&str, u64)]| {
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let fields = counts.map(|(key, count)| ((*key).to_owned(), Value::from(*count)));
        Some(fields.collect::<Map<_, _>>()).filter(|fields| !fields.is_empty())
    };
    if let Some(details) = details(&[
        ("cached_tokens", usage.cache_read),
        ("cache_write_tokens", usage.cache_write),
        ("audio_tokens", usage.input_audio),
    ]) {
        put(&mut json, "prompt_tokens_details", details);
    }
    if let Some(details) = details(&[
        ("reasoning_tokens", usage.reasoning),
        ("audio_tokens", usage.output_audio),
    ]) {
        put(&mut json, "completion_tokens_details", details);
    }
    if usage.estimated {
        put(&mut json, "estimated", true);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &Value) -> Counts {
        serde_json::from_value::<Usage>(json.clone())
            .unwrap()
            .into()
    }

    #[test]
    fn trap_1_14_the_parts_of_the_prompt_are_told_apart() {
        let openai = json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 7, "accepted_prediction_tokens": 0}});
        let counts = read(&openai);
        assert_eq!(
            (
                counts.input,
                counts.cache_read,
                counts.output,
                counts.reasoning
            ),
            (86, 1920, 300, 64)
        );
        assert_eq!((counts.input_audio, counts.output_audio), (5, 7));
        assert_eq!((counts.prompt(), counts.total()), (2006, 2306));

        let openrouter = json!({"prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95,
            "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0}});
        let counts = read(&openrouter);
        assert_eq!(
            (counts.input, counts.cache_read, counts.cache_write),
            (74, 20, 100)
        );

        let deepseek = json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4, "completion_tokens": 1});
        assert_eq!((read(&deepseek).input, read(&deepseek).cache_read), (4, 6));
        let moonshot = json!({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 3});
        assert_eq!((read(&moonshot).input, read(&moonshot).cache_read), (7, 3));
    }

    #[test]
    fn reasoning_that_a_provider_counts_apart_is_output_too() {
        let xai = json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 235,
            "completion_tokens_details": {"reasoning_tokens": 194}});
        assert_eq!((read(&xai).output, read(&xai).total()), (203, 235));
        let openai = json!({"prompt_tokens": 32, "completion_tokens": 203, "total_tokens": 235,
            "completion_tokens_details": {"reasoning_tokens": 194}});
        assert_eq!((read(&openai).output, read(&openai).total()), (203, 235));
    }

    #[test]
    fn wild_counts_do_no_harm() {
        let wild = json!({"prompt_tokens": 3.0, "completion_tokens": null, "total_tokens": "x",
            "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9}, "completion_tokens_details": null});
        let counts = read(&wild);
        assert_eq!(
            (counts.input, counts.cache_read, counts.cache_write),
            (0, 3, 0)
        );
        let all = json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "completion_tokens_details": {"reasoning_tokens": u64::MAX}});
        assert_eq!(read(&all).total(), u64::MAX);
    }

    #[test]
    fn counts_survive_a_round_trip() {
        let counts = Counts {
            input: 5,
            cache_read: 3,
            cache_write: 2,
            output: 9,
            reasoning: 4,
            input_audio: 1,
            output_audio: 2,
            estimated: true,
        };
        assert_eq!(read(&usage_json(counts)), counts);
        let plain = usage_json(Counts {
            input: 1,
            output: 2,
            ..Counts::default()
        });
        assert_eq!(
            plain.to_string(),
            r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#
        );
    }
}
