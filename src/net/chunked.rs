//! The chunked transfer coding (RFC 9112 §7.1), read: bytes in, what they carry out.
//!
//! Line ends are CRLF alone: who takes others may see chunks that another reader of the same bytes does not.

use std::mem;

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};
use memchr::memchr;

/// Longest line with a chunk's size and extensions, and longest trailers; hyper's limit.
const LINES: usize = 16 * 1024;

/// Most trailers; hyper's limit.
const TRAILERS: usize = 100;

/// The framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a body holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Content: a chunk, or the part of it that is here.
    Data(&'a [u8]),
    /// The body is whole, and this comes after it.
    Over(HeaderMap),
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// In the line with a chunk's size.
    #[default]
    Size,
    /// So many bytes of the chunk are missing.
    Data(u64),
    /// Before the line end after a chunk.
    Cr,
    /// In the midst of it.
    Lf,
    Trailers,
    Over,
}

/// Reads one body, however what is read is cut.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// The line that is not whole yet; all lines of the trailers.
    held: Vec<u8>,
}

impl Chunked {
    /// Whether the body ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The next piece of `input`, which is cut to what comes after it; nothing when more has to be read, and after the end.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, Malformed> {
        loop {
            self.state = match self.state {
                State::Size => match self.size(input)? {
                    None => return Ok(None),
                    Some(0) => State::Trailers,
                    Some(size) => State::Data(size),
                },
                State::Data(missing) => {
                    let here = usize::try_from(missing).unwrap_or(usize::MAX);
                    let data = take(input, here);
                    if data.is_empty() {
                        return Ok(None);
                    }
                    self.state = match missing.saturating_sub(data.len() as u64) {
                        0 => State::Cr,
                        missing => State::Data(missing),
                    };
                    return Ok(Some(Piece::Data(data)));
                }
                State::Cr | State::Lf => match (take(input, 1), self.state) {
                    ([], _) => return Ok(None),
                    (b"\r", State::Cr) => State::Lf,
                    (b"\n", State::Lf) => State::Size,
                    _ => return Err(Malformed),
                },
                State::Trailers => {
                    let end = memchr(b'\n', input);
                    self.hold(take(input, end.map_or(usize::MAX, |end| end + 1)))?;
                    if end.is_none() {
                        return Ok(None);
                    }
                    // The empty line ends them, and may be all there is.
                    if self.held != b"\r\n" && !self.held.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    self.state = State::Over;
                    let after = trailers(&mem::take(&mut self.held))?;
                    return Ok(Some(Piece::Over(after)));
                }
                State::Over => return Ok(None),
            };
        }
    }

    /// The size of the next chunk, when all of its line is here.
    fn size(&mut self, input: &mut &[u8]) -> Result<Option<u64>, Malformed> {
        let end = memchr(b'\n', input);
        let line = take(input, end.map_or(usize::MAX, |end| end + 1));
        if end.is_some() && self.held.is_empty() {
            return size(line).map(Some);
        }
        self.hold(line)?;
        if end.is_none() {
            return Ok(None);
        }
        size(&mem::take(&mut self.held)).map(Some)
    }

    fn hold(&mut self, line: &[u8]) -> Result<(), Malformed> {
        if self.held.len() + line.len() > LINES {
            return Err(Malformed);
        }
        self.held.extend_from_slice(line);
        Ok(())
    }
}

/// Cuts the first bytes off, as many as there are of `count`.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

/// A chunk's size: hexadecimal digits, perhaps blanks, perhaps extensions, which mean nothing to us (RFC 9112 §7.1.1).
fn size(line: &[u8]) -> Result<u64, Malformed> {
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
    if line.len() > LINES {
        return Err(Malformed);
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    // Sixteen digits are what 64 bits hold.
    if digits.is_empty() || digits.len() > 16 || rest.contains(&b'\r') {
        return Err(Malformed);
    }
    match rest.trim_ascii_start() {
        [] | [b';', ..] => {}
        _ => return Err(Malformed),
    }
    let digit = |byte: &u8| u64::from((*byte as char).to_digit(16).unwrap_or_default());
    Ok(digits.iter().fold(0, |size, byte| size << 4 | digit(byte)))
}

/// The lines after the last chunk.
fn trailers(lines: &[u8]) -> Result<HeaderMap, Malformed> {
    let mut fields = [EMPTY_HEADER; TRAILERS];
    match httparse::parse_headers(lines, &mut fields) {
        Ok(Status::Complete((read, fields))) if read == lines.len() => fields
            .iter()
            .map(|field| {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                Ok((name.map_err(|_| Malformed)?, value.map_err(|_| Malformed)?))
            })
            .collect(),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Content and trailers of `parts`, which come one after the other; whether they end a body.
    fn read(parts: &[&[u8]]) -> Result<(Vec<u8>, Option<HeaderMap>), Malformed> {
        let (mut decoder, mut content, mut after) = (Chunked::default(), Vec::new(), None);
        for mut part in parts.iter().copied() {
            while let Some(piece) = decoder.next(&mut part)? {
                match piece {
                    Piece::Data(data) => content.extend_from_slice(data),
                    Piece::Over(trailers) => after = Some(trailers),
                }
            }
            assert!(part.is_empty() || decoder.is_over());
        }
        assert_eq!(after.is_some(), decoder.is_over());
        Ok((content, after))
    }

    fn whole(body: &[u8]) -> Result<Vec<u8>, Malformed> {
        let (content, after) = read(&[body])?;
        after.map(|_| content).ok_or(Malformed)
    }

    #[test]
    fn each_chunk_is_a_piece() {
        let mut decoder = Chunked::default();
        let mut input: &[u8] = b"3\r\none\r\nA;x=\"y\"\r\n0123456789\r\n4 \r\nlo";
        let mut pieces = Vec::new();
        while let Some(Piece::Data(data)) = decoder.next(&mut input).unwrap() {
            pieces.push(data);
        }
        assert_eq!(pieces, [&b"one"[..], b"0123456789", b"lo"]);
        assert!(input.is_empty());
        let mut rest: &[u8] = b"ng\r\n0\r\n\r\nHTTP/1.1 200 OK";
        assert_eq!(decoder.next(&mut rest), Ok(Some(Piece::Data(b"ng"))));
        let over = Piece::Over(HeaderMap::new());
        assert_eq!(decoder.next(&mut rest), Ok(Some(over)));
        assert_eq!(decoder.next(&mut rest), Ok(None));
        assert_eq!(rest, b"HTTP/1.1 200 OK");
    }

    #[test]
    fn trailers_are_read() {
        let (content, after) = read(&[b"1\r\na\r\n0\r\nx-sum: 7\r\nX-Sum: 8\r\n\r\n"]).unwrap();
        assert_eq!(content, b"a");
        let after = after.unwrap();
        assert_eq!(
            after.get_all("x-sum").iter().collect::<Vec<_>>(),
            ["7", "8"]
        );
    }

    #[test]
    fn what_is_no_framing_is_an_error() {
        for body in [
            &b"\r\n"[..],
            b"+3\r\none\r\n0\r\n\r\n",
            b"-3\r\n",
            b"0x3\r\none\r\n",
            b"3\none\r\n0\r\n\r\n",
            b"3\r\none\n0\r\n\r\n",
            b"3\r\nonee\r\n0\r\n\r\n",
            b"3 4\r\none\r\n",
            b"3;\r;\r\none\r\n",
            b" 3\r\none\r\n",
            b"g\r\n",
            b"00000000000000003\r\none\r\n",
            b"0\r\nx y: z\r\n\r\n",
            b"0\r\n: z\r\n\r\n",
            b"0\r\nx: a\n\nx: b\r\n\r\n",
        ] {
            assert_eq!(read(&[body]), Err(Malformed), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn lines_have_a_limit_and_chunks_have_none() {
        let long = [b"1;", &*vec![b'x'; LINES], b"\r\n"].concat();
        assert_eq!(read(&[&long]), Err(Malformed));
        assert_eq!(read(&[&long[..LINES], &long[LINES..]]), Err(Malformed));
        let long = [b"0\r\nx: ", &*vec![b'x'; LINES], b"\r\n\r\n"].concat();
        assert_eq!(read(&[&long]), Err(Malformed));
        let many = [b"0\r\n", &*b"x: y\r\n".repeat(TRAILERS + 1), b"\r\n"].concat();
        assert_eq!(read(&[&many]), Err(Malformed));
        let (content, after) = read(&[b"FFFFFFFFFFFFFFFF\r\nand on it goes"]).unwrap();
        assert_eq!((&*content, after), (&b"and on it goes"[..], None));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_says_the_same(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "(([0-3]|a|0x1)(;x)?\r?\n(a|bcd|\r\n)?(\r\n)?){0,5}0\r\n(x: y\r\n)?\r\n".prop_map(String::into_bytes),
            ],
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < body.len()).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts {
                parts.push(&body[from..cut]);
                from = cut;
            }
            parts.push(&body[from..]);
            prop_assert_eq!(read(&parts), read(&[&body]));
        }

        /// What one takes and the other does not would be two messages in the same bytes.
        #[test]
        fn hyper_says_the_same(
            body in "(([0-3]|a|A|0x1|01)( |;x|;x=\"y\"| ;)?\r?\n(a|bcd|\r\n)?(\r\n)?){0,4}0\r\n(x: y\r\n)?\r\n",
        ) {
            let hyper = by_hyper(body.as_bytes());
            prop_assert_eq!(whole(body.as_bytes()).ok(), hyper, "{:?}", body);
        }
    }

    /// The body, if hyper takes it for one.
    fn by_hyper(body: &[u8]) -> Option<Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
            let connection = tokio::spawn(connection);
            let asking = sender.send_request(http::Request::new(Empty::<Bytes>::new()));
            let answering = async {
                theirs.read_buf(&mut Vec::new()).await.unwrap();
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                theirs.write_all(&[head, body].concat()).await.unwrap();
                theirs.shutdown().await.unwrap();
            };
            let (answer, ()) = tokio::join!(asking, answering);
            let content = answer.ok()?.into_body().collect().await.ok()?;
            connection.abort();
            Some(content.to_bytes().to_vec())
        })
    }
}
