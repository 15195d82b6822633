//! OpenAI's embeddings: <https://platform.openai.com/docs/api-reference/embeddings>.

#[cfg(test)]
mod tests;
mod wire;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Egress, Encoded, Error, Fault, Ingress, Loss, Restore, StreamDecoder, StreamEncoder,
    openai_chat::{self, OpenAiChat},
    put, strangers,
    text::Text,
};
use crate::llm::{
    ChatRequest, ChatResponse, EmbedInput, EmbedRequest, EmbedResponse, Extra, Format,
};

/// The format.
#[derive(Debug)]
pub struct OpenAiEmbeddings;

impl Egress for OpenAiEmbeddings {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn encode_request(&self, _: &ChatRequest) -> Result<Encoded, Error> {
        Err(no_chat())
    }

    /// Who answered, and what it cost; the vectors stay bytes.
    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow, default)]
            model: Text<'a>,
            usage: Option<openai_chat::WireUsage>,
        }

        let response: Response<'_> = serde_json::from_slice(body)?;
        Ok(ChatResponse {
            model: response.model.or_empty().into_owned(),
            usage: response.usage.map(Into::into),
            ..ChatResponse::default()
        })
    }

    fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
        let mut lost = strangers(request.extra.as_ref(), Format::OpenAi, &[]);
        let mut fields = Map::new();
        if let Some(model) = &request.model {
            fields.insert("model".into(), model.as_str().into());
        }
        let input: Vec<Value> = request
            .input
            .iter()
            .map(|input| match input {
                EmbedInput::Text(text) => text.as_str().into(),
                EmbedInput::Tokens(tokens) => tokens.clone().into(),
            })
            .collect();
        let input = match <[Value; 1]>::try_from(input) {
            Ok([one]) if !request.listed => one,
            Ok(one) => Value::from(one.to_vec()),
            Err(all) => all.into(),
        };
        fields.insert("input".into(), input);
        if let Some(dimensions) = request.dimensions {
            fields.insert("dimensions".into(), dimensions.into());
        }
        if request.base64 {
            fields.insert("encoding_format".into(), "base64".into());
        }
        if let Some(user) = &request.user {
            fields.insert("user".into(), user.as_str().into());
        }
        if request.purpose.is_some() {
            lost.push(Loss::dropped("input_type"));
        }
        if request.normalize.is_some() {
            lost.push(Loss::dropped("normalize"));
        }
        let extra = request.extra.iter();
        for (key, value) in extra
            .filter(|extra| extra.from == Format::OpenAi)
            .flat_map(|extra| &extra.fields)
        {
            fields.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Ok(Encoded {
            body: Bytes::from(Value::Object(fields).to_string()),
            lost,
            restore: Restore::default(),
        })
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
        wire::decode(body)
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        openai_chat::decode_error(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        OpenAiChat.stream_decoder()
    }
}

impl Ingress for OpenAiEmbeddings {
    fn format(&self) -> Format {
        Format::OpenAi
    }

    fn decode_request(&self, _: &[u8]) -> Result<ChatRequest, Error> {
        Err(no_chat())
    }

    /// An answer without vectors: chat has none.
    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        let answer = EmbedResponse {
            model: response.model.clone(),
            usage: response.usage,
            ..EmbedResponse::default()
        };
        wire::encode(&EmbedRequest::default(), &answer)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        let Value::Object(mut fields) = serde_json::from_slice(body)? else {
            return Err(Error::Malformed("the request is no JSON object".into()));
        };
        // `null` says nothing.
        fields.retain(|_, value| !value.is_null());
        let mut request = EmbedRequest::default();
        (request.input, request.listed) = input(fields.shift_remove("input"))?;
        let mut text = |key: &str| {
            fields.get(key)?.as_str()?;
            match fields.shift_remove(key) {
                Some(Value::String(text)) => Some(text),
                _ => None,
            }
        };
        request.model = text("model");
        request.user = text("user");
        // Another word than these is the provider's to judge.
        let format = fields.get("encoding_format").and_then(Value::as_str);
        request.base64 = format == Some("base64");
        if matches!(format, Some("float" | "base64")) {
            fields.shift_remove("encoding_format");
        }
        if let Some(dimensions) = fields.get("dimensions").and_then(Value::as_u64) {
            request.dimensions = Some(dimensions);
            fields.shift_remove("dimensions");
        }
        request.extra = (!fields.is_empty()).then_some(Extra {
            from: Format::OpenAi,
            fields,
        });
        Ok(request)
    }

    fn encode_embeddings(&self, request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        wire::encode(request, response)
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        openai_chat::encode_fault(fault)
    }

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        OpenAiChat.stream_encoder(usage)
    }
}

fn no_chat() -> Error {
    Error::Unsupported {
        what: "a conversation where texts to embed are asked for".into(),
    }
}

/// A text, texts, tokens or lists of tokens; and whether it is a list of them.
fn input(wire: Option<Value>) -> Result<(Vec<EmbedInput>, bool), Error> {
    let wrong = || {
        Error::Malformed(
            "`input` is neither a string nor a list of strings, of tokens or of lists of tokens"
                .into(),
        )
    };
    let tokens = |items: &[Value]| {
        let numbers: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
        numbers.filter(|numbers| !numbers.is_empty())
    };
    match wire {
        Some(Value::String(text)) => Ok((vec![EmbedInput::Text(text)], false)),
        Some(Value::Array(items)) => {
            if let Some(tokens) = tokens(&items) {
                return Ok((vec![EmbedInput::Tokens(tokens)], false));
            }
            let each = items.into_iter().map(|item| match item {
                Value::String(text) => Some(EmbedInput::Text(text)),
                Value::Array(items) => tokens(&items).map(EmbedInput::Tokens),
                _ => None,
            });
            let all: Option<Vec<EmbedInput>> = each.collect();
            Ok((all.ok_or_else(wrong)?, true))
        }
        _ => Err(wrong()),
    }
}

/// OpenAI's `usage` of embeddings: nothing is generated.
fn usage(prompt: u64, estimated: bool) -> Value {
    let mut json = json!({"prompt_tokens": prompt, "total_tokens": prompt});
    if estimated {
        put(&mut json, "estimated", true);
    }
    json
}
