//! An LLM rewrites what goes by: Kong's AI Request Transformer and AI Response Transformer.
//!
//! `ask` puts a body to the transformer's LLM through the same steps as any other request: route, secrets, compose, send, read. `extract`
//! takes the pattern's match of the answer, `instructions` reads status, headers and body from it. [`request`] and [`response`] put the
//! result in the place of what came.

mod ask;
mod extract;
mod instructions;
mod respond;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    Env, Inbound, Outcome, Payload, headers, noting,
    route::{self, Request},
    too_large,
};
use crate::{
    dialect::{Fault, Loss},
    exchange::{Recorder, Stage},
    profile::{
        AiRequestTransformer, AiResponseTransformer, Llm, Profile, Settings, StreamTransform,
    },
    transport::HostPort,
    wire::envelope::Envelope,
};

pub(super) use ask::Rewritten;
#[cfg(fuzzing)]
pub use instructions::fuzzed as fuzzed_instructions;
pub(super) use respond::response;

/// The largest body that is held where no limit is set.
const MAX_BODY: usize = 256 << 20;

/// What both plugins have in common.
#[derive(Clone, Copy, Debug)]
struct Transformer<'a> {
    /// Kong's name of the plugin, which is its table's too.
    plugin: &'static str,
    prompt: &'a str,
    pattern: Option<&'a str>,
    llm: &'a Llm,
    http_timeout: Duration,
    https_verify: bool,
    http_proxy: (&'a Option<String>, Option<u16>),
    https_proxy: (&'a Option<String>, Option<u16>),
}

impl<'a> From<&'a AiRequestTransformer> for Transformer<'a> {
    fn from(own: &'a AiRequestTransformer) -> Self {
        Transformer {
            plugin: "ai-request-transformer",
            prompt: &own.prompt,
            pattern: own.transformation_extract_pattern.as_deref(),
            llm: &own.llm,
            http_timeout: own.http_timeout,
            https_verify: own.https_verify,
            http_proxy: (&own.http_proxy_host, own.http_proxy_port),
            https_proxy: (&own.https_proxy_host, own.https_proxy_port),
        }
    }
}

impl<'a> From<&'a AiResponseTransformer> for Transformer<'a> {
    fn from(own: &'a AiResponseTransformer) -> Self {
        Transformer {
            plugin: "ai-response-transformer",
            prompt: &own.prompt,
            pattern: own.transformation_extract_pattern.as_deref(),
            llm: &own.llm,
            http_timeout: own.http_timeout,
            https_verify: own.https_verify,
            http_proxy: (&own.http_proxy_host, own.http_proxy_port),
            https_proxy: (&own.https_proxy_host, own.https_proxy_port),
        }
    }
}

impl Transformer<'_> {
    /// A proxy of its own, where the table names one.
    fn proxy((host, port): (&Option<String>, Option<u16>)) -> Option<HostPort> {
        Some(HostPort {
            host: host.clone()?,
            port: port?,
        })
    }

    /// Its LLM failed, in Kong's words.
    fn failed(&self, why: &str) -> Fault {
        Fault {
            param: Some(self.plugin.into()),
            ..Fault::upstream(
                400,
                format!("failed to introspect request with AI service: {why}"),
            )
        }
    }
}

/// One text for one transformer.
struct Job<'a> {
    transformer: Transformer<'a>,
    /// The profile's own, for what the plugin has no key for.
    settings: &'a Settings,
    /// What templates see.
    client: Request<'a>,
    /// Whether the LLM is asked, or the call only made ready.
    llm: bool,
}

/// The request transformer of a profile that has one of either kind: its LLM's answer becomes the body. All that follows sees it as if the client had
/// sent it.
pub(super) async fn request(
    env: Env<'_>,
    inbound: &mut Inbound,
    payload: Payload,
    recorder: &mut Recorder,
) -> Outcome<(Payload, Vec<Loss>)> {
    let profile = Arc::clone(&inbound.profile);
    let body = hold(payload, limit(&profile)).await?;
    let Some(own) = &profile.ai_request_transformer else {
        return Ok((Payload::Whole(body), Vec::new()));
    };
    recorder.reaching(Stage::RequestTransformed);
    let Some(text) = text(&body) else {
        let what = "the request's body is binary, or text that is not UTF-8: the request transformer's LLM cannot read it";
        return Err(Fault::invalid(400, what).into());
    };
    let job = Job {
        transformer: own.into(),
        settings: &profile.aiproxy,
        client: client(
            &inbound.headers,
            inbound.query.as_deref(),
            &inbound.captures,
        ),
        llm: inbound.llm,
    };
    let Some(Rewritten { text, lost }) = ask::rewrite(env, &job, text, recorder).await? else {
        return Ok((Payload::Whole(body), Vec::new()));
    };
    headers::forget_body(&mut inbound.headers);
    let content_type = headers::content_type_of(&text, inbound.headers.get(CONTENT_TYPE));
    inbound.headers.insert(CONTENT_TYPE, content_type);
    let body = Bytes::from(text);
    recorder.stage(Stage::RequestTransformed, &body, || noting::head(inbound));
    Ok((Payload::Whole(body), lost))
}

fn client<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    captures: &'a [(String, String)],
) -> Request<'a> {
    Request {
        headers,
        query,
        captures,
    }
}

/// The body as text; a zero byte is in no text.
fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// The strictest `max_request_body_size` of all plugins; 0 is none.
#[must_use]
pub fn limit(profile: &Profile) -> u64 {
    let proxy = profile
        .ai_proxy
        .as_ref()
        .map(|own| own.max_request_body_size);
    let request = profile.ai_request_transformer.as_ref();
    let response = profile.ai_response_transformer.as_ref();
    let limits = [
        proxy,
        request.map(|own| own.max_request_body_size),
        response.map(|own| own.max_request_body_size),
    ];
    let limits = limits.into_iter().flatten();
    limits.filter(|limit| *limit > 0).min().unwrap_or_default()
}

/// The whole body. A server has read it already.
async fn hold(payload: Payload, limit: u64) -> Outcome<Bytes> {
    let most = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let body = match payload {
        Payload::Whole(body) if most.is_some_and(|most| body.len() > most) => {
            return Err(too_large().into());
        }
        Payload::Whole(body) => return Ok(body),
        Payload::Stream(body) => body,
    };
    match Limited::new(body, most.unwrap_or(MAX_BODY))
        .boxed_unsync()
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large().into()),
        Err(_) => Err(Fault::invalid(400, "the request's body broke off").into()),
    }
}

/// The response transformer of a request under way.
#[derive(Debug)]
pub(crate) struct Filter {
    profile: Arc<Profile>,
    method: Method,
    headers: HeaderMap,
    query: Option<String>,
    captures: Vec<(String, String)>,
    llm: bool,
    /// The client asked for a stream, the upstream was not.
    replay: bool,
}

impl Filter {
    /// The profile's, if it has one.
    pub(super) fn of(inbound: &Inbound, replay: bool) -> Option<Box<Filter>> {
        inbound.profile.ai_response_transformer.as_ref()?;
        Some(Box::new(Filter {
            profile: Arc::clone(&inbound.profile),
            method: inbound.method.clone(),
            headers: inbound.headers.clone(),
            query: inbound.query.clone(),
            captures: inbound.captures.clone(),
            llm: inbound.llm,
            replay,
        }))
    }

    /// Whether an answer of this status can have a body, which is all that the LLM is shown.
    pub(super) fn sees(&self, status: StatusCode) -> bool {
        let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        self.method != Method::HEAD && !status.is_informational() && !bare.contains(&status)
    }
}

/// Before a response transformer the upstream is asked for a whole answer (SPEC §4.2). If the client asked for a stream: whether it asked
/// for its usage.
pub(super) fn ask_whole(
    inbound: &mut Inbound,
    request: &mut Envelope<'_>,
) -> Outcome<Option<bool>> {
    if inbound.profile.ai_response_transformer.is_none() {
        return Ok(None);
    }
    let (reads, usage) = {
        let route = route::route(inbound)?;
        let decided = route::decide(inbound, &route, request)?;
        if !decided.stream {
            return Ok(None);
        }
        let egress = route.provider.egress(&route.call(inbound, &decided));
        (egress.is_some(), decided.asked_usage)
    };
    refuse_stream(inbound, true)?;
    if !reads {
        let what =
            "a streaming answer of this operation cannot be transformed: ask without `stream`";
        return Err(Fault::invalid(400, what).into());
    }
    let mut in_path = false;
    if let Some(native) = &inbound.native {
        in_path = native.in_path;
        inbound.native = Some(native.whole());
        if in_path {
            inbound.query = headers::without(inbound.query.as_deref(), &["alt"]);
        }
    }
    if !in_path || request.has("stream") {
        let unwritable = |error: serde_json::Error| Fault::invalid(400, error.to_string());
        request.set("stream", &false).map_err(unwritable)?;
    }
    request.remove("stream_options");
    Ok(Some(usage))
}

/// The same for a request that goes through unread. It is sent as it is: what `stream` means there, only its backend knows.
pub(super) fn ask_unread(inbound: &mut Inbound, payload: &Payload) -> Outcome<()> {
    if inbound.profile.ai_response_transformer.is_none() {
        return Ok(());
    }
    let accepts = inbound.headers.get_all(ACCEPT).iter();
    let accepts = accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"));
    let says = |body: &Bytes| {
        let envelope = Envelope::parse(body).ok();
        envelope.and_then(|envelope| envelope.read("stream")) == Some(true)
    };
    let streams = accepts || matches!(payload, Payload::Whole(body) if says(body));
    refuse_stream(inbound, streams)?;
    headers::ask_all(&mut inbound.headers);
    Ok(())
}

/// `stream_transform = "reject"`.
fn refuse_stream(inbound: &Inbound, streams: bool) -> Result<(), Fault> {
    if streams && inbound.profile.aiproxy.stream_transform == StreamTransform::Reject {
        let name = &inbound.profile.name;
        return Err(Fault::invalid(
            400,
            format!(
                "profile `{name}` has a response transformer, which needs the whole answer, and `stream_transform = \"reject\"`: ask without `stream`"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
