//! The same answer as each provider streams it, after their public documentation: a text of many short tokens, or a call of a tool.

use aiproxy::{
    llm::{Event, Finish, Kind, Usage},
    wire::{Framing, eventstream, ndjson, sse},
};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// Tokens of the text, and pieces of the call's arguments.
const TOKENS: usize = 64;

/// What the text is made of: most tokens as they are, few that have to be escaped or are not ASCII.
const WORDS: [&str; 16] = [
    " The", " proxy", " reads", " each", " chunk", " as", " soon", " as", " it", " arrives", ",",
    " über", " all", " sockets", ".", "\n\n",
];

/// Seconds since the epoch in all of them.
const CREATED: u64 = 1_790_000_000;

fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().copied().cycle().take(TOKENS)
}

/// The text of the answer.
pub(crate) fn text() -> String {
    words().collect()
}

/// The pieces of the call's arguments.
fn pieces() -> Vec<String> {
    let mut pieces = vec!["{\"path\":\"src/main.rs\",\"lines\":[1".to_owned()];
    pieces.extend((2..TOKENS).map(|line| format!(",{line}")));
    pieces.push("]}".to_owned());
    pieces
}

/// The call's arguments.
pub(crate) fn arguments() -> String {
    pieces().concat()
}

/// A stream as a provider sends it.
pub(crate) struct Stream {
    pub(crate) framing: Framing,
    /// Names, empty where the format has none, and data.
    messages: Vec<(String, String)>,
}

impl Stream {
    fn of(framing: Framing, messages: Vec<Value>) -> Stream {
        Stream::named(
            framing,
            messages.into_iter().map(|data| ("", data)).collect(),
        )
    }

    fn named(framing: Framing, messages: Vec<(&str, Value)>) -> Stream {
        let messages = messages
            .into_iter()
            .map(|(name, data)| (name.to_owned(), data.to_string()));
        Stream {
            framing,
            messages: messages.collect(),
        }
    }

    /// Server-sent events whose data name them, too.
    fn typed(messages: &[Value]) -> Stream {
        let name = |data: &Value| data["type"].as_str().unwrap().to_owned();
        let messages = messages.iter().map(|data| (name(data), data.to_string()));
        Stream {
            framing: Framing::Sse,
            messages: messages.collect(),
        }
    }

    /// With OpenAI's mark at its end.
    fn done(mut self) -> Stream {
        self.messages.push((String::new(), "[DONE]".to_owned()));
        self
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of data in them.
    pub(crate) fn bytes(&self) -> usize {
        self.messages.iter().map(|(_, data)| data.len()).sum()
    }

    /// Each message as it is sent.
    pub(crate) fn chunks(&self) -> Vec<Bytes> {
        let last = self.len() - 1;
        let chunk = |(at, (name, data)): (usize, &(String, String))| {
            let mut out = BytesMut::new();
            match self.framing {
                Framing::Sse => {
                    let name = Some(name.as_str()).filter(|name| !name.is_empty());
                    sse::write_event(&mut out, name, data.as_bytes());
                }
                Framing::NdJson => ndjson::write_line(&mut out, data.as_bytes()),
                Framing::EventStream => {
                    eventstream::write_event(&mut out, name, data.as_bytes());
                }
                Framing::JsonArray => {
                    let before = if at == 0 { "[" } else { ",\r\n" };
                    let after = if at == last { "\n]\n" } else { "" };
                    out.extend_from_slice(format!("{before}{data}{after}").as_bytes());
                }
            }
            out.freeze()
        };
        self.messages.iter().enumerate().map(chunk).collect()
    }
}

/// What stands between the beginning of an answer and its end.
fn around(begin: Vec<Value>, tokens: impl Iterator<Item = Value>, end: Vec<Value>) -> Vec<Value> {
    begin.into_iter().chain(tokens).chain(end).collect()
}

/// OpenAI pads its chunks, so that their length does not tell the token's.
fn padding(token: &str) -> &'static str {
    "k8Zq3VtYw1LmPz".get(token.len()..).unwrap_or("")
}

fn chat_chunk(delta: &Value, finish: Option<&str>, padding: &str) -> Value {
    json!({"id": "chatcmpl-DkW3xEr0p9n8m7l6k5j4i3h2g1f0e", "object": "chat.completion.chunk", "created": CREATED,
        "model": "gpt-5-mini-2026-01-01", "service_tier": "default", "system_fingerprint": null,
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}], "usage": null, "obfuscation": padding})
}

fn chat(begin: Value, tokens: impl Iterator<Item = Value>, finish: &str) -> Stream {
    let usage = json!({"id": "chatcmpl-DkW3xEr0p9n8m7l6k5j4i3h2g1f0e", "object": "chat.completion.chunk", "created": CREATED,
        "model": "gpt-5-mini-2026-01-01", "service_tier": "default", "system_fingerprint": null, "choices": [],
        "usage": {"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": 20 + TOKENS,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
        "obfuscation": "k8Zq"});
    let end = vec![chat_chunk(&json!({}), Some(finish), "k8Zq3"), usage];
    Stream::of(Framing::Sse, around(vec![begin], tokens, end)).done()
}

/// <https://platform.openai.com/docs/api-reference/chat-streaming>.
pub(crate) fn openai_chat() -> Stream {
    let begin = json!({"role": "assistant", "content": "", "refusal": null});
    let token = |word: &str| chat_chunk(&json!({"content": word}), None, padding(word));
    chat(chat_chunk(&begin, None, "k8"), words().map(token), "stop")
}

/// The same, with a call of a tool.
pub(crate) fn openai_chat_call() -> Stream {
    let call = json!({"index": 0, "id": "call_Ab3dEf6hIj9kLm2n", "type": "function", "function": {"name": "read_lines", "arguments": ""}});
    let begin =
        json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null});
    let pieces = pieces().into_iter().map(|piece| {
        let call = json!({"index": 0, "function": {"arguments": piece}});
        chat_chunk(&json!({"tool_calls": [call]}), None, padding(&piece))
    });
    chat(chat_chunk(&begin, None, "k8"), pieces, "tool_calls")
}

/// <https://platform.openai.com/docs/api-reference/completions>.
pub(crate) fn openai_completions() -> Stream {
    let chunk = |text: &str, finish: Option<&str>| {
        json!({"id": "cmpl-DkW3xEr0p9n8m7l6k5j4i3h2g1f0e", "object": "text_completion", "created": CREATED,
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}], "model": "gpt-3.5-turbo-instruct:20230824-v2"})
    };
    let tokens = words().map(|word| chunk(word, None));
    Stream::of(
        Framing::Sse,
        around(vec![], tokens, vec![chunk("", Some("stop"))]),
    )
    .done()
}

/// <https://platform.openai.com/docs/api-reference/responses-streaming>.
pub(crate) fn openai_responses() -> Stream {
    let id = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071";
    let response = |status: &str, output: Value, usage: Value| {
        json!({"id": "resp_0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071", "object": "response", "created_at": CREATED, "status": status,
            "background": false, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
            "model": "gpt-5-mini-2026-01-01", "output": output, "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": "low", "summary": null}, "store": true, "temperature": 1.0, "text": {"format": {"type": "text"}},
            "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": null, "metadata": {}})
    };
    let part = |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
    let item = |status: &str, content: Value| json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"});
    let whole = item("completed", json!([part(&text())]));
    let usage = json!({"input_tokens": 20, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20 + TOKENS});
    let begin = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item("in_progress", json!([]))}),
        json!({"type": "response.content_part.added", "item_id": id, "output_index": 0, "content_index": 0, "part": part("")}),
    ];
    let tokens = words().map(|word| {
        json!({"type": "response.output_text.delta", "sequence_number": 0, "item_id": id, "output_index": 0, "content_index": 0,
            "delta": word, "logprobs": [], "obfuscation": padding(word)})
    });
    let end = vec![
        json!({"type": "response.output_text.done", "item_id": id, "output_index": 0, "content_index": 0, "text": text(), "logprobs": []}),
        json!({"type": "response.content_part.done", "item_id": id, "output_index": 0, "content_index": 0, "part": part(&text())}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": whole}),
        json!({"type": "response.completed", "response": response("completed", json!([whole]), usage)}),
    ];
    let mut all = around(begin, tokens, end);
    for (number, data) in all.iter_mut().enumerate() {
        data["sequence_number"] = number.into();
    }
    Stream::typed(&all)
}

fn messages(block: &Value, deltas: impl Iterator<Item = Value>, reason: &str) -> Stream {
    let begin = vec![
        json!({"type": "message_start", "message": {"model": "claude-opus-5-5", "id": "msg_01AbCdEfGhIjKlMnOpQrStUv", "type": "message",
            "role": "assistant", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 20,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1, "service_tier": "standard"}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
    ];
    let deltas =
        deltas.map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let end = vec![
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": TOKENS}}),
        json!({"type": "message_stop"}),
    ];
    Stream::typed(&around(begin, deltas, end))
}

/// <https://docs.claude.com/en/docs/build-with-claude/streaming>.
pub(crate) fn anthropic() -> Stream {
    let deltas = words().map(|word| json!({"type": "text_delta", "text": word}));
    messages(&json!({"type": "text", "text": ""}), deltas, "end_turn")
}

/// The same, with a call of a tool.
pub(crate) fn anthropic_call() -> Stream {
    let block = json!({"type": "tool_use", "id": "toolu_01AbCdEfGhIjKlMnOpQrSt", "name": "read_lines", "input": {}});
    let deltas = pieces().into_iter();
    let deltas = deltas.map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
    messages(&block, deltas, "tool_use")
}

/// <https://docs.claude.com/en/api/complete>.
pub(crate) fn anthropic_complete() -> Stream {
    let chunk = |text: &str, reason: Option<&str>| {
        json!({"type": "completion", "id": "compl_01AbCdEfGhIjKlMnOpQrStUv", "completion": text, "stop_reason": reason, "model": "claude-2.1",
            "stop": reason.map(|_| "\n\nHuman:"), "log_id": "compl_01AbCdEfGhIjKlMnOpQrStUv"})
    };
    let tokens = words().map(|word| chunk(word, None));
    Stream::typed(&around(
        vec![],
        tokens,
        vec![chunk("", Some("stop_sequence"))],
    ))
}

/// <https://ai.google.dev/api/generate-content>, with `alt=sse` or without.
pub(crate) fn gemini(framing: Framing) -> Stream {
    let chunk = |(at, text): (usize, &str), reason: Option<&str>| {
        let mut candidate =
            json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
        if let Some(reason) = reason {
            candidate["finishReason"] = reason.into();
        }
        json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": at, "totalTokenCount": 20 + at,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}]}, "modelVersion": "gemini-3-flash", "responseId": "Ab3dEf6hIj9kLm2n"})
    };
    let tokens = words().enumerate().map(|token| chunk(token, None));
    Stream::of(
        framing,
        around(vec![], tokens, vec![chunk((TOKENS, ""), Some("STOP"))]),
    )
}

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.
pub(crate) fn converse() -> Stream {
    let token = |word: &'static str| {
        let data = json!({"contentBlockIndex": 0, "delta": {"text": word}, "p": "abcdefghijklmnopqrstuvwxyzABCD".get(word.len()..)});
        ("contentBlockDelta", data)
    };
    let mut all = vec![(
        "messageStart",
        json!({"role": "assistant", "p": "abcdefghijkl"}),
    )];
    all.extend(words().map(token));
    all.extend([
        ("contentBlockStop", json!({"contentBlockIndex": 0, "p": "abcdefghij"})),
        ("messageStop", json!({"stopReason": "end_turn", "p": "abcdefgh"})),
        (
            "metadata",
            json!({"metrics": {"latencyMs": 900}, "p": "abcd", "usage": {"inputTokens": 20, "outputTokens": TOKENS, "totalTokens": 20 + TOKENS}}),
        ),
    ]);
    Stream::named(Framing::EventStream, all)
}

/// <https://docs.cohere.com/v1/docs/streaming>.
pub(crate) fn cohere_v1() -> Stream {
    let begin = json!({"is_finished": false, "event_type": "stream-start", "generation_id": "8f2c1a7e-5b43-4d19-9c60-2e7f1a3b5c7d"});
    let token = |word| json!({"is_finished": false, "event_type": "text-generation", "text": word});
    let units = json!({"input_tokens": 20, "output_tokens": TOKENS});
    let end = json!({"is_finished": true, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": {
        "response_id": "1d2e3f40-5b43-4d19-9c60-2e7f1a3b5c7d", "text": text(), "generation_id": "8f2c1a7e-5b43-4d19-9c60-2e7f1a3b5c7d",
        "chat_history": [], "finish_reason": "COMPLETE", "meta": {"api_version": {"version": "1"}, "billed_units": units, "tokens": units}}});
    Stream::of(
        Framing::NdJson,
        around(vec![begin], words().map(token), vec![end]),
    )
}

/// <https://docs.cohere.com/docs/streaming>.
pub(crate) fn cohere_v2() -> Stream {
    let delta = |kind: &str, content: Value| json!({"type": kind, "index": 0, "delta": {"message": {"content": content}}});
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let begin = vec![
        json!({"id": "8f2c1a7e-5b43-4d19-9c60-2e7f1a3b5c7d", "type": "message-start", "delta": {"message": message}}),
        delta("content-start", json!({"type": "text", "text": ""})),
    ];
    let tokens = words().map(|word| delta("content-delta", json!({"text": word})));
    let units = json!({"input_tokens": 20, "output_tokens": TOKENS});
    let end = vec![
        json!({"type": "content-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": units, "tokens": units}}}),
    ];
    Stream::typed(&around(begin, tokens, end))
}

/// <https://docs.cohere.com/v1/reference/generate>.
pub(crate) fn cohere_generate() -> Stream {
    let token = |word| json!({"text": word, "is_finished": false, "event_type": "text-generation"});
    let end = json!({"is_finished": true, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": {
        "id": "8f2c1a7e-5b43-4d19-9c60-2e7f1a3b5c7d", "prompt": "Go on", "generations": [
            {"id": "1d2e3f40-5b43-4d19-9c60-2e7f1a3b5c7d", "text": text(), "finish_reason": "COMPLETE"}]}});
    Stream::of(
        Framing::NdJson,
        around(vec![], words().map(token), vec![end]),
    )
}

fn ollama(say: impl Fn(&str) -> (&'static str, Value)) -> Stream {
    let line = |word: &str| {
        let (key, said) = say(word);
        let mut line = json!({"model": "llama3.2", "created_at": "2026-11-10T09:08:07.654321Z"});
        line[key] = said;
        line["done"] = word.is_empty().into();
        line
    };
    let mut end = line("");
    for (key, value) in [
        ("total_duration", 4_883_583_458_u64),
        ("load_duration", 1_334_875),
        ("prompt_eval_count", 20),
        ("prompt_eval_duration", 342_546_000),
        ("eval_count", TOKENS as u64),
        ("eval_duration", 4_535_599_000),
    ] {
        end[key] = value.into();
    }
    end["done_reason"] = "stop".into();
    Stream::of(
        Framing::NdJson,
        around(vec![], words().map(line), vec![end]),
    )
}

/// <https://docs.ollama.com/api/chat>.
pub(crate) fn ollama_chat() -> Stream {
    ollama(|word| ("message", json!({"role": "assistant", "content": word})))
}

/// <https://docs.ollama.com/api/generate>.
pub(crate) fn ollama_generate() -> Stream {
    ollama(|word| ("response", word.into()))
}

/// <https://huggingface.github.io/text-generation-inference/>, `generate_stream`.
pub(crate) fn tgi() -> Stream {
    let token = |(at, word): (usize, &str), special: bool| {
        json!({"index": at + 1, "token": {"id": 1000 + at, "text": word, "logprob": -0.123_456_78, "special": special}, "generated_text": null,
            "details": null})
    };
    let mut end = token((TOKENS, "</s>"), true);
    end["generated_text"] = text().into();
    end["details"] = json!({"finish_reason": "eos_token", "generated_tokens": TOKENS, "seed": null, "input_length": 20});
    let tokens = words().enumerate().map(|word| token(word, false));
    Stream::of(Framing::Sse, around(vec![], tokens, vec![end]))
}

fn answer(
    kind: Kind<'static>,
    said: impl Iterator<Item = Event<'static>>,
    reason: Finish,
) -> Vec<Event<'static>> {
    let usage = Usage {
        input: 20,
        output: TOKENS as u64,
        ..Usage::default()
    };
    let begin = [
        Event::Start {
            id: "msg_01AbCdEfGhIjKlMnOpQrStUv".into(),
            model: "claude-opus-5-5".into(),
            created: Some(CREATED),
            fingerprint: None,
        },
        Event::Open {
            part: 0,
            choice: 0,
            kind,
        },
    ];
    let end = [
        Event::Close { part: 0 },
        Event::Finish { choice: 0, reason },
        Event::Usage(usage),
        Event::End,
    ];
    begin.into_iter().chain(said).chain(end).collect()
}

/// What a decoder makes of the text.
pub(crate) fn events() -> Vec<Event<'static>> {
    let said = |word: &'static str| Event::Text {
        part: 0,
        text: word.into(),
    };
    answer(Kind::Text, words().map(said), Finish::Stop)
}

/// What a decoder makes of the call.
pub(crate) fn events_of_call() -> Vec<Event<'static>> {
    let kind = Kind::ToolCall {
        id: "toolu_01AbCdEfGhIjKlMnOpQrSt".into(),
        name: "read_lines".into(),
    };
    let said = pieces().into_iter().map(|piece| Event::Arguments {
        part: 0,
        json: piece.into(),
    });
    answer(kind, said, Finish::ToolCalls)
}
