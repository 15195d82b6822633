//! Streams against whole answers.

use super::*;

#[tokio::test]
async fn a_stream_spells_the_whole_answer() {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters":
            {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}}})
    };
    let tools = json!({"tools": [tool("weather"), tool("clock")]});
    for (model, more) in [
        ("mock-fast", json!({})),
        ("mock-fast", json!({"n": 3})),
        ("mock-fast", json!({"max_tokens": 5})),
        ("mock-fast", json!({"stop": "a"})),
        ("mock-echo", json!({})),
        ("mock-unicode", json!({"max_tokens": 30})),
        ("mock-reasoning", json!({"max_tokens": 60})),
        ("mock-tools", tools.clone()),
        ("mock-tools-parallel", tools.clone()),
        ("mock-tools-noargs", tools.clone()),
        (
            "mock-fast",
            json!({"tools": [tool("f")], "tool_choice": "required", "n": 2}),
        ),
        ("mock-split", json!({"max_tokens": 8})),
        (
            "mock-fast",
            json!({"response_format": {"type": "json_object"}}),
        ),
    ] {
        let whole = chat(model, more.clone()).await;
        assert_eq!(
            (whole.status, whole.broken),
            (200, false),
            "{model}: {}",
            whole.text()
        );
        assert_eq!(whole.headers["content-type"], "application/json");
        let expected = OpenAiChat.decode_response(&whole.frames.concat()).unwrap();
        let mut asked = more.clone();
        asked["stream"] = true.into();
        asked["stream_options"] = json!({"include_usage": true});
        let stream = chat(model, asked).await;
        assert!(
            stream.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        let (response, failed, complete, bad) = stream.decoded();
        assert_eq!(
            (failed, complete, bad, stream.broken),
            (None, true, 0, false),
            "{model}"
        );
        assert_eq!(plain(&response), plain(&expected), "{model} {more}");
    }
}

#[tokio::test]
async fn each_event_is_one_word_in_a_frame_of_its_own() {
    let answer = chat("mock-fast", json!({"stream": true, "max_tokens": 4})).await;
    let contents: Vec<String> = answer
        .frames
        .iter()
        .filter_map(|frame| {
            let text = std::str::from_utf8(frame).unwrap();
            assert!(
                text.starts_with("data: ") && text.ends_with("\n\n"),
                "{text:?}"
            );
            let json: Value =
                serde_json::from_str(text.strip_prefix("data: ")?.lines().next()?).ok()?;
            json["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .filter(|text| !text.is_empty())
        .collect();
    assert_eq!(contents, ["You", " asked", " for", " a"]);
}

#[tokio::test]
async fn usage_is_shown_only_if_asked_and_last() {
    let plain = chat("mock-fast", json!({"stream": true})).await;
    assert!(!plain.text().contains("usage"));
    let asked = chat(
        "mock-fast",
        json!({"stream": true, "stream_options": {"include_usage": true}}),
    )
    .await;
    let events = asked.events();
    let [.., usage, done] = &events[..] else {
        panic!("{events:?}")
    };
    let usage: Value = serde_json::from_str(usage).unwrap();
    assert_eq!((done.as_str(), &usage["choices"]), ("[DONE]", &json!([])));
    assert_eq!(usage["usage"]["prompt_tokens"], 4);
    let none = chat(
        "mock-no-usage",
        json!({"stream": true, "stream_options": {"include_usage": true}, "max_tokens": 2}),
    )
    .await;
    assert!(!none.text().contains("total_tokens") && none.text().ends_with("data: [DONE]\n\n"));
    assert!(
        chat("mock-no-usage", json!({}))
            .await
            .json()
            .get("usage")
            .is_none()
    );
}

#[tokio::test]
async fn ids_are_stable_through_a_stream_and_shared_with_the_whole_answer() {
    let whole = chat("mock-fast", json!({})).await.json();
    for event in chat("mock-fast", json!({"stream": true}))
        .await
        .events()
        .iter()
        .filter(|event| *event != "[DONE]")
    {
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(
            (&event["id"], &event["created"], &event["model"]),
            (&whole["id"], &whole["created"], &whole["model"])
        );
    }
}
