//! Which exchanges are wanted: of a list, or of what happens.

use serde::{Deserialize, Serialize};

use super::told::Summary;

/// Which exchanges are wanted. As a query: `?profile=P&model=M&failed=1&grep=TEXT&since=2026-11-22T08:00:00Z&before=ID&limit=50`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of these profiles; of all if there is none.
    pub profiles: Vec<String>,
    /// Whose model, asked or answering, holds this text.
    pub model: Option<String>,
    /// Failed and cancelled ones alone.
    pub failed: bool,
    /// In whose prompts or answers this text is, in whatever case.
    pub grep: Option<String>,
    /// Begun no earlier than this time: RFC 3339 in UTC, as [`Summary::began`].
    pub since: Option<String>,
    /// Begun before the exchange of this id.
    pub before: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Filter {
    /// Reads a query; what it does not know is an error that names it.
    ///
    /// # Errors
    ///
    /// The name and value that are wrong.
    pub fn of_query(query: Option<&str>) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            if !filter.set(&name, value)? {
                return Err(format!("`{name}` is no filter of exchanges"));
            }
        }
        Ok(filter)
    }

    /// Takes one parameter of a query; `false` if it is none of a filter's.
    ///
    /// # Errors
    ///
    /// The name and value that are wrong.
    pub fn set(&mut self, name: &str, value: String) -> Result<bool, String> {
        match name {
            "profile" => self
                .profiles
                .extend(value.split(',').map(|name| name.trim().to_owned())),
            "model" => self.model = Some(value),
            "failed" => self.failed = flag(name, &value)?,
            "grep" => self.grep = Some(value),
            "since" => self.since = Some(time(&value)?),
            "before" => self.before = Some(value),
            "limit" => {
                let limit = value
                    .parse()
                    .map_err(|_| format!("`limit={value}` is no number"))?;
                self.limit = Some(limit);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// As a query, without the `?`.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for profile in &self.profiles {
            query.append_pair("profile", profile);
        }
        if self.failed {
            query.append_pair("failed", "1");
        }
        let limit = self.limit.map(|limit| limit.to_string());
        for (name, value) in [
            ("model", &self.model),
            ("grep", &self.grep),
            ("since", &self.since),
            ("before", &self.before),
            ("limit", &limit),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// Whether an exchange is wanted, as far as its summary tells: all but `grep`, `before` and `limit`.
    #[must_use]
    pub fn takes(&self, summary: &Summary) -> bool {
        (self.profiles.is_empty() || self.profiles.contains(&summary.profile))
            && self.takes_model(&summary.model, &summary.answered_by)
            && (!self.failed || matches!(summary.outcome.as_str(), "failed" | "cancelled"))
            && self
                .since
                .as_ref()
                .is_none_or(|since| summary.began.as_str() >= since.as_str())
    }

    /// Whether a model is wanted.
    #[must_use]
    pub fn takes_model(&self, asked: &str, answered_by: &str) -> bool {
        let Some(wanted) = &self.model else {
            return true;
        };
        let wanted = wanted.to_lowercase();
        [asked, answered_by]
            .iter()
            .any(|model| model.to_lowercase().contains(&wanted))
    }

    /// Whether a text holds what is looked for.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        let Some(wanted) = &self.grep else {
            return true;
        };
        text.to_lowercase().contains(&wanted.to_lowercase())
    }
}

/// Reads `1`, `true`, `0` and `false`.
///
/// # Errors
///
/// The name and value that are wrong.
pub fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" | "" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("`{name}={value}` is neither 1 nor 0")),
    }
}

/// A time as summaries have it: in UTC, with milliseconds.
fn time(text: &str) -> Result<String, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("`since={text}` is no time, such as 2026-11-22T08:00:00Z"))?;
    Ok(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_there_and_back() {
        let query = "profile=a&profile=b&failed=1&model=gpt&grep=x+y&since=2026-11-22T08%3A00%3A00.000Z&before=0123456789&limit=5";
        let filter = Filter::of_query(Some(query)).unwrap();
        assert_eq!(filter.profiles, ["a", "b"]);
        assert_eq!(filter.query(), query);
        let short = Filter::of_query(Some("since=2026-11-22T09:00:00%2B01:00")).unwrap();
        assert_eq!(short.since.as_deref(), Some("2026-11-22T08:00:00.000Z"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, expected) in [
            ("limit=many", "`limit=many` is no number"),
            ("colour=red", "`colour` is no filter of exchanges"),
            ("failed=perhaps", "`failed=perhaps` is neither 1 nor 0"),
            (
                "since=noon",
                "`since=noon` is no time, such as 2026-11-22T08:00:00Z",
            ),
        ] {
            assert_eq!(Filter::of_query(Some(query)).unwrap_err(), expected);
        }
    }

    #[test]
    fn summaries_are_chosen() {
        let summary = Summary {
            profile: "a".into(),
            model: "GPT-5".into(),
            outcome: "ok".into(),
            began: "2026-11-22T08:00:00.000Z".into(),
            ..Summary::default()
        };
        for (query, expected) in [
            ("", true),
            ("profile=a", true),
            ("profile=b", false),
            ("model=gpt", true),
            ("failed=1", false),
            ("since=2026-11-22T08:00:00Z", true),
            ("since=2026-11-22T08:00:01Z", false),
        ] {
            let filter = Filter::of_query(Some(query)).unwrap();
            assert_eq!(filter.takes(&summary), expected, "{query}");
        }
    }
}
