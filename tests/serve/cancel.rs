//! A client that leaves cancels the upstream request at once (SPEC §4.10, TRAPS 2.9).

use crate::support::{
    Ask, H2, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta, soon,
};

#[tokio::test]
async fn trap_2_9_leaving_before_the_first_byte_cancels_upstream() {
    for extra in ["", r#""stream":true"#] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&ProfileText::openai(&upstream));
        let client = Ask::chat(chat(extra)).send(&server).await;
        let call = upstream.call().await;
        drop(client);
        call.loses_its_client().await;
        server.is_healthy().await;
    }
}

#[tokio::test]
async fn trap_2_9_leaving_in_the_middle_of_a_stream_cancels_upstream() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("seen"))).await;
    let mut reply = client.reply().await;
    reply.until("seen").await;
    drop(reply);
    // The upstream writes nothing: leaving is noticed all the same.
    call.loses_its_client().await;
    server.is_healthy().await;
}

#[tokio::test]
async fn trap_2_9_leaving_while_the_opening_is_held_cancels_upstream() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}: ping\n\n")).await;
    drop(client);
    call.loses_its_client().await;
}

#[tokio::test]
async fn leaving_in_the_middle_of_a_whole_answer_cancels_upstream() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    let body = completion("x");
    call.write(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..10]
    ))
    .await;
    drop(client);
    call.loses_its_client().await;
    server.is_healthy().await;
}

#[tokio::test]
async fn leaving_an_unread_answer_cancels_upstream() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"other_paths = "forward""#);
    let server = Server::of(&profile);
    let client = Ask::get("/up/v1/files/f/content").send(&server).await;
    let mut call = upstream.call().await;
    call.write("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 1000\r\n\r\nabc")
        .await;
    let mut reply = client.reply().await;
    reply.until("abc").await;
    drop(reply);
    call.loses_its_client().await;
}

#[tokio::test]
async fn resetting_a_stream_of_http_2_cancels_upstream_and_keeps_the_connection() {
    use http_body_util::BodyExt;

    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut h2 = H2::connect(&server).await;
    let request = H2::request(
        "POST",
        &server.address.to_string(),
        "/up/v1/chat/completions",
        &[("content-type", "application/json")],
        chat(r#""stream":true"#),
    );
    let mut sender = h2.clone();
    let sending = tokio::spawn(async move { sender.send(request).await.unwrap() });
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("seen"))).await;
    let mut response = sending.await.unwrap();
    soon("a frame", response.body_mut().frame()).await;
    drop(response);
    call.loses_its_client().await;
    let health = H2::request("GET", "localhost", "/_aiproxy/health", &[], "");
    assert_eq!(h2.status(health).await, 200);
}

#[tokio::test]
async fn a_client_that_half_closes_after_its_request_still_gets_its_answer_or_cancels() {
    // RFC 9112 §9.6 lets a server take a half-close for a departure; what may not happen is a request that hangs.
    let mut upstream = Upstream::start().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let mut client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    client.half_close().await;
    let body = completion("x");
    let _ = call
        .try_write(crate::support::json_response(200, body))
        .await;
    let rest = client.rest().await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 200"));
    server.is_healthy().await;
}
