//! What a request goes on from, and its answer on the way to the client.

use std::{
    fmt,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{OVERHEAD, Store, Turn, Weight};
use crate::{
    dialect::{
        Fault,
        openai_responses::{after, input_of, listed},
    },
    exchange::Recorder,
    llm::Format,
    pipeline::{
        Inbound, Outcome, Payload, Target,
        answer::{is_stream, media_type},
        noting,
    },
    provider::Operation,
    transport::{Body, BoxError},
    wire::{Framer, Framing, MAX_FRAME, envelope::Envelope},
};

/// The conversation that a request goes on from.
#[derive(Clone)]
pub struct Earlier(Arc<Turn>);

impl Earlier {
    /// The id of its last answer.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Bytes of its items.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.total
    }
}

impl fmt::Debug for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Earlier").field(&self.id()).finish()
    }
}

/// A request whose answer is to be kept.
pub struct Keeping {
    store: Arc<Store>,
    earlier: Option<Arc<Turn>>,
    request: Bytes,
    /// The request's, until it is part of a turn.
    _weight: Weight,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").finish_non_exhaustive()
    }
}

/// Whether a request is one whose answers are kept here: one for Responses, to a provider that has none of its own.
fn is_ours(inbound: &Inbound) -> bool {
    inbound.ingress.format() == Format::Responses && inbound.target.operation() == Operation::Chat
}

/// Finds what a request goes on from, which it then holds; gives what keeps its answer, where that is wanted.
///
/// # Errors
///
/// 404 if what it goes on from is not here.
pub fn follow(
    store: &Arc<Store>,
    inbound: &mut Inbound,
    payload: &Payload,
    recorder: &mut Recorder,
    now: Instant,
) -> Outcome<Option<Keeping>> {
    let Payload::Whole(body) = payload else {
        return Ok(None);
    };
    if !is_ours(inbound) {
        return Ok(None);
    }
    // What is no request is refused with all others.
    let Ok(request) = Envelope::parse(body) else {
        return Ok(None);
    };
    if let Some(id) = request.read::<String>("previous_response_id") {
        let Some(turn) = store.find(&id, now) else {
            let fault = super::answers::no_previous(&id);
            let payload = noting::received(recorder, Payload::Whole(body.clone()));
            noting::asked(recorder, inbound, &payload);
            return Err(fault.into());
        };
        inbound.earlier = Some(Earlier(turn));
    }
    let asks = matches!(inbound.target, Target::Operation(..));
    if !asks || request.read::<bool>("store") == Some(false) {
        return Ok(None);
    }
    let Some(weight) = store.weigh(body.len(), now) else {
        return Ok(None);
    };
    Ok(Some(Keeping {
        store: Arc::clone(store),
        earlier: inbound.earlier.clone().map(|earlier| earlier.0),
        request: body.clone(),
        _weight: weight,
    }))
}

/// The request as if the client had sent the whole conversation.
pub(in crate::pipeline) fn whole(inbound: &Inbound, payload: Payload) -> Result<Payload, Fault> {
    match (&inbound.earlier, payload) {
        (Some(Earlier(last)), Payload::Whole(body)) => {
            let turns = last.all();
            let lists = turns.iter().flat_map(|turn| [turn.input(), turn.output()]);
            let body = after(lists, &body);
            let body = body.map_err(|error| Fault::invalid(400, error.to_string()))?;
            Ok(Payload::Whole(body))
        }
        (_, payload) => Ok(payload),
    }
}

/// What of an answer has to be looked at.
#[derive(Deserialize)]
struct Answer<'a> {
    id: String,
    object: String,
    status: String,
    #[serde(borrow)]
    output: &'a RawValue,
}

/// The last event of a stream.
#[derive(Deserialize)]
struct Last<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

impl Keeping {
    /// Keeps the answer once it has passed: just before its end reaches the client.
    #[must_use]
    pub fn watch(self, response: Response<Body>) -> Response<Body> {
        let media_type = media_type(response.headers());
        let reader = if !response.status().is_success() {
            return response;
        } else if is_stream(&media_type) {
            Reader::Stream(Box::new(Framer::new(Framing::Sse, MAX_FRAME)))
        } else {
            Reader::Whole(BytesMut::new())
        };
        response.map(|body| {
            BodyExt::boxed_unsync(Watched {
                body,
                watch: Some((self, reader)),
            })
        })
    }

    fn keep(self, answer: Bytes, now: Instant) {
        if let Some(turn) = self.turn(answer, now) {
            self.store.keep(turn, now);
        }
    }

    /// What is kept of an answer; `None` if it is none that can be gone on from, or is too large.
    pub(super) fn turn(&self, answer: Bytes, now: Instant) -> Option<Turn> {
        let read: Answer<'_> = serde_json::from_slice(&answer).ok()?;
        let over = matches!(read.status.as_str(), "completed" | "incomplete");
        if read.object != "response" || !over || !read.output.get().starts_with('[') {
            return None;
        }
        let output = place(&answer, read.output.get())?;
        let id = read.id;
        let items = listed(input_of(&self.request).ok()?, &id);
        let input = Bytes::from(Value::from(items).to_string());
        let bytes = id.len() + input.len() + answer.len() + OVERHEAD;
        let before = self.earlier.as_ref().map_or(0, |turn| turn.total);
        let total = bytes + before;
        if total > self.store.most {
            return None;
        }
        Some(Turn {
            _weight: self.store.weigh(bytes, now)?,
            id,
            input,
            answer,
            output,
            earlier: self.earlier.clone(),
            total,
        })
    }
}

/// Where a part of a text is in it.
fn place(all: &[u8], part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(all.as_ptr() as usize)?;
    Some(start..start + part.len())
}

/// How an answer is looked at.
enum Reader {
    Whole(BytesMut),
    Stream(Box<Framer>),
}

/// An answer on its way. Its bytes go on as they are.
struct Watched {
    body: Body,
    /// `None` once it is kept, or cannot be.
    watch: Option<(Keeping, Reader)>,
}

impl Watched {
    fn saw(&mut self, data: &Bytes) {
        let Some((keeping, reader)) = &mut self.watch else {
            return;
        };
        match reader {
            Reader::Whole(so_far) if so_far.len() + data.len() > keeping.store.most => {
                self.watch = None;
            }
            Reader::Whole(so_far) => so_far.extend_from_slice(data),
            Reader::Stream(framer) => {
                framer.feed(data.clone());
                let found = loop {
                    match framer.frame() {
                        Ok(Some(frame)) => {
                            let name = frame.name();
                            if name == b"response.completed" || name == b"response.incomplete" {
                                break Some(frame);
                            }
                        }
                        Ok(None) => return,
                        Err(_) => break None,
                    }
                };
                let Some((keeping, _)) = self.watch.take() else {
                    return;
                };
                if let Some(frame) = found
                    && let Ok(last) = serde_json::from_slice::<Last<'_>>(frame.data())
                {
                    let answer = Bytes::copy_from_slice(last.response.get().as_bytes());
                    keeping.keep(answer, Instant::now());
                }
            }
        }
    }

    /// There is no more.
    fn ended(&mut self) {
        if let Some((keeping, Reader::Whole(answer))) = self.watch.take() {
            keeping.keep(answer.freeze(), Instant::now());
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.saw(data);
                }
                if this.body.is_end_stream() {
                    this.ended();
                }
            }
            Poll::Ready(Some(Err(_))) => this.watch = None,
            Poll::Ready(None) => this.ended(),
            Poll::Pending => {}
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
