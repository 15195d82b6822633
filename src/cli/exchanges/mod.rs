//! Exchanges of the past: those in a running server's memory, then those that were written down.
//!
//! Both are asked and put together by id; what the server says of one is newer. A server comes as in all commands (SPEC §3).

mod recorded;

use std::{collections::HashSet, time::Duration};

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::Value;

use self::recorded::Recorded;
use super::servers::{self, Found, Server, ServerFlag, Want};
use crate::{
    exchange::{
        Filter,
        told::{Detail, Summary},
    },
    term::{Ink, Problem, Term},
    transport::{Dial, full},
};

/// An exchange keeps at most 1 MiB a stage and what its events say; this is far above.
const LONGEST: usize = 256 << 20;

/// So many exchanges are asked for at once.
const PAGE: usize = 200;

/// Where exchanges are looked for.
pub(super) struct Exchanges {
    server: Option<Server>,
    recorded: Option<Box<dyn Recorded>>,
}

/// An answer of `/_aiproxy/exchanges`.
#[derive(Deserialize)]
struct Page {
    exchanges: Vec<Summary>,
    #[serde(default)]
    next: Option<String>,
}

impl Exchanges {
    /// Finds the server and the database.
    ///
    /// # Errors
    ///
    /// If there is neither, or the server that is named does not answer.
    pub(super) async fn find(flag: &ServerFlag, term: &Term) -> Result<Exchanges, Problem> {
        let recorded = recorded::open()?;
        let server = match servers::find(flag, servers::usual_address(None), Want::Look).await? {
            Found::Running(server) => Some(server),
            Found::Nobody(why) if recorded.is_some() => {
                let text = format!("{why}: what was recorded is all there is");
                term.note(&term.ink_err(Ink::Faint, &text));
                None
            }
            Found::Nobody(why) => return Err(nothing(&why)),
        };
        Ok(Exchanges { server, recorded })
    }

    /// The server, if one runs.
    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// The newest that the filter takes, newest first.
    pub(super) async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Problem> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut all = match &self.server {
            Some(server) => list(server, filter, limit).await?,
            None => Vec::new(),
        };
        if let Some(recorded) = &self.recorded {
            all.extend(recorded.list(filter)?);
        }
        Ok(merged(all, limit))
    }

    /// The exchange that is meant: by its id, by the beginning of it, or by `last`.
    pub(super) async fn get(&self, name: &str) -> Result<Detail, Problem> {
        if !is_name(name) {
            return Err(Problem::usage(format!("`{name}` is no id of an exchange")).hint(
                "an id is 10 letters and digits, such as 7k3m9x2q7w; its beginning is enough, and `last` is the newest: aiproxy log",
            ));
        }
        let name = name.to_ascii_lowercase();
        let live = match &self.server {
            Some(server) => get(server, &name).await?,
            None => None,
        };
        // A whole id names one exchange, wherever it is.
        if let Some(detail) = live.as_ref().filter(|_| name.len() == ID) {
            return Ok(detail.clone());
        }
        let ids = match &self.recorded {
            Some(recorded) => recorded.find(&name)?,
            None => Vec::new(),
        };
        let recorded = |id: &str| self.recorded(id);
        match (live, ids.as_slice()) {
            (None, []) => Err(self.no_exchange(&name)),
            (None, [id]) => recorded(id),
            (Some(live), []) => Ok(live),
            (Some(live), [id]) if name == LAST => {
                let written = recorded(id)?;
                let newest = written.summary.began > live.summary.began;
                Ok(if newest { written } else { live })
            }
            (Some(live), [id]) if *id == live.summary.id => Ok(live),
            (live, ids) => {
                let mut ids = ids.to_vec();
                ids.extend(live.map(|live| live.summary.id));
                ids.sort_unstable();
                ids.dedup();
                Err(Problem::new(format!(
                    "several exchanges begin with `{name}`: {}",
                    ids.join(", ")
                ))
                .hint("write more of the id"))
            }
        }
    }

    /// Removes what is over the database's limits; how many that were.
    pub(super) fn prune() -> Result<u64, Problem> {
        match recorded::open()? {
            Some(mut recorded) => recorded.prune(),
            None => Err(Problem::new("nothing was recorded: there is no database")
                .hint("aiproxy serve --record writes one")),
        }
    }

    fn recorded(&self, id: &str) -> Result<Detail, Problem> {
        let found = match &self.recorded {
            Some(recorded) => recorded.get(id)?,
            None => None,
        };
        found.ok_or_else(|| self.no_exchange(id))
    }

    fn no_exchange(&self, name: &str) -> Problem {
        let place = match (&self.server, &self.recorded) {
            (Some(server), None) => format!("in the memory of {}", server.root),
            (Some(server), Some(_)) => {
                format!("in the memory of {} or in the database", server.root)
            }
            (None, _) => "in the database".to_owned(),
        };
        if name == LAST {
            return Problem::new(format!("there is no exchange yet {place}"))
                .hint("send one: aiproxy chat \"Hello\"");
        }
        Problem::new(format!("there is no exchange `{name}` {place}")).hint(
            "aiproxy log lists those that there are; `aiproxy serve --record` keeps them over restarts",
        )
    }
}

/// The name of the newest.
pub(super) const LAST: &str = "last";

/// Characters of an id.
const ID: usize = 10;

/// Whether a text can name an exchange: `last`, or the beginning of an id in Crockford's base32.
pub(super) fn is_name(text: &str) -> bool {
    text.eq_ignore_ascii_case(LAST)
        || (1..=ID).contains(&text.len())
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() && !b"ilouILOU".contains(&c))
}

/// Neither a server nor a database.
fn nothing(why: &str) -> Problem {
    Problem::new(format!("{why}, and nothing was recorded"))
        .hint("a server keeps exchanges in memory while it runs: aiproxy serve; with --record also on disk")
}

/// Newest first, each once: of two with one id the first counts.
fn merged(mut all: Vec<Summary>, limit: usize) -> Vec<Summary> {
    let mut seen = HashSet::new();
    all.retain(|summary| seen.insert(summary.id.clone()));
    all.sort_by(|a, b| b.began.cmp(&a.began));
    all.truncate(limit);
    all
}

/// A server's own, newest first.
pub(super) async fn list(
    server: &Server,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Summary>, Problem> {
    let mut all: Vec<Summary> = Vec::new();
    let mut filter = filter.clone();
    while all.len() < limit {
        filter.limit = Some((limit - all.len()).min(PAGE));
        let path = format!("/_aiproxy/exchanges?{}", filter.query());
        let (status, body) = ask(server, &path).await?;
        if status != StatusCode::OK {
            return Err(refused(server, status, &body));
        }
        let page: Page = serde_json::from_slice(&body).map_err(|error| strange(server, &error))?;
        let empty = page.exchanges.is_empty();
        all.extend(page.exchanges);
        match page.next {
            Some(next) if !empty => filter.before = Some(next),
            _ => break,
        }
    }
    Ok(all)
}

/// One exchange of a server's; nothing if it has none of that name.
pub(super) async fn get(server: &Server, name: &str) -> Result<Option<Detail>, Problem> {
    let (status, body) = ask(server, &format!("/_aiproxy/exchanges/{name}")).await?;
    match status {
        StatusCode::OK => {
            let text = String::from_utf8_lossy(&body);
            Detail::parse(&text)
                .map(Some)
                .map_err(|error| strange(server, &error))
        }
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::CONFLICT => Err(refused(server, status, &body).hint("write more of the id")),
        _ => Err(refused(server, status, &body)),
    }
}

async fn ask(server: &Server, path: &str) -> Result<(StatusCode, bytes::Bytes), Problem> {
    let request = server
        .request(&Method::GET, path)?
        .body(full(""))
        .map_err(|error| Problem::usage(error.to_string()))?;
    let dial = Dial {
        first_byte_timeout: Duration::from_secs(30),
        ..Dial::default()
    };
    let response = server.send(request, &dial).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| {
        Problem::new(format!("the answer of {} broke off: {error}", server.root))
    })?;
    Ok((status, body.to_bytes()))
}

/// A server's own words for why not.
fn refused(server: &Server, status: StatusCode, body: &[u8]) -> Problem {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    match json.pointer("/error/message").and_then(Value::as_str) {
        Some(message) => Problem::new(crate::term::sanitize(message)),
        None => Problem::new(format!(
            "{} answers with status {}",
            server.root,
            status.as_u16()
        )),
    }
}

fn strange(server: &Server, error: &serde_json::Error) -> Problem {
    Problem::new(format!(
        "the answer of {} cannot be read: {error}",
        server.root
    ))
    .hint("is it of another version? aiproxy doctor tells")
}

#[cfg(test)]
mod tests;
