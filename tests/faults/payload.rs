//! The right answer in each format, in pieces, so that faults can come between them.

use serde_json::{Value, json};

use crate::support::{DONE, completion, delta, role, stop};

/// What every right answer says, in two pieces.
pub(crate) const SAYS: [&str; 2] = ["Hel", "lo"];

/// A format of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Chat,
    Messages,
    Responses,
}

impl Speaks {
    /// A whole answer.
    pub(crate) fn whole(self) -> String {
        let text = SAYS.concat();
        match self {
            Speaks::Chat => completion(&text),
            Speaks::Messages => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m1",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 3, "output_tokens": 2},
            })
            .to_string(),
            Speaks::Responses => response("completed", &json!([item(&text)])).to_string(),
        }
    }

    /// The events before any content.
    pub(crate) fn opening(self) -> String {
        match self {
            Speaks::Chat => role(),
            Speaks::Messages => {
                let message = json!({
                    "id": "msg_1", "type": "message", "role": "assistant", "model": "m1",
                    "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": {"input_tokens": 3, "output_tokens": 1},
                });
                let block = json!({"type": "text", "text": ""});
                named("message_start", &[("message", message)])
                    + &named(
                        "content_block_start",
                        &[("index", json!(0)), ("content_block", block)],
                    )
            }
            Speaks::Responses => {
                let began = response("in_progress", &json!([]));
                let part = json!({"type": "output_text", "text": "", "annotations": []});
                let mut empty = item("");
                empty["content"] = json!([]);
                empty["status"] = json!("in_progress");
                named("response.created", &[("response", began)])
                    + &named(
                        "response.output_item.added",
                        &[("output_index", json!(0)), ("item", empty)],
                    )
                    + &placed("response.content_part.added", "part", &part)
            }
        }
    }

    /// One event with a piece of the text.
    pub(crate) fn text(self, text: &str) -> String {
        match self {
            Speaks::Chat => delta(text),
            Speaks::Messages => {
                let delta = json!({"type": "text_delta", "text": text});
                named(
                    "content_block_delta",
                    &[("index", json!(0)), ("delta", delta)],
                )
            }
            Speaks::Responses => placed("response.output_text.delta", "delta", &json!(text)),
        }
    }

    /// The events after the text, to the end.
    pub(crate) fn closing(self) -> String {
        match self {
            Speaks::Chat => stop() + DONE,
            Speaks::Messages => {
                let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
                let usage = json!({"output_tokens": 2});
                named("content_block_stop", &[("index", json!(0))])
                    + &named("message_delta", &[("delta", delta), ("usage", usage)])
                    + &named("message_stop", &[])
            }
            Speaks::Responses => {
                let text = SAYS.concat();
                let part = json!({"type": "output_text", "text": text, "annotations": []});
                let whole = response("completed", &json!([item(&text)]));
                placed("response.output_text.done", "text", &json!(text))
                    + &placed("response.content_part.done", "part", &part)
                    + &named(
                        "response.output_item.done",
                        &[("output_index", json!(0)), ("item", item(&text))],
                    )
                    + &named("response.completed", &[("response", whole)])
            }
        }
    }

    /// A whole stream.
    pub(crate) fn stream(self) -> String {
        self.opening() + &self.text(SAYS[0]) + &self.text(SAYS[1]) + &self.closing()
    }

    /// An error answer's body, as the provider of this format has it.
    pub(crate) fn error(self, kind: &str, message: &str) -> String {
        match self {
            Speaks::Messages => {
                json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
            }
            Speaks::Chat | Speaks::Responses => {
                json!({"error": {"message": message, "type": kind, "code": null, "param": null}})
                    .to_string()
            }
        }
    }

    /// An error as an event of a stream.
    pub(crate) fn failing(self, kind: &str, message: &str) -> String {
        match self {
            Speaks::Chat => format!("data: {}\n\n", self.error(kind, message)),
            Speaks::Messages => format!("event: error\ndata: {}\n\n", self.error(kind, message)),
            Speaks::Responses => named(
                "error",
                &[
                    ("code", json!(kind)),
                    ("message", json!(message)),
                    ("param", Value::Null),
                ],
            ),
        }
    }

    /// What a stream's event says: a piece of text, the end, or an error (its type or code, and its message).
    pub(crate) fn read(self, data: &str) -> Said {
        if data == "[DONE]" {
            return Said::End;
        }
        let Ok(json) = serde_json::from_str::<Value>(data) else {
            return Said::Garbage(data.to_owned());
        };
        let error = match (self, json["type"].as_str()) {
            (Speaks::Responses, Some("error")) => Some(&json),
            (Speaks::Responses, Some("response.failed")) => json.pointer("/response/error"),
            _ => json.get("error"),
        };
        if let Some(error) = error {
            let kind = match self {
                Speaks::Responses => &error["code"],
                _ => &error["type"],
            };
            return Said::Error {
                kind: kind.as_str().unwrap_or_default().to_owned(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            };
        }
        let text = match self {
            Speaks::Chat => json.pointer("/choices/0/delta/content"),
            Speaks::Messages => json.pointer("/delta/text"),
            Speaks::Responses if json["type"] == "response.output_text.delta" => json.get("delta"),
            Speaks::Responses => None,
        };
        let ended = matches!(
            json["type"].as_str(),
            Some("message_stop" | "response.completed" | "response.incomplete")
        );
        match text.and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Said::Text(text.to_owned()),
            _ if ended => Said::End,
            _ => Said::Nothing,
        }
    }

    /// The text of a whole answer.
    pub(crate) fn text_of(self, json: &Value) -> Option<String> {
        let text = match self {
            Speaks::Chat => json.pointer("/choices/0/message/content"),
            Speaks::Messages => json.pointer("/content/0/text"),
            Speaks::Responses => json.pointer("/output/0/content/0/text"),
        };
        text.and_then(Value::as_str).map(str::to_owned)
    }
}

/// What an event of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Text(String),
    End,
    Error { kind: String, message: String },
    Garbage(String),
}

/// An event with its name inside, as Anthropic and OpenAI's Responses have it.
fn named(name: &str, fields: &[(&str, Value)]) -> String {
    let mut json = json!({"type": name});
    for (field, value) in fields {
        json[*field] = value.clone();
    }
    format!("event: {name}\ndata: {json}\n\n")
}

/// An event about the one part of the one item.
fn placed(name: &str, field: &str, value: &Value) -> String {
    named(
        name,
        &[
            ("item_id", json!("msg_1")),
            ("output_index", json!(0)),
            ("content_index", json!(0)),
            (field, value.clone()),
        ],
    )
}

fn item(text: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

fn response(status: &str, output: &Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status,
        "model": "m1", "output": output, "error": null, "incomplete_details": null,
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    })
}
