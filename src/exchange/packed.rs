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
    spoken::{Retold, Spoken},
    stages::{Held, Stage},
};
use crate::llm::{Tells, Usage};

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
#[derive(Clone)]
pub(super) struct Common {
    pub(super) id: ExchangeId,
    pub(super) profile: Arc<str>,
    pub(super) began: SystemTime,
    provider: &'static str,
    operation: &'static str,
    tells: Option<&'static dyn Tells>,
}

impl Common {
    pub(super) fn of(exchange: &Exchange) -> Common {
        Common {
            id: exchange.id,
            profile: Arc::clone(&exchange.profile),
            began: exchange.began,
            provider: exchange.provider,
            operation: exchange.operation,
            tells: exchange.retold.map(|retold| retold.tells),
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

/// How many numbers of an exchange are packed before its texts.
const NUMBERS: usize = 36;

/// All of an exchange, in the order in which [`read`] reads it; but for its place in a trace, which nobody asks for any more. Numbers are put in
/// one loop: code for each of them would be as much as all else that runs here.
fn write(exchange: &Exchange, out: &mut Vec<u8>) {
    let usage = exchange.usage.unwrap_or_default();
    let size = exchange.request_size.as_ref();
    let (input, output) = exchange.prices;
    let [opened, routed, closed] = exchange.numbers;
    let (outcome, message) = match &exchange.outcome {
        Outcome::Completed => (0, ""),
        Outcome::Cancelled => (1, ""),
        Outcome::Failed(message) => (2, message.as_str()),
    };
    let time = |time: Option<Duration>| maybe(time.map(nanos));
    let retold = exchange.retold.as_ref();
    let numbers: [u64; NUMBERS] = [
        maybe(size.map(|size| size.load(Ordering::Relaxed))),
        maybe(exchange.upstream_status.map(u64::from)),
        maybe(exchange.status.map(u64::from)),
        exchange.usage.is_some().into(),
        usage.input,
        usage.cache_read,
        usage.cache_write,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.output_audio,
        usage.estimated.into(),
        time(exchange.sent_after),
        time(exchange.headers_after),
        time(exchange.first_token_after),
        time(exchange.connected),
        nanos(exchange.took),
        exchange.resent.into(),
        exchange.bytes,
        outcome,
        exchange.stream.into(),
        exchange.free.into(),
        exchange.recorded.into(),
        number_of(exchange.at),
        input.is_some().into(),
        input.unwrap_or_default().to_bits(),
        output.is_some().into(),
        output.unwrap_or_default().to_bits(),
        exchange.param.is_some().into(),
        opened,
        routed,
        closed,
        retold.map_or(0, |retold| retold.first),
        retold.map_or(0, |retold| retold.at),
        exchange.warnings.len() as u64,
        exchange.stages.len() as u64,
    ];
    put_numbers(out, &numbers);
    let (v4, v6);
    let client: &[u8] = match exchange.client {
        None => &[],
        Some(IpAddr::V4(address)) => {
            v4 = address.octets();
            &v4
        }
        Some(IpAddr::V6(address)) => {
            v6 = address.octets();
            &v6
        }
    };
    let texts = [
        exchange.method.as_str(),
        &exchange.path,
        &exchange.model,
        &exchange.answered_by,
        message,
        exchange.param.as_deref().unwrap_or_default(),
    ];
    put_bytes(out, client);
    for text in texts {
        put_bytes(out, text.as_bytes());
    }
    for warning in &exchange.warnings {
        put_bytes(out, warning.as_bytes());
    }
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
    let mut numbers = [0; NUMBERS];
    for number in &mut numbers {
        *number = take_number(bytes)?;
    }
    let [
        size,
        upstream_status,
        status,
        has_usage,
        input,
        cache_read,
        cache_write,
        output,
        reasoning,
        input_audio,
        output_audio,
        estimated,
        sent_after,
        headers_after,
        first_token_after,
        connected,
        took,
        resent,
        sent,
        outcome,
        stream,
        free,
        recorded,
        at,
        has_input_price,
        input_price,
        has_output_price,
        output_price,
        has_param,
        opened,
        routed,
        closed,
        first,
        told_at,
        warnings,
        stages,
    ] = numbers;
    exchange.request_size = known(size).map(|size| Arc::new(AtomicU64::new(size)));
    exchange.upstream_status = known(upstream_status).map(|status| status as u16);
    exchange.status = known(status).map(|status| status as u16);
    exchange.usage = (has_usage == 1).then_some(Usage {
        input,
        cache_read,
        cache_write,
        output,
        reasoning,
        input_audio,
        output_audio,
        estimated: estimated == 1,
    });
    let time = |time| known(time).map(Duration::from_nanos);
    exchange.sent_after = time(sent_after);
    exchange.headers_after = time(headers_after);
    exchange.first_token_after = time(first_token_after);
    exchange.connected = time(connected);
    exchange.took = Duration::from_nanos(took);
    exchange.resent = resent as u32;
    exchange.bytes = sent;
    exchange.stream = stream == 1;
    exchange.free = free == 1;
    exchange.recorded = recorded == 1;
    exchange.at = *Stage::ALL.get(usize::try_from(at).ok()?)?;
    let price = |is_known, bits| (is_known == 1).then(|| f64::from_bits(bits));
    exchange.prices = (
        price(has_input_price, input_price),
        price(has_output_price, output_price),
    );
    exchange.numbers = [opened, routed, closed];
    exchange.retold = common.tells.map(|tells| Retold {
        tells,
        first,
        at: told_at,
    });
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
    let message = take_text(bytes)?;
    exchange.outcome = match outcome {
        0 => Outcome::Completed,
        1 => Outcome::Cancelled,
        _ => Outcome::Failed(message),
    };
    let param = take_text(bytes)?;
    exchange.param = (has_param == 1).then_some(param);
    let warnings = (0..warnings).map(|_| take_text(bytes));
    exchange.warnings = warnings.collect::<Option<_>>()?;
    let stages = (0..stages).map(|_| Held::read(bytes));
    exchange.stages = stages.collect::<Option<Vec<Held>>>()?;
    exchange.spoken = Spoken::read(bytes)?;
    Some(exchange)
}

/// 584 years at most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One more than a number that may be missing, or 0.
pub(super) fn maybe(number: Option<u64>) -> u64 {
    number.map_or(0, |number| number.saturating_add(1))
}

fn known(number: u64) -> Option<u64> {
    number.checked_sub(1)
}

/// Numbers, one after the other.
pub(super) fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        put_number(out, *number);
    }
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
#[inline(never)]
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

pub(super) fn take_option(bytes: &mut &[u8]) -> Option<Option<u64>> {
    take_number(bytes).map(known)
}

/// Its place among all stages.
pub(super) fn number_of(stage: Stage) -> u64 {
    let place = Stage::ALL.iter().position(|one| *one == stage);
    place.unwrap_or_default() as u64
}

pub(super) fn take_stage(bytes: &mut &[u8]) -> Option<Stage> {
    Stage::ALL.get(take_size(bytes)?).copied()
}

#[cfg(test)]
mod tests;
