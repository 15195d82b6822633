//! `aiproxy profile list`.

use serde::Serialize;

use super::{Sources, print_json, references};
use crate::{
    profile::{Listed, Loaded, Origin, Places, Profile, ProfileError, Vault},
    term::{Cell, Exit, Ink, Problem, Table, Term},
};

/// List the profiles that there are: provider, model, streaming, whether the key is there, and where the profile is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aiproxy profile list --json | jq -r '.[] | select(.key != \"missing\").name'"
)]
pub(super) struct Args {
    /// Also those that are not used because another one of their name comes first
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
}

/// A profile as a program reads it.
#[derive(Debug, Default, Serialize)]
struct Line {
    name: String,
    origin: String,
    ok: bool,
    provider: Option<String>,
    label: Option<String>,
    description: Option<String>,
    model: Option<String>,
    streaming: Option<String>,
    /// `present`, `missing` or `none`.
    key: Option<&'static str>,
    /// The variables and references without a value.
    missing: Vec<String>,
    /// What is wrong first, if it is broken.
    problem: Option<String>,
    shadowed_by: Option<String>,
}

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    let (places, vault) = (args.sources.places(), args.sources.vault()?);
    let mut loaded = places.load_all();
    let mut lines = Vec::new();
    for listed in places.list() {
        let result = match &listed.shadowed_by {
            None => take(&mut loaded, &listed.name),
            Some(_) if args.all => reload(&listed),
            Some(_) => None,
        };
        if let Some(result) = result {
            lines.push(line(&listed, &result, &*vault));
        }
    }
    if args.json {
        print_json(&lines, term)?;
    } else {
        term.out(&table(&lines).render(term, term.columns()))?;
    }
    // What is left has no file: folders that cannot be read.
    let mut exit = Exit::Done;
    for error in loaded.into_iter().filter_map(|loaded| loaded.result.err()) {
        exit = Problem::from(error).report(term);
    }
    Ok(exit)
}

fn take(loaded: &mut Vec<Loaded>, name: &str) -> Option<Result<Profile, ProfileError>> {
    let place = loaded.iter().position(|loaded| loaded.name == name)?;
    Some(loaded.swap_remove(place).result)
}

/// A profile that look-up passes by.
fn reload(listed: &Listed) -> Option<Result<Profile, ProfileError>> {
    Some(match &listed.origin {
        Origin::File(path) => Places::load_file(path),
        Origin::BuiltIn => Places::default().load(&listed.name),
    })
}

fn line(listed: &Listed, result: &Result<Profile, ProfileError>, vault: &dyn Vault) -> Line {
    let known = Line {
        name: listed.name.clone(),
        origin: listed.origin.to_string(),
        shadowed_by: listed.shadowed_by.as_ref().map(ToString::to_string),
        ..Line::default()
    };
    let profile = match result {
        Ok(profile) => profile,
        Err(error) => {
            let first = error.problems().first();
            return Line {
                problem: Some(
                    first.map_or_else(|| error.to_string(), crate::profile::Problem::headline),
                ),
                ..known
            };
        }
    };
    let references = references(profile, vault);
    let missing: Vec<String> = references
        .iter()
        .filter(|referred| referred.missing.is_some())
        .map(|referred| {
            referred
                .variable
                .as_ref()
                .unwrap_or(&referred.reference)
                .clone()
        })
        .collect();
    let key = match (profile.secrets().next(), missing.is_empty()) {
        (None, _) => "none",
        (Some(_), true) => "present",
        (Some(_), false) => "missing",
    };
    let proxy = profile.ai_proxy.as_ref();
    Line {
        ok: true,
        provider: proxy.map(|proxy| proxy.model.provider.to_string()),
        label: Some(profile.label().to_owned()),
        description: profile.description.clone(),
        model: profile.model().map(str::to_owned),
        streaming: proxy.map(|proxy| proxy.response_streaming.to_string()),
        key: Some(key),
        missing,
        ..known
    }
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new(["name", "provider", "model", "streaming", "key", "from"]);
    for line in lines {
        let name = Cell::from(line.name.as_str());
        let shadow = line
            .shadowed_by
            .as_ref()
            .map(|by| format!(" (not used: {by} comes first)"))
            .unwrap_or_default();
        let name = name.ink(if shadow.is_empty() {
            Ink::Literal
        } else {
            Ink::Faint
        });
        if let Some(problem) = &line.problem {
            let broken = format!("broken: {problem}{shadow}");
            table.row([name, Cell::from(broken).ink(Ink::Bad)]);
            continue;
        }
        let or_dash = |text: &Option<String>| Cell::from(text.as_deref().unwrap_or("-"));
        let key = match line.key {
            Some("missing") => {
                Cell::from(format!("{} missing", line.missing.join(", "))).ink(Ink::Warn)
            }
            Some("present") => Cell::from("present").ink(Ink::Good),
            _ => Cell::from("none needed").ink(Ink::Faint),
        };
        table.row([
            name,
            or_dash(&line.label),
            or_dash(&line.model),
            or_dash(&line.streaming),
            key,
            Cell::from(format!("{}{shadow}", line.origin)).ink(Ink::Faint),
        ]);
    }
    table
}
