//! A response body that reads the upstream, observes, and forwards or translates. No task, no channel: back-pressure and cancellation are
//! the body's own.

mod tee;

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame as BodyFrame};
use tokio::time::{Instant, Sleep, sleep_until};

use self::tee::{Failed, Seen, Tee};
use super::Called;
use crate::{
    dialect::{Egress, Error, Fault, Restore, Restored, Steady, StreamDecoder, StreamEncoder},
    exchange::{Head, Recorder, Stage},
    llm::{Event, Format},
    transport::{Body, BoxError},
    wire::{Frame, Framer, Framing, MAX_FRAME},
};

/// How often a silent stream is kept alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long, and how much of, an opening without content is held, so that an error can still become a status (SPEC §4.4).
const HELD_TIME: Duration = Duration::from_secs(1);
const HELD_EVENTS: u32 = 64;
const HELD_BYTES: usize = 256 << 10;

/// What happens to the upstream's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They go on as they are: client and upstream speak one format.
    Forward {
        /// Withhold the usage chunk that aiproxy asked for.
        hide_usage: bool,
    },
    /// The client's format is written anew.
    Translate,
}

/// The part without I/O: chunks in, chunks out.
struct Core {
    framer: Framer,
    decoder: Box<dyn StreamDecoder>,
    steady: Steady,
    encoder: Box<dyn StreamEncoder>,
    /// What the request's encoding did.
    restored: Restored,
    /// What the answer is called where the provider does not say.
    called: Called,
    mode: Mode,
    framing: Framing,
    /// An end that the provider left out is written: the client's format has a mark for it.
    marks_end: bool,
    recorder: Recorder,
    out: BytesMut,
    /// A frame was over the limit: bytes go on unobserved.
    blind: bool,
    /// Bytes that came, and those of them that are dealt with.
    came: u64,
    taken: u64,
    /// Where what is forwarded differs from what came, as long as the client has no head yet.
    edits: Option<Vec<(u64, u64, Bytes)>>,
    seen: Seen,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Understood,
    /// Understood, and not for the client.
    Withheld,
    /// Why.
    Unreadable(Error),
}

impl Core {
    /// The decoder, and where its events go.
    fn parts(&mut self) -> (&mut dyn StreamDecoder, &mut Steady, Tee<'_>) {
        let encoder: Option<&mut dyn StreamEncoder> = match self.mode {
            Mode::Translate => Some(&mut *self.encoder),
            Mode::Forward { .. } => None,
        };
        let tee = Tee {
            seen: &mut self.seen,
            recorder: &mut self.recorder,
            encoder,
            restored: &mut self.restored,
            called: &self.called,
            out: &mut self.out,
            events: 0,
            usage: 0,
        };
        (&mut *self.decoder, &mut self.steady, tee)
    }

    /// Decodes one frame.
    fn frame(&mut self, frame: &Frame) -> Read {
        let hide_usage = self.mode == Mode::Forward { hide_usage: true };
        self.seen.frames += u64::from(!frame.data().is_empty());
        let (decoder, steady, mut tee) = self.parts();
        let decoded = steady.frame(decoder, frame, &mut tee);
        let only_usage = tee.events == 1 && tee.usage == 1;
        match decoded {
            Ok(()) if hide_usage && only_usage && decoder.is_bare_usage(frame) => Read::Withheld,
            Ok(()) => Read::Understood,
            Err(error) => Read::Unreadable(error),
        }
    }

    /// Takes the next bytes; gives what the client gets of them.
    fn push(&mut self, chunk: Bytes) -> Bytes {
        self.recorder.chunk(&chunk);
        self.came += chunk.len() as u64;
        if self.blind {
            self.taken = self.came;
            return chunk;
        }
        self.framer.feed(chunk);
        // When forwarding, frames that follow each other leave as one slice of what came in.
        let whole = self.framer.buffered();
        let base = self.came.saturating_sub(whole.len() as u64);
        let (mut run, mut at) = (0, 0);
        loop {
            match self.framer.frame() {
                Ok(Some(frame)) => {
                    let start = at;
                    at += frame.raw.len();
                    match self.frame(&frame) {
                        Read::Withheld => {
                            self.out
                                .extend_from_slice(whole.get(run..start).unwrap_or_default());
                            run = at;
                            self.edit(base + start as u64, (at - start) as u64, Bytes::new());
                        }
                        // Forwarded, it still goes to the client, who might understand it.
                        Read::Unreadable(error) if self.mode == Mode::Translate => {
                            let why =
                                format!("the provider sent an event that cannot be read: {error}");
                            self.fail("upstream_error", &why, None);
                        }
                        Read::Understood | Read::Unreadable(_) => {}
                    }
                    if self.seen.failed.is_some() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) if self.mode == Mode::Translate => {
                    self.fail("upstream_error", &error.to_string(), None);
                    break;
                }
                Err(_) => {
                    // Observation ends, the stream does not.
                    self.blind = true;
                    self.framer.take_pending();
                    at = whole.len();
                    break;
                }
            }
        }
        if self.mode == Mode::Translate {
            return self.out.split().freeze();
        }
        self.taken = base + at as u64;
        if self.seen.failed.is_some() {
            // Nothing after the error goes on.
            self.edit(self.taken, u64::MAX, Bytes::new());
        }
        if self.out.is_empty() {
            return whole.slice(run.min(at)..at);
        }
        self.out
            .extend_from_slice(whole.get(run..at).unwrap_or_default());
        self.out.split().freeze()
    }

    /// The upstream ended, in order.
    fn end(&mut self) -> Bytes {
        if self.blind {
            self.seen.ended = true;
            return Bytes::new();
        }
        if let Some(frame) = self.framer.finish() {
            let forwards = self.mode != Mode::Translate;
            // What cannot be read was cut inside its last event: nothing of it is sent.
            if self.frame(&frame) == Read::Understood && forwards {
                self.out.extend_from_slice(frame.raw.trim_ascii_end());
                self.out.extend_from_slice(self.framing.terminator());
            }
        }
        let whole = self.framer.is_complete();
        if whole && self.seen.failed.is_none() && !self.seen.ended {
            let (decoder, _, mut tee) = self.parts();
            decoder.end(&mut tee);
        }
        if self.seen.failed.is_none() && !self.seen.ended {
            if whole && self.decoder.is_complete() {
                self.seen.ended = true;
                self.recorder.observe(&Event::End);
                if self.marks_end {
                    self.encoder.event(&Event::End, &mut self.out);
                }
            } else {
                self.fail(
                    "upstream_error",
                    "the provider closed the stream before its end",
                    None,
                );
            }
        }
        self.last()
    }

    /// What was written in the place of all that was not forwarded.
    fn last(&mut self) -> Bytes {
        let out = self.out.split().freeze();
        if self.mode != Mode::Translate && (!out.is_empty() || self.taken < self.came) {
            self.edit(self.taken, u64::MAX, out.clone());
        }
        out
    }

    /// What is forwarded differs from what came.
    fn edit(&mut self, at: u64, cut: u64, put: Bytes) {
        match &mut self.edits {
            Some(edits) => edits.push((at, cut, put)),
            None => self.recorder.edited(at, cut, &put),
        }
    }

    /// Ends the stream with one error event, and no end marker.
    fn fail(&mut self, kind: &str, message: &str, status: Option<u16>) {
        // After the end nothing can fail any more: the client has its answer.
        if self.seen.failed.is_some() || self.seen.ended {
            return;
        }
        let event = Event::Failed {
            kind: Cow::Borrowed(kind),
            message: Cow::Borrowed(message),
            status,
        };
        self.recorder.observe(&event);
        if let Some(start) = self.seen.start.take() {
            self.encoder.follows(&start, self.seen.frames);
        }
        let before = self.out.len();
        self.encoder.event(&event, &mut self.out);
        // An array that the provider opened goes on.
        if self.mode != Mode::Translate
            && self.framing == Framing::JsonArray
            && self.seen.content
            && let Some(bracket) = self.out.get_mut(before).filter(|byte| **byte == b'[')
        {
            *bracket = b',';
        }
        self.seen.failed = Some(Failed {
            kind: kind.into(),
            message: message.into(),
            status,
        });
    }
}

/// The response body of a stream.
pub struct Relay {
    /// `None` once it ended; dropping it cancels the upstream.
    upstream: Option<Body>,
    core: Core,
    /// The opening that was held.
    held: Bytes,
    idle: Duration,
    /// When the upstream was last heard.
    heard: Instant,
    /// When the client was last sent something.
    spoke: Instant,
    timer: Pin<Box<Sleep>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("mode", &self.core.mode)
            .finish_non_exhaustive()
    }
}

impl Relay {
    pub(super) fn new(
        upstream: Body,
        egress: &dyn Egress,
        framing: Framing,
        encoder: Box<dyn StreamEncoder>,
        mode: Mode,
        idle: Duration,
        recorder: Recorder,
    ) -> Relay {
        let now = Instant::now();
        let core = Core {
            framer: Framer::new(framing, MAX_FRAME),
            decoder: egress.stream_decoder(),
            steady: Steady::default(),
            encoder,
            restored: Restored::default(),
            called: Called::default(),
            mode,
            framing,
            marks_end: mode == Mode::Translate || egress.format() == Format::OpenAi,
            recorder,
            out: BytesMut::new(),
            blind: false,
            came: 0,
            taken: 0,
            edits: Some(Vec::new()),
            seen: Seen::default(),
        };
        let timer = Box::pin(sleep_until(now + idle.min(KEEP_ALIVE)));
        Relay {
            upstream: Some(upstream),
            core,
            held: Bytes::new(),
            idle,
            heard: now,
            spoke: now,
            timer,
        }
    }

    /// Undoes in the events what the request's encoding did, and gives the answer a name where the provider has none.
    pub(super) fn restoring(mut self, restore: Restore, called: Called) -> Relay {
        self.core.restored = Restored::new(restore);
        self.core.called = called;
        self
    }

    /// Holds the opening until there is content, so that an early error can still be a status.
    ///
    /// # Errors
    ///
    /// The error that came before any content, and the recorder.
    pub(super) async fn open(mut self) -> Result<Relay, (Fault, Recorder)> {
        use http_body_util::BodyExt;

        let mut held = BytesMut::new();
        let released = self.heard + HELD_TIME;
        while let Some(upstream) = &mut self.upstream {
            let silent = self.heard + self.idle;
            let deadline = released.min(silent);
            let Ok(next) = tokio::time::timeout_at(deadline, upstream.frame()).await else {
                if silent <= released && !self.core.seen.content {
                    self.core
                        .fail("timeout_error", &idle_message(self.idle), Some(504));
                    let fault = Fault::upstream(504, idle_message(self.idle)).code("timeout");
                    return Err((fault, self.core.recorder));
                }
                break;
            };
            self.heard = Instant::now();
            match next {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        held.extend_from_slice(&self.core.push(data));
                    }
                }
                Some(Err(error)) => {
                    self.upstream = None;
                    self.core.fail("upstream_error", &cut(&error), None);
                    held.extend_from_slice(&self.core.last());
                }
                None => {
                    self.upstream = None;
                    held.extend_from_slice(&self.core.end());
                }
            }
            if let Some(failed) = &self.core.seen.failed {
                self.upstream = None;
                if !self.core.seen.content {
                    let status = failed
                        .status
                        .filter(|status| (400..600).contains(status))
                        .unwrap_or(502);
                    let fault = Fault {
                        kind: failed.kind.clone(),
                        ..Fault::upstream(status, failed.message.clone())
                    };
                    return Err((fault, self.core.recorder));
                }
            }
            let seen = &self.core.seen;
            if seen.content
                || seen.events >= HELD_EVENTS
                || held.len() >= HELD_BYTES
                || self.core.blind
            {
                break;
            }
        }
        self.held = held.freeze();
        self.heard = Instant::now();
        self.spoke = self.heard;
        Ok(self)
    }

    /// The client gets the stream with this head.
    pub(super) fn responding(&mut self, status: StatusCode, headers: &HeaderMap) {
        let recorder = &self.core.recorder;
        recorder.responding(status.as_u16());
        let head = || Head::answer(status, headers);
        if self.core.mode == Mode::Translate {
            recorder.streams(Stage::Returned, head);
        } else {
            recorder.passes(Stage::Returned, Stage::Received, head);
        }
        for (at, cut, put) in self.core.edits.take().into_iter().flatten() {
            recorder.edited(at, cut, &put);
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(upstream) = &mut self.upstream {
            match Pin::new(upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.heard = Instant::now();
                    // Trailers say nothing to a client of another protocol, and OpenAI's format has none.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let out = self.core.push(data);
                    if self.core.seen.failed.is_some() {
                        self.upstream = None;
                        // What was written by `fail` itself.
                        let rest = self.core.out.split().freeze();
                        if out.is_empty() {
                            return Poll::Ready(Some(rest).filter(|rest| !rest.is_empty()));
                        }
                        self.held = rest;
                    }
                    if !out.is_empty() {
                        return Poll::Ready(Some(out));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.upstream = None;
                    self.core.fail("upstream_error", &cut(&error), None);
                    return Poll::Ready(Some(self.core.last()).filter(|out| !out.is_empty()));
                }
                Poll::Ready(None) => {
                    self.upstream = None;
                    let out = self.core.end();
                    return Poll::Ready(Some(out).filter(|out| !out.is_empty()));
                }
                Poll::Pending => match self.poll_timer(cx) {
                    Poll::Ready(out) => return Poll::Ready(Some(out)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        Poll::Ready(None)
    }

    /// One timer for the idle limit and keep-alives. It is not moved by each chunk: when it fires, it is set to what is due next.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        use std::future::Future;

        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now.duration_since(self.heard) >= self.idle {
                self.upstream = None;
                self.core
                    .fail("timeout_error", &idle_message(self.idle), Some(504));
                return Poll::Ready(self.core.last());
            }
            let quiet = now.duration_since(self.spoke) >= KEEP_ALIVE;
            if quiet {
                self.spoke = now;
            }
            self.timer
                .as_mut()
                .reset((self.heard + self.idle).min(self.spoke + KEEP_ALIVE));
            // None before the first real event: strict clients take it for one (TRAPS 1.8).
            let room = self.core.mode == Mode::Translate || self.core.framing == Framing::Sse;
            if quiet && room && self.core.seen.content && !self.core.blind {
                self.core.encoder.keep_alive(&mut self.core.out);
                let out = self.core.out.split().freeze();
                if self.core.mode != Mode::Translate {
                    self.core.edit(self.core.taken, 0, out.clone());
                }
                return Poll::Ready(out);
            }
        }
        Poll::Pending
    }
}

/// SPEC §4.10's wording.
pub(super) fn idle_message(limit: Duration) -> String {
    format!(
        "upstream did not continue within {} ms (idle_timeout)",
        limit.as_millis()
    )
}

/// Why a stream broke, for people.
fn cut(error: &BoxError) -> String {
    format!("the provider's stream broke: {error}")
}

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let out = if this.held.is_empty() {
            match this.poll_upstream(cx) {
                Poll::Ready(out) => out,
                Poll::Pending => return Poll::Pending,
            }
        } else {
            Some(std::mem::take(&mut this.held))
        };
        match out {
            Some(out) => {
                this.spoke = Instant::now();
                this.core.recorder.passed(&out);
                Poll::Ready(Some(Ok(BodyFrame::data(out))))
            }
            None => {
                this.core.recorder.close();
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
