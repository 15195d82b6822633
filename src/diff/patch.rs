//! JSON patches (RFC 6902).

use super::{
    Limits,
    align::{Pair, align},
    json::{Json, Kind, quote},
    path::Path,
    structure::by_key,
};

/// One operation; they are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What is done.
    pub kind: OpKind,
    /// To which value, as JSON pointer.
    pub path: String,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Puts in this value, as JSON.
    Add(String),
    /// Takes the value out.
    Remove,
    /// Puts this value, as JSON, in its place.
    Replace(String),
}

/// The operations as one JSON array, a line for each.
#[must_use]
pub fn as_text(ops: &[Op]) -> String {
    let mut out = String::from("[");
    for (index, op) in ops.iter().enumerate() {
        out.push_str(if index > 0 { ",\n  " } else { "\n  " });
        let (name, value) = match &op.kind {
            OpKind::Add(value) => ("add", Some(value)),
            OpKind::Remove => ("remove", None),
            OpKind::Replace(value) => ("replace", Some(value)),
        };
        out.push_str(&format!("{{\"op\":\"{name}\",\"path\":"));
        quote(&op.path, &mut out);
        if let Some(value) = value {
            out.push_str(",\"value\":");
            out.push_str(value);
        }
        out.push('}');
    }
    out.push_str(if ops.is_empty() { "]" } else { "\n]" });
    out
}

pub(super) fn patch(old: &Json<'_>, new: &Json<'_>, limits: &Limits) -> Vec<Op> {
    let mut writer = Writer {
        path: Path::default(),
        ops: Vec::new(),
        limits,
    };
    writer.value(old, new);
    writer.ops
}

struct Writer<'l> {
    path: Path,
    ops: Vec<Op>,
    limits: &'l Limits,
}

impl Writer<'_> {
    fn value(&mut self, old: &Json<'_>, new: &Json<'_>) {
        if old == new {
            return;
        }
        match (old.kind(), new.kind()) {
            (Kind::Table(olds), Kind::Table(news)) => {
                let (old_of, new_of) = (by_key(olds), by_key(news));
                for (key, value) in olds {
                    self.path.push_key(key);
                    match new_of.get(&**key) {
                        Some(other) => self.value(value, other),
                        None => self.op(OpKind::Remove),
                    }
                    self.path.pop();
                }
                for (key, value) in news.iter().filter(|(key, _)| !old_of.contains_key(&**key)) {
                    self.path.push_key(key);
                    self.op(OpKind::Add(value.compact()));
                    self.path.pop();
                }
            }
            (Kind::List(olds), Kind::List(news)) => {
                // What stands before `at` is as in the new array by then, so `at` is the place in the array as it is then.
                let mut at = 0;
                for pair in align(olds, news, self.limits) {
                    self.path.push_item(at, at);
                    match pair {
                        Pair::Both(row, column) => {
                            if let (Some(old), Some(new)) = (olds.get(row), news.get(column)) {
                                self.value(old, new);
                            }
                            at += 1;
                        }
                        Pair::Old(_) => self.op(OpKind::Remove),
                        Pair::New(column) => {
                            if let Some(new) = news.get(column) {
                                self.op(OpKind::Add(new.compact()));
                            }
                            at += 1;
                        }
                    }
                    self.path.pop();
                }
            }
            _ => self.op(OpKind::Replace(new.compact())),
        }
    }

    fn op(&mut self, kind: OpKind) {
        self.ops.push(Op {
            kind,
            path: self.path.in_new(),
        });
    }
}
