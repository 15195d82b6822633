//! Embeddings: <https://docs.ollama.com/api/embed>. The older `/api/embeddings` (`prompt`, `embedding`) is read too.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Encoded, Error,
    request::{encoded, object, text},
};
use crate::{
    dialect::{
        Loss, put, strangers,
        text::{Text, count},
    },
    llm::{EmbedInput, EmbedRequest, EmbedResponse, Extra, Format, Usage},
};

/// Reads a request.
pub(super) fn decode_request(body: &[u8]) -> Result<EmbedRequest, Error> {
    let mut fields = object(body)?;
    let input = fields.remove("input").or_else(|| fields.remove("prompt"));
    let (input, listed) = match input {
        Some(Value::String(text)) => (vec![EmbedInput::Text(text)], false),
        Some(Value::Array(texts)) => {
            let texts: Option<Vec<EmbedInput>> = texts
                .into_iter()
                .map(|text| match text {
                    Value::String(text) => Some(EmbedInput::Text(text)),
                    _ => None,
                })
                .collect();
            let texts = texts.ok_or_else(|| {
                Error::Malformed("`input` is neither a text nor a list of texts".into())
            })?;
            (texts, true)
        }
        _ => (Vec::new(), true),
    };
    Ok(EmbedRequest {
        model: text(&mut fields, "model"),
        input,
        listed,
        dimensions: fields.remove("dimensions").as_ref().and_then(Value::as_u64),
        extra: (!fields.is_empty()).then_some(Extra {
            from: Format::Ollama,
            fields,
        }),
        ..EmbedRequest::default()
    })
}

/// Writes a request.
pub(super) fn encode_request(request: &EmbedRequest) -> Result<Encoded, Error> {
    let mut texts = Vec::new();
    for input in &request.input {
        match input {
            EmbedInput::Text(text) => texts.push(Value::from(text.as_str())),
            EmbedInput::Tokens(_) => {
                return Err(Error::Unsupported {
                    what: "tokens in place of a text to embed".into(),
                });
            }
        }
    }
    let input = match (texts.len(), request.listed) {
        (1, false) => texts.pop().unwrap_or_default(),
        _ => texts.into(),
    };
    let mut body = json!({"model": request.model, "input": input});
    if let Some(dimensions) = request.dimensions {
        put(&mut body, "dimensions", dimensions);
    }
    let mut lost = Vec::new();
    // Its vectors always are of length 1.
    if request.normalize == Some(false) {
        lost.push(Loss::dropped("normalize"));
    }
    if request.purpose.is_some() {
        lost.push(Loss::dropped("input_type"));
    }
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    lost.extend(strangers(request.extra.as_ref(), Format::Ollama, &[]));
    for (key, value) in request
        .extra
        .iter()
        .filter(|extra| extra.from == Format::Ollama)
        .flat_map(|extra| &extra.fields)
    {
        put(&mut body, key, value.clone());
    }
    Ok(encoded(&body, lost))
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    model: Text<'a>,
    embeddings: Option<Vec<Vec<f64>>>,
    /// Of `/api/embeddings`.
    embedding: Option<Vec<f64>>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: u64,
    #[serde(borrow, default)]
    error: Text<'a>,
}

/// Reads an answer.
pub(super) fn decode_response(body: &[u8]) -> Result<EmbedResponse, Error> {
    let response: Response<'_> = serde_json::from_slice(body)?;
    if let Some(error) = response.error.filled() {
        return Err(Error::Malformed(error.into_owned()));
    }
    let vectors = response
        .embeddings
        .or_else(|| response.embedding.map(|vector| vec![vector]))
        .ok_or_else(|| Error::Malformed("'embeddings' not in the answer".into()))?;
    Ok(EmbedResponse {
        id: String::new(),
        model: response.model.or_empty().into_owned(),
        vectors,
        usage: (response.prompt_eval_count > 0).then(|| Usage {
            input: response.prompt_eval_count,
            ..Usage::default()
        }),
    })
}

/// Writes an answer.
pub(super) fn encode_response(response: &EmbedResponse) -> Vec<u8> {
    let mut json = json!({"model": response.model, "embeddings": response.vectors});
    if let Some(usage) = response.usage {
        put(&mut json, "prompt_eval_count", usage.prompt());
    }
    json.to_string().into_bytes()
}
