//! Answers requests.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, VARY},
    request::Parts,
};
use http_body::Body as _;

use super::{
    admin::{self, json_answer, only_read},
    beside::{self, Beside},
    confine::confine,
    gate::{Gate, Origin},
    guarded::{self, guarded},
    intake::{self, Budget, Held},
    listen::Peer,
    models, naming,
    router::{self, Place, Way},
    served::Served,
};
use crate::{
    dialect::{Fault, Ingress, any_native, openai_chat::OpenAiChat},
    exchange::{Connections, ExchangeId, Head, Ledger, Recorder, Stage},
    keys::Keys,
    llm::Format,
    pipeline::{
        Asked, Env, Failure, Outcome, Payload, Store, Target, body_limit, count, finish, follow,
        kept, operation_of, prepare, send, too_large,
    },
    profile::{Profile, Vault},
    transport::{Body, Transport, full},
    wire::envelope::Envelope,
};

/// Anthropic's name of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// What other providers call it.
const OTHER_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const EXCHANGE: HeaderName = HeaderName::from_static("x-aiproxy-exchange");

/// What a server may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of request bodies in flight, all together.
    pub body_memory: usize,
    /// How long a client may be silent inside a request's body.
    pub body_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_memory: 512 << 20,
            body_timeout: Some(Duration::from_secs(60)),
        }
    }
}

/// Where bytes leave, and where secrets and credentials come from.
#[derive(Clone)]
pub struct Effects {
    /// Where bytes leave.
    pub net: Arc<dyn Transport>,
    /// Where secrets come from.
    pub vault: Arc<dyn Vault>,
    /// Where clouds' credentials come from.
    pub keys: Arc<dyn Keys>,
    /// Counts the connections upstream.
    pub connections: Connections,
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects").finish_non_exhaustive()
    }
}

/// Answers requests, whoever brings them.
pub struct App {
    served: RwLock<Arc<Served>>,
    gate: Gate,
    ledger: Arc<Ledger>,
    net: Arc<dyn Transport>,
    vault: Arc<dyn Vault>,
    keys: Arc<dyn Keys>,
    budget: Budget,
    stored: Arc<Store>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

impl App {
    /// A server of these profiles.
    #[must_use]
    pub fn new(
        served: Served,
        gate: Gate,
        ledger: Arc<Ledger>,
        effects: Effects,
        limits: Limits,
    ) -> App {
        let Effects {
            net, vault, keys, ..
        } = effects;
        ledger.serve(served.names());
        hide(&ledger, &served, &*vault);
        let budget = Budget::new(limits);
        App {
            served: RwLock::new(Arc::new(served)),
            gate,
            ledger,
            net,
            vault,
            keys,
            budget,
            stored: Arc::default(),
        }
    }

    /// The profiles that the next request will see. A request keeps the set that it began with.
    #[must_use]
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves these from now on.
    pub fn serve(&self, served: Served) {
        self.ledger.serve(served.names());
        hide(&self.ledger, &served, &*self.vault);
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
    }

    /// Answers a request from outside: it has to pass the gate.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let own = parts.uri.path().starts_with("/_aiproxy/");
        let head = parts.method == Method::HEAD;
        let mut response = match self.gate.pass(&mut parts) {
            Err(fault) => refuse_at(parts.uri.path(), fault),
            Ok(Origin::Own) => self.answer(parts, body).await,
            Ok(Origin::Allowed(origin)) => {
                let preflight = parts.method == Method::OPTIONS
                    && parts.headers.contains_key("access-control-request-method");
                let mut response = if preflight {
                    preflight_answer(&parts)
                } else {
                    self.answer(parts, body).await
                };
                let headers = response.headers_mut();
                headers.insert("access-control-allow-origin", origin);
                headers.insert(
                    "access-control-expose-headers",
                    HeaderValue::from_static("*"),
                );
                headers.append(VARY, HeaderValue::from_static("origin"));
                response
            }
        };
        if !own && response.status() != StatusCode::NO_CONTENT {
            confine(response.headers_mut());
        }
        if head { headless(response) } else { response }
    }

    /// Answers a request of this process itself: no gate.
    pub async fn answer(&self, parts: Parts, body: Body) -> Response<Body> {
        let served = self.served();
        match router::place(&served, &parts.uri) {
            Err(fault) => {
                intake::skip(&parts.headers, body);
                refuse_at(parts.uri.path(), fault)
            }
            Ok(Place::Admin(path)) => {
                intake::skip(&parts.headers, body);
                let vault = &*self.vault;
                Box::pin(admin::answer(&self.ledger, &served, vault, &parts, &path)).await
            }
            Ok(Place::Models { profile, id }) => {
                self.models(&served, &parts, profile.as_deref(), id.as_deref())
            }
            Ok(Place::Profile(way)) if naming::maps(&way) && parts.method == Method::POST => {
                Box::pin(self.through_map(&served, way, parts, body)).await
            }
            Ok(Place::Profile(way)) => {
                self.exchange(way, parts, |app, way, parts, slot| {
                    Box::pin(app.through_profile(way, parts, body, slot))
                })
                .await
            }
            Ok(Place::Root { path }) => {
                Box::pin(self.through_root(&served, path, parts, body)).await
            }
        }
    }

    fn models(
        &self,
        served: &Served,
        parts: &Parts,
        profile: Option<&Profile>,
        id: Option<&str>,
    ) -> Response<Body> {
        if let Some(refused) = only_read(&parts.method) {
            return refused;
        }
        let list = models::list(served, profile, &*self.vault);
        // Both SDKs ask at this path.
        let anthropic = parts.headers.contains_key("anthropic-version");
        let form = if anthropic {
            models::as_anthropic
        } else {
            models::as_openai
        };
        match id {
            None => json_answer(form(list).to_string()),
            Some(id) => match models::one(list, id) {
                Ok(model) => json_answer(
                    form(vec![model])
                        .pointer("/data/0")
                        .map_or_else(String::new, ToString::to_string),
                ),
                Err(fault) if anthropic => refuse_at("/v1/messages", fault),
                Err(fault) => refuse(fault),
            },
        }
    }

    /// Below a root path the body names the profile.
    async fn through_root(
        &self,
        served: &Served,
        path: String,
        parts: Parts,
        body: Body,
    ) -> Response<Body> {
        let Some(default) = served.default_profile() else {
            return refuse_at(&path, Fault::invalid(404, "no profile is served here"));
        };
        let query = parts.uri.query();
        let beside = beside::of(path.trim_end_matches('/'));
        if let Some(Beside::Made(made)) = &beside
            && self.stored.has(&made.id, Instant::now())
        {
            let way = beside::way(default, made.clone());
            return self
                .exchange(way, parts, |app, way, parts, slot| {
                    Box::pin(app.through_profile(way, parts, body, slot))
                })
                .await;
        }
        let named_by_body = beside == Some(Beside::Count)
            || operation_of(path.trim_end_matches('/'))
                .is_some_and(|(operation, _)| operation.is_read())
            || any_native(path.trim_end_matches('/'), query).is_some()
            || router::speaker(&path).format() == Format::Anthropic;
        if !named_by_body || parts.method != Method::POST {
            return match Way::of(default, &path, query, Asked::Body) {
                Err(fault) => {
                    intake::skip(&parts.headers, body);
                    refuse_at(&path, fault)
                }
                Ok(way) => {
                    self.exchange(way, parts, |app, way, parts, slot| {
                        Box::pin(app.through_profile(way, parts, body, slot))
                    })
                    .await
                }
            };
        }
        let limit = served.body_limit();
        let held = match intake::read(&parts.headers, body, limit, &self.budget).await {
            Ok(held) => held,
            Err(fault) => return refuse_at(&path, fault),
        };
        let (profile, asked) = named(served, &held.bytes, default);
        let way = Way::of(profile, &path, parts.uri.query(), asked);
        self.mapped(served, way, parts, held).await
    }

    /// The profile's own `models` may send a request elsewhere.
    async fn through_map(
        &self,
        served: &Served,
        way: Way,
        parts: Parts,
        body: Body,
    ) -> Response<Body> {
        let limit = body_limit(&way.profile);
        match intake::read(&parts.headers, body, limit, &self.budget).await {
            Ok(held) => self.mapped(served, Ok(way), parts, held).await,
            Err(fault) => refuse_at(parts.uri.path(), fault),
        }
    }

    /// The body is here, so it is known where the request goes.
    async fn mapped(
        &self,
        served: &Served,
        way: Result<Way, Fault>,
        parts: Parts,
        held: Held,
    ) -> Response<Body> {
        let way = way.and_then(|way| {
            let way = naming::mapped(served, way, parts.uri.query(), &held.bytes)?;
            let limit = body_limit(&way.profile);
            if limit > 0 && held.bytes.len() as u64 > limit {
                return Err(too_large());
            }
            Ok(way)
        });
        match way {
            Err(fault) => refuse_at(parts.uri.path(), fault),
            Ok(way) => {
                self.exchange(way, parts, move |app, way, parts, slot| {
                    Box::pin(async move {
                        let payload = Payload::Whole(held.bytes.clone());
                        app.run(way, parts, payload, slot).await
                    })
                })
                .await
            }
        }
    }

    async fn through_profile(
        &self,
        way: Way,
        parts: Parts,
        body: Body,
        slot: &mut Option<Recorder>,
    ) -> Outcome<Response<Body>> {
        let read = way.target.is_read();
        // An LLM sees a whole body or none.
        if !read && !way.profile.has_transformer() {
            let (body, stalled) = intake::paced(body, &self.budget);
            let answer = self.run(way, parts, Payload::Stream(body), slot).await;
            return answer.map_err(|failure| stalled.explains(failure));
        }
        if read && parts.method != Method::POST {
            intake::skip(&parts.headers, body);
            let message = format!("`{}` takes POST alone", way.target.path());
            let mut failure = Failure::from(Fault::invalid(405, message));
            failure
                .headers
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(Box::new(failure));
        }
        let limit = body_limit(&way.profile);
        let held = intake::read(&parts.headers, body, limit, &self.budget).await?;
        let payload = Payload::Whole(held.bytes.clone());
        self.run(way, parts, payload, slot).await
    }

    /// The three stages.
    async fn run(
        &self,
        way: Way,
        parts: Parts,
        payload: Payload,
        slot: &mut Option<Recorder>,
    ) -> Outcome<Response<Body>> {
        let env = Env {
            net: &*self.net,
            vault: &self.vault,
            keys: &*self.keys,
            now: SystemTime::now(),
        };
        let mut inbound = way.inbound(parts);
        let now = Instant::now();
        if let Target::Made(made) = &inbound.target
            && (!made.elsewhere || self.stored.has(&made.id, now))
        {
            if let Payload::Stream(body) = payload {
                intake::skip(&inbound.headers, body);
            }
            return kept(&self.stored, &inbound, made, now, slot);
        }
        let Some(recorder) = slot else {
            return Err(Fault::upstream(500, "the request has no record").into());
        };
        let keeping = follow(&self.stored, &mut inbound, &payload, recorder, now)?;
        // The conversation so far is part of the request.
        let _share = match &inbound.earlier {
            Some(earlier) => Some(Box::pin(self.budget.take(earlier.size())).await?),
            None => None,
        };
        if let (Target::Count(..), Payload::Whole(body)) = (&inbound.target, &payload) {
            let body = body.clone();
            return Box::pin(count(env, inbound, body, slot)).await;
        }
        let prepared = prepare(env, &mut inbound, payload, recorder).await?;
        drop(inbound);
        let answer = send(env, prepared, recorder).await?;
        let response = finish(env, answer, slot).await?;
        Ok(match keeping {
            Some(keeping) => keeping.watch(response),
            None => response,
        })
    }

    /// Runs one exchange, and gives its failure the client's form. The record closes with the answer's body, here on a failure, or by
    /// itself when the client leaves and this future is dropped.
    async fn exchange<F>(&self, way: Way, parts: Parts, run: F) -> Response<Body>
    where
        F: for<'a> FnOnce(&'a App, Way, Parts, &'a mut Option<Recorder>) -> Running<'a>,
    {
        let recorder = self.ledger.open(Arc::clone(&way.profile.name));
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        recorder.received(peer, &parts.method, parts.uri.path());
        recorder.trace(&parts.headers);
        let exchange = recorder.id();
        let id = HeaderValue::from_str(exchange.as_str()).ok();
        let mut slot = Some(recorder);
        let ingress = way.ingress;
        let answer = guarded(run(self, way, parts, &mut slot)).await;
        let mut response = match answer.unwrap_or_else(|| Err(guarded::fault().into())) {
            Ok(response) => response,
            Err(mut failure) => {
                let message = failure.fault.message.clone();
                if ingress.format() == Format::Anthropic
                    && let Some(recorder) = &slot
                {
                    let id = request_id(&failure.headers, recorder.id());
                    failure.fault.request_id = id.to_str().ok().map(str::to_owned);
                }
                let response = failure.render(ingress);
                if let Some(mut recorder) = slot.take() {
                    recorder.stage(Stage::Returned, response.body(), || {
                        Head::answer(response.status(), response.headers())
                    });
                    let size = response.body().len() as u64;
                    recorder.refused(response.status().as_u16(), size, &message);
                }
                response.map(full)
            }
        };
        if ingress.format() == Format::Anthropic && !response.headers().contains_key(REQUEST_ID) {
            let id = request_id(response.headers(), exchange);
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(id) = id {
            response.headers_mut().insert(EXCHANGE, id);
        }
        response
    }
}

type Running<'a> = std::pin::Pin<Box<dyn Future<Output = Outcome<Response<Body>>> + Send + 'a>>;

/// The keys of these profiles are not to be shown to anybody, whichever profile they turn up in.
fn hide(ledger: &Ledger, served: &Served, vault: &dyn Vault) {
    if !ledger.captures() {
        return;
    }
    for profile in served.iter() {
        let names = |key: &str| key.ends_with(".header_name") || key.ends_with(".param_name");
        for (_, secret) in profile.secrets().filter(|(key, _)| !names(key)) {
            if let Ok(value) = secret.resolve(vault) {
                ledger.hide_value(value.expose());
            }
        }
    }
}

/// The format where no other is recognised.
static INGRESS: &dyn Ingress = &OpenAiChat;

/// The profile that a body's `model` names, and what is left of the model (SPEC §2).
fn named(served: &Served, body: &Bytes, default: Arc<Profile>) -> (Arc<Profile>, Asked) {
    let model = Envelope::parse(body)
        .ok()
        .and_then(|envelope| envelope.read::<String>("model"));
    let Some(model) = model else {
        return (default, Asked::Body);
    };
    if let Some((left, rest)) = model.split_once('/')
        && let Some(profile) = served.find(left)
    {
        return (profile, Asked::Named(Some(rest.to_owned())));
    }
    match served.find(&model) {
        Some(profile) => (profile, Asked::Named(None)),
        None => (default, Asked::Body),
    }
}

/// A failure in the client's form.
#[must_use]
pub fn render(ingress: &dyn Ingress, failure: Failure) -> Response<Body> {
    failure.render(ingress).map(full)
}

/// What the provider calls a request, else what it is called here.
fn request_id(headers: &HeaderMap, exchange: ExchangeId) -> HeaderValue {
    let told = headers.get(REQUEST_ID).or(headers.get(OTHER_REQUEST_ID));
    told.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&format!("req_{exchange}"))
            .unwrap_or(HeaderValue::from_static("req_unknown"))
    })
}

/// A refusal before there is an exchange, in the format that the path belongs to.
fn refuse_at(path: &str, mut fault: Fault) -> Response<Body> {
    let ingress = router::speaker(path);
    if ingress.format() != Format::Anthropic {
        return render(ingress, fault.into());
    }
    let id = request_id(&HeaderMap::new(), ExchangeId::random());
    fault.request_id = id.to_str().ok().map(str::to_owned);
    let mut response = render(ingress, fault.into());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// An answer to HEAD: over HTTP/2 nobody else takes the body off, and one that has a body breaks its stream.
fn headless(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        let length = HeaderValue::from(length);
        parts.headers.entry(CONTENT_LENGTH).or_insert(length);
    }
    Response::from_parts(parts, full(""))
}

/// A refusal before there is an exchange.
pub(super) fn refuse(fault: Fault) -> Response<Body> {
    render(INGRESS, fault.into())
}

fn preflight_answer(parts: &Parts) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        "access-control-allow-methods",
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"),
    );
    if let Some(asked) = parts.headers.get("access-control-request-headers") {
        headers.insert("access-control-allow-headers", asked.clone());
    }
    headers.insert("access-control-max-age", HeaderValue::from_static("600"));
    response
}

#[cfg(test)]
mod tests;
