//! Lines that a person types: editing, history, completion of commands.

use std::{borrow::Cow, path::PathBuf};

use rustyline::{
    Config, Context, Editor, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::command::COMMANDS;
use crate::{
    cli::state,
    term::{Ink, Problem, Term},
};

/// The file in the state folder.
const HISTORY: &str = "chat-history";

/// Lines that are kept over sessions.
const KEPT: usize = 1000;

/// Reads lines from the terminal.
pub(super) struct Lines {
    editor: Editor<Words, FileHistory>,
    history: Option<PathBuf>,
}

/// What came of asking for a line.
#[derive(Debug)]
pub(super) enum Line {
    /// This.
    Text(String),
    /// Ctrl-C.
    Stopped,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// What the editor knows of the session.
struct Words {
    term: Term,
    profiles: Vec<String>,
}

impl Lines {
    /// With the history of earlier sessions, if the state folder can be had.
    pub(super) fn open(term: &Term) -> Result<Lines, Problem> {
        let config = Config::builder()
            .max_history_size(KEPT)
            .map(rustyline::config::Builder::build)
            .map_err(no_terminal)?;
        let mut editor = Editor::with_config(config).map_err(no_terminal)?;
        editor.set_helper(Some(Words {
            term: *term,
            profiles: Vec::new(),
        }));
        let history = state::prepared().and_then(|folder| {
            let path = folder.join(HISTORY);
            // Made here, so that it is never anybody else's to read.
            state::private_file().open(&path)?;
            Ok(path)
        });
        let history = match history {
            Ok(path) => {
                // An unreadable history is an empty one.
                let _ = editor.load_history(&path);
                Some(path)
            }
            Err(error) => {
                term.warn(&format!("no history is kept: {error}"));
                None
            }
        };
        Ok(Lines { editor, history })
    }

    /// The names that `/profile` completes.
    pub(super) fn set_profiles(&mut self, names: Vec<String>) {
        if let Some(words) = self.editor.helper_mut() {
            words.profiles = names;
        }
    }

    /// Waits for a line, or for a block of several.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Line, Problem> {
        let line = match self.editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => return Ok(Line::Stopped),
            Err(ReadlineError::Eof) => return Ok(Line::End),
            Err(error) => return Err(no_terminal(error)),
        };
        if !line.trim().is_empty() && self.editor.add_history_entry(line.as_str()).is_ok() {
            // A history that cannot be written is no reason to stop talking.
            if let Some(path) = &self.history {
                let _ = self.editor.append_history(path);
            }
        }
        Ok(Line::Text(joined(&line)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_terminal(error: ReadlineError) -> Problem {
    Problem::new(format!("cannot read from the terminal: {error}"))
}

/// A block's lines without the backslashes that held them together.
fn joined(line: &str) -> String {
    line.replace("\\\n", "\n")
}

/// Whether a line goes on: an odd number of backslashes at its end.
fn goes_on(line: &str) -> bool {
    let all = line.len() - line.trim_end_matches('\\').len();
    all % 2 == 1
}

impl Helper for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if goes_on(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Highlighter for Words {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        Cow::Owned(self.term.ink(Ink::Strong, prompt))
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..pos).unwrap_or(line);
        if let Some(begun) = typed.strip_prefix("/profile ") {
            let names = self.profiles.iter().filter(|name| name.starts_with(begun));
            return Ok((pos - begun.len(), names.cloned().collect()));
        }
        let commands = COMMANDS
            .iter()
            .filter(|(name, ..)| typed.starts_with('/') && name.starts_with(typed))
            .map(|(name, takes, _)| format!("{name}{}", if takes.is_empty() { "" } else { " " }));
        Ok((0, commands.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_hold_lines_together() {
        assert!(goes_on("a \\"));
        assert!(!goes_on("a \\\\"));
        assert!(!goes_on("a"));
        assert_eq!(joined("a \\\nb\nc"), "a \nb\nc");
    }

    #[test]
    fn commands_and_profiles_complete() {
        let words = Words {
            term: Term::of_process(),
            profiles: vec!["mock".into(), "openai".into()],
        };
        let history = FileHistory::new();
        let context = Context::new(&history);
        let complete = |line: &str| words.complete(line, line.len(), &context).unwrap();
        assert_eq!(complete("/pro"), (0, vec!["/profile ".to_owned()]));
        assert_eq!(complete("/profile o"), (9, vec!["openai".to_owned()]));
        assert_eq!(complete("hello"), (0, Vec::new()));
    }
}
