//! Mistakes in profiles, and how a person reads them.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was found.
    pub file: String,
    /// Line and column, from 1; nothing if the file as a whole is meant.
    pub place: Option<Place>,
    /// The key in question with the tables around it, such as `ai-proxy.model.name`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, unless it may hold a secret.
    pub source: Option<SourceLine>,
}

/// A line of a profile that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// Its text.
    pub text: String,
    /// The bytes of it that are meant.
    pub marked: Range<usize>,
}

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileError {
    /// There is no profile of that name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are, nearest first.
        known: Vec<String>,
    },
    /// Its file has mistakes, in the order of their places; there is at least one.
    Broken(Vec<Problem>),
}

/// A window around the marked part is enough of a line, however long: JSON may stand on one.
const WINDOW: usize = 120;

impl Problem {
    /// A mistake of a file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            file: file.to_owned(),
            place: None,
            key: String::new(),
            message: message.into(),
            hint,
        }
    }

    /// The first line: place and mistake.
    #[must_use]
    pub fn headline(&self) -> String {
        let (file, message) = (printable(&self.file), printable(&self.message));
        match &self.place {
            Some(place) => format!("{file}:{}:{}: {message}", place.line, place.column),
            None => format!("{file}: {message}"),
        }
    }

    /// Everything: the first line, the line in question, the hint.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        let mut text = self.headline();
        if let Some(Place {
            line,
            source: Some(source),
            ..
        }) = &self.place
        {
            text.push('\n');
            text.push_str(&source.render(*line, coloured));
        }
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

impl SourceLine {
    fn render(&self, line: usize, coloured: bool) -> String {
        let renderer = if coloured {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let (text, marked) = self.window();
        let snippet = Snippet::source(text)
            .line_start(line)
            .annotation(AnnotationKind::Primary.span(marked));
        let rendered = renderer.render(&[Group::with_level(Level::ERROR).element(snippet)]);
        rendered.trim_end().to_owned()
    }

    /// The line, or the part of a long one around what is meant.
    fn window(&self) -> (&str, Range<usize>) {
        let (text, mut marked) = (self.text.as_str(), self.marked.clone());
        marked.start = floor(text, marked.start);
        marked.end = ceiling(text, marked.end.max(marked.start));
        if text.len() <= 2 * WINDOW {
            return (text, marked);
        }
        let from = floor(text, marked.start.saturating_sub(WINDOW));
        let to = ceiling(text, marked.start.saturating_add(WINDOW));
        let part = text.get(from..to).unwrap_or_default();
        (part, marked.start - from..marked.end.min(to) - from)
    }
}

/// Text from a file or a path: what would steer a terminal is spelled out.
fn printable(text: &str) -> String {
    let spell = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(spell).collect()
}

/// The nearest start of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// The nearest end of a character at or after `at`.
fn ceiling(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl ProfileError {
    /// A file with one mistake.
    pub(crate) fn one(problem: Problem) -> ProfileError {
        ProfileError::Broken(vec![problem])
    }

    /// Everything that is known, for a terminal. The last line has no line end.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        match self {
            ProfileError::Unknown { name, known } => {
                let mut text = format!("no profile `{}`", name.escape_debug());
                if !known.is_empty() {
                    text.push_str("\nhint: there are ");
                    text.push_str(&known.join(", "));
                }
                text
            }
            ProfileError::Broken(problems) => {
                let blocks: Vec<String> = problems
                    .iter()
                    .map(|problem| problem.render(coloured))
                    .collect();
                blocks.join("\n\n")
            }
        }
    }

    /// The mistakes; none if the profile is unknown.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            ProfileError::Unknown { .. } => &[],
            ProfileError::Broken(problems) => problems,
        }
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ProfileError {}
