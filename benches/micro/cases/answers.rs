//! What is done to each chunk of a stream.

use std::rc::Rc;

use aiproxy::{
    dialect::{
        Egress, Ingress, Steady,
        anthropic::Anthropic,
        anthropic_complete::AnthropicComplete,
        bedrock::Converse,
        cohere,
        gemini::{Gemini, GeminiArray},
        ollama,
        openai_chat::OpenAiChat,
        openai_completions::OpenAiCompletions,
        openai_responses::OpenAiResponses,
        tgi::Tgi,
    },
    llm::Event,
    wire::{Frame, Framer, Framing, MAX_FRAME},
};
use bytes::{Bytes, BytesMut};

use super::{Case, Run};
use crate::streams::{self, Stream};

/// Cuts what comes into frames; how many bytes of data they have.
fn cut(framing: Framing, chunks: &[Bytes]) -> usize {
    let mut framer = Framer::new(framing, MAX_FRAME);
    let mut data = 0;
    for chunk in chunks {
        framer.feed(chunk.clone());
        while let Some(frame) = framer.frame().unwrap() {
            data += frame.data().len();
        }
    }
    data
}

fn framing_of(
    name: &str,
    stream: Stream,
    arrive: impl Fn(Vec<Bytes>) -> Vec<Bytes> + 'static,
) -> Case {
    let (units, yields) = (stream.len(), stream.bytes());
    Case::new(
        format!("framing/{name}"),
        units,
        move || yields,
        move || -> Run {
            let (framing, chunks) = (stream.framing, arrive(stream.chunks()));
            Box::new(move || cut(framing, &chunks))
        },
    )
}

/// A framing, each message in a chunk of its own.
pub(super) fn framing(name: &str, stream: Stream) -> Case {
    framing_of(name, stream, |chunks| chunks)
}

/// All messages in one chunk.
pub(super) fn framing_batched(name: &str, stream: Stream) -> Case {
    framing_of(name, stream, |chunks| vec![Bytes::from(chunks.concat())])
}

/// Each message in two chunks.
pub(super) fn framing_halved(name: &str, stream: Stream) -> Case {
    framing_of(name, stream, |chunks| {
        let halves = |chunk: Bytes| {
            [
                chunk.slice(..chunk.len() / 2),
                chunk.slice(chunk.len() / 2..),
            ]
        };
        chunks.into_iter().flat_map(halves).collect()
    })
}

/// Bytes of text, and of calls' arguments, in an event.
fn said(event: &Event<'_>) -> usize {
    match event {
        Event::Text { text, .. } => text.len(),
        Event::Arguments { json, .. } => json.len(),
        Event::Failed { message, .. } => panic!("{message}"),
        _ => 0,
    }
}

/// Cuts a stream into the frames that a decoder gets.
fn frames(stream: &Stream) -> Vec<Frame> {
    let mut framer = Framer::new(stream.framing, MAX_FRAME);
    let mut frames = Vec::new();
    for chunk in stream.chunks() {
        framer.feed(chunk);
        while let Some(frame) = framer.frame().unwrap() {
            frames.push(frame);
        }
    }
    frames
}

fn decoder(name: &str, egress: &'static dyn Egress, stream: Stream, says: usize) -> Case {
    Case::new(
        format!("decode/{name}"),
        stream.len(),
        move || says,
        move || -> Run {
            let frames = frames(&stream);
            Box::new(move || {
                let (mut decoder, mut bytes) = (egress.stream_decoder(), 0);
                let mut sink = |event: Event<'_>| bytes += said(&event);
                for frame in &frames {
                    decoder.frame(frame, &mut sink).unwrap();
                }
                decoder.end(&mut sink);
                assert!(decoder.is_complete());
                bytes
            })
        },
    )
}

/// A decoder behind what spares it the reading of chunks that differ in their text alone.
fn steady(name: &str, egress: &'static dyn Egress, stream: Stream) -> Case {
    Case::new(
        format!("decode-steady/{name}"),
        stream.len(),
        || streams::text().len(),
        move || -> Run {
            let frames = frames(&stream);
            Box::new(move || {
                let (mut decoder, mut steady, mut bytes) =
                    (egress.stream_decoder(), Steady::default(), 0);
                let mut sink = |event: Event<'_>| bytes += said(&event);
                for frame in &frames {
                    steady.frame(&mut *decoder, frame, &mut sink).unwrap();
                }
                assert!(decoder.is_complete());
                bytes
            })
        },
    )
}

/// Every decoder; where formats share one, all of them whose messages differ. Vertex AI's is Gemini's, Llama 2's that of text generation, and
/// Hugging Face's chat is OpenAI's.
pub(super) fn decoders() -> Vec<Case> {
    let text = |name: &str, egress: &'static dyn Egress, stream: Stream| {
        decoder(name, egress, stream, streams::text().len())
    };
    let call = |name: &str, egress: &'static dyn Egress, stream: Stream| {
        decoder(name, egress, stream, streams::arguments().len())
    };
    vec![
        text("anthropic", &Anthropic, streams::anthropic()),
        call("anthropic-call", &Anthropic, streams::anthropic_call()),
        text(
            "anthropic-complete",
            &AnthropicComplete,
            streams::anthropic_complete(),
        ),
        text(
            "cohere-generate",
            &cohere::Generate,
            streams::cohere_generate(),
        ),
        text("cohere-v1", &cohere::ChatV1, streams::cohere_v1()),
        text("cohere-v2", &cohere::ChatV2, streams::cohere_v2()),
        text("converse", &Converse, streams::converse()),
        text("gemini", &Gemini, streams::gemini(Framing::Sse)),
        text("gemini-array", &Gemini, streams::gemini(Framing::JsonArray)),
        text("ollama-chat", &ollama::Ollama, streams::ollama_chat()),
        text(
            "ollama-generate",
            &ollama::Generate,
            streams::ollama_generate(),
        ),
        text("openai-chat", &OpenAiChat, streams::openai_chat()),
        call("openai-chat-call", &OpenAiChat, streams::openai_chat_call()),
        text(
            "openai-completions",
            &OpenAiCompletions,
            streams::openai_completions(),
        ),
        text(
            "openai-responses",
            &OpenAiResponses,
            streams::openai_responses(),
        ),
        text("tgi", &Tgi, streams::tgi()),
        steady("anthropic", &Anthropic, streams::anthropic()),
        steady("openai-chat", &OpenAiChat, streams::openai_chat()),
    ]
}

/// A stream of a client's format, from these events on.
fn write(ingress: &dyn Ingress, events: &[Event<'_>], out: &mut BytesMut) -> usize {
    let (mut encoder, mut bytes) = (ingress.stream_encoder(true), 0);
    for event in events {
        encoder.event(event, out);
        bytes += out.len();
        out.clear();
    }
    bytes
}

/// How many bytes a stream takes that says the same again when it is read.
fn written(ingress: &dyn Ingress, egress: &dyn Egress, events: &[Event<'_>]) -> usize {
    let (mut encoder, mut out) = (ingress.stream_encoder(true), BytesMut::new());
    for event in events {
        encoder.event(event, &mut out);
    }
    let (whole, mut decoder) = (out.freeze(), egress.stream_decoder());
    let framing = egress.framing(ingress.stream_type()).unwrap();
    let mut framer = Framer::new(framing, MAX_FRAME);
    framer.feed(whole.clone());
    let mut bytes = 0;
    let mut sink = |event: Event<'_>| bytes += said(&event);
    while let Some(frame) = framer.frame().unwrap() {
        decoder.frame(&frame, &mut sink).unwrap();
    }
    decoder.end(&mut sink);
    assert!(framer.is_complete(), "{whole:?}");
    assert!(decoder.is_complete(), "{whole:?}");
    assert_eq!(bytes, events.iter().map(said).sum::<usize>(), "{whole:?}");
    whole.len()
}

fn encoder(
    name: &str,
    ingress: &'static dyn Ingress,
    egress: &'static dyn Egress,
    events: &Rc<Vec<Event<'static>>>,
) -> Case {
    let (events, read) = (Rc::clone(events), Rc::clone(events));
    Case::new(
        format!("encode/{name}"),
        events.len(),
        move || written(ingress, egress, &read),
        move || -> Run {
            let (events, mut out) = (Rc::clone(&events), BytesMut::new());
            Box::new(move || write(ingress, &events, &mut out))
        },
    )
}

/// Every encoder, with the format that reads what it writes.
pub(super) fn encoders() -> Vec<Case> {
    let (text, call) = (
        Rc::new(streams::events()),
        Rc::new(streams::events_of_call()),
    );
    vec![
        encoder("anthropic", &Anthropic, &Anthropic, &text),
        encoder("anthropic-call", &Anthropic, &Anthropic, &call),
        encoder(
            "anthropic-complete",
            &AnthropicComplete,
            &AnthropicComplete,
            &text,
        ),
        encoder(
            "cohere-generate",
            &cohere::Generate,
            &cohere::Generate,
            &text,
        ),
        encoder("cohere-v1", &cohere::ChatV1, &cohere::ChatV1, &text),
        encoder("cohere-v2", &cohere::ChatV2, &cohere::ChatV2, &text),
        encoder("converse", &Converse, &Converse, &text),
        encoder("gemini", &Gemini, &Gemini, &text),
        encoder("gemini-array", &GeminiArray, &Gemini, &text),
        encoder("ollama-chat", &ollama::Ollama, &ollama::Ollama, &text),
        encoder(
            "ollama-generate",
            &ollama::Generate,
            &ollama::Generate,
            &text,
        ),
        encoder("openai-chat", &OpenAiChat, &OpenAiChat, &text),
        encoder("openai-chat-call", &OpenAiChat, &OpenAiChat, &call),
        encoder(
            "openai-completions",
            &OpenAiCompletions,
            &OpenAiCompletions,
            &text,
        ),
        encoder(
            "openai-responses",
            &OpenAiResponses,
            &OpenAiResponses,
            &text,
        ),
        encoder(
            "openai-responses-call",
            &OpenAiResponses,
            &OpenAiResponses,
            &call,
        ),
        encoder("tgi", &Tgi, &Tgi, &text),
    ]
}
