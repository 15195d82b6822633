//! Exchanges that a server wrote down (`aiproxy serve --record`).

use crate::{
    cli::state,
    exchange::{
        Filter,
        history::{self, FILE, Found, Limits, Reader},
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
pub(super) fn open() -> Result<Option<Box<dyn Recorded>>, Problem> {
    let Some(folder) = state::folder() else {
        return Ok(None);
    };
    let reader = Reader::open(&folder.join(FILE)).map_err(broken)?;
    Ok(reader.map(|reader| Box::new(reader) as Box<dyn Recorded>))
}

impl Recorded for Reader {
    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Problem> {
        Reader::list(self, filter).map_err(broken)
    }

    fn find(&self, name: &str) -> Result<Vec<String>, Problem> {
        Ok(match Reader::find(self, name).map_err(broken)? {
            Found::None => Vec::new(),
            Found::One(id) => vec![id],
            Found::Many(ids) => ids,
        })
    }

    fn get(&self, id: &str) -> Result<Option<Detail>, Problem> {
        Reader::get(self, id).map_err(broken)
    }

    fn prune(&mut self) -> Result<u64, Problem> {
        let pruned = Reader::prune(self, &Limits::default()).map_err(broken)?;
        Ok(pruned.exchanges)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: history::Error) -> Problem {
    Problem::new(error.to_string()).hint(error.hint())
}
