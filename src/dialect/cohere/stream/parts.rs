//! Which parts of a streamed answer are open.

use std::borrow::Cow;

use crate::llm::{Event, Kind, Sink};

/// What a part is, as Cohere tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Text, of the content block with this index.
    Text(u64),
    /// Reasoning, likewise.
    Thinking(u64),
    /// The plan before calls: text.
    Plan,
    /// The call with this index.
    Call(u64),
}

impl Block {
    fn is_call(self) -> bool {
        matches!(self, Block::Call(_))
    }
}

#[derive(Debug)]
struct Open {
    choice: u32,
    block: Block,
    part: u32,
}

/// Opens and closes the parts of an answer. Texts follow each other; calls may be open beside one another.
#[derive(Debug, Default)]
pub(super) struct Parts {
    next: u32,
    open: Vec<Open>,
}

impl Parts {
    /// Tells of a piece of text or reasoning, in the part where it belongs.
    pub(super) fn text(
        &mut self,
        choice: u32,
        block: Block,
        text: Cow<'_, str>,
        sink: &mut dyn Sink,
    ) {
        if text.is_empty() {
            return;
        }
        let thinking = matches!(block, Block::Thinking(_));
        let part = self.find(choice, block).unwrap_or_else(|| {
            self.close(choice, |_| true, sink);
            let kind = if thinking { Kind::Thinking } else { Kind::Text };
            self.begin(choice, block, kind, sink)
        });
        sink.event(if thinking {
            Event::Thinking { part, text }
        } else {
            Event::Text { part, text }
        });
    }

    /// Opens a call.
    pub(super) fn call(
        &mut self,
        choice: u32,
        index: u64,
        id: Cow<'_, str>,
        name: Cow<'_, str>,
        sink: &mut dyn Sink,
    ) {
        let block = Block::Call(index);
        self.close(choice, |open| !open.is_call() || open == block, sink);
        self.begin(choice, block, Kind::ToolCall { id, name }, sink);
    }

    /// Tells of a piece of a call's arguments; nothing, if there is no such call.
    pub(super) fn arguments(
        &self,
        choice: u32,
        index: u64,
        json: Cow<'_, str>,
        sink: &mut dyn Sink,
    ) {
        if let Some(part) = self.find(choice, Block::Call(index))
            && !json.is_empty()
        {
            sink.event(Event::Arguments { part, json });
        }
    }

    /// Closes some of a choice's parts.
    pub(super) fn close(
        &mut self,
        choice: u32,
        which: impl Fn(Block) -> bool,
        sink: &mut dyn Sink,
    ) {
        self.open.retain(|open| {
            let closes = open.choice == choice && which(open.block);
            if closes {
                sink.event(Event::Close { part: open.part });
            }
            !closes
        });
    }

    /// Whether there is no part yet.
    pub(super) fn is_empty(&self) -> bool {
        self.next == 0
    }

    fn find(&self, choice: u32, block: Block) -> Option<u32> {
        self.open
            .iter()
            .find(|open| open.choice == choice && open.block == block)
            .map(|open| open.part)
    }

    fn begin(&mut self, choice: u32, block: Block, kind: Kind<'_>, sink: &mut dyn Sink) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        self.open.push(Open {
            choice,
            block,
            part,
        });
        sink.event(Event::Open { part, choice, kind });
        part
    }
}
