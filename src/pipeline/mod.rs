//! Prepare, send, finish: the only order of stages there is.
//!
//! [`prepare`] decides everything and sends nothing; only it makes a [`Prepared`], and only [`send`] takes one. [`finish`] turns the
//! upstream's answer into the client's. `serve`, `chat` and dry runs run these same functions. A stage knows no provider by name, and a
//! failure is a [`Failure`] until the server gives it the client's form.

mod answer;
mod called;
mod capped;
mod checks;
mod compose;
mod count;
mod glance;
mod headers;
mod inflate;
mod noting;
mod relay;
mod route;
mod secrets;
mod settings;
mod stored;
mod through;
mod transformer;
mod unread;
mod warnings;

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};

use crate::{
    dialect::{Echo, Egress, Fault, Ingress, Loss, Native, Restore},
    exchange::{Recorder, Stage, trace::Reads},
    keys::Keys,
    llm::EmbedRequest,
    profile::{Profile, Vault},
    provider::Operation,
    transport::{Body, Connected, Dial, Free, Transport, TransportError},
};

pub use answer::finish;
pub use count::count;
pub use inflate::{Coding, Inflated, inflate};
pub use relay::Relay;
pub use route::{Asked, Target, operation_of, options};
pub use stored::{Earlier, Keeping, Made, Store, What, follow, kept};
#[cfg(fuzzing)]
pub use transformer::fuzzed_instructions;
pub use transformer::limit as body_limit;

use called::Called;
use secrets::Secrets;
use warnings::warn;

/// Every effect that the pipeline has.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Where bytes leave.
    pub net: &'a dyn Transport,
    /// Where secrets come from.
    pub vault: &'a Arc<dyn Vault>,
    /// Where clouds' credentials come from.
    pub keys: &'a dyn Keys,
    /// The time, for signatures.
    pub now: SystemTime,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A request as the server or a command hands it over.
#[derive(Debug)]
pub struct Inbound {
    /// The profile that it goes through.
    pub profile: Arc<Profile>,
    /// Its format.
    pub ingress: &'static dyn Ingress,
    /// What it asks for.
    pub target: Target,
    /// Its own words, where the client speaks the provider's own format.
    pub native: Option<Native>,
    /// Who named the model, where it was not the body.
    pub asked: Asked,
    /// Its method.
    pub method: Method,
    /// Its query, undecoded.
    pub query: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// What the named groups of `[aiproxy] path` matched.
    pub captures: Vec<(String, String)>,
    /// The conversation that it goes on from, where that is kept here.
    pub earlier: Option<Earlier>,
    /// Whether transformers ask their LLMs. If not, their calls are made ready and recorded, and bodies go on as they are.
    pub llm: bool,
}

impl std::fmt::Debug for dyn Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ingress({:?})", self.format())
    }
}

/// A request's body: whole where the operation is read, as it comes in where it is not.
#[derive(Debug)]
pub enum Payload {
    /// All of it, inflated.
    Whole(Bytes),
    /// As the client sends it.
    Stream(Body),
}

impl Payload {
    /// The body, where it is whole.
    fn whole(&self) -> Option<Bytes> {
        match self {
            Payload::Whole(body) => Some(body.clone()),
            Payload::Stream(_) => None,
        }
    }
}

/// Everything decided, nothing sent.
#[derive(Debug)]
pub struct Prepared {
    /// The request as it will leave.
    request: http::Request<Body>,
    /// Its body, where it is whole.
    pub wire: Option<Bytes>,
    /// How the upstream is reached.
    dial: Dial,
    /// What to make of the answer. It is moved more often than it is read.
    plan: Box<Plan>,
}

/// What to make of the upstream's answer.
pub(crate) struct Plan {
    ingress: &'static dyn Ingress,
    /// The provider's name; empty for a plain backend.
    provider: &'static str,
    /// The format of the upstream; `None`: unread.
    egress: Option<&'static dyn Egress>,
    operation: Operation,
    /// The client's format is the upstream's: the bytes go through.
    same_format: bool,
    /// The answer is to be a stream.
    stream: bool,
    /// What the request's encoding did that the answer has to undo.
    restore: Restore,
    /// What of the request a written answer repeats.
    echo: Echo,
    /// What a translated answer is called where the provider has no name for it.
    called: Called,
    /// The request, where embeddings are translated.
    embeds: Option<Box<EmbedRequest>>,
    /// aiproxy asked for the usage chunk, the client did not.
    hide_usage: bool,
    /// The client asked for the usage chunk.
    show_usage: bool,
    /// Codings that the client takes.
    accepts: Vec<Coding>,
    idle_timeout: std::time::Duration,
    /// Set on the answer, faults included.
    headers: HeaderMap,
    /// What was lost on the way, as `headers` tell.
    lost: Vec<Loss>,
    /// The upstream's cookies go on: a plain backend's are the client's affair.
    keep_cookies: bool,
    /// Set if an unread body grew over its limit.
    exceeded: Option<Arc<AtomicBool>>,
    /// Where the model of an unread body turns up.
    seen_model: Option<glance::SeenModel>,
    /// The profile's response transformer.
    filter: Option<Box<transformer::Filter>>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("provider", &self.provider)
            .field("operation", &self.operation)
            .field("same_format", &self.same_format)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Plan {
    /// The answer goes to the response transformer first.
    fn filtered(&mut self, filter: Option<Box<transformer::Filter>>) {
        if filter.is_some() {
            // Nothing goes on as it came.
            self.accepts.clear();
        }
        self.filter = filter;
    }

    /// This was lost before the request was put together.
    fn lose(&mut self, lost: Vec<Loss>) {
        if !lost.is_empty() {
            self.lost.splice(0..0, lost);
            let mut headers = std::mem::take(&mut self.headers);
            warn(&self.lost, &mut headers);
            self.headers = headers;
        }
    }

    /// Puts the model of an unread body, which has gone by now, into the answer's headers.
    fn name_seen_model(&mut self, recorder: &mut Recorder) {
        let Some(seen) = &self.seen_model else { return };
        let model = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(model) = model {
            recorder.routed(self.provider, self.operation.route_type(), &model);
            if let Some(value) = model_header(self.provider, &model) {
                self.headers.insert(MODEL_HEADER, value);
            }
        }
    }
}

impl Prepared {
    /// The request's head as it will leave. Headers that hold a key are marked sensitive and print as such.
    #[must_use]
    pub fn request(&self) -> &http::Request<Body> {
        &self.request
    }
}

/// Why there is no answer: what the client is told, and the headers that go with it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What happened, without a form yet.
    pub fault: Fault,
    /// The upstream's own headers that still hold (`retry-after`, rate limits, request ids), and ours.
    pub headers: HeaderMap,
}

impl Failure {
    /// In the client's form.
    #[must_use]
    pub fn render(self, ingress: &dyn Ingress) -> http::Response<Bytes> {
        let Failure { fault, mut headers } = self;
        let body = match &fault.verbatim {
            Some(bytes) => bytes.clone(),
            None => Bytes::from(ingress.encode_fault(&fault)),
        };
        if fault.verbatim.is_none() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut response = http::Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers;
        response
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure {
            fault,
            headers: HeaderMap::new(),
        }
    }
}

impl From<Fault> for Box<Failure> {
    fn from(fault: Fault) -> Box<Failure> {
        Box::new(fault.into())
    }
}

/// What every stage gives.
pub type Outcome<T> = Result<T, Box<Failure>>;

/// Decides everything: model, options, body, URL, key. Nothing is sent.
///
/// # Errors
///
/// A [`Failure`] with SPEC's status and wording.
pub async fn prepare(
    env: Env<'_>,
    inbound: &mut Inbound,
    payload: Payload,
    recorder: &mut Recorder,
) -> Outcome<Prepared> {
    if inbound.profile.logs_payloads() {
        recorder.record();
    }
    let payload = noting::received(recorder, payload);
    noting::asked(recorder, inbound, &payload);
    let payload = stored::whole(inbound, payload)?;
    let ingress = inbound.ingress;
    recorder.trace_upstream(&mut inbound.headers, || {
        Reads::new(move |body| ingress.decode_request(body).ok())
    });
    // What few profiles have is boxed, here and below: every request's future would be as large.
    let (payload, lost) = if inbound.profile.has_transformer() {
        Box::pin(transformer::request(env, inbound, payload, recorder)).await?
    } else {
        (payload, Vec::new())
    };
    let mut prepared = match payload {
        payload if inbound.profile.upstream.is_some() => {
            Box::pin(unread(env, inbound, payload, recorder)).await?
        }
        Payload::Whole(body) if inbound.target.is_read() => {
            read(env, inbound, &body, recorder).await?
        }
        payload => Box::pin(unread(env, inbound, payload, recorder)).await?,
    };
    prepared.plan.lose(lost);
    Ok(prepared)
}

/// A request whose body is read.
async fn read(
    env: Env<'_>,
    inbound: &mut Inbound,
    body: &Bytes,
    recorder: &mut Recorder,
) -> Outcome<Prepared> {
    let mut request = checks::check(inbound, body)?;
    recorder.reaching(Stage::Sent);
    let replay = transformer::ask_whole(inbound, &mut request)?;
    let inbound = &*inbound;
    let mut route = route::route(inbound)?;
    let mut decided = route::decide(inbound, &route, &request)?;
    if let Some(usage) = replay {
        (decided.stream, decided.asked_usage) = (false, usage);
    }
    recorder.routed(
        route.provider.name(),
        inbound.target.operation().route_type(),
        &decided.model,
    );
    let call = route.call(inbound, &decided);
    let (egress, cloud) = (route.provider.egress(&call), route.provider.cloud(&call));
    noting::routed(recorder, &route, &decided, egress.is_some());
    let secrets =
        secrets::resolve(env, route.auth, &mut route.options, cloud, &inbound.headers).await?;
    noting::secrets(recorder, &secrets);
    let asked = compose::Ingredients {
        inbound,
        route: &route,
        decided: &decided,
        secrets: &secrets,
        now: env.now,
        exchange: Some(recorder.id()),
    };
    let mut prepared = compose::compose(&asked, request, body)?;
    prepared
        .plan
        .filtered(transformer::Filter::of(inbound, replay.is_some()));
    noting::composed(recorder, &secrets, prepared.wire.as_ref());
    noting::ready(recorder, &secrets, &prepared);
    Ok(prepared)
}

/// A request whose body is not: of a plain backend, or of an operation that aiproxy does not know.
async fn unread(
    env: Env<'_>,
    inbound: &mut Inbound,
    payload: Payload,
    recorder: &mut Recorder,
) -> Outcome<Prepared> {
    recorder.reaching(Stage::Sent);
    transformer::ask_unread(inbound, &payload)?;
    let inbound = &*inbound;
    let filter = transformer::Filter::of(inbound, false);
    let route_type = inbound.target.operation().route_type();
    let (mut prepared, secrets) = if let Some(upstream) = &inbound.profile.upstream {
        recorder.routed("", route_type, "");
        let prepared = unread::plain(inbound, upstream.url.url().as_str(), payload)?;
        (prepared, Secrets::default())
    } else {
        let mut route = route::route(inbound)?;
        recorder.routed(route.provider.name(), route_type, "");
        let cloud = route.provider.cloud(&unread::call(inbound, &route));
        let secrets =
            secrets::resolve(env, route.auth, &mut route.options, cloud, &inbound.headers).await?;
        noting::secrets(recorder, &secrets);
        let prepared = unread::forward(inbound, &route, payload, &secrets, env.now).await?;
        (prepared, secrets)
    };
    prepared.plan.filtered(filter);
    noting::ready(recorder, &secrets, &prepared);
    Ok(prepared)
}

/// Runs the response side alone: `response` is taken for the upstream's answer to `inbound`. Nothing is sent but to a transformer's LLM.
/// Where somebody watches the recorder, it stays in its slot.
///
/// # Errors
///
/// As [`finish`].
pub async fn respond(
    env: Env<'_>,
    inbound: Inbound,
    response: http::Response<Body>,
    slot: &mut Option<Recorder>,
) -> Outcome<http::Response<Body>> {
    let mut plan = Box::new(answering(&inbound, env.now, slot)?);
    plan.filtered(transformer::Filter::of(&inbound, false));
    finish(env, Answer { response, plan }, slot).await
}

/// What to make of an answer to a request whose body nobody knows.
fn answering(inbound: &Inbound, now: SystemTime, slot: &Option<Recorder>) -> Outcome<Plan> {
    let operation = inbound.target.operation();
    if inbound.profile.upstream.is_some() {
        let mut plan = unread::plan(inbound, "", operation);
        plan.keep_cookies = true;
        return Ok(plan);
    }
    let route = route::route(inbound)?;
    if !inbound.target.is_read() {
        return Ok(unread::plan(inbound, route.provider.name(), operation));
    }
    let asked = match &inbound.asked {
        Asked::Named(model) => model.clone(),
        Asked::Body => None,
    };
    let default = || inbound.profile.aiproxy.default_model.clone();
    let model = route.model.clone().or(asked).or_else(default);
    let mut decided = route::Decided {
        model: model.unwrap_or_default(),
        stream: false,
        tools: false,
        asked_usage: false,
        native: inbound.native.is_some(),
    };
    let egress = route.provider.egress(&route.call(inbound, &decided));
    let same_format = egress.is_none_or(|egress| egress.format() == inbound.ingress.format());
    decided.native &= same_format;
    let id = slot.as_ref().map(Recorder::id);
    let asked = compose::Ingredients {
        inbound,
        route: &route,
        decided: &decided,
        secrets: &Secrets::default(),
        now,
        exchange: id,
    };
    let mut plan = compose::plan(&asked, egress, same_format, Vec::new());
    if operation == Operation::Embeddings && !same_format {
        plan.embeds = Some(Box::default());
    }
    Ok(plan)
}

/// The upstream's answer, and what to make of it.
#[derive(Debug)]
pub struct Answer {
    response: http::Response<Body>,
    plan: Box<Plan>,
}

/// Sends what was prepared, and waits for the answer's headers. Dropping the future cancels the request upstream.
///
/// # Errors
///
/// A [`Failure`] of 502 or 504 if no answer came.
pub async fn send(env: Env<'_>, prepared: Prepared, recorder: &mut Recorder) -> Outcome<Answer> {
    let Prepared {
        request,
        mut dial,
        plan,
        wire,
    } = prepared;
    dial.whole = wire.is_some();
    recorder.sent();
    match env.net.send(request, &dial).await {
        Ok(response) => {
            let connected = response.extensions().get::<Connected>();
            recorder.answered(
                response.status().as_u16(),
                connected.map(|connected| (connected.took, connected.resent)),
            );
            if response.extensions().get::<Free>().is_some() {
                recorder.free();
            }
            let mut plan = plan;
            plan.name_seen_model(recorder);
            Ok(Answer { response, plan })
        }
        Err(error) => {
            let exceeded = plan
                .exceeded
                .as_ref()
                .is_some_and(|exceeded| exceeded.load(Ordering::Relaxed));
            let fault = if exceeded {
                too_large()
            } else {
                unreachable(&error)
            };
            Err(Box::new(Failure {
                fault,
                headers: plan.headers,
            }))
        }
    }
}

/// SPEC's answer to a body over its limit. The words are Kong's; the key that sets the limit is the `param`.
#[must_use]
pub fn too_large() -> Fault {
    Fault {
        param: Some("max_request_body_size".into()),
        ..Fault::invalid(413, "request body too large")
    }
}

/// Why no answer came, with SPEC §4.10's wording.
fn unreachable(error: &TransportError) -> Fault {
    match error {
        TransportError::ConnectTimeout(_) => {
            Fault::upstream(504, format!("{error} (connect_timeout)")).code("timeout")
        }
        TransportError::FirstByteTimeout(_) => {
            Fault::upstream(504, format!("{error} (first_byte_timeout)")).code("timeout")
        }
        TransportError::Connect(_) | TransportError::Broken(_) => {
            Fault::upstream(502, error.to_string())
        }
        TransportError::Unrecorded(why) => Fault::invalid(404, why.as_str()).code("no_recording"),
    }
}

/// The header that names the model (Kong's `model_name_header`).
pub const MODEL_HEADER: HeaderName = HeaderName::from_static("x-kong-llm-model");

/// `PROVIDER/MODEL` as a header's value; `None` if it cannot be one.
pub(crate) fn model_header(provider: &str, model: &str) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from([provider, "/", model].concat())).ok()
}
