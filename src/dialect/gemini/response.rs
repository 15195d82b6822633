//! Whole answers, and what whole answers and streams share.

use serde::Deserialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    citations::{self, CitationMetadata, GroundingMetadata},
    finish, finish_reason, ids, media, upgraded,
    wire::{self, OutContent, OutPart},
};
use crate::{
    dialect::{
        Error, put,
        text::{Text, count},
        time,
    },
    llm::{ChatResponse, Choice, Finish, Format, Logprob, Part, Usage},
};

/// `GenerateContentResponse`, which is also what each message of a stream is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    pub prompt_feedback: Option<Feedback<'a>>,
    pub usage_metadata: Option<UsageMetadata>,
    #[serde(borrow, default)]
    pub model_version: Text<'a>,
    #[serde(borrow, default)]
    pub response_id: Text<'a>,
    #[serde(borrow, default)]
    pub create_time: Text<'a>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether the prompt was refused: then there are no candidates (TRAPS 1.6).
    pub(super) fn is_blocked(&self) -> bool {
        let reason = self.prompt_feedback.as_ref().map(|f| &f.block_reason);
        let told = reason.and_then(|reason| reason.0.as_deref());
        told.is_some_and(|reason| !reason.is_empty())
            && self.candidates.as_ref().is_none_or(Vec::is_empty)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default, deserialize_with = "count")]
    pub index: u64,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow, default)]
    pub finish_reason: Text<'a>,
    #[serde(borrow)]
    pub citation_metadata: Option<CitationMetadata<'a>>,
    #[serde(borrow)]
    pub grounding_metadata: Option<GroundingMetadata<'a>>,
    #[serde(borrow)]
    pub logprobs_result: Option<LogprobsResult<'a>>,
}

impl Candidate<'_> {
    /// Why it ended, if it did.
    pub(super) fn finish(&self) -> Option<Finish> {
        finish(self.finish_reason.0.as_deref().unwrap_or_default())
    }
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub parts: Option<Vec<wire::Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogprobsResult<'a> {
    #[serde(borrow, default)]
    top_candidates: Vec<TopCandidates<'a>>,
    #[serde(borrow, default)]
    chosen_candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
struct TopCandidates<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
    #[serde(default)]
    log_probability: Option<f64>,
}

impl From<Token<'_>> for Logprob {
    fn from(token: Token<'_>) -> Logprob {
        Logprob {
            token: token.token.or_empty().into_owned(),
            logprob: token.log_probability.unwrap_or_default(),
            ..Logprob::default()
        }
    }
}

impl From<LogprobsResult<'_>> for Vec<Logprob> {
    fn from(result: LogprobsResult<'_>) -> Vec<Logprob> {
        let mut top = result.top_candidates.into_iter();
        let chosen = result.chosen_candidates.into_iter();
        chosen
            .map(|token| Logprob {
                top: top
                    .next()
                    .map(|top| top.candidates.into_iter().map(Into::into).collect())
                    .unwrap_or_default(),
                ..token.into()
            })
            .collect()
    }
}

/// <https://ai.google.dev/api/generate-content#UsageMetadata>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    #[serde(default, deserialize_with = "count")]
    prompt_token_count: u64,
    #[serde(default, deserialize_with = "count")]
    cached_content_token_count: u64,
    #[serde(default, deserialize_with = "count")]
    candidates_token_count: u64,
    #[serde(default, deserialize_with = "count")]
    thoughts_token_count: u64,
    #[serde(default, deserialize_with = "count")]
    tool_use_prompt_token_count: u64,
    #[serde(default)]
    prompt_tokens_details: Option<Vec<Details>>,
    #[serde(default)]
    candidates_tokens_details: Option<Vec<Details>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    modality: Option<String>,
    #[serde(default, deserialize_with = "count")]
    token_count: u64,
}

fn sound(details: Option<&Vec<Details>>) -> u64 {
    let details = details.into_iter().flatten();
    details
        .filter(|details| details.modality.as_deref() == Some("AUDIO"))
        .fold(0, |sum, details| sum.saturating_add(details.token_count))
}

impl From<&UsageMetadata> for Usage {
    fn from(usage: &UsageMetadata) -> Usage {
        // The prompt includes what came from the cache; thoughts are counted beside the candidates (TRAPS 1.5, 1.14).
        let cache_read = usage
            .cached_content_token_count
            .min(usage.prompt_token_count);
        let input = usage.prompt_token_count - cache_read;
        Usage {
            input: input.saturating_add(usage.tool_use_prompt_token_count),
            cache_read,
            output: usage
                .candidates_token_count
                .saturating_add(usage.thoughts_token_count),
            reasoning: usage.thoughts_token_count,
            input_audio: sound(usage.prompt_tokens_details.as_ref()),
            output_audio: sound(usage.candidates_tokens_details.as_ref()),
            ..Usage::default()
        }
    }
}

/// Writes `usageMetadata`.
pub(super) fn usage_json(usage: Usage) -> Value {
    let mut json = json!({
        "promptTokenCount": usage.prompt(),
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.total(),
    });
    if usage.cache_read > 0 {
        put(&mut json, "cachedContentTokenCount", usage.cache_read);
    }
    if usage.reasoning > 0 {
        put(&mut json, "thoughtsTokenCount", usage.reasoning);
    }
    let details = |all: u64, audio: u64| {
        json!([
            {"modality": "TEXT", "tokenCount": all.saturating_sub(audio)},
            {"modality": "AUDIO", "tokenCount": audio},
        ])
    };
    if usage.input_audio > 0 {
        let details = details(usage.prompt(), usage.input_audio);
        put(&mut json, "promptTokensDetails", details);
    }
    if usage.output_audio > 0 {
        let spoken = usage.output.saturating_sub(usage.reasoning);
        let details = details(spoken, usage.output_audio);
        put(&mut json, "candidatesTokensDetails", details);
    }
    json
}

/// Reads a whole answer. The wording is Kong's.
pub(super) fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let chunk: Chunk<'_> = crate::dialect::text::json(body)?;
    let blocked = chunk.is_blocked();
    let id = chunk.response_id.or_empty().into_owned();
    let mut choices: Vec<Choice> = Vec::new();
    for candidate in chunk.candidates.into_iter().flatten() {
        choices.push(choice(candidate, &id));
    }
    if choices.is_empty() {
        if !blocked {
            return Err(Error::Malformed(
                "no generation candidates received from Gemini, or max_tokens too short".into(),
            ));
        }
        choices.push(Choice {
            finish: Some(Finish::ContentFilter),
            ..Choice::default()
        });
    }
    Ok(ChatResponse {
        id,
        model: chunk.model_version.or_empty().into_owned(),
        created: chunk.create_time.filled().and_then(|t| time::seconds(&t)),
        fingerprint: None,
        choices,
        usage: chunk.usage_metadata.as_ref().map(Into::into),
        extra: None,
    })
}

fn choice(candidate: Candidate<'_>, response: &str) -> Choice {
    let finish = candidate.finish();
    let index = u32::try_from(candidate.index).unwrap_or(u32::MAX);
    let mut parts = Vec::new();
    let mut number = 0;
    let wires = candidate.content.and_then(|content| content.parts);
    for wire in wires.into_iter().flatten() {
        if let Some(call) = wire.function_call {
            number += 1;
            let name = call.name.clone().or_empty();
            let arguments = call.arguments();
            let id = match call.id.clone().filled() {
                Some(id) => id.into_owned(),
                None => ids::made(response, index, number, &name, arguments),
            };
            let signature = wire.thought_signature.filled();
            parts.push(Part::ToolCall {
                id: match &signature {
                    Some(signature) => ids::joined(&id, signature),
                    None => id,
                },
                name: name.into_owned(),
                arguments: arguments.to_owned(),
                signature: signature.map(Into::into),
            });
        } else {
            part(wire, &mut parts, true);
        }
    }
    let text = parts.iter().fold(String::new(), |mut text, part| {
        if let Part::Text(more) = part {
            text.push_str(more);
        }
        text
    });
    let mut found = Vec::new();
    citations::decode(
        candidate.citation_metadata,
        candidate.grounding_metadata,
        &text,
        &mut found,
    );
    Choice {
        parts,
        finish: finish.map(|finish| upgraded(finish, number > 0)),
        citations: found,
        logprobs: candidate
            .logprobs_result
            .map(Into::into)
            .unwrap_or_default(),
        ..Choice::default()
    }
}

/// Reads a part that is neither call nor result; `false`: nothing of it is known. `joins`: pieces of one text belong together.
pub(super) fn part(wire: wire::Part<'_>, parts: &mut Vec<Part>, joins: bool) -> bool {
    if let Some((name, raw)) = wire.opaque() {
        let mut block = Map::new();
        block.insert(
            name.into(),
            serde_json::from_str(raw.get()).unwrap_or_default(),
        );
        if let Ok(json) = to_raw_value(&block) {
            parts.push(Part::Opaque {
                from: Format::Gemini,
                json,
            });
        }
        return true;
    }
    let thought = wire.thought == Some(true);
    if let Some(blob) = wire.inline_data {
        // Pictures of a thought are drafts.
        if !thought {
            parts.push(media::decode_blob(blob));
        }
        return true;
    }
    if let Some(file) = wire.file_data {
        parts.push(media::decode_file(file));
        return true;
    }
    let signature = wire.thought_signature.filled().map(String::from);
    let Some(text) = wire.text.0 else {
        let known = signature.is_some();
        sign(signature, parts);
        return known;
    };
    if thought {
        match parts.last_mut() {
            Some(Part::Thinking {
                text: whole,
                signature: none @ None,
            }) if joins => {
                whole.push_str(&text);
                *none = signature;
            }
            _ if text.is_empty() && signature.is_none() => {}
            _ => match redacted(&text, signature.as_deref()) {
                Some(data) => parts.push(Part::Redacted(data)),
                None => parts.push(Part::Thinking {
                    text: text.into_owned(),
                    signature,
                }),
            },
        }
        return true;
    }
    match parts.last_mut() {
        Some(Part::Text(whole)) if joins => whole.push_str(&text),
        _ if text.is_empty() => {}
        _ => parts.push(Part::Text(text.into_owned())),
    }
    sign(signature, parts);
    true
}

/// The signature of a text: reasoning without words, right behind it.
fn sign(signature: Option<String>, parts: &mut Vec<Part>) {
    if signature.is_some() {
        parts.push(Part::Thinking {
            text: String::new(),
            signature,
        });
    }
}

/// How reasoning that only another provider can read passes through a client of this format.
const REDACTED: &str = "redacted:";

/// The data of redacted reasoning in a signature.
pub(super) fn redacted(text: &str, signature: Option<&str>) -> Option<String> {
    let data = signature?.strip_prefix(REDACTED)?;
    text.is_empty().then(|| data.to_owned())
}

/// Redacted reasoning as a part.
pub(super) fn redacted_part<'a>(data: &str) -> OutPart<'a> {
    OutPart::known(wire::Known {
        text: Some("".into()),
        thought: Some(true),
        thought_signature: Some(format!("{REDACTED}{data}").into()),
        ..wire::Known::default()
    })
}

/// Writes a whole answer.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let candidates: Vec<Value> = response
        .choices
        .iter()
        .zip(0u32..)
        .map(|(choice, index)| candidate(choice, index))
        .collect();
    let mut json = json!({"candidates": candidates});
    if let Some(usage) = response.usage {
        put(&mut json, "usageMetadata", usage_json(usage));
    }
    for (key, value) in tail(&response.id, &response.model, response.created) {
        put(&mut json, &key, value);
    }
    json.to_string().into_bytes()
}

/// What every message of an answer ends with.
pub(super) fn tail(id: &str, model: &str, created: Option<u64>) -> Map<String, Value> {
    let mut tail = Map::new();
    tail.insert("modelVersion".into(), model.into());
    if let Some(created) = created {
        tail.insert("createTime".into(), time::stamp(created).into());
    }
    tail.insert("responseId".into(), id.into());
    tail
}

fn candidate(choice: &Choice, index: u32) -> Value {
    let mut parts: Vec<OutPart<'_>> = Vec::new();
    let mut text = String::new();
    for part in &choice.parts {
        match part {
            Part::Text(more) | Part::Refusal(more) => {
                text.push_str(more);
                parts.push(OutPart::text(more));
            }
            Part::Thinking { text, signature } => {
                parts.extend(OutPart::thinking(text, signature.as_deref()));
            }
            Part::Redacted(data) => parts.push(redacted_part(data)),
            Part::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let (id, carried) = ids::split(id);
                let signature = signature.as_deref().map(Into::into).or(carried);
                let id = (!id.is_empty()).then_some(id);
                parts.push(OutPart::call(id, name, arguments, signature));
            }
            Part::Image { source, .. } => {
                parts.push(media::encode(source, None, Some("image/png")));
            }
            Part::Audio { data, format } => parts.push(media::encode_audio(data, format)),
            Part::File { name, source } => {
                parts.push(media::encode(source, name.as_deref(), None));
            }
            Part::Opaque {
                from: Format::Gemini,
                json,
            } => parts.push(OutPart::Opaque(json)),
            Part::ToolResult { .. } | Part::Opaque { .. } => {}
        }
    }
    let content = OutContent {
        role: Some("model"),
        parts,
    };
    let mut json = json!({"content": content});
    if let Some(finish) = choice.finish {
        put(&mut json, "finishReason", finish_reason(finish));
    }
    put(&mut json, "index", index);
    if let Some(grounding) = citations::encode(&choice.citations, &text) {
        put(&mut json, "groundingMetadata", grounding);
    }
    if !choice.logprobs.is_empty() {
        put(&mut json, "logprobsResult", logprobs_json(&choice.logprobs));
    }
    json
}

/// Writes `logprobsResult`.
pub(super) fn logprobs_json(tokens: &[Logprob]) -> Value {
    let token = |token: &Logprob| json!({"token": token.token, "logProbability": token.logprob});
    let chosen: Vec<Value> = tokens.iter().map(token).collect();
    let top: Vec<Value> = tokens
        .iter()
        .map(|chosen| json!({"candidates": chosen.top.iter().map(token).collect::<Vec<_>>()}))
        .collect();
    json!({"topCandidates": top, "chosenCandidates": chosen})
}
