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

#[tokio::test]
async fn responses_whole_and_streamed() {
    let body = r#"{"model":"mock-tools","input":"Weather?","tools":[{"type":"web_search"},{"type":"custom","name":"patch"}],"store":false}"#;
    let whole = send("POST", "/v1/responses", body).await;
    let json = whole.json();
    assert_eq!((whole.status, &json["status"]), (200, &json!("completed")));
    assert!(json["id"].as_str().unwrap().starts_with("resp_mock"));
    assert_eq!(json["output"][0]["type"], "custom_tool_call");
    assert_eq!(json["store"], false);
    let body = r#"{"model":"mock-fast","input":"Hello","max_output_tokens":3,"stream":true}"#;
    let events = send("POST", "/openai/responses", body).await.events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["max_output_tokens"], 3);
    let missing = r#"{"model":"mock","previous_response_id":"resp_1","input":"x"}"#;
    let refused = send("POST", "/v1/responses", missing).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    let late = send(
        "POST",
        "/v1/responses",
        r#"{"model":"mock-error-429","input":"x"}"#,
    )
    .await;
    assert_eq!(late.status, 429);
}
