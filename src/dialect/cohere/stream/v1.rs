//! v1's events, one JSON object a line: <https://docs.cohere.com/v1/docs/streaming>. The last one holds the whole answer once more.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    parts::{Block, Parts},
    v2::{failure, told},
};
use crate::{
    dialect::{
        Error, StreamDecoder, StreamEncoder,
        cohere::{
            Api, citation, each, failed, finish, finish_reason,
            request::arguments,
            response::{calls_v1, encode_generations, encode_v1, id, usage},
            string,
        },
        put,
        text::{self, Text, count},
    },
    llm::{Accumulator, Citation, Event, Finish, Kind, Sink},
    wire::{Frame, ndjson::write_line},
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    event_type: Text<'a>,
    is_finished: Option<bool>,
    #[serde(borrow, default)]
    generation_id: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    /// Of several completions.
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    documents: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_delta: Option<CallDelta<'a>>,
    /// Of errors, in the forms that they have had.
    #[serde(borrow, default)]
    err: Text<'a>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Text<'a>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow, default)]
    parameters: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
}

/// Reads v1's streams, of chat and completions.
#[derive(Debug, Default)]
pub(in crate::dialect::cohere) struct DecoderV1 {
    started: bool,
    parts: Parts,
    /// Choices with text so far.
    choices: Vec<u32>,
    /// Documents that citations name.
    documents: Vec<Value>,
    cited: bool,
    calls: bool,
    done: bool,
}

fn value(raw: Option<&RawValue>) -> Result<Option<Value>, Error> {
    Ok(raw.map(|raw| serde_json::from_str(raw.get())).transpose()?)
}

impl DecoderV1 {
    fn start(&mut self, id: Cow<'_, str>, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id,
                model: Cow::Borrowed(""),
                created: None,
                fingerprint: None,
            });
        }
    }

    fn text(&mut self, choice: u32, text: Cow<'_, str>, sink: &mut dyn Sink) {
        if !text.is_empty() && !self.choices.contains(&choice) {
            self.choices.push(choice);
        }
        self.parts.text(choice, Block::Text(0), text, sink);
    }

    fn call_delta(&mut self, delta: CallDelta<'_>, sink: &mut dyn Sink) {
        self.text(0, delta.text.or_empty(), sink);
        if let Some(name) = delta.name.filled() {
            self.calls = true;
            let id = format!("call_{}", delta.index);
            self.parts.call(0, delta.index, id.into(), name, sink);
        }
        self.parts
            .arguments(0, delta.index, delta.parameters.or_empty(), sink);
    }

    /// Whole calls, unless they were told piece by piece.
    fn whole_calls(&mut self, wire: Option<&Value>, sink: &mut dyn Sink) {
        if self.calls {
            return;
        }
        for (call, index) in each(wire).iter().zip(0u64..) {
            self.calls = true;
            let id = format!("call_{index}");
            let name = string(call, "name").into();
            self.parts.call(0, index, id.into(), name, sink);
            let arguments = arguments(call.get("parameters"));
            self.parts.arguments(0, index, arguments.into(), sink);
        }
    }

    fn cite(&mut self, wire: Option<&Value>, sink: &mut dyn Sink) {
        let mut citations: Vec<Citation> = Vec::new();
        for wire in each(wire) {
            citation::read_v1(wire, &self.documents, &mut citations);
        }
        for citation in citations {
            self.cited = true;
            sink.event(Event::Citation {
                choice: 0,
                citation,
            });
        }
    }

    fn finish(&mut self, choice: u32, reason: &str, sink: &mut dyn Sink) {
        self.parts.close(choice, |_| true, sink);
        let reason = match reason {
            "" => Finish::Stop,
            reason => finish(reason),
        };
        let reason = if self.calls && reason == Finish::Stop {
            Finish::ToolCalls
        } else {
            reason
        };
        sink.event(Event::Finish { choice, reason });
    }

    /// The last event. What it holds of the answer counts only where nothing of it came before.
    fn end(&mut self, reason: &str, response: &Value, sink: &mut dyn Sink) {
        self.done = true;
        if let Some((kind, status, what)) = failed(reason) {
            sink.event(Event::Failed {
                kind: kind.into(),
                message: what.into(),
                status: Some(status),
            });
            return;
        }
        if let Some(Value::Array(generations)) = response.get("generations") {
            for (generation, index) in generations.iter().zip(0u32..) {
                if !self.choices.contains(&index) {
                    self.text(index, string(generation, "text").into(), sink);
                }
                let own = string(generation, "finish_reason");
                self.finish(index, if own.is_empty() { reason } else { own }, sink);
                self.choices.retain(|choice| *choice != index);
            }
            for choice in std::mem::take(&mut self.choices) {
                self.finish(choice, reason, sink);
            }
        } else {
            if self.parts.is_empty() {
                self.text(0, string(response, "text").into(), sink);
            }
            self.whole_calls(response.get("tool_calls"), sink);
            if !self.cited {
                self.documents
                    .extend_from_slice(each(response.get("documents")));
                self.cite(response.get("citations"), sink);
            }
            let begun = std::mem::take(&mut self.choices);
            self.finish(0, reason, sink);
            for choice in begun.into_iter().filter(|choice| *choice > 0) {
                self.finish(choice, reason, sink);
            }
        }
        if let Some(usage) = usage(response) {
            sink.event(Event::Usage(usage));
        }
        sink.event(Event::End);
    }
}

impl StreamDecoder for DecoderV1 {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Asked for server-sent events, it names them on lines of their own.
        let named = data.starts_with(b"event:") || data.starts_with(b":");
        if data.is_empty() || named || data == b"[DONE]" || self.done {
            return Ok(());
        }
        let wire: Wire<'_> = text::json(data)?;
        let error = match wire.error.filter(|error| error.get() != "null") {
            Some(error) => Some(Cow::Owned(told(error))),
            None => wire.err.filled().or(wire.message.filled()),
        };
        if let Some(message) = error {
            self.done = true;
            sink.event(failure(message));
            return Ok(());
        }
        let response = value(wire.response)?.unwrap_or_default();
        let started = match wire.generation_id.filled() {
            Some(id) => id,
            None => Cow::Borrowed(id(&response)),
        };
        self.start(started, sink);
        let kind = wire.event_type.or_empty();
        match &*kind {
            "text-generation" | "" => {
                let choice = u32::try_from(wire.index).unwrap_or(u32::MAX);
                self.text(choice, wire.text.or_empty(), sink);
            }
            "search-results" => {
                let documents = value(wire.documents)?;
                self.documents.extend_from_slice(each(documents.as_ref()));
            }
            "citation-generation" => self.cite(value(wire.citations)?.as_ref(), sink),
            "tool-calls-chunk" => {
                if let Some(delta) = wire.tool_call_delta {
                    self.call_delta(delta, sink);
                }
            }
            "tool-calls-generation" => self.whole_calls(value(wire.tool_calls)?.as_ref(), sink),
            // stream-start, search-queries-generation, debug, and what is new.
            _ => {}
        }
        if kind == "stream-end" || (kind.is_empty() && wire.is_finished == Some(true)) {
            let told = string(&response, "finish_reason").to_owned();
            let reason = wire.finish_reason.filled().unwrap_or(told.into());
            self.end(&reason, &response, sink);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done
    }
}

/// Writes v1's streams. It keeps the answer: the last event repeats it.
#[derive(Debug)]
pub(in crate::dialect::cohere) struct EncoderV1 {
    api: Api,
    started: bool,
    answer: Accumulator,
    /// Part → choice, for those that are text.
    texts: Vec<Option<u32>>,
    text: String,
    citations: usize,
}

impl EncoderV1 {
    pub(in crate::dialect::cohere) fn new(api: Api) -> EncoderV1 {
        EncoderV1 {
            api,
            started: false,
            answer: Accumulator::default(),
            texts: Vec::new(),
            text: String::new(),
            citations: 0,
        }
    }

    fn start(&mut self, id: &str, out: &mut BytesMut) {
        // Completions have no such event.
        if !std::mem::replace(&mut self.started, true) && self.api == Api::V1 {
            let json =
                json!({"is_finished": false, "event_type": "stream-start", "generation_id": id});
            line(out, &json);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        let response = std::mem::take(&mut self.answer).into_response();
        let choice = response.choices.first();
        let reason = finish_reason(choice.and_then(|choice| choice.finish), self.api);
        let whole = if self.api == Api::V1 {
            let calls = choice.map(calls_v1).unwrap_or_default();
            if !calls.is_empty() {
                line(
                    out,
                    &json!({"is_finished": false, "event_type": "tool-calls-generation", "tool_calls": calls}),
                );
            }
            encode_v1(&response)
        } else {
            encode_generations(&response)
        };
        let json = json!({
            "is_finished": true,
            "event_type": "stream-end",
            "response": whole,
            "finish_reason": reason,
        });
        line(out, &json);
    }
}

fn line(out: &mut BytesMut, json: &Value) {
    write_line(out, json.to_string().as_bytes());
}

impl StreamEncoder for EncoderV1 {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        self.answer.event(event.clone().into_owned());
        match event {
            Event::Start { id, .. } => self.start(id, out),
            Event::Open { choice, kind, .. } => {
                self.start("", out);
                let text = matches!(kind, Kind::Text | Kind::Refusal)
                    && (*choice == 0 || self.api == Api::Generate);
                self.texts.push(text.then_some(*choice));
            }
            Event::Text { part, text } => {
                let place = usize::try_from(*part).ok();
                let choice = place.and_then(|place| self.texts.get(place)).copied();
                if let Some(choice) = choice.flatten() {
                    self.text.push_str(text);
                    let mut json = json!({"is_finished": false, "event_type": "text-generation", "text": text});
                    if choice > 0 {
                        put(&mut json, "index", choice);
                    }
                    line(out, &json);
                }
            }
            Event::Citation {
                choice: 0,
                citation,
            } if self.api == Api::V1 => {
                let (wire, document) = citation::write_v1(citation, self.citations, &self.text);
                self.citations += 1;
                line(
                    out,
                    &json!({"is_finished": false, "event_type": "search-results", "documents": [document]}),
                );
                line(
                    out,
                    &json!({"is_finished": false, "event_type": "citation-generation", "citations": [wire]}),
                );
            }
            Event::End => {
                self.start("", out);
                self.end(out);
            }
            Event::Failed { message, .. } => {
                let json = json!({
                    "is_finished": true,
                    "event_type": "stream-error",
                    "err": message,
                    "finish_reason": "ERROR",
                });
                line(out, &json);
            }
            _ => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        out.put_u8(b'\n');
    }
}
