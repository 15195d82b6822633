//! The file: how it is made, opened and brought up to date.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{Error, is_busy};

/// How long to wait for somebody else who writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says that a file is ours: `aipx`.
const APPLICATION: i64 = 0x6169_7078;

/// Statements that lead from each format to the next: a file's `user_version` says how many of them it has seen.
///
/// `newest` is the order of lists. Bodies are apart, so that lists read few pages. There is no index over the texts: what writes it costs each
/// exchange more than all else, while a search reads a gigabyte of texts in about a second, from the newest on.
///
/// The second format packs `rest`, since a stream's events say the same in hundreds of bytes each, and has no such index. A file of the first
/// keeps what it has.
const STEPS: &[&str] = &[
    "
    CREATE TABLE exchanges (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        began INTEGER NOT NULL,
        profile TEXT NOT NULL,
        model TEXT NOT NULL,
        answered_by TEXT NOT NULL,
        outcome TEXT NOT NULL,
        summary TEXT NOT NULL
    ) STRICT;
    CREATE INDEX newest ON exchanges (began, id);
    CREATE TABLE contents (
        number INTEGER PRIMARY KEY,
        prompt TEXT NOT NULL,
        answer TEXT NOT NULL,
        rest TEXT NOT NULL
    ) STRICT;
",
    "
    DROP TABLE IF EXISTS search;
    ALTER TABLE contents ADD COLUMN packed BLOB;
",
];

/// The format that this program writes.
pub(super) const FORMAT: i64 = STEPS.len() as i64;

/// Opens the file, and makes it if it is not there.
pub(super) fn create(path: &Path) -> Result<Connection, Error> {
    make(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    open(path)
}

/// Opens a file that is there.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| Error::of(path, error);
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(PATIENCE).map_err(failed)?;
    let found = format(&db, path)?;
    check(&db, path)?;
    if found < FORMAT {
        update(&mut db).map_err(failed)?;
    }
    // The log beside the file shrinks again after a reader has held it up.
    db.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216;")
        .map_err(failed)?;
    Ok(db)
}

/// The format of a file of ours; 0 of an empty one.
fn format(db: &Connection, path: &Path) -> Result<i64, Error> {
    let failed = |error| Error::of(path, error);
    // In one statement, so that nobody makes the file in between.
    let (application, format, objects): (i64, i64, i64) = db
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id),
                    (SELECT user_version FROM pragma_user_version),
                    (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(failed)?;
    if application != APPLICATION && objects > 0 {
        return Err(Error::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(format)
}

/// Whether an open file is still of this program's format: a newer one may have changed it.
pub(super) fn check(db: &Connection, path: &Path) -> Result<(), Error> {
    let found = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| Error::of(path, error))?;
    if found > FORMAT {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    Ok(())
}

/// Brings the file up to date. Somebody else may do the same at this moment.
fn update(db: &mut Connection) -> rusqlite::Result<()> {
    // Before there is anything in the file: pages that are freed can be given back later.
    db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
    journal(db)?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        change.execute_batch(step)?;
    }
    // Never downwards: somebody newer may have been here.
    if found < FORMAT {
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", FORMAT)?;
    }
    change.commit()
}

/// Turns the WAL on. SQLite does not wait for the lock that this takes.
fn journal(db: &Connection) -> rusqlite::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error) if is_busy(&error) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Makes an empty file for its owner alone; what others may do with one that is there is taken from them.
///
/// A file that may be open in this process is not opened again but by SQLite: closing it would release SQLite's locks.
fn make(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            for end in ["", "-wal", "-shm"] {
                make_private(&beside(path, end))?;
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The file whose name goes on with `end`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.permissions().mode(),
        _ => return Ok(()),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        // Another server just ended, and took it along.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}
