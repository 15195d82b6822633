//! One item of an answer while it is written.

use serde_json::{Value, json};

use crate::dialect::{
    openai_responses::tools::{Called, Declared},
    put,
};

/// An item of the answer's `output`.
#[derive(Debug)]
pub(super) struct Item {
    /// Its own id.
    pub(super) id: String,
    pub(super) body: Body,
    /// As it was told when it was whole.
    pub(super) done: Option<Value>,
}

#[derive(Debug)]
pub(super) enum Body {
    Message(Vec<Content>),
    Reasoning {
        text: String,
        encrypted: Option<String>,
    },
    Call {
        id: String,
        tool: Declared,
        arguments: String,
        /// Its part is closed; why the answer ends is not known yet.
        closed: bool,
    },
}

/// A part of a message.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) refusal: bool,
    pub(super) text: String,
    /// Where it begins in the answer's text, in characters.
    pub(super) start: u64,
    pub(super) annotations: Vec<Value>,
    pub(super) logprobs: Vec<Value>,
    /// It was told that it is whole.
    pub(super) done: bool,
}

impl Content {
    /// It so far.
    pub(super) fn json(&self) -> Value {
        if self.refusal {
            return json!({"type": "refusal", "refusal": self.text});
        }
        json!({
            "type": "output_text",
            "annotations": self.annotations,
            "logprobs": self.logprobs,
            "text": self.text,
        })
    }
}

impl Item {
    /// What its call is of, if it is one.
    pub(super) fn called(&self) -> Option<Called> {
        match &self.body {
            Body::Call { tool, .. } => Some(tool.kind),
            _ => None,
        }
    }

    /// It, in a state.
    pub(super) fn json(&self, status: &str) -> Value {
        match &self.body {
            Body::Message(contents) => {
                let content: Vec<Value> = contents.iter().map(Content::json).collect();
                json!({"id": self.id, "type": "message", "status": status, "content": content, "role": "assistant"})
            }
            Body::Reasoning { text, encrypted } => {
                let mut summary = Vec::new();
                if !text.is_empty() {
                    summary.push(json!({"type": "summary_text", "text": text}));
                }
                let mut json = json!({"id": self.id, "type": "reasoning", "summary": summary});
                if let Some(encrypted) = encrypted {
                    put(&mut json, "encrypted_content", encrypted.as_str());
                }
                json
            }
            Body::Call {
                id,
                tool,
                arguments,
                ..
            } => {
                let (kind, key) = match tool.kind {
                    Called::Function => ("function_call", "arguments"),
                    Called::Custom => ("custom_tool_call", "input"),
                    Called::Search => {
                        // Its arguments are an object; until they are whole, an empty one.
                        let arguments: Value =
                            serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
                        return json!({"id": self.id, "type": "tool_search_call", "status": status, "execution": "client",
                            "call_id": id, "arguments": arguments});
                    }
                };
                let mut json = json!({"id": self.id, "type": kind, "status": status, key: arguments, "call_id": id, "name": tool.name});
                if let Some(namespace) = &tool.namespace {
                    put(&mut json, "namespace", namespace.as_str());
                }
                json
            }
        }
    }
}
