//! Gaps that fill themselves, and files that cannot be used.

use std::path::Path;

use crate::{
    exported, lines,
    support::{Ask, ProfileText, Server, Upstream, World, chat, completion, delta, json_response},
};

fn with(text: &str) -> String {
    chat("").replace("hi", text)
}

fn setup(profile: &ProfileText, file: &Path, args: &[&str]) -> Server {
    let all = ["--replay", file.to_str().unwrap(), "--speed", "0"].into_iter();
    Server::setup()
        .profile("up", profile)
        .args(all.chain(args.iter().copied()))
        .start()
}

#[tokio::test]
async fn what_is_missing_is_asked_once_and_added() {
    let upstream = Upstream::playing(|mut call| async move {
        let answer = if call.text().contains("slow down") {
            json_response(
                429,
                r#"{"error":{"message":"slow down","type":"x","param":null,"code":null}}"#,
            )
        } else {
            json_response(
                200,
                completion(&format!("to {}", call.json()["messages"][0]["content"])),
            )
        };
        call.write(answer).await;
        call.finish().await;
    })
    .await;
    let profile = ProfileText::openai(&upstream).key("Authorization", "Bearer planted-key");
    let world = World::new();
    let file = world.path("own.jsonl");
    let server = setup(&profile, &file, &["--record-missing"]);
    let text = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(text().lines().count(), 1, "a head and nothing else");
    let mut first = Vec::new();
    for asked in ["one", "two", "one"] {
        let reply = Ask::chat(with(asked)).whole(&server).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        first.push(reply.text());
    }
    assert_eq!((upstream.seen().len(), first[0] == first[2]), (2, true));
    // An answer that is about the moment is none to keep.
    Ask::chat(with("slow down")).whole(&server).await;
    server.is_healthy().await;
    assert_eq!(lines(&text()).len(), 2, "{}", text());
    assert!(!text().contains("planted"));
    drop(server);

    // An editor leaves out the last line's end; what comes next is a line of its own.
    std::fs::write(&file, text().trim_end()).unwrap();
    let server = setup(&profile, &file, &["--record-missing"]);
    for asked in ["one", "three", "three"] {
        Ask::chat(with(asked)).whole(&server).await;
    }
    assert_eq!((upstream.seen().len(), lines(&text()).len()), (4, 3));
    drop((server, upstream));

    let server = setup(&profile, &file, &[]);
    for (asked, expected) in [("one", &first[0]), ("two", &first[1])] {
        assert_eq!(
            Ask::chat(with(asked)).whole(&server).await.text(),
            *expected
        );
    }
    let reply = Ask::chat(with("four")).whole(&server).await;
    reply.fails_about(404, &["body.messages[0].content", "\"four\""]);
    server.is_healthy().await;
}

#[tokio::test]
async fn transformers_play_with_the_rest() {
    let world = World::new();
    let file = world.path("own.jsonl");
    let setup = |args: &[&str]| {
        let all = ["--replay", file.to_str().unwrap(), "--speed", "0"].into_iter();
        let setup = Server::setup().built_in("mock-transformers");
        setup.args(all.chain(args.iter().copied())).start()
    };
    let ask = Ask::post(
        "/mock-transformers/v1/chat/completions",
        r#"{"messages":[{"role":"user","content":"One two three four five six seven eight nine ten"}]}"#,
    );
    let server = setup(&["--record-missing"]);
    let first = ask.whole(&server).await;
    assert_eq!(first.status, 203, "{}", first.text());
    let again = ask.whole(&server).await;
    assert_eq!(again.text(), first.text());
    let text = std::fs::read_to_string(&file).unwrap();
    let all = lines(&text);
    assert_eq!(
        (all.len(), all[0]["calls"].as_array().map(Vec::len)),
        (1, Some(2)),
        "{text}"
    );
    drop(server);
    let server = setup(&[]);
    let replayed = ask.whole(&server).await;
    assert_eq!((replayed.status, replayed.text()), (203, first.text()));
    let other = Ask::post("/mock-transformers/v1/chat/completions", with("else"))
        .whole(&server)
        .await;
    assert_eq!(other.status, 400, "{}", other.text());
    other.fails_about(
        400,
        &["failed to introspect request with AI service: no recording of this request"],
    );
    // What it was is the same after a way through the history.
    world
        .run(["log", "--import", file.to_str().unwrap()])
        .exits(0);
    let back = world.run(["log", "--export", "-"]).exits(0);
    assert_eq!(back.stdout, text);
}

#[tokio::test]
async fn a_client_that_leaves_records_nothing() {
    let mut upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream);
    let world = World::new();
    let file = world.path("own.jsonl");
    let server = setup(&profile, &file, &["--record-missing"]);
    let asking = Ask::chat(chat(r#""stream":true"#)).send(&server).await;
    let mut call = upstream.call().await;
    call.write(crate::support::CHUNKED_HEAD).await;
    call.write(crate::support::chunk(delta("a"))).await;
    let mut reply = asking.reply().await;
    reply.until("\"a\"").await;
    drop(reply);
    call.loses_its_client().await;
    // The next one is recorded, and alone.
    let asking = Ask::chat(chat("")).send(&server).await;
    let mut call = upstream.call().await;
    call.write(json_response(200, completion("fine"))).await;
    call.finish().await;
    asking.reply().await.whole().await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines(&text).len(), 1, "{text}");
    assert!(text.contains("fine"));
}

#[tokio::test]
async fn damaged_files_are_refused_by_their_line() {
    let upstream = Upstream::answering(json_response(200, completion("fine"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    Ask::chat(chat("")).whole(&server).await;
    let (_, good) = exported(&server);
    let world = World::new();
    let file = world.path("damaged.jsonl");
    let path = file.to_str().unwrap();
    let cut = &good[..good.len() - 20];
    for (text, expected) in [
        (cut.to_owned(), ":2:"),
        (
            format!("{good}<<<<<<< HEAD\n"),
            ":3:1: this exchange cannot be read",
        ),
        (
            good.replacen("aiproxy_cassette", "other", 1),
            ":1: this is no cassette's head",
        ),
        (
            good.replacen("\"aiproxy_cassette\":1", "\"aiproxy_cassette\":9", 1),
            ":1: it is of format 9; this aiproxy reads format 1",
        ),
        (
            good.replacen("headers.*", "haders.*", 1),
            ":1: ignore: `haders.*` names no field",
        ),
        (String::new(), ": it is empty"),
    ] {
        std::fs::write(&file, &text).unwrap();
        for args in [
            &["serve", "--listen", "127.0.0.1:0", "--replay", path][..],
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--replay",
                path,
                "--record-missing",
            ],
            &["run", "--replay", path, "--", "true"],
            &["mock", "--listen", "127.0.0.1:0", "--from", path],
            &["log", "--import", path],
        ] {
            let finished = world.run(args).exits(1);
            let told = format!("error: {path}{expected}");
            assert!(
                finished.stderr.starts_with(&told),
                "{args:?}: {}",
                finished.stderr
            );
        }
        // What may be somebody's work is not written over.
        let args = ["log", "--export", path, "--server", &server.url()];
        let finished = world.run(args).exits(1);
        assert!(
            finished.stderr.contains("not written over"),
            "{}",
            finished.stderr
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    std::fs::remove_file(&file).unwrap();
    let finished = world.run(["serve", "--replay", path]).exits(1);
    assert!(
        finished.stderr.contains("cannot be read"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("hint: aiproxy log --export"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_goes_not_together_is_refused() {
    let world = World::new();
    for args in [
        &["serve", "--replay", "x", "--mock"][..],
        &["serve", "--record-missing"],
        &["serve", "--replay", "x", "--speed", "-1"],
        &["run", "--shared", "--replay", "x", "--", "true"],
        &["log", "--export", "x", "--json"],
        &["log", "--import", "x", "--export", "y"],
        &["mock", "--from"],
    ] {
        world.run(args).exits(2);
    }
}
