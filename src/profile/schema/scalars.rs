//! How strings, numbers, booleans and waits are read.

use std::time::Duration;

use serde_json::Value;

use super::table::{Field, Shape};
use crate::profile::{
    privacy,
    reader::Reader,
    secret::SecretRef,
    source::{Kind, Node},
    template::Template,
};

impl<T: Field> Field for Option<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::show)
    }
}

impl Field for String {
    fn shape() -> Shape {
        Shape::Text
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(node, Self::shape()).map(str::to_owned)
    }

    fn show(&self) -> Value {
        self.as_str().into()
    }
}

impl Field for Template {
    fn shape() -> Shape {
        Shape::Template
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::shape())?;
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                reader.report(
                    node,
                    error.to_string(),
                    Some(
                        "write $(headers.NAME), $(uri_captures.NAME) or $(query_params.NAME)"
                            .into(),
                    ),
                );
                None
            }
        }
    }

    fn show(&self) -> Value {
        privacy::url_without_secret(self.text()).into()
    }
}

impl Field for SecretRef {
    fn shape() -> Shape {
        Shape::Secret
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node, Self::shape())?;
        match SecretRef::parse(text, reader.folder()) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let key = reader.path();
                reader.report(
                    node,
                    format!("`{key}`: {error}"),
                    Some(
                        "write {vault://env/some-name} for the variable SOME_NAME, {vault://file/PATH} or {vault://keyring/NAME}"
                            .into(),
                    ),
                );
                None
            }
        }
    }

    fn show(&self) -> Value {
        match self.literal() {
            // The names of headers and parameters stand in `auth`, too, and are what one wants to check.
            Some(text) if privacy::is_plain_name(text) => text.into(),
            _ => self.to_string().into(),
        }
    }
}

impl Field for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.kind {
            Kind::Bool(value) => Some(value),
            _ => reader.wrong(node, Self::shape()),
        }
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl Field for f64 {
    fn shape() -> Shape {
        Shape::Number
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.kind {
            #[expect(
                clippy::cast_precision_loss,
                reason = "options are small numbers; a huge one fails its range"
            )]
            Kind::Integer(value) => Some(value as f64),
            Kind::Float(value) if value.is_finite() => Some(value),
            _ => reader.wrong(node, Self::shape()),
        }
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl Field for u64 {
    fn shape() -> Shape {
        Shape::Integer(0, u64::MAX)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        node.whole()
            .and_then(|value| u64::try_from(value).ok())
            .or_else(|| reader.wrong(node, Self::shape()))
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl Field for u16 {
    fn shape() -> Shape {
        Shape::Integer(0, u16::MAX as u64)
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        node.whole()
            .and_then(|value| u16::try_from(value).ok())
            .or_else(|| reader.wrong(node, Self::shape()))
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl Field for Duration {
    fn shape() -> Shape {
        Shape::Milliseconds
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.whole().and_then(|value| u64::try_from(value).ok()) {
            Some(value) if value > 0 => Some(Duration::from_millis(value)),
            _ => reader.wrong(node, Self::shape()),
        }
    }

    fn show(&self) -> Value {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).into()
    }
}
