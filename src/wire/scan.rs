//! JSON that is read by looking for what ends its strings.
//!
//! Of a request of a megabyte nearly all is inside strings, and an escape comes every other line. This does little at each of them. It is
//! sure of what it takes, and leaves to serde_json what it does not know: `None` is «not certain», of errors, of names with escapes and of
//! nesting beyond measure.

use std::borrow::Cow;

/// Levels of nesting that are followed.
const DEEPEST: u32 = 64;

/// The fields of the object that `text` is, each value as it stands.
pub(super) fn fields(text: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut fields = Vec::with_capacity(12);
    let mut scan = Scan::of(text);
    scan.object(|name, scan| {
        fields.push((Cow::Borrowed(name), scan.value()?));
        Some(())
    })?;
    scan.end()?;
    Some(fields)
}

/// A place in a JSON text.
#[derive(Debug)]
pub struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    /// At the beginning of a text.
    #[must_use]
    pub fn of(text: &'t str) -> Scan<'t> {
        let mut scan = Scan { text, at: 0 };
        scan.space();
        scan
    }

    /// An object: `field` is told each name and takes the value. A name that comes twice is told twice.
    #[inline]
    pub fn object(
        &mut self,
        mut field: impl FnMut(&'t str, &mut Scan<'t>) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.peek() != Some(b'}') {
            loop {
                let name = self.name()?;
                self.space();
                self.take(b':')?;
                self.space();
                field(name, self)?;
                self.space();
                if self.peek() == Some(b'}') {
                    break;
                }
                self.take(b',')?;
                self.space();
            }
        }
        self.take(b'}')
    }

    /// A list: `element` takes each of its values.
    #[inline]
    pub fn list(&mut self, mut element: impl FnMut(&mut Scan<'t>) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        self.space();
        if self.peek() != Some(b']') {
            loop {
                element(self)?;
                self.space();
                if self.peek() == Some(b']') {
                    break;
                }
                self.take(b',')?;
                self.space();
            }
        }
        self.take(b']')
    }

    /// Any value, as it stands.
    pub fn value(&mut self) -> Option<&'t str> {
        let from = self.at;
        self.pass()?;
        self.text.get(from..self.at)
    }

    /// Nothing follows.
    pub fn end(&mut self) -> Option<()> {
        self.space();
        self.peek().is_none().then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// A name without escapes.
    fn name(&mut self) -> Option<&'t str> {
        let from = self.at + 1;
        let escapes = self.string()?;
        (!escapes).then(|| self.text.get(from..self.at - 1))?
    }

    /// A string; whether there are escapes in it.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        let mut escapes = false;
        loop {
            let rest = bytes.get(self.at..)?;
            let length = plain(rest)?;
            let (end, after) = (self.at + length, rest.get(length + 1..)?);
            self.at = match bytes.get(end)? {
                b'"' => {
                    self.at = end + 1;
                    return Some(escapes);
                }
                b'\\' => end + 1 + escape(after)?,
                _ => return None,
            };
            escapes = true;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        (count > 0).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest()
            .starts_with(word.as_bytes())
            .then(|| self.at += word.len())
    }

    /// Passes any value.
    fn pass(&mut self) -> Option<()> {
        // A bit for each level: set if it is an object.
        let (mut levels, mut depth) = (0u64, 0);
        loop {
            let opened = match self.peek()? {
                b'"' => self.string().map(|_| false)?,
                b'-' | b'0'..=b'9' => self.number().map(|()| false)?,
                b't' => self.word("true").map(|()| false)?,
                b'f' => self.word("false").map(|()| false)?,
                b'n' => self.word("null").map(|()| false)?,
                opening @ (b'{' | b'[') => {
                    let object = opening == b'{';
                    if depth == DEEPEST {
                        return None;
                    }
                    levels = levels << 1 | u64::from(object);
                    depth += 1;
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        false
                    } else {
                        if object {
                            self.key()?;
                        }
                        true
                    }
                }
                _ => return None,
            };
            if opened {
                continue;
            }
            // A value ended, or a level that has none is about to.
            loop {
                if depth == 0 {
                    return Some(());
                }
                self.space();
                let object = levels & 1 == 1;
                match self.peek()? {
                    b'}' if object => {}
                    b']' if !object => {}
                    b',' => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    _ => return None,
                }
                self.at += 1;
                levels >>= 1;
                depth -= 1;
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }
}

/// How many bytes come before a quote, a backslash or a control character; `None` if there is none of them.
fn plain(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    let (near, far) = words.split_at_checked(8).unwrap_or((words, &[]));
    match in_words(near) {
        Some(found) => Some(found),
        None if far.is_empty() => Some(words.len() * 8 + rest.iter().position(is_special)?),
        None => long(text, near.len() * 8),
    }
}

/// The same, from `at` on. Most strings and lines of text end soon; for what is longer it pays to see whether a block has anything in it at all.
fn long(text: &[u8], at: usize) -> Option<usize> {
    let (blocks, _) = text.get(at..)?.as_chunks::<64>();
    // The compiler makes vectors of this.
    let dirty = |block: &[u8; 64]| {
        block
            .iter()
            .fold(0, |any, byte| any | u8::from(is_special(byte)))
            != 0
    };
    let at = at + blocks.iter().take_while(|block| !dirty(block)).count() * 64;
    let (words, rest) = text.get(at..)?.as_chunks::<8>();
    let found = match in_words(words) {
        Some(found) => found,
        None => words.len() * 8 + rest.iter().position(is_special)?,
    };
    Some(at + found)
}

fn in_words(words: &[[u8; 8]]) -> Option<usize> {
    for (number, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    None
}

fn is_special(byte: &u8) -> bool {
    (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20)
}

/// Of eight bytes, the high bit of the first that is a quote, a backslash or a control character, and maybe of some behind it.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let is_zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let backslash = is_zero(word ^ (ONES * 0x5c));
    // With this bit turned over, a quote is next to the control characters, and nothing else comes there.
    let turned = word ^ (ONES * 0x02);
    let quote_or_control = turned.wrapping_sub(ONES * 0x21) & !turned;
    (backslash | quote_or_control) & (ONES << 7)
}

/// The length of what follows a backslash.
fn escape(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => {
            let digits = text.get(1..5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(5)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::envelope::Envelope;

    /// All of its fields, by serde_json.
    fn slowly(text: &str) -> Option<String> {
        let mut envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
        // Then it is written anew.
        envelope.set("\u{0}", "").unwrap();
        let bytes = envelope.finish(&bytes::Bytes::new());
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn quickly(text: &str) -> Option<String> {
        let mut out = String::from("{");
        for (name, value) in fields(text)? {
            out += &format!("{}:{value},", serde_json::to_string(&name).unwrap());
        }
        Some(out + "\"\\u0000\":\"\"}")
    }

    #[test]
    fn what_is_usual_is_taken() {
        for text in [
            "{}",
            " { } \n",
            r#"{"a":1}"#,
            r#"{ "a" : [ ] , "b" : { } , "c":[1,-0.5e+3,{"d":[null,true,false,"x"]}],"e":"\"\\\u00e9\/" }"#,
            r#"{"a":{"b":{},"c":[[],[[]]]},"a":"é"}"#,
        ] {
            assert!(quickly(text).is_some(), "{text}");
            assert_eq!(quickly(text), slowly(text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_not() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":{,}}",
            "{\"a\":[}",
            "{\"a\":{]}",
            "{\"a\":[1 2]}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.1}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{a:1}",
            "{\"a\":{1:2}}",
            "{\"a\":{\"b\"}}",
            "{\"a\":nan}",
            "\u{feff}{}",
        ] {
            assert_eq!(quickly(text), None, "{text}");
            assert_eq!(slowly(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_ends_a_string_is_found(
            mut text in prop::collection::vec(0x20u8.., 0..400),
            ends in prop::collection::vec((0usize..400, prop::sample::select(&b"\"\\\n\x00\x1f"[..])), 0..3),
        ) {
            for byte in &mut text {
                if matches!(byte, b'"' | b'\\') {
                    *byte = b' ';
                }
            }
            for (at, end) in ends {
                if let Some(byte) = text.get_mut(at) {
                    *byte = end;
                }
            }
            let first = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(plain(&text), first);
        }

        #[test]
        fn what_is_taken_is_what_serde_takes(
            text in r#"[ \n]?\{("[ab\\"]{0,2}" ?: ?([0-9eE.+-]{1,4}|true|null|"[a-z\\"u0\n\x00é]{0,6}"|[\[\]{}:,"1]{0,8}),?){0,4}\} ?"#
        ) {
            if let Some(fields) = quickly(&text) {
                prop_assert_eq!(Some(fields), slowly(&text));
            }
        }

        #[test]
        fn whatever_is_json_is_taken(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            // A value is made of the bytes: each opens, closes or adds something.
            let mut stack: Vec<serde_json::Value> = vec![serde_json::json!({})];
            for byte in bytes {
                let value = match byte % 8 {
                    0 => serde_json::json!([]),
                    1 => serde_json::json!({}),
                    2 if stack.len() > 1 => stack.pop().unwrap(),
                    3 => serde_json::json!(f64::from(byte) / 7.0),
                    4 => serde_json::json!("a\"\\\u{1}é"),
                    5 => serde_json::json!(null),
                    _ => serde_json::json!(byte),
                };
                let opens = byte % 8 < 2 && stack.len() < 50;
                if opens {
                    stack.push(value);
                    continue;
                }
                add(stack.last_mut().unwrap(), value);
            }
            while stack.len() > 1 {
                let value = stack.pop().unwrap();
                add(stack.last_mut().unwrap(), value);
            }
            for text in [stack[0].to_string(), serde_json::to_string_pretty(&stack[0]).unwrap()] {
                prop_assert!(quickly(&text).is_some(), "{}", text);
                prop_assert_eq!(quickly(&text), slowly(&text));
            }
        }
    }

    fn add(to: &mut serde_json::Value, value: serde_json::Value) {
        match to {
            serde_json::Value::Array(all) => all.push(value),
            serde_json::Value::Object(all) => {
                all.insert(format!("k{}", all.len()), value);
            }
            _ => unreachable!(),
        }
    }
}
