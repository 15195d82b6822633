//! Stored Responses: kept in memory where the provider has none, the provider's own where it has.

use serde_json::{Value, json};

use crate::{
    providers,
    support::{
        Ask, ProfileText, Reply, Server, Upstream, completion, json_response, payloads, response,
    },
};

/// Providers whose Responses are translated.
const TRANSLATED: &[&str] = &[
    "anthropic",
    "gemini",
    "bedrock",
    "cohere-v2",
    "ollama",
    "mistral",
];

const GEMINI: &str = r#"{"responseId":"same","candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#;

fn gemini(upstream: &Upstream) -> ProfileText {
    ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", r#"provider = "gemini""#)
}

/// The answer, whole or at the end of its stream.
fn answer(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    if !text.starts_with("event:") {
        return reply.json();
    }
    let last = payloads(text.as_bytes()).pop().unwrap();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["type"], "response.completed", "{last}");
    last["response"].clone()
}

async fn ask(server: &Server, profile: &str, body: &Value) -> Value {
    let target = format!("/{profile}/v1/responses");
    answer(&Ask::post(&target, body.to_string()).whole(server).await)
}

fn id(answer: &Value) -> &str {
    answer["id"].as_str().unwrap()
}

fn said(answer: &Value) -> &str {
    let items = answer["output"].as_array().unwrap();
    let message = items.iter().find(|item| item["type"] == "message");
    message.unwrap()["content"][0]["text"].as_str().unwrap()
}

#[track_caller]
fn missed(reply: &Reply, code: Option<&str>, words: &str) {
    let json = reply.json();
    assert_eq!(reply.status, 404, "{json}");
    let error = &json["error"];
    assert_eq!(error["type"], "invalid_request_error", "{json}");
    assert_eq!(error["code"].as_str(), code, "{json}");
    assert!(error["message"].as_str().unwrap().contains(words), "{json}");
}

fn tool() -> Value {
    json!([{"type": "function", "name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[tokio::test]
async fn a_tool_round_trip_needs_no_history_from_the_client() {
    let server = providers::server();
    for profile in TRANSLATED {
        for stream in [false, true] {
            let first = json!({"model": "mock-tools", "stream": stream, "tools": tool(), "metadata": {"k": "v"},
                "input": "What is the weather in Rome?"});
            let called = ask(&server, profile, &first).await;
            assert_eq!(
                (&called["store"], &called["previous_response_id"]),
                (&json!(true), &Value::Null)
            );
            assert_eq!(called["metadata"], json!({"k": "v"}), "{profile}");
            let call = called["output"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["type"] == "function_call")
                .unwrap();
            let second = json!({"model": "mock-tools", "stream": stream, "tools": tool(),
                "previous_response_id": id(&called),
                "input": [{"type": "function_call_output", "call_id": call["call_id"], "output": "sunny, 31 degrees"}]});
            let told = ask(&server, profile, &second).await;
            assert!(
                said(&told).contains("sunny, 31 degrees"),
                "{profile} {stream}: {told}"
            );
            assert_eq!(told["previous_response_id"], called["id"], "{profile}");
            assert_ne!(told["id"], called["id"], "{profile}");
            // Both are as they were told.
            for one in [&called, &told] {
                let target = format!("/{profile}/v1/responses/{}", id(one));
                let kept = Ask::get(&target).whole(&server).await;
                assert_eq!((kept.status, &kept.json()), (200, one), "{profile}");
            }
            let target = format!(
                "/{profile}/v1/responses/{}/input_items?order=asc",
                id(&told)
            );
            let items = Ask::get(&target).whole(&server).await.json();
            let kinds: Vec<&str> = items["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["type"].as_str().unwrap())
                .filter(|kind| *kind != "reasoning")
                .collect();
            assert_eq!(
                kinds,
                ["message", "function_call", "function_call_output"],
                "{profile}"
            );
        }
    }
}

#[tokio::test]
async fn the_provider_gets_the_whole_conversation_and_the_newest_instructions() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&gemini(&upstream));
    let mut previous = Value::Null;
    let mut ids = Vec::new();
    for (text, instructions) in [("One", Some("Be brief.")), ("Two", None), ("Three", None)] {
        let body = json!({"model": "m1", "input": text, "instructions": instructions, "previous_response_id": previous});
        let client = Ask::post("/up/v1/responses", body.to_string())
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        let sent = call.json();
        let turns = sent["contents"].as_array().unwrap();
        assert_eq!(turns.len(), 2 * ids.len() + 1, "{sent}");
        assert_eq!(turns.last().unwrap()["parts"][0]["text"], text);
        assert_eq!(turns[0]["parts"][0]["text"], "One");
        let system = sent
            .get("systemInstruction")
            .or(sent.get("system_instruction"));
        assert_eq!(system.is_some(), instructions.is_some(), "{sent}");
        call.write(json_response(200, GEMINI)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.headers.get("x-aiproxy-warnings"), None);
        let told = answer(&reply);
        assert_eq!(told["previous_response_id"], previous);
        previous = told["id"].clone();
        // The provider calls all of them the same.
        assert!(!ids.contains(&previous));
        ids.push(previous.clone());
        // The record shows what the client sent, and what was sent on.
        let exchange = reply.headers.get("x-aiproxy-exchange").unwrap();
        let record = Ask::get(&format!("/_aiproxy/exchanges/{exchange}"))
            .whole(&server)
            .await
            .text();
        assert!(record.contains(text), "{record}");
    }
    // Counted, too.
    let count = |body: Value| Ask::post("/up/v1/responses/input_tokens", body.to_string());
    let alone = count(json!({"model": "m1", "input": "Four"}))
        .whole(&server)
        .await
        .json();
    let with = count(json!({"model": "m1", "input": "Four", "previous_response_id": previous}))
        .whole(&server)
        .await
        .json();
    for json in [&alone, &with] {
        assert_eq!(
            (&json["object"], &json["estimated"]),
            (&json!("response.input_tokens"), &json!(true)),
            "{json}"
        );
    }
    assert!(with["input_tokens"].as_u64() > alone["input_tokens"].as_u64());
    let lost = count(json!({"model": "m1", "input": "Four", "previous_response_id": "resp_x"}))
        .whole(&server)
        .await;
    missed(&lost, Some("previous_response_not_found"), "resp_x");
    upstream.was_not_called();
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let upstream = Upstream::answering(json_response(200, GEMINI)).await;
    let server = Server::of(&gemini(&upstream));
    let never = json!({"model": "m1", "input": "Hi", "store": false});
    let told = ask(&server, "up", &never).await;
    assert_eq!(told["store"], false);
    let at = |id: &str, after: &str| format!("/up/v1/responses/{id}{after}");
    for reply in [
        Ask::get(&at(id(&told), "")).whole(&server).await,
        Ask::get(&at("..%2Ffiles", "")).whole(&server).await,
        Ask::new("DELETE", &at(id(&told), "")).whole(&server).await,
        Ask::post(&at(id(&told), "/cancel"), "")
            .whole(&server)
            .await,
        Ask::get(&at(id(&told), "/input_items"))
            .whole(&server)
            .await,
    ] {
        missed(&reply, None, "not found");
    }
    let kept = ask(&server, "up", &json!({"model": "m1", "input": "Hi"})).await;
    let kept = id(&kept);
    let before = upstream.seen().len();
    for (method, target, status, words) in [
        ("GET", at(kept, "?stream=true"), 400, "`stream`"),
        (
            "POST",
            at(kept, "/cancel"),
            400,
            "Cannot cancel a synchronous response.",
        ),
        ("PATCH", at(kept, ""), 405, "GET, DELETE"),
        ("GET", "/up/v1/responses/input_tokens".into(), 405, "POST"),
        ("GET", at(kept, "/other"), 404, "other_paths"),
        (
            "POST",
            "/up/v1/responses/compact".into(),
            404,
            "other_paths",
        ),
    ] {
        let reply = Ask::new(method, &target).whole(&server).await;
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
        assert!(reply.text().contains(words), "{}", reply.text());
    }
    let gone = Ask::new("DELETE", &at(kept, "")).whole(&server).await;
    assert_eq!(
        (gone.status, gone.json()),
        (
            200,
            json!({"id": kept, "object": "response.deleted", "deleted": true})
        )
    );
    assert!(gone.headers.get("x-aiproxy-exchange").is_some());
    missed(&Ask::get(&at(kept, "")).whole(&server).await, None, kept);
    let body = json!({"model": "m1", "input": "More", "previous_response_id": kept});
    let reply = Ask::post("/up/v1/responses", body.to_string())
        .whole(&server)
        .await;
    missed(&reply, Some("previous_response_not_found"), kept);
    assert_eq!(reply.json()["error"]["param"], "previous_response_id");
    let body = json!({"model": "m1", "input": "Hi", "background": true});
    Ask::post("/up/v1/responses", body.to_string())
        .whole(&server)
        .await
        .fails_about(400, &["gemini cannot take `background: true`"]);
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test]
async fn the_memory_is_the_servers_and_behind_its_gate() {
    let upstream = Upstream::answering(json_response(200, GEMINI)).await;
    let mut own = Upstream::start().await;
    let server = Server::setup()
        .profile(
            "own",
            &ProfileText::openai(&own).line("aiproxy.models", r#""gem*" = "far/m1""#),
        )
        .profile("far", &gemini(&upstream))
        .profile(
            "near",
            &gemini(&upstream).line("aiproxy.models", r#""gpt*" = "own/gpt-5""#),
        )
        .args(["--token", "secret-token"])
        .start();
    let with = |ask: Ask| ask.header("authorization", "Bearer secret-token");
    for (target, model) in [
        ("/v1/responses", "far/m1"),
        ("/own/v1/responses", "gemini"),
        ("/near/v1/responses", "m1"),
    ] {
        let body = json!({"model": model, "input": "Hi"}).to_string();
        let told = answer(&with(Ask::post(target, body)).whole(&server).await);
        for at in ["/v1/responses", "/own/v1/responses", "/far/responses"] {
            let target = format!("{at}/{}", id(&told));
            assert_eq!(Ask::get(&target).whole(&server).await.status, 401);
            let kept = with(Ask::get(&target)).whole(&server).await;
            assert_eq!(kept.json(), told, "{target}");
        }
    }
    own.was_not_called();
    // What a map leads to a provider with Responses of its own is asked there for them.
    let body = json!({"model": "gpt-5", "input": "Hi"}).to_string();
    let client = with(Ask::post("/near/v1/responses", body))
        .send(&server)
        .await;
    assert_eq!(own.call().await.target(), "POST /v1/responses");
    drop(client);
}

#[tokio::test]
async fn a_provider_with_responses_of_its_own_is_asked_for_them() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream).key("authorization", "Bearer own-key"));
    for (method, target, sent) in [
        (
            "GET",
            "/up/v1/responses/resp_1?include=a&stream=true",
            "GET /v1/responses/resp_1?include=a&stream=true",
        ),
        ("GET", "/up/responses/resp_1", "GET /v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/", "GET /v1/responses/resp_1"),
        (
            "DELETE",
            "/v1/responses/resp_1",
            "DELETE /v1/responses/resp_1",
        ),
        (
            "POST",
            "/up/v1/responses/resp_1/cancel",
            "POST /v1/responses/resp_1/cancel",
        ),
        (
            "GET",
            "/up/v1/responses/resp_1/input_items?limit=2&order=asc&after=msg_1",
            "GET /v1/responses/resp_1/input_items?limit=2&order=asc&after=msg_1",
        ),
        (
            "GET",
            "/up/v1/responses/a%20b;c%C3%A4",
            "GET /v1/responses/a%20b%3Bc%C3%A4",
        ),
    ] {
        let client = Ask::new(method, target)
            .header("authorization", "Bearer mine")
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), sent);
        assert_eq!(call.headers.get("authorization"), Some("Bearer own-key"));
        let odd = r#"{ "id": "resp_1", "n": 1.00 }"#;
        call.write(response(
            200,
            &[("content-type", "application/json"), ("x-request-id", "r1")],
            odd,
        ))
        .await;
        let reply = client.reply().await.clean().await;
        assert_eq!((reply.status, reply.text().as_str()), (200, odd));
        assert_eq!(reply.headers.get("x-request-id"), Some("r1"));
        assert!(reply.headers.get("x-aiproxy-exchange").is_some());
    }
    let error = r#"{"error":{"message":"Response with id 'resp_9' not found.","type":"invalid_request_error","param":null,"code":null}}"#;
    let client = Ask::get("/up/v1/responses/resp_9").send(&server).await;
    upstream.call().await.write(json_response(404, error)).await;
    let reply = client.reply().await.clean().await;
    assert_eq!((reply.status, reply.text().as_str()), (404, error));
    // An id is one segment, or it is none.
    for id in [
        "..%2Ffiles",
        "%2e%2e",
        "..",
        "a%5Cb",
        "%252e%252e",
        "x%3Fy",
        "x%23y",
    ] {
        let reply = Ask::get(&format!("/up/v1/responses/{id}"))
            .whole(&server)
            .await;
        assert_eq!(reply.status, 404, "{id}: {}", reply.text());
        let reply = Ask::get(&format!("/up/v1/responses/{id}/input_items"))
            .whole(&server)
            .await;
        assert_eq!(reply.status, 404, "{id}: {}", reply.text());
    }
    let reply = Ask::get("/up/v1/responses/../files").whole(&server).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    upstream.was_not_called();
    // What goes on from an answer of theirs, they know.
    let body =
        r#"{"model":"m1", "previous_response_id":"resp_1","background":true,"input":"More"}"#;
    let client = Ask::post("/up/v1/responses", body).send(&server).await;
    assert_eq!(upstream.call().await.text(), body);
    drop(client);
}

#[tokio::test]
async fn tokens_are_counted_where_the_provider_counts_them() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = r#"{"model":"m1", "input":"apple apple apple","n":1.00}"#;
    for target in [
        "/up/v1/responses/input_tokens?a=b",
        "/v1/responses/input_tokens?a=b",
    ] {
        let client = Ask::post(target, body).send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), "POST /v1/responses/input_tokens?a=b");
        assert_eq!(call.text(), body);
        let told = r#"{"object":"response.input_tokens","input_tokens":11}"#;
        call.write(json_response(200, told)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!((reply.status, reply.text().as_str()), (200, told));
    }
    let client = Ask::post("/up/v1/responses/input_tokens", body)
        .send(&server)
        .await;
    upstream.call().await.write(json_response(404, "{}")).await;
    let reply = client.reply().await.clean().await;
    let json = reply.json();
    assert_eq!(
        (&json["object"], &json["estimated"]),
        (&json!("response.input_tokens"), &json!(true)),
        "{json}"
    );
    assert!((3..20).contains(&json["input_tokens"].as_u64().unwrap()));
}

#[tokio::test]
async fn one_operations_url_is_not_another_ones() {
    let mut upstream = Upstream::start().await;
    let at = |key: &str, value: String| {
        ProfileText::openai(&upstream)
            .line("ai-proxy", r#"route_type = "llm/v1/responses""#)
            .line("ai-proxy.model.options", format!("{key} = \"{value}\""))
    };
    let address = upstream.address;
    let url = at("upstream_url", format!("http://{address}/x/responses")).without("aiproxy");
    let path = at("upstream_path", "/x/responses".into());
    let server = Server::setup()
        .profile("url", &url)
        .profile("path", &path)
        .start();
    for (profile, key) in [("url", "`upstream_url`"), ("path", "`upstream_path`")] {
        for method in ["GET", "DELETE"] {
            let target = format!("/{profile}/v1/responses/resp_1");
            let reply = Ask::new(method, &target).whole(&server).await;
            reply.fails_about(400, &[key, "base_url"]);
        }
        let target = format!("/{profile}/v1/responses/input_tokens");
        let reply = Ask::post(&target, r#"{"model":"m1","input":"Hi"}"#)
            .whole(&server)
            .await;
        assert_eq!(reply.json()["estimated"], true, "{}", reply.text());
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn what_a_transformer_made_is_what_is_kept() {
    let upstream = Upstream::answering(json_response(200, completion("hello"))).await;
    let filtered = |text: ProfileText| {
        text.line(
            "ai-response-transformer",
            r#"prompt = 'Add {"metadata":{"seen":"yes"}}'"#,
        )
        .line(
            "ai-response-transformer.llm",
            r#"route_type = "llm/v1/chat""#,
        )
        .line("ai-response-transformer.llm.model", r#"provider = "mock""#)
        .line(
            "ai-response-transformer.llm.model",
            r#"name = "mock-transform""#,
        )
    };
    let translated =
        filtered(ProfileText::openai(&upstream)).line("ai-proxy.model", r#"provider = "deepseek""#);
    let server = Server::setup()
        .profile("up", &translated)
        .profile("native", &filtered(ProfileText::openai(&upstream)))
        .start();
    for stream in [false, true] {
        let told = ask(
            &server,
            "up",
            &json!({"model": "m1", "input": "Hi", "stream": stream}),
        )
        .await;
        assert_eq!(
            told["metadata"]["seen"],
            if stream { Value::Null } else { json!("yes") }
        );
        let target = format!("/up/v1/responses/{}", id(&told));
        assert_eq!(Ask::get(&target).whole(&server).await.json(), told);
    }
    // What the provider itself has kept was never seen by it.
    let before = upstream.seen().len();
    let reply = Ask::get("/native/v1/responses/resp_1").whole(&server).await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("transformer"), "{}", reply.text());
    assert_eq!(upstream.seen().len(), before);
}
