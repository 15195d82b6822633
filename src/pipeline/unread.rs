//! Calls whose bodies aiproxy does not read: method, path, query and body go on as they are.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, USER_AGENT},
};
use http_body_util::{BodyExt, Limited};

use super::{
    Called, Inbound, Outcome, Payload, Plan, Prepared,
    capped::Capped,
    compose::{AGENT, assemble, dial, put_key, sign, with_query},
    glance::{Glance, SeenModel},
    headers,
    inflate::{Coding, accepted},
    route::{Route, Target, no_transformer},
    secrets::Secrets,
    too_large,
};
use crate::{
    dialect::{Echo, Fault, Restore},
    keys::Credential,
    provider::{self, Call, Operation},
    transport::{Body, full},
};

/// The largest body that is held to be signed where the profile sets no limit.
const MOST_SIGNED: usize = 64 << 20;

/// How long such a body may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the provider looks at.
pub(super) fn call<'a>(inbound: &'a Inbound, route: &'a Route<'_>) -> Call<'a> {
    Call {
        operation: inbound.target.operation(),
        path: inbound.target.path(),
        model: route.model.as_deref().unwrap_or_default(),
        stream: false,
        tools: false,
        native: false,
        options: &route.options,
    }
}

/// To a provider, with the profile's key.
pub(super) async fn forward(
    inbound: &Inbound,
    route: &Route<'_>,
    payload: Payload,
    secrets: &Secrets,
    now: SystemTime,
) -> Outcome<Prepared> {
    let operation = inbound.target.operation();
    if !route.provider.forwards_unread(operation) || inbound.target.is_read() {
        return Err(no_transformer(route.provider.name(), operation).into());
    }
    let call = call(inbound, route);
    let uri = match &inbound.target {
        Target::Operation(..) | Target::Count(..) => provider::uri(route.provider, &call)?,
        Target::Unread(path) => provider::unread_uri(route.provider, &call, path)?,
        Target::Made(made) => provider::unread_uri(route.provider, &call, &made.path)?,
    };
    let allow_override = route.auth.allow_override;
    let mut sent = headers::upstream(&inbound.headers, allow_override);
    codings(inbound, &payload, &mut sent);
    sent.entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    put_key(&mut sent, secrets, allow_override);
    route.provider.headers(&mut sent, &call);
    let query = route.provider.query(&call);
    let uri = with_query(uri, inbound, secrets, allow_override, query, &[])?;
    let seen = SeenModel::default();
    let watches = route.proxy.model_name_header && headers::is_json(&inbound.headers);
    let wire = payload.whole();
    let mut body = bytes_of(payload);
    let mut exceeded = None;
    let limit = route.proxy.max_request_body_size;
    if inbound.profile.states_body_limit && limit > 0 {
        if http_body::Body::size_hint(&body).lower() > limit {
            return Err(too_large().into());
        }
        let flag = Arc::new(AtomicBool::new(false));
        body = Capped::new(body, limit, Arc::clone(&flag)).boxed_unsync();
        exceeded = Some(flag);
    }
    if watches {
        body = Glance::new(body, Arc::clone(&seen)).boxed_unsync();
    }
    let mut plan = plan(inbound, route.provider.name(), operation);
    plan.exceeded = exceeded;
    plan.seen_model = watches.then_some(seen);
    // A signature covers the bytes, so they have to be there.
    let mut whole = Bytes::new();
    if matches!(secrets.cloud, Some(Credential::Aws(_))) {
        let most = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let most = most.unwrap_or(MOST_SIGNED);
        let read =
            tokio::time::timeout(PATIENCE, Limited::new(body, most).boxed_unsync().collect());
        let read = read.await.map_err(|_| {
            Fault::invalid(408, "the request's body did not come in time to be signed")
        })?;
        whole = read.map_err(|_| too_large())?.to_bytes();
        body = full(whole.clone());
    }
    let request = assemble(inbound.method.clone(), uri, sent, body);
    Ok(Prepared {
        request: sign(request, &whole, route.provider, secrets, now)?,
        wire,
        dial: dial(inbound, false),
        plan: Box::new(plan),
    })
}

/// To a plain HTTP backend: everything goes through, the client's own credentials and cookies included. Pure.
pub(super) fn plain(inbound: &Inbound, url: &str, payload: Payload) -> Outcome<Prepared> {
    let (base, own) = url
        .split_once('?')
        .map_or((url, None), |(base, own)| (base, Some(own)));
    let path = inbound.target.path();
    provider::steady(path)?;
    let queries: Vec<&str> = own.into_iter().chain(inbound.query.as_deref()).collect();
    let mut target = format!("{}{path}", base.trim_end_matches('/'));
    if !queries.is_empty() {
        target.push('?');
        target.push_str(&queries.join("&"));
    }
    let uri: Uri = target.parse().map_err(|_| {
        Fault::invalid(
            400,
            "the path cannot be sent on: it holds a character that URLs cannot hold",
        )
    })?;
    let mut sent = headers::end_to_end(&inbound.headers);
    sent.remove(http::header::HOST);
    let wire = payload.whole();
    if wire.is_some() {
        sent.remove(CONTENT_ENCODING);
    }
    if inbound.profile.ai_response_transformer.is_some() {
        readable(inbound, &mut sent);
    }
    let mut plan = plan(inbound, "", Operation::Preserve);
    plan.keep_cookies = true;
    Ok(Prepared {
        request: assemble(inbound.method.clone(), uri, sent, bytes_of(payload)),
        wire,
        dial: dial(inbound, false),
        plan: Box::new(plan),
    })
}

/// What is not read needs not be inflated here: codings are between client and upstream.
fn codings(inbound: &Inbound, payload: &Payload, sent: &mut HeaderMap) {
    let kept = [
        (CONTENT_ENCODING, payload.whole().is_none()),
        (ACCEPT_ENCODING, true),
    ];
    for (name, _) in kept.into_iter().filter(|(_, kept)| *kept) {
        for value in inbound.headers.get_all(&name) {
            sent.append(name.clone(), value.clone());
        }
    }
    if inbound.profile.ai_response_transformer.is_some() {
        readable(inbound, sent);
    }
}

/// An answer that an LLM is to see has to come in a coding that can be undone here.
fn readable(inbound: &Inbound, sent: &mut HeaderMap) {
    let known = Coding::list(&accepted(&inbound.headers));
    let coding = if known.is_empty() { "identity" } else { &known };
    let identity = HeaderValue::from_static("identity");
    sent.insert(
        ACCEPT_ENCODING,
        HeaderValue::from_str(coding).unwrap_or(identity),
    );
}

fn bytes_of(payload: Payload) -> Body {
    match payload {
        Payload::Whole(bytes) => full(bytes),
        Payload::Stream(body) => body,
    }
}

pub(super) fn plan(inbound: &Inbound, provider: &'static str, operation: Operation) -> Plan {
    Plan {
        ingress: inbound.ingress,
        provider,
        egress: None,
        operation,
        same_format: true,
        stream: false,
        restore: Restore::default(),
        echo: Echo::default(),
        called: Called::default(),
        embeds: None,
        hide_usage: false,
        show_usage: false,
        accepts: Vec::new(),
        idle_timeout: inbound.profile.aiproxy.idle_timeout,
        headers: HeaderMap::new(),
        keep_cookies: false,
        exceeded: None,
        seen_model: None,
        lost: Vec::new(),
        filter: None,
    }
}
