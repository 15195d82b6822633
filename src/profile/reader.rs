//! From the tree to the schema's types: every mistake is noted with its place, and reading goes on.

use std::{ops::Range, path::Path};

use super::{
    privacy,
    schema::{Key, Shape, table, table::Field, values::BadUrl},
    source::{Entry, Kind, Node},
    suggest,
};

/// Notes mistakes while a tree is read.
pub(crate) struct Reader<'a> {
    folder: Option<&'a Path>,
    /// The keys from the file's root to the value being read.
    path: Vec<(String, Range<usize>)>,
    pub(crate) found: Vec<Finding>,
}

/// A mistake, before it is known which line it stands on.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The key with the tables around it.
    pub(crate) path: Vec<String>,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl<'a> Reader<'a> {
    /// `folder` is where relative file references start.
    pub(crate) fn new(folder: Option<&'a Path>) -> Reader<'a> {
        Reader {
            folder,
            path: Vec::new(),
            found: Vec::new(),
        }
    }

    pub(crate) fn folder(&self) -> Option<&'a Path> {
        self.folder
    }

    /// The entries of a table, with complaints about keys that it does not have.
    pub(crate) fn table<'n>(&mut self, node: &'n Node, keys: &[Key]) -> Option<&'n [Entry]> {
        let Kind::Table(entries) = &node.kind else {
            return self.wrong(node, Shape::Table(&[]));
        };
        for (index, entry) in entries.iter().enumerate() {
            if entries
                .iter()
                .take(index)
                .any(|earlier| earlier.key == entry.key)
            {
                self.note(entry, format!("{} is set twice", self.named(entry)), None);
            } else if !keys.iter().any(|key| key.name == entry.key) {
                let message = format!("unknown key {}{}", self.named(entry), self.within());
                self.note(entry, message, Some(hint_for_key(entry, keys)));
            }
        }
        Some(entries)
    }

    /// The value of a key: what stands there, or what holds when nothing (good) does.
    pub(crate) fn key<T: Field>(
        &mut self,
        entries: &[Entry],
        name: &str,
        absent: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        if let Some(entry) = table::present(entries, name) {
            self.path.push((entry.key.clone(), entry.span.clone()));
            let value = T::read(&entry.value, self);
            self.path.pop();
            return value.or_else(absent);
        }
        absent().or_else(|| {
            let hint = match T::shape() {
                Shape::Choice(texts) => format!("one of {}", texts.join(", ")),
                shape => format!("it must be {}", shape.expected()),
            };
            let span = self.path.last().map_or(0..0, |(_, span)| span.clone());
            let mut path = self.keys();
            let message = format!("required key `{name}` is missing{}", self.within());
            path.push(name.to_owned());
            self.found.push(Finding {
                path,
                span,
                message,
                hint: Some(hint),
            });
            None
        })
    }

    /// The text at a key that the profile itself names; nothing if that is `bad`, was there `before`, or has no text.
    pub(crate) fn entry(
        &mut self,
        entry: &Entry,
        bad: impl Fn(&str) -> Option<String>,
        before: &[(String, String)],
    ) -> Option<String> {
        let twice = || {
            let known = before.iter().any(|(known, _)| *known == entry.key);
            known.then(|| "is set twice".to_owned())
        };
        if let Some(why) = bad(&entry.key).or_else(twice) {
            let message = format!("{} {why}{}", self.named(entry), self.within());
            self.note(entry, message, None);
            return None;
        }
        self.path.push((entry.key.clone(), entry.span.clone()));
        let text = self.text(&entry.value, Shape::Text).map(str::to_owned);
        self.path.pop();
        text
    }

    /// A string. Kong refuses empty ones.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, shape: Shape) -> Option<&'n str> {
        match &node.kind {
            Kind::Text(text) if text.is_empty() => {
                let key = self.path();
                self.report(
                    node,
                    format!("`{key}` must not be empty"),
                    Some("leave the key out instead".into()),
                );
                None
            }
            Kind::Text(text) => Some(text),
            _ => self.wrong(node, shape),
        }
    }

    /// Notes a value of the wrong type.
    pub(crate) fn wrong<T>(&mut self, node: &Node, shape: Shape) -> Option<T> {
        let found = self.describe(node);
        let key = self.path();
        let message = if key.is_empty() {
            format!("a profile must be {}, found {found}", shape.expected())
        } else {
            format!("`{key}` must be {}, found {found}", shape.expected())
        };
        let quote = matches!(
            shape,
            Shape::Text | Shape::Template | Shape::Secret | Shape::Url | Shape::Choice(_)
        ) && matches!(
            node.kind,
            Kind::Bool(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Date
        );
        let unquote = match (&node.kind, shape) {
            (Kind::Text(text), Shape::Integer(..) | Shape::Milliseconds | Shape::Number) => {
                text.parse::<f64>().is_ok()
            }
            (Kind::Text(text), Shape::Boolean) => text == "true" || text == "false",
            _ => false,
        };
        let hint = match (quote, unquote) {
            (true, _) => Some("put the value in quotes".to_owned()),
            (_, true) => Some("leave out the quotes".to_owned()),
            _ => None,
        };
        self.report(node, message, hint);
        None
    }

    /// Notes a string that is none of those allowed.
    pub(crate) fn not_one_of(&mut self, node: &Node, text: &str, texts: &[&str]) {
        let key = self.path();
        let message = match self.shown(text) {
            Some(text) => format!("`{key}` cannot be `{text}`"),
            None => format!("`{key}` has a value that it cannot have"),
        };
        let hint = match suggest::nearest(text, texts.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? it takes {}", texts.join(", ")),
            None => format!("it takes {}", texts.join(", ")),
        };
        self.report(node, message, Some(hint));
    }

    /// Notes a text that is no usable URL, without repeating it: it may hold a password.
    pub(crate) fn bad_url(&mut self, node: &Node, error: BadUrl) {
        let key = self.path();
        let hint = match error {
            BadUrl::UserInfo => "put credentials under `auth`",
            _ => "such as https://api.example.com/v1",
        };
        self.report(node, format!("`{key}` {error}"), Some(hint.into()));
    }

    /// Notes a mistake of the value being read.
    pub(crate) fn report(&mut self, node: &Node, message: String, hint: Option<String>) {
        let key_span = self.path.last().map_or(0..0, |(_, span)| span.clone());
        let is_scalar = !matches!(node.kind, Kind::Table(_) | Kind::List | Kind::Null);
        let span = if is_scalar && !self.is_secret() && !node.span.is_empty() {
            node.span.clone()
        } else {
            key_span
        };
        self.found.push(Finding {
            path: self.keys(),
            span,
            message,
            hint,
        });
    }

    /// The key being read with the tables around it.
    pub(crate) fn path(&self) -> String {
        self.keys().join(".")
    }

    fn note(&mut self, entry: &Entry, message: String, hint: Option<String>) {
        let mut path = self.keys();
        path.push(self.name_of(entry));
        self.found.push(Finding {
            path,
            span: entry.span.clone(),
            message,
            hint,
        });
    }

    fn keys(&self) -> Vec<String> {
        self.path.iter().map(|(key, _)| key.clone()).collect()
    }

    /// ` in [table]`, or nothing at the root.
    fn within(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.path())
        }
    }

    fn named(&self, entry: &Entry) -> String {
        format!("`{}`", self.name_of(entry))
    }

    /// A key that the schema need not know: under `auth` it may be a misplaced secret.
    fn name_of(&self, entry: &Entry) -> String {
        let hidden = self.is_secret() && !privacy::is_plain_name(&entry.key)
            || privacy::is_secret_text(&entry.key);
        if hidden {
            return privacy::STARS.to_owned();
        }
        entry
            .key
            .chars()
            .take(64)
            .flat_map(char::escape_debug)
            .collect()
    }

    fn describe(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Null => "nothing".into(),
            Kind::Bool(value) if !self.is_secret() => format!("`{value}`"),
            Kind::Integer(value) if !self.is_secret() => format!("{value}"),
            Kind::Float(value) if !self.is_secret() => format!("{value:?}"),
            Kind::Bool(_) => "a boolean".into(),
            Kind::Integer(_) | Kind::Float(_) => "a number".into(),
            Kind::Text(text) => match self.shown(text) {
                Some(text) => format!("the string `{text}`"),
                None => "a string".into(),
            },
            Kind::Date => "a date".into(),
            Kind::List => "a list".into(),
            Kind::Table(_) => "a table".into(),
        }
    }

    /// A value as it may stand in a message: short, and no secret.
    fn shown(&self, text: &str) -> Option<String> {
        let fits =
            text.chars().count() <= 40 && !self.is_secret() && !privacy::is_secret_text(text);
        fits.then(|| text.escape_debug().to_string())
    }

    fn is_secret(&self) -> bool {
        self.path.iter().any(|(key, _)| privacy::is_secret_key(key))
    }
}

fn hint_for_key(entry: &Entry, keys: &[Key]) -> String {
    if let Some(table) = table_with(&entry.key, keys) {
        return format!("`{}` belongs under `{table}`", entry.key);
    }
    match suggest::nearest(&entry.key, keys.iter().map(|key| key.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "valid keys are {}",
            keys.iter()
                .map(|key| key.name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The table below these keys that has a key of exactly this name: the nearest one, and the first of those.
fn table_with(name: &str, keys: &[Key]) -> Option<String> {
    let tables = || {
        keys.iter().filter_map(|key| match (key.shape)() {
            Shape::Table(inner) => Some((key.name, inner)),
            _ => None,
        })
    };
    tables()
        .find(|(_, inner)| inner.iter().any(|key| key.name == name))
        .map(|(table, _)| table.to_owned())
        .or_else(|| {
            tables()
                .find_map(|(table, inner)| Some(format!("{table}.{}", table_with(name, inner)?)))
        })
}
