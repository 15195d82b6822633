//! What changed between two JSON values, path by path.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Limits,
    align::{Pair, align},
    json::{Json, Kind},
    lines::{Piece, words},
    path::Path,
};

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub path: Path,
    /// What.
    pub edit: Edit,
}

/// What happened to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is new; as JSON.
    Added(String),
    /// It is gone; as JSON.
    Removed(String),
    /// It is another; both as JSON.
    Changed(String, String),
    /// A long string of which a part changed: the words of both, in order.
    Reworded(Vec<Piece>),
}

/// More changes than this are counted, not told.
const MOST: usize = 10_000;

/// A string from this length on, in bytes, is compared by words.
const LONG: usize = 40;

/// Every change, in the old value's order; the number of those beyond the first [`MOST`].
pub(super) fn changes(old: &Json<'_>, new: &Json<'_>, limits: &Limits) -> (Vec<Change>, usize) {
    let mut walk = Walk {
        path: Path::default(),
        found: Vec::new(),
        more: 0,
        limits,
    };
    walk.value(old, new);
    (walk.found, walk.more)
}

struct Walk<'l> {
    path: Path,
    found: Vec<Change>,
    more: usize,
    limits: &'l Limits,
}

impl Walk<'_> {
    fn value(&mut self, old: &Json<'_>, new: &Json<'_>) {
        if old == new {
            return;
        }
        match (old.kind(), new.kind()) {
            (Kind::Table(olds), Kind::Table(news)) => {
                let new_of = by_key(news);
                for (key, value) in olds {
                    self.path.push_key(key);
                    match new_of.get(&**key) {
                        Some(other) => self.value(value, other),
                        None => self.note(|| Edit::Removed(value.compact())),
                    }
                    self.path.pop();
                }
                let old_of = by_key(olds);
                for (key, value) in news.iter().filter(|(key, _)| !old_of.contains_key(&**key)) {
                    self.path.push_key(key);
                    self.note(|| Edit::Added(value.compact()));
                    self.path.pop();
                }
            }
            (Kind::List(olds), Kind::List(news)) => {
                let (mut at_old, mut at_new) = (0, 0);
                for pair in align(olds, news, self.limits) {
                    self.path.push_item(at_old, at_new);
                    match pair {
                        Pair::Both(row, column) => {
                            if let (Some(old), Some(new)) = (olds.get(row), news.get(column)) {
                                self.value(old, new);
                            }
                            (at_old, at_new) = (at_old + 1, at_new + 1);
                        }
                        Pair::Old(row) => {
                            if let Some(old) = olds.get(row) {
                                self.note(|| Edit::Removed(old.compact()));
                            }
                            at_old += 1;
                        }
                        Pair::New(column) => {
                            if let Some(new) = news.get(column) {
                                self.note(|| Edit::Added(new.compact()));
                            }
                            at_new += 1;
                        }
                    }
                    self.path.pop();
                }
            }
            (Kind::Text(before), Kind::Text(after)) => {
                let long = before.len().max(after.len()) >= LONG;
                let limits = self.limits;
                self.note(|| {
                    let reworded = long.then(|| words(before, after, limits)).flatten();
                    match reworded {
                        Some(pieces) => Edit::Reworded(pieces),
                        None => Edit::Changed(old.compact(), new.compact()),
                    }
                });
            }
            _ => self.note(|| Edit::Changed(old.compact(), new.compact())),
        }
    }

    fn note(&mut self, edit: impl FnOnce() -> Edit) {
        if self.found.len() >= MOST {
            self.more += 1;
            return;
        }
        self.found.push(Change {
            path: self.path.clone(),
            edit: edit(),
        });
    }
}

/// The fields of an object, to be found by their keys.
pub(super) fn by_key<'j, 'a>(
    fields: &'j [(Cow<'a, str>, Json<'a>)],
) -> HashMap<&'j str, &'j Json<'a>> {
    fields.iter().map(|(key, value)| (&**key, value)).collect()
}

/// `new` with its keys in the order of `old`'s, as far as they have the same; new keys come last.
pub(super) fn like<'a>(old: &Json<'_>, new: Json<'a>, limits: &Limits) -> Json<'a> {
    if *old == new && !matches!(new.kind, Kind::Table(_) | Kind::List(_)) {
        return new;
    }
    match (old.kind(), &new.kind) {
        (Kind::Table(olds), Kind::Table(news)) => {
            let place_of: HashMap<&str, usize> = olds
                .iter()
                .enumerate()
                .map(|(place, (key, _))| (&**key, place))
                .collect();
            let old_of = by_key(olds);
            let mut fields: Vec<_> = news
                .iter()
                .map(|(key, value)| match old_of.get(&**key) {
                    Some(old) => (key.clone(), like(old, value.clone(), limits)),
                    None => (key.clone(), value.clone()),
                })
                .collect();
            fields.sort_by_key(|(key, _)| place_of.get(&**key).copied().unwrap_or(usize::MAX));
            new.reordered(Kind::Table(fields))
        }
        (Kind::List(olds), Kind::List(news)) => {
            let mut items = news.clone();
            for pair in align(olds, news, limits) {
                if let Pair::Both(row, column) = pair
                    && let (Some(old), Some(item)) = (olds.get(row), items.get_mut(column))
                {
                    *item = like(old, item.clone(), limits);
                }
            }
            new.reordered(Kind::List(items))
        }
        _ => new,
    }
}
