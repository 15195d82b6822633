//! The three time-outs, with SPEC §4.10's words.

use tokio::net::TcpSocket;

use crate::support::{
    Ask, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion, delta, payloads, role,
};

fn limited(upstream: &Upstream, key: &str, ms: u32) -> ProfileText {
    ProfileText::openai(upstream).line("aiproxy", format!("{key} = {ms}"))
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504() {
    for extra in ["", r#""stream":true"#] {
        let mut upstream = Upstream::start().await;
        let server = Server::of(&limited(&upstream, "first_byte_timeout", 300));
        let client = Ask::chat(chat(extra)).send(&server).await;
        let call = upstream.call().await;
        let reply = client.reply().await.whole().await;
        reply.fails_with(
            504,
            "upstream did not answer within 300 ms (first_byte_timeout)",
        );
        call.loses_its_client().await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_upstream_that_does_not_accept_is_504() {
    // A listener whose queue is full: further connections hang.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(std::time::Duration::from_millis(100), connecting).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let profile =
        ProfileText::at(&format!("http://{address}/v1")).line("aiproxy", "connect_timeout = 300");
    let server = Server::of(&profile);
    let reply = Ask::chat(chat("")).whole(&server).await;
    reply.fails_with(
        504,
        "upstream did not connect within 300 ms (connect_timeout)",
    );
    drop((listener, queue));
}

#[tokio::test]
async fn a_whole_answer_that_does_not_go_on_is_504() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&limited(&upstream, "idle_timeout", 300));
    let client = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    let body = completion("never whole");
    let (half, _) = body.split_at(body.len() / 2);
    let length = body.len();
    call.write(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{half}"
    ))
    .await;
    let reply = client.reply().await.whole().await;
    reply.fails_with(
        504,
        "upstream did not continue within 300 ms (idle_timeout)",
    );
    call.loses_its_client().await;
}

#[tokio::test]
async fn trap_2_2_a_stream_that_falls_silent_ends_in_an_error_that_names_the_key() {
    let mut upstream = Upstream::start().await;
    let server = Server::of(&limited(&upstream, "idle_timeout", 300));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("seen"))).await;
    let reply = client.reply().await.clean().await;
    let events = payloads(&reply.body);
    assert_eq!(events.len(), 2, "{}", reply.text());
    let last: serde_json::Value = serde_json::from_str(&events[1]).unwrap();
    assert_eq!(
        last["error"]["message"],
        "upstream did not continue within 300 ms (idle_timeout)"
    );
    assert!(!reply.text().contains("[DONE]"));
    call.loses_its_client().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_before_its_content_is_504() {
    // Within the second in which an error is still a status (SPEC §4.4).
    let mut upstream = Upstream::start().await;
    let server = Server::of(&limited(&upstream, "idle_timeout", 300));
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", role())).await;
    let reply = client.reply().await.whole().await;
    reply.fails_with(
        504,
        "upstream did not continue within 300 ms (idle_timeout)",
    );
    call.loses_its_client().await;
}

#[tokio::test]
async fn a_stream_may_be_longer_than_its_time_outs() {
    let mut upstream = Upstream::start().await;
    let profile = limited(&upstream, "idle_timeout", 1500)
        .line("aiproxy", "first_byte_timeout = 1500")
        .line("aiproxy", "connect_timeout = 1500");
    let server = Server::of(&profile);
    let client = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(format!("{STREAM_HEAD}{}", delta("0"))).await;
    let mut reply = client.reply().await;
    // Each pause is well within the limit, all together are beyond it.
    for number in 1..=5 {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let event = delta(&number.to_string());
        call.write(&event).await;
        reply.until(&event).await;
    }
}
