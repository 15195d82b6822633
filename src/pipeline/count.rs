//! How many tokens a request is: of Messages, <https://platform.claude.com/docs/en/api/messages-count-tokens>, and of Responses,
//! <https://developers.openai.com/api/docs/guides/token-counting>.
//!
//! It always gets an answer (TRAPS 2.7). Where the provider counts, its count goes through; where it does not, or fails, the texts are
//! counted here, and the answer says so. What it fails of is no failure of an exchange.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    Asked, Env, Inbound, Outcome, Payload, Prepared,
    answer::{collect, returned},
    checks,
    headers::downstream,
    noting, route, secrets, stored,
    unread::{self, forward},
};
use crate::{
    dialect::Fault,
    exchange::{Head, Prompt, Recorder, Stage},
    llm::Format,
    pipeline::Target,
    provider::Operation,
    transport::Body,
    wire::envelope::Envelope,
};

/// A client that asks before each turn does not wait for long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What exchanges of these kinds are called.
const OF_MESSAGES: &str = "llm/v1/chat/count_tokens";
const OF_RESPONSES: &str = "llm/v1/responses/input_tokens";

/// Where OpenAI counts, and those who have its Responses.
const PATH: &str = "/v1/responses/input_tokens";

/// Counts a request's tokens.
///
/// # Errors
///
/// If the body is no request.
pub async fn count(
    env: Env<'_>,
    inbound: Inbound,
    body: Bytes,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let Some(recorder) = slot.as_mut() else {
        return Err(super::answer::gone().into());
    };
    let payload = noting::received(recorder, Payload::Whole(body.clone()));
    noting::asked(recorder, &inbound, &payload);
    let Payload::Whole(body) = stored::whole(&inbound, payload)? else {
        return Err(super::answer::gone().into());
    };
    let request = checks::check(&inbound, &body)?;
    let responses = inbound.ingress.format() == Format::Responses;
    let name = if responses { OF_RESPONSES } else { OF_MESSAGES };
    let provider = inbound.profile.ai_proxy.as_ref();
    let provider = provider.map_or("", |proxy| proxy.model.provider.as_str());
    recorder.routed(provider, name, "");
    let response = match ask(env, &inbound, request, &body, recorder).await {
        Some(response) => response,
        None => {
            let tokens = tokio::task::spawn_blocking(move || Prompt::of(&body).tokens())
                .await
                .map_err(|_| Fault::upstream(500, "the tokens could not be counted"))?;
            written(tokens, responses)
        }
    };
    returned(response, slot)
}

fn written(tokens: u64, responses: bool) -> Response<Bytes> {
    let json = if responses {
        json!({"object": "response.input_tokens", "input_tokens": tokens, "estimated": true})
    } else {
        json!({"input_tokens": tokens, "estimated": true})
    };
    let mut response = Response::new(Bytes::from(json.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The provider's own count; `None` if it has none to give.
async fn ask(
    env: Env<'_>,
    inbound: &Inbound,
    request: Envelope<'_>,
    body: &Bytes,
    recorder: &mut Recorder,
) -> Option<Response<Bytes>> {
    // A transformer's LLM would have to see the body first, and `upstream_url` is one operation's alone.
    if inbound.profile.has_transformer() {
        return None;
    }
    let prepared = prepare(env, inbound, request, body, recorder).await?;
    recorder.sent();
    let asked = tokio::time::timeout(PATIENCE, async {
        let response = env.net.send(prepared.request, &prepared.dial).await.ok()?;
        let (parts, answer) = response.into_parts();
        let answer = collect(&parts.headers, answer, PATIENCE).await.ok()?;
        Some((parts, answer.inflated))
    });
    let told = asked.await.ok().flatten().filter(|(parts, answer)| {
        let json: Option<Value> = serde_json::from_slice(answer).ok();
        let count = json.and_then(|json| json.get("input_tokens")?.as_u64());
        parts.status.is_success() && count.is_some()
    });
    let Some((parts, answer)) = told else {
        recorder.warn("estimated:input_tokens".to_owned());
        return None;
    };
    recorder.answered(parts.status.as_u16(), None);
    recorder.stage(Stage::Received, &answer, || {
        Head::answer(parts.status, &parts.headers)
    });
    let mut response = Response::new(answer);
    *response.headers_mut() = downstream(&parts.headers, true, false);
    Some(response)
}

/// The question as the provider gets it.
async fn prepare(
    env: Env<'_>,
    inbound: &Inbound,
    mut request: Envelope<'_>,
    body: &Bytes,
    recorder: &mut Recorder,
) -> Option<Prepared> {
    let mut route = route::route(inbound).ok()?;
    // Both are of one operation.
    if route.options.upstream_url.is_some() || route.options.upstream_path.is_some() {
        return None;
    }
    let asked = match &inbound.asked {
        Asked::Named(model) => model.clone(),
        Asked::Body => request.read::<String>("model"),
    };
    let default = || inbound.profile.aiproxy.default_model.clone();
    let model = route.model.clone().or(asked).or_else(default)?;
    let path = match (inbound.ingress.format(), inbound.target.operation()) {
        (Format::Responses, Operation::Responses) => PATH,
        (Format::Responses, _) => return None,
        _ => route.provider.counts_tokens()?,
    };
    request.set("model", &model).ok()?;
    let wire = request.finish(body);
    let mut headers = HeaderMap::clone(&inbound.headers);
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    let inbound = Inbound {
        profile: std::sync::Arc::clone(&inbound.profile),
        ingress: inbound.ingress,
        target: Target::Unread(path.to_owned()),
        native: None,
        asked: Asked::Body,
        method: http::Method::POST,
        query: inbound.query.clone(),
        headers,
        captures: Vec::new(),
        earlier: None,
        llm: inbound.llm,
    };
    let cloud = route.provider.cloud(&unread::call(&inbound, &route));
    let resolved = secrets::resolve(env, route.auth, &mut route.options, cloud, &inbound.headers);
    let secrets = resolved.await.ok()?;
    noting::secrets(recorder, &secrets);
    let payload = Payload::Whole(wire);
    let mut prepared = forward(&inbound, &route, payload, &secrets, env.now)
        .await
        .ok()?;
    noting::ready(recorder, &secrets, &prepared);
    let dial = &mut prepared.dial;
    dial.connect_timeout = dial.connect_timeout.min(PATIENCE / 2);
    dial.first_byte_timeout = dial.first_byte_timeout.min(PATIENCE);
    Some(prepared)
}
