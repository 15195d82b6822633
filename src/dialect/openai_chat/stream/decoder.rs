//! Chunks to events, and whole answers by the same way: a whole answer is a stream of one chunk.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{DONE, Slot, plain};
use crate::{
    dialect::{
        Error, StreamDecoder,
        openai_chat::{
            citations, finish, logprobs,
            wire::{self, Answer, Choice, Content, Message, ThinkingBlock, Thought, ToolCall},
        },
        text::{Text, json},
    },
    llm::{Accumulator, ChatResponse, Event, Finish, Kind, Sink, Usage, events_of},
    wire::Frame,
};

#[derive(Debug)]
struct OpenPart {
    choice: u32,
    slot: Slot,
    part: u32,
    /// Of a call: its id.
    id: String,
    /// Bytes of reasoning that were told.
    told: usize,
}

/// Reads chat and completions streams.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_chat) struct Decoder {
    started: bool,
    /// The answer's id, for calls that have none.
    id: String,
    open: Vec<OpenPart>,
    next: u32,
    finished: BTreeSet<u32>,
    begun: BTreeSet<u32>,
    failed: bool,
    done: bool,
}

/// Reads a whole answer of chat or completions; `route` is Kong's name of the operation, for Kong's wording.
pub(in crate::dialect) fn whole(body: &[u8], route: &str) -> Result<ChatResponse, Error> {
    let (answer, choices) = read(body, route)?;
    Ok(gather(answer, choices))
}

/// Tells what a whole answer says, as [`events_of`] would.
pub(in crate::dialect::openai_chat) fn hear(
    body: &[u8],
    route: &str,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let (mut answer, choices) = read(body, route)?;
    // Calls may be told in turns, and what is missing of them is filled in.
    let calls = |choice: &Choice<'_>| {
        let messages = [&choice.message, &choice.delta];
        let mut messages = messages.into_iter().flatten();
        messages.any(|message| message.tool_calls.is_some() || message.function_call.is_some())
    };
    if choices.iter().any(calls) {
        events_of(&gather(answer, choices), sink);
        return Ok(());
    }
    let usage = answer.usage.take();
    Decoder::default().play(answer, choices, Some(Finish::Stop), sink);
    let unknown = Usage {
        estimated: true,
        ..Usage::default()
    };
    sink.event(Event::Usage(usage.map_or(unknown, Into::into)));
    sink.event(Event::End);
    Ok(())
}

fn read<'a>(body: &'a [u8], route: &str) -> Result<(Answer<'a>, Vec<Choice<'a>>), Error> {
    let mut answer = match std::str::from_utf8(body) {
        Ok(text) => match plain::answer(text) {
            Some(answer) => answer,
            None => serde_json::from_str(text)?,
        },
        Err(_) => serde_json::from_slice(body)?,
    };
    match answer.choices.take() {
        Some(choices) => Ok((answer, choices)),
        None => Err(Error::Malformed(format!(
            "'choices' not in {route} response"
        ))),
    }
}

fn gather(mut answer: Answer<'_>, choices: Vec<Choice<'_>>) -> ChatResponse {
    let mut all = Accumulator::default();
    let (count, usage) = (choices.len(), answer.usage.take());
    Decoder::default().play(answer, choices, None, &mut all);
    let mut response = all.into_response();
    response
        .choices
        .resize_with(count, crate::llm::Choice::default);
    response.usage = usage.map(Into::into);
    response
}

impl Decoder {
    /// Tells what the choices of a whole answer say; of one that does not say why it ended, that it was for this reason.
    fn play(
        mut self,
        answer: Answer<'_>,
        choices: Vec<Choice<'_>>,
        reason: Option<Finish>,
        sink: &mut dyn Sink,
    ) {
        let sources = citations::read_sources(answer.search_results, answer.citations);
        self.start(answer, sink);
        for (mut choice, number) in choices.into_iter().zip(0u32..) {
            choice.delta = choice.message.take().or(choice.delta);
            // Each entry is a call of its own.
            let calls = choice
                .delta
                .iter_mut()
                .flat_map(|message| &mut message.tool_calls);
            for (call, index) in calls.flatten().zip(0u64..) {
                call.index = Some(index);
            }
            self.choice(choice, number, sink);
            self.close(number, |_| true, sink);
            if let Some(reason) = reason.filter(|_| !self.finished.contains(&number)) {
                sink.event(Event::Finish {
                    choice: number,
                    reason,
                });
            }
        }
        self.sources(sources, sink);
    }

    fn start(&mut self, answer: Answer<'_>, sink: &mut dyn Sink) {
        self.started = true;
        let id = answer.id.or_empty();
        id.as_ref().clone_into(&mut self.id);
        sink.event(Event::Start {
            id,
            model: answer.model.or_empty(),
            created: (answer.created > 0).then_some(answer.created),
            fingerprint: answer.system_fingerprint.filled(),
        });
    }

    /// The open part of a slot, opened if need be. A part of another kind is closed first: an answer's blocks follow each other.
    fn part(&mut self, choice: u32, slot: Slot, kind: Kind<'static>, sink: &mut dyn Sink) -> u32 {
        if let Some(open) = self.opened(choice, slot) {
            return open.part;
        }
        self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
        self.begin(choice, slot, kind, sink)
    }

    fn opened(&mut self, choice: u32, slot: Slot) -> Option<&mut OpenPart> {
        self.open
            .iter_mut()
            .find(|open| open.choice == choice && open.slot == slot)
    }

    fn begin(&mut self, choice: u32, slot: Slot, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        let id = match &kind {
            Kind::ToolCall { id, .. } => id.clone().into_owned(),
            _ => String::new(),
        };
        self.open.push(OpenPart {
            choice,
            slot,
            part,
            id,
            told: 0,
        });
        sink.event(Event::Open { part, choice, kind });
        part
    }

    fn close(&mut self, choice: u32, which: impl Fn(Slot) -> bool, sink: &mut dyn Sink) {
        self.open.retain(|open| {
            let closes = open.choice == choice && which(open.slot);
            if closes {
                sink.event(Event::Close { part: open.part });
            }
            !closes
        });
    }

    fn choice(&mut self, wire: Choice<'_>, choice: u32, sink: &mut dyn Sink) {
        if self.finished.contains(&choice) {
            return;
        }
        self.begun.insert(choice);
        match wire.delta {
            Some(message) => self.message(choice, message, sink),
            None => self.text(choice, wire.text.or_empty(), sink),
        }
        let tokens = logprobs::read(wire.logprobs);
        if !tokens.is_empty() {
            sink.event(Event::Logprobs { choice, tokens });
        }
        if let Some(reason) = wire.finish_reason.filled() {
            self.close(choice, |_| true, sink);
            self.finished.insert(choice);
            if finish(&reason) == Finish::Stop
                && let Some(sequence) = stopped(wire.stop_reason, wire.matched_stop)
            {
                sink.event(Event::Stopped { choice, sequence });
            }
            sink.event(Event::Finish {
                choice,
                reason: finish(&reason),
            });
        }
    }

    fn message(&mut self, choice: u32, message: Message<'_>, sink: &mut dyn Sink) {
        let reasoning = message.reasoning_content.filled();
        let reasoning = reasoning.or(message.reasoning.filled());
        match wire::read::<Vec<ThinkingBlock<'_>>>(message.thinking_blocks) {
            None => {
                if let Some(text) = reasoning {
                    self.thinking(choice, text, sink);
                }
            }
            Some(blocks) => {
                for thought in wire::thoughts(reasoning, blocks) {
                    self.thought(choice, thought, sink);
                }
            }
        }
        match message.content {
            Content::None => {}
            Content::Text(text) => self.text(choice, text, sink),
            Content::Blocks(blocks) => {
                for block in blocks {
                    self.thinking(choice, block.thinking.text(), sink);
                    self.text(choice, block.text.or_empty(), sink);
                    self.refusal(choice, block.refusal.or_empty(), sink);
                }
            }
        }
        self.refusal(choice, message.refusal.or_empty(), sink);
        for call in message.tool_calls.into_iter().flatten() {
            self.tool(choice, call, sink);
        }
        if let Some(function) = message.function_call {
            let call = ToolCall::legacy(function);
            self.tool(choice, call, sink);
        }
        for citation in citations::read(message.annotations) {
            sink.event(Event::Citation { choice, citation });
        }
    }

    fn text(&mut self, choice: u32, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if !text.is_empty() {
            let part = self.part(choice, Slot::Text, Kind::Text, sink);
            sink.event(Event::Text { part, text });
        }
    }

    fn refusal(&mut self, choice: u32, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if !text.is_empty() {
            let part = self.part(choice, Slot::Refusal, Kind::Refusal, sink);
            sink.event(Event::Text { part, text });
        }
    }

    fn thinking(&mut self, choice: u32, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if text.is_empty() {
            return;
        }
        let part = self.part(choice, Slot::Thinking, Kind::Thinking, sink);
        if let Some(open) = self.opened(choice, Slot::Thinking) {
            open.told += text.len();
        }
        sink.event(Event::Thinking { part, text });
    }

    /// A block with its signature, whole or the end of one.
    fn thought(&mut self, choice: u32, thought: Thought<'_>, sink: &mut dyn Sink) {
        match thought {
            Thought::Redacted(value) => {
                let part = self.part(choice, Slot::Redacted, Kind::Redacted, sink);
                sink.event(Event::Signature { part, value });
                self.close(choice, |slot| slot == Slot::Redacted, sink);
            }
            Thought::Plain { text, signature } => {
                // The block that brings the signature may tell again what came piece by piece.
                let told = self
                    .opened(choice, Slot::Thinking)
                    .map_or(0, |open| open.told);
                if signature.is_none() || told != text.len() {
                    self.thinking(choice, text, sink);
                }
                if let Some(value) = signature {
                    let part = self.part(choice, Slot::Thinking, Kind::Thinking, sink);
                    sink.event(Event::Signature { part, value });
                    self.close(choice, |slot| slot == Slot::Thinking, sink);
                }
            }
        }
    }

    fn tool(&mut self, choice: u32, call: ToolCall<'_>, sink: &mut dyn Sink) {
        let signature = call.signature();
        let id = call.id.filled();
        let function = call.function.unwrap_or_default();
        let json = function.arguments();
        let name = function.name.or_empty();
        // Some servers number no calls: then a new id is a new call.
        let last = self.open.iter().rev().find_map(|open| match open.slot {
            Slot::Tool(index) if open.choice == choice => Some(index),
            _ => None,
        });
        let index = call.index.unwrap_or(match (last, &id) {
            (Some(last), None) => last,
            (Some(last), Some(_)) => last.saturating_add(1),
            (None, _) => 0,
        });
        let slot = Slot::Tool(index);
        // Others give all calls the same number: then a new id with a name is one.
        let other =
            |open: &OpenPart| !name.is_empty() && id.as_ref().is_some_and(|id| *id != open.id);
        let opened = match self.opened(choice, slot) {
            Some(open) if other(open) => {
                self.close(choice, |open| open == slot, sink);
                None
            }
            Some(open) => Some(open.part),
            None => None,
        };
        let part = opened.unwrap_or_else(|| {
            self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
            let id = id.unwrap_or_else(|| Cow::Owned(format!("call_{}{}", self.id, self.next)));
            self.begin(choice, slot, Kind::ToolCall { id, name }, sink)
        });
        if let Some(value) = signature {
            sink.event(Event::Signature { part, value });
        }
        if !json.is_empty() {
            sink.event(Event::Arguments { part, json });
        }
    }

    /// Perplexity's sources are the first choice's.
    fn sources(&self, sources: Vec<crate::llm::Citation>, sink: &mut dyn Sink) {
        if self.begun.contains(&0) {
            for citation in sources {
                sink.event(Event::Citation {
                    choice: 0,
                    citation,
                });
            }
        }
    }

    fn fail(&mut self, event: Event<'_>, sink: &mut dyn Sink) {
        self.failed = true;
        sink.event(event);
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Vertex's partner models send comments as data (TRAPS 1.8). vLLM and SGLang send the end marker after an error (TRAPS 1.7).
        if data.is_empty() || data.starts_with(b":") || self.failed {
            return Ok(());
        }
        if data == DONE {
            if !std::mem::replace(&mut self.done, true) {
                sink.event(Event::End);
            }
            return Ok(());
        }
        let mut chunk: Answer<'_> = json(data)?;
        if let Some(event) = failure(frame, data, &chunk) {
            self.fail(event, sink);
            return Ok(());
        }
        let choices = chunk.choices.take().unwrap_or_default();
        let groq = chunk.x_groq.take().and_then(|groq| groq.usage);
        let usage = chunk.usage.take().or(groq);
        let last = choices
            .iter()
            .any(|choice| choice.finish_reason.0.is_some());
        let sources = (chunk.search_results, chunk.citations);
        // Azure's first chunk has what its filters say of the prompt, and neither id nor choices.
        let says = !choices.is_empty() || usage.is_some();
        if !self.started && (says || chunk.id.0.as_ref().is_some_and(|id| !id.is_empty())) {
            self.start(chunk, sink);
        }
        for choice in choices {
            if let Some(error) = choice.error.filter(|error| error.get() != "null") {
                self.fail(failed(error), sink);
                return Ok(());
            }
            // Mistral's and OpenRouter's word for it: https://docs.mistral.ai/api.
            if choice.finish_reason.0.as_deref() == Some("error") {
                let event = Event::Failed {
                    kind: "upstream_error".into(),
                    message: "the provider ended the answer with an error".into(),
                    status: None,
                };
                self.fail(event, sink);
                return Ok(());
            }
            let number = u32::try_from(choice.index).unwrap_or(u32::MAX);
            self.choice(choice, number, sink);
        }
        if last {
            self.sources(citations::read_sources(sources.0, sources.1), sink);
        }
        if let Some(usage) = usage {
            sink.event(Event::Usage(usage.into()));
        }
        Ok(())
    }

    fn is_bare_usage(&self, frame: &Frame) -> bool {
        #[derive(Deserialize)]
        struct Bare<'a> {
            #[serde(borrow)]
            choices: Option<Vec<&'a RawValue>>,
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }

        serde_json::from_slice::<Bare<'_>>(frame.data())
            .is_ok_and(|chunk| chunk.choices.is_none_or(|c| c.is_empty()) && chunk.usage.is_some())
    }

    fn repeat(&mut self, _: &str) -> bool {
        !self.failed && !self.done
    }

    fn is_complete(&self) -> bool {
        !self.failed
            && (self.done || (!self.finished.is_empty() && self.begun.is_subset(&self.finished)))
    }
}

/// The error that a chunk tells of, in any of the shapes that providers give it.
fn failure(frame: &Frame, data: &[u8], chunk: &Answer<'_>) -> Option<Event<'static>> {
    let groq = chunk.x_groq.as_ref().and_then(|groq| groq.error);
    let error = chunk.error.or(groq).filter(|error| error.get() != "null");
    if let Some(error) = error {
        return Some(failed(error));
    }
    if chunk.choices.is_some() {
        return None;
    }
    // The error is the chunk itself: vLLM and Mistral say so by `object`, FastAPI has a `detail`, others just a message.
    let says = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    let flat = frame.name() == b"error"
        || chunk.object.0.as_deref() == Some("error")
        || (chunk.usage.is_none() && (says(&chunk.message.0) || says(&chunk.detail.0)));
    flat.then(|| match serde_json::from_slice::<&RawValue>(data) {
        Ok(error) => failed(error),
        Err(_) => failed(RawValue::NULL),
    })
}

/// The stop sequence that vLLM or SGLang tells. A word that is a finish reason is one: others call that `stop_reason`.
fn stopped<'a>(vllm: Text<'a>, sglang: Text<'a>) -> Option<Cow<'a, str>> {
    let told = vllm.filled().or(sglang.filled());
    told.filter(|text| finish(text) == Finish::Other)
}

/// An `error` object inside the stream: `{"message", "type", "code"}`, or just a text.
fn failed(error: &RawValue) -> Event<'static> {
    let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| text("detail"))
        .or_else(|| json.as_str().map(str::to_owned))
        .unwrap_or_else(|| error.get().to_owned());
    let number = |key: &str| match json.get(key) {
        Some(Value::Number(code)) => code.as_u64(),
        Some(Value::String(code)) => code.parse().ok(),
        _ => None,
    };
    let status = number("code")
        .or_else(|| number("status"))
        .or_else(|| number("status_code"))
        .and_then(|code| u16::try_from(code).ok());
    Event::Failed {
        kind: Cow::Owned(text("type").unwrap_or_else(|| "upstream_error".into())),
        message: Cow::Owned(message),
        status: status.filter(|status| (400..600).contains(status)),
    }
}
