//! Answers: the vectors.

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    dialect::{Error, openai_chat::WireUsage, text::Text},
    llm::{EmbedRequest, EmbedResponse},
};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow)]
    data: Option<Vec<Embedding<'a>>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    embedding: Option<&'a RawValue>,
}

/// Reads an answer: numbers, or base64 of them, whichever was asked for.
pub(super) fn decode(body: &[u8]) -> Result<EmbedResponse, Error> {
    let answer: Answer<'_> = serde_json::from_slice(body)?;
    let Some(mut data) = answer.data else {
        return Err(Error::Malformed(
            "'data' not in llm/v1/embeddings response".into(),
        ));
    };
    // In the order of the inputs; a stable sort keeps those without a number where they are.
    if data.iter().all(|embedding| embedding.index.is_some()) {
        data.sort_by_key(|embedding| embedding.index);
    }
    let vectors: Result<Vec<Vec<f64>>, Error> = data
        .iter()
        .map(|embedding| vector(embedding.embedding))
        .collect();
    Ok(EmbedResponse {
        id: answer.id.or_empty().into_owned(),
        model: answer.model.or_empty().into_owned(),
        vectors: vectors?,
        usage: answer.usage.map(Into::into),
    })
}

fn vector(raw: Option<&RawValue>) -> Result<Vec<f64>, Error> {
    let wrong = || Error::Malformed("an embedding is neither numbers nor base64 of them".into());
    let raw = raw.ok_or_else(wrong)?.get();
    if !raw.starts_with('"') {
        return serde_json::from_str(raw).map_err(|_| wrong());
    }
    let text: Text<'_> = serde_json::from_str(raw)?;
    let bytes = BASE64_STANDARD
        .decode(text.or_empty().as_bytes())
        .map_err(|_| wrong())?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let numbers = numbers.iter().map(|four| f32::from_le_bytes(*four));
    Ok(numbers.map(f64::from).collect())
}

/// Writes an answer. As values, thousands of vectors would fill the memory: they are written as they are read.
pub(super) fn encode(request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
    let mut out = br#"{"object":"list","data":["#.to_vec();
    for (index, vector) in response.vectors.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(
            out,
            r#"{separator}{{"object":"embedding","index":{index},"embedding":"#
        );
        if request.base64 {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|number| (*number as f32).to_le_bytes())
                .collect();
            let _ = write!(out, "\"{}\"", BASE64_STANDARD.encode(bytes));
        } else {
            let _ = serde_json::to_writer(&mut out, vector);
        }
        out.push(b'}');
    }
    let _ = write!(out, r#"],"model":{}"#, Value::from(response.model.as_str()));
    if let Some(usage) = response.usage {
        let usage = super::usage(usage.prompt(), usage.estimated);
        let _ = write!(out, r#","usage":{usage}"#);
    }
    out.push(b'}');
    out
}
