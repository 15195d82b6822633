//! The bodies of an exchange's stages, as they are shown.

use std::{borrow::Cow, ops::Range};

use serde_json::Value;

use super::{
    mask::{SECRET, masked_url},
    record::Exchange,
    redact::{MASK, Redactor},
    stages::{Body, Edit, Held, Stage},
    told::StageTold,
};

/// What stands for a stream whose events give a secret away, piece by piece.
const WITHHELD: &str = "[withheld: a secret is spread over the events of this stream]";

/// Bytes of a body, kept or not.
pub(super) fn size(exchange: &Exchange, body: &Body) -> u64 {
    match body {
        Body::Whole(kept) => kept.whole() as u64,
        Body::Pieces(pieces) => pieces.whole(),
        Body::Same(stage) => size_of(exchange, *stage),
        Body::Edited(stage, edits) => {
            let whole = size_of(exchange, *stage);
            let cut = |edit: &Edit| edit.cut.min(whole.saturating_sub(edit.at));
            let cut: u64 = edits.iter().map(cut).sum();
            let put: u64 = edits.iter().map(|edit| edit.put.len() as u64).sum();
            whole.saturating_sub(cut).saturating_add(put)
        }
    }
}

fn is_cut(exchange: &Exchange, stage: Stage) -> bool {
    match exchange.stage(stage).map(|held| &held.body) {
        Some(Body::Whole(kept)) => kept.is_cut(),
        Some(Body::Pieces(pieces)) => pieces.is_cut(),
        _ => false,
    }
}

fn size_of(exchange: &Exchange, stage: Stage) -> u64 {
    match exchange.stage(stage).map(|held| &held.body) {
        Some(Body::Whole(kept)) => kept.whole() as u64,
        Some(Body::Pieces(pieces)) => pieces.whole(),
        _ => 0,
    }
}

/// What is kept of a body, and whether that is not all.
pub(super) fn bytes(exchange: &Exchange, body: &Body) -> (Vec<u8>, bool) {
    let Joined { bytes, cut, .. } = joined(exchange, body);
    (bytes, cut)
}

/// What is kept of a body.
#[derive(Default)]
struct Joined {
    bytes: Vec<u8>,
    /// Times and lengths of its pieces; none of one that came whole, or is another's.
    chunks: Vec<(u64, usize)>,
    /// That is not all.
    cut: bool,
}

fn joined(exchange: &Exchange, body: &Body) -> Joined {
    match body {
        Body::Whole(kept) => Joined {
            bytes: kept.bytes().to_vec(),
            chunks: Vec::new(),
            cut: kept.is_cut(),
        },
        Body::Pieces(pieces) => {
            let (bytes, chunks) = pieces.joined();
            let cut = pieces.is_cut();
            Joined { bytes, chunks, cut }
        }
        Body::Same(stage) => Joined {
            chunks: Vec::new(),
            ..joined_of(exchange, *stage)
        },
        Body::Edited(stage, edits) => {
            let whole = joined_of(exchange, *stage);
            Joined {
                bytes: edited(&whole.bytes, edits),
                chunks: edited_chunks(&whole.chunks, edits),
                cut: whole.cut,
            }
        }
    }
}

/// That of a stage whose body is its own.
fn joined_of(exchange: &Exchange, stage: Stage) -> Joined {
    let held = exchange.stage(stage);
    held.filter(|held| matches!(held.body, Body::Whole(_) | Body::Pieces(_)))
        .map(|held| joined(exchange, &held.body))
        .unwrap_or_default()
}

fn edited(whole: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len());
    let mut at = 0;
    for edit in edits {
        let from = usize::try_from(edit.at).unwrap_or(usize::MAX).max(at);
        out.extend_from_slice(whole.get(at..from.min(whole.len())).unwrap_or_default());
        out.extend_from_slice(&edit.put);
        at = from.saturating_add(usize::try_from(edit.cut).unwrap_or(usize::MAX));
    }
    out.extend_from_slice(whole.get(at..).unwrap_or_default());
    out
}

/// The request's body as the client sent it, as far as it is kept.
pub(super) fn request(exchange: &Exchange) -> Option<Vec<u8>> {
    let held = exchange
        .stage(Stage::Client)
        .or_else(|| exchange.stage(Stage::Sent))?;
    Some(bytes(exchange, &held.body).0)
}

/// The pieces of a body, with the microseconds of each.
pub(super) fn pieces(held: &Held) -> Vec<(u64, Vec<u8>)> {
    match &held.body {
        Body::Pieces(pieces) => {
            let (joined, times) = pieces.joined();
            let mut at = 0;
            times
                .into_iter()
                .map(|(time, length)| {
                    let piece = joined.get(at..at + length).unwrap_or_default();
                    at += length;
                    (time, piece.to_vec())
                })
                .collect()
        }
        Body::Whole(kept) => vec![(held.at, kept.bytes().to_vec())],
        _ => Vec::new(),
    }
}

/// The lengths of chunks after edits.
fn edited_chunks(chunks: &[(u64, usize)], edits: &[Edit]) -> Vec<(u64, usize)> {
    let (mut from, last) = (0u64, chunks.len().saturating_sub(1));
    let chunks = chunks.iter().enumerate().map(|(number, (at, length))| {
        let to = from + *length as u64;
        let mut left = *length as u64;
        for edit in edits {
            let cut = from.max(edit.at)..to.min(edit.at.saturating_add(edit.cut));
            left -= cut.end.saturating_sub(cut.start);
            let here = (from..to).contains(&edit.at) || number == last && edit.at >= to;
            left += if here { edit.put.len() as u64 } else { 0 };
        }
        from = to;
        (*at, usize::try_from(left).unwrap_or_default())
    });
    chunks.filter(|(_, length)| *length > 0).collect()
}

/// The lengths of chunks of a text in which each of these ranges is shown as `mask` bytes where it begins.
fn masked_chunks(
    chunks: &[(u64, usize)],
    found: &[Range<usize>],
    mask: usize,
) -> Vec<(u64, usize)> {
    let mut from = 0;
    let chunks = chunks.iter().map(|(at, length)| {
        let to = from + length;
        let mut left = *length;
        for range in found {
            let hidden = from.max(range.start)..to.min(range.end);
            left = left.saturating_sub(hidden.end.saturating_sub(hidden.start));
            left += if (from..to).contains(&range.start) {
                mask
            } else {
                0
            };
        }
        from = to;
        (*at, left)
    });
    chunks.filter(|(_, length)| *length > 0).collect()
}

/// Shows bodies and URLs without secrets.
pub(super) struct Bodies<'a> {
    exchange: &'a Exchange,
    redactor: &'a Redactor,
    /// A secret is spread over the answer's events.
    split: bool,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(exchange: &'a Exchange, redactor: &'a Redactor, split: bool) -> Bodies<'a> {
        Bodies {
            exchange,
            redactor,
            split,
        }
    }

    /// A URL without the profile's key.
    pub(super) fn url(&self, url: &str) -> String {
        let param = self.exchange.param.as_deref();
        let masked = masked_url(url, param.as_slice());
        self.redactor.redact(&masked).into_owned()
    }

    /// Puts a stage's body in; times and lengths of its pieces as they are shown, none of one that came whole.
    pub(super) fn put(&self, held: &Held, told: &mut StageTold) -> Vec<(u64, usize)> {
        told.size = size(self.exchange, &held.body);
        if let Body::Same(stage) = &held.body
            && !self.withholds(held)
        {
            told.same_as = Some(stage.name().into());
            told.truncated = is_cut(self.exchange, *stage);
            return Vec::new();
        }
        let Joined { bytes, chunks, cut } = joined(self.exchange, &held.body);
        told.truncated = cut || self.withholds(held);
        let Some(shown) = self.hidden(held, &bytes, cut) else {
            told.set_body(&bytes);
            return chunks;
        };
        told.set_body(&shown);
        match std::str::from_utf8(&bytes).map(|text| self.redactor.ranges(text)) {
            Ok(found) if !found.is_empty() => masked_chunks(&chunks, &found, MASK.len()),
            _ => chunks,
        }
    }

    /// What is shown of a stage's body, and whether that is not all.
    pub(super) fn shown(&self, held: &Held) -> (Vec<u8>, bool) {
        let (body, cut) = bytes(self.exchange, &held.body);
        let shown = self.hidden(held, &body, cut);
        (shown.unwrap_or(body), cut || self.withholds(held))
    }

    /// What is shown in a body's place, if it is not the body.
    fn hidden(&self, held: &Held, body: &[u8], cut: bool) -> Option<Vec<u8>> {
        if self.withholds(held) {
            return Some(WITHHELD.into());
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return self.hidden_bytes(body, cut);
        };
        let shown = if cut {
            self.redactor.redact_cut(text)
        } else {
            self.redactor.redact(text)
        };
        let hidden = self.own_key(&shown);
        let hidden = hidden.or(match shown {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        });
        hidden.map(String::into_bytes)
    }

    /// An answer whose events give a secret away.
    fn withholds(&self, held: &Held) -> bool {
        self.split && matches!(held.stage, Stage::Received | Stage::Returned)
    }

    /// A body that is no text; or text that was cut inside a character.
    fn hidden_bytes(&self, body: &[u8], cut: bool) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(body);
        let shown = self.redactor.redact(&text);
        let differs = cut && body.utf8_chunks().count() == 1 || shown != text;
        differs.then(|| shown.into_owned().into_bytes())
    }

    /// A body without what the client put where the profile's key goes.
    fn own_key(&self, text: &str) -> Option<String> {
        let param = self.exchange.param.as_deref()?;
        let json: Value = serde_json::from_str(text).ok()?;
        let own = json.get(param).filter(|own| own.as_str() != Some(SECRET))?;
        Some(text.replace(&own.to_string(), &Value::from(SECRET).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn chunks_follow_what_is_shown() {
        let edit = |at, cut, put: &'static str| Edit {
            at,
            cut,
            put: Bytes::from_static(put.as_bytes()),
        };
        let chunks = [(1, 3), (2, 3), (3, 4)];
        for (edits, expected) in [
            (vec![], vec![(1, 3), (2, 3), (3, 4)]),
            (vec![edit(3, 3, "")], vec![(1, 3), (3, 4)]),
            (
                vec![edit(2, 5, "ab"), edit(10, 0, "end")],
                vec![(1, 4), (3, 6)],
            ),
            (vec![edit(1, u64::MAX, "")], vec![(1, 1)]),
        ] {
            let all = b"0123456789";
            let shown = edited_chunks(&chunks, &edits);
            assert_eq!(shown, expected);
            let length: usize = shown.iter().map(|(_, length)| length).sum();
            assert_eq!(length, edited(all, &edits).len());
        }
        // The chunks of `abKEYKEYcd` with the secret as one mark, in the chunk that it begins in.
        let key = std::iter::once(2..8).collect::<Vec<_>>();
        assert_eq!(masked_chunks(&chunks, &key, 3), [(1, 5), (3, 2)]);
    }

    #[test]
    fn edits_are_made_in_order() {
        let edit = |at, cut, put: &'static str| Edit {
            at,
            cut,
            put: Bytes::from_static(put.as_bytes()),
        };
        let edits = [edit(1, 2, ""), edit(4, 0, "+"), edit(5, u64::MAX, "end")];
        assert_eq!(edited(b"abcdefgh", &edits), b"ad+eend");
        assert_eq!(edited(b"ab", &[edit(9, 1, "!")]), b"ab!");
    }
}
