//! The last steps that every call shares: model, options, departures, address, key.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use serde_json::{Map, Value};

use super::{
    Inbound, MODEL_HEADER, Outcome, Plan, Prepared,
    headers::{self, sensitive},
    inflate::{Coding, accepted},
    model_header,
    route::{Decided, Route, no_transformer},
    warnings::{self, WARNINGS},
};
use crate::{
    dialect::{Fault, Loss},
    profile::{
        Secret, SecretRef, UnresolvedSecret, Vault,
        schema::{
            kong::Auth,
            values::{AskUsage, OptionsMode, ParamLocation},
        },
    },
    provider::{self, Call, Operation},
    transport::{Body, Dial, full},
    wire::envelope::Envelope,
};

/// What aiproxy calls itself where the client named no agent.
pub(super) const AGENT: &str = concat!("aiproxy/", env!("CARGO_PKG_VERSION"));

/// A profile's key, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    header: Option<(HeaderName, HeaderValue)>,
    param: Option<(String, Secret, ParamLocation)>,
}

impl Secrets {
    /// The values, for what must not show them.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        let header = self.header.as_ref();
        let header = header.and_then(|(_, value)| std::str::from_utf8(value.as_bytes()).ok());
        let param = self.param.as_ref().map(|(_, value, _)| value.expose());
        header.into_iter().chain(param)
    }

    /// Name and place of the parameter, if there is one.
    pub(super) fn param(&self) -> Option<(&str, ParamLocation)> {
        let (name, _, location) = self.param.as_ref()?;
        Some((name, *location))
    }
}

/// Resolves the references of `auth`.
pub(super) async fn resolve(vault: &Arc<dyn Vault>, auth: &Auth) -> Outcome<Secrets> {
    let mut secrets = Secrets::default();
    if let (Some(name), Some(value)) = (&auth.header_name, &auth.header_value) {
        let name = secret(vault, name).await?;
        let name: HeaderName = name
            .expose()
            .parse()
            .map_err(|_| unsendable("auth.header_name"))?;
        let value = secret(vault, value).await?;
        let value = sensitive(value.expose()).ok_or_else(|| unsendable("auth.header_value"))?;
        secrets.header = Some((name, value));
    }
    if let (Some(name), Some(value), Some(location)) =
        (&auth.param_name, &auth.param_value, auth.param_location)
    {
        let name = secret(vault, name).await?.expose().to_owned();
        secrets.param = Some((name, secret(vault, value).await?, location));
    }
    Ok(secrets)
}

/// Resolves one reference. Files and key rings can block, so they are asked off the async threads.
async fn secret(vault: &Arc<dyn Vault>, reference: &SecretRef) -> Outcome<Secret> {
    let resolved = if reference
        .references()
        .all(|reference| reference.variable().is_some())
    {
        reference.resolve(&**vault)
    } else {
        let (vault, reference) = (Arc::clone(vault), reference.clone());
        let asked = tokio::task::spawn_blocking(move || reference.resolve(&*vault)).await;
        asked.map_err(|_| configuration("a secret could not be read".into()))?
    };
    resolved.map_err(|error: UnresolvedSecret| configuration(error.to_string()).into())
}

fn configuration(message: String) -> Fault {
    Fault {
        kind: "configuration_error".into(),
        ..Fault::upstream(500, message)
    }
}

fn unsendable(key: &str) -> Fault {
    configuration(format!(
        "the value of `{key}` cannot be sent in a header: it holds a character that headers cannot hold"
    ))
}

/// Puts a call together whose body aiproxy reads. Pure.
pub(super) fn compose(
    inbound: &Inbound,
    route: &Route<'_>,
    decided: &Decided,
    request: Envelope<'_>,
    body: &Bytes,
    secrets: &Secrets,
    now: SystemTime,
) -> Outcome<Prepared> {
    let operation = inbound.target.operation();
    let egress = route.provider.egress(operation, &route.options);
    // Responses pass unread between client and provider of OpenAI's API; the other read operations need a reader.
    if egress.is_none() && !(operation == Operation::Responses && route.provider.forwards_unread())
    {
        return Err(no_transformer(route.provider.name(), operation).into());
    }
    let same_format = egress.is_none_or(|egress| egress.format() == inbound.ingress.format());
    let call = Call {
        operation,
        path: operation.path(),
        model: &decided.model,
        stream: decided.stream,
        options: &route.options,
    };
    let uri = provider::uri(route.provider, &call)?;
    let host = uri.host().unwrap_or_default();

    let mut lost = Vec::new();
    let encoded;
    let (mut wire, original) = match egress.filter(|_| !same_format) {
        None => (request, body),
        Some(egress) => {
            drop(request);
            let chat = inbound
                .ingress
                .decode_request(body)
                .map_err(|error| Fault::invalid(400, error.to_string()))?;
            let translated = egress
                .encode_request(&chat)
                .map_err(|error| Fault::invalid(400, error.to_string()))?;
            lost.extend(translated.lost);
            encoded = translated.body;
            let wire = Envelope::parse(&encoded)
                .map_err(|error| Fault::invalid(400, error.to_string()))?;
            (wire, &encoded)
        }
    };
    let set = |wire: &mut Envelope<'_>, key: &'static str, value: &Value| {
        wire.set(key, value)
            .map_err(|error| Fault::invalid(400, error.to_string()))
    };
    set(&mut wire, "model", &decided.model.as_str().into())?;
    if decided.stream && wire.read::<bool>("stream") != Some(true) {
        set(&mut wire, "stream", &true.into())?;
    }
    apply_options(&mut wire, inbound, route, &decided.model)?;
    let asks = match inbound.profile.aiproxy.ask_usage {
        AskUsage::Auto => route.provider.takes_stream_options(host),
        AskUsage::Always => true,
        AskUsage::Never => false,
    };
    let reads_usage = matches!(operation, Operation::Chat | Operation::Completions);
    let hide_usage = decided.stream && reads_usage && asks && !decided.asked_usage;
    if hide_usage {
        let mut options = wire
            .read::<Map<String, Value>>("stream_options")
            .unwrap_or_default();
        options.insert("include_usage".into(), true.into());
        set(&mut wire, "stream_options", &options.into())?;
    }
    route.provider.adjust(&mut wire, &call, host, &mut lost);
    let allow_override = route.auth.allow_override;
    if let Some((name, value, ParamLocation::Body)) = &secrets.param
        && !(allow_override && wire.has(name))
    {
        wire.set(name.clone(), value.expose())
            .map_err(|error| Fault::invalid(400, error.to_string()))?;
    }
    let wire = wire.finish(original);

    let mut headers = headers::upstream(&inbound.headers, allow_override);
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    if decided.stream {
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("text/event-stream"));
    }
    let accepts = accepted(&inbound.headers);
    // A compressed stream arrives in lumps (TRAPS 2.13).
    let coding = if decided.stream || accepts.is_empty() {
        "identity".to_owned()
    } else {
        Coding::list(&accepts)
    };
    headers.insert(
        ACCEPT_ENCODING,
        HeaderValue::from_str(&coding).unwrap_or(HeaderValue::from_static("identity")),
    );
    put_key(&mut headers, secrets, allow_override);
    route.provider.headers(&mut headers, &wire, &call, now);

    let uri = with_query(
        uri,
        inbound,
        secrets,
        allow_override,
        route.provider.query(&call),
    )?;
    let plan = Plan {
        keep_cookies: false,
        exceeded: None,
        seen_model: None,
        ingress: inbound.ingress,
        provider: route.provider.name(),
        egress,
        operation,
        same_format,
        stream: decided.stream,
        hide_usage,
        show_usage: decided.asked_usage,
        accepts,
        idle_timeout: inbound.profile.aiproxy.idle_timeout,
        headers: answer_headers(route, &decided.model, &lost),
    };
    let request = assemble(http::Method::POST, uri, headers, full(wire.clone()));
    Ok(Prepared {
        request,
        wire: Some(wire),
        dial: dial(inbound, decided.stream),
        plan,
    })
}

/// Sets the profile's options on a body (SPEC §1 `options`). Those without a meaning for the operation are not sent.
fn apply_options(
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

/// The profile's header, unless the client's own of that name may stand.
pub(super) fn put_key(headers: &mut HeaderMap, secrets: &Secrets, allow_override: bool) {
    if let Some((name, value)) = &secrets.header
        && !(allow_override && headers.contains_key(name))
    {
        headers.insert(name.clone(), value.clone());
    }
}

/// The upstream's URL with the client's query and the profile's parameter.
pub(super) fn with_query(
    uri: Uri,
    inbound: &Inbound,
    secrets: &Secrets,
    allow_override: bool,
    own: Option<(&'static str, String)>,
) -> Result<Uri, Fault> {
    let param = secrets
        .param
        .as_ref()
        .filter(|(.., location)| *location == ParamLocation::Query);
    let client = inbound.query.as_deref();
    let stands = param.is_some_and(|(name, ..)| allow_override && headers::has(client, name));
    let mut removed = Vec::new();
    if !allow_override {
        removed.push("key");
    }
    if let Some((name, ..)) = param.filter(|_| !stands) {
        removed.push(name.as_str());
    }
    let of_url = uri.query().map(str::to_owned);
    let own = own
        .filter(|(name, _)| !headers::has(client, name) && !headers::has(of_url.as_deref(), name));
    let mut query: Vec<String> = of_url
        .into_iter()
        .chain(headers::without(client, &removed))
        .collect();
    let added = own.iter().map(|(name, value)| (*name, value.as_str()));
    let key = param
        .filter(|_| !stands)
        .map(|(name, value, _)| (name.as_str(), value.expose()));
    for (name, value) in added.chain(key) {
        let mut pair = url::form_urlencoded::Serializer::new(String::new());
        query.push(pair.append_pair(name, value).finish());
    }
    if query.is_empty() {
        return Ok(uri);
    }
    let path_and_query = format!("{}?{}", uri.path(), query.join("&"));
    let mut parts = uri.into_parts();
    // No text of the error: the query can hold a key.
    let broken = || {
        Fault::invalid(
            400,
            "the query cannot be sent on: it holds a character that URLs cannot hold",
        )
    };
    parts.path_and_query = Some(path_and_query.parse().map_err(|_| broken())?);
    Uri::from_parts(parts).map_err(|_| broken())
}

/// What aiproxy adds to an answer.
fn answer_headers(route: &Route<'_>, model: &str, lost: &[Loss]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = warnings::header(lost) {
        headers.insert(WARNINGS, value);
    }
    if route.proxy.model_name_header
        && !model.is_empty()
        && let Some(value) = model_header(route.provider.name(), model)
    {
        headers.insert(MODEL_HEADER, value);
    }
    headers
}

pub(super) fn dial(inbound: &Inbound, stream: bool) -> Dial {
    let settings = &inbound.profile.aiproxy;
    Dial {
        http2: settings.http2,
        connect_timeout: settings.connect_timeout,
        first_byte_timeout: settings.first_byte_timeout,
        stream,
        ..Dial::default()
    }
}

pub(super) fn assemble(
    method: http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::openai_chat::OpenAiChat,
        pipeline::{Asked, checks, route},
        profile::{
            Origin,
            load::{Input, load},
            source::Syntax,
        },
    };

    /// Composes `body` through an OpenAI profile with these lines under `[ai-proxy.model.options]` and `[aiproxy]`.
    fn composed(options: &str, settings: &str, body: &str, query: Option<&str>) -> Prepared {
        let text = format!(
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n\
             [ai-proxy.model.options]\n{options}\n[aiproxy]\n{settings}\n"
        );
        let origin = Origin::BuiltIn;
        let profile = load(Input {
            name: "test",
            origin: &origin,
            syntax: Syntax::Toml,
            bytes: text.as_bytes(),
        });
        let inbound = Inbound {
            profile: Arc::new(profile.unwrap()),
            ingress: &OpenAiChat,
            target: route::Target::Operation(Operation::Chat, "/chat/completions".into()),
            asked: Asked::Body,
            method: http::Method::POST,
            query: query.map(str::to_owned),
            headers: HeaderMap::new(),
            captures: Vec::new(),
        };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = checks::check(&inbound, &body).unwrap();
        let route = route::route(&inbound).unwrap();
        let decided = route::decide(&inbound, &route, &request).unwrap();
        let now = SystemTime::UNIX_EPOCH;
        let secrets = Secrets::default();
        compose(&inbound, &route, &decided, request, &body, &secrets, now).unwrap()
    }

    fn wire(options: &str, settings: &str, body: &str) -> String {
        let wire = composed(options, settings, body, None).wire.unwrap();
        String::from_utf8(wire.to_vec()).unwrap()
    }

    const ASK: &str = r#""messages":[{"role":"user","content":"x"}]"#;

    #[test]
    fn a_body_that_no_rule_touches_keeps_its_bytes() {
        let body = format!("{{ \"model\" : \"m\", \"x\": 1.00, {ASK} }}");
        assert_eq!(wire("", "", &body), body);
    }

    #[test]
    fn options_win_or_fill_in() {
        let body = format!(r#"{{"model":"m",{ASK},"temperature":0.1,"max_completion_tokens":7}}"#);
        assert_eq!(
            wire("max_tokens = 5\ntemperature = 0.5\ntop_p = 0.9", "", &body),
            format!(r#"{{"model":"m",{ASK},"temperature":0.5,"max_tokens":5,"top_p":0.9}}"#)
        );
        assert_eq!(
            wire(
                "max_tokens = 5\ntemperature = 0.5\ntop_p = 0.9",
                "options = \"default\"",
                &body
            ),
            format!(
                r#"{{"model":"m",{ASK},"temperature":0.1,"max_completion_tokens":7,"top_p":0.9}}"#
            )
        );
    }

    #[test]
    fn the_limit_has_the_name_that_the_model_takes() {
        for (model, name) in [
            ("gpt-4o", "max_tokens"),
            ("o3-mini", "max_completion_tokens"),
            ("gpt-5", "max_completion_tokens"),
            ("gpt-5.1", "max_completion_tokens"),
            ("gpt-50", "max_tokens"),
            ("o1x", "max_tokens"),
        ] {
            let body = format!(r#"{{"model":"{model}",{ASK}}}"#);
            let sent = wire("max_tokens = 5", "", &body);
            assert!(sent.ends_with(&format!(r#","{name}":5}}"#)), "{sent}");
        }
    }

    #[test]
    fn top_k_is_dropped_for_openai_alone_and_said() {
        let body = format!(r#"{{"model":"m",{ASK},"top_k":5}}"#);
        let prepared = composed("", "", &body, None);
        assert!(!String::from_utf8_lossy(&prepared.wire.unwrap()).contains("top_k"));
        assert_eq!(prepared.plan.headers[WARNINGS], "dropped:top_k");
        let prepared = composed(
            "",
            "base_url = \"https://api.groq.com/openai/v1\"",
            &body,
            None,
        );
        assert!(String::from_utf8_lossy(&prepared.wire.unwrap()).contains("top_k"));
        assert!(!prepared.plan.headers.contains_key(WARNINGS));
    }

    #[test]
    fn usage_is_asked_of_known_hosts_and_by_wish() {
        let body = format!(r#"{{"model":"m",{ASK},"stream":true}}"#);
        let asks = |settings: &str| wire("", settings, &body).contains("include_usage");
        assert!(asks(""), "api.openai.com is known");
        assert!(!asks("base_url = \"http://127.0.0.1:9/v1\""));
        assert!(asks(
            "base_url = \"http://127.0.0.1:9/v1\"\nask_usage = \"always\""
        ));
        assert!(!asks("ask_usage = \"never\""));
        let own = format!(
            r#"{{"model":"m",{ASK},"stream":true,"stream_options":{{"x":1,"include_usage":false}}}}"#
        );
        let sent = wire("", "", &own);
        assert!(
            sent.ends_with(r#""stream_options":{"x":1,"include_usage":true}}"#),
            "{sent}"
        );
        assert!(composed("", "", &own, None).plan.hide_usage);
    }

    #[test]
    fn the_clients_query_goes_along_without_its_key() {
        let body = format!(r#"{{"model":"m",{ASK}}}"#);
        let prepared = composed(
            "upstream_url = \"http://h/p?own=1\"",
            "",
            &body,
            Some("a=b%20c&key=secret&d"),
        );
        assert_eq!(prepared.request.uri(), "http://h/p?own=1&a=b%20c&d");
    }
}
