//! Feature extraction: <https://huggingface.co/docs/inference-providers/tasks/feature-extraction>.

use serde_json::{Value, json};

use super::{
    Encoded, Error,
    request::{encoded, unsupported},
    response::error_of,
};
use crate::{
    dialect::{Loss, put, strangers},
    llm::{EmbedInput, EmbedRequest, EmbedResponse, Extra, Format},
};

/// Reads a request.
pub(super) fn decode_request(body: &[u8]) -> Result<EmbedRequest, Error> {
    let malformed = || Error::Malformed("`inputs` is neither a text nor a list of texts".into());
    let Value::Object(mut fields) = serde_json::from_slice(body)? else {
        return Err(malformed());
    };
    let (input, listed) = match fields.remove("inputs") {
        Some(Value::String(text)) => (vec![EmbedInput::Text(text)], false),
        Some(Value::Array(texts)) => {
            let texts: Option<Vec<EmbedInput>> = texts
                .into_iter()
                .map(|text| match text {
                    Value::String(text) => Some(EmbedInput::Text(text)),
                    _ => None,
                })
                .collect();
            (texts.ok_or_else(malformed)?, true)
        }
        _ => return Err(malformed()),
    };
    Ok(EmbedRequest {
        model: match fields.remove("model") {
            Some(Value::String(model)) => Some(model),
            _ => None,
        },
        input,
        listed,
        normalize: fields.remove("normalize").as_ref().and_then(Value::as_bool),
        purpose: match fields.remove("prompt_name") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        },
        extra: (!fields.is_empty()).then_some(Extra {
            from: Format::HuggingFace,
            fields,
        }),
        ..EmbedRequest::default()
    })
}

/// Writes a request. A list, always: what a single text gives depends on the model.
pub(super) fn encode_request(request: &EmbedRequest) -> Result<Encoded, Error> {
    let mut texts = Vec::new();
    for input in &request.input {
        match input {
            EmbedInput::Text(text) => texts.push(Value::from(text.as_str())),
            EmbedInput::Tokens(_) => {
                return Err(unsupported("tokens in place of a text to embed"));
            }
        }
    }
    let mut body = json!({"inputs": texts});
    let mut lost = Vec::new();
    if let Some(normalize) = request.normalize {
        put(&mut body, "normalize", normalize);
    }
    if request.dimensions.is_some() {
        lost.push(Loss::dropped("dimensions"));
    }
    // Its prompts have names that each model chooses; another format's purposes are none of them.
    let own = request
        .extra
        .as_ref()
        .is_none_or(|extra| extra.from == Format::HuggingFace);
    match &request.purpose {
        Some(purpose) if own => put(&mut body, "prompt_name", purpose.as_str()),
        Some(_) => lost.push(Loss::dropped("input_type")),
        None => {}
    }
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    lost.extend(strangers(request.extra.as_ref(), Format::HuggingFace, &[]));
    for (key, value) in request
        .extra
        .iter()
        .filter(|extra| extra.from == Format::HuggingFace)
        .flat_map(|extra| &extra.fields)
    {
        put(&mut body, key, value.clone());
    }
    Ok(encoded(&body, lost))
}

/// Reads an answer: a list of vectors, or one vector where a single text was asked for.
pub(super) fn decode_response(body: &[u8]) -> Result<EmbedResponse, Error> {
    if let Some(message) = error_of(body) {
        return Err(Error::Malformed(format!("API error: {message}")));
    }
    let json: Value = serde_json::from_slice(body)?;
    let depth = depth(&json);
    let vectors = match depth {
        1 => vec![vector(&json)],
        2 => json.as_array().into_iter().flatten().map(vector).collect(),
        3 => {
            // How a text's vector is made of its tokens' is the model's own affair.
            return Err(Error::Malformed(
                "the model gives a vector for each token, none for the whole text".into(),
            ));
        }
        _ => return Err(Error::Malformed("Invalid response format".into())),
    };
    Ok(EmbedResponse {
        vectors,
        ..EmbedResponse::default()
    })
}

/// How deep lists of numbers are nested; 0: they are none.
fn depth(json: &Value) -> u32 {
    match json.as_array().and_then(|list| list.first()) {
        Some(Value::Number(_)) => 1,
        Some(inner) => match depth(inner) {
            0 => 0,
            depth => depth + 1,
        },
        None => 0,
    }
}

fn vector(json: &Value) -> Vec<f64> {
    let numbers = json.as_array().into_iter().flatten();
    numbers.filter_map(Value::as_f64).collect()
}

/// Writes an answer.
pub(super) fn encode_response(request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
    let json = match response.vectors.as_slice() {
        [vector] if !request.listed => json!(vector),
        vectors => json!(vectors),
    };
    json.to_string().into_bytes()
}
