//! Profile and request to a route: which provider, which model, with what options.

use std::borrow::Cow;

use http::HeaderMap;

use super::{Inbound, stored::Made};
use crate::{
    dialect::Fault,
    profile::{
        AiProxy, HttpUrl, Lookup, Template, TemplateError,
        schema::{kong, values::ResponseStreaming},
    },
    provider::{self, Call, Operation, Options, Provider},
    wire::envelope::Envelope,
};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An operation that aiproxy knows by its path, and what follows the path.
    Operation(Operation, String),
    /// How many tokens a conversation is, asked of whom does this operation, at this path.
    Count(Operation, String),
    /// Something of an answer that was made before.
    Made(Made),
    /// Any path, forwarded unread (`preserve`, `other_paths = "forward"`).
    Unread(String),
}

impl Target {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Target::Operation(operation, _) | Target::Count(operation, _) => *operation,
            Target::Unread(_) | Target::Made(_) => Operation::Preserve,
        }
    }

    /// Whether aiproxy reads the bodies.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Target::Operation(operation, _) => operation.is_read(),
            Target::Count(..) => true,
            Target::Unread(_) | Target::Made(_) => false,
        }
    }

    /// The path below the API root.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Target::Operation(_, path) | Target::Count(_, path) | Target::Unread(path) => path,
            Target::Made(made) => &made.path,
        }
    }
}

/// Who named the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// The body's `model`, if anything.
    #[default]
    Body,
    /// The routing by `PROFILE/MODEL` took the body's `model` apart; this is left of it.
    Named(Option<String>),
}

/// The operation that a path below `/{profile}` names: `[/v1]` and OpenAI's paths; nothing is the profile's own.
#[must_use]
pub fn operation_of(path: &str) -> Option<(Operation, &str)> {
    let below = path
        .strip_prefix("/v1")
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .unwrap_or(path);
    Some((Operation::of_path(below)?, below))
}

/// The fixed part of a route.
pub(super) struct Route<'a> {
    pub(super) proxy: &'a AiProxy,
    pub(super) provider: &'static dyn Provider,
    pub(super) auth: &'a kong::Auth,
    pub(super) options: Options,
    /// `model.name`, rendered.
    pub(super) model: Option<String>,
}

/// What the body decides.
pub(super) struct Decided {
    pub(super) model: String,
    pub(super) stream: bool,
    /// The request offers tools, or carries what came of them. Only known where the provider's format is not the client's.
    pub(super) tools: bool,
    /// The client speaks the provider's own format: its body passes unread.
    pub(super) native: bool,
    /// The client asked for the usage of a stream.
    pub(super) asked_usage: bool,
}

/// Finds the provider of a request and renders the templates.
pub(super) fn route(inbound: &Inbound) -> Result<Route<'_>, Fault> {
    let Some(proxy) = &inbound.profile.ai_proxy else {
        return Err(Fault::upstream(
            501,
            format!("profile `{}` has no [ai-proxy]", inbound.profile.name),
        ));
    };
    let request = Request {
        headers: &inbound.headers,
        query: inbound.query.as_deref(),
        captures: &inbound.captures,
    };
    let base_url = inbound.profile.aiproxy.base_url.as_ref();
    route_to(proxy, base_url, &request, inbound.target.operation())
}

/// The same for any model, whoever asks it; templates are filled in from `request`.
pub(super) fn route_to<'a>(
    proxy: &'a AiProxy,
    base_url: Option<&HttpUrl>,
    request: &Request<'_>,
    operation: Operation,
) -> Result<Route<'a>, Fault> {
    let name = proxy.model.provider.as_str();
    let provider = provider::find(name).ok_or_else(|| no_transformer(name, operation))?;
    let options =
        options(&proxy.model.options, base_url, request).map_err(|error| template_fault(&error))?;
    let name = proxy.model.name.as_ref();
    let model = name
        .map(|name| name.render(request).map(Cow::into_owned))
        .transpose()
        .map_err(|error| template_fault(&error))?;
    Ok(Route {
        proxy,
        provider,
        auth: &proxy.auth,
        options,
        model,
    })
}

/// What a provider looks at of a model's options, templates filled in from `request`.
///
/// # Errors
///
/// If the request has not what a template asks for. Every template is rendered, also one that this provider has no use for: Kong refuses
/// the request as well.
pub fn options(
    wire: &kong::Options,
    base_url: Option<&HttpUrl>,
    request: &dyn Lookup,
) -> Result<Options, TemplateError> {
    let render = |template: &Template| template.render(request).map(Cow::into_owned);
    let optional = |template: &Option<Template>| template.as_ref().map(render).transpose();
    let in_url = |template: &Option<Template>, before: &str| {
        let rendered = template
            .as_ref()
            .map(|template| template.render_in_url(request, before));
        Ok::<_, TemplateError>(rendered.transpose()?.map(Cow::into_owned))
    };
    // Where the profile's own text climbs, it means to.
    let steady = |field: &'static str, template: &Option<Template>, rendered: &Option<String>| {
        let climbs = |text: &str| provider::climbs(text.split('?').next().unwrap_or_default());
        let own = template.as_ref().is_some_and(|own| climbs(own.text()));
        if !own && rendered.as_deref().is_some_and(climbs) {
            return Err(TemplateError::Climbs(field));
        }
        Ok(())
    };
    let upstream_url = in_url(&wire.upstream_url, "")?;
    steady("upstream_url", &wire.upstream_url, &upstream_url)?;
    let upstream_path = in_url(&wire.upstream_path, "http://h/")?;
    steady("upstream_path", &wire.upstream_path, &upstream_path)?;
    for unused in [
        &wire.bedrock.video_output_s3_uri,
        &wire.bedrock.batch_bucket_prefix,
        &wire.bedrock.batch_role_arn,
    ] {
        optional(unused)?;
    }
    Ok(Options {
        max_tokens: wire.max_tokens,
        temperature: wire.temperature,
        top_p: wire.top_p,
        top_k: wire.top_k,
        embeddings_dimensions: wire.embeddings_dimensions,
        upstream_url,
        upstream_path,
        base_url: base_url.map(|url| url.as_str().to_owned()),
        azure_instance: optional(&wire.azure_instance)?,
        azure_deployment_id: optional(&wire.azure_deployment_id)?,
        azure_api_version: Some(render(&wire.azure_api_version)?),
        mistral_format: wire.mistral_format.map(|format| format.as_str().to_owned()),
        llama2_format: wire.llama2_format.map(|format| format.as_str().to_owned()),
        dashscope_international: wire.dashscope.international.unwrap_or(true),
        databricks_workspace: optional(&wire.databricks.workspace_instance_id)?,
        anthropic_version: optional(&wire.anthropic_version)?,
        gemini_endpoint: in_url(&wire.gemini.api_endpoint, "https://")?,
        gemini_project: optional(&wire.gemini.project_id)?,
        gemini_location: optional(&wire.gemini.location_id)?,
        gemini_endpoint_id: optional(&wire.gemini.endpoint_id)?,
        aws_region: optional(&wire.bedrock.aws_region)?,
        aws_role_arn: optional(&wire.bedrock.aws_assume_role_arn)?,
        aws_role_session_name: optional(&wire.bedrock.aws_role_session_name)?,
        aws_sts_endpoint: in_url(&wire.bedrock.aws_sts_endpoint_url, "")?,
        bedrock_normalize: wire.bedrock.embeddings_normalize,
        bedrock_latency: optional(&wire.bedrock.performance_config_latency)?,
        huggingface_use_cache: wire.huggingface.use_cache,
        huggingface_wait: wire.huggingface.wait_for_model,
        cohere_input_type: wire
            .cohere
            .embedding_input_type
            .map(|kind| kind.as_str().to_owned()),
        cohere_wait: wire.cohere.wait_for_model,
    })
}

/// Kong's refusal of an operation that a provider has not.
pub(super) fn no_transformer(provider: &str, operation: Operation) -> Fault {
    Fault::invalid(
        400,
        format!("no transformer for {provider}://{}", operation.route_type()),
    )
}

fn template_fault(error: &TemplateError) -> Fault {
    Fault::invalid(400, error.to_string())
}

/// Reads model and stream from the body, and holds them against the profile.
pub(super) fn decide(
    inbound: &Inbound,
    route: &Route<'_>,
    body: &Envelope<'_>,
) -> Result<Decided, Fault> {
    let native = inbound.native.as_ref();
    let asked = match &inbound.asked {
        Asked::Named(model) => model.clone(),
        Asked::Body => match native.and_then(|native| native.model.clone()) {
            Some(model) => Some(model),
            None => body.read::<Cow<'_, str>>("model").map(Cow::into_owned),
        },
    };
    let asked = asked.filter(|model| !model.is_empty());
    let default = || inbound.profile.aiproxy.default_model.clone();
    let model = match (&route.model, asked) {
        (Some(own), Some(asked)) if *own != asked => {
            return Err(Fault::invalid(
                400,
                format!("cannot use own model - must be: {own}"),
            ));
        }
        (Some(own), _) => own.clone(),
        (None, asked) => asked.or_else(default).ok_or_else(|| {
            Fault::invalid(
                400,
                "model parameter not found in request, nor in gateway configuration",
            )
        })?,
    };
    let of_path = native.and_then(|native| native.stream);
    let asked_stream = of_path.or_else(|| body.read("stream")).unwrap_or_default();
    let streams = !matches!(inbound.target.operation(), Operation::Embeddings);
    let stream = match route.proxy.response_streaming {
        ResponseStreaming::Deny if asked_stream => {
            return Err(Fault::invalid(
                400,
                "response streaming is not enabled for this LLM",
            ));
        }
        ResponseStreaming::Deny => false,
        ResponseStreaming::Allow => asked_stream && streams,
        ResponseStreaming::Always => streams,
    };
    let asked_usage = body
        .read::<serde_json::Value>("stream_options")
        .and_then(|options| options.get("include_usage")?.as_bool())
        .unwrap_or_default();
    let mut decided = Decided {
        model,
        stream,
        tools: false,
        native: inbound.native.is_some(),
        asked_usage,
    };
    let egress = route.provider.egress(&route.call(inbound, &decided));
    if egress.is_none_or(|egress| egress.format() != inbound.ingress.format()) {
        decided.native = false;
        decided.tools = carries_tools(body);
    }
    Ok(decided)
}

/// Whether tools are offered, or were called before. A text that merely talks of `"tool_calls"` counts too, which does no harm.
fn carries_tools(body: &Envelope<'_>) -> bool {
    let called = || {
        let messages = body.get("messages").or_else(|| body.get("input"));
        let messages = messages.unwrap_or_default();
        let words = ["\"tool_call", "\"tool_use\"", "\"function_call\""];
        words.iter().any(|word| messages.contains(word))
    };
    body.has("tools") && !body.is_empty_list("tools") || body.has("functions") || called()
}

impl Route<'_> {
    /// What the provider looks at.
    pub(super) fn call<'a>(&'a self, inbound: &'a Inbound, decided: &'a Decided) -> Call<'a> {
        let operation = inbound.target.operation();
        let native = inbound.native.as_ref().filter(|_| decided.native);
        let own_path = native.and_then(|native| native.path.as_deref());
        Call {
            operation,
            path: own_path.unwrap_or(operation.path()),
            model: &decided.model,
            stream: decided.stream,
            tools: decided.tools,
            native: own_path.is_some(),
            options: &self.options,
        }
    }
}

/// What templates see of a request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) query: Option<&'a str>,
    pub(super) captures: &'a [(String, String)],
}

impl Lookup for Request<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let direct = self.headers.get(name);
        let value = direct.or_else(|| {
            let same = |header: &http::HeaderName| header.as_str().replace('_', "-") == name;
            self.headers
                .iter()
                .find(|(header, _)| same(header))
                .map(|(_, value)| value)
        })?;
        Some(String::from_utf8_lossy(value.as_bytes()))
    }

    fn uri_capture(&self, name: &str) -> Option<Cow<'_, str>> {
        self.captures
            .iter()
            .find(|(capture, _)| capture == name)
            .map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        url::form_urlencoded::parse(self.query?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_operations() {
        for (path, expected) in [
            (
                "/v1/chat/completions",
                Some((Operation::Chat, "/chat/completions")),
            ),
            (
                "/chat/completions",
                Some((Operation::Chat, "/chat/completions")),
            ),
            (
                "/v1/embeddings",
                Some((Operation::Embeddings, "/embeddings")),
            ),
            ("/v1/files/f1", Some((Operation::Files, "/files/f1"))),
            ("/v1", None),
            ("/v1x/chat/completions", None),
            ("", None),
        ] {
            assert_eq!(operation_of(path), expected, "{path}");
        }
    }

    #[test]
    fn templates_see_headers_in_any_case_queries_decoded_and_captures() {
        let mut headers = HeaderMap::new();
        headers.insert("x_my_model", "m".parse().unwrap());
        let captures = [("region".to_owned(), "eu".to_owned())];
        let request = Request {
            headers: &headers,
            query: Some("a=b%20c&a=d"),
            captures: &captures,
        };
        assert_eq!(request.header("x-my-model").as_deref(), Some("m"));
        assert_eq!(request.query_param("a").as_deref(), Some("b c"));
        assert_eq!(request.query_param("z"), None);
        assert_eq!(request.uri_capture("region").as_deref(), Some("eu"));
    }
}
