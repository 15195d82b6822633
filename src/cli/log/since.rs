//! `--since`.

use jiff::{
    Span, Timestamp, Zoned,
    civil::{Date, DateTime, Time},
};

/// Reads a length of time until now, or a time of day, here or with its zone.
pub(super) fn read(text: &str) -> Result<Timestamp, String> {
    at(text, &Zoned::now())
}

fn at(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    let long = |text: &str| -> Option<Timestamp> {
        // What was meant backwards is not turned round once more.
        let span: Span = text.parse().ok().filter(|span: &Span| span.is_positive())?;
        Some(now.checked_sub(span).ok()?.timestamp())
    };
    let local = |time: DateTime| time.to_zoned(now.time_zone().clone()).ok();
    // `2026-11-22` is no length, `08:00` is no date.
    let time = || {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time);
        }
        let with_day = text
            .parse::<DateTime>()
            .or_else(|_| text.parse::<Date>().map(Date::into));
        let zoned = match with_day {
            Ok(time) => local(time)?,
            Err(_) => local(now.date().to_datetime(text.parse::<Time>().ok()?))?,
        };
        Some(zoned.timestamp())
    };
    long(text)
        .or_else(time)
        .ok_or_else(|| "write 30m, 2h, 1d, 08:00, 2026-11-22 or 2026-11-22T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times() {
        let now: Zoned = "2026-11-22T10:00:00+01:00[+01:00]".parse().unwrap();
        for (text, expected) in [
            ("2h", "2026-11-22T07:00:00Z"),
            ("30m", "2026-11-22T08:30:00Z"),
            ("1h30m", "2026-11-22T07:30:00Z"),
            ("90s", "2026-11-22T08:58:30Z"),
            ("1d", "2026-11-21T09:00:00Z"),
            ("1w", "2026-11-15T09:00:00Z"),
            ("08:00", "2026-11-22T07:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("2026-11-20 12:30", "2026-11-20T11:30:00Z"),
            ("2026-11-20T12:30:00Z", "2026-11-20T12:30:00Z"),
            ("2026-11-20T12:30:00+02:00", "2026-11-20T10:30:00Z"),
        ] {
            let read = at(text, &now).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "soon", "5", "-2h", "25:00", "2026-13-01"] {
            assert!(at(text, &now).is_err(), "{text}");
        }
    }
}
