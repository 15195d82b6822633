//! `/_aiproxy/profiles`: what is served, for whoever wants to ask one of them.

use http::Response;
use serde::Serialize;

use super::json_answer;
use crate::{
    profile::{Profile, RouteType, Vault, schema::values::LlmFormat},
    server::{app::refuse, served::Served},
    transport::Body,
};

#[derive(Serialize)]
struct List<'a> {
    /// The default one first.
    profiles: Vec<Told<'a>>,
}

/// A profile as others may know it.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    /// The provider, as people call it.
    label: &'a str,
    /// The model that is asked if a request names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// Kong's route type; none of a plain backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    route_type: Option<&'static str>,
    /// `openai`, or the provider's own format, if that is what its clients speak.
    format: &'static str,
    /// Whether it takes conversations.
    chat: bool,
    /// Why it cannot answer: a secret that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// All that are served.
pub(super) fn list(served: &Served, vault: &dyn Vault) -> Response<Body> {
    let profiles = served.iter().map(|profile| told(profile, vault)).collect();
    match serde_json::to_string(&List { profiles }) {
        Ok(json) => json_answer(json),
        Err(_) => refuse(crate::dialect::Fault::upstream(
            500,
            "the profiles cannot be listed",
        )),
    }
}

fn told<'a>(profile: &'a Profile, vault: &dyn Vault) -> Told<'a> {
    let proxy = profile.ai_proxy.as_ref();
    let named = proxy.and_then(|proxy| proxy.model.name.as_ref());
    let route_type = proxy.map(|proxy| proxy.route_type);
    let only = proxy.is_some_and(|proxy| proxy.model.options.upstream_url.is_some());
    Told {
        name: &profile.name,
        label: profile.label(),
        model: match named {
            Some(name) => Some(name.text()),
            None => profile.aiproxy.default_model.as_deref(),
        },
        route_type: route_type.map(RouteType::as_str),
        format: match proxy.map(|proxy| proxy.llm_format) {
            None | Some(LlmFormat::Openai) => "openai",
            Some(LlmFormat::Anthropic) => "anthropic",
            Some(LlmFormat::Gemini) => "gemini",
            Some(LlmFormat::Bedrock) => "bedrock",
            Some(LlmFormat::Cohere) => "cohere",
            Some(LlmFormat::Huggingface) => "huggingface",
        },
        chat: route_type
            .is_some_and(|own| own == RouteType::Chat || (own != RouteType::Preserve && !only)),
        missing: profile.unresolved(vault).map(|missing| missing.reason),
    }
}
