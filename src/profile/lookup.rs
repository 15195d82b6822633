//! Where profiles are found: folders in order, then the binary. The first that has a name wins.
//!
//! The working directory is never among them: a cloned repository must not be able to send a key elsewhere.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use super::{
    Origin, Profile, access, builtin, files,
    load::{Input, load},
    problem::{Problem, ProfileError},
    source::{EXTENSIONS, Syntax},
    suggest,
};

/// The folders that are searched, before the profiles of the binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    folders: Vec<Folder>,
}

/// A profile that can be found, or would be if another one did not come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
    /// The one of the same name that is taken instead.
    pub shadowed_by: Option<Origin>,
}

/// A profile of [`Places::load_all`].
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its name; for a folder that cannot be read, the folder's path.
    pub name: String,
    /// The profile, or why it cannot be used.
    pub result: Result<Profile, ProfileError>,
}

/// A profile as it is written.
#[derive(Clone)]
pub struct Text {
    /// The profile's name.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
    /// Its syntax.
    pub syntax: Syntax,
    /// Its bytes; they can hold a secret.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Stands for a file's content: equal contents have equal fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    /// Somebody asked for it, so it has to be there.
    named: bool,
}

/// The files of one name in one folder, by name.
type Names = BTreeMap<String, Vec<(PathBuf, Syntax)>>;

/// A profile is a page of text; more is a mistake.
const FILE_LIMIT: u64 = 1 << 20;

/// A folder with more entries is not one of profiles.
const MOST_ENTRIES: usize = 10_000;

/// Names that stand for something else in a URL's first segment.
const RESERVED: [&str; 4] = ["v1", "v1beta", "api", "model"];

/// What [`is_name`] asks for, in words.
pub const NAME_RULE: &str = "a name is up to 64 of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and is not v1, v1beta, api or model";

/// Whether a text can name a profile.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let letter_or_digit = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64
        && text.bytes().next().is_some_and(letter_or_digit)
        && text
            .bytes()
            .all(|c| letter_or_digit(c) || matches!(c, b'.' | b'_' | b'-'))
        && !RESERVED.contains(&text)
}

impl Places {
    /// These folders, which have to be there, and the profiles of the binary.
    #[must_use]
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> Places {
        Places {
            folders: folders
                .into_iter()
                .map(|path| Folder { path, named: true })
                .collect(),
        }
    }

    /// The folders of `--profiles`, of `$AIPROXY_PROFILES` and of the user's configuration, in this order.
    #[must_use]
    pub fn from_environment(flags: impl IntoIterator<Item = PathBuf>) -> Places {
        let mut places = Places::new(flags);
        if let Some(list) = std::env::var_os("AIPROXY_PROFILES") {
            let paths = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
            places
                .folders
                .extend(paths.map(|path| Folder { path, named: true }));
        }
        if let Some(path) = Places::user_folder() {
            places.folders.push(Folder { path, named: false });
        }
        places
    }

    /// Where a person's own profiles belong.
    #[must_use]
    pub fn user_folder() -> Option<PathBuf> {
        dirs::config_dir().map(|folder| folder.join("aiproxy").join("profiles"))
    }

    /// The folders in the order in which they are searched, for a watcher. Some may not be there yet.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|folder| folder.path.as_path())
    }

    /// The profile of a name.
    pub fn load(&self, name: &str) -> Result<Profile, ProfileError> {
        self.text(name)?.load()
    }

    /// The text of a name's profile, not read yet.
    pub fn text(&self, name: &str) -> Result<Text, ProfileError> {
        for folder in &self.folders {
            if let Some(files) = folder.scan()?.get(name) {
                return read_files(name, files);
            }
        }
        match builtin::find(name) {
            Some(text) => Ok(builtin_text(name, text)),
            None => Err(ProfileError::Unknown {
                name: name.to_owned(),
                known: suggest::by_distance(name, self.names()),
            }),
        }
    }

    /// The profile of a file, wherever it lies.
    ///
    /// # Errors
    ///
    /// If the file is none of a profile, or one with mistakes.
    pub fn load_file(path: &Path) -> Result<Profile, ProfileError> {
        Places::file_text(path)?.load()
    }

    /// The text of a profile's file, wherever it lies.
    ///
    /// # Errors
    ///
    /// If the file is none of a profile, or cannot be read.
    pub fn file_text(path: &Path) -> Result<Text, ProfileError> {
        let name = path.file_stem().map(|stem| stem.to_string_lossy());
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy());
        let syntax = EXTENSIONS
            .iter()
            .find(|(known, _)| Some(*known) == extension.as_deref());
        match (name, syntax) {
            (Some(name), Some((_, syntax))) => read_files(&name, &[(path.to_owned(), *syntax)]),
            _ => Err(ProfileError::one(Problem::of_file(
                &path.display().to_string(),
                "the name of a profile's file ends with .toml, .yaml, .yml or .json",
                None,
            ))),
        }
    }

    /// Every profile, by name. A folder that cannot be read stands among them as an error.
    #[must_use]
    pub fn load_all(&self) -> Vec<Loaded> {
        let mut all: BTreeMap<String, Result<Profile, ProfileError>> = BTreeMap::new();
        for folder in &self.folders {
            match folder.scan() {
                Ok(names) => {
                    for (name, files) in names {
                        all.entry(name)
                            .or_insert_with_key(|name| load_files(name, &files));
                    }
                }
                Err(error) => {
                    all.insert(folder.path.display().to_string(), Err(error));
                }
            }
        }
        for (name, text) in builtin::ALL {
            all.entry((*name).to_owned())
                .or_insert_with(|| builtin_text(name, text).load());
        }
        all.into_iter()
            .map(|(name, result)| Loaded { name, result })
            .collect()
    }

    /// Every profile that there is, by name and then in the order of look-up, unread.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let in_folders = self
            .folders
            .iter()
            .filter_map(|folder| folder.scan().ok())
            .flat_map(|names| {
                names.into_iter().filter_map(|(name, files)| {
                    files
                        .into_iter()
                        .next()
                        .map(|(path, _)| (name, Origin::File(path)))
                })
            });
        let in_binary = builtin::ALL
            .iter()
            .map(|(name, _)| ((*name).to_owned(), Origin::BuiltIn));
        let mut by_name: BTreeMap<String, Vec<Origin>> = BTreeMap::new();
        for (name, origin) in in_folders.chain(in_binary) {
            by_name.entry(name).or_default().push(origin);
        }
        by_name
            .into_iter()
            .flat_map(|(name, origins)| {
                let first = origins.first().cloned();
                origins
                    .into_iter()
                    .enumerate()
                    .map(move |(index, origin)| Listed {
                        name: name.clone(),
                        origin,
                        shadowed_by: first.clone().filter(|_| index > 0),
                    })
            })
            .collect()
    }

    /// What the files of all folders hold now. A watcher that finds the same again has nothing to do.
    #[must_use]
    pub fn fingerprints(&self) -> BTreeMap<PathBuf, Fingerprint> {
        self.folders
            .iter()
            .filter_map(|folder| folder.scan().ok())
            .flat_map(|names| names.into_values().flatten())
            .map(|(path, _)| {
                let mut hasher = DefaultHasher::new();
                files::read(&path, FILE_LIMIT)
                    .map_err(|error| error.to_string())
                    .hash(&mut hasher);
                (path, Fingerprint(hasher.finish()))
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.list().into_iter().map(|listed| listed.name).collect();
        names.dedup();
        names
    }
}

impl Folder {
    /// The files with a profile's extension, by name. Names are not judged here: a bad one is an error when it is read.
    fn scan(&self) -> Result<Names, ProfileError> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.named => {
                return Ok(Names::new());
            }
            Err(error) => {
                let reason = files::plain(&error).replace("such file", "such folder");
                let folder = self.path.display().to_string();
                let message = format!("profiles cannot be looked up: {reason}");
                return Err(ProfileError::one(Problem::of_file(&folder, message, None)));
            }
        };
        let mut names = Names::new();
        for entry in entries.flatten().take(MOST_ENTRIES) {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some((name, extension)) = file.rsplit_once('.') else {
                continue;
            };
            let known = EXTENSIONS.iter().find(|(known, _)| *known == extension);
            // A leading dot is an editor's or the system's own file.
            if let (Some((_, syntax)), false) = (known, name.is_empty() || name.starts_with('.')) {
                names
                    .entry(name.to_owned())
                    .or_default()
                    .push((entry.path(), *syntax));
            }
        }
        for files in names.values_mut() {
            files.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok(names)
    }
}

fn load_files(name: &str, found: &[(PathBuf, Syntax)]) -> Result<Profile, ProfileError> {
    read_files(name, found)?.load()
}

fn read_files(name: &str, found: &[(PathBuf, Syntax)]) -> Result<Text, ProfileError> {
    let [(path, syntax), others @ ..] = found else {
        return Err(ProfileError::Unknown {
            name: name.to_owned(),
            known: Vec::new(),
        });
    };
    let file = path.display().to_string();
    let broken = |message: String, hint: &str| {
        ProfileError::one(Problem::of_file(&file, message, Some(hint.to_owned())))
    };
    if !is_name(name) {
        return Err(broken(
            format!("`{}` cannot be the name of a profile", name.escape_debug()),
            NAME_RULE,
        ));
    }
    if let Some((other, _)) = others.first() {
        return Err(broken(
            format!(
                "profile `{name}` has two files: {file} and {}",
                other.display()
            ),
            "keep one of them",
        ));
    }
    let bytes = files::read(path, FILE_LIMIT).map_err(|error| {
        broken(
            format!("the profile cannot be read: {error}"),
            "a profile is a text file of at most 1 MiB",
        )
    })?;
    Ok(Text {
        name: name.to_owned(),
        origin: Origin::File(path.clone()),
        syntax: *syntax,
        bytes,
    })
}

fn builtin_text(name: &str, text: &str) -> Text {
    Text {
        name: name.to_owned(),
        origin: Origin::BuiltIn,
        syntax: Syntax::Toml,
        bytes: text.as_bytes().to_vec(),
    }
}

impl Text {
    /// The profile that it describes.
    pub fn load(&self) -> Result<Profile, ProfileError> {
        let profile = load(Input {
            name: &self.name,
            origin: &self.origin,
            syntax: self.syntax,
            bytes: &self.bytes,
        })?;
        match &self.origin {
            Origin::File(path) => match access::refusal(&profile, path) {
                Some(problem) => Err(ProfileError::one(problem)),
                None => Ok(profile),
            },
            Origin::BuiltIn => Ok(profile),
        }
    }
}

#[cfg(test)]
mod tests;
