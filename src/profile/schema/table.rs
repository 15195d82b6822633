//! How a table of a profile is declared: once, with its keys, types, defaults and words.
//!
//! `table!` makes the struct, its reader, its redacted view and the list of its keys from one declaration, so that the
//! reference, the JSON Schema, "did you mean" and the code cannot drift apart. `choice!` does the same for a string
//! with a fixed set of values. A derived serde reader would stop at the first mistake and could repeat a secret in its
//! message; this one reports them all and decides itself what it shows.

use serde_json::{Map, Value};

use crate::profile::{
    reader::Reader,
    source::{Entry, Kind, Node},
};

/// One key of a table, as people read about it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key as a profile writes it.
    pub name: &'static str,
    /// The lines of its description.
    pub doc: &'static [&'static str],
    /// What its value is.
    pub shape: fn() -> Shape,
    /// The value that holds when the key is absent.
    pub default: fn() -> Option<Value>,
    /// The key has to be there.
    pub required: fn() -> bool,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A string that may hold request-time templates.
    Template,
    /// A string that may hold `{vault://...}` references and is never shown.
    Secret,
    /// An `http://` or `https://` URL.
    Url,
    /// One of a fixed set of strings.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A whole number of milliseconds.
    Milliseconds,
    /// Any number.
    Number,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table whose keys are the profile's own, with a string each.
    Map,
}

/// A value that can stand in a profile.
pub(crate) trait Field: Sized {
    /// What it is.
    fn shape() -> Shape;
    /// Reads it. Nothing means that a problem was reported.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// The value of a key that is absent and has no default; nothing if the key is required.
    fn absent() -> Option<Self> {
        None
    }
    /// What may be shown of it; null if there is nothing.
    fn show(&self) -> Value;
}

impl Key {
    /// The description as one line of text.
    #[must_use]
    pub fn summary(&self) -> String {
        self.doc
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Shape {
    /// The words after "must be".
    pub(crate) fn expected(self) -> String {
        match self {
            Shape::Text | Shape::Template | Shape::Secret | Shape::Choice(_) => "a string".into(),
            Shape::Url => "an http or https URL".into(),
            Shape::Boolean => "true or false".into(),
            Shape::Integer(0, u64::MAX) => "a whole number of 0 or more".into(),
            Shape::Integer(low, high) => format!("a whole number from {low} to {high}"),
            Shape::Milliseconds => "a whole number of milliseconds above 0".into(),
            Shape::Number => "a number".into(),
            Shape::Table(_) | Shape::Map => "a table".into(),
        }
    }
}

/// Adds a key to a view, unless there is nothing to show.
pub(crate) fn show_into(shown: &mut Map<String, Value>, name: &str, field: &impl Field) {
    let value = field.show();
    if !value.is_null() && value.as_object().is_none_or(|table| !table.is_empty()) {
        shown.insert(name.to_owned(), value);
    }
}

/// The value of a key that is there and not null: Kong takes null for absent.
pub(crate) fn present<'n>(entries: &'n [Entry], name: &str) -> Option<&'n Entry> {
    entries
        .iter()
        .find(|entry| entry.key == name && !matches!(entry.value.kind, Kind::Null))
}

/// Declares a table. With `default`, all its keys can be absent and the struct has a [`Default`].
macro_rules! table {
    (
        $(#[doc = $about:expr])*
        pub struct $name:ident default {
            $( $(#[doc = $doc:expr])+ $key:ident $(as $written:literal)? : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        table! {
            $(#[doc = $about])*
            pub struct $name {
                $( $(#[doc = $doc])+ $key $(as $written)? : $type $(= $default)? ),*
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: table!(@default $type $(, $default)?) ),* }
            }
        }
    };
    (
        $(#[doc = $about:expr])*
        pub struct $name:ident {
            $( $(#[doc = $doc:expr])+ $key:ident $(as $written:literal)? : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $key: $type ),*
        }

        impl $name {
            pub(crate) const KEYS: &'static [$crate::profile::schema::Key] = &[
                $( $crate::profile::schema::Key {
                    name: table!(@name $key $($written)?),
                    doc: &[$($doc),+],
                    shape: <$type as $crate::profile::schema::table::Field>::shape,
                    default: || table!(@shown $type $(, $default)?),
                    required: || {
                        let absent: Option<$type> = table!(@absent $type $(, $default)?);
                        absent.is_none()
                    },
                } ),*
            ];
        }

        impl $crate::profile::schema::table::Field for $name {
            fn shape() -> $crate::profile::schema::Shape {
                $crate::profile::schema::Shape::Table(Self::KEYS)
            }

            fn read(
                node: &$crate::profile::source::Node,
                reader: &mut $crate::profile::reader::Reader<'_>,
            ) -> Option<Self> {
                let entries = reader.table(node, Self::KEYS)?;
                // Every key is read before the first missing one ends it: all mistakes are reported at once.
                $( let $key: Option<$type> = reader.key(
                    entries,
                    table!(@name $key $($written)?),
                    || table!(@absent $type $(, $default)?),
                ); )*
                Some(Self { $( $key: $key? ),* })
            }

            fn show(&self) -> serde_json::Value {
                let mut shown = serde_json::Map::new();
                $( $crate::profile::schema::table::show_into(
                    &mut shown,
                    table!(@name $key $($written)?),
                    &self.$key,
                ); )*
                serde_json::Value::Object(shown)
            }
        }
    };
    (@name $key:ident) => { stringify!($key) };
    (@name $key:ident $written:literal) => { $written };
    (@default $type:ty) => { <$type as Default>::default() };
    (@default $type:ty, $default:expr) => { $default };
    (@absent $type:ty) => { <$type as $crate::profile::schema::table::Field>::absent() };
    (@absent $type:ty, $default:expr) => { Some($default) };
    (@shown $type:ty) => { None };
    (@shown $type:ty, $default:expr) => {{
        let value: $type = $default;
        Some($crate::profile::schema::table::Field::show(&value))
    }};
}

/// Declares a string with a fixed set of values.
macro_rules! choice {
    (
        $(#[doc = $about:expr])*
        pub enum $name:ident { $( $(#[doc = $doc:expr])+ $variant:ident = $text:literal ),* $(,)? }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant ),*
        }

        impl $name {
            const TEXTS: &'static [&'static str] = &[$($text),*];

            /// The value as a profile writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$variant => $text ),* }
            }

            /// The value that a text names.
            #[must_use]
            pub fn parse(text: &str) -> Option<$name> {
                match text { $( $text => Some($name::$variant), )* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::profile::schema::table::Field for $name {
            fn shape() -> $crate::profile::schema::Shape {
                $crate::profile::schema::Shape::Choice(Self::TEXTS)
            }

            fn read(
                node: &$crate::profile::source::Node,
                reader: &mut $crate::profile::reader::Reader<'_>,
            ) -> Option<Self> {
                let text = reader.text(node, Self::shape())?;
                Self::parse(text).or_else(|| {
                    reader.not_one_of(node, text, Self::TEXTS);
                    None
                })
            }

            fn show(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    };
}

pub(crate) use {choice, table};
