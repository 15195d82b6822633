//! The questions of `aiproxy profile new`. Where nobody can answer, they say which flags would.

use std::path::Path;

use dialoguer::{
    Confirm, FuzzySelect, Input, Password, Select,
    theme::{ColorfulTheme, SimpleTheme, Theme},
};

use super::{
    check_name,
    draft::{Draft, Key},
    service::{Address, COMPATIBLE, Service},
};
use crate::{
    profile::{HttpUrl, Profile, Secret, Vault, keyring},
    term::{Problem, Term, sanitize},
};

/// Asks people, or takes what is usual and notes what has no usual answer.
pub(super) struct Questions<'t> {
    /// Somebody is there, and wants to be asked.
    people: bool,
    term: &'t Term,
    theme: Box<dyn Theme>,
    /// The flags that would have answered.
    missing: Vec<&'static str>,
}

impl<'t> Questions<'t> {
    pub(super) fn new(people: bool, term: &'t Term) -> Questions<'t> {
        Questions {
            people,
            term,
            theme: if term.colour_err() {
                Box::new(ColorfulTheme::default())
            } else {
                Box::new(SimpleTheme)
            },
            missing: Vec::new(),
        }
    }

    pub(super) fn service(&mut self, services: &[Service]) -> Result<Service, Problem> {
        if !self.people {
            self.missing.push("--provider");
            return Err(self.unanswered());
        }
        let width = services
            .iter()
            .map(|service| service.id.len())
            .max()
            .unwrap_or_default();
        let items: Vec<String> = services
            .iter()
            .map(|service| format!("{:width$}  {}", service.id, service.about))
            .collect();
        let chosen = FuzzySelect::with_theme(&*self.theme)
            .with_prompt("Service")
            .items(&items)
            .default(0)
            .max_length(12)
            .interact()
            .map_err(broken_off)?;
        services
            .get(chosen)
            .cloned()
            .ok_or_else(|| Problem::new("nothing was chosen"))
    }

    /// Label and API root.
    pub(super) fn address(
        &mut self,
        service: &Service,
        label: Option<String>,
        base_url: Option<String>,
    ) -> Result<(Option<String>, Option<String>), Problem> {
        let label = match label.or_else(|| service.label.clone()) {
            None if self.people && service.id == COMPATIBLE => {
                let text = self.text("What to call it (nothing: openai)", None, |_| Ok(()))?;
                Some(text).filter(|text| !text.is_empty())
            }
            label => label,
        };
        let base_url = match (base_url, &service.base_url) {
            (Some(url), _) => Some(url),
            (None, Address::Own) => None,
            (None, Address::Fixed(url)) => Some(url.clone()),
            (None, Address::Asked(usual)) if self.people => {
                Some(
                    self.text("API root, as an SDK takes it", usual.as_deref(), |url| {
                        HttpUrl::parse(url)
                            .map(|_| ())
                            .map_err(|error| format!("it {error}"))
                    })?,
                )
            }
            (None, Address::Asked(usual)) => usual.clone(),
        };
        Ok((label, base_url))
    }

    /// The service's own options that no flag gave.
    pub(super) fn options(
        &mut self,
        service: &Service,
        mut given: Vec<(String, String)>,
    ) -> Result<Vec<(String, String)>, Problem> {
        for key in service.asked.iter().filter(|_| self.people) {
            if given.iter().all(|(known, _)| known != key) {
                let value = self.text(key, None, |text| match text {
                    "" => Err("it is needed".into()),
                    _ => Ok(()),
                })?;
                given.push((key.clone(), value));
            }
        }
        Ok(given)
    }

    pub(super) fn model(
        &mut self,
        service: &Service,
        model: Option<String>,
    ) -> Result<Option<String>, Problem> {
        if model.is_some() || !self.people {
            return Ok(model.or_else(|| service.model.clone()));
        }
        let prompt = "Model for requests that name none";
        let text = self.text(prompt, service.model.as_deref(), |_| Ok(()))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub(super) fn key(&mut self, service: &Service, key: Option<Key>) -> Result<Key, Problem> {
        if let Some(key) = key {
            return Ok(key);
        }
        let usual = service.variable.clone();
        if !self.people {
            if usual.is_none() && (service.needs_key || service.id == COMPATIBLE) {
                self.missing.push("--key-from");
            }
            return Ok(usual.map_or(Key::None, Key::Env));
        }
        let items = [
            "an environment variable",
            "a file",
            "the system's key ring",
            "there is none",
        ];
        let chosen = Select::with_theme(&*self.theme)
            .with_prompt("Where the key comes from")
            .items(items)
            .default(if service.needs_key || service.id == COMPATIBLE {
                0
            } else {
                3
            })
            .interact()
            .map_err(broken_off)?;
        let (kind, prompt, usual) = match chosen {
            0 => ("env", "Variable", usual),
            1 => ("file", "File", None),
            2 => ("keyring", "Name in the key ring", Some(service.id.clone())),
            _ => return Ok(Key::None),
        };
        let check = |text: &str| format!("{kind}:{text}").parse::<Key>().map(|_| ());
        let name = self.text(prompt, usual.as_deref(), check)?;
        format!("{kind}:{name}").parse().map_err(Problem::new)
    }

    pub(super) fn name(
        &mut self,
        service: &Service,
        name: Option<String>,
    ) -> Result<String, Problem> {
        let usual = format!("my-{}", service.id);
        match name {
            Some(name) => Ok(name),
            None if self.people => self.text("Name of the profile", Some(&usual), check_name),
            None => Ok(usual),
        }
    }

    /// Says which flags would have answered, if any is missing.
    pub(super) fn complete(&mut self, draft: &Draft) -> Result<(), Problem> {
        self.missing.extend(draft.lacks());
        if self.missing.is_empty() {
            return Ok(());
        }
        let asked = draft.service.asked.iter();
        let hint = match self.missing.contains(&"--option") {
            true => {
                let options: Vec<String> = asked.map(|key| format!("--option {key}=...")).collect();
                format!("{} needs {}", draft.service.id, options.join(" "))
            }
            false => HINT.to_owned(),
        };
        Err(self.unanswered_with(hint))
    }

    /// Whether a file may be replaced.
    pub(super) fn replace(&mut self, path: &Path) -> Result<bool, Problem> {
        let question = format!("{} is there already. Replace it?", path.display());
        self.confirm(&sanitize(&question), false)
    }

    /// Puts a key into the key ring, if it is not there and somebody types it.
    pub(super) fn store_key(&mut self, name: &str) -> Result<(), Problem> {
        if !self.people || keyring::read(name).is_ok() {
            return Ok(());
        }
        let typed = Password::with_theme(&*self.theme)
            .with_prompt("The key (not shown; nothing: later, by `aiproxy key set`)")
            .allow_empty_password(true)
            .interact()
            .map_err(broken_off)?;
        let key = typed.trim();
        if key.is_empty() {
            return Ok(());
        }
        keyring::write(name, &Secret::new(key.to_owned())).map_err(|why| {
            Problem::new(format!("the key cannot be stored: {why}"))
                .hint("take an environment variable or a file instead")
        })
    }

    /// Whether to send a test prompt.
    pub(super) fn wants_test(
        &mut self,
        profile: &Profile,
        vault: &dyn Vault,
    ) -> Result<bool, Problem> {
        if !self.people || profile.unresolved(vault).is_some() {
            return Ok(false);
        }
        self.term.note("");
        self.confirm("Send one test prompt now?", true)
    }

    fn confirm(&self, question: &str, usual: bool) -> Result<bool, Problem> {
        if !self.people {
            return Ok(false);
        }
        Confirm::with_theme(&*self.theme)
            .with_prompt(question)
            .default(usual)
            .interact()
            .map_err(broken_off)
    }

    fn text(
        &self,
        prompt: &str,
        usual: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<String, Problem> {
        let mut input = Input::with_theme(&*self.theme)
            .with_prompt(prompt)
            .allow_empty(usual.is_none());
        if let Some(usual) = usual {
            input = input.default(usual.to_owned());
        }
        let text = input
            .validate_with(|text: &String| check(text.trim()))
            .interact_text()
            .map_err(broken_off)?;
        Ok(text.trim().to_owned())
    }

    fn unanswered(&self) -> Problem {
        self.unanswered_with(HINT.to_owned())
    }

    fn unanswered_with(&self, hint: String) -> Problem {
        Problem::usage(format!(
            "nobody can be asked here: {} {} missing",
            self.missing.join(", "),
            if self.missing.len() == 1 { "is" } else { "are" }
        ))
        .hint(hint)
    }
}

const HINT: &str = "aiproxy profile new NAME --provider P [--model M] [--key-from env:NAME|file:PATH|keyring:NAME|none] [--base-url URL] [--option KEY=VALUE]...";

fn broken_off(error: dialoguer::Error) -> Problem {
    let dialoguer::Error::IO(error) = error;
    Problem::new(format!("nothing was written: {error}"))
}
