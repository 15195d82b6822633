//! Events of the format to events of an answer, and whole answers by the same way.
//!
//! Deltas come first and the whole after them; servers that send no deltas are read by the whole.

use std::borrow::Cow;

use serde_json::{Value, value::RawValue};

use super::wire::{self, Item, Part, Response, read, said};
use crate::{
    dialect::{
        Error, StreamDecoder,
        openai_responses::{
            annotations, logprobs,
            seal::{self, Sealed},
            status_of, tools,
        },
        text::{self, Text},
    },
    llm::{Accumulator, ChatResponse, Choice, Event, Kind, Sink},
    wire::Frame,
};

/// What an open part is told by: item, and content in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Text(u64, u64),
    Refusal(u64, u64),
    Thinking(u64),
    Call(u64),
}

#[derive(Debug)]
struct Open {
    slot: Slot,
    part: u32,
    /// Of a call: its id.
    id: String,
    custom: bool,
    told: bool,
    /// Of reasoning: which of its texts came last, summaries or the reasoning itself.
    summary: Option<(bool, u64)>,
}

/// A text that was told: where it stands, where it begins in the answer's, in characters, and how much about it was told.
#[derive(Debug)]
struct Said {
    slot: (u64, u64),
    start: u64,
    cited: usize,
    weighed: bool,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_responses) struct Decoder {
    started: bool,
    over: bool,
    failed: bool,
    next: u32,
    open: Vec<Open>,
    /// Parts that were told by deltas, whole by now or not.
    texts: Vec<Slot>,
    said: Vec<Said>,
    /// Characters of text so far.
    length: u64,
    /// Items that are whole.
    done: Vec<u64>,
    /// Proofs of calls that have not come yet.
    proofs: Vec<(String, String)>,
    calls: bool,
}

/// Reads a whole answer.
pub(in crate::dialect::openai_responses) fn whole(body: &[u8]) -> Result<ChatResponse, Error> {
    let mut response: Response<'_> = text::json(body)?;
    let Some(output) = response.output.take() else {
        return Err(Error::Malformed(
            "'output' not in llm/v1/responses response".into(),
        ));
    };
    if response.status.0.as_deref() == Some("failed") {
        let error = read::<Value>(response.error).unwrap_or_default();
        let (code, message) = said(&error);
        return Err(Error::Malformed(format!("{code}: {message}")));
    }
    let (mut decoder, mut all) = (Decoder::default(), Accumulator::default());
    let (usage, created) = (response.usage.take(), response.created_at);
    for (item, index) in output.into_iter().zip(0..) {
        decoder.item_done(index, item, &mut all);
    }
    decoder.close(|_| true, &mut all);
    let mut answer = all.into_response();
    if answer.choices.is_empty() {
        answer.choices.push(Choice::default());
    }
    // One that is still being made has not ended.
    let goes_on = matches!(response.status.0.as_deref(), Some("queued" | "in_progress"));
    for choice in answer.choices.iter_mut().filter(|_| !goes_on) {
        choice.finish = Some(response.finish(decoder.calls));
    }
    Ok(ChatResponse {
        id: response.id.or_empty().into_owned(),
        model: response.model.or_empty().into_owned(),
        created: (created > 0).then_some(created),
        usage: usage.map(Into::into),
        ..answer
    })
}

impl Decoder {
    fn start(&mut self, response: Option<&RawValue>, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let response = read::<Response<'_>>(response).unwrap_or_default();
        sink.event(Event::Start {
            id: response.id.or_empty(),
            model: response.model.or_empty(),
            created: (response.created_at > 0).then_some(response.created_at),
            fingerprint: None,
        });
    }

    fn opened(&mut self, slot: Slot) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.slot == slot)
    }

    fn close(&mut self, which: impl Fn(Slot) -> bool, sink: &mut dyn Sink) {
        self.open.retain(|open| {
            let closes = which(open.slot);
            if closes {
                if open.custom {
                    let json = if open.told { "\"}" } else { r#"{"input":""}"# };
                    let json = Cow::Borrowed(json);
                    sink.event(Event::Arguments {
                        part: open.part,
                        json,
                    });
                }
                sink.event(Event::Close { part: open.part });
            }
            !closes
        });
    }

    /// The part of a slot, opened if it is not; what is no call gives way to what follows.
    fn part(&mut self, slot: Slot, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        if let Some(open) = self.opened(slot) {
            return open.part;
        }
        self.close(|open| !matches!(open, Slot::Call(_)), sink);
        let part = self.next;
        self.next = self.next.saturating_add(1);
        let id = match &kind {
            Kind::ToolCall { id, .. } => id.clone().into_owned(),
            _ => String::new(),
        };
        if !self.texts.contains(&slot) {
            self.texts.push(slot);
        }
        self.open.push(Open {
            slot,
            part,
            id,
            custom: false,
            told: false,
            summary: None,
        });
        sink.event(Event::Open {
            part,
            choice: 0,
            kind,
        });
        part
    }

    fn text(&mut self, item: u64, content: u64, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if text.is_empty() {
            return;
        }
        self.said(item, content);
        self.length = self.length.saturating_add(text.chars().count() as u64);
        let part = self.part(Slot::Text(item, content), Kind::Text, sink);
        sink.event(Event::Text { part, text });
    }

    fn refusal(&mut self, item: u64, content: u64, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if !text.is_empty() {
            let part = self.part(Slot::Refusal(item, content), Kind::Refusal, sink);
            sink.event(Event::Text { part, text });
        }
    }

    /// Where a text stands; it begins here if it is new.
    fn said(&mut self, item: u64, content: u64) -> Option<&mut Said> {
        let slot = (item, content);
        if !self.said.iter().any(|said| said.slot == slot) {
            self.said.push(Said {
                slot,
                start: self.length,
                cited: 0,
                weighed: false,
            });
        }
        self.said.iter_mut().find(|said| said.slot == slot)
    }

    /// Reasoning, as it is or summed up (`summary`); an item that has both is told by what comes first.
    fn thinking(
        &mut self,
        item: u64,
        summary: bool,
        index: u64,
        text: Cow<'_, str>,
        sink: &mut dyn Sink,
    ) {
        if text.is_empty() {
            return;
        }
        let slot = Slot::Thinking(item);
        let part = self.part(slot, Kind::Thinking, sink);
        let Some(open) = self.opened(slot) else {
            return;
        };
        let last = open.summary;
        // The other kind says the same in other words.
        if last.is_some_and(|(kind, _)| kind != summary) {
            return;
        }
        open.summary = Some((summary, index));
        if last.is_some_and(|(_, before)| before != index) {
            let text = Cow::Borrowed("\n\n");
            sink.event(Event::Thinking { part, text });
        }
        sink.event(Event::Thinking { part, text });
    }

    fn cite(&mut self, item: u64, content: u64, raw: &RawValue, sink: &mut dyn Sink) {
        let Some(said) = self.said(item, content) else {
            return;
        };
        said.cited += 1;
        if let Some(citation) = annotations::read(raw, said.start) {
            sink.event(Event::Citation {
                choice: 0,
                citation,
            });
        }
    }

    fn weigh(&mut self, item: u64, content: u64, raw: Option<&RawValue>, sink: &mut dyn Sink) {
        let tokens = logprobs::read(raw);
        if tokens.is_empty() {
            return;
        }
        if let Some(said) = self.said(item, content) {
            said.weighed = true;
        }
        sink.event(Event::Logprobs { choice: 0, tokens });
    }

    /// A call begins.
    fn call(&mut self, index: u64, item: &Item<'_>, sink: &mut dyn Sink) {
        let slot = Slot::Call(index);
        if self.texts.contains(&slot) {
            return;
        }
        self.calls = true;
        let text = |text: &Text<'_>| text.0.as_deref().unwrap_or_default().to_owned();
        let id = match text(&item.call_id) {
            id if id.is_empty() => text(&item.id),
            id => id,
        };
        let name = tools::flat(item.namespace.0.as_deref(), &text(&item.name));
        let kind = Kind::ToolCall {
            id: Cow::Borrowed(&id),
            name: name.into(),
        };
        let part = self.part(slot, kind, sink);
        if let Some(open) = self.opened(slot) {
            open.custom = item.kind.0.as_deref() == Some("custom_tool_call");
        }
        let proof = self.proofs.iter().position(|(of, _)| *of == id);
        if let Some(at) = proof {
            let value = Cow::Owned(self.proofs.swap_remove(at).1);
            sink.event(Event::Signature { part, value });
        }
    }

    /// A piece of a call's arguments, or of a custom tool's text, which stands in them as a string.
    fn arguments(&mut self, index: u64, json: Cow<'_, str>, sink: &mut dyn Sink) {
        let Some(open) = self.opened(Slot::Call(index)).filter(|_| !json.is_empty()) else {
            return;
        };
        let part = open.part;
        let first = !std::mem::replace(&mut open.told, true);
        if !open.custom {
            sink.event(Event::Arguments { part, json });
            return;
        }
        let quoted = Value::from(json.as_ref()).to_string();
        let bare = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        let before = if first { r#"{"input":""# } else { "" };
        let json = Cow::Owned(format!("{before}{bare}"));
        sink.event(Event::Arguments { part, json });
    }

    /// An item is whole: what was not told of it yet.
    fn item_done(&mut self, index: u64, raw: &RawValue, sink: &mut dyn Sink) {
        if self.done.contains(&index) {
            return;
        }
        self.done.push(index);
        let item: Item<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        match item.kind.0.as_deref() {
            Some("message") => {
                for (part, at) in item.content.into_iter().flatten().zip(0..) {
                    self.content_done(index, at, part, sink);
                }
                let own =
                    |slot| matches!(slot, Slot::Text(of, _) | Slot::Refusal(of, _) if of == index);
                self.close(own, sink);
            }
            Some("reasoning") => self.reasoning_done(index, item, sink),
            Some("function_call" | "custom_tool_call") => {
                self.call(index, &item, sink);
                let slot = Slot::Call(index);
                let told = self.opened(slot).is_none_or(|open| open.told);
                if !told {
                    let whole = item.arguments.filled().or(item.input.filled());
                    self.arguments(index, whole.unwrap_or_default(), sink);
                }
                self.close(|open| open == slot, sink);
            }
            // What OpenAI did itself.
            _ => {}
        }
    }

    fn content_done(&mut self, index: u64, at: u64, part: Part<'_>, sink: &mut dyn Sink) {
        if part.kind.0.as_deref() == Some("refusal") {
            if !self.texts.contains(&Slot::Refusal(index, at)) {
                self.refusal(index, at, part.refusal.or_empty(), sink);
            }
            return;
        }
        if !self.texts.contains(&Slot::Text(index, at)) {
            self.text(index, at, part.text.or_empty(), sink);
        }
        let known = self.said.iter().find(|said| said.slot == (index, at));
        let (cited, weighed) = known.map_or((0, false), |said| (said.cited, said.weighed));
        for raw in part.annotations.into_iter().flatten().skip(cited) {
            self.cite(index, at, raw, sink);
        }
        if !weighed {
            self.weigh(index, at, part.logprobs, sink);
        }
    }

    fn reasoning_done(&mut self, index: u64, item: Item<'_>, sink: &mut dyn Sink) {
        let slot = Slot::Thinking(index);
        if !self.texts.contains(&slot) {
            for (summary, texts) in [(true, item.summary), (false, item.content)] {
                for (part, at) in texts.into_iter().flatten().zip(0..) {
                    self.thinking(index, summary, at, part.text.or_empty(), sink);
                }
            }
        }
        if let Some(content) = item.encrypted_content.filled() {
            let value = match seal::read(&content) {
                Sealed::Thinking(signature) => signature.to_owned(),
                Sealed::Own(content) => seal::signature(&item.id.or_empty(), content),
                Sealed::Redacted(data) => {
                    let part = self.part(slot, Kind::Redacted, sink);
                    let value = Cow::Borrowed(data);
                    sink.event(Event::Signature { part, value });
                    self.close(|open| open == slot, sink);
                    return;
                }
                Sealed::Call { id, signature } => {
                    let call = self.open.iter().find(|open| open.id == id);
                    match call.map(|open| open.part) {
                        Some(part) => {
                            let value = Cow::Borrowed(signature);
                            sink.event(Event::Signature { part, value });
                        }
                        None => self.proofs.push((id.to_owned(), signature.to_owned())),
                    }
                    return;
                }
            };
            let part = self.part(slot, Kind::Thinking, sink);
            sink.event(Event::Signature {
                part,
                value: value.into(),
            });
        }
        self.close(|open| open == slot, sink);
    }

    /// The response is over, one way or another.
    fn end(&mut self, raw: Option<&RawValue>, sink: &mut dyn Sink) {
        let mut response = read::<Response<'_>>(raw).unwrap_or_default();
        if response.status.0.as_deref() == Some("failed") {
            let error = read::<Value>(response.error).unwrap_or_default();
            self.fail(&error, sink);
            return;
        }
        // A server that told nothing until here.
        if self.done.is_empty() && self.texts.is_empty() {
            let output = response.output.take().into_iter().flatten();
            for (item, index) in output.zip(0..) {
                self.item_done(index, item, sink);
            }
        }
        self.close(|_| true, sink);
        self.over = true;
        sink.event(Event::Finish {
            choice: 0,
            reason: response.finish(self.calls),
        });
        if let Some(usage) = response.usage {
            sink.event(Event::Usage(usage.into()));
        }
        sink.event(Event::End);
    }

    fn fail(&mut self, error: &Value, sink: &mut dyn Sink) {
        self.over = true;
        self.failed = true;
        let (code, message) = said(error);
        sink.event(Event::Failed {
            status: status_of(&code),
            kind: code.into(),
            message: message.into(),
        });
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Servers that speak chat as well mark their ends alike.
        if data.is_empty() || data == b"[DONE]" || self.over {
            return Ok(());
        }
        let event: wire::Event<'_> = text::json(data)?;
        let named = String::from_utf8_lossy(frame.name());
        let kind = match event.kind.0.as_deref() {
            Some(kind) => kind,
            None if event.error.is_some() => "error",
            None => &named,
        };
        let (item, content) = (event.output_index, event.content_index);
        let delta = event.delta.0.unwrap_or_default();
        if kind.starts_with("response.") {
            self.start(event.response, sink);
        }
        match kind {
            "response.output_item.added" => {
                let added: Item<'_> = read(event.item).unwrap_or_default();
                if matches!(
                    added.kind.0.as_deref(),
                    Some("function_call" | "custom_tool_call")
                ) {
                    self.call(item, &added, sink);
                }
            }
            "response.output_text.delta" => {
                self.text(item, content, delta, sink);
                self.weigh(item, content, event.logprobs, sink);
            }
            "response.refusal.delta" => self.refusal(item, content, delta, sink),
            "response.output_text.annotation.added" => {
                if let Some(annotation) = event.annotation {
                    self.cite(item, content, annotation, sink);
                }
            }
            "response.reasoning_summary_text.delta" => {
                self.thinking(item, true, event.summary_index, delta, sink);
            }
            "response.reasoning_text.delta" => self.thinking(item, false, content, delta, sink),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(item, delta, sink);
            }
            "response.output_item.done" => {
                if let Some(done) = event.item {
                    self.item_done(item, done, sink);
                }
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => self.end(event.response, sink),
            "error" => {
                let nested = read::<Value>(event.error).filter(|error| !error.is_null());
                let error = match nested {
                    Some(error) => error,
                    None => text::json(data)?,
                };
                self.fail(&error, sink);
            }
            // Of tools that OpenAI runs, and what else there will be.
            _ => {}
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.over && !self.failed
    }
}
