//! A session on a terminal, by `script` from util-linux.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::home::{Home, PATIENCE, mode};

/// The profile that most of these talk to.
const ECHO: &str = "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'mock'\n[aiproxy]\ndefault_model = 'mock-echo'\n";

/// A terminal with a session in it.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    /// What was looked at already.
    seen: usize,
}

/// Whether there is a `script` that takes a command.
fn has_terminal() -> bool {
    let version = Command::new("script").arg("--version").output();
    let found =
        version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("util-linux"));
    if !found {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there is no `script` of util-linux here"
        );
    }
    found
}

impl Terminal {
    fn open(home: &Home, args: &str) -> Terminal {
        let line = format!(
            "stty cols 200; exec {} chat {args}",
            env!("CARGO_BIN_EXE_aiproxy")
        );
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .env_clear();
        for (name, value) in home.variables() {
            command.env(name, value);
        }
        command.env("SHELL", "/bin/sh");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut out, into) = (child.stdout.take().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]);
                into.lock().unwrap().push_str(&text);
            }
        });
        Terminal {
            child,
            shown,
            seen: 0,
        }
    }

    /// Waits until a text is shown after what was seen.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown.lock().unwrap().clone();
            if let Some(at) = shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(
                Instant::now() < end,
                "no {text:?} in {:?}",
                &shown[self.seen..]
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// A line after the prompt of `profile`.
    #[track_caller]
    fn say(&mut self, profile: &str, line: &str) {
        self.expect(&format!("{profile}> "));
        self.press(&format!("{line}\r"));
        // The echo of what was typed is no answer.
        if let Some(last) = line.lines().last().filter(|last| !last.is_empty()) {
            self.expect(last);
        }
    }

    #[track_caller]
    fn ends(mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < end,
                "still there: {:?}",
                self.shown.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_conversation_with_commands() {
    if !has_terminal() {
        return;
    }
    let home = Home::new();
    home.profile("echo", ECHO);
    let mut terminal = Terminal::open(&home, "--profile echo");
    terminal.expect("talking to echo through this process; /help lists commands, Ctrl-D leaves");
    terminal.say("echo", "first words");
    terminal.expect("first words");
    terminal.expect(" tokens/s");
    terminal.say("echo", "/help");
    terminal.expect("/save FILE");
    terminal.say("echo", "/nonsense");
    terminal.expect("error: there is no command `/nonsense`");
    terminal.say("echo", "/profile nobody");
    terminal.expect("error: there is no profile `nobody`");
    terminal.expect("hint: there are ");
    terminal.expect("mock");
    // A failed turn is not kept.
    terminal.say("echo", "/model mock-error-500");
    terminal.expect("asking for mock-error-500");
    terminal.say("echo", "this fails");
    terminal.expect("(status 500)");
    terminal.say("echo", "/model");
    terminal.say("echo", "/system be kind");
    terminal.expect("system message set");
    // Two lines, one message.
    terminal.expect("echo> ");
    terminal.press("second \\\r");
    terminal.press("words\r");
    terminal.expect(" tokens/s");
    // A pasted block, too.
    terminal.expect("echo> ");
    terminal.press("\u{1b}[200~third\nwords\u{1b}[201~");
    terminal.expect("words");
    terminal.press("\r");
    terminal.expect(" tokens/s");
    let file = home.path("saved.json");
    terminal.say("echo", &format!("/save {}", file.display()));
    terminal.expect("7 messages in ");
    terminal.say("echo", "/clear");
    terminal.expect("conversation forgotten");
    terminal.say(
        "echo",
        &format!(
            "/save {}",
            file.display().to_string().replace("saved", "empty")
        ),
    );
    terminal.expect("1 messages in ");
    terminal.expect("echo> ");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);

    let saved: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let texts: Vec<(&str, &str)> = saved
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        texts,
        [
            ("system", "be kind"),
            ("user", "first words"),
            ("assistant", "first words"),
            ("user", "second \nwords"),
            ("assistant", "second \nwords"),
            ("user", "third\nwords"),
            ("assistant", "third\nwords"),
        ]
    );
    let history = home.state().join("chat-history");
    assert_eq!(mode(&history), 0o600);
    assert!(
        std::fs::read_to_string(history)
            .unwrap()
            .contains("first words")
    );
}

#[test]
fn ctrl_c_stops_the_answer_and_not_the_session() {
    if !has_terminal() {
        return;
    }
    let home = Home::new();
    home.profile("echo", ECHO);
    let mut terminal = Terminal::open(&home, "--profile echo --model mock-slow");
    terminal.say("echo", "tell me");
    // The first words are there, so the answer is under way.
    terminal.expect("\n");
    thread::sleep(Duration::from_millis(1500));
    terminal.press("\u{3}");
    terminal.expect("stopped");
    terminal.say("echo", "/model mock-echo");
    terminal.say("echo", "go on");
    terminal.expect("go on");
    terminal.expect(" tokens/s");
    terminal.expect("echo> ");
    terminal.press("half a line\u{3}");
    terminal.expect("Ctrl-D or /quit leaves");
    terminal.say("echo", "/quit");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn profiles_change_between_a_server_and_this_process() {
    if !has_terminal() {
        return;
    }
    let home = Home::new();
    home.profile("echo", ECHO);
    // One that refuses streams is asked without.
    home.profile(
        "whole",
        &ECHO.replace("route_type", "response_streaming = 'deny'\nroute_type"),
    );
    let server = home.serve(["--profile", "echo", "--token", "t0ken-of-8"]);
    let mut terminal = Terminal::open(&home, "");
    terminal.expect(&format!("talking to echo through {};", server.url));
    terminal.say("echo", "one");
    terminal.expect("one");
    terminal.expect("first token after ");
    terminal.say("echo", "/profile whole");
    terminal.expect("profile `whole` is not served at ");
    terminal.say("whole", "two");
    terminal.expect("two");
    terminal.expect("took ");
    terminal.say("whole", "/profile echo");
    terminal.expect("asking echo");
    terminal.say("echo", "/quit");
    assert_eq!(terminal.ends(), 0);
}
