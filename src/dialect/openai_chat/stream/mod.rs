//! Streams of `chat.completion.chunk`, both ways.

mod decoder;
mod encoder;
mod plain;
#[cfg(test)]
mod tests;

pub(in crate::dialect) use decoder::whole;
pub(super) use decoder::{Decoder, hear};
pub(super) use encoder::Encoder;

/// The payload that ends a stream.
pub(in crate::dialect) const DONE: &[u8] = b"[DONE]";

/// What a part of an answer is in OpenAI's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Text,
    Refusal,
    Thinking,
    Redacted,
    Tool(u64),
}
