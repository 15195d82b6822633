//! Messages to events.
//!
//! There is no end marker, `finishReason` may stand in every message, and calls may come before or after it. So the reason is kept
//! until the stream is over, and told then, once.

use std::borrow::Cow;

use crate::{
    dialect::{
        Error, StreamDecoder,
        gemini::{
            citations, errors, ids,
            response::{Candidate, Chunk, redacted},
            upgraded,
            wire::Part,
        },
        text, time,
    },
    llm::{Citation, Event, Finish, Kind, Sink, Usage},
    wire::Frame,
};

/// Reads one stream.
#[derive(Debug, Default)]
pub(in crate::dialect::gemini) struct Decoder {
    started: bool,
    failed: bool,
    ended: bool,
    next: u32,
    /// Enters the ids of calls that come without one.
    response: String,
    usage: Option<Usage>,
    choices: Vec<Choice>,
}

/// What is known of one choice.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    open: Option<(u32, Slot)>,
    calls: u32,
    finish: Option<Finish>,
    /// The text so far, in which citations count.
    text: String,
    citations: Vec<Citation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Text,
    Thinking,
}

impl Decoder {
    fn chunk(&mut self, chunk: Chunk<'_>, sink: &mut dyn Sink) {
        if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
            self.failed = true;
            sink.event(errors::event(error));
            return;
        }
        let blocked = chunk.is_blocked();
        if !std::mem::replace(&mut self.started, true) {
            let id = chunk.response_id.or_empty();
            self.response = id.clone().into_owned();
            sink.event(Event::Start {
                id,
                model: chunk.model_version.or_empty(),
                created: chunk.create_time.filled().and_then(|t| time::seconds(&t)),
                fingerprint: None,
            });
        }
        // A total so far, on every message (TRAPS 1.5); before what was said, for clients that are told the
        // prompt's count at the beginning.
        if let Some(usage) = chunk.usage_metadata.as_ref().map(Usage::from)
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            sink.event(Event::Usage(usage));
        }
        for candidate in chunk.candidates.into_iter().flatten() {
            self.candidate(candidate, sink);
        }
        if blocked {
            let at = self.choice(0);
            if let Some(choice) = self.choices.get_mut(at) {
                choice.finish = Some(Finish::ContentFilter);
            }
        }
    }

    fn choice(&mut self, index: u32) -> usize {
        let known = self.choices.iter().position(|choice| choice.index == index);
        known.unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
            self.choices.len() - 1
        })
    }

    fn candidate(&mut self, mut candidate: Candidate<'_>, sink: &mut dyn Sink) {
        let at = self.choice(u32::try_from(candidate.index).unwrap_or(u32::MAX));
        let Some(choice) = self.choices.get_mut(at) else {
            return;
        };
        let finish = candidate.finish();
        let content = candidate.content.take();
        for part in content
            .and_then(|content| content.parts)
            .into_iter()
            .flatten()
        {
            choice.part(part, &self.response, &mut self.next, sink);
        }
        if let Some(logprobs) = candidate.logprobs_result {
            let tokens: Vec<_> = logprobs.into();
            if !tokens.is_empty() {
                sink.event(Event::Logprobs {
                    choice: choice.index,
                    tokens,
                });
            }
        }
        citations::decode(
            candidate.citation_metadata,
            candidate.grounding_metadata,
            &choice.text,
            &mut choice.citations,
        );
        choice.finish = finish.or(choice.finish);
    }
}

impl Choice {
    fn part(&mut self, wire: Part<'_>, response: &str, next: &mut u32, sink: &mut dyn Sink) {
        if wire.opaque().is_some() || wire.inline_data.is_some() || wire.file_data.is_some() {
            return;
        }
        if wire.function_call.is_some() {
            self.call(&wire, response, next, sink);
            return;
        }
        let signature = wire.thought_signature.filled();
        let text = wire.text.or_empty();
        if wire.thought == Some(true) {
            if let Some(data) = redacted(&text, signature.as_deref()) {
                self.close(sink);
                let part = self.open(Kind::Redacted, next, sink);
                sink.event(Event::Signature {
                    part,
                    value: data.into(),
                });
                sink.event(Event::Close { part });
                return;
            }
            if text.is_empty() && signature.is_none() {
                return;
            }
            let part = self.within(Slot::Thinking, next, sink);
            if !text.is_empty() {
                sink.event(Event::Thinking { part, text });
            }
            if let Some(value) = signature {
                sink.event(Event::Signature { part, value });
                self.close(sink);
            }
            return;
        }
        if !text.is_empty() {
            self.text.push_str(&text);
            let part = self.within(Slot::Text, next, sink);
            sink.event(Event::Text { part, text });
        }
        // The signature of a text: reasoning without words, right behind it.
        if let Some(value) = signature {
            self.close(sink);
            let part = self.open(Kind::Thinking, next, sink);
            sink.event(Event::Signature { part, value });
            sink.event(Event::Close { part });
        }
    }

    /// Calls come whole.
    fn call(&mut self, wire: &Part<'_>, response: &str, next: &mut u32, sink: &mut dyn Sink) {
        let Some(call) = &wire.function_call else {
            return;
        };
        self.close(sink);
        self.calls += 1;
        let name = call.name.clone().or_empty();
        let arguments = call.arguments();
        let id = call.id.clone().filled().unwrap_or_else(|| {
            Cow::Owned(ids::made(
                response, self.index, self.calls, &name, arguments,
            ))
        });
        let signature = wire.thought_signature.clone().filled();
        let id = match &signature {
            Some(signature) => Cow::Owned(ids::joined(&id, signature)),
            None => id,
        };
        let part = self.open(Kind::ToolCall { id, name }, next, sink);
        if let Some(value) = signature {
            sink.event(Event::Signature { part, value });
        }
        if arguments != "{}" {
            sink.event(Event::Arguments {
                part,
                json: arguments.into(),
            });
        }
        sink.event(Event::Close { part });
    }

    /// The open part of a kind, opened if need be.
    fn within(&mut self, slot: Slot, next: &mut u32, sink: &mut dyn Sink) -> u32 {
        if let Some((part, open)) = self.open
            && open == slot
        {
            return part;
        }
        self.close(sink);
        let kind = match slot {
            Slot::Text => Kind::Text,
            Slot::Thinking => Kind::Thinking,
        };
        let part = self.open(kind, next, sink);
        self.open = Some((part, slot));
        part
    }

    fn open(&self, kind: Kind<'_>, next: &mut u32, sink: &mut dyn Sink) -> u32 {
        let part = *next;
        *next = next.saturating_add(1);
        sink.event(Event::Open {
            part,
            choice: self.index,
            kind,
        });
        part
    }

    fn close(&mut self, sink: &mut dyn Sink) {
        if let Some((part, _)) = self.open.take() {
            sink.event(Event::Close { part });
        }
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Vertex AI sends comments as data (TRAPS 1.8); some gateways add OpenAI's end marker.
        if self.failed || data.is_empty() || data.starts_with(b":") || data == b"[DONE]" {
            return Ok(());
        }
        if data.starts_with(b"[") {
            let chunks: Vec<Chunk<'_>> = text::json(data)?;
            for chunk in chunks {
                if !self.failed {
                    self.chunk(chunk, sink);
                }
            }
            return Ok(());
        }
        self.chunk(text::json(data)?, sink);
        Ok(())
    }

    fn end(&mut self, sink: &mut dyn Sink) {
        if self.failed || std::mem::replace(&mut self.ended, true) {
            return;
        }
        // `[]` is an answer too, an empty one.
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id: "".into(),
                model: "".into(),
                created: None,
                fingerprint: None,
            });
            self.choices.push(Choice {
                finish: Some(Finish::Stop),
                ..Choice::default()
            });
        }
        for choice in &mut self.choices {
            choice.close(sink);
            for citation in choice.citations.drain(..) {
                sink.event(Event::Citation {
                    choice: choice.index,
                    citation,
                });
            }
            if let Some(finish) = choice.finish {
                sink.event(Event::Finish {
                    choice: choice.index,
                    reason: upgraded(finish, choice.calls > 0),
                });
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.ended
            && !self.failed
            && !self.choices.is_empty()
            && self.choices.iter().all(|choice| choice.finish.is_some())
    }
}
