//! Whole answers of the usual form, read by looking for what ends their strings.
//!
//! serde takes every value through a dozen calls, which for an answer that only goes through was a sixth of all its work. Of what is read here,
//! all is as serde would have read it; whatever has more to it than text is left to serde.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    dialect::{
        openai_chat::wire::{Answer, Choice, Content, Message},
        text::Text,
    },
    wire::scan::Scan,
};

/// An answer without tools, sources and errors; `None` for all others.
pub(super) fn answer(text: &str) -> Option<Answer<'_>> {
    let mut answer = Answer::default();
    let mut seen = Seen::default();
    let mut scan = Scan::of(text);
    scan.object(|name, scan| {
        match name {
            "id" => answer.id = seen.once(0, scan).and_then(string)?,
            "object" => answer.object = seen.once(1, scan).and_then(string)?,
            "model" => answer.model = seen.once(2, scan).and_then(string)?,
            "created" => answer.created = seen.once(3, scan)?.parse().ok()?,
            "system_fingerprint" => {
                answer.system_fingerprint = seen.once(4, scan).and_then(string)?;
            }
            "usage" => answer.usage = seen.once(5, scan).and_then(read)?,
            "choices" => {
                seen.first(6)?;
                answer.choices = Some(choices(scan)?);
            }
            "error" | "message" | "detail" | "x_groq" | "search_results" | "citations" => {
                return None;
            }
            _ => drop(scan.value()?),
        }
        Some(())
    })?;
    scan.end()?;
    Some(answer)
}

fn choices<'t>(scan: &mut Scan<'t>) -> Option<Vec<Choice<'t>>> {
    let mut choices = Vec::with_capacity(1);
    scan.list(|scan| {
        let mut choice = Choice::default();
        let mut seen = Seen::default();
        scan.object(|name, scan| {
            match name {
                "index" => choice.index = seen.once(0, scan)?.parse().ok()?,
                "finish_reason" => choice.finish_reason = seen.once(1, scan).and_then(string)?,
                "text" => choice.text = seen.once(2, scan).and_then(string)?,
                "message" => {
                    seen.first(3)?;
                    choice.message = Some(message(scan)?);
                }
                "logprobs" => nothing(seen.once(4, scan)?)?,
                "stop_reason" => nothing(seen.once(5, scan)?)?,
                "delta" | "matched_stop" | "error" => return None,
                _ => drop(scan.value()?),
            }
            Some(())
        })?;
        choices.push(choice);
        Some(())
    })?;
    Some(choices)
}

fn message<'t>(scan: &mut Scan<'t>) -> Option<Message<'t>> {
    let mut message = Message::default();
    let mut seen = Seen::default();
    scan.object(|name, scan| {
        match name {
            "content" => {
                let Text(text) = seen.once(0, scan).and_then(string)?;
                message.content = text.map_or(Content::None, Content::Text);
            }
            "refusal" => message.refusal = seen.once(1, scan).and_then(string)?,
            "reasoning_content" => {
                message.reasoning_content = seen.once(2, scan).and_then(string)?;
            }
            "reasoning" => message.reasoning = seen.once(3, scan).and_then(string)?,
            "annotations" => message.annotations = seen.once(4, scan).and_then(read)?,
            "tool_calls" => nothing(seen.once(5, scan)?)?,
            "function_call" => nothing(seen.once(6, scan)?)?,
            "thinking_blocks" => return None,
            _ => drop(scan.value()?),
        }
        Some(())
    })?;
    Some(message)
}

/// Fields that were there. Of one that comes twice, serde has an error to tell.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    fn first(&mut self, field: u8) -> Option<()> {
        let bit = 1 << field;
        let before = self.0;
        self.0 |= bit;
        (before & bit == 0).then_some(())
    }

    fn once<'t>(&mut self, field: u8, scan: &mut Scan<'t>) -> Option<&'t str> {
        self.first(field)?;
        scan.value()
    }
}

/// A string, or `null`.
fn string(value: &str) -> Option<Text<'_>> {
    if value == "null" {
        return Some(Text(None));
    }
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return read(value);
    }
    Some(Text(Some(Cow::Borrowed(inside))))
}

fn read<'t, T: Deserialize<'t>>(value: &'t str) -> Option<T> {
    serde_json::from_str(value).ok()
}

fn nothing(value: &str) -> Option<()> {
    (value == "null").then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that an answer holds.
    fn told(answer: &Answer<'_>) -> String {
        let choices = answer.choices.as_ref().map(|choices| {
            let told = choices.iter().map(|choice| {
                let message = |message: &Message<'_>| {
                    let calls = (
                        message.tool_calls.is_some(),
                        message.function_call.is_some(),
                    );
                    format!(
                        "{:?} {:?} {:?} {:?} {:?} {:?} {calls:?}",
                        message.content,
                        message.refusal,
                        message.reasoning_content,
                        message.reasoning,
                        message.thinking_blocks,
                        message.annotations,
                    )
                };
                format!(
                    "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                    choice.index,
                    choice.message.as_ref().map(message),
                    choice.delta.as_ref().map(message),
                    choice.text,
                    choice.logprobs,
                    choice.finish_reason,
                    choice.stop_reason,
                    choice.matched_stop,
                    choice.error,
                )
            });
            told.collect::<Vec<_>>()
        });
        format!(
            "{:?} {:?} {:?} {} {:?} {choices:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
            answer.id,
            answer.object,
            answer.model,
            answer.created,
            answer.system_fingerprint,
            answer.usage,
            answer.error,
            answer.message,
            answer.detail,
            answer.x_groq.is_some(),
            answer.search_results,
            answer.citations,
        )
    }

    #[test]
    fn what_is_usual_is_taken() {
        for text in [
            // As OpenAI documents it: <https://platform.openai.com/docs/api-reference/chat/object>.
            r#"{
              "id": "chatcmpl-1", "object": "chat.completion", "created": 1741570283, "model": "gpt-4o-2024-08-06",
              "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi,\n\"you\".", "refusal": null, "annotations": []},
                "logprobs": null, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 1117, "completion_tokens": 46, "total_tokens": 1163,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}},
              "service_tier": "default", "system_fingerprint": "fp_fc9f1d7035"
            }"#,
            // A completion: <https://platform.openai.com/docs/api-reference/completions/object>.
            r#"{"id":"cmpl-1","object":"text_completion","created":1589478378,"model":"m","choices":[{"text":"x","index":0,"logprobs":null,
              "finish_reason":"length"},{"text":"","index":1,"logprobs":null,"finish_reason":null}],"usage":null}"#,
            // vLLM's: <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>.
            r#"{"id":"c","model":"m","created":1,"choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"So","content":null,
              "tool_calls":null,"function_call":null},"stop_reason":null,"finish_reason":"stop"}],"prompt_logprobs":null}"#,
            r#"{"choices":[]}"#,
        ] {
            let quick = answer(text).map(|answer| told(&answer));
            let slow = serde_json::from_str(text).map(|answer| told(&answer));
            assert_eq!(quick, Some(slow.unwrap()), "{text}");
        }
    }

    #[test]
    fn what_has_more_to_it_is_not() {
        for text in [
            "",
            "[]",
            r#"{"choices":null}"#,
            r#"{"choices":[]} x"#,
            r#"{"choices":[],"choices":[]}"#,
            r#"{"choices":[],"error":{"message":"x"}}"#,
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"x"}]}}]}"#,
            r#"{"choices":[{"message":{"content":"x","content":"y"}}]}"#,
            r#"{"choices":[{"message":{"tool_calls":[]}}]}"#,
            r#"{"choices":[{"message":null}]}"#,
            r#"{"choices":[{"logprobs":{"content":[]}}]}"#,
            r#"{"created":-1}"#,
            r#"{"created":"now"}"#,
            r#"{"model":"\ud800"}"#,
        ] {
            assert!(answer(text).is_none(), "{text}");
        }
    }

    /// A value: what fields hold, and what none should.
    fn value() -> impl Strategy<Value = String> {
        let plain = prop::sample::select(vec![
            "null",
            "true",
            "0",
            "7",
            "1.5",
            "-1",
            "1e400",
            "18446744073709551616",
            "\"\"",
            "\"a\"",
            "\"é\\n\\u00e9\"",
            "\"\\ud800\"",
            "\"\n\"",
            "[]",
            "{}",
            "[{}]",
            "x",
        ])
        .prop_map(str::to_owned);
        let usage = prop::sample::select(vec![
            r#"{"prompt_tokens":3,"completion_tokens":null,"prompt_tokens_details":{"cached_tokens":1}}"#,
            r#"{"prompt_tokens":1,"prompt_tokens":2}"#,
        ])
        .prop_map(str::to_owned);
        prop_oneof![8 => plain, 1 => usage]
    }

    fn object(
        names: Vec<&'static str>,
        inner: impl Strategy<Value = String>,
    ) -> impl Strategy<Value = String> {
        let field = (prop::sample::select(names), inner);
        prop::collection::vec(field, 0..5).prop_map(|fields| {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("\"{name}\" : {value}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        })
    }

    fn answers() -> impl Strategy<Value = String> {
        let message = object(
            vec![
                "role",
                "content",
                "refusal",
                "reasoning_content",
                "reasoning",
                "annotations",
                "tool_calls",
                "function_call",
                "thinking_blocks",
                "other",
                "cont\\u0065nt",
            ],
            value(),
        );
        let choice = object(
            vec![
                "index",
                "message",
                "text",
                "finish_reason",
                "logprobs",
                "stop_reason",
                "delta",
                "matched_stop",
                "error",
                "other",
            ],
            prop_oneof![2 => value(), 1 => message],
        );
        let choices =
            prop::collection::vec(choice, 0..3).prop_map(|all| format!("[{}]", all.join(",")));
        object(
            vec![
                "id",
                "object",
                "model",
                "created",
                "system_fingerprint",
                "usage",
                "choices",
                "choices",
                "error",
                "message",
                "detail",
                "x_groq",
                "search_results",
                "citations",
                "other",
            ],
            prop_oneof![2 => value(), 1 => choices],
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_taken_is_what_serde_takes(text in answers()) {
            if let Some(quick) = answer(&text) {
                let slow: serde_json::Result<Answer<'_>> = serde_json::from_str(&text);
                prop_assert!(slow.is_ok(), "{}", text);
                prop_assert_eq!(told(&quick), slow.map(|slow| told(&slow)).unwrap_or_default(), "{}", text);
            }
        }
    }
}
