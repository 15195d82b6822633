//! Token counts where a provider tells none (SPEC §4.5): the texts of request and answer, counted with OpenAI's newest tokenizer.
//!
//! Other models cut text differently, by 10 to 30 %, so the result is marked as an estimate. The first count loads the tokenizer, and a
//! megabyte takes a tenth of a second: none of this runs where a client waits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::kept::{Material, Text};
use crate::llm::Usage;

/// What OpenAI's chat format adds to each message, and to the answer's beginning:
/// <https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>.
const PER_MESSAGE: u64 = 3;

/// Tokens of a text; of one that was cut, in proportion to its length.
#[must_use]
pub fn tokens(text: &Text) -> u64 {
    let counted = bpe_openai::o200k_base().count(text.as_str()) as u64;
    let kept = text.as_str().len() as u64;
    if text.is_cut() && kept > 0 {
        counted.saturating_mul(text.len() as u64) / kept
    } else {
        counted
    }
}

/// Counts what an exchange keeps; `None` if there is nothing to count.
#[must_use]
pub(super) fn usage(material: &Material) -> Option<Usage> {
    let read;
    let prompt = match (&material.prompt, &material.request) {
        (Some(prompt), _) => prompt,
        (None, Some(request)) => {
            read = Prompt::of(request.bytes());
            &read
        }
        (None, None) => return None,
    };
    Some(Usage {
        input: prompt.tokens(),
        output: tokens(&material.said.text) + tokens(&material.said.rest),
        estimated: true,
        ..Usage::default()
    })
}

/// The texts of a request, of any provider's format.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    text: Text,
    messages: u64,
    /// Numbers where a text could stand: OpenAI takes prompts as token ids too.
    ids: u64,
}

impl Prompt {
    /// Collects the texts of a request's body. A body that breaks off gives those before the break.
    #[must_use]
    pub fn of(body: &[u8]) -> Prompt {
        let mut prompt = Prompt::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let walk = Walk {
            prompt: &mut prompt,
            take: Take::Keyed,
        };
        // An error ends the walk; what came before it counts.
        let _ = walk.deserialize(&mut json);
        prompt
    }

    /// How many tokens they are.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let around = match self.messages {
            0 => 0,
            messages => (messages + 1).saturating_mul(PER_MESSAGE),
        };
        tokens(&self.text) + self.ids + around
    }

    /// The texts, each on a line of its own.
    pub(super) fn text(&self) -> &str {
        self.text.as_str()
    }

    /// Bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        self.text.as_str().len()
    }

    fn push(&mut self, text: &str) {
        // A text's end ends a token.
        if !self.text.is_empty() {
            self.text.push("\n");
        }
        self.text.push(text);
    }
}

/// Which strings below a place are text for the model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// Those whose key says so.
    Keyed,
    /// Strings right here and in arrays.
    Here,
    /// The same, or all of an object: the arguments of a call.
    Input,
    /// The conversation: its elements are messages.
    Messages,
    /// All, keys included: what describes a tool.
    All,
}

impl Take {
    /// What stands under `key`, in any provider's format. Base64, URLs, ids and settings are no text.
    fn under(key: &str) -> Take {
        match key {
            "content" | "text" | "prompt" | "suffix" | "inputs" | "texts" | "system"
            | "instructions" | "preamble" | "message" | "arguments" | "thinking"
            | "reasoning_content" | "refusal" | "output" => Take::Here,
            "input" => Take::Input,
            "messages" | "contents" | "chat_history" => Take::Messages,
            "tools" | "functions" | "toolConfig" | "response_format" => Take::All,
            _ => Take::Keyed,
        }
    }
}

struct Walk<'a> {
    prompt: &'a mut Prompt,
    take: Take,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if matches!(self.take, Take::Here | Take::Input | Take::All) {
            self.prompt.push(text);
        }
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        if matches!(self.take, Take::Here | Take::Input) {
            self.prompt.ids += 1;
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Walk { prompt, take } = self;
        let below = match take {
            Take::Messages => Take::Keyed,
            // A list of inputs holds messages.
            Take::Input => Take::Here,
            take => take,
        };
        while seq
            .next_element_seed(Walk {
                prompt: &mut *prompt,
                take: below,
            })?
            .is_some()
        {
            if take == Take::Messages {
                prompt.messages += 1;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk { prompt, take } = self;
        let take = if take == Take::Input { Take::All } else { take };
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if take == Take::All {
                prompt.push(&key);
            } else if matches!(&*key, "data" | "url" | "image_url" | "file_data") {
                // By far the largest values of a request, and none of them text.
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let below = if take == Take::All {
                Take::All
            } else {
                Take::under(&key)
            };
            map.next_value_seed(Walk {
                prompt: &mut *prompt,
                take: below,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::kept::MOST;

    fn collected(body: &str) -> String {
        Prompt::of(body.as_bytes()).text.as_str().to_owned()
    }

    #[test]
    fn texts_of_every_format_are_found_and_nothing_else() {
        for (body, expected) in [
            (
                r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text"}]}]}"#,
                "a\nb",
            ),
            (r#"{"prompt":["a","b"],"suffix":"c"}"#, "a\nb\nc"),
            (r#"{"input":"a"}"#, "a"),
            (
                r#"{"system":[{"type":"text","text":"s"}],"messages":[{"content":[{"type":"thinking","thinking":"t","signature":"x"}]}]}"#,
                "s\nt",
            ),
            (
                r#"{"messages":[{"content":[{"type":"tool_use","id":"x","name":"f","input":{"city":"Rome"}}]}]}"#,
                "city\nRome",
            ),
            (
                r#"{"contents":[{"parts":[{"text":"g"},{"inlineData":{"data":"AAAA"}}]}]}"#,
                "g",
            ),
            (r#"{"messages":[{"content":[{"text":"b"}]}]}"#, "b"),
            (
                r#"{"message":"now","chat_history":[{"message":"then"}]}"#,
                "now\nthen",
            ),
        ] {
            assert_eq!(collected(body), expected, "{body}");
        }
        assert_eq!(
            collected(r#"{"tools":[{"function":{"name":"f"}}]}"#),
            "function\nname\nf"
        );
    }

    #[test]
    fn a_broken_body_gives_what_came_before() {
        assert_eq!(
            collected(r#"{"messages":[{"content":"a"},{"content":"b"#),
            "a"
        );
        assert_eq!(collected("no JSON"), "");
    }

    #[test]
    fn ten_apples() {
        let body = br#"{"messages":[{"role":"user","content":"apple apple apple apple apple apple apple apple apple apple"}]}"#;
        assert_eq!(Prompt::of(body).tokens(), 10 + 2 * PER_MESSAGE);
        assert_eq!(Prompt::of(br#"{"input":[[1,2,3],[4]]}"#).tokens(), 4);
    }

    #[test]
    fn a_cut_text_counts_in_proportion() {
        let mut text = Text::default();
        for _ in 0..MOST / 2 {
            text.push("apple ");
        }
        let (estimate, words) = (tokens(&text) as f64, (MOST / 2) as f64);
        assert!(
            (estimate / words - 1.0).abs() < 0.1,
            "{estimate} of {words}"
        );
    }
}
