//! Pipes that close and signals.

use std::time::{Duration, Instant};

use crate::support::{Process, ProfileText, STREAM_HEAD, Upstream, World, delta};

/// Runs a line of bash, where the binary is `$AIPROXY`.
fn bash(world: &World, line: &str) -> crate::support::Finished {
    let mut command = world.command("bash");
    command
        .arg("-c")
        .arg(line)
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"));
    Process::start(command).end()
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let world = World::new();
    for line in [
        "chat --stream --model mock 'Tell me a long story'",
        "chat --model mock 'Tell me a long story'",
        "chat --stream --json --model mock 'Tell me a long story'",
        "completions bash",
        "--help",
        "serve --help",
    ] {
        let line = format!("\"$AIPROXY\" {line} | head -c 5; echo; echo ${{PIPESTATUS[0]}}");
        let ended = bash(&world, &line).exits(0);
        assert_eq!(
            ended.stdout.lines().last(),
            Some("0"),
            "{line}: {} {}",
            ended.stdout,
            ended.stderr
        );
        for noise in ["error", "panick", "Broken pipe", "os error"] {
            assert!(!ended.stderr.contains(noise), "{line}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_closed_stderr_is_no_failure() {
    let world = World::new();
    let ended = bash(&world, "\"$AIPROXY\" chat --model mock-echo hi 2>&-").exits(0);
    assert_eq!(ended.stdout, "hi\n");
}

/// A chat under way, and the call that it waits for.
async fn asked(upstream: &mut Upstream, args: &[&str]) -> (World, Process, crate::support::Call) {
    let world = World::new();
    world.profile("up", &ProfileText::openai(upstream).toml());
    let folder = world.profiles();
    let mut command = world.aiproxy(["chat", "--profile", "up", "--model", "m1"]);
    command.arg("--profiles").arg(folder).args(args);
    let process = Process::start(command);
    let call = upstream.call().await;
    (world, process, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_stream_with_130_and_cancels_it_upstream() {
    let mut upstream = Upstream::start().await;
    let (_world, mut process, mut call) = asked(&mut upstream, &["--stream", "hi"]).await;
    call.write(format!("{STREAM_HEAD}{}", delta("some words")))
        .await;
    process.until("the words", |process| {
        process.stdout().contains("some words")
    });
    let began = Instant::now();
    process.signal("INT");
    let ended = process.end().exits(130);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
    call.loses_its_client().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_wait_for_an_answer_with_130() {
    for args in [&["hi"][..], &["--stream", "hi"]] {
        let mut upstream = Upstream::start().await;
        let (_world, process, call) = asked(&mut upstream, args).await;
        process.signal("INT");
        let ended = process.end().exits(130);
        assert_eq!(ended.stdout, "");
        call.loses_its_client().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_what_the_model_wrote_byte_for_byte() {
    let world = World::new();
    let odd = "\u{1b}[2J\u{7}tab\tand \r";
    let ended = world.run(["chat", "--model", "mock-echo", odd]).exits(0);
    assert_eq!(ended.stdout, format!("{odd}\n"));
    let ended = world
        .run(["chat", "--stream", "--model", "mock-echo", odd])
        .exits(0);
    assert_eq!(ended.stdout, format!("{odd}\n"));
}
