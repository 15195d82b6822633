//! Sees the `model` of a JSON body that passes by, without holding or changing it (SPEC §2, `preserve`).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::transport::{Body, BoxError};

/// Where the model is put once it was seen.
pub(super) type SeenModel = Arc<Mutex<Option<String>>>;

/// No model's name is longer; a longer value is not one.
const LONGEST: usize = 512;

/// A body that is watched.
pub(super) struct Glance {
    body: Body,
    scanner: Scanner,
    seen: SeenModel,
}

impl Glance {
    pub(super) fn new(body: Body, seen: SeenModel) -> Glance {
        Glance {
            body,
            scanner: Scanner::default(),
            seen,
        }
    }
}

impl HttpBody for Glance {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Some(model) = this.scanner.feed(data)
        {
            *this.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(model);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Finds the string value of the top level's `model`, byte by byte.
#[derive(Debug, Default)]
struct Scanner {
    depth: u32,
    /// Inside a string: its bytes so far, where they matter.
    string: Option<Vec<u8>>,
    escaped: bool,
    /// The top level's key whose value comes next is `model`.
    expects: bool,
    /// The last string on the top level, which is a key if a colon follows.
    last: Option<Vec<u8>>,
    done: bool,
}

impl Scanner {
    /// Takes the next bytes; the model, once.
    fn feed(&mut self, data: &[u8]) -> Option<String> {
        if self.done {
            return None;
        }
        for byte in data {
            if let Some(mut string) = self.string.take() {
                match (self.escaped, byte) {
                    (false, b'"') => {
                        if self.expects {
                            self.done = true;
                            // The same JSON string with its quotes undoes the escapes.
                            let quoted = [b"\"", string.as_slice(), b"\""].concat();
                            return serde_json::from_slice(&quoted).ok();
                        }
                        self.last = Some(string);
                        continue;
                    }
                    (escaped, byte) => {
                        self.escaped = !escaped && *byte == b'\\';
                        if self.depth == 1 && string.len() <= LONGEST {
                            string.push(*byte);
                        }
                    }
                }
                self.string = Some(string);
                continue;
            }
            match byte {
                b'"' => self.string = Some(Vec::new()),
                b':' if self.depth == 1 => {
                    self.expects = self.last.take().is_some_and(|key| key == b"model");
                }
                b'{' | b'[' => {
                    self.expects = false;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.done = self.depth == 0;
                }
                b',' => {
                    self.expects = false;
                    self.last = None;
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(json: &str, step: usize) -> Option<String> {
        let mut scanner = Scanner::default();
        json.as_bytes()
            .chunks(step)
            .find_map(|chunk| scanner.feed(chunk))
    }

    #[test]
    fn the_top_levels_model_is_seen_at_any_split() {
        for (json, expected) in [
            (r#"{"model":"m","x":1}"#, Some("m")),
            (
                r#" { "input" : [ "model" , {"model":"no"} ] , "model" : "a\/b \u00e9\"" } "#,
                Some("a/b é\""),
            ),
            (
                r#"{"messages":[{"content":"\"model\":\"no\""}],"model":"yes"}"#,
                Some("yes"),
            ),
            (r#"{"x":"model","y":"no"}"#, None),
            (r#"{"model":null,"x":"no"}"#, None),
            (r#"{"model":{"model":"no"}}"#, None),
            (r#"["model","no"]"#, None),
            ("", None),
        ] {
            for step in 1..8 {
                assert_eq!(model(json, step).as_deref(), expected, "{json} by {step}");
            }
        }
    }
}
