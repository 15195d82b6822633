//! The profile's `model.options` on a request (SPEC §1 `options`).

use serde_json::Value;

use super::{Inbound, route::Route};
use crate::{
    dialect::Fault,
    llm::{ChatRequest, EmbedRequest},
    profile::schema::values::OptionsMode,
    provider::Operation,
    wire::envelope::Envelope,
};

/// Sets them on a request in canonical form.
pub(super) fn on_chat(chat: &mut ChatRequest, inbound: &Inbound, route: &Route<'_>) {
    let (options, sampling) = (&route.options, &mut chat.sampling);
    let enforce = inbound.profile.aiproxy.options == OptionsMode::Enforce;
    fn put<T: Copy>(slot: &mut Option<T>, value: Option<T>, enforce: bool) {
        if let Some(value) = value
            && (enforce || slot.is_none())
        {
            *slot = Some(value);
        }
    }
    put(&mut sampling.max_tokens, options.max_tokens, enforce);
    put(&mut sampling.temperature, options.temperature, enforce);
    put(&mut sampling.top_p, options.top_p, enforce);
    put(&mut sampling.top_k, options.top_k, enforce);
}

/// Sets them on a request for embeddings in canonical form.
pub(super) fn on_embeddings(embed: &mut EmbedRequest, inbound: &Inbound, route: &Route<'_>) {
    let enforce = inbound.profile.aiproxy.options == OptionsMode::Enforce;
    if let Some(dimensions) = route.options.embeddings_dimensions
        && (enforce || embed.dimensions.is_none())
    {
        embed.dimensions = Some(dimensions);
    }
}

/// Sets them on a body. Those without a meaning for the operation are not sent.
pub(super) fn on_body(
    wire: &mut Envelope<'_>,
    inbound: &Inbound,
    route: &Route<'_>,
    model: &str,
) -> Result<(), Fault> {
    let options = &route.options;
    let enforce = inbound.profile.aiproxy.options == OptionsMode::Enforce;
    let operation = inbound.target.operation();
    let set = |wire: &mut Envelope<'_>, key: &'static str, value: Option<Value>| match value {
        Some(value) if enforce || !wire.has(key) => wire.set(key, &value),
        _ => Ok(()),
    };
    let generates = operation != Operation::Embeddings;
    let written = (|| {
        if generates && let Some(limit) = options.max_tokens {
            let name = limit_name(operation, route.provider.name(), model);
            let names = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
            if enforce || !names.iter().any(|name| wire.has(name)) {
                wire.set(name, &limit)?;
                for other in names.iter().filter(|other| **other != name) {
                    wire.remove(other);
                }
            }
        }
        if generates {
            set(wire, "temperature", options.temperature.map(Value::from))?;
            set(wire, "top_p", options.top_p.map(Value::from))?;
        }
        if matches!(operation, Operation::Chat | Operation::Completions) {
            set(wire, "top_k", options.top_k.map(Value::from))?;
        }
        if !generates {
            set(
                wire,
                "dimensions",
                options.embeddings_dimensions.map(Value::from),
            )?;
        }
        serde_json::Result::Ok(())
    })();
    written.map_err(|error| Fault::invalid(400, error.to_string()))
}

/// The field that limits the answer's tokens. OpenAI's reasoning models take `max_completion_tokens` alone:
/// <https://platform.openai.com/docs/api-reference/chat/create>.
fn limit_name(operation: Operation, provider: &str, model: &str) -> &'static str {
    let reasons = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| {
        model
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    });
    match operation {
        Operation::Responses => "max_output_tokens",
        Operation::Chat if reasons && matches!(provider, "openai" | "azure") => {
            "max_completion_tokens"
        }
        _ => "max_tokens",
    }
}
