//! `config.toml` and `AIPROXY_*`: every flag of `serve` can stand in either.
//!
//! What the file says becomes the flags' defaults, so that the order (flag, environment, file, default) and all checks of values are the
//! command line's own. Keys are those of `serve`'s flags that there are: a new flag needs nothing here.

mod read;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command};
use toml::de::DeTable;

use self::read::{list, located, read};
use crate::{
    profile::{Access, Problem as Mistake},
    term::{Problem, Term, sanitize},
};

/// The settings of a file, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Key and values, in the file's order.
    values: Vec<(String, Vec<String>)>,
}

/// Where a file of settings is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Somebody asked for it, so it has to be there.
    pub(super) named: bool,
}

/// What other commands than `serve` take from the file, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) profiles: Vec<PathBuf>,
    pub(super) env_file: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
}

/// A page of text; more is a mistake.
const FILE_LIMIT: u64 = 1 << 20;

/// Flags that are no settings: they say where settings are, or are none of `serve`'s own.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];

/// Settings that many commands share; [`super::places::Sources`] reads them for all of these.
const SHARED: [&str; 2] = ["profiles", "env_file"];

/// Where the file is looked for, for people.
pub(super) fn usual_place() -> Option<PathBuf> {
    dirs::config_dir().map(|folder| folder.join("aiproxy").join("config.toml"))
}

/// A path as it is shown: the home folder is `~`.
pub(super) fn shown(path: &Path) -> String {
    match dirs::home_dir().and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// The last lines of `serve --help`.
pub(super) fn help() -> String {
    let place = usual_place().map_or_else(|| "config.toml".into(), |path| shown(&path));
    format!(
        "Settings:\n  Every flag can also stand in a file, {place} unless --config names another, as its name with `_` \
         (max_connections = 100, allow_host = [\"a\", \"b\"]), and in the environment as AIPROXY_ and its name in capitals. \
         A flag comes before the environment, the environment before the file."
    )
}

impl File {
    /// The named one, else that of `AIPROXY_CONFIG`, else the usual one.
    pub(super) fn find(named: Option<&Path>) -> Option<File> {
        let variable = || {
            std::env::var_os("AIPROXY_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let named = named.filter(|path| !path.as_os_str().is_empty());
        match named.map(Path::to_owned).or_else(variable) {
            Some(path) => Some(File { path, named: true }),
            None => usual_place().map(|path| File { path, named: false }),
        }
    }

    /// Its text; nothing if it is not there and nobody asked for it.
    fn text(&self) -> Result<Option<String>, Mistake> {
        let broken = |message: String, hint: Option<&str>| Mistake {
            file: self.path.display().to_string(),
            place: None,
            key: String::new(),
            message,
            hint: hint.map(str::to_owned),
        };
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return if self.named {
                    Err(broken("there is no such file".into(), None))
                } else {
                    Ok(None)
                };
            }
            Err(error) => return Err(broken(format!("it cannot be read: {error}"), None)),
        };
        // A pipe would never end.
        if !metadata.is_file() || metadata.len() > FILE_LIMIT {
            return Err(broken(
                "it is no file of settings".into(),
                Some("settings are a text file of at most 1 MiB"),
            ));
        }
        std::fs::read_to_string(&self.path)
            .map(Some)
            .map_err(|error| broken(format!("it cannot be read: {error}"), None))
    }

    /// Its settings, held against the flags of `serve`.
    pub(super) fn read(&self, serve: &Command) -> Result<Settings, Vec<Mistake>> {
        let Some(text) = self.text().map_err(|mistake| vec![mistake])? else {
            return Ok(Settings::default());
        };
        let settings = read(&self.path, &text, serve)?;
        let access = Access::of(&self.path).filter(|access| access.others_write());
        match access {
            Some(access) if settings.has("token") => {
                let file = self.path.display();
                Err(vec![Mistake {
                    file: file.to_string(),
                    place: None,
                    key: "token".to_owned(),
                    message: format!("it holds a token, and others can change it (mode {access})"),
                    hint: Some(format!("chmod 600 {file}")),
                }])
            }
            _ => Ok(settings),
        }
    }

    /// Warns of a token that others can read.
    fn tell_careless(&self, settings: &Settings, term: &Term) {
        let access = Access::of(&self.path).filter(|access| access.others_read());
        if let Some(access) = access.filter(|_| settings.has("token")) {
            let file = self.path.display();
            term.warn(&sanitize(&format!(
                "{file} holds a token, and others can read it (mode {access}): chmod 600 {file}"
            )));
        }
    }

    /// What other commands take from it. Whoever calls this was told before if the file is broken.
    pub(super) fn shared(&self) -> Shared {
        let text = self.text().ok().flatten().unwrap_or_default();
        let Ok(table) = DeTable::parse(&text) else {
            return Shared::default();
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let texts = |key: &str| -> Vec<String> {
            table
                .get_ref()
                .iter()
                .find(|(name, _)| name.get_ref() == key)
                .and_then(|(_, value)| list(value.get_ref()))
                .unwrap_or_default()
        };
        let paths = |key| texts(key).into_iter().map(|text| located(folder, &text));
        Shared {
            profiles: paths("profiles").collect(),
            env_file: paths("env_file").next(),
            listen: texts("listen")
                .first()
                .and_then(|address| address.parse().ok()),
        }
    }
}

/// What other commands than `serve` take from the file.
pub(super) fn shared(named: Option<&Path>) -> Shared {
    File::find(named)
        .map(|file| file.shared())
        .unwrap_or_default()
}

/// The command line with the file's settings as defaults of `serve`, and a variable for each of its flags.
///
/// # Errors
///
/// If the file is broken and either `serve` or `run` was called or the file was named. Other commands take little from the usual file: they warn.
pub(super) fn command(command: Command, term: &Term) -> Result<Command, Problem> {
    let command = with_variables(command);
    // Only for which command and which file; what is wrong with the rest is told when the line is read in earnest.
    let first = command.clone().ignore_errors(true).try_get_matches();
    let Ok(first) = first else {
        return Ok(command);
    };
    let Some((name, matches)) = first.subcommand() else {
        return Ok(command);
    };
    let Some(named) = config_flag(matches) else {
        return Ok(command);
    };
    let (Some(file), Some(serve)) = (
        File::find(named.as_deref()),
        command.find_subcommand("serve"),
    ) else {
        return Ok(command);
    };
    match (file.read(serve), name) {
        // It tells about the file itself.
        (_, "doctor") => Ok(command),
        (Ok(settings), "serve" | "run") => {
            file.tell_careless(&settings, term);
            Ok(settings.apply(command))
        }
        (Ok(_), _) => Ok(command),
        (Err(mistakes), name) if matches!(name, "serve" | "run") || file.named => {
            Err(Problem::new(render(&mistakes, term.colour_err())))
        }
        (Err(mistakes), _) => {
            term.warn(&format!(
                "settings are left out: {}",
                render(&mistakes, term.colour_err())
            ));
            Ok(command)
        }
    }
}

/// `--config` of the command that was called; nothing if it has no such flag.
#[expect(clippy::option_option, reason = "no flag, and a flag without a value")]
fn config_flag(mut matches: &ArgMatches) -> Option<Option<PathBuf>> {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
        .try_get_one::<PathBuf>("config")
        .ok()
        .map(Option::<&PathBuf>::cloned)
}

/// Gives each flag of `serve` that has none its variable.
pub(super) fn with_variables(command: Command) -> Command {
    command.mut_subcommand("serve", |serve| {
        serve.mut_args(|arg| {
            let Some(long) = arg.get_long().map(str::to_owned) else {
                return arg;
            };
            // `AIPROXY_PROFILES` is a list of folders beside the flags', read with them.
            if arg.get_env().is_some() || NO_KEYS.contains(&&*long) || long == "profiles" {
                return arg;
            }
            let variable = long.to_ascii_uppercase().replace('-', "_");
            arg.env(format!("AIPROXY_{variable}"))
        })
    })
}

/// Mistakes for a terminal.
fn render(mistakes: &[Mistake], coloured: bool) -> String {
    let blocks: Vec<String> = mistakes
        .iter()
        .map(|mistake| mistake.render(coloured))
        .collect();
    blocks.join("\n\n")
}

impl Settings {
    /// The values as defaults of `serve`'s flags, and of those that `run` has of them.
    pub(super) fn apply(&self, command: Command) -> Command {
        let with_defaults = |command: Command| {
            command.mut_args(|arg| {
                let found = key_of(&arg).and_then(|key| {
                    self.values
                        .iter()
                        .find(|(name, _)| *name == key && !SHARED.contains(&name.as_str()))
                });
                match found {
                    Some((key, values)) => arg
                        .default_values(values.clone())
                        .hide_default_value(is_secret(key)),
                    None => arg,
                }
            })
        };
        // A command line of `serve` alone will do.
        let there = |name: &&str| command.find_subcommand(name).is_some();
        let names: Vec<&str> = ["serve", "run"].into_iter().filter(there).collect();
        names.into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, with_defaults)
        })
    }

    /// Whether it sets a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.iter().any(|(name, _)| name == key)
    }

    /// The number of keys that it sets.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// The key that stands for a flag.
fn key_of(arg: &Arg) -> Option<String> {
    arg.get_long()
        .filter(|long| !NO_KEYS.contains(long))
        .map(|long| long.replace('-', "_"))
}

/// Whether a setting's value is never shown.
fn is_secret(key: &str) -> bool {
    key.contains("token")
}

#[cfg(test)]
mod tests;
