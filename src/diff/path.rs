//! Where in a body a value stands.

use std::fmt::{self, Write as _};

/// The steps from a body's root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of an object.
    Key(String),
    /// An item of an array, which may have moved. Of an added item, `old` is where it would have been; of a removed one, `new` is.
    Item {
        /// In the old body.
        old: usize,
        /// In the new body.
        new: usize,
    },
}

impl Path {
    pub(super) fn push_key(&mut self, key: &str) {
        self.0.push(Step::Key(key.to_owned()));
    }

    pub(super) fn push_item(&mut self, old: usize, new: usize) {
        self.0.push(Step::Item { old, new });
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// As JSON pointer (RFC 6901) into the old body.
    #[must_use]
    pub fn in_old(&self) -> String {
        self.pointer(|old, _| old)
    }

    /// As JSON pointer (RFC 6901) into the new body, or into the old one after all changes before this.
    #[must_use]
    pub fn in_new(&self) -> String {
        self.pointer(|_, new| new)
    }

    fn pointer(&self, item: impl Fn(usize, usize) -> usize) -> String {
        let mut out = String::new();
        for step in &self.0 {
            out.push('/');
            match step {
                Step::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Item { old, new } => {
                    let _ = write!(out, "{}", item(*old, *new));
                }
            }
        }
        out
    }
}

/// For people: `messages[0].content`, and `messages[1→2]` for what moved.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(all of it)");
        }
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if is_plain(key) => {
                    let dot = if index > 0 { "." } else { "" };
                    write!(f, "{dot}{key}")?;
                }
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Item { old, new } if old == new => write!(f, "[{old}]")?,
                Step::Item { old, new } => write!(f, "[{old}→{new}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))
}
