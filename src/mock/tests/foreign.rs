//! Other providers' own paths.

use super::*;

#[tokio::test]
async fn vectors_of_vertex_ai() {
    let models = "/v1/projects/p/locations/europe-west4/publishers/google/models";
    let body = r#"{"instances":[{"content":"a"},{"content":"b c"}],"parameters":{"outputDimensionality":8}}"#;
    let answer = send(
        "POST",
        &format!("{models}/gemini-embedding-001:predict"),
        body,
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let predictions = json["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 2);
    for prediction in predictions {
        let values = prediction["embeddings"]["values"].as_array().unwrap();
        assert_eq!(values.len(), 8);
    }
    // Of what a `predict` of other models means, the path says nothing.
    let other = send("POST", &format!("{models}/imagen-4:predict"), body).await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn hugging_faces_servers_answer_at_their_root() {
    let text = send("POST", "/", r#"{"inputs":"Hello","model":"mock-echo"}"#).await;
    assert_eq!(text.json()[0]["generated_text"], "Hello");
    let vectors = r#"{"inputs":["a","b"]}"#;
    for path in [
        "/",
        "/hf-inference/models/org/name/pipeline/feature-extraction",
    ] {
        let vectors = send("POST", path, vectors).await;
        assert_eq!(vectors.json().as_array().unwrap().len(), 2, "{path}");
    }
    // Of others' bodies it is no path.
    for body in [r#"{"contents":[]}"#, "{", ""] {
        assert_eq!(send("POST", "/", body).await.status, 404);
    }
}
