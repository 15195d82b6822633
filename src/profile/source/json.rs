//! JSON, by a reader of our own: `serde_json` forgets where values stand, and a YAML reader takes what is no JSON.

use super::{DEPTH, Entry, Kind, Node, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let text_after_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        text,
        at: text.len() - text_after_mark.len(),
    };
    let node = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected("the end of the file")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH {
            return Err(self.error(format!("nested more than {DEPTH} levels deep")));
        }
        self.skip_space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => Kind::Table(self.table(depth)?),
            Some(b'[') => {
                self.list(depth)?;
                Kind::List
            }
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node {
            kind,
            span: start..self.at,
        })
    }

    fn table(&mut self, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(entries);
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            let span = start..self.at;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.unexpected("`:`"));
            }
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, span, value });
            self.skip_space();
            if self.take(b'}') {
                return Ok(entries);
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), SyntaxError> {
        self.at += 1;
        self.skip_space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.skip_space();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => self.at += 2,
                Some(0x00..=0x1f) => {
                    return Err(self.error("a line or control character inside a string".into()));
                }
                Some(_) => self.at += 1,
                None => {
                    self.at = start;
                    return Err(self.error("a string without its closing quote".into()));
                }
            }
        }
        // Its bounds are known; what it means is serde_json's to say.
        let raw = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(raw).map_err(|_| SyntaxError {
            span: start..self.at,
            message: "a string with an invalid escape".into(),
        })
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str::<serde_json::Number>(raw) {
            Ok(number) => Ok(match number.as_i64() {
                Some(whole) => Kind::Integer(whole),
                None => Kind::Float(number.as_f64().unwrap_or(f64::INFINITY)),
            }),
            Err(_) => Err(SyntaxError {
                span: start..self.at,
                message: "not a number".into(),
            }),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, SyntaxError> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(kind);
        }
        Err(self.unexpected("a value"))
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        match self.peek() {
            None => self.error(format!("the file ends where {expected} is expected")),
            Some(_) => self.error(format!("expected {expected}")),
        }
    }

    fn error(&self, message: String) -> SyntaxError {
        let at = self.at.min(self.text.len());
        let length = self
            .text
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        SyntaxError {
            span: at..at + length,
            message,
        }
    }
}
