//! Answers that go wrong on purpose.

use super::*;

#[tokio::test]
async fn streams_fail_by_name() {
    let whole = OpenAiChat
        .decode_response(&chat("mock", json!({})).await.frames.concat())
        .unwrap()
        .text();
    let streamed = |model: &'static str| chat(model, json!({"stream": true}));
    let (late, cut, silent, malformed, split, no_done) = tokio::join!(
        streamed("mock-error-stream"),
        streamed("mock-cut"),
        streamed("mock-silent"),
        streamed("mock-malformed"),
        streamed("mock-split"),
        streamed("mock-no-done"),
    );

    let (response, failed, complete, _) = late.decoded();
    assert!(failed.is_some() && !complete && !late.text().contains("[DONE]"));
    assert!(!response.text().is_empty() && whole.starts_with(&response.text()));

    assert!(
        cut.broken && !cut.text().ends_with('\n') && cut.text().contains("\n\n"),
        "{}",
        cut.text()
    );
    let cut = chat("mock-cut-200", json!({"stream": true})).await;
    assert!(cut.broken && cut.text().len() == 200);

    assert!(!silent.broken && !silent.decoded().0.text().is_empty() && !silent.decoded().2);

    let (response, failed, complete, bad) = malformed.decoded();
    assert_eq!(
        (response.text(), failed, complete, bad),
        (whole.clone(), None, true, 1)
    );

    assert!(split.frames.iter().all(|frame| frame.len() == 1));
    assert_eq!(split.decoded().0.text(), whole);

    assert_eq!(no_done.decoded().0.text(), whole);
    assert!(
        !no_done.text().contains("[DONE]") && no_done.text().contains("\"finish_reason\":\"stop\"")
    );
}

#[tokio::test]
async fn whole_answers_fail_by_name() {
    let whole = chat("mock", json!({})).await.text();
    assert_eq!(chat("mock-error-stream", json!({})).await.status, 500);
    let cut = chat("mock-cut-20", json!({})).await;
    assert!(cut.broken && cut.text().len() == 20);
    assert!(chat("mock-cut", json!({})).await.broken);
    let silent = chat("mock-silent", json!({})).await;
    assert!(!silent.broken && !silent.text().is_empty());
    let malformed = chat("mock-malformed", json!({})).await;
    assert!(malformed.status == 200 && serde_json::from_str::<Value>(&malformed.text()).is_err());
    let split = chat("mock-split", json!({})).await;
    assert_eq!(split.text().len(), whole.len() + "-split".len());
    assert!(split.frames.iter().all(|frame| frame.len() == 1));
}

#[tokio::test]
async fn the_first_byte_can_be_late() {
    let request = || {
        let body = r#"{"model":"mock-slow-start","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
        Request::post("mock://mock/v1/chat/completions")
            .body(full(body))
            .unwrap()
    };
    assert!(
        timeout(Duration::from_millis(50), Mock.answer(request()))
            .await
            .is_err()
    );
    let dial = Dial {
        first_byte_timeout: Duration::from_millis(30),
        ..Dial::default()
    };
    let transport: &dyn Transport = &Mock;
    assert_eq!(
        transport.send(request(), &dial).await.unwrap_err(),
        TransportError::FirstByteTimeout(dial.first_byte_timeout)
    );
}
