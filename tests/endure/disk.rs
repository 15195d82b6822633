//! A state folder that is full, or that nobody may write.

use std::{path::PathBuf, process::Command, time::Duration};

use crate::{
    files,
    support::{Ask, ProfileText, Server, Upstream, World, chat, completion, json_response},
    through_shell, until,
};

/// A file system of the process's own as its state folder, set up by `options` of mount(8). Needs no root where users may have
/// namespaces.
fn mounted(command: &Command, state: &std::path::Path, then: &str) -> Command {
    let state = state.display();
    let set_up = format!(
        "mount -t tmpfs -o size=3m,mode=700 tmpfs '{state}' && {{ {then}; }} && exec \"$@\""
    );
    let inner = through_shell(command, &set_up);
    let mut outer = Command::new("unshare");
    // Without -U for root: a container may allow the one and not the other.
    outer.args(["--mount", "--map-root-user"]);
    outer.arg(inner.get_program()).args(inner.get_args());
    outer.env_clear();
    let variables = inner.get_envs();
    outer.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

/// Whether such file systems can be had here; if not, it is said.
fn can_mount() -> bool {
    let world = World::new();
    let command = world.command("true");
    let state = world.path("state");
    let status = mounted(&command, &state, "true").status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        eprintln!("not tried: no file system can be mounted here, not even in a namespace");
    }
    can
}

async fn fine() -> Upstream {
    Upstream::answering(json_response(200, completion("fine"))).await
}

/// A chat request of so many bytes.
fn large(size: usize, number: usize) -> Ask {
    // No two are alike, and none is repeated inside.
    let text: String = (0..size / 8)
        .map(|at| format!("{:07x} ", at * 7919 + number * 104_729))
        .collect();
    Ask::chat(chat(&format!(r#""user":"{text}""#)))
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_serving_goes_on() {
    if !can_mount() {
        return;
    }
    let upstream = fine().await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let state = setup.folder().parent().unwrap().join("state");
    let fill = format!("head -c 2000000 /dev/zero > '{}/filler'", state.display());
    let setup = setup.args(["--record"]);
    let mut server = setup.start_by(|command| mounted(&command, &state, &fill));
    for number in 0..30 {
        let reply = large(100_000, number).whole(&server).await;
        assert_eq!(reply.status, 200);
    }
    let words = "exchanges are served without it";
    server
        .process
        .until("an error", |process| process.stderr().contains(words));
    // It is tried again meanwhile, every second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(large(100_000, 99).whole(&server).await.status, 200);
    let stderr = server.process.stderr();
    assert_eq!(stderr.matches(words).count(), 1, "{stderr}");
    assert!(stderr.contains("full"), "{stderr}");
    // Room is made: what waited is written.
    let pid = server.process.pid();
    let inside = PathBuf::from(format!("/proc/{pid}/root{}", state.display()));
    std::fs::remove_file(inside.join("filler")).unwrap();
    server.process.until("a note", |process| {
        process.stderr().contains("is written again")
    });
    assert_eq!(Ask::chat(chat("")).whole(&server).await.status, 200);
    server.is_healthy().await;
}

#[tokio::test]
async fn a_state_folder_that_nobody_may_write_is_said_once_and_serving_goes_on() {
    if !can_mount() {
        return;
    }
    let upstream = fine().await;
    let logged = ProfileText::openai(&upstream).line("ai-proxy.logging", "log_payloads = true");
    let setup = Server::setup().profile("up", &logged);
    let state = setup.folder().parent().unwrap().join("state");
    let lock = format!("mount -o remount,ro '{}'", state.display());
    let server = setup.start_by(|command| mounted(&command, &state, &lock));
    let pid = server.process.pid();
    let before = files(pid);
    for _ in 0..20 {
        assert_eq!(Ask::chat(chat("")).whole(&server).await.status, 200);
    }
    let stderr = server.process.stderr();
    assert_eq!(
        stderr.matches("exchanges are not kept on disk").count(),
        1,
        "{stderr}"
    );
    assert_eq!(
        stderr
            .matches("other commands will not find this server")
            .count(),
        1,
        "{stderr}"
    );
    assert_eq!(
        stderr.matches("Read-only file system").count(),
        2,
        "{stderr}"
    );
    until("as many files as before", || files(pid) <= before + 2).await;
    server.is_healthy().await;
}

#[tokio::test]
async fn who_asks_for_a_record_that_cannot_be_kept_is_told_before_anything_is_served() {
    if !can_mount() {
        return;
    }
    let upstream = fine().await;
    let setup = Server::setup().profile("up", &ProfileText::openai(&upstream));
    let state = setup.folder().parent().unwrap().join("state");
    let lock = format!("mount -o remount,ro '{}'", state.display());
    let setup = setup.args(["--record"]);
    let command = mounted(&setup.command(), &state, &lock);
    let ended = crate::support::Process::start(command).end().exits(1);
    assert!(
        ended.stderr.starts_with("error: --record: "),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("Read-only file system"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}
