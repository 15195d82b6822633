//! Spans, as OTLP has them.

use std::borrow::Cow;

use crate::exchange::{
    Redactor,
    trace::{SpanId, TraceId},
};

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    /// The parent is another program's.
    pub(super) remote: bool,
    /// W3C's.
    pub(super) flags: u8,
    /// W3C's `tracestate`.
    pub(super) state: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<Attribute>,
    /// Why it failed, if it did.
    pub(super) failed: Option<String>,
}

/// Which side of a call a span is, by its number in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server = 2,
    Client = 3,
}

/// A name and its value.
pub(super) type Attribute = (Cow<'static, str>, Value);

/// What an attribute may hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Texts(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Value {
        Value::Int(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Double(number)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Value {
        Value::Texts(texts)
    }
}

/// W3C's flags and OTLP's own: whether the parent is remote is known, and whether it is.
pub(super) fn flags(span: &Span) -> u32 {
    u32::from(span.flags) | 0x100 | if span.remote { 0x200 } else { 0 }
}

impl Span {
    /// Adds an attribute.
    pub(super) fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name.into(), value.into()));
    }

    /// Adds one where there is something to say.
    pub(super) fn put_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Takes secrets out of all its texts, whatever they are.
    pub(super) fn redact(&mut self, redactor: &Redactor) {
        let hide = |text: &mut String| {
            if let Cow::Owned(hidden) = redactor.redact(text) {
                *text = hidden;
            }
        };
        hide(&mut self.name);
        hide(&mut self.state);
        self.failed.as_mut().map(hide);
        for (_, value) in &mut self.attributes {
            match value {
                Value::Text(text) => hide(text),
                Value::Texts(texts) => texts.iter_mut().for_each(hide),
                Value::Bool(_) | Value::Int(_) | Value::Double(_) => {}
            }
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => text.len(),
                Value::Texts(texts) => texts.iter().map(|text| text.len() + 4).sum(),
                Value::Bool(_) | Value::Int(_) | Value::Double(_) => 9,
            };
            name.len() + value + 8
        });
        128 + self.name.len() + self.state.len() + attributes.sum::<usize>()
    }
}
