//! A chunked answer that is read off its connection without hyper.
//!
//! hyper keeps 25 kB for a connection while a stream is on it: buffers for reading and writing, and room for the requests that a task of its
//! own would be sent. A slow stream, of which there may be thousands, needs none of it: what a read brings is taken apart at once, and only
//! what is to be passed on is kept. hyper sends the request and reads the answer's head; whatever is not a plain chunked body stays hyper's.

use std::{
    cell::RefCell,
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::{Body, Frame};
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    chunked::{Chunked, Piece},
    connect::Link,
    error::Torn,
    pool::STREAM_BUFFER,
};

/// Most header lines of an answer; hyper's limit.
const HEADERS: usize = 100;

/// Pieces of one read whose limits are worth keeping the room of.
const FEW: usize = 64;

thread_local! {
    /// What reads go to, one after the other.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; STREAM_BUFFER]);
}

/// An answer's body.
pub(crate) struct Chunks {
    link: Link,
    decoder: Chunked,
    /// What is here and was not given yet, one piece after the other, and where they end.
    data: Bytes,
    sizes: VecDeque<usize>,
    after: Option<HeaderMap>,
    torn: bool,
    /// The connection can be used again.
    keep: bool,
}

/// Where an answer's body begins in what was read of it: hyper has taken some of it already, and does not say how much.
pub(crate) fn body<'a>(heard: &'a [u8], answer: &Response<impl Body>) -> Option<&'a [u8]> {
    let mut heads = heard;
    loop {
        let mut fields = [EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(Status::Complete(read)) = head.parse(heads) else {
            return None;
        };
        heads = heads.get(read..)?;
        match head.code {
            // Said on the way to the answer, such as early hints.
            Some(100..200) => {}
            code => return (code == Some(answer.status().as_u16())).then_some(heads),
        }
    }
}

/// Whether an answer's body is chunked and nothing else, so that everybody agrees on where it ends.
pub(crate) fn is_chunked<B: Body>(response: &Response<B>) -> bool {
    let headers = response.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings
        .next()
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked
        && codings.next().is_none()
        && !headers.contains_key(CONTENT_LENGTH)
        && response.version() == Version::HTTP_11
        // Such as the answer to a HEAD.
        && !response.body().is_end_stream()
}

/// Whether one side says that the connection ends with the message.
pub(crate) fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

impl Chunks {
    /// The body that comes on `link`; `begun` of it was read.
    pub(crate) fn new(link: Link, begun: &[u8], keep: bool) -> Self {
        let mut chunks = Chunks {
            link,
            decoder: Chunked::default(),
            data: Bytes::new(),
            sizes: VecDeque::new(),
            after: None,
            torn: false,
            keep,
        };
        chunks.take(begun);
        chunks
    }

    /// All of it was given.
    pub(crate) fn is_over(&self) -> bool {
        self.decoder.is_over() && self.sizes.is_empty() && self.after.is_none()
    }

    /// The connection, if it is free for another exchange.
    pub(crate) fn into_link(self) -> Option<Link> {
        (self.keep && self.is_over()).then_some(self.link)
    }

    /// The next part of it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        loop {
            if let Some(frame) = self.give() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.torn {
                return Poll::Ready(Some(Err(Torn::Framing)));
            }
            if self.decoder.is_over() {
                return Poll::Ready(None);
            }
            let read = READ.with_borrow_mut(|room| {
                let mut room = ReadBuf::new(room);
                ready!(Pin::new(&mut self.link).poll_read(cx, &mut room))?;
                self.take(room.filled());
                Poll::Ready(Ok(room.filled().len()))
            });
            match ready!(read) {
                Ok(0) => return Poll::Ready(Some(Err(Torn::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Torn::Io(error)))),
            }
        }
    }

    fn give(&mut self) -> Option<Frame<Bytes>> {
        let Some(size) = self.sizes.pop_front() else {
            return self.after.take().map(Frame::trailers);
        };
        if !self.sizes.is_empty() {
            return Some(Frame::data(self.data.split_to(size.min(self.data.len()))));
        }
        if self.sizes.capacity() > FEW {
            self.sizes = VecDeque::new();
        }
        Some(Frame::data(mem::take(&mut self.data)))
    }

    /// Takes apart what was read, when all that came before was given.
    fn take(&mut self, mut read: &[u8]) {
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut first: &[u8] = &[];
        loop {
            match self.decoder.next(&mut read) {
                Ok(Some(Piece::Data(data))) if first.is_empty() => first = data,
                Ok(Some(Piece::Data(data))) => pieces.push(data),
                Ok(Some(Piece::Over(after))) => {
                    self.after = (!after.is_empty()).then_some(after);
                    // Whatever that is, it is no answer to what was not asked yet.
                    self.keep &= read.is_empty();
                    break;
                }
                Ok(None) => break,
                Err(_) => {
                    self.torn = true;
                    break;
                }
            }
        }
        if first.is_empty() {
            return;
        }
        self.sizes.push_back(first.len());
        if pieces.is_empty() {
            self.data = Bytes::copy_from_slice(first);
            return;
        }
        let more: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut data = Vec::with_capacity(first.len() + more);
        data.extend_from_slice(first);
        for piece in pieces {
            data.extend_from_slice(piece);
            self.sizes.push_back(piece.len());
        }
        self.data = Bytes::from(data);
    }
}
