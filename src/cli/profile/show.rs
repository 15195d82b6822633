//! `aiproxy profile show`.

use serde_json::{Value, json};

use super::{
    Referred, Sources,
    endpoints::{Endpoint, endpoints},
    find, print_json, references,
};
use crate::{
    cli::{page::shown, serve::DEFAULT_ADDRESS},
    profile::{Profile, RoutePath, describe},
    term::{Cell, Exit, Ink, Problem, Table, Term},
};

/// Show a profile with all its defaults, where it sends requests, and which secrets it needs.
///
/// It is printed as TOML that could be a profile again; secrets are `***`, references stay as they are.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aiproxy profile show groq > ~/.config/aiproxy/profiles/my-groq.toml"
)]
pub(super) struct Args {
    /// Name of a profile, or a file (with a slash or an extension)
    #[arg(value_name = "NAME|FILE")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: Sources,
}

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    let profile = find(&args.sources.places(), &args.name)?;
    let referred = references(&profile, &*args.sources.vault()?);
    let (view, endpoints) = (describe::view(&profile), endpoints(&profile));
    if args.json {
        print_json(&as_json(view, &endpoints, &referred)?, term)?;
    } else {
        term.out(&as_text(&profile, view, &endpoints, &referred, term)?)?;
    }
    Ok(Exit::Done)
}

fn as_json(
    mut view: Value,
    endpoints: &[Endpoint],
    referred: &[Referred],
) -> Result<Value, Problem> {
    let endpoints = serde_json::to_value(endpoints)
        .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
    let secrets: Vec<Value> = referred
        .iter()
        .map(|referred| {
            json!({
                "key": referred.key,
                "reference": referred.reference,
                "resolves": referred.missing.is_none(),
                "reason": referred.missing,
            })
        })
        .collect();
    if let Some(view) = view.as_object_mut() {
        view.insert("endpoints".into(), endpoints);
        view.insert("secrets".into(), secrets.into());
    }
    Ok(view)
}

fn as_text(
    profile: &Profile,
    mut view: Value,
    endpoints: &[Endpoint],
    referred: &[Referred],
    term: &Term,
) -> Result<String, Problem> {
    if let Some(view) = view.as_object_mut() {
        view.shift_remove("name");
        view.shift_remove("origin");
    }
    let toml = toml::to_string_pretty(&view)
        .map_err(|error| Problem::new(format!("cannot write TOML: {error}")))?;
    let toml = shown(term, &toml);
    let mut text = format!("# {}: {}\n{toml}", profile.name, profile.origin);
    let mut section = |title: &str, table: Table| {
        text.push_str(&format!("\n# {title}\n"));
        for line in table.render(term, None).lines() {
            text.push_str(&format!("#   {line}\n"));
        }
    };
    let mut where_to = Table::default();
    for endpoint in endpoints {
        let whose = if endpoint.table == "ai-proxy" || endpoint.table == "upstream" {
            endpoint.operation.clone()
        } else {
            endpoint.table.to_owned()
        };
        let (address, ink) = match (&endpoint.url, &endpoint.problem) {
            (Some(url), _) => (url.as_str(), Ink::Literal),
            (None, problem) => (problem.as_deref().unwrap_or_default(), Ink::Bad),
        };
        where_to.row([whose.into(), Cell::from(address).ink(ink)]);
    }
    section("where requests go", where_to);
    if !referred.is_empty() {
        let mut secrets = Table::default();
        for referred in referred {
            secrets.row([
                referred.reference.as_str().into(),
                match &referred.missing {
                    None => Cell::from("there").ink(Ink::Good),
                    Some(reason) => Cell::from(reason.as_str()).ink(Ink::Warn),
                },
            ]);
        }
        section("secrets", secrets);
    }
    if matches!(&profile.aiproxy.path, RoutePath::Prefix(prefix) if prefix == "/")
        && profile.ai_proxy.is_some()
    {
        let mut base = Table::default();
        base.row([
            "base URL".into(),
            Cell::from(format!("http://{DEFAULT_ADDRESS}/{}/v1", profile.name)).ink(Ink::Literal),
        ]);
        section("while `aiproxy serve` runs", base);
    }
    Ok(text)
}
