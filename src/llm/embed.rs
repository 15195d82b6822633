//! Texts to vectors.

use super::{Extra, Usage};

/// A request for embeddings.
#[derive(Clone, Debug, Default)]
pub struct EmbedRequest {
    /// The model asked for.
    pub model: Option<String>,
    /// What to embed, one vector each.
    pub input: Vec<EmbedInput>,
    /// The input was a list; a single text gets a single vector where the format tells the two apart.
    pub listed: bool,
    /// Length of the vectors.
    pub dimensions: Option<u64>,
    /// The vectors are wanted as base64 of little-endian 32-bit floats (OpenAI's `encoding_format`), instead of numbers.
    pub base64: bool,
    /// What they are for, in the provider's own words (Cohere's `input_type`, Gemini's `taskType`).
    pub purpose: Option<String>,
    /// Normalise them (Bedrock's `normalize`).
    pub normalize: Option<bool>,
    /// An id of the end user, passed on.
    pub user: Option<String>,
    /// Fields of the source format that have no name here.
    pub extra: Option<Extra>,
}

/// One thing to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedInput {
    /// A text.
    Text(String),
    /// Its tokens.
    Tokens(Vec<u64>),
}

/// Vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedResponse {
    /// The provider's id of the answer; empty if it has none.
    pub id: String,
    /// The model that answered; empty if the provider does not say.
    pub model: String,
    /// One for each input, in its order.
    pub vectors: Vec<Vec<f64>>,
    /// Token counts, if told.
    pub usage: Option<Usage>,
}
