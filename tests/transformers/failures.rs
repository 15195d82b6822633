//! What the client is told when a transformer cannot do its work, and that nothing goes on without it.

use crate::{
    Plugin, asking, plain,
    support::{Ask, ProfileText, Server, Upstream, chat, completion, json_response, response},
};

const PREFIX: &str = "failed to introspect request with AI service: ";

/// What a profile says, with the LLM's answer, and whether the upstream was asked.
async fn told(plugin: Plugin, answer: Vec<u8>, line: &str) -> (u16, String) {
    let llm = Upstream::answering(answer).await;
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let (table, ..) = plugin.tables();
    let mut profile = asking(plain(&upstream), plugin, &llm);
    if !line.is_empty() {
        profile = profile.line(table, line);
    }
    let server = Server::of(&profile);
    let reply = Ask::post("/up", "{}").whole(&server).await;
    let asked = usize::from(plugin == Plugin::Response);
    assert_eq!(upstream.seen().len(), asked, "{plugin:?}");
    (reply.status, reply.error())
}

#[tokio::test]
async fn the_providers_own_message_stands_behind_the_prefix() {
    let error = r#"{"error":{"message":"quota exceeded for project","type":"insufficient_quota"}}"#;
    for plugin in [Plugin::Request, Plugin::Response] {
        let answered = told(plugin, json_response(429, error), "").await;
        let expected = format!("{PREFIX}openai answered 429: quota exceeded for project");
        assert_eq!(answered, (400, expected));
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let filtered = completion("half").replace(r#""stop""#, r#""content_filter""#);
    for (answer, expected) in [
        (
            json_response(200, r#"{"id":"c","object":"chat.completion","choices":[]}"#),
            "no 'choices' in upstream AI service response",
        ),
        (
            json_response(200, filtered),
            "the answer was stopped by the provider's content filter",
        ),
        (
            json_response(
                200,
                completion("x").replace(
                    r#""content":"x""#,
                    r#""content":null,"refusal":"I will not""#,
                ),
            ),
            "the model refused: I will not",
        ),
    ] {
        let (status, message) = told(Plugin::Request, answer, "").await;
        assert_eq!((status, message), (400, format!("{PREFIX}{expected}")));
    }
    for answer in [json_response(200, "<html>"), json_response(200, "{}")] {
        let (status, message) = told(Plugin::Response, answer, "").await;
        assert_eq!(status, 400);
        assert!(message.starts_with(PREFIX), "{message}");
    }
}

#[tokio::test]
async fn patterns_that_find_nothing_or_run_away() {
    for plugin in [Plugin::Request, Plugin::Response] {
        let none = r"transformation_extract_pattern = '<xml>'";
        let answer = || json_response(200, completion(&format!("{}b", "a".repeat(64))));
        assert_eq!(
            told(plugin, answer(), none).await,
            (
                400,
                "AI response did not match specified regular expression".into()
            )
        );
        let away = r"transformation_extract_pattern = '^(a+)+$'";
        let (status, message) = told(plugin, answer(), away).await;
        assert_eq!(status, 400);
        assert!(
            message.starts_with("failed regex matching ai response: "),
            "{message}"
        );
    }
}

#[tokio::test]
async fn instructions_in_a_markdown_fence_fail_with_a_hint() {
    let answer = json_response(200, completion("```json\n{\"status\": 201}\n```"));
    let line = "parse_llm_response_json_instructions = true";
    let (status, message) = told(Plugin::Response, answer, line).await;
    assert_eq!(status, 500);
    assert!(
        message.starts_with("failed to parse JSON response instructions from AI backend: ")
            && message.contains("Markdown fence")
            && message.contains("transformation_extract_pattern"),
        "{message}"
    );
}

#[tokio::test]
async fn a_silent_llm_is_given_up_after_http_timeout() {
    for plugin in [Plugin::Request, Plugin::Response] {
        // One says nothing, one stops in the middle.
        for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"] {
            let mut llm = Upstream::start().await;
            let upstream = Upstream::answering(json_response(200, "{}")).await;
            let (table, ..) = plugin.tables();
            let profile = asking(plain(&upstream), plugin, &llm).line(table, "http_timeout = 300");
            let server = Server::of(&profile);
            let client = Ask::post("/up", "{}").send(&server).await;
            let mut call = llm.call().await;
            call.write(head).await;
            let reply = client.reply().await.whole().await;
            let message = format!("{PREFIX}upstream did not answer within 300 ms (http_timeout)");
            reply.fails_with(400, &message);
        }
    }
}

#[tokio::test]
async fn binary_bodies_are_refused_before_anybody_is_asked() {
    let mut llm = Upstream::start().await;
    let mut upstream = Upstream::start().await;
    let server = Server::of(&asking(plain(&upstream), Plugin::Request, &llm));
    for body in [&b"\x89PNG\r\n"[..], b"a\0b"] {
        let reply = Ask::post("/up", body).whole(&server).await;
        reply.fails_about(400, &["binary", "request transformer"]);
    }
    llm.was_not_called();
    upstream.was_not_called();
}

#[tokio::test]
async fn a_binary_answer_does_not_walk_around_the_filter() {
    let mut llm = Upstream::start().await;
    let picture = response(200, &[("content-type", "image/png")], b"\x89PNG\r\n");
    let upstream = Upstream::answering(picture).await;
    let server = Server::of(&asking(plain(&upstream), Plugin::Response, &llm));
    let reply = Ask::get("/up/cat.png").whole(&server).await;
    reply.fails_about(502, &["binary", "response transformer"]);
    llm.was_not_called();
    let coded = response(200, &[("content-encoding", "compress")], b"x");
    let upstream = Upstream::answering(coded).await;
    let server = Server::of(&asking(plain(&upstream), Plugin::Response, &llm));
    let reply = Ask::get("/up/x").whole(&server).await;
    reply.fails_about(502, &["compress"]);
    llm.was_not_called();
}

#[tokio::test]
async fn each_tables_limit_of_request_bodies_counts() {
    for plugin in [Plugin::Request, Plugin::Response] {
        let mut llm = Upstream::start().await;
        let mut upstream = Upstream::start().await;
        let (table, ..) = plugin.tables();
        for profile in [plain(&upstream), ProfileText::openai(&upstream)] {
            let profile = asking(profile, plugin, &llm).line(table, "max_request_body_size = 100");
            let server = Server::of(&profile);
            let long = chat(&format!(r#""user":"{}""#, "x".repeat(100)));
            let known = Ask::post("/up", long.clone());
            let chunked = Ask::post("/up", format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()))
                .no_length()
                .header("transfer-encoding", "chunked");
            for ask in [known, chunked] {
                let reply = ask.whole(&server).await;
                reply.fails_with(413, "request body too large");
                assert_eq!(reply.json()["error"]["param"], "max_request_body_size");
            }
        }
        llm.was_not_called();
        upstream.was_not_called();
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named() {
    let mut llm = Upstream::start().await;
    let mut upstream = Upstream::start().await;
    let (auth, _) = Plugin::Request.more_tables();
    let profile = asking(plain(&upstream), Plugin::Request, &llm).line(
        auth,
        r#"header_value = "Bearer {vault://env/no-such-key-here}""#,
    );
    let server = Server::of(&profile);
    let reply = Ask::post("/up", "{}").whole(&server).await;
    reply.fails_about(500, &["no-such-key-here"]);
    assert_eq!(reply.json()["error"]["type"], "configuration_error");
    llm.was_not_called();
    upstream.was_not_called();
}

#[tokio::test]
async fn what_is_no_answer_of_the_upstreams_is_not_transformed() {
    let mut llm = Upstream::start().await;
    let nobody = Upstream::nobody().await;
    let profile = asking(
        ProfileText::at(&format!("http://{nobody}/v1")),
        Plugin::Response,
        &llm,
    );
    let server = Server::of(&profile);
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.status, 502);
    Ask::chat("{}")
        .whole(&server)
        .await
        .fails_with(400, "request body doesn't contain valid prompts");
    llm.was_not_called();
}
