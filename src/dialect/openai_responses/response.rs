//! Whole answers: <https://platform.openai.com/docs/api-reference/responses/object>. They are read and written where streams are.

use bytes::BytesMut;

use super::{Echo, stream};
use crate::{
    dialect::{Error, StreamEncoder},
    llm::{ChatResponse, Event, events_of},
};

/// Writes an answer.
pub(super) fn encode(response: &ChatResponse, echo: &Echo) -> Vec<u8> {
    let mut encoder = stream::Encoder::new(echo.clone());
    let mut nobody = BytesMut::new();
    events_of(response, &mut |event: Event<'_>| {
        encoder.event(&event, &mut nobody);
        nobody.clear();
    });
    let json = encoder.into_response(response.usage);
    json.to_string().into_bytes()
}

/// Reads an answer.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    stream::whole(body)
}
