//! From a file's bytes to a profile, or to everything that is wrong with them.

use std::{ops::Range, path::Path, sync::Arc};

use super::{
    Origin, Profile, privacy,
    problem::{Place, Problem, ProfileError, SourceLine},
    reader::{Finding, Reader},
    rules,
    schema::{Document, table::Field},
    source::{self, Syntax},
};

/// What is read: a text with the names that messages give it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The profile's name.
    pub name: &'a str,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// The syntax of `bytes`.
    pub syntax: Syntax,
    /// The file's content.
    pub bytes: &'a [u8],
}

/// More mistakes than this are not read by anyone.
const MOST_PROBLEMS: usize = 20;

/// Reads and checks a profile.
pub fn load(input: Input<'_>) -> Result<Profile, ProfileError> {
    let file = match input.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::BuiltIn => format!("built-in {}", input.name),
    };
    load_as(input, &file)
}

/// The same; mistakes are those of `file`.
pub(super) fn load_as(input: Input<'_>, file: &str) -> Result<Profile, ProfileError> {
    let Ok(text) = std::str::from_utf8(input.bytes) else {
        return Err(ProfileError::one(Problem::of_file(
            file,
            "the file is not UTF-8 text",
            Some("save it as UTF-8".into()),
        )));
    };
    let root = source::parse(input.syntax, text).map_err(|error| {
        let place = Some(place(text, error.span, Shown::Masked));
        let message = format!("{} syntax: {}", input.syntax, error.message);
        ProfileError::one(Problem {
            file: file.to_owned(),
            place,
            key: String::new(),
            message,
            hint: None,
        })
    })?;

    let folder = match input.origin {
        Origin::File(path) => path.parent(),
        Origin::BuiltIn => None,
    };
    let mut reader = Reader::new(folder.filter(|folder| !folder.as_os_str().is_empty()).or(
        match input.origin {
            Origin::File(_) => Some(Path::new(".")),
            Origin::BuiltIn => None,
        },
    ));
    let document = Document::read(&root, &mut reader);
    let mut found = reader.found;
    if let Some(document) = &document {
        rules::check(document, &root, &mut found);
    }
    if let (Some(document), true) = (document, found.is_empty()) {
        return Ok(Profile {
            name: Arc::from(input.name),
            origin: input.origin.clone(),
            description: document.description,
            ai_proxy: document.ai_proxy,
            ai_request_transformer: document.ai_request_transformer,
            ai_response_transformer: document.ai_response_transformer,
            upstream: document.upstream,
            aiproxy: document.aiproxy,
            states_body_limit: root.states(&["ai-proxy", "max_request_body_size"]),
        });
    }
    let secret = privacy::secret_ranges(input.syntax, text, &root);
    found.sort_by_key(|finding| finding.span.start);
    let more = found.len().saturating_sub(MOST_PROBLEMS);
    found.truncate(MOST_PROBLEMS);
    let mut problems: Vec<Problem> = found
        .into_iter()
        .map(|finding| problem(file, text, &secret, finding))
        .collect();
    if more > 0 {
        problems.push(Problem::of_file(
            file,
            format!("{more} more problems"),
            None,
        ));
    }
    Err(ProfileError::Broken(problems))
}

fn problem(file: &str, text: &str, secret: &[Range<usize>], finding: Finding) -> Problem {
    let Finding {
        path,
        span,
        message,
        hint,
    } = finding;
    let place = (!text.trim().is_empty()).then(|| place(text, span, Shown::Except(secret)));
    Problem {
        file: file.to_owned(),
        place,
        key: path.join("."),
        message,
        hint,
    }
}

/// How much of a line is shown.
#[derive(Clone, Copy)]
enum Shown<'a> {
    /// Known words only: nothing is known about the line.
    Masked,
    /// All of it, unless it meets one of these.
    Except(&'a [Range<usize>]),
}

fn place(text: &str, span: Range<usize>, shown: Shown<'_>) -> Place {
    let start = span.start.min(text.len());
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(line_start..).unwrap_or_default();
    let line_text = rest.split(['\n', '\r']).next().unwrap_or_default();
    let line_span = line_start..line_start + line_text.len();
    let at = (start - line_start).min(line_text.len());
    let end = (span.end.max(start) - line_start).clamp(at, line_text.len());
    let source = match shown {
        _ if line_text.trim().is_empty() => None,
        Shown::Masked => {
            let (text, at) = privacy::mask_line(line_text, at);
            let end = (at + 1).min(text.len());
            Some(SourceLine {
                marked: at.min(end)..end,
                text,
            })
        }
        Shown::Except(secret) => {
            let meets =
                |range: &Range<usize>| range.start <= line_span.end && range.end >= line_span.start;
            (!secret.iter().any(meets)).then(|| SourceLine {
                text: line_text.to_owned(),
                marked: at..end.max(at),
            })
        }
    };
    Place {
        line: before.matches('\n').count() + 1,
        column: text
            .get(line_start..start)
            .map_or(1, |before| before.chars().count() + 1),
        source,
    }
}

#[cfg(test)]
pub(crate) mod tests;
