//! Llama 2's prompt template over text generation: <https://huggingface.co/blog/llama2#how-to-prompt-llama-2>.
//!
//! The layout is that of Kong's `llama2_format = "raw"`, space by space. It has a place for one system prompt and for what the user said;
//! a later system message stands for the model's answer, and the model's own answers are left out, which is a loss that is told.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    request::{begin, decode_as, encoded, text_of, unsupported},
    response::{self, Generated},
    stream,
};
use crate::{
    dialect::{
        Egress, Encoded, Error, Fault, Ingress, Loss, StreamDecoder, StreamEncoder,
        openai_chat::{WireUsage, usage_json},
        put,
    },
    llm::{ChatRequest, ChatResponse, Choice, Finish, Format, Message, Part, Role},
};

/// Chats and completions through the template. The two differ in how the prompt is laid out.
#[derive(Debug)]
pub enum Llama2 {
    /// A conversation.
    Chat,
    /// One question.
    Completions,
}

const BEGIN: &str = "[INST]";
const END: &str = "[/INST]";

impl Egress for Llama2 {
    fn format(&self) -> Format {
        Format::HuggingFace
    }

    fn encode_request(&self, request: &ChatRequest) -> Result<Encoded, Error> {
        let mut lost = Vec::new();
        let inputs = match self {
            Llama2::Chat => conversation(&request.messages, &mut lost)?,
            Llama2::Completions => question(&request.messages)?,
        };
        let (mut body, mut parameters) = begin(request, &inputs, &mut lost)?;
        if request.sampling.logprobs == Some(true) {
            lost.push(Loss::dropped("logprobs"));
        }
        parameters.insert("stream".into(), request.stream.into());
        put(&mut body, "parameters", parameters);
        if request.stream {
            put(&mut body, "stream", true);
        }
        Ok(encoded(&body, lost))
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        response::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<stream::Decoder>::default()
    }
}

impl Ingress for Llama2 {
    fn format(&self) -> Format {
        Format::HuggingFace
    }

    fn decode_request(&self, body: &[u8]) -> Result<ChatRequest, Error> {
        let (mut request, inputs) = decode_as(body)?;
        request.messages = match self {
            Llama2::Chat => messages(&inputs),
            Llama2::Completions => vec![Message::text(
                Role::User,
                inputs
                    .rsplit("<<SYS>>")
                    .next()
                    .unwrap_or_default()
                    .replace(END, "")
                    .trim(),
            )],
        };
        Ok(request)
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        let mut json = json!({"data": [{"generated_text": response.text()}]});
        if let Some(usage) = response.usage {
            put(&mut json, "usage", usage_json(usage));
        }
        json.to_string().into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        response::encode_fault(fault)
    }

    fn stream_encoder(&self, _: bool) -> Box<dyn StreamEncoder> {
        Box::<stream::Encoder>::default()
    }
}

fn text(message: &Message) -> Result<String, Error> {
    let texts: Result<Vec<&str>, Error> = message.parts.iter().map(text_of).collect();
    Ok(texts?.concat())
}

/// `<s>[INST] <<SYS>> SYSTEM <</SYS>> QUESTION [/INST] ANSWER </s> <s>[INST] QUESTION [/INST]`.
fn conversation(messages: &[Message], lost: &mut Vec<Loss>) -> Result<String, Error> {
    let leading = messages
        .iter()
        .take_while(|message| message.role == Role::System)
        .count();
    let (system, rest) = messages.split_at(leading);
    let system: Result<Vec<String>, Error> = system.iter().map(text).collect();
    let mut out = String::new();
    let mut system = Some(system?.join("\n")).filter(|text| !text.is_empty());
    for message in rest {
        let text = text(message)?;
        match message.role {
            Role::User => {
                let gap = if out.is_empty() { "" } else { " " };
                let system = system
                    .take()
                    .map(|text| format!("<<SYS>> {text} <</SYS>> "));
                let system = system.unwrap_or_default();
                out.push_str(&format!("{gap}<s>{BEGIN} {system}{text} {END}"));
            }
            Role::System => out.push_str(&format!(" {text} </s>")),
            Role::Assistant => {
                let loss = Loss::dropped("messages.assistant");
                if !lost.contains(&loss) {
                    lost.push(loss);
                }
            }
        }
    }
    // Instructions alone are a question.
    if let Some(system) = system {
        out = format!("<s>{BEGIN} <<SYS>> {system} <</SYS>> {END}");
    }
    Ok(out)
}

/// Kong's layout of a completion, whose system prompt is fixed and never closed.
fn question(messages: &[Message]) -> Result<String, Error> {
    let mut prompt = String::new();
    for message in messages {
        if message.role == Role::Assistant {
            return Err(unsupported("a conversation in a completion"));
        }
        prompt.push_str(&text(message)?);
    }
    Ok(format!(
        "<s> {BEGIN} <<SYS>> You are a helpful assistant. <<SYS>> {prompt} {END}"
    ))
}

/// Reads the template back.
fn messages(inputs: &str) -> Vec<Message> {
    let mut out = Vec::new();
    for turn in inputs.split(BEGIN).skip(1) {
        let (mut said, answer) = turn.split_once(END).unwrap_or((turn, ""));
        if let Some((system, rest)) = said
            .trim_start()
            .strip_prefix("<<SYS>>")
            .and_then(|rest| rest.split_once("<</SYS>>"))
        {
            out.push(Message::text(Role::System, system.trim()));
            said = rest;
        }
        if !said.trim().is_empty() {
            out.push(Message::text(Role::User, said.trim()));
        }
        let answer = answer.replace("<s>", "").replace("</s>", "");
        if !answer.trim().is_empty() {
            out.push(Message::text(Role::Assistant, answer.trim()));
        }
    }
    if out.is_empty() {
        out.push(Message::text(Role::User, inputs));
    }
    out
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    data: Option<Vec<Generated<'a>>>,
    usage: Option<WireUsage>,
}

/// Reads an answer: `{"data": [{"generated_text"}]}`, or text generation's own shapes. The wording is Kong's, and so is what is cut off:
/// all up to the end of the last instruction, and the space around the answer.
fn decode(body: &[u8]) -> Result<ChatResponse, Error> {
    let malformed = |why: &str| Error::Malformed(why.into());
    let raw: &RawValue =
        serde_json::from_slice(body).map_err(|_| malformed("failed to decode llama2 response"))?;
    let (generated, usage) = match serde_json::from_str::<Response<'_>>(raw.get()) {
        Ok(Response {
            data: Some(data),
            usage,
        }) => {
            let mut data = data.into_iter();
            match (data.next(), data.next()) {
                (_, Some(_)) => {
                    return Err(malformed("cannot parse response from llama2 endpoint"));
                }
                (first, None) => (
                    first
                        .ok_or_else(|| malformed("response data is empty from llama2 endpoint"))?,
                    usage,
                ),
            }
        }
        _ => {
            let generated = response::generated(raw.get());
            let generated =
                generated.ok_or_else(|| malformed("cannot parse response from llama2 endpoint"))?;
            (generated, None)
        }
    };
    let (text, finish, told, _) = generated.read();
    let text = text.ok_or_else(|| malformed("response data is empty from llama2 endpoint"))?;
    let answer = text.rsplit(END).next().unwrap_or_default().trim();
    let parts = if answer.is_empty() {
        Vec::new()
    } else {
        vec![Part::Text(answer.to_owned())]
    };
    Ok(ChatResponse {
        choices: vec![Choice {
            parts,
            finish: finish.or(Some(Finish::Other)),
            ..Choice::default()
        }],
        usage: usage.map(Into::into).or(told),
        ..ChatResponse::default()
    })
}
