//! The other providers' own formats: the same models, in their words and at their paths.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::sleep;

use super::{
    answered, deliver, embeddings,
    fault::{self, Refusal},
    model::{Behaviour, Failure},
    playback::Playback,
    reply,
    script::Script,
};
use crate::{
    dialect::{Ingress, Native, Task, native_default},
    llm::{ChatResponse, EmbedResponse, Format, Part, Usage},
    transport::{Body, full},
    wire::envelope::Envelope,
};

/// The model that answers where neither path nor body names one.
const UNNAMED: &str = "mock";

/// Answers a request in a provider's own format.
pub(super) async fn answer(native: &Native, body: Bytes) -> Response<Body> {
    match run(native, &body).await {
        Ok(response) => response,
        Err(fault) => refused(native.ingress, &fault),
    }
}

/// Fields that tell a request for Responses from one for embeddings.
const OF_RESPONSES: &[&str] = &[
    "instructions",
    "max_output_tokens",
    "reasoning",
    "store",
    "stream",
    "text",
    "tools",
];

/// The format that a body is of, at a path that says nothing: wherever a profile sends its requests, the mock can stand in.
pub(super) fn guess(headers: &HeaderMap, body: &[u8]) -> Option<Native> {
    let fields = Envelope::parse(body).ok()?;
    let (format, task) = if headers.contains_key("anthropic-version") {
        let task = if fields.has("prompt") {
            Task::Completions
        } else {
            Task::Chat
        };
        (Format::Anthropic, task)
    } else if fields.has("contents") {
        (Format::Gemini, Task::Chat)
    } else if fields.has("inputs") {
        // One text is continued, a list of them is embedded.
        let task = if fields.read::<Vec<String>>("inputs").is_some() {
            Task::Embeddings
        } else {
            Task::Completions
        };
        (Format::HuggingFace, task)
    } else if fields.has("input") && OF_RESPONSES.iter().any(|field| fields.has(field)) {
        (Format::Responses, Task::Chat)
    } else if fields.has("message") {
        (Format::Cohere, Task::Chat)
    } else if fields.has("texts") {
        (Format::Cohere, Task::Embeddings)
    } else if fields.has("messages") && !fields.has("model") {
        (Format::Bedrock, Task::Chat)
    } else {
        return None;
    };
    native_default(format, task)
}

async fn run(native: &Native, body: &Bytes) -> Result<Response<Body>, Refusal> {
    let fields = Envelope::parse(body).map_err(|_| fault::not_json())?;
    let of_body = || {
        fields
            .read::<String>("model")
            .filter(|name| !name.is_empty())
    };
    let name = native.model.clone().or_else(of_body);
    let name = name.unwrap_or_else(|| UNNAMED.to_owned());
    let behaviour = Behaviour::of(&name).ok_or_else(|| fault::no_model(&name))?;
    if let Some(Failure::Status(status)) = behaviour.failure {
        return Err(fault::of_status(status, &name));
    }
    let ingress = native.ingress;
    let unreadable = |error: crate::dialect::Error| fault::refuse(400, error.to_string());
    if native.task == Task::Embeddings {
        let request = ingress.decode_embeddings(body).map_err(unreadable)?;
        let (vectors, tokens) = embeddings::vectors(&request.input, request.dimensions);
        let told = behaviour.failure != Some(Failure::NoUsage);
        let response = EmbedResponse {
            id: "mock".into(),
            model: name,
            vectors,
            usage: told.then(|| Usage {
                input: tokens,
                ..Usage::default()
            }),
        };
        return deliver(ingress.encode_embeddings(&request, &response), behaviour).await;
    }
    let mut request = ingress.decode_request(body).map_err(unreadable)?;
    request.model = Some(name);
    request.stream = native.stream.unwrap_or(request.stream);
    if request.messages.is_empty() {
        return Err(fault::refuse(400, "there is nothing to answer"));
    }
    if native.task == Task::Completions {
        // Completions know neither tools nor reasoning.
        request.tools.clear();
        request.tool_choice = None;
    }
    let mut response = reply::reply(&request, behaviour)?;
    named(&mut response, ingress.format());
    let echo = ingress.echo(body);
    if !request.stream {
        return deliver(ingress.encode_echoing(&response, &echo), behaviour).await;
    }
    sleep(behaviour.stream_delay).await;
    let script = Script::new(response, behaviour, malformed(ingress));
    let encoder = ingress.echoing_encoder(true, &echo);
    let playback = Playback::new(script, Some(encoder), behaviour.failure);
    Ok(answered(ingress.stream_type(), playback.boxed_unsync()))
}

/// What reasoning is signed with: base64, as the signatures of Claude's are.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

/// Ids look as the provider's do, and reasoning is signed where the provider signs it.
fn named(response: &mut ChatResponse, format: Format) {
    if matches!(format, Format::Anthropic | Format::Bedrock) {
        for part in response.choices.iter_mut().flat_map(|c| &mut c.parts) {
            if let Part::Thinking { signature, .. } = part {
                *signature = Some(SIGNATURE.to_owned());
            }
        }
    }
    if format == Format::Anthropic {
        response.id = response.id.replace("chatcmpl-", "msg_");
        for part in response.choices.iter_mut().flat_map(|c| &mut c.parts) {
            if let Part::ToolCall { id, .. } = part {
                *id = id.replace("call_", "toolu_");
            }
        }
    } else {
        let prefix = if format == Format::Responses {
            "resp_"
        } else {
            ""
        };
        response.id = response.id.replace("chatcmpl-", prefix);
    }
}

/// One event that is none.
fn malformed(ingress: &dyn Ingress) -> Bytes {
    Bytes::from_static(match ingress.stream_type() {
        "text/event-stream" => b"data: {\"oh\": \n\n",
        "application/vnd.amazon.eventstream" => b"\x00\x00\x00\x10\x00\x00\x00\x00oh dear!",
        "application/json" => b",{\"oh\": }",
        _ => b"{\"oh\": \n",
    })
}

/// An error in the provider's words.
pub(super) fn refused(ingress: &dyn Ingress, fault: &Refusal) -> Response<Body> {
    let body = Bytes::from(ingress.encode_fault(fault));
    let mut response = answered("application/json", full(body));
    *response.status_mut() =
        StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    fault::headers_of(fault.status, response.headers_mut());
    response
}
