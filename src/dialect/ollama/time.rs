//! `created_at`: RFC 3339 there, seconds since the epoch here.

/// Days since the epoch of a date of the Gregorian calendar: Howard Hinnant's `days_from_civil`,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since the epoch: `civil_from_days` of the same page.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Reads `2026-02-03T04:05:06.789Z`, and other offsets; anything else is `None`.
pub(super) fn parse(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    };
    let is = |at: usize, which: &[u8]| {
        text.as_bytes()
            .get(at)
            .is_some_and(|byte| which.contains(byte))
    };
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (month, day) = (number(5..7)?, number(8..10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days(number(0..4)?, month, day) * 86_400
        + number(11..13)? * 3_600
        + number(14..16)? * 60
        + number(17..19)?;
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let start = text.len() - zone.len();
            let offset = number(start + 1..start + 3)? * 3_600 + number(start + 4..start + 6)? * 60;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    u64::try_from(seconds - offset).ok()
}

/// Writes `2026-02-03T04:05:06Z`.
pub(super) fn format(seconds: u64) -> String {
    // The year 9999 is as far as four digits go.
    let seconds = i64::try_from(seconds.min(253_402_300_799)).unwrap_or_default();
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2023-11-14T22:13:20.967358123Z"), Some(1_700_000_000));
        assert_eq!(parse("2023-11-14T14:13:20.5-08:00"), Some(1_700_000_000));
        assert_eq!(parse("2023-11-15T03:43:20+05:30"), Some(1_700_000_000));
        for odd in [
            "t",
            "",
            "2023-11-14",
            "2023-13-14T22:13:20Z",
            "2023-11-14T22:13:20",
            "1969-12-31T23:59:59Z",
            "äöü-11-14T22:13:20Z",
            "2023-11-14T22:13:20+0",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
        assert_eq!(format(1_709_164_800), "2024-02-29T00:00:00Z");
        for seconds in (0..5_000_000_000).step_by(86_399 * 97) {
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
        assert_eq!(format(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
