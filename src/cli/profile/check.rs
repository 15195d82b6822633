//! `aiproxy profile check`.

use serde::Serialize;

use super::{Sources, find, print_json, references};
use crate::{
    profile::{Listed, Origin, Places, Profile, ProfileError, Vault},
    term::{Exit, Ink, Problem, Term},
};

/// Say everything that is wrong with profiles: with the named ones, or with all that there are.
///
/// Sound ones are listed on stdout; mistakes go to stderr, each with its place and the way out, and end the command with 1. A secret that has
/// no value now is a warning: the file itself is sound, as it is for Kong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy profile check\n  aiproxy profile check my-gpt --strict\n  aiproxy profile check ./deploy/gpt.yaml --json"
)]
pub(super) struct Args {
    /// Names of profiles, or files (with a slash or an extension)
    #[arg(value_name = "NAME|FILE")]
    names: Vec<String>,
    /// Fail on warnings as well
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
}

/// What was found about one profile.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    /// A file, or `built in`; null if there is no such profile.
    origin: Option<String>,
    ok: bool,
    problems: Vec<Found>,
    warnings: Vec<Warning>,
}

/// A mistake as a program reads it.
#[derive(Debug, Default, Serialize)]
struct Found {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    key: Option<String>,
    message: String,
    hint: Option<String>,
}

/// A reference without a value.
#[derive(Debug, Serialize)]
struct Warning {
    key: String,
    reference: String,
    message: String,
}

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    let (places, vault) = (args.sources.places(), args.sources.vault()?);
    let mut all = Vec::new();
    for (name, result) in subjects(args, &places) {
        // Nobody has the keys of every service: those of built-in profiles are missed only where one is asked for.
        let asked = !args.names.is_empty();
        let checked = Checked {
            ok: result.is_ok(),
            origin: origin(&places, &name, &result),
            problems: result.as_ref().err().map(found).unwrap_or_default(),
            warnings: match &result {
                Ok(profile) if asked || profile.origin != Origin::BuiltIn => {
                    warnings(profile, &*vault)
                }
                _ => Vec::new(),
            },
            name,
        };
        if !args.json {
            tell(&checked, &result, term)?;
        }
        all.push(checked);
    }
    if args.json {
        print_json(&all, term)?;
    }
    let failed = |checked: &Checked| !checked.ok || args.strict && !checked.warnings.is_empty();
    Ok(if all.iter().any(failed) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn subjects(args: &Args, places: &Places) -> Vec<(String, Result<Profile, ProfileError>)> {
    if args.names.is_empty() {
        let all = places.load_all().into_iter();
        return all.map(|loaded| (loaded.name, loaded.result)).collect();
    }
    args.names
        .iter()
        .map(|name| {
            let result = find(places, name);
            let own = result.as_ref().map(|profile| profile.name.to_string());
            (own.unwrap_or_else(|_| name.clone()), result)
        })
        .collect()
}

/// Where a profile is, also a broken one.
fn origin(places: &Places, name: &str, result: &Result<Profile, ProfileError>) -> Option<String> {
    match result {
        Ok(profile) => Some(profile.origin.to_string()),
        Err(ProfileError::Unknown { .. }) => None,
        Err(ProfileError::Broken(problems)) => {
            let is_it = |listed: &Listed| listed.name == name && listed.shadowed_by.is_none();
            let listed = places.list().into_iter().find(is_it);
            listed
                .map(|listed| listed.origin.to_string())
                .or_else(|| Some(problems.first()?.file.clone()))
        }
    }
}

fn found(error: &ProfileError) -> Vec<Found> {
    if let ProfileError::Unknown { name, known } = error {
        return vec![Found {
            message: format!("no profile `{}`", name.escape_debug()),
            hint: Some(format!("there are {}", known.join(", "))),
            ..Found::default()
        }];
    }
    let found = |problem: &crate::profile::Problem| Found {
        file: Some(problem.file.clone()),
        line: problem.place.as_ref().map(|place| place.line),
        column: problem.place.as_ref().map(|place| place.column),
        key: Some(problem.key.clone()).filter(|key| !key.is_empty()),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    };
    error.problems().iter().map(found).collect()
}

fn warnings(profile: &Profile, vault: &dyn Vault) -> Vec<Warning> {
    references(profile, vault)
        .into_iter()
        .filter_map(|referred| {
            Some(Warning {
                message: format!(
                    "secret {} does not resolve: {}",
                    referred.reference, referred.missing?
                ),
                key: referred.key,
                reference: referred.reference,
            })
        })
        .collect()
}

fn tell(
    checked: &Checked,
    result: &Result<Profile, ProfileError>,
    term: &Term,
) -> Result<(), Problem> {
    match result {
        Ok(_) => term.line(&format!(
            "{} {} ({})",
            term.ink(Ink::Good, "ok:"),
            checked.name,
            checked.origin.as_deref().unwrap_or_default()
        ))?,
        Err(error @ ProfileError::Unknown { .. }) => {
            Problem::new(error.render(term.colour_err())).report(term);
        }
        Err(ProfileError::Broken(problems)) => {
            for problem in problems {
                Problem::new(problem.render(term.colour_err())).report(term);
                term.note("");
            }
        }
    }
    for warning in &checked.warnings {
        term.warn(&format!(
            "{}: {}: {}",
            checked.name, warning.key, warning.message
        ));
    }
    Ok(())
}
