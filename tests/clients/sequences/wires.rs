//! The same answer as the streams of several providers.

use serde_json::{Value, json};

/// What an answer is made of, piece by piece, as it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Think(&'static str),
    /// The proof of what was thought.
    Sign(&'static str),
    Text(&'static str),
    /// OpenAI's alone.
    Refuse(&'static str),
    /// Name and arguments; none where they are empty.
    Call(&'static str, &'static str),
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Stop,
    Calls,
    Length,
    Filter,
    /// With an error, in the middle.
    Fails,
}

/// Tokens of every answer: 20 new and 10 from the cache in, 12 out.
pub(super) fn chat(pieces: &[Piece], end: End) -> String {
    let chunk = |rest: Value| {
        let mut chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m1"});
        for (key, value) in rest.as_object().unwrap() {
            chunk[key] = value.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    };
    let mut out = choice(json!({"role": "assistant", "content": ""}), Value::Null);
    let mut calls = 0;
    for piece in pieces {
        let delta = match piece {
            Piece::Think(text) => json!({"reasoning_content": text}),
            Piece::Text(text) => json!({"content": text}),
            Piece::Refuse(text) => json!({"refusal": text}),
            Piece::Call(name, arguments) => {
                let function = json!({"name": name, "arguments": ""});
                let id = format!("call_{calls}");
                let call =
                    json!({"index": calls, "id": id, "type": "function", "function": function});
                out += &choice(json!({"tool_calls": [call]}), Value::Null);
                calls += 1;
                if arguments.is_empty() {
                    continue;
                }
                let more = json!({"index": calls - 1, "function": {"arguments": arguments}});
                json!({"tool_calls": [more]})
            }
            Piece::Sign(_) => panic!("the format has no signatures"),
        };
        out += &choice(delta, Value::Null);
    }
    let finish = match end {
        End::Stop => "stop",
        End::Calls => "tool_calls",
        End::Length => "length",
        End::Filter => "content_filter",
        End::Fails => {
            let error = json!({"message": "gone", "type": "overloaded_error", "code": 503});
            return out + &format!("data: {}\n\ndata: [DONE]\n\n", json!({"error": error}));
        }
    };
    out += &choice(json!({}), finish.into());
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42,
        "prompt_tokens_details": {"cached_tokens": 10}});
    out += &chunk(json!({"choices": [], "usage": usage}));
    out + "data: [DONE]\n\n"
}

/// Anthropic's.
pub(super) fn anthropic(pieces: &[Piece], end: End) -> String {
    let event = |name: &str, rest: Value| {
        let mut data = json!({"type": name});
        for (key, value) in rest.as_object().unwrap() {
            data[key] = value.clone();
        }
        format!("event: {name}\ndata: {data}\n\n")
    };
    let usage = json!({"input_tokens": 20, "cache_read_input_tokens": 10, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let mut out = event("message_start", json!({"message": message}));
    out += &event("ping", json!({}));
    let (mut index, mut open) = (0, "");
    for piece in pieces {
        let (kind, block, delta) = match piece {
            Piece::Think(text) => (
                "thinking",
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                json!({"type": "thinking_delta", "thinking": text}),
            ),
            Piece::Sign(proof) => (
                "thinking",
                Value::Null,
                json!({"type": "signature_delta", "signature": proof}),
            ),
            Piece::Text(text) => (
                "text",
                json!({"type": "text", "text": ""}),
                json!({"type": "text_delta", "text": text}),
            ),
            Piece::Call(name, arguments) => (
                "tool_use",
                json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {}}),
                json!({"type": "input_json_delta", "partial_json": arguments}),
            ),
            Piece::Refuse(_) => panic!("the format has no refusals"),
        };
        if open != kind || kind == "tool_use" {
            if !open.is_empty() {
                out += &event("content_block_stop", json!({"index": index}));
                index += 1;
            }
            open = kind;
            out += &event(
                "content_block_start",
                json!({"index": index, "content_block": block}),
            );
        }
        if !matches!(piece, Piece::Call(_, "")) {
            out += &event(
                "content_block_delta",
                json!({"index": index, "delta": delta}),
            );
        }
    }
    let reason = match end {
        End::Stop => "end_turn",
        End::Calls => "tool_use",
        End::Length => "max_tokens",
        End::Filter => "refusal",
        End::Fails => {
            let error = json!({"type": "overloaded_error", "message": "gone"});
            return out + &event("error", json!({"error": error}));
        }
    };
    out += &event("content_block_stop", json!({"index": index}));
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    out += &event(
        "message_delta",
        json!({"delta": delta, "usage": {"output_tokens": 12}}),
    );
    out + &event("message_stop", json!({}))
}

/// Gemini's.
pub(super) fn gemini(pieces: &[Piece], end: End) -> String {
    let mut out = String::new();
    let mut chunk = |candidate: Value, output: u64| {
        let usage = json!({"promptTokenCount": 30, "cachedContentTokenCount": 10, "candidatesTokenCount": output});
        let data = json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m1", "responseId": "r1"});
        out += &format!("data: {data}\r\n\r\n");
    };
    for piece in pieces {
        let part = match piece {
            Piece::Think(text) => json!({"text": text, "thought": true}),
            Piece::Text(text) => json!({"text": text}),
            Piece::Call(name, "") => json!({"functionCall": {"name": name, "args": {}}}),
            Piece::Call(name, arguments) => {
                let args: Value = serde_json::from_str(arguments).unwrap();
                json!({"functionCall": {"name": name, "args": args}})
            }
            Piece::Sign(_) | Piece::Refuse(_) => panic!("the format has none of its own"),
        };
        chunk(json!({"content": {"role": "model", "parts": [part]}}), 1);
    }
    let reason = match end {
        End::Stop | End::Calls => "STOP",
        End::Length => "MAX_TOKENS",
        End::Filter => "SAFETY",
        End::Fails => {
            let error = json!({"code": 503, "message": "gone", "status": "UNAVAILABLE"});
            return out + &format!("data: {}\r\n\r\n", json!({"error": error}));
        }
    };
    let nothing = json!({"role": "model", "parts": [{"text": ""}]});
    chunk(json!({"content": nothing, "finishReason": reason}), 12);
    out
}
