//! Where the events of a stream go.

use bytes::BytesMut;

use crate::{
    dialect::{Restored, StreamEncoder},
    exchange::Recorder,
    llm::{Event, Sink},
    pipeline::Called,
};

/// What the events so far amount to.
#[derive(Default)]
pub(super) struct Seen {
    /// Frames with data.
    pub(super) frames: u64,
    /// The opening event, where the client has it as the provider wrote it.
    pub(super) start: Option<Event<'static>>,
    pub(super) events: u32,
    pub(super) content: bool,
    pub(super) ended: bool,
    pub(super) failed: Option<Failed>,
}

pub(super) struct Failed {
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) status: Option<u16>,
}

/// Shows each event to the recorder and, when translating, to the encoder.
pub(super) struct Tee<'a> {
    pub(super) seen: &'a mut Seen,
    pub(super) recorder: &'a mut Recorder,
    pub(super) encoder: Option<&'a mut dyn StreamEncoder>,
    pub(super) restored: &'a mut Restored,
    pub(super) called: &'a Called,
    pub(super) out: &'a mut BytesMut,
    pub(super) events: u32,
    pub(super) usage: u32,
}

impl Sink for Tee<'_> {
    fn event(&mut self, event: Event<'_>) {
        if self.seen.failed.is_some() {
            return;
        }
        let event = self.restored.event(match self.encoder {
            Some(_) => self.called.name(event),
            None => event,
        });
        self.recorder.observe(&event);
        self.events += 1;
        self.seen.events = self.seen.events.saturating_add(1);
        self.seen.content |= event.is_content();
        match &event {
            Event::Failed {
                kind,
                message,
                status,
            } => {
                self.seen.failed = Some(Failed {
                    kind: kind.to_string(),
                    message: message.to_string(),
                    status: *status,
                });
            }
            Event::Start { .. } if self.encoder.is_none() => {
                self.seen.start = Some(event.clone().into_owned());
            }
            Event::Usage(_) => self.usage += 1,
            Event::End => self.seen.ended = true,
            _ => {}
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.event(&event, self.out);
        }
    }
}
