//! Streams, both ways: v2's server-sent events, v1's JSON lines.

mod parts;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub(super) use v1::{DecoderV1, EncoderV1};
pub(super) use v2::{DecoderV2, EncoderV2};
