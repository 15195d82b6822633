//! Request-time templates: `$(headers.NAME)`, `$(uri_captures.NAME)` and `$(query_params.NAME)` in Kong's strings.
//!
//! A string is cut into segments once, when the profile is loaded; rendering only joins them. Where the values come
//! from is the caller's affair ([`Lookup`]).

use std::{borrow::Cow, fmt};

/// A string of `model.name` or `model.options` that may take values from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

/// Where a template's value comes from, in Kong's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A request header; names are compared as Kong does: without case, `_` equal to `-`.
    Headers,
    /// A named group of `[aiproxy] path`.
    UriCaptures,
    /// A query parameter.
    QueryParams,
}

/// What a request offers to templates.
pub trait Lookup {
    /// The first value of a request header; `name` is in lower case, with `-` for `_`.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// What a named group of the profile's path matched.
    fn uri_capture(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The first value of a query parameter, decoded.
    fn query_param(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// Why a template has no value. The wording is Kong's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The expression is not `$(source.key)` with a source that there is.
    #[error("cannot parse expression for field '{0}'")]
    Expression(String),
    /// The request has no such value.
    #[error("{source_name} key {key} was not provided")]
    Absent {
        /// Which of the three sources was asked.
        source_name: Source,
        /// The key as the profile writes it.
        key: String,
    },
    /// The request's value would end its part of a URL and begin another.
    #[error("{source_name} key {key} has a value that cannot stand in this part of a URL")]
    Unfit {
        /// Which of the three sources was asked.
        source_name: Source,
        /// The key as the profile writes it.
        key: String,
    },
    /// The request's values lead out of the URL's path.
    #[error("the request's values make a `.` or `..` segment of the path in `{0}`")]
    Climbs(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Value { source: Source, key: String },
}

impl Template {
    /// Cuts `text` into segments. `$(` without a `)` is text, as in Kong.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("$(") {
            let Some((expression, after)) = from.split_once(')') else {
                break;
            };
            let (source, key) = parse_expression(expression)
                .ok_or_else(|| TemplateError::Expression(format!("$({expression})")))?;
            if !before.is_empty() {
                segments.push(Segment::Text(before.to_owned()));
            }
            segments.push(Segment::Value {
                source,
                key: key.to_owned(),
            });
            rest = after;
        }
        if !rest.is_empty() || segments.is_empty() {
            segments.push(Segment::Text(rest.to_owned()));
        }
        Ok(Template {
            text: text.to_owned(),
            segments,
        })
    }

    /// A template that is plain text, whatever it holds.
    #[must_use]
    pub fn literal(text: &str) -> Template {
        Template {
            text: text.to_owned(),
            segments: vec![Segment::Text(text.to_owned())],
        }
    }

    /// The text as the profile writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value, if it does not depend on the request.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [Segment::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with every expression replaced, to see what it looks like with values in it.
    pub(crate) fn filled_with(&self, value: &str) -> String {
        let part = |segment: &Segment| match segment {
            Segment::Text(text) => text.clone(),
            Segment::Value { .. } => value.to_owned(),
        };
        self.segments.iter().map(part).collect()
    }

    /// The value for one request.
    pub fn render(&self, request: &dyn Lookup) -> Result<Cow<'_, str>, TemplateError> {
        self.render_if(request, |_, _| true)
    }

    /// The value for one request, as a part of a URL that begins with `before`: what the request says stays within the host, the path or
    /// the query that the profile puts it into.
    pub fn render_in_url(
        &self,
        request: &dyn Lookup,
        before: &str,
    ) -> Result<Cow<'_, str>, TemplateError> {
        self.render_if(request, |rendered, value| {
            fits(&format!("{before}{rendered}"), value)
        })
    }

    fn render_if(
        &self,
        request: &dyn Lookup,
        fits: impl Fn(&str, &str) -> bool,
    ) -> Result<Cow<'_, str>, TemplateError> {
        if let Some(text) = self.as_literal() {
            return Ok(Cow::Borrowed(text));
        }
        let mut rendered = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => rendered.push_str(text),
                Segment::Value { source, key } => match source.find(request, key) {
                    Some(value) if fits(&rendered, &value) => rendered.push_str(&value),
                    Some(_) => {
                        return Err(TemplateError::Unfit {
                            source_name: *source,
                            key: key.clone(),
                        });
                    }
                    None => {
                        return Err(TemplateError::Absent {
                            source_name: *source,
                            key: key.clone(),
                        });
                    }
                },
            }
        }
        Ok(Cow::Owned(rendered))
    }
}

/// Whether a value stays within the part of a URL at whose end `before` stops.
fn fits(before: &str, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '\\');
    let Some((_, after)) = before.split_once("://") else {
        return false;
    };
    match (after.contains('?'), after.contains('/')) {
        (true, _) => value.chars().all(|c| plain(c) && c != '&'),
        (_, true) => value.chars().all(|c| plain(c) && c != '?'),
        // A host, or a piece of one, and perhaps a port.
        _ => value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':')),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Source {
    /// The word in front of the dot.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Headers => "headers",
            Source::UriCaptures => "uri_captures",
            Source::QueryParams => "query_params",
        }
    }

    fn find<'r>(self, request: &'r dyn Lookup, key: &str) -> Option<Cow<'r, str>> {
        match self {
            Source::Headers => request.header(&key.to_ascii_lowercase().replace('_', "-")),
            Source::UriCaptures => request.uri_capture(key),
            Source::QueryParams => request.query_param(key),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kong takes exactly two parts: a key with a dot in it has none.
fn parse_expression(expression: &str) -> Option<(Source, &str)> {
    let (source, key) = expression.split_once('.')?;
    if key.is_empty() || key.contains('.') {
        return None;
    }
    let source = [Source::Headers, Source::UriCaptures, Source::QueryParams]
        .into_iter()
        .find(|known| known.as_str() == source)?;
    Some((source, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request;

    impl Lookup for Request {
        fn header(&self, name: &str) -> Option<Cow<'_, str>> {
            (name == "x-my-model").then_some(Cow::Borrowed("m1"))
        }
        fn uri_capture(&self, name: &str) -> Option<Cow<'_, str>> {
            (name == "Region").then_some(Cow::Borrowed("eu"))
        }
        fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
            (name == "v").then_some(Cow::Borrowed(""))
        }
    }

    fn render(text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|error| error.to_string())?;
        template
            .render(&Request)
            .map(Cow::into_owned)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn renders_text_and_values() {
        for (text, expected) in [
            ("", ""),
            ("gpt-4o", "gpt-4o"),
            ("$(headers.x-my-model)", "m1"),
            ("$(headers.X_My-Model)", "m1"),
            (
                "pre-$(headers.x-my-model)-$(uri_captures.Region)-post",
                "pre-m1-eu-post",
            ),
            ("[$(query_params.v)]", "[]"),
            ("$(headers.x-my-model", "$(headers.x-my-model"),
            ("cost: $5 (five)", "cost: $5 (five)"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_what_is_missing_or_malformed() {
        for (text, expected) in [
            (
                "$(headers.x-absent)",
                "headers key x-absent was not provided",
            ),
            (
                "$(uri_captures.region)",
                "uri_captures key region was not provided",
            ),
            (
                "$(query_params.absent)",
                "query_params key absent was not provided",
            ),
            (
                "a $(uri_captures_x) b",
                "cannot parse expression for field '$(uri_captures_x)'",
            ),
            (
                "$(cookies.x)",
                "cannot parse expression for field '$(cookies.x)'",
            ),
            (
                "$(headers.)",
                "cannot parse expression for field '$(headers.)'",
            ),
            (
                "$(headers.a.b)",
                "cannot parse expression for field '$(headers.a.b)'",
            ),
            ("$()", "cannot parse expression for field '$()'"),
        ] {
            assert_eq!(render(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn values_stay_in_their_part_of_a_url() {
        struct One(&'static str);

        impl Lookup for One {
            fn header(&self, _: &str) -> Option<Cow<'_, str>> {
                Some(Cow::Borrowed(self.0))
            }
            fn uri_capture(&self, _: &str) -> Option<Cow<'_, str>> {
                None
            }
            fn query_param(&self, _: &str) -> Option<Cow<'_, str>> {
                None
            }
        }

        let (host, path, query) = (
            "https://$(headers.x).example/v1",
            "https://h/$(headers.x)/y",
            "https://h/p?q=$(headers.x)&k=1",
        );
        for (text, value, passes) in [
            (host, "eu-1", true),
            (host, "a.b:80", true),
            (host, "evil.example/", false),
            (host, "evil.example?", false),
            (host, "evil.example#", false),
            (host, "me@evil.example", false),
            (host, "a\\b", false),
            (host, "a%2fb", false),
            (path, "v1/chat/completions", true),
            (path, "a%20b", true),
            (path, "a?b", false),
            (path, "a#b", false),
            (path, "a b", false),
            (path, "a\r\nb", false),
            (path, "\u{0}", false),
            (path, "ü", false),
            (query, "a/b?c", true),
            (query, "a&admin=1", false),
            (query, "a#", false),
        ] {
            let template = Template::parse(text).unwrap();
            let rendered = template.render_in_url(&One(value), "");
            assert_eq!(rendered.is_ok(), passes, "{text} with {value:?}");
        }
        let host = Template::parse("$(headers.x)").unwrap();
        assert!(host.render_in_url(&One("h"), "https://").is_ok());
        assert!(host.render_in_url(&One("h/x"), "https://").is_err());
        assert!(host.render_in_url(&One("h/x"), "https://h/").is_ok());
    }

    #[test]
    fn a_literal_is_known_without_a_request() {
        assert_eq!(
            Template::parse("gpt-4o").unwrap().as_literal(),
            Some("gpt-4o")
        );
        assert_eq!(Template::parse("$(headers.a)").unwrap().as_literal(), None);
        assert_eq!(
            Template::literal("$(headers.a)").as_literal(),
            Some("$(headers.a)")
        );
    }
}
