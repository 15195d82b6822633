//! Content blocks as they are written, in requests and in answers.
//!
//! They are written from structs, not from `Value`s: a call's input keeps its key order and its big numbers (TRAPS 1.15).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// One block.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Value>,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: String,
        name: String,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(skip_serializing_if = "Content::is_empty")]
        content: Content<'a>,
        #[serde(skip_serializing_if = "is_false")]
        is_error: bool,
    },
    /// A block that came in this format.
    #[serde(untagged)]
    Raw(&'a RawValue),
}

impl<'a> Block<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Block<'a> {
        Block::Text {
            text: text.into(),
            citations: Vec::new(),
        }
    }

    pub(super) fn is_thinking(&self) -> bool {
        matches!(
            self,
            Block::Thinking { .. } | Block::RedactedThinking { .. }
        )
    }
}

/// Where a picture or a document is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Url { url: &'a str },
    Base64 { media_type: &'a str, data: &'a str },
    File { file_id: &'a str },
    Text { media_type: &'a str, data: String },
}

/// Blocks, or their short form.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl<'a> Content<'a> {
    /// A single text is written as a string.
    pub(super) fn of(mut blocks: Vec<Block<'a>>) -> Content<'a> {
        if let [Block::Text { text, citations }] = blocks.as_mut_slice()
            && citations.is_empty()
        {
            return Content::Text(std::mem::take(text));
        }
        Content::Blocks(blocks)
    }

    fn is_empty(&self) -> bool {
        match self {
            Content::Text(text) => text.is_empty(),
            Content::Blocks(blocks) => blocks.is_empty(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A call's arguments as the object that the format demands. Text that is none stays visible in one (TRAPS 1.2).
pub(super) fn input(arguments: &str) -> Box<RawValue> {
    let text = arguments.trim();
    let raw = if text.starts_with('{') {
        RawValue::from_string(text.to_owned()).ok()
    } else {
        None
    };
    raw.or_else(|| {
        let object = if text.is_empty() || text == "null" {
            serde_json::json!({})
        } else {
            serde_json::json!({"raw_arguments": arguments})
        };
        serde_json::value::to_raw_value(&object).ok()
    })
    .unwrap_or_else(|| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_1_15_inputs_keep_their_text() {
        let arguments = r#"{"z":12345678901234567890123,"a":1.00}"#;
        let block = Block::ToolUse {
            id: "i".into(),
            name: "n".into(),
            input: input(arguments),
        };
        assert_eq!(
            serde_json::to_string(&block).unwrap(),
            format!(r#"{{"type":"tool_use","id":"i","name":"n","input":{arguments}}}"#)
        );
    }

    #[test]
    fn trap_1_2_an_input_is_always_an_object() {
        for (arguments, expected) in [
            ("", "{}"),
            ("null", "{}"),
            (" {} ", "{}"),
            ("{\"a\":", r#"{"raw_arguments":"{\"a\":"}"#),
            ("[1]", r#"{"raw_arguments":"[1]"}"#),
        ] {
            assert_eq!(input(arguments).get(), expected);
        }
    }
}
