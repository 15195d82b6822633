//! The names of models: which there are, and which stand for others.

use serde_json::{Value, json};

use crate::support::{Ask, ProfileText, Server, Upstream, chat, completion, json_response};

const HI: &str =
    r#"{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

fn bound(upstream: &Upstream) -> ProfileText {
    ProfileText::openai(upstream).line("ai-proxy.model", r#"name = "gpt-5""#)
}

#[tokio::test]
async fn what_a_client_insists_on_becomes_the_profiles_model() {
    let upstream = Upstream::answering(json_response(200, completion("hello"))).await;
    let text = bound(&upstream)
        .line("aiproxy.models", r#""claude-haiku-*" = "other/small""#)
        .line("aiproxy.models", r#""claude-*" = "gpt-5""#)
        .line("aiproxy.models", r#""gpt-4?" = "up""#)
        .line("aiproxy.models", r#""lost-*" = "nobody/x""#)
        .line("aiproxy.models", r#""odd" = "gpt-6""#);
    let other = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("up", &text)
        .profile("other", &other)
        .start();
    let sent = |n: usize| -> Value { serde_json::from_slice(&upstream.seen()[n].body).unwrap() };
    let mut asked = 0;
    for (target, body, model, header) in [
        ("/up/v1/messages", HI.to_owned(), "gpt-5", "openai/gpt-5"),
        ("/v1/messages", HI.to_owned(), "gpt-5", "openai/gpt-5"),
        (
            "/v1/messages",
            HI.replace("claude", "up/claude"),
            "gpt-5",
            "openai/gpt-5",
        ),
        (
            "/up/v1/messages",
            HI.replace("opus", "haiku"),
            "small",
            "openai/small",
        ),
        (
            "/v1/messages",
            HI.replace("opus", "haiku"),
            "small",
            "openai/small",
        ),
        (
            "/up/v1/chat/completions",
            chat("").replace("m1", "claude-x"),
            "gpt-5",
            "openai/gpt-5",
        ),
        (
            "/up/v1/chat/completions",
            chat("").replace("m1", "gpt-4o"),
            "gpt-5",
            "openai/gpt-5",
        ),
        (
            "/up/v1/chat/completions",
            chat("").replace("m1", "gpt-5"),
            "gpt-5",
            "openai/gpt-5",
        ),
    ] {
        let reply = Ask::post(target, body.clone()).whole(&server).await;
        assert_eq!(reply.status, 200, "{target} {body}: {}", reply.text());
        assert_eq!(sent(asked)["model"], model, "{target} {body}");
        assert_eq!(reply.headers.get("x-kong-llm-model"), Some(header));
        asked += 1;
    }
    for (model, words) in [
        ("mistral-x", "cannot use own model - must be: gpt-5"),
        ("lost-1", "nobody/x"),
        ("odd", "gpt-6"),
    ] {
        let reply = Ask::post("/up/v1/chat/completions", chat("").replace("m1", model))
            .whole(&server)
            .await;
        reply.fails_about(400, &[words]);
    }
    assert_eq!(upstream.seen().len(), asked);
}

#[tokio::test]
async fn embeddings_and_completions_are_mapped_too() {
    let answer =
        r#"{"object":"list","data":[],"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}"#;
    let upstream = Upstream::answering(json_response(200, answer)).await;
    let text = ProfileText::openai(&upstream).line("aiproxy.models", r#""text-*" = "e""#);
    let server = Server::of(&text);
    let body = r#"{"model":"text-embedding-3","input":"a"}"#;
    let _ = Ask::post("/up/v1/embeddings", body).whole(&server).await;
    let body = r#"{"model":"text-davinci-3","prompt":"a"}"#;
    let _ = Ask::post("/up/v1/completions", body).whole(&server).await;
    for seen in upstream.seen() {
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(sent["model"], "e");
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_transformer_is_not_walked_around() {
    let mut upstream = Upstream::start().await;
    let text = ProfileText::openai(&upstream)
        .line("ai-request-transformer", r#"prompt = "x""#)
        .line(
            "ai-request-transformer.llm",
            r#"route_type = "llm/v1/chat""#,
        )
        .line("ai-request-transformer.llm.model", r#"provider = "mock""#)
        .line("aiproxy.models", r#""claude-*" = "other/m""#);
    let server = Server::setup()
        .profile("up", &text)
        .profile("other", &ProfileText::openai(&upstream))
        .start();
    let reply = Ask::chat(chat("").replace("m1", "claude-x"))
        .whole(&server)
        .await;
    reply.fails_about(400, &["transformer", "other"]);
    upstream.was_not_called();
}

#[tokio::test]
async fn both_sdks_find_their_list() {
    let upstream = Upstream::start().await;
    let server = Server::of(&bound(&upstream));
    for target in ["/v1/models", "/up/v1/models"] {
        let openai = Ask::get(target).whole(&server).await.json();
        assert_eq!(openai["object"], "list");
        assert_eq!(openai["data"][0]["object"], "model");
        let reply = Ask::get(&format!("{target}?limit=1000"))
            .header("anthropic-version", "2023-06-01")
            .whole(&server)
            .await;
        let list = reply.json();
        let data = list["data"].as_array().unwrap();
        assert_eq!(data.len(), openai["data"].as_array().unwrap().len());
        assert_eq!(data[0]["type"], "model");
        assert_eq!(data[0]["id"], "up");
        assert!(data[0]["display_name"].is_string() && data[0]["created_at"].is_string());
        assert_eq!(list["has_more"], false);
        assert_eq!(list["first_id"], data[0]["id"]);
        assert_eq!(list["last_id"], data[data.len() - 1]["id"]);
    }
    let one = Ask::get("/v1/models/up%2Fgpt-5").header("anthropic-version", "2023-06-01");
    let one = one.whole(&server).await.json();
    assert_eq!(
        (&one["type"], &one["id"]),
        (&json!("model"), &json!("up/gpt-5"))
    );
    let none = Ask::get("/v1/models/x").header("anthropic-version", "2023-06-01");
    let none = none.whole(&server).await;
    assert_eq!(
        (none.status, none.json()["error"]["type"].as_str()),
        (404, Some("not_found_error"))
    );
}
