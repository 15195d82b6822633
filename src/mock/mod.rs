//! The built-in mock provider: an LLM service that needs no key and no network.
//!
//! It answers in process, as a [`Transport`], and, by `aiproxy mock`, over HTTP. The name of the model says what happens ([`MODELS`]): a
//! pleasant text, a tool call, or one of the failures that a client should survive. The same request always gets the same answer.
//!
//! A request is decoded by its dialect, answered whole (`reply`), told as timed events (`script`) and encoded by the dialect again
//! (`playback`). It imports `transport`, `dialect`, `llm` and `wire`.

mod completions;
mod embeddings;
mod fault;
mod foreign;
mod keys;
mod model;
mod playback;
mod prose;
mod reply;
mod schema;
mod script;
#[cfg(test)]
mod tests;
mod words;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::{sleep, timeout};

pub use keys::MockKeys;
pub use model::{Behaviour, Calls, Failure, MODELS, Speech};

use crate::{
    dialect::{
        Fault, Ingress, Native, StreamEncoder, Task, any_native, native_default,
        openai_chat::OpenAiChat, openai_completions::OpenAiCompletions,
    },
    llm::{ChatResponse, Format},
    transport::{Body, Dial, Sending, Transport, TransportError, full},
    wire::envelope::Envelope,
};
use fault::Refusal;
use playback::Playback;
use script::{Act, Script, Step};

/// The largest request body that is read: 64 MiB, the proxy's own default.
const MAX_REQUEST: usize = 64 << 20;

/// The mock provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mock;

impl Transport for Mock {
    fn send<'a>(&'a self, request: Request<Body>, dial: &'a Dial) -> Sending<'a> {
        Box::pin(async move {
            let limit = dial.first_byte_timeout;
            timeout(limit, self.answer(request))
                .await
                .map_err(|_| TransportError::FirstByteTimeout(limit))
        })
    }
}

impl Mock {
    /// Answers a request, in the format that its path belongs to.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let path = head.uri.path();
        if head.method == Method::POST
            && let Some(native) = native(path, head.uri.query())
        {
            return match read(body).await {
                Ok(body) => foreign::answer(&native, body).await,
                Err(fault) => foreign::refused(native.ingress, &fault),
            };
        }
        // Hugging Face's own servers answer at their root, where the body alone says what is asked.
        if head.method == Method::POST && path == "/" {
            let whole = match read(body).await {
                Ok(whole) => whole,
                Err(fault) => return refused(&fault),
            };
            match foreign::guess(&head.headers, &whole) {
                Some(native) if native.ingress.format() == Format::HuggingFace => {
                    return foreign::answer(&native, whole).await;
                }
                _ => body = full(whole),
            }
        }
        match answer(&head.method, path, body).await {
            Ok(response) => response,
            Err(fault) => refused(&fault),
        }
    }

    /// Answers a request that was meant for another: where its path says nothing, its body does.
    pub async fn stand_in(&self, mut request: Request<Body>) -> Response<Body> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let known = native(path, query).is_some() || operation(path).is_some();
        if known || request.method() != Method::POST {
            return self.answer(request).await;
        }
        let (head, body) = request.into_parts();
        let body = match read(body).await {
            Ok(body) => body,
            Err(fault) => return refused(&fault),
        };
        if let Some(native) = foreign::guess(&head.headers, &body) {
            return foreign::answer(&native, body).await;
        }
        let fields = Envelope::parse(&body);
        let of_body = match fields {
            Ok(fields) if fields.has("input") => "/v1/embeddings",
            Ok(fields) if fields.has("prompt") => "/v1/completions",
            _ => "/v1/chat/completions",
        };
        request = Request::new(full(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(of_body);
        self.answer(request).await
    }
}

/// Says, in the format that a path belongs to, that nobody recorded a request.
#[must_use]
pub fn no_recording(uri: &http::Uri, why: String) -> Response<Body> {
    let fault = Box::new(Fault::invalid(404, why).code("no_recording"));
    match native(uri.path(), uri.query()) {
        Some(native) => foreign::refused(native.ingress, &fault),
        None => refused(&fault),
    }
}

/// What a path of another format than OpenAI's first asks for.
fn native(path: &str, query: Option<&str>) -> Option<Native> {
    if path.ends_with("/responses") {
        return native_default(Format::Responses, Task::Chat);
    }
    any_native(path, query)
}

/// What one of OpenAI's paths asks for; services put `/v1` and more before them.
fn operation(path: &str) -> Option<Operation> {
    match short(path) {
        "/chat/completions" => Some(Operation::Chat),
        "/completions" => Some(Operation::Completions),
        "/embeddings" => Some(Operation::Embeddings),
        _ => None,
    }
}

/// A path without what services put before OpenAI's: `/v1`, or Azure's `/openai/deployments/NAME`.
fn short(path: &str) -> &str {
    let of_deployment = path
        .strip_prefix("/openai/deployments/")
        .and_then(|rest| rest.get(rest.find('/')?..));
    of_deployment
        .or_else(|| {
            path.strip_prefix("/v1")
                .filter(|rest| rest.starts_with('/'))
        })
        .unwrap_or(path)
}

/// One event that is none.
const MALFORMED: Bytes = Bytes::from_static(
    b"data: {\"id\": \"chatcmpl-mock\", \"choices\": [{\"delta\": {\"content\": \"oh\n\n",
);

/// What the mock can do, by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Chat,
    Completions,
    Embeddings,
}

async fn answer(method: &Method, path: &str, body: Body) -> Result<Response<Body>, Refusal> {
    let short = short(path);
    let (operation, allowed) = match operation(path) {
        Some(operation) => (Some(operation), Method::POST),
        None if short == "/models" || short.starts_with("/models/") => (None, Method::GET),
        None => return Err(fault::no_path(method.as_str(), path)),
    };
    if method != allowed {
        return Err(fault::no_method(method.as_str(), path));
    }
    let Some(operation) = operation else {
        return match short.strip_prefix("/models/") {
            None => Ok(whole(
                json!({"object": "list", "data": MODELS.iter().map(|(name, _)| model(name)).collect::<Vec<_>>()}),
            )),
            Some(name) if Behaviour::of(name).is_some() => Ok(whole(model(name))),
            Some(name) => Err(fault::at("model", fault::no_model(name))),
        };
    };
    let body = read(body).await?;
    let fields = Envelope::parse(&body).map_err(|_| fault::not_json())?;
    let Some(name) = fields
        .read::<String>("model")
        .filter(|name| !name.is_empty())
    else {
        return Err(fault::refuse(400, "you must provide a model parameter"));
    };
    let behaviour = Behaviour::of(&name).ok_or_else(|| fault::no_model(&name))?;
    if let Some(Failure::Status(status)) = behaviour.failure {
        return Err(fault::of_status(status, &name));
    }
    match operation {
        Operation::Chat => chat(&fields, &body, behaviour).await,
        Operation::Completions => completions(&fields, &body, behaviour).await,
        Operation::Embeddings => {
            let body =
                embeddings::answer(&fields, &name, behaviour.failure != Some(Failure::NoUsage))?;
            deliver(body, behaviour).await
        }
    }
}

async fn chat(
    fields: &Envelope<'_>,
    body: &Bytes,
    behaviour: Behaviour,
) -> Result<Response<Body>, Refusal> {
    if !fields.has("messages") {
        return Err(fault::missing("messages"));
    }
    let request = OpenAiChat
        .decode_request(body)
        .map_err(|error| fault::refuse(400, error.to_string()))?;
    if request.messages.is_empty() {
        let why =
            "empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(fault::invalid("messages", why, "empty_array"));
    }
    let response = reply::reply(&request, behaviour)?;
    if request.stream {
        return Ok(stream(
            response,
            OpenAiChat.stream_encoder(request.stream_usage),
            behaviour,
        )
        .await);
    }
    deliver(OpenAiChat.encode_response(&response), behaviour).await
}

async fn completions(
    fields: &Envelope<'_>,
    body: &Bytes,
    behaviour: Behaviour,
) -> Result<Response<Body>, Refusal> {
    if !fields.has("prompt") {
        return Err(fault::missing("prompt"));
    }
    let request = OpenAiChat
        .decode_request(body)
        .map_err(|error| fault::refuse(400, error.to_string()))?;
    let (streams, usage) = (request.stream, request.stream_usage);
    let response = completions::reply(request, behaviour)?;
    if streams {
        return Ok(stream(response, OpenAiCompletions.stream_encoder(usage), behaviour).await);
    }
    deliver(OpenAiCompletions.encode_response(&response), behaviour).await
}

async fn stream(
    response: ChatResponse,
    encoder: Box<dyn StreamEncoder>,
    behaviour: Behaviour,
) -> Response<Body> {
    sleep(behaviour.stream_delay).await;
    let playback = Playback::new(
        Script::new(response, behaviour, MALFORMED),
        Some(encoder),
        behaviour.failure,
    );
    answered("text/event-stream; charset=utf-8", playback.boxed_unsync())
}

/// A whole answer, with what goes wrong with it.
async fn deliver(body: Vec<u8>, behaviour: Behaviour) -> Result<Response<Body>, Refusal> {
    sleep(behaviour.whole_delay).await;
    let half = body.len() / 2;
    let mut body = Bytes::from(body);
    let mut acts = Vec::new();
    match behaviour.failure {
        Some(Failure::Late) => return Err(fault::of_status(500, "")),
        Some(Failure::Malformed) => {
            return Ok(answered("application/json", full(body.split_to(half))));
        }
        Some(Failure::Silence) => acts.extend([Act::Raw(body.split_to(half)), Act::Silence]),
        Some(Failure::Cut(_) | Failure::Split) => acts.push(Act::Raw(body)),
        Some(Failure::Status(_) | Failure::NoEnd | Failure::NoUsage) | None => {
            return Ok(answered("application/json", full(body)));
        }
    }
    let failure = match behaviour.failure {
        Some(Failure::Cut(None)) => Some(Failure::Cut(Some(half as u64))),
        other => other,
    };
    let steps = acts.into_iter().map(|act| Step {
        after: std::time::Duration::ZERO,
        act,
    });
    Ok(answered(
        "application/json",
        Playback::new(steps, None, failure).boxed_unsync(),
    ))
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_REQUEST)
        .boxed_unsync()
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(fault::too_large()),
        Err(_) => Err(fault::refuse(400, "the request body broke off")),
    }
}

fn model(name: &str) -> serde_json::Value {
    json!({"id": name, "object": "model", "created": 1_704_067_200, "owned_by": "aiproxy"})
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better at the callers, which make the value"
)]
fn whole(json: serde_json::Value) -> Response<Body> {
    answered("application/json", full(json.to_string()))
}

fn answered(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error as a response.
fn refused(fault: &Refusal) -> Response<Body> {
    let mut response = answered("application/json", full(OpenAiChat.encode_fault(fault)));
    *response.status_mut() =
        StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    fault::headers_of(fault.status, response.headers_mut());
    response
}
