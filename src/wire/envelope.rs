//! A JSON object's top level, each value still the bytes that the client sent.
//!
//! Requests to a provider of the client's own format are edited here and nowhere else: what no rule touches keeps its bytes, so unknown
//! fields, key order, `1.00` and 23-digit numbers survive.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::scan;

/// The fields of one JSON object, in order.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    dirty: bool,
}

impl<'a> Envelope<'a> {
    /// Reads the top level of `body`. Of a key that stands twice the last value counts, as most parsers have it.
    ///
    /// # Errors
    ///
    /// If `body` is no JSON object.
    pub fn parse(body: &'a [u8]) -> serde_json::Result<Self> {
        // Whether it is UTF-8 is found out at once for all of it.
        let Ok(text) = std::str::from_utf8(body) else {
            return serde_json::from_slice(body);
        };
        let Some(found) = scan::fields(text) else {
            return serde_json::from_str(text);
        };
        let raw = |(name, value)| (name, Cow::Borrowed(value));
        Ok(Envelope {
            fields: found.into_iter().map(raw).collect(),
            dirty: false,
        })
    }

    /// A field's value, as the client sent it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| &**value)
    }

    /// Whether there is such a field with a value other than `null`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value != "null")
    }

    /// Whether a field is a list that holds nothing.
    #[must_use]
    pub fn is_empty_list(&self, key: &str) -> bool {
        let inside = self.get(key).and_then(|value| value.strip_prefix('['));
        inside.is_some_and(|inside| inside.trim_start().starts_with(']'))
    }

    /// A field's value as a `T`; `None` if it is absent or of another type.
    #[must_use]
    pub fn read<'s, T: Deserialize<'s>>(&'s self, key: &str) -> Option<T> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// Sets a field, in its place if it is there, else at the end. An equal value changes nothing.
    ///
    /// # Errors
    ///
    /// If `value` cannot be written as JSON.
    pub fn set(
        &mut self,
        key: impl Into<Cow<'a, str>>,
        value: &(impl Serialize + ?Sized),
    ) -> serde_json::Result<()> {
        let key = key.into();
        let value = serde_json::to_string(value)?;
        self.keep_last(&[&key]);
        match self.fields.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) if *old == value => return Ok(()),
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.fields.push((key, Cow::Owned(value))),
        }
        self.dirty = true;
        Ok(())
    }

    /// Of each of these keys, drops all fields but the last. For what a rule looks at: no reader further on may take another value than
    /// the one that was checked.
    pub fn keep_last(&mut self, keys: &[&str]) {
        for key in keys {
            let mut left = self.fields.iter().filter(|(name, _)| name == key).count();
            if left < 2 {
                continue;
            }
            self.fields.retain(|(name, _)| {
                let same = name == key;
                left -= usize::from(same);
                !same || left == 0
            });
            self.dirty = true;
        }
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(name, _)| name != key);
        let removed = before != self.fields.len();
        self.dirty |= removed;
        removed
    }

    /// Gives a field another name; a field of that name goes. Without the field nothing happens.
    pub fn rename(&mut self, from: &str, to: &'static str) {
        if !self.fields.iter().any(|(name, _)| name == from) {
            return;
        }
        self.fields.retain(|(name, _)| name != to);
        for (name, _) in &mut self.fields {
            if name == from {
                *name = Cow::Borrowed(to);
            }
        }
        self.dirty = true;
    }

    /// The names of the fields, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| &**name)
    }

    /// The object as bytes: `original` itself, which this was parsed from, if nothing was changed.
    #[must_use]
    pub fn finish(&self, original: &Bytes) -> Bytes {
        if !self.dirty {
            return original.clone();
        }
        let mut out = Vec::with_capacity(original.len() + 64);
        out.push(b'{');
        for (index, (name, value)) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // A string always has a JSON form; a `Vec` takes every write.
            let _ = serde_json::to_writer(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.push(b'}');
        out.into()
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((key, Cow::Borrowed(value.get())));
                }
                Ok(Envelope {
                    fields,
                    dirty: false,
                })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(body: &str, change: impl FnOnce(&mut Envelope<'_>)) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut envelope = Envelope::parse(&body).unwrap();
        change(&mut envelope);
        String::from_utf8(envelope.finish(&body).to_vec()).unwrap()
    }

    #[test]
    fn untouched_bytes_stay_themselves() {
        let body = "{ \"b\" : 1.00,\n\"a\":12345678901234567890123, \"c\": [ ], \"d\": \"\\u00e9\\ud83d\" }";
        assert_eq!(edit(body, |_| ()), body);
        assert_eq!(
            edit(body, |envelope| envelope
                .set("b", &serde_json::json!(1))
                .unwrap())
            .split_once(',')
            .unwrap()
            .0,
            "{\"b\":1"
        );
    }

    #[test]
    fn trap_1_15_edits_leave_the_other_values_alone() {
        let body = r#"{"model":"x","messages":[ {"content": 1.00} ],"big":12345678901234567890123,"e":[]}"#;
        let changed = edit(body, |envelope| {
            envelope.set("model", "y").unwrap();
            envelope.set("stream", &true).unwrap();
        });
        assert_eq!(
            changed,
            r#"{"model":"y","messages":[ {"content": 1.00} ],"big":12345678901234567890123,"e":[],"stream":true}"#
        );
    }

    #[test]
    fn an_equal_value_changes_nothing() {
        let body = r#"{ "model" : "x" }"#;
        assert_eq!(
            edit(body, |envelope| envelope.set("model", "x").unwrap()),
            body
        );
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let body = r#"{"model":"a", "x":1,"mod\u0065l":"b", "x":2}"#;
        assert_eq!(edit(body, |_| ()), body, "what no rule looks at stays");
        assert_eq!(
            edit(body, |envelope| {
                assert_eq!(envelope.get("model").unwrap(), "\"b\"");
                envelope.keep_last(&["model", "stream"]);
            }),
            r#"{"x":1,"model":"b","x":2}"#
        );
        assert_eq!(
            edit(body, |envelope| envelope.set("model", "c").unwrap()),
            r#"{"x":1,"model":"c","x":2}"#
        );
    }

    #[test]
    fn fields_are_removed_and_renamed() {
        assert_eq!(
            edit(r#"{"a":1,"b":2}"#, |envelope| assert!(envelope.remove("a"))),
            r#"{"b":2}"#
        );
        assert_eq!(
            edit(r#"{"a":1,"b":2}"#, |envelope| envelope.rename("a", "b")),
            r#"{"b":1}"#
        );
        assert_eq!(
            edit(r#"{"a": 1}"#, |envelope| envelope.rename("z", "b")),
            r#"{"a": 1}"#
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "",
            "[]",
            "1",
            "null",
            "{\"a\":1",
            "{\"a\":1} x",
            "\u{feff}{}",
        ] {
            assert!(Envelope::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Envelope::parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn deep_nesting_is_no_stack() {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Envelope::parse(body.as_bytes()).is_ok());
    }
}
