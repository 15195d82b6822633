//! Token counts, both ways.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    dialect::{put, text::count},
    llm::Usage as Counts,
};

/// `usage` of a response.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(deserialize_with = "count")]
    input_tokens: u64,
    input_tokens_details: Option<Input>,
    #[serde(deserialize_with = "count")]
    output_tokens: u64,
    output_tokens_details: Option<Output>,
    /// Our own mark.
    estimated: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    #[serde(deserialize_with = "count")]
    cached_tokens: u64,
    #[serde(deserialize_with = "count")]
    cache_write_tokens: u64,
    #[serde(deserialize_with = "count")]
    audio_tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Output {
    #[serde(deserialize_with = "count")]
    reasoning_tokens: u64,
    #[serde(deserialize_with = "count")]
    audio_tokens: u64,
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Counts {
        let input = usage.input_tokens_details.unwrap_or_default();
        let output = usage.output_tokens_details.unwrap_or_default();
        // The total includes what came from the cache (TRAPS 1.14), and what went into it.
        let cache_read = input.cached_tokens.min(usage.input_tokens);
        let cache_write = input
            .cache_write_tokens
            .min(usage.input_tokens - cache_read);
        Counts {
            input: usage.input_tokens - cache_read - cache_write,
            cache_read,
            cache_write,
            output: usage.output_tokens.max(output.reasoning_tokens),
            reasoning: output.reasoning_tokens,
            input_audio: input.audio_tokens,
            output_audio: output.audio_tokens,
            estimated: usage.estimated.unwrap_or_default(),
        }
    }
}

/// Writes `usage`: SDKs insist on both details.
pub(super) fn write(usage: Counts) -> Value {
    let mut input =
        json!({"cache_write_tokens": usage.cache_write, "cached_tokens": usage.cache_read});
    let mut output = json!({"reasoning_tokens": usage.reasoning});
    if usage.input_audio > 0 {
        put(&mut input, "audio_tokens", usage.input_audio);
    }
    if usage.output_audio > 0 {
        put(&mut output, "audio_tokens", usage.output_audio);
    }
    let mut json = json!({
        "input_tokens": usage.prompt(),
        "input_tokens_details": input,
        "output_tokens": usage.output,
        "output_tokens_details": output,
        "total_tokens": usage.total(),
    });
    if usage.estimated {
        put(&mut json, "estimated", true);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_1_14_counts_survive_a_round_trip() {
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
        let json = write(counts);
        assert_eq!(
            (&json["input_tokens"], &json["total_tokens"]),
            (&json!(10), &json!(19))
        );
        assert_eq!(
            Counts::from(serde_json::from_value::<Usage>(json).unwrap()),
            counts
        );
    }

    #[test]
    fn wild_counts_do_no_harm() {
        let wild = json!({"input_tokens": 3.0, "output_tokens": null, "total_tokens": "x",
            "input_tokens_details": {"cached_tokens": 9}, "output_tokens_details": null});
        let counts = Counts::from(serde_json::from_value::<Usage>(wild).unwrap());
        assert_eq!((counts.input, counts.cache_read, counts.output), (0, 3, 0));
    }
}
