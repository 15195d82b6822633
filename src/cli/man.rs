//! `aiproxy man`.

use std::path::PathBuf;

use clap_mangen::Man;

use crate::term::{Exit, Problem, Term};

/// Print the manual page to stdout, or write one page per command.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy man | man -l -\n  aiproxy man --dir ~/.local/share/man/man1"
)]
pub(super) struct Args {
    /// Write aiproxy.1, aiproxy-serve.1, ... into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, term: &Term, command: clap::Command) -> Result<Exit, Problem> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        term.out(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .map_err(|error| Problem::new(format!("cannot write into {}: {error}", dir.display())))?;
    term.note(&format!("wrote the pages into {}", dir.display()));
    Ok(Exit::Done)
}
