//! Operations other than chat, and requests that are refused.

use super::*;
use crate::dialect::openai_completions::OpenAiCompletions;

#[tokio::test]
async fn requests_that_are_none_are_refused_in_openais_words() {
    for (method, path, body, status, code, says) in [
        ("GET", "/", "", 404, json!(null), "Invalid URL (GET /)"),
        (
            "POST",
            "/v1/response",
            "{}",
            404,
            json!(null),
            "Invalid URL (POST /v1/response)",
        ),
        (
            "POST",
            "/v1chat/completions",
            "{}",
            404,
            json!(null),
            "Invalid URL",
        ),
        (
            "GET",
            "/v1/chat/completions",
            "",
            405,
            json!("method_not_supported"),
            "Not allowed to GET on /v1/chat/completions",
        ),
        (
            "POST",
            "/v1/models",
            "{}",
            405,
            json!("method_not_supported"),
            "Not allowed to POST",
        ),
        (
            "POST",
            "/v1/chat/completions",
            "",
            400,
            json!(null),
            "We could not parse the JSON body",
        ),
        (
            "POST",
            "/v1/embeddings",
            "{\"model\":",
            400,
            json!(null),
            "We could not parse the JSON body",
        ),
        (
            "POST",
            "/chat/completions",
            "[1]",
            400,
            json!(null),
            "We could not parse the JSON body",
        ),
        (
            "POST",
            "/v1/chat/completions",
            "{}",
            400,
            json!(null),
            "you must provide a model parameter",
        ),
        (
            "POST",
            "/v1/chat/completions",
            r#"{"model":"mock-gpt"}"#,
            404,
            json!("model_not_found"),
            "The model `mock-gpt` does not exist",
        ),
        (
            "POST",
            "/v1/chat/completions",
            r#"{"model":"mock"}"#,
            400,
            json!("missing_required_parameter"),
            "Missing required parameter: 'messages'.",
        ),
        (
            "POST",
            "/v1/chat/completions",
            r#"{"model":"mock","messages":[]}"#,
            400,
            json!("empty_array"),
            "Invalid 'messages'",
        ),
        (
            "POST",
            "/v1/chat/completions",
            r#"{"model":"mock","messages":[{"role":"x"}]}"#,
            400,
            json!(null),
            "messages[0]: unknown role `x`",
        ),
        (
            "POST",
            "/v1/completions",
            r#"{"model":"mock"}"#,
            400,
            json!("missing_required_parameter"),
            "'prompt'",
        ),
        (
            "POST",
            "/v1/completions",
            r#"{"model":"mock","prompt":{}}"#,
            400,
            json!("invalid_value"),
            "'prompt'",
        ),
        (
            "GET",
            "/v1/models/mock-gpt",
            "",
            404,
            json!("model_not_found"),
            "The model `mock-gpt` does not exist",
        ),
    ] {
        let answer = send(method, path, body).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["code"]),
            (status, &code),
            "{method} {path} {body}"
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        assert!(
            error["type"].is_string() && error.get("param").is_some(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let answer = send("POST", "/v1/chat/completions", vec![b' '; MAX_REQUEST + 1]).await;
    assert_eq!(
        (answer.status, answer.json()["error"]["message"].as_str()),
        (413, Some("request body too large"))
    );
}

#[tokio::test]
async fn models_are_listed() {
    for path in ["/v1/models", "/models"] {
        let list = send("GET", path, "").await.json();
        let names: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap())
            .collect();
        assert_eq!(
            (list["object"].as_str(), names),
            (Some("list"), MODELS.iter().map(|(name, _)| *name).collect())
        );
    }
    let one = send("GET", "/v1/models/mock-error-418", "").await.json();
    assert_eq!(
        (one["id"].as_str(), one["object"].as_str()),
        (Some("mock-error-418"), Some("model"))
    );
}

#[tokio::test]
async fn errors_are_answered_by_name() {
    for (status, kind, code) in [
        (401, "invalid_request_error", json!("invalid_api_key")),
        (404, "invalid_request_error", json!("model_not_found")),
        (408, "invalid_request_error", json!("request_timeout")),
        (418, "invalid_request_error", json!(null)),
        (429, "requests", json!("rate_limit_exceeded")),
        (500, "server_error", json!(null)),
        (529, "overloaded_error", json!(null)),
        (599, "server_error", json!(null)),
    ] {
        for stream in [false, true] {
            let answer = chat(&format!("mock-error-{status}"), json!({"stream": stream})).await;
            let error = answer.json()["error"].clone();
            assert_eq!(
                (answer.status, error["type"].as_str(), &error["code"]),
                (status, Some(kind), &code)
            );
            assert_eq!(answer.headers.get("retry-after").is_some(), status == 429);
        }
    }
    let limited = chat("mock-error-429", json!({})).await;
    assert_eq!(
        (
            &limited.headers["retry-after"],
            &limited.headers["x-ratelimit-remaining-requests"]
        ),
        (&"1".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(
        send(
            "POST",
            "/v1/embeddings",
            r#"{"model":"mock-error-500","input":"a"}"#
        )
        .await
        .status,
        500
    );
}

#[tokio::test]
async fn completions_answer_each_prompt() {
    let ask = async |more: Value| {
        let mut body = json!({"model": "mock-echo", "prompt": ["one two", "three"]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        send("POST", "/v1/completions", body.to_string()).await
    };
    let whole = ask(json!({})).await.json();
    assert_eq!(
        (
            whole["object"].as_str(),
            whole["choices"][1]["text"].as_str()
        ),
        (Some("text_completion"), Some("three"))
    );
    assert_eq!(
        whole["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6})
    );
    assert!(whole["id"].as_str().unwrap().starts_with("cmpl-"));
    let echo = ask(json!({"prompt": "one two", "echo": true, "max_tokens": 1}))
        .await
        .json();
    assert_eq!(
        (
            &echo["choices"][0]["text"],
            &echo["choices"][0]["finish_reason"]
        ),
        (&json!("one twoone"), &json!("length"))
    );
    assert_eq!(
        ask(json!({"n": 2})).await.json()["choices"]
            .as_array()
            .unwrap()
            .len(),
        4
    );

    let expected = OpenAiCompletions
        .decode_response(whole.to_string().as_bytes())
        .unwrap();
    let stream = ask(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    let (response, failed, complete, bad) = stream.decoded();
    assert_eq!((failed, complete, bad), (None, true, 0));
    assert_eq!(plain(&response), plain(&expected));
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
    assert!(!ask(json!({"stream": true})).await.text().contains("usage"));
    let failed = ask(json!({"model": "mock-error-stream", "stream": true})).await;
    assert!(failed.decoded().1.is_some());
}

#[tokio::test]
async fn embeddings_are_answered() {
    let answer = send(
        "POST",
        "/embeddings",
        r#"{"model":"mock","input":["a","b"],"dimensions":3}"#,
    )
    .await;
    assert_eq!(
        (
            answer.status,
            answer.json()["data"][1]["embedding"]
                .as_array()
                .unwrap()
                .len()
        ),
        (200, 3)
    );
    assert!(
        send(
            "POST",
            "/embeddings",
            r#"{"model":"mock-cut-9","input":"a"}"#
        )
        .await
        .broken
    );
}
