//! What spans say.

use serde_json::json;

use crate::{
    collector::{Collector, attributes},
    pair,
    support::{
        Ask, CHUNKED_HEAD, DONE, ProfileText, STREAM_HEAD, Server, Upstream, chat, chunk,
        completion, delta, json_response, role, stop, usage,
    },
};

#[tokio::test]
async fn a_whole_answer_is_a_span_and_its_request_another() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.model.options", "temperature = 0.5")
        .line("ai-proxy.model.options", "max_tokens = 64")
        .line("ai-proxy.model.options", "input_cost = 1.0")
        .line("ai-proxy.model.options", "output_cost = 10.0");
    let setup = Server::setup()
        .profile("up", &profile)
        .variable("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b");
    let server = collector.of(setup).start();
    let reply = Ask::chat(chat(r#""seed":7,"stop":["x"],"top_p":0.25,"n":1"#))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!((own.name.as_str(), own.kind), ("chat m1", "client"));
    assert_eq!((own.parent.as_str(), own.flags & 0x303), ("", 0x103));
    assert!(own.failed.is_none() && own.start > 1_600_000_000_000_000_000);
    let port = upstream.address.port();
    for (name, expected) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("m1")),
        ("gen_ai.request.temperature", json!({"double": 0.5})),
        ("gen_ai.request.top_p", json!({"double": 0.25})),
        ("gen_ai.request.max_tokens", json!(64)),
        ("gen_ai.request.seed", json!(7)),
        ("gen_ai.request.stop_sequences", json!(["x"])),
        ("gen_ai.request.choice.count", json!(null)),
        ("gen_ai.request.stream", json!(null)),
        ("gen_ai.response.model", json!("m1")),
        ("gen_ai.response.id", json!("c1")),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("gen_ai.usage.input_tokens", json!(3)),
        ("gen_ai.usage.output_tokens", json!(2)),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(port)),
        ("http.response.status_code", json!(200)),
        (
            "aiproxy.exchange.id",
            json!(reply.headers.get("x-aiproxy-exchange")),
        ),
        ("aiproxy.profile", json!("up")),
        ("aiproxy.outcome", json!("ok")),
        ("aiproxy.cost.usd", json!({"double": 23e-6})),
        ("error.type", json!(null)),
    ] {
        assert_eq!(own.get(name), expected, "{name}");
    }
    assert_eq!((request.name.as_str(), request.kind), ("POST", "client"));
    assert!(own.start <= request.start && request.start <= request.end && request.end <= own.end);
    for (name, expected) in [
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!(200)),
        (
            "url.full",
            json!(format!("http://127.0.0.1:{port}/v1/chat/completions")),
        ),
        ("server.port", json!(port)),
        ("http.request.resend_count", json!(null)),
    ] {
        assert_eq!(request.get(name), expected, "{name}");
    }
    let resource = collector.messages()[0].resource_spans[0].clone();
    let told = attributes(resource.resource.unwrap().attributes);
    assert_eq!(told["service.name"], "aiproxy");
    assert_eq!(told["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["team"], "a b");
    assert_eq!(
        resource.scope_spans[0].scope.as_ref().unwrap().name,
        "aiproxy"
    );
}

#[tokio::test]
async fn a_stream_is_timed_and_counted() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        let events = [role(), delta("Hel"), delta("lo"), stop(), usage(7, 2)];
        call.write(events.concat() + DONE).await;
    })
    .await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", "ask_usage = \"always\"");
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.get("gen_ai.request.stream"), json!(true));
    let first = own.get("gen_ai.response.time_to_first_chunk");
    let first = first["double"].as_f64().unwrap();
    assert!(first > 0.0 && first <= (own.end - own.start) as f64 / 1e9 + 0.001);
    assert_eq!(own.get("gen_ai.usage.input_tokens"), json!(7));
    assert_eq!(own.get("gen_ai.response.finish_reasons"), json!(["stop"]));
}

#[tokio::test]
async fn tokens_that_nobody_told_are_marked_as_counted_here() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(STREAM_HEAD).await;
        call.write([role(), delta("Hello"), stop(), DONE.into()].concat())
            .await;
    })
    .await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", "ask_usage = \"never\"");
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(chat(r#""stream":true"#)).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.get("aiproxy.usage.estimated"), json!(true));
    assert_eq!(own.get("gen_ai.usage.output_tokens"), json!(1));
}

#[tokio::test]
async fn an_error_of_the_upstream_is_the_spans() {
    let body = r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#;
    let upstream = Upstream::answering(json_response(429, body)).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(chat("")).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    for span in [own, request] {
        assert_eq!(span.get("error.type"), json!("429"));
        assert_eq!(span.get("http.response.status_code"), json!(429));
        assert!(span.failed.is_some());
    }
    assert!(
        own.failed.as_ref().unwrap().contains("slow down"),
        "{own:?}"
    );
    assert_eq!(own.get("aiproxy.outcome"), json!("failed"));
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_an_error_without_a_status() {
    let nobody = Upstream::nobody().await;
    let collector = Collector::start().await;
    let profile = ProfileText::at(&format!("http://{nobody}/v1"));
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::chat(chat("")).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    for span in [own, request] {
        assert_eq!(span.get("error.type"), json!("connect"), "{span:?}");
        assert!(span.failed.is_some());
    }
    assert_eq!(request.get("http.response.status_code"), json!(null));
    assert_eq!(own.get("http.response.status_code"), json!(502));
}

#[tokio::test]
async fn a_refused_request_has_no_request_upstream() {
    let mut upstream = Upstream::start().await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let reply = Ask::chat("no JSON").whole(&server).await;
    assert_eq!(reply.status, 400);
    let spans = collector.wait(1).await;
    assert_eq!(spans[0].get("error.type"), json!("client"));
    assert_eq!(spans[0].get("aiproxy.outcome"), json!("failed"));
    upstream.was_not_called();
}

#[tokio::test]
async fn a_client_that_leaves_is_no_error() {
    let mut upstream = Upstream::start().await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(CHUNKED_HEAD).await;
    call.write(chunk([role(), delta("half")].concat())).await;
    let mut reply = client.reply().await;
    reply.until("half").await;
    drop(reply);
    call.loses_its_client().await;
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.get("aiproxy.outcome"), json!("cancelled"));
    assert_eq!(own.get("gen_ai.response.finish_reasons"), json!(["error"]));
    assert!(own.failed.is_none() && own.get("error.type").is_null());
}

#[tokio::test]
async fn another_provider_goes_by_its_own_name() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"q": 1}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 4, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 10},
    });
    let upstream = Upstream::answering(json_response(200, body.to_string())).await;
    let collector = Collector::start().await;
    let profile = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", "provider = \"anthropic\"")
        .line("ai-proxy.model", "name = \"claude-x\"")
        .line(
            "ai-proxy.model.options",
            "anthropic_version = \"2023-06-01\"",
        );
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let body = r#"{"max_tokens":9,"top_k":3,"reasoning_effort":"low","tools":[{"type":"function","function":{"name":"look"}}],"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = Ask::chat(body).whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.name, "chat claude-x");
    for (name, expected) in [
        ("gen_ai.provider.name", json!("anthropic")),
        ("gen_ai.response.id", json!("msg_1")),
        ("gen_ai.response.finish_reasons", json!(["tool_call"])),
        // Cached tokens are part of the whole.
        ("gen_ai.usage.input_tokens", json!(35)),
        ("gen_ai.usage.cache_read.input_tokens", json!(20)),
        ("gen_ai.usage.cache_write.input_tokens", json!(10)),
        ("gen_ai.usage.output_tokens", json!(4)),
    ] {
        assert_eq!(own.get(name), expected, "{name}: {own:#?}");
    }
}

#[tokio::test]
async fn a_plain_backend_is_a_request_that_is_served() {
    let upstream = Upstream::answering(json_response(201, "{}")).await;
    let collector = Collector::start().await;
    let profile =
        ProfileText::default().line("upstream", format!("url = \"http://{}\"", upstream.address));
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    Ask::new("PUT", "/up/things/7?key=abc")
        .body("x")
        .whole(&server)
        .await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!((own.name.as_str(), own.kind), ("PUT up", "server"));
    assert_eq!(own.get("url.path"), json!("/up/things/7"));
    assert_eq!(own.get("http.response.status_code"), json!(201));
    assert!(
        own.attributes
            .keys()
            .all(|name| !name.starts_with("gen_ai."))
    );
    assert_eq!(request.name, "PUT");
    let url = request.get("url.full");
    assert!(
        url.as_str().unwrap().contains("/things/7?key=(secret)"),
        "{url}"
    );
}

#[tokio::test]
async fn the_mock_in_everybodys_place_gets_no_spans() {
    let collector = Collector::start().await;
    let profile = ProfileText::at("https://api.groq.com/openai/v1");
    let setup = Server::setup().profile("up", &profile).args(["--mock"]);
    let server = collector.of(setup).start();
    Ask::chat(chat("")).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(own.get("gen_ai.provider.name"), json!("groq"));
    assert_eq!(own.get("server.address"), json!("api.groq.com"));
    assert_eq!(own.get("server.port"), json!(443));
}
