//! What was lost on the way to the provider, as a header (SPEC §4.3).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{dialect::Loss, provider::segment};

/// `dropped:logprobs, clamped:temperature`.
pub(super) const WARNINGS: HeaderName = HeaderName::from_static("x-aiproxy-warnings");

/// A longer header would be refused by some clients; the rest is counted.
const LONGEST: usize = 2 << 10;

/// Tells what was lost.
pub(super) fn warn(lost: &[Loss], headers: &mut HeaderMap) {
    if !lost.is_empty()
        && let Some(value) = header(lost)
    {
        headers.insert(WARNINGS, value);
    }
}

/// The header's value; `None` if nothing was lost.
pub(super) fn header(lost: &[Loss]) -> Option<HeaderValue> {
    let mut text = String::new();
    for (index, loss) in lost.iter().enumerate() {
        let next = format!("{}:{}", loss.how, segment(&loss.what));
        if text.len() + next.len() + 2 > LONGEST {
            let _ = write!(text, ", more:{}", lost.len() - index);
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&next);
    }
    HeaderValue::from_str(&text)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_the_header_is_bounded() {
        assert_eq!(header(&[]), None);
        let lost = [
            Loss::dropped("logprobs"),
            Loss {
                how: "clamped",
                what: "a b,é".into(),
            },
        ];
        assert_eq!(
            header(&lost).unwrap(),
            "dropped:logprobs, clamped:a%20b%2C%C3%A9"
        );
        let many: Vec<Loss> = (0..300)
            .map(|n| Loss::dropped(&format!("field_{n}")))
            .collect();
        let value = header(&many).unwrap();
        let text = value.to_str().unwrap();
        assert!(text.len() < LONGEST + 20, "{}", text.len());
        let named = text.matches("dropped:").count();
        assert!(text.ends_with(&format!(", more:{}", 300 - named)), "{text}");
    }
}
