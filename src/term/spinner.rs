//! Signs of life while nothing else happens: one for a single wait, one for many.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Term;

/// Turns on stderr until it is dropped; nothing at all where nobody watches.
#[derive(Debug)]
pub struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Starts one.
    #[must_use]
    pub fn start(term: &Term, message: &str) -> Spinner {
        let bar = ProgressBar::with_draw_target(None, target(term));
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg:.dim}") {
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(80));
        Spinner { bar }
    }
}

/// stderr, if somebody watches it.
fn target(term: &Term) -> ProgressDrawTarget {
    if term.err_is_terminal() && term.colour_err() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Fills on stderr until it is dropped; nothing at all where nobody watches.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Starts one of so many steps.
    #[must_use]
    pub fn start(term: &Term, steps: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(steps), target(term));
        let form = "{spinner:.cyan} {bar:24.cyan/dim} {pos}/{len} {msg:.dim}";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ").progress_chars("━━─"));
        }
        bar.enable_steady_tick(Duration::from_millis(80));
        Progress { bar }
    }

    /// Says what the next step is.
    pub fn next(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// A step is done.
    pub fn done(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
