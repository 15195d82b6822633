//! Files and the history on disk.

use crate::{
    export_to, exported, lines,
    support::{
        Ask, CHUNKED_HEAD, DONE, ProfileText, Server, Upstream, World, chat, chunk, completion,
        delta, json_response, stop,
    },
};

async fn upstream() -> Upstream {
    Upstream::playing(|mut call| async move {
        if call.text().contains("stream") {
            call.write(CHUNKED_HEAD).await;
            for piece in [delta("Streamed "), delta("needle") + &stop() + DONE] {
                call.write(chunk(piece)).await;
            }
            call.write("0\r\n\r\n").await;
        } else {
            call.write(json_response(200, completion("Whole"))).await;
        }
        call.finish().await;
    })
    .await
}

#[tokio::test]
async fn the_same_exchanges_are_the_same_bytes_wherever_they_are() {
    let upstream = upstream().await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::setup()
        .profile("up", &profile)
        .args(["--record"])
        .start();
    for extra in ["", r#""stream":true"#, ""] {
        Ask::chat(chat(extra)).whole(&server).await;
    }
    let (_, first) = exported(&server);
    let (_, second) = exported(&server);
    assert_eq!((lines(&first).len(), first == second), (3, true));
    let stream = &lines(&first)[1];
    assert_eq!(
        (&stream["stream"], &stream["profile"]),
        (&true.into(), &"up".into())
    );
    // Nothing in it says when it was, or which one it was.
    for fresh in ["\"began\"", "\"id\":\"a", "x-aiproxy-exchange", "\"date\""] {
        assert!(!first.contains(fresh), "{fresh}: {first}");
    }
    let Server { process, world, .. } = server;
    process.signal("TERM");
    process.end().exits(0);
    let file = world.path("three.jsonl");
    let path = file.to_str().unwrap();
    let finished = world.run(["log", "--export", path]).exits(0);
    assert!(
        finished
            .stderr
            .contains(&format!("wrote 3 exchanges to {path}")),
        "{}",
        finished.stderr
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    // To stdout, and only some.
    let finished = world.run(["log", "--export", "-", "--limit", "1"]).exits(0);
    assert_eq!(lines(&finished.stdout), lines(&first)[2..]);

    let other = World::new();
    for _ in 0..2 {
        let finished = other.run(["log", "--import", path]).exits(0);
        assert!(
            finished
                .stderr
                .contains(&format!("read 3 exchanges of {path}")),
            "{}",
            finished.stderr
        );
    }
    let back = other.run(["log", "--export", "-"]).exits(0);
    assert_eq!(back.stdout, first);
    let found = other
        .run(["log", "--json", "--grep", "NEEDLE"])
        .exits(0)
        .stdout;
    assert_eq!(found.lines().count(), 1, "{found}");
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        (&found["prompt"], &found["answer"]),
        (&"hi".into(), &"Streamed needle".into())
    );
    let shown = other.run(["show", found["id"].as_str().unwrap()]).exits(0);
    assert!(shown.stdout.contains("Streamed needle"), "{}", shown.stdout);
}

#[tokio::test]
async fn a_list_that_was_edited_stays_and_counts() {
    let upstream = upstream().await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    Ask::chat(chat(r#""seed":1"#)).whole(&server).await;
    let (file, text) = exported(&server);
    let edited = text.replacen("\"ignore\":[", "\"ignore\":[\"body.seed\",", 1);
    assert_ne!(edited, text);
    std::fs::write(&*file, &edited).unwrap();
    assert_eq!(export_to(&server, &file), edited);
    drop((server, upstream));
    let setup = Server::setup().profile("up", &profile);
    let server = setup
        .args(["--replay", file.to_str().unwrap(), "--speed", "0"])
        .start();
    let reply = Ask::chat(chat(r#""seed":2"#)).whole(&server).await;
    assert_eq!((reply.status, reply.text()), (200, completion("Whole")));
}

#[test]
fn nothing_to_export_is_a_failure() {
    let world = World::new();
    let file = world.path("none.jsonl");
    let finished = world
        .run(["log", "--export", file.to_str().unwrap()])
        .exits(1);
    assert!(
        finished.stderr.starts_with("error: "),
        "{}",
        finished.stderr
    );
    assert!(!file.exists());
}
