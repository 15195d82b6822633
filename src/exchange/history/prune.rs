//! Making room, in small steps: each is one transaction, so that nobody waits long for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// Most exchanges that go in one step.
const STEP: u64 = 64;

/// Most pages that are given back in one step.
const RETURNED: i64 = 1024;

/// How much is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages {
    /// Bytes of the file.
    pub(super) file: u64,
    /// Bytes of it that are free.
    pub(super) free: u64,
    /// Bytes of a page.
    size: u64,
}

impl Pages {
    pub(super) fn of(db: &Connection) -> rusqlite::Result<Pages> {
        let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let size = pragma("page_size")?.unsigned_abs();
        Ok(Pages {
            file: pragma("page_count")?.unsigned_abs() * size,
            free: pragma("freelist_count")?.unsigned_abs() * size,
            size,
        })
    }

    pub(super) fn used(self) -> u64 {
        self.file.saturating_sub(self.free)
    }
}

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes in use.
    pub(super) bytes: u64,
    /// When the oldest one began.
    pub(super) since: i64,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) removed: u64,
    /// There is more to do.
    pub(super) more: bool,
}

/// The time that is `age` ago.
pub(super) fn ago(age: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.checked_sub(age).map_or(i64::MIN, |time| {
        time.as_millis().try_into().unwrap_or(i64::MAX)
    })
}

/// Removes some of the oldest exchanges, as long as there is too much or they are too old.
pub(super) fn step(db: &mut Connection, bounds: Bounds) -> rusqlite::Result<Step> {
    let mut removed = 0;
    if excess(db, bounds)?.is_none() {
        return Ok(Step {
            removed,
            more: false,
        });
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    while removed < STEP
        && let Some(number) = excess(&change, bounds)?
    {
        for statement in [
            "DELETE FROM contents WHERE number = ?1",
            "DELETE FROM exchanges WHERE number = ?1",
        ] {
            change.prepare_cached(statement)?.execute([number])?;
        }
        removed += 1;
    }
    change.commit()?;
    Ok(Step {
        removed,
        more: removed == STEP,
    })
}

/// The exchange that is to go next.
fn excess(db: &Connection, bounds: Bounds) -> rusqlite::Result<Option<i64>> {
    let Some((number, began)) = oldest(db)? else {
        return Ok(None);
    };
    let goes = began < bounds.since || Pages::of(db)?.used() > bounds.bytes;
    Ok(goes.then_some(number))
}

fn oldest(db: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    db.prepare_cached("SELECT number, began FROM exchanges ORDER BY began, id LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Gives some free pages back, down to `keep` bytes of them; whether there are more.
pub(super) fn give_back(db: &Connection, keep: u64) -> rusqlite::Result<bool> {
    let pages = Pages::of(db)?;
    let excess = pages.free.saturating_sub(keep) / pages.size.max(1);
    let excess = i64::try_from(excess).unwrap_or(i64::MAX);
    if excess == 0 {
        return Ok(false);
    }
    let mut given = db.prepare(&format!(
        "PRAGMA incremental_vacuum({})",
        excess.min(RETURNED)
    ))?;
    // One row a page: all of them must be taken.
    let mut rows = given.query([])?;
    while rows.next()?.is_some() {}
    Ok(excess > RETURNED)
}
