//! What was said, in the words of the conventions' schemas
//! (<https://github.com/open-telemetry/semantic-conventions-genai/tree/main/model/gen-ai>): only where the environment asks for it.

use serde_json::{Map, Value, json};

use super::span::Span;
use crate::{
    exchange::{Exchange, LlmCall, Redactor, Saying, Stage},
    llm::{ChatRequest, Finish, Media, Message, Part, Role},
};

/// Fields of a body that hold the model's instructions apart from the conversation.
const APART: &[&str] = &[
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
    "preamble",
];

/// Puts on an exchange's span what was asked and answered.
pub(super) fn put(span: &mut Span, exchange: &Exchange, redactor: &Redactor) {
    let body = exchange
        .body(Stage::RequestTransformed)
        .or_else(|| exchange.body(Stage::Client));
    let reads = exchange
        .trace
        .as_ref()
        .and_then(|trace| trace.reads.clone());
    if let (Some(body), Some(reads)) = (body, reads)
        && let Some(chat) = reads.chat(&body)
    {
        asked(span, &chat, &body);
    }
    let answer = answer(exchange, redactor);
    if !answer.is_empty() {
        span.put("gen_ai.output.messages", Value::from(answer).to_string());
    }
}

fn asked(span: &mut Span, chat: &ChatRequest, body: &[u8]) {
    let json: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let apart = json.is_some_and(|json| APART.iter().any(|field| json.contains_key(*field)));
    let leading = chat.messages.iter();
    let leading = leading.take_while(|message| apart && message.role == Role::System);
    let leading = leading.count();
    let (instructions, messages) = chat.messages.split_at(leading.min(chat.messages.len()));
    let instructions: Vec<Value> = instructions
        .iter()
        .flat_map(|message| message.parts.iter().filter_map(part))
        .collect();
    if !instructions.is_empty() {
        span.put(
            "gen_ai.system_instructions",
            Value::from(instructions).to_string(),
        );
    }
    let messages: Vec<Value> = messages.iter().map(message).collect();
    span.put("gen_ai.input.messages", Value::from(messages).to_string());
    if !chat.tools.is_empty() {
        let tools = chat.tools.iter();
        let tools = tools.map(|tool| {
            let description = tool.description.as_deref().unwrap_or_default();
            json!({"type": "function", "name": tool.name, "description": description})
        });
        let tools: Value = tools.collect();
        span.put("gen_ai.tool.definitions", tools.to_string());
    }
}

fn message(message: &Message) -> Value {
    let results = |part: &Part| matches!(part, Part::ToolResult { .. });
    let role = match message.role {
        Role::System => "system",
        Role::User if !message.parts.is_empty() && message.parts.iter().all(results) => "tool",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let parts: Vec<Value> = message.parts.iter().filter_map(part).collect();
    let mut json = json!({"role": role, "parts": parts});
    if let (Some(name), Value::Object(fields)) = (&message.name, &mut json) {
        fields.insert("name".into(), name.as_str().into());
    }
    json
}

fn part(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({"type": "text", "content": text}),
        Part::Refusal(text) => json!({"type": "refusal", "content": text}),
        Part::Image { source, .. } => media(source, "image"),
        Part::File { source, .. } => media(source, "document"),
        Part::Audio { data, format } => json!({
            "type": "blob",
            "modality": "audio",
            "mime_type": format!("audio/{format}"),
            "content": data,
        }),
        Part::Thinking { text, .. } => json!({"type": "reasoning", "content": text}),
        Part::ToolCall {
            id,
            name,
            arguments,
            ..
        } => call(id, name, arguments),
        Part::ToolResult { id, parts, .. } => {
            let response = match &parts[..] {
                [Part::Text(text)] => parsed(text),
                parts => parts.iter().filter_map(self::part).collect(),
            };
            json!({"type": "tool_call_response", "id": id, "response": response})
        }
        // What only the provider can read says nothing here.
        Part::Redacted(_) => return None,
        Part::Opaque { json, .. } => {
            let json: Value = serde_json::from_str(json.get()).ok()?;
            json.get("type").is_some().then_some(json)?
        }
    })
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "tool_call", "id": id, "name": name, "arguments": parsed(arguments)})
}

/// JSON as what it is, anything else as text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn media(source: &Media, modality: &str) -> Value {
    match source {
        Media::Url(url) => json!({"type": "uri", "modality": modality, "uri": url}),
        Media::Id(id) => json!({"type": "file", "modality": modality, "file_id": id}),
        Media::Base64 { media_type, data } => json!({
            "type": "blob",
            "modality": modality,
            "mime_type": media_type,
            "content": data,
        }),
    }
}

/// Of each choice that was begun why it ended, in order; `error` of one that did not.
pub(super) fn finishes(exchange: &Exchange) -> Vec<String> {
    let spoken = exchange.spoken();
    let mut choices: Vec<(u32, &'static str)> = Vec::new();
    let mut set = |choice: u32, why: Option<&'static str>| match choices
        .iter_mut()
        .find(|(known, _)| *known == choice)
    {
        Some((_, old)) => *old = why.unwrap_or(old),
        None => choices.push((choice, why.unwrap_or("error"))),
    };
    for opened in spoken.parts() {
        set(opened.choice, None);
    }
    for spoke in spoken.events() {
        if let Saying::Finish(finish) = spoke.what {
            set(spoke.part, Some(reason(finish)));
        }
    }
    choices.sort_by_key(|(choice, _)| *choice);
    choices.into_iter().map(|(_, why)| why.to_owned()).collect()
}

/// The conventions' words.
fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_call",
        Finish::ContentFilter => "content_filter",
        Finish::Other => "other",
    }
}

/// The answer: a message for each choice.
fn answer(exchange: &Exchange, redactor: &Redactor) -> Vec<Value> {
    let spoken = exchange.spoken();
    let mut texts = vec![String::new(); spoken.parts().len()];
    for spoke in spoken.events() {
        if matches!(spoke.what, Saying::Finish(_) | Saying::Usage) {
            continue;
        }
        let mut opened = spoken.parts().iter();
        let index = opened.rposition(|opened| opened.part == spoke.part);
        if let Some(text) = index.and_then(|index| texts.get_mut(index)) {
            text.push_str(spoke.text);
        }
    }
    if spoken.is_cut() {
        // A secret may have been cut as well: its beginning is hidden here, whole ones are later.
        for text in &mut texts {
            *text = redactor.redact_cut(text).into_owned();
        }
    }
    let mut choices: Vec<u32> = spoken.parts().iter().map(|part| part.choice).collect();
    choices.sort_unstable();
    choices.dedup();
    let finishes = finishes(exchange);
    choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let parts = spoken.parts().iter().zip(&texts);
            let parts = parts.filter(|(opened, _)| opened.choice == *choice);
            let parts: Vec<Value> = parts
                .map(|(opened, text)| match (&opened.tool, opened.kind) {
                    (Some((id, name)), _) => call(id, name, text),
                    (None, "thinking") => json!({"type": "reasoning", "content": text}),
                    (None, kind) => json!({"type": kind, "content": text}),
                })
                .collect();
            let finish = finishes.get(index).map_or("error", String::as_str);
            json!({"role": "assistant", "parts": parts, "finish_reason": finish})
        })
        .collect()
}

/// Puts on the span of a transformer's call what it was asked and what it answered.
pub(super) fn put_call(span: &mut Span, call: &LlmCall) {
    let asked = call.trace.as_ref().map(|trace| &trace.asked);
    let asked = asked.and_then(|asked| serde_json::from_slice::<Value>(asked).ok());
    if let Some(Value::Array(messages)) = asked.as_ref().and_then(|asked| asked.get("messages")) {
        let messages = messages.iter().map(|message| {
            let parts = json!([{"type": "text", "content": message.get("content")}]);
            json!({"role": message.get("role"), "parts": parts})
        });
        let messages: Value = messages.collect();
        span.put("gen_ai.input.messages", messages.to_string());
    }
    if let Some(answer) = &call.answer {
        let parts = json!([{"type": "text", "content": answer}]);
        let answer = json!([{"role": "assistant", "parts": parts, "finish_reason": "stop"}]);
        span.put("gen_ai.output.messages", answer.to_string());
    }
}
