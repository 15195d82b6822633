//! Streams of OpenAI's Responses, held to the documented order: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use serde_json::{Value, json};

use crate::message::events;

/// What a stream was.
#[derive(Debug)]
pub(crate) struct Told {
    /// The response that its last event has.
    pub(crate) response: Value,
    /// The error that ended it.
    pub(crate) error: Option<Value>,
    /// The text of the item that was under way.
    pub(crate) said: String,
}

/// An item on its way.
struct Item {
    id: Value,
    kind: String,
    /// Text, arguments or summary so far.
    text: String,
    /// A content or summary part is open.
    open: bool,
    /// Parts that are whole.
    parts: Vec<Value>,
    done: Option<Value>,
}

/// Reads a stream as the SDKs do, and fails where the order is not the documented one.
pub(crate) fn read(stream: &str) -> Told {
    let mut items: Vec<Item> = Vec::new();
    let mut last: Option<(String, Value)> = None;
    for (number, (name, data)) in events(stream).into_iter().enumerate() {
        assert_eq!(data["sequence_number"], number, "{name}: {stream}");
        assert!(last.is_none(), "{name} after the end: {stream}");
        match (number, name.as_str()) {
            (0, "response.created") | (1, "response.in_progress") => {
                assert_eq!(data["response"]["status"], "in_progress");
                assert_eq!(data["response"]["output"], json!([]));
                assert!(data["response"]["usage"].is_null());
            }
            (_, "response.completed" | "response.incomplete" | "response.failed" | "error") => {
                last = Some((name, data));
            }
            (0 | 1, _) => panic!("{name} comes first: {stream}"),
            (_, "response.output_item.added") => {
                assert_eq!(data["output_index"], items.len(), "{stream}");
                let item = &data["item"];
                begun(item);
                items.push(Item {
                    id: item["id"].clone(),
                    kind: item["type"].as_str().unwrap().to_owned(),
                    text: String::new(),
                    open: false,
                    parts: Vec::new(),
                    done: None,
                });
            }
            (_, name) => {
                let at = usize::try_from(data["output_index"].as_u64().unwrap()).unwrap();
                let item = items
                    .get_mut(at)
                    .unwrap_or_else(|| panic!("{name}: no item {at}"));
                assert!(item.done.is_none(), "{name} after the item: {stream}");
                item.event(name.strip_prefix("response.").unwrap(), &data);
            }
        }
    }
    let Some((name, data)) = last else {
        panic!("it has no end: {stream}");
    };
    if name == "error" {
        return Told {
            response: Value::Null,
            error: Some(data),
            said: String::new(),
        };
    }
    let response = data["response"].clone();
    let status = response["status"].as_str().unwrap();
    assert_eq!(name, format!("response.{status}"));
    let whole: Vec<&Value> = items.iter().filter_map(|item| item.done.as_ref()).collect();
    assert_eq!(response["output"], json!(whole), "{stream}");
    let error = (status == "failed").then(|| response["error"].clone());
    assert!(
        error.is_some() || whole.len() == items.len(),
        "an item has no end: {stream}"
    );
    let open = items.pop().filter(|item| item.done.is_none());
    Told {
        response,
        error,
        said: open.map(|item| item.text).unwrap_or_default(),
    }
}

/// How items begin: with nothing in them.
fn begun(item: &Value) {
    assert!(
        item["id"].as_str().is_some_and(|id| !id.is_empty()),
        "{item}"
    );
    match item["type"].as_str().unwrap() {
        "message" => {
            assert_eq!(item["content"], json!([]));
            assert_eq!(
                (&item["role"], &item["status"]),
                (&"assistant".into(), &"in_progress".into())
            );
        }
        "function_call" => {
            assert_eq!(
                (&item["arguments"], &item["status"]),
                (&"".into(), &"in_progress".into())
            );
            assert!(
                item["name"].is_string() && item["call_id"].is_string(),
                "{item}"
            );
        }
        "reasoning" => assert_eq!(item["summary"], json!([])),
        other => panic!("an item of type {other}"),
    }
}

impl Item {
    fn event(&mut self, name: &str, data: &Value) {
        if name != "output_item.done" {
            assert_eq!(data["item_id"], self.id, "{data}");
        }
        let text = |key: &str| data[key].as_str().unwrap();
        // Where in the item: its parts follow each other.
        for key in ["content_index", "summary_index"] {
            if let Some(index) = data.get(key) {
                assert_eq!(*index, self.parts.len(), "{data}");
            }
        }
        match (self.kind.as_str(), name) {
            ("message", "content_part.added") | ("reasoning", "reasoning_summary_part.added") => {
                assert!(!std::mem::replace(&mut self.open, true), "{data}");
                assert_eq!(data["part"]["text"], "", "{data}");
                self.text.clear();
            }
            ("message", "output_text.delta") | ("reasoning", "reasoning_summary_text.delta") => {
                assert!(self.open, "{data}");
                self.text.push_str(text("delta"));
            }
            ("message", "output_text.done") | ("reasoning", "reasoning_summary_text.done") => {
                assert!(self.open, "{data}");
                assert_eq!(self.text, text("text"));
            }
            ("message", "content_part.done") | ("reasoning", "reasoning_summary_part.done") => {
                assert!(std::mem::take(&mut self.open), "{data}");
                assert_eq!(data["part"]["text"], self.text.as_str());
                self.parts.push(data["part"].clone());
            }
            ("function_call", "function_call_arguments.delta") => {
                assert!(!self.open, "{data}");
                self.text.push_str(text("delta"));
            }
            ("function_call", "function_call_arguments.done") => {
                assert!(!std::mem::replace(&mut self.open, true), "{data}");
                assert_eq!(self.text, text("arguments"));
            }
            (kind, "output_item.done") => {
                let item = data["item"].clone();
                assert_eq!((&item["id"], &item["type"]), (&self.id, &kind.into()));
                match kind {
                    "message" => assert_eq!(item["content"], json!(self.parts)),
                    "reasoning" => assert_eq!(item["summary"], json!(self.parts)),
                    _ => assert_eq!(item["arguments"], self.text.as_str()),
                }
                // A call's arguments are told whole before the call is.
                assert_eq!(self.open, kind == "function_call", "{data}");
                self.done = Some(item);
            }
            (kind, name) => panic!("{name} in an item of type {kind}"),
        }
    }
}
