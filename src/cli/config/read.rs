//! From a file's text to settings: each key is held against the flag of its name, and every mistake is told.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, Command, ValueHint,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Settings, is_secret, key_of};
use crate::profile::{Place, Problem as Mistake, SourceLine};

/// Reads a file's text.
pub(super) fn read(path: &Path, text: &str, serve: &Command) -> Result<Settings, Vec<Mistake>> {
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
pub(super) fn list(value: &DeValue<'_>) -> Option<Vec<String>> {
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
pub(super) fn located(folder: &Path, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(text),
    }
}
