//! Requests in a form in which equal ones are equal: keys in order, nothing that does not count.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    ignore::{Ignore, spread},
    line::Request,
};
use crate::exchange::{MASK, SECRET};

/// A request that a recording is looked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its URL, or path and query.
    pub url: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// Of an HTTP request whose body was read.
    #[must_use]
    pub fn of(head: &http::request::Parts, body: &[u8]) -> Asked {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Asked {
            method: head.method.to_string(),
            url: head.uri.to_string(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: body.to_vec(),
        }
    }

    /// Of a recorded request; its body may be another one's.
    pub(super) fn recorded(request: &Request, body: Vec<u8>) -> Asked {
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            let values = match value {
                Value::Array(all) => all.iter().collect(),
                one => vec![one],
            };
            let texts = values.into_iter().filter_map(Value::as_str);
            headers.extend(texts.map(|text| (name.clone(), text.to_owned())));
        }
        Asked {
            method: request.method.clone(),
            url: request.url.clone(),
            headers,
            body,
        }
    }

    /// All of its fields, the path apart: paths have a rule of their own.
    pub(super) fn fields(&self) -> (String, Value) {
        let (host, target) = match self.url.split_once("://") {
            Some((_, rest)) => match rest.find(['/', '?']) {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            },
            None => ("", self.url.as_str()),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut fields = Map::new();
        fields.insert("method".into(), Value::from(self.method.as_str()));
        fields.insert("host".into(), Value::from(host));
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        fields.insert(
            "query".into(),
            table(pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))),
        );
        fields.insert("headers".into(), table(self.headers.iter().cloned()));
        if !self.body.is_empty() {
            fields.insert("body".into(), body(&self.body));
        }
        let path = if path.is_empty() { "/" } else { path };
        (path.to_owned(), Value::Object(fields))
    }
}

/// Names and values by name, in order.
fn table(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut all: Vec<(String, String)> = pairs.collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = Map::new();
    for (name, value) in all {
        match out.get_mut(&name) {
            None => {
                out.insert(name, Value::from(value));
            }
            Some(Value::Array(values)) => values.push(Value::from(value)),
            Some(first) => *first = Value::Array(vec![first.take(), Value::from(value)]),
        }
    }
    Value::Object(out)
}

fn body(bytes: &[u8]) -> Value {
    if let Ok(json) = serde_json::from_slice::<Value>(bytes) {
        return json;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

/// A request without what does not count.
#[derive(Clone, Debug)]
pub(super) struct Canon {
    pub(super) path: String,
    /// All fields but the path, with keys in order.
    pub(super) rest: String,
    /// A secret was taken out of it: what stands there fits anything.
    masked: bool,
}

impl Canon {
    pub(super) fn of(asked: &Asked, ignore: &Ignore, with_host: bool) -> Canon {
        let (path, mut fields) = asked.fields();
        if !with_host && let Value::Object(fields) = &mut fields {
            fields.shift_remove("host");
        }
        let mut whole = json!({ "path": path });
        ignore.strip(&mut whole);
        ignore.strip(&mut fields);
        sort(&mut fields);
        let rest = fields.to_string();
        Canon {
            path: whole
                .get("path")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            masked: rest.contains(SECRET) || rest.contains(MASK),
            rest,
        }
    }

    /// Whether this recorded request is that one, their paths apart.
    pub(super) fn is(&self, asked: &Canon) -> bool {
        self.rest == asked.rest
            || self.masked && {
                let (recorded, asked) = (self.value(), asked.value());
                alike(&recorded, &asked)
            }
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.rest).unwrap_or_default()
    }

    /// All fields of both, the path first, for people: what a taken out secret fits is the same in both.
    pub(super) fn beside(&self, asked: &Canon) -> (Value, Value) {
        let recorded = self.value();
        let mut live = asked.value();
        settle(&recorded, &mut live);
        let whole = |path: &str, rest: Value| {
            let mut fields = Map::new();
            for key in ["method", "host"] {
                if let Some(value) = rest.get(key) {
                    fields.insert(key.into(), value.clone());
                }
            }
            fields.insert("path".into(), Value::from(path));
            for key in ["query", "headers", "body"] {
                if let Some(value) = rest.get(key) {
                    fields.insert(key.into(), value.clone());
                }
            }
            Value::Object(fields)
        };
        (whole(&self.path, recorded), whole(&asked.path, live))
    }
}

/// Whether what was asked is what was recorded, where that lacks its secrets.
fn alike(recorded: &Value, asked: &Value) -> bool {
    match (recorded, asked) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::String(a), Value::String(b)) => fills(a, b),
        (a, b) => a == b,
    }
}

/// Whether a text is a recorded one with something in the places of its secrets.
fn fills(recorded: &str, asked: &str) -> bool {
    recorded == asked || spread(&recorded.replace(SECRET, MASK), MASK, asked)
}

fn settle(recorded: &Value, asked: &mut Value) {
    match (recorded, asked) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                if let Some(other) = b.get_mut(key) {
                    settle(value, other);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (a, b) in a.iter().zip(b) {
                settle(a, b);
            }
        }
        (Value::String(a), Value::String(b)) if fills(a, b) => b.clone_from(a),
        _ => {}
    }
}

/// Puts keys in order.
fn sort(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.sort_keys();
            fields.values_mut().for_each(sort);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cassette::DEFAULT;

    fn canon(url: &str, headers: &[(&str, &str)], body: &str) -> Canon {
        let asked = Asked {
            method: "POST".into(),
            url: url.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            body: body.into(),
        };
        Canon::of(&asked, &Ignore::read(DEFAULT).unwrap(), true)
    }

    #[test]
    fn what_does_not_matter_makes_no_difference() {
        let recorded = canon(
            "https://h/v1/x?b=2&a=1&key=k",
            &[("date", "Mon"), ("anthropic-version", "1")],
            r#"{"a": 1, "b": {"c": [1.0], "d": null}, "user": "u"}"#,
        );
        let same = canon(
            "http://h/v1/x?a=1&b=2",
            &[("anthropic-version", "1"), ("date", "Tue")],
            r#"{"b":{"d":null,"c":[1.00]},"a":1}"#,
        );
        assert!(recorded.is(&same));
        assert_eq!((&*recorded.path, &*same.path), ("/v1/x", "/v1/x"));
        for other in [
            canon(
                "http://i/v1/x?a=1&b=2",
                &[("anthropic-version", "1")],
                r#"{"b":{"d":null,"c":[1.0]},"a":1}"#,
            ),
            canon(
                "http://h/v1/x?a=1&b=3",
                &[("anthropic-version", "1")],
                r#"{"b":{"d":null,"c":[1.0]},"a":1}"#,
            ),
            canon(
                "http://h/v1/x?a=1&b=2",
                &[("anthropic-version", "2")],
                r#"{"b":{"d":null,"c":[1.0]},"a":1}"#,
            ),
            canon(
                "http://h/v1/x?a=1&b=2",
                &[("anthropic-version", "1")],
                r#"{"b":{"d":null,"c":[2.0]},"a":1}"#,
            ),
        ] {
            assert!(!recorded.is(&other), "{other:?}");
        }
    }

    #[test]
    fn what_was_taken_out_fits_anything() {
        let recorded = canon(
            "http://h/?token=(secret)",
            &[],
            r#"{"k": "***", "t": "my *** is it", "x": 1}"#,
        );
        let asked = |t: &str, x: u8| {
            canon(
                "http://h/?token=abc",
                &[],
                &format!(r#"{{"k": "sk-1", "t": "{t}", "x": {x}}}"#),
            )
        };
        assert!(recorded.is(&asked("my key is it", 1)));
        assert!(!recorded.is(&asked("my key is not", 1)));
        let other = asked("my key is it", 2);
        assert!(!recorded.is(&other));
        // The secret that is asked with is shown to nobody.
        let (old, new) = recorded.beside(&other);
        assert_eq!(old["query"], new["query"]);
        assert_eq!(
            (&new["body"]["k"], &new["body"]["x"]),
            (&json!("***"), &json!(2))
        );
    }

    #[test]
    fn bodies_that_are_no_json_count_whole() {
        assert!(canon("http://h", &[], "a b").is(&canon("http://h/", &[], "a b")));
        assert!(!canon("http://h", &[], "a b").is(&canon("http://h", &[], "a")));
        let bytes = |bytes: &[u8]| {
            let asked = Asked {
                body: bytes.into(),
                ..Asked::default()
            };
            Canon::of(&asked, &Ignore::default(), true)
        };
        assert!(bytes(b"\xff\x00").is(&bytes(b"\xff\x00")));
        assert!(!bytes(b"\xff\x00").is(&bytes(b"\xff\x01")));
    }
}
