//! Events of an answer to events of the format, and whole answers by the same way.
//!
//! Nothing about an item is told before the item itself (TRAPS 2.6). Items are told to be whole as late as may be, with the next one or at
//! the end: what cites a text comes after it, and whether the last one is complete is told by why the answer ended.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::{
    item::{Body, Content},
    told::{ARGUMENTS_DELTA, TEXT_DELTA, Told},
};
use crate::{
    dialect::{
        Echo, StreamEncoder,
        openai_responses::{
            annotations, code_of, logprobs, seal,
            tools::{self, Called},
        },
        put,
    },
    llm::{Citation, Event, Finish, Kind, Logprob, Usage},
};

/// Where a part of the answer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Not yet: it may stay empty.
    Text {
        refusal: bool,
    },
    Thinking,
    /// What only its provider can read, so far.
    Redacted(String),
    /// A call whose proof may come with it.
    Call {
        id: String,
        name: String,
    },
    /// Item, and content in it.
    At(usize, usize),
}

/// Writes one client's stream.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_responses) struct Encoder {
    told: Told,
    started: bool,
    /// The end, or an error, is out.
    over: bool,
    places: HashMap<u32, Place>,
    /// A call that waits for its proof.
    waiting: Option<u32>,
    /// Characters of text so far.
    said: u64,
}

impl Encoder {
    pub(in crate::dialect::openai_responses) fn new(echo: Echo) -> Encoder {
        let told = Told {
            echo,
            ..Told::default()
        };
        Encoder {
            told,
            ..Encoder::default()
        }
    }

    /// The answer as it stands, with these counts.
    pub(in crate::dialect::openai_responses) fn into_response(
        mut self,
        usage: Option<Usage>,
    ) -> Value {
        self.told.usage = usage;
        self.told.response(self.told.status())
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>, out: &mut BytesMut) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let base = ["resp_", "chatcmpl-", "msg_", "cmpl-"]
            .iter()
            .find_map(|prefix| id.strip_prefix(prefix))
            .unwrap_or(id);
        base.clone_into(&mut self.told.base);
        self.told.id = format!("resp_{base}");
        model.clone_into(&mut self.told.model);
        self.told.created = created.unwrap_or_default();
        for kind in ["response.created", "response.in_progress"] {
            let response = self.told.response("in_progress");
            self.told.write(out, kind, json!({"response": response}));
        }
    }

    /// Begins a text or refusal: in the message that is open, or in a new one.
    fn begin_text(&mut self, refusal: bool, out: &mut BytesMut) -> Place {
        let open = self.told.items.len().checked_sub(1).filter(|last| {
            self.told
                .items
                .get(*last)
                .is_some_and(|item| item.done.is_none() && matches!(item.body, Body::Message(_)))
        });
        let index = match open {
            Some(index) => {
                self.told.end_contents(index, out);
                index
            }
            None => {
                self.told.settle(out);
                self.told.begin("msg", Body::Message(Vec::new()), out)
            }
        };
        let start = self.said;
        let Some(item) = self.told.items.get_mut(index) else {
            return Place::Text { refusal };
        };
        let Body::Message(contents) = &mut item.body else {
            return Place::Text { refusal };
        };
        let content = Content {
            refusal,
            text: String::new(),
            start,
            annotations: Vec::new(),
            logprobs: Vec::new(),
            done: false,
        };
        let (at, part, id) = (contents.len(), content.json(), item.id.clone());
        contents.push(content);
        self.told.write(
            out,
            "response.content_part.added",
            json!({"item_id": id, "output_index": index, "content_index": at, "part": part}),
        );
        Place::At(index, at)
    }

    fn begin_thinking(&mut self, out: &mut BytesMut) -> Place {
        self.told.settle(out);
        let body = Body::Reasoning {
            text: String::new(),
            encrypted: None,
        };
        Place::At(self.told.begin("rs", body, out), 0)
    }

    /// Begins the call that waits; `proof`: came with it.
    fn begin_call(&mut self, proof: Option<&str>, out: &mut BytesMut) {
        let Some(part) = self.waiting.take() else {
            return;
        };
        let Some(Place::Call { id, name }) = self.places.remove(&part) else {
            return;
        };
        self.told.settle(out);
        if let Some(proof) = proof {
            self.told.sealed(seal::call(&id, proof), out);
        }
        let tool = tools::declared(&self.told.echo, &name);
        let prefix = match tool.kind {
            Called::Function => "fc",
            Called::Custom => "ctc",
            Called::Search => "tsc",
        };
        // Results need an id to refer to.
        let id = if id.is_empty() {
            format!("call_{}_{part}", self.told.base)
        } else {
            id
        };
        let body = Body::Call {
            id,
            tool,
            arguments: String::new(),
            closed: false,
        };
        let index = self.told.begin(prefix, body, out);
        self.places.insert(part, Place::At(index, 0));
    }

    fn open(&mut self, part: u32, kind: &Kind<'_>) {
        let place = match kind {
            Kind::Text => Place::Text { refusal: false },
            Kind::Refusal => Place::Text { refusal: true },
            Kind::Thinking => Place::Thinking,
            Kind::Redacted => Place::Redacted(String::new()),
            Kind::ToolCall { id, name } => {
                self.waiting = Some(part);
                Place::Call {
                    id: id.to_string(),
                    name: name.to_string(),
                }
            }
        };
        self.places.insert(part, place);
    }

    /// The place of a part, begun if it is not.
    fn place(&mut self, part: u32, out: &mut BytesMut) -> Option<(usize, usize)> {
        let begun = match self.places.get(&part)? {
            Place::At(item, at) => return Some((*item, *at)),
            Place::Text { refusal } => {
                let refusal = *refusal;
                self.begin_text(refusal, out)
            }
            Place::Thinking => self.begin_thinking(out),
            Place::Redacted(_) | Place::Call { .. } => return None,
        };
        self.places.insert(part, begun.clone());
        match begun {
            Place::At(item, at) => Some((item, at)),
            _ => None,
        }
    }

    fn text(&mut self, part: u32, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        let Some((index, at)) = self.place(part, out) else {
            return;
        };
        let Some(Body::Message(contents)) = self.told.items.get_mut(index).map(|i| &mut i.body)
        else {
            return;
        };
        let Some(content) = contents.get_mut(at) else {
            return;
        };
        content.text.push_str(text);
        let kind = if content.refusal {
            "response.refusal.delta"
        } else {
            self.said += text.chars().count() as u64;
            TEXT_DELTA
        };
        self.told
            .delta(out, kind, index, Some(("content_index", at)), text);
    }

    fn thinking(&mut self, part: u32, more: &str, out: &mut BytesMut) {
        if more.is_empty() {
            return;
        }
        let Some((index, _)) = self.place(part, out) else {
            return;
        };
        let Some(item) = self.told.items.get_mut(index) else {
            return;
        };
        let Body::Reasoning { text, .. } = &mut item.body else {
            return;
        };
        let first = text.is_empty();
        text.push_str(more);
        if first {
            let added = json!({"item_id": item.id, "output_index": index, "summary_index": 0,
                "part": {"type": "summary_text", "text": ""}});
            self.told
                .write(out, "response.reasoning_summary_part.added", added);
        }
        self.told.delta(
            out,
            "response.reasoning_summary_text.delta",
            index,
            Some(("summary_index", 0)),
            more,
        );
    }

    fn signature(&mut self, part: u32, value: &str, out: &mut BytesMut) {
        if self.waiting == Some(part) {
            self.begin_call(Some(value), out);
            return;
        }
        self.begin_call(None, out);
        if let Some(Place::Redacted(data)) = self.places.get_mut(&part) {
            data.push_str(value);
            return;
        }
        let Some((index, _)) = self.place(part, out) else {
            return;
        };
        let late = match self.told.items.get_mut(index).map(|item| &mut item.body) {
            Some(Body::Reasoning { encrypted, .. }) => {
                encrypted
                    .get_or_insert_with(|| seal::thinking(""))
                    .push_str(value);
                None
            }
            Some(Body::Call { id, .. }) => Some(seal::call(id, value)),
            _ => None,
        };
        if let Some(content) = late {
            self.told.sealed(content, out);
        }
    }

    fn arguments(&mut self, part: u32, json: &str, out: &mut BytesMut) {
        let Some((index, _)) = self.place(part, out) else {
            return;
        };
        let Some(Body::Call {
            arguments, tool, ..
        }) = self.told.items.get_mut(index).map(|item| &mut item.body)
        else {
            return;
        };
        arguments.push_str(json);
        // A custom tool's text is in them, and told when it is whole; so is a search.
        if tool.kind == Called::Function && !json.is_empty() {
            self.told.delta(out, ARGUMENTS_DELTA, index, None, json);
        }
    }

    fn close(&mut self, part: u32, out: &mut BytesMut) {
        match self.places.remove(&part) {
            Some(Place::Redacted(data)) => {
                self.told.settle(out);
                self.told.sealed(seal::redacted(&data), out);
            }
            Some(Place::At(index, _)) => {
                match self.told.items.get_mut(index).map(|i| &mut i.body) {
                    Some(Body::Call { closed, .. }) => *closed = true,
                    Some(Body::Reasoning { .. }) => self.told.end_item(index, "completed", out),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// The text that ends the answer so far, or the one that `position` lies in: item and content.
    fn cited(&self, position: Option<u64>) -> Option<(usize, usize)> {
        let mut last = None;
        for (item, index) in self.told.items.iter().zip(0..) {
            let Body::Message(contents) = &item.body else {
                continue;
            };
            for (content, at) in contents.iter().zip(0..).filter(|(c, _)| !c.refusal) {
                if last.is_none() || position.is_none_or(|position| content.start <= position) {
                    last = Some((index, at));
                }
            }
        }
        last
    }

    fn cite(&mut self, citation: &Citation, out: &mut BytesMut) {
        if self.cited(None).is_none() {
            // Before the first character.
            self.begin_text(false, out);
        }
        let Some((index, at)) = self.cited(citation.start) else {
            return;
        };
        let Some(item) = self.told.items.get_mut(index) else {
            return;
        };
        let Body::Message(contents) = &mut item.body else {
            return;
        };
        let Some(content) = contents.get_mut(at) else {
            return;
        };
        let annotation = annotations::write(citation, content.start);
        let number = content.annotations.len();
        content.annotations.push(annotation.clone());
        let id = item.id.clone();
        // The answer as a whole tells it, too.
        let done = item.done.as_mut();
        let listed = done.and_then(|done| done.pointer_mut(&format!("/content/{at}/annotations")));
        if let Some(Value::Array(listed)) = listed {
            listed.push(annotation.clone());
        }
        self.told.write(
            out,
            "response.output_text.annotation.added",
            json!({"item_id": id, "output_index": index, "content_index": at,
                "annotation_index": number, "annotation": annotation}),
        );
    }

    fn logprobs(&mut self, tokens: &[Logprob], out: &mut BytesMut) {
        let Some((index, at)) = self.cited(None) else {
            return;
        };
        let Some(item) = self.told.items.get_mut(index) else {
            return;
        };
        let Body::Message(contents) = &mut item.body else {
            return;
        };
        let Some(content) = contents.get_mut(at) else {
            return;
        };
        let tokens: Vec<Value> = tokens.iter().map(logprobs::write).collect();
        content.logprobs.extend(tokens.iter().cloned());
        let id = item.id.clone();
        let done = item.done.as_mut();
        let listed = done.and_then(|done| done.pointer_mut(&format!("/content/{at}/logprobs")));
        if let Some(Value::Array(listed)) = listed {
            listed.extend(tokens);
            return;
        }
        // Of the text that came last: they add nothing to it.
        self.told.write(
            out,
            TEXT_DELTA,
            json!({"item_id": id, "output_index": index, "content_index": at, "delta": "", "logprobs": tokens}),
        );
    }

    fn finish(&mut self, reason: Finish, out: &mut BytesMut) {
        self.told.finish.get_or_insert(reason);
        let status = self.told.status();
        self.told.end_items(status, true, out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.over = true;
        let status = self.told.status();
        self.told.end_items(status, true, out);
        let response = self.told.response(status);
        let kind = format!("response.{status}");
        self.told.write(out, &kind, json!({"response": response}));
    }

    fn fail(&mut self, kind: &str, message: &str, status: Option<u16>, out: &mut BytesMut) {
        self.over = true;
        let code = code_of(kind, status);
        if !self.started {
            let error = json!({"code": code, "message": message, "param": null});
            self.told.write(out, "error", error);
            return;
        }
        let mut response = self.told.response("failed");
        put(
            &mut response,
            "error",
            json!({"code": code, "message": message}),
        );
        self.told
            .write(out, "response.failed", json!({"response": response}));
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.over {
            return;
        }
        match event {
            Event::Start {
                id, model, created, ..
            } => return self.start(id, model, *created, out),
            Event::Usage(usage) => {
                self.told.usage = Some(*usage);
                return;
            }
            Event::Failed {
                kind,
                message,
                status,
            } => return self.fail(kind, message, *status, out),
            _ => self.start("", "", None, out),
        }
        if !matches!(event, Event::Signature { .. }) {
            self.begin_call(None, out);
        }
        match event {
            // One answer is all that there is room for.
            Event::Open {
                part,
                choice: 0,
                kind,
            } => self.open(*part, kind),
            Event::Text { part, text } => self.text(*part, text, out),
            Event::Thinking { part, text } => self.thinking(*part, text, out),
            Event::Signature { part, value } => self.signature(*part, value, out),
            Event::Arguments { part, json } => self.arguments(*part, json, out),
            Event::Citation {
                choice: 0,
                citation,
            } => self.cite(citation, out),
            Event::Logprobs { choice: 0, tokens } => self.logprobs(tokens, out),
            Event::Close { part } => self.close(*part, out),
            Event::Finish { choice: 0, reason } => self.finish(*reason, out),
            Event::End => self.end(out),
            _ => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        // One line feed: with an empty line some clients see an empty event.
        out.put_slice(b": keep-alive\n");
    }

    /// OpenAI's SDKs take an `error` in the middle for no end at all; `response.failed` must name the response they know.
    fn follows(&mut self, start: &Event<'_>, events: u64) {
        if let Event::Start {
            id, model, created, ..
        } = start
        {
            self.started = true;
            self.told.id = id.to_string();
            self.told.model = model.to_string();
            self.told.created = created.unwrap_or_default();
            self.told.sequence = events;
        }
    }
}
