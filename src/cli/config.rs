//! `config.toml` and `AIPROXY_*`: every flag of `serve` can stand in either.
//!
//! What the file says becomes the flags' defaults, so that the order (flag, environment, file, default) and all checks of values are the
//! command line's own. Keys are those of `serve`'s flags that there are: a new flag needs nothing here.

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, ArgMatches, Command, ValueHint,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    profile::{Place, Problem as Mistake, SourceLine},
    term::{Problem, Term},
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
        read(&self.path, &text, serve)
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
/// If the file is broken and either `serve` was called or the file was named. Other commands take little from the usual file: they warn.
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
        (Ok(settings), "serve") => Ok(settings.apply(command)),
        (Ok(_), _) => Ok(command),
        (Err(mistakes), name) if name == "serve" || file.named => {
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
    /// The values as defaults of `serve`'s flags.
    pub(super) fn apply(&self, command: Command) -> Command {
        command.mut_subcommand("serve", |serve| {
            serve.mut_args(|arg| {
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

/// Reads a file's text.
fn read(path: &Path, text: &str, serve: &Command) -> Result<Settings, Vec<Mistake>> {
    let mut reader = Reader {
        path,
        text,
        // The environment has its own turn.
        serve: serve
            .clone()
            .mut_args(|arg| arg.env(None::<&'static str>))
            .no_binary_name(true),
        mistakes: Vec::new(),
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let message = error.message().lines().next().unwrap_or_default();
            // Nobody knows what stands in a line that does not parse: it may be the token.
            reader.note(
                error.span().unwrap_or_default(),
                None,
                format!("TOML syntax: {message}"),
                None,
            );
            return Err(reader.mistakes);
        }
    };
    let mut settings = Settings::default();
    for (key, value) in &table {
        if let Some(values) = reader.entry(key, value) {
            settings.values.push((key.get_ref().to_string(), values));
        }
    }
    if reader.mistakes.is_empty() {
        Ok(settings)
    } else {
        reader
            .mistakes
            .sort_by_key(|mistake| mistake.place.as_ref().map(|place| place.line));
        Err(reader.mistakes)
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    serve: Command,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    /// The values of a key, as the command line would have them.
    fn entry(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Vec<String>> {
        let name = key.get_ref().as_ref();
        let Some(arg) = self
            .serve
            .get_arguments()
            .find(|arg| key_of(arg).as_deref() == Some(name))
            .cloned()
        else {
            let hint = self.nearest(name, value.get_ref());
            let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            // Without the line: what was meant may be the token.
            self.note(
                key.span(),
                None,
                format!("unknown key `{name}`"),
                Some(hint),
            );
            return None;
        };
        let (is_list, is_switch) = (
            matches!(arg.get_action(), ArgAction::Append),
            matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse),
        );
        let values = match value.get_ref() {
            DeValue::Boolean(value) if is_switch => Some(vec![value.to_string()]),
            _ if is_switch => None,
            DeValue::Array(_) if !is_list => None,
            value => list(value),
        };
        let Some(mut values) = values else {
            let expected = match (is_switch, is_list) {
                (true, _) => "true or false",
                (_, true) => "a list of strings",
                _ => "a string or a number",
            };
            self.note(
                value.span(),
                Some(name),
                format!("`{name}` must be {expected}"),
                None,
            );
            return None;
        };
        if is_path(&arg) {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            for value in &mut values {
                *value = located(folder, value).display().to_string();
            }
        }
        for one in values.iter().filter(|_| !is_switch) {
            if let Some(why) = self.refused(&arg, one) {
                let one: String = one.chars().take(80).flat_map(char::escape_debug).collect();
                let message = if is_secret(name) {
                    format!("`{name}` cannot be used: {why}")
                } else {
                    format!("`{name}` cannot be `{one}`: {why}")
                };
                self.note(value.span(), Some(name), message, None);
                return None;
            }
        }
        Some(values)
    }

    /// Why the flag does not take a value.
    fn refused(&self, arg: &Arg, value: &str) -> Option<String> {
        let flag = format!("--{}={value}", arg.get_long()?);
        let error = self.serve.clone().try_get_matches_from([flag]).err()?;
        match error.kind() {
            ErrorKind::ValueValidation => Some(
                std::error::Error::source(&error)
                    .map_or_else(|| "it is none of its values".into(), ToString::to_string),
            ),
            ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
                    Some(format!("it takes {}", valid.join(", ")))
                }
                _ => Some("it must not be empty".into()),
            },
            // Flags that want each other are the whole line's affair.
            _ => None,
        }
    }

    /// The way out of an unknown key.
    fn nearest(&self, name: &str, value: &DeValue<'_>) -> String {
        if matches!(value, DeValue::Table(_)) {
            return "settings stand at the top of the file, without tables".into();
        }
        let keys: Vec<String> = self.serve.get_arguments().filter_map(key_of).collect();
        let with_underscores = name.replace('-', "_");
        if keys.contains(&with_underscores) {
            return format!("did you mean `{with_underscores}`?");
        }
        let flag = format!("--{}", name.replace('_', "-"));
        let error = self.serve.clone().try_get_matches_from([flag]).err();
        let suggested =
            error
                .as_ref()
                .and_then(|error| match error.get(ContextKind::SuggestedArg)? {
                    ContextValue::String(flag) => Some(flag),
                    ContextValue::Strings(flags) => flags.first(),
                    _ => None,
                });
        match suggested.map(|flag| flag.trim_start_matches('-').replace('-', "_")) {
            Some(near) if keys.contains(&near) => format!("did you mean `{near}`?"),
            _ => format!("valid keys are {}", keys.join(", ")),
        }
    }

    /// Notes a mistake. The line is shown if it is the value of `key`, and that is no secret.
    fn note(
        &mut self,
        span: Range<usize>,
        key: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text.get(line_start..).unwrap_or_default();
        let line = line.split(['\n', '\r']).next().unwrap_or_default();
        let source = key.filter(|key| !is_secret(key)).map(|_| SourceLine {
            text: line.to_owned(),
            marked: start - line_start..(span.end.max(start) - line_start).min(line.len()),
        });
        self.mistakes.push(Mistake {
            file: self.path.display().to_string(),
            place: Some(Place {
                line: before.matches('\n').count() + 1,
                column: before
                    .get(line_start..)
                    .map_or(1, |before| before.chars().count() + 1),
                source,
            }),
            key: key.unwrap_or_default().to_owned(),
            message,
            hint,
        });
    }
}

/// A value, or each of a list's, as text; nothing if there is something else among them.
fn list(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| scalar(value.get_ref())).collect(),
        value => scalar(value).map(|text| vec![text]),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    )
}

/// A path of the file: relative ones begin where the file is, `~` is the home folder.
fn located(folder: &Path, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(text),
    }
}

#[cfg(test)]
mod tests;
