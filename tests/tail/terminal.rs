//! On a terminal: the status line, colours, and a clean end. `script` of util-linux gives the terminal; where there is none, these tests say
//! so and pass.

use std::process::Command;

use crate::{
    screen::shown,
    script::{A, B, END, closed, event, events, opening, text},
    support::{Process, Upstream, World, signal},
};

/// Columns of the terminal.
const WIDTH: usize = 100;

/// `aiproxy tail` on a terminal of its own; its process id is in the file `pid`.
fn on_terminal(world: &World, server: &Upstream, colour: bool) -> Option<Process> {
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
        .arg(format!(
            "stty rows 40 cols {WIDTH}; \"$AIPROXY\" tail --quiet --server http://{} & echo $! > pid; wait $!; echo \"code $?\"",
            server.address
        ))
        .arg("/dev/null")
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("TZ", "UTC")
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh");
    if !colour {
        command.env("NO_COLOR", "1");
    }
    Some(Process::start(command))
}

fn interrupt(world: &World) {
    let pid = std::fs::read_to_string(world.path("home/pid")).unwrap();
    signal(pid.trim().parse().unwrap(), "INT");
}

/// Waits until the screen is this one.
#[track_caller]
fn until(process: &mut Process, expected: &str) {
    process.until(expected, |process| {
        shown(&process.stdout(), WIDTH) == expected
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_front_and_the_others_below() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let Some(mut process) = on_terminal(&world, &server, false) else {
        return;
    };
    let mut call = events(&mut server).await;
    call.write(opening(1, A, "first") + &text(4, A, "one "))
        .await;
    let head = "k3f9 14:03:21 up mock/gpt-5 · first\n";
    until(&mut process, &format!("{head}one"));
    call.write(opening(5, B, "second")).await;
    until(
        &mut process,
        &format!("{head}one\n… 1 more: a81x mock/gpt-5 waiting"),
    );
    call.write(text(8, B, "beside me") + &text(9, A, "two\nthree"))
        .await;
    until(
        &mut process,
        &format!("{head}one two\nthree\n… 1 more: a81x mock/gpt-5 ~3 tok"),
    );
    // Over the right edge of the screen, in pieces that end at it and beside it.
    for (seq, length) in (10..).zip([94, 1, 1, 99, 2]) {
        call.write(text(seq, A, &"x".repeat(length))).await;
    }
    until(
        &mut process,
        &format!(
            "{head}one two\nthree{}\n{}\nxx\n… 1 more: a81x mock/gpt-5 ~3 tok",
            "x".repeat(95),
            "x".repeat(100),
        ),
    );
    call.write(closed(15, A)).await;
    let second = "\na81x 14:03:21 up mock/gpt-5 · second\nbeside me";
    let screen = format!(
        "{head}one two\nthree{}\n{}\nxx\nk3f9 {END}\n{second}",
        "x".repeat(95),
        "x".repeat(100),
    );
    until(&mut process, &screen);
    call.write(opening(16, "zz00000000", "third")).await;
    until(
        &mut process,
        &format!("{screen}\n… 1 more: zz00 mock/gpt-5 waiting"),
    );
    // Nothing is left of the status line, and the line that was begun is ended.
    interrupt(&world);
    let ended = process.end();
    assert_eq!(shown(&ended.stdout, WIDTH), format!("{screen}\ncode 0\n"));
    assert!(!ended.stdout.contains("\u{1b}[?25l"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_colour_and_no_foreign_sequence_is_left_on() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let Some(mut process) = on_terminal(&world, &server, true) else {
        return;
    };
    let mut call = events(&mut server).await;
    let thinking = serde_json::json!({"type": "thinking", "part": 1, "text": "hm\u{1b}"});
    let more = serde_json::json!({"type": "thinking", "part": 1, "text": "[31mred\n"});
    call.write(
        opening(1, A, "\u{1b}[2Jhi")
            + &text(4, A, "a\u{1b}")
            + &text(5, A, "[2Jb\u{9b}\u{7}")
            + &event(6, A, &thinking)
            + &event(7, A, &more),
    )
    .await;
    let screen = "k3f9 14:03:21 up mock/gpt-5 · \\u{1b}[2Jhi\na\\u{1b}[2Jb\\u{9b}\\u{7}\nthinking: hm\\u{1b}[31mred\n";
    until(&mut process, screen);
    interrupt(&world);
    let ended = process.end();
    assert_eq!(shown(&ended.stdout, WIDTH), format!("{screen}code 0\n"));
    let codes: Vec<&str> = ended
        .stdout
        .split("\u{1b}[")
        .skip(1)
        .filter_map(|rest| rest.split_once('m'))
        .map(|(code, _)| code)
        .collect();
    assert!(codes.contains(&"2") && codes.contains(&"36"), "{codes:?}");
    assert_eq!(codes.last(), Some(&"0"), "{codes:?}");
}
