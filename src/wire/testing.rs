//! What the tests of all framings share: the frames of some bytes under any split, and what a framer promises of them.

use bytes::Bytes;

use super::{Frame, FrameError, Framer, Framing, MAX_FRAME};

/// What a framer says of a stream. Frames without data are left out: where they are cut is not promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Name, data, and whether it is an error.
    pub(super) frames: Vec<(Vec<u8>, Vec<u8>, bool)>,
    pub(super) error: Option<FrameError>,
    pub(super) complete: bool,
}

impl Read {
    pub(super) fn data(&self) -> Vec<&str> {
        let text = |data| std::str::from_utf8(data).unwrap();
        self.frames.iter().map(|(_, data, _)| text(data)).collect()
    }

    /// Names and data.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        self.frames
            .iter()
            .map(|(name, data, _)| (text(name), text(data)))
            .collect()
    }

    fn keep(&mut self, frame: &Frame) {
        if !frame.data().is_empty() {
            self.frames.push((
                frame.name().to_vec(),
                frame.data().to_vec(),
                frame.is_error(),
            ));
        }
    }
}

/// Feeds `bytes` cut at `cuts`, which are in order.
pub(super) fn read(framing: Framing, limit: usize, bytes: &[u8], cuts: &[usize]) -> Read {
    let mut framer = Framer::new(framing, limit);
    let mut read = Read {
        frames: Vec::new(),
        error: None,
        complete: false,
    };
    let (mut fed, mut cut) = (0, 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        framer.feed(Bytes::copy_from_slice(&bytes[fed..end]));
        fed = end;
        let whole = framer.buffered();
        if !whole.is_empty() {
            assert_eq!(whole, bytes[cut..fed], "all that can be cut is buffered");
        }
        loop {
            match framer.frame() {
                Ok(Some(frame)) => {
                    let raw = &bytes[cut..cut + frame.raw.len()];
                    assert_eq!(frame.raw, raw, "no byte is lost or changed");
                    assert!(!raw.is_empty() && raw.len() <= limit);
                    cut += raw.len();
                    read.keep(&frame);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(!whole.is_empty(), "what is in error is buffered");
                    assert_eq!(framer.frame().unwrap_err(), error, "an error stays");
                    read.error = Some(error);
                    break;
                }
            }
        }
        assert_eq!(framer.pending(), fed - cut);
        if read.error.is_some() {
            assert!(!framer.is_complete() && framer.finish().is_none());
            assert_eq!(framer.take_pending(), bytes[cut..fed]);
            return read;
        }
        assert!(framer.pending() <= limit, "what waits is bounded");
    }
    read.complete = framer.is_complete();
    match framer.finish() {
        Some(frame) => {
            assert_eq!(frame.raw, bytes[cut..]);
            assert!(!frame.data().is_empty());
            read.keep(&frame);
        }
        None => assert!(bytes[cut..].ends_with(&framer.take_pending())),
    }
    assert!(framer.finish().is_none());
    read
}

/// The whole stream's frames, after holding them against those at each cut, each two cuts of a short stream, and byte by byte.
pub(super) fn at_every_split(framing: Framing, bytes: &[u8]) -> Read {
    let whole = read(framing, MAX_FRAME, bytes, &[]);
    let same = |cuts: &[usize]| {
        assert_eq!(
            read(framing, MAX_FRAME, bytes, cuts),
            whole,
            "cut at {cuts:?}"
        );
    };
    for first in 0..=bytes.len() {
        same(&[first]);
        for second in first..=bytes.len().min(60) {
            same(&[first, second]);
        }
    }
    same(&(0..bytes.len()).collect::<Vec<_>>());
    whole
}

/// Holds the frames at some cuts, in any order, against those of the whole stream.
pub(super) fn same_at(framing: Framing, limit: usize, bytes: &[u8], mut cuts: Vec<usize>) -> Read {
    for cut in &mut cuts {
        *cut = (*cut).min(bytes.len());
    }
    cuts.sort_unstable();
    let whole = read(framing, limit, bytes, &[]);
    assert_eq!(
        read(framing, limit, bytes, &cuts),
        whole,
        "cut at {cuts:?} of {}",
        bytes.escape_ascii()
    );
    whole
}

#[test]
fn a_large_frame_in_many_chunks_is_copied_seldom() {
    let piece = Bytes::from_static(&[b'x'; 1024]);
    for (framing, opening) in [
        (Framing::Sse, &b"data: "[..]),
        (Framing::NdJson, b"\""),
        (Framing::JsonArray, b"[{\"a\":\""),
    ] {
        let mut framer = Framer::new(framing, MAX_FRAME);
        framer.feed(Bytes::from_static(opening));
        let mut moves = 0;
        let mut place = std::ptr::null();
        for _ in 0..8000 {
            assert!(framer.frame().unwrap().is_none());
            moves += u32::from(!std::ptr::eq(place, framer.waiting.as_ptr()));
            place = framer.waiting.as_ptr();
            framer.feed(piece.clone());
        }
        assert!(moves < 32, "{framing:?}: moved {moves} times");
        for _ in 0..300 {
            framer.feed(piece.clone());
        }
        let limit = MAX_FRAME;
        assert_eq!(framer.frame().unwrap_err(), FrameError::TooLarge { limit });
    }
}

#[test]
fn frames_of_a_chunk_are_slices_of_it() {
    let chunk = Bytes::from(b"{\"a\":1}\n{\"b\":2}\n".to_vec());
    let mut framer = Framer::new(Framing::NdJson, MAX_FRAME);
    framer.feed(chunk.clone());
    let first = framer.frame().unwrap().unwrap();
    let second = framer.frame().unwrap().unwrap();
    assert_eq!(first.raw.as_ptr(), chunk.as_ptr());
    assert_eq!(second.raw.as_ptr(), chunk[first.raw.len()..].as_ptr());
}

#[test]
fn chunks_that_come_before_the_last_was_cut_are_joined() {
    let mut framer = Framer::new(Framing::NdJson, MAX_FRAME);
    for chunk in ["1", "2\n", "3", "\n4"] {
        framer.feed(Bytes::from_static(chunk.as_bytes()));
    }
    let mut frames = Vec::new();
    while let Some(frame) = framer.frame().unwrap().or_else(|| framer.finish()) {
        frames.push(frame.data().to_vec());
    }
    assert_eq!(frames, [b"12".to_vec(), b"3".to_vec(), b"4".to_vec()]);
}

#[test]
fn terminators_end_what_was_left_open() {
    for (framing, text) in [(Framing::Sse, "data: a"), (Framing::NdJson, "{}")] {
        let mut framer = Framer::new(framing, MAX_FRAME);
        framer.feed(Bytes::from_static(text.as_bytes()));
        assert!(framer.frame().unwrap().is_none());
        framer.feed(Bytes::from_static(framing.terminator()));
        assert!(framer.frame().unwrap().is_some());
        assert_eq!(framer.pending(), 0);
    }
}
