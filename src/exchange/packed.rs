//! What exchanges that ended hold, packed into a few large pieces of memory.
//!
//! An exchange is some thirty small allocations. Thousands of them, kept for minutes, are each out of every cache when they are made room
//! for, and the pages under them go back to the system only to be asked for again: that took longer than all else that seeing costs. So when
//! an exchange ends, all of it is copied behind the one before, and the pieces are used again, the oldest first.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::Method;

use super::{
    ExchangeId,
    record::{Exchange, Outcome},
    spoken::Spoken,
    stages::{Held, Stage},
};
use crate::llm::Usage;

/// How large a piece of memory is.
const SEGMENT: usize = 1 << 20;

/// What is larger stays as it is: it would leave much of a piece unused.
const MOST: usize = SEGMENT / 8;

/// What an exchange takes beside what is counted as its weight, at most: numbers and short texts.
const BESIDE: usize = 512;

/// Where an exchange's bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    segment: u64,
    at: usize,
    length: usize,
}

impl Slot {
    /// How many bytes they are.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// What of an exchange is shared by many, and so is not packed.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) id: ExchangeId,
    pub(super) profile: Arc<str>,
    pub(super) began: SystemTime,
    provider: &'static str,
    operation: &'static str,
}

impl Common {
    pub(super) fn of(exchange: &Exchange) -> Common {
        Common {
            id: exchange.id,
            profile: Arc::clone(&exchange.profile),
            began: exchange.began,
            provider: exchange.provider,
            operation: exchange.operation,
        }
    }
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
    /// Copies an exchange that ended, and holds `weight` bytes, if it is not too large. One with calls of LLMs or with material for a log is: they
    /// are few.
    pub(super) fn put(&mut self, exchange: &Exchange, weight: usize) -> Option<Slot> {
        let most = weight + BESIDE;
        if most > MOST || !exchange.calls.is_empty() || exchange.log.is_some() {
            return None;
        }
        let full = |segment: &Segment| segment.bytes.len() + most > SEGMENT;
        if self.segments.back().is_none_or(full) {
            let bytes = self.spare.take();
            let bytes = bytes.unwrap_or_else(|| Vec::with_capacity(SEGMENT));
            self.segments.push_back(Segment { bytes, live: 0 });
        }
        let segment_number = self.first + self.segments.len() as u64 - 1;
        let segment = self.segments.back_mut()?;
        let at = segment.bytes.len();
        write(exchange, &mut segment.bytes);
        segment.live += 1;
        Some(Slot {
            segment: segment_number,
            at,
            length: segment.bytes.len() - at,
        })
    }

    /// The exchange that was copied here.
    pub(super) fn whole(&self, slot: Slot, common: &Common) -> Option<Exchange> {
        let index = usize::try_from(slot.segment.checked_sub(self.first)?).ok()?;
        let bytes = &self.segments.get(index)?.bytes;
        let bytes = bytes.get(slot.at..slot.at.checked_add(slot.length)?)?;
        read(common, bytes)
    }

    /// An exchange goes.
    pub(super) fn forget(&mut self, slot: Slot) {
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

/// All of an exchange, in the order in which [`read`] reads it; but for its place in a trace, which nobody asks for any more.
fn write(exchange: &Exchange, out: &mut Vec<u8>) {
    match exchange.client {
        None => put_bytes(out, &[]),
        Some(IpAddr::V4(address)) => put_bytes(out, &address.octets()),
        Some(IpAddr::V6(address)) => put_bytes(out, &address.octets()),
    }
    for text in [
        exchange.method.as_str(),
        &exchange.path,
        &exchange.model,
        &exchange.answered_by,
    ] {
        put_bytes(out, text.as_bytes());
    }
    let size = exchange.request_size.as_ref();
    put_option(out, size.map(|size| size.load(Ordering::Relaxed)));
    put_option(out, exchange.upstream_status.map(u64::from));
    put_option(out, exchange.status.map(u64::from));
    put_number(out, exchange.usage.is_some().into());
    if let Some(usage) = &exchange.usage {
        for number in [
            usage.input,
            usage.cache_read,
            usage.cache_write,
            usage.output,
            usage.reasoning,
            usage.input_audio,
            usage.output_audio,
            usage.estimated.into(),
        ] {
            put_number(out, number);
        }
    }
    for time in [
        exchange.sent_after,
        exchange.headers_after,
        exchange.first_token_after,
        exchange.connected,
        Some(exchange.took),
    ] {
        put_option(out, time.map(nanos));
    }
    put_number(out, exchange.resent.into());
    put_number(out, exchange.bytes);
    match &exchange.outcome {
        Outcome::Completed => put_number(out, 0),
        Outcome::Cancelled => put_number(out, 1),
        Outcome::Failed(message) => {
            put_number(out, 2);
            put_bytes(out, message.as_bytes());
        }
    }
    put_number(out, exchange.warnings.len() as u64);
    for warning in &exchange.warnings {
        put_bytes(out, warning.as_bytes());
    }
    for flag in [exchange.stream, exchange.free, exchange.recorded] {
        put_number(out, flag.into());
    }
    put_stage(out, exchange.at);
    let (input, output) = exchange.prices;
    for price in [input, output] {
        put_number(out, price.is_some().into());
        out.extend_from_slice(&price.unwrap_or_default().to_le_bytes());
    }
    put_number(out, exchange.param.is_some().into());
    put_bytes(
        out,
        exchange.param.as_deref().unwrap_or_default().as_bytes(),
    );
    for number in exchange.numbers {
        put_number(out, number);
    }
    put_number(out, exchange.stages.len() as u64);
    for held in &exchange.stages {
        held.write(out);
    }
    exchange.spoken.write(out);
}

fn read(common: &Common, mut from: &[u8]) -> Option<Exchange> {
    let bytes = &mut from;
    let mut exchange = Exchange::named(common.id, Arc::clone(&common.profile), common.began);
    exchange.provider = common.provider;
    exchange.operation = common.operation;
    let client = take_bytes(bytes)?;
    exchange.client = match client.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(client).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(client).ok()?)),
        _ => None,
    };
    exchange.method = Method::from_bytes(take_bytes(bytes)?).ok()?;
    exchange.path = take_text(bytes)?;
    exchange.model = take_text(bytes)?;
    exchange.answered_by = take_text(bytes)?;
    let size = take_option(bytes)?;
    exchange.request_size = size.map(|size| Arc::new(AtomicU64::new(size)));
    let mut status = || take_option(bytes).map(|status| status.map(|status| status as u16));
    exchange.upstream_status = status()?;
    exchange.status = status()?;
    if take_flag(bytes)? {
        let mut number = || take_number(bytes);
        exchange.usage = Some(Usage {
            input: number()?,
            cache_read: number()?,
            cache_write: number()?,
            output: number()?,
            reasoning: number()?,
            input_audio: number()?,
            output_audio: number()?,
            estimated: number()? == 1,
        });
    }
    let mut time = || take_option(bytes).map(|time| time.map(Duration::from_nanos));
    exchange.sent_after = time()?;
    exchange.headers_after = time()?;
    exchange.first_token_after = time()?;
    exchange.connected = time()?;
    exchange.took = time()?.unwrap_or_default();
    exchange.resent = take_number(bytes)? as u32;
    exchange.bytes = take_number(bytes)?;
    exchange.outcome = match take_number(bytes)? {
        0 => Outcome::Completed,
        1 => Outcome::Cancelled,
        _ => Outcome::Failed(take_text(bytes)?),
    };
    let warnings = take_number(bytes)?;
    let warnings = (0..warnings).map(|_| take_text(bytes));
    exchange.warnings = warnings.collect::<Option<_>>()?;
    exchange.stream = take_flag(bytes)?;
    exchange.free = take_flag(bytes)?;
    exchange.recorded = take_flag(bytes)?;
    exchange.at = take_stage(bytes)?;
    let mut price = || {
        let is_known = take_flag(bytes)?;
        let (price, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(is_known.then(|| f64::from_le_bytes(*price)))
    };
    exchange.prices = (price()?, price()?);
    let has_param = take_flag(bytes)?;
    let param = take_text(bytes)?;
    exchange.param = has_param.then_some(param);
    for number in &mut exchange.numbers {
        *number = take_number(bytes)?;
    }
    let stages = take_number(bytes)?;
    let stages = (0..stages).map(|_| Held::read(bytes));
    exchange.stages = stages.collect::<Option<Vec<Held>>>()?;
    exchange.spoken = Spoken::read(bytes)?;
    Some(exchange)
}

/// 584 years at most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn take_flag(bytes: &mut &[u8]) -> Option<bool> {
    take_number(bytes).map(|number| number == 1)
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
