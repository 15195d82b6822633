//! The program that is run: with this process's terminal, told of its signals, and its end as the shell would tell it.

use std::{ffi::OsString, io, path::Path, process::ExitStatus};

use tokio::process::Command;

use crate::{
    cli::{
        signals::{self, Relay},
        variables::Pairs,
    },
    term::{Exit, Problem, sanitize},
};

/// What a program finds different in its environment.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) set: Pairs,
    pub(super) unset: &'static [&'static str],
}

/// Runs a program to its end.
///
/// # Errors
///
/// If it cannot be started.
pub(super) async fn run(
    command: &[OsString],
    changes: Changes,
    relay: &mut Relay,
) -> Result<Exit, Problem> {
    let Some((program, args)) = command.split_first() else {
        return Err(Problem::usage("there is no command to run"));
    };
    let mut line = Command::new(program);
    line.args(args).envs(changes.set);
    for name in changes.unset {
        line.env_remove(name);
    }
    let mut child = line.spawn().map_err(|error| unstarted(program, &error))?;
    // Nothing has reaped it before `wait` says so: until then the number is its own.
    let pid = child.id();
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| {
                    Problem::new(format!("the end of {} is not known: {error}", shown(program)))
                })?;
                return Ok(exit(status));
            }
            signal = relay.next() => {
                if let Some(pid) = pid {
                    signals::send(pid, signal).await;
                }
            }
        }
    }
}

/// As shells tell it: 128 and the signal's number, if one ended it.
fn exit(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Signal(u8::try_from(signal).unwrap_or(u8::MAX));
    }
    // Codes are a byte; elsewhere larger ones are failures, too.
    let code = status.code().unwrap_or(1);
    Exit::Code(u8::try_from(code).unwrap_or(1))
}

/// 127 if there is no such program, 126 if there is and it cannot be run.
fn unstarted(program: &OsString, error: &io::Error) -> Problem {
    let path = Path::new(program);
    let name = shown(program);
    match error.kind() {
        io::ErrorKind::NotFound if path.exists() && path.components().count() > 1 => {
            Problem::new(format!("`{name}` cannot be run: {error}"))
                .hint("the interpreter that its first line names is not there")
                .code(126)
        }
        io::ErrorKind::NotFound => Problem::new(format!("`{name}` was not found"))
            .hint("is it installed, and its folder in PATH? aliases, functions and lines of a shell need that shell: aiproxy run -- sh -c '...'")
            .code(127),
        io::ErrorKind::PermissionDenied if path.is_dir() => {
            Problem::new(format!("`{name}` is a folder")).code(126)
        }
        io::ErrorKind::PermissionDenied => {
            Problem::new(format!("`{name}` may not be run: {error}"))
                .hint("make it executable with chmod +x, or name its interpreter: aiproxy run -- python script.py")
                .code(126)
        }
        _ => Problem::new(format!("`{name}` cannot be run: {error}"))
            .hint("a script has to name its interpreter in the first line, such as #!/bin/sh")
            .code(126),
    }
}

fn shown(program: &OsString) -> String {
    sanitize(&program.to_string_lossy()).into_owned()
}
