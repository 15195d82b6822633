//! What is asked and what is answered. Every token holds one [`MARK`], so that a client counts chunks by counting a byte, in whichever format they come.

use serde_json::json;

/// In each token of an answer, once, and nowhere else.
pub(crate) const MARK: u8 = b'@';

/// Digits after the mark in a slow stream: when the chunk was due, in microseconds since the benchmark began.
pub(crate) const DIGITS: usize = 10;

/// How an answer that came whole ends, and how one that was streamed does.
pub(crate) const WHOLE_END: &[u8] = b"}";
pub(crate) const STREAM_END: &[u8] = b"data: [DONE]\n\n";

/// A request head and body for `path` at `host`; `stream` asks for a stream with its usage.
pub(crate) fn request(host: &str, path: &str, stream: bool, length: usize) -> Vec<u8> {
    let options = match stream {
        true => r#""stream":true,"stream_options":{"include_usage":true}"#,
        false => r#""stream":false"#,
    };
    let mut body = format!(
        r#"{{"model":"gpt-5-mini",{options},"temperature":0.7,"messages":[{{"role":"system","content":"You are a helpful assistant."}}"#
    );
    // A conversation of turns of some kilobytes each, as agents send it: text with line ends and quotes.
    const LINE: &str = r#"The quick brown fox said \"hello\" to {the lazy dog}, and then there were 12 of them.\n"#;
    let mut user = true;
    while body.len() + 2 < length {
        let left = length.saturating_sub(body.len() + 40).min(4_000);
        let role = if user { "user" } else { "assistant" };
        let mut text = LINE.repeat(left / LINE.len());
        text.push_str(&"x".repeat(left % LINE.len() + 1));
        body.push_str(&format!(r#",{{"role":"{role}","content":"{text}"}}"#));
        user = !user;
    }
    body.push_str("]}");
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: OpenAI/Python 2.8.1\r\naccept: application/json\r\naccept-encoding: identity\r\n\
         content-type: application/json\r\nauthorization: Bearer sk-local\r\nx-stainless-lang: python\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    request.push_str(&body);
    request.into_bytes()
}

/// A whole answer of OpenAI's chat format, a kilobyte.
pub(crate) fn whole() -> Vec<u8> {
    let text = "word ".repeat(112);
    let body = json!({
        "id": "chatcmpl-9s8d7f6g5h4j3k2l1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5-mini-2026-01-01",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": format!("@{text}"), "refusal": null, "annotations": []},
                     "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 150, "total_tokens": 350,
                  "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
        "service_tier": "default", "system_fingerprint": "fp_0123456789",
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of every streamed answer.
pub(crate) const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// The events of a streamed answer, each in a chunk of its own as it goes over the wire.
pub(crate) struct Stream {
    pub(crate) opening: Vec<u8>,
    /// One token; sent again and again.
    pub(crate) token: Vec<u8>,
    /// Everything after the last token, and the end of the body.
    pub(crate) closing: Vec<u8>,
}

/// OpenAI's chat chunks, 300 bytes each.
pub(crate) fn openai(timed: bool) -> Stream {
    let chunk = |delta: &str, finish: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-9s8d7f6g5h4j3k2l1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5-mini-2026-01-01\",\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\
             \"finish_reason\":{finish}}}],\"usage\":{usage}}}\n\n"
        )
    };
    let time = if timed {
        "0".repeat(DIGITS)
    } else {
        String::new()
    };
    let usage = "data: {\"id\":\"chatcmpl-9s8d7f6g5h4j3k2l1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5-mini-2026-01-01\",\
                 \"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":500,\"total_tokens\":700}}\n\n";
    Stream {
        opening: framed(&chunk(
            "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null",
            "null",
            "null",
        )),
        token: framed(&chunk(
            &format!("\"content\":\" tok@{time}\""),
            "null",
            "null",
        )),
        closing: ended(&[&chunk("", "\"stop\"", "null"), usage, "data: [DONE]\n\n"]),
    }
}

/// Anthropic's messages events.
pub(crate) fn anthropic() -> Stream {
    let event =
        |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
    let start = event(
        "message_start",
        ",\"message\":{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-haiku-4-5\",\"content\":[],\
         \"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}",
    );
    let open = event(
        "content_block_start",
        ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
    );
    let token = event(
        "content_block_delta",
        ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" tok@\"}",
    );
    let end = event(
        "message_delta",
        ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":500}",
    );
    Stream {
        opening: framed(&(start + &open)),
        token: framed(&token),
        closing: ended(&[
            &event("content_block_stop", ",\"index\":0"),
            &end,
            &event("message_stop", ""),
        ]),
    }
}

/// Gemini's `streamGenerateContent` with `alt=sse`.
pub(crate) fn gemini() -> Stream {
    let event = |text: &str, finish: &str, tokens: u32| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}],\"role\":\"model\"}},{finish}\"index\":0}}],\
             \"usageMetadata\":{{\"promptTokenCount\":200,\"candidatesTokenCount\":{tokens},\"totalTokenCount\":{}}},\
             \"modelVersion\":\"gemini-3.6-flash\",\"responseId\":\"mAitaLmkHPPlz7IPvtfUqQ4\"}}\r\n\r\n",
            200 + tokens
        )
    };
    Stream {
        opening: framed(&event("Well,", "", 2)),
        token: framed(&event(" tok@", "", 250)),
        closing: ended(&[&event(".", "\"finishReason\":\"STOP\",", 500)]),
    }
}

fn framed(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn ended(events: &[&str]) -> Vec<u8> {
    let mut bytes: Vec<u8> = events.iter().flat_map(|event| framed(event)).collect();
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
