//! OTLP's request in Protocol Buffers' wire format: <https://github.com/open-telemetry/opentelemetry-proto>,
//! `collector/trace/v1/trace_service.proto`. One message with a handful of fields, so they are written here; a test reads them back with the
//! code that is generated from the definitions.

use super::span::{Attribute, Span, Value, flags};

/// A message under way: bytes, and how each field is put behind them.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn tag(&mut self, field: u32, wire: u64) {
        self.number(u64::from(field) << 3 | wire);
    }

    fn varint(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.number(number);
    }

    fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text, unless it is empty.
    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn attributes(&mut self, field: u32, attributes: &[Attribute]) {
        for (key, value) in attributes {
            self.message(field, |pair| {
                pair.text(1, key);
                pair.message(2, |any| any.value(value));
            });
        }
    }

    /// An `AnyValue`. Its fields say which kind it is: they are written even where they are empty.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.bytes(1, text.as_bytes()),
            Value::Bool(flag) => self.varint(2, u64::from(*flag)),
            Value::Int(number) => self.varint(3, number.cast_unsigned()),
            Value::Double(number) => self.fixed64(4, number.to_bits()),
            Value::Texts(texts) => self.message(5, |list| {
                for text in texts {
                    list.message(1, |any| any.bytes(1, text.as_bytes()));
                }
            }),
        }
    }

    fn span(&mut self, span: &Span) {
        self.bytes(1, &span.trace);
        self.bytes(2, &span.id);
        self.text(3, &span.state);
        if let Some(parent) = &span.parent {
            self.bytes(4, parent);
        }
        self.text(5, &span.name);
        self.varint(6, span.kind as u64);
        self.fixed64(7, span.start);
        self.fixed64(8, span.end);
        self.attributes(9, &span.attributes);
        if let Some(why) = &span.failed {
            self.message(15, |status| {
                status.text(2, why);
                status.varint(3, 2);
            });
        }
        self.fixed32(16, flags(span));
    }
}

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &[Attribute], scope: (&str, &str), spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |all| {
        all.message(1, |one| one.attributes(1, resource));
        all.message(2, |scoped| {
            scoped.message(1, |named| {
                named.text(1, scope.0);
                named.text(2, scope.1);
            });
            for span in spans {
                scoped.message(2, |one| one.span(span));
            }
        });
    });
    request.0
}

/// What an `ExportTraceServiceResponse` says was not taken: how many, and why.
pub(super) fn rejected(response: &[u8]) -> Option<(u64, String)> {
    let partial = fields(response).into_iter().find_map(|field| match field {
        (1, Field::Bytes(bytes)) => Some(bytes),
        _ => None,
    })?;
    let (mut count, mut why) = (0, String::new());
    for field in fields(partial) {
        match field {
            (1, Field::Number(number)) => count = number,
            (2, Field::Bytes(text)) => why = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    Some((count, why))
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, as far as it can be read.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut out = Vec::new();
    while let Some(tag) = take_number(&mut bytes) {
        let field = match tag & 7 {
            0 => take_number(&mut bytes).map(Field::Number),
            1 => take(&mut bytes, 8).map(Field::Bytes),
            2 => take_number(&mut bytes)
                .and_then(|length| take(&mut bytes, usize::try_from(length).ok()?))
                .map(Field::Bytes),
            5 => take(&mut bytes, 4).map(Field::Bytes),
            _ => None,
        };
        let Some(field) = field else { break };
        out.push((tag >> 3, field));
    }
    out
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read() {
        let mut response = Message::default();
        response.message(1, |partial| {
            partial.varint(1, 300);
            partial.text(2, "too many");
        });
        assert_eq!(rejected(&response.0), Some((300, "too many".into())));
        for end in 0..response.0.len() {
            // Cut anywhere, it does no harm.
            let _ = rejected(&response.0[..end]);
        }
        assert_eq!(rejected(b""), None);
        assert_eq!(rejected(b"<html>"), None);
    }
}
