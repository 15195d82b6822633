//! Whole answers and errors.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{
    blocks::{Block, input},
    error_type, finish, stop_reason,
};
use crate::{
    dialect::{
        Error, Fault, openai_chat, put,
        text::{Text, count},
    },
    llm::{ChatResponse, Choice, Citation, Format, Part, Usage as Counts},
};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    #[serde(borrow, default)]
    stop_sequence: Text<'a>,
    usage: Option<Usage>,
}

/// A content block of an answer, or the beginning of one in a stream.
#[derive(Default, Deserialize)]
pub(super) struct WireBlock<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) data: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

/// `usage`; the prompt's count leaves cached tokens out (TRAPS 1.14).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Usage {
    #[serde(default, deserialize_with = "count")]
    input_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    cache_creation_input_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    output_tokens: u64,
    output_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Details {
    #[serde(default, deserialize_with = "count")]
    thinking_tokens: u64,
}

impl Usage {
    /// Puts these counts in place of the last ones. They are totals (TRAPS 1.4), and one that is absent says nothing new.
    pub(super) fn replace(self, counts: &mut Counts) {
        let details = self.output_tokens_details.map(|all| all.thinking_tokens);
        for (new, old) in [
            (self.input_tokens, &mut counts.input),
            (self.cache_read_input_tokens, &mut counts.cache_read),
            (self.cache_creation_input_tokens, &mut counts.cache_write),
            (self.output_tokens, &mut counts.output),
            (details.unwrap_or_default(), &mut counts.reasoning),
        ] {
            if new > 0 {
                *old = new;
            }
        }
    }
}

impl From<Usage> for Counts {
    fn from(usage: Usage) -> Counts {
        let mut counts = Counts::default();
        usage.replace(&mut counts);
        counts
    }
}

/// Writes `usage`.
pub(super) fn usage_json(usage: Counts) -> Value {
    let mut json = json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    });
    if usage.reasoning > 0 {
        let details = json!({"thinking_tokens": usage.reasoning});
        put(&mut json, "output_tokens_details", details);
    }
    json
}

/// A citation of any kind: <https://platform.claude.com/docs/en/build-with-claude/citations>.
#[derive(Deserialize)]
pub(super) struct WireCitation<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    document_title: Text<'a>,
    #[serde(borrow, default)]
    cited_text: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    document_index: Option<u64>,
}

impl WireCitation<'_> {
    /// The citation; where in the answer it stands is not in it.
    pub(super) fn citation(self) -> Citation {
        let own = |text: Text<'_>| text.filled().map(Cow::into_owned);
        Citation {
            url: own(self.url),
            title: own(self.title).or(own(self.document_title)),
            cited_text: own(self.cited_text),
            start: None,
            end: None,
            source: own(self.source).or(self.document_index.map(|index| index.to_string())),
        }
    }
}

/// Writes a citation, as the kind that says most of it.
pub(super) fn citation_json(citation: &Citation) -> Value {
    let (title, text) = (&citation.title, &citation.cited_text);
    let index = citation
        .source
        .as_deref()
        .map(|source| source.parse::<u64>().map_err(|_| source));
    match (&citation.url, index) {
        (Some(url), _) => json!({"type": "web_search_result_location", "url": url, "title": title,
            "cited_text": text.as_deref().unwrap_or_default(), "encrypted_index": ""}),
        (None, Some(Err(source))) => {
            json!({"type": "search_result_location", "source": source, "title": title,
            "cited_text": text.as_deref().unwrap_or_default(), "search_result_index": 0,
            "start_block_index": 0, "end_block_index": 0})
        }
        (None, index) => {
            let index = index.and_then(Result::ok).unwrap_or_default();
            json!({"type": "char_location", "document_index": index, "document_title": title,
                "cited_text": text.as_deref().unwrap_or_default(), "start_char_index": 0, "end_char_index": 0})
        }
    }
}

/// Reads an answer. The wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let message: Message<'_> = crate::dialect::text::json(body)?;
    let blocks: Vec<&RawValue> = message
        .content
        .and_then(|content| serde_json::from_str(content.get()).ok())
        .ok_or_else(|| {
            Error::Malformed("'content' not in anthropic://llm/v1/chat response".into())
        })?;
    let mut choice = Choice {
        finish: message.stop_reason.filled().map(|reason| finish(&reason)),
        stopped: message.stop_sequence.filled().map(Cow::into_owned),
        ..Choice::default()
    };
    let mut said = 0;
    for raw in blocks {
        block(raw, &mut choice, &mut said);
    }
    Ok(ChatResponse {
        id: message.id.or_empty().into_owned(),
        model: message.model.or_empty().into_owned(),
        choices: vec![choice],
        usage: message.usage.map(Into::into),
        ..ChatResponse::default()
    })
}

fn block(raw: &RawValue, choice: &mut Choice, said: &mut u64) {
    let wire: WireBlock<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let own = |text: Text<'_>| text.or_empty().into_owned();
    choice.parts.push(match wire.kind.0.as_deref() {
        Some("text") => {
            let text = own(wire.text);
            let start = *said;
            *said += text.chars().count() as u64;
            let citations: Vec<WireCitation<'_>> = wire
                .citations
                .and_then(|citations| serde_json::from_str(citations.get()).ok())
                .unwrap_or_default();
            choice
                .citations
                .extend(citations.into_iter().map(|citation| Citation {
                    start: Some(start),
                    end: Some(*said),
                    ..citation.citation()
                }));
            if text.is_empty() {
                return;
            }
            Part::Text(text)
        }
        Some("thinking") => Part::Thinking {
            text: own(wire.thinking),
            signature: wire.signature.filled().map(Cow::into_owned),
        },
        Some("redacted_thinking") => Part::Redacted(own(wire.data)),
        Some("tool_use") => Part::ToolCall {
            id: own(wire.id),
            name: own(wire.name),
            arguments: arguments(wire.input),
            signature: None,
        },
        // A server's tool and what came of it.
        _ => Part::Opaque {
            from: Format::Anthropic,
            json: raw.to_owned(),
        },
    });
}

/// The text of a call's input.
pub(super) fn arguments(input: Option<&RawValue>) -> String {
    match input.map(RawValue::get) {
        None | Some("null" | "\"\"") => "{}".into(),
        Some(text) => text.to_owned(),
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    usage: Value,
}

/// Writes an answer; the format has room for one choice.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let nothing = Choice::default();
    let choice = response.choices.first().unwrap_or(&nothing);
    let refused = choice
        .parts
        .iter()
        .any(|part| matches!(part, Part::Refusal(_)));
    let answer = Answer {
        id: &response.id,
        kind: "message",
        role: "assistant",
        model: &response.model,
        content: content(choice),
        stop_reason: choice
            .finish
            .map(|finish| stop_reason(finish, refused, choice.stopped.is_some())),
        stop_sequence: choice.stopped.as_deref(),
        usage: usage_json(response.usage.unwrap_or_default()),
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn content(choice: &Choice) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut said = 0;
    let mut left: Vec<&Citation> = choice.citations.iter().collect();
    for part in &choice.parts {
        blocks.push(match part {
            Part::Text(text) | Part::Refusal(text) => {
                said += text.chars().count() as u64;
                let (here, later) = left
                    .into_iter()
                    .partition(|citation| citation.start.is_some_and(|start| start < said));
                left = later;
                let here: Vec<&Citation> = here;
                Block::Text {
                    text: Cow::Borrowed(text),
                    citations: here.into_iter().map(citation_json).collect(),
                }
            }
            Part::Thinking { text, signature } => Block::Thinking {
                thinking: text,
                signature: signature.as_deref().unwrap_or_default(),
            },
            Part::Redacted(data) => Block::RedactedThinking { data },
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => Block::ToolUse {
                // Results need an id to refer to.
                id: if id.is_empty() {
                    format!("toolu_{}", blocks.len())
                } else {
                    id.clone()
                },
                name: name.clone(),
                input: input(arguments),
            },
            Part::Opaque {
                from: Format::Anthropic,
                json,
            } => Block::Raw(json),
            _ => continue,
        });
    }
    let last = blocks.iter_mut().rev().find_map(|block| match block {
        Block::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let Some(last) = last {
        last.extend(left.into_iter().map(citation_json));
    }
    blocks
}

/// Reads `{"type": "error", "error": {"type", "message"}, "request_id"}`.
pub(in crate::dialect) fn decode_error(status: u16, body: &Bytes) -> Fault {
    let mut fault = openai_chat::decode_error(status, body);
    // Its shape is close to OpenAI's, but it is another.
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        fault.provider = Some(json.to_string());
        fault.verbatim = None;
    }
    fault
}

/// Writes an error. One that came in this shape keeps its fields.
pub(in crate::dialect) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let provider = fault
        .provider
        .as_deref()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
    if let Some(provider) = &provider
        && provider.get("type").is_some_and(|kind| kind == "error")
        && provider
            .pointer("/error/message")
            .is_some_and(Value::is_string)
    {
        return provider.to_string().into_bytes();
    }
    let mut error = json!({
        "type": error_type(&fault.kind, Some(fault.status)),
        "message": fault.message,
    });
    if let Some(provider) = provider {
        put(&mut error, "provider", provider);
    }
    let mut json = json!({"type": "error", "error": error});
    if let Some(id) = &fault.request_id {
        put(&mut json, "request_id", id.as_str());
    }
    json.to_string().into_bytes()
}
