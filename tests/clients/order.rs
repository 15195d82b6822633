//! The events of a translated stream, byte for byte, and when they come.

use crate::message::events;
use crate::support::{Ask, CHUNKED_HEAD, ProfileText, Server, Upstream, chunk, role};

const BODY: &str =
    r#"{"model":"m1","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn piece(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m1\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn event(name: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{rest}}}\n\n")
}

fn begins(index: u32, block: &str) -> String {
    event(
        "content_block_start",
        &format!("\"index\":{index},\"content_block\":{{{block}}}"),
    )
}

fn adds(index: u32, delta: &str) -> String {
    event(
        "content_block_delta",
        &format!("\"index\":{index},\"delta\":{{{delta}}}"),
    )
}

fn ends(index: u32) -> String {
    event("content_block_stop", &format!("\"index\":{index}"))
}

const EMPTY: &str = r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}"#;

fn starts() -> String {
    event(
        "message_start",
        &format!(
            r#""message":{{"id":"c1","type":"message","role":"assistant","model":"m1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{EMPTY}}}"#
        ),
    )
}

#[tokio::test]
async fn reasoning_text_and_calls_follow_each_other() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = Ask::post("/up/v1/messages", BODY).send(&server).await;
    let mut call = upstream.call().await;
    let call_of = |index: u32, rest: &str| {
        piece(
            &format!("{{\"tool_calls\":[{{\"index\":{index},{rest}}}]}}"),
            "null",
        )
    };
    let usage = r#"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":4}}}"#;
    let stream = [
        role(),
        piece(r#"{"reasoning_content":"hm"}"#, "null"),
        piece(r#"{"content":"I "}"#, "null"),
        piece(r#"{"content":"look"}"#, "null"),
        call_of(
            0,
            r#""id":"call_1","type":"function","function":{"name":"f","arguments":""}"#,
        ),
        call_of(0, r#""function":{"arguments":"{\"a\":"}"#),
        call_of(
            1,
            r#""id":"call_2","type":"function","function":{"name":"now","arguments":""}"#,
        ),
        call_of(0, r#""function":{"arguments":"1}"}"#),
        piece("{}", r#""tool_calls""#),
        format!("{usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    call.write(CHUNKED_HEAD).await;
    call.write(chunk(stream)).await;
    call.write("0\r\n\r\n").await;
    let reply = client.reply().await.clean().await;
    let expected = [
        starts(),
        begins(0, r#""type":"thinking","thinking":"","signature":"""#),
        adds(0, r#""type":"thinking_delta","thinking":"hm""#),
        ends(0),
        begins(1, r#""type":"text","text":"""#),
        adds(1, r#""type":"text_delta","text":"I ""#),
        adds(1, r#""type":"text_delta","text":"look""#),
        ends(1),
        begins(2, r#""type":"tool_use","id":"call_1","name":"f","input":{}"#),
        adds(2, r#""type":"input_json_delta","partial_json":"{\"a\":""#),
        adds(2, r#""type":"input_json_delta","partial_json":"1}""#),
        ends(2),
        begins(3, r#""type":"tool_use","id":"call_2","name":"now","input":{}"#),
        adds(3, r#""type":"input_json_delta","partial_json":"{}""#),
        ends(3),
        event(
            "message_delta",
            r#""delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":10,"output_tokens":12,"output_tokens_details":{"thinking_tokens":4}}"#,
        ),
        event("message_stop", ""),
    ]
    .concat();
    assert_eq!(reply.text(), expected);
}

#[tokio::test]
async fn a_first_chunk_that_is_a_call_begins_with_message_start() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = Ask::post("/up/v1/messages", BODY).send(&server).await;
    let mut call = upstream.call().await;
    let first = piece(
        r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
        "null",
    );
    call.write(CHUNKED_HEAD).await;
    call.write(chunk(first)).await;
    let mut reply = client.reply().await;
    // What came is told at once: the call is not over yet.
    reply.until("input_json_delta").await;
    assert!(reply.text().starts_with(&starts()), "{}", reply.text());
    call.write(chunk(piece("{}", r#""tool_calls""#))).await;
    // The end waits for the counts.
    call.write(chunk("data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n")).await;
    call.write(chunk("data: [DONE]\n\n")).await;
    call.write("0\r\n\r\n").await;
    let reply = reply.clean().await;
    let text = reply.text();
    assert!(text.contains(r#""usage":{"input_tokens":3,"#), "{text}");
    assert!(text.ends_with(&event("message_stop", "")), "{text}");
}

#[tokio::test]
async fn a_late_error_is_the_last_event_and_an_early_one_a_status() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let failed = "data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"code\":503}}\n\ndata: [DONE]\n\n";
    let client = Ask::post("/up/v1/messages", BODY).send(&server).await;
    let mut call = upstream.call().await;
    call.write(CHUNKED_HEAD).await;
    call.write(chunk(piece(r#"{"content":"a"}"#, "null"))).await;
    call.write(chunk(failed)).await;
    call.write("0\r\n\r\n").await;
    let reply = client.reply().await.clean().await;
    let expected = [
        starts(),
        begins(0, r#""type":"text","text":"""#),
        adds(0, r#""type":"text_delta","text":"a""#),
        event(
            "error",
            r#""error":{"type":"overloaded_error","message":"gone"}"#,
        ),
    ]
    .concat();
    assert_eq!(reply.text(), expected);
    call.finish().await;

    let client = Ask::post("/up/v1/messages", BODY).send(&server).await;
    let mut call = upstream.call().await;
    call.write(CHUNKED_HEAD).await;
    call.write(chunk(format!("{}{failed}", role()))).await;
    call.write("0\r\n\r\n").await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.json()["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn message_start_has_the_prompts_count_where_it_comes_first() {
    let mut upstream = Upstream::start().await;
    let text = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", r#"provider = "gemini""#);
    let server = Server::of(&text);
    let client = Ask::post("/up/v1/messages?beta=true", BODY)
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(
        call.target(),
        "POST /v1beta/models/m1:streamGenerateContent?alt=sse"
    );
    call.write(CHUNKED_HEAD).await;
    for (said, counts) in [
        (
            r#"{"content":{"role":"model","parts":[{"text":"a"}]}}"#,
            r#""promptTokenCount":7,"totalTokenCount":7"#,
        ),
        (
            r#"{"content":{"role":"model","parts":[{"text":"b"}]},"finishReason":"STOP"}"#,
            r#""promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9"#,
        ),
    ] {
        let data = format!(r#"{{"candidates":[{said}],"usageMetadata":{{{counts}}}}}"#);
        call.write(chunk(format!("data: {data}\r\n\r\n"))).await;
    }
    call.write("0\r\n\r\n").await;
    let reply = client.reply().await.clean().await;
    let events = events(&reply.text());
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 7);
    let delta = &events[events.len() - 2].1;
    assert_eq!(
        (
            &delta["usage"]["input_tokens"],
            &delta["usage"]["output_tokens"]
        ),
        (&7.into(), &2.into())
    );
}
