//! What a request's record keeps for the request log. Where nobody logs, or the profile asks for nothing, this does nothing.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{
    Inbound, Payload, Prepared,
    route::{Decided, Route},
    secrets::Secrets,
};
use crate::{
    exchange::{
        Address, Head, Hidden, Kept, MOST, Material, Prompt, Recorder, SECRET, Stage, Tap,
        masked_url,
    },
    profile::ParamLocation,
    transport::{Body, BoxError},
    wire::envelope::Envelope,
};

/// Counts the request's body: now, or while it goes by.
pub(super) fn received(recorder: &mut Recorder, payload: Payload) -> Payload {
    match payload {
        Payload::Whole(body) => {
            recorder.request_size(|| Arc::new(AtomicU64::new(body.len() as u64)));
            Payload::Whole(body)
        }
        Payload::Stream(body) => {
            let mut counter = None;
            recorder.request_size(|| Arc::clone(counter.insert(Arc::default())));
            let Some(counter) = counter else {
                return Payload::Stream(body);
            };
            let tap = recorder.tap();
            Payload::Stream(Counted { body, counter, tap }.boxed_unsync())
        }
    }
}

/// A body whose bytes are counted as they go by. Its length stays known: `content-length` must not turn into chunks.
struct Counted {
    body: Body,
    counter: Arc<AtomicU64>,
    /// Keeps them.
    tap: Option<Tap>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.counter.fetch_add(data.len() as u64, Ordering::Relaxed);
            if let Some(tap) = &this.tap {
                tap.push(data);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the profile wants of a request that is read here.
pub(super) fn routed(recorder: &mut Recorder, route: &Route<'_>, decided: &Decided, reads: bool) {
    let options = &route.proxy.model.options;
    let prices = (options.input_cost, options.output_cost);
    recorder.planned(decided.stream, prices);
    if recorder.is_logged() {
        recorder.log(material(route, decided, reads));
    }
}

/// What is wanted logged of a call of this model.
pub(super) fn material(route: &Route<'_>, decided: &Decided, reads: bool) -> Material {
    let (wanted, prices) = (&route.proxy.logging, &route.proxy.model.options);
    let options = &route.options;
    let mut meta = Vec::new();
    // Kong's `ai_extra_meta`: the one service whose model does not say where it runs.
    for (key, value) in [
        ("azure_instance_id", &options.azure_instance),
        ("azure_deployment_id", &options.azure_deployment_id),
    ] {
        meta.extend(value.clone().map(|value| (key, value)));
    }
    if let (false, Some(version)) = (meta.is_empty(), &options.azure_api_version) {
        meta.push(("azure_api_version", version.clone()));
    }
    Material {
        statistics: wanted.log_statistics,
        payloads: wanted.log_payloads,
        input_cost: prices.input_cost,
        output_cost: prices.output_cost,
        meta,
        stream: decided.stream,
        countable: reads,
        ..Material::default()
    }
}

/// What must not be in the line: an upstream's error can quote a key.
pub(super) fn secrets(recorder: &mut Recorder, secrets: &Secrets) {
    recorder.secrets(secrets.values().into_iter().flatten());
    if let Some((name, _)) = secrets.param() {
        recorder.key_param(name);
    }
}

/// The body as it leaves.
pub(super) fn composed(recorder: &mut Recorder, secrets: &Secrets, wire: Option<&Bytes>) {
    recorder.material(|material| bodies(material, secrets, wire));
}

/// Keeps of a body as it leaves what is wanted.
pub(super) fn bodies(material: &mut Material, secrets: &Secrets, wire: Option<&Bytes>) {
    let Some(wire) = wire else { return };
    if material.payloads {
        // A short key is found by its field alone.
        let bare = match secrets.param() {
            Some((name, ParamLocation::Body)) => without(wire, name),
            _ => None,
        };
        material.request = Some(Kept::of(bare.as_ref().unwrap_or(wire)));
    }
    if material.statistics && material.countable {
        if wire.len() > MOST {
            material.prompt = Some(Prompt::of(wire));
        } else if material.request.is_none() {
            material.request = Some(Kept::of(wire));
        }
    }
}

/// A request's head as the pipeline has it before it is routed.
pub(super) fn head(inbound: &Inbound) -> Head<'_> {
    let path = inbound.target.path();
    Head {
        method: Some(&inbound.method),
        url: Some(Address::Text(match &inbound.query {
            Some(query) => masked_url(&format!("{path}?{query}"), &[]),
            None => path.to_owned(),
        })),
        status: None,
        headers: &inbound.headers,
        secrets: Hidden::default(),
    }
}

/// The request as the client sent it.
pub(super) fn asked(recorder: &mut Recorder, inbound: &Inbound, payload: &Payload) {
    let proxy = inbound.profile.ai_proxy.as_ref();
    let param = proxy.and_then(|proxy| proxy.auth.param_name.as_ref());
    if let Some(name) = param.and_then(|param| param.literal()) {
        recorder.key_param(name);
    }
    match payload {
        Payload::Whole(body) => recorder.stage(Stage::Client, body, || head(inbound)),
        // Who watches sees bodies whole or not at all.
        Payload::Stream(_) if recorder.is_watched() => {
            recorder.stage(Stage::Client, &Bytes::new(), || head(inbound));
        }
        Payload::Stream(_) => recorder.streams(Stage::Client, || head(inbound)),
    }
}

/// The request is ready to leave.
pub(super) fn ready(recorder: &mut Recorder, secrets: &Secrets, prepared: &Prepared) {
    for loss in &prepared.plan.lost {
        recorder.warn(loss.to_string());
    }
    if !recorder.keeps_stages() {
        return;
    }
    let head = || {
        let request = prepared.request();
        let param = secrets.param().map(|(name, _)| name);
        Head {
            method: Some(request.method()),
            url: Some(Address::masked(request.uri(), param.as_slice())),
            status: None,
            headers: request.headers(),
            secrets: secrets.values(),
        }
    };
    if prepared.wire.is_some() || recorder.is_watched() {
        let body = without_param(secrets, prepared.wire.as_ref());
        recorder.stage(Stage::Sent, &body, head);
    } else {
        recorder.passes(Stage::Sent, Stage::Client, head);
    }
}

/// A body whose key, if it holds one, is `(secret)`.
pub(super) fn without_param(secrets: &Secrets, wire: Option<&Bytes>) -> Bytes {
    let wire = wire.cloned().unwrap_or_default();
    let Some((name, ParamLocation::Body)) = secrets.param() else {
        return wire;
    };
    let Ok(mut envelope) = Envelope::parse(&wire) else {
        return wire;
    };
    if envelope.set(name, SECRET).is_err() {
        return Bytes::new();
    }
    envelope.finish(&wire)
}

/// A body without one of its fields.
fn without(wire: &Bytes, field: &str) -> Option<Bytes> {
    let mut envelope = Envelope::parse(wire).ok()?;
    envelope.remove(field).then(|| envelope.finish(wire))
}
