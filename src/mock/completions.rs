//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>.
//!
//! A prompt is one user message; the answer is told by the same script as chat's and written here.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::{
    fault::{self, Refusal},
    model::{Behaviour, Speech},
    reply,
    words::Hash,
};
use crate::{
    dialect::{Ingress, StreamEncoder, openai_chat::OpenAiChat},
    llm::{ChatRequest, ChatResponse, Event, Finish, Message, Part, Role, Usage},
    wire::sse::write_event,
};

/// Most prompts of one request, as OpenAI has it for choices.
const MAX_PROMPTS: usize = 128;

/// The whole answer to a completions request: `n` choices for each prompt.
pub(super) fn reply(
    mut request: ChatRequest,
    behaviour: Behaviour,
) -> Result<ChatResponse, Refusal> {
    let fields = request
        .extra
        .take()
        .map(|extra| extra.fields)
        .unwrap_or_default();
    let prompts = prompts(fields.get("prompt"));
    if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
        let why = format!("expected a string, a list of up to {MAX_PROMPTS} strings, or tokens.");
        return Err(fault::invalid("prompt", &why, "invalid_value"));
    }
    let echo = fields
        .get("echo")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    // Completions know neither tools nor reasoning.
    request.tools.clear();
    request.tool_choice = None;
    let speech = if behaviour.speech == Speech::Reasoning {
        Speech::Prose
    } else {
        behaviour.speech
    };
    let behaviour = Behaviour {
        speech,
        ..behaviour
    };
    let (mut all, mut hash, mut size) = (ChatResponse::default(), Hash::new(), 0);
    let mut usage = Usage::default();
    for prompt in prompts {
        request.messages = vec![Message::text(Role::User, prompt.clone())];
        let mut one = reply::reply(&request, behaviour)?;
        hash.add(one.id.as_bytes());
        size += one
            .choices
            .iter()
            .map(|choice| {
                choice
                    .parts
                    .iter()
                    .map(reply::spoken)
                    .map(str::len)
                    .sum::<usize>()
            })
            .sum::<usize>();
        size += if echo {
            prompt.len() * one.choices.len()
        } else {
            0
        };
        if size > reply::MAX_ANSWER {
            return Err(reply::too_long());
        }
        for choice in one.choices.iter_mut().filter(|_| echo) {
            choice.parts.insert(0, Part::Text(prompt.clone()));
        }
        let counts = one.usage.take();
        usage.input += counts.map_or(0, |counts| counts.input);
        usage.output += counts.map_or(0, |counts| counts.output);
        all.usage = counts.map(|_| usage);
        all.created = one.created;
        all.model = one.model;
        all.choices.append(&mut one.choices);
    }
    all.id = format!("cmpl-mock{:016x}", hash.value());
    Ok(all)
}

/// The prompts: a text, texts, tokens or lists of tokens. Tokens are told as numbers.
fn prompts(prompt: Option<&Value>) -> Vec<String> {
    let tokens = |tokens: &[Value]| {
        let numbers: Option<Vec<String>> = tokens
            .iter()
            .map(|token| token.as_u64().map(|token| token.to_string()))
            .collect();
        numbers
            .filter(|numbers| !numbers.is_empty())
            .map(|numbers| numbers.join(" "))
    };
    match prompt {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => match tokens(items) {
            Some(prompt) => vec![prompt],
            None => {
                let each = items.iter().map(|item| match item {
                    Value::String(text) => Some(text.clone()),
                    Value::Array(item) => tokens(item),
                    _ => None,
                });
                each.collect::<Option<Vec<String>>>().unwrap_or_default()
            }
        },
        _ => Vec::new(),
    }
}

/// Writes a whole answer.
pub(super) fn encode(response: &ChatResponse) -> Vec<u8> {
    let choices: Vec<Value> = response
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let texts = choice.parts.iter().filter_map(|part| {
                if let Part::Text(text) = part {
                    Some(text.as_str())
                } else {
                    None
                }
            });
            json!({
                "text": texts.collect::<String>(),
                "index": index,
                "logprobs": null,
                "finish_reason": choice.finish.map(reason),
            })
        })
        .collect();
    let mut body = json!({
        "id": response.id,
        "object": "text_completion",
        "created": response.created.unwrap_or_default(),
        "model": response.model,
        "choices": choices,
    });
    if let (Some(usage), Some(body)) = (response.usage, body.as_object_mut()) {
        body.insert("usage".into(), counts(usage));
    }
    body.to_string().into_bytes()
}

fn counts(usage: Usage) -> Value {
    json!({"prompt_tokens": usage.prompt(), "completion_tokens": usage.output, "total_tokens": usage.total()})
}

fn reason(finish: Finish) -> &'static str {
    if finish == Finish::Length {
        "length"
    } else {
        "stop"
    }
}

/// Writes a stream.
pub(super) struct Encoder {
    show_usage: bool,
    usage: Option<Usage>,
    start: (String, u64, String),
    /// The choice of each part, in order of opening.
    choices: Vec<u32>,
    /// Writes what is the same in both formats.
    chat: Box<dyn StreamEncoder>,
}

impl Encoder {
    /// An encoder at the beginning of a stream; `show_usage`: the client asked for it.
    pub(super) fn new(show_usage: bool) -> Encoder {
        let chat = OpenAiChat.stream_encoder(false);
        Encoder {
            show_usage,
            usage: None,
            start: Default::default(),
            choices: Vec::new(),
            chat,
        }
    }

    fn chunk(&self, choices: &Value, usage: Option<Usage>, out: &mut BytesMut) {
        let (id, created, model) = &self.start;
        let mut chunk = json!({"id": id, "object": "text_completion", "created": created, "model": model, "choices": choices});
        if let Some(chunk) = chunk.as_object_mut().filter(|_| self.show_usage) {
            chunk.insert("usage".into(), usage.map_or(Value::Null, counts));
        }
        write_event(out, None, chunk.to_string().as_bytes());
    }
}

impl StreamEncoder for Encoder {
    fn event(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                self.start = (
                    id.to_string(),
                    created.unwrap_or_default(),
                    model.to_string(),
                );
            }
            Event::Open { choice, .. } => self.choices.push(*choice),
            Event::Text { part, text } => {
                let choice = self
                    .choices
                    .get(*part as usize)
                    .copied()
                    .unwrap_or_default();
                let choices = json!([{"text": text, "index": choice, "logprobs": null, "finish_reason": null}]);
                self.chunk(&choices, None, out);
            }
            Event::Finish {
                choice,
                reason: finish,
            } => {
                let choices = json!([{"text": "", "index": choice, "logprobs": null, "finish_reason": reason(*finish)}]);
                self.chunk(&choices, None, out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {
                if let Some(usage) = self.usage.filter(|_| self.show_usage) {
                    self.chunk(&json!([]), Some(usage), out);
                }
                out.put_slice(b"data: [DONE]\n\n");
            }
            Event::Failed { .. } => self.chat.event(event, out),
            Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::Arguments { .. }
            | Event::Close { .. } => {}
        }
    }

    fn keep_alive(&mut self, out: &mut BytesMut) {
        self.chat.keep_alive(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_come_in_four_forms() {
        let of = |json: Value| prompts(Some(&json));
        assert_eq!(of(json!("a")), ["a"]);
        assert_eq!(of(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(of(json!([1, 2])), ["1 2"]);
        assert_eq!(of(json!([[1, 2], [3]])), ["1 2", "3"]);
        for json in [
            json!([]),
            json!([[]]),
            json!([1, "a"]),
            json!({}),
            json!(null),
            json!([-1]),
        ] {
            assert!(of(json.clone()).is_empty(), "{json}");
        }
    }
}
