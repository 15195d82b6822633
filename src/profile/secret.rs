//! Secrets: what a profile says about one ([`SecretRef`]) and what it turns out to be ([`Secret`]).
//!
//! Neither can be printed or serialised. A reference's text is no secret, so it is what people get to see; a value
//! leaves only through [`Secret::expose`], at the place where the upstream's request is composed.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::vault::Vault;

/// A string under an `auth` table: text and references such as `{vault://env/openai-api-key}`.
#[derive(Clone)]
pub struct SecretRef {
    segments: Vec<Segment>,
}

/// A resolved value. Its only way out is [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(SecretString);

/// One `{vault://...}` of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    text: String,
    target: Target,
}

/// A reference that is none. The text names the vault at most.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// `{vault://` without its `}`.
    #[error("a `{{vault://` reference has no closing `}}`")]
    Open,
    /// A vault that there is not.
    #[error("unknown vault `{0}`")]
    Vault(String),
    /// A vault without a name in it, or one that cannot be a name.
    #[error("a `{{vault://{0}/...}}` reference has no usable name")]
    Name(&'static str),
    /// A relative path where there is no folder that it could start from.
    #[error("a `{{vault://file/...}}` reference must be absolute here")]
    Folder,
}

/// A reference without a value. The text names the reference, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret {reference} does not resolve: {reason}")]
pub struct UnresolvedSecret {
    /// The reference as the profile writes it.
    pub reference: String,
    /// Why not, in plain words.
    pub reason: String,
}

#[derive(Clone)]
enum Segment {
    Text(SecretString),
    Reference(Reference),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Env(String),
    File(PathBuf),
    Keyring(String),
}

/// What [`SecretRef::masked`] resolves to, behind the word that says what kind of key it is.
pub const MASK: &str = "(secret)";

const OPENING: &str = "{vault://";

/// What stands in front of a key in a header and is none itself.
const SCHEMES: [&str; 4] = ["Bearer ", "Basic ", "Token ", "Key "];

impl SecretRef {
    /// Cuts `text` into segments. `folder` is where relative `file` references start: the profile's own.
    pub fn parse(text: &str, folder: Option<&Path>) -> Result<SecretRef, BadReference> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once(OPENING) {
            let (inside, after) = from.split_once('}').ok_or(BadReference::Open)?;
            if !before.is_empty() {
                segments.push(Segment::Text(before.into()));
            }
            segments.push(Segment::Reference(Reference::parse(inside, folder)?));
            rest = after;
        }
        if !rest.is_empty() || segments.is_empty() {
            segments.push(Segment::Text(rest.into()));
        }
        Ok(SecretRef { segments })
    }

    /// The value now. References are read afresh on every call, so that a changed key needs no restart.
    pub fn resolve(&self, vault: &dyn Vault) -> Result<Secret, UnresolvedSecret> {
        let mut value = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => value.push_str(text.expose_secret()),
                Segment::Reference(reference) => value.push_str(&reference.read(vault)?),
            }
        }
        Ok(Secret(value.into()))
    }

    /// The references in it, in order; none if the profile holds the secret itself.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Reference(reference) => Some(reference),
            Segment::Text(_) => None,
        })
    }

    /// Whether it holds a value itself, beside the word in front of a key.
    pub(crate) fn is_inline(&self) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Text(text) => {
                let text = text.expose_secret();
                let empty = text.trim().is_empty();
                !empty && SCHEMES.iter().all(|scheme| scheme.trim() != text.trim())
            }
            Segment::Reference(_) => false,
        })
    }

    /// What stands for it where nothing is sent: it resolves without its references, and to no secret.
    #[must_use]
    pub fn masked(&self) -> SecretRef {
        let shown = self.to_string();
        let scheme = SCHEMES.iter().find(|scheme| shown.starts_with(**scheme));
        let text = format!("{}{MASK}", scheme.unwrap_or(&""));
        SecretRef {
            segments: vec![Segment::Text(text.into())],
        }
    }

    /// The text, if it holds no reference. For the names of headers and parameters, which are no secrets.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [Segment::Text(text)] => Some(text.expose_secret()),
            _ => None,
        }
    }
}

/// `***` for text, the references as they are written, and the word in front of one that says what kind of key follows.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut segments = self.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            match segment {
                Segment::Text(text) => {
                    let in_front = matches!(segments.peek(), Some(Segment::Reference(_)));
                    let scheme = SCHEMES
                        .iter()
                        .find(|scheme| in_front && **scheme == text.expose_secret());
                    f.write_str(scheme.unwrap_or(&"***"))?;
                }
                Segment::Reference(reference) => f.write_str(&reference.text)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Secret {
    /// Wraps a value that is already known, such as a cloud's token.
    #[must_use]
    pub fn new(value: String) -> Secret {
        Secret(value.into())
    }

    /// The value itself: for the request that needs it, and for finding it in what must not show it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Reference {
    /// The reference as the profile writes it, such as `{vault://env/openai-api-key}`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The environment variable that it reads, if it reads one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.target {
            Target::Env(variable) => Some(variable),
            Target::File(_) | Target::Keyring(_) => None,
        }
    }

    /// Why it has no value now; nothing if it has one.
    #[must_use]
    pub fn missing(&self, vault: &dyn Vault) -> Option<String> {
        self.read(vault).err().map(|unresolved| unresolved.reason)
    }

    fn parse(inside: &str, folder: Option<&Path>) -> Result<Reference, BadReference> {
        let (vault, name) = inside.split_once('/').unwrap_or((inside, ""));
        let target = match vault {
            "env" => Target::Env(variable_of(name).ok_or(BadReference::Name("env"))?),
            "file" if name.is_empty() => return Err(BadReference::Name("file")),
            "file" => Target::File(match (Path::new(name).is_absolute(), folder) {
                (true, _) => PathBuf::from(name),
                (false, Some(folder)) => folder.join(name),
                (false, None) => return Err(BadReference::Folder),
            }),
            "keyring" if name.is_empty() => return Err(BadReference::Name("keyring")),
            "keyring" => Target::Keyring(name.to_owned()),
            _ => {
                return Err(BadReference::Vault(
                    super::privacy::name_or_stars(vault).to_owned(),
                ));
            }
        };
        Ok(Reference {
            text: format!("{OPENING}{inside}}}"),
            target,
        })
    }

    fn read(&self, vault: &dyn Vault) -> Result<String, UnresolvedSecret> {
        let unresolved = |reason| UnresolvedSecret {
            reference: self.text.clone(),
            reason,
        };
        let (mut value, source) = match &self.target {
            Target::Env(variable) => (
                vault.env(variable).ok_or_else(|| {
                    unresolved(format!("environment variable {variable} is not set"))
                })?,
                format!("environment variable {variable}"),
            ),
            Target::File(path) => (
                vault.file(path).map_err(|error| {
                    unresolved(format!("cannot read {}: {error}", path.display()))
                })?,
                format!("file {}", path.display()),
            ),
            Target::Keyring(name) => (
                vault.keyring(name).map_err(|error| {
                    unresolved(format!("no key `{name}` in the key ring: {error}"))
                })?,
                format!("key `{name}` of the key ring"),
            ),
        };
        // Editors and `echo` end a file with a line end; in a header it would break the request or leak into errors.
        value.truncate(value.trim_end_matches(['\r', '\n']).len());
        if value.is_empty() {
            return Err(unresolved(format!("{source} is empty")));
        }
        Ok(value)
    }
}

/// Kong's rule: `some-name` is the variable `SOME_NAME`.
fn variable_of(name: &str) -> Option<String> {
    let usable = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    usable.then(|| name.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests;
