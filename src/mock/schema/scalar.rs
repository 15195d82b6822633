//! Numbers and strings: within the bounds, and such as their names suggest.

use serde_json::{Number, Value};

use super::{Dice, all::All};

/// What a property's name says about its value.
const PLAUSIBLE: &[(&[&str], &[&str])] = &[
    (
        &["city", "location", "place", "town"],
        &["Berlin", "Lisbon", "Nairobi", "Osaka", "Montreal"],
    ),
    (
        &["country"],
        &["Germany", "Portugal", "Kenya", "Japan", "Canada"],
    ),
    (&["mail"], &["ada@example.com"]),
    (&["url", "uri", "link"], &["https://example.com/"]),
    (&["date", "day"], &["2024-05-17"]),
    (&["time"], &["09:30"]),
    (&["file", "path"], &["notes.txt"]),
    (
        &["name", "author", "person", "user"],
        &["Ada", "Grace", "Alan", "Edsger", "Barbara"],
    ),
    (&["colour", "color"], &["green", "amber", "blue"]),
    (&["language", "locale"], &["en", "de", "pt"]),
];

/// A string that a property of this name could hold.
pub(super) fn plausible(name: &str, hint: &str, dice: &mut Dice) -> String {
    let asks = [
        "query", "question", "prompt", "text", "input", "message", "content", "search",
    ];
    if !hint.is_empty() && (name == "q" || asks.iter().any(|word| name.contains(word))) {
        return hint.to_owned();
    }
    let known = PLAUSIBLE
        .iter()
        .find(|(words, _)| words.iter().any(|word| name.contains(word)));
    let texts = match known {
        Some((_, texts)) => texts,
        None if name == "id" || name.ends_with("_id") => &["mock-1"][..],
        None => &["lantern", "harbour", "river", "clock", "letter"],
    };
    dice.pick(texts).to_owned()
}

/// A number within the bounds, near one that its name makes plausible.
pub(super) fn number(all: &All<'_>, name: &str, whole: bool) -> Value {
    // In draft 4, `exclusiveMinimum` is a boolean beside `minimum`.
    let strict = |key: &str| all.each(key).any(|value| *value == Value::Bool(true));
    let (mut least, mut over) = (
        all.bound("minimum", f64::max),
        all.bound("exclusiveMinimum", f64::max),
    );
    let (mut most, mut under) = (
        all.bound("maximum", f64::min),
        all.bound("exclusiveMaximum", f64::min),
    );
    if strict("exclusiveMinimum") {
        (over, least) = (least, None);
    }
    if strict("exclusiveMaximum") {
        (under, most) = (most, None);
    }
    if whole {
        least = least
            .map(f64::ceil)
            .into_iter()
            .chain(over.map(|over| over.floor() + 1.0))
            .reduce(f64::max);
        most = most
            .map(f64::floor)
            .into_iter()
            .chain(under.map(|under| under.ceil() - 1.0))
            .reduce(f64::min);
        (over, under) = (None, None);
    }
    let name = name.to_lowercase();
    let plausible = [("year", 2024.0), ("age", 36.0), ("temperature", 21.0)];
    let mut number: f64 = plausible
        .iter()
        .find(|(word, _)| name.contains(word))
        .map_or(3.0, |(_, number)| *number);
    let step = all.bound("multipleOf", f64::max).filter(|step| *step > 0.0);
    if let Some(most) = most
        .into_iter()
        .chain(under)
        .reduce(f64::min)
        .filter(|most| number >= *most)
    {
        // A bound that may be met is met, one that may not is kept off, by half of what there is room for.
        let room = least
            .into_iter()
            .chain(over)
            .reduce(f64::max)
            .map_or(1.0, |least| (most - least) / 2.0);
        number = if under == Some(most) {
            most - room
        } else {
            most
        };
    }
    if let Some(least) = least
        .into_iter()
        .chain(over)
        .reduce(f64::max)
        .filter(|least| number <= *least)
    {
        let room = most
            .into_iter()
            .chain(under)
            .reduce(f64::min)
            .map_or(1.0, |most| (most - least) / 2.0);
        number = if over == Some(least) {
            least + room
        } else {
            least
        };
    }
    if let Some(step) = step {
        let down = (number / step).floor() * step;
        let too_low =
            least.is_some_and(|least| down < least) || over.is_some_and(|over| down <= over);
        number = if too_low { down + step } else { down };
    }
    let as_whole =
        (number.fract() == 0.0 && number.abs() < 9e15).then(|| Value::from(number as i64));
    as_whole
        .or_else(|| Number::from_f64(number).map(Value::Number))
        .unwrap_or_default()
}

/// A string of one of the standard formats.
pub(super) fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" => "2024-05-17T09:30:00Z",
        "date" => "2024-05-17",
        "time" => "09:30:00Z",
        "duration" => "PT90S",
        "email" | "idn-email" => "ada@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.7",
        "ipv6" => "2001:db8::7",
        "uri" | "uri-reference" | "iri" => "https://example.com/",
        "uuid" => "3f2b8c1e-9d47-4a5f-8e21-6b0c7d9a1f34",
        _ => return None,
    })
}
