use serde_json::{Value, json};

use super::{body, lost};
use crate::{
    dialect::{Egress, Ingress, cohere::Embed},
    llm::{EmbedInput, EmbedRequest, EmbedResponse, Extra, Format, Usage},
};

#[test]
fn embeddings_go_both_ways() {
    let wire = json!({
        "model": "embed-v4.0", "texts": ["a"], "inputs": [{"content": [{"type": "text", "text": "b"}]}],
        "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256, "truncate": "END",
    });
    let request = Ingress::decode_embeddings(&Embed, wire.to_string().as_bytes()).unwrap();
    let encoded = Egress::encode_embeddings(&Embed, &request).unwrap();
    assert_eq!(
        body(&encoded),
        json!({
            "model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"],
            "output_dimension": 256, "truncate": "END",
        })
    );
    assert!(encoded.lost.is_empty());
    let response = EmbedResponse {
        id: "e".into(),
        vectors: vec![vec![0.5, -1.0], vec![0.25, 2.0]],
        usage: Some(Usage {
            input: 4,
            ..Usage::default()
        }),
        ..EmbedResponse::default()
    };
    let written = Ingress::encode_embeddings(&Embed, &request, &response);
    assert_eq!(
        Egress::decode_embeddings(&Embed, &written).unwrap(),
        response
    );
    assert_eq!(
        Embed.decode_response(&written).unwrap().usage,
        response.usage
    );
    let packed = EmbedRequest {
        base64: true,
        ..request
    };
    let written = Ingress::encode_embeddings(&Embed, &packed, &response);
    let json: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(json["embeddings"]["base64"][0], "AAAAPwAAgL8=");
}

#[test]
fn embeddings_are_for_classification_unless_told() {
    let mut request = EmbedRequest {
        input: vec![EmbedInput::Text("a".into())],
        user: Some("u".into()),
        ..EmbedRequest::default()
    };
    let encoded = Egress::encode_embeddings(&Embed, &request).unwrap();
    assert_eq!(body(&encoded)["input_type"], "classification");
    assert_eq!(lost(&encoded), ["dropped:user"]);
    let fields = json!({"input_type": "search_document", "odd": 1});
    request.extra = fields.as_object().map(|fields| Extra {
        from: Format::OpenAi,
        fields: fields.clone(),
    });
    let encoded = Egress::encode_embeddings(&Embed, &request).unwrap();
    assert_eq!(body(&encoded)["input_type"], "search_document");
    assert_eq!(lost(&encoded), ["dropped:odd", "dropped:user"]);
}

#[test]
fn what_is_no_text_is_refused() {
    let tokens = EmbedRequest {
        input: vec![EmbedInput::Tokens(vec![1])],
        ..EmbedRequest::default()
    };
    assert!(Egress::encode_embeddings(&Embed, &tokens).is_err());
    let refusal = |body: &str| {
        Ingress::decode_embeddings(&Embed, body.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(r#"{"images":["data:image/png;base64,AA"]}"#).contains("image"));
    assert!(refusal(r#"{"texts":["a"],"embedding_types":["int8"]}"#).contains("`int8`"));
}

#[test]
fn answers_of_both_versions_are_read() {
    let read = |body: &str| Egress::decode_embeddings(&Embed, body.as_bytes());
    let v1 = read(r#"{"embeddings":[[1,2]],"meta":{"billed_units":{"input_tokens":2}}}"#).unwrap();
    assert_eq!(v1.vectors, [[1.0, 2.0]]);
    assert_eq!(v1.usage.unwrap().input, 2);
    assert_eq!(
        read(r#"{"x":1}"#).unwrap_err().to_string(),
        "'embeddings' missing from cohere response body"
    );
}
