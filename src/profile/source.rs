//! Three syntaxes, one tree: TOML, YAML and JSON become nodes that know where they stand in the file.
//!
//! Values may be secrets, so neither nodes nor syntax errors can be printed as they are.

use std::ops::Range;

mod json;
mod toml;
mod yaml;

/// The syntax of a profile file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `NAME.toml`.
    Toml,
    /// `NAME.yaml` and `NAME.yml`.
    Yaml,
    /// `NAME.json`.
    Json,
}

/// A value with its bytes in the file.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Empty, or of little use, for tables: their keys are better places.
    pub(crate) span: Range<usize>,
}

/// What a value is.
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// TOML's dates.
    Date,
    List,
    Table(Vec<Entry>),
}

/// A key with its value.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) span: Range<usize>,
    pub(crate) value: Node,
}

/// A file that is not of its syntax.
pub(crate) struct SyntaxError {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

/// Deeper files are mistakes or attacks: the deepest key of a profile is the fifth.
const DEPTH: usize = 64;

/// The file extensions of profiles in the order of [`Syntax`]'s preference.
pub(crate) const EXTENSIONS: [(&str, Syntax); 4] = [
    ("toml", Syntax::Toml),
    ("yaml", Syntax::Yaml),
    ("yml", Syntax::Yaml),
    ("json", Syntax::Json),
];

/// Reads a file's text. An empty one is an empty table in all three syntaxes.
pub(crate) fn parse(syntax: Syntax, text: &str) -> Result<Node, SyntaxError> {
    if text.trim().is_empty() {
        return Ok(Node {
            kind: Kind::Table(Vec::new()),
            span: 0..0,
        });
    }
    match syntax {
        Syntax::Toml => toml::parse(text),
        Syntax::Yaml => yaml::parse(text),
        Syntax::Json => json::parse(text),
    }
}

impl Node {
    /// The value as a whole number: `1.0` is one, as in Kong.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self.kind {
            Kind::Integer(value) => Some(value),
            // 2^53: beyond it a float names no particular whole number.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it has no fraction and is small"
            )]
            Kind::Float(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                Some(value as i64)
            }
            _ => None,
        }
    }

    /// The keys of a table, none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Table(entries) => entries,
            _ => &[],
        }
    }

    /// Whether the file itself has the value at `path`.
    pub(crate) fn states(&self, path: &[&str]) -> bool {
        let mut node = self;
        path.iter().all(|step| {
            let entry = node.entries().iter().find(|entry| entry.key == *step);
            entry.is_some_and(|entry| {
                node = &entry.value;
                !matches!(node.kind, Kind::Null)
            })
        })
    }

    /// The place of the deepest key of `path` that is there.
    pub(crate) fn place(&self, path: &[&str]) -> Range<usize> {
        let mut place = 0..0;
        let mut node = self;
        for step in path {
            let Some(entry) = node.entries().iter().find(|entry| entry.key == *step) else {
                break;
            };
            place = entry.span.clone();
            node = &entry.value;
        }
        place
    }
}

impl std::fmt::Display for Syntax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Syntax::Toml => "TOML",
            Syntax::Yaml => "YAML",
            Syntax::Json => "JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text, with what stands at each place.
    fn outline(text: &str, node: &Node, out: &mut String) {
        use std::fmt::Write;
        for entry in node.entries() {
            write!(out, "{}", &text[entry.span.clone()]).unwrap();
            match &entry.value.kind {
                Kind::Null => out.push_str(" null"),
                Kind::Bool(value) => write!(out, " {value}").unwrap(),
                Kind::Integer(value) => write!(out, " {value}").unwrap(),
                Kind::Float(value) => write!(out, " {value:?}").unwrap(),
                Kind::Text(value) => {
                    write!(out, " {value:?} from {}", &text[entry.value.span.clone()]).unwrap();
                }
                Kind::Date => out.push_str(" date"),
                Kind::List => out.push_str(" list"),
                Kind::Table(_) => {
                    out.push_str(" { ");
                    outline(text, &entry.value, out);
                    out.push('}');
                }
            }
            out.push_str("; ");
        }
    }

    fn outlined(syntax: Syntax, text: &str) -> String {
        let mut out = String::new();
        match parse(syntax, text) {
            Ok(node) => outline(text, &node, &mut out),
            Err(error) => out = format!("{:?}: {}", error.span, error.message),
        }
        out
    }

    #[test]
    fn the_three_syntaxes_make_one_tree() {
        let toml = "a = 1\n[\"b-c\".d]\ne = 'x\u{e9}'\nf = true\ng = 1.5\nh.i = \"j\"\nk = [1]\nl = 2023-06-01\n";
        assert_eq!(
            outlined(Syntax::Toml, toml),
            "a 1; \"b-c\" { d { e \"xé\" from 'xé'; f true; g 1.5; h { i \"j\" from \"j\"; }; k list; l date; }; }; "
        );
        let yaml = "a: 1\nb-c:\n  d: {e: 'x\u{e9}', f: true}\n  g: 1.5\n  h:\n    i: j\n  k: [1]\n  l: 2023-06-01\n  m: ~\n";
        assert_eq!(
            outlined(Syntax::Yaml, yaml),
            "a 1; b-c { d { e \"xé\" from 'xé'; f true; }; g 1.5; h { i \"j\" from j; }; k list; l \"2023-06-01\" from 2023-06-01; m null; }; "
        );
        let json = "{\"a\": 1, \"b-c\": {\"d\": {\"e\": \"x\u{e9}\\n\\u00e9\\ud83d\\ude00\", \"f\": true}, \"g\": 1.5, \"h\": {\"i\": \"j\"}, \"k\": [1, {\"x\": []}], \"m\": null, \"n\": -1e2}}\n";
        assert_eq!(
            outlined(Syntax::Json, json),
            "\"a\" 1; \"b-c\" { \"d\" { \"e\" \"xé\\né😀\" from \"x\u{e9}\\n\\u00e9\\ud83d\\ude00\"; \"f\" true; }; \"g\" 1.5; \"h\" { \"i\" \"j\" from \"j\"; }; \"k\" list; \"m\" null; \"n\" -100.0; }; "
        );
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("-1.0", Some(-1)),
            ("5.5", None),
            ("1e300", None),
        ] {
            let node = parse(Syntax::Json, &format!("{{\"a\":{text}}}"))
                .ok()
                .unwrap();
            assert_eq!(node.entries()[0].value.whole(), expected, "{text}");
        }
    }
}
