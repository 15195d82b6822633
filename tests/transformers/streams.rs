//! A response transformer on a streaming request (SPEC §4.2).

use crate::{
    Plugin, asking, mocked, plain,
    support::{
        Ask, DONE, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, holds,
        json_response, payloads, response, text_of,
    },
};

const STREAM: &str = r#""stream":true"#;

async fn llm(text: &str) -> Upstream {
    Upstream::answering(json_response(200, completion(text))).await
}

async fn through(
    text: &str,
    lines: &[&'static str],
    ask: Ask,
) -> (crate::support::Reply, Upstream) {
    let upstream = Upstream::answering(json_response(200, completion("apple"))).await;
    let llm = llm(text).await;
    let (table, ..) = Plugin::Response.tables();
    let mut profile = asking(ProfileText::openai(&upstream), Plugin::Response, &llm);
    for line in lines {
        profile = profile.line(table, *line);
    }
    let server = Server::of(&profile);
    (ask.whole(&server).await, upstream)
}

#[tokio::test]
async fn a_text_that_is_no_answer_is_one_delta() {
    let (reply, upstream) = through("All is well", &[], Ask::chat(chat(STREAM))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
    assert_eq!(text_of(&reply.body), "All is well");
    let events = payloads(&reply.body);
    let with_text = events.iter().filter(|event| event.contains("All is well"));
    assert_eq!(with_text.count(), 1);
    assert!(holds(&reply.body, r#""finish_reason":"stop""#));
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let sent: serde_json::Value =
        serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
    assert_eq!(sent["stream"], false);
    assert_eq!(sent.get("stream_options"), None);
}

#[tokio::test]
async fn the_usage_is_there_only_if_asked_for() {
    let asked = r#""stream":true,"stream_options":{"include_usage":true}"#;
    for (extra, shown) in [(STREAM, false), (asked, true)] {
        let answer = completion("new");
        let (reply, upstream) = through(&answer, &[], Ask::chat(chat(extra))).await;
        assert_eq!(text_of(&reply.body), "new");
        assert_eq!(holds(&reply.body, r#""total_tokens":5"#), shown);
        // A provider refuses `stream_options` where it is to send no stream.
        assert!(!holds(
            &upstream.seen().pop().unwrap().body,
            "stream_options"
        ));
    }
}

#[tokio::test]
async fn an_error_status_or_another_content_type_is_a_plain_response() {
    let lines = ["parse_llm_response_json_instructions = true"];
    for (text, status, kind) in [
        (
            r#"{"status":451,"body":{"why":"law"}}"#,
            451,
            "application/json",
        ),
        (
            r#"{"headers":{"content-type":"application/xml"},"body":"<a/>"}"#,
            200,
            "application/xml",
        ),
    ] {
        let (reply, _) = through(text, &lines, Ask::chat(chat(STREAM))).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers.get("content-type"), Some(kind));
        assert_eq!(reply.headers.get("x-aiproxy-stream"), None);
        assert!(!reply.text().contains("data:"), "{}", reply.text());
    }
    let text = r#"{"status":200,"headers":{"x-checked":"1"},"body":"fine"}"#;
    let (reply, _) = through(text, &lines, Ask::chat(chat(STREAM))).await;
    assert_eq!(text_of(&reply.body), "fine");
    assert_eq!(reply.headers.get("x-checked"), Some("1"));
}

#[tokio::test]
async fn reject_answers_400_before_anybody_is_asked() {
    let mut upstream = Upstream::start().await;
    let profiles = [ProfileText::openai(&upstream), plain(&upstream)];
    for profile in profiles {
        let profile = mocked(profile, Plugin::Response, "{}")
            .line("aiproxy", r#"stream_transform = "reject""#);
        let server = Server::of(&profile);
        let reply = Ask::chat(chat(STREAM)).whole(&server).await;
        reply.fails_about(400, &["stream_transform", "response transformer"]);
        upstream.was_not_called();
        let ask = Ask::post("/up/v1/chat/completions", chat(""))
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        call.write(json_response(200, completion("apple"))).await;
        call.finish().await;
        assert_eq!(ask.reply().await.whole().await.status, 200);
    }
}

#[tokio::test]
async fn a_plain_backends_own_events_are_shown_as_they_are() {
    let events = "event: tick\ndata: one\n\nevent: tick\ndata: two\n\n";
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{events}")).await;
    for (text, kind) in [
        ("data: three\n\n", "text/event-stream"),
        (r#"{"ticks":2}"#, "application/json"),
    ] {
        let llm = llm(text).await;
        let server = Server::of(&asking(plain(&upstream), Plugin::Response, &llm));
        let reply = Ask::get("/up/ticks").whole(&server).await;
        assert_eq!(reply.text(), text);
        assert_eq!(reply.headers.get("content-type"), Some(kind));
        assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
        let asked: serde_json::Value =
            serde_json::from_slice(&llm.seen().pop().unwrap().body).unwrap();
        assert_eq!(asked["messages"][1]["content"], events);
    }
}

#[tokio::test]
async fn clients_of_other_formats_get_their_own_events() {
    let answer = r#"{"id":"m1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"apple"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let upstream = Upstream::answering(json_response(200, answer)).await;
    let profile = ProfileText::default()
        .line("ai-proxy", r#"route_type = "llm/v1/chat""#)
        .line("ai-proxy", r#"llm_format = "anthropic""#)
        .line("ai-proxy.model", r#"provider = "anthropic""#)
        .line(
            "ai-proxy.model.options",
            r#"anthropic_version = "2023-06-01""#,
        )
        .line(
            "aiproxy",
            format!("base_url = \"http://{}\"", upstream.address),
        );
    let prompt = r#"{"content": [{"type": "text", "text": "pear"}]}"#;
    let server = Server::of(&mocked(profile, Plugin::Response, prompt));
    let body = format!(
        r#"{{"model":"claude","max_tokens":5,"messages":[{{"role":"user","content":"hi"}}],{STREAM}}}"#
    );
    let reply = Ask::post("/up/v1/messages", body).whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
    let text = reply.text();
    for part in [
        "event: message_start",
        r#""text":"pear""#,
        "event: message_stop",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let sent: serde_json::Value =
        serde_json::from_slice(&upstream.seen().pop().unwrap().body).unwrap();
    assert_eq!(sent["stream"], false);
}

#[tokio::test]
async fn a_streaming_path_is_asked_as_a_whole_one() {
    let answer = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"apple"}]},"finishReason":"STOP"}],"modelVersion":"g"}"#;
    let upstream = Upstream::answering(json_response(200, answer)).await;
    let profile = ProfileText::default()
        .line("ai-proxy", r#"route_type = "llm/v1/chat""#)
        .line("ai-proxy", r#"llm_format = "gemini""#)
        .line("ai-proxy.model", r#"provider = "gemini""#)
        .line(
            "aiproxy",
            format!("base_url = \"http://{}\"", upstream.address),
        );
    let server = Server::of(&mocked(
        profile,
        Plugin::Response,
        r#"{"modelVersion":"new"}"#,
    ));
    let path = "/up/v1beta/models/g:streamGenerateContent?alt=sse";
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let reply = Ask::post(path, body).whole(&server).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(
        holds(&reply.body, "data: ") && holds(&reply.body, "apple"),
        "{}",
        reply.text()
    );
    assert!(
        holds(&reply.body, r#""modelVersion":"new""#),
        "{}",
        reply.text()
    );
    let head = upstream.seen().pop().unwrap().head;
    assert!(
        head.starts_with("POST /v1beta/models/g:generateContent HTTP"),
        "{head}"
    );
}

#[tokio::test]
async fn responses_are_replayed_as_their_own_events() {
    let said = r#"{"id":"resp_1","model":"m1","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}]}"#;
    let json = [("content-type", "application/json")];
    let upstream = Upstream::answering(response(200, &json, said)).await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&mocked(profile, Plugin::Response, r#"{"seen":true}"#));
    let body = r#"{"model":"m1","input":"hi","instructions":"Be kind.","stream":true}"#;
    let reply = Ask::post("/up/v1/responses", body).whole(&server).await;
    assert_eq!(reply.headers.get("x-aiproxy-stream"), Some("buffered"));
    let text = reply.text();
    assert!(text.starts_with("event: response.created\n") && !holds(&reply.body, DONE));
    assert!(text.contains(r#""delta":"Hi""#) && text.contains(r#""instructions":"Be kind.""#));
    assert!(text.contains("event: response.completed\n"));
    let text = r#"{"id":"r1","output":[]}"#;
    let upstream =
        Upstream::answering(response(200, &[("content-type", "application/json")], text)).await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&mocked(profile, Plugin::Response, r#"{"seen":true}"#));
    let body = r#"{"model":"m1","input":"hi"}"#;
    let reply = Ask::post("/up/v1/responses", body).whole(&server).await;
    assert_eq!(reply.text(), r#"{"id":"r1","output":[],"seen":true}"#);
    assert!(!holds(&reply.body, DONE));
}
