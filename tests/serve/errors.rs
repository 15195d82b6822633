//! What goes wrong, and what clients are told: SPEC §2's table to the letter.

use serde_json::json;

use crate::support::{
    Ask, Client, End, ProfileText, Server, Upstream, chat, completion, json_response, response,
};

const NO_JSON: &str = "content-type header does not match request body, or bad JSON formatting";

/// A server whose upstream may not be called, and the upstream.
async fn uncalled(shape: impl FnOnce(ProfileText) -> ProfileText) -> (Server, Upstream) {
    let upstream = Upstream::start().await;
    let server = Server::of(&shape(ProfileText::openai(&upstream)));
    (server, upstream)
}

/// The reply when the upstream answers a whole chat request with these bytes.
async fn answered(answer: Vec<u8>) -> crate::support::Reply {
    let upstream = Upstream::answering(answer).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    Ask::chat(chat("")).whole(&server).await
}

#[tokio::test]
async fn a_body_that_is_no_json() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    for body in [
        "",
        "{",
        "{\"model\":\"m1\",\"messages\":[}",
        "[]",
        "\"text\"",
        "null",
        "model=m1",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"\u{1}\"}]} trailing",
    ] {
        let reply = Ask::chat(body).whole(&server).await;
        reply.fails_with(400, NO_JSON);
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
        assert_eq!(reply.headers.get("content-type"), Some("application/json"));
        assert!(reply.headers.get("x-aiproxy-exchange").is_some());
    }
    let not_utf8 = Ask::chat(b"{\"model\":\"\xff\",\"messages\":[{}]}".to_vec());
    not_utf8.whole(&server).await.fails_with(400, NO_JSON);
    upstream.was_not_called();
}

#[tokio::test]
async fn trap_2_18_a_content_type_that_is_no_json() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    for content_type in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/html",
    ] {
        for path in ["/up/v1/chat/completions", "/v1/chat/completions", "/up"] {
            let reply = Ask::post(path, chat(""))
                .instead("content-type", Some(content_type))
                .whole(&server)
                .await;
            reply.fails_with(400, NO_JSON);
        }
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn a_content_type_that_is_json_or_absent() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for content_type in [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("APPLICATION/JSON"),
        Some("application/vnd.api+json"),
    ] {
        let reply = Ask::chat(chat(""))
            .instead("content-type", content_type)
            .whole(&server)
            .await;
        assert_eq!(reply.status, 200, "{content_type:?}: {}", reply.text());
    }
}

#[tokio::test]
async fn prompts_missing_doubled_or_of_another_format() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    let none = "request body doesn't contain valid prompts";
    let both = "request matches multiple LLM request formats";
    for (path, body, message) in [
        ("chat/completions", r#"{"model":"m1"}"#, none),
        ("chat/completions", "{}", none),
        ("chat/completions", r#"{"messages":"hi"}"#, none),
        ("completions", r#"{"model":"m1"}"#, none),
        (
            "chat/completions",
            r#"{"messages":[{"role":"user","content":"x"}],"prompt":"x"}"#,
            both,
        ),
        (
            "completions",
            r#"{"messages":[{"role":"user","content":"x"}],"prompt":"x"}"#,
            both,
        ),
        (
            "chat/completions",
            r#"{"model":"m1","prompt":"x"}"#,
            "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type",
        ),
        (
            "completions",
            r#"{"model":"m1","messages":[{"role":"user","content":"x"}]}"#,
            "[llm/v1/chat] message format is not compatible with [llm/v1/completions] route type",
        ),
    ] {
        let reply = Ask::post(&format!("/up/v1/{path}"), body)
            .whole(&server)
            .await;
        reply.fails_with(400, message);
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn another_model_than_the_profile_s() {
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy.model", r#"name = "own""#)).await;
    for body in [
        chat(""),
        chat("").replace("m1", "OWN"),
        // The second of two may not pass where only the first was looked at, nor the other way round.
        chat("").replace(r#""model":"m1""#, r#""model":"own","model":"m1""#),
        chat("").replace(r#""model":"m1""#, r#""model":"m1","model":"own""#),
        chat("").replace(r#""model":"m1""#, r#""model":"own","mode\u006c":"m1""#),
    ] {
        let client = Ask::chat(body.as_str()).send(&server).await;
        let reply = tokio::select! {
            reply = client.reply() => reply.whole().await,
            call = upstream.call() => {
                // Passing is right only if no other model can be read from what was sent.
                assert!(!call.text().contains("m1"), "{}", call.text());
                continue;
            }
        };
        reply.fails_with(400, "cannot use own model - must be: own");
    }
}

#[tokio::test]
async fn no_model_anywhere() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    for body in [
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
        r#"{"messages":[{"role":"user","content":"x"}],"model":null}"#,
        r#"{"messages":[{"role":"user","content":"x"}],"model":""}"#,
    ] {
        let reply = Ask::chat(body).whole(&server).await;
        reply.fails_with(
            400,
            "model parameter not found in request, nor in gateway configuration",
        );
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn a_stream_where_streams_are_denied() {
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy", r#"response_streaming = "deny""#)).await;
    let reply = Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    reply.fails_with(400, "response streaming is not enabled for this LLM");
    upstream.was_not_called();
}

#[tokio::test]
async fn templates_without_their_source() {
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy.model", r#"name = "$(headers.x-model)""#)).await;
    let body = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    Ask::chat(body)
        .whole(&server)
        .await
        .fails_with(400, "headers key x-model was not provided");
    upstream.was_not_called();
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy.model", r#"name = "$(query_params.m)""#)).await;
    Ask::chat(body)
        .whole(&server)
        .await
        .fails_with(400, "query_params key m was not provided");
    upstream.was_not_called();
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy.model", r#"name = "$(uri_captures.m)""#)).await;
    Ask::chat(body)
        .whole(&server)
        .await
        .fails_with(400, "uri_captures key m was not provided");
    upstream.was_not_called();
}

#[tokio::test]
async fn templates_with_their_source() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream).line(
        "ai-proxy.model",
        r#"name = "$(headers.x-model)-$(query_params.m)""#,
    ));
    let client = Ask::post(
        "/up/v1/chat/completions?m=a%20b",
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
    )
    .header("X-Model", "gpt")
    .send(&server)
    .await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["model"], "gpt-a b");
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_template_that_is_none_is_refused_when_the_profile_is_loaded() {
    let upstream = Upstream::start().await;
    let ended = Server::setup()
        .profile(
            "up",
            &ProfileText::openai(&upstream).line("ai-proxy.model", r#"name = "$(nothing.here)""#),
        )
        .fails()
        .exits(1);
    assert!(
        ended.stderr.contains("cannot parse expression for field"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_provider_that_cannot_do_the_route_type() {
    let profile = ProfileText::default()
        .line("ai-proxy", r#"route_type = "llm/v1/chat""#)
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        );
    let server = Server::of(&profile);
    let reply = Ask::post("/up/v1/embeddings", r#"{"model":"m1","input":"x"}"#)
        .whole(&server)
        .await;
    reply.fails_about(400, &["no transformer for anthropic://llm/v1/embeddings"]);
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_refusal() {
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy", "max_request_body_size = 1000")).await;
    // Closing over unread bytes would reset the connection, and the answer with it.
    for path in [
        "/up",
        "/v1/chat/completions",
        "/no-such-profile/v1/chat/completions",
    ] {
        for framing in ["content-length: 8000000", "transfer-encoding: chunked"] {
            let mut client = Client::connect(&server).await;
            client
                .write(format!(
                    "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
                ))
                .await;
            for _ in 0..8 {
                let piece = vec![b'x'; 1_000_000];
                let piece = if framing.starts_with("transfer") {
                    crate::support::chunk(&piece)
                } else {
                    piece
                };
                client.write(piece).await;
            }
            if framing.starts_with("transfer") {
                client.write(crate::support::chunk("")).await;
            }
            let reply = client.reply().await.whole().await;
            let expected = if path.starts_with("/no") { 404 } else { 413 };
            assert_eq!(reply.status, expected, "{path}, {framing}");
        }
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn trap_2_12_a_body_over_the_limit() {
    let (server, mut upstream) =
        uncalled(|profile| profile.line("ai-proxy", "max_request_body_size = 1000")).await;
    let large = chat(&format!(r#""x":"{}""#, "y".repeat(1000)));
    for path in ["/up/v1/chat/completions", "/v1/chat/completions", "/up"] {
        let reply = Ask::post(path, large.as_str()).whole(&server).await;
        reply.fails_with(413, "request body too large");
    }
    // Without a length it is counted as it comes.
    let mut body = Vec::new();
    for piece in large.as_bytes().chunks(100) {
        body.extend(crate::support::chunk(piece));
    }
    body.extend(crate::support::chunk(""));
    let reply = Ask::chat(body)
        .no_length()
        .header("transfer-encoding", "chunked")
        .whole(&server)
        .await;
    reply.fails_with(413, "request body too large");
    // An announced length is enough.
    let mut client = Client::connect(&server).await;
    client
        .write("POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n")
        .await;
    client
        .reply()
        .await
        .whole()
        .await
        .fails_with(413, "request body too large");
    upstream.was_not_called();
    server.is_healthy().await;
}

#[tokio::test]
async fn a_body_at_the_limit_passes() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let body = chat("");
    let limit = format!("max_request_body_size = {}", body.len());
    let server = Server::of(&ProfileText::openai(&upstream).line("ai-proxy", limit));
    assert_eq!(Ask::chat(body.as_str()).whole(&server).await.status, 200);
    Ask::chat(format!("{body} "))
        .whole(&server)
        .await
        .fails_with(413, "request body too large");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read() {
    for body in [
        "",
        "<html>hello</html>",
        "{\"choices\":",
        "{}",
        "[]",
        "null",
        "{\"object\":\"chat.completion\"}",
    ] {
        let reply = answered(json_response(200, body)).await;
        assert_eq!(reply.status, 500, "{body}: {}", reply.text());
        let message = reply.error();
        assert!(
            message.starts_with("transformation failed from type openai://llm/v1/chat: "),
            "{message}"
        );
    }
    let html = answered(response(
        200,
        &[("content-type", "text/html")],
        "<html>a captive portal</html>",
    ))
    .await;
    html.fails_about(
        500,
        &["transformation failed from type openai://llm/v1/chat: "],
    );
}

#[tokio::test]
async fn an_error_of_openai_s_shape_keeps_status_words_and_limits() {
    let body = r#"{ "error": {"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded","x":1.00} }"#;
    let reply = answered(response(
        429,
        &[
            ("content-type", "application/json"),
            ("retry-after", "20"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-request-id", "req-1"),
            ("set-cookie", "a=b"),
        ],
        body,
    ))
    .await;
    reply.fails_with(429, "slow down");
    let error = &reply.json()["error"];
    assert_eq!(error["type"], "requests");
    assert_eq!(error["code"], "rate_limit_exceeded");
    for (name, value) in [
        ("retry-after", "20"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-request-id", "req-1"),
        ("content-type", "application/json"),
        ("x-kong-llm-model", "openai/m1"),
    ] {
        assert_eq!(reply.headers.get(name), Some(value), "{}", reply.head);
    }
    assert_eq!(reply.headers.get("set-cookie"), None);
    assert!(reply.headers.get("x-aiproxy-exchange").is_some());
}

#[tokio::test]
async fn an_error_of_another_shape_is_moved_into_openai_s() {
    for (status, body, message) in [
        (400, json!({"detail": "not so"}), "not so"),
        (
            422,
            json!({"message": "bad input", "request_id": "r"}),
            "bad input",
        ),
        (503, json!({"error": "loading"}), "loading"),
    ] {
        let reply = answered(json_response(status, body.to_string())).await;
        reply.fails_with(status, message);
        assert_eq!(reply.json()["error"]["provider"], body);
    }
}

#[tokio::test]
async fn google_s_error_list_keeps_its_message() {
    // TRAPS 1: Google's errors may be an array.
    let body = json!([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}]);
    let reply = answered(json_response(400, body.to_string())).await;
    reply.fails_with(400, "API key not valid.");
    assert_eq!(reply.json()["error"]["provider"], body);
}

#[tokio::test]
async fn an_answer_of_responses_that_is_no_json_is_none() {
    let upstream = Upstream::answering(json_response(200, "<html>sorry</html>")).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let ask = Ask::post("/up/v1/responses", r#"{"model":"m1","input":"hi"}"#);
    ask.whole(&server).await.fails_about(
        500,
        &["transformation failed from type openai://llm/v1/responses: "],
    );
}

#[tokio::test]
async fn an_error_that_is_no_json_passes_as_text() {
    let page = "<html><body>502 Bad Gateway</body></html>";
    let reply = answered(response(
        502,
        &[("content-type", "text/html"), ("retry-after", "3")],
        page,
    ))
    .await;
    assert_eq!((reply.status, reply.text().as_str()), (502, page));
    assert_eq!(reply.headers.get("content-type"), Some("text/html"));
    assert_eq!(reply.headers.get("retry-after"), Some("3"));
}

#[tokio::test]
async fn an_error_without_a_body_is_told_in_openai_s_shape() {
    let reply = answered(response(500, &[], "")).await;
    reply.fails_about(500, &["500"]);
}

#[tokio::test]
async fn statuses_of_the_provider_are_kept() {
    for status in [400, 401, 403, 404, 409, 413, 422, 500, 503, 529] {
        let body = r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#;
        let reply = answered(json_response(status, body)).await;
        reply.fails_with(status, "m");
        assert_eq!(reply.json()["error"]["type"], "t");
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_is_502_and_says_where() {
    let address = Upstream::nobody().await;
    let server = Server::of(&ProfileText::at(&format!("http://{address}/v1")));
    for extra in ["", r#""stream":true"#] {
        let reply = Ask::chat(chat(extra)).whole(&server).await;
        reply.fails_about(502, &[&address.to_string()]);
    }
}

#[tokio::test]
async fn an_upstream_that_resets_or_closes_is_502() {
    for reset in [true, false] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&ProfileText::openai(&upstream));
        let client = Ask::chat(chat("")).send(&server).await;
        let call = upstream.call().await;
        if reset {
            call.reset();
        } else {
            drop(call);
        }
        let reply = client.reply().await.whole().await;
        reply.fails_about(502, &[&upstream.address.to_string()]);
        // What may have reached the upstream is not sent twice.
        upstream.was_not_called();
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_502() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{15}\u{3}\u{1}\u{0}\u{2}",
        "HTTP/9.9 what\r\n\r\n",
    ] {
        let reply = answered(garbage.as_bytes().to_vec()).await;
        assert_eq!(reply.status, 502, "{garbage:?}: {}", reply.text());
        reply.error();
    }
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_502() {
    let reply = answered(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"choices\":"
            .to_vec(),
    )
    .await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    reply.error();
}

#[tokio::test]
async fn a_body_that_the_client_cuts_off_never_reaches_the_upstream() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    let mut client = Client::connect(&server).await;
    client
        .write("POST /up/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"model\":")
        .await;
    client.half_close().await;
    let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 400"),
        "{rest}"
    );
    server.is_healthy().await;
    upstream.was_not_called();
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_are_right() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        for path in ["/up/v1/chat/completions", "/v1/chat/completions", "/up"] {
            let reply = Ask::new(method, path).whole(&server).await;
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
            assert_eq!(reply.headers.get("allow"), Some("POST"), "{method} {path}");
            reply.error();
        }
    }
    for path in ["/v1/models", "/up/v1/models", "/_aiproxy/health"] {
        let reply = Ask::post(path, "{}").whole(&server).await;
        assert_eq!(reply.status, 405, "{path}: {}", reply.text());
        let allow = reply.headers.get("allow").unwrap_or_default();
        assert!(allow.contains("GET"), "{path}: {allow}");
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn an_unknown_profile_is_404_and_names_those_there_are_nearest_first() {
    let upstream = Upstream::start().await;
    let text = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("zebra", &text)
        .profile("groq", &text)
        .profile("gpt", &text)
        .start();
    let reply = Ask::post("/gtp/v1/chat/completions", chat(""))
        .whole(&server)
        .await;
    reply.fails_about(404, &["gtp", "gpt", "groq", "zebra"]);
    let message = reply.error();
    let place = |name: &str| message.rfind(name).unwrap();
    assert!(place("gpt") < place("groq"), "{message}");
    assert!(place("groq") < place("zebra"), "{message}");
    for path in ["/", "/nothing", "/%00", "/..%2f..", "//up/v1/models"] {
        let reply = Ask::get(path).whole(&server).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
        reply.error();
    }
}

#[tokio::test]
async fn a_secret_that_does_not_resolve_is_500_naming_the_reference() {
    let upstream = Upstream::start().await;
    for reference in [
        "{vault://env/no-such-variable}",
        "{vault://file/no/such/file}",
    ] {
        let profile =
            ProfileText::openai(&upstream).key("Authorization", &format!("Bearer {reference}"));
        let server = Server::of(&profile);
        let reply = Ask::chat(chat("")).whole(&server).await;
        reply.fails_about(500, &[reference]);
        assert_eq!(reply.json()["error"]["type"], "configuration_error");
        server.is_healthy().await;
    }
}

#[tokio::test]
async fn trap_2_8_no_error_holds_a_key() {
    const KEY: &str = "sk-very-secret-0123456789";
    let nobody = Upstream::nobody().await;
    let cut = Upstream::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()).await;
    let garbage = Upstream::answering(b"garbage\r\n\r\n".to_vec()).await;
    let unreadable = Upstream::answering(json_response(200, "{}")).await;
    for address in [nobody, cut.address, garbage.address, unreadable.address] {
        for shape in [0, 1, 2] {
            let profile = ProfileText::at(&format!("http://{address}/v1"));
            let profile = match shape {
                0 => profile.key("Authorization", &format!("Bearer {KEY}")),
                1 => profile
                    .line("ai-proxy.auth", r#"param_name = "key""#)
                    .line("ai-proxy.auth", format!("param_value = \"{KEY}\""))
                    .line("ai-proxy.auth", r#"param_location = "query""#),
                // What no header can hold.
                _ => profile.key("Authorization", "{vault://env/bad-key}"),
            };
            let server = Server::setup()
                .profile("up", &profile)
                .variable("BAD_KEY", &format!("{KEY}\u{7}x"))
                .start();
            let reply = Ask::chat(chat("")).whole(&server).await;
            assert!(reply.status >= 500, "{}", reply.text());
            assert!(!reply.text().contains(KEY), "{}", reply.text());
            assert!(!reply.head.contains(KEY), "{}", reply.head);
            let (out, err) = (server.process.stdout(), server.process.stderr());
            assert!(!out.contains(KEY) && !err.contains(KEY), "{out}{err}");
        }
    }
}

#[tokio::test]
async fn errors_after_a_head_was_sent_end_the_connection() {
    // An unread answer has no form for an error: it breaks off, so that nobody takes it for whole.
    let upstream = Upstream::answering(
        b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
    )
    .await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let reply = Ask::get("/up/v1/files/f/content").whole(&server).await;
    assert_eq!(reply.end, Some(End::Cut));
}

#[tokio::test]
async fn requests_that_two_servers_could_read_differently_are_refused() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let head = "POST /up/v1/files HTTP/1.1\r\nhost: localhost\r\n";
    for rest in [
        "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "content-length: 3, 4\r\n\r\nabcd",
        "content-length: -3\r\n\r\nabc",
        "content-length: 0x3\r\n\r\nabc",
        "transfer-encoding: gzip\r\n\r\nabc",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "x: a\u{0}b\r\n\r\n",
        "x y: a\r\n\r\n",
        "no colon\r\n\r\n",
    ] {
        let mut client = Client::connect(&server).await;
        client.write(format!("{head}{rest}")).await;
        client.half_close().await;
        let rest_of = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(
            rest_of.is_empty() || rest_of.starts_with("HTTP/1.1 400"),
            "{rest:?}: {rest_of}"
        );
    }
    upstream.was_not_called();
    server.is_healthy().await;
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_reach_the_upstream() {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let mut client = Client::connect(&server).await;
    client
        .write("POST /up/v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
        .await;
    let status = client.reply().await.whole().await.status;
    assert!(matches!(status, 200 | 400), "{status}");
    for seen in upstream.seen() {
        let head = seen.head.to_ascii_lowercase();
        assert_eq!(seen.body, b"abcde");
        assert!(
            !(head.contains("content-length") && head.contains("transfer-encoding")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_model_s_name_cannot_write_headers() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = chat("").replace("m1", "m\\r\\nx-evil: 1\\u0000");
    let client = Ask::chat(body).send(&server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, completion("ok"))).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get("x-evil"), None, "{}", reply.head);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (server, mut upstream) = uncalled(|profile| profile).await;
    let mut client = Client::connect(&server).await;
    let head = format!(
        "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    client.write(head).await;
    let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
    server.is_healthy().await;
    upstream.was_not_called();
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_wait_and_are_503_naming_the_flag() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--max-body-memory", "1048576"])
        .start();
    // Announced, not sent: its place is taken.
    let mut first = Client::connect(&server).await;
    first
        .write("POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    first.is_told_to_continue().await;
    let large = chat(&format!(r#""x":"{}""#, "y".repeat(500_000)));
    let reply = Ask::chat(large.as_str()).whole(&server).await;
    reply.fails_about(503, &["--max-body-memory"]);
    upstream.was_not_called();
    // The place is free again once the first has left.
    drop(first);
    let client = Ask::chat(large.as_str()).send(&server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}
