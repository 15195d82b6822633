//! Streams: each event at once, nothing lost at any split, errors and ends as SPEC §4.4 and TRAPS have them.

use crate::support::{
    Ask, CHUNKED_HEAD, Client, DONE, End, H2, ProfileText, Reply, STREAM_HEAD, Server, Upstream,
    chat, chunk, completion, delta, holds, json_response, payloads, response, role, soon, stop,
    text_of, usage,
};

fn streamed() -> Ask {
    Ask::chat(chat(r#""stream":true"#))
}

/// The answer to a stream request when the upstream writes these bytes and closes.
async fn relayed(answer: impl AsRef<[u8]>) -> Reply {
    let upstream = Upstream::answering(answer.as_ref().to_vec()).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    streamed().whole(&server).await
}

/// The events of a stream that failed late: all but the last, and the last's message. There is no end marker.
#[track_caller]
fn late_failure(reply: &Reply) -> (Vec<String>, serde_json::Value) {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.end, Some(End::Clean), "{}", reply.text());
    assert!(!holds(&reply.body, "[DONE]"), "{}", reply.text());
    assert!(
        reply.body.ends_with(b"\n\n"),
        "an event without its blank line: {}",
        reply.text()
    );
    let mut events = payloads(&reply.body);
    let last = events.pop().unwrap();
    let errors = events
        .iter()
        .filter(|event| event.contains("\"error\""))
        .count();
    assert_eq!(errors, 0, "more than one error: {}", reply.text());
    let json: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert!(
        json["error"]["message"].is_string(),
        "the last event is no error: {last}"
    );
    (events, json)
}

#[tokio::test]
async fn trap_2_13_each_event_leaves_before_the_next_arrives() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(STREAM_HEAD).await;
    call.write(delta("token 0")).await;
    let mut reply = client.reply().await;
    assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
    assert_eq!(reply.headers.get("x-accel-buffering"), Some("no"));
    assert_eq!(reply.headers.get("x-kong-llm-model"), Some("openai/m1"));
    assert!(reply.headers.get("x-aiproxy-exchange").is_some());
    assert_eq!(reply.headers.get("content-encoding"), None);
    assert_eq!(reply.headers.get("content-length"), None);
    reply.until("token 0").await;
    for number in 1..50 {
        let event = delta(&format!("token {number}"));
        call.write(&event).await;
        reply.until(&event).await;
    }
    call.write(stop()).await;
    reply.until(stop()).await;
    call.write(DONE).await;
    reply.until(DONE).await;
    call.finish().await;
    assert_eq!(reply.clean().await.end, Some(End::Clean));
}

#[tokio::test]
async fn each_event_leaves_at_once_over_http_2() {
    use http_body_util::BodyExt;

    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut h2 = H2::connect(&server).await;
    let request = H2::request(
        "POST",
        &server.address.to_string(),
        "/up/v1/chat/completions",
        &[("content-type", "application/json")],
        chat(r#""stream":true"#),
    );
    let sending = tokio::spawn(async move { h2.send(request).await.unwrap() });
    let mut call = upstream.call().await;
    call.write(STREAM_HEAD).await;
    call.write(delta("token 0")).await;
    let mut body = sending.await.unwrap().into_body();
    let mut seen = Vec::new();
    for number in 0..20 {
        let needle = format!("token {number}");
        while !holds(&seen, &needle) {
            let frame = soon("a frame", body.frame()).await.unwrap().unwrap();
            seen.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        call.write(delta(&format!("token {}", number + 1))).await;
    }
    call.write(format!("{}{DONE}", stop())).await;
    call.finish().await;
    while let Some(frame) = soon("a frame", body.frame()).await {
        seen.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
    }
    assert!(seen.ends_with(DONE.as_bytes()));
}

#[tokio::test]
async fn trap_1_10_events_split_anywhere_arrive_whole_and_unchanged() {
    let stream = [
        role(),
        delta("é😀"),
        ": ping\r\n\r\n".to_owned(),
        delta("日本語").replace('\n', "\r\n"),
        stop(),
        DONE.to_owned(),
    ]
    .concat();
    let bytes = stream.as_bytes();
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(CHUNKED_HEAD).await;
    // Byte by byte, each in a chunk and a write of its own.
    for byte in bytes {
        call.write(chunk([*byte])).await;
    }
    call.write(chunk("")).await;
    let mut reply = client.reply().await;
    let mut pieces = Vec::new();
    while let Some(piece) = reply.piece().await {
        pieces.push(piece);
    }
    assert_eq!(reply.text(), stream);
    for piece in pieces {
        assert!(
            piece.ends_with(b"\n") || piece.ends_with(b"\r"),
            "a part of a line was sent: {:?}",
            String::from_utf8_lossy(&piece)
        );
    }
}

#[tokio::test]
async fn events_of_uneven_pieces_arrive_whole() {
    let stream = [
        role(),
        delta(&"ä".repeat(5000)),
        delta("z"),
        stop(),
        DONE.to_owned(),
    ]
    .concat();
    for size in [2, 7, 64, 1000] {
        let mut answer = CHUNKED_HEAD.as_bytes().to_vec();
        for piece in stream.as_bytes().chunks(size) {
            answer.extend(chunk(piece));
        }
        answer.extend(chunk(""));
        let reply = relayed(answer).await;
        assert_eq!(reply.text(), stream, "in pieces of {size}");
    }
}

#[tokio::test]
async fn trap_1_9_a_last_event_without_its_blank_line_is_no_loss() {
    let stream = [delta("all of it"), stop(), "data: [DONE]".to_owned()].concat();
    let reply = relayed(format!("{STREAM_HEAD}{stream}")).await;
    assert_eq!(reply.end, Some(End::Clean));
    assert_eq!(reply.text(), format!("{stream}\n\n"));
}

#[tokio::test]
async fn trap_1_9_an_end_after_finish_reason_needs_no_marker_from_the_upstream() {
    let reply = relayed(format!("{STREAM_HEAD}{}{}", delta("all"), stop())).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.end, Some(End::Clean));
    assert_eq!(text_of(&reply.body), "all");
    assert!(!holds(&reply.body, "\"error\""), "{}", reply.text());
    assert_eq!(
        payloads(&reply.body).last().map(String::as_str),
        Some("[DONE]"),
        "clients wait for the marker: {}",
        reply.text()
    );
}

async fn with_usage(ask_usage: &str, client_asks: bool) -> (serde_json::Value, String) {
    let mut upstream = Upstream::start().await;
    let profile =
        ProfileText::openai(&upstream).line("aiproxy", format!("ask_usage = \"{ask_usage}\""));
    let server = Server::of(&profile);
    let body = if client_asks {
        chat(r#""stream":true,"stream_options":{"include_usage":true}"#)
    } else {
        chat(r#""stream":true"#)
    };
    let client = Ask::chat(body.as_str()).send(&server).await;
    let mut call = upstream.call().await;
    let sent = call.json();
    if client_asks || ask_usage == "never" {
        assert_eq!(call.text(), body, "nothing to change");
    }
    call.write(format!(
        "{STREAM_HEAD}{}{}{}{DONE}",
        delta("hi"),
        stop(),
        usage(7, 8)
    ))
    .await;
    call.finish().await;
    (sent, client.reply().await.clean().await.text())
}

#[tokio::test]
async fn trap_1_3_usage_that_only_aiproxy_asked_for_is_withheld() {
    let (sent, stream) = with_usage("always", false).await;
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(stream, format!("{}{}{DONE}", delta("hi"), stop()));
}

#[tokio::test]
async fn trap_1_3_usage_that_the_client_asked_for_is_shown() {
    for setting in ["always", "auto", "never"] {
        let (sent, stream) = with_usage(setting, true).await;
        assert_eq!(sent["stream_options"]["include_usage"], true, "{setting}");
        assert!(
            stream.contains("\"prompt_tokens\":7"),
            "{setting}: {stream}"
        );
    }
}

#[tokio::test]
async fn trap_1_3_usage_that_nobody_asked_for_is_shown_as_it_came() {
    for setting in ["auto", "never"] {
        let (sent, stream) = with_usage(setting, false).await;
        assert!(
            sent.get("stream_options").is_none(),
            "an unknown host is not asked: {sent}"
        );
        assert!(
            stream.contains("\"prompt_tokens\":7"),
            "{setting}: {stream}"
        );
    }
}

#[tokio::test]
async fn trap_1_3_a_provider_known_to_tell_usage_is_asked_by_itself() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("ai-proxy.model", r#"provider = "vllm""#);
    let server = Server::of(&profile);
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["stream_options"]["include_usage"], true);
    let stream = format!("{}{}", delta("hi"), stop());
    call.write(format!("{STREAM_HEAD}{stream}{}{DONE}", usage(7, 8)))
        .await;
    call.finish().await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.text(), format!("{stream}{DONE}"));
}

#[tokio::test]
async fn a_chunk_with_content_and_usage_is_never_withheld() {
    let mut upstream = Upstream::start().await;
    let server =
        Server::of(&ProfileText::openai(&upstream).line("aiproxy", r#"ask_usage = "always""#));
    let client = Ask::chat(chat(
        r#""stream":true,"stream_options":{"include_obfuscation":false}"#,
    ))
    .send(&server)
    .await;
    let mut call = upstream.call().await;
    let options = &call.json()["stream_options"];
    assert_eq!(options["include_usage"], true);
    assert_eq!(
        options["include_obfuscation"], false,
        "the client's own stay"
    );
    let both = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n";
    let null =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    // A usage beside choices that say nothing is no chunk of usage alone.
    let silent = "data: {\"choices\":[{\"index\":0,\"delta\":{}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n";
    let stream = format!("{null}{silent}{both}{DONE}");
    call.write(format!("{STREAM_HEAD}{stream}")).await;
    call.finish().await;
    assert_eq!(client.reply().await.clean().await.text(), stream);
}

#[tokio::test]
async fn trap_1_7_an_error_before_content_becomes_a_status() {
    for (error, status) in [
        (
            r#"{"message":"slow down","type":"rate_limit_error","code":429}"#,
            429,
        ),
        (
            r#"{"message":"slow down","type":"server_error","code":"503"}"#,
            503,
        ),
        (
            r#"{"message":"slow down","type":"server_error","code":null}"#,
            502,
        ),
        (
            r#"{"message":"slow down","code":"rate_limit_exceeded"}"#,
            502,
        ),
        (r#"{"message":"slow down","code":200}"#, 502),
        (r#"{"message":"slow down","code":7}"#, 502),
    ] {
        let reply = relayed(format!(
            "{STREAM_HEAD}: waiting\n\n{}data: {{\"error\":{error}}}\n\n{DONE}",
            role()
        ))
        .await;
        assert_eq!(reply.status, status, "{error}: {}", reply.text());
        assert_eq!(reply.error(), "slow down");
        assert_eq!(
            reply.headers.get("content-type"),
            Some("application/json"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_event_named_error_before_content_becomes_a_status() {
    let reply = relayed(format!(
        "{STREAM_HEAD}event: error\ndata: {{\"error\":{{\"message\":\"no\",\"type\":\"x\",\"code\":404}}}}\n\n"
    ))
    .await;
    reply.fails_with(404, "no");
}

#[tokio::test]
async fn trap_1_7_after_an_error_after_content_nothing_follows() {
    let reply = relayed(format!(
        "{STREAM_HEAD}{}{}data: {{\"error\":{{\"message\":\"overloaded\",\"type\":\"overloaded_error\",\"code\":529}}}}\n\n{}{}{DONE}",
        role(),
        delta("before"),
        delta("after"),
        stop()
    ))
    .await;
    let (events, last) = late_failure(&reply);
    assert_eq!(last["error"]["message"], "overloaded");
    assert_eq!(text_of(&reply.body), "before");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn trap_1_7_an_error_in_the_same_read_as_content_is_still_one_error() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("one"))).await;
    let mut reply = client.reply().await;
    reply.until("one").await;
    call.write(format!(
        "{}data: {{\"error\":{{\"message\":\"late\"}}}}\n\n{}{DONE}",
        delta("two"),
        delta("three")
    ))
    .await;
    let reply = reply.whole().await;
    let (_, last) = late_failure(&reply);
    assert_eq!(last["error"]["message"], "late");
    assert_eq!(text_of(&reply.body), "onetwo");
    // The upstream's rest is of no use to anybody.
    call.loses_its_client().await;
}

#[tokio::test]
async fn trap_2_1_an_upstream_cut_inside_an_event_ends_in_one_error_event() {
    let half = delta("never seen");
    let half = &half[..half.len() / 2];
    let whole = delta("seen");
    // A length that is not reached, and chunks without their end.
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n{whole}{half}"
    );
    let chunks = [CHUNKED_HEAD.as_bytes(), &chunk(&whole), &chunk(half)].concat();
    for answer in [long.into_bytes(), chunks] {
        let reply = relayed(answer).await;
        let (events, _) = late_failure(&reply);
        assert_eq!(events.len(), 1);
        assert!(reply.body.starts_with(whole.as_bytes()));
        assert!(!holds(&reply.body, "never seen"), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_upstream_that_closes_inside_an_event_ends_in_one_error_event() {
    for half in ["data: {\"choices\":[{\"index\":0,\"del", "dat", "data: "] {
        let reply = relayed(format!("{STREAM_HEAD}{}{half}", delta("seen"))).await;
        let (events, _) = late_failure(&reply);
        assert_eq!(events.len(), 1, "after {half:?}: {}", reply.text());
        assert!(!holds(&reply.body, "\"del\n"), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_end_without_a_finish_is_an_error() {
    let reply = relayed(format!("{STREAM_HEAD}{}{}", role(), delta("half an ans"))).await;
    let (events, _) = late_failure(&reply);
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn an_end_without_any_content_is_a_status() {
    for opening in [String::new(), role(), ": ping\n\n".to_owned()] {
        let reply = relayed(format!("{STREAM_HEAD}{opening}")).await;
        assert_eq!(reply.status, 502, "{opening:?}: {}", reply.text());
        reply.error();
    }
}

#[tokio::test]
async fn an_upstream_reset_in_the_middle_ends_in_one_error_event() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("seen"))).await;
    let mut reply = client.reply().await;
    reply.until("seen").await;
    call.reset();
    let reply = reply.whole().await;
    late_failure(&reply);
    server.is_healthy().await;
}

#[tokio::test]
async fn a_compressed_stream_is_inflated_and_its_events_leave_at_once() {
    use async_compression::tokio::write::GzipEncoder;
    use tokio::io::AsyncWriteExt;

    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed()
        .header("accept-encoding", "gzip")
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(
        call.headers.get("accept-encoding"),
        Some("identity"),
        "a stream is not asked for compressed"
    );
    call.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")
        .await;
    let mut encoder = GzipEncoder::new(Vec::new());
    let mut written = 0;
    encoder.write_all(delta("one").as_bytes()).await.unwrap();
    encoder.flush().await.unwrap();
    call.write(&encoder.get_ref()[written..]).await;
    written = encoder.get_ref().len();
    let mut reply = client.reply().await;
    assert_eq!(reply.headers.get("content-encoding"), None);
    reply.until(delta("one")).await;
    encoder
        .write_all(format!("{}{}{DONE}", delta("two"), stop()).as_bytes())
        .await
        .unwrap();
    encoder.shutdown().await.unwrap();
    call.write(&encoder.get_ref()[written..]).await;
    call.finish().await;
    let reply = reply.clean().await;
    assert_eq!(
        reply.text(),
        format!("{}{}{}{DONE}", delta("one"), delta("two"), stop())
    );
}

#[tokio::test]
async fn a_json_answer_to_a_stream_request_is_replayed_as_events() {
    let reply = relayed(json_response(200, completion("in one piece"))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
    assert_eq!(text_of(&reply.body), "in one piece");
    let events = payloads(&reply.body);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(
        events
            .iter()
            .any(|event| event.contains("\"finish_reason\":\"stop\"")),
        "{}",
        reply.text()
    );
    assert!(
        !holds(&reply.body, "prompt_tokens"),
        "the client asked for no usage: {}",
        reply.text()
    );
}

#[tokio::test]
async fn a_stream_that_answers_a_whole_request_is_gathered() {
    let upstream = Upstream::answering(format!(
        "{STREAM_HEAD}{}{}{}{}{}{DONE}",
        role(),
        delta("in "),
        delta("pieces"),
        stop(),
        usage(3, 4)
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers.get("content-type"), Some("application/json"));
    let json = reply.json();
    assert_eq!(json["choices"][0]["message"]["content"], "in pieces");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["total_tokens"], 7);
    assert_eq!(json["object"], "chat.completion");
}

#[tokio::test]
async fn always_streaming_asks_for_a_stream_and_returns_one() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(
        &ProfileText::openai(&upstream).line("ai-proxy", r#"response_streaming = "always""#),
    );
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["stream"], true);
    let stream = format!("{}{}{DONE}", delta("x"), stop());
    call.write(format!("{STREAM_HEAD}{stream}")).await;
    call.finish().await;
    assert_eq!(client.reply().await.clean().await.text(), stream);
}

#[tokio::test]
async fn an_event_over_the_limit_does_not_end_the_stream() {
    // SPEC §4.11: one stream event is 8 MiB; ARCHITECTURE §6: one over the limit ends observation, not the stream.
    let large = delta(&"x".repeat((8 << 20) + 4096));
    let stream = format!(
        "{}{large}{}{}{DONE}",
        delta("small"),
        delta("after"),
        stop()
    );
    let mut answer = CHUNKED_HEAD.as_bytes().to_vec();
    for piece in stream.as_bytes().chunks(1 << 18) {
        answer.extend(chunk(piece));
    }
    answer.extend(chunk(""));
    let reply = relayed(answer).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.len(), stream.len());
    assert!(reply.text() == stream, "the bytes differ");
}

#[tokio::test]
async fn a_slow_reader_holds_the_upstream_back() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("first"))).await;
    let mut reply = client.reply().await;
    reply.until("first").await;
    // The client reads no more. The upstream may fill the buffers on the way, and then has to wait.
    let event = delta(&"x".repeat(60_000));
    let mut written = 0_usize;
    let writing = async {
        loop {
            call.write(&event).await;
            written += event.len();
        }
    };
    let held = tokio::time::timeout(std::time::Duration::from_secs(2), writing).await;
    assert!(held.is_err());
    assert!(
        written < 64 << 20,
        "{written} bytes were taken without a reader"
    );
    let read = tokio::spawn(reply.whole());
    // What was cut off by the time-out is no event any more: the upstream's end shows in the stream.
    call.reset();
    let reply = read.await.unwrap();
    assert_eq!(reply.end, Some(End::Clean));
    server.is_healthy().await;
}

#[tokio::test]
async fn sixty_four_streams_at_once_do_not_mix() {
    let upstream = Upstream::playing(|mut call| async move {
        let name = call.json()["user"].as_str().unwrap().to_owned();
        call.write(STREAM_HEAD).await;
        for number in 0..20 {
            call.write(delta(&format!("{name}:{number} "))).await;
            tokio::task::yield_now().await;
        }
        call.write(format!("{}{DONE}", stop())).await;
        call.finish().await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let streams = (0..64).map(async |number| {
        let ask = Ask::chat(chat(&format!(r#""stream":true,"user":"u{number}""#)));
        let reply = ask.whole(&server).await;
        let expected: String = (0..20).map(|n| format!("u{number}:{n} ")).collect();
        assert_eq!(text_of(&reply.body), expected);
        assert!(reply.body.ends_with(DONE.as_bytes()));
    });
    futures_util::future::join_all(streams).await;
}

#[tokio::test]
async fn tool_calls_and_reasoning_are_content() {
    for first in [
        r#"{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}"#,
        r#"{"index":0,"delta":{"role":"assistant","reasoning_content":"hm"},"finish_reason":null}"#,
    ] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&ProfileText::openai(&upstream));
        let client = streamed().send(&server).await;
        let mut call = upstream.call().await;
        let event = format!("data: {{\"choices\":[{first}]}}\n\n");
        let more = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n";
        call.write(format!("{STREAM_HEAD}{event}{more}")).await;
        let mut reply = client.reply().await;
        reply.until(&event).await;
        call.write("data: {\"error\":{\"message\":\"late\"}}\n\n")
            .await;
        let reply = reply.whole().await;
        late_failure(&reply);
    }
}

#[tokio::test]
async fn an_opening_without_content_is_held_for_a_second_at_most() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = streamed().send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", role())).await;
    // Nothing more comes: the opening leaves all the same.
    let mut reply = client.reply().await;
    assert_eq!(reply.status, 200);
    reply.until(role()).await;
    call.write("data: {\"error\":{\"message\":\"late\",\"code\":429}}\n\n")
        .await;
    let reply = reply.whole().await;
    let (_, last) = late_failure(&reply);
    assert_eq!(last["error"]["message"], "late");
}

#[tokio::test]
async fn a_status_outside_2xx_of_a_stream_request_is_that_status() {
    let reply = relayed(response(
        429,
        &[("content-type", "application/json"), ("retry-after", "7")],
        r#"{"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded","param":null}}"#,
    ))
    .await;
    reply.fails_with(429, "slow");
    assert_eq!(reply.headers.get("retry-after"), Some("7"));
}

#[tokio::test]
async fn trap_1_8_data_that_is_a_comment_is_no_error() {
    let stream = format!("data: : keepalive\n\n{}{}{DONE}", delta("x"), stop());
    let reply = relayed(format!("{STREAM_HEAD}{stream}")).await;
    assert_eq!(reply.text(), stream);
}

#[tokio::test]
async fn a_byte_order_mark_opens_a_stream() {
    let stream = format!("\u{feff}{}{}{DONE}", delta("x"), stop());
    let reply = relayed(format!("{STREAM_HEAD}{stream}")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), stream);
}

#[tokio::test]
async fn an_end_before_every_choice_has_its_finish_is_an_error() {
    let choice =
        |index: u8, rest: &str| format!("data: {{\"choices\":[{{\"index\":{index},{rest}}}]}}\n\n");
    let text = r#""delta":{"content":"x"}"#;
    let finish = r#""delta":{},"finish_reason":"stop""#;
    let reply = relayed(format!(
        "{STREAM_HEAD}{}{}{}",
        choice(0, text),
        choice(1, text),
        choice(0, finish)
    ))
    .await;
    late_failure(&reply);
    let reply = relayed(format!(
        "{STREAM_HEAD}{}{}{}{}{DONE}",
        choice(0, text),
        choice(1, text),
        choice(1, finish),
        choice(0, finish)
    ))
    .await;
    assert!(reply.body.ends_with(DONE.as_bytes()));
}

#[tokio::test]
async fn trailers_end_a_stream_in_order() {
    let stream = format!("{}{}{DONE}", delta("x"), stop());
    let mut answer = CHUNKED_HEAD.as_bytes().to_vec();
    answer.extend(chunk(&stream));
    answer.extend_from_slice(b"0\r\nx-checksum: 1\r\n\r\n");
    let reply = relayed(answer).await;
    assert_eq!((reply.end, reply.text()), (Some(End::Clean), stream));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_its_stream_until_the_connection_closes() {
    let stream = format!("{}{}{DONE}", delta("x"), stop());
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{stream}")).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let ask = String::from_utf8(streamed().bytes()).unwrap();
    let mut client = Client::connect(&server).await;
    client.write(ask.replace("HTTP/1.1", "HTTP/1.0")).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.headers.get("transfer-encoding"), None);
    assert_eq!(reply.text(), stream);
}
