//! The path tells the client's format: what goes through, what is translated, and how errors look.

use serde_json::{Value, json};

use crate::{
    message::{read, text},
    support::{
        Ask, DONE, ProfileText, Reply, STREAM_HEAD, Server, Upstream, chat, completion, delta,
        json_response, response, stop,
    },
};

/// Key order, numbers and unknown fields that no program would write again as they are.
const ODD: &str = r#"{ "z_new": 1.00, "model":"claude-x","max_tokens":  10,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],
  "mcp_servers":[],"big":12345678901234567890123 }"#;

const ANSWER: &str = r#"{"type":"message","id":"msg_1","new":1.00,"role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],"stop_reason":"stop_sequence","stop_sequence":"END","usage":{"input_tokens":3,"output_tokens":2}}"#;

fn anthropic(upstream: &Upstream) -> ProfileText {
    ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        )
}

fn messages(target: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask::post(target, body)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "context-1m-2025-08-07")
        .header("x-api-key", "mine")
}

#[track_caller]
fn is_error(reply: &Reply, status: u16, kind: &str, words: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let json = reply.json();
    assert_eq!(json["type"], "error", "{json}");
    assert_eq!(json["error"]["type"], kind, "{json}");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    let id = json["request_id"].as_str().unwrap();
    assert_eq!(reply.headers.get("request-id"), Some(id), "{}", reply.head);
}

#[tokio::test]
async fn anthropics_own_provider_gets_and_gives_the_same_bytes() {
    let mut upstream = Upstream::start().await;
    let native = anthropic(&upstream).line("ai-proxy", r#"llm_format = "anthropic""#);
    let server = Server::setup()
        .profile("up", &anthropic(&upstream))
        .profile("native", &native)
        .start();
    for target in [
        "/up/v1/messages",
        "/up/messages",
        "/v1/messages",
        "/messages",
        "/native/v1/messages",
        "/native/messages",
    ] {
        let client = messages(&format!("{target}?beta=true"), ODD)
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), "POST /v1/messages?beta=true", "{target}");
        assert_eq!(call.text(), ODD, "{target}");
        assert_eq!(
            call.headers.get("anthropic-beta"),
            Some("context-1m-2025-08-07")
        );
        assert_eq!(call.headers.get("x-api-key"), None, "the client's own key");
        let headers = [
            ("content-type", "application/json"),
            ("request-id", "req_theirs"),
        ];
        call.write(response(200, &headers, ANSWER)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.text(), ANSWER, "{target}");
        assert_eq!(reply.headers.get("request-id"), Some("req_theirs"));
        assert_eq!(
            reply.headers.get("x-kong-llm-model"),
            Some("anthropic/claude-x")
        );
        assert_eq!(reply.headers.get("x-aiproxy-warnings"), None);
    }
}

#[tokio::test]
async fn a_native_stream_goes_through_as_it_is() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&anthropic(&upstream));
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\"},\"usage\":{\"output_tokens\":2}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let body =
        r#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let client = messages("/up/v1/messages", body).send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.text(), body);
    call.write(format!("{STREAM_HEAD}{stream}")).await;
    call.finish().await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.text(), stream);
}

#[tokio::test]
async fn the_profiles_options_meet_the_request() {
    let mut upstream = Upstream::start().await;
    let text = anthropic(&upstream)
        .line("ai-proxy.model.options", "max_tokens = 7")
        .line("ai-proxy.model.options", "temperature = 0.5");
    let server = Server::of(&text);
    let client = messages("/up/v1/messages", ODD).send(&server).await;
    let sent = upstream.call().await.json();
    assert_eq!(
        (&sent["max_tokens"], &sent["temperature"]),
        (&json!(7), &json!(0.5))
    );
    drop(client);
}

#[tokio::test]
async fn a_foreign_provider_sees_nothing_of_anthropic() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = json!({
        "model": "m1", "max_tokens": 50, "stop_sequences": ["END"], "top_k": 5,
        "metadata": {"user_id": "u1"}, "service_tier": "auto",
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": [
            {"type": "search_result", "source": "https://a.test", "title": "A", "content": [{"type": "text", "text": "found"}]},
            {"type": "document", "title": "D", "source": {"type": "content", "content": [{"type": "text", "text": "inside"}]}},
            {"type": "text", "text": "hi"},
        ]}],
    });
    let client = messages("/up/v1/messages?beta=true&a=b", body.to_string())
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(call.target(), "POST /v1/chat/completions?a=b");
    assert!(
        !call.head.to_ascii_lowercase().contains("anthropic"),
        "{}",
        call.head
    );
    let sent = call.json();
    assert_eq!(
        sent["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    assert_eq!(
        sent["messages"][1]["content"],
        "A\nhttps://a.test\nfound\nD\ninside\nhi"
    );
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(sent["user"], "u1");
    assert_eq!(sent["reasoning_effort"], "medium");
    call.write(json_response(200, completion("hello"))).await;
    let reply = client.reply().await.clean().await;
    let answer = reply.json();
    assert_eq!(
        (answer["type"].as_str(), text(&answer).as_str()),
        (Some("message"), "hello")
    );
    let warnings = reply.headers.get("x-aiproxy-warnings").unwrap();
    assert!(warnings.contains("dropped:cache_control"), "{warnings}");
    assert!(
        !warnings.contains("user_id") && !warnings.contains("metadata"),
        "{warnings}"
    );
}

#[tokio::test]
async fn server_tools_are_refused_where_they_do_not_run() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .profile("own", &anthropic(&upstream))
        .start();
    let body = json!({"model": "m1", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}]});
    let reply = messages("/up/v1/messages", body.to_string())
        .whole(&server)
        .await;
    is_error(&reply, 400, "invalid_request_error", "web_search_20250305");
    upstream.was_not_called();
    let client = messages("/own/v1/messages", body.to_string())
        .send(&server)
        .await;
    assert_eq!(upstream.call().await.json()["tools"], body["tools"]);
    drop(client);
}

#[tokio::test]
async fn errors_have_anthropics_shape() {
    let upstream = Upstream::start().await;
    let bound = ProfileText::openai(&upstream)
        .line("ai-proxy.model", r#"name = "gpt-5""#)
        .line("ai-proxy", "max_request_body_size = 500");
    let quiet = ProfileText::openai(&upstream).line("ai-proxy", r#"response_streaming = "deny""#);
    let server = Server::setup()
        .profile("up", &bound)
        .profile("quiet", &quiet)
        .start();
    let hi = r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let large = format!(
        r#"{{"model":"gpt-5","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(600)
    );
    let stream = hi.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\"");
    for (target, body, status, kind, words) in [
        (
            "/up/v1/messages",
            hi,
            400,
            "invalid_request_error",
            "cannot use own model - must be: gpt-5",
        ),
        (
            "/v1/messages",
            hi,
            400,
            "invalid_request_error",
            "cannot use own model - must be: gpt-5",
        ),
        (
            "/up/v1/messages",
            large.as_str(),
            413,
            "request_too_large",
            "request body too large",
        ),
        (
            "/v1/messages",
            large.as_str(),
            413,
            "request_too_large",
            "request body too large",
        ),
        (
            "/up/v1/messages",
            "{oops",
            400,
            "invalid_request_error",
            "bad JSON formatting",
        ),
        (
            "/up/v1/messages",
            "{}",
            400,
            "invalid_request_error",
            "doesn't contain valid prompts",
        ),
        (
            "/nobody/v1/messages",
            hi,
            404,
            "not_found_error",
            "no profile `nobody`",
        ),
        (
            "/quiet/v1/messages",
            stream.as_str(),
            400,
            "invalid_request_error",
            "response streaming is not enabled",
        ),
    ] {
        let reply = messages(target, body).whole(&server).await;
        is_error(&reply, status, kind, words);
    }
    let reply = Ask::get("/up/v1/messages").whole(&server).await;
    is_error(&reply, 405, "invalid_request_error", "POST");
    let reply = messages("/up/v1/messages", hi)
        .header("origin", "http://evil.test")
        .whole(&server)
        .await;
    is_error(&reply, 403, "permission_error", "evil.test");
}

#[tokio::test]
async fn a_providers_errors_keep_their_status() {
    for (status, body, kind) in [
        (
            401,
            r#"{"error":{"message":"no key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "authentication_error",
        ),
        (402, r#"{"error":{"message":"pay"}}"#, "billing_error"),
        (
            404,
            r#"{"error":{"message":"no model","type":"invalid_request_error"}}"#,
            "not_found_error",
        ),
        (
            422,
            r#"{"error":{"message":"odd"}}"#,
            "invalid_request_error",
        ),
        (
            429,
            r#"{"error":{"message":"slow","type":"tokens"}}"#,
            "rate_limit_error",
        ),
        (
            500,
            r#"{"error":{"message":"oh","type":"server_error"}}"#,
            "api_error",
        ),
        (
            503,
            r#"{"error":{"message":"busy","type":"server_error"}}"#,
            "overloaded_error",
        ),
        (504, r#"{"error":{"message":"late"}}"#, "timeout_error"),
        (529, r#"{"error":{"message":"full"}}"#, "overloaded_error"),
    ] {
        let headers = [
            ("content-type", "application/json"),
            ("retry-after", "7"),
            ("x-request-id", "r-1"),
        ];
        let upstream = Upstream::answering(response(status, &headers, body)).await;
        let server = Server::of(&ProfileText::openai(&upstream));
        let reply = messages("/up/v1/messages", chat("")).whole(&server).await;
        is_error(&reply, status, kind, "");
        assert_eq!(reply.headers.get("retry-after"), Some("7"));
        assert_eq!(reply.headers.get("request-id"), Some("r-1"));
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(reply.json()["error"]["message"], told["error"]["message"]);
        assert_eq!(reply.json()["error"]["provider"], told);
    }
    // Anthropic's own are what they are.
    let own = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_theirs"}"#;
    let upstream = Upstream::answering(json_response(529, own)).await;
    let server = Server::of(&anthropic(&upstream));
    let reply = messages("/up/v1/messages", chat("")).whole(&server).await;
    assert_eq!((reply.status, reply.text().as_str()), (529, own));
}

#[tokio::test]
async fn chat_clients_are_as_before() {
    let upstream =
        Upstream::answering(format!("{STREAM_HEAD}{}{}{DONE}", delta("hi"), stop())).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    assert!(reply.text().contains("chat.completion.chunk"));
    assert_eq!(reply.headers.get("request-id"), None);
    let reply = messages("/up/v1/messages", chat(r#""stream":true"#))
        .whole(&server)
        .await;
    assert_eq!(text(&read(&reply.text()).message), "hi");
}

#[tokio::test]
async fn transformers_see_what_the_client_speaks() {
    let upstream = Upstream::answering(json_response(200, completion("hello"))).await;
    let llm = |text: ProfileText,
               table: &'static str,
               llm: &'static str,
               model: &'static str,
               prompt: &str| {
        text.line(table, format!("prompt = '{prompt}'"))
            .line(llm, r#"route_type = "llm/v1/chat""#)
            .line(model, r#"provider = "mock""#)
            .line(model, r#"name = "mock-transform""#)
    };
    let profile = llm(
        ProfileText::openai(&upstream),
        "ai-request-transformer",
        "ai-request-transformer.llm",
        "ai-request-transformer.llm.model",
        r#"Add {"stop_sequences":["END"]}"#,
    );
    let profile = llm(
        profile,
        "ai-response-transformer",
        "ai-response-transformer.llm",
        "ai-response-transformer.llm.model",
        r#"Add {"id":"msg_changed"}"#,
    );
    let server = Server::of(&profile);
    for stream in ["", r#""stream":true,"#] {
        let body = format!(
            r#"{{{stream}"model":"m1","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        let reply = messages("/up/v1/messages", body).whole(&server).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let message = if stream.is_empty() {
            reply.json()
        } else {
            assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
            read(&reply.text()).message
        };
        assert_eq!(
            (message["id"].as_str(), text(&message).as_str()),
            (Some("msg_changed"), "hello")
        );
        let sent: Value = serde_json::from_slice(&upstream.seen().last().unwrap().body).unwrap();
        assert_eq!(sent["stop"], json!(["END"]));
    }
    // The count never walks around them.
    let counted = messages("/up/v1/messages/count_tokens", chat(""))
        .whole(&server)
        .await;
    assert_eq!(counted.json()["estimated"], true);
}
