//! What a transformer's LLM is sent, and what becomes of its answer.

use serde_json::json;

use crate::{
    Plugin, asking, mocked, plain,
    support::{Ask, ProfileText, Server, Upstream, chat, completion, json_response, response},
};

/// An upstream that says what it got.
async fn echo() -> Upstream {
    Upstream::playing(|mut call| async move {
        let kind = call.headers.get("content-type").unwrap_or("").to_owned();
        let answer = response(200, &[("content-type", &kind)], call.body.clone());
        call.write(answer).await;
        call.finish().await;
    })
    .await
}

/// An LLM that says the same to everybody.
async fn llm(text: &str) -> Upstream {
    Upstream::answering(json_response(200, completion(text))).await
}

#[tokio::test]
async fn the_clients_headers_and_key_are_not_the_llms() {
    let (upstream, llm) = (echo().await, llm("{}").await);
    let server = Server::of(&asking(plain(&upstream), Plugin::Request, &llm));
    let ask = Ask::post("/up", r#"{"a":1}"#)
        .header("authorization", "Bearer own-key")
        .header("cookie", "session=1")
        .header("x-mine", "yes");
    assert_eq!(ask.whole(&server).await.text(), "{}");
    let [asked] = llm.seen().try_into().unwrap();
    assert!(
        asked.head.contains("Bearer llm-key-012345"),
        "{}",
        asked.head
    );
    for own in ["own-key", "session", "x-mine"] {
        assert!(!asked.head.contains(own), "{own}: {}", asked.head);
    }
    // The backend's are the client's affair.
    let [sent] = upstream.seen().try_into().unwrap();
    for own in ["own-key", "session", "x-mine"] {
        assert!(sent.head.contains(own), "{own}: {}", sent.head);
    }
    assert!(!sent.head.contains("llm-key"), "{}", sent.head);
}

#[tokio::test]
async fn templates_of_the_llm_see_the_clients_request() {
    let (upstream, llm) = (echo().await, llm("{}").await);
    let (_, _, model) = Plugin::Request.tables();
    let profile = asking(plain(&upstream), Plugin::Request, &llm)
        .line(model, r#"name = "$(headers.x-model)""#);
    let server = Server::of(&profile);
    let ask = Ask::post("/up", "{}").header("x-model", "gpt-9");
    assert_eq!(ask.whole(&server).await.status, 200);
    let asked = llm.seen().pop().unwrap();
    assert!(String::from_utf8_lossy(&asked.body).contains(r#""model":"gpt-9""#));
    let reply = Ask::post("/up", "{}").whole(&server).await;
    reply.fails_with(400, "headers key x-model was not provided");
}

#[tokio::test]
async fn bodies_without_json_and_without_anything() {
    let (upstream, llm) = (echo().await, llm("a;b").await);
    let server = Server::of(&asking(plain(&upstream), Plugin::Request, &llm));
    for (body, kind, expected) in [
        ("a,b\n", "text/csv", "text/csv"),
        ("", "text/plain", "text/plain"),
        ("{}", "application/json", "text/plain; charset=utf-8"),
    ] {
        let ask = Ask::post("/up", body).instead("content-type", Some(kind));
        let reply = ask.whole(&server).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "a;b"));
        assert_eq!(reply.headers.get("content-type"), Some(expected));
    }
    let contents: Vec<serde_json::Value> = llm
        .seen()
        .iter()
        .map(|seen| serde_json::from_slice::<serde_json::Value>(&seen.body).unwrap())
        .map(|asked| asked["messages"][1]["content"].clone())
        .collect();
    assert_eq!(contents, [json!("a,b\n"), json!(""), json!("{}")]);
}

#[tokio::test]
async fn ai_proxy_checks_the_new_body_not_the_old() {
    let upstream = Upstream::answering(json_response(200, completion("apple"))).await;
    let llm = Upstream::playing(|mut call| async move {
        let text = if call.text().contains("good") {
            chat("")
        } else {
            "Sorry".to_owned()
        };
        call.write(json_response(200, completion(&text))).await;
        call.finish().await;
    })
    .await;
    let profile = asking(ProfileText::openai(&upstream), Plugin::Request, &llm);
    let server = Server::of(&profile);
    let ask =
        |body: &'static str| Ask::post("/up", body).instead("content-type", Some("text/plain"));
    assert_eq!(ask("good").whole(&server).await.text(), completion("apple"));
    let message = "content-type header does not match request body, or bad JSON formatting";
    ask("bad").whole(&server).await.fails_with(400, message);
}

#[tokio::test]
async fn unread_paths_go_through_the_transformer_too() {
    let (upstream, llm) = (echo().await, llm(r#"{"purpose":"new"}"#).await);
    let profile = asking(ProfileText::openai(&upstream), Plugin::Request, &llm)
        .line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    // OpenAI's own operations are known, and their bodies go through the LLM.
    let reply = Ask::post("/up/v1/files", r#"{"purpose":"old"}"#)
        .whole(&server)
        .await;
    assert_eq!(reply.text(), r#"{"purpose":"new"}"#);
    // Any other path would walk around it.
    let reply = Ask::post("/up/v1/else", "{}").whole(&server).await;
    reply.fails_about(404, &["transformer"]);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn coded_request_bodies_reach_llm_and_upstream_inflated() {
    use async_compression::tokio::bufread::GzipEncoder;
    use tokio::io::AsyncReadExt;

    let upstream = echo().await;
    for plugin in [Plugin::Request, Plugin::Response] {
        let prompt = r#"{"b":2}"#;
        let server = Server::of(&mocked(plain(&upstream), plugin, prompt));
        let mut coded = Vec::new();
        let mut encoder = GzipEncoder::new(&br#"{"a":1}"#[..]);
        encoder.read_to_end(&mut coded).await.unwrap();
        let ask = Ask::post("/up", coded).header("content-encoding", "gzip");
        assert_eq!(ask.whole(&server).await.text(), r#"{"a":1,"b":2}"#);
    }
    for seen in upstream.seen() {
        assert!(!seen.head.contains("gzip"), "{}", seen.head);
    }
}

#[tokio::test]
async fn instructions_cannot_frame_the_message_or_open_it_to_browsers() {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let headers = r#"{"X-New":"1","set-cookie":["a=1","b=2"],"Content-Length":"1","transfer-encoding":"chunked","content-encoding":"gzip","connection":"close","access-control-allow-origin":"*"}"#;
    let text = format!(r#"{{"headers":{headers},"body":"four","status":"202"}}"#);
    let llm = llm(&text).await;
    let (table, ..) = Plugin::Response.tables();
    let profile = asking(plain(&upstream), Plugin::Response, &llm)
        .line(table, "parse_llm_response_json_instructions = true");
    let server = Server::of(&profile);
    let reply = Ask::get("/up").whole(&server).await;
    assert_eq!((reply.status, reply.text().as_str()), (202, "four"));
    assert_eq!(reply.headers.get("x-new"), Some("1"));
    assert_eq!(reply.headers.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(reply.headers.get("content-length"), Some("4"));
    for name in ["content-encoding", "access-control-allow-origin"] {
        assert_eq!(reply.headers.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn answers_without_a_body_are_not_shown_to_the_llm() {
    let upstream = Upstream::playing(|mut call| async move {
        let answer = if call.target().starts_with("HEAD") {
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"
        } else {
            "HTTP/1.1 204 No Content\r\nx-up: 1\r\nconnection: close\r\n\r\n"
        };
        call.write(answer).await;
        call.finish().await;
    })
    .await;
    let llm = llm("never").await;
    let server = Server::of(&asking(plain(&upstream), Plugin::Response, &llm));
    let reply = Ask::new("DELETE", "/up/x").whole(&server).await;
    assert_eq!((reply.status, reply.headers.get("x-up")), (204, Some("1")));
    assert!(llm.seen().is_empty());
    // Conditions and ranges are about a body that the client never had.
    let ask = Ask::get("/up/x")
        .header("if-none-match", "\"x\"")
        .header("range", "bytes=0-1");
    assert_eq!(ask.whole(&server).await.status, 204);
    let sent = upstream.seen().pop().unwrap().head.to_ascii_lowercase();
    assert!(
        !sent.contains("if-none-match") && !sent.contains("range:"),
        "{sent}"
    );
}

#[tokio::test]
async fn an_answer_that_was_cut_at_max_tokens_is_warned_of() {
    let upstream = echo().await;
    let cut = completion("{}").replace(r#""finish_reason":"stop""#, r#""finish_reason":"length""#);
    let llm = Upstream::answering(json_response(200, cut)).await;
    for plugin in [Plugin::Request, Plugin::Response] {
        let server = Server::of(&asking(plain(&upstream), plugin, &llm));
        let reply = Ask::post("/up", "{}").whole(&server).await;
        let (table, ..) = plugin.tables();
        assert_eq!(
            reply.headers.get("x-aiproxy-warnings"),
            Some(format!("truncated:{table}").as_str())
        );
    }
}

#[tokio::test]
async fn leaving_while_the_llm_thinks_cancels_its_request() {
    for plugin in [Plugin::Request, Plugin::Response] {
        let mut llm = Upstream::start().await;
        let mut upstream = Upstream::start().await;
        let server = Server::of(&asking(plain(&upstream), plugin, &llm));
        let client = Ask::post("/up", "{}").send(&server).await;
        if plugin == Plugin::Response {
            let mut call = upstream.call().await;
            call.write(json_response(200, "{}")).await;
            call.finish().await;
        }
        let call = llm.call().await;
        drop(client);
        call.loses_its_client().await;
        if plugin == Plugin::Request {
            upstream.was_not_called();
        }
        server.is_healthy().await;
    }
}
