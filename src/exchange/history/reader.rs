//! Reading, also while somebody writes.

use std::path::{Path, PathBuf};

use memchr::memmem;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};

use super::{
    Error, Limits, Pruned, folded,
    prune::{self, Bounds, Pages},
    row, schema,
};
use crate::exchange::{
    Filter,
    told::{Detail, Summary},
};

/// Most ids that an ambiguous prefix names.
const MOST_NAMED: usize = 8;

/// A history to read. It can be sent to another thread, but not be shared by several.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    db: Connection,
}

/// The exchanges that a prefix names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    None,
    /// This one.
    One(String),
    /// These, the newest first, and perhaps more.
    Many(Vec<String>),
}

impl Reader {
    /// Opens the file; `None` if there is none. What a killed server left beside it is taken in.
    ///
    /// # Errors
    ///
    /// If the file cannot be used.
    pub fn open(path: &Path) -> Result<Option<Reader>, Error> {
        let there = path.try_exists().map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        if !there {
            return Ok(None);
        }
        let db = schema::open(path)?;
        let reader = Reader {
            path: path.to_owned(),
            db,
        };
        reader.protect(true)?;
        Ok(Some(reader))
    }

    /// The exchanges that a filter takes, the newest first: by the time of their beginning, then by id.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or [`Filter::before`] is not in it.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Error> {
        let Some(id) = &filter.before else {
            return self.rows(filter, None);
        };
        let began = self
            .db
            .query_row("SELECT began FROM exchanges WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|error| self.failed(error))?;
        match began {
            Some(began) => self.rows(filter, Some((began, id))),
            None => Err(Error::Unknown {
                path: self.path.clone(),
                id: id.clone(),
            }),
        }
    }

    /// As [`Reader::list`], those before an exchange that may be elsewhere; [`Filter::before`] does not matter.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn list_before(&self, filter: &Filter, than: &Summary) -> Result<Vec<Summary>, Error> {
        let began = row::millis(&than.began).unwrap_or(i64::MAX);
        self.rows(filter, Some((began, &than.id)))
    }

    fn rows(&self, filter: &Filter, before: Option<(i64, &str)>) -> Result<Vec<Summary>, Error> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let wanted = filter.grep.as_deref().map(folded);
        let wanted = wanted.as_deref().map(memmem::Finder::new);
        let (sql, values) = question(filter, before);
        let failed = |error| self.failed(error);
        let mut statement = self.db.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next().map_err(failed)?
        {
            let text = |column: usize| row.get_ref(column)?.as_str().map_err(Into::into);
            let (model, answered_by) = (text(0).map_err(failed)?, text(1).map_err(failed)?);
            if !filter.takes_model(model, answered_by) {
                continue;
            }
            if let Some(wanted) = &wanted {
                let text = |column: usize| row.get_ref(column)?.as_bytes().map_err(Into::into);
                let finds = |column: usize| text(column).map(|text| wanted.find(text).is_some());
                if !finds(3).map_err(failed)? && !finds(4).map_err(failed)? {
                    continue;
                }
            }
            let summary = text(2).map_err(failed)?;
            let summary = serde_json::from_str(summary).map_err(|error| self.odd(&error))?;
            if filter.takes(&summary) {
                found.push(summary);
            }
        }
        Ok(found)
    }

    /// The exchange that a prefix of its id names; `last` is the newest.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn find(&self, prefix: &str) -> Result<Found, Error> {
        let prefix = prefix.to_lowercase();
        let mut ids = if prefix == "last" {
            self.ids(
                "SELECT id FROM exchanges ORDER BY began DESC, id DESC LIMIT 1",
                &[],
            )?
        } else if prefix.is_empty() {
            Vec::new()
        } else {
            // The index of ids serves a range.
            let end = format!("{prefix}{}", char::MAX);
            self.ids(
                &format!(
                    "SELECT id FROM exchanges WHERE id >= ?1 AND id < ?2
                     ORDER BY began DESC, id DESC LIMIT {MOST_NAMED}"
                ),
                &[&prefix, &end],
            )?
        };
        Ok(match ids.len() {
            0 => Found::None,
            1 => ids.pop().map_or(Found::None, Found::One),
            _ => Found::Many(ids),
        })
    }

    fn ids(&self, sql: &str, values: &[&String]) -> Result<Vec<String>, Error> {
        let read = || {
            let mut statement = self.db.prepare(sql)?;
            let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            ids.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.failed(error))
    }

    /// All about an exchange, by its whole id.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn get(&self, id: &str) -> Result<Option<Detail>, Error> {
        let found: Option<(String, String, Option<Vec<u8>>)> = self
            .db
            .query_row(
                "SELECT summary, rest, packed FROM exchanges JOIN contents USING (number) WHERE id = ?1",
                params![id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(|error| self.failed(error))?;
        let Some((summary, rest, packed)) = found else {
            return Ok(None);
        };
        Ok(Some(Detail {
            summary: serde_json::from_str(&summary).map_err(|error| self.odd(&error))?,
            rest: row::unpacked(&rest, packed.as_deref()).map_err(|error| self.odd(&error))?,
        }))
    }

    /// Removes what is beyond the limits, the oldest first, and gives the room back.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. What was removed until then is gone.
    pub fn prune(&mut self, limits: &Limits) -> Result<Pruned, Error> {
        self.protect(false)?;
        let pruned = pruned(&mut self.db, limits).map_err(|error| Error::of(&self.path, error));
        self.protect(true)?;
        pruned
    }

    /// Whether this connection may change nothing.
    fn protect(&self, on: bool) -> Result<(), Error> {
        self.db
            .pragma_update(None, "query_only", on)
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::of(&self.path, error)
    }

    fn odd(&self, error: &dyn std::error::Error) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            what: format!("an exchange in it cannot be read: {error}"),
        }
    }
}

fn pruned(db: &mut Connection, limits: &Limits) -> rusqlite::Result<Pruned> {
    let before = Pages::of(db)?.file;
    let bounds = Bounds {
        bytes: limits.bytes,
        since: prune::ago(limits.age),
    };
    let mut exchanges = 0;
    loop {
        let step = prune::step(db, bounds)?;
        exchanges += step.removed;
        if !step.more {
            break;
        }
    }
    while prune::give_back(db, 0)? {}
    // The file itself shrinks when the log beside it is taken in; if somebody reads it now, that happens later.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(Pruned {
        exchanges,
        bytes: before.saturating_sub(Pages::of(db)?.file),
    })
}

/// What narrows a list down as far as SQLite can.
fn question(filter: &Filter, before: Option<(i64, &str)>) -> (String, Vec<Value>) {
    let texts = filter.grep.is_some();
    let mut sql = String::from("SELECT model, answered_by, summary");
    if texts {
        sql.push_str(", prompt, answer");
    }
    sql.push_str(" FROM exchanges AS e");
    if texts {
        sql.push_str(" JOIN contents AS c ON c.number = e.number");
    }
    sql.push_str(" WHERE true");
    let mut values: Vec<Value> = Vec::new();
    if !filter.profiles.is_empty() {
        let marks = vec!["?"; filter.profiles.len()].join(", ");
        sql.push_str(&format!(" AND profile IN ({marks})"));
        values.extend(filter.profiles.iter().cloned().map(Value::Text));
    }
    if filter.failed {
        sql.push_str(" AND outcome IN ('failed', 'cancelled')");
    }
    if let Some(since) = filter.since.as_deref().and_then(row::millis) {
        sql.push_str(" AND began >= ?");
        values.push(since.into());
    }
    if let Some((began, id)) = before {
        sql.push_str(" AND (began, id) < (?, ?)");
        values.extend([began.into(), id.to_owned().into()]);
    }
    sql.push_str(" ORDER BY began DESC, id DESC");
    (sql, values)
}
