//! The examples in `profiles/`, which run on the mock.

use crate::support::{Ask, Server, holds, text_of};

fn serve() -> Server {
    Server::setup()
        .built_in("mock-request-transformer")
        .built_in("mock-response-transformer")
        .built_in("mock-transformers")
        .start()
}

const BODY: &str = r#"{"messages":[{"role":"user","content":"one two three four five six seven eight nine ten"}]}"#;

#[tokio::test]
async fn a_request_is_rewritten() {
    let server = serve();
    let reply = Ask::post("/mock-request-transformer/v1/chat/completions", BODY)
        .whole(&server)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let choice = &reply.json()["choices"][0];
    assert_eq!(
        choice["message"]["content"],
        "one two three four five six seven eight"
    );
    assert_eq!(choice["finish_reason"], "length");
}

#[tokio::test]
async fn a_response_is_rewritten() {
    let server = serve();
    let path = "/mock-response-transformer/v1/chat/completions";
    let reply = Ask::post(path, BODY).whole(&server).await;
    assert_eq!(reply.json()["reviewed"]["by"], "mock-transform");
    let stream = BODY.replace("]}", r#"],"stream":true}"#);
    let reply = Ask::post(path, stream).whole(&server).await;
    assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
    assert!(
        text_of(&reply.body).ends_with("nine ten"),
        "{}",
        reply.text()
    );
    // Errors of the provider are seen by the LLM too.
    let model = BODY.replacen('{', r#"{"model":"mock-error-500","#, 1);
    let reply = Ask::post(path, model).whole(&server).await;
    assert_eq!(reply.status, 500);
    assert!(holds(&reply.body, r#""reviewed""#), "{}", reply.text());
}

#[tokio::test]
async fn both_are_rewritten() {
    let server = serve();
    let reply = Ask::post("/mock-transformers/v1/chat/completions", BODY)
        .whole(&server)
        .await;
    assert_eq!(reply.status, 203, "{}", reply.text());
    assert_eq!(reply.headers.get("x-reviewed-by"), Some("mock-transform"));
    let json = reply.json();
    assert_eq!(json["reviewed"], true);
    assert_eq!(
        json["choices"][0]["message"]["content"],
        "one two three four five six seven eight"
    );
}
