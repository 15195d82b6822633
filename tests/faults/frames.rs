//! HTTP/2 frames by hand (RFC 9113).

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// Of DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![size[1], size[2], size[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Settings that allow one stream at a time, so that a fault is one exchange's alone.
pub(crate) fn settings() -> Vec<u8> {
    // SETTINGS_MAX_CONCURRENT_STREAMS = 1
    frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1])
}

/// The head of an answer of this content type.
pub(crate) fn headers(stream: u32, content_type: &str, last: bool) -> Vec<u8> {
    // `:status: 200` is entry 8 of the static table; `content-type`, entry 31, comes with a value that is not to be indexed.
    let mut block = vec![0x88];
    block.extend_from_slice(&field(31, content_type));
    let flags = END_HEADERS | if last { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream, &block)
}

/// A head of so many bytes.
pub(crate) fn long_headers(stream: u32, size: usize) -> Vec<u8> {
    const CONTINUATION: u8 = 9;
    let mut block = vec![0x88];
    for _ in 0..size / 100 {
        // A name of its own, then a value; neither is huffman-coded.
        block.extend_from_slice(&[0, 1, b'x', 97]);
        block.extend_from_slice(&[b'y'; 97]);
    }
    let mut pieces = block.chunks(16_000).peekable();
    let mut out = Vec::new();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        out.extend_from_slice(&frame(
            kind,
            if last { END_HEADERS } else { 0 },
            stream,
            piece,
        ));
        kind = CONTINUATION;
    }
    out
}

fn field(name: u8, value: &str) -> Vec<u8> {
    let size = u8::try_from(value.len()).unwrap();
    assert!(size < 127, "longer lengths have another form");
    let mut out = vec![0x0f, name - 15, size];
    out.extend_from_slice(value.as_bytes());
    out
}

/// A piece of an answer's body.
pub(crate) fn data(stream: u32, bytes: &[u8], last: bool) -> Vec<u8> {
    frame(DATA, if last { END_STREAM } else { 0 }, stream, bytes)
}

/// One stream ends.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// The connection ends; streams after `last` were not looked at.
pub(crate) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(
        GOAWAY,
        0,
        0,
        &[last.to_be_bytes(), code.to_be_bytes()].concat(),
    )
}
