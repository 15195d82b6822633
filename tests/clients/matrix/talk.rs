//! What is asked, in no client's format.

use serde_json::{Value, json};

/// A conversation, and what is wished of its answer.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Several: in the format's way to have several.
    pub(super) system: &'static [&'static str],
    pub(super) turns: Vec<Turn>,
    pub(super) tools: &'static [Tool],
    /// The tool that must be called.
    pub(super) forced: Option<&'static str>,
    pub(super) reasons: bool,
    /// The answer is to be JSON of [`schema`].
    pub(super) schema: bool,
    pub(super) stop: Option<&'static str>,
    pub(super) max_tokens: Option<u64>,
}

/// What somebody said.
#[derive(Debug)]
pub(super) enum Turn {
    User(Vec<Block>),
    Assistant(Vec<Block>),
    /// Results of tools: the call's id, the result, whether the tool failed.
    Results(Vec<(&'static str, Vec<Block>, bool)>),
    /// An answer as the client's format has it, as it came.
    Replayed(Vec<Value>),
}

/// A piece of it.
#[derive(Clone, Debug)]
pub(super) enum Block {
    Text(&'static str),
    /// [`PNG`].
    Picture,
    /// Text and signature.
    Thinking(&'static str, &'static str),
    /// Id, name, arguments.
    Call(&'static str, &'static str, Value),
}

/// A tool on offer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tool {
    Weather,
    Now,
}

impl Tool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Weather => "get_weather",
            Tool::Now => "now",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Tool::Weather => "The weather in a city",
            Tool::Now => "The time",
        }
    }

    pub(super) fn parameters(self) -> Value {
        match self {
            Tool::Weather => json!({"type": "object", "required": ["city"],
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}),
            Tool::Now => json!({"type": "object", "properties": {}}),
        }
    }
}

/// What the schema case asks for.
pub(super) fn schema() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"], "additionalProperties": false})
}

/// One red pixel.
pub(super) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// The user says this.
pub(super) fn user(text: &'static str) -> Talk {
    said(vec![Block::Text(text)])
}

/// The user says all this.
pub(super) fn said(blocks: Vec<Block>) -> Talk {
    Talk {
        turns: vec![Turn::User(blocks)],
        ..Talk::default()
    }
}

/// The second turn of a tool's round.
pub(super) fn after_tools(first: Vec<Block>, failed: bool, second: Vec<Block>) -> Talk {
    Talk {
        tools: &[Tool::Weather, Tool::Now],
        turns: vec![
            Turn::User(vec![Block::Text(
                "How warm is it in Rome, and what time is it?",
            )]),
            Turn::Assistant(vec![
                Block::Text("I will look."),
                Block::Call("toolu_1", "get_weather", json!({"city": "Rome"})),
                Block::Call("toolu_2", "now", json!({})),
            ]),
            Turn::Results(vec![("toolu_1", first, failed), ("toolu_2", second, false)]),
        ],
        ..Talk::default()
    }
}
