//! What an exchange keeps of its bodies for the request log: as much as the profile asks for, and never more than [`MOST`] of each.

use bytes::Bytes;

use super::{
    estimate::Prompt,
    packed::{put_bytes, put_number, take_bytes, take_size},
};
use crate::llm::{ChatResponse, Event, Kind, Part};

/// Most bytes of one body, or of one collected text, that an exchange keeps.
pub const MOST: usize = 1 << 20;

/// A body, as far as it is kept.
#[derive(Clone, Default)]
pub struct Kept {
    bytes: Bytes,
    whole: usize,
}

impl Kept {
    /// Keeps `body`, of which whoever read it made a piece of memory of its own: shared where it is small, else a copy of its beginning, so that a
    /// large one is not held until the exchange ends.
    #[must_use]
    pub fn of(body: &Bytes) -> Kept {
        let bytes = match body.get(..MOST) {
            Some(beginning) if body.len() > MOST => Bytes::copy_from_slice(beginning),
            _ => body.clone(),
        };
        Kept {
            bytes,
            whole: body.len(),
        }
    }

    /// Knows how long `body` is, and nothing else.
    #[must_use]
    pub(super) fn nothing_of(body: &Bytes) -> Kept {
        Kept {
            bytes: Bytes::new(),
            whole: body.len(),
        }
    }

    /// Whether this is all of `body`.
    #[must_use]
    pub(super) fn is_whole(&self, body: &Bytes) -> bool {
        let shared = self.bytes.as_ptr() == body.as_ptr();
        self.whole == body.len()
            && self.bytes.len() == body.len()
            && (shared || self.bytes == *body)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.bytes);
        put_number(out, self.whole as u64);
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Kept> {
        Some(Kept {
            bytes: Bytes::copy_from_slice(take_bytes(bytes)?),
            whole: take_size(bytes)?,
        })
    }

    /// How long all of it is.
    #[must_use]
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// What is kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether that is not all.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.whole
    }
}

/// A length says enough: the bytes are somebody's conversation.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} of {} bytes)", self.bytes.len(), self.whole)
    }
}

/// A text that grows, as far as it is kept.
#[derive(Clone, Default)]
pub struct Text {
    text: String,
    whole: usize,
}

impl Text {
    /// Adds to it.
    pub fn push(&mut self, more: &str) {
        // Once cut it stays cut: a later short piece must not follow a hole.
        if !self.is_cut() {
            let room = MOST.saturating_sub(self.text.len()).min(more.len());
            let kept = more.floor_char_boundary(room);
            self.text.push_str(more.get(..kept).unwrap_or_default());
        }
        self.whole = self.whole.saturating_add(more.len());
    }

    /// What is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes in all, kept or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.whole
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole == 0
    }

    /// Whether not all is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.text.len() < self.whole
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} of {} bytes)", self.text.len(), self.whole)
    }
}

/// What an answer says.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The text of the first choice.
    pub text: Text,
    /// Reasoning, tool calls, and other choices.
    pub rest: Text,
    /// Whether part number `n` is text of the first choice.
    first: Vec<bool>,
}

impl Said {
    /// Collects one event of a stream.
    pub fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Open { choice, kind, .. } => {
                if let Kind::ToolCall { name, .. } = kind {
                    self.rest.push(name);
                }
                // Parts are numbered in the order of their opening; past any sane number they count as the first choice's.
                if self.first.len() < 4096 {
                    self.first
                        .push(*choice == 0 && matches!(kind, Kind::Text | Kind::Refusal));
                }
            }
            Event::Text { part, text } => {
                let first = usize::try_from(*part)
                    .ok()
                    .and_then(|part| self.first.get(part).copied())
                    .unwrap_or(true);
                if first {
                    self.text.push(text);
                } else {
                    self.rest.push(text);
                }
            }
            Event::Thinking { text, .. } => self.rest.push(text),
            Event::Arguments { json, .. } => self.rest.push(json),
            _ => {}
        }
    }

    /// Collects a whole answer.
    pub fn whole(&mut self, response: &ChatResponse) {
        for (index, choice) in response.choices.iter().enumerate() {
            for part in &choice.parts {
                match part {
                    Part::Text(text) | Part::Refusal(text) if index == 0 => self.text.push(text),
                    Part::Text(text) | Part::Refusal(text) | Part::Thinking { text, .. } => {
                        self.rest.push(text);
                    }
                    Part::ToolCall {
                        name, arguments, ..
                    } => {
                        self.rest.push(name);
                        self.rest.push(arguments);
                    }
                    _ => {}
                }
            }
        }
    }

    /// What a log shows of it: the text, or where there is none what there is.
    #[must_use]
    pub fn shown(&self) -> &Text {
        if self.text.is_empty() {
            &self.rest
        } else {
            &self.text
        }
    }
}

/// What a profile wants logged of an exchange, and what that takes.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// Log model, tokens and cost.
    pub statistics: bool,
    /// Log the bodies.
    pub payloads: bool,
    /// Price of a million prompt tokens in USD.
    pub input_cost: Option<f64>,
    /// Price of a million generated tokens in USD.
    pub output_cost: Option<f64>,
    /// What this provider adds to `meta` (Kong's `ai_extra_meta`).
    pub meta: Vec<(&'static str, String)>,
    /// The answer is a stream.
    pub stream: bool,
    /// Request and answer are read here: tokens that the provider does not tell can be counted.
    pub countable: bool,
    /// The request's body as it was sent upstream.
    pub request: Option<Kept>,
    /// The texts of a body that is too large to be kept.
    pub prompt: Option<Prompt>,
    /// The answer's body, where it was whole.
    pub response: Option<Kept>,
    /// What the answer said, where it was a stream or came without a count.
    pub said: Said,
}

impl Material {
    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        let bodies = [&self.request, &self.response];
        let bodies = bodies.into_iter().flatten().map(|kept| kept.bytes.len());
        let texts = [&self.said.text, &self.said.rest];
        let texts = texts.into_iter().map(|text| text.text.len());
        let prompt = self.prompt.as_ref().map(Prompt::weight);
        bodies.chain(texts).chain(prompt).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_are_cut() {
        let kept = Kept::of(&Bytes::from(vec![b'x'; MOST + 1]));
        assert_eq!((kept.bytes().len(), kept.is_cut()), (MOST, true));
        let kept = Kept::of(&Bytes::from_static(b"{}"));
        assert_eq!((kept.bytes(), kept.is_cut()), (&b"{}"[..], false));
    }

    #[test]
    fn a_text_is_cut_once_and_between_characters() {
        let mut text = Text::default();
        text.push(&"x".repeat(MOST - 1));
        text.push("é");
        text.push("y");
        assert_eq!(text.as_str().len(), MOST - 1);
        assert_eq!((text.len(), text.is_cut()), (MOST + 2, true));
    }

    #[test]
    fn the_first_choice_is_what_a_stream_said() {
        let mut said = Said::default();
        for (part, choice, kind) in [
            (0, 0, Kind::Thinking),
            (1, 0, Kind::Text),
            (2, 1, Kind::Text),
        ] {
            said.observe(&Event::Open { part, choice, kind });
        }
        said.observe(&Event::Thinking {
            part: 0,
            text: "hm ".into(),
        });
        for (part, text) in [(1, "one "), (2, "other "), (1, "two")] {
            said.observe(&Event::Text {
                part,
                text: text.into(),
            });
        }
        assert_eq!(said.shown().as_str(), "one two");
        assert_eq!(said.rest.as_str(), "hm other ");
    }
}
