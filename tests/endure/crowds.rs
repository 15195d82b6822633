//! More connections than anybody expects, and fewer files than are needed.

use crate::support::{Ask, Client, ProfileText, Server, Upstream, chat, completion, json_response};

async fn fine() -> Upstream {
    Upstream::answering(json_response(200, completion("fine"))).await
}

#[tokio::test]
async fn the_most_connections_are_served_and_the_next_waits() {
    let upstream = fine().await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let mut server = setup.args(["--max-connections", "2"]).start();
    let first = Client::connect(&server).await;
    let mut second = Client::connect(&server).await;
    second.write(Ask::chat(chat("")).bytes()).await;
    let second = second.reply().await.clean().await;
    assert_eq!(second.status, 200);
    let mut third = Client::connect(&server).await;
    third.write(Ask::chat(chat("")).bytes()).await;
    let words = "2 connections are open, the most that may be (--max-connections): others wait";
    server
        .process
        .until("a warning", |process| process.stderr().contains(words));
    let second = second.client();
    drop(first);
    assert_eq!(third.reply().await.clean().await.status, 200);
    drop(second);
    server.is_healthy().await;
    assert_eq!(server.process.stderr().matches(words).count(), 1);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    use super::{
        super::{files, resident, spent, through_shell, until},
        *,
    };

    /// A server whose process may have so many files open.
    fn with_files(upstream: &Upstream, most: usize, args: &[&str]) -> Server {
        let setup = Server::setup().profile("up", &ProfileText::openai(upstream));
        let setup = setup.args(args.iter().copied());
        let limited =
            |command: Command| through_shell(&command, &format!("ulimit -n {most} && exec \"$@\""));
        setup.start_by(limited)
    }

    /// How many files this process may have open.
    fn own_limit() -> usize {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3));
        soft.unwrap().parse().unwrap_or(usize::MAX)
    }

    #[tokio::test]
    async fn ten_thousand_idle_connections() {
        let upstream = fine().await;
        let limit = own_limit();
        let number = 10_000.min(limit.saturating_sub(200));
        if number < 10_000 {
            eprintln!("{number} connections instead of 10000: `ulimit -n` is {limit}");
        }
        let most = (number + 200).to_string();
        let server = with_files(&upstream, number + 200, &["--max-connections", &most]);
        server.is_healthy().await;
        let pid = server.process.pid();
        let (before, memory) = (files(pid), resident(pid));
        let mut idle = Vec::with_capacity(number);
        for at in 0..number {
            let mut client = Client::connect(&server).await;
            match at % 3 {
                // Nothing, a request answered, a piece of the next one.
                0 => {}
                1 => {
                    client.write(Ask::get("/_aiproxy/health").bytes()).await;
                    client = client.reply().await.clean().await.client();
                }
                _ => client.write("GET /_aiproxy/he").await,
            }
            idle.push(client);
        }
        until("all of them", || files(pid) >= before + number - 1).await;
        // Others do not notice.
        let reply = Ask::chat(chat("")).whole(&server).await;
        assert_eq!(reply.status, 200);
        let each = (resident(pid) - memory) / number as u64;
        assert!(each < 40, "{each} kB for each connection");
        let (began, cpu) = (Instant::now(), spent(pid));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (took, cpu) = (began.elapsed(), spent(pid) - cpu);
        assert!(cpu < took / 10, "{cpu:?} in {took:?} for nothing");
        drop(idle);
        until("none of them", || files(pid) <= before + 3).await;
        server.is_healthy().await;
    }

    #[tokio::test]
    async fn out_of_files_it_waits_without_spinning_and_goes_on_later() {
        let upstream = fine().await;
        let mut server = with_files(&upstream, 100, &[]);
        let pid = server.process.pid();
        let early = Client::connect(&server).await;
        let mut held = Vec::new();
        for _ in 0..150 {
            held.push(Client::connect(&server).await);
        }
        let words = "connections cannot be taken: Too many open files";
        server
            .process
            .until("a warning", |process| process.stderr().contains(words));
        // Who is there already learns why there is no way on.
        let mut early = early;
        early.write(Ask::chat(chat("")).bytes()).await;
        let reply = early.reply().await.clean().await;
        reply.fails_about(502, &["Too many open files"]);
        let (began, cpu) = (Instant::now(), spent(pid));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (took, cpu) = (began.elapsed(), spent(pid) - cpu);
        assert!(cpu < took / 10, "{cpu:?} in {took:?}: it spins");
        drop(held);
        server.is_healthy().await;
        assert_eq!(Ask::chat(chat("")).whole(&server).await.status, 200);
        let stderr = server.process.stderr();
        assert_eq!(stderr.matches(words).count(), 1, "{stderr}");
    }
}
