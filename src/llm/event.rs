//! A streamed answer, one step at a time.

use std::borrow::Cow;

use super::{Citation, Logprob, Usage};

/// One step of a streamed answer. Text borrows from the frame that it came in.
///
/// `part` numbers are the decoder's own, counted from 0 in order of opening; no provider's index is ever copied. `choice` is OpenAI's
/// choice index, 0 for providers that give one answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The answer begins.
    Start {
        /// The provider's id of the answer; empty if it has none.
        id: Cow<'a, str>,
        /// The model that answers, as the provider names it.
        model: Cow<'a, str>,
        /// Seconds since the epoch, if the provider says so.
        created: Option<u64>,
        /// OpenAI's `system_fingerprint`.
        fingerprint: Option<Cow<'a, str>>,
    },
    /// A part begins.
    Open {
        /// Its number.
        part: u32,
        /// The choice that it belongs to.
        choice: u32,
        /// What it holds.
        kind: Kind<'a>,
    },
    /// Text of a text or refusal part.
    Text {
        /// The part.
        part: u32,
        /// What came.
        text: Cow<'a, str>,
    },
    /// Reasoning text.
    Thinking {
        /// The part.
        part: u32,
        /// What came.
        text: Cow<'a, str>,
    },
    /// The opaque proof of a reasoning part or a tool call, to be replayed unchanged on the next turn; of a redacted part, its data.
    Signature {
        /// The part.
        part: u32,
        /// What came.
        value: Cow<'a, str>,
    },
    /// A piece of a tool call's arguments, JSON text.
    Arguments {
        /// The part.
        part: u32,
        /// What came.
        json: Cow<'a, str>,
    },
    /// What the text leans on.
    Citation {
        /// The choice.
        choice: u32,
        /// Where it comes from.
        citation: Citation,
    },
    /// How likely the last tokens of a choice were.
    Logprobs {
        /// The choice.
        choice: u32,
        /// The tokens.
        tokens: Vec<Logprob>,
    },
    /// A part is whole.
    Close {
        /// The part.
        part: u32,
    },
    /// A stop sequence ended a choice, and the provider tells which. Its finish follows.
    Stopped {
        /// The choice.
        choice: u32,
        /// The sequence.
        sequence: Cow<'a, str>,
    },
    /// A choice is whole.
    Finish {
        /// The choice.
        choice: u32,
        /// Why it ended.
        reason: Finish,
    },
    /// The counts so far; replaces the last ones.
    Usage(Usage),
    /// The provider failed after the stream began. Nothing follows.
    Failed {
        /// The provider's error type, or ours.
        kind: Cow<'a, str>,
        /// What it said.
        message: Cow<'a, str>,
        /// HTTP status that says the same, where the provider tells one.
        status: Option<u16>,
    },
    /// The provider's end of stream.
    End,
}

impl Event<'_> {
    /// Whether the client could use this: text, reasoning, tool arguments, a finish. Until then an error can still become an HTTP status.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::Arguments { .. }
            | Event::Finish { .. } => true,
            Event::Open { kind, .. } => matches!(kind, Kind::ToolCall { .. } | Kind::Redacted),
            _ => false,
        }
    }
}

impl Event<'_> {
    /// The same, outliving its frame.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Event::Start {
                id,
                model,
                created,
                fingerprint,
            } => Event::Start {
                id: own(id),
                model: own(model),
                created,
                fingerprint: fingerprint.map(own),
            },
            Event::Open { part, choice, kind } => {
                let kind = match kind {
                    Kind::Text => Kind::Text,
                    Kind::Refusal => Kind::Refusal,
                    Kind::Thinking => Kind::Thinking,
                    Kind::Redacted => Kind::Redacted,
                    Kind::ToolCall { id, name } => Kind::ToolCall {
                        id: own(id),
                        name: own(name),
                    },
                };
                Event::Open { part, choice, kind }
            }
            Event::Text { part, text } => Event::Text {
                part,
                text: own(text),
            },
            Event::Thinking { part, text } => Event::Thinking {
                part,
                text: own(text),
            },
            Event::Signature { part, value } => Event::Signature {
                part,
                value: own(value),
            },
            Event::Arguments { part, json } => Event::Arguments {
                part,
                json: own(json),
            },
            Event::Citation { choice, citation } => Event::Citation { choice, citation },
            Event::Logprobs { choice, tokens } => Event::Logprobs { choice, tokens },
            Event::Close { part } => Event::Close { part },
            Event::Stopped { choice, sequence } => Event::Stopped {
                choice,
                sequence: own(sequence),
            },
            Event::Finish { choice, reason } => Event::Finish { choice, reason },
            Event::Usage(usage) => Event::Usage(usage),
            Event::Failed {
                kind,
                message,
                status,
            } => Event::Failed {
                kind: own(kind),
                message: own(message),
                status,
            },
            Event::End => Event::End,
        }
    }
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Text for the user.
    Text,
    /// The model's refusal, text too.
    Refusal,
    /// Reasoning.
    Thinking,
    /// Reasoning that only the provider can read; its data comes as [`Event::Signature`].
    Redacted,
    /// A call of one of the request's tools.
    ToolCall {
        /// The id that the result must carry.
        id: Cow<'a, str>,
        /// The tool's name.
        name: Cow<'a, str>,
    },
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The token limit.
    Length,
    /// It calls tools and waits for their results.
    ToolCalls,
    /// Cut by a safety system.
    ContentFilter,
    /// A reason that the model has no word for; treated as [`Finish::Stop`] where a word is needed.
    Other,
}

/// Tells again what a whole answer says.
pub trait Tells: Sync {
    /// Tells it from the answer's body, as far as that can be read.
    fn tell(&self, body: &[u8], sink: &mut dyn Sink);
}

/// Takes events, one by one.
pub trait Sink {
    /// Takes one event.
    fn event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Sink for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}
