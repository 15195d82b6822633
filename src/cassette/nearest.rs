//! What to say of a request that nobody recorded.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::canon::Canon;
use crate::diff::{Content, Edit, Limits, compare};

/// How long the nearest recording is looked for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much of a value is shown, in characters.
const SHOWN: usize = 60;

/// A recording of another path or method is that much farther away, one with another difference that much.
const ELSEWHERE: usize = 1_000_000_000;
const CHANGE: usize = 1000;

/// A recording that may be the nearest.
pub(super) struct Near<'a> {
    /// Its file and line.
    pub(super) place: (&'a str, usize),
    pub(super) recorded: &'a Canon,
    pub(super) asked: &'a Canon,
    /// Its path is the one that is asked.
    pub(super) same_path: bool,
}

/// Which recording is the nearest to a request that none fits, and where it differs first.
pub(super) fn told<'a>(names: &[&str], recordings: impl Iterator<Item = Near<'a>>) -> String {
    let files = names.join(", ");
    let until = Instant::now() + PATIENCE;
    let mut nearest: Option<(usize, (&str, usize), String)> = None;
    for near in recordings {
        if nearest.is_some() && Instant::now() > until {
            break;
        }
        let least = nearest.as_ref().map_or(usize::MAX, |(far, ..)| *far);
        if let Some((far, difference)) = near.difference(until)
            && far < least
        {
            nearest = Some((far, near.place, difference));
        }
    }
    match nearest {
        None => format!("no recording of this request: there is none at all in {files}"),
        Some((_, (file, line), difference)) => format!(
            "no recording of this request in {files}: the nearest, {file}:{line}, {difference}"
        ),
    }
}

impl Near<'_> {
    /// How far it is away, and where it differs first.
    fn difference(&self, until: Instant) -> Option<(usize, String)> {
        let (old, mut new) = self.recorded.beside(self.asked);
        let mut far = 0usize;
        if !self.same_path {
            far += ELSEWHERE;
        } else if let (Some(old), Some(new)) = (old.get("path"), new.get_mut("path")) {
            new.clone_from(old);
        }
        if old.get("method") != new.get("method") {
            far += ELSEWHERE;
        }
        let limits = Limits {
            until,
            ..Limits::patient()
        };
        let compared = compare(
            old.to_string().as_bytes(),
            new.to_string().as_bytes(),
            &limits,
        );
        let Content::Json { changes, more } = compared.content else {
            let why = "differs in a way that takes too long to tell".to_owned();
            return Some((usize::MAX - 1, why));
        };
        let sizes = changes.iter().map(|change| match &change.edit {
            Edit::Added(value) | Edit::Removed(value) => value.len(),
            Edit::Changed(old, new) => old.len().max(new.len()),
            Edit::Reworded(pieces) => pieces.len(),
        });
        far += sizes
            .map(|size| CHANGE + size.min(CHANGE - 1))
            .sum::<usize>()
            + more * CHANGE;
        let first = changes.first()?;
        let (path, old, new) = (
            first.path.to_string(),
            old.pointer(&first.path.in_old()),
            new.pointer(&first.path.in_new()),
        );
        // A value of the head may be a credential.
        let shown = !path.starts_with("headers") && !path.starts_with("query");
        let difference = match (&first.edit, old, new) {
            (Edit::Added(_), ..) => format!("has no {path}"),
            (Edit::Removed(_), ..) => format!("has {path}, which this request lacks"),
            (_, Some(old), Some(new)) if shown => {
                let (old, new) = excerpts(old, new);
                format!("has {old} at {path} where this request has {new}")
            }
            _ => format!("has another {path}"),
        };
        Some((far, difference))
    }
}

/// Two values, short, from a little before they differ.
fn excerpts(old: &Value, new: &Value) -> (String, String) {
    let (old, new) = (old.to_string(), new.to_string());
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let from = if same > SHOWN / 2 {
        same - SHOWN / 4
    } else {
        0
    };
    let short = |text: &str| {
        let mut out = String::from(if from > 0 { "…" } else { "" });
        out.extend(text.chars().skip(from).take(SHOWN));
        if text.chars().count() > from + SHOWN {
            out.push('…');
        }
        out
    };
    (short(&old), short(&new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_from_where_they_differ() {
        let text = |end: &str| Value::from(format!("{}{end}", "a".repeat(100)));
        let (old, new) = excerpts(&text("b"), &text("c"));
        assert_eq!(
            (&*old, &*new),
            ("…aaaaaaaaaaaaaaab\"", "…aaaaaaaaaaaaaaac\"")
        );
        let (old, new) = excerpts(&Value::from(1), &text(""));
        assert_eq!((&*old, new.chars().count()), ("1", SHOWN + 1));
    }
}
