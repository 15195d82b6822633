//! The list prices, in USD for a million tokens: one table for each service that publishes them.
//!
//! To bring it up to date: read the pages named here, change rows, and set `AS_OF`. A row stands for the model of that exact name, and for
//! the dated and versioned names of it that have no row of their own. A model whose price is not known beyond doubt has none.

use super::{Long, Rates};

/// A model and its prices.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) model: &'static str,
    pub(super) rates: Rates,
    /// In a cloud's single region or geography, as against all of its regions together, it costs so many times as much.
    pub(super) regional: f64,
    /// The rates are introductory: from that day on (of 1970's first one) it costs so many times as much.
    pub(super) later: Option<(u64, f64)>,
}

/// A model's prices of prompts and of answers.
const fn row(model: &'static str, input: f64, output: f64) -> Row {
    Row {
        model,
        rates: Rates {
            input,
            cache_read: None,
            cache_write: None,
            output,
            long: None,
        },
        regional: 1.0,
        later: None,
    }
}

impl Row {
    /// Reading from the cache has its own price.
    const fn read(mut self, price: f64) -> Row {
        self.rates.cache_read = Some(price);
        self
    }

    /// Writing to the cache has its own price.
    const fn write(mut self, price: f64) -> Row {
        self.rates.cache_write = Some(price);
        self
    }

    /// Above so many prompt tokens, all cost more.
    const fn long(mut self, above: u64, input: f64, output: f64) -> Row {
        self.rates.long = Some(Long {
            above,
            input,
            output,
        });
        self
    }

    /// A cloud's region costs a tenth more.
    const fn regional(mut self) -> Row {
        self.regional = 1.1;
        self
    }

    /// Twice as much from a day on.
    const fn doubles(mut self, day: u64) -> Row {
        self.later = Some((day, 2.0));
        self
    }
}

/// 2026-12-01.
const DECEMBER: u64 = 20_788;
/// 2027-01-01.
const NEW_YEAR: u64 = 20_819;

/// <https://developers.openai.com/api/docs/pricing>, standard processing. Writes to the cache are for 30 minutes.
#[rustfmt::skip]
pub(super) const OPENAI: &[Row] = &[
    row("gpt-6.1-sol", 2.0, 10.0).read(0.1).write(2.5).long(272_000, 2.0, 1.5),
    row("gpt-6.1-terra", 1.0, 5.0).read(0.05).write(1.25).long(272_000, 2.0, 1.5),
    row("gpt-6-astra", 10.0, 50.0).read(1.0).write(12.5).long(272_000, 2.0, 1.5),
    row("gpt-6-sol", 2.0, 10.0).read(0.2).write(2.5).long(272_000, 2.0, 1.5),
    row("gpt-6-luna", 0.1, 0.5).read(0.01).write(0.125).long(272_000, 2.0, 1.5),
    row("gpt-5.6-sol", 4.0, 20.0).read(0.4).write(5.0).long(272_000, 2.0, 1.5),
    row("gpt-5.6-terra", 2.0, 12.0).read(0.2).write(2.5).long(272_000, 2.0, 1.5),
    row("gpt-5.6-luna", 0.2, 1.2).read(0.02).write(0.25).long(272_000, 2.0, 1.5),
    row("gpt-5.5", 5.0, 30.0).read(0.5).long(272_000, 2.0, 1.5),
    row("gpt-5.5-pro", 30.0, 180.0).long(272_000, 2.0, 1.5),
    row("gpt-5.4", 2.5, 15.0).read(0.25).long(272_000, 2.0, 1.5),
    row("gpt-5.4-mini", 0.75, 4.5).read(0.075),
    row("gpt-5.4-nano", 0.2, 1.25).read(0.02),
    row("gpt-5.4-pro", 30.0, 180.0).long(272_000, 2.0, 1.5),
    row("gpt-5.3-codex", 1.75, 14.0).read(0.175),
    row("gpt-5.2", 1.75, 14.0).read(0.175),
    row("gpt-5.2-pro", 21.0, 168.0),
    row("gpt-5.1", 1.25, 10.0).read(0.125),
    row("gpt-5.1-codex-mini", 0.25, 2.0).read(0.025),
    row("gpt-5", 1.25, 10.0).read(0.125),
    row("gpt-5-mini", 0.25, 2.0).read(0.025),
    row("gpt-5-nano", 0.05, 0.4).read(0.005),
    row("gpt-5-pro", 15.0, 120.0),
    row("gpt-5-search-api", 1.25, 10.0).read(0.125),
    row("gpt-4.1", 2.0, 8.0).read(0.5),
    row("gpt-4.1-mini", 0.4, 1.6).read(0.1),
    row("gpt-4.1-nano", 0.1, 0.4).read(0.025),
    row("gpt-4o", 2.5, 10.0).read(1.25),
    row("gpt-4o-2024-05-13", 5.0, 15.0),
    row("gpt-4o-mini", 0.15, 0.6).read(0.075),
    row("gpt-4-turbo", 10.0, 30.0),
    row("gpt-4", 30.0, 60.0),
    row("gpt-3.5-turbo", 0.5, 1.5),
    row("gpt-3.5-turbo-instruct", 1.5, 2.0),
    row("o4-mini", 1.1, 4.4).read(0.275),
    row("o4-mini-deep-research", 2.0, 8.0).read(0.5),
    row("o3", 2.0, 8.0).read(0.5),
    row("o3-deep-research", 10.0, 40.0).read(2.5),
    row("o3-mini", 1.1, 4.4).read(0.55),
    row("o3-pro", 20.0, 80.0),
    row("o1", 15.0, 60.0).read(7.5),
    row("o1-pro", 150.0, 600.0),
    row("text-embedding-3-small", 0.02, 0.0),
    row("text-embedding-3-large", 0.13, 0.0),
    row("text-embedding-ada-002", 0.1, 0.0),
];

/// <https://platform.claude.com/docs/en/about-claude/pricing>. Writes to the cache are for five minutes; those for an hour cost more, and
/// a count of tokens does not tell them apart. Also Claude on Bedrock, at <https://aws.amazon.com/bedrock/pricing/>: the same prices, from
/// the generation of Claude 4.5 on a tenth more outside of the global profiles.
#[rustfmt::skip]
pub(super) const ANTHROPIC: &[Row] = &[
    row("claude-fable-5-2", 8.0, 40.0).read(0.2).write(10.0).regional(),
    row("claude-fable-5-1", 10.0, 50.0).read(0.25).write(12.5).regional(),
    row("claude-fable-5", 10.0, 50.0).read(1.0).write(12.5).regional(),
    row("claude-opus-5-5", 4.0, 20.0).read(0.2).write(5.0).regional(),
    row("claude-opus-5", 5.0, 25.0).read(0.5).write(6.25).regional(),
    row("claude-opus-4-8", 5.0, 25.0).read(0.5).write(6.25).regional(),
    row("claude-opus-4-7", 5.0, 25.0).read(0.5).write(6.25).regional(),
    row("claude-opus-4-6", 5.0, 25.0).read(0.5).write(6.25).regional(),
    row("claude-opus-4-5", 5.0, 25.0).read(0.5).write(6.25).regional(),
    row("claude-opus-4-1", 15.0, 75.0).read(1.5).write(18.75),
    row("claude-opus-4", 15.0, 75.0).read(1.5).write(18.75),
    row("claude-opus-4-0", 15.0, 75.0).read(1.5).write(18.75),
    row("claude-sonnet-5-5", 2.0, 10.0).read(0.1).write(2.5).regional(),
    row("claude-sonnet-5", 2.0, 10.0).read(0.2).write(2.5).regional(),
    row("claude-sonnet-4-6", 3.0, 15.0).read(0.3).write(3.75).regional(),
    row("claude-sonnet-4-5", 3.0, 15.0).read(0.3).write(3.75).long(200_000, 2.0, 1.5).regional(),
    row("claude-sonnet-4", 3.0, 15.0).read(0.3).write(3.75).long(200_000, 2.0, 1.5),
    row("claude-sonnet-4-0", 3.0, 15.0).read(0.3).write(3.75).long(200_000, 2.0, 1.5),
    row("claude-haiku-5-5", 0.1, 0.5).read(0.01).write(0.125).long(100_000, 5.0, 5.0).regional(),
    row("claude-haiku-4-5", 1.0, 5.0).read(0.1).write(1.25).regional(),
    row("claude-3-7-sonnet", 3.0, 15.0).read(0.3).write(3.75),
    row("claude-3-5-sonnet", 3.0, 15.0).read(0.3).write(3.75),
    row("claude-3-5-haiku", 0.8, 4.0).read(0.08).write(1.0),
    row("claude-3-haiku", 0.25, 1.25).read(0.03).write(0.3),
];

/// <https://ai.google.dev/gemini-api/docs/pricing>, and for Vertex AI <https://cloud.google.com/vertex-ai/generative-ai/pricing>: the same
/// prices, for newer models a tenth more outside of the global endpoint.
#[rustfmt::skip]
pub(super) const GEMINI: &[Row] = &[
    row("gemini-4-argon", 2.0, 10.0).read(0.1).regional().doubles(DECEMBER),
    row("gemini-3.8-flash", 0.75, 3.75).read(0.075).regional().doubles(NEW_YEAR),
    row("gemini-flash-latest", 0.75, 3.75).read(0.075).regional().doubles(NEW_YEAR),
    row("gemini-3.7-flash", 0.75, 3.75).read(0.075).regional().doubles(NEW_YEAR),
    row("gemini-3.6-flash", 0.75, 3.75).read(0.075).regional().doubles(NEW_YEAR),
    row("gemini-3.5-flash", 1.5, 9.0).read(0.15).regional(),
    row("gemini-3.5-flash-lite", 0.3, 2.5).read(0.03).regional(),
    row("gemini-3.1-pro-preview", 2.0, 12.0).read(0.2).long(200_000, 2.0, 1.5),
    row("gemini-3.1-flash-lite", 0.25, 1.5).read(0.025).regional(),
    row("gemini-3-flash-preview", 0.5, 3.0).read(0.05),
    row("gemini-2.5-pro", 1.25, 10.0).read(0.125).long(200_000, 2.0, 1.5),
    row("gemini-2.5-flash", 0.3, 2.5).read(0.03),
    row("gemini-2.5-flash-lite", 0.1, 0.4).read(0.01),
    row("gemini-embedding-2", 0.2, 0.0),
    row("gemini-embedding-001", 0.15, 0.0),
];

/// Amazon's own models in the USA: <https://aws.amazon.com/bedrock/pricing/>. Whole names: another version is another model.
pub(super) const BEDROCK: &[Row] = &[
    row("global.amazon.nova-2-lite-v1:0", 0.3, 2.5).read(0.075),
    row("us.amazon.nova-2-lite-v1:0", 0.33, 2.75).read(0.0825),
    row("amazon.nova-premier-v1:0", 2.5, 12.5).read(0.625),
    row("amazon.nova-pro-v1:0", 0.8, 3.2).read(0.2),
    row("amazon.nova-lite-v1:0", 0.06, 0.24).read(0.015),
    row("amazon.nova-micro-v1:0", 0.035, 0.14).read(0.00875),
    row("amazon.titan-text-express-v1", 0.2, 0.6),
    row("amazon.titan-text-lite-v1", 0.15, 0.2),
    row("amazon.titan-embed-text-v2:0", 0.02, 0.0),
    row("amazon.titan-embed-text-v1", 0.1, 0.0),
];

/// <https://cohere.com/pricing>. Whole names: the month in them is the model's, with its price.
pub(super) const COHERE: &[Row] = &[
    row("command-a-03-2025", 2.5, 10.0),
    row("command-r-plus-08-2024", 2.5, 10.0),
    row("command-r-08-2024", 0.15, 0.6),
    row("command-r7b-12-2024", 0.0375, 0.15),
    row("c4ai-aya-expanse-32b", 0.5, 1.5),
    row("embed-v4.0", 0.12, 0.0),
];

/// <https://docs.mistral.ai/inference/pricing>. Whole names, as above.
#[rustfmt::skip]
pub(super) const MISTRAL: &[Row] = &[
    row("mistral-large-2512", 0.5, 1.5).read(0.05),
    row("mistral-medium-latest", 1.5, 7.5).read(0.15),
    row("mistral-medium-3-5", 1.5, 7.5).read(0.15),
    row("mistral-medium-2604", 1.5, 7.5).read(0.15),
    row("mistral-small-latest", 0.15, 0.6).read(0.015),
    row("mistral-small-2603", 0.15, 0.6).read(0.015),
    row("ministral-14b-2512", 0.2, 0.2).read(0.02),
    row("ministral-8b-latest", 0.15, 0.15).read(0.015),
    row("ministral-8b-2512", 0.15, 0.15).read(0.015),
    row("ministral-3b-2512", 0.1, 0.1).read(0.01),
    row("codestral-2508", 0.3, 0.9).read(0.03),
    row("codestral-embed-2505", 0.15, 0.0).read(0.015),
    row("mistral-embed", 0.1, 0.0),
    row("mistral-embed-2312", 0.1, 0.0),
];

/// <https://docs.x.ai/docs/models>.
pub(super) const XAI: &[Row] = &[
    row("grok-4.7", 2.0, 6.0).read(0.5).long(199_999, 2.0, 2.0),
    row("grok-4.6", 2.0, 6.0).read(0.5).long(199_999, 2.0, 2.0),
    row("grok-4.5", 2.0, 6.0).read(0.3).long(199_999, 2.0, 2.0),
    row("grok-4.3", 1.25, 2.5).read(0.2).long(199_999, 2.0, 2.0),
    row("grok-4.20", 1.25, 2.5)
        .read(0.2)
        .long(199_999, 2.0, 2.0),
];
