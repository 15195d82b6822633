//! `/messages/count_tokens` always answers (SPEC §2).

use serde_json::{Value, json};

use crate::support::{Ask, ProfileText, Server, Upstream, json_response};

const BODY: &str = r#"{"model":"m1","system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"apple apple apple"},
    {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}"#;

fn anthropic(upstream: &Upstream) -> ProfileText {
    ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        )
        .key("x-api-key", "sk-own")
}

fn estimated(json: &Value) {
    assert_eq!(json["estimated"], true, "{json}");
    let tokens = json["input_tokens"].as_u64().unwrap();
    assert!((5..40).contains(&tokens), "{json}");
}

#[tokio::test]
async fn where_the_provider_counts_its_count_goes_through() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&anthropic(&upstream));
    for target in [
        "/up/v1/messages/count_tokens?beta=true",
        "/up/messages/count_tokens",
        "/v1/messages/count_tokens",
    ] {
        let ask = Ask::post(target, BODY)
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "token-counting-2024-11-01")
            .header("x-api-key", "mine");
        let client = ask.send(&server).await;
        let mut call = upstream.call().await;
        assert!(
            call.target().starts_with("POST /v1/messages/count_tokens"),
            "{}",
            call.head
        );
        assert_eq!(call.headers.get("x-api-key"), Some("sk-own"));
        assert_eq!(
            call.headers.get("anthropic-beta"),
            Some("token-counting-2024-11-01")
        );
        assert_eq!(call.text(), BODY);
        call.write(json_response(200, r#"{"input_tokens":2095}"#))
            .await;
        let reply = client.reply().await.clean().await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, r#"{"input_tokens":2095}"#)
        );
    }
}

#[tokio::test]
async fn trap_2_7_whatever_the_provider_fails_of_there_is_an_estimate() {
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for answer in [
        json_response(529, overloaded),
        json_response(404, r#"{"type":"error"}"#),
        json_response(200, "what?"),
    ] {
        let upstream = Upstream::answering(answer).await;
        let server = Server::of(&anthropic(&upstream));
        let reply = Ask::post("/up/v1/messages/count_tokens", BODY)
            .whole(&server)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        estimated(&reply.json());
        assert_eq!(upstream.seen().len(), 1);
        let metrics = Ask::get("/_aiproxy/metrics").whole(&server).await.text();
        assert!(
            !metrics.contains("upstream_5xx") && !metrics.contains("upstream_4xx"),
            "{metrics}"
        );
        assert!(!metrics.contains(r#"outcome="failed""#), "{metrics}");
    }
    let nobody = Upstream::nobody().await;
    let text = ProfileText::at(&format!("http://{nobody}"))
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        );
    let server = Server::of(&text);
    estimated(
        &Ask::post("/up/v1/messages/count_tokens", BODY)
            .whole(&server)
            .await
            .json(),
    );
    // A key that is not there.
    let keyless = text.key("x-api-key", "{vault://env/not-there-at-all}");
    let server = Server::of(&keyless);
    estimated(
        &Ask::post("/up/v1/messages/count_tokens", BODY)
            .whole(&server)
            .await
            .json(),
    );
}

#[tokio::test]
async fn other_providers_are_not_asked() {
    let mut upstream = Upstream::start().await;
    let openai = ProfileText::openai(&upstream);
    let bound = openai.clone().line("ai-proxy.model", r#"name = "gpt-5""#);
    let one = ProfileText::openai(&upstream).without("aiproxy").line(
        "ai-proxy.model.options",
        format!("upstream_url = \"http://{}/x\"", upstream.address),
    );
    let claude = anthropic(&upstream).without("aiproxy").line(
        "ai-proxy.model.options",
        format!("upstream_url = \"http://{}/x\"", upstream.address),
    );
    let server = Server::setup()
        .profile("openai", &openai)
        .profile("bound", &bound)
        .profile("one", &one)
        .profile("claude", &claude)
        .start();
    for profile in ["openai", "bound", "one", "claude"] {
        let reply = Ask::post(&format!("/{profile}/v1/messages/count_tokens"), BODY)
            .whole(&server)
            .await;
        assert_eq!(reply.status, 200, "{profile}: {}", reply.text());
        estimated(&reply.json());
        assert!(reply.headers.get("request-id").is_some());
    }
    upstream.was_not_called();
    let long = json!({"model": "m", "messages": [{"role": "user", "content": "apple ".repeat(1000)}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]});
    let reply = Ask::post("/openai/v1/messages/count_tokens", long.to_string())
        .whole(&server)
        .await;
    let tokens = reply.json()["input_tokens"].as_u64().unwrap();
    assert!((1000..1100).contains(&tokens), "{tokens}");
    for (body, status) in [("no JSON", 400), (r#"{"model":"m"}"#, 400)] {
        let reply = Ask::post("/openai/v1/messages/count_tokens", body)
            .whole(&server)
            .await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
}
