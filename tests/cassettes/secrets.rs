//! A cassette goes into a repository: no key is ever in it.

use crate::{
    exported, lines, pieces,
    support::{
        Ask, CHUNKED_HEAD, DONE, ProfileText, Server, Upstream, chat, chunk, delta, role, stop,
    },
};

const KEY: &str = "sk-planted/key+0123456789";

#[tokio::test]
async fn a_planted_key_is_nowhere_and_the_rest_plays() {
    let said = format!("I was told {KEY} and keep it");
    let script = [role(), delta(&said), delta("."), stop() + DONE];
    let upstream = Upstream::playing(move |mut call| {
        let script = script.clone();
        async move {
            let head = CHUNKED_HEAD.replace(
                "\r\n\r\n",
                &format!("\r\nx-echo: {KEY}\r\nset-cookie: s={KEY}\r\n\r\n"),
            );
            call.write(head).await;
            for piece in script {
                call.write(chunk(piece)).await;
            }
            call.write("0\r\n\r\n").await;
            call.finish().await;
        }
    })
    .await;
    let profile = ProfileText::openai(&upstream).key("Authorization", &format!("Bearer {KEY}"));
    let server = Server::of(&profile);
    let body = chat(&format!(
        r#""stream":true,"note":"the key is {KEY}, really""#
    ));
    let ask = Ask::post(&format!("/up/v1/chat/completions?key={KEY}&b=1"), body)
        .header("authorization", "Bearer sk-of-the-client-0001")
        .header("cookie", "session=of-the-client-0002")
        .header("x-team-token", "of-the-client-0003");
    let first = ask.whole(&server).await;
    assert!(
        first.text().contains(KEY),
        "the client has what the provider said"
    );
    let (file, text) = exported(&server);
    for secret in [KEY, "planted", "of-the-client"] {
        assert!(!text.contains(secret), "{secret} is in the file: {text}");
    }
    let all = lines(&text);
    let received = &all[0]["received"];
    assert_eq!(pieces(received)[1], delta("I was told *** and keep it"));
    assert_eq!(pieces(received).len(), 4);
    drop((server, upstream));

    let setup = Server::setup().profile("up", &profile);
    let server = setup.args(["--replay", file.to_str().unwrap()]).start();
    let again = ask.whole(&server).await;
    assert_eq!(
        (again.status, again.text()),
        (200, first.text().replace(KEY, "***"))
    );
    // What a miss says has no key in it either.
    let reply = Ask::post(&format!("/up/v1/chat/completions?key={KEY}&b=2"), chat(""))
        .whole(&server)
        .await;
    assert_eq!(reply.status, 404);
    assert!(!reply.text().contains(KEY), "{}", reply.text());
}
