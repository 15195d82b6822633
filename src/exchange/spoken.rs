//! What an answer says, event by event, with the time of each.

use std::fmt;

use super::{
    kept::MOST,
    notices::speaks,
    packed::{put_bytes, put_number, put_numbers, take_bytes, take_number, take_size, take_text},
    record::REUSED,
};
use crate::llm::{Event, Finish, Kind, Tells};

/// The events of an answer, as far as they are kept: all texts behind each other in one buffer, and what each one did, told from the one before:
/// five bytes of a word in the place of the 24 that it would take apart. There can be thousands of streams at once.
#[derive(Clone, Default)]
pub struct Spoken {
    text: String,
    /// Of each event: type and part, number, time, length of its text.
    marks: Vec<u8>,
    /// How many they are.
    count: usize,
    last: Last,
    opened: Vec<Opened>,
    /// Bytes of the parts' own texts: ids and names of tools.
    names: usize,
    cut: bool,
}

/// Where what a whole answer says is read from, when somebody asks: its body, which is kept anyway.
#[derive(Clone, Copy)]
pub(super) struct Retold {
    pub(super) tells: &'static dyn Tells,
    /// The number of its first event; the others follow.
    pub(super) first: u64,
    /// Microseconds since the beginning.
    pub(super) at: u64,
}

impl fmt::Debug for Retold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retold(from {}, at {})", self.first, self.at)
    }
}

impl Retold {
    /// Tells what the answer with this body says.
    pub(super) fn tell(&self, body: &[u8], said: &mut Spoken) {
        let mut seq = self.first;
        self.tells.tell(body, &mut |event: Event<'_>| {
            if is_told(&event) {
                said.push(&event, seq, self.at, false);
                seq += 1;
            }
        });
    }
}

/// Whether an event of a whole answer is told. A missing usage is counted later, not told as nothing.
pub(super) fn is_told(event: &Event<'_>) -> bool {
    match event {
        Event::Usage(usage) => !usage.estimated,
        event => speaks(event),
    }
}

/// A length says enough: the text is somebody's conversation.
impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Spoken({} bytes in {} events)",
            self.text.len(),
            self.count
        )
    }
}

/// What the next event is told from.
#[derive(Clone, Copy, Default)]
struct Last {
    seq: u64,
    /// Tens of microseconds since the beginning.
    at: u64,
}

/// What an event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// A part begins.
    Open,
    /// Text of it.
    Text,
    /// Reasoning.
    Thinking,
    /// Arguments of a tool call.
    Arguments,
    /// The part ends.
    Close,
    /// A choice ends; its number stands in the part's place.
    Finish(Finish),
    /// Tokens were counted.
    Usage,
}

/// All of them, by the number that they are packed as.
const SAYINGS: [Saying; 11] = [
    Saying::Open,
    Saying::Text,
    Saying::Thinking,
    Saying::Arguments,
    Saying::Close,
    Saying::Usage,
    Saying::Finish(Finish::Stop),
    Saying::Finish(Finish::Length),
    Saying::Finish(Finish::ToolCalls),
    Saying::Finish(Finish::ContentFilter),
    Saying::Finish(Finish::Other),
];

/// The kinds of parts, likewise.
const KINDS: [&str; 4] = ["text", "refusal", "thinking", "tool_call"];

/// A part of the answer.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its number.
    pub part: u32,
    /// Its choice.
    pub choice: u32,
    /// `text`, `refusal`, `thinking`, `tool_call`.
    pub kind: &'static str,
    /// A tool call's id and the tool's name.
    pub tool: Option<(String, String)>,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Spoke<'a> {
    /// Its number among all of the process.
    pub seq: u64,
    /// Microseconds since the beginning.
    pub at: u64,
    /// What it did.
    pub what: Saying,
    /// To which part; of a finish, the choice.
    pub part: u32,
    /// What it added.
    pub text: &'a str,
    /// The part that it opened.
    pub opened: Option<&'a Opened>,
}

impl Spoken {
    /// Takes an event in, if it says something; not if `full`. `seq` is its number.
    pub(super) fn push(&mut self, event: &Event<'_>, seq: u64, at: u64, full: bool) {
        let (what, part, text): (Saying, u32, &str) = match event {
            Event::Open { part, .. } => (Saying::Open, *part, ""),
            Event::Text { part, text } => (Saying::Text, *part, text),
            Event::Thinking { part, text } => (Saying::Thinking, *part, text),
            Event::Arguments { part, json } => (Saying::Arguments, *part, json),
            Event::Close { part } => (Saying::Close, *part, ""),
            Event::Finish { choice, reason } => (Saying::Finish(*reason), *choice, ""),
            Event::Usage(_) => (Saying::Usage, 0, ""),
            _ => return,
        };
        let names = match event {
            Event::Open {
                kind: Kind::ToolCall { id, name },
                ..
            } => id.len() + name.len(),
            _ => 0,
        };
        let fits = self.weight() + text.len() + names <= MOST;
        if !fits || full || self.cut {
            self.cut = true;
            return;
        }
        if let Event::Open { part, choice, kind } = event {
            self.opened.push(opened(*part, *choice, kind));
            self.names += names;
        }
        self.text.push_str(text);
        let before = std::mem::replace(&mut self.last, Last { seq, at: at / 10 });
        let numbers = [
            u64::from(part) * SAYINGS.len() as u64 + place(what),
            seq.saturating_sub(before.seq),
            self.last.at.saturating_sub(before.at),
            text.len() as u64,
        ];
        put_numbers(&mut self.marks, &numbers);
        self.count += 1;
    }

    /// Whether not all is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + self.names + self.marks.len() + self.opened.len() * size_of::<Opened>()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.text.as_bytes());
        put_bytes(out, &self.marks);
        put_number(out, self.count as u64);
        put_number(out, self.opened.len() as u64);
        for opened in &self.opened {
            put_number(out, opened.part.into());
            put_number(out, opened.choice.into());
            let place = KINDS.iter().position(|kind| *kind == opened.kind);
            put_number(out, place.unwrap_or_default() as u64);
            put_number(out, opened.tool.is_some().into());
            if let Some((id, name)) = &opened.tool {
                put_bytes(out, id.as_bytes());
                put_bytes(out, name.as_bytes());
            }
        }
        put_number(out, self.names as u64);
        put_number(out, self.cut.into());
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Spoken> {
        let text = take_text(bytes)?;
        let marks = take_bytes(bytes)?.to_vec();
        let count = take_size(bytes)?;
        let small = |bytes: &mut &[u8]| u32::try_from(take_number(bytes)?).ok();
        let opened = take_number(bytes)?;
        let opened = (0..opened).map(|_| {
            Some(Opened {
                part: small(bytes)?,
                choice: small(bytes)?,
                kind: KINDS.get(take_size(bytes)?)?,
                tool: match take_number(bytes)? {
                    0 => None,
                    _ => Some((take_text(bytes)?, take_text(bytes)?)),
                },
            })
        });
        Some(Spoken {
            opened: opened.collect::<Option<Vec<Opened>>>()?,
            text,
            marks,
            count,
            last: Last::default(),
            names: take_size(bytes)?,
            cut: take_number(bytes)? > 0,
        })
    }

    /// Holds nothing, but for memory that is used again if it is not much.
    pub(super) fn clear(&mut self) {
        if self.text.capacity() > REUSED || self.marks.capacity() > REUSED {
            *self = Spoken::default();
        }
        self.text.clear();
        self.marks.clear();
        self.opened.clear();
        (self.count, self.last) = (0, Last::default());
        (self.names, self.cut) = (0, false);
    }

    /// No more will come.
    pub(super) fn finish(&mut self) {
        self.text.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// The parts, in the order of their opening.
    #[must_use]
    pub fn parts(&self) -> &[Opened] {
        &self.opened
    }

    /// The events.
    pub fn events(&self) -> impl Iterator<Item = Spoke<'_>> {
        let mut marks = self.marks.as_slice();
        let (mut from, mut next, mut last) = (0, 0, Last::default());
        // They were coded here.
        std::iter::from_fn(move || {
            let coded = take_number(&mut marks)?;
            let sayings = SAYINGS.len() as u64;
            let what = *SAYINGS.get(usize::try_from(coded % sayings).ok()?)?;
            last.seq = last.seq.saturating_add(take_number(&mut marks)?);
            last.at = last.at.saturating_add(take_number(&mut marks)?);
            let end = take_size(&mut marks)?.saturating_add(from);
            let text = self.text.get(from..end).unwrap_or_default();
            from = end;
            let mut opened = None;
            if what == Saying::Open {
                opened = self.opened.get(next);
                next += 1;
            }
            Some(Spoke {
                seq: last.seq,
                at: last.at.saturating_mul(10),
                what,
                part: u32::try_from(coded / sayings).ok()?,
                text,
                opened,
            })
        })
    }
}

/// The number that it is packed as.
fn place(what: Saying) -> u64 {
    let place = SAYINGS.iter().position(|saying| *saying == what);
    place.unwrap_or_default() as u64
}

pub(super) fn opened(part: u32, choice: u32, kind: &Kind<'_>) -> Opened {
    let tool = match kind {
        Kind::ToolCall { id, name } => Some((id.to_string(), name.to_string())),
        _ => None,
    };
    Opened {
        part,
        choice,
        kind: match kind {
            Kind::Text => "text",
            Kind::Refusal => "refusal",
            Kind::Thinking | Kind::Redacted => "thinking",
            Kind::ToolCall { .. } => "tool_call",
        },
        tool,
    }
}

/// A finish reason's name, OpenAI's.
pub(super) fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back() {
        let mut spoken = Spoken::default();
        let call = Kind::ToolCall {
            id: "c1".into(),
            name: "f".into(),
        };
        let events = [
            Event::Open {
                part: 0,
                choice: 0,
                kind: Kind::Text,
            },
            Event::Text {
                part: 0,
                text: "hé".into(),
            },
            Event::Text {
                part: 0,
                text: "llo".into(),
            },
            Event::Close { part: 0 },
            Event::Open {
                part: 1,
                choice: 0,
                kind: call,
            },
            Event::Arguments {
                part: 1,
                json: "{}".into(),
            },
            Event::Finish {
                choice: 0,
                reason: Finish::ToolCalls,
            },
            Event::End,
        ];
        for (event, seq) in events.iter().zip(7..) {
            spoken.push(event, seq, seq * 1000, false);
        }
        let told: Vec<_> = spoken.events().collect();
        assert_eq!(told.len(), 7);
        assert_eq!(
            (told[1].text, told[2].text, told[5].text),
            ("hé", "llo", "{}")
        );
        assert_eq!((told[5].seq, told[5].at), (12, 12_000));
        let tool = told[4].opened.and_then(|opened| opened.tool.clone());
        assert_eq!(tool, Some(("c1".into(), "f".into())));
        assert_eq!(told[6].what, Saying::Finish(Finish::ToolCalls));
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let mut spoken = Spoken::default();
        for _ in 0..3 {
            let text = "x".repeat(MOST / 2);
            let event = Event::Text {
                part: 0,
                text: text.into(),
            };
            spoken.push(&event, 0, 0, false);
        }
        assert!(spoken.is_cut());
        assert_eq!(spoken.events().count(), 1);
    }
}
