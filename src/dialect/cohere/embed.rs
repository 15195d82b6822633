//! Embeddings: <https://docs.cohere.com/reference/embed>. Texts alone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    each,
    request::{model, object},
    response, sampling, string,
};
use crate::{
    dialect::{Encoded, Error, Loss, Restore, strangers},
    llm::{ChatResponse, EmbedInput, EmbedRequest, EmbedResponse, Format},
};

/// Kong's default of `embedding_input_type`.
const PURPOSE: &str = "classification";

/// Cohere's fields that a client of OpenAI's format may send along.
const OWN: &[&str] = &["truncate", "max_tokens", "priority"];

/// Writes a request. Numbers are asked for, whatever form the client wants them in.
pub(super) fn encode_request(request: &EmbedRequest) -> Result<Encoded, Error> {
    let mut texts = Vec::new();
    for input in &request.input {
        match input {
            EmbedInput::Text(text) => texts.push(text.as_str()),
            EmbedInput::Tokens(_) => {
                return Err(Error::Unsupported {
                    what: "tokens in place of the text to embed".into(),
                });
            }
        }
    }
    let extra = request.extra.as_ref();
    let sent = extra
        .and_then(|extra| extra.fields.get("input_type"))
        .and_then(Value::as_str);
    let purpose = request.purpose.as_deref().or(sent).unwrap_or(PURPOSE);
    let mut fields = Map::new();
    if let Some(model) = &request.model {
        fields.insert("model".into(), model.clone().into());
    }
    fields.insert("texts".into(), texts.into());
    fields.insert("input_type".into(), purpose.into());
    fields.insert("embedding_types".into(), json!(["float"]));
    if let Some(dimensions) = request.dimensions {
        fields.insert("output_dimension".into(), dimensions.into());
    }
    for (key, value) in extra.into_iter().flat_map(|extra| &extra.fields) {
        if OWN.contains(&key.as_str()) {
            fields.insert(key.clone(), value.clone());
        }
    }
    let known: Vec<&str> = OWN.iter().copied().chain(["input_type"]).collect();
    let mut lost = strangers(extra, Format::Cohere, &known);
    if request.user.is_some() {
        lost.push(Loss::dropped("user"));
    }
    if request.normalize.is_some() {
        lost.push(Loss::dropped("normalize"));
    }
    Ok(Encoded {
        body: Bytes::from(Value::Object(fields).to_string()),
        lost,
        restore: Restore::default(),
    })
}

/// Reads an answer: v2's by type, v1's plain list too.
pub(super) fn decode_response(body: &[u8]) -> Result<EmbedResponse, Error> {
    let json = answer(body)?;
    let vectors = match json.get("embeddings") {
        Some(Value::Object(types)) => types.get("float").or_else(|| types.get("float_")),
        list => list,
    };
    let Some(Value::Array(vectors)) = vectors else {
        return Err(Error::Malformed(
            "'embeddings' missing from cohere response body".into(),
        ));
    };
    Ok(EmbedResponse {
        id: string(&json, "id").into(),
        model: String::new(),
        vectors: vectors
            .iter()
            .map(|vector| {
                vector
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_f64)
                    .collect()
            })
            .collect(),
        usage: response::usage(&json),
    })
}

fn answer(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body)
        .map_err(|_| Error::Malformed("failed to decode cohere response".into()))
}

/// Reads of an answer only what it cost.
pub(super) fn usage(body: &[u8]) -> Result<ChatResponse, Error> {
    let json = answer(body)?;
    Ok(ChatResponse {
        id: string(&json, "id").into(),
        usage: response::usage(&json),
        ..ChatResponse::default()
    })
}

/// Reads a request: `texts`, or v2's `inputs` of content blocks.
pub(super) fn decode_request(body: &[u8]) -> Result<EmbedRequest, Error> {
    let mut fields = object(body)?;
    let mut input = Vec::new();
    if fields.get("images").is_some_and(|images| !images.is_null()) {
        return Err(image());
    }
    let texts = fields.remove("texts");
    for text in each(texts.as_ref()).iter().filter_map(Value::as_str) {
        input.push(EmbedInput::Text(text.into()));
    }
    let inputs = fields.remove("inputs");
    for wire in each(inputs.as_ref()) {
        let mut whole = String::new();
        for block in each(wire.get("content")) {
            if string(block, "type") != "text" {
                return Err(image());
            }
            whole.push_str(string(block, "text"));
        }
        input.push(EmbedInput::Text(whole));
    }
    let types = fields.remove("embedding_types");
    let types: Vec<&str> = each(types.as_ref())
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let other = |kind: &&&str| !matches!(**kind, "float" | "base64");
    if let Some(other) = types.iter().find(other) {
        return Err(Error::Unsupported {
            what: format!("embeddings of the type `{other}`"),
        });
    }
    let purpose = fields.remove("input_type");
    Ok(EmbedRequest {
        model: model(&mut fields),
        input,
        listed: true,
        dimensions: fields
            .remove("output_dimension")
            .as_ref()
            .and_then(Value::as_u64),
        base64: types == ["base64"],
        purpose: purpose.as_ref().and_then(Value::as_str).map(str::to_owned),
        extra: sampling::rest(fields),
        ..EmbedRequest::default()
    })
}

fn image() -> Error {
    Error::Unsupported {
        what: "image to embed".into(),
    }
}

/// Writes an answer.
pub(super) fn encode_response(request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
    let texts: Vec<&str> = request
        .input
        .iter()
        .filter_map(|input| match input {
            EmbedInput::Text(text) => Some(text.as_str()),
            EmbedInput::Tokens(_) => None,
        })
        .collect();
    let embeddings = if request.base64 {
        let vectors: Vec<String> = response.vectors.iter().map(|v| packed(v)).collect();
        json!({"base64": vectors})
    } else {
        json!({"float": response.vectors})
    };
    let input = response.usage.unwrap_or_default().prompt();
    json!({
        "id": response.id,
        "embeddings": embeddings,
        "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": input}},
        "response_type": "embeddings_by_type",
    })
    .to_string()
    .into_bytes()
}

/// Little-endian 32-bit floats.
fn packed(vector: &[f64]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| (*number as f32).to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}
