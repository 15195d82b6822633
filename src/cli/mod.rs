//! The commands: one file each, with its `Args` and a function that runs it.

mod cassettes;
mod chat;
mod completions;
mod config;
mod diff;
mod doctor;
mod env;
mod exchanges;
mod hidden;
mod key;
mod log;
mod man;
mod mock;
mod page;
mod places;
mod profile;
mod proxy;
mod replay;
mod request;
mod run;
mod serve;
mod servers;
mod show;
mod signals;
mod state;
mod tail;
mod transform;
mod upstreams;
mod variables;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use tokio::runtime::Builder;

use crate::term::{Exit, Problem, Term, Verbosity, log_to_stderr};

/// One stable LLM endpoint on localhost for every app: any provider behind it, every exchange in sight.
#[derive(Debug, Parser)]
#[command(
    name = "aiproxy",
    version,
    arg_required_else_help = true,
    after_help = "Try it without a key:\n  aiproxy serve\n  aiproxy chat --stream \"Tell me a story\""
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr: a line for each request; -vv: what happens inside (the variable RUST_LOG wins)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say nothing but errors on stderr
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy: one base URL for each profile
    Serve(serve::Args),
    /// Run a program with its SDKs pointed at aiproxy
    Run(run::Args),
    /// Print the variables that point SDKs at the running server
    Env(env::Args),
    /// Send a test prompt through a profile
    Chat(chat::Args),
    /// Dry run: show what a profile makes of a request, stage by stage
    Transform(Box<transform::Args>),
    /// Watch every exchange of a running server, tokens live
    Tail(tail::Args),
    /// List past exchanges
    Log(log::Args),
    /// Show an exchange: every stage, the answer, times, tokens and cost
    Show(show::Args),
    /// Show what changed: between stages, exchanges or files
    Diff(diff::Args),
    /// Send an exchange's request again, and compare the answers
    Replay(replay::Args),
    /// Run the built-in mock provider as a server of its own
    Mock(mock::Args),
    /// Check settings, profiles, keys, endpoints and the port
    Doctor(doctor::Args),
    /// List, show, check and write profiles
    Profile(profile::Args),
    /// Put keys into the system's key ring
    Key(key::Args),
    /// Print a shell's completions
    Completions(completions::Args),
    /// Print the manual pages
    Man(man::Args),
}

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> ExitCode {
    let term = Term::of_process();
    // One TLS provider for the process; a second call has nothing to do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = match config::command(command_line(), &term) {
        Ok(command) => command,
        Err(problem) => return problem.report(&term).into(),
    };
    let cli = match command
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            if asked {
                // A closed pipe is no failure of `--help | head`.
                let _ = error.print();
                return Exit::Done.into();
            }
            let text = error.render();
            let text = if term.colour_err() {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            term.complain(text.trim_end());
            return Exit::Usage.into();
        }
    };
    let term = term.quiet(cli.quiet);
    // While a program runs, the screen is its own.
    let yields = cli.verbose == 0 && matches!(cli.command, Command::Run(_));
    log_to_stderr(&term, Verbosity::of(cli.verbose, cli.quiet || yields));
    match run(cli.command, &term) {
        Ok(exit) => exit.into(),
        Err(problem) => problem.report(&term).into(),
    }
}

/// The whole command line.
fn command_line() -> clap::Command {
    Cli::command()
}

fn run(command: Command, term: &Term) -> Result<Exit, Problem> {
    match command {
        Command::Completions(args) => completions::run(&args, term, Cli::command()),
        Command::Profile(args) => profile::run(args, term),
        Command::Key(args) => key::run(&args, term),
        Command::Man(args) => man::run(&args, term, Cli::command()),
        Command::Serve(args) => serving(serve::run(args, term)),
        Command::Run(args) => serving(run::run(args, term)),
        Command::Env(args) => block_on(env::run(args, term)),
        Command::Chat(args) => block_on(chat::run(args, term)),
        Command::Transform(args) => block_on(transform::run(*args, term)),
        Command::Tail(args) => block_on(tail::run(args, term)),
        Command::Log(args) => block_on(log::run(args, term)),
        Command::Show(args) => block_on(show::run(args, term)),
        Command::Diff(args) => block_on(diff::run(args, term)),
        Command::Replay(args) => block_on(replay::run(args, term)),
        Command::Mock(args) => block_on(mock::run(args, term)),
        Command::Doctor(args) => block_on(doctor::run(args, term, command_line())),
    }
}

/// Runs a command that waits for sockets. Tasks that are still busy at its end (a blocked read of stdin) do not hold the process up.
fn block_on(command: impl Future<Output = Result<Exit, Problem>>) -> Result<Exit, Problem> {
    on(Builder::new_multi_thread(), command)
}

/// The same for one that serves: what it answers is done on threads of its own, and the rest is little.
fn serving(command: impl Future<Output = Result<Exit, Problem>>) -> Result<Exit, Problem> {
    on(Builder::new_current_thread(), command)
}

fn on(
    mut runtime: Builder,
    command: impl Future<Output = Result<Exit, Problem>>,
) -> Result<Exit, Problem> {
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
