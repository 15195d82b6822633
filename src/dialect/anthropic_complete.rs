//! Anthropic's legacy text completions: <https://platform.claude.com/docs/en/api/completions/create>.
//!
//! One text with `Human:` and `Assistant:` in it, at `/v1/complete`, for the models before Claude 3.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Egress, Encoded, Error, Fault, Ingress, Loss, Restore, StreamDecoder, StreamEncoder,
    anthropic::{
        decode_error, encode_fault, error_type, failed, finish, sequences, temperature, unknown,
    },
    strangers,
    text::Text,
};
use crate::{
    llm::{
        ChatRequest, ChatResponse, Choice, Event, Extra, Finish, Format, Kind, Message,
        OutputFormat, Part, Role, Sampling, Sink,
    },
    wire::{Frame, sse::write_event},
};

/// `max_tokens_to_sample` is mandatory; this is what these models generate at most.
const MAX_TOKENS: u64 = 4_096;

const HUMAN: &str = "Human:";
const ASSISTANT: &str = "Assistant:";

/// The format.
#[derive(Debug)]
pub struct AnthropicComplete;

impl Egress for AnthropicComplete {
    fn format(&self) -> Format {
        Format::Anthropic
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        encode(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        let wire: Wire<'_> = super::text::json(body)?;
        // The wording is Kong's, its route type too.
        let text = wire.completion.0.ok_or_else(|| {
            Error::Malformed("'completion' not in anthropic://llm/v1/chat response".into())
        })?;
        let parts = if text.is_empty() {
            Vec::new()
        } else {
            vec![Part::Text(text.into_owned())]
        };
        Ok(ChatResponse {
            id: wire.id.or_empty().into_owned(),
            model: wire.model.or_empty().into_owned(),
            choices: vec![Choice {
                parts,
                finish: wire.stop_reason.filled().map(|reason| finish(&reason)),
                ..Choice::default()
            }],
            ..ChatResponse::default()
        })
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<Decoder>::default()
    }
}

impl Ingress for AnthropicComplete {
    fn format(&self) -> Format {
        Format::Anthropic
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        decode(body)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        let reason = response
            .choices
            .first()
            .and_then(|choice| choice.finish)
            .map(stop_reason);
        completion(&response.id, &response.model, &response.text(), reason)
            .to_string()
            .into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        encode_fault(fault)
    }

    fn stream_encoder(&self, _usage: bool) -> Box<dyn StreamEncoder> {
        Box::<Encoder>::default()
    }
}

/// Writes a `stop_reason`; this format knows two.
fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "max_tokens",
        _ => "stop_sequence",
    }
}

fn completion(id: &str, model: &str, text: &str, reason: Option<&str>) -> Value {
    json!({
        "type": "completion",
        "id": id,
        "completion": text,
        "stop_reason": reason,
        "model": model,
    })
}

fn encode(request: &ChatRequest) -> Result<Encoded, Error> {
    let refuse = |what: &str| Err(Error::Unsupported { what: what.into() });
    if !request.tools.is_empty() {
        return refuse("tools");
    }
    if matches!(request.output, OutputFormat::JsonSchema { .. }) {
        return refuse("a JSON schema");
    }
    let sampling = &request.sampling;
    if sampling.n.is_some_and(|n| n > 1) {
        return refuse("n > 1");
    }
    let mut lost = Vec::new();
    if matches!(request.output, OutputFormat::JsonObject) {
        lost.push(Loss::dropped("response_format"));
    }
    if request.reasoning.tokens().unwrap_or_default() > 0 {
        lost.push(Loss::dropped("reasoning_effort"));
    }
    let prompt = prompt(&request.messages)?;
    let temperature = temperature(sampling, &mut lost);
    let stop = sequences(sampling, &mut lost);
    lost.extend(unknown(sampling));
    lost.extend(strangers(request.extra.as_ref(), Format::Anthropic, &[]));

    let mut body = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    set("model", request.model.clone().map(Value::from));
    set("prompt", Some(prompt.into()));
    set(
        "max_tokens_to_sample",
        Some(sampling.max_tokens.unwrap_or(MAX_TOKENS).into()),
    );
    set("temperature", temperature.map(Value::from));
    set("top_p", sampling.top_p.map(Value::from));
    set("top_k", sampling.top_k.map(Value::from));
    set("stop_sequences", (!stop.is_empty()).then(|| stop.into()));
    set(
        "metadata",
        request.user.as_ref().map(|user| json!({"user_id": user})),
    );
    for (key, value) in request
        .extra
        .iter()
        .filter(|extra| extra.from == Format::Anthropic)
        .flat_map(|extra| &extra.fields)
    {
        set(key, Some(value.clone()));
    }
    set("stream", Some(request.stream.into()));
    Ok(Encoded {
        body: Bytes::from(Value::Object(body).to_string()),
        lost,
        restore: Restore::default(),
    })
}

/// The conversation as one text. Instructions stand at its top without a name; the open `Assistant:` at its end is what is answered. The
/// empty line that the documentation wants at the beginning is put there by the API itself, and Kong leaves it out.
fn prompt(messages: &[Message]) -> Result<String, Error> {
    let mut prompt = String::new();
    for message in messages {
        let mut text = String::new();
        for part in &message.parts {
            match part {
                Part::Text(more) | Part::Refusal(more) => text.push_str(more),
                Part::Thinking { .. } | Part::Redacted(_) => {}
                _ => {
                    return Err(Error::Unsupported {
                        what: "anything but text in a completion".into(),
                    });
                }
            }
        }
        let name = match message.role {
            Role::System => "",
            Role::User => "Human: ",
            Role::Assistant => "Assistant: ",
        };
        prompt.push_str(name);
        prompt.push_str(&text);
        prompt.push_str("\n\n");
    }
    prompt.push_str(ASSISTANT);
    Ok(prompt)
}

fn decode(body: &[u8]) -> Result<ChatRequest, Error> {
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(Error::Malformed("the request is no JSON object".into()));
    };
    let mut take = |key: &str| fields.shift_remove(key).filter(|value| !value.is_null());
    let own = |value: Value| value.as_str().map(str::to_owned);
    let mut request = ChatRequest {
        model: take("model").and_then(own),
        stream: take("stream")
            .and_then(|value| value.as_bool())
            .unwrap_or_default(),
        sampling: Sampling {
            max_tokens: take("max_tokens_to_sample").and_then(|value| value.as_u64()),
            temperature: take("temperature").and_then(|value| value.as_f64()),
            top_p: take("top_p").and_then(|value| value.as_f64()),
            top_k: take("top_k").and_then(|value| value.as_u64()),
            stop: match take("stop_sequences") {
                Some(Value::Array(stops)) => stops.into_iter().filter_map(own).collect(),
                _ => Vec::new(),
            },
            ..Sampling::default()
        },
        user: take("metadata")
            .and_then(|value| value.get("user_id").cloned())
            .and_then(own),
        ..ChatRequest::default()
    };
    request.stream_usage = request.stream;
    let prompt = take("prompt").and_then(own).unwrap_or_default();
    request.messages = turns(&prompt);
    if !fields.is_empty() {
        request.extra = Some(Extra {
            from: Format::Anthropic,
            fields,
        });
    }
    Ok(request)
}

/// Takes a prompt apart: a name counts at the beginning and after an empty line.
fn turns(prompt: &str) -> Vec<Message> {
    let mut messages: Vec<(Role, String)> = Vec::new();
    for (index, paragraph) in prompt.split("\n\n").enumerate() {
        let human = paragraph.strip_prefix(HUMAN).map(|text| (Role::User, text));
        let assistant = || {
            paragraph
                .strip_prefix(ASSISTANT)
                .map(|text| (Role::Assistant, text))
        };
        match (human.or_else(assistant), messages.last_mut()) {
            (Some((role, text)), _) => messages.push((role, text.trim_start().to_owned())),
            (None, Some((_, text))) => {
                text.push_str("\n\n");
                text.push_str(paragraph);
            }
            (None, None) if index == 0 && paragraph.is_empty() => {}
            (None, None) => messages.push((Role::System, paragraph.to_owned())),
        }
    }
    // The open one at the end is the answer's place.
    if matches!(messages.last(), Some((Role::Assistant, text)) if text.is_empty()) {
        messages.pop();
    }
    messages
        .into_iter()
        .map(|(role, text)| Message::text(role, text))
        .collect()
}

/// An answer, or one event of a stream.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    completion: Text<'a>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    error: Option<Value>,
}

/// Reads the provider's stream: `completion` events whose texts follow each other, the last one with a `stop_reason`.
#[derive(Debug, Default)]
struct Decoder {
    started: bool,
    opened: bool,
    over: bool,
    failed: bool,
}

impl StreamDecoder for Decoder {
    fn frame(&mut self, frame: &Frame, sink: &mut dyn Sink) -> Result<(), Error> {
        let data = frame.data().trim_ascii();
        if data.is_empty() || data == b"[DONE]" || self.over {
            return Ok(());
        }
        let wire: Wire<'_> = super::text::json(data)?;
        if let Some(error) = wire.error {
            (self.over, self.failed) = (true, true);
            sink.event(failed(&error));
            return Ok(());
        }
        if wire.kind.0.as_deref() == Some("ping") {
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            sink.event(Event::Start {
                id: wire.id.or_empty(),
                model: wire.model.or_empty(),
                created: None,
                fingerprint: None,
            });
        }
        if let Some(text) = wire.completion.filled() {
            if !std::mem::replace(&mut self.opened, true) {
                sink.event(Event::Open {
                    part: 0,
                    choice: 0,
                    kind: Kind::Text,
                });
            }
            sink.event(Event::Text { part: 0, text });
        }
        if let Some(reason) = wire.stop_reason.filled() {
            self.over = true;
            if self.opened {
                sink.event(Event::Close { part: 0 });
            }
            sink.event(Event::Finish {
                choice: 0,
                reason: finish(&reason),
            });
            sink.event(Event::End);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.over && !self.failed
    }
}

/// Writes one client's stream.
#[derive(Debug, Default)]
struct Encoder {
    id: String,
    model: String,
    finish: Option<Finish>,
    /// The parts that are the first choice's text.
    texts: Vec<u32>,
    over: bool,
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, .. } => {
                (self.id, self.model) = (id.to_string(), model.to_string());
            }
            Event::Open {
                part,
                choice: 0,
                kind: Kind::Text | Kind::Refusal,
            } => self.texts.push(*part),
            Event::Text { part, text } if self.texts.contains(part) => {
                let data = completion(&self.id, &self.model, text, None).to_string();
                write_event(out, Some("completion"), data.as_bytes());
            }
            Event::Finish { choice: 0, reason } => self.finish = Some(*reason),
            Event::Failed {
                kind,
                message,
                status,
            } => {
                self.over = true;
                let kind = error_type(kind, *status);
                let data = json!({"type": "error", "error": {"type": kind, "message": message}});
                write_event(out, Some("error"), data.to_string().as_bytes());
            }
            Event::End => {
                self.over = true;
                let reason = stop_reason(self.finish.unwrap_or(Finish::Stop));
                let data = completion(&self.id, &self.model, "", Some(reason)).to_string();
                write_event(out, Some("completion"), data.as_bytes());
            }
            _ => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        write_event(out, Some("ping"), br#"{"type":"ping"}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::testing::{as_openai, events, there_and_back};

    #[test]
    fn a_prompt_is_written_as_kong_does_and_read_back() {
        let request = ChatRequest {
            model: Some("claude-2.1".into()),
            messages: vec![Message::text(Role::User, "Who are you?")],
            ..ChatRequest::default()
        };
        let encoded = AnthropicComplete.encode_request(&request).unwrap();
        assert_eq!(
            encoded.body,
            r#"{"model":"claude-2.1","prompt":"Human: Who are you?\n\nAssistant:","max_tokens_to_sample":4096,"stream":false}"#
        );
        let prompt =
            "Be brief.\n\nHuman: One\n\ntwo?\n\nAssistant: Three.\n\nHuman: Four?\n\nAssistant:";
        let request = AnthropicComplete
            .decode_request(json!({"model": "m", "prompt": prompt, "max_tokens_to_sample": 9, "stream": true, "x": 1}).to_string().as_bytes())
            .unwrap();
        let turns: Vec<_> = request
            .messages
            .iter()
            .map(|m| format!("{:?} {:?}", m.role, m.parts))
            .collect();
        assert_eq!(
            turns,
            [
                r#"System [Text("Be brief.")]"#,
                r#"User [Text("One\n\ntwo?")]"#,
                r#"Assistant [Text("Three.")]"#,
                r#"User [Text("Four?")]"#
            ]
        );
        let again: Value =
            serde_json::from_slice(&AnthropicComplete.encode_request(&request).unwrap().body)
                .unwrap();
        assert_eq!(
            again,
            json!({"model": "m", "prompt": prompt, "max_tokens_to_sample": 9, "stream": true, "x": 1})
        );
        let documented = super::turns("\n\nHuman: Hi\n\nAssistant:");
        assert_eq!(documented.len(), 1);
        assert_eq!(documented[0].role, Role::User);
    }

    #[test]
    fn what_is_lost_is_told_and_what_cannot_go_is_refused() {
        let mut request = ChatRequest {
            messages: vec![Message::text(Role::User, "x")],
            sampling: Sampling {
                temperature: Some(1.5),
                seed: Some(1),
                stop: vec!["\n".into(), "END".into()],
                ..Sampling::default()
            },
            ..ChatRequest::default()
        };
        let encoded = AnthropicComplete.encode_request(&request).unwrap();
        let lost: Vec<String> = encoded.lost.iter().map(ToString::to_string).collect();
        assert_eq!(
            lost,
            ["clamped:temperature", "dropped:stop", "dropped:seed"]
        );
        request.messages[0].parts.push(Part::Audio {
            data: String::new(),
            format: "wav".into(),
        });
        assert!(AnthropicComplete.encode_request(&request).is_err());
    }

    #[test]
    fn answers_go_there_and_back() {
        for finish in [Finish::Stop, Finish::Length] {
            let response = ChatResponse {
                id: "compl_1".into(),
                model: "claude-2.1".into(),
                choices: vec![Choice {
                    parts: vec![Part::Text(" Hello".into())],
                    finish: Some(finish),
                    ..Choice::default()
                }],
                ..ChatResponse::default()
            };
            there_and_back(&AnthropicComplete, &AnthropicComplete, &response);
        }
        let error = AnthropicComplete
            .decode_response(br#"{"a":1}"#)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "'completion' not in anthropic://llm/v1/chat response"
        );
    }

    #[test]
    fn a_stream_is_read_at_any_split() {
        let stream = concat!(
            "event: completion\r\ndata: {\"type\":\"completion\",\"id\":\"compl_1\",\"completion\":\" Grüß\",\"stop_reason\":null,\"model\":\"claude-2.0\"}\r\n\r\n",
            "event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n",
            "event: completion\r\ndata: {\"type\":\"completion\",\"id\":\"compl_1\",\"completion\":\"e\",\"stop_reason\":null,\"model\":\"claude-2.0\"}\r\n\r\n",
            "event: completion\r\ndata: {\"type\":\"completion\",\"id\":\"compl_1\",\"completion\":\"\",\"stop_reason\":\"max_tokens\",\"model\":\"claude-2.0\"}\r\n\r\n",
        );
        let events = events(&AnthropicComplete, "text/event-stream", stream.as_bytes());
        assert_eq!(events.len(), 7, "{events:#?}");
        assert!(events[5].contains("Length"));
        let seen = as_openai(&AnthropicComplete, "text/event-stream", stream.as_bytes());
        assert!(
            seen.contains("\"finish_reason\":\"length\"") && seen.ends_with("data: [DONE]\n\n")
        );
    }

    #[test]
    fn trap_1_7_an_error_ends_the_stream() {
        let stream = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n\
            event: completion\ndata: {\"type\":\"completion\",\"completion\":\"x\",\"stop_reason\":\"stop_sequence\",\"model\":\"m\"}\n\n";
        let events = events(&AnthropicComplete, "text/event-stream", stream.as_bytes());
        assert_eq!(
            events,
            ["Failed { kind: \"overloaded_error\", message: \"Overloaded\", status: Some(529) }"]
        );
    }
}
