//! `/_aiproxy/...`: what the server says of itself and of its exchanges.

mod events;
mod exchanges;
mod profiles;
mod prompts;

use std::sync::Arc;

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use serde_json::json;

use super::{app::refuse, router::printable, served::Served, ui};
use crate::{
    dialect::Fault,
    exchange::{self, Ledger},
    profile::Vault,
    transport::{Body, full},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Answers a request below `/_aiproxy`; `path` is what follows.
pub(super) async fn answer(
    ledger: &Arc<Ledger>,
    served: &Served,
    vault: &dyn Vault,
    parts: &Parts,
    path: &str,
) -> Response<Body> {
    let query = parts.uri.query();
    let file = ui::file(path);
    let known = file.is_some()
        || matches!(
            path,
            "" | "/" | "/health" | "/events" | "/exchanges" | "/metrics" | "/profiles" | "/prompts"
        );
    let id = path
        .strip_prefix("/exchanges/")
        .filter(|id| !id.is_empty() && !id.contains('/'));
    if !known && id.is_none() {
        return refuse(Fault::invalid(
            404,
            format!("`/_aiproxy{}` is nothing", printable(path)),
        ));
    }
    if let Some(refused) = only_read(&parts.method) {
        return refused;
    }
    if let Some(file) = file {
        return file.answer(&parts.headers);
    }
    match (path, id) {
        ("" | "/", _) => ui::way(),
        (_, Some(id)) => exchanges::one(ledger, id).await,
        ("/events", _) => events::stream(ledger, &parts.headers, query),
        ("/exchanges", _) => exchanges::list(ledger, query).await,
        ("/metrics", _) => metrics(ledger),
        ("/profiles", _) => profiles::list(served, vault),
        ("/prompts", _) => prompts::list(ledger, query).await,
        _ => health(served),
    }
}

fn health(served: &Served) -> Response<Body> {
    let names: Vec<&str> = served.names().collect();
    json_answer(
        json!({"status": "ok", "server": "aiproxy", "version": env!("CARGO_PKG_VERSION"), "profiles": names})
            .to_string(),
    )
}

/// Prometheus' text format.
fn metrics(ledger: &Ledger) -> Response<Body> {
    let mut response = Response::new(full(ledger.metrics()));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(exchange::CONTENT_TYPE),
    );
    response
}

/// 405 for anything but GET and HEAD.
pub(super) fn only_read(method: &Method) -> Option<Response<Body>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = refuse(Fault::invalid(405, "this path takes GET alone"));
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

pub(super) fn json_answer(json: String) -> Response<Body> {
    let mut response = Response::new(full(json));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A refusal that names what is wrong with a query.
fn bad_query(why: String) -> Response<Body> {
    refuse(Fault::invalid(StatusCode::BAD_REQUEST.as_u16(), why))
}
