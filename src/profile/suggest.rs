//! "Did you mean": the nearest of the names that there are.

/// The nearest candidate, if one is near enough to be meant: a third of its letters may differ.
pub(crate) fn nearest<'c>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            (
                distance(&wrong, &candidate.to_lowercase().replace('-', "_")),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().max(wrong.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Candidates from near to far.
pub(crate) fn by_distance(wrong: &str, mut candidates: Vec<String>) -> Vec<String> {
    candidates.sort_by_cached_key(|candidate| (distance(wrong, candidate), candidate.clone()));
    candidates
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words. A word that is too long to be a
/// mistyped name is infinitely far: the table is quadratic.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (
        a.chars().take(LONGEST + 1).collect(),
        b.chars().take(LONGEST + 1).collect(),
    );
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, &ca) in a.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, &cb) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| {
                row.get(column).copied().unwrap_or(usize::MAX - LONGEST)
            };
            let mut best = (at(&last, column) + usize::from(ca != cb))
                .min(at(&last, column + 1) + 1)
                .min(at(&this, column) + 1);
            let swapped = column > 0 && previous == Some(cb) && b.get(column - 1) == Some(&ca);
            if swapped {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            this.push(best);
        }
        before_last = std::mem::replace(&mut last, this);
        previous = Some(ca);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits_and_swaps() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("max_token", "max_tokens", 1),
            ("atuh", "auth", 1),
            ("path", "auth", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
        assert_eq!(distance(&"x".repeat(1_000_000), "auth"), usize::MAX);
    }

    #[test]
    fn finds_what_was_meant_and_nothing_far() {
        let keys = ["max_tokens", "temperature", "top_p", "top_k"];
        assert_eq!(nearest("max_token", keys), Some("max_tokens"));
        assert_eq!(nearest("max-tokens", keys), Some("max_tokens"));
        assert_eq!(nearest("Temprature", keys), Some("temperature"));
        assert_eq!(nearest("stop", keys), None);
        assert_eq!(nearest("completely_else", keys), None);
    }
}
