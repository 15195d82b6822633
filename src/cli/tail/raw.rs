//! `--raw`: what the provider sent, line by line or message by message, with the time of each.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::wire::{Framer, Framing, MAX_FRAME};

/// A line is told in pieces of this size: an answer without line breaks must not be held until its end.
const LONGEST: usize = 64 << 10;

/// Cuts what a provider sent into lines.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// The begun line, and when it began.
    begun: Vec<u8>,
    at: f64,
    /// Amazon's event stream is binary.
    binary: Option<Framer>,
    is_open: bool,
    /// How many bytes were told, and how many came since the telling began anew.
    told: usize,
    came: usize,
}

impl Raw {
    /// The bytes of a notice.
    pub(super) fn bytes(text: Option<&str>, base64: Option<&str>) -> Vec<u8> {
        match (text, base64) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(coded)) => STANDARD.decode(coded).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    /// All is told again from the beginning.
    pub(super) fn again(&mut self) {
        self.came = 0;
    }

    /// Takes bytes and gives the lines that they end.
    pub(super) fn lines(&mut self, at: f64, bytes: &[u8]) -> Vec<(f64, String)> {
        let known = self.told.saturating_sub(self.came).min(bytes.len());
        self.came += bytes.len();
        self.told = self.told.max(self.came);
        let bytes = bytes.get(known..).unwrap_or_default();
        if bytes.is_empty() {
            return Vec::new();
        }
        // A message of Amazon's begins with its length, four bytes; no text begins with a zero.
        if !std::mem::replace(&mut self.is_open, true) && bytes.first() == Some(&0) {
            self.binary = Some(Framer::new(Framing::EventStream, MAX_FRAME));
        }
        if self.binary.is_some() {
            return self.messages(at, bytes);
        }
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.begun.is_empty() {
                self.at = at;
            }
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.begun.len() >= LONGEST {
                lines.extend(self.end());
            }
        }
        lines
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> Option<(f64, String)> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned();
        let line = line.trim_end_matches(['\n', '\r']);
        (!line.is_empty()).then(|| (self.at, line.to_owned()))
    }

    fn messages(&mut self, at: f64, bytes: &[u8]) -> Vec<(f64, String)> {
        let mut lines = Vec::new();
        let Some(framer) = &mut self.binary else {
            return lines;
        };
        framer.feed(Bytes::copy_from_slice(bytes));
        while let Ok(Some(frame)) = framer.frame() {
            let name = String::from_utf8_lossy(frame.name());
            lines.push((
                at,
                format!("{name} {}", String::from_utf8_lossy(frame.data())),
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[(f64, String)]) -> Vec<String> {
        lines
            .iter()
            .map(|(at, line)| format!("{at} {line}"))
            .collect()
    }

    #[test]
    fn lines_have_the_time_of_their_beginning() {
        let mut raw = Raw::default();
        assert_eq!(texts(&raw.lines(1.0, b"data: a\r\n\r\nda")), ["1 data: a"]);
        assert!(
            raw.lines(2.0, "ta: ç".as_bytes().get(..5).unwrap())
                .is_empty()
        );
        assert_eq!(texts(&raw.lines(3.0, b"\xa7\n\n[1,")), ["1 data: ç"]);
        assert_eq!(raw.end(), Some((3.0, "[1,".into())));
        assert_eq!(raw.end(), None);
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut raw = Raw::default();
        assert_eq!(texts(&raw.lines(1.0, b"a\nb\n")), ["1 a", "1 b"]);
        raw.again();
        assert_eq!(texts(&raw.lines(1.0, b"a\nb\nc\n")), ["1 c"]);
    }

    #[test]
    fn bytes_are_text_or_coded() {
        assert_eq!(Raw::bytes(Some("a"), None), b"a");
        assert_eq!(Raw::bytes(None, Some("AP8=")), b"\x00\xff");
        assert_eq!(Raw::bytes(None, Some("?")), b"");
        // Not a message: nothing to show, and no failure.
        assert!(Raw::default().lines(1.0, b"\x00\xff").is_empty());
    }
}
