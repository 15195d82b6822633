//! `[aiproxy.models]`: the model that a client insists on becomes one that there is, before Kong's checks see it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    router::{Way, printable},
    served::Served,
};
use crate::{
    dialect::Fault,
    llm::Format,
    pipeline::{Asked, Target},
    provider::Operation,
    wire::envelope::Envelope,
};

/// Whether the body's model may stand for another one. A model in the path is the provider's own affair.
pub(super) fn maps(way: &Way) -> bool {
    let in_path = way.native.as_ref().is_some_and(|native| native.in_path);
    !way.profile.aiproxy.models.is_empty() && way.target.is_read() && !in_path
}

/// The way that a request takes once its model is known.
///
/// # Errors
///
/// If the table leads to a profile that is not served here, or around a transformer.
pub(super) fn mapped(
    served: &Served,
    mut way: Way,
    query: Option<&str>,
    body: &Bytes,
) -> Result<Way, Fault> {
    if !maps(&way) {
        return Ok(way);
    }
    let asked = match &way.asked {
        Asked::Named(model) => model.clone(),
        Asked::Body => Envelope::parse(body)
            .ok()
            .and_then(|envelope| envelope.read::<String>("model")),
    };
    let from = Arc::clone(&way.profile);
    let Some((glob, target)) = asked
        .as_deref()
        .and_then(|model| from.aiproxy.models.of(model))
    else {
        return Ok(way);
    };
    let named = target
        .split_once('/')
        .and_then(|(left, rest)| Some((served.find(left)?, Some(rest))));
    let (profile, model) = named
        .or_else(|| Some((served.find(target)?, None)))
        .unwrap_or_else(|| (Arc::clone(&from), Some(target)));
    let asked = Asked::Named(model.map(str::to_owned));
    if profile.name != from.name {
        if from.has_transformer() {
            return Err(Fault::invalid(
                400,
                format!(
                    "`[aiproxy.models]` of profile `{}` leads `{glob}` to profile `{}`: around the transformer that it has",
                    from.name, profile.name
                ),
            ));
        }
        let captures = std::mem::take(&mut way.captures);
        // Responses that were to be a conversation may be Responses there.
        let path = match &way.target {
            Target::Operation(..) if way.ingress.format() == Format::Responses => {
                Operation::Responses.path()
            }
            target => target.path(),
        };
        let way = Way::of(profile, path, query, asked)?;
        return Ok(Way { captures, ..way });
    }
    let own = from.ai_proxy.as_ref().and_then(|proxy| {
        let name = proxy.model.name.as_ref()?;
        name.as_literal()
    });
    if let (Some(own), Some(model)) = (own, model)
        && own != model
    {
        let names: Vec<String> = served.names().map(|name| format!("`{name}`")).collect();
        return Err(Fault::invalid(
            400,
            format!(
                "`[aiproxy.models]` of profile `{}` leads `{glob}` to `{}`, which is neither its own model `{own}` nor of a profile that is served here: {}",
                from.name,
                printable(target),
                names.join(", ")
            ),
        )
        .code("unknown_profile"));
    }
    way.asked = asked;
    Ok(way)
}
