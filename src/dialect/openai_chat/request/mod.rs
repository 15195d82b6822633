//! Requests, both ways.

mod decode;
mod encode;
mod message;
mod names;
#[cfg(test)]
mod tests;
mod tools;
mod turns;

pub(in crate::dialect) use decode::{decode, extra, shared as decode_shared};
pub(in crate::dialect) use encode::{encode, own_fields, shared as encode_shared};
pub(in crate::dialect) use message::{media, media_type};
pub(in crate::dialect) use names::Names;
pub(in crate::dialect) use turns::url;

use serde_json::{Map, Value};

use crate::dialect::{Error, Loss};

/// Fields inside messages and tools that have no canonical place: kept by name among the unknown ones, so that they are reported.
/// OpenAI's top level has no such names.
const INSIDE: &str = "[].";

/// Collects what has no place.
#[derive(Debug, Default)]
struct Rest(Vec<String>);

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
            if says && !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }
}

fn malformed(why: impl Into<String>) -> Error {
    Error::Malformed(why.into())
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into() }
}

/// Takes a text; something else stays where it is.
fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key)?.as_str()?;
    match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes an object; something else is none.
fn object(fields: &mut Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
    match fields.shift_remove(key) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Notes a loss once.
fn lose(lost: &mut Vec<Loss>, loss: Loss) {
    if !lost.contains(&loss) {
        lost.push(loss);
    }
}
