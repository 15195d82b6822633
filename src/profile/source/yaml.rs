//! YAML, by `serde-saphyr`.

use std::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::{DEPTH, Entry, Kind, Node, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        // Reported like every other mistake, with the key's name.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH },
    };
    let tree: Spanned<Tree> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| syntax_error(text, &error))?;
    Ok(node(tree))
}

/// What [`Kind`] is, while values still carry the reader's own places.
enum Tree {
    Scalar(Kind),
    Table(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn node(tree: Spanned<Tree>) -> Node {
    let span = bytes_of(tree.referenced);
    let kind = match tree.value {
        Tree::Scalar(kind) => kind,
        Tree::Table(entries) => Kind::Table(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    span: bytes_of(key.referenced),
                    key: key.value,
                    value: node(value),
                })
                .collect(),
        ),
    };
    Node { kind, span }
}

fn bytes_of(location: Location) -> Range<usize> {
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(length)) => {
            let start = usize::try_from(start).unwrap_or_default();
            start..start + usize::try_from(length).unwrap_or_default()
        }
        _ => 0..0,
    }
}

/// Most of the reader's messages can repeat what it found, which may be a secret. The parser's own are fixed words with
/// at most one character of the file in them; the others are told by kind.
fn syntax_error(text: &str, error: &serde_saphyr::Error) -> SyntaxError {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let message = match error {
        Error::ExternalMessage { msg, .. } => msg.lines().next().unwrap_or_default(),
        Error::MultipleDocuments { .. } => "more than one document in the file",
        Error::UnknownAnchor { .. } => "an alias `*` without its anchor `&`",
        Error::Budget { .. }
        | Error::AliasError { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "nested or expanded too far",
        Error::Eof { .. } => "the file ends too early",
        _ => "this cannot be read",
    };
    let start = error
        .location()
        .map_or(0, |location| offset_of(text, location));
    SyntaxError {
        span: start..start,
        message: message.to_owned(),
    }
}

/// Errors know line and column only.
fn offset_of(text: &str, location: Location) -> usize {
    let (line, column) = (
        location.line().saturating_sub(1),
        location.column().saturating_sub(1),
    );
    let (line, column) = (
        usize::try_from(line).unwrap_or(0),
        usize::try_from(column).unwrap_or(0),
    );
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before
        + rest
            .chars()
            .take(column)
            .take_while(|c| *c != '\n')
            .map(char::len_utf8)
            .sum::<usize>()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(
            i64::try_from(value).map_or(Kind::Float(f64::INFINITY), Kind::Integer),
        ))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Text(value)))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Kind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Tree::Scalar(Kind::List))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        // No table of a profile has more than a few dozen keys; aliases must not multiply them.
        const KEYS: usize = 10_000;
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() == KEYS {
                return Err(A::Error::custom("too many keys"));
            }
            entries.push(entry);
        }
        Ok(Tree::Table(entries))
    }
}
