//! What the tests of all dialects share: streams under any split, and answers there and back.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{Egress, Ingress, openai_chat::OpenAiChat};
use crate::{
    llm::{Accumulator, ChatResponse, Event, Sink, events_of},
    wire::{Framer, MAX_FRAME},
};

/// Reads a stream that comes in pieces, cut at `cuts` (in order); whether the provider said that it is done.
pub(crate) fn read(
    egress: &dyn Egress,
    media_type: &str,
    bytes: &[u8],
    cuts: &[usize],
    sink: &mut dyn Sink,
) -> bool {
    let framing = egress.framing(media_type).unwrap();
    let (mut framer, mut decoder) = (Framer::new(framing, MAX_FRAME), egress.stream_decoder());
    let mut at = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        framer.feed(Bytes::copy_from_slice(&bytes[at..cut]));
        at = cut;
        while let Some(frame) = framer.frame().unwrap() {
            decoder.frame(&frame, sink).unwrap();
        }
    }
    if let Some(frame) = framer.finish() {
        decoder.frame(&frame, sink).unwrap();
    }
    decoder.end(sink);
    framer.is_complete() && decoder.is_complete()
}

/// The events of a stream, as text, after holding them against those of the same stream at every single cut, byte by byte, and under
/// random splits.
pub(crate) fn events(egress: &dyn Egress, media_type: &str, bytes: &[u8]) -> Vec<String> {
    let at = |cuts: &[usize]| {
        let mut events = Vec::new();
        let mut sink = |event: Event<'_>| events.push(format!("{event:?}"));
        read(egress, media_type, bytes, cuts, &mut sink);
        events
    };
    let whole = at(&[]);
    for cut in 0..=bytes.len() {
        assert_eq!(at(&[cut]), whole, "cut at {cut}");
    }
    assert_eq!(
        at(&(0..bytes.len()).collect::<Vec<_>>()),
        whole,
        "byte by byte"
    );
    proptest!(ProptestConfig::with_cases(64), |(mut cuts in prop::collection::vec(0..=bytes.len(), 0..12))| {
        cuts.sort_unstable();
        prop_assert_eq!(at(&cuts), whole.clone());
    });
    whole
}

/// The answer that a stream spells, and whether it was complete. Panics if the stream tells of a failure.
pub(crate) fn answer(egress: &dyn Egress, media_type: &str, bytes: &[u8]) -> (ChatResponse, bool) {
    let mut all = Accumulator::default();
    let complete = read(egress, media_type, bytes, &[], &mut all);
    assert_eq!(all.failed(), None);
    (all.into_response(), complete)
}

/// A provider's stream as a client of OpenAI's format sees it, usage asked for.
pub(crate) fn as_openai(egress: &dyn Egress, media_type: &str, bytes: &[u8]) -> String {
    let (mut encoder, mut out) = (OpenAiChat.stream_encoder(true), BytesMut::new());
    let complete = read(egress, media_type, bytes, &[], &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    if complete && !out.ends_with(b"data: [DONE]\n\n") {
        encoder.event(&Event::End, &mut out);
    }
    String::from_utf8(out.to_vec()).unwrap()
}

/// A whole answer as a stream of `ingress`'s format, end included.
pub(crate) fn streamed(ingress: &dyn Ingress, response: &ChatResponse) -> Vec<u8> {
    let (mut encoder, mut out) = (ingress.stream_encoder(true), BytesMut::new());
    events_of(response, &mut |event: Event<'_>| {
        encoder.event(&event, &mut out);
    });
    out.to_vec()
}

/// Writes an answer as a client of the format sees it and reads it back as that of a provider, whole and streamed: both must be `response`
/// again, as its debug print has it.
pub(crate) fn there_and_back(ingress: &dyn Ingress, egress: &dyn Egress, response: &ChatResponse) {
    let whole = egress
        .decode_response(&ingress.encode_response(response))
        .unwrap();
    assert_eq!(format!("{whole:#?}"), format!("{response:#?}"), "whole");
    let stream = streamed(ingress, response);
    let (again, complete) = answer(egress, ingress.stream_type(), &stream);
    assert!(complete, "the stream has an end");
    assert_eq!(format!("{again:#?}"), format!("{response:#?}"), "streamed");
}
