//! What was said is in spans only where that is asked for, and secrets never.

use serde_json::{Value, json};

use crate::{
    Collector, ended, pair,
    support::{
        Ask, DONE, ProfileText, STREAM_HEAD, Server, Setup, Upstream, completion, delta,
        json_response, role, stop,
    },
};

const CAPTURE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

fn capturing(setup: Setup) -> Setup {
    setup.variable(CAPTURE, "SPAN_ONLY")
}

fn parsed(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn bodies_stay_out_of_spans_by_default() {
    let upstream = Upstream::answering(json_response(200, completion("the-answer"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(Server::setup().profile("up", &profile))
        .start();
    let body = r#"{"model":"m1","messages":[{"role":"system","content":"the-rules"},{"role":"user","content":"the-prompt"}]}"#;
    Ask::chat(body).whole(&server).await;
    let spans = collector.wait(2).await;
    pair(&spans);
    let all = collector.everything();
    for text in ["the-answer", "the-rules", "the-prompt"] {
        assert!(!all.contains(text), "{text} is in {all}");
    }
}

#[tokio::test]
async fn bodies_are_in_spans_where_that_is_asked_for() {
    let body = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m1",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "a moment",
            "tool_calls": [{"id": "t2", "type": "function", "function": {"name": "look", "arguments": "{\"q\":2}"}}],
        }}],
    });
    let upstream = Upstream::answering(json_response(200, body.to_string())).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(capturing(Server::setup().profile("up", &profile)))
        .start();
    let body = json!({
        "model": "m1",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "http://pictures.example/1.png"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{\"q\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "t1", "content": "a cat"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks", "parameters": {"type": "object"}}}],
    });
    Ask::chat(body.to_string()).whole(&server).await;
    let spans = collector.wait(2).await;
    let (own, request) = pair(&spans);
    assert_eq!(
        parsed(&own.get("gen_ai.input.messages")),
        json!([
            {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
            {"role": "user", "parts": [
                {"type": "text", "content": "what is this?"},
                {"type": "uri", "modality": "image", "uri": "http://pictures.example/1.png"},
            ]},
            {"role": "assistant", "parts": [
                {"type": "tool_call", "id": "t1", "name": "look", "arguments": {"q": 1}},
            ]},
            {"role": "tool", "parts": [
                {"type": "tool_call_response", "id": "t1", "response": "a cat"},
            ]},
        ])
    );
    assert_eq!(
        parsed(&own.get("gen_ai.output.messages")),
        json!([{"role": "assistant", "finish_reason": "tool_call", "parts": [
            {"type": "text", "content": "a moment"},
            {"type": "tool_call", "id": "t2", "name": "look", "arguments": {"q": 2}},
        ]}])
    );
    assert_eq!(
        parsed(&own.get("gen_ai.tool.definitions")),
        json!([{"type": "function", "name": "look", "description": "Looks"}])
    );
    assert!(own.get("gen_ai.system_instructions").is_null());
    assert!(request.get("gen_ai.input.messages").is_null());
}

#[tokio::test]
async fn instructions_that_stand_apart_are_apart() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = collector
        .of(capturing(Server::setup().profile("up", &profile)))
        .start();
    let body = r#"{"model":"m1","max_tokens":5,"system":"be brief","messages":[{"role":"user","content":"hi"}]}"#;
    let reply = Ask::post("/up/v1/messages", body).whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let spans = collector.wait(2).await;
    let (own, _) = pair(&spans);
    assert_eq!(
        parsed(&own.get("gen_ai.system_instructions")),
        json!([{"type": "text", "content": "be brief"}])
    );
    assert_eq!(
        parsed(&own.get("gen_ai.input.messages")),
        json!([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}])
    );
}

#[tokio::test]
async fn a_transformers_words_are_in_its_span() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let rewritten = r#"{"messages":[{"role":"user","content":"changed"}]}"#;
    let llm = Upstream::answering(json_response(200, completion(rewritten))).await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream)
        .line("ai-proxy.model", "name = \"m1\"")
        .line("ai-request-transformer", r#"prompt = "Change it""#)
        .line(
            "ai-request-transformer.llm",
            r#"route_type = "llm/v1/chat""#,
        )
        .line("ai-request-transformer.llm.model", r#"provider = "openai""#)
        .line("ai-request-transformer.llm.model", r#"name = "gpt-4""#)
        .line(
            "ai-request-transformer.llm.model.options",
            format!("upstream_url = \"http://{}/llm\"", llm.address),
        );
    let server = collector
        .of(capturing(Server::setup().profile("up", &profile)))
        .start();
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    Ask::chat(body).whole(&server).await;
    let spans = collector.wait(3).await;
    let asked = parsed(&spans[1].get("gen_ai.input.messages"));
    assert_eq!(asked[0]["parts"][0]["content"], "Change it");
    assert_eq!(asked[1]["parts"][0]["content"], body);
    let said = parsed(&spans[1].get("gen_ai.output.messages"));
    assert_eq!(said[0]["parts"][0]["content"], rewritten);
    // The exchange's own are what the model got.
    let asked = parsed(&spans[0].get("gen_ai.input.messages"));
    assert_eq!(asked[0]["parts"][0]["content"], "changed");
}

#[tokio::test]
async fn planted_secrets_are_in_no_span() {
    const KEY: &str = "sk-header-Zx81-canary";
    const OTLP: &str = "otlp-key-W4-canary";
    const OWN: &str = "sk-clients-own-K3-canary";
    let upstream = Upstream::playing(|mut call| async move {
        let text = call.text();
        if text.contains("stream") {
            call.write(STREAM_HEAD).await;
            let events = [
                role(),
                delta("the key is sk-header-Zx"),
                delta("81-canary"),
                delta(" and otlp-key-W4-"),
                delta("canary"),
                stop(),
                DONE.into(),
            ];
            call.write(events.concat()).await;
        } else {
            let all = format!("{} {:?} {text}", call.target(), call.headers);
            let all = serde_json::to_string(&all).unwrap();
            let body = format!(r#"{{"error":{{"message":{all}}}}}"#);
            call.write(json_response(401, body)).await;
        }
    })
    .await;
    let collector = Collector::start().await;
    let profile = ProfileText::openai(&upstream)
        .key("Authorization", &format!("Bearer {KEY}"))
        .line("ai-proxy.auth", "param_name = \"token\"")
        .line("ai-proxy.auth", format!("param_value = \"{KEY}\""))
        .line("ai-proxy.auth", "param_location = \"query\"");
    let setup = Server::setup()
        .profile("up", &profile)
        .variable(
            "OTEL_EXPORTER_OTLP_HEADERS",
            &format!("authorization=Bearer%20{OTLP}"),
        )
        .variable("RUST_LOG", "debug");
    let server = collector.of(capturing(setup)).start();
    for stream in [false, true] {
        let word = if stream { "a stream" } else { "whole" };
        let body = json!({
            "model": format!("m-{KEY}"), "stream": stream, "user": KEY, "stop": [OTLP],
            "messages": [{"role": "user", "content": format!("{word}: {KEY} {OTLP}")}],
        });
        Ask::post(
            &format!("/up/v1/chat/completions?key={OWN}&token={OWN}"),
            body.to_string(),
        )
        .header("authorization", &format!("Bearer {OWN}"))
        .header("tracestate", &format!("v={KEY}"))
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .whole(&server)
        .await;
    }
    let spans = collector.wait(4).await;
    let said = parsed(&spans[2].get("gen_ai.output.messages"));
    assert_eq!(said[0]["parts"][0]["content"], "the key is *** and ***");
    assert_eq!(spans[0].name, "chat m-***");
    // The collector gets its own key in a header, and nowhere else.
    for (headers, body) in collector.requests() {
        assert_eq!(
            headers.get("authorization"),
            Some(format!("Bearer {OTLP}").as_str())
        );
        let text = String::from_utf8_lossy(&body);
        for secret in [KEY, OTLP, OWN] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    // Nor is it told by the server.
    let told = Ask::get("/_aiproxy/exchanges/last").whole(&server).await;
    assert!(!told.text().contains(OTLP));
    let finished = ended(server).await;
    for text in [finished.stdout, finished.stderr] {
        assert!(!text.contains(OTLP) && !text.contains(KEY), "{text}");
    }
}
