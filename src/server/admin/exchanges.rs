//! `/_aiproxy/exchanges`: the exchanges in memory.

use std::sync::Arc;

use http::Response;
use serde::Serialize;

use super::{bad_query, json_answer};
use crate::{
    dialect::Fault,
    exchange::{Filter, Found, Ledger, told::Summary},
    server::{app::refuse, router::printable},
    transport::Body,
};

/// Exchanges of one page, unless the query says otherwise, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 1000;

#[derive(Serialize)]
struct Page {
    /// The youngest first.
    exchanges: Vec<Summary>,
    /// What to ask for `before` for the next page.
    next: Option<String>,
}

/// A page of summaries.
pub(super) async fn list(ledger: &Arc<Ledger>, query: Option<&str>) -> Response<Body> {
    let mut filter = match Filter::of_query(query) {
        Ok(filter) => filter,
        Err(why) => return bad_query(why),
    };
    filter.limit.get_or_insert(PAGE);
    let page = off_thread(ledger, move |ledger| {
        let (exchanges, more) = ledger.list(&filter, LONGEST_PAGE);
        let last = exchanges.last().filter(|_| more);
        let next = last.map(|summary| summary.id.clone());
        serde_json::to_string(&Page { exchanges, next })
    });
    match page.await {
        Some(Ok(json)) => json_answer(json),
        _ => refuse(Fault::upstream(500, "the exchanges cannot be listed")),
    }
}

/// All of one.
pub(super) async fn one(ledger: &Arc<Ledger>, id: &str) -> Response<Body> {
    let asked = id.to_ascii_lowercase();
    let found = off_thread(ledger, move |ledger| match ledger.find(&asked) {
        Found::One(detail) => serde_json::to_string(&detail).map_err(|_| Vec::new()),
        Found::Many(ids) => Err(ids),
        Found::None => Err(Vec::new()),
    });
    let id = printable(id);
    match found.await {
        Some(Ok(json)) => json_answer(json),
        Some(Err(ids)) if !ids.is_empty() => {
            let message = format!("several exchanges begin with `{id}`: {}", ids.join(", "));
            refuse(Fault::invalid(409, message))
        }
        _ => refuse(Fault::invalid(
            404,
            format!("no exchange `{id}` is in this server's memory"),
        )),
    }
}

/// Looking through megabytes is not for the threads that answer requests.
pub(super) async fn off_thread<R: Send + 'static>(
    ledger: &Arc<Ledger>,
    look: impl FnOnce(&Ledger) -> R + Send + 'static,
) -> Option<R> {
    let ledger = Arc::clone(ledger);
    tokio::task::spawn_blocking(move || look(&ledger))
        .await
        .ok()
}
