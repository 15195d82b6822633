//! Servers that are not there yet, break off, come back, and refuse.

use serde_json::json;

use crate::{
    script::{A, B, answer, call, closed, event, events, opening, tail, text},
    support::{Upstream, World, json_response},
};

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_a_server() {
    let address = Upstream::nobody().await;
    let world = World::new();
    let mut command = world.aiproxy(["tail", "--server", &address.to_string()]);
    command.env("TZ", "UTC");
    let mut process = crate::support::Process::start(command);
    process.until("the note", |process| {
        process.stderr().contains("waiting for one")
    });
    let mut server = Upstream::at(address).await;
    let mut call = events(&mut server).await;
    call.write(opening(1, A, "hi")).await;
    process.until("the header", |process| process.stdout().contains("k3f9"));
    process.signal("INT");
    let ended = process.end().exits(0);
    assert_eq!(
        ended.stderr.matches("waiting").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains(&format!("no aiproxy answers at http://{address}")),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_resumed() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut first = events(&mut server).await;
    assert_eq!(first.headers.get("last-event-id"), None);
    let half = text(5, A, "never whole");
    first
        .write(opening(1, A, "hi") + &text(4, A, "one ") + &half[..half.len() - 9])
        .await;
    process.until("the text", |process| process.stdout().contains("one "));
    first.finish().await;
    let mut second = events(&mut server).await;
    assert_eq!(second.headers.get("last-event-id"), Some("4"));
    second
        .write(text(5, A, "two") + &closed(6, A) + &opening(7, B, "more"))
        .await;
    process.until("the end", |process| process.stdout().contains("a81x"));
    process.signal("INT");
    let ended = process.end().exits(0);
    assert!(
        ended
            .stdout
            .starts_with("k3f9 14:03:21 up mock/gpt-5 · hi\none two\nk3f9 ok 200"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_anew_is_followed() {
    let mut server = Upstream::start().await;
    let address = server.address;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut first = events(&mut server).await;
    first
        .write(opening(101, A, "hi") + &text(104, A, "cut "))
        .await;
    process.until("the text", |process| process.stdout().contains("cut "));
    drop(server);
    first.reset();
    process.until("the note", |process| {
        process.stderr().contains("waiting for one")
    });
    // Its numbers begin anew, and it knows nothing of what was.
    let mut server = Upstream::at(address).await;
    let mut second = events(&mut server).await;
    assert_eq!(second.headers.get("last-event-id"), Some("104"));
    second
        .write(opening(1, B, "more") + &text(4, B, "new"))
        .await;
    let error = json!({"error": {"message": "no exchange `k3f9000000`"}});
    answer(
        &mut server,
        "GET /_aiproxy/exchanges/k3f9000000",
        404,
        &error,
    )
    .await;
    process.until("the new one", |process| {
        process
            .stdout()
            .contains("a81x 14:03:21 up mock/gpt-5 · more\nnew")
    });
    second.write(closed(5, B)).await;
    process.until("its end", |process| {
        process.stdout().contains("a81x ok 200")
    });
    assert!(
        process
            .stdout()
            .contains("cut \nk3f9 lost: the server does not know it any more\n"),
        "{}",
        process.stdout()
    );
    process.signal("INT");
    process.end().exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_asked_for() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut call = events(&mut server).await;
    let lost = event(9, "", &json!({"type": "lost", "events": 4}));
    call.write(opening(1, A, "hi") + &text(4, A, "one ") + &lost)
        .await;
    let mut detail = crate::script::summary(A);
    detail["parts"] = json!([{"choice": 0, "kind": "text", "text": "one two"}]);
    answer(
        &mut server,
        "GET /_aiproxy/exchanges/k3f9000000",
        200,
        &detail,
    )
    .await;
    process.until("the end", |process| {
        process.stdout().contains("k3f9 ok 200")
    });
    let stdout = process.stdout();
    assert!(
        stdout.starts_with(
            "k3f9 14:03:21 up mock/gpt-5 · hi\none \nwarning: 4 events were lost: the reader of this output is too slow\ntwo\nk3f9 ok"
        ),
        "{stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_an_error() {
    for (health, status, message) in [
        (false, 404, "`/_aiproxy/events` is nothing"),
        (false, 400, "`failed=perhaps` is neither 1 nor 0"),
        (true, 401, "it asks for a token"),
    ] {
        let mut server = Upstream::start().await;
        let world = World::new();
        let process = tail(&world, &server, &[]);
        let body = json!({"error": {"message": message}}).to_string();
        let mut refused = if health {
            server.call().await
        } else {
            call(&mut server).await
        };
        refused.write(json_response(status, body)).await;
        refused.finish().await;
        let ended = process.end().exits(1);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
        assert!(!ended.stderr.contains("waiting"), "{}", ended.stderr);
    }
    let ended = World::new().run(["tail", "--server", "ftp://x"]).exits(2);
    assert!(ended.stderr.contains("is no URL"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_trouble_is_asked_again() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut refused = call(&mut server).await;
    refused.write(json_response(503, "{}")).await;
    refused.finish().await;
    let mut call = events(&mut server).await;
    call.write(opening(1, A, "hi")).await;
    process.until("the header", |process| process.stdout().contains("k3f9"));
}
