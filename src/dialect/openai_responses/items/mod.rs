//! Items of a conversation, both ways.

mod content;
mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;

use serde_json::{Map, Value};

use crate::dialect::Error;

/// Fields inside items that have no canonical place: kept by name among the unknown ones, so that they are reported.
pub(super) const INSIDE: &str = "[].";

/// Collects what has no place.
#[derive(Debug, Default)]
pub(super) struct Rest(pub(super) Vec<String>);

/// What items and their contents hold that answers have and requests need not repeat.
const ANSWERED: &[&str] = &["type", "id", "status", "phase", "annotations", "logprobs"];

impl Rest {
    /// The fields that are left of an object, without those that say nothing.
    fn add(&mut self, place: &str, fields: &Map<String, Value>) {
        for (key, value) in fields {
            let says = match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                _ => true,
            };
            let name = format!("{place}{INSIDE}{key}");
            if says && !ANSWERED.contains(&key.as_str()) && !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }
}

pub(super) fn malformed(why: impl Into<String>) -> Error {
    Error::Malformed(why.into())
}

/// Takes a text; something else stays where it is.
pub(super) fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key)?.as_str()?;
    match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes an object; something else is none.
pub(super) fn object(fields: &mut Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
    match fields.shift_remove(key) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}
