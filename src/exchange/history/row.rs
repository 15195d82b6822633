//! An exchange as a row, and how it is looked for.

use std::io::{self, Read};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::{Kept, folded};
use crate::exchange::told::{BodyTold, ChunkTold, EventTold, Rest, StageTold, Summary};

/// How hard zstd looks for what repeats: as little as it can. What an exchange repeats is near, and harder costs more than the file's pages do.
const LEVEL: i32 = 1;

/// Most bytes of one exchange. SQLite refuses a gigabyte, and would do so again and again.
const LARGEST: usize = 256 << 20;

/// What goes into the tables.
#[derive(Debug)]
pub(super) struct Row {
    told: Summary,
    began: i64,
    summary: String,
    packed: Vec<u8>,
    prompt: String,
    answer: String,
}

impl Row {
    /// # Errors
    ///
    /// If it cannot be put into words, or not into a row.
    pub(super) fn of(kept: Kept, packer: &mut Packer) -> io::Result<Row> {
        let Kept {
            detail,
            prompt,
            answer,
        } = kept;
        let row = Row {
            began: millis(&detail.summary.began)
                .unwrap_or_else(|| jiff::Timestamp::now().as_millisecond()),
            summary: serde_json::to_string(&detail.summary)?,
            packed: packer.packed(detail.rest)?,
            prompt: folded(&prompt),
            answer: folded(&answer),
            told: detail.summary,
        };
        let texts = [&row.summary, &row.prompt, &row.answer];
        let texts = texts.iter().map(|text| text.len());
        if texts.sum::<usize>() + row.packed.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(row)
    }

    /// Puts it in, unless it is there: a batch whose commit was in doubt comes again.
    pub(super) fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        let told = &self.told;
        let added = db
            .prepare_cached(
                "INSERT INTO exchanges (id, began, profile, model, answered_by, outcome, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                told.id,
                self.began,
                told.profile,
                told.model,
                told.answered_by,
                told.outcome,
                self.summary
            ])?;
        if added == 0 {
            return Ok(());
        }
        let number = db.last_insert_rowid();
        db.prepare_cached(
            "INSERT INTO contents (number, prompt, answer, rest, packed) VALUES (?1, ?2, ?3, '', ?4)",
        )?
        .execute(params![number, self.prompt, self.answer, self.packed])?;
        Ok(())
    }
}

/// Packs what is only read when an exchange is shown, with zstd.
pub(super) struct Packer {
    /// Its tables are used again. `None` if there was no memory for them.
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Packer {
    pub(super) fn new() -> Packer {
        Packer {
            zstd: zstd::bulk::Compressor::new(LEVEL).ok(),
        }
    }

    fn packed(&mut self, mut rest: Rest) -> io::Result<Vec<u8>> {
        let bodies = rest.stages.iter().filter_map(|stage| stage.body.as_ref());
        let bodies: usize = bodies.map(BodyTold::len).sum();
        let pieces = rest.events.len() + rest.chunks.len() + rest.returned_chunks.len();
        let texts = texts(&mut rest.stages);
        // About what it takes: growing by and by would copy it some times.
        let mut words = Vec::with_capacity(bodies + 32 * pieces + 4096);
        let lengths = texts.iter().map(|(at, text)| (*at, text.len())).collect();
        serde_json::to_writer(&mut words, &Packed::of(rest, lengths))?;
        for (_, text) in texts {
            words.extend_from_slice(text.as_bytes());
        }
        if words.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match &mut self.zstd {
            Some(zstd) => zstd.compress(&words),
            None => zstd::bulk::compress(&words, LEVEL),
        }
    }
}

/// What was packed; of a file of the first format, which packed nothing, what it has.
pub(super) fn unpacked(rest: &str, packed: Option<&[u8]>) -> io::Result<Rest> {
    let Some(packed) = packed else {
        return Ok(serde_json::from_str(rest)?);
    };
    let mut rest = Vec::new();
    // Nobody's file may ask for more memory than we write.
    zstd::Decoder::with_buffer(packed)?
        .take(LARGEST as u64)
        .read_to_end(&mut rest)?;
    let mut reader = serde_json::Deserializer::from_slice(&rest).into_iter::<Packed>();
    let packed = reader.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let texts = rest.get(reader.byte_offset()..).unwrap_or_default();
    packed.unpack(texts)
}

/// Takes the bodies out that are no JSON: as strings of JSON, they would take longer to write than all else together.
fn texts(stages: &mut [StageTold]) -> Vec<(usize, String)> {
    let stages = stages.iter_mut().enumerate();
    let texts = stages.filter_map(|(at, stage)| match stage.body.take()? {
        BodyTold::Text(text) => Some((at, text)),
        json @ BodyTold::Json(_) => {
            stage.body = Some(json);
            None
        }
    });
    texts.collect()
}

/// What is packed. Of the hundreds of a stream's events, only what differs from one to the next: their numbers and names would be most of it.
#[derive(Serialize, Deserialize)]
struct Packed {
    /// Without what follows.
    rest: Rest,
    /// Microseconds since the one before, type, part and text.
    events: Vec<(i64, String, Option<u32>, String)>,
    /// Microseconds since the one before, and length.
    chunks: Vec<(i64, u64)>,
    returned_chunks: Vec<(i64, u64)>,
    /// The stages whose bodies come behind all this, as they are, and how long each is.
    #[serde(default)]
    texts: Vec<(usize, usize)>,
}

impl Packed {
    fn of(mut rest: Rest, texts: Vec<(usize, usize)>) -> Packed {
        let mut since = Since::default();
        let events = std::mem::take(&mut rest.events).into_iter();
        let events = events.map(|event| {
            let after = since.next(event.at_ms);
            (after, event.what, event.part, event.text)
        });
        let events = events.collect();
        let chunks = |chunks: Vec<ChunkTold>| {
            let mut since = Since::default();
            let chunks = chunks.iter();
            let chunks = chunks.map(|chunk| (since.next(chunk.at_ms), chunk.bytes));
            chunks.collect()
        };
        Packed {
            events,
            chunks: chunks(std::mem::take(&mut rest.chunks)),
            returned_chunks: chunks(std::mem::take(&mut rest.returned_chunks)),
            texts,
            rest,
        }
    }

    fn unpack(mut self, mut texts: &[u8]) -> io::Result<Rest> {
        for (at, length) in std::mem::take(&mut self.texts) {
            let (text, after) = texts
                .split_at_checked(length)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            texts = after;
            let text = String::from_utf8(text.to_vec());
            let text = text.map_err(|_| io::ErrorKind::InvalidData)?;
            let stage = self.rest.stages.get_mut(at);
            stage.ok_or(io::ErrorKind::InvalidData)?.body = Some(BodyTold::Text(text));
        }
        Ok(self.into())
    }
}

impl From<Packed> for Rest {
    fn from(packed: Packed) -> Rest {
        let mut since = Since::default();
        let events = packed.events.into_iter();
        let events = events.map(|(after, what, part, text)| EventTold {
            at_ms: since.back(after),
            what,
            part,
            text,
        });
        let events = events.collect();
        let chunks = |chunks: Vec<(i64, u64)>| {
            let mut since = Since::default();
            let chunks = chunks.into_iter();
            let chunks = chunks.map(|(after, bytes)| ChunkTold {
                at_ms: since.back(after),
                bytes,
            });
            chunks.collect()
        };
        Rest {
            events,
            chunks: chunks(packed.chunks),
            returned_chunks: chunks(packed.returned_chunks),
            ..packed.rest
        }
    }
}

/// Times in milliseconds, told as whole microseconds since the one before: that is what they were measured in.
#[derive(Default)]
struct Since(i64);

impl Since {
    fn next(&mut self, at_ms: f64) -> i64 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a time beyond 292,000 years ends there"
        )]
        let at = (at_ms * 1000.0).round() as i64;
        at.saturating_sub(std::mem::replace(&mut self.0, at))
    }

    fn back(&mut self, after: i64) -> f64 {
        self.0 = self.0.saturating_add(after);
        self.0 as f64 / 1000.0
    }
}

/// A time of a summary, in milliseconds.
pub(super) fn millis(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}
