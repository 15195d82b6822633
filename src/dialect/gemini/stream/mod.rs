//! Streams: each message is a whole `GenerateContentResponse`, whose parts are pieces of the answer's.

mod decoder;
mod encoder;

pub(super) use decoder::Decoder;
pub(super) use encoder::Encoder;
