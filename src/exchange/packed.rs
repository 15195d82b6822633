//! What exchanges that ended hold, packed into a few large pieces of memory.
//!
//! An exchange is some twenty small allocations. Thousands of them, kept for minutes, are each out of every cache when they are made room
//! for, and the pages under them go back to the system only to be asked for again: that took longer than all else that seeing costs. So when
//! an exchange ends, its stages and its answer are copied behind those of the one before, and the pieces are used again, the oldest first.

use std::collections::VecDeque;

use super::{
    record::Exchange,
    spoken::Spoken,
    stages::{Held, Stage},
};

/// How large a piece of memory is.
const SEGMENT: usize = 1 << 20;

/// What is larger stays as it is: it would leave much of a piece unused.
const MOST: usize = SEGMENT / 8;

/// Where an exchange's bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    segment: u64,
    at: usize,
    length: usize,
}

#[derive(Default)]
struct Segment {
    bytes: Vec<u8>,
    /// How many exchanges are in it.
    live: usize,
}

/// The pieces of memory, in the order of their filling.
#[derive(Default)]
pub(super) struct Shelf {
    segments: VecDeque<Segment>,
    /// The number of the first one.
    first: u64,
    /// One that is empty, to be filled next.
    spare: Option<Vec<u8>>,
}

impl Shelf {
    /// Takes the stages and the answer out of an exchange that ended, if they are not too large; how many bytes that made.
    pub(super) fn put(&mut self, exchange: &mut Exchange) -> usize {
        // What is counted is more than what is written: structures, and capacities.
        let weight = exchange.weight();
        if weight > MOST || exchange.stages.is_empty() {
            return 0;
        }
        let full = |segment: &Segment| segment.bytes.len() + weight > SEGMENT;
        if self.segments.back().is_none_or(full) {
            let bytes = self.spare.take();
            let bytes = bytes.unwrap_or_else(|| Vec::with_capacity(SEGMENT));
            self.segments.push_back(Segment { bytes, live: 0 });
        }
        let number = self.first + self.segments.len() as u64 - 1;
        let Some(segment) = self.segments.back_mut() else {
            return 0;
        };
        let at = segment.bytes.len();
        write(exchange, &mut segment.bytes);
        segment.live += 1;
        exchange.stages = Vec::new();
        exchange.spoken = Spoken::default();
        let length = segment.bytes.len() - at;
        exchange.slot = Some(Slot {
            segment: number,
            at,
            length,
        });
        length
    }

    /// The exchange with all that was taken out of it.
    pub(super) fn whole(&self, exchange: &Exchange) -> Option<Exchange> {
        let slot = exchange.slot?;
        let index = usize::try_from(slot.segment.checked_sub(self.first)?).ok()?;
        let bytes = &self.segments.get(index)?.bytes;
        let bytes = bytes.get(slot.at..slot.at.checked_add(slot.length)?)?;
        let mut whole = exchange.clone();
        whole.slot = None;
        read(&mut whole, bytes)?;
        Some(whole)
    }

    /// An exchange goes.
    pub(super) fn forget(&mut self, exchange: &Exchange) {
        let Some(slot) = exchange.slot else { return };
        let index = slot.segment.checked_sub(self.first);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(segment) = index.and_then(|index| self.segments.get_mut(index)) {
            segment.live = segment.live.saturating_sub(1);
        }
        while self.segments.len() > 1
            && let Some(empty) = self.segments.pop_front_if(|segment| segment.live == 0)
        {
            self.first += 1;
            let mut bytes = empty.bytes;
            bytes.clear();
            self.spare.get_or_insert(bytes);
        }
    }
}

fn write(exchange: &Exchange, out: &mut Vec<u8>) {
    put_number(out, exchange.stages.len() as u64);
    for held in &exchange.stages {
        held.write(out);
    }
    exchange.spoken.write(out);
}

fn read(exchange: &mut Exchange, mut bytes: &[u8]) -> Option<()> {
    let stages = take_number(&mut bytes)?;
    let stages = (0..stages).map(|_| Held::read(&mut bytes));
    exchange.stages = stages.collect::<Option<Vec<Held>>>()?;
    exchange.spoken = Spoken::read(&mut bytes)?;
    Some(())
}

/// Seven bits a byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

/// A number that is a size here.
pub(super) fn take_size(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_number(bytes)?).ok()
}

/// Bytes, with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn take_bytes<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = take_size(bytes)?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

pub(super) fn take_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(bytes)?.to_vec()).ok()
}

/// One more than a number that may be missing, or 0.
pub(super) fn put_option(out: &mut Vec<u8>, number: Option<u64>) {
    put_number(out, number.map_or(0, |number| number.saturating_add(1)));
}

pub(super) fn take_option(bytes: &mut &[u8]) -> Option<Option<u64>> {
    take_number(bytes).map(|number| number.checked_sub(1))
}

pub(super) fn put_stage(out: &mut Vec<u8>, stage: Stage) {
    let place = Stage::ALL.iter().position(|one| *one == stage);
    put_number(out, place.unwrap_or_default() as u64);
}

pub(super) fn take_stage(bytes: &mut &[u8]) -> Option<Stage> {
    Stage::ALL.get(take_size(bytes)?).copied()
}

#[cfg(test)]
mod tests;
