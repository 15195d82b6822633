//! What a plain `aiproxy serve` would do by the environment and `config.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::FromArgMatches;

use super::{Check, Status};
use crate::cli::{
    config::{self, File, Settings},
    serve::{self, DEFAULT_ADDRESS},
    state,
};

/// What `serve` would do.
#[derive(Debug)]
pub(super) struct Would {
    pub(super) listen: SocketAddr,
    pub(super) has_token: bool,
    /// Those that it was asked to serve; none means all.
    pub(super) profiles: Vec<String>,
}

/// Looks at the file of settings and at `AIPROXY_*`.
pub(super) fn check(named: Option<&Path>, command: clap::Command) -> (Would, Vec<Check>) {
    let command = config::with_variables(command);
    let (settings, mut checks) = match (File::find(named), command.find_subcommand("serve")) {
        (Some(file), Some(serve)) => match file.read(serve) {
            Ok(settings) => {
                let check = sound(&file, &settings);
                (settings, vec![check])
            }
            Err(mistakes) => {
                let broken = mistakes.iter().map(|mistake| {
                    let check = Check::new(
                        "settings",
                        config::shown(&file.path),
                        Status::Fail,
                        mistake.headline(),
                    );
                    match &mistake.hint {
                        Some(hint) => check.hint(hint),
                        None => check,
                    }
                });
                (Settings::default(), broken.collect())
            }
        },
        _ => (
            Settings::default(),
            vec![
                Check::new(
                    "settings",
                    "config.toml",
                    Status::Warn,
                    "there is no place for it",
                )
                .hint("set HOME, or name a file with --config"),
            ],
        ),
    };
    let line = settings
        .apply(command)
        .try_get_matches_from(["aiproxy", "serve"]);
    let args = line.and_then(|matches| {
        let serve = matches.subcommand_matches("serve").cloned();
        serve::Args::from_arg_matches(&serve.unwrap_or_default())
    });
    let would = match args {
        Ok(args) => Would {
            listen: args.listen(),
            has_token: args.token().is_some(),
            profiles: args.profiles().to_vec(),
        },
        Err(error) => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
            checks.push(
                Check::new("settings", "environment", Status::Fail, message)
                    .hint("an AIPROXY_* variable has a value that its flag does not take"),
            );
            Would {
                listen: DEFAULT_ADDRESS
                    .parse()
                    .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 8765))),
                has_token: false,
                profiles: Vec::new(),
            }
        }
    };
    (would, checks)
}

fn sound(file: &File, settings: &Settings) -> Check {
    let shown = config::shown(&file.path);
    let check = |status, message: &str| Check::new("settings", shown.clone(), status, message);
    if !PathBuf::from(&file.path).exists() {
        return check(Status::Ok, "there is none, so the defaults hold");
    }
    if settings.has("token") && !state::is_private(&file.path) {
        return check(Status::Warn, "it holds a token that others can read")
            .hint(format!("chmod 600 {shown}"));
    }
    match settings.len() {
        1 => check(Status::Ok, "1 setting, sound"),
        count => check(Status::Ok, &format!("{count} settings, sound")),
    }
}
