//! Texts that want to be more than a value: line ends and controls in names, steps up in paths, headers that a model wrote.

use serde_json::{Value, json};

use crate::support::{
    Ask, DONE, Headers, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta,
    json_response, role, stop,
};

/// Line ends, controls and other characters that mean something to HTTP, SSE, URLs or terminals.
const ODD: &[&str] = &[
    "m\r\nx-evil: 1",
    "m\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "m\nx-evil: 1",
    "m\rx-evil: 1",
    "m\u{0}x",
    "m\u{1b}[2Jx",
    "m\u{7f}",
    "m\u{85}x-evil: 1",
    "m\u{2028}x",
    "m\n\nevent: evil\ndata: {}\n\n",
    "m?x-evil=1#evil",
    "m x-evil",
    "m%0d%0ax-evil: 1",
    "../../evil",
    "..",
    "m\"},\"evil\":{\"",
];

/// A chat profile of a provider whose API root is the upstream.
fn of(provider: &str, upstream: &Upstream) -> ProfileText {
    let text = ProfileText::at(&format!("http://{}", upstream.address))
        .line("ai-proxy.model", format!("provider = \"{provider}\""))
        .key("x-own-key", "own-key-0123");
    match provider {
        "anthropic" => text.line(
            "ai-proxy.model.options",
            "anthropic_version = \"2023-06-01\"",
        ),
        "bedrock" => text
            .without("ai-proxy.auth")
            .line("ai-proxy.auth", "aws_access_key_id = \"AKIATEST\"")
            .line("ai-proxy.auth", "aws_secret_access_key = \"secret-key\"")
            .line(
                "ai-proxy.model.options",
                "bedrock.aws_region = \"eu-west-1\"",
            ),
        _ => text,
    }
}

/// Checks a head that was sent on, or came back: each line is one that belongs there.
#[track_caller]
fn is_sound(what: &str, head: &str) {
    let (first, rest) = head.split_once("\r\n").unwrap();
    let words: Vec<&str> = first.split(' ').collect();
    assert!(words.len() >= 3, "{what}: {first:?}");
    assert!(
        !rest.contains("\0") && !rest.contains('\u{1b}'),
        "{what}: {head:?}"
    );
    for line in rest.split("\r\n") {
        assert!(!line.contains(['\r', '\n']), "{what}: {line:?}");
    }
    let headers = Headers::parse(head);
    assert_eq!(headers.get("x-evil"), None, "{what}: {head}");
}

/// Whether a name in a path is one segment of it, and no step.
fn climbs_nowhere(path: &str) -> bool {
    let mut segments = path.split(['/', '?']);
    segments.all(|segment| !matches!(segment, "." | ".." | "evil"))
}

#[tokio::test]
async fn a_models_name_is_one_value() {
    for provider in [
        "openai",
        "anthropic",
        "gemini",
        "bedrock",
        "ollama",
        "cohere",
    ] {
        let upstream = Upstream::answering(json_response(500, "{}")).await;
        let server = Server::of(&of(provider, &upstream));
        for odd in ODD {
            let mut body: Value = serde_json::from_str(&chat("")).unwrap();
            body["model"] = (*odd).into();
            let before = upstream.seen().len();
            let reply = Ask::chat(body.to_string()).whole(&server).await;
            let what = format!("{provider} with {odd:?}");
            is_sound(&what, &reply.head);
            assert!(reply.status >= 400, "{what}: {}", reply.status);
            let seen = upstream.seen();
            assert!(seen.len() <= before + 1, "{what}: {seen:?}");
            for call in &seen[before..] {
                is_sound(&what, &call.head);
                let target = call.head.split(' ').nth(1).unwrap();
                assert!(climbs_nowhere(target), "{what}: {target}");
                if let Ok(sent) = serde_json::from_slice::<Value>(&call.body) {
                    let named = sent.get("model").is_none_or(|model| model == odd);
                    assert!(named && sent.get("evil").is_none(), "{what}: {sent}");
                }
            }
        }
    }
}

/// Where a template stands, what the request says there, and what becomes of it: the target that the upstream gets, or a refusal.
const TEMPLATES: &[(&str, &str, Result<&str, u16>)] = &[
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a",
        Ok("/a/chat"),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%2Fb",
        Ok("/a/b/chat"),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "..",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "..%2F..%2Fadmin",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "%252e%252e",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%252f..%252fadmin",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%5C..%5Cadmin",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "..%3Bx",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/.$(query_params.v)/chat'",
        ".",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%3Fadmin%3D1",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%23",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%0D%0Ax-evil%3A+1",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%20HTTP%2F1.1",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "a%00",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/$(query_params.v)/chat'",
        "%C3%BC",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/chat?api=$(query_params.v)'",
        "1",
        Ok("/chat?api=1"),
    ),
    (
        "upstream_url = 'BASE/chat?api=$(query_params.v)'",
        "1%26admin%3D1",
        Err(400),
    ),
    (
        "upstream_url = 'BASE/chat?api=$(query_params.v)'",
        "1%23",
        Err(400),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "127.0.0.1",
        Ok("/chat"),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "127.0.0.1%2Fadmin%3F",
        Err(400),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "evil.example%2F",
        Err(400),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "me%40127.0.0.1",
        Err(400),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "127.0.0.1%23",
        Err(400),
    ),
    (
        "upstream_url = 'http://$(query_params.v):PORT/chat'",
        "127.0.0.1%5Cx",
        Err(400),
    ),
    ("upstream_path = '/p/$(query_params.v)'", "a", Ok("/p/a")),
    (
        "upstream_path = '/p/$(query_params.v)'",
        "..%2Fadmin",
        Err(400),
    ),
    ("upstream_path = '/p/$(query_params.v)'", "a%3Fb", Err(400)),
    ("upstream_path = '/p/$(query_params.v)'", "a%0Ab", Err(400)),
];

#[tokio::test]
async fn a_templates_value_stays_where_it_is_put() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let port = upstream.address.port().to_string();
    for (line, value, expected) in TEMPLATES {
        let base = format!("http://{}/v1", upstream.address);
        let line = line.replace("BASE", &base).replace("PORT", &port);
        let profile = ProfileText::at(&base).line("ai-proxy.model.options", line.as_str());
        let profile = if line.starts_with("upstream_url") {
            profile.without("aiproxy")
        } else {
            profile
        };
        let server = Server::of(&profile);
        let before = upstream.seen().len();
        let reply = Ask::post(&format!("/up?v={value}"), chat(""))
            .whole(&server)
            .await;
        let what = format!("{line} with {value}: {}", reply.text());
        is_sound(&what, &reply.head);
        let seen = upstream.seen();
        match expected {
            Err(status) => {
                assert_eq!(reply.status, *status, "{what}");
                assert_eq!(seen.len(), before, "{what}");
            }
            Ok(target) => {
                assert_eq!(reply.status, 200, "{what}");
                let sent = seen.last().unwrap().head.split(' ').nth(1).unwrap();
                // The client's own query goes on, too.
                let root = if line.contains("BASE/") || line.contains("/v1/") {
                    "/v1"
                } else {
                    ""
                };
                let wanted = format!("{root}{target}");
                assert!(sent.starts_with(&wanted), "{what}: {sent}");
            }
        }
    }
}

#[tokio::test]
async fn templates_of_names_and_headers_hold_one_value() {
    let upstream = Upstream::answering(json_response(500, "{}")).await;
    for (provider, table, line) in [
        ("openai", "ai-proxy.model", "name = \"x-$(query_params.v)\""),
        ("gemini", "ai-proxy.model", "name = \"$(query_params.v)\""),
        (
            "anthropic",
            "ai-proxy.model.options",
            "anthropic_version = \"$(query_params.v)\"",
        ),
    ] {
        let server = Server::of(&of(provider, &upstream).line(table, line));
        for odd in ODD {
            let value: String = url::form_urlencoded::byte_serialize(odd.as_bytes()).collect();
            let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
            let body = match table {
                "ai-proxy.model" => body.to_owned(),
                _ => chat(""),
            };
            let before = upstream.seen().len();
            let reply = Ask::post(&format!("/up?v={value}"), body)
                .whole(&server)
                .await;
            let what = format!("{provider}: {line} with {odd:?}");
            is_sound(&what, &reply.head);
            for call in &upstream.seen()[before..] {
                is_sound(&what, &call.head);
                let path = call.head.split([' ', '?']).nth(1).unwrap();
                assert!(climbs_nowhere(path), "{what}: {path}");
            }
        }
    }
}

/// Paths that step up, on the way to an upstream that is given a part of a host.
#[tokio::test]
async fn a_path_that_steps_up_goes_nowhere() {
    let mut upstream = Upstream::start().await;
    let at = format!("http://{}/root", upstream.address);
    let plain = ProfileText::default().line("upstream", format!("url = \"{at}\""));
    let forward = ProfileText::at(&at).line("aiproxy", "other_paths = \"forward\"");
    let preserve = ProfileText::at(&at).line("ai-proxy", "route_type = \"preserve\"");
    let server = Server::setup()
        .profile("plain", &plain)
        .profile("forward", &forward)
        .profile("preserve", &preserve)
        .start();
    for profile in ["plain", "forward", "preserve"] {
        for path in [
            "/..",
            "/../admin",
            "/./x",
            "/a/../../admin",
            "/v1/../../admin",
            "/%2e%2e/admin",
            "/%2E./admin",
            "/a%2f..%2f..%2fadmin",
            "/a\\..\\admin",
            "/..%5cadmin",
            "/..;/admin",
        ] {
            for method in ["GET", "POST"] {
                let ask = Ask::new(method, &format!("/{profile}{path}"));
                let reply = ask.whole(&server).await;
                assert!(
                    matches!(reply.status, 400 | 404),
                    "{method} /{profile}{path}: {}",
                    reply.head
                );
            }
        }
    }
    upstream.was_not_called();
    // Dots alone are no crime.
    let client = Ask::get("/plain/v1..2/.hidden/a...b").send(&server).await;
    assert_eq!(
        upstream.call().await.target(),
        "GET /root/v1..2/.hidden/a...b"
    );
    drop(client);
}

/// A transformer's LLM answers `told`; what the client gets.
async fn instructed(told: &str) -> (crate::support::Reply, Upstream) {
    let upstream = Upstream::answering(json_response(200, "{}")).await;
    let llm = Upstream::answering(json_response(200, completion(told))).await;
    let table = "ai-response-transformer";
    let profile = ProfileText::default()
        .line("upstream", format!("url = \"http://{}\"", upstream.address))
        .line(table, "prompt = \"Change it\"")
        .line(table, "parse_llm_response_json_instructions = true")
        .line(
            "ai-response-transformer.llm",
            "route_type = \"llm/v1/chat\"",
        )
        .line("ai-response-transformer.llm.model", "provider = \"openai\"")
        .line("ai-response-transformer.llm.model", "name = \"gpt-4\"")
        .line(
            "ai-response-transformer.llm.model.options",
            format!("upstream_url = \"http://{}/llm\"", llm.address),
        );
    let server = Server::of(&profile);
    (Ask::post("/up", "{}").whole(&server).await, upstream)
}

#[tokio::test]
async fn a_models_instructions_do_not_frame_the_answer() {
    let headers = json!({
        "x-fine": "1",
        "Connection": "close, x-listed",
        "x-listed": "1",
        "Keep-Alive": "timeout=1",
        "Proxy-Connection": "close",
        "Proxy-Authenticate": "Basic",
        "Proxy-Authorization": "Basic eA==",
        "TE": "trailers",
        "Trailer": "x-evil",
        "Transfer-Encoding": "chunked",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
        "Content-Length": "1",
        "Content-Encoding": "gzip",
        "Content-Range": "bytes 0-0/4",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "x-aiproxy-exchange": "forged",
        "x-aiproxy-warnings": "forged",
        "x-aiproxy-stream": "forged",
    });
    let told = json!({"status": 202, "headers": headers, "body": "four"});
    let (reply, _upstream) = instructed(&told.to_string()).await;
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (202, "four"),
        "{}",
        reply.head
    );
    assert_eq!(reply.headers.get("x-fine"), Some("1"));
    assert_eq!(reply.headers.all("content-length"), ["4"]);
    for (name, value) in headers.as_object().unwrap() {
        let name = name.to_ascii_lowercase();
        if matches!(
            name.as_str(),
            "x-fine" | "content-length" | "x-aiproxy-exchange"
        ) {
            continue;
        }
        assert_eq!(reply.headers.get(&name), None, "{name}: {value}");
    }
    assert_ne!(reply.headers.get("x-aiproxy-exchange"), Some("forged"));
}

#[tokio::test]
async fn a_models_instructions_end_no_line_and_begin_no_answer() {
    for told in [
        json!({"headers": {"x-a": "1\r\nx-evil: 1"}}),
        json!({"headers": {"x-a": "1\nx-evil: 1"}}),
        json!({"headers": {"x-a": "1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"}}),
        json!({"headers": {"x-a": "a\u{0}b"}}),
        json!({"headers": {"x-a": "a\u{1b}[2Jb"}}),
        json!({"headers": {"x-a\r\nx-evil": "1"}}),
        json!({"headers": {"x-a: 1\r\nx-evil": "1"}}),
        json!({"headers": {"x a": "1"}}),
        json!({"headers": {"": "1"}}),
        json!({"headers": {":status": "200"}}),
        json!({"headers": {"x-a": ["fine", "1\r\nx-evil: 1"]}}),
        json!({"status": 100}),
        json!({"status": 101}),
        json!({"status": 103}),
        json!({"status": "199"}),
        json!({"status": 0}),
        json!({"status": -200}),
        json!({"status": 1000}),
        json!({"status": 200.5}),
        json!({"status": "200 OK\r\nx-evil: 1"}),
    ] {
        let (reply, _upstream) = instructed(&told.to_string()).await;
        assert_eq!(reply.status, 500, "{told}: {}", reply.head);
        is_sound(&told.to_string(), &reply.head);
        let message = reply.error();
        assert!(
            message.starts_with("failed to parse JSON response instructions"),
            "{message}"
        );
        assert!(
            !message.contains(['\r', '\n', '\0', '\u{1b}']),
            "{message:?}"
        );
    }
}

/// What an upstream puts into names ends no event of the client's stream.
#[tokio::test]
async fn names_of_tools_begin_no_event() {
    for odd in ODD {
        let call = json!({"index": 0, "id": odd, "type": "function", "function": {"name": odd, "arguments": "{}"}});
        let piece = json!({"id": odd, "object": "chat.completion.chunk", "created": 1, "model": odd,
            "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]});
        let events = [
            role(),
            delta(odd),
            format!("data: {piece}\n\n"),
            stop(),
            DONE.into(),
        ];
        let upstream =
            Upstream::answering(format!("{STREAM_HEAD}{}", events.concat()).into_bytes()).await;
        let server = Server::of(
            &ProfileText::openai(&upstream)
                .line(
                    "ai-proxy.model.options",
                    format!("upstream_url = \"http://{}/chat\"", upstream.address),
                )
                .without("aiproxy"),
        );
        let tools = json!([{"type": "function", "name": odd, "parameters": {"type": "object"},
            "function": {"name": odd, "parameters": {"type": "object"}}, "input_schema": {"type": "object"}}]);
        let messages = json!([{"role": "user", "content": "hi"}]);
        for (path, body) in [
            (
                "/up/v1/chat/completions",
                json!({"model": "m", "stream": true, "tools": tools, "messages": messages}),
            ),
            (
                "/up/v1/messages",
                json!({"model": "m", "stream": true, "max_tokens": 9, "tools": tools, "messages": messages}),
            ),
            (
                "/up/v1/responses",
                json!({"model": "m", "stream": true, "tools": tools, "input": "hi"}),
            ),
        ] {
            let reply = Ask::post(path, body.to_string()).whole(&server).await;
            let what = format!("{path} with {odd:?}");
            is_sound(&what, &reply.head);
            let text = reply.text();
            assert!(text.len() > 20, "{what}: {} {text}", reply.head);
            for line in text.lines().filter(|line| !line.is_empty()) {
                let data = line.strip_prefix("data: ").filter(|data| *data != "[DONE]");
                let json = data.is_none_or(|data| serde_json::from_str::<Value>(data).is_ok());
                let known = ["data: ", "event: ", ": "]
                    .iter()
                    .any(|start| line.starts_with(start));
                let whole = reply.status != 200;
                assert!(whole || json && known, "{what}: {line:?}");
                assert!(
                    !line.starts_with("event: evil") && !line.starts_with("x-evil"),
                    "{what}: {line:?}"
                );
            }
        }
    }
}

/// Names of what could not be carried go into a header.
#[tokio::test]
async fn warnings_hold_one_value() {
    let upstream = Upstream::answering(json_response(500, "{}")).await;
    let server = Server::of(&of("anthropic", &upstream));
    for odd in ODD {
        let mut body: Value = serde_json::from_str(&chat(r#""logprobs":true"#)).unwrap();
        body[*odd] = true.into();
        body["tools"] = json!([{"type": "function", "function": {"name": odd, "parameters": {"type": "object", (*odd): 1}}}]);
        let reply = Ask::chat(body.to_string()).whole(&server).await;
        is_sound(&format!("{odd:?}"), &reply.head);
    }
}

/// What a client asks for comes back in errors: on one line, without controls.
#[tokio::test]
async fn errors_repeat_no_control_characters() {
    let server = Server::setup().built_in("mock").start();
    for path in [
        "/no%1b%5b2Jsuch/v1",
        "/v1/models/x%1b%5b2J%0d%0a",
        "/_aiproxy/x%1b",
        "/mock/v1/x%0a",
    ] {
        let reply = Ask::get(path).whole(&server).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.head);
        is_sound(path, &reply.head);
        let message = reply.error();
        assert!(
            !message.chars().any(char::is_control),
            "{path}: {message:?}"
        );
    }
    for host in ["evil\u{1b}.example", "evil\u{9b}.example"] {
        let ask = Ask::get("/v1/models").no_host().header("host", host);
        let reply = ask.whole(&server).await;
        assert!(matches!(reply.status, 400 | 403), "{}", reply.head);
        assert!(
            !reply.text().contains(['\u{1b}', '\u{9b}']),
            "{:?}",
            reply.text()
        );
    }
}
