//! `createTime`: RFC 3339 in UTC, as Google writes its timestamps.

/// Seconds since the epoch.
pub(super) fn seconds(time: &str) -> Option<u64> {
    let (date, rest) = time.split_once('T')?;
    let clock = rest.strip_suffix('Z')?.split('.').next()?;
    let mut date = date.splitn(3, '-').map(|n| n.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.splitn(3, ':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the civil calendar, counted in years that begin in March.
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    u64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

/// The timestamp of a second.
pub(super) fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era_day = days % 146_097;
    let year_of_era = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let day_of_year = era_day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (time, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-03-01T00:00:00Z", 1_772_323_200),
            ("2025-12-31T12:30:05Z", 1_767_184_205),
        ] {
            assert_eq!(seconds(time), Some(at), "{time}");
            assert_eq!(stamp(at), time);
        }
        assert_eq!(seconds("2025-12-31T12:30:05.123456Z"), Some(1_767_184_205));
        for bad in [
            "",
            "2025-12-31",
            "2025-13-01T00:00:00Z",
            "x-y-zT1:2:3Z",
            "2025-12-31T12:30Z",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
