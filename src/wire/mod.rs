//! Bytes to frames: how messages are packed, not what they say.
//!
//! Everything here is pure and incremental: bytes in, whole frames out, whatever the split of the bytes. It imports nothing of ours.

pub mod envelope;
pub mod sse;

use std::{fmt, ops::Range};

use bytes::{Bytes, BytesMut};

/// The largest single frame that is buffered (SPEC §4.11).
pub const MAX_FRAME: usize = 8 << 20;

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
}

/// One message of a stream: its bytes as received, and where name and payload lie in them.
///
/// It is a slice of the chunk that it came in, or a copy where it straddled chunks; it borrows nothing.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bytes as received, terminator included.
    pub raw: Bytes,
    name: Range<usize>,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    Within(Range<usize>),
    /// Several `data` lines joined with a line feed.
    Joined(Bytes),
}

impl Frame {
    /// The event's name; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.raw.get(self.name.clone()).unwrap_or_default()
    }

    /// The payload; empty for keep-alives and comments.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::Within(range) => self.raw.get(range.clone()).unwrap_or_default(),
            Data::Joined(bytes) => bytes,
        }
    }
}

/// Why no further frame can be cut from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame grew over the limit, in bytes.
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLarge { limit } => {
                write!(f, "one stream event is larger than {} MiB", limit >> 20)
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// Cuts a stream into frames.
///
/// [`feed`](Framer::feed) takes the next bytes. Then [`frame`](Framer::frame) is called until it says `Ok(None)`: more bytes are needed.
/// At the end of the stream, [`finish`](Framer::finish) gives the last frame where the stream left out its terminator.
#[derive(Debug)]
pub struct Framer {
    split: sse::Sse,
    buffer: Bytes,
    limit: usize,
}

impl Framer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new(framing: Framing, limit: usize) -> Framer {
        let split = match framing {
            Framing::Sse => sse::Sse::default(),
        };
        Framer {
            split,
            buffer: Bytes::new(),
            limit,
        }
    }

    /// Takes the next bytes; no copy unless a partial frame waits.
    pub fn feed(&mut self, chunk: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.buffer.len() + chunk.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&chunk);
            self.buffer = joined.freeze();
        }
    }

    /// The next whole frame; `None`: more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if a frame is over the limit; the framer is of no further use then.
    pub fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(end) = self.split.split(&self.buffer) {
            let raw = self.buffer.split_to(end);
            return Ok(Some(self.split.frame(raw)));
        }
        if self.buffer.len() > self.limit {
            return Err(FrameError::TooLarge { limit: self.limit });
        }
        // Let go of the chunk: a slow stream must not pin a read buffer for a few bytes.
        self.buffer = if self.buffer.is_empty() {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&self.buffer)
        };
        Ok(None)
    }

    /// The stream ended: what is left, as a frame, if it holds any payload.
    pub fn finish(&mut self) -> Option<Frame> {
        let raw = std::mem::take(&mut self.buffer);
        if raw.is_empty() {
            return None;
        }
        let frame = self.split.frame(raw);
        (!frame.data().is_empty()).then_some(frame)
    }

    /// The bytes that are not cut yet; right after [`feed`](Framer::feed), all of them.
    #[must_use]
    pub fn buffered(&self) -> Bytes {
        self.buffer.clone()
    }

    /// Bytes of a frame that is not whole yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the bytes of the frame that is not whole yet.
    pub fn take_pending(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer)
    }
}
