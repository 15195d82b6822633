//! Exchanges that a server wrote down (`aiproxy serve --record`).

use crate::{
    exchange::{
        Filter,
        told::{Detail, Summary},
    },
    term::Problem,
};

/// A database of exchanges, as commands read it.
pub(super) trait Recorded {
    /// The newest that the filter takes, newest first.
    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Problem>;

    /// The ids that begin so; of `last` the newest.
    fn find(&self, name: &str) -> Result<Vec<String>, Problem>;

    /// One, by its whole id.
    fn get(&self, id: &str) -> Result<Option<Detail>, Problem>;

    /// Removes what is over the limits; how many that were.
    fn prune(&mut self) -> Result<u64, Problem>;
}

/// The database in the state folder; nothing if none was written.
#[expect(clippy::unnecessary_wraps, reason = "a database can be broken")]
pub(super) fn open() -> Result<Option<Box<dyn Recorded>>, Problem> {
    Ok(None)
}
