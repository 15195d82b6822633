//! TOML, by the `toml` crate's own tree.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Entry, Kind, Node, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    match DeTable::parse(text) {
        Ok(table) => {
            let span = table.span();
            Ok(Node {
                kind: Kind::Table(entries(table.into_inner())),
                span,
            })
        }
        // The message is the parser's own words; what it found stands in the span.
        Err(error) => Err(SyntaxError {
            span: error.span().unwrap_or(0..0),
            message: error
                .message()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        }),
    }
}

fn entries(table: DeTable<'_>) -> Vec<Entry> {
    table
        .into_iter()
        .map(|(key, value)| Entry {
            span: key.span(),
            key: key.into_inner().into_owned(),
            value: node(value),
        })
        .collect()
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            Err(_) => Kind::Float(f64::INFINITY),
        },
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Kind::Bool(value),
        DeValue::Datetime(_) => Kind::Date,
        DeValue::Array(_) => Kind::List,
        DeValue::Table(table) => Kind::Table(entries(table)),
    };
    Node { kind, span }
}
