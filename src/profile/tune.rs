//! A profile with some keys set otherwise, as if its file said so.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::{
    Origin, Profile, Text,
    load::{Input, load_as},
    problem::{Problem, ProfileError},
    schema::{Document, Key, Shape},
    source::{self, Kind, Node, Syntax},
};

/// `KEY=VALUE`: a key with the tables around it, or as much of its end as is unambiguous; nothing as value takes the key out.
#[derive(Clone)]
pub struct Setting {
    /// Such as `ai-request-transformer.prompt`, or `prompt`.
    pub key: String,
    /// The value, without quotes; it may be a secret.
    pub value: String,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for Setting {
    /// For people.
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Setting {
                key: key.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("write KEY=VALUE, such as prompt=\"...\"".to_owned()),
        }
    }
}

/// A profile with some keys set otherwise.
#[derive(Clone)]
pub struct Tuned {
    /// Its file, in TOML; comments and order are the old file's, if that was TOML.
    pub toml: String,
    /// What it says.
    pub profile: Profile,
}

impl std::fmt::Debug for Tuned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tuned")
            .field("profile", &self.profile.name)
            .finish_non_exhaustive()
    }
}

impl Text {
    /// The profile with these keys set.
    ///
    /// # Errors
    ///
    /// As if the file said so. Line numbers are those of the file with the keys in it.
    pub fn tuned(&self, settings: &[Setting]) -> Result<Tuned, ProfileError> {
        let mut document = match self.document() {
            Some(document) => document,
            // It is not of its syntax, or says what no profile says: loading tells.
            None => {
                self.load()?;
                let what = "the profile cannot be changed by --set";
                return Err(ProfileError::one(Problem::of_file(&self.name, what, None)));
            }
        };
        for setting in settings {
            set(&mut document, setting)?;
        }
        let toml = document.to_string();
        let file = match &self.origin {
            Origin::File(path) => format!("{} with --set", path.display()),
            Origin::BuiltIn => format!("built-in {} with --set", self.name),
        };
        let input = Input {
            name: &self.name,
            origin: &self.origin,
            syntax: Syntax::Toml,
            bytes: toml.as_bytes(),
        };
        let profile = load_as(input, &file)?;
        Ok(Tuned { toml, profile })
    }

    fn document(&self) -> Option<DocumentMut> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        if self.syntax == Syntax::Toml {
            return text.strip_prefix('\u{feff}').unwrap_or(text).parse().ok();
        }
        let mut document = DocumentMut::new();
        copy(
            &source::parse(self.syntax, text).ok()?,
            document.as_table_mut(),
        )?;
        Some(document)
    }
}

/// Writes a tree as TOML; `None` if it holds what no profile holds.
fn copy(from: &Node, to: &mut Table) -> Option<()> {
    for entry in from.entries() {
        let item = match &entry.value.kind {
            Kind::Null => continue,
            Kind::Bool(value) => Item::from(*value),
            Kind::Integer(value) => Item::from(*value),
            Kind::Float(value) => Item::from(*value),
            Kind::Text(value) => Item::from(value.as_str()),
            Kind::Date | Kind::List => return None,
            Kind::Table(_) => {
                let mut table = Table::new();
                copy(&entry.value, &mut table)?;
                Item::Table(table)
            }
        };
        if to.insert(&entry.key, item).is_some() {
            return None;
        }
    }
    matches!(from.kind, Kind::Table(_)).then_some(())
}

fn set(document: &mut DocumentMut, setting: &Setting) -> Result<(), ProfileError> {
    let wrong = |message: String, hint: Option<String>| {
        Err(ProfileError::one(Problem::of_file("--set", message, hint)))
    };
    let mut all = Vec::new();
    leaves(Document::KEYS, &mut Vec::new(), &mut all);
    let (path, shape) = match find(&all, &setting.key, document) {
        Found::One(path, shape) => (path.clone(), Some(shape)),
        Found::Own(path) => (path, Some(Shape::Text)),
        Found::Several(paths) => {
            let key = &setting.key;
            return wrong(
                format!("`{key}` could be {}", paths.join(" or ")),
                Some("write the key with its table".into()),
            );
        }
        Found::None => (setting.key.split('.').map(str::to_owned).collect(), None),
    };
    let Some((last, tables)) = path.split_last() else {
        return Ok(());
    };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        if setting.value.is_empty() && !table.contains_key(name) {
            return Ok(());
        }
        let item = table.entry(name).or_insert(Item::Table(Table::new()));
        let Some(inner) = item.as_table_like_mut() else {
            return wrong(
                format!("`{name}` of `{}` is no table", path.join(".")),
                None,
            );
        };
        table = inner;
    }
    if setting.value.is_empty() {
        table.remove(last);
        return Ok(());
    }
    let mut value = value(&setting.value, shape);
    match table.get_mut(last) {
        Some(Item::Value(old)) => {
            // A comment behind the value stays.
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            table.insert(last, Item::Value(value));
        }
    }
    Ok(())
}

/// The value as its key takes it; what does not fit stays a string, which the reader of profiles then refuses.
fn value(text: &str, shape: Option<Shape>) -> Value {
    let number = || {
        let whole = text.parse::<i64>().ok().map(Value::from);
        whole.or_else(|| text.parse::<f64>().ok().map(Value::from))
    };
    let boolean = || text.parse::<bool>().ok().map(Value::from);
    let read = match shape {
        Some(Shape::Boolean) => boolean(),
        Some(Shape::Integer(..) | Shape::Milliseconds | Shape::Number) => number(),
        Some(_) => None,
        None => boolean().or_else(number),
    };
    read.unwrap_or_else(|| Value::from(text))
}

type Leaf = (Vec<String>, Shape);

/// Every key that is no table, with the tables around it.
fn leaves(keys: &'static [Key], path: &mut Vec<String>, out: &mut Vec<Leaf>) {
    for key in keys {
        path.push(key.name.to_owned());
        match (key.shape)() {
            Shape::Table(inner) => leaves(inner, path, out),
            shape => out.push((path.clone(), shape)),
        }
        path.pop();
    }
}

enum Found<'a> {
    One(&'a Vec<String>, Shape),
    /// A key of the profile's own.
    Own(Vec<String>),
    Several(Vec<String>),
    None,
}

/// The key that a text names: all of it, or the end of one key below the tables that the profile has.
fn find<'a>(all: &'a [Leaf], text: &str, document: &DocumentMut) -> Found<'a> {
    if let Some((path, shape)) = all.iter().find(|(path, _)| path.join(".") == text) {
        return Found::One(path, *shape);
    }
    // Below a table whose keys are the profile's own, all that follows is one of them.
    let below = |path: &[String]| {
        let [.., table] = path else { return None };
        let whole = format!("{}.", path.join("."));
        let key = text.strip_prefix(&whole);
        key.or_else(|| text.strip_prefix(table.as_str())?.strip_prefix('.'))
    };
    for (path, _) in all.iter().filter(|(_, shape)| matches!(shape, Shape::Map)) {
        if let Some(key) = below(path).filter(|key| !key.is_empty()) {
            return Found::Own([path.as_slice(), &[key.to_owned()]].concat());
        }
    }
    let asked: Vec<&str> = text.split('.').collect();
    let ends = |path: &[String]| {
        let end = path
            .len()
            .checked_sub(asked.len())
            .and_then(|at| path.get(at..));
        end.is_some_and(|end| end.iter().zip(&asked).all(|(key, asked)| key == asked))
    };
    let there = |path: &[String]| {
        path.first()
            .is_some_and(|table| document.contains_key(table))
    };
    let found: Vec<&Leaf> = all
        .iter()
        .filter(|(path, _)| there(path) && ends(path))
        .collect();
    match found.as_slice() {
        [] => Found::None,
        [(path, shape)] => Found::One(path, *shape),
        several => Found::Several(
            several
                .iter()
                .map(|(path, _)| format!("`{}`", path.join(".")))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests;
