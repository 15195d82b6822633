//! Streams of `chat.completion.chunk`.

use std::{borrow::Cow, collections::HashSet, io::Write as _};

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Error, WireUsage, finish, finish_reason, usage_json};
use crate::{
    dialect::{
        StreamDecoder, StreamEncoder,
        text::{Text, count},
    },
    llm::{Event, Kind, Sink, Usage},
    wire::Frame,
};

/// The payload that ends a stream.
const DONE: &[u8] = b"[DONE]";

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(default, deserialize_with = "count")]
    created: u64,
    #[serde(borrow)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    usage: Option<WireUsage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default, deserialize_with = "count")]
    index: u64,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// Of completions.
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolDelta<'a>>>,
}

#[derive(Deserialize)]
struct ToolDelta<'a> {
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Text,
    Refusal,
    Thinking,
    Tool(u64),
}

#[derive(Debug)]
struct OpenPart {
    choice: u32,
    slot: Slot,
    part: u32,
}

/// Reads chat and completions streams.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    started: bool,
    open: Vec<OpenPart>,
    next: u32,
    finished: HashSet<u32>,
    begun: HashSet<u32>,
    done: bool,
}

impl Decoder {
    /// The open part of a slot, opened if need be. A part of another kind is closed first: an answer's blocks follow each other.
    fn part(
        &mut self,
        choice: u32,
        slot: Slot,
        kind: impl FnOnce() -> Kind<'static>,
        sink: &mut dyn Sink,
    ) -> u32 {
        if let Some(open) = self
            .open
            .iter()
            .find(|open| open.choice == choice && open.slot == slot)
        {
            return open.part;
        }
        if !matches!(slot, Slot::Tool(_)) {
            self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
        } else {
            self.close(
                choice,
                |open| matches!(open, Slot::Text | Slot::Thinking),
                sink,
            );
        }
        self.begin(choice, slot, kind(), sink)
    }

    fn begin(&mut self, choice: u32, slot: Slot, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        self.begun.insert(choice);
        self.open.push(OpenPart { choice, slot, part });
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

    fn choice(&mut self, wire: ChunkChoice<'_>, sink: &mut dyn Sink) {
        let choice = u32::try_from(wire.index).unwrap_or(u32::MAX);
        if self.finished.contains(&choice) {
            return;
        }
        self.begun.insert(choice);
        if let Some(delta) = wire.delta {
            if let Some(text) = delta
                .reasoning_content
                .filled()
                .or(delta.reasoning.filled())
            {
                let part = self.part(choice, Slot::Thinking, || Kind::Thinking, sink);
                sink.event(Event::Thinking { part, text });
            }
            self.text(choice, Slot::Text, || Kind::Text, delta.content, sink);
            self.text(choice, Slot::Refusal, || Kind::Refusal, delta.refusal, sink);
            for call in delta.tool_calls.into_iter().flatten() {
                self.tool(choice, call, sink);
            }
        }
        self.text(choice, Slot::Text, || Kind::Text, wire.text, sink);
        if let Some(reason) = wire.finish_reason.filled() {
            self.close(choice, |_| true, sink);
            self.finished.insert(choice);
            sink.event(Event::Finish {
                choice,
                reason: finish(&reason),
            });
        }
    }

    fn text(
        &mut self,
        choice: u32,
        slot: Slot,
        kind: impl FnOnce() -> Kind<'static>,
        text: Text<'_>,
        sink: &mut dyn Sink,
    ) {
        if let Some(text) = text.filled() {
            let part = self.part(choice, slot, kind, sink);
            sink.event(Event::Text { part, text });
        }
    }

    fn tool(&mut self, choice: u32, call: ToolDelta<'_>, sink: &mut dyn Sink) {
        let id = call.id.filled();
        let (name, json) = call
            .function
            .map(|function| (function.name, function.arguments))
            .unwrap_or_default();
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
        let part = match self
            .open
            .iter()
            .find(|open| open.choice == choice && open.slot == slot)
        {
            Some(open) => open.part,
            None => {
                self.close(choice, |open| !matches!(open, Slot::Tool(_)), sink);
                let kind = Kind::ToolCall {
                    id: id.unwrap_or_default(),
                    name: name.or_empty(),
                };
                self.begin(choice, slot, kind, sink)
            }
        };
        if let Some(json) = json.filled() {
            sink.event(Event::Arguments { part, json });
        }
    }
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        // Vertex's partner models send comments as data (TRAPS 1.8).
        if data.is_empty() || data.starts_with(b":") {
            return Ok(());
        }
        if data == DONE {
            if !std::mem::replace(&mut self.done, true) {
                sink.event(Event::End);
            }
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data)?;
        if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
            sink.event(failed(error));
            return Ok(());
        }
        if frame.name() == b"error" && chunk.choices.is_none() {
            sink.event(failed_flat(data));
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            let created = (chunk.created > 0).then_some(chunk.created);
            sink.event(Event::Start {
                id: chunk.id.or_empty(),
                model: chunk.model.or_empty(),
                created,
            });
        }
        for choice in chunk.choices.into_iter().flatten() {
            self.choice(choice, sink);
        }
        if let Some(usage) = chunk.usage {
            sink.event(Event::Usage(usage.into()));
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.done || (!self.finished.is_empty() && self.begun.is_subset(&self.finished))
    }
}

/// An `error` object inside the stream: `{"message", "type", "code"}`, or just a text.
fn failed(error: &RawValue) -> Event<'static> {
    let json: Value = serde_json::from_str(error.get()).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| json.as_str().map(str::to_owned))
        .unwrap_or_else(|| error.get().to_owned());
    let number = |key: &str| match json.get(key) {
        Some(Value::Number(code)) => code.as_u64(),
        Some(Value::String(code)) => code.parse().ok(),
        _ => None,
    };
    let status = number("code")
        .or_else(|| number("status"))
        .and_then(|code| u16::try_from(code).ok());
    Event::Failed {
        kind: Cow::Owned(text("type").unwrap_or_else(|| "upstream_error".into())),
        message: Cow::Owned(message),
        status: status.filter(|status| (400..600).contains(status)),
    }
}

/// An `event: error` whose data is the error itself.
fn failed_flat(data: &[u8]) -> Event<'static> {
    match serde_json::from_slice::<Box<RawValue>>(data) {
        Ok(error) => failed(&error),
        Err(_) => Event::Failed {
            kind: "upstream_error".into(),
            message: "the provider failed".into(),
            status: None,
        },
    }
}

/// Writes one client's stream.
#[derive(Debug)]
pub(super) struct Encoder {
    /// The client asked for the usage chunk.
    show_usage: bool,
    /// `data: {"id":..., "object":..., "created":..., "model":...,`: the head of every chunk, rendered once.
    head: Vec<u8>,
    usage: Option<Usage>,
    /// Part → choice and, for tool calls, its index in the choice's `tool_calls`.
    parts: Vec<(u32, Slot)>,
    /// Choices whose first delta, with the role, is out.
    begun: HashSet<u32>,
}

impl Encoder {
    pub(super) fn new(show_usage: bool) -> Encoder {
        Encoder {
            show_usage,
            head: Vec::new(),
            usage: None,
            parts: Vec::new(),
            begun: HashSet::new(),
        }
    }

    fn head(&mut self, id: &str, model: &str, created: Option<u64>) {
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created.unwrap_or_default(),
            "model": model,
        });
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        let _ = serde_json::to_writer(&mut self.head, &head);
        // The object's closing brace makes room for the choices.
        self.head.pop();
        self.head.push(b',');
    }

    /// The choice's first chunk, which alone has the role.
    fn begin(&mut self, out: &mut BytesMut, choice: u32) {
        if self.head.is_empty() {
            self.head("", "", None);
        }
        if self.begun.insert(choice) {
            self.write(out, choice, None, |v| {
                v.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            });
        }
    }

    fn chunk(
        &mut self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        self.begin(out, choice);
        self.write(out, choice, finish, delta);
    }

    fn write(
        &self,
        out: &mut BytesMut,
        choice: u32,
        finish: Option<&str>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut v = Vec::with_capacity(self.head.len() + 128);
        v.extend_from_slice(&self.head);
        let _ = write!(v, "\"choices\":[{{\"index\":{choice},\"delta\":{{");
        delta(&mut v);
        v.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        match finish {
            Some(finish) => {
                let _ = write!(v, "\"{finish}\"}}]");
            }
            None => v.extend_from_slice(b"null}]"),
        }
        v.extend_from_slice(if self.show_usage {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
        out.extend_from_slice(&v);
    }

    fn place(&self, part: u32) -> Option<(u32, Slot)> {
        self.parts.get(usize::try_from(part).ok()?).copied()
    }
}

fn string(v: &mut Vec<u8>, key: &str, text: &str) {
    let _ = write!(v, "\"{key}\":");
    let _ = serde_json::to_writer(&mut *v, text);
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                self.head(id, model, *created);
                self.begin(out, 0);
            }
            Event::Open { part, choice, kind } => {
                let slot = match kind {
                    Kind::Text => Slot::Text,
                    Kind::Refusal => Slot::Refusal,
                    Kind::Thinking => Slot::Thinking,
                    Kind::ToolCall { .. } => {
                        let before = self
                            .parts
                            .iter()
                            .filter(|(c, slot)| c == choice && matches!(slot, Slot::Tool(_)))
                            .count();
                        Slot::Tool(before as u64)
                    }
                };
                if *part as usize == self.parts.len() {
                    self.parts.push((*choice, slot));
                }
                if let (Kind::ToolCall { id, name }, Slot::Tool(index)) = (kind, slot) {
                    let call = json!([{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]);
                    self.chunk(out, *choice, None, |v| {
                        v.extend_from_slice(b"\"tool_calls\":");
                        let _ = serde_json::to_writer(&mut *v, &call);
                    });
                }
            }
            Event::Text { part, text } => {
                if let Some((choice, slot)) = self.place(*part) {
                    let key = if slot == Slot::Refusal {
                        "refusal"
                    } else {
                        "content"
                    };
                    self.chunk(out, choice, None, |v| string(v, key, text));
                }
            }
            Event::Thinking { part, text } => {
                if let Some((choice, _)) = self.place(*part) {
                    self.chunk(out, choice, None, |v| string(v, "reasoning_content", text));
                }
            }
            Event::Arguments { part, json } => {
                if let Some((choice, Slot::Tool(index))) = self.place(*part) {
                    self.chunk(out, choice, None, |v| {
                        let _ = write!(v, "\"tool_calls\":[{{\"index\":{index},\"function\":{{");
                        string(v, "arguments", json);
                        v.extend_from_slice(b"}}]");
                    });
                }
            }
            Event::Finish { choice, reason } => {
                self.chunk(out, *choice, Some(finish_reason(*reason)), |_| {});
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed {
                kind,
                message,
                status,
            } => {
                let code = status.map(|status| status.to_string());
                let error = json!({"error": {"message": message, "type": kind, "code": code, "param": null}});
                crate::wire::sse::write_event(out, None, error.to_string().as_bytes());
            }
            Event::End => {
                if let Some(usage) = self.usage.filter(|_| self.show_usage) {
                    out.extend_from_slice(&self.head);
                    out.extend_from_slice(b"\"choices\":[],\"usage\":");
                    out.extend_from_slice(usage_json(usage).to_string().as_bytes());
                    out.extend_from_slice(b"}\n\n");
                }
                crate::wire::sse::write_event(out, None, DONE);
            }
            Event::Signature { .. } | Event::Close { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        llm::{Accumulator, Finish, Part, events_of},
        wire::{Framer, Framing, MAX_FRAME},
    };

    /// Decodes a stream; gives its events as text, and whether it was complete.
    fn decode(stream: &str) -> (Vec<String>, bool) {
        let (mut framer, mut decoder, mut events) = (
            Framer::new(Framing::Sse, MAX_FRAME),
            Decoder::default(),
            Vec::new(),
        );
        framer.feed(Bytes::copy_from_slice(stream.as_bytes()));
        let mut sink = |event: Event<'_>| events.push(format!("{event:?}"));
        while let Some(frame) = framer.frame().unwrap() {
            decoder.frame(&frame, &mut sink).unwrap();
        }
        (events, decoder.is_complete())
    }

    fn accumulate(stream: &str) -> Accumulator {
        let (mut framer, mut decoder, mut sink) = (
            Framer::new(Framing::Sse, MAX_FRAME),
            Decoder::default(),
            Accumulator::default(),
        );
        framer.feed(Bytes::copy_from_slice(stream.as_bytes()));
        while let Some(frame) = framer.frame().unwrap() {
            decoder.frame(&frame, &mut sink).unwrap();
        }
        sink
    }

    fn stream(chunks: &[&str]) -> String {
        chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect()
    }

    #[test]
    fn text_reasoning_and_usage_are_read() {
        let (events, complete) = decode(&stream(&[
            r#"{"id":"c","created":5,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hé"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
            "[DONE]",
        ]));
        assert_eq!(
            events,
            [
                r#"Start { id: "c", model: "m", created: Some(5) }"#,
                "Open { part: 0, choice: 0, kind: Thinking }",
                r#"Thinking { part: 0, text: "hm" }"#,
                "Close { part: 0 }",
                "Open { part: 1, choice: 0, kind: Text }",
                r#"Text { part: 1, text: "Hé" }"#,
                "Close { part: 1 }",
                "Finish { choice: 0, reason: Stop }",
                "Usage(Usage { input: 3, cache_read: 0, cache_write: 0, output: 2, reasoning: 0, estimated: false })",
                "End",
            ]
        );
        assert!(complete);
    }

    #[test]
    fn trap_1_1_and_1_2_parallel_and_empty_calls_keep_their_arguments() {
        let sink = accumulate(&stream(&[
            r#"{"choices":[{"index":0,"delta":{"content":"ok","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"now"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        ]));
        let response = sink.into_response();
        let calls: Vec<String> = response.choices[0]
            .parts
            .iter()
            .map(|part| match part {
                Part::ToolCall {
                    id,
                    name,
                    arguments,
                    ..
                } => format!("{id} {name} {arguments}"),
                Part::Text(text) => text.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(calls, ["ok", r#"a f {"x":1}"#, "b now {}"]);
        assert_eq!(response.choices[0].finish, Some(Finish::ToolCalls));
    }

    #[test]
    fn trap_1_7_an_error_in_the_stream_is_a_failure() {
        for (chunk, status) in [
            (
                r#"{"error":{"message":"overloaded","type":"server_error","code":503}}"#,
                Some(503),
            ),
            (
                r#"{"error":{"message":"overloaded","type":"server_error","code":"rate_limited"}}"#,
                None,
            ),
            (
                r#"{"error":{"message":"overloaded","type":"server_error"},"choices":[]}"#,
                None,
            ),
        ] {
            let (events, complete) = decode(&stream(&[chunk]));
            assert_eq!(
                events,
                [format!(
                    "Failed {{ kind: \"server_error\", message: \"overloaded\", status: {status:?} }}"
                )]
            );
            assert!(!complete);
        }
        let (events, _) = decode(&stream(&[r#"{"error":"flat"}"#]));
        assert!(events[0].contains("flat"));
    }

    #[test]
    fn trap_1_8_keep_alives_are_no_events() {
        let (events, _) = decode(": OPENROUTER PROCESSING\n\ndata: : keepalive\n\ndata:\n\n");
        assert!(events.is_empty());
    }

    #[test]
    fn several_choices_stay_apart() {
        let response = accumulate(&stream(&[
            r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"length"}]}"#,
        ]))
        .into_response();
        let texts: Vec<String> = response
            .choices
            .iter()
            .map(|c| format!("{:?} {:?}", c.parts, c.finish))
            .collect();
        assert_eq!(
            texts,
            [r#"[Text("aA")] Some(Stop)"#, r#"[Text("bB")] Some(Length)"#]
        );
    }

    #[test]
    fn a_stream_is_complete_when_all_choices_finished() {
        let begun = r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#;
        let one = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let two = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
        assert!(!decode(&stream(&[begun])).1);
        assert!(!decode(&stream(&[begun, one])).1);
        assert!(decode(&stream(&[begun, one, two])).1);
        assert!(decode(&stream(&[begun, "[DONE]"])).1);
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_answer() {
        let response = accumulate(&stream(&[
            r#"{"id":"x","created":9,"model":"m","choices":[{"index":0,"delta":{"reasoning":"why"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a\"b\n"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"u","function":{"name":"g","arguments":"[1]"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}"#,
            "[DONE]",
        ]))
        .into_response();
        let (mut encoder, mut out) = (Encoder::new(true), BytesMut::new());
        events_of(&response, &mut |event: Event<'_>| {
            encoder.event(&event, &mut out);
        });
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert_eq!(
            format!("{:?}", accumulate(&text).into_response()),
            format!("{response:?}")
        );
        assert!(text.ends_with("data: [DONE]\n\n"));
        assert_eq!(text.matches("\"role\"").count(), 1);
        assert_eq!(text.matches("\"finish_reason\":\"").count(), 1);
        let before_end = text.trim_end().rsplit("data: ").nth(1).unwrap();
        assert!(
            before_end.contains("\"choices\":[],\"usage\":{\"prompt_tokens\":5"),
            "usage comes last: {before_end}"
        );
    }

    #[test]
    fn usage_is_shown_only_if_asked() {
        let (mut encoder, mut out) = (Encoder::new(false), BytesMut::new());
        let response = accumulate(&stream(&[
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
        ]))
        .into_response();
        events_of(&response, &mut |event: Event<'_>| {
            encoder.event(&event, &mut out);
        });
        assert!(!String::from_utf8_lossy(&out).contains("usage"));
    }

    #[test]
    fn a_failure_is_one_error_event_without_an_end() {
        let (mut encoder, mut out) = (Encoder::new(true), BytesMut::new());
        encoder.event(
            &Event::Failed {
                kind: "overloaded".into(),
                message: "no".into(),
                status: Some(529),
            },
            &mut out,
        );
        assert_eq!(
            String::from_utf8_lossy(&out),
            "data: {\"error\":{\"message\":\"no\",\"type\":\"overloaded\",\"code\":\"529\",\"param\":null}}\n\n"
        );
    }
}
