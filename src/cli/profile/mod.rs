//! `aiproxy profile`: what is there, what it means, whether it is sound, and how to get another one.

mod check;
mod endpoints;
mod list;
mod new;
mod schema;
mod show;

use std::path::Path;

use super::places::{Sources, is_file};
use crate::{
    profile::{Places, Profile, ProfileError, Reference, Vault},
    term::{Exit, Problem, Term},
};

/// List, show, check and write profiles.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy profile list\n  aiproxy profile new my-groq --provider groq\n  aiproxy profile check",
    arg_required_else_help = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the profiles that there are, and whether their keys are
    List(list::Args),
    /// Show a profile with all defaults, where it sends requests, and which secrets it needs
    Show(show::Args),
    /// Say everything that is wrong with profiles
    Check(check::Args),
    /// Write a profile, by questions or flags
    New(new::Args),
    /// Print the JSON Schema of profiles, for editors
    Schema(schema::Args),
}

pub(super) fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    match args.command {
        Command::List(args) => list::run(&args, term),
        Command::Show(args) => show::run(&args, term),
        Command::Check(args) => check::run(&args, term),
        Command::New(args) => super::block_on(new::run(args, term)),
        Command::Schema(args) => schema::run(&args, term),
    }
}

/// The profile that a person names, or the file: what has a slash or a profile's extension is one.
fn find(places: &Places, name: &str) -> Result<Profile, ProfileError> {
    if is_file(name) {
        Places::load_file(Path::new(name))
    } else {
        places.load(name)
    }
}

/// A reference of a profile, and whether it has a value now.
struct Referred {
    /// The full key at which it stands.
    key: String,
    /// As the profile writes it.
    reference: String,
    /// The environment variable that it reads, if it reads one.
    variable: Option<String>,
    /// Why it has none.
    missing: Option<String>,
}

/// Every reference of a profile, once.
fn references(profile: &Profile, vault: &dyn Vault) -> Vec<Referred> {
    let mut all: Vec<Referred> = Vec::new();
    for (key, secret) in profile.secrets() {
        for reference in secret.references() {
            if all.iter().all(|known| known.reference != reference.text()) {
                all.push(referred(key.clone(), reference, vault));
            }
        }
    }
    all
}

fn referred(key: String, reference: &Reference, vault: &dyn Vault) -> Referred {
    Referred {
        key,
        reference: reference.text().to_owned(),
        variable: reference.variable().map(str::to_owned),
        missing: reference.missing(vault),
    }
}

/// A serialised value on stdout, for programs.
fn print_json(value: &impl serde::Serialize, term: &Term) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
    term.json(&text)?;
    Ok(())
}
