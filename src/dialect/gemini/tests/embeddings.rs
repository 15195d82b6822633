use serde_json::{Value, json};

use crate::{
    dialect::{Egress, Error, Ingress, gemini::GeminiEmbeddings},
    llm::{EmbedInput, EmbedRequest, EmbedResponse, Usage},
};

const ALL: [GeminiEmbeddings; 3] = [
    GeminiEmbeddings::Single,
    GeminiEmbeddings::Batch,
    GeminiEmbeddings::Predict,
];

fn request(texts: &[&str]) -> EmbedRequest {
    EmbedRequest {
        model: Some("gemini-embedding-001".into()),
        input: texts
            .iter()
            .map(|text| EmbedInput::Text((*text).into()))
            .collect(),
        listed: true,
        dimensions: Some(256),
        purpose: Some("search_query".into()),
        ..EmbedRequest::default()
    }
}

#[test]
fn requests_are_written_in_three_ways() {
    let sent = |way: GeminiEmbeddings, texts: &[&str]| -> Value {
        let encoded = Egress::encode_embeddings(&way, &request(texts)).unwrap();
        assert!(encoded.lost.is_empty());
        serde_json::from_slice(&encoded.body).unwrap()
    };
    let one = |text: &str| json!({"content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256});
    assert_eq!(sent(GeminiEmbeddings::Single, &["a"]), one("a"));
    let with = |text: &str| {
        let mut one = one(text);
        one["model"] = "models/gemini-embedding-001".into();
        one
    };
    assert_eq!(
        sent(GeminiEmbeddings::Batch, &["a", "b"]),
        json!({"requests": [with("a"), with("b")]})
    );
    assert_eq!(
        sent(GeminiEmbeddings::Predict, &["a", "b"]),
        json!({"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}, {"content": "b", "task_type": "RETRIEVAL_QUERY"}],
            "parameters": {"outputDimensionality": 256}})
    );
}

#[test]
fn what_cannot_be_embedded_is_refused_or_told() {
    let refused = Egress::encode_embeddings(&GeminiEmbeddings::Single, &request(&["a", "b"]));
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let mut tokens = request(&[]);
    tokens.input = vec![EmbedInput::Tokens(vec![1])];
    let refused = Egress::encode_embeddings(&GeminiEmbeddings::Batch, &tokens);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let mut odd = request(&["a"]);
    odd.purpose = Some("odd".into());
    odd.user = Some("u".into());
    odd.normalize = Some(true);
    let encoded = Egress::encode_embeddings(&GeminiEmbeddings::Batch, &odd).unwrap();
    let lost: Vec<String> = encoded.lost.iter().map(ToString::to_string).collect();
    assert_eq!(
        lost,
        ["dropped:input_type", "dropped:user", "dropped:normalize"]
    );
}

#[test]
fn requests_and_answers_survive_there_and_back() {
    for way in ALL {
        let texts: &[&str] = if way == GeminiEmbeddings::Single {
            &["a"]
        } else {
            &["a", "b"]
        };
        let encoded = Egress::encode_embeddings(&way, &request(texts)).unwrap();
        let again = Ingress::decode_embeddings(&way, &encoded.body).unwrap();
        assert_eq!(again.input, request(texts).input, "{way:?}");
        assert_eq!(again.listed, way != GeminiEmbeddings::Single);
        assert_eq!(again.dimensions, Some(256));
        assert_eq!(again.purpose.as_deref(), Some("RETRIEVAL_QUERY"));
        assert!(again.extra.is_none());
        let response = EmbedResponse {
            vectors: texts.iter().map(|_| vec![0.5, -0.25]).collect(),
            usage: Some(Usage {
                input: 3,
                ..Usage::default()
            }),
            ..EmbedResponse::default()
        };
        let body = Ingress::encode_embeddings(&way, &again, &response);
        assert_eq!(Egress::decode_embeddings(&way, &body).unwrap(), response);
    }
}

#[test]
fn snake_case_and_bad_requests() {
    let request = Ingress::decode_embeddings(
        &GeminiEmbeddings::Single,
        br#"{"model":"models/m","content":{"parts":{"text":"x"}},"task_type":"CLUSTERING","output_dimensionality":8,"title":"t"}"#,
    )
    .unwrap();
    assert_eq!(request.model.as_deref(), Some("m"));
    assert_eq!(
        (request.dimensions, request.purpose.as_deref()),
        (Some(8), Some("CLUSTERING"))
    );
    assert_eq!(request.extra.unwrap().fields["title"], "t");
    for (way, body) in [
        (GeminiEmbeddings::Single, r#"{"content":{}}"#),
        (
            GeminiEmbeddings::Single,
            r#"{"content":{"parts":[{"inlineData":{}}]}}"#,
        ),
        (
            GeminiEmbeddings::Batch,
            r#"{"content":{"parts":[{"text":"x"}]}}"#,
        ),
        (GeminiEmbeddings::Predict, r#"{"instances":[{}]}"#),
        (GeminiEmbeddings::Predict, "[]"),
    ] {
        assert!(
            Ingress::decode_embeddings(&way, body.as_bytes()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn vertex_tells_tokens_for_each_text() {
    let answer = Egress::decode_embeddings(
        &GeminiEmbeddings::Predict,
        br#"{"predictions":[{"embeddings":{"statistics":{"truncated":false,"token_count":6},"values":[1,2]}},
            {"embeddings":{"statistics":{"token_count":4.0},"values":[3]}}],"metadata":{"billableCharacterCount":9}}"#,
    )
    .unwrap();
    assert_eq!(answer.vectors, [vec![1.0, 2.0], vec![3.0]]);
    assert_eq!(answer.usage.unwrap().input, 10);
    assert!(Egress::decode_embeddings(&GeminiEmbeddings::Batch, b"{}").is_err());
}
