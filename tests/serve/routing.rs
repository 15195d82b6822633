//! What a path and a model lead to (SPEC §2).

use crate::support::{
    Ask, Call, Client, H2, ProfileText, Reply, Server, Upstream, chat, completion, json_response,
};

/// Asks, and answers the call that has to come.
async fn routed(server: &Server, upstream: &mut Upstream, ask: Ask) -> (Call, Reply) {
    let client = ask.send(server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, completion("ok"))).await;
    let reply = client.reply().await.clean().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    (call, reply)
}

#[tokio::test]
async fn a_profile_s_own_paths() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for path in [
        "/up",
        "/up/",
        "/up/v1",
        "/up/v1/",
        "/up/chat/completions",
        "/up/v1/chat/completions",
        "/up/v1/chat/completions/",
    ] {
        let (call, _) = routed(&server, &mut upstream, Ask::post(path, chat(""))).await;
        assert_eq!(call.target(), "POST /v1/chat/completions", "{path}");
    }
    for (path, body, target) in [
        (
            "/up/completions",
            r#"{"model":"m","prompt":"x"}"#,
            "POST /v1/completions",
        ),
        (
            "/up/v1/embeddings",
            r#"{"model":"m","input":"x"}"#,
            "POST /v1/embeddings",
        ),
        (
            "/up/responses",
            r#"{"model":"m","input":"x"}"#,
            "POST /v1/responses",
        ),
    ] {
        let client = Ask::post(path, body).send(&server).await;
        let call = upstream.call().await;
        assert_eq!(call.target(), target);
        drop(client);
    }
}

#[tokio::test]
async fn a_base_url_may_miss_its_v1() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for path in ["/v1/chat/completions", "/chat/completions"] {
        let (call, _) = routed(&server, &mut upstream, Ask::post(path, chat(""))).await;
        assert_eq!(call.target(), "POST /v1/chat/completions", "{path}");
    }
    // A profile's name comes first.
    let server = Server::setup()
        .profile("chat", &ProfileText::openai(&upstream))
        .start();
    let (call, _) = routed(
        &server,
        &mut upstream,
        Ask::post("/chat/completions", r#"{"model":"m","prompt":"x"}"#),
    )
    .await;
    assert_eq!(call.target(), "POST /v1/completions");
}

#[tokio::test]
async fn nothing_following_is_the_profile_s_route_type() {
    let mut upstream = Upstream::start().await;
    let profile =
        ProfileText::openai(&upstream).line("ai-proxy", r#"route_type = "llm/v1/completions""#);
    let server = Server::of(&profile);
    let client = Ask::post("/up", r#"{"model":"m","prompt":"x"}"#)
        .send(&server)
        .await;
    assert_eq!(upstream.call().await.target(), "POST /v1/completions");
    drop(client);
}

#[tokio::test]
async fn the_root_goes_to_the_profile_that_the_model_names() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let server = Server::setup()
        .profile("one", &ProfileText::openai(&first))
        .profile(
            "two",
            &ProfileText::openai(&second).line("aiproxy", r#"default_model = "own""#),
        )
        .start();
    let ask = |model: &str| Ask::post("/v1/chat/completions", chat("").replace("m1", model));
    // Not a profile: the default profile's own model, slashes and all.
    for model in [
        "m1",
        "meta-llama/Llama-3",
        "three/m1",
        "ONE",
        "/m1",
        "a/two/b",
    ] {
        let (call, reply) = routed(&server, &mut first, ask(model)).await;
        assert_eq!(call.json()["model"], model);
        assert_eq!(
            reply.headers.get("x-kong-llm-model"),
            Some(format!("openai/{model}").as_str())
        );
    }
    for (model, sent) in [
        ("two", "own"),
        ("two/m1", "m1"),
        ("two/meta-llama/Llama-3", "meta-llama/Llama-3"),
        ("two/two", "two"),
    ] {
        let (call, _) = routed(&server, &mut second, ask(model)).await;
        assert_eq!(call.json()["model"], sent, "{model}");
    }
    let (call, _) = routed(&server, &mut first, ask("one/m7")).await;
    assert_eq!(call.json()["model"], "m7");
    first.was_not_called();
    second.was_not_called();
}

#[tokio::test]
async fn the_rest_of_a_request_that_names_its_profile_stays_as_it_is() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = r#"{ "z":1.00, "model" : "up/m1", "messages":[{"role":"user","content":"é"}] }"#;
    let (call, _) = routed(
        &server,
        &mut upstream,
        Ask::post("/v1/chat/completions", body),
    )
    .await;
    let text = call.text();
    assert!(text.contains(r#""z":1.00"#), "{text}");
    assert!(
        text.contains(r#""messages":[{"role":"user","content":"é"}]"#),
        "{text}"
    );
    assert_eq!(call.json()["model"], "m1");
}

#[tokio::test]
async fn a_model_is_not_split_below_a_profile() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .profile("other", &ProfileText::openai(&upstream))
        .start();
    let body = chat("").replace("m1", "other/m1");
    let (call, _) = routed(&server, &mut upstream, Ask::chat(body)).await;
    assert_eq!(call.json()["model"], "other/m1");
}

#[tokio::test]
async fn the_first_profile_is_the_default() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let server = Server::setup()
        .profile("zz", &ProfileText::openai(&first))
        .profile("aa", &ProfileText::openai(&second))
        .start();
    routed(
        &server,
        &mut first,
        Ask::post("/v1/chat/completions", chat("")),
    )
    .await;
    second.was_not_called();
}

#[tokio::test]
async fn only_the_profiles_asked_for_are_served() {
    let server = Server::setup().built_in("mock").start();
    let reply = Ask::post("/openai/v1/chat/completions", chat(""))
        .whole(&server)
        .await;
    reply.fails_about(404, &["openai", "mock"]);
}

#[tokio::test]
async fn without_names_all_that_load_are_served_and_mock_is_the_default() {
    let upstream = Upstream::start().await;
    let world = crate::support::World::new();
    world.profile("aaa", &ProfileText::openai(&upstream).toml());
    world.profile("broken", "[ai-proxy");
    let mut command = world.aiproxy(["serve", "--listen", "127.0.0.1:0", "--profiles"]);
    command.arg(world.profiles());
    let mut process = crate::support::Process::start(command);
    process.until("a banner", |process| process.stdout().contains("/aaa/v1"));
    let banner = process.stdout();
    assert!(banner.contains("/mock/v1"), "{banner}");
    assert!(banner.contains("/openai/v1"), "{banner}");
    assert!(!banner.contains("/broken/"), "{banner}");
    process.until("a warning", |process| process.stderr().contains("broken"));
}

#[tokio::test]
async fn the_list_of_models() {
    let upstream = Upstream::start().await;
    let text = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("open", &text)
        .profile(
            "bound",
            &text.clone().line("ai-proxy.model", r#"name = "m/7""#),
        )
        .profile(
            "default",
            &text.clone().line("aiproxy", r#"default_model = "d""#),
        )
        .profile(
            "keyless",
            &text
                .clone()
                .key("Authorization", "{vault://env/no-such-key}"),
        )
        .start();
    let ids = |reply: &Reply| -> Vec<String> {
        let json = reply.json();
        assert_eq!(json["object"], "list");
        let data = json["data"].as_array().unwrap().clone();
        data.iter()
            .map(|model| {
                assert_eq!(model["object"], "model");
                assert!(model["created"].is_u64() && model["owned_by"].is_string());
                model["id"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let reply = Ask::get("/v1/models").whole(&server).await;
    let all = ids(&reply);
    for id in ["open", "bound", "bound/m/7", "default", "default/d"] {
        assert!(all.iter().any(|known| known == id), "{id} in {all:?}");
    }
    assert!(!all.iter().any(|id| id.starts_with("keyless")), "{all:?}");
    let reply = Ask::get("/bound/v1/models").whole(&server).await;
    let bound = ids(&reply);
    assert!(bound.iter().any(|id| id == "bound/m/7"), "{bound:?}");
    assert!(!bound.iter().any(|id| id.starts_with("open")), "{bound:?}");
    for path in [
        "/v1/models/open",
        "/v1/models/bound/m/7",
        "/v1/models/bound%2Fm%2F7",
        "/bound/v1/models/bound/m/7",
        "/v1/models/",
    ] {
        let reply = Ask::get(path).whole(&server).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    for path in [
        "/v1/models/none",
        "/open/v1/models/bound",
        "/v1/models/keyless",
    ] {
        let reply = Ask::get(path).whole(&server).await;
        reply.fails_about(404, &[]);
    }
    for path in ["/nothing/v1/models"] {
        Ask::get(path)
            .whole(&server)
            .await
            .fails_about(404, &["nothing"]);
    }
}

#[tokio::test]
async fn health() {
    let server = Server::setup().built_in("mock").start();
    let reply = Ask::get("/_aiproxy/health").whole(&server).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["status"], "ok");
    assert_eq!(reply.headers.get("content-type"), Some("application/json"));
    let head = Ask::new("HEAD", "/_aiproxy/health").send(&server).await;
    let head = String::from_utf8_lossy(&{
        let mut head = head;
        head.half_close().await;
        head.rest().await
    })
    .into_owned();
    assert!(
        head.is_empty() || (head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n")),
        "{head}"
    );
    let reply = Ask::get("/_aiproxy/nothing").whole(&server).await;
    reply.fails_about(404, &[]);
}

#[tokio::test]
async fn upstream_url_is_used_as_it_is_and_serves_one_operation() {
    let mut upstream = Upstream::start().await;
    let url = format!(
        r#"upstream_url = "http://{}/any/where?v=1""#,
        upstream.address
    );
    let profile = ProfileText::openai(&upstream)
        .without("aiproxy")
        .line("ai-proxy.model.options", url);
    let server = Server::of(&profile);
    for (path, extra) in [
        ("/up", ""),
        ("/up/v1/chat/completions", ""),
        ("/up/v1/chat/completions", r#""stream":true"#),
    ] {
        let client = Ask::post(path, chat(extra)).send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), "POST /any/where?v=1", "{path}");
        call.write(json_response(200, completion("ok"))).await;
        assert_eq!(client.reply().await.status, 200);
    }
    let (call, _) = routed(
        &server,
        &mut upstream,
        Ask::post("/up/v1/chat/completions?a=2", chat("")),
    )
    .await;
    assert_eq!(call.target(), "POST /any/where?v=1&a=2");
    for (path, body, route_type) in [
        (
            "/up/v1/completions",
            r#"{"model":"m","prompt":"x"}"#,
            "llm/v1/completions",
        ),
        (
            "/up/v1/embeddings",
            r#"{"model":"m","input":"x"}"#,
            "llm/v1/embeddings",
        ),
    ] {
        let reply = Ask::post(path, body).whole(&server).await;
        reply.fails_about(400, &[route_type, "llm/v1/chat"]);
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn upstream_path_replaces_the_path() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .without("aiproxy")
        .line(
            "ai-proxy.model.options",
            format!(r#"upstream_url = "http://{}/old""#, upstream.address),
        )
        .line("ai-proxy.model.options", r#"upstream_path = "/new/path""#);
    let server = Server::of(&profile);
    let (call, _) = routed(&server, &mut upstream, Ask::chat(chat(""))).await;
    assert_eq!(call.target(), "POST /new/path");
}

#[tokio::test]
async fn other_paths_are_refused_and_the_key_is_named() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for path in [
        "/up/v1/other",
        "/up/dashboard",
        "/up/v1/chat/completionsx",
        "/up/v2/chat",
    ] {
        let reply = Ask::post(path, chat("")).whole(&server).await;
        reply.fails_about(404, &["other_paths"]);
    }
    upstream.was_not_called();
}

#[tokio::test]
async fn other_paths_are_forwarded_unread() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream)
        .key("Authorization", "Bearer own")
        .line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let client = Ask::new("DELETE", "/up/v1/other/x?q=1")
        .header("authorization", "Bearer client")
        .header("content-type", "text/plain")
        .body("not json")
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(call.target(), "DELETE /v1/other/x?q=1");
    assert_eq!(call.text(), "not json");
    assert_eq!(call.headers.all("authorization"), ["Bearer own"]);
    call.write(crate::support::response(
        299,
        &[("content-type", "text/weird")],
        "as it is",
    ))
    .await;
    let reply = client.reply().await.clean().await;
    assert_eq!((reply.status, reply.text().as_str()), (299, "as it is"));
    assert!(reply.headers.get("x-aiproxy-exchange").is_some());
}

#[tokio::test]
async fn a_path_cannot_climb_out_of_its_root() {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    for path in [
        "/up/../x",
        "/up/v1/../../admin",
        "/up//x",
        "/up/%2e%2e/x",
        "/up/@evil.example/",
    ] {
        // Whatever is made of it, it stays on the upstream, and the path is not resolved here.
        let reply = Ask::get(path).whole(&server).await;
        assert!(matches!(reply.status, 200 | 400 | 404), "{path}");
    }
    server.is_healthy().await;
}

fn preserve(upstream: &Upstream) -> ProfileText {
    ProfileText::default()
        .line("ai-proxy", r#"route_type = "preserve""#)
        .line("ai-proxy.model", r#"provider = "openai""#)
        .line(
            "ai-proxy.model.options",
            format!(r#"upstream_url = "http://{}""#, upstream.address),
        )
}

#[tokio::test]
async fn preserve_sends_method_path_query_and_body_as_they_are() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&preserve(&upstream).key("Authorization", "Bearer own"));
    for (method, path, target) in [
        (
            "POST",
            "/up/v1/chat/completions?x=1",
            "/v1/chat/completions?x=1",
        ),
        ("GET", "/up/v1/models", "/v1/models"),
        ("PUT", "/up/any/%2Fpath//x", "/any/%2Fpath//x"),
        ("PATCH", "/up/", "/"),
        ("DELETE", "/up/v1/files/f", "/v1/files/f"),
    ] {
        let body = if method == "GET" { "" } else { "{ any: thing" };
        let client = Ask::new(method, path)
            .header("content-type", "text/plain")
            .body(body)
            .send(&server)
            .await;
        let mut call = upstream.call().await;
        assert_eq!(call.target(), format!("{method} {target}"));
        assert_eq!(call.text(), body);
        assert_eq!(call.headers.all("authorization"), ["Bearer own"]);
        call.write(crate::support::response(201, &[], "made")).await;
        let reply = client.reply().await.clean().await;
        assert_eq!((reply.status, reply.text().as_str()), (201, "made"));
    }
}

#[tokio::test]
async fn preserve_streams_both_ways() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&preserve(&upstream));
    let mut client = Client::connect(&server).await;
    client
        .write(
            "POST /up/v1/audio HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
    client.write(crate::support::chunk("one")).await;
    let mut call = upstream.head().await;
    assert_eq!(call.next_chunk().await.unwrap(), b"one");
    client.write(crate::support::chunk("two")).await;
    assert_eq!(call.next_chunk().await.unwrap(), b"two");
    client.write(crate::support::chunk("")).await;
    assert_eq!(call.next_chunk().await, None);
    call.write(crate::support::CHUNKED_HEAD).await;
    call.write(crate::support::chunk("data: first\n\n")).await;
    let mut reply = client.reply().await;
    reply.until("first").await;
    call.write(crate::support::chunk("half an eve")).await;
    reply.until("half an eve").await;
    call.write(crate::support::chunk("")).await;
    let reply = reply.clean().await;
    assert_eq!(reply.text(), "data: first\n\nhalf an eve");
}

#[tokio::test]
async fn preserve_names_the_model_of_a_json_body() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&preserve(&upstream));
    for (body, header) in [
        (r#"{"input":"x","model":"m1"}"#, Some("openai/m1")),
        (r#"{"input":"x"}"#, None),
    ] {
        let client = Ask::post("/up/v1/x", body).send(&server).await;
        let mut call = upstream.call().await;
        assert_eq!(call.text(), body);
        call.write(json_response(200, "{}")).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.headers.get("x-kong-llm-model"), header);
    }
}

#[tokio::test]
async fn preserve_limits_a_body_only_where_the_profile_states_a_limit() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&preserve(&upstream).line("ai-proxy", "max_request_body_size = 10"));
    let reply = Ask::post("/up/x", "12345678901").whole(&server).await;
    reply.fails_with(413, "request body too large");
    let client = Ask::post("/up/x", "1234567890").send(&server).await;
    let mut call = upstream.call().await;
    assert_eq!(call.text(), "1234567890");
    call.write(json_response(200, "{}")).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn path_of_a_profile_is_a_prefix_or_a_pattern() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile(
            "up",
            &ProfileText::openai(&upstream)
                .line("ai-proxy.model", r#"name = "$(uri_captures.model)""#)
                .line("aiproxy", r#"path = "~/deploy/(?<model>[a-z0-9-]+)/run$""#),
        )
        .profile(
            "prefix",
            &ProfileText::openai(&upstream).line("aiproxy", r#"path = "/team""#),
        )
        .start();
    let body = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let (call, _) = routed(
        &server,
        &mut upstream,
        Ask::post("/up/deploy/gpt-4/run", body),
    )
    .await;
    assert_eq!(call.json()["model"], "gpt-4");
    for path in [
        "/up/deploy/GPT/run",
        "/up",
        "/up/v1/chat/completions",
        "/up/deploy/x/run/more",
    ] {
        let reply = Ask::post(path, body).whole(&server).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let (call, _) = routed(
        &server,
        &mut upstream,
        Ask::post("/prefix/team/v1/chat/completions", chat("")),
    )
    .await;
    assert_eq!(call.target(), "POST /v1/chat/completions");
    let reply = Ask::post("/prefix/v1/chat/completions", chat(""))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 404, "{}", reply.text());
}

#[tokio::test]
async fn chat_over_http_2() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut h2 = H2::connect(&server).await;
    let request = H2::request(
        "POST",
        &server.address.to_string(),
        "/up/v1/chat/completions",
        &[("content-type", "application/json")],
        chat(""),
    );
    let sending = tokio::spawn(async move { h2.send(request).await.unwrap() });
    let mut call = upstream.call().await;
    assert_eq!(call.text(), chat(""));
    call.write(json_response(200, completion("ok"))).await;
    let response = sending.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(H2::body(response).await, completion("ok").as_bytes());
}
