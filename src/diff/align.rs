//! Which items of two arrays belong together.

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::{
    Limits,
    json::{Json, Kind},
};

/// One item, or two that belong together. In the order of both arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// In both arrays, equal or alike.
    Both(usize, usize),
    /// In the old array alone.
    Old(usize),
    /// In the new array alone.
    New(usize),
}

/// Beyond so many comparisons, unequal items are paired as they stand.
const MOST: usize = 4096;

/// Pairs equal items by a longest common subsequence, and between them those that are most alike.
pub(super) fn align(old: &[Json<'_>], new: &[Json<'_>], limits: &Limits) -> Vec<Pair> {
    let ids = |items: &[Json<'_>]| items.iter().map(Json::id).collect::<Vec<u32>>();
    let ops =
        capture_diff_slices_deadline(Algorithm::Myers, &ids(old), &ids(new), Some(limits.until));
    let mut pairs = Vec::with_capacity(old.len().max(new.len()));
    // Neighbouring deletions and insertions are one gap.
    let mut gap = (0..0, 0..0);
    for op in &ops {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = *op
        {
            fill(old, new, gap, &mut pairs);
            let equal = (old_index..).zip(new_index..).take(len);
            pairs.extend(equal.map(|(old, new)| Pair::Both(old, new)));
            let ends = (old_index + len, new_index + len);
            gap = (ends.0..ends.0, ends.1..ends.1);
        } else {
            gap.0.end = op.old_range().end.max(gap.0.end);
            gap.1.end = op.new_range().end.max(gap.1.end);
        }
    }
    fill(old, new, gap, &mut pairs);
    pairs
}

type Gap = (std::ops::Range<usize>, std::ops::Range<usize>);

/// Pairs the items of a gap so that the pairs are as alike as can be.
fn fill(old: &[Json<'_>], new: &[Json<'_>], (rows, columns): Gap, pairs: &mut Vec<Pair>) {
    let (olds, news) = (
        old.get(rows.clone()).unwrap_or_default(),
        new.get(columns.clone()).unwrap_or_default(),
    );
    if olds.len() == news.len() || olds.len().saturating_mul(news.len()) > MOST {
        let both = olds.len().min(news.len());
        pairs.extend(
            rows.clone()
                .zip(columns.clone())
                .map(|(old, new)| Pair::Both(old, new)),
        );
        pairs.extend(rows.skip(both).map(Pair::Old));
        pairs.extend(columns.skip(both).map(Pair::New));
        return;
    }
    // `best` holds, for what follows each pair of places, the most that can be alike.
    let width = news.len() + 1;
    let mut best = vec![0_u64; (olds.len() + 1) * width];
    let at = |best: &[u64], row: usize, column: usize| {
        best.get(row * width + column).copied().unwrap_or_default()
    };
    for (row, old) in olds.iter().enumerate().rev() {
        for (column, new) in news.iter().enumerate().rev() {
            let paired = alike(old, new);
            let paired = if paired > 0 {
                paired + at(&best, row + 1, column + 1)
            } else {
                0
            };
            let most = paired
                .max(at(&best, row + 1, column))
                .max(at(&best, row, column + 1));
            if let Some(cell) = best.get_mut(row * width + column) {
                *cell = most;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    while let (Some(left), Some(right)) = (olds.get(row), news.get(column)) {
        let here = at(&best, row, column);
        let paired = alike(left, right);
        if paired > 0 && here == paired + at(&best, row + 1, column + 1) {
            pairs.push(Pair::Both(rows.start + row, columns.start + column));
            (row, column) = (row + 1, column + 1);
        } else if here == at(&best, row + 1, column) {
            pairs.push(Pair::Old(rows.start + row));
            row += 1;
        } else {
            pairs.push(Pair::New(columns.start + column));
            column += 1;
        }
    }
    pairs.extend(rows.skip(row).map(Pair::Old));
    pairs.extend(columns.skip(column).map(Pair::New));
}

/// How much two values have in common; 0 is nothing.
fn alike(old: &Json<'_>, new: &Json<'_>) -> u64 {
    match (old.kind(), new.kind()) {
        (Kind::Table(old), Kind::Table(new)) => {
            let shared = old.iter().take(64).filter_map(|(key, value)| {
                let (_, other) = new.iter().take(64).find(|(other, _)| other == key)?;
                Some(if value == other { 4 } else { 1 })
            });
            1 + shared.sum::<u64>()
        }
        (Kind::List(old), Kind::List(new)) => {
            let equal = old.iter().zip(new).take(64).filter(|(old, new)| old == new);
            1 + 2 * equal.count() as u64
        }
        (Kind::Text(old), Kind::Text(new)) => {
            let same = old.bytes().zip(new.bytes()).take(64);
            1 + same.take_while(|(old, new)| old == new).count() as u64 / 8
        }
        (Kind::Number(_), Kind::Number(_)) | (Kind::Bool(_), Kind::Bool(_)) => 1,
        _ => 0,
    }
}
