//! Streams of OpenAI's chat, held to the documented order: <https://platform.openai.com/docs/api-reference/chat-streaming>.

use serde_json::{Map, Value, json};

/// What a stream was.
#[derive(Debug)]
pub(crate) struct Told {
    /// The answer as it stands at the end, as a whole one would be.
    pub(crate) answer: Value,
    /// The error that ended it.
    pub(crate) error: Option<Value>,
}

/// The data of a stream's events; `[DONE]` is `null`.
pub(crate) fn chunks(stream: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for block in stream.split("\n\n").filter(|block| !block.is_empty()) {
        let data = block.strip_prefix("data: ");
        let data = data.unwrap_or_else(|| panic!("no event of this format: {block:?}"));
        all.push(match data {
            "[DONE]" => Value::Null,
            json => serde_json::from_str(json).unwrap(),
        });
    }
    all
}

/// Reads a stream as the SDKs do, and fails where the order is not the documented one.
pub(crate) fn read(stream: &str) -> Told {
    let (mut answer, mut message, mut calls) = (Value::Null, Map::new(), Vec::<Value>::new());
    let (mut finish, mut whole) = (Value::Null, json!({"index": 0}));
    let (mut done, mut error) = (false, None);
    for chunk in chunks(stream) {
        assert!(!done && error.is_none(), "after the end: {stream}");
        if chunk.is_null() {
            assert!(!finish.is_null(), "an end without a finish: {stream}");
            done = true;
            continue;
        }
        if chunk.get("error").is_some() {
            error = Some(chunk);
            continue;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        if answer.is_null() {
            answer =
                json!({"id": chunk["id"], "model": chunk["model"], "object": "chat.completion"});
            let role = &chunk["choices"][0]["delta"]["role"];
            assert_eq!(role, "assistant", "the role does not come first: {chunk}");
        } else {
            let role = chunk["choices"][0]["delta"].get("role");
            assert!(role.is_none(), "the role comes twice: {stream}");
        }
        assert_eq!(
            (&chunk["id"], &chunk["model"]),
            (&answer["id"], &answer["model"])
        );
        let choices = chunk["choices"].as_array().unwrap();
        let [choice] = &choices[..] else {
            assert!(choices.is_empty() && !finish.is_null(), "{chunk}");
            assert!(answer.get("usage").is_none(), "usage comes twice: {stream}");
            answer["usage"] = chunk["usage"].clone();
            continue;
        };
        assert!(chunk["usage"].is_null(), "usage beside a delta: {chunk}");
        assert!(finish.is_null(), "a delta after the finish: {stream}");
        assert_eq!(choice["index"], 0);
        for (key, value) in choice["delta"].as_object().unwrap() {
            match (key.as_str(), value) {
                ("tool_calls", Value::Array(pieces)) => {
                    pieces.iter().for_each(|piece| call(piece, &mut calls));
                }
                ("thinking_blocks" | "annotations", Value::Array(more)) => {
                    let all = message.entry(key.as_str()).or_insert_with(|| json!([]));
                    all.as_array_mut().unwrap().extend(more.iter().cloned());
                }
                ("role", _) => {}
                (_, Value::String(more)) => {
                    let text = message.entry(key.as_str()).or_insert_with(|| "".into());
                    *text = format!("{}{more}", text.as_str().unwrap()).into();
                }
                _ => panic!("an unknown delta: {chunk}"),
            }
        }
        finish = choice["finish_reason"].clone();
        if let Some(stopped) = choice.get("stop_reason") {
            assert!(!finish.is_null(), "a stop before the finish: {chunk}");
            whole["stop_reason"] = stopped.clone();
        }
    }
    assert!(done || error.is_some(), "it has no end: {stream}");
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    message.insert("role".into(), "assistant".into());
    whole["finish_reason"] = finish;
    whole["message"] = message.into();
    answer["choices"] = json!([whole]);
    Told { answer, error }
}

/// Adds a piece of a call: the first has id and name, the others arguments alone.
fn call(piece: &Value, calls: &mut Vec<Value>) {
    let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
    if index == calls.len() {
        assert_eq!(piece["type"], "function", "{piece}");
        assert!(
            piece["id"].as_str().is_some_and(|id| !id.is_empty()),
            "{piece}"
        );
        assert!(piece["function"]["name"].is_string(), "{piece}");
        let mut call = piece.clone();
        call.as_object_mut().unwrap().remove("index");
        calls.push(call);
        return;
    }
    assert!(index < calls.len(), "an index is skipped: {piece}");
    assert!(
        piece.get("id").is_none() && piece["function"].get("name").is_none(),
        "{piece}"
    );
    let arguments = &mut calls[index]["function"]["arguments"];
    let more = piece["function"]["arguments"].as_str().unwrap();
    *arguments = format!("{}{more}", arguments.as_str().unwrap()).into();
}
