use serde_json::{Value, json};

use super::*;
use crate::llm::Usage;

fn read(body: &Value) -> Result<EmbedRequest, Error> {
    Ingress::decode_embeddings(&OpenAiEmbeddings, body.to_string().as_bytes())
}

fn written(request: &EmbedRequest) -> (Value, Vec<String>) {
    let Encoded { body, lost, .. } = Egress::encode_embeddings(&OpenAiEmbeddings, request).unwrap();
    let lost = lost.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&body).unwrap(), lost)
}

#[test]
fn requests_survive_a_round_trip() {
    for (input, count, listed) in [
        (json!("text"), 1, false),
        (json!(["a"]), 1, true),
        (json!(["a", "b"]), 2, true),
        (json!([1, 2, 3]), 1, false),
        (json!([[1, 2]]), 1, true),
        (json!([[1, 2], [3]]), 2, true),
        (json!([]), 0, true),
    ] {
        let body = json!({"model": "m", "input": input, "dimensions": 8, "encoding_format": "base64", "user": "u", "new": 1});
        let request = read(&body).unwrap();
        assert_eq!(
            (request.input.len(), request.listed),
            (count, listed),
            "{input}"
        );
        assert!(request.base64);
        assert_eq!(written(&request), (body, vec![]));
    }
    let plain = read(&json!({"input": "a", "encoding_format": "float", "user": null})).unwrap();
    assert!(!plain.base64 && plain.extra.is_none());
    let odd = read(&json!({"input": "a", "encoding_format": "int8", "dimensions": "x"})).unwrap();
    assert_eq!(odd.extra.unwrap().fields.len(), 2);
}

#[test]
fn mistakes_are_named() {
    for body in [
        json!({}),
        json!({"input": 3}),
        json!({"input": ["a", 1]}),
        json!({"input": [[]]}),
    ] {
        assert!(
            read(&body)
                .unwrap_err()
                .to_string()
                .starts_with("`input` is neither")
        );
    }
    assert!(read(&json!([])).is_err());
}

#[test]
fn what_openai_has_no_field_for_is_reported() {
    let request = EmbedRequest {
        input: vec![EmbedInput::Text("a".into())],
        purpose: Some("search_query".into()),
        normalize: Some(true),
        extra: Some(Extra {
            from: Format::Cohere,
            fields: serde_json::from_value(json!({"truncate": "END"})).unwrap(),
        }),
        ..EmbedRequest::default()
    };
    let (json, lost) = written(&request);
    assert_eq!(json, json!({"input": "a"}));
    assert_eq!(
        lost,
        [
            "dropped:truncate",
            "dropped:input_type",
            "dropped:normalize"
        ]
    );
}

fn answer() -> EmbedResponse {
    EmbedResponse {
        id: String::new(),
        model: "m".into(),
        vectors: vec![vec![0.5, -0.25, 1.0], vec![0.0, 2.0, -3.5]],
        usage: Some(Usage {
            input: 7,
            ..Usage::default()
        }),
    }
}

#[test]
fn answers_survive_as_numbers_and_as_base64() {
    for base64 in [false, true] {
        let request = EmbedRequest {
            base64,
            ..EmbedRequest::default()
        };
        let body = Ingress::encode_embeddings(&OpenAiEmbeddings, &request, &answer());
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["object"], "list");
        assert_eq!(json["data"][1]["index"], 1);
        assert_eq!(
            json["usage"],
            json!({"prompt_tokens": 7, "total_tokens": 7})
        );
        if base64 {
            assert_eq!(json["data"][0]["embedding"], "AAAAPwAAgL4AAIA/");
        } else {
            assert_eq!(json["data"][0]["embedding"], json!([0.5, -0.25, 1.0]));
        }
        assert_eq!(
            Egress::decode_embeddings(&OpenAiEmbeddings, &body).unwrap(),
            answer()
        );
    }
}

#[test]
fn vectors_come_in_the_order_of_the_inputs() {
    let body = br#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    let answer = Egress::decode_embeddings(&OpenAiEmbeddings, body).unwrap();
    assert_eq!(answer.vectors, [[1.0], [2.0]]);
    assert_eq!(answer.usage.unwrap().input, 2);
    let unnumbered = br#"{"data":[{"embedding":[2]},{"index":0,"embedding":[1]}]}"#;
    let answer = Egress::decode_embeddings(&OpenAiEmbeddings, unnumbered).unwrap();
    assert_eq!(answer.vectors, [[2.0], [1.0]]);
}

#[test]
fn answers_that_are_none_are_refused() {
    for body in [
        &br#"{"model":"m"}"#[..],
        br#"{"data":[{"index":0}]}"#,
        br#"{"data":[{"embedding":["a"]}]}"#,
        br#"{"data":[{"embedding":"AAA"}]}"#,
        br#"{"data":[{"embedding":"AAAA"}]}"#,
        b"<html>",
    ] {
        assert!(Egress::decode_embeddings(&OpenAiEmbeddings, body).is_err());
    }
}

#[test]
fn an_observer_sees_who_answered_and_what_it_cost() {
    let body = Ingress::encode_embeddings(&OpenAiEmbeddings, &EmbedRequest::default(), &answer());
    let seen = OpenAiEmbeddings.decode_response(&body).unwrap();
    assert_eq!((seen.model.as_str(), seen.usage.unwrap().input), ("m", 7));
    assert!(
        OpenAiEmbeddings
            .encode_request(&ChatRequest::default())
            .is_err()
    );
    assert!(OpenAiEmbeddings.decode_request(b"{}").is_err());
}
