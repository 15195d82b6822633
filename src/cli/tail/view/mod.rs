//! What the screen shows of what happens: notices in, text to print and a status line out. Nothing is read or written here.
//!
//! Exchanges that run at once would mix their words. So one is in front, and its words are printed as they come; of the others their text
//! is kept, within bounds, until the one in front has ended: those that ended meanwhile are then printed whole, and the one that has run
//! longest comes to the front with what it has said so far.

mod block;
mod words;

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::tz::TimeZone;

use self::block::Block;
use crate::{
    cli::tail::prompt,
    exchange::told::{Detail, Notice, What},
    term::{Ink, Term, sanitize},
};

/// Text that is kept of all exchanges that are not in front: beyond it, the oldest of each is dropped.
const KEPT: usize = 8 << 20;

/// What each of them keeps at least, and at most.
const EACH: (usize, usize) = (4 << 10, 256 << 10);

/// Ended blocks that wait for the one in front; beyond this, in blocks or bytes, it is interrupted.
const WAITING: (usize, usize) = (100, 4 << 20);

/// Ended exchanges that are remembered: what is told of them late is old.
const RECENT: usize = 1000;

/// Exchanges that the status line names.
const NAMED: usize = 12;

/// How things look.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) term: Term,
    /// Of the times of day.
    pub(super) zone: TimeZone,
    /// The provider's own events in the place of what they say.
    pub(super) raw: bool,
    /// Columns of the screen; nothing on a pipe.
    pub(super) width: Option<usize>,
}

impl Look {
    fn ink(&self, ink: Ink, text: &str) -> String {
        self.term.ink(ink, text)
    }

    /// Text from outside: shown on a screen, raw on a pipe.
    fn foreign(&self, text: &str) -> String {
        if self.term.out_is_terminal() {
            sanitize(text).into_owned()
        } else {
            text.to_owned()
        }
    }

    /// The same on one line.
    fn line(&self, text: &str) -> String {
        self.foreign(&prompt::one_line(text))
    }
}

/// What is on the screen, and what waits for its turn.
#[derive(Debug)]
pub(super) struct View {
    look: Look,
    /// By the order of their beginning.
    live: BTreeMap<u64, Block>,
    numbers: HashMap<String, u64>,
    next: u64,
    front: Option<u64>,
    /// Blocks that ended behind the one in front.
    ended: Vec<String>,
    recent: VecDeque<String>,
    /// Something was printed, so that the next block needs a blank line before it.
    begun: bool,
    /// The connection broke: what is lost next was lost by that.
    broken: bool,
}

impl View {
    pub(super) fn new(look: Look) -> View {
        View {
            look,
            live: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            front: None,
            ended: Vec::new(),
            recent: VecDeque::new(),
            begun: false,
            broken: false,
        }
    }

    /// The screen has so many columns now.
    pub(super) fn set_width(&mut self, width: Option<usize>) {
        self.look.width = width;
    }

    /// Something happened: the text to print.
    pub(super) fn notice(&mut self, notice: Notice) -> String {
        let mut out = String::new();
        if let What::Lost { events } = notice.what {
            self.lost(events, &mut out);
            return out;
        }
        let Some(number) = self.number(&notice.exchange) else {
            return out;
        };
        let ends = matches!(notice.what, What::Closed { .. });
        if let Some(block) = self.live.get_mut(&number) {
            block.tell(&self.look, notice);
        }
        if ends {
            self.end(number, &mut out);
        } else {
            self.shown(number, &mut out);
        }
        out
    }

    /// The connection to the server broke and is there again.
    pub(super) fn reconnected(&mut self) {
        self.broken = true;
    }

    /// Exchanges of which more is to come.
    pub(super) fn live(&self) -> Vec<String> {
        self.live.values().map(|block| block.id.clone()).collect()
    }

    /// What the server remembers of an exchange; nothing if it knows it no more. Its end, and more, may not have been told.
    pub(super) fn settle(&mut self, id: &str, detail: Option<Detail>) -> String {
        let Some(detail) = detail else {
            return self.gone(id);
        };
        if detail.summary.outcome == "live" {
            return String::new();
        }
        if let Some(number) = self.number(id)
            && let Some(block) = self.live.get_mut(&number)
            && block.known.prompt.is_empty()
        {
            detail.summary.prompt.clone_into(&mut block.known.prompt);
        }
        retold(detail)
            .into_iter()
            .map(|notice| self.notice(notice))
            .collect()
    }

    /// The server has forgotten an exchange, or is another one now.
    fn gone(&mut self, id: &str) -> String {
        let mut out = String::new();
        if let Some(number) = self.numbers.get(id).copied() {
            if let Some(block) = self.live.get_mut(&number) {
                block.gone(&self.look);
            }
            self.end(number, &mut out);
        }
        out
    }

    /// Something else is about to be written below: the line ends.
    pub(super) fn interrupt(&mut self) -> String {
        let Some(front) = self.front.and_then(|number| self.live.get_mut(&number)) else {
            return String::new();
        };
        front.interrupt();
        front.take(&self.look)
    }

    /// Nothing more is shown: what waits is printed.
    pub(super) fn finish(&mut self) -> String {
        let mut out = self.interrupt();
        self.waiting(&mut out);
        out
    }

    /// What runs beside the one in front, in one line; empty if nothing does.
    pub(super) fn status(&self) -> String {
        let mut behind = self
            .live
            .iter()
            .filter(|(number, _)| Some(**number) != self.front)
            .map(|(_, block)| block);
        let count = self.live.len() - usize::from(self.front.is_some());
        let mut items: Vec<String> = behind
            .by_ref()
            .take(NAMED)
            .map(|block| block.status(&self.look))
            .collect();
        if behind.next().is_some() {
            items.push("…".to_owned());
        }
        if !self.ended.is_empty() {
            items.push(format!("{} ended", self.ended.len()));
        }
        if items.is_empty() {
            return String::new();
        }
        let more = match (count, self.front) {
            (0, _) => String::new(),
            (_, None) => format!("{count}: "),
            (_, Some(_)) => format!("{count} more: "),
        };
        self.look
            .ink(Ink::Faint, &format!("… {more}{}", items.join(" · ")))
    }

    /// The number of an exchange, which is new where its beginning was lost or just came; none if it has ended.
    fn number(&mut self, id: &str) -> Option<u64> {
        if let Some(number) = self.numbers.get(id) {
            return Some(*number);
        }
        if id.is_empty() || self.recent.iter().any(|ended| ended == id) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        // As short as tells it from the others that run.
        let shared = self.live.values().map(|other| shared(&other.id, id)).max();
        let length = shared.map_or(4, |shared| (shared + 1).max(4));
        let short: String = id.chars().take(length).collect();
        let block = Block::new(id, self.look.foreign(&short), number);
        self.live.insert(number, block);
        self.numbers.insert(id.to_owned(), number);
        Some(number)
    }

    /// Prints what an exchange said if it is in front, or comes there; else keeps it.
    fn shown(&mut self, number: u64, out: &mut String) {
        let room = (KEPT / self.live.len().max(1)).clamp(EACH.0, EACH.1);
        let Some(block) = self.live.get_mut(&number) else {
            return;
        };
        if self.front.is_none() && block.is_ready() {
            self.front = Some(number);
            self.begin(out);
        } else if self.front != Some(number) {
            block.trim(room);
            return;
        }
        self.print_front(out);
    }

    fn print_front(&mut self, out: &mut String) {
        if let Some(block) = self.front.and_then(|number| self.live.get_mut(&number)) {
            out.push_str(&block.take(&self.look));
        }
    }

    /// An exchange has said its last.
    fn end(&mut self, number: u64, out: &mut String) {
        let Some(mut block) = self.live.remove(&number) else {
            return;
        };
        self.numbers.remove(&block.id);
        self.recent.push_back(std::mem::take(&mut block.id));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let text = block.take(&self.look);
        if self.front.is_some() && self.front != Some(number) {
            self.ended.push(text);
            self.make_room(out);
            return;
        }
        if self.front.take().is_none() {
            self.begin(out);
        }
        out.push_str(&text);
        self.waiting(out);
        // The one that has run longest, of those that have anything to show.
        let next = self.live.iter().find(|(_, block)| block.is_ready());
        self.front = next.map(|(number, _)| *number);
        if self.front.is_some() {
            self.begin(out);
            self.print_front(out);
        }
    }

    /// Prints the blocks that wait, once they are too many to keep.
    fn make_room(&mut self, out: &mut String) {
        let bytes: usize = self.ended.iter().map(String::len).sum();
        if self.ended.len() < WAITING.0 && bytes < WAITING.1 {
            return;
        }
        out.push_str(&self.interrupt());
        self.waiting(out);
        self.begin(out);
        if let Some(front) = self.front.and_then(|number| self.live.get_mut(&number)) {
            front.goes_on(&self.look);
            out.push_str(&front.take(&self.look));
        }
    }

    fn waiting(&mut self, out: &mut String) {
        for block in std::mem::take(&mut self.ended) {
            self.begin(out);
            out.push_str(&block);
        }
    }

    /// A blank line before each block but the first.
    fn begin(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.begun, true) {
            out.push('\n');
        }
    }

    fn lost(&mut self, events: u64, out: &mut String) {
        let broken = std::mem::take(&mut self.broken);
        let why = match (broken, self.look.term.out_is_terminal()) {
            (true, _) => " while the connection was broken",
            (false, true) => ": this terminal is too slow",
            (false, false) => ": the reader of this output is too slow",
        };
        let were = if events == 1 {
            "event was"
        } else {
            "events were"
        };
        out.push_str(&self.interrupt());
        let warning = self.look.ink(Ink::Warn, "warning:");
        out.push_str(&format!("{warning} {events} {were} lost{why}\n"));
        self.begun = true;
    }
}

/// How many characters two ids begin with in common.
fn shared(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// An exchange that ended, as its notices would have told it.
pub(super) fn retold(detail: Detail) -> Vec<Notice> {
    let summary = detail.summary;
    let mut told = vec![
        What::Opened {
            began: summary.began.clone(),
            method: summary.method.clone(),
            path: summary.path.clone(),
            client_ip: summary.client_ip.clone(),
        },
        What::Routed {
            provider: summary.provider.clone(),
            model: summary.model.clone(),
            operation: summary.operation.clone(),
            stream: summary.stream,
        },
    ];
    for call in detail.rest.calls {
        told.push(What::Call {
            plugin: call.plugin,
            provider: call.provider,
            model: call.model,
            took_ms: call.took_ms,
            usage: call.usage,
            cost: call.cost,
            error: call.error,
        });
    }
    for warning in &summary.warnings {
        told.push(What::Warning {
            warning: warning.clone(),
        });
    }
    for (part, said) in (0..).zip(detail.rest.parts) {
        let text = said.text;
        let more = match said.kind.as_str() {
            "thinking" => What::Thinking { part, text },
            "tool_call" => What::Arguments { part, text },
            _ => What::Text { part, text },
        };
        told.push(What::Open {
            part,
            choice: said.choice,
            kind: said.kind,
            id: said.id,
            name: said.name,
        });
        told.extend([more, What::Close { part }]);
    }
    let total = summary.timings.total_ms;
    let (id, profile) = (summary.id.clone(), summary.profile.clone());
    told.push(What::Closed {
        summary: Box::new(summary),
    });
    told.into_iter()
        .map(|what| Notice {
            seq: 0,
            exchange: id.clone(),
            profile: profile.clone(),
            at_ms: total,
            what,
        })
        .collect()
}

#[cfg(test)]
mod tests;
