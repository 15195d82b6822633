//! Bytes to frames: how messages are packed, not what they say.
//!
//! Everything here is pure and incremental: bytes in, whole frames out, whatever the split of the bytes. It imports nothing of ours.

pub mod envelope;
pub mod eventstream;
mod json_array;
pub mod ndjson;
pub mod scan;
pub mod sse;
#[cfg(test)]
mod testing;

use std::{fmt, ops::Range};

use bytes::{Buf, Bytes, BytesMut};

/// The largest single frame that is buffered (SPEC §4.11).
pub const MAX_FRAME: usize = 8 << 20;

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    NdJson,
    /// One JSON array, an element at a time.
    JsonArray,
    /// Amazon's event stream: binary messages with headers and checksums.
    EventStream,
}

impl Framing {
    /// What follows the last message of a stream where the sender left it out.
    #[must_use]
    pub fn terminator(self) -> &'static [u8] {
        match self {
            Framing::Sse => b"\n\n",
            Framing::NdJson => b"\n",
            Framing::JsonArray | Framing::EventStream => b"",
        }
    }
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
    error: bool,
}

#[derive(Clone, Debug)]
enum Data {
    Within(Range<usize>),
    /// Several `data` lines joined with a line feed.
    Joined(Bytes),
}

impl Frame {
    /// The event's name; empty if it has none. Of Amazon's event stream: `:event-type`, `:exception-type` or `:error-code`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.raw.get(self.name.clone()).unwrap_or_default()
    }

    /// The payload; empty for keep-alives, comments, and what stands after the last element of an array. Of an error of Amazon's event
    /// stream that has none: `:error-message`, which is text.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::Within(range) => self.raw.get(range.clone()).unwrap_or_default(),
            Data::Joined(bytes) => bytes,
        }
    }

    /// Whether the framing itself calls the message an error, of the kind that [`name`](Frame::name) says: exceptions and errors of
    /// Amazon's event stream.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error
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
    /// The bytes are not framed as they should be; the text says how.
    Corrupt(&'static str),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLarge { limit } => {
                write!(f, "one stream event is larger than {} MiB", limit >> 20)
            }
            FrameError::Corrupt(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FrameError {}

/// Cuts a stream into frames.
///
/// [`feed`](Framer::feed) takes the next bytes. Then [`frame`](Framer::frame) is called until it says `Ok(None)`: more bytes are needed.
/// At the end of the stream, [`finish`](Framer::finish) gives the last frame where the stream left out its terminator, and
/// [`is_complete`](Framer::is_complete) tells whether the stream was cut.
#[derive(Debug)]
pub struct Framer {
    split: Split,
    /// What frames are cut from: the last chunk, after what waited for it.
    buffer: Bytes,
    /// A frame that is not whole yet. Either this or `buffer` is empty.
    waiting: BytesMut,
    /// Where the buffer's first frame ends, if that is known already.
    end: Option<usize>,
    failed: Option<FrameError>,
    limit: usize,
}

/// Where the frames of each framing end, and what is in them.
#[derive(Debug)]
enum Split {
    Sse(sse::Sse),
    NdJson(ndjson::NdJson),
    JsonArray(json_array::JsonArray),
    EventStream(eventstream::EventStream),
}

impl Split {
    /// Length of the first whole frame in `buffer`. A frame begins where the last one ended; until one is found, `buffer` only grows.
    fn split(&mut self, buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
        // What lies beyond the limit must not matter, or a frame would end otherwise when it comes in one chunk.
        let within = buffer.get(..limit).unwrap_or(buffer);
        let end = match self {
            Split::Sse(sse) => sse.split(within),
            Split::NdJson(ndjson) => ndjson.split(within),
            Split::JsonArray(array) => array.split(within)?,
            Split::EventStream(stream) => stream.split(within, limit)?,
        };
        if end.is_none() && buffer.len() > limit {
            return Err(FrameError::TooLarge { limit });
        }
        Ok(end)
    }

    fn frame(&mut self, raw: Bytes) -> Result<Frame, FrameError> {
        match self {
            Split::Sse(sse) => Ok(sse.frame(raw)),
            Split::NdJson(ndjson) => Ok(ndjson.frame(raw)),
            Split::JsonArray(array) => Ok(array.frame(raw)),
            Split::EventStream(stream) => stream.frame(raw),
        }
    }
}

impl Framer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new(framing: Framing, limit: usize) -> Framer {
        let split = match framing {
            Framing::Sse => Split::Sse(sse::Sse::default()),
            Framing::NdJson => Split::NdJson(ndjson::NdJson::default()),
            Framing::JsonArray => Split::JsonArray(json_array::JsonArray::default()),
            Framing::EventStream => Split::EventStream(eventstream::EventStream),
        };
        Framer {
            split,
            buffer: Bytes::new(),
            waiting: BytesMut::new(),
            end: None,
            failed: None,
            limit,
        }
    }

    /// Takes the next bytes; no copy unless a partial frame waits.
    pub fn feed(&mut self, chunk: Bytes) {
        if !self.waiting.is_empty() {
            self.waiting.extend_from_slice(&chunk);
            match self.split.split(&self.waiting, self.limit) {
                Ok(None) => return,
                Ok(end) => self.end = end,
                Err(error) => self.failed = Some(error),
            }
            self.buffer = std::mem::take(&mut self.waiting).freeze();
        } else if self.buffer.is_empty() {
            self.buffer = chunk;
        } else {
            let mut joined = BytesMut::from(std::mem::take(&mut self.buffer));
            joined.extend_from_slice(&chunk);
            self.buffer = joined.freeze();
        }
    }

    /// The next whole frame; `None`: more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if a frame is over the limit or corrupt; the framer says nothing else from then on.
    pub fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.cut().inspect_err(|error| self.failed = Some(*error)),
        }
    }

    fn cut(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let end = match self.end.take() {
            None => self.split.split(&self.buffer, self.limit)?,
            end => end,
        };
        let Some(end) = end else {
            // Let go of the chunk: a slow stream must not pin a read buffer for a few bytes.
            self.waiting
                .extend_from_slice(&std::mem::take(&mut self.buffer));
            return Ok(None);
        };
        let frame = self.split.frame(self.buffer.slice(..end))?;
        self.buffer.advance(end);
        if self.buffer.is_empty() {
            // What is left of the chunk is a hold on it: it would pin the read buffer until the next one comes.
            self.buffer = Bytes::new();
        }
        Ok(Some(frame))
    }

    /// The stream ended: what is left, as a frame, if it holds any payload. Only lines may lack their end: what is left of an array or
    /// a binary message is none, and stays pending.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.failed.is_some() || !matches!(self.split, Split::Sse(_) | Split::NdJson(_)) {
            return None;
        }
        let raw = self.take_pending();
        let frame = self.split.frame(raw).ok()?;
        (!frame.data().is_empty()).then_some(frame)
    }

    /// Whether the stream could end here: an array is closed, no binary message is cut. Lines may end anywhere; what they say tells the
    /// rest. The answer is the same before and after [`finish`](Framer::finish).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_none()
            && match &self.split {
                Split::Sse(_) | Split::NdJson(_) => true,
                Split::JsonArray(array) => array.is_closed(),
                Split::EventStream(_) => self.pending() == 0,
            }
    }

    /// Right after [`feed`](Framer::feed): the bytes of the frames that can be cut now, and what follows them; nothing while the first
    /// of them is not whole.
    #[must_use]
    pub fn buffered(&self) -> Bytes {
        self.buffer.clone()
    }

    /// How many bytes are not cut yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() + self.waiting.len()
    }

    /// Takes the bytes that are not cut yet.
    pub fn take_pending(&mut self) -> Bytes {
        if self.buffer.is_empty() {
            std::mem::take(&mut self.waiting).freeze()
        } else {
            std::mem::take(&mut self.buffer)
        }
    }
}
