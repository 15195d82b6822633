//! A JSON value with its numbers as they are written, and equality that costs nothing.

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Limits;

/// A value. Values that one reader read are equal if their content is, whatever the order of their keys.
#[derive(Clone)]
pub struct Json<'a> {
    /// Stands for the content.
    id: u32,
    pub(super) kind: Kind<'a>,
}

/// What a value is.
#[derive(Clone)]
pub enum Kind<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written: `1.0` is not `1`, and 23 digits stay 23 digits.
    Number(&'a str),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object; of a key that stands twice the last value.
    Table(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.compact())
    }
}

impl fmt::Debug for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Number(_) => "number",
            Kind::Text(_) => "string",
            Kind::List(_) => "array",
            Kind::Table(_) => "object",
        })
    }
}

impl<'a> Json<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind<'a> {
        &self.kind
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The same value in another order.
    pub(super) fn reordered(&self, kind: Kind<'a>) -> Json<'a> {
        Json { id: self.id, kind }
    }

    /// On one line.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(None, &mut out);
        out
    }

    /// With a line for each value.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(Some(0), &mut out);
        out.push('\n');
        out
    }

    /// `indent` is the depth, where every value gets its line.
    fn write(&self, indent: Option<usize>, out: &mut String) {
        match &self.kind {
            Kind::Null => out.push_str("null"),
            Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Kind::Number(text) => out.push_str(text),
            Kind::Text(text) => quote(text, out),
            Kind::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    next(index, indent, out);
                    item.write(indent.map(|depth| depth + 1), out);
                }
                end(items.is_empty(), indent, out);
                out.push(']');
            }
            Kind::Table(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    next(index, indent, out);
                    quote(key, out);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.write(indent.map(|depth| depth + 1), out);
                }
                end(fields.is_empty(), indent, out);
                out.push('}');
            }
        }
    }
}

fn next(index: usize, indent: Option<usize>, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    line(indent.map(|depth| depth + 1), out);
}

fn end(empty: bool, indent: Option<usize>, out: &mut String) {
    if !empty {
        line(indent, out);
    }
}

fn line(indent: Option<usize>, out: &mut String) {
    if let Some(depth) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

/// A string as JSON writes it.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Deeper bodies are compared by line. What walks a value calls itself once a level.
const DEPTH: usize = 100;

/// Reads bodies, and gives equal values one name.
pub(super) struct Reader<'a> {
    names: HashMap<Name<'a>, u32>,
    /// How many more values are read.
    left: usize,
    limits: Limits,
}

/// A value's content, its parts by their names.
#[derive(PartialEq, Eq, Hash)]
enum Name<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<u32>),
    /// Sorted by key.
    Table(Vec<(Cow<'a, str>, u32)>),
}

impl<'a> Reader<'a> {
    pub(super) fn new(limits: &Limits) -> Reader<'a> {
        Reader {
            names: HashMap::new(),
            left: limits.values,
            limits: *limits,
        }
    }

    /// The value of a body; `None` if it is no JSON, too deep, or too large.
    pub(super) fn read(&mut self, body: &'a [u8]) -> Option<Json<'a>> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        self.value(serde_json::from_slice(body).ok()?, DEPTH)
    }

    fn value(&mut self, raw: &'a RawValue, depth: usize) -> Option<Json<'a>> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        if self.left.is_multiple_of(4096) && self.limits.passed() {
            return None;
        }
        let text = raw.get().trim();
        let kind = match text.as_bytes().first()? {
            b'n' => Kind::Null,
            b't' | b'f' => Kind::Bool(text == "true"),
            b'"' => Kind::Text(serde_json::from_str::<Text<'a>>(text).ok()?.0),
            b'[' => {
                let items: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
                let items = items.into_iter().map(|item| self.value(item, depth));
                Kind::List(items.collect::<Option<_>>()?)
            }
            b'{' => {
                let Fields(fields) = serde_json::from_str(text).ok()?;
                let mut read: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(fields.len());
                let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
                for (key, value) in fields {
                    let value = self.value(value, depth)?;
                    match places.get(&key).and_then(|at| read.get_mut(*at)) {
                        Some((_, earlier)) => *earlier = value,
                        None => {
                            places.insert(key.clone(), read.len());
                            read.push((key, value));
                        }
                    }
                }
                Kind::Table(read)
            }
            _ => Kind::Number(text),
        };
        let name = match &kind {
            Kind::Null => Name::Null,
            Kind::Bool(value) => Name::Bool(*value),
            Kind::Number(text) => Name::Number(text),
            Kind::Text(text) => Name::Text(text.clone()),
            Kind::List(items) => Name::List(items.iter().map(Json::id).collect()),
            Kind::Table(fields) => {
                let named = |(key, value): &(Cow<'a, str>, Json<'a>)| (key.clone(), value.id);
                let mut fields: Vec<_> = fields.iter().map(named).collect();
                fields.sort_unstable();
                Name::Table(fields)
            }
        };
        let next = u32::try_from(self.names.len()).ok()?;
        let id = *self.names.entry(name).or_insert(next);
        Some(Json { id, kind })
    }
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object, in order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}
