//! The upstream's answer becomes the client's.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION},
    response::Parts,
};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::IgnoredAny;

use super::{
    Answer, Env, Failure, Outcome, Plan,
    headers::{downstream, put_all},
    inflate::{Uninflated, codings_of, inflate, inflate_whole},
    relay::{Mode, Relay, idle_message},
    through::Through,
    transformer,
};
use crate::{
    dialect::{Egress, Fault},
    exchange::{Head, Recorder, Stage},
    llm::{Accumulator, ChatResponse, EmbedRequest, EmbedResponse, Format, events_of},
    provider::Operation,
    transport::{Body, full},
    wire::{Framer, Framing, MAX_FRAME},
};

/// The largest whole answer that is held (SPEC §4.11).
const MAX_ANSWER: usize = 256 << 20;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Asks proxies between here and the client, nginx above all, to pass each event on at once.
const NO_BUFFERING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// Turns the upstream's answer into the client's. The recorder leaves its slot only with the body that will close it, so that a failure
/// finds it there.
///
/// # Errors
///
/// A [`Failure`] with the provider's status, or 500 and 502 where its answer is none.
pub async fn finish(
    env: Env<'_>,
    answer: Answer,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let Answer { response, mut plan } = answer;
    if let Some(filter) = plan.filter.take()
        && filter.sees(response.status())
    {
        return Box::pin(transformer::response(env, response, &plan, &filter, slot)).await;
    }
    let (parts, body) = response.into_parts();
    let Some(egress) = plan.egress else {
        return Box::pin(through(parts, body, &plan, slot)).await;
    };
    if plan.stream
        && parts.status.is_success()
        && let Some(framing) = egress.framing(&media_type(&parts.headers))
    {
        return Box::pin(stream(parts, body, framing, plan, egress, slot)).await;
    }
    let Some(recorder) = slot.as_mut() else {
        return Err(failing(&parts, &plan)(gone()));
    };
    let out = whole(parts, body, &plan, egress, recorder).await?;
    returned(out, slot)
}

/// A failure with those headers of the upstream's that still hold, and ours.
fn failing(parts: &Parts, plan: &Plan) -> impl Fn(Fault) -> Box<Failure> {
    |fault| failure(parts, &plan.headers, fault)
}

fn failure(parts: &Parts, own: &HeaderMap, fault: Fault) -> Box<Failure> {
    let mut headers = downstream(&parts.headers, true, false);
    headers.remove(CONTENT_TYPE);
    // Of a redirect, which is not followed: not by the client either.
    headers.remove(LOCATION);
    headers.extend(own.clone());
    Box::new(Failure { fault, headers })
}

/// A whole answer in the client's format.
pub(super) async fn whole(
    parts: Parts,
    body: Body,
    plan: &Plan,
    egress: &'static dyn Egress,
    recorder: &mut Recorder,
) -> Outcome<Response<Bytes>> {
    let failed = failing(&parts, plan);
    let body = collect(&parts.headers, body, plan.idle_timeout)
        .await
        .map_err(|fault| failed(*fault))?;
    recorder.stage(Stage::Received, &body.inflated, || {
        Head::answer(parts.status, &parts.headers)
    });
    let mut out = if let Some(request) = &plan.embeds
        && parts.status.is_success()
    {
        let decoded = egress
            .decode_embeddings(&body.inflated)
            .map_err(|error| failed(unreadable(plan, &error)))?;
        embeddings(&parts, request, decoded, plan, recorder)
    } else if is_heard(&parts, plan) {
        let told = recorder.hear(egress, |sink| egress.hear_response(&body.inflated, sink));
        told.or_else(|error| lenient(plan, &body.inflated, &error))
            .map_err(&failed)?;
        recorder.body(&body.inflated);
        forward(&parts, body, plan)
    } else {
        let read = read(&parts, &body.inflated, plan, egress).map_err(|fault| {
            let mut failure = failed(fault);
            if failure.fault.verbatim.is_some()
                && let Some(content_type) = parts.headers.get(CONTENT_TYPE)
            {
                failure.headers.insert(CONTENT_TYPE, content_type.clone());
            }
            failure
        })?;
        recorder.whole(&read.response);
        if plan.stream {
            recorder.body(&Bytes::from(read.response.text()));
            replay(&parts.headers, plan, plan.show_usage, &read.response)
        } else if plan.same_format && !read.streamed {
            recorder.body(&body.inflated);
            forward(&parts, body, plan)
        } else {
            let encoded = Bytes::from(plan.ingress.encode_echoing(&read.response, &plan.echo));
            recorder.body(&encoded);
            written(&parts, encoded)
        }
    };
    put_all(out.headers_mut(), &plan.headers);
    Ok(out)
}

/// An answer, read.
pub(super) struct Read {
    pub(super) response: ChatResponse,
    /// It was a stream, though nobody asked for one.
    pub(super) streamed: bool,
}

/// Reads a whole answer of the provider's, inflated; an error status is its fault.
pub(super) fn read(
    parts: &Parts,
    body: &Bytes,
    plan: &Plan,
    egress: &dyn Egress,
) -> Result<Read, Fault> {
    if parts.status.is_redirection() {
        return Err(redirected(parts));
    }
    if !parts.status.is_success() {
        let mut fault = egress.decode_error(parts.status.as_u16(), body);
        // An error in OpenAI's words says nothing to a client of a third format; text that is no JSON at all still does.
        let third = !plan.same_format && plan.ingress.format() != Format::OpenAi;
        if third && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            let told = fault.verbatim.take();
            let told = told.and_then(|told| String::from_utf8(told.to_vec()).ok());
            fault.provider = fault.provider.or(told);
        }
        return Err(fault);
    }
    let media_type = media_type(&parts.headers);
    let framing = egress.framing(&media_type);
    let streamed = framing.filter(|_| is_stream(&media_type));
    let decoded = match streamed {
        Some(framing) => gather(egress, framing, body),
        None => egress
            .decode_response(body)
            .map_err(|error| error.to_string()),
    };
    let mut response = match decoded {
        // Nothing can be written from what cannot be read.
        Err(reason) if plan.stream || streamed.is_some() => return Err(unreadable(plan, &reason)),
        Err(reason) => lenient(plan, body, &reason).map(|()| ChatResponse::default())?,
        Ok(response) => response,
    };
    if !plan.same_format {
        plan.restore.response(&mut response);
        plan.called.answer(&mut response);
    }
    Ok(Read {
        response,
        streamed: streamed.is_some(),
    })
}

/// Whether an answer goes on as it is, and is only listened to.
fn is_heard(parts: &Parts, plan: &Plan) -> bool {
    plan.same_format
        && !plan.stream
        && parts.status.is_success()
        && !is_stream(&media_type(&parts.headers))
}

/// An answer that cannot be read. One that has failed is an answer too, where nobody has to understand it; what is no object is none.
fn lenient(plan: &Plan, body: &Bytes, reason: &dyn std::fmt::Display) -> Result<(), Fault> {
    let is_object = || serde_json::from_slice::<HashMap<Cow<'_, str>, IgnoredAny>>(body).is_ok();
    if plan.same_format && plan.operation == Operation::Responses && is_object() {
        return Ok(());
    }
    Err(unreadable(plan, reason))
}

/// An answer that sends the client elsewhere. Whoever followed it would take the request, and the profile's key, to a host that the profile
/// does not name.
fn redirected(parts: &Parts) -> Fault {
    let place = parts.headers.get(LOCATION).map(HeaderValue::as_bytes);
    let place = place.and_then(|place| Uri::try_from(place).ok());
    // Not the path, nor the query: there may be a key in them.
    let origin = place.as_ref().and_then(|uri| {
        let (scheme, host) = (uri.scheme_str()?, uri.host()?);
        let port = uri.port().map_or(String::new(), |port| format!(":{port}"));
        Some(format!(" to {scheme}://{host}{port}"))
    });
    let (status, origin) = (parts.status.as_u16(), origin.unwrap_or_default());
    Fault::upstream(
        502,
        format!("the provider answered {status}, a redirect{origin}, which is not followed"),
    )
}

/// Kong's words for an answer that is none.
fn unreadable(plan: &Plan, reason: &dyn std::fmt::Display) -> Fault {
    let (provider, route_type) = (plan.provider, plan.operation.route_type());
    Fault::upstream(
        500,
        format!("transformation failed from type {provider}://{route_type}: {reason}"),
    )
}

/// What the client gets. The record closes with the body; where somebody watches it stays in its slot.
pub(super) fn returned(
    out: Response<Bytes>,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let Some(mut recorder) = slot.take() else {
        return Err(gone().into());
    };
    recorder.responding(out.status().as_u16());
    recorder.stage(Stage::Returned, out.body(), || {
        Head::answer(out.status(), out.headers())
    });
    if recorder.is_watched() {
        *slot = Some(recorder);
        return Ok(out.map(full));
    }
    Ok(recorded(out.map(full), recorder))
}

/// What cannot be: the record leaves its slot with the body alone.
pub(super) fn gone() -> Fault {
    Fault::upstream(500, "the request has no record")
}

/// What an answer says it is, without parameters; empty if it does not say.
pub(super) fn media_type(headers: &HeaderMap) -> Cow<'_, str> {
    let told = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let mut parts = told.unwrap_or_default().split(|byte| *byte == b';');
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default().trim_ascii());
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    text
}

/// Whether an answer is a stream though nobody asked for one.
pub(super) fn is_stream(media_type: &str) -> bool {
    matches!(
        media_type,
        "text/event-stream"
            | "application/x-ndjson"
            | "application/stream+json"
            | "application/vnd.amazon.eventstream"
    )
}

/// Embeddings in the client's form.
fn embeddings(
    parts: &Parts,
    request: &EmbedRequest,
    mut decoded: EmbedResponse,
    plan: &Plan,
    recorder: &mut Recorder,
) -> Response<Bytes> {
    if decoded.model.is_empty() {
        decoded.model.clone_from(&plan.called.model);
    }
    recorder.whole(&ChatResponse {
        model: decoded.model.clone(),
        usage: decoded.usage,
        ..ChatResponse::default()
    });
    let encoded = Bytes::from(plan.ingress.encode_embeddings(request, &decoded));
    recorder.body(&encoded);
    written(parts, encoded)
}

/// A whole answer that was written here.
fn written(parts: &Parts, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.headers_mut() = downstream(&parts.headers, true, false);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The record closes with the body.
fn recorded(response: Response<Body>, recorder: Recorder) -> Response<Body> {
    response.map(|body| BodyExt::boxed_unsync(Through::ready(body, recorder)))
}

/// An answer of an operation that aiproxy does not read.
async fn through(
    parts: Parts,
    body: Body,
    plan: &Plan,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    if slot.as_ref().is_some_and(Recorder::is_watched) {
        let out = whole_unread(parts, body, plan, slot.as_mut()).await?;
        return returned(out, slot);
    }
    let mut headers = downstream(&parts.headers, false, plan.keep_cookies);
    headers.extend(plan.headers.clone());
    let body = match slot.take() {
        Some(recorder) => {
            recorder.streams(Stage::Received, || {
                Head::answer(parts.status, &parts.headers)
            });
            recorder.responding(parts.status.as_u16());
            recorder.passes(Stage::Returned, Stage::Received, || {
                Head::answer(parts.status, &headers)
            });
            BodyExt::boxed_unsync(Through::new(body, plan.idle_timeout, recorder))
        }
        None => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The same for one that somebody has to see whole: inflated.
pub(super) async fn whole_unread(
    parts: Parts,
    body: Body,
    plan: &Plan,
    recorder: Option<&mut Recorder>,
) -> Outcome<Response<Bytes>> {
    let failed = failing(&parts, plan);
    let body = collect(&parts.headers, body, plan.idle_timeout)
        .await
        .map_err(|fault| failed(*fault))?;
    if let Some(recorder) = recorder {
        recorder.stage(Stage::Received, &body.inflated, || {
            Head::answer(parts.status, &parts.headers)
        });
    }
    let mut response = Response::new(body.inflated);
    *response.status_mut() = parts.status;
    let headers = response.headers_mut();
    *headers = downstream(&parts.headers, true, plan.keep_cookies);
    headers.extend(plan.headers.clone());
    Ok(response)
}

/// A stream, forwarded or translated.
async fn stream(
    parts: Parts,
    body: Body,
    framing: Framing,
    plan: Box<Plan>,
    egress: &'static dyn Egress,
    slot: &mut Option<Recorder>,
) -> Outcome<Response<Body>> {
    let inflated = inflate(&parts.headers, body)
        .map_err(|name| failure(&parts, &plan.headers, undoable(&name)))?;
    let mode = if plan.same_format {
        Mode::Forward {
            hide_usage: plan.hide_usage,
        }
    } else {
        Mode::Translate
    };
    let Some(recorder) = slot.take() else {
        let gone = Fault::upstream(500, "the stream's record is gone");
        return Err(failure(&parts, &plan.headers, gone));
    };
    recorder.streams(Stage::Received, || {
        Head::answer(parts.status, &parts.headers)
    });
    let encoder = plan.ingress.echoing_encoder(plan.show_usage, &plan.echo);
    let relay = Relay::new(
        inflated.body,
        egress,
        framing,
        encoder,
        mode,
        plan.idle_timeout,
        recorder,
    )
    .restoring(plan.restore, plan.called);
    let mut relay = relay.open().await.map_err(|(fault, recorder)| {
        *slot = Some(recorder);
        failure(&parts, &plan.headers, fault)
    })?;
    let mut headers = downstream(&parts.headers, true, false);
    if !plan.same_format {
        let stream_type = HeaderValue::from_static(plan.ingress.stream_type());
        headers.insert(CONTENT_TYPE, stream_type);
    } else if framing == Framing::Sse && media_type(&parts.headers) != "text/event-stream" {
        headers.insert(CONTENT_TYPE, EVENT_STREAM);
    }
    stream_headers(&mut headers);
    headers.extend(plan.headers);
    relay.responding(parts.status, &headers);
    let mut response = Response::new(BodyExt::boxed_unsync(relay));
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers;
    Ok(response)
}

pub(super) fn stream_headers(headers: &mut HeaderMap) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache"));
    headers.insert(NO_BUFFERING.0, NO_BUFFERING.1);
}

/// A whole answer to a client that asked for a stream.
pub(super) fn replay(
    headers: &HeaderMap,
    plan: &Plan,
    usage: bool,
    decoded: &ChatResponse,
) -> Response<Bytes> {
    let mut encoder = plan.ingress.echoing_encoder(usage, &plan.echo);
    let mut out = BytesMut::new();
    events_of(decoded, &mut |event: crate::llm::Event<'_>| {
        encoder.event(&event, &mut out);
    });
    let mut response = Response::new(out.freeze());
    *response.headers_mut() = downstream(headers, true, plan.keep_cookies);
    let stream_type = HeaderValue::from_static(plan.ingress.stream_type());
    response.headers_mut().insert(CONTENT_TYPE, stream_type);
    stream_headers(response.headers_mut());
    response
}

/// A whole answer of the client's own format: its bytes, still compressed where the client takes that.
fn forward(parts: &Parts, body: Collected, plan: &Plan) -> Response<Bytes> {
    let takes = codings_of(&parts.headers)
        .is_ok_and(|codings| codings.iter().all(|coding| plan.accepts.contains(coding)));
    let mut response = Response::new(if takes { body.raw } else { body.inflated });
    *response.status_mut() = parts.status;
    *response.headers_mut() = downstream(&parts.headers, !takes, false);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    response
}

/// A stream that came where a whole answer was asked for.
pub(super) fn gather(
    egress: &dyn Egress,
    framing: Framing,
    body: &Bytes,
) -> Result<ChatResponse, String> {
    let (mut framer, mut decoder, mut all) = (
        Framer::new(framing, MAX_FRAME),
        egress.stream_decoder(),
        Accumulator::default(),
    );
    framer.feed(body.clone());
    while let Some(frame) = framer.frame().map_err(|error| error.to_string())? {
        decoder
            .frame(&frame, &mut all)
            .map_err(|error| error.to_string())?;
    }
    if let Some(frame) = framer.finish() {
        decoder
            .frame(&frame, &mut all)
            .map_err(|error| error.to_string())?;
    }
    if framer.is_complete() {
        decoder.end(&mut all);
    }
    match all.failed() {
        Some(message) => Err(message.to_owned()),
        None if framer.is_complete() && decoder.is_complete() => Ok(all.into_response()),
        None => Err("the provider closed the stream before its end".into()),
    }
}

/// A whole body, as it came and inflated.
pub(super) struct Collected {
    raw: Bytes,
    pub(super) inflated: Bytes,
}

fn undoable(name: &str) -> Fault {
    let name: String = name.chars().take(40).collect();
    Fault::upstream(
        502,
        format!("the provider's answer is coded in a way that nobody asked for: {name}"),
    )
}

fn uninflated(why: Uninflated) -> Fault {
    match why {
        Uninflated::Unknown(name) => undoable(&name),
        Uninflated::Broken(error) => Fault::upstream(
            502,
            format!("the provider's answer does not inflate: {error}"),
        ),
        Uninflated::TooLarge(limit) => {
            let limit = limit >> 20;
            Fault::upstream(
                502,
                format!("the provider's answer is larger than {limit} MiB once inflated"),
            )
        }
    }
}

/// Reads a whole body, within the limits of size and silence.
pub(super) async fn collect(
    headers: &HeaderMap,
    mut body: Body,
    idle: Duration,
) -> Result<Collected, Box<Fault>> {
    let too_large = || {
        let limit = MAX_ANSWER >> 20;
        Box::new(Fault::upstream(
            502,
            format!("the provider's answer is larger than {limit} MiB"),
        ))
    };
    // One that says so is not waited for.
    if body.size_hint().lower() > MAX_ANSWER as u64 {
        return Err(too_large());
    }
    let mut out = Vec::new();
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| Fault::upstream(504, idle_message(idle)).code("timeout"))?;
        match frame {
            None => break,
            Some(Err(error)) => {
                return Err(Box::new(Fault::upstream(
                    502,
                    format!("the provider's answer broke: {error}"),
                )));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                if out.len() + data.len() > MAX_ANSWER {
                    return Err(too_large());
                }
                out.extend_from_slice(&data);
            }
        }
    }
    let raw = Bytes::from(out);
    if codings_of(headers).is_ok_and(|codings| codings.is_empty()) {
        return Ok(Collected {
            inflated: raw.clone(),
            raw,
        });
    }
    let inflated = inflate_whole(headers, raw.clone(), MAX_ANSWER)
        .await
        .map_err(|why| Box::new(uninflated(why)))?;
    Ok(Collected { raw, inflated })
}
