//! Whole answers: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax>.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{citations, finish, input, request::decode_content, stop_reason, stopped};
use crate::{
    dialect::{
        Error, put,
        text::{Text, count},
    },
    llm::{ChatResponse, Choice, Extra, Finish, Format, Part, Usage as Counts},
};

/// What an answer or its end tells beside what all models have.
pub(super) const MODEL_FIELDS: &str = "additionalModelResponseFields";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    output: Option<Output>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    additional_model_response_fields: Option<Value>,
    usage: Option<Usage>,
    trace: Option<Value>,
}

#[derive(Deserialize)]
struct Output {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Cited<'a> {
    #[serde(borrow)]
    content: Option<Vec<Piece<'a>>>,
    #[serde(borrow)]
    citations: Option<Vec<citations::Citation<'a>>>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

/// `usage`, whole or streamed: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    #[serde(default, deserialize_with = "count")]
    input_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    output_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: u64,
    #[serde(default, deserialize_with = "count")]
    cache_write_input_tokens: u64,
}

impl Usage {
    /// The counts, if there are any. Input does not include what came from or went into the cache (TRAPS 1.14).
    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_write_input_tokens,
            ..Counts::default()
        };
        (counts.total() > 0).then_some(counts)
    }
}

/// Writes `usage`.
pub(super) fn usage_json(usage: Counts) -> Value {
    let mut json = json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.total(),
    });
    if usage.cache_read > 0 {
        put(&mut json, "cacheReadInputTokens", usage.cache_read);
    }
    if usage.cache_write > 0 {
        put(&mut json, "cacheWriteInputTokens", usage.cache_write);
    }
    json
}

/// Length of a text in characters.
pub(super) fn length(text: &str) -> u64 {
    text.chars().count() as u64
}

/// Reads an answer. The wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let response: Response<'_> = crate::dialect::text::json(body)?;
    let Some(message) = response.output.and_then(|output| output.message) else {
        return Err(Error::Malformed(
            "no generation candidates received from Bedrock, or max_tokens too short".into(),
        ));
    };
    let mut choice = Choice {
        finish: response.stop_reason.filled().map(|reason| finish(&reason)),
        stopped: stopped(response.additional_model_response_fields.as_ref()).map(str::to_owned),
        ..Choice::default()
    };
    let mut at = 0;
    for block in message.content.into_iter().flatten() {
        if let Some(cited) = block.get("citationsContent") {
            let cited = Cited::deserialize(cited)?;
            let pieces = cited.content.into_iter().flatten();
            let text: String = pieces.map(|piece| piece.text.or_empty()).collect();
            let end = at + length(&text);
            for citation in cited.citations.into_iter().flatten() {
                choice.citations.push(citation.at(at, end));
            }
            at = end;
            if !text.is_empty() {
                choice.parts.push(Part::Text(text));
            }
            continue;
        }
        for part in decode_content(&[block]) {
            match &part {
                Part::Text(text) if text.is_empty() => continue,
                Part::Text(text) => at += length(text),
                _ => {}
            }
            choice.parts.push(part);
        }
    }
    let trace = response.trace.filter(|trace| !trace.is_null());
    Ok(ChatResponse {
        choices: vec![choice],
        usage: response.usage.and_then(|usage| usage.counts()),
        extra: trace.map(|trace| Extra {
            from: Format::Bedrock,
            fields: Map::from_iter([("trace".to_owned(), trace)]),
        }),
        ..ChatResponse::default()
    })
}

/// Writes an answer; the format has room for one.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choice = response.choices.first();
    let finish = choice.and_then(|choice| choice.finish);
    let stopped = choice.and_then(|choice| choice.stopped.as_deref());
    let mut json = json!({
        "output": {"message": {"role": "assistant", "content": choice.map(content).unwrap_or_default()}},
        "stopReason": stop_reason(finish.unwrap_or(Finish::Stop), stopped.is_some()),
        "usage": usage_json(response.usage.unwrap_or_default()),
        "metrics": {"latencyMs": 0},
    });
    if let Some(sequence) = stopped {
        put(&mut json, MODEL_FIELDS, json!({"stop_sequence": sequence}));
    }
    json.to_string().into_bytes()
}

fn content(choice: &Choice) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut at = 0;
    let last = choice
        .parts
        .iter()
        .rposition(|part| matches!(part, Part::Text(_)));
    for (index, part) in choice.parts.iter().enumerate() {
        let Part::Text(text) = part else {
            blocks.extend(block(part));
            continue;
        };
        let end = at + length(text);
        // A citation belongs to the text in which its statement begins; one that tells no place, to the last.
        let cited: Vec<Value> = choice
            .citations
            .iter()
            .filter(|citation| match citation.start {
                Some(start) => start >= at && start < end,
                None => Some(index) == last,
            })
            .map(citations::encode)
            .collect();
        at = end;
        blocks.push(if cited.is_empty() {
            json!({"text": text})
        } else {
            json!({"citationsContent": {"content": [{"text": text}], "citations": cited}})
        });
    }
    blocks
}

fn block(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) | Part::Refusal(text) => json!({"text": text}),
        Part::Thinking { text, signature } => {
            let mut reasoning = json!({"text": text});
            if let Some(signature) = signature {
                put(&mut reasoning, "signature", signature.clone());
            }
            json!({"reasoningContent": {"reasoningText": reasoning}})
        }
        Part::Redacted(data) => json!({"reasoningContent": {"redactedContent": data}}),
        Part::ToolCall {
            id,
            name,
            arguments,
            ..
        } => json!({"toolUse": {"toolUseId": id, "name": name, "input": input(arguments)}}),
        Part::Opaque {
            from: Format::Bedrock,
            json,
        } => serde_json::from_str(json.get()).ok()?,
        _ => return None,
    })
}
