//! Times of day as some providers write them, RFC 3339, and as the model has them.

use jiff::Timestamp;

/// Seconds since the epoch; `None` for what is no time, or lies before.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

/// `2026-02-03T04:05:06Z`.
pub(super) fn stamp(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-11-14T22:13:20.967358123Z", Some(1_700_000_000)),
            ("2023-11-14T14:13:20.5-08:00", Some(1_700_000_000)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("1969-12-31T23:59:59Z", None),
            ("2023-13-14T22:13:20Z", None),
            ("2023-11-14", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(1_709_164_800), "2024-02-29T00:00:00Z");
        for at in (0..5_000_000_000).step_by(86_399 * 9_700) {
            assert_eq!(seconds(&stamp(at)), Some(at));
        }
        assert!(stamp(u64::MAX).starts_with("9999-12-3"));
    }
}
