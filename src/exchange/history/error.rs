//! What can be wrong with the file.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer version of aiproxy wrote it.
    #[error("the history `{}` has format {found}; this aiproxy knows formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The last one that is known here.
        known: i64,
    },
    /// It is something else.
    #[error("`{}` is no history of aiproxy", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What is in it makes no sense.
    #[error("the history `{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// SQLite could not do what it was told.
    #[error("cannot use the history `{}`: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file could not be made, or its writer not be started.
    #[error("cannot use the history `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list is to begin at an exchange that is not there.
    #[error("no exchange `{id}` in the history `{}`", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The exchange.
        id: String,
    },
}

impl Error {
    /// The way out.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Error::Newer { .. } => {
                "update this aiproxy, or move the file away: a new one is begun".into()
            }
            Error::Foreign { .. } => {
                "move it away, or set AIPROXY_STATE_DIR to another folder".into()
            }
            Error::Damaged { path, .. } => format!(
                "move it away, with `-wal` and `-shm` beside it, and a new one is begun: mv '{0}' '{0}.damaged'",
                path.display()
            ),
            Error::Unknown { .. } => "`aiproxy log` lists those that are there".into(),
            Error::Io { .. } => "AIPROXY_STATE_DIR names another folder".into(),
            Error::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => {
                    "make room on the disk; `aiproxy log --prune` makes the history smaller".into()
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    "another program holds it; try again when that one is done".into()
                }
                _ => "the folder and the file must be writable; AIPROXY_STATE_DIR names another folder".into(),
            },
        }
    }

    /// What SQLite says about the file at `path`.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Error {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Error::Foreign { path },
            Some(ErrorCode::DatabaseCorrupt) => Error::Damaged {
                path,
                what: source.to_string(),
            },
            _ => Error::Database { path, source },
        }
    }
}

/// Whether somebody else holds the file.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
