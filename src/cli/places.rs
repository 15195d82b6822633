//! Flags that several commands share: where profiles and variables come from.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::config;
use crate::{
    profile::{Places, Profile, ProfileError, SystemVault, Text, Vault, source::EXTENSIONS},
    term::{Problem, Term},
};

/// Where profiles and their secrets are looked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Sources {
    /// Look for profiles in this folder first (repeatable); then in $AIPROXY_PROFILES, then in the user's configuration
    #[arg(long = "profiles", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Read variables for `{vault://env/...}` references from this file of NAME=VALUE lines; one that is set in the environment wins
    #[arg(long, value_name = "FILE", env = "AIPROXY_ENV_FILE")]
    env_file: Option<PathBuf>,
    /// Read settings from this file instead of config.toml in the user's configuration
    #[arg(long, value_name = "FILE", env = "AIPROXY_CONFIG")]
    config: Option<PathBuf>,
}

impl Sources {
    /// Folders were named, so what a running server has may be something else.
    pub(super) fn names_folders(&self) -> bool {
        !self.folders.is_empty()
    }

    /// The file of settings that was named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The folder for a new profile: the first that was named, else the user's own.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.folders.first().cloned().or_else(Places::user_folder)
    }

    /// The same flags again, for a command that a person may copy.
    pub(super) fn as_flags(&self) -> Vec<String> {
        let folders = self.folders.iter().map(|path| ("--profiles", path));
        folders
            .chain(self.env_file.iter().map(|path| ("--env-file", path)))
            .flat_map(|(flag, path)| [flag.to_owned(), path.display().to_string()])
            .collect()
    }

    /// The text of the profile of a name, or of a file (see [`is_file`]).
    pub(super) fn text(&self, name: &str) -> Result<Text, ProfileError> {
        if is_file(name) {
            Places::file_text(Path::new(name))
        } else {
            self.places().text(name)
        }
    }

    /// Where profiles are.
    pub(super) fn places(&self) -> Places {
        let from_variable =
            std::env::var_os("AIPROXY_PROFILES").is_some_and(|list| !list.is_empty());
        if self.folders.is_empty() && !from_variable {
            return Places::from_environment(config::shared(self.config()).profiles);
        }
        Places::from_environment(self.folders.iter().cloned())
    }

    /// Where secrets are.
    pub(super) fn vault(&self) -> Result<Arc<dyn Vault>, Problem> {
        let env_file = self
            .env_file
            .clone()
            .or_else(|| config::shared(self.config()).env_file);
        let mut overlay = match &env_file {
            None => HashMap::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Problem::new(format!(
                        "cannot read --env-file {}: {error}",
                        path.display()
                    ))
                })?;
                variables(&text).map_err(|line| {
                    Problem::new(format!("{}:{line}: not a NAME=VALUE line", path.display()))
                        .hint("write one NAME=VALUE a line; `#` begins a comment")
                })?
            }
        };
        // The convention of such files: what a shell or a container sets on purpose is not undone by one.
        overlay.retain(|name, _| std::env::var_os(name).is_none_or(|value| value.is_empty()));
        Ok(Arc::new(SystemVault::new(overlay)))
    }
}

/// Whether what a person names is a file: it has a slash or a profile's extension.
pub(super) fn is_file(name: &str) -> bool {
    name.contains(['/', std::path::MAIN_SEPARATOR])
        || Path::new(name)
            .extension()
            .is_some_and(|end| EXTENSIONS.iter().any(|(known, _)| end == *known))
}

/// Reads `NAME=VALUE` lines, as shells and container tools write them; the number of a line that is none.
fn variables(text: &str) -> Result<HashMap<String, String>, usize> {
    let mut variables = HashMap::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(number)?;
        let name = name.trim();
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        if name.is_empty() || !is_name(name) {
            return Err(number);
        }
        variables.insert(name.to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inside) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inside;
        }
    }
    value
}

/// The profiles to serve: the named ones, or all that load, `mock` first. Broken ones that nobody asked for are told and left out.
pub(super) fn served(
    places: &Places,
    names: &[String],
    term: &Term,
) -> Result<Vec<Arc<Profile>>, Problem> {
    if !names.is_empty() {
        let mut profiles: Vec<Arc<Profile>> = Vec::with_capacity(names.len());
        for name in names {
            if !profiles.iter().any(|profile| *profile.name == **name) {
                profiles.push(Arc::new(places.load(name)?));
            }
        }
        return Ok(profiles);
    }
    let mut profiles = Vec::new();
    for loaded in places.load_all() {
        match loaded.result {
            Ok(profile) => profiles.push(Arc::new(profile)),
            Err(error) => term.warn(&format!(
                "`{}` is not served: {}",
                loaded.name,
                error.render(term.colour_err())
            )),
        }
    }
    // The first is the default; of the others, those of files come before the built-in ones.
    profiles.sort_by_key(|profile| {
        let built_in = matches!(profile.origin, crate::profile::Origin::BuiltIn);
        (*profile.name != *"mock", built_in)
    });
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_read() {
        let read = variables("# c\n\nA=1\nexport B = \"two words\"\nC='x=y'\nD=\n").unwrap();
        let mut pairs: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        pairs.sort_unstable();
        assert_eq!(
            pairs,
            [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]
        );
        assert_eq!(variables("A=1\nnonsense\n"), Err(2));
        assert_eq!(variables("1A=1\n"), Err(1));
    }
}
