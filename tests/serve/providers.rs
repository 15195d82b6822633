//! Providers with formats of their own: where requests go, what becomes of answers and streams, and what cannot be carried.

use crate::support::{
    Ask, ProfileText, Server, Upstream, chat, chunk, completion, json_response, payloads, response,
    text_of,
};

/// A chat profile of a provider whose API root is the upstream.
fn of(provider: &str, upstream: &Upstream) -> ProfileText {
    let text = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", format!("provider = \"{provider}\""));
    match provider {
        "anthropic" => text.line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        ),
        "bedrock" => text
            .line("ai-proxy.auth", r#"aws_access_key_id = "AKIATEST""#)
            .line("ai-proxy.auth", r#"aws_secret_access_key = "secret-key""#)
            .line(
                "ai-proxy.model.options",
                r#"bedrock.aws_region = "eu-west-1""#,
            ),
        _ => text,
    }
}

const ANTHROPIC: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],
    "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}"#;
const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#;
const BEDROCK: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn",
    "usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#;
const COHERE: &str = r#"{"generation_id":"g","text":"hello","finish_reason":"COMPLETE","meta":{"billed_units":{"input_tokens":3,"output_tokens":2}}}"#;
const OLLAMA: &str = r#"{"model":"m1","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"hello"},"done":true,
    "done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#;

/// Where a provider has no Responses, a client of theirs has a conversation in the provider's own format.
#[tokio::test]
async fn responses_are_translated_where_the_provider_has_none() {
    for (provider, answer, target) in [
        ("anthropic", ANTHROPIC, "POST /v1/messages"),
        ("gemini", GEMINI, "POST /v1beta/models/m1:generateContent"),
        ("bedrock", BEDROCK, "POST /model/m1/converse"),
        ("ollama", OLLAMA, "POST /api/chat"),
        (
            "deepseek",
            r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
            "POST /chat/completions",
        ),
    ] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&of(provider, &upstream));
        let body = r#"{"model":"m1","input":"hi","instructions":"Be kind.","metadata":{"k":"v"},"store":false}"#;
        let client = Ask::post("/up/v1/responses", body).send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), target);
        call.write(json_response(200, answer)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 200, "{provider}: {}", reply.text());
        assert_eq!(reply.headers.get("x-aiproxy-warnings"), None, "{provider}");
        let json = reply.json();
        assert_eq!(json["object"], "response", "{provider}");
        assert!(json["id"].as_str().unwrap().starts_with("resp_"), "{json}");
        assert_eq!(
            json["output"][0]["content"][0]["text"], "hello",
            "{provider}"
        );
        assert_eq!(json["usage"]["total_tokens"], 5, "{provider}");
        assert_eq!(
            (&json["instructions"], &json["metadata"]["k"]),
            (&"Be kind.".into(), &"v".into())
        );
    }
}

#[tokio::test]
async fn built_in_tools_are_refused_by_name_where_the_provider_has_none() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("anthropic", &upstream));
    let body = r#"{"model":"m1","input":"hi","tools":[{"type":"web_search"}]}"#;
    let reply = Ask::post("/up/v1/responses", body).whole(&server).await;
    reply.fails_about(
        400,
        &["anthropic cannot take the built-in tool `web_search`"],
    );
    upstream.was_not_called();
}

#[tokio::test]
async fn each_provider_is_asked_at_its_own_path_and_answers_as_openai_does() {
    for (provider, answer, target) in [
        ("anthropic", ANTHROPIC, "POST /v1/messages"),
        ("gemini", GEMINI, "POST /v1beta/models/m1:generateContent"),
        ("bedrock", BEDROCK, "POST /model/m1/converse"),
        ("cohere", COHERE, "POST /v1/chat"),
        ("ollama", OLLAMA, "POST /api/chat"),
    ] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&of(provider, &upstream));
        let client = Ask::chat(chat("")).send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), target);
        call.write(json_response(200, answer)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 200, "{provider}: {}", reply.text());
        let json = reply.json();
        assert_eq!(json["object"], "chat.completion", "{provider}");
        let choice = &json["choices"][0];
        assert_eq!(choice["message"]["content"], "hello", "{provider}");
        assert_eq!(choice["finish_reason"], "stop", "{provider}");
        assert_eq!(json["usage"]["total_tokens"], 5, "{provider}");
        let named = |key: &str| json[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(named("id") && named("model"), "{provider}: {json}");
        assert!(
            json["created"]
                .as_u64()
                .is_some_and(|at| at > 1_600_000_000)
        );
        assert_eq!(
            reply.headers.get("x-kong-llm-model"),
            Some(format!("{provider}/m1").as_str())
        );
    }
}

#[tokio::test]
async fn a_models_name_cannot_steer_the_request() {
    for (provider, target) in [
        (
            "gemini",
            "POST /v1beta/models/..%2F..%2Fx%3Fy%23z:generateContent",
        ),
        ("bedrock", "POST /model/..%2F..%2Fx%3Fy%23z/converse"),
    ] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&of(provider, &upstream));
        let body = r#"{"model":"../../x?y#z","messages":[{"role":"user","content":"hi"}]}"#;
        let client = Ask::chat(body).send(&server).await;
        let call = upstream.call().await;
        assert_eq!(call.target(), target);
        drop(client);
    }
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("bedrock", &upstream));
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x-v1:0";
    let body = format!(r#"{{"model":"{arn}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let client = Ask::chat(body).send(&server).await;
    let call = upstream.call().await;
    assert_eq!(
        call.target(),
        "POST /model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x-v1%3A0/converse"
    );
    let signed = call.headers.get("authorization").unwrap();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIATEST/")
            && signed.contains("/eu-west-1/bedrock/aws4_request"),
        "{signed}"
    );
    drop(client);
}

#[tokio::test]
async fn a_stream_is_told_in_openais_words_as_it_comes() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("anthropic", &upstream));
    let asked = chat(r#""stream":true,"stream_options":{"include_usage":true}"#);
    let client = Ask::chat(asked).send(&server).await;
    let mut call = upstream.call().await;
    call.write(response(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("transfer-encoding", "chunked"),
        ],
        "",
    ))
    .await;
    let event = |json: &str| {
        let kind: serde_json::Value = serde_json::from_str(json).unwrap();
        chunk(format!(
            "event: {}\ndata: {json}\n\n",
            kind["type"].as_str().unwrap()
        ))
    };
    for json in [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one"}}"#,
    ] {
        call.write(event(json)).await;
    }
    let mut reply = client.reply().await;
    // The first token is here before the second is sent.
    reply.until("\"content\":\"one\"").await;
    for json in [
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" two"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ] {
        call.write(event(json)).await;
    }
    call.write("0\r\n\r\n").await;
    let reply = reply.clean().await;
    assert_eq!(text_of(&reply.body), "one two");
    let payloads = payloads(&reply.body);
    assert_eq!(payloads.last().map(String::as_str), Some("[DONE]"));
    let usage: serde_json::Value = serde_json::from_str(&payloads[payloads.len() - 2]).unwrap();
    assert_eq!(usage["usage"]["total_tokens"], 5);
    assert_eq!(usage["choices"], serde_json::json!([]));
    let text = reply.text();
    assert_eq!(text.matches("\"finish_reason\":\"length\"").count(), 1);
    assert_eq!(text.matches("\"role\"").count(), 1);
}

#[tokio::test]
async fn trap_1_7_an_error_after_the_first_token_ends_the_stream_without_its_mark() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("ollama", &upstream));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(response(
        200,
        &[("content-type", "application/x-ndjson"), ("connection", "close")],
        "{\"model\":\"m1\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"one\"},\"done\":false}\n\
         {\"error\":\"out of memory\"}\n",
    ))
    .await;
    call.finish().await;
    let reply = client.reply().await.whole().await;
    let payloads = payloads(&reply.body);
    let last: serde_json::Value = serde_json::from_str(payloads.last().unwrap()).unwrap();
    assert_eq!(last["error"]["message"], "out of memory");
    let text = reply.text();
    assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\""));
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_and_what_is_lost_is_said() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("cohere", &upstream));
    let image = r#"{"model":"m1","messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
    let reply = Ask::chat(image).whole(&server).await;
    reply.fails_about(400, &["cohere cannot take", "image"]);
    upstream.was_not_called();

    let server = Server::of(&of("anthropic", &upstream));
    let lossy = chat(r#""temperature":1.7,"seed":7,"logit_bias":{"1":2}"#);
    let client = Ask::chat(lossy).send(&server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, ANTHROPIC)).await;
    let reply = client.reply().await.clean().await;
    let warnings = reply.headers.get("x-aiproxy-warnings").unwrap();
    for warning in ["clamped:temperature", "dropped:seed", "dropped:logit_bias"] {
        assert!(warnings.contains(warning), "{warnings}");
    }
    let reply = Ask::chat(chat(r#""n":2"#)).whole(&server).await;
    reply.fails_about(400, &["anthropic cannot take"]);
}

#[tokio::test]
async fn a_providers_error_keeps_its_status_and_moves_into_openais_shape() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&of("anthropic", &upstream));
    for stream in ["", r#""stream":true"#] {
        let client = Ask::chat(chat(stream)).send(&server).await;
        let mut call = upstream.call().await;
        let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#;
        call.write(response(
            529,
            &[("content-type", "application/json"), ("retry-after", "7")],
            body,
        ))
        .await;
        let reply = client.reply().await.whole().await;
        assert_eq!(reply.status, 529);
        assert_eq!(reply.headers.get("retry-after"), Some("7"));
        let error = &reply.json()["error"];
        assert_eq!(error["message"], "Overloaded");
        assert_eq!(error["type"], "overloaded_error");
        assert_eq!(error["provider"]["request_id"], "r");
    }
}

#[tokio::test]
async fn a_native_body_passes_unread_at_the_providers_own_path() {
    let body = r#"{ "model":"m1", "max_tokens": 1.00, "messages":[{"role":"user","content":"hi"}], "own":[12345678901234567890123] }"#;
    let mut upstream = Upstream::start().await;
    let native = of("anthropic", &upstream).line("ai-proxy", r#"llm_format = "anthropic""#);
    let server = Server::of(&native);
    for path in ["/up/v1/messages?beta=true", "/v1/messages?beta=true"] {
        let ask = Ask::post(path, body).header("anthropic-beta", "x-2026");
        let client = ask.send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), "POST /v1/messages?beta=true");
        assert_eq!(call.text(), body);
        assert_eq!(call.headers.get("anthropic-beta"), Some("x-2026"));
        assert_eq!(call.headers.get("anthropic-version"), Some("2023-06-01"));
        call.write(json_response(200, ANTHROPIC)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.text(), ANTHROPIC);
    }
    // OpenAI's paths are none of a native profile's.
    let reply = Ask::post("/up/v1/chat/completions", chat(""))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 404);
    // Errors of aiproxy's own are in the client's words.
    let reply = Ask::post("/up/v1/messages", "no json").whole(&server).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["type"], "error", "{}", reply.text());
}

#[tokio::test]
async fn a_native_stream_passes_byte_for_byte() {
    let stream = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":\"model\"}}]}\r\n,\r\n\
                  {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}],\"role\":\"model\"},\"finishReason\":\"STOP\"}],\"own\":1.00}\r\n]\r\n";
    let mut upstream = Upstream::start().await;
    let native = of("gemini", &upstream).line("ai-proxy", r#"llm_format = "gemini""#);
    let server = Server::of(&native);
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let path = "/up/v1beta/models/m1:streamGenerateContent";
    let client = Ask::post(path, body).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(
        call.target(),
        "POST /v1beta/models/m1:streamGenerateContent"
    );
    assert_eq!(call.text(), body);
    call.write(response(
        200,
        &[
            ("content-type", "application/json"),
            ("connection", "close"),
        ],
        stream,
    ))
    .await;
    call.finish().await;
    let reply = client.reply().await.whole().await;
    assert_eq!(reply.text(), stream);
    assert_eq!(reply.headers.get("x-kong-llm-model"), Some("gemini/m1"));
}

#[tokio::test]
async fn with_mock_no_provider_is_asked() {
    let mut upstream = Upstream::start().await;
    for provider in [
        "anthropic",
        "gemini",
        "bedrock",
        "cohere",
        "ollama",
        "openai",
    ] {
        let text = of(provider, &upstream)
            .line("ai-proxy.auth", r#"header_name = "x-key""#)
            .line(
                "ai-proxy.auth",
                r#"header_value = "{vault://env/nobody-set-this}""#,
            );
        let server = Server::setup()
            .profile("up", &text)
            .args(["--mock"])
            .start();
        for stream in ["", r#""stream":true"#] {
            let reply = Ask::chat(chat(stream)).whole(&server).await;
            assert_eq!(reply.status, 200, "{provider}: {}", reply.text());
            assert!(
                reply.text().contains("Hello!"),
                "{provider}: {}",
                reply.text()
            );
        }
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn a_client_of_another_providers_format_is_translated() {
    let mut upstream = Upstream::start().await;
    let text = ProfileText::openai(&upstream).line("ai-proxy", r#"llm_format = "anthropic""#);
    let server = Server::of(&text);
    let body = r#"{"model":"m1","max_tokens":9,"system":"be brief","messages":[{"role":"user","content":"hi"}]}"#;
    let client = Ask::post("/up/v1/messages", body).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.target(), "POST /v1/chat/completions");
    let sent = call.json();
    assert_eq!(sent["messages"][0]["role"], "system");
    assert_eq!(sent["max_tokens"], 9);
    call.write(json_response(200, completion("ok"))).await;
    let reply = client.reply().await.clean().await;
    let json = reply.json();
    assert_eq!(json["type"], "message", "{json}");
    assert_eq!(json["content"][0]["text"], "ok");
    assert_eq!(json["stop_reason"], "end_turn");
}
