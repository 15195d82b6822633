//! OpenAI's embeddings: <https://platform.openai.com/docs/api-reference/embeddings>.
//!
//! A vector is the sum of its words' own, so that texts with words in common lie closer together, as with a real model.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    fault::{self, Refusal},
    words::{Dice, Hash, count, tokens},
};
use crate::{llm::EmbedInput, wire::envelope::Envelope};

/// Dimensions of a vector unless the request says otherwise; small, so that an answer can be read.
const DIMENSIONS: u64 = 256;

/// OpenAI's largest.
const MAX_DIMENSIONS: u64 = 3072;

/// OpenAI's most texts in one request.
const MAX_INPUTS: usize = 2048;

/// Each word moves a vector in so many directions.
const DIRECTIONS: usize = 8;

/// The body of the answer to an embeddings request; without `usage` if the model hides it.
pub(super) fn answer(fields: &Envelope<'_>, model: &str, usage: bool) -> Result<Vec<u8>, Refusal> {
    if !fields.has("input") {
        return Err(fault::missing("input"));
    }
    let inputs = fields.read::<Value>("input").and_then(inputs).filter(|inputs| inputs.len() <= MAX_INPUTS).ok_or_else(|| {
        let message = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.";
        fault::at("input", fault::refuse(400, message))
    })?;
    let dimensions = match fields.read::<Value>("dimensions") {
        None | Some(Value::Null) => DIMENSIONS,
        Some(value) => value
            .as_u64()
            .filter(|number| (1..=MAX_DIMENSIONS).contains(number))
            .ok_or_else(|| {
                let why = format!("expected an integer from 1 to {MAX_DIMENSIONS}.");
                fault::invalid("dimensions", &why, "invalid_value")
            })?,
    };
    let base64 = match fields.read::<Value>("encoding_format").unwrap_or_default() {
        Value::Null => false,
        Value::String(format) if format == "float" => false,
        Value::String(format) if format == "base64" => true,
        _ => {
            return Err(fault::invalid(
                "encoding_format",
                "expected `float` or `base64`.",
                "invalid_value",
            ));
        }
    };
    // Vectors are written as they are made: as values, 2,048 large ones would fill the memory.
    let mut body = br#"{"object":"list","data":["#.to_vec();
    let mut tokens = 0;
    for (index, input) in inputs.iter().enumerate() {
        tokens += length(input);
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{separator}{{"object":"embedding","index":{index},"embedding":"#
        );
        write_vector(
            &vector(input, usize::try_from(dimensions).unwrap_or_default()),
            base64,
            &mut body,
        );
        body.push(b'}');
    }
    let _ = write!(body, r#"],"model":{}"#, Value::from(model));
    if usage {
        let _ = write!(
            body,
            r#","usage":{}"#,
            json!({"prompt_tokens": tokens, "total_tokens": tokens})
        );
    }
    body.push(b'}');
    Ok(body)
}

fn inputs(input: Value) -> Option<Vec<EmbedInput>> {
    let tokens = |items: &[Value]| {
        items
            .iter()
            .map(Value::as_u64)
            .collect::<Option<Vec<u64>>>()
            .filter(|tokens| !tokens.is_empty())
    };
    match input {
        Value::String(text) if !text.is_empty() => Some(vec![EmbedInput::Text(text)]),
        Value::Array(items) => match tokens(&items) {
            Some(tokens) => Some(vec![EmbedInput::Tokens(tokens)]),
            None => {
                let each = items.into_iter().map(|item| match item {
                    Value::String(text) if !text.is_empty() => Some(EmbedInput::Text(text)),
                    Value::Array(items) => tokens(&items).map(EmbedInput::Tokens),
                    _ => None,
                });
                each.collect::<Option<Vec<EmbedInput>>>()
                    .filter(|inputs| !inputs.is_empty())
            }
        },
        _ => None,
    }
}

/// Vectors of all inputs, and their tokens.
pub(super) fn vectors(inputs: &[EmbedInput], dimensions: Option<u64>) -> (Vec<Vec<f64>>, u64) {
    let dimensions = dimensions.unwrap_or(DIMENSIONS).clamp(1, MAX_DIMENSIONS);
    let dimensions = usize::try_from(dimensions).unwrap_or_default();
    let vectors = inputs.iter().take(MAX_INPUTS).map(|input| {
        let vector = vector(input, dimensions);
        // As it is written: the nearest decimal of the 32-bit number.
        let exact = |value: &f32| value.to_string().parse().unwrap_or_default();
        vector.iter().map(exact).collect()
    });
    (vectors.collect(), inputs.iter().map(length).sum())
}

fn length(input: &EmbedInput) -> u64 {
    match input {
        EmbedInput::Text(text) => count(text),
        EmbedInput::Tokens(tokens) => tokens.len() as u64,
    }
}

/// A number for each word.
fn hashes(input: &EmbedInput) -> Vec<u64> {
    let hash = |bytes: &[u8]| {
        let mut hash = Hash::new();
        hash.add(bytes);
        hash.value()
    };
    match input {
        EmbedInput::Text(text) => {
            let word = |token: &str| {
                token
                    .trim_matches(|char: char| !char.is_alphanumeric())
                    .to_lowercase()
            };
            tokens(text)
                .map(|token| hash(word(token).as_bytes()))
                .collect()
        }
        EmbedInput::Tokens(tokens) => tokens
            .iter()
            .map(|token| hash(&token.to_le_bytes()))
            .collect(),
    }
}

/// A vector of length 1.
fn vector(input: &EmbedInput, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0f64; dimensions];
    let mut whole = Hash::new();
    let mut turn = |hash: u64, by: f64| {
        let mut dice = Dice(hash);
        for _ in 0..DIRECTIONS {
            let sign = if dice.roll() & 1 == 0 { by } else { -by };
            if let Some(value) = sum.get_mut(dice.below(dimensions)) {
                *value += sign;
            }
        }
    };
    for hash in hashes(input) {
        whole.add(&hash.to_le_bytes());
        turn(hash, 1.0);
    }
    // The order of the words counts a little.
    turn(whole.value(), 0.25);
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length < 1e-9 {
        // Everything cancelled out.
        return (0..dimensions)
            .map(|index| if index == 0 { 1.0 } else { 0.0 })
            .collect();
    }
    sum.iter().map(|value| (value / length) as f32).collect()
}

fn write_vector(vector: &[f32], base64: bool, out: &mut Vec<u8>) {
    if base64 {
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        out.push(b'"');
        out.extend_from_slice(STANDARD.encode(&bytes).as_bytes());
        out.push(b'"');
    } else {
        // A list of finite numbers always has a JSON form; a `Vec` takes every write.
        let _ = serde_json::to_writer(out, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &Value) -> Result<Value, Refusal> {
        let body = body.to_string();
        let fields = Envelope::parse(body.as_bytes()).unwrap();
        answer(&fields, "mock", true).map(|body| serde_json::from_slice(&body).unwrap())
    }

    fn text(text: &str) -> Vec<f32> {
        vector(&EmbedInput::Text(text.into()), 256)
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_know_their_words() {
        let (a, b, c) = (
            text("the cat sat on the mat"),
            text("The cat sat on a mat."),
            text("quarterly revenue grew"),
        );
        for vector in [&a, &b, &c, &vector(&EmbedInput::Text("x".into()), 1)] {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-5);
        }
        assert!(
            dot(&a, &b) > 0.6 && dot(&a, &c) < 0.4,
            "{} {}",
            dot(&a, &b),
            dot(&a, &c)
        );
        assert_ne!(text("dog bites man"), text("man bites dog"));
        assert_eq!(text("same"), text("same"));
    }

    #[test]
    fn every_form_of_input_is_embedded() {
        for (input, vectors, tokens) in [
            (json!("two words"), 1, 2),
            (json!(["a", "b c"]), 2, 3),
            (json!([1, 2, 3]), 1, 3),
            (json!([[1], [2, 3]]), 2, 3),
        ] {
            let answer = ask(&json!({"model": "mock", "input": input, "dimensions": 8})).unwrap();
            assert_eq!(answer["data"].as_array().unwrap().len(), vectors, "{input}");
            assert_eq!(answer["data"][0]["embedding"].as_array().unwrap().len(), 8);
            assert_eq!(
                answer["usage"],
                json!({"prompt_tokens": tokens, "total_tokens": tokens})
            );
            assert_eq!(
                (&answer["object"], &answer["model"]),
                (&json!("list"), &json!("mock"))
            );
        }
        assert_eq!(
            ask(&json!({"input": "a"})).unwrap()["data"][0]["embedding"]
                .as_array()
                .unwrap()
                .len(),
            256
        );
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        let floats = ask(&json!({"input": "a b c", "dimensions": 5})).unwrap();
        let base64 =
            ask(&json!({"input": "a b c", "dimensions": 5, "encoding_format": "base64"})).unwrap();
        let numbers: Vec<f32> =
            serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let text = base64["data"][0]["embedding"].as_str().unwrap();
        assert_eq!(STANDARD.decode(text).unwrap(), bytes);
    }

    #[test]
    fn bad_input_is_refused() {
        for (body, param) in [
            (json!({}), "input"),
            (json!({"input": ""}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": ["a", 1]}), "input"),
            (json!({"input": {"a": 1}}), "input"),
            (json!({"input": vec!["a"; 2049]}), "input"),
            (json!({"input": "a", "dimensions": 0}), "dimensions"),
            (json!({"input": "a", "dimensions": 99999}), "dimensions"),
            (
                json!({"input": "a", "encoding_format": "hex"}),
                "encoding_format",
            ),
        ] {
            let fault = ask(&body).unwrap_err();
            assert_eq!((fault.status, fault.param.as_deref()), (400, Some(param)));
        }
    }
}
