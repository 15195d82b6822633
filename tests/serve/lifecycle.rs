//! Start, stop, and connections.

use std::time::{Duration, Instant};

use crate::support::{
    Ask, Client, DONE, H2, ProfileText, STREAM_HEAD, Server, Upstream, World, chat, completion,
    delta, json_response, stop,
};

async fn drains_on(signal: &str) {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--drain", "20"])
        .start();
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("one"))).await;
    let mut reply = client.reply().await;
    reply.until("one").await;
    let Server {
        mut process,
        address,
        world,
    } = server;
    process.signal(signal);
    process.until("a note", |process| !process.stderr().is_empty());
    // Nobody new gets in.
    let late = tokio::net::TcpStream::connect(address).await;
    assert!(late.is_err(), "it still accepts");
    assert!(process.runs());
    call.write(format!("{}{}{DONE}", delta("two"), stop()))
        .await;
    call.finish().await;
    let reply = reply.clean().await;
    assert!(reply.body.ends_with(DONE.as_bytes()));
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    drop(world);
}

#[tokio::test]
async fn sigterm_lets_a_stream_end() {
    drains_on("TERM").await;
}

#[tokio::test]
async fn sigint_lets_a_stream_end() {
    drains_on("INT").await;
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let server = Server::setup()
        .built_in("mock")
        .args(["--drain", "20"])
        .start();
    // An idle connection does not hold it up.
    let client = Client::connect(&server).await;
    let mut h2 = H2::connect(&server).await;
    let health = H2::request("GET", "localhost", "/_aiproxy/health", &[], "");
    assert_eq!(h2.status(health).await, 200);
    let Server { process, .. } = server;
    let began = Instant::now();
    process.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(client);
}

#[tokio::test]
async fn a_drain_of_zero_cuts() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--drain", "0"])
        .start();
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("one"))).await;
    let mut reply = client.reply().await;
    reply.until("one").await;
    let Server { process, .. } = server;
    process.signal("TERM");
    let began = Instant::now();
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        reply.whole().await.end,
        Some(crate::support::End::Cut),
        "nobody may take it for whole"
    );
    call.loses_its_client().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .args(["--drain", "60"])
        .start();
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let call = upstream.call().await;
    let Server { mut process, .. } = server;
    process.signal("INT");
    process.until("a note", |process| !process.stderr().is_empty());
    process.signal("INT");
    let began = Instant::now();
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_ne!(ended.status.code(), Some(0));
    drop((client, call));
}

#[tokio::test]
async fn a_port_in_use_is_told_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let world = World::new();
    let ended = world
        .run(["serve", "--profile", "mock", "--listen", &address])
        .exits(1);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn a_broken_profile_that_was_asked_for_stops_the_start() {
    for (text, words) in [
        ("[ai-proxy", "broken.toml:1"),
        (
            "[ai-proxy]\nroute_typ = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n",
            "route_type",
        ),
        (
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = 7\n",
            "broken.toml:4",
        ),
    ] {
        let world = World::new();
        world.profile("broken", text);
        let folder = world.profiles();
        let ended = world
            .run([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--profile",
                "mock",
                "--profile",
                "broken",
                "--profiles",
                folder.to_str().unwrap(),
            ])
            .exits(1);
        assert!(ended.stderr.starts_with("error"), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn a_profile_that_is_not_there_stops_the_start() {
    let world = World::new();
    let ended = world
        .run(["serve", "--listen", "127.0.0.1:0", "--profile", "mok"])
        .exits(1);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("mok"), "{}", ended.stderr);
    assert!(ended.stderr.contains("mock"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut client = Client::connect(&server).await;
    for number in 0..3 {
        client.write(Ask::chat(chat("")).bytes()).await;
        let mut call = upstream.call().await;
        let body = completion(&number.to_string());
        call.write(json_response(200, &body)).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.text(), body);
        client = reply.client();
        // An error in between leaves the connection as it is.
        client.write(Ask::chat("{").bytes()).await;
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 400);
        client = reply.client();
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::playing(|mut call| async move {
        let user = call.json()["user"].as_str().unwrap().to_owned();
        call.write(json_response(200, completion(&user))).await;
        call.finish().await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut client = Client::connect(&server).await;
    let ask = |user: &str| Ask::chat(chat(&format!(r#""user":"{user}""#))).bytes();
    let all = [
        ask("a"),
        ask("b"),
        Ask::get("/_aiproxy/health").bytes(),
        ask("c"),
    ]
    .concat();
    client.write(all).await;
    for expected in ["\"a\"", "\"b\"", "\"status\"", "\"c\""] {
        let reply = client.reply().await.clean().await;
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains(expected), "{}", reply.text());
        client = reply.client();
    }
}

#[tokio::test]
async fn an_upstream_s_connection_is_used_again() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let answer = |text: &str| {
        let body = completion(text);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    call.write(answer("first")).await;
    client.reply().await.clean().await;
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = call.next().await;
    call.write(answer("second")).await;
    assert!(client.reply().await.clean().await.text().contains("second"));
    // The connection dies while it is idle: the next request goes to another one, unnoticed.
    drop(call);
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    call.write(answer("third")).await;
    assert!(client.reply().await.clean().await.text().contains("third"));
}

/// Some servers close soon after each answer, and do not say so. The next request may come on another thread than the one that would be told.
#[tokio::test]
async fn an_upstream_that_closes_after_each_answer_is_asked_anew() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let body = completion("here");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..100 {
        let client = Ask::chat(chat("")).send(&server).await;
        let mut call = upstream.call().await;
        call.write(answer.clone()).await;
        assert_eq!(client.reply().await.clean().await.status, 200);
        drop(call);
    }
}

#[tokio::test]
async fn many_requests_share_a_connection_of_http_2() {
    let upstream = Upstream::playing(|mut call| async move {
        let user = call.json()["user"].as_str().unwrap().to_owned();
        call.write(json_response(200, completion(&user))).await;
        call.finish().await;
    })
    .await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let h2 = H2::connect(&server).await;
    let authority = server.address.to_string();
    let requests: Vec<_> = (0..20)
        .map(|number| {
            let mut h2 = h2.clone();
            let request = H2::request(
                "POST",
                &authority,
                "/up",
                &[("content-type", "application/json")],
                chat(&format!(r#""user":"u{number}""#)),
            );
            tokio::spawn(async move {
                let response = h2.send(request).await.unwrap();
                assert_eq!(response.status(), 200);
                let body = String::from_utf8(H2::body(response).await).unwrap();
                assert!(body.contains(&format!("\"u{number}\"")), "{body}");
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn the_banner_tells_the_base_url_of_each_profile() {
    let upstream = Upstream::start().await;
    let server = Server::setup()
        .profile("up", &ProfileText::openai(&upstream))
        .profile(
            "keyless",
            &ProfileText::openai(&upstream).key("Authorization", "{vault://env/no-such-key}"),
        )
        .built_in("mock")
        .start();
    let mut process = server.process;
    let url = format!("http://{}", server.address);
    process.until("the banner", |process| {
        let banner = process.stdout();
        ["up", "keyless", "mock"]
            .iter()
            .all(|name| banner.contains(&format!("{url}/{name}/v1")))
    });
    let banner = process.stdout();
    assert!(!banner.contains('\u{1b}'), "no colours in a pipe: {banner}");
}

#[tokio::test]
async fn expect_100_continue_is_answered() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut client = Client::connect(&server).await;
    let body = chat("");
    client
        .write(format!(
            "POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    client.write(&body).await;
    let mut call = upstream.call().await;
    assert_eq!(call.headers.get("expect"), None);
    call.write(json_response(200, completion("ok"))).await;
    assert_eq!(client.reply().await.status, 200);
}
