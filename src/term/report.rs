//! What went wrong, for people, and for the process that started this one.

use std::{fmt, io, process::ExitCode};

use super::{Ink, Term};
use crate::profile::ProfileError;

/// How a command ended (SPEC §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed; it said why.
    Failed,
    /// Called wrongly.
    Usage,
    /// Ended by this signal.
    Signal(u8),
    /// As a program that was run ended, or could not be.
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            // As shells report it.
            Exit::Code(code) => ExitCode::from(code),
            Exit::Signal(signal) => ExitCode::from(128u8.saturating_add(signal)),
        }
    }
}

/// Why a command cannot go on.
#[derive(Debug)]
pub struct Problem {
    message: String,
    hint: Option<String>,
    exit: Exit,
    quiet: bool,
}

impl Problem {
    /// A failure. Lower case, no full stop.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            hint: None,
            exit: Exit::Failed,
            quiet: false,
        }
    }

    /// Wrong use of a command.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Problem {
        Problem {
            exit: Exit::Usage,
            ..Problem::new(message)
        }
    }

    /// With an exit code of its own.
    #[must_use]
    pub fn code(self, code: u8) -> Problem {
        Problem {
            exit: Exit::Code(code),
            ..self
        }
    }

    /// With the command or line that fixes it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Says it, unless there is nothing to say.
    pub fn report(&self, term: &Term) -> Exit {
        if !self.quiet {
            term.say(&format!(
                "{} {}",
                term.ink_err(Ink::Bad, "error:"),
                self.message
            ));
            if let Some(hint) = &self.hint {
                term.say(&format!("{} {hint}", term.ink_err(Ink::Literal, "hint:")));
            }
        }
        self.exit
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<io::Error> for Problem {
    /// Of writing output. A reader that has seen enough (`| head`) is no failure.
    fn from(error: io::Error) -> Problem {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Problem {
                message: String::new(),
                hint: None,
                exit: Exit::Done,
                quiet: true,
            },
            _ => Problem::new(format!("cannot write the output: {error}")),
        }
    }
}

impl From<ProfileError> for Problem {
    fn from(error: ProfileError) -> Problem {
        Problem::new(error.render(Term::of_process().colour_err()))
    }
}
