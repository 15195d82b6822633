//! Who may talk to the listener (SPEC §4.9): attacks over real sockets.

use crate::support::{
    Ask, Client, H2, ProfileText, Server, Upstream, World, chat, completion, json_response,
};

/// `PORT` in a text is the server's.
fn with_port(text: &str, server: &Server) -> String {
    text.replace("PORT", &server.address.port().to_string())
}

async fn status_of(server: &Server, bytes: &str) -> u16 {
    let mut client = Client::connect(server).await;
    client.write(with_port(bytes, server)).await;
    client.reply().await.status
}

/// Host values and the status of a request that uses them.
const HOSTS: &[(&str, u16)] = &[
    ("localhost", 200),
    ("LocalHost:PORT", 200),
    ("127.0.0.1:PORT", 200),
    ("127.0.0.1", 200),
    ("127.0.0.1:1", 200),
    ("127.9.9.9", 200),
    ("[::1]:PORT", 200),
    ("evil.example", 403),
    ("evil.example:PORT", 403),
    ("localhost.evil.example", 403),
    ("127.0.0.1.evil.example", 403),
    ("127.0.0.1.nip.io:PORT", 403),
    ("localhostx", 403),
    ("xlocalhost", 403),
    ("0.0.0.0:PORT", 403),
    ("10.0.0.1", 403),
    ("[::]", 403),
    ("2130706433", 403),
    ("0x7f.1", 403),
    ("localhost@evil.example", 400),
    ("evil.example#localhost", 400),
    ("localhost:port", 400),
    ("localhost:99999", 400),
    ("localhost, evil.example", 400),
    ("", 400),
];

#[tokio::test]
async fn trap_2_18_hosts_over_http_1() {
    let server = Server::setup().built_in("mock").start();
    for (host, status) in HOSTS {
        for path in ["/v1/models", "/_aiproxy/health", "/mock/v1/models"] {
            let got = status_of(
                &server,
                &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            )
            .await;
            let refused = *status == 400 && matches!(got, 400 | 403);
            assert!(got == *status || refused, "{host:?} on {path}: {got}");
        }
    }
    for (head, status) in [
        ("GET /v1/models HTTP/1.1\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.0\r\n\r\n", 400),
        (
            "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
            400,
        ),
        (
            "GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nhost: localhost\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(status_of(&server, head).await, status, "{head:?}");
    }
}

#[tokio::test]
async fn trap_2_18_hosts_over_http_2() {
    let server = Server::setup().built_in("mock").start();
    let mut h2 = H2::connect(&server).await;
    for (authority, headers, status) in [
        ("localhost", vec![], 200),
        ("127.0.0.1:PORT", vec![], 200),
        ("[::1]:1", vec![], 200),
        ("evil.example", vec![], 403),
        ("localhost.evil.example", vec![], 403),
        ("localhost", vec![("host", "localhost")], 200),
        ("localhost", vec![("host", "evil.example")], 400),
        ("evil.example", vec![("host", "localhost")], 400),
    ] {
        let authority = with_port(authority, &server);
        for path in ["/v1/models", "/_aiproxy/health"] {
            let request = H2::request("GET", &authority, path, &headers, "");
            let got = h2.status(request).await;
            assert_eq!(got, status, "{authority} with {headers:?}");
        }
    }
}

#[tokio::test]
async fn hosts_named_by_allow_host_pass_exactly() {
    let server = Server::setup()
        .built_in("mock")
        .args(["--allow-host", "proxy.test", "--allow-host", "192.168.1.5"])
        .start();
    for (host, status) in [
        ("proxy.test", 200),
        ("Proxy.Test:PORT", 200),
        ("192.168.1.5:8080", 200),
        ("localhost", 200),
        ("sub.proxy.test", 403),
        ("proxy.test.evil.example", 403),
        ("proxy.tes", 403),
        ("192.168.1.55", 403),
    ] {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(status_of(&server, &head).await, status, "{host}");
    }
}

#[tokio::test]
async fn absolute_targets_and_connect_are_refused() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for head in [
        "GET http://localhost:PORT/v1/models HTTP/1.1\r\nhost: localhost:PORT\r\n\r\n",
        "GET http://localhost/_aiproxy/health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "GET http://evil.example/v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "CONNECT localhost:PORT HTTP/1.1\r\nhost: localhost:PORT\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let status = status_of(&server, head).await;
        assert!((400..500).contains(&status), "{head:?}: {status}");
    }
    let body = chat("");
    let status = status_of(
        &server,
        &format!(
            "POST http://localhost:PORT/up HTTP/1.1\r\nhost: localhost:PORT\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
    .await;
    assert!((400..500).contains(&status), "{status}");
    upstream.was_not_called();
    server.is_healthy().await;
}

#[tokio::test]
async fn connect_over_http_2_is_refused() {
    let server = Server::setup().built_in("mock").start();
    let mut h2 = H2::connect(&server).await;
    let mut request = H2::request("CONNECT", "localhost", "/", &[], "");
    *request.uri_mut() = "evil.example:443".parse().unwrap();
    if let Ok(response) = h2.send(request).await {
        assert!(response.status().is_client_error(), "{response:?}");
    }
    server.is_healthy().await;
}

/// Origins and the status of a request from them.
const ORIGINS: &[(&str, u16)] = &[
    ("http://localhost:PORT", 200),
    ("http://127.0.0.1:PORT", 200),
    ("http://[::1]:PORT", 200),
    ("https://evil.example", 403),
    ("http://evil.example:PORT", 403),
    ("http://localhost", 403),
    ("http://localhost:1", 403),
    ("https://localhost:PORT", 403),
    ("http://localhost:PORT.evil.example", 403),
    ("http://localhost.evil.example:PORT", 403),
    ("null", 403),
    ("", 403),
    ("file://", 403),
    ("chrome-extension://abc", 403),
    ("http://localhost:PORT/", 403),
];

#[tokio::test]
async fn trap_2_18_origins() {
    let server = Server::setup().built_in("mock").start();
    let mut h2 = H2::connect(&server).await;
    for (origin, status) in ORIGINS {
        let origin = with_port(origin, &server);
        for path in ["/v1/models", "/_aiproxy/health"] {
            let reply = Ask::get(path)
                .header("origin", &origin)
                .whole(&server)
                .await;
            assert_eq!(reply.status, *status, "{origin} on {path}");
            for (name, _) in &reply.headers.0 {
                assert!(
                    !name.starts_with("access-control-"),
                    "{origin} got CORS headers: {}",
                    reply.head
                );
            }
        }
        let reply = Ask::post(
            "/mock/v1/chat/completions",
            chat("").replace("m1", "mock-fast"),
        )
        .header("origin", &origin)
        .whole(&server)
        .await;
        assert_eq!(reply.status, *status, "{origin}: {}", reply.text());
        let request = H2::request("GET", "localhost", "/v1/models", &[("origin", &origin)], "");
        assert_eq!(h2.status(request).await, *status, "{origin} over HTTP/2");
    }
}

#[tokio::test]
async fn trap_2_18_pages_of_other_sites_without_an_origin() {
    let server = Server::setup().built_in("mock").start();
    for (headers, path, status) in [
        (vec![("sec-fetch-site", "cross-site")], "/v1/models", 403),
        (vec![("sec-fetch-site", "same-origin")], "/v1/models", 200),
        (vec![("sec-fetch-site", "none")], "/v1/models", 200),
        (
            vec![
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
            "/v1/models",
            403,
        ),
        (
            vec![
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            "/_aiproxy/health",
            403,
        ),
        (
            vec![
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            "/_aiproxy/ui",
            403,
        ),
    ] {
        let mut ask = Ask::get(path);
        for (name, value) in &headers {
            ask = ask.header(name, value);
        }
        assert_eq!(
            ask.whole(&server).await.status,
            status,
            "{headers:?} {path}"
        );
    }
    let page = Ask::get("/_aiproxy/ui")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .whole(&server)
        .await;
    assert_eq!(page.status, 200, "a link to the page works");
}

#[tokio::test]
async fn an_allowed_origin_gets_cors_answers_and_preflights() {
    let server = Server::setup()
        .built_in("mock")
        .args(["--allow-origin", "http://localhost:3000"])
        .start();
    let origin = "http://localhost:3000";
    let preflight = Ask::new("OPTIONS", "/mock/v1/chat/completions")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization, content-type, x-stainless-os",
        );
    let reply = preflight.whole(&server).await;
    assert!(matches!(reply.status, 200 | 204), "{}", reply.head);
    let get = |name| reply.headers.get(name).unwrap_or_default();
    assert_eq!(get("access-control-allow-origin"), origin);
    assert!(get("access-control-allow-methods").contains("POST"));
    for name in ["authorization", "content-type", "x-stainless-os"] {
        assert!(get("access-control-allow-headers").contains(name));
    }
    assert!(get("vary").to_ascii_lowercase().contains("origin"));

    let reply = Ask::get("/v1/models")
        .header("origin", origin)
        .header("sec-fetch-site", "cross-site")
        .whole(&server)
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.headers.all("access-control-allow-origin"),
        [origin],
        "never `*`"
    );
    // An error can be read by the page as well.
    let reply = Ask::post("/mock/v1/chat/completions", "{}")
        .header("origin", origin)
        .whole(&server)
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.headers.get("access-control-allow-origin"),
        Some(origin)
    );
    for other in [
        "http://localhost:3001",
        "http://localhost:30000",
        "https://localhost:3000",
    ] {
        let reply = preflight
            .clone()
            .instead("origin", Some(other))
            .whole(&server)
            .await;
        assert_eq!(reply.status, 403, "{other}");
        assert_eq!(reply.headers.get("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn an_upstream_cannot_open_the_listener_to_pages() {
    let upstream = Upstream::answering(crate::support::response(
        200,
        &[
            ("content-type", "application/json"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
        ],
        completion("ok"),
    ))
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn trap_2_18_a_form_cannot_post() {
    // What a page can send without a preflight.
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let reply = Ask::chat(chat(""))
            .instead("content-type", Some(content_type))
            .whole(&server)
            .await;
        assert_eq!(reply.status, 400);
    }
    upstream.was_not_called();
}

const TOKEN: &str = "tok-0123456789-secret";

#[tokio::test]
async fn a_token_is_accepted_in_each_place_and_never_reaches_the_upstream() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile(
            "up",
            &ProfileText::openai(&upstream).line("ai-proxy.auth", "allow_override = true"),
        )
        .args(["--token", TOKEN])
        .start();
    let bearer = format!("Bearer {TOKEN}");
    let lower = format!("bearer {TOKEN}");
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("authorization", &lower),
        ("x-api-key", TOKEN),
        ("api-key", TOKEN),
        ("x-goog-api-key", TOKEN),
        ("proxy-authorization", &bearer),
        ("?key=", TOKEN),
    ] {
        let path = "/up/v1/chat/completions";
        let ask = if name == "?key=" {
            Ask::post(&format!("{path}?a=1&key={value}&b=2"), chat(""))
        } else {
            Ask::post(&format!("{path}?a=1&b=2"), chat("")).header(name, value)
        };
        let client = ask.send(&server).await;
        let mut call = upstream.call().await;
        assert!(!call.head.contains(TOKEN), "{name}: {}", call.head);
        assert_eq!(call.target(), "POST /v1/chat/completions?a=1&b=2", "{name}");
        call.write(json_response(200, completion("ok"))).await;
        assert_eq!(client.reply().await.status, 200, "{name}");
    }
    // The client's own key passes beside the token, where the profile lets it.
    let client = Ask::chat(chat(""))
        .header("x-api-key", TOKEN)
        .header("authorization", "Bearer client-key")
        .send(&server)
        .await;
    let mut call = upstream.call().await;
    assert_eq!(call.headers.get("authorization"), Some("Bearer client-key"));
    assert!(!call.head.contains(TOKEN), "{}", call.head);
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn without_the_token_everything_is_401() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .variable("AIPROXY_TOKEN", TOKEN)
        .start();
    for (name, value) in [
        ("x-none", "1"),
        ("authorization", "Bearer wrong"),
        ("authorization", "Bearer "),
        ("authorization", &TOKEN[1..]),
        ("x-api-key", &TOKEN[..TOKEN.len() - 1]),
        ("x-api-key", ""),
        ("cookie", TOKEN),
    ] {
        for ask in [
            Ask::chat(chat("")),
            Ask::post("/v1/chat/completions", chat("")),
            Ask::get("/v1/models"),
            Ask::get("/up/v1/models"),
            Ask::get("/nothing"),
            Ask::get("/v1/models?key=wrong"),
        ] {
            let reply = ask.header(name, value).whole(&server).await;
            assert_eq!(reply.status, 401, "{name}: {value}: {}", reply.text());
            assert!(!reply.text().contains(TOKEN));
            reply.error();
        }
    }
    let reply = Ask::get("/v1/models")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 200);
    upstream.was_not_called();
}

#[tokio::test]
async fn listening_beyond_loopback_needs_a_token() {
    let world = World::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let ended = world
            .run(["serve", "--profile", "mock", "--listen", address])
            .exits(1);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert!(ended.stderr.contains("--token"), "{}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn h2c_is_by_prior_knowledge_only() {
    let server = Server::setup().built_in("mock").start();
    let reply = Ask::get("/v1/models")
        .header("connection", "upgrade, http2-settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA")
        .whole(&server)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.head);
}
