//! What happens to the process: signals, and profiles that change under it.

use tokio::sync::watch;

use crate::{
    exchanges,
    support::{
        Ask, Client, DONE, Process, ProfileText, STREAM_HEAD, Server, Upstream, chat, completion,
        delta, json_response, stop, text_of,
    },
};

/// Streams that say one word, and the rest when they are told to.
async fn waiting(go: &watch::Receiver<bool>) -> Upstream {
    let go = go.clone();
    Upstream::playing(move |mut call| {
        let mut go = go.clone();
        async move {
            let user = call.json()["user"].as_str().unwrap().to_owned();
            call.write(format!("{STREAM_HEAD}{}", delta(&user))).await;
            let _ = go.wait_for(|go| *go).await;
            let rest = format!("{}{}{DONE}", delta(" and on"), stop());
            if call.try_write(rest).await {
                call.finish().await;
            }
        }
    })
    .await
}

/// Opens so many streams, and reads the first word of each.
async fn streams(server: &Server, number: usize) -> Vec<crate::support::Reply> {
    let opening = (0..number).map(async |number| {
        let user = format!("u{number}");
        let ask = Ask::chat(chat(&format!(r#""stream":true,"user":"{user}""#)));
        let mut reply = ask.reply(server).await;
        reply.until(format!("\"{user}\"")).await;
        reply
    });
    futures_util::future::join_all(opening).await
}

#[tokio::test]
async fn sigterm_lets_five_hundred_streams_end() {
    let (tell, go) = watch::channel(false);
    let upstream = waiting(&go).await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let server = setup.args(["--drain", "60"]).start();
    let replies = streams(&server, 500).await;
    let idle = Client::connect(&server).await;
    let Server {
        mut process,
        address,
        world,
    } = server;
    process.signal("TERM");
    process.until("a note", |process| process.stderr().contains("stopping"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(process.runs());
    tell.send(true).unwrap();
    let reading = replies.into_iter().map(crate::support::Reply::clean);
    for (number, reply) in futures_util::future::join_all(reading)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(text_of(&reply.body), format!("u{number} and on"));
        assert!(reply.body.ends_with(DONE.as_bytes()));
    }
    let ended = tokio::task::spawn_blocking(move || process.end())
        .await
        .unwrap();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("were cut"), "{}", ended.stderr);
    drop((idle, world));
}

#[tokio::test]
async fn after_kill_9_the_next_one_takes_its_place() {
    let (_tell, go) = watch::channel(false);
    let upstream = waiting(&go).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let replies = streams(&server, 20).await;
    let Server {
        process,
        address,
        world,
    } = server;
    process.signal("KILL");
    for reply in replies {
        let reply = reply.whole().await;
        assert_ne!(reply.end, Some(crate::support::End::Clean));
    }
    process.end();
    let mut command = world.aiproxy(["serve", "--profile", "up", "--profiles"]);
    command.arg(world.profiles());
    command.args(["--listen", &address.to_string()]);
    let mut process = Process::start(command);
    process.until("the banner", |process| {
        process.stdout().contains("listening")
    });
    assert_eq!(process.stderr(), "");
    let server = Server {
        process,
        address,
        world,
    };
    let reply = streams(&server, 1).await.remove(0);
    // The commands find it, and not the one that is gone.
    let found = server.world.run(["log", "--json"]).exits(0);
    assert_eq!(found.stdout.lines().count(), 1, "{}", found.stdout);
    drop(reply);
    assert_eq!(exchanges(&server).await[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_profile_that_becomes_garbage_serves_as_it_was() {
    let (tell, go) = watch::channel(false);
    let upstream = waiting(&go).await;
    let text = ProfileText::openai(&upstream);
    let mut server = Server::of(&text);
    let mut replies = streams(&server, 1).await;
    let path = server.world.profiles().join("up.toml");
    for (number, garbage) in [
        &b"\0\xff\xfe garbage ["[..],
        b"",
        b"[ai-proxy]\nroute_type = 7\n",
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&path, garbage).unwrap();
        server.process.until("a warning", |process| {
            let said = process.stderr().matches("`up` stays as it was").count();
            said > number
        });
        replies.extend(streams(&server, 1).await);
    }
    // Said once for each change, however many requests came.
    replies.extend(streams(&server, 20).await);
    let stderr = server.process.stderr();
    assert_eq!(
        stderr.matches("`up` stays as it was").count(),
        3,
        "{stderr}"
    );
    tell.send(true).unwrap();
    for reply in replies {
        assert!(reply.clean().await.body.ends_with(DONE.as_bytes()));
    }
    let better = Upstream::answering(json_response(200, completion("better"))).await;
    std::fs::write(&path, ProfileText::openai(&better).toml()).unwrap();
    server.process.until("a note", |process| {
        process.stderr().contains("`up` was reloaded")
    });
    let reply = Ask::chat(chat("")).whole(&server).await;
    assert!(reply.text().contains("better"), "{}", reply.text());
}
