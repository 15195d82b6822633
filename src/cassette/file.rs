//! The file: a head, and a line for each exchange.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ignore::{DEFAULT, Ignore},
    line::{Line, Request, Response},
};

/// The format that this program writes, and the newest that it reads.
pub const VERSION: u64 = 1;

/// Most bytes of a file.
const LONGEST: u64 = 512 << 20;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The file's format.
    pub aiproxy_cassette: u64,
    /// What of a request does not count when its recording is looked for: see [`DEFAULT`].
    #[serde(default = "usual")]
    pub ignore: Vec<String>,
}

fn usual() -> Vec<String> {
    DEFAULT
        .iter()
        .map(|pattern| (*pattern).to_owned())
        .collect()
}

impl Default for Head {
    fn default() -> Head {
        Head {
            aiproxy_cassette: VERSION,
            ignore: usual(),
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Cassette {
    /// Where it is.
    pub path: PathBuf,
    /// Its first line.
    pub head: Head,
    /// The head's list.
    pub ignore: Ignore,
    /// The exchanges, and the number of the line of each.
    pub lines: Vec<(usize, Line)>,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub struct Broken {
    path: PathBuf,
    /// The number of the line, and of the column where one is known.
    place: Option<(usize, usize)>,
    why: String,
    missing: bool,
}

impl Broken {
    fn file(path: &Path, why: impl Into<String>) -> Broken {
        Broken {
            path: path.to_owned(),
            place: None,
            why: why.into(),
            missing: false,
        }
    }

    fn line(path: &Path, number: usize, why: impl Into<String>) -> Broken {
        Broken {
            place: Some((number, 0)),
            ..Broken::file(path, why)
        }
    }

    fn json(path: &Path, number: usize, what: &str, error: &serde_json::Error) -> Broken {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        Broken {
            place: Some((number, error.column())),
            ..Broken::file(path, format!("{what}: {text}"))
        }
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.place {
            Some((line, 0)) => write!(f, ":{line}")?,
            Some((line, column)) => write!(f, ":{line}:{column}")?,
            None => {}
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for Broken {}

impl Cassette {
    /// One with nothing in it.
    #[must_use]
    pub fn empty(path: &Path) -> Cassette {
        Cassette {
            path: path.to_owned(),
            head: Head::default(),
            ignore: Ignore::read(DEFAULT).unwrap_or_default(),
            lines: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it is not there, or a line is none of a cassette; the error names it.
    pub fn read(path: &Path) -> Result<Cassette, Broken> {
        let unread = |error: io::Error| Broken {
            missing: error.kind() == io::ErrorKind::NotFound,
            ..Broken::file(path, format!("it cannot be read: {error}"))
        };
        let metadata = std::fs::metadata(path).map_err(unread)?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            let most = LONGEST >> 20;
            return Err(Broken::file(
                path,
                format!("it is no file of at most {most} MiB"),
            ));
        }
        let text = std::fs::read(path).map_err(unread)?;
        let text = String::from_utf8(text).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..good).unwrap_or_default();
            let number = memchr::memchr_iter(b'\n', before).count() + 1;
            Broken::line(path, number, "it is no text in UTF-8")
        })?;
        Cassette::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Cassette, Broken> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty());
        let Some((first, head)) = lines.next() else {
            return Err(Broken::file(
                path,
                "it is empty; a cassette begins with a head",
            ));
        };
        let head = read_head(path, first, head)?;
        let ignore = Ignore::read(&head.ignore)
            .map_err(|why| Broken::line(path, first, format!("ignore: {why}")))?;
        let lines = lines.map(|(number, line)| Ok((number, read_line(path, number, line)?)));
        Ok(Cassette {
            path: path.to_owned(),
            lines: lines.collect::<Result<_, Broken>>()?,
            head,
            ignore,
        })
    }

    /// The head's line.
    ///
    /// # Errors
    ///
    /// Never, as it is made of texts.
    pub fn head_line(head: &Head) -> serde_json::Result<String> {
        serde_json::to_string(head)
    }
}

fn read_head(path: &Path, number: usize, text: &str) -> Result<Head, Broken> {
    let version = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|head| head.get("aiproxy_cassette")?.as_u64());
    match version {
        Some(VERSION) => {}
        Some(other) => {
            return Err(Broken::line(
                path,
                number,
                format!("it is of format {other}; this aiproxy reads format {VERSION}"),
            ));
        }
        None => {
            return Err(Broken::line(
                path,
                number,
                "this is no cassette's head, which begins with {\"aiproxy_cassette\":",
            ));
        }
    }
    serde_json::from_str(text)
        .map_err(|error| Broken::json(path, number, "the head cannot be read", &error))
}

fn read_line(path: &Path, number: usize, text: &str) -> Result<Line, Broken> {
    let line: Line = serde_json::from_str(text)
        .map_err(|error| Broken::json(path, number, "this exchange cannot be read", &error))?;
    check(&line).map_err(|why| Broken::line(path, number, why))?;
    Ok(line)
}

/// What cannot be played is found before anything is.
fn check(line: &Line) -> Result<(), String> {
    let calls = line.calls.iter();
    let requests = [("client", &line.client), ("sent", &line.sent)];
    for (name, request) in requests
        .into_iter()
        .chain(calls.map(|call| ("calls", &call.sent)))
    {
        let Request {
            method,
            headers: named,
            ..
        } = request;
        if method.parse::<Method>().is_err() {
            return Err(format!("{name}: `{method}` is no method"));
        }
        headers(named).map_err(|why| format!("{name}: {why}"))?;
    }
    let answers = [
        ("received", Some(&line.received)),
        ("returned", line.returned.as_ref()),
    ];
    let calls = line.calls.iter();
    let of_calls = calls.map(|call| ("calls", Some(&call.received)));
    for (name, answer) in answers.into_iter().chain(of_calls) {
        if let Some(answer) = answer {
            response(answer).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}

fn response(answer: &Response) -> Result<(), String> {
    if StatusCode::from_u16(answer.status).is_err() || answer.status < 200 {
        return Err(format!("{} is no status of an answer", answer.status));
    }
    headers(&answer.headers)?;
    match answer.chunks.iter().find_map(super::line::Chunk::wrong) {
        Some(wrong) => Err(wrong.to_owned()),
        None => Ok(()),
    }
}

/// Names and values of headers, as they are sent.
pub(super) fn headers(
    headers: &Map<String, Value>,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut out = Vec::new();
    for (name, value) in headers {
        let values = match value {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        for value in values {
            let wrong = || format!("the header `{name}` cannot be sent");
            let value = value.as_str().ok_or_else(wrong)?;
            out.push((
                name.parse().map_err(|_| wrong())?,
                value.parse().map_err(|_| wrong())?,
            ));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"aiproxy_cassette":1,"ignore":["headers.*"]}"#;
    const LINE: &str = r#"{"profile":"p","client":{"method":"POST","url":"/p"},"sent":{"method":"POST","url":"http://h/"},"received":{"status":200,"chunks":[{"at_ms":1.5,"text":"x"}]}}"#;

    fn read(text: &str) -> Result<Cassette, String> {
        Cassette::parse(Path::new("t.jsonl"), text).map_err(|broken| broken.to_string())
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let read = read(&format!("{HEAD}\n{LINE}\n\n{LINE}\n")).unwrap();
        assert_eq!(read.head.ignore, ["headers.*"]);
        let numbers: Vec<usize> = read.lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 4]);
        let (_, line) = &read.lines[0];
        assert_eq!(line.received.body(), b"x");
        // What was read is written as it was.
        assert!(line.text().unwrap().contains(r#""received":{"status":200,"head_ms":0.0,"chunks":[{"at_ms":1.5,"text":"x"}],"end_ms":0.0}"#));
    }

    #[test]
    fn a_head_without_a_list_has_the_usual_one() {
        let read = read("{\"aiproxy_cassette\":1}").unwrap();
        assert_eq!(read.head, Head::default());
    }

    #[test]
    fn what_is_damaged_is_named_by_its_line() {
        let spoilt = |from: &str, to: &str| format!("{HEAD}\n{LINE}\n{}", LINE.replace(from, to));
        for (text, expected) in [
            (String::new(), "t.jsonl: it is empty"),
            (LINE.to_owned(), "t.jsonl:1: this is no cassette's head"),
            (
                "<<<<<<< ours".into(),
                "t.jsonl:1: this is no cassette's head",
            ),
            (
                HEAD.replace('1', "2"),
                "t.jsonl:1: it is of format 2; this aiproxy reads format 1",
            ),
            (
                HEAD.replace("headers", "heads"),
                "t.jsonl:1: ignore: `heads.*` names no field",
            ),
            (
                HEAD.replace("ignore", "ignores"),
                "t.jsonl:1:31: the head cannot be read: unknown field `ignores`",
            ),
            (
                format!("{HEAD}\n{LINE}\n>>>>>>> theirs"),
                "t.jsonl:3:1: this exchange cannot be read: expected value",
            ),
            (
                spoilt("\"client\"", "\"clint\""),
                "t.jsonl:3:22: this exchange cannot be read: unknown field `clint`",
            ),
            (
                format!("{HEAD}\n{}", &LINE[..60]),
                "t.jsonl:2:60: this exchange cannot be read: EOF while parsing",
            ),
            (
                spoilt("200", "99"),
                "t.jsonl:3: received: 99 is no status of an answer",
            ),
            (
                spoilt("POST", "P OST"),
                "t.jsonl:3: client: `P OST` is no method",
            ),
            (
                spoilt("\"text\":\"x\"", "\"base64\":\"*\""),
                "t.jsonl:3: received: `base64` is no base64",
            ),
            (
                spoilt(",\"text\":\"x\"", ""),
                "t.jsonl:3: received: a chunk has either `text` or `base64`",
            ),
            (
                spoilt("200,", "200,\"headers\":{\"a b\":\"c\"},"),
                "t.jsonl:3: received: the header `a b` cannot be sent",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.jsonl");
        assert!(Cassette::read(&path).unwrap_err().is_missing());
        assert!(!Cassette::read(folder.path()).unwrap_err().is_missing());
        std::fs::write(&path, b"{\n\xff\n").unwrap();
        let error = Cassette::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("none.jsonl:2: it is no text in UTF-8"),
            "{error}"
        );
    }
}
