//! What is told of an answer: its items, one by one, and the `response` object around them.

use std::io::Write as _;

use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};

use super::item::{Body, Item};
use crate::{
    dialect::{
        Echo,
        openai_responses::{
            echo,
            tools::{self, Called},
            usage,
        },
        put,
    },
    llm::{Finish, Usage},
    wire::sse::write_event,
};

pub(super) const TEXT_DELTA: &str = "response.output_text.delta";
pub(super) const ARGUMENTS_DELTA: &str = "response.function_call_arguments.delta";

/// The answer so far, as the client knows it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) echo: Echo,
    /// The answer's id, and it without `resp_`: items are called after it.
    pub(super) id: String,
    pub(super) base: String,
    pub(super) model: String,
    pub(super) created: u64,
    pub(super) sequence: u64,
    pub(super) items: Vec<Item>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
}

impl Told {
    /// The `response` object, with the output as far as it is whole.
    pub(super) fn response(&self, status: &str) -> Value {
        let over = status != "in_progress";
        let reason = match self.finish.filter(|_| status == "incomplete") {
            Some(Finish::ContentFilter) => json!({"reason": "content_filter"}),
            Some(_) => json!({"reason": "max_output_tokens"}),
            None => Value::Null,
        };
        let output: Vec<&Value> = self.items.iter().filter_map(|i| i.done.as_ref()).collect();
        // One that failed tells none.
        let usage = self
            .usage
            .filter(|_| over && status != "failed")
            .map(usage::write);
        let mut json = Map::new();
        let mut set = |key: &str, value: Value| {
            json.insert(key.to_owned(), value);
        };
        set("id", self.id.as_str().into());
        set("object", "response".into());
        set("created_at", self.created.into());
        set("status", status.into());
        set("error", Value::Null);
        set("incomplete_details", reason);
        let echoed = |keys: &[&str], json: &mut Map<String, Value>| {
            for key in keys {
                echo::put(json, &self.echo, key);
            }
        };
        echoed(
            &[
                "background",
                "instructions",
                "max_output_tokens",
                "max_tool_calls",
            ],
            &mut json,
        );
        json.insert("model".into(), self.model.as_str().into());
        json.insert("output".into(), json!(output));
        echoed(
            &[
                "parallel_tool_calls",
                "previous_response_id",
                "prompt_cache_key",
                "reasoning",
                "safety_identifier",
                "service_tier",
                "store",
                "temperature",
                "text",
                "tool_choice",
                "tools",
                "top_logprobs",
                "top_p",
                "truncation",
            ],
            &mut json,
        );
        json.insert("usage".into(), usage.unwrap_or_default());
        echoed(&["user", "metadata"], &mut json);
        Value::Object(json)
    }

    /// How the answer ended.
    pub(super) fn status(&self) -> &'static str {
        match self.finish {
            Some(Finish::Length | Finish::ContentFilter) => "incomplete",
            _ => "completed",
        }
    }

    /// Writes an event: its type and number, then `fields`.
    pub(super) fn write(&mut self, out: &mut BytesMut, kind: &str, fields: Value) {
        let mut data = json!({"type": kind, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Value::Object(data), Value::Object(fields)) = (&mut data, fields) {
            data.extend(fields);
        }
        write_event(out, Some(kind), data.to_string().as_bytes());
    }

    /// Writes a delta, the event that there are many of. `at`: the name and value of the index in the item, if there is one.
    pub(super) fn delta(
        &mut self,
        out: &mut BytesMut,
        kind: &str,
        item: usize,
        at: Option<(&str, usize)>,
        delta: &str,
    ) {
        let Some(id) = self.items.get(item).map(|item| item.id.as_str()) else {
            return;
        };
        let number = self.sequence;
        out.reserve(delta.len() + 256);
        let _ = write!(
            out.writer(),
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},\"item_id\":"
        );
        let _ = serde_json::to_writer(out.writer(), id);
        let _ = write!(out.writer(), ",\"output_index\":{item}");
        if let Some((name, index)) = at {
            let _ = write!(out.writer(), ",\"{name}\":{index}");
        }
        out.put_slice(b",\"delta\":");
        let _ = serde_json::to_writer(out.writer(), delta);
        if kind == TEXT_DELTA {
            out.put_slice(b",\"logprobs\":[]");
        }
        out.put_slice(b"}\n\n");
        self.sequence += 1;
    }

    /// Begins an item; gives its index.
    pub(super) fn begin(&mut self, prefix: &str, body: Body, out: &mut BytesMut) -> usize {
        let index = self.items.len();
        let item = Item {
            id: format!("{prefix}_{}_{index}", self.base),
            body,
            done: None,
        };
        let json = item.json("in_progress");
        self.items.push(item);
        self.write(
            out,
            "response.output_item.added",
            json!({"output_index": index, "item": json}),
        );
        index
    }

    /// An item that only carries something back.
    pub(super) fn sealed(&mut self, content: String, out: &mut BytesMut) {
        let body = Body::Reasoning {
            text: String::new(),
            encrypted: Some(content),
        };
        let index = self.begin("rs", body, out);
        self.end_item(index, "completed", out);
    }

    /// Tells all items whole whose parts are.
    pub(super) fn settle(&mut self, out: &mut BytesMut) {
        self.end_items("completed", false, out);
    }

    /// Tells items whole: those whose parts are, or `all`; the last of them with `status`.
    pub(super) fn end_items(&mut self, status: &str, all: bool, out: &mut BytesMut) {
        let ends = |item: &Item| {
            let closed = match &item.body {
                Body::Message(_) => true,
                Body::Reasoning { .. } => false,
                Body::Call { closed, .. } => *closed,
            };
            item.done.is_none() && (all || closed)
        };
        let indexes: Vec<usize> = (0..self.items.len())
            .filter(|index| self.items.get(*index).is_some_and(ends))
            .collect();
        for index in indexes {
            let last = index + 1 == self.items.len();
            self.end_item(index, if last { status } else { "completed" }, out);
        }
    }

    /// Tells the parts of a message whole.
    pub(super) fn end_contents(&mut self, index: usize, out: &mut BytesMut) {
        let Some(item) = self.items.get_mut(index) else {
            return;
        };
        let id = item.id.clone();
        let Body::Message(contents) = &mut item.body else {
            return;
        };
        let mut told = Vec::new();
        for (content, at) in contents.iter_mut().zip(0..) {
            if !std::mem::replace(&mut content.done, true) {
                told.push((at, content.json()));
            }
        }
        for (at, part) in told {
            let place = json!({"item_id": id, "output_index": index, "content_index": at});
            let refusal = part.get("refusal").cloned();
            let (kind, key, text) = match refusal {
                Some(text) => ("response.refusal.done", "refusal", text),
                None => (
                    "response.output_text.done",
                    "text",
                    part.get("text").cloned().unwrap_or_default(),
                ),
            };
            let mut whole = place.clone();
            put(&mut whole, key, text);
            if let Some(logprobs) = part.get("logprobs") {
                put(&mut whole, "logprobs", logprobs.clone());
            }
            self.write(out, kind, whole);
            let mut done = place;
            put(&mut done, "part", part);
            self.write(out, "response.content_part.done", done);
        }
    }

    /// Tells an item whole.
    pub(super) fn end_item(&mut self, index: usize, status: &str, out: &mut BytesMut) {
        self.end_contents(index, out);
        let called = self.items.get(index).and_then(Item::called);
        let Some(item) = self.items.get_mut(index) else {
            return;
        };
        let place = json!({"item_id": item.id, "output_index": index});
        let with = |key: &str, value: Value| {
            let mut place = place.clone();
            put(&mut place, key, value);
            place
        };
        match &mut item.body {
            Body::Message(_) => {}
            Body::Reasoning { text, .. } => {
                if !text.is_empty() {
                    let text = text.clone();
                    let mut place = with("summary_index", 0.into());
                    let mut whole = place.clone();
                    put(&mut whole, "text", text.as_str());
                    self.write(out, "response.reasoning_summary_text.done", whole);
                    put(
                        &mut place,
                        "part",
                        json!({"type": "summary_text", "text": text}),
                    );
                    self.write(out, "response.reasoning_summary_part.done", place);
                }
            }
            // Told with the item alone.
            Body::Call { .. } if called == Some(Called::Search) => {}
            Body::Call { arguments, .. } if called == Some(Called::Custom) => {
                let input = tools::input_of(arguments);
                arguments.clone_from(&input);
                if !input.is_empty() {
                    self.delta(
                        out,
                        "response.custom_tool_call_input.delta",
                        index,
                        None,
                        &input,
                    );
                }
                let done = with("input", input.into());
                self.write(out, "response.custom_tool_call_input.done", done);
            }
            Body::Call { arguments, .. } => {
                // A call without arguments still has an object (TRAPS 1.2).
                let none = arguments.is_empty();
                if none {
                    arguments.push_str("{}");
                }
                let done = with("arguments", arguments.clone().into());
                if none {
                    self.delta(out, ARGUMENTS_DELTA, index, None, "{}");
                }
                self.write(out, "response.function_call_arguments.done", done);
            }
        }
        let Some(item) = self.items.get_mut(index) else {
            return;
        };
        let json = item.json(status);
        item.done = Some(json.clone());
        self.write(
            out,
            "response.output_item.done",
            json!({"output_index": index, "item": json}),
        );
    }
}
