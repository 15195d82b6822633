//! A request as a listener would hand it to the pipeline, for commands that go through its stages themselves.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;

use super::{
    Limits, Served,
    intake::{self, Budget},
    naming,
    router::{Place, place},
};
use crate::{
    dialect::Fault,
    pipeline::{Inbound, Target, body_limit},
    profile::Profile,
    transport::full,
};

/// What the listener makes of a request to a profile: `parts` has the path that follows `/{profile}`. The body is inflated and held to
/// the profile's limit.
///
/// # Errors
///
/// The [`Fault`] that a client would get.
pub async fn inbound(
    profile: &Arc<Profile>,
    mut parts: Parts,
    body: Bytes,
) -> Result<(Inbound, Bytes), Fault> {
    let below = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let below = if below == "/" { "" } else { below };
    parts.uri = format!("/{}{below}", profile.name)
        .parse()
        .map_err(|_| Fault::invalid(400, "the path holds a character that URLs cannot hold"))?;
    let served = Served::new(vec![Arc::clone(profile)]);
    match place(&served, &parts.uri)? {
        Place::Profile(way) if !matches!(way.target, Target::Count(..) | Target::Made(_)) => {
            if !way.target.is_read() && !profile.has_transformer() {
                return Ok((way.inbound(parts), body));
            }
            let (limit, budget) = (body_limit(profile), Budget::new(Limits::default()));
            let held = intake::read(&parts.headers, full(body), limit, &budget).await?;
            let way = naming::mapped(&served, way, parts.uri.query(), &held.bytes)?;
            Ok((way.inbound(parts), held.bytes.clone()))
        }
        Place::Profile(_) | Place::Models { .. } | Place::Root { .. } | Place::Admin(_) => {
            Err(Fault::invalid(
                404,
                "this path is answered by the listener itself: no profile sees it",
            ))
        }
    }
}
