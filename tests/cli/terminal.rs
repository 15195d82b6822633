//! On a terminal: spinner, colours, and what may not reach the screen. `script` of util-linux gives the terminal; where there is none,
//! these tests say so and pass.

use std::process::Command;

use crate::{
    screen::shown,
    support::{
        DONE, Process, ProfileText, STREAM_HEAD, Upstream, World, completion, delta, json_response,
        stop,
    },
};

/// `aiproxy` with these arguments on a terminal of its own. `$PROMPT` in them is the prompt.
fn on_terminal(world: &World, args: &str, prompt: &str) -> Option<Command> {
    let there = Command::new("script")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"));
    if !there {
        println!("skipped: there is no `script` of util-linux");
        return None;
    }
    let mut command = world.command("script");
    command
        .arg("-qec")
        .arg(format!("stty cols 100; \"$AIPROXY\" {args}"))
        .arg("/dev/null")
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("PROMPT", prompt)
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh");
    Some(command)
}

#[test]
fn control_sequences_of_a_model_are_escaped() {
    let world = World::new();
    // Clears the screen, sets the title, moves up, overwrites the line, rings.
    let odd = "before \u{1b}[2J\u{1b}]0;title\u{7}\u{1b}[5A\u{9b}2Jafter\u{7}\rX";
    for stream in ["", "--stream"] {
        let args = format!("chat {stream} --model mock-echo \"$PROMPT\"");
        let Some(mut command) = on_terminal(&world, &args, odd) else {
            return;
        };
        command.env("NO_COLOR", "1");
        let ended = Process::start(command).end().exits(0);
        for sequence in ["\u{1b}[2J", "\u{1b}]", "\u{1b}[5A", "\u{9b}", "\u{7}"] {
            assert!(
                !ended.stdout.contains(sequence),
                "{sequence:?} reached the terminal: {:?}",
                ended.stdout
            );
        }
        let screen = shown(&ended.stdout);
        assert!(
            screen.contains("before ") && screen.contains("after"),
            "{screen}"
        );
        assert!(!screen.contains("Xefore"), "{screen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spinner_vanishes() {
    for stream in ["", "--stream"] {
        let mut upstream = Upstream::start().await;
        let world = World::new();
        world.profile("up", &ProfileText::openai(&upstream).toml());
        let folder = world.profiles();
        let args = format!(
            "chat {stream} --profile up --model m1 --profiles '{}' \"$PROMPT\"",
            folder.display()
        );
        let Some(command) = on_terminal(&world, &args, "hi") else {
            return;
        };
        let mut process = Process::start(command);
        let mut call = upstream.call().await;
        process.until("the spinner", |process| {
            process.stdout().contains("waiting")
        });
        if stream.is_empty() {
            call.write(json_response(200, completion("An answer.")))
                .await;
        } else {
            call.write(format!(
                "{STREAM_HEAD}{}{}{}{DONE}",
                delta("An "),
                delta("answer."),
                stop()
            ))
            .await;
        }
        call.finish().await;
        let ended = process.end().exits(0);
        let screen = shown(&ended.stdout);
        assert!(screen.lines().any(|line| line == "An answer."), "{screen}");
        assert!(!screen.contains("waiting"), "{screen}");
        // What was hidden is shown again.
        let hidden = ended.stdout.rfind("\u{1b}[?25l");
        let visible = ended.stdout.rfind("\u{1b}[?25h");
        assert!(
            hidden <= visible,
            "the cursor stays hidden: {:?}",
            ended.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spinner_vanishes_before_an_error() {
    let mut upstream = Upstream::start().await;
    let world = World::new();
    world.profile("up", &ProfileText::openai(&upstream).toml());
    let folder = world.profiles();
    let args = format!(
        "chat --stream --profile up --model m1 --profiles '{}' \"$PROMPT\"",
        folder.display()
    );
    let Some(command) = on_terminal(&world, &args, "hi") else {
        return;
    };
    let mut process = Process::start(command);
    let mut call = upstream.call().await;
    process.until("the spinner", |process| {
        process.stdout().contains("waiting")
    });
    let error = r#"{"error":{"message":"no \u001b[2Jkey","type":"t","code":null,"param":null}}"#;
    call.write(json_response(401, error)).await;
    call.finish().await;
    let ended = process.end().exits(1);
    let screen = shown(&ended.stdout);
    assert!(!screen.contains("waiting"), "{screen}");
    assert!(
        screen.lines().any(|line| line.starts_with("error: ")),
        "{screen}"
    );
}

#[test]
fn no_color_turns_colours_off() {
    let world = World::new();
    let args = "chat --stream --model mock-fast \"$PROMPT\"";
    let Some(command) = on_terminal(&world, args, "hi") else {
        return;
    };
    let coloured = Process::start(command).end().exits(0);
    let codes = |text: &str| text.contains("\u{1b}[2m") || text.contains("\u{1b}[3");
    assert!(codes(&coloured.stdout), "{:?}", coloured.stdout);
    let mut command = on_terminal(&world, args, "hi").unwrap();
    command.env("NO_COLOR", "1");
    let plain = Process::start(command).end().exits(0);
    assert!(!codes(&plain.stdout), "{:?}", plain.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_the_terminal_clean() {
    let mut upstream = Upstream::start().await;
    let world = World::new();
    world.profile("up", &ProfileText::openai(&upstream).toml());
    let folder = world.profiles();
    // The terminal's own Ctrl-C cannot be typed through a pipe, so the shell sends the signal to the command.
    let args = format!(
        "chat --stream --profile up --model m1 --profiles '{}' \"$PROMPT\" & echo $! > pid; wait $!; echo \"code $?\"",
        folder.display()
    );
    let Some(command) = on_terminal(&world, &args, "hi") else {
        return;
    };
    let mut process = Process::start(command);
    let call = upstream.call().await;
    process.until("the spinner", |process| {
        process.stdout().contains("waiting")
    });
    let pid = std::fs::read_to_string(world.path("home/pid")).unwrap();
    crate::support::signal(pid.trim().parse().unwrap(), "TERM");
    let ended = process.end();
    let screen = shown(&ended.stdout);
    assert!(!screen.contains("waiting"), "{screen}");
    assert!(screen.contains("code 143"), "{screen}");
    assert!(ended.stdout.rfind("\u{1b}[?25l") <= ended.stdout.rfind("\u{1b}[?25h"));
    call.loses_its_client().await;
}
