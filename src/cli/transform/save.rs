//! `--save`: the tuned profile into its file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::places::Sources,
    profile::{Origin, Text, source::Syntax},
    term::{Problem, Term},
};

/// Writes the profile as it was tuned. One that is built in gets a file of the user's own, which from then on comes first.
pub(super) fn save(text: &Text, toml: &str, sources: &Sources, term: &Term) -> Result<(), Problem> {
    let path = match (&text.origin, text.syntax) {
        (Origin::File(path), Syntax::Toml) => {
            fs::canonicalize(path).map_err(|error| failed(path, &error))?
        }
        (Origin::File(path), syntax) => {
            return Err(Problem::new(format!(
                "--save writes TOML, and {} is {syntax}",
                path.display()
            ))
            .hint("change the keys in the file, or keep the profile as TOML"));
        }
        (Origin::BuiltIn, _) => new_file(text, sources)?,
    };
    write(&path, toml).map_err(|error| failed(&path, &error))?;
    term.note(&format!("wrote {}", path.display()));
    Ok(())
}

fn new_file(text: &Text, sources: &Sources) -> Result<PathBuf, Problem> {
    let folder = sources.home().ok_or_else(|| {
        Problem::new("there is no folder for your profiles").hint("name one with --profiles DIR")
    })?;
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder.join(format!("{}.toml", text.name)))
}

/// All or nothing: a server that watches the file never reads half of it.
fn write(path: &Path, toml: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(toml.as_bytes())?;
    if let Ok(old) = fs::metadata(path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("cannot write {}: {error}", path.display()))
}
