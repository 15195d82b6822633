//! What was recorded comes again as it came.

use std::time::{Duration, Instant};

use crate::{
    exported, lines, mock_from, pieces,
    support::{
        Ask, CHUNKED_HEAD, Call, DONE, ProfileText, Server, Upstream, chat, chunk, completion,
        delta, json_response, role, stop,
    },
    times,
};

/// Between two pieces of the script.
const PAUSE: Duration = Duration::from_millis(60);

/// A stream, split inside an event, inside a character, and with two events in one piece.
fn script() -> Vec<Vec<u8>> {
    let first = role();
    let (a, b) = first.split_at(17);
    let umlaut = delta("für dich");
    let inside = umlaut.find('ü').unwrap() + 1;
    let (c, d) = umlaut.as_bytes().split_at(inside);
    vec![
        a.into(),
        [b.as_bytes(), c].concat(),
        d.into(),
        [delta(" und"), delta(" mich")].concat().into(),
        [stop(), DONE.to_owned()].concat().into(),
    ]
}

async fn play(mut call: Call) {
    call.write(CHUNKED_HEAD).await;
    for piece in script() {
        tokio::time::sleep(PAUSE).await;
        call.write(chunk(piece)).await;
    }
    call.write("0\r\n\r\n").await;
    call.finish().await;
}

const STREAM: &str = r#""stream":true"#;

/// The same profile, and nobody behind it any more.
fn replaying(profile: &ProfileText, file: &std::path::Path, args: &[&str]) -> Server {
    let file = file.to_str().unwrap();
    let setup = Server::setup().profile("up", profile);
    let args = ["--replay", file].into_iter().chain(args.iter().copied());
    setup.args(args).start()
}

#[tokio::test]
async fn a_stream_is_played_piece_by_piece_at_its_pace() {
    let upstream = Upstream::playing(play).await;
    let profile = ProfileText::openai(&upstream).line("aiproxy", r#"ask_usage = "never""#);
    let server = Server::of(&profile);
    let first = Ask::chat(chat(STREAM)).whole(&server).await;
    let (file, text) = exported(&server);
    let all = lines(&text);
    assert_eq!(all.len(), 1);
    let recorded = &all[0]["received"];
    let split: Vec<String> = script()
        .iter()
        .map(|piece| match String::from_utf8(piece.clone()) {
            Ok(text) => text,
            Err(_) => "base64".to_owned(),
        })
        .collect();
    let told = pieces(recorded);
    assert_eq!(told.len(), split.len());
    for (told, split) in told.iter().zip(&split) {
        assert!(told == split || told.starts_with("base64:") && split == "base64");
    }
    let paused = PAUSE.as_secs_f64() * 1000.0;
    let at = times(recorded);
    assert!(at[4] - at[0] >= 4.0 * paused * 0.9, "{at:?}");
    drop((server, upstream));

    let server = replaying(&profile, &file, &[]);
    let begun = Instant::now();
    let again = Ask::chat(chat(STREAM)).whole(&server).await;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!((again.status, again.text()), (200, first.text()));
    assert!(took >= at[4] - 5.0, "{took} {at:?}");
    // What was received this time has the same pieces, none of them early.
    let (_, text) = exported(&server);
    let replayed = &lines(&text)[0]["received"];
    assert_eq!(pieces(replayed), told);
    for (again, first) in times(replayed).iter().zip(&at) {
        assert!(again >= &(first - 5.0), "{again} {first}");
    }

    // At a port of its own, the client sees the pieces themselves.
    let mock = mock_from(&[&file], &["--speed", "0"]);
    let ask = Ask::post("/v1/chat/completions", chat(STREAM));
    let mut reply = ask.reply(&mock).await;
    let mut seen = Vec::new();
    while let Some(piece) = reply.piece().await {
        seen.push(piece);
    }
    assert_eq!(seen, script());
}

#[tokio::test]
async fn whole_answers_and_errors_come_again() {
    let refusal = r#"{"error": {"message": "no such thing", "type": "invalid_request_error", "param": null, "code": null}}"#;
    let upstream = Upstream::playing(move |mut call| async move {
        let answer = if call.text().contains("wrong") {
            json_response(400, refusal)
        } else {
            // A line end after the JSON, as some services send it.
            json_response(200, completion("fine") + "\n")
        };
        call.write(answer).await;
        call.finish().await;
    })
    .await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    let bodies = [chat(""), chat(r#""wrong":1"#)];
    let mut answers = Vec::new();
    for body in &bodies {
        let reply = Ask::chat(body.clone()).whole(&server).await;
        answers.push((reply.status, reply.body));
    }
    let (file, _) = exported(&server);
    drop((server, upstream));
    let replay = replaying(&profile, &file, &["--speed", "0"]);
    let mock = mock_from(&[&file], &["--speed", "0"]);
    for (body, (status, bytes)) in bodies.iter().zip(&answers) {
        for (server, path) in [
            (&replay, "/up/v1/chat/completions"),
            (&mock, "/v1/chat/completions"),
        ] {
            let reply = Ask::post(path, body.clone()).whole(server).await;
            assert_eq!((reply.status, &reply.body), (*status, bytes), "{path}");
        }
    }
    assert!(answers[0].1.ends_with(b"}\n"));
    // Keys in another order, spaces, and another user make no difference.
    let other =
        r#"{ "user": "u2", "messages": [ {"content": "hi", "role": "user"} ], "model": "m1" }"#;
    let reply = Ask::chat(other).whole(&replay).await;
    assert_eq!((reply.status, &reply.body), (200, &answers[0].1));
}

#[tokio::test]
async fn several_recordings_answer_in_order() {
    let upstream = Upstream::start().await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    let mut upstream = upstream;
    for text in ["one", "two"] {
        let asking = Ask::chat(chat("")).send(&server).await;
        let mut call = upstream.call().await;
        call.write(json_response(200, completion(text))).await;
        call.finish().await;
        asking.reply().await.whole().await;
    }
    let (file, text) = exported(&server);
    assert_eq!(lines(&text).len(), 2);
    drop((server, upstream));
    let server = replaying(&profile, &file, &["--speed", "0"]);
    for expected in ["one", "two", "two", "two"] {
        let reply = Ask::chat(chat("")).whole(&server).await;
        assert_eq!(reply.text(), completion(expected));
    }
}

#[tokio::test]
async fn a_connection_that_broke_breaks_again() {
    let upstream = Upstream::playing(|mut call| async move {
        call.write(CHUNKED_HEAD).await;
        call.write(chunk(delta("half"))).await;
        tokio::time::sleep(PAUSE).await;
        call.reset();
    })
    .await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    let first = Ask::chat(chat(STREAM)).whole(&server).await;
    let (file, text) = exported(&server);
    assert_eq!(lines(&text)[0]["received"]["broken"], true, "{text}");
    drop((server, upstream));
    let server = replaying(&profile, &file, &[]);
    let again = Ask::chat(chat(STREAM)).whole(&server).await;
    assert!(first.text().contains("half") && !first.text().contains("[DONE]"));
    assert!(again.text().starts_with(&delta("half")), "{}", again.text());
    assert!(!again.text().contains("[DONE]"), "{}", again.text());
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_below_run_is_answered_offline() {
    let upstream = Upstream::answering(json_response(200, completion("from the tape"))).await;
    let profile = ProfileText::openai(&upstream);
    let server = Server::of(&profile);
    Ask::chat(chat("")).whole(&server).await;
    let (file, _) = exported(&server);
    let Server { process, world, .. } = server;
    drop((process, upstream));
    let ask = format!(
        r#"curl -s "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" -H 'content-type: application/json' -d '{}'"#,
        chat("")
    );
    let folder = world.profiles();
    // Without --profile, those that were recorded.
    let finished = world.run([
        "run",
        "--profiles",
        folder.to_str().unwrap(),
        "--replay",
        file.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        &ask,
    ]);
    assert_eq!(finished.exits(0).stdout, completion("from the tape"));
}
