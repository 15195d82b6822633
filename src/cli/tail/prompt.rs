//! What a request asks, for one line: read from any format, and from what only looks like one.

use serde_json::Value;

/// Characters that are read of a prompt: more than a line shows.
const MOST: usize = 400;

/// The text that the user said last, on one line; nothing if the body says none.
pub(super) fn of_body(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    // OpenAI, Anthropic, Bedrock, Ollama and Cohere; Gemini; OpenAI's responses.
    let turns = ["messages", "contents", "input"]
        .iter()
        .filter_map(|key| body.get(key)?.as_array())
        .find_map(|turns| last_turn(turns));
    let whole = || {
        [
            "prompt",
            "input",
            "message",
            "inputs",
            "inputText",
            "text",
            "texts",
            "content",
        ]
        .iter()
        .filter_map(|key| body.get(key))
        .map(text)
        .find(|text| !text.is_empty())
    };
    turns
        .or_else(whole)
        .map(|text| one_line(&text))
        .filter(|line| !line.is_empty())
}

/// A text on one line, as far as a line needs it.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut left = MOST;
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        let length = word.chars().count();
        line.extend(word.chars().take(left));
        if length >= left {
            line.push('…');
            break;
        }
        left -= length + 1;
    }
    line
}

/// What the user said last, among turns that name a speaker; a turn that holds results of tools alone says nothing.
fn last_turn(turns: &[Value]) -> Option<String> {
    let is_user = |turn: &&Value| {
        turn.get("role").is_none_or(|role| {
            role.as_str()
                .is_some_and(|role| role.eq_ignore_ascii_case("user"))
        })
    };
    turns
        .iter()
        .rev()
        .filter(|turn| turn.is_object())
        .filter(is_user)
        .filter_map(|turn| turn.get("content").or_else(|| turn.get("parts")))
        .map(text)
        .find(|text| !text.is_empty())
}

/// The texts in a value: itself, its `text`, or those of its items.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .map(text)
            .filter(|text| !text.is_empty())
            .take(8)
            .collect::<Vec<_>>()
            .join(" "),
        Value::Object(fields) => fields.get("text").map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_says_what_was_asked() {
        for (body, expected) in [
            (
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a\n b"}]}"#,
                Some("a b"),
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"x"}}]},{"role":"assistant","content":"no"}]}"#,
                Some("look"),
            ),
            (
                r#"{"messages":[{"role":"user","content":"what"},{"role":"user","content":[{"type":"tool_result","content":"5"}]}]}"#,
                Some("what"),
            ),
            (
                r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
                Some("hi"),
            ),
            (r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#, Some("hi")),
            (
                r#"{"messages":[{"role":"USER","content":[{"text":"hi"}]}]}"#,
                Some("hi"),
            ),
            (
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
                Some("hi"),
            ),
            (r#"{"input":["one","two"]}"#, Some("one two")),
            (r#"{"prompt":"p"}"#, Some("p")),
            (r#"{"message":"m","chat_history":[]}"#, Some("m")),
            (r#"{"messages":"odd"}"#, None),
            (r#"{"messages":[]}"#, None),
            ("[1", None),
            ("5", None),
        ] {
            assert_eq!(of_body(body).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn long_prompts_are_cut() {
        let line = one_line(&"word ".repeat(1000));
        assert!(line.chars().count() < 420 && line.ends_with('…'), "{line}");
        let line = one_line(&"x".repeat(1000));
        assert_eq!(line.chars().count(), 401);
    }
}
