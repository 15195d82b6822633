//! Token counts.

/// Token counts of one answer so far. Always a total: a later one replaces an earlier one.
///
/// The parts are kept apart because providers disagree on what includes what: OpenAI's and Gemini's prompt counts include cached tokens,
/// Anthropic's and Bedrock's exclude them. A dialect derives its own totals from these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that were neither read from nor written to a prompt cache.
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's prompt cache.
    pub cache_write: u64,
    /// Generated tokens, reasoning included.
    pub output: u64,
    /// Those of `output` that are reasoning.
    pub reasoning: u64,
    /// Those of the prompt that are sound.
    pub input_audio: u64,
    /// Those of `output` that are sound.
    pub output_audio: u64,
    /// Counted here with a tokenizer, because the provider sent none.
    pub estimated: bool,
}

impl Usage {
    /// All prompt tokens, cached ones included (OpenAI's `prompt_tokens`).
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
    }

    /// Prompt and generated tokens together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }
}
