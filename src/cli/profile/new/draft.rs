//! The text of a new profile.

use std::{path::PathBuf, str::FromStr};

use serde_json::Value;

use super::service::{Address, COMPATIBLE, KeyPlace, Service};
use crate::profile::describe;

/// Everything that was asked.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) service: Service,
    pub(super) label: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) model: Option<String>,
    pub(super) options: Vec<(String, String)>,
    pub(super) key: Key,
}

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// There is none.
    None,
    /// This environment variable.
    Env(String),
    /// This file.
    File(PathBuf),
    /// The system's key ring, under this name.
    Keyring(String),
}

impl FromStr for Key {
    /// For people. It does not repeat the text: somebody may have put the key itself there.
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        let (from, name) = text.split_once(':').unwrap_or((text, ""));
        let reference = !name.is_empty() && !name.contains(|c: char| c == '}' || c.is_control());
        match from {
            "none" if name.is_empty() => Ok(Key::None),
            "env" if is_variable(name) => Ok(Key::Env(name.to_owned())),
            "env" => Err("the name of a variable is of A-Z, 0-9 and `_`".into()),
            "file" if reference => Ok(Key::File(absolute(name)?)),
            "keyring" if reference => Ok(Key::Keyring(name.to_owned())),
            _ => Err("write env:VARIABLE, file:PATH, keyring:NAME or none".into()),
        }
    }
}

/// Kong's references name variables in capitals.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

/// A path as its user means it, for a file that stands somewhere else.
fn absolute(path: &str) -> Result<PathBuf, String> {
    let path = match (path.strip_prefix("~/"), dirs::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(path),
    };
    std::path::absolute(&path).map_err(|error| error.to_string())
}

impl Key {
    /// As a profile writes it.
    pub(super) fn reference(&self) -> Option<String> {
        match self {
            Key::None => None,
            Key::Env(variable) => Some(format!(
                "{{vault://env/{}}}",
                variable.to_ascii_lowercase().replace('_', "-")
            )),
            Key::File(path) => Some(format!("{{vault://file/{}}}", path.display())),
            Key::Keyring(name) => Some(format!("{{vault://keyring/{name}}}")),
        }
    }
}

impl Draft {
    /// The file.
    pub(super) fn text(&self) -> String {
        let (name, service) = (&self.name, &self.service);
        let mut text = format!(
            "# {}\n# `aiproxy profile show {name}` has all defaults, `aiproxy profile schema --reference` all keys.\n",
            service.about
        );
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(&format!("description = {}", quoted(&self.description())));
        line("\n[ai-proxy]\nroute_type = \"llm/v1/chat\"");
        line(
            "# response_streaming = \"deny\"   # or \"always\"; \"allow\" does as the client asks",
        );
        if let Some(reference) = self.key.reference() {
            line(
                "\n# The key itself is somewhere else, so this file can be shared.\n[ai-proxy.auth]",
            );
            match &service.key {
                KeyPlace::Header(header) => {
                    // What `Authorization` carries begins with its kind; other headers carry the bare key.
                    let bearer = header.eq_ignore_ascii_case("authorization");
                    let bearer = if bearer { "Bearer " } else { "" };
                    line(&format!("header_name = {}", quoted(header)));
                    line(&format!(
                        "header_value = {}",
                        quoted(&format!("{bearer}{reference}"))
                    ));
                }
                KeyPlace::Param(param, location) => {
                    line(&format!("param_name = {}", quoted(param)));
                    line(&format!("param_value = {}", quoted(&reference)));
                    line(&format!("param_location = {}", quoted(location.as_str())));
                }
            }
        }
        line("\n[ai-proxy.model]");
        line(&format!("provider = {}", quoted(&service.provider)));
        let example = quoted(self.model.as_deref().unwrap_or("MODEL"));
        line(&format!(
            "# name = {example}   # binds: a request that names another model is refused, as in Kong"
        ));
        line("\n[ai-proxy.model.options]");
        for (key, value) in self.all_options() {
            line(&format!("{key} = {value}"));
        }
        line("# max_tokens = 1024");
        line("# temperature = 0.7");
        line("\n# What Kong does not have.\n[aiproxy]");
        if let Some(label) = &self.label {
            line(&format!("label = {}", quoted(label)));
        }
        if let Some(base_url) = &self.base_url {
            line(&format!("base_url = {}", quoted(base_url)));
        }
        match &self.model {
            Some(model) => line(&format!(
                "default_model = {}   # for requests that name none",
                quoted(model)
            )),
            None => line("# default_model = \"MODEL\"   # for requests that name none"),
        }
        if service.forwards_other_paths {
            line("other_paths = \"forward\"   # files, batches, ... go on unread");
        }
        for (key, value) in &service.settings {
            line(&format!("{key} = {}", toml_value(value)));
        }
        text
    }

    fn description(&self) -> String {
        match (&self.label, self.service.id.as_str()) {
            (Some(label), COMPATIBLE) => label.clone(),
            _ => self.service.about.clone(),
        }
    }

    /// The service's own options and those that were given, which win.
    fn all_options(&self) -> Vec<(String, String)> {
        let given = |key: &str| self.options.iter().any(|(given, _)| given == key);
        let own = self.service.options.iter();
        own.filter(|(key, _)| !given(key))
            .map(|(key, value)| (key.clone(), toml_value(value)))
            .chain(
                self.options
                    .iter()
                    .map(|(key, value)| (key.clone(), literal(key, value))),
            )
            .collect()
    }

    /// What else has to be known before the profile can be used: the address, and options without a value.
    pub(super) fn lacks(&self) -> Vec<&'static str> {
        let mut lacks = Vec::new();
        if self.base_url.is_none() && matches!(self.service.base_url, Address::Asked(_)) {
            lacks.push("--base-url");
        }
        let given = |key: &String| self.options.iter().any(|(given, _)| given == key);
        if !self.service.asked.iter().all(given) {
            lacks.push("--option");
        }
        lacks
    }
}

/// A value of `model.options` as TOML writes it: what the reference calls a number or boolean is not quoted.
fn literal(key: &str, value: &str) -> String {
    let (table, key) = match key.rsplit_once('.') {
        Some((table, key)) => (format!("ai-proxy.model.options.{table}"), key),
        None => ("ai-proxy.model.options".to_owned(), key),
    };
    let is_text = describe::reference()
        .iter()
        .find(|section| section.table == table)
        .and_then(|section| section.rows.iter().find(|row| row.key == key))
        .is_none_or(|row| !matches!(row.kind.as_str(), "integer" | "number" | "boolean"));
    let bare = value.parse::<i64>().is_ok()
        || value.parse::<f64>().is_ok_and(f64::is_finite)
        || matches!(value, "true" | "false");
    if is_text || !bare {
        quoted(value)
    } else {
        value.to_owned()
    }
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::profile::new::service,
        profile::{
            Origin, describe,
            load::{Input, load},
            source::Syntax,
        },
    };

    fn draft(id: &str) -> Draft {
        let service = service::all()
            .into_iter()
            .find(|service| service.id == id)
            .unwrap();
        Draft {
            name: format!("my-{id}"),
            label: service.label.clone(),
            base_url: match &service.base_url {
                Address::Own => None,
                Address::Fixed(url) | Address::Asked(Some(url)) => Some(url.clone()),
                Address::Asked(None) => Some("http://127.0.0.1:1234/v1".into()),
            },
            model: service.model.clone(),
            options: service
                .asked
                .iter()
                .map(|key| (key.clone(), "raw".to_owned()))
                .collect(),
            key: match &service.variable {
                Some(variable) => Key::Env(variable.clone()),
                None => Key::None,
            },
            service,
        }
    }

    fn check(draft: &Draft) -> crate::profile::Profile {
        let text = draft.text();
        let input = Input {
            name: &draft.name,
            origin: &Origin::File("/profiles/x.toml".into()),
            syntax: Syntax::Toml,
            bytes: text.as_bytes(),
        };
        load(input).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn every_service_gives_a_sound_profile_like_its_own() {
        for service in service::all() {
            let mut new = describe::view(&check(&draft(&service.id)));
            let Ok(own) = crate::profile::Places::default().load(&service.id) else {
                continue;
            };
            let mut own = describe::view(&own);
            // The path of a built-in profile has what the new one says itself.
            for view in [&mut new, &mut own] {
                view["aiproxy"].as_object_mut().unwrap().remove("path");
            }
            for part in [
                "/ai-proxy/auth",
                "/ai-proxy/model/provider",
                "/ai-proxy/route_type",
                "/aiproxy",
            ] {
                assert_eq!(
                    new.pointer(part),
                    own.pointer(part),
                    "{} {part}",
                    service.id
                );
            }
        }
    }

    #[test]
    fn a_new_profile_explains_itself() {
        assert_eq!(
            draft("groq").text(),
            r##"# Open models through Groq
# `aiproxy profile show my-groq` has all defaults, `aiproxy profile schema --reference` all keys.
description = "Open models through Groq"

[ai-proxy]
route_type = "llm/v1/chat"
# response_streaming = "deny"   # or "always"; "allow" does as the client asks

# The key itself is somewhere else, so this file can be shared.
[ai-proxy.auth]
header_name = "Authorization"
header_value = "Bearer {vault://env/groq-api-key}"

[ai-proxy.model]
provider = "openai"
# name = "openai/gpt-oss-120b"   # binds: a request that names another model is refused, as in Kong

[ai-proxy.model.options]
# max_tokens = 1024
# temperature = 0.7

# What Kong does not have.
[aiproxy]
label = "Groq"
base_url = "https://api.groq.com/openai/v1"
default_model = "openai/gpt-oss-120b"   # for requests that name none
other_paths = "forward"   # files, batches, ... go on unread
"##
        );
    }

    #[test]
    fn what_people_type_cannot_break_the_file() {
        let mut draft = draft("compatible");
        draft.label = Some("a\"b\\\n[upstream]".into());
        draft.model = Some("'\"x\"'".into());
        draft.key = Key::Keyring("a \"b\"".into());
        draft.options = vec![
            ("max_tokens".into(), "512".into()),
            ("azure_instance".into(), "512".into()),
        ];
        let view = describe::view(&check(&draft));
        assert_eq!(view["aiproxy"]["label"], "a\"b\\\n[upstream]");
        assert_eq!(view["aiproxy"]["default_model"], "'\"x\"'");
        assert_eq!(view["ai-proxy"]["model"]["options"]["max_tokens"], 512);
        assert_eq!(
            view["ai-proxy"]["model"]["options"]["azure_instance"],
            "512"
        );
    }

    #[test]
    fn places_of_keys() {
        let cwd = std::env::current_dir().unwrap();
        for (text, expected) in [
            ("none", Ok(Key::None)),
            ("env:A_KEY2", Ok(Key::Env("A_KEY2".into()))),
            ("file:k/a", Ok(Key::File(cwd.join("k/a")))),
            ("keyring:work", Ok(Key::Keyring("work".into()))),
            ("env:a-b", Err(())),
            ("env:", Err(())),
            ("file:a}b", Err(())),
            ("keyring:", Err(())),
            ("sk-1234", Err(())),
            ("none:x", Err(())),
        ] {
            assert_eq!(text.parse::<Key>().map_err(|_| ()), expected, "{text}");
        }
        assert_eq!(
            Key::Env("A_KEY".into()).reference().as_deref(),
            Some("{vault://env/a-key}")
        );
    }
}
