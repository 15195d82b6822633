//! As much of HTTP/1.1 as the benchmark needs, by hand: its own cost stands beside every figure, so it must be small.

use std::io;

use memchr::memmem;

/// What the first lines of a message say.
pub(crate) struct Head {
    /// Of an answer; 0 for a request.
    pub(crate) status: u16,
    /// Bytes of the head itself, with the empty line.
    pub(crate) length: usize,
    pub(crate) body: Body,
    /// The peer ends the connection after this message.
    pub(crate) closes: bool,
}

impl Head {
    /// Whether the body is worth a large buffer.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self.body, Body::Length(left) if left > 16 << 10)
    }

    /// Reads a head from the beginning of `bytes`; nothing when its end has not come.
    pub(crate) fn read(bytes: &[u8]) -> io::Result<Option<Head>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let status = match first.strip_prefix(b"HTTP/1.1 ") {
            Some(rest) => number(rest.get(..3).unwrap_or_default())?,
            None => 0,
        };
        let mut head = Head {
            status: u16::try_from(status).unwrap_or_default(),
            length: end + 4,
            body: Body::Length(0),
            closes: false,
        };
        for line in lines {
            let value = |name: &str| {
                let (found, value) = line.split_at_checked(name.len())?;
                found
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| value.trim_ascii())
            };
            if let Some(length) = value("content-length:") {
                head.body = Body::Length(number(length)?);
            } else if value("transfer-encoding:").is_some() {
                head.body = Body::Chunked(Chunks::Size(0));
            } else if let Some(value) = value("connection:") {
                head.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some(head))
    }
}

/// What is still to come of a message's body.
pub(crate) enum Body {
    Length(usize),
    Chunked(Chunks),
}

/// Where in a chunked body the next byte stands.
pub(crate) enum Chunks {
    Size(usize),
    Extension(usize),
    Data(usize),
    /// The line end after the data, of which so many bytes are to come.
    After(u8),
    /// In the lines after the last chunk; whether the current one is empty so far.
    Trailer(bool),
    Done,
}

impl Body {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunked(Chunks::Done))
    }

    /// Takes what belongs to the body from the beginning of `bytes`, shows its content to `see`, and says how much it took.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut see: impl FnMut(&[u8])) -> io::Result<usize> {
        let state = match self {
            Body::Length(left) => {
                let taken = bytes.len().min(*left);
                see(&bytes[..taken]);
                *left -= taken;
                return Ok(taken);
            }
            Body::Chunked(state) => state,
        };
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            *state = match *state {
                Chunks::Done => break,
                Chunks::Size(size) => match byte {
                    b'\n' => Chunks::sized(size),
                    b'\r' => Chunks::Size(size),
                    b';' => Chunks::Extension(size),
                    _ => Chunks::Size(size << 4 | hex(byte)?),
                },
                Chunks::Extension(size) if byte == b'\n' => Chunks::sized(size),
                Chunks::Extension(size) => Chunks::Extension(size),
                Chunks::Data(left) => {
                    let taken = left.min(bytes.len() - at);
                    see(&bytes[at..at + taken]);
                    at += taken;
                    *state = match left - taken {
                        0 => Chunks::After(2),
                        left => Chunks::Data(left),
                    };
                    continue;
                }
                Chunks::After(2) => Chunks::After(1),
                Chunks::After(_) => Chunks::Size(0),
                Chunks::Trailer(true) if byte == b'\n' => Chunks::Done,
                Chunks::Trailer(empty) => {
                    Chunks::Trailer(byte == b'\n' || (empty && byte == b'\r'))
                }
            };
            at += 1;
        }
        Ok(at)
    }
}

impl Chunks {
    fn sized(size: usize) -> Chunks {
        match size {
            0 => Chunks::Trailer(true),
            _ => Chunks::Data(size),
        }
    }
}

fn number(digits: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    text.parse()
        .map_err(|_| io::Error::other(format!("`{text}` is no number")))
}

fn hex(byte: u8) -> io::Result<usize> {
    match char::from(byte).to_digit(16) {
        Some(digit) => Ok(digit as usize),
        None => Err(io::Error::other("a chunk's size is no number")),
    }
}
