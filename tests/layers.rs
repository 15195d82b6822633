//! The layers of `src`: who may import whom, and what each may hold.
//!
//! Tests (`#[cfg(test)]` items, files and folders named `tests`) may import more.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each layer and those that it may import; `*` is all.
const ARROWS: &[(&str, &[&str])] = &[
    ("llm", &[]),
    ("keys", &[]),
    ("transport", &[]),
    ("wire", &[]),
    ("diff", &[]),
    ("dialect", &["llm", "wire"]),
    ("cassette", &["diff", "exchange", "transport"]),
    ("provider", &["dialect", "keys", "llm", "wire"]),
    ("profile", &["provider"]),
    ("exchange", &["llm", "profile"]),
    ("net", &["keys", "transport"]),
    ("mock", &["transport", "keys", "dialect", "llm", "wire"]),
    (
        "pipeline",
        &[
            "keys",
            "llm",
            "transport",
            "wire",
            "diff",
            "dialect",
            "provider",
            "profile",
            "exchange",
        ],
    ),
    (
        "server",
        &[
            "keys",
            "pipeline",
            "exchange",
            "profile",
            "net",
            "dialect",
            "llm",
            "provider",
            "transport",
            "wire",
        ],
    ),
    ("telemetry", &["exchange", "llm", "transport"]),
    ("term", &["diff", "profile"]),
    ("cli", &["*"]),
];

/// Of a layer that may be imported for one thing alone: importer, imported, and what.
const ONLY: &[(&str, &str, &[&str])] = &[
    ("profile", "provider", &["NAMES"]),
    ("exchange", "profile", &["Secret"]),
    ("term", "profile", &["ProfileError"]),
];

/// Layers without effects.
const PURE: &[&str] = &["llm", "wire", "dialect", "provider", "profile"];

/// A file becomes a folder at this many lines.
const LONGEST: usize = 600;

/// A source file without its tests, comments and literals.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    layer: String,
    /// How many modules deep it is: `src/a/mod.rs` is 1, `src/a/b.rs` is 2.
    depth: usize,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let path: Vec<String> = file
                .strip_prefix(&root)
                .unwrap()
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            let stem = path.last().unwrap().trim_end_matches(".rs").to_owned();
            let of_tests = path.iter().any(|part| part == "tests") || stem == "tests";
            if of_tests || matches!(path.join("/").as_str(), "lib.rs" | "main.rs") {
                return None;
            }
            let text = fs::read_to_string(file).unwrap();
            Some(Source {
                layer: path[0].trim_end_matches(".rs").to_owned(),
                depth: path.len() - usize::from(stem == "mod"),
                path: path.join("/"),
                lines: text.lines().count(),
                code: without_tests(&blanked(&text)),
            })
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The text with comments and the insides of literals as spaces.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut index = 0;
    while index < chars.len() {
        let end = match (at(index), at(index + 1)) {
            ('/', '/') => line_end(&chars, index),
            ('/', '*') => comment_end(&chars, index),
            ('"', _) => string_end(&chars, index),
            ('r', '"' | '#')
                if !is_word(at(index.wrapping_sub(1))) || at(index.wrapping_sub(1)) == 'b' =>
            {
                raw_end(&chars, index).unwrap_or(index)
            }
            // A lifetime has no closing quote.
            ('\'', '\\') => (index + 3..).find(|end| at(*end) == '\'').unwrap_or(index) + 1,
            ('\'', _) if at(index + 2) == '\'' => index + 3,
            _ => index,
        };
        if end == index {
            out.push(chars[index]);
            index += 1;
        } else {
            let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
            out.extend(chars[index..end.min(chars.len())].iter().map(blank));
            index = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], from: usize) -> usize {
    let rest = chars[from..].iter();
    from + rest.take_while(|c| **c != '\n').count()
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut index) = (0, from);
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            break;
        }
    }
    index
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut index = from + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

fn raw_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    (open + 1..chars.len())
        .find(|end| {
            chars[*end] == '"'
                && chars[end + 1..]
                    .iter()
                    .take(hashes)
                    .filter(|c| **c == '#')
                    .count()
                    == hashes
        })
        .map(|end| end + 1 + hashes)
}

/// The code without items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        out.push_str(before);
        rest = after_item(after);
    }
    out + rest
}

/// What follows the first item: up to its `;`, or the brace that closes its first one.
fn after_item(code: &str) -> &str {
    let (mut depth, mut nested) = (0_usize, 0_usize);
    for (index, c) in code.char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                // `use a::{b, c};` ends with its semicolon.
                let is_use = code.trim_start().starts_with("use ");
                if depth == 0 && !is_use {
                    return &code[index + 1..];
                }
            }
            ';' if depth == 0 && nested == 0 => return &code[index + 1..],
            _ => {}
        }
    }
    ""
}

/// The paths that begin at the crate's root, as `layer::rest`: `crate::...`, and `super::super::...` that climbs as high.
fn imports(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.code.as_str();
    while let Some(at) = rest.find("crate::") {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + "crate::".len()..];
        if before.is_none_or(|c| !is_word(c) && c != '$') {
            found.extend(branches(rest));
        }
    }
    let climb = "super::".repeat(source.depth);
    let mut rest = source.code.as_str();
    while let Some(at) = rest.find(&climb) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + climb.len()..];
        if before.is_none_or(|c| !is_word(c) && c != ':') {
            found.extend(branches(rest));
        }
    }
    found
}

/// What follows `crate::`: one path, or those of a group.
fn branches(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let path = text
            .chars()
            .take_while(|c| is_word(*c) || *c == ':' || *c == '{');
        let path: String = path.collect();
        return match path.split_once('{') {
            // `crate::a::{b, c}` is `a::b` and `a::c`.
            Some((head, _)) => {
                let inside = &text[path.find('{').unwrap()..];
                branches(inside)
                    .into_iter()
                    .map(|tail| format!("{head}{tail}"))
                    .collect()
            }
            None => vec![path],
        };
    };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..index]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .flat_map(branches)
        .collect()
}

fn check(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_import_follows_an_arrow() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some((_, allowed)) = ARROWS.iter().find(|(layer, _)| *layer == source.layer) else {
            wrong.insert(format!(
                "src/{}: no layer that this test knows",
                source.path
            ));
            continue;
        };
        for import in imports(&source) {
            let (layer, what) = import.split_once("::").unwrap_or((&import, ""));
            let known = ARROWS.iter().any(|(known, _)| *known == layer);
            if !known || layer == source.layer {
                continue;
            }
            let arrow = allowed.contains(&layer) || allowed.contains(&"*");
            let only = ONLY
                .iter()
                .find(|(from, to, _)| *from == source.layer && *to == layer);
            let first = what.split("::").next().unwrap_or_default();
            // `use crate::provider;` says nothing yet; what is taken of it is seen at its uses.
            let narrow =
                only.is_none_or(|(_, _, names)| first.is_empty() || names.contains(&first));
            if !arrow || !narrow {
                wrong.insert(format!(
                    "src/{}: {} imports {import}",
                    source.path, source.layer
                ));
            }
        }
        for (_, layer, names) in ONLY.iter().filter(|(from, ..)| *from == source.layer) {
            let alias = format!("{layer}::");
            for (at, _) in source.code.match_indices(&alias) {
                let before = source.code[..at].chars().next_back().unwrap_or(' ');
                let rest = &source.code[at + alias.len()..];
                let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
                if !is_word(before) && !name.is_empty() && !names.contains(&name.as_str()) {
                    wrong.insert(format!("src/{}: takes {alias}{name}", source.path));
                }
            }
        }
    }
    check(&wrong.into_iter().collect::<Vec<_>>());
}

#[test]
fn pure_layers_have_no_effects() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.layer.as_str()) {
            continue;
        }
        for word in ["async fn", "async move", "tokio"] {
            if has_word(&source.code, word) {
                wrong.push(format!("src/{}: {word}", source.path));
            }
        }
    }
    check(&wrong);
}

#[test]
fn the_exchange_names_no_more_of_tokio_than_its_wake_up() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.layer != "exchange" {
            continue;
        }
        for (at, _) in source.code.match_indices("tokio::") {
            let rest = &source.code[at..];
            if !rest.starts_with("tokio::sync::Notify") {
                let line = rest.lines().next().unwrap_or_default();
                wrong.push(format!("src/{}: {line}", source.path));
            }
        }
    }
    check(&wrong);
}

#[test]
fn only_the_terminal_prints() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.layer == "term" {
            continue;
        }
        for word in ["println!", "eprintln!", "print!", "eprint!"] {
            if has_word(&source.code, word) {
                wrong.push(format!("src/{}: {word}", source.path));
            }
        }
    }
    check(&wrong);
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LONGEST)
        .map(|source| format!("src/{}: {} lines", source.path, source.lines))
        .collect();
    check(&long);
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        before.is_none_or(|c| !is_word(c)) && after.is_none_or(|c| !is_word(c))
    })
}

#[test]
fn the_reader_of_sources_knows_rust() {
    let text = r##"
use crate::{llm::Chat, wire::{self, sse::{A, B}}};
// use crate::net;
/* use crate::net; /* nested */ */
const TEXT: &str = "crate::net \" crate::net";
const RAW: &str = r#"crate::net " "#;
fn f<'a>(c: char) -> bool { c == '"' || c == '\'' || crate::transport::full(c) }
use super::super::dialect::Fault;
#[cfg(test)]
use crate::{mock, server};
#[cfg(test)]
mod tests { fn g() { crate::cli::main(); } }
fn last() { crate::profile::x() }
"##;
    let source = Source {
        path: String::new(),
        layer: String::new(),
        depth: 2,
        code: without_tests(&blanked(text)),
        lines: 0,
    };
    let mut found = imports(&source);
    found.sort();
    assert_eq!(
        found,
        [
            "dialect::Fault",
            "llm::Chat",
            "profile::x",
            "transport::full",
            "wire::self",
            "wire::sse::A",
            "wire::sse::B",
        ]
    );
}

/// The manifest forbids it for every target of the package; the roots say so to whoever reads them.
#[test]
fn every_crate_forbids_unsafe_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs", "fuzz/src/lib.rs"]
        .iter()
        .map(|path| root.join(path))
        .collect();
    for entry in fs::read_dir(root.join("benches")).unwrap() {
        let path = entry.unwrap().path();
        let main = path.join("main.rs");
        if main.exists() {
            roots.push(main);
        } else if path.extension().is_some_and(|end| end == "rs") {
            roots.push(path);
        }
    }
    assert!(roots.len() > 5, "{roots:?}");
    for path in roots {
        let text = fs::read_to_string(&path).unwrap();
        let line = "#![forbid(unsafe_code)]";
        assert!(text.contains(line), "{} lacks {line}", path.display());
    }
}
