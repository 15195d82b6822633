//! Signals, and the terminal.

use std::process::Command;

use crate::{
    aiproxy, has,
    support::{Finished, Process, World},
};

/// Waits to be told, and says what it was told.
const WAITS: &str =
    "trap 'echo told $NAME; exit 3' $NAME; echo ready; while :; do sleep 0.05; done";

fn told(world: &World, name: &str, mut command: Command) -> Finished {
    command.env("NAME", name);
    let mut process = Process::start(command);
    process.until("the program runs", |process| {
        process.stdout().contains("ready")
    });
    assert!(world.path("state/aiproxy").exists());
    process.signal(name);
    process.end()
}

#[test]
fn signals_are_handed_on() {
    let world = World::new();
    for name in ["TERM", "HUP", "USR1", "USR2"] {
        let command = aiproxy(&world, ["run", "--", "sh", "-c", WAITS]);
        let ran = told(&world, name, command).exits(3);
        assert_eq!(ran.stdout, format!("ready\ntold {name}\n"));
        assert!(ran.stderr.starts_with("aiproxy: "), "{ran:?}");
    }
    // A program that knows none of them ends by it.
    let lines = "echo ready; exec sleep 20";
    let command = aiproxy(&world, ["run", "--", "sh", "-c", lines]);
    told(&world, "TERM", command).exits(143);
}

#[test]
fn without_a_terminal_an_interrupt_is_handed_on() {
    if !has("setsid") {
        return;
    }
    let world = World::new();
    let mut command = world.command("setsid");
    command
        .arg(env!("CARGO_BIN_EXE_aiproxy"))
        .args(["run", "--", "sh", "-c", WAITS]);
    let ran = told(&world, "INT", command).exits(3);
    assert_eq!(ran.stdout, "ready\ntold INT\n");
}

/// Lines of a shell below `aiproxy run` on a terminal of their own.
fn on_terminal(world: &World, flags: &str, lines: &str) -> Option<Finished> {
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
            "stty rows 40 cols 100; exec \"$AIPROXY\" run {flags} -- sh -c \"$LINES_OF_SHELL\""
        ))
        .arg("/dev/null")
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("AIPROXY_LISTEN", crate::NOBODY)
        .env("LINES_OF_SHELL", lines)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh");
    Some(Process::start(command).end())
}

#[test]
fn the_terminal_is_the_programs() {
    let world = World::new();
    let lines =
        "test -t 0 && test -t 1 && test -t 2 && stty size; printf '\\033[1mbold\\033[0m\\n'";
    let Some(ran) = on_terminal(&world, "-q", lines) else {
        return;
    };
    let ran = ran.exits(0);
    assert_eq!(ran.stdout, "40 100\r\n\u{1b}[1mbold\u{1b}[0m\r\n");
}

#[test]
fn an_interrupt_from_the_terminal_is_outlived() {
    let world = World::new();
    // As the terminal does it: to the whole group, the program, its children and aiproxy. It is counted once.
    let lines =
        "n=0; trap 'n=$((n+1))' INT; kill -INT 0; sleep 0.5; echo \"interrupted $n\"; exit 5";
    let Some(ran) = on_terminal(&world, "", lines) else {
        return;
    };
    let ran = ran.exits(5);
    assert!(ran.stdout.starts_with("interrupted 1\r\n"), "{ran:?}");
    assert!(ran.stdout.contains("aiproxy: no exchange in "), "{ran:?}");
}
