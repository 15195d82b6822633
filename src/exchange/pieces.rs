//! A body as it came, piece by piece, with the time of each.
//!
//! A provider's events differ from each other in a few bytes of hundreds. So a small piece is kept as what it does not share with the one
//! before it: a stream of a thousand tokens takes some 20 kB instead of 300. A few wait until that is found out for all of them together: for
//! each one alone, the processor would have to fetch the code for it anew.

use super::{
    kept::MOST,
    packed::{put_number, take_bytes, take_number, take_size},
};

/// Pieces longer than this are kept as they are.
const LONGEST_SHARED: usize = 2048;

/// Most bytes that wait to be coded, the piece before them included; but one piece may always wait.
const WAITING: usize = 1280;

/// A body in pieces, as far as it is kept.
#[derive(Clone, Default)]
pub struct Pieces {
    /// Of each piece: microseconds since the piece before, shared beginning, shared end, length of the rest, and the rest.
    coded: Vec<u8>,
    last_at: u64,
    /// The last one of those, as far as the next may share it; then those that are not coded yet.
    waiting: Vec<u8>,
    /// How much of that is the last one.
    last: usize,
    /// Of those that are not coded yet: when they came, and how long they are.
    marks: Vec<(u64, u32)>,
    kept: usize,
    whole: u64,
}

/// A length says enough: the bytes are somebody's conversation.
impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pieces({} of {} bytes)", self.kept, self.whole)
    }
}

impl Pieces {
    /// Adds a piece that came `at` microseconds after the beginning; not if `full`, or past [`MOST`] bytes in all.
    pub fn push(&mut self, at: u64, piece: &[u8], full: bool) {
        // Once cut it stays cut: a later short piece must not follow a hole.
        let fits = !self.is_cut() && self.kept + piece.len() <= MOST && !full;
        self.whole = self.whole.saturating_add(piece.len() as u64);
        if !fits {
            return;
        }
        self.kept += piece.len();
        let is_long = piece.len() > LONGEST_SHARED;
        if is_long || self.waiting.len() + piece.len() > WAITING {
            self.code();
        }
        if is_long {
            code(&mut self.coded, at.saturating_sub(self.last_at), &[], piece);
            self.last_at = at;
            self.waiting.clear();
            self.last = 0;
            return;
        }
        let room = WAITING.max(self.waiting.len() + piece.len());
        self.waiting.reserve_exact(room - self.waiting.len());
        self.waiting.extend_from_slice(piece);
        self.marks.push((at, piece.len() as u32));
    }

    /// Codes what waits, but for the last piece of it, which the next one may share.
    fn code(&mut self) {
        let mut coded = std::mem::take(&mut self.coded);
        self.code_into(&mut coded);
        self.coded = coded;
        if let Some((at, length)) = self.marks.last() {
            self.last_at = *at;
            self.last = *length as usize;
            let rest = self.waiting.len().saturating_sub(self.last);
            self.waiting.drain(..rest);
        }
        self.marks.clear();
    }

    fn code_into(&self, out: &mut Vec<u8>) {
        let mut last_at = self.last_at;
        for (at, last, piece) in self.uncoded() {
            code(out, at.saturating_sub(last_at), last, piece);
            last_at = at;
        }
    }

    /// The pieces that are not coded yet: when each came, the one before it, and itself.
    fn uncoded(&self) -> impl Iterator<Item = (u64, &[u8], &[u8])> {
        let split = self.waiting.split_at_checked(self.last);
        let (mut last, mut rest) = split.unwrap_or_default();
        self.marks.iter().filter_map(move |(at, length)| {
            let (piece, after) = rest.split_at_checked(*length as usize)?;
            rest = after;
            Some((*at, std::mem::replace(&mut last, piece), piece))
        })
    }

    /// Bytes in all, kept or not.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Whether not all is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.kept as u64) < self.whole
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.coded.len() + self.waiting.len() + self.marks.len() * size_of::<(u64, u32)>()
    }

    /// No more will come.
    pub(super) fn finish(&mut self) {
        self.code();
        self.waiting = Vec::new();
        self.last = 0;
        self.marks = Vec::new();
        self.coded.shrink_to_fit();
    }

    /// All of it, once no more comes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut rest = Vec::new();
        self.code_into(&mut rest);
        put_number(out, (self.coded.len() + rest.len()) as u64);
        out.extend_from_slice(&self.coded);
        out.extend_from_slice(&rest);
        let last_at = self.marks.last().map_or(self.last_at, |(at, _)| *at);
        put_number(out, last_at);
        put_number(out, self.kept as u64);
        put_number(out, self.whole);
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Pieces> {
        Some(Pieces {
            coded: take_bytes(bytes)?.to_vec(),
            last_at: take_number(bytes)?,
            waiting: Vec::new(),
            last: 0,
            marks: Vec::new(),
            kept: take_size(bytes)?,
            whole: take_number(bytes)?,
        })
    }

    /// All that is kept, and of each piece its time in microseconds and its length.
    #[must_use]
    pub fn joined(&self) -> (Vec<u8>, Vec<(u64, usize)>) {
        let mut out: Vec<u8> = Vec::with_capacity(self.kept);
        let (mut times, mut at, mut from) = (Vec::new(), 0u64, 0..0);
        let mut coded = self.coded.as_slice();
        while let Some([after, head, tail, length]) = read4(&mut coded) {
            at = at.saturating_add(after);
            let (head, tail) = (size(head), size(tail));
            let Some((middle, rest)) = coded.split_at_checked(size(length)) else {
                break;
            };
            coded = rest;
            let start = out.len();
            let shared = from.start..(from.start + head).min(from.end);
            out.extend_from_within(shared);
            out.extend_from_slice(middle);
            out.extend_from_within(from.end.saturating_sub(tail)..from.end);
            from = if out.len() - start <= LONGEST_SHARED {
                start..out.len()
            } else {
                out.len()..out.len()
            };
            times.push((at, out.len() - start));
        }
        for (at, _, piece) in self.uncoded() {
            out.extend_from_slice(piece);
            times.push((at, piece.len()));
        }
        (out, times)
    }
}

/// What a piece does not share with the one before it.
fn code(out: &mut Vec<u8>, after: u64, last: &[u8], piece: &[u8]) {
    let head = common_prefix(last, piece);
    let (old, new) = (last.get(head..), piece.get(head..));
    let tail = common_suffix(old.unwrap_or_default(), new.unwrap_or_default());
    let middle = piece.get(head..piece.len() - tail).unwrap_or_default();
    for number in [after, head as u64, tail as u64, middle.len() as u64] {
        put_number(out, number);
    }
    out.extend_from_slice(middle);
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How many bytes two texts begin with in common. Eight at a time: this runs on every piece of every stream.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, _) = a.as_chunks::<8>();
    let (words_b, _) = b.as_chunks::<8>();
    let words = words_a.iter().zip(words_b);
    let equal = words.take_while(|(a, b)| a == b).count() * 8;
    let (a, b) = (a.get(equal..), b.get(equal..));
    let rest = a.unwrap_or_default().iter().zip(b.unwrap_or_default());
    equal + rest.take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let (_, words_a) = a.as_rchunks::<8>();
    let (_, words_b) = b.as_rchunks::<8>();
    let words = words_a.iter().rev().zip(words_b.iter().rev());
    let equal = words.take_while(|(a, b)| a == b).count() * 8;
    let a = a.get(..a.len() - equal).unwrap_or_default();
    let b = b.get(..b.len() - equal).unwrap_or_default();
    let rest = a.iter().rev().zip(b.iter().rev());
    equal + rest.take_while(|(a, b)| a == b).count()
}

fn read4(bytes: &mut &[u8]) -> Option<[u64; 4]> {
    let mut next = || take_number(bytes);
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_of_events_takes_little() {
        let mut pieces = Pieces::default();
        let mut whole = Vec::new();
        for (number, word) in "the quick brown fox jumps over"
            .split(' ')
            .cycle()
            .take(500)
            .enumerate()
        {
            let event = format!(
                "data: {{\"id\":\"chatcmpl-9s8d7f6g5h4j\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-5-mini-2026-01-01\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
            );
            pieces.push(number as u64 * 50_000, event.as_bytes(), false);
            whole.extend_from_slice(event.as_bytes());
        }
        let (joined, times) = pieces.joined();
        assert_eq!(joined, whole);
        assert_eq!((times.len(), times[3].0), (500, 150_000));
        assert!(pieces.weight() < whole.len() / 12, "{}", pieces.weight());
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let mut pieces = Pieces::default();
        pieces.push(0, &vec![b'x'; MOST], false);
        pieces.push(1, b"y", false);
        assert!(pieces.is_cut());
        assert_eq!(
            (pieces.joined().0.len(), pieces.whole()),
            (MOST, MOST as u64 + 1)
        );
        let mut none = Pieces::default();
        none.push(0, b"x", true);
        assert_eq!((none.joined().0.len(), none.is_cut()), (0, true));
    }

    proptest! {
        #[test]
        fn any_pieces_come_back(pieces in prop::collection::vec((0..5000u64, "[ab]{0,40}|(ab){0,1500}"), 0..20)) {
            let mut kept = Pieces::default();
            let (mut at, mut expected, mut times) = (0, Vec::new(), Vec::new());
            for (after, piece) in &pieces {
                at += after;
                kept.push(at, piece.as_bytes(), false);
                expected.extend_from_slice(piece.as_bytes());
                times.push((at, piece.len()));
            }
            prop_assert_eq!(kept.joined(), (expected.clone(), times.clone()));
            // Whether all is coded yet or not.
            let mut packed = Vec::new();
            kept.write(&mut packed);
            let read = Pieces::read(&mut packed.as_slice()).unwrap();
            prop_assert_eq!(read.joined(), (expected.clone(), times.clone()));
            kept.finish();
            prop_assert_eq!(kept.joined(), (expected, times));
        }
    }
}
