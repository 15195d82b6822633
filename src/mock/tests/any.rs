//! Nothing that is sent brings the mock down.

use proptest::prelude::*;

use super::*;

/// Requests of the right shape with anything in them.
fn any_request() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        Just(json!([])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::collection::vec("[a-z ]{0,9}", 0..4).prop_map(Value::from),
        Just(json!([{"role": "user", "content": "hi 🎉"}])),
        Just(json!([{"role": "tool", "content": [{"type": "text", "text": "x"}]}])),
        Just(
            json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"$ref": "#"}}}}}])
        ),
        Just(
            json!({"type": "json_schema", "json_schema": {"schema": {"type": ["array"], "minItems": 3}}})
        ),
        Just(json!("required")),
    ];
    let key = prop::sample::select(vec![
        "messages",
        "messages",
        "messages",
        "prompt",
        "input",
        "tools",
        "tool_choice",
        "response_format",
        "n",
        "max_tokens",
        "stop",
        "stream",
        "seed",
        "stream_options",
        "echo",
        "dimensions",
        "encoding_format",
        "reasoning_effort",
        "x",
    ]);
    let model = prop::sample::select(
        MODELS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !name.contains("slow"))
            .collect::<Vec<_>>(),
    );
    (prop::collection::vec((key, value), 0..8), model).prop_map(|(fields, model)| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "prompt": "a", "input": "b", "max_tokens": 2});
        body.as_object_mut().unwrap().extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_request_is_answered(body in any_request(), path in prop::sample::select(vec!["chat/completions", "completions", "embeddings"])) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let request = Request::post(format!("mock://mock/v1/{path}")).body(full(body.to_string())).unwrap();
            let (head, mut body) = Mock.answer(request).await.into_parts();
            assert!(head.status.as_u16() >= 200);
            // A little of the body: silence and pace are tested elsewhere.
            while let Ok(Some(Ok(_))) = timeout(Duration::from_millis(1), body.frame()).await {}
        });
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), path in prop::sample::select(vec!["chat/completions", "completions", "embeddings"])) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = runtime.block_on(send("POST", &format!("/{path}"), bytes));
        prop_assert!(answer.status >= 400);
    }
}
