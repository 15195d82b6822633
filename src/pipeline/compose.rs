//! The last steps that every call shares: model, options, departures, address, key.

use std::time::SystemTime;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use serde_json::{Map, Value};

use super::{
    Called, Inbound, MODEL_HEADER, Outcome, Plan, Prepared, headers,
    inflate::{Coding, accepted},
    model_header,
    route::{Decided, Route, no_transformer},
    secrets::Secrets,
    settings,
    warnings::warn,
};
use crate::{
    dialect::{self, Echo, Egress, Encoded, Fault, Loss, Restore},
    exchange::ExchangeId,
    llm::{EmbedRequest, Format},
    profile::schema::values::{AskUsage, ParamLocation},
    provider::{self, Operation, Provider},
    transport::{Body, Dial, full},
    wire::envelope::Envelope,
};

/// What aiproxy calls itself where the client named no agent.
pub(super) const AGENT: &str = concat!("aiproxy/", env!("CARGO_PKG_VERSION"));

/// All that a call is put together from, beside its body.
pub(super) struct Ingredients<'a> {
    pub(super) inbound: &'a Inbound,
    pub(super) route: &'a Route<'a>,
    pub(super) decided: &'a Decided,
    pub(super) secrets: &'a Secrets,
    pub(super) now: SystemTime,
    /// The exchange's id, where there is an exchange.
    pub(super) exchange: Option<ExchangeId>,
}

/// Puts a call together whose body aiproxy reads. Pure.
pub(super) fn compose(
    asked: &Ingredients<'_>,
    request: Envelope<'_>,
    body: &Bytes,
) -> Outcome<Prepared> {
    let Ingredients {
        inbound,
        route,
        decided,
        secrets,
        now,
        ..
    } = *asked;
    let operation = inbound.target.operation();
    let call = route.call(inbound, decided);
    let egress = route.provider.egress(&call);
    if egress.is_none() {
        return Err(no_transformer(route.provider.name(), operation).into());
    }
    let native = decided.native;
    let same_format =
        native || egress.is_none_or(|egress| egress.format() == inbound.ingress.format());
    let uri = provider::uri(route.provider, &call)?;
    let host = uri.host().unwrap_or_default();

    let translated = match egress.filter(|_| !same_format) {
        Some(egress) => Some(translate(asked, egress, body)?),
        None => None,
    };
    let unwritable = |error: serde_json::Error| Fault::invalid(400, error.to_string());
    let (mut wire, original) = match &translated {
        None => (request, body),
        Some(translated) => {
            drop(request);
            let body = &translated.encoded.body;
            (Envelope::parse(body).map_err(unwritable)?, body)
        }
    };
    let set = |wire: &mut Envelope<'_>, key: &'static str, value: &Value| {
        wire.set(key, value).map_err(unwritable)
    };
    let in_path = inbound.native.as_ref().is_some_and(|native| native.in_path);
    if same_format && !in_path {
        set(&mut wire, "model", &decided.model.as_str().into())?;
    }
    if same_format && decided.stream && !in_path && wire.read::<bool>("stream") != Some(true) {
        set(&mut wire, "stream", &true.into())?;
    }
    if same_format && !native {
        settings::on_body(&mut wire, inbound, route, &decided.model)?;
    }
    let asks = match inbound.profile.aiproxy.ask_usage {
        AskUsage::Auto => route.provider.takes_stream_options(host),
        AskUsage::Always => true,
        AskUsage::Never => false,
    };
    let reads_usage = matches!(operation, Operation::Chat | Operation::Completions)
        && egress.is_some_and(|egress| egress.format() == Format::OpenAi);
    let hide_usage = decided.stream && reads_usage && asks && !decided.asked_usage;
    if hide_usage {
        let mut options = wire
            .read::<Map<String, Value>>("stream_options")
            .unwrap_or_default();
        options.insert("include_usage".into(), true.into());
        set(&mut wire, "stream_options", &options.into())?;
    }
    let mut lost = translated
        .as_ref()
        .map(|translated| translated.encoded.lost.clone())
        .unwrap_or_default();
    if !native {
        route.provider.adjust(&mut wire, &call, host, &mut lost);
    }
    let allow_override = route.auth.allow_override;
    if let Some((name, value, ParamLocation::Body)) = &secrets.param
        && !(allow_override && wire.has(name))
    {
        wire.set(name.clone(), value.expose()).map_err(unwritable)?;
    }
    let wire = wire.finish(original);

    let mut headers = headers::upstream(&inbound.headers, allow_override);
    let mut foreign: &[&str] = &[];
    if !same_format {
        headers::forget(&mut headers, |name| inbound.ingress.owns_header(name));
        foreign = inbound.ingress.own_query();
    }
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    if decided.stream && same_format && !native {
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
    route.provider.headers(&mut headers, &call);

    let own = route.provider.query(&call).filter(|_| !call.native);
    let uri = with_query(uri, inbound, secrets, allow_override, own, foreign)?;
    let request = assemble(http::Method::POST, uri, headers, full(wire.clone()));
    let request = sign(request, &wire, route.provider, secrets, now)?;
    // Answers that go on as they come repeat what they repeat.
    let writes = !same_format || inbound.profile.ai_response_transformer.is_some();
    let echo = writes.then(|| inbound.ingress.echo(body));
    let mut echo = echo.unwrap_or_default();
    if let Some(earlier) = &inbound.earlier {
        echo.set("previous_response_id", earlier.id().into());
    }
    let mut plan = Plan {
        echo,
        hide_usage,
        accepts,
        ..plan(asked, egress, same_format, lost)
    };
    if let Some(translated) = translated {
        plan.restore = translated.encoded.restore;
        plan.embeds = translated.embeds;
        plan.called.limit = translated.limit;
    }
    Ok(Prepared {
        request,
        wire: Some(wire),
        dial: dial(inbound, decided.stream),
        plan: Box::new(plan),
    })
}

/// What to make of the answer, as far as that does not hang on the body.
pub(super) fn plan(
    asked: &Ingredients<'_>,
    egress: Option<&'static dyn Egress>,
    same_format: bool,
    lost: Vec<Loss>,
) -> Plan {
    // An answer that goes on as it came has a name.
    let called = if same_format && !asked.inbound.profile.has_transformer() {
        Called::default()
    } else {
        called(asked)
    };
    let Ingredients {
        inbound,
        route,
        decided,
        ..
    } = *asked;
    Plan {
        ingress: inbound.ingress,
        provider: route.provider.name(),
        egress,
        operation: inbound.target.operation(),
        same_format,
        stream: decided.stream,
        restore: Restore::default(),
        echo: Echo::default(),
        called: Called {
            versioned: egress.is_some_and(Egress::names_version),
            ..called
        },
        embeds: None,
        hide_usage: false,
        show_usage: decided.asked_usage,
        accepts: Vec::new(),
        idle_timeout: inbound.profile.aiproxy.idle_timeout,
        headers: answer_headers(route, &decided.model, &lost),
        lost,
        keep_cookies: false,
        exceeded: None,
        seen_model: None,
        filter: None,
    }
}

/// A request in the provider's words.
struct Translated {
    encoded: Encoded,
    /// What was asked, where it was embeddings.
    embeds: Option<Box<EmbedRequest>>,
    /// Most tokens that are asked for.
    limit: Option<u64>,
}

fn translate(
    asked: &Ingredients<'_>,
    egress: &dyn Egress,
    body: &Bytes,
) -> Result<Translated, Fault> {
    let Ingredients {
        inbound,
        route,
        decided,
        ..
    } = *asked;
    let provider = route.provider.name();
    let refused = |error: dialect::Error| {
        let message = match error {
            dialect::Error::Malformed(why) => why,
            dialect::Error::Unsupported { what } => format!("{provider} cannot take {what}"),
        };
        Fault::invalid(400, message)
    };
    if inbound.target.operation() == Operation::Embeddings {
        let mut embed = inbound.ingress.decode_embeddings(body).map_err(refused)?;
        embed.model = Some(decided.model.clone());
        settings::on_embeddings(&mut embed, inbound, route);
        return Ok(Translated {
            encoded: egress.encode_embeddings(&embed).map_err(refused)?,
            embeds: Some(Box::new(embed)),
            limit: None,
        });
    }
    let mut chat = inbound.ingress.decode_request(body).map_err(refused)?;
    chat.model = Some(decided.model.clone());
    chat.stream = decided.stream;
    // Clients of formats that always tell the usage did not ask for it.
    let never = inbound.profile.aiproxy.ask_usage == AskUsage::Never;
    chat.stream_usage &= !never || decided.asked_usage;
    if egress.format() != inbound.ingress.format() {
        inbound.ingress.leave(&mut chat).map_err(refused)?;
    }
    settings::on_chat(&mut chat, inbound, route);
    Ok(Translated {
        encoded: egress.encode_request(&chat).map_err(refused)?,
        embeds: None,
        limit: chat.sampling.max_tokens,
    })
}

/// What a translated answer is called where the provider has no name for it.
fn called(asked: &Ingredients<'_>) -> Called {
    let prefix = match asked.inbound.target.operation() {
        _ if asked.inbound.ingress.format() == Format::Responses => "resp_",
        _ if asked.inbound.ingress.format() == Format::Anthropic => "msg_",
        Operation::Completions => "cmpl-",
        _ => "chatcmpl-",
    };
    let since = asked.now.duration_since(SystemTime::UNIX_EPOCH);
    Called {
        id: match asked.exchange {
            Some(exchange) => format!("{prefix}{exchange}"),
            None => prefix.to_owned(),
        },
        own_id: asked.inbound.ingress.format() == Format::Responses,
        model: asked.decided.model.clone(),
        created: since.unwrap_or_default().as_secs(),
        ..Called::default()
    }
}

/// Puts on what the cloud gave, where it gave something.
pub(super) fn sign(
    request: http::Request<Body>,
    body: &[u8],
    provider: &dyn Provider,
    secrets: &Secrets,
    now: SystemTime,
) -> Result<http::Request<Body>, Fault> {
    let Some(credential) = &secrets.cloud else {
        return Ok(request);
    };
    let (mut parts, payload) = request.into_parts();
    provider.sign(&mut parts, body, credential, now)?;
    Ok(http::Request::from_parts(parts, payload))
}

/// The profile's header, unless the client's own of that name may stand.
pub(super) fn put_key(headers: &mut HeaderMap, secrets: &Secrets, allow_override: bool) {
    if let Some((name, value)) = &secrets.header
        && !(allow_override && headers.contains_key(name))
    {
        headers.insert(name.clone(), value.clone());
    }
}

/// The upstream's URL with the client's query, without its `foreign` parameters, and the profile's own.
pub(super) fn with_query(
    uri: Uri,
    inbound: &Inbound,
    secrets: &Secrets,
    allow_override: bool,
    own: Option<(&'static str, String)>,
    foreign: &[&str],
) -> Result<Uri, Fault> {
    let param = secrets
        .param
        .as_ref()
        .filter(|(.., location)| *location == ParamLocation::Query);
    let client = inbound.query.as_deref();
    let stands = param.is_some_and(|(name, ..)| allow_override && headers::has(client, name));
    let mut removed = foreign.to_vec();
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
    let mut headers = HeaderMap::with_capacity(2);
    warn(lost, &mut headers);
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
mod tests;
