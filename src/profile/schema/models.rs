//! `[aiproxy.models]`: which model stands for the one that a client insists on.

use serde_json::{Map, Value};

use super::table::{Field, Shape};
use crate::profile::{
    reader::Reader,
    source::{Kind, Node},
};

/// Globs and what stands for the models that match them, in the order of the file: the first match wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelMap(Vec<(String, String)>);

/// What other globs have and these have not: a name with one of them is a mistake.
const STRANGE: &[char] = &['[', ']', '{', '}', '\\', '!'];

impl ModelMap {
    /// Whether it maps nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first glob that a model matches, and what stands for it.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<(&str, &str)> {
        self.0
            .iter()
            .find(|(glob, _)| matches(glob, model))
            .map(|(glob, target)| (glob.as_str(), target.as_str()))
    }
}

/// Whether a text is of a glob: `*` is any text, `?` any one character. In the worst case it takes the product of both lengths.
fn matches(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // Where to go on if what follows the last `*` does not match after all.
    let mut again = None;
    loop {
        let left = text.clone();
        match (glob.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = left.clone();
                again = Some((glob.clone(), left));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                let Some((behind, mut rest)) = again.take() else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                (glob, text) = (behind.clone(), rest.clone());
                again = Some((behind, rest));
            }
        }
    }
}

impl Field for ModelMap {
    fn shape() -> Shape {
        Shape::Map
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(entries) = &node.kind else {
            return reader.wrong(node, Self::shape());
        };
        // The order of the file, whatever its reader made of it.
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|entry| entry.span.start);
        let mut pairs: Vec<(String, String)> = Vec::new();
        for entry in entries {
            if let Some(target) = reader.entry(entry, bad_glob, &pairs) {
                pairs.push((entry.key.clone(), target));
            }
        }
        Some(ModelMap(pairs))
    }

    fn absent() -> Option<Self> {
        Some(ModelMap::default())
    }

    fn show(&self) -> Value {
        let shown: Map<String, Value> = self
            .0
            .iter()
            .map(|(glob, target)| (glob.clone(), target.as_str().into()))
            .collect();
        Value::Object(shown)
    }
}

/// Why a text is no glob.
fn bad_glob(glob: &str) -> Option<String> {
    if glob.is_empty() {
        return Some("is empty".into());
    }
    if glob.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("has white space, and no model's name has".into());
    }
    let strange = glob.chars().find(|c| STRANGE.contains(c))?;
    Some(format!(
        "has `{strange}`: the wildcards are `*` and `?` alone"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("claude-*", "claude-opus-5", true),
            ("claude-*", "claude-", true),
            ("claude-*", "gpt-5", false),
            ("*", "", true),
            ("*-haiku-*", "claude-haiku-4-5", true),
            ("*-haiku-*", "claude-opus-4-5", false),
            ("gpt-?", "gpt-5", true),
            ("gpt-?", "gpt-", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("?*", "é", true),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
        let (many, long) = ("a*".repeat(200), format!("{}b", "a".repeat(5_000)));
        assert!(!matches(&format!("{many}c"), &long));
    }

    #[test]
    fn the_first_match_wins() {
        let map = ModelMap(vec![
            ("claude-haiku-*".into(), "small".into()),
            ("claude-*".into(), "large".into()),
        ]);
        assert_eq!(
            map.of("claude-haiku-4-5"),
            Some(("claude-haiku-*", "small"))
        );
        assert_eq!(map.of("claude-opus-5"), Some(("claude-*", "large")));
        assert_eq!(map.of("gpt-5"), None);
    }
}
