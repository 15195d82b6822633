//! What passes between equal formats passes byte for byte (SPEC §4.1), and which headers pass (SPEC §2).

use crate::support::{
    Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta, holds,
    json_response, response, role, stop, usage,
};

/// A request with everything that a parser could lose.
const ODD: &str = concat!(
    "{ \"zeta\" : 1.00,\t\"model\":\"m1\",\n\"n23\":12345678901234567890123, \"tiny\":1e-400,\"neg\":-0.0,\"exp\":1E+2,",
    "\"esc\":\"\\u00e9\\/\\ud83d\\ude00\\n\",\"uni\":\"é😀日本語\u{2028}\",\"empty\":[],\"none\":null,",
    "\"messages\":[{\"content\":[{\"text\":\"hi\",\"type\":\"text\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"role\":\"user\",\"unknown\":true}],",
    "\"stream\":false,\"stream_options\":null,\"top_k\":40,\"\":0,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"z\":1,\"a\":2}} }\r\n"
);

async fn sent(profile: ProfileText, mut upstream: Upstream, ask: Ask) -> crate::support::Call {
    let server = Server::of(&profile);
    let client = ask.send(&server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, completion("ok"))).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    call
}

#[tokio::test]
async fn trap_1_15_a_request_is_forwarded_byte_for_byte() {
    let upstream = Upstream::start().await;
    let call = sent(ProfileText::openai(&upstream), upstream, Ask::chat(ODD)).await;
    assert_eq!(call.text(), ODD);
    assert_eq!(call.target(), "POST /v1/chat/completions");
    assert_eq!(
        call.headers.get("content-length"),
        Some(ODD.len().to_string().as_str())
    );
}

#[tokio::test]
async fn a_streamed_request_is_forwarded_byte_for_byte() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = ODD.replace("\"stream\":false", "\"stream\" : true");
    let client = Ask::chat(body.as_str()).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.text(), body);
    call.write(format!("{STREAM_HEAD}{}{}{DONE}", delta("x"), stop()))
        .await;
    call.finish().await;
    client.reply().await.clean().await;
}

#[tokio::test]
async fn a_field_that_stands_twice_stays_as_it_is() {
    let upstream = Upstream::start().await;
    let body = chat(r#""seed" : 1, "seed":[2.0]"#);
    let call = sent(
        ProfileText::openai(&upstream),
        upstream,
        Ask::chat(body.as_str()),
    )
    .await;
    assert_eq!(call.text(), body);
}

#[tokio::test]
async fn only_the_fields_that_a_rule_touches_change() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.model", r#"name = "m1""#)
        .line("ai-proxy.model.options", "max_tokens = 5")
        .line("ai-proxy.model.options", "temperature = 0.5");
    let body = concat!(
        r#"{"z":1.00,"temperature":0.9,"max_completion_tokens":99,"#,
        r#""messages":[{"role":"user","content":"hi"}],"big":12345678901234567890123}"#
    );
    let call = sent(profile, upstream, Ask::chat(body)).await;
    let text = call.text();
    for kept in [
        r#""z":1.00"#,
        r#""messages":[{"role":"user","content":"hi"}]"#,
        r#""big":12345678901234567890123"#,
    ] {
        assert!(text.contains(kept), "{text}");
    }
    let json = call.json();
    assert_eq!(json["model"], "m1");
    assert_eq!(json["temperature"], 0.5, "options win over the request");
    assert_eq!(json["max_tokens"], 5);
    assert!(json.get("max_completion_tokens").is_none(), "{text}");
}

#[tokio::test]
async fn default_options_only_fill_in() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("aiproxy", r#"options = "default""#)
        .line("ai-proxy.model.options", "max_tokens = 5")
        .line("ai-proxy.model.options", "temperature = 0.5")
        .line("ai-proxy.model.options", "top_p = 0.25");
    let call = sent(
        profile,
        upstream,
        Ask::chat(chat(r#""temperature":0.9000,"max_completion_tokens":99"#)),
    )
    .await;
    let text = call.text();
    assert!(text.contains(r#""temperature":0.9000"#), "{text}");
    assert!(text.contains(r#""max_completion_tokens":99"#), "{text}");
    assert!(call.json().get("max_tokens").is_none(), "{text}");
    assert_eq!(call.json()["top_p"], 0.25);
}

#[tokio::test]
async fn a_model_of_the_profile_is_put_into_a_request_without_one() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"default_model = "own/1""#);
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"x":1.0}"#;
    let call = sent(profile, upstream, Ask::chat(body)).await;
    assert_eq!(call.json()["model"], "own/1");
    assert!(holds(
        &call.body,
        r#""messages":[{"role":"user","content":"hi"}],"x":1.0"#
    ));
}

#[tokio::test]
async fn an_answer_is_returned_byte_for_byte() {
    let body = concat!(
        " { \"id\":\"c1\",\"vendor\":{\"b\":1.50,\"a\":[ ]},\"choices\":[{\"index\":0,\"message\":{\"content\":\"\\u00e9😀\",\"role\":\"assistant\",\"annotations\":[]},",
        "\"logprobs\":null,\"finish_reason\":\"stop\",\"x\":12345678901234567890123}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"cost\":0.000010},\"twice\":1,\"twice\":2 }\n"
    );
    let upstream = Upstream::answering(response(
        200,
        &[("content-type", "application/json; charset=utf-8")],
        body,
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), body);
    assert_eq!(
        reply.headers.get("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[tokio::test]
async fn a_stream_is_returned_byte_for_byte() {
    let first = role();
    let stream = [
        ": a comment\n\n",
        &first,
        "event: chunk\nid: 7\nretry: 10\nunknown: x\n",
        &delta("é😀 one"),
        ":OPENROUTER PROCESSING\n\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"no space\"},\"vendor\":1.00}],\"x\":{\"z\":1,\"a\":2}}\n\n",
        "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"two lines\"}}]}\n\n",
        "data: not json at all\n\n",
        "\n\n",
        &stop(),
        &usage(3, 4),
        DONE,
    ]
    .concat();
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{stream}")).await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    let reply = Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), stream);
    assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
}

#[tokio::test]
async fn trap_1_9_a_stream_of_crlf_lines_is_returned_byte_for_byte() {
    let stream = [role(), delta("one"), delta("two"), stop(), DONE.to_owned()]
        .concat()
        .replace('\n', "\r\n");
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{stream}")).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    assert_eq!(reply.text(), stream);
}

#[tokio::test]
async fn an_answer_of_an_unread_operation_is_returned_byte_for_byte() {
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let client = Ask::new("PUT", "/up/v1/files/x%2Fy?a=1&b=%20c&a=2")
        .header("content-type", "multipart/form-data; boundary=q")
        .body(body.clone())
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(call.target(), "PUT /v1/files/x%2Fy?a=1&b=%20c&a=2");
    assert_eq!(call.body, body);
    assert_eq!(
        call.headers.get("content-type"),
        Some("multipart/form-data; boundary=q")
    );
    call.write(response(
        206,
        &[
            ("content-type", "audio/mpeg"),
            ("content-range", "bytes 0-1/2"),
            ("etag", "\"e\""),
        ],
        &body,
    ))
    .await;
    let reply = client.reply().await.clean().await;
    assert_eq!((reply.status, reply.body), (206, body));
    assert_eq!(reply.headers.get("etag"), Some("\"e\""));
    assert_eq!(reply.headers.get("content-range"), Some("bytes 0-1/2"));
}

#[tokio::test]
async fn end_to_end_headers_of_the_client_pass_and_those_of_its_connection_do_not() {
    let upstream = Upstream::start().await;
    let ask = Ask::chat(chat(""))
        .header("openai-organization", "org-1")
        .header("openai-beta", "a")
        .header("openai-beta", "b")
        .header("idempotency-key", "k1")
        .header("user-agent", "sdk/1.2")
        .header("x-stainless-lang", "python")
        .header("connection", "close, x-mine")
        .header("x-mine", "1")
        .header("keep-alive", "timeout=5")
        .header("te", "trailers")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic eDp5")
        .header("upgrade", "h2c")
        .header("cookie", "session=secret")
        .header("accept", "application/json");
    let call = sent(ProfileText::openai(&upstream), upstream, ask).await;
    for (name, value) in [
        ("openai-organization", "org-1"),
        ("idempotency-key", "k1"),
        ("user-agent", "sdk/1.2"),
        ("x-stainless-lang", "python"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(call.headers.get(name), Some(value), "{}", call.head);
    }
    assert_eq!(call.headers.all("openai-beta"), ["a", "b"]);
    for name in [
        "x-mine",
        "keep-alive",
        "te",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "cookie",
    ] {
        assert_eq!(call.headers.get(name), None, "{}", call.head);
    }
    assert_eq!(call.headers.all("host").len(), 1);
    assert!(call.headers.get("host").unwrap().starts_with("127.0.0.1:"));
    assert_eq!(call.headers.all("content-length").len(), 1);
}

#[tokio::test]
async fn end_to_end_headers_of_the_upstream_pass_and_those_of_its_connection_do_not() {
    let upstream = Upstream::answering(response(
        200,
        &[
            ("content-type", "application/json"),
            ("x-request-id", "req-1"),
            ("x-ratelimit-remaining-tokens", "7"),
            ("openai-processing-ms", "12"),
            ("warning", "199 - a"),
            ("warning", "199 - b"),
            ("set-cookie", "__cf_bm=secret"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("connection", "x-theirs"),
            ("x-theirs", "1"),
            ("etag", "\"v1\""),
        ],
        completion("ok"),
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.headers.get("x-request-id"), Some("req-1"));
    assert_eq!(reply.headers.get("x-ratelimit-remaining-tokens"), Some("7"));
    assert_eq!(reply.headers.get("openai-processing-ms"), Some("12"));
    assert_eq!(reply.headers.get("etag"), Some("\"v1\""));
    assert_eq!(reply.headers.all("warning"), ["199 - a", "199 - b"]);
    for name in ["set-cookie", "keep-alive", "proxy-authenticate", "x-theirs"] {
        assert_eq!(reply.headers.get(name), None, "{}", reply.head);
    }
    assert_eq!(
        reply.headers.get("x-kong-llm-model"),
        Some("openai/m1"),
        "{}",
        reply.head
    );
    let id = reply.headers.get("x-aiproxy-exchange").unwrap();
    assert_eq!(id.len(), 10, "{id}");
}

#[tokio::test]
async fn the_header_of_the_model_can_be_turned_off() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let profile = ProfileText::openai(&upstream).line("ai-proxy", "model_name_header = false");
    let server = Server::of(&profile);
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.headers.get("x-kong-llm-model"), None);
    assert!(reply.headers.get("x-aiproxy-exchange").is_some());
}

#[tokio::test]
async fn the_client_s_own_credentials_are_removed_and_the_rest_of_the_query_stays() {
    let upstream = Upstream::start().await;
    let ask = Ask::post(
        "/up/v1/chat/completions?a=1&key=client-secret&b=%2f&flag&a=2",
        chat(""),
    )
    .header("authorization", "Bearer client-secret")
    .header("x-api-key", "client-secret")
    .header("api-key", "client-secret")
    .header("x-goog-api-key", "client-secret");
    let call = sent(ProfileText::openai(&upstream), upstream, ask).await;
    assert_eq!(
        call.target(),
        "POST /v1/chat/completions?a=1&b=%2f&flag&a=2"
    );
    assert!(!call.head.contains("client-secret"), "{}", call.head);
    for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
        assert_eq!(call.headers.get(name), None);
    }
}

#[tokio::test]
async fn the_profile_s_key_replaces_the_client_s() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).key("Authorization", "Bearer own-key");
    let ask = Ask::chat(chat(""))
        .header("authorization", "Bearer client-secret")
        .header("authorization", "Bearer client-secret-2");
    let call = sent(profile, upstream, ask).await;
    assert_eq!(call.headers.all("authorization"), ["Bearer own-key"]);
}

#[tokio::test]
async fn allow_override_keeps_the_client_s_credentials() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .key("Authorization", "Bearer own-key")
        .line("ai-proxy.auth", "allow_override = true");
    let ask = Ask::chat(chat("")).header("authorization", "Bearer client-key");
    let call = sent(profile, upstream, ask).await;
    assert_eq!(call.headers.all("authorization"), ["Bearer client-key"]);

    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .key("Authorization", "Bearer own-key")
        .line("ai-proxy.auth", "allow_override = true");
    let call = sent(profile, upstream, Ask::chat(chat(""))).await;
    assert_eq!(
        call.headers.all("authorization"),
        ["Bearer own-key"],
        "a client without a key gets the profile's"
    );
}

#[tokio::test]
async fn a_key_in_the_query() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.auth", r#"param_name = "api_token""#)
        .line("ai-proxy.auth", r#"param_value = "own key&1""#)
        .line("ai-proxy.auth", r#"param_location = "query""#);
    let ask = Ask::post(
        "/up/v1/chat/completions?a=1&api_token=client-secret",
        chat(""),
    );
    let call = sent(profile, upstream, ask).await;
    let target = call.target();
    assert!(!target.contains("client-secret"), "{target}");
    let query = target.split_once('?').unwrap().1;
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(
        pairs,
        [
            ("a".to_owned(), "1".to_owned()),
            ("api_token".to_owned(), "own key&1".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_key_in_the_body() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.auth", r#"param_name = "api_token""#)
        .line("ai-proxy.auth", r#"param_value = "own-key""#)
        .line("ai-proxy.auth", r#"param_location = "body""#);
    let ask = Ask::chat(chat(r#""api_token":"client-secret","x":1.00"#));
    let call = sent(profile, upstream, ask).await;
    assert_eq!(call.json()["api_token"], "own-key");
    assert!(holds(&call.body, r#""x":1.00"#), "{}", call.text());
    assert!(!holds(&call.body, "client-secret"));
}

#[tokio::test]
async fn a_key_from_the_environment_without_its_line_end() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .key("x-api-key", "{vault://env/test-upstream-key}")
        .line("ai-proxy", "response_streaming = \"allow\"");
    let server = Server::setup()
        .profile("up", &profile)
        .variable("TEST_UPSTREAM_KEY", "sk-from-env\r\n")
        .start();
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.headers.all("x-api-key"), ["sk-from-env"]);
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_key_from_a_file_beside_the_profile() {
    let mut upstream = Upstream::start().await;
    let profile =
        ProfileText::openai(&upstream).key("Authorization", "Bearer {vault://file/keys/up.txt}");
    let setup = Server::setup().profile("up", &profile);
    std::fs::create_dir(setup.folder().join("keys")).unwrap();
    let server = setup.file("keys/up.txt", "sk-from-file\n").start();
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.headers.all("authorization"), ["Bearer sk-from-file"]);
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn allow_override_keeps_a_key_in_the_query() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("ai-proxy.auth", "allow_override = true");
    let ask = Ask::post("/up/v1/chat/completions?key=mine&a=1", chat(""));
    let call = sent(profile, upstream, ask).await;
    assert_eq!(call.target(), "POST /v1/chat/completions?key=mine&a=1");
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_passed_over() {
    let upstream = Upstream::answering(
        [
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".as_slice(),
            &json_response(200, completion("ok")),
        ]
        .concat(),
    )
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!((reply.status, reply.text()), (200, completion("ok")));
}

#[tokio::test]
async fn trap_2_8_a_redirect_is_not_followed_with_the_key() {
    let mut other = Upstream::start().await;
    let location = format!("http://{}/v1/chat/completions", other.address);
    for status in [301, 307, 308] {
        let upstream = Upstream::answering(response(status, &[("location", &location)], "")).await;
        let server =
            Server::of(&ProfileText::openai(&upstream).key("Authorization", "Bearer own-key"));
        let reply = Ask::chat(chat("")).whole(&server).await;
        assert!(reply.status >= 300, "{}", reply.text());
        other.was_not_called();
    }
}

#[tokio::test]
async fn completions_and_embeddings_pass_byte_for_byte() {
    for (path, body, answer) in [
        (
            "completions",
            r#"{"model":"m1","prompt":["a","b"],"x":1.00}"#,
            r#"{"id":"c","object":"text_completion","model":"m1","choices":[{"text":"ok","index":0,"finish_reason":"stop"}],"x":1.00}"#,
        ),
        (
            "embeddings",
            r#"{"model":"m1","input":[[1,2],[3]],"x":1.00}"#,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-0.0]}],"model":"m1","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
        ),
        (
            "responses",
            r#"{"model":"m1","input":"hi","store":false,"x":1.00}"#,
            r#"{"id":"r","object":"response","status":"completed","output":[],"x":1.00}"#,
        ),
    ] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&ProfileText::openai(&upstream));
        let client = Ask::post(&format!("/up/v1/{path}"), body)
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), format!("POST /v1/{path}"));
        assert_eq!(call.text(), body);
        call.write(json_response(200, answer)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!((reply.status, reply.text().as_str()), (200, answer));
    }
}

#[tokio::test]
async fn a_stream_of_responses_passes_byte_for_byte() {
    let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"x\":1.00}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\"}\n\n";
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{stream}")).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::post(
        "/up/v1/responses",
        r#"{"model":"m1","input":"hi","stream":true}"#,
    )
    .whole(&server)
    .await;
    assert_eq!(reply.text(), stream);
    assert_eq!(reply.headers.get("content-type"), Some("text/event-stream"));
}
