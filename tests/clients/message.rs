//! Streams of Anthropic's Messages, held to the documented order: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use serde_json::{Value, json};

/// What a stream was.
#[derive(Debug)]
pub(crate) struct Told {
    /// The message as it stands at the end.
    pub(crate) message: Value,
    /// The error that ended it.
    pub(crate) error: Option<Value>,
}

/// The events of a stream: name and data.
pub(crate) fn events(stream: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for block in stream.split("\n\n").filter(|block| !block.is_empty()) {
        let mut lines = block.lines();
        let name = lines.next().and_then(|line| line.strip_prefix("event: "));
        let data = lines.next().and_then(|line| line.strip_prefix("data: "));
        let (Some(name), Some(data), None) = (name, data, lines.next()) else {
            panic!("no event of this format: {block:?}");
        };
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name, "the name and the type differ");
        events.push((name.to_owned(), data));
    }
    events
}

/// Reads a stream as the SDKs do, and fails where the order is not the documented one.
pub(crate) fn read(stream: &str) -> Told {
    let mut message = Value::Null;
    let mut open: Option<usize> = None;
    let mut inputs: Vec<String> = Vec::new();
    let (mut ended, mut stopped, mut error) = (false, false, None);
    for (name, data) in events(stream) {
        assert!(
            !stopped && error.is_none(),
            "{name} after the end: {stream}"
        );
        match name.as_str() {
            "ping" => assert!(message.is_object(), "a ping comes first: {stream}"),
            "message_start" => {
                assert!(message.is_null(), "it begins twice: {stream}");
                message = data["message"].clone();
                assert_eq!(message["type"], "message");
                assert_eq!(message["role"], "assistant");
                assert_eq!(message["content"], json!([]));
                assert!(message["id"].as_str().is_some_and(|id| !id.is_empty()));
                assert!(message["model"].is_string());
                assert!(message["usage"]["input_tokens"].is_u64());
            }
            "content_block_start" => {
                assert!(open.is_none() && !ended, "blocks overlap: {stream}");
                let content = message["content"].as_array_mut().expect("no message_start");
                assert_eq!(data["index"], content.len(), "an index is skipped");
                open = Some(content.len());
                content.push(data["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let at = open.expect("a delta outside of a block");
                assert_eq!(data["index"], at);
                let delta = &data["delta"];
                let block = &mut message["content"][at];
                let (kind, key) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("thinking", "signature"),
                    "input_json_delta" => {
                        assert_eq!(block["type"], "tool_use");
                        inputs[at].push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("unknown delta {other}"),
                };
                assert_eq!(block["type"], kind, "{delta} in {block}");
                let text = format!(
                    "{}{}",
                    block[key].as_str().unwrap_or_default(),
                    delta[key].as_str().unwrap()
                );
                block[key] = text.into();
            }
            "content_block_stop" => {
                let at = open.take().expect("a block ends that was not open");
                assert_eq!(data["index"], at);
                let block = &mut message["content"][at];
                if block["type"] == "tool_use" {
                    assert_eq!(block["input"], json!({}), "the beginning has an input");
                    block["input"] = serde_json::from_str(&inputs[at]).unwrap();
                }
            }
            "message_delta" => {
                assert!(open.is_none() && !ended, "in a block, or twice: {stream}");
                ended = true;
                for key in ["stop_reason", "stop_sequence"] {
                    message[key] = data["delta"][key].clone();
                }
                for (key, value) in data["usage"].as_object().unwrap() {
                    message["usage"][key] = value.clone();
                }
            }
            "message_stop" => {
                assert!(ended, "no message_delta: {stream}");
                stopped = true;
            }
            "error" => error = Some(data),
            other => panic!("unknown event {other}"),
        }
    }
    assert!(stopped || error.is_some(), "it has no end: {stream}");
    Told { message, error }
}

/// The text of a message.
pub(crate) fn text(message: &Value) -> String {
    blocks(message, "text")
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect()
}

/// The blocks of a type.
pub(crate) fn blocks<'v>(message: &'v Value, kind: &str) -> Vec<&'v Value> {
    let content = message["content"].as_array();
    content
        .into_iter()
        .flatten()
        .filter(|block| block["type"] == kind)
        .collect()
}
