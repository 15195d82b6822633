//! What of a request does not count when its recording is looked for.

use serde_json::Value;

/// What a new cassette's list says: no headers but those that choose what an API answers, and no ids.
///
/// A pattern is a path of fields: `method`, `host`, `path`, `query.NAME`, `headers.NAME`, `body.KEY.0.KEY`. In a field, `*` stands for
/// any characters; `**` for any fields. One that begins with `!` takes back what those before it say; the last one that fits holds.
pub const DEFAULT: &[&str] = &[
    "headers.*",
    "!headers.anthropic-beta",
    "!headers.anthropic-version",
    "query.key",
    "body.user",
    "body.metadata",
    "body.safety_identifier",
    "body.prompt_cache_key",
    "body.previous_response_id",
    "body.messages.*.id",
    "body.messages.*.tool_call_id",
    "body.messages.*.tool_calls.*.id",
    "body.messages.*.content.*.id",
    "body.messages.*.content.*.tool_use_id",
    "body.messages.*.content.*.toolUse.toolUseId",
    "body.messages.*.content.*.toolResult.toolUseId",
    "body.contents.*.parts.*.functionCall.id",
    "body.contents.*.parts.*.functionResponse.id",
    "body.input.*.id",
    "body.input.*.call_id",
];

/// A list of patterns, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    fields: Vec<String>,
    ignores: bool,
}

/// The fields of a request.
const ROOTS: &[&str] = &[
    "method", "host", "path", "query", "headers", "body", "*", "**",
];

impl Ignore {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// What is wrong with a pattern.
    pub fn read<S: AsRef<str>>(patterns: &[S]) -> Result<Ignore, String> {
        let patterns = patterns.iter().map(|pattern| {
            let text = pattern.as_ref();
            let (path, ignores) = match text.strip_prefix('!') {
                Some(path) => (path, false),
                None => (text, true),
            };
            let fields: Vec<String> = path.split('.').map(str::to_owned).collect();
            let root = fields.first().map(String::as_str).unwrap_or_default();
            if fields.iter().any(String::is_empty) || !ROOTS.contains(&root) {
                return Err(format!(
                    "`{text}` names no field: a pattern begins with method, host, path, query, headers or body, as in `body.messages.*.id`"
                ));
            }
            Ok(Pattern { fields, ignores })
        });
        Ok(Ignore {
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    /// Takes out of a request's fields what does not count.
    pub(super) fn strip(&self, fields: &mut Value) {
        self.visit(fields, &mut Vec::new());
    }

    fn visit(&self, value: &mut Value, path: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let mut gone = Vec::new();
                for (key, value) in fields.iter_mut() {
                    path.push(key.clone());
                    if self.takes(path) {
                        gone.push(key.clone());
                    } else {
                        self.visit(value, path);
                    }
                    path.pop();
                }
                for key in gone {
                    fields.shift_remove(&key);
                }
            }
            Value::Array(items) => {
                let mut number = 0;
                let mut at = 0;
                while let Some(item) = items.get_mut(at) {
                    path.push(number.to_string());
                    number += 1;
                    if self.takes(path) {
                        items.remove(at);
                    } else {
                        self.visit(item, path);
                        at += 1;
                    }
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Whether this field does not count.
    fn takes(&self, path: &[String]) -> bool {
        let fits = |pattern: &&Pattern| fits(&pattern.fields, path);
        self.patterns
            .iter()
            .rev()
            .find(fits)
            .is_some_and(|pattern| pattern.ignores)
    }
}

fn fits(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((field, rest)), _) if field == "**" => {
            (0..=path.len()).any(|skipped| fits(rest, path.get(skipped..).unwrap_or_default()))
        }
        (Some((field, rest)), Some((key, below))) => glob(field, key) && fits(rest, below),
        _ => false,
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    spread(pattern, "*", text)
}

/// Whether a text is as a pattern says, in which `hole` stands for any characters.
pub(super) fn spread(pattern: &str, hole: &str, text: &str) -> bool {
    let mut parts = pattern.split(hole);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stripped(patterns: &[&str], mut fields: Value) -> Value {
        Ignore::read(patterns).unwrap().strip(&mut fields);
        fields
    }

    #[test]
    fn what_is_listed_does_not_count() {
        let fields = || {
            json!({
                "method": "POST", "query": {"key": "k", "alt": "sse"},
                "headers": {"accept": "a", "anthropic-beta": "b", "x-id": "1"},
                "body": {"user": "u", "messages": [{"id": 1, "role": "user"}, {"id": 2, "content": [{"id": 3, "text": "x"}]}]}
            })
        };
        assert_eq!(
            stripped(DEFAULT, fields()),
            json!({
                "method": "POST", "query": {"alt": "sse"}, "headers": {"anthropic-beta": "b"},
                "body": {"messages": [{"role": "user"}, {"content": [{"text": "x"}]}]}
            })
        );
        assert_eq!(
            stripped(&["body.**.id", "headers.x-*", "query", "method"], fields()),
            json!({
                "headers": {"accept": "a", "anthropic-beta": "b"},
                "body": {"user": "u", "messages": [{"role": "user"}, {"content": [{"text": "x"}]}]}
            })
        );
        assert_eq!(
            stripped(&["**", "!body", "!body.**", "body.messages.0"], fields()),
            json!({"body": {"user": "u", "messages": [{"id": 2, "content": [{"id": 3, "text": "x"}]}]}})
        );
        assert_eq!(stripped(&[], fields()), fields());
    }

    #[test]
    fn a_pattern_that_names_nothing_is_refused() {
        for wrong in ["", "bdy.user", "body..id", "!", "headers."] {
            let error = Ignore::read(&[wrong]).unwrap_err();
            assert!(
                error.starts_with(&format!("`{wrong}` names no field")),
                "{error}"
            );
        }
        assert!(Ignore::read(DEFAULT).is_ok());
    }

    #[test]
    fn holes_stand_for_any_characters() {
        for (pattern, text, fits) in [
            ("a***c", "abbc", true),
            ("a***c", "ac", true),
            ("***", "", true),
            ("a***b***c", "axbxbyc", true),
            ("a***b***c", "axc", false),
            ("a***", "b", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(spread(pattern, "***", text), fits, "{pattern} {text}");
        }
    }
}
