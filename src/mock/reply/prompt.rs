//! What a request says: its texts, what they count, and what the user asked last.

use super::spoken;
use crate::{
    llm::{ChatRequest, Message, Part, Role},
    mock::words::{Hash, count},
};

/// A picture, sound or document counts as so many prompt tokens: OpenAI's price of a picture in low detail.
const ATTACHMENT_TOKENS: u64 = 85;

/// What the texts of a conversation say, and the request's own `seed`.
pub(super) fn seed(request: &ChatRequest) -> u64 {
    let mut hash = Hash::new();
    hash.add(&request.sampling.seed.unwrap_or_default().to_le_bytes());
    for message in &request.messages {
        hash.add(&[message.role as u8]);
        each_text(&message.parts, &mut |text| hash.add(text.as_bytes()));
    }
    hash.value()
}

/// Whether the conversation ends with a tool's result.
pub(super) fn answers_tools(request: &ChatRequest) -> bool {
    request.messages.last().is_some_and(|message| {
        message
            .parts
            .iter()
            .any(|part| matches!(part, Part::ToolResult { .. }))
    })
}

/// The texts of a message, tool calls and results included.
fn each_text(parts: &[Part], visit: &mut dyn FnMut(&str)) {
    for part in parts {
        match part {
            Part::ToolCall {
                name, arguments, ..
            } => {
                visit(name);
                visit(arguments);
            }
            Part::ToolResult { parts, .. } => each_text(parts, visit),
            _ => visit(spoken(part)),
        }
    }
}

/// The tokens of a prompt: messages, tools and attachments.
pub(super) fn prompt_tokens(request: &ChatRequest) -> u64 {
    let mut sum = 0;
    for message in &request.messages {
        each_text(&message.parts, &mut |text| sum += count(text));
        sum += message
            .parts
            .iter()
            .filter(|part| attachment(part).is_some())
            .count() as u64
            * ATTACHMENT_TOKENS;
    }
    for tool in &request.tools {
        sum += count(&tool.name);
        sum += tool.description.as_deref().map_or(0, count);
        sum += tool
            .parameters
            .as_deref()
            .map_or(0, |schema| count(schema.get()));
    }
    sum
}

fn attachment(part: &Part) -> Option<&'static str> {
    match part {
        Part::Image { .. } => Some("image"),
        Part::Audio { .. } => Some("recording"),
        Part::File { .. } => Some("file"),
        _ => None,
    }
}

/// `2 images and 1 file`: what the last user message holds beside text.
pub(super) fn attachments(request: &ChatRequest) -> Option<String> {
    let parts = &last_user(request)?.parts;
    let told: Vec<String> = ["image", "recording", "file"]
        .into_iter()
        .filter_map(|kind| {
            match parts
                .iter()
                .filter(|part| attachment(part) == Some(kind))
                .count()
            {
                0 => None,
                1 => Some(format!("1 {kind}")),
                many => Some(format!("{many} {kind}s")),
            }
        })
        .collect();
    (!told.is_empty()).then(|| told.join(" and "))
}

fn last_user(request: &ChatRequest) -> Option<&Message> {
    let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
    request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User && !message.parts.iter().any(is_result))
}

/// The text of the last user message.
pub(super) fn last_user_text(request: &ChatRequest) -> String {
    let parts = last_user(request)
        .map(|message| message.parts.as_slice())
        .unwrap_or_default();
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| {
            if let Part::Text(text) = part {
                Some(text.as_str())
            } else {
                None
            }
        })
        .collect();
    texts.join("\n")
}

/// What the user asked last. Agents put what they know before it, in tags of their own (`<system-reminder>`): unless there is nothing else,
/// that is left out.
pub(super) fn asked(request: &ChatRequest) -> String {
    let all = last_user_text(request);
    let mut own = all.as_str();
    while let Some(rest) = after_element(own.trim_start()) {
        own = rest;
    }
    match own.trim_start() {
        "" => all,
        own if own.len() == all.trim_start().len() => all,
        own => own.to_owned(),
    }
}

/// What follows `<name>...</name>`, if a text begins with it.
fn after_element(text: &str) -> Option<&str> {
    let (name, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let (_, rest) = rest.split_once(&format!("</{name}>"))?;
    Some(rest)
}

/// The tool results at the end of the conversation, in order.
pub(super) fn tool_results(request: &ChatRequest) -> Vec<String> {
    let mut results = Vec::new();
    for message in request.messages.iter().rev() {
        let before = results.len();
        for part in message.parts.iter().rev() {
            if let Part::ToolResult { parts, .. } = part {
                let mut all = String::new();
                each_text(parts, &mut |text| all.push_str(text));
                results.push(all);
            }
        }
        if results.len() == before {
            break;
        }
    }
    results.reverse();
    results
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::ask;
    use super::*;
    use crate::dialect::{Ingress, openai_chat::OpenAiChat};

    #[test]
    fn what_agents_put_before_a_prompt_is_left_out() {
        for (text, answer) in [
            (
                "<reminder>\nBe kind.\n</reminder>\n\n<env>x</env>Hello",
                "Hello",
            ),
            ("<b>Hello", "<b>Hello"),
            ("<env>x</env>", "<env>x</env>"),
            ("  Hello <b>you</b>", "  Hello <b>you</b>"),
        ] {
            let body = json!({"messages": [{"role": "user", "content": text}]});
            let request = OpenAiChat
                .decode_request(body.to_string().as_bytes())
                .unwrap();
            assert_eq!(asked(&request), answer, "{text}");
        }
    }

    #[test]
    fn attachments_are_seen_and_counted() {
        let url = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
        let body = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, url, url]}]});
        let response = ask("mock", body).unwrap();
        assert!(
            response.text().starts_with("I see 2 images. You asked"),
            "{}",
            response.text()
        );
        assert_eq!(response.usage.unwrap().input, 3 + 2 * ATTACHMENT_TOKENS);
    }
}
