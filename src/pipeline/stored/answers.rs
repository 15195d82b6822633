//! What is asked of an answer that was made before:
//! <https://developers.openai.com/api/reference/resources/responses>.

use std::time::Instant;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response,
    header::{ALLOW, CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{LIFE, Store, Turn};
use crate::{
    dialect::Fault,
    exchange::Recorder,
    pipeline::{Failure, Inbound, Outcome, Payload, answer::returned, noting},
    transport::Body,
};

/// What an exchange of this kind is called.
const NAME: &str = "llm/v1/responses";

/// An answer that was made before, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its id.
    pub id: String,
    /// What is wanted.
    pub what: What,
    /// The path, `/v1/responses/...`, in which the id is one segment.
    pub path: String,
    /// If it is not here, the provider may have it.
    pub elsewhere: bool,
}

/// What can be wanted of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// To see it, or to have it forgotten.
    Itself,
    /// That no more of it is made.
    Cancel,
    /// What it was made of.
    Input,
}

/// Answers from the store.
///
/// # Errors
///
/// 404 if the answer is not there; 400 and 405 for what cannot be asked of it.
pub fn kept(
    store: &Store,
    inbound: &Inbound,
    made: &Made,
    now: Instant,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let Some(recorder) = slot.as_mut() else {
        return Err(crate::pipeline::answer::gone().into());
    };
    let payload = noting::received(recorder, Payload::Whole(Bytes::new()));
    noting::asked(recorder, inbound, &payload);
    let provider = inbound.profile.ai_proxy.as_ref();
    let provider = provider.map_or("", |proxy| proxy.model.provider.as_str());
    recorder.routed(provider, NAME, "");
    let allowed = match made.what {
        What::Itself => "GET, DELETE",
        What::Input => "GET",
        What::Cancel => "POST",
    };
    if !allowed.split(", ").any(|one| inbound.method == one) {
        let message = format!("`{}` takes {allowed} alone", made.path);
        let mut failure = Failure::from(Fault::invalid(405, message));
        failure
            .headers
            .insert(ALLOW, HeaderValue::from_static(allowed));
        return Err(Box::new(failure));
    }
    let query = inbound.query.as_deref().unwrap_or_default();
    let turn = store
        .find(&made.id, now)
        .ok_or_else(|| not_here(&made.id))?;
    let body = match made.what {
        What::Itself if inbound.method == Method::DELETE => {
            store.remove(&made.id, now);
            let id = &made.id;
            json!({"id": id, "object": "response.deleted", "deleted": true})
                .to_string()
                .into()
        }
        What::Itself if value(query, "stream").is_some_and(|said| said != "false") => {
            return Err(about(
                "stream",
                "`stream`: an answer that is kept here is told whole, ask without it",
            )
            .into());
        }
        What::Itself => turn.answer.clone(),
        What::Cancel => {
            let message = "Cannot cancel a synchronous response.";
            return Err(Fault::invalid(400, message).into());
        }
        What::Input => page(&turn, query)?,
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    returned(response, slot)
}

/// An id as it was asked for, as far as it can be repeated.
fn printable(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// How long is said where something may be too old.
fn life() -> String {
    let minutes = LIFE.as_secs() / 60;
    format!("they are kept in this proxy's memory, for {minutes} minutes at most")
}

fn not_here(id: &str) -> Fault {
    let (id, life) = (printable(id), life());
    Fault::invalid(404, format!("Response with id '{id}' not found: {life}"))
}

/// What a request goes on from is not here.
pub(super) fn no_previous(id: &str) -> Fault {
    let (id, life) = (printable(id), life());
    let message = format!("Previous response with id '{id}' not found: {life}");
    Fault {
        param: Some("previous_response_id".into()),
        ..Fault::invalid(404, message).code("previous_response_not_found")
    }
}

fn about(param: &str, message: impl Into<String>) -> Fault {
    Fault {
        param: Some(param.into()),
        ..Fault::invalid(400, message)
    }
}

/// A parameter of a query.
fn value(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// An item, as far as pages need it.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    id: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    object: &'static str,
    data: Vec<&'a RawValue>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// A part of the items that an answer was made of, those of the turns before it among them.
fn page(turn: &Turn, query: &str) -> Result<Bytes, Fault> {
    let limit = match value(query, "limit") {
        None => 20,
        Some(said) => said
            .parse()
            .ok()
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| about("limit", "`limit` is a number from 1 to 100"))?,
    };
    let descending = match value(query, "order").as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => return Err(about("order", "`order` is `asc` or `desc`")),
    };
    let unreadable = |_| Fault::upstream(500, "an answer that is kept cannot be read");
    let turns = turn.all();
    let mut lists: Vec<&str> = turns
        .iter()
        .flat_map(|turn| [turn.input(), turn.output()])
        .collect();
    // The last one's own answer came of them.
    lists.pop();
    let mut items: Vec<&RawValue> = Vec::new();
    for list in lists {
        items.extend(serde_json::from_str::<Vec<&RawValue>>(list).map_err(unreadable)?);
    }
    if descending {
        items.reverse();
    }
    let id_of = |item: &RawValue| {
        let named: Option<Named> = serde_json::from_str(item.get()).ok();
        named.and_then(|named| named.id)
    };
    let start = match value(query, "after") {
        None => 0,
        Some(after) => {
            let mut all = items.iter();
            let at = all.position(|item| id_of(item).as_deref() == Some(after.as_str()));
            let none = || {
                let after = printable(&after);
                about("after", format!("no item with id '{after}' is among them"))
            };
            at.ok_or_else(none)? + 1
        }
    };
    let left = items.get(start..).unwrap_or_default();
    let data: Vec<&RawValue> = left.iter().take(limit).copied().collect();
    let page = Page {
        object: "list",
        first_id: data.first().and_then(|item| id_of(item)),
        last_id: data.last().and_then(|item| id_of(item)),
        has_more: left.len() > data.len(),
        data,
    };
    serde_json::to_vec(&page)
        .map(Bytes::from)
        .map_err(unreadable)
}
