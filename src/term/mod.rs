//! All that knows a terminal: what is printed, in which colour, and what must not reach the screen.
//!
//! Results go to stdout, everything else to stderr. Only this module writes to either.

pub mod diff;
mod live;
mod log;
mod report;
mod sanitize;
mod spinner;
mod table;

use std::io::{self, IsTerminal, Write};

pub use live::Live;
pub use log::{Verbosity, log_to_stderr};
pub use report::{Exit, Problem};
pub use sanitize::sanitize;
use sanitize::{defuse, sanitize_json};
pub use spinner::{Progress, Spinner};
pub use table::{Cell, Table};

/// The process's terminal, or what stands in for it.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    colour_out: bool,
    colour_err: bool,
    out_is_terminal: bool,
    err_is_terminal: bool,
    moves: bool,
    quiet: bool,
}

/// What a word means; one colour a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// What to look at first.
    Strong,
    /// What matters less.
    Faint,
    /// A name or literal to copy.
    Literal,
    /// It works.
    Good,
    /// It may not.
    Warn,
    /// It does not.
    Bad,
}

impl Term {
    /// The process's own. `NO_COLOR` and a pipe turn colours off.
    #[must_use]
    pub fn of_process() -> Term {
        let moves = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && moves;
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Term {
            colour_out: coloured && out,
            colour_err: coloured && err,
            out_is_terminal: out,
            err_is_terminal: err,
            moves: moves && out,
            quiet: false,
        }
    }

    /// Of a process whose output nobody looks at: no colours.
    #[must_use]
    pub fn plain() -> Term {
        Term {
            colour_out: false,
            colour_err: false,
            out_is_terminal: false,
            err_is_terminal: false,
            moves: false,
            quiet: false,
        }
    }

    /// As of a process on a terminal, with or without colours.
    #[cfg(test)]
    pub(crate) fn screen(colour: bool) -> Term {
        Term {
            colour_out: colour,
            out_is_terminal: true,
            moves: true,
            ..Term::plain()
        }
    }

    /// The same, with errors alone on stderr if `quiet`.
    #[must_use]
    pub fn quiet(self, quiet: bool) -> Term {
        Term { quiet, ..self }
    }

    /// Whether people read stdout.
    #[must_use]
    pub fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Whether people read stderr.
    #[must_use]
    pub fn err_is_terminal(&self) -> bool {
        self.err_is_terminal
    }

    /// How many characters a line of stdout has; nothing if no terminal shows it.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        let terminal = console::Term::stdout();
        let size = terminal.size_checked().filter(|_| self.out_is_terminal);
        size.map(|(_, columns)| usize::from(columns))
    }

    /// Whether what stands on stdout can be written over.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.moves
    }

    /// Whether stderr takes colours.
    #[must_use]
    pub fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// Whether stdout takes colours.
    #[must_use]
    pub fn colour_out(&self) -> bool {
        self.colour_out
    }

    /// `text` for stdout.
    #[must_use]
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        paint(self.colour_out, ink, text)
    }

    /// A name for stdout, in one of a few colours that tell names apart: none of them means anything.
    #[must_use]
    pub fn tint(&self, number: usize, text: &str) -> String {
        use console::Color::{Blue, Cyan, Magenta};

        let tint = match number % 3 {
            0 => Cyan,
            1 => Magenta,
            _ => Blue,
        };
        let style = console::Style::new().force_styling(self.colour_out);
        let style = style.fg(tint).bold();
        let style = if number % 6 < 3 {
            style
        } else {
            style.bright()
        };
        style.apply_to(text).to_string()
    }

    /// `text` for stderr.
    #[must_use]
    pub fn ink_err(&self, ink: Ink, text: &str) -> String {
        paint(self.colour_err, ink, text)
    }

    /// Writes to stdout at once.
    ///
    /// # Errors
    ///
    /// If nobody reads it any more.
    pub fn out(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes bytes to stdout as they are; on a screen, control sequences in them are shown, not obeyed.
    ///
    /// # Errors
    ///
    /// If nobody reads it any more.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        if self.out_is_terminal {
            let text = String::from_utf8_lossy(bytes);
            return self.line(sanitize(&text).trim_end_matches('\n'));
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Writes JSON to stdout, as a line. On a screen, no control sequence in it is obeyed.
    ///
    /// # Errors
    ///
    /// If nobody reads it any more.
    pub fn json(&self, json: &str) -> io::Result<()> {
        if self.out_is_terminal {
            self.line(&sanitize_json(json))
        } else {
            self.line(json)
        }
    }

    /// Writes a line to stdout.
    ///
    /// # Errors
    ///
    /// If nobody reads it any more.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.out(&format!("{text}\n"))
    }

    /// Writes a line to stderr, unless only errors go there. If nobody reads it, nobody misses it.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Writes what is wrong with a command line to stderr, which `--quiet` does not silence.
    pub fn complain(&self, text: &str) {
        self.say(text);
    }

    /// Writes a line of an error to stderr.
    fn say(&self, text: &str) {
        if self.err_is_terminal {
            let _ = writeln!(io::stderr().lock(), "{}", defuse(text));
        } else {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Writes `warning: ...` to stderr.
    pub fn warn(&self, text: &str) {
        self.note(&format!("{} {text}", self.ink_err(Ink::Warn, "warning:")));
    }
}

fn paint(coloured: bool, ink: Ink, text: &str) -> String {
    let style = console::Style::new().force_styling(coloured);
    let style = match ink {
        Ink::Strong => style.bold(),
        Ink::Faint => style.dim(),
        Ink::Literal => style.cyan(),
        Ink::Good => style.green(),
        Ink::Warn => style.yellow().bold(),
        Ink::Bad => style.red().bold(),
    };
    style.apply_to(text).to_string()
}
