//! `aiproxy completions`.

use clap_complete::Shell;

use crate::term::{Exit, Problem, Term};

/// Print a shell's completions to stdout.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aiproxy completions bash > ~/.local/share/bash-completion/completions/aiproxy"
)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, term: &Term, mut command: clap::Command) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "aiproxy", &mut script);
    term.out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
