//! Log probabilities, as chat tells them and as completions do.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::wire::read as lenient;
use crate::{dialect::text::Text, llm::Logprob};

/// What OpenAI says of a token that is not among the likeliest; servers that have minus infinity there send `null`.
const LEAST: f64 = -9999.0;

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    content: Option<Vec<Token<'a>>>,
    #[serde(borrow)]
    refusal: Option<Vec<Token<'a>>>,
    /// Of completions: <https://platform.openai.com/docs/api-reference/completions/object>.
    #[serde(borrow)]
    tokens: Option<Vec<Text<'a>>>,
    token_logprobs: Option<Vec<Option<f64>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
    logprob: Option<f64>,
    bytes: Option<Vec<u8>>,
    #[serde(borrow)]
    top_logprobs: Option<Vec<Token<'a>>>,
}

impl From<Token<'_>> for Logprob {
    fn from(token: Token<'_>) -> Logprob {
        Logprob {
            token: token.token.or_empty().into_owned(),
            logprob: token.logprob.unwrap_or(LEAST),
            bytes: token.bytes,
            top: token
                .top_logprobs
                .into_iter()
                .flatten()
                .map(|token| Logprob {
                    top: Vec::new(),
                    ..token.into()
                })
                .collect(),
        }
    }
}

/// Reads either form; those of the content, then those of a refusal.
pub(super) fn read(raw: Option<&RawValue>) -> Vec<Logprob> {
    let Some(wire) = lenient::<Wire<'_>>(raw) else {
        return Vec::new();
    };
    let of_chat = wire.content.into_iter().chain(wire.refusal).flatten();
    let mut all: Vec<Logprob> = of_chat.map(Into::into).collect();
    let (numbers, tops) = (
        wire.token_logprobs.unwrap_or_default(),
        wire.top_logprobs.unwrap_or_default(),
    );
    for (index, token) in wire.tokens.into_iter().flatten().enumerate() {
        let top = tops.get(index).and_then(Option::as_ref);
        let top = top.into_iter().flatten().map(|(token, logprob)| Logprob {
            token: token.clone(),
            logprob: logprob.as_f64().unwrap_or(LEAST),
            ..Logprob::default()
        });
        all.push(Logprob {
            token: token.or_empty().into_owned(),
            logprob: numbers.get(index).copied().flatten().unwrap_or(LEAST),
            bytes: None,
            top: top.collect(),
        });
    }
    all
}

/// Writes chat's form; `null` if there is nothing to tell.
pub(super) fn write(tokens: &[Logprob], refusal: bool) -> Value {
    if tokens.is_empty() {
        return Value::Null;
    }
    let plain = |token: &Logprob| json!({"token": token.token, "logprob": token.logprob, "bytes": token.bytes});
    let tokens: Value = tokens
        .iter()
        .map(|token| {
            let mut json = plain(token);
            let top: Vec<Value> = token.top.iter().map(plain).collect();
            crate::dialect::put(&mut json, "top_logprobs", top);
            json
        })
        .collect();
    if refusal {
        json!({"content": null, "refusal": tokens})
    } else {
        json!({"content": tokens, "refusal": null})
    }
}

/// Writes completions' form; `offset` is where the tokens begin in the text, in characters, and moves on.
pub(in crate::dialect) fn write_flat(tokens: &[Logprob], offset: &mut usize) -> Value {
    if tokens.is_empty() {
        return Value::Null;
    }
    let mut offsets = Vec::with_capacity(tokens.len());
    for token in tokens {
        offsets.push(*offset);
        *offset += token.token.chars().count();
    }
    let tops: Vec<Map<String, Value>> = tokens
        .iter()
        .map(|token| {
            let pairs = token.top.iter();
            pairs
                .map(|top| (top.token.clone(), top.logprob.into()))
                .collect()
        })
        .collect();
    json!({
        "tokens": tokens.iter().map(|token| token.token.as_str()).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| token.logprob).collect::<Vec<_>>(),
        "top_logprobs": if tops.iter().all(Map::is_empty) { Value::Null } else { json!(tops) },
        "text_offset": offsets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &Value) -> Vec<Logprob> {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        read(Some(&raw))
    }

    #[test]
    fn chats_form_survives_a_round_trip() {
        let json = json!({"content": [
            {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [
                {"token": "Hi", "logprob": -0.25, "bytes": [72, 105]}, {"token": "Yo", "logprob": -2.5, "bytes": null}]},
            {"token": "!", "logprob": -9999.0, "bytes": null, "top_logprobs": []},
        ], "refusal": null});
        let tokens = parsed(&json);
        assert_eq!(write(&tokens, false), json);
        let refusal = write(&tokens, true);
        assert!(refusal["content"].is_null());
        assert_eq!(parsed(&refusal), tokens);
        assert_eq!(write(&[], false), Value::Null);
    }

    #[test]
    fn completions_form_survives_a_round_trip() {
        let json = json!({"tokens": ["né", " to"], "token_logprobs": [-0.5, -0.125],
            "top_logprobs": [{"né": -0.5, "na": -1.5}, {" to": -0.125}], "text_offset": [4, 6]});
        let tokens = parsed(&json);
        assert_eq!(tokens[0].top[1].token, "na");
        assert_eq!(write_flat(&tokens, &mut 4), json);
    }

    #[test]
    fn other_shapes_are_none() {
        for json in [json!(null), json!(-0.3), json!({}), json!({"content": 3})] {
            assert!(parsed(&json).is_empty(), "{json}");
        }
        let gaps = json!({"tokens": ["a", "b"], "token_logprobs": [null], "top_logprobs": null});
        assert_eq!(parsed(&gaps)[1].logprob, LEAST);
    }
}
