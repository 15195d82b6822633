//! Streams of events, both ways: <https://platform.openai.com/docs/api-reference/responses-streaming>.

mod decoder;
mod encoder;
mod item;
mod told;
mod wire;

pub(super) use decoder::{Decoder, whole};
pub(super) use encoder::Encoder;
