//! What a model, an upstream or a client writes is text on a screen: no command obeys a control sequence in it. `script` of util-linux gives the
//! terminal; where there is none, these tests say so and pass.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Ask, DONE, Finished, Process, ProfileText, STREAM_HEAD, Server, Upstream, World, completion,
    delta, json_response, role, signal, stop,
};

/// Sets the title, clears the screen, moves, prints it, answers a query, hides text, turns the direction, rings, goes back.
const EVIL: &str = "go\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[77;7H\u{1b}[5i\u{1b}[6n\u{1b}P+q\u{1b}\\\u{9b}31m\u{9d}0;x\u{9c}\u{202e}\u{2066}\u{8}\rend";

/// What no command writes of its own.
const OBEYED: &[&str] = &[
    "\u{1b}]",
    "\u{1b}[2J",
    "\u{1b}[77;7H",
    "\u{1b}[5i",
    "\u{1b}[6n",
    "\u{1b}P",
    "\u{9b}",
    "\u{9d}",
    "\u{9c}",
    "\u{202e}",
    "\u{2066}",
    "\u{7}",
    "\u{8}",
];

/// Whether there is a terminal to be had.
fn has_terminal() -> bool {
    let there = Command::new("script")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"));
    if !there {
        println!("skipped: there is no `script` of util-linux");
    }
    there
}

/// A shell's line on a terminal of its own; `$AIPROXY` is the program, `$EVIL` the text.
fn on_terminal(world: &World, line: &str, server: &str) -> Process {
    let mut command = world.command("script");
    command
        .arg("-qec")
        .arg(format!("stty cols 200; {line}"))
        .arg("/dev/null")
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("AIPROXY_SERVER", server)
        .env("EVIL", EVIL)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh");
    Process::start(command)
}

/// What reached the terminal that it obeys.
fn obeyed(what: &str, ended: &Finished) -> Vec<String> {
    let text = &ended.stdout;
    let around = |at: usize| -> String {
        let from = text.floor_char_boundary(at.saturating_sub(60));
        text[from..].chars().take(160).collect()
    };
    let reached = OBEYED.iter().filter_map(|sequence| {
        let at = text.find(sequence)?;
        Some(format!("{what}: {sequence:?} in {:?}", around(at)))
    });
    // One is enough of each.
    reached.take(1).collect()
}

/// An upstream whose every word is out to get the terminal.
async fn evil() -> Upstream {
    Upstream::playing(|mut call| async move {
        let text = call.text();
        let answer = if text.contains("please fail") {
            let error =
                json!({"error": {"message": EVIL, "type": EVIL, "code": EVIL, "param": EVIL}});
            json_response(418, error.to_string())
        } else if text.contains("\"stream\":true") {
            let events = [
                role(),
                delta(EVIL),
                delta(&EVIL[..9]),
                delta(&EVIL[9..]),
                stop(),
            ];
            format!("{STREAM_HEAD}{}{DONE}", events.concat()).into_bytes()
        } else {
            let mut answer: Value = serde_json::from_str(&completion(EVIL)).unwrap();
            answer["model"] = EVIL.into();
            answer["id"] = EVIL.into();
            answer["choices"][0]["message"]["reasoning_content"] = EVIL.into();
            answer["choices"][0]["message"]["tool_calls"] = json!([{"id": EVIL, "type": "function",
                "function": {"name": EVIL, "arguments": json!({"k": EVIL}).to_string()}}]);
            json_response(200, answer.to_string())
        };
        call.write(answer).await;
        call.finish().await;
    })
    .await
}

/// A request with the text in each place that has one.
fn asked(extra: &str) -> Value {
    json!({"model": format!("m1{EVIL}"), "user": EVIL, "messages": [
        {"role": "system", "content": EVIL},
        {"role": "user", "content": format!("{extra} {EVIL}")},
    ], "tools": [{"type": "function", "function": {"name": EVIL, "description": EVIL}}], (EVIL): EVIL})
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_look_back_show_controls_as_text() {
    if !has_terminal() {
        return;
    }
    let upstream = evil().await;
    let profile = ProfileText::openai(&upstream)
        .line("aiproxy", "label = \"L\\u001b]0;pwned\\u0007\\u009b31m\"");
    let server = Server::setup()
        .profile("up", &profile)
        .args(["--record", "-v"])
        .variable("NO_COLOR", "1")
        .start();
    let mut ids = Vec::new();
    for extra in ["first", "second", "please fail"] {
        let reply = Ask::chat(asked(extra).to_string())
            .header("x-odd", "a\u{9b}31mb\u{202e}")
            .whole(&server)
            .await;
        ids.push(reply.headers.get("x-aiproxy-exchange").unwrap().to_owned());
    }
    let stream = {
        let mut body = asked("third");
        body["stream"] = true.into();
        body.to_string()
    };
    let reply = Ask::chat(stream).whole(&server).await;
    ids.push(reply.headers.get("x-aiproxy-exchange").unwrap().to_owned());
    let mut lines = vec![
        "log".to_owned(),
        "log --json".into(),
        "log --grep \"$EVIL\"".into(),
    ];
    for id in &ids {
        for flags in [
            "",
            "--json",
            "--events",
            "--curl",
            "--python",
            "--node",
            "--stage received --body",
            "--stage returned --body",
        ] {
            lines.push(format!("show {id} {flags}"));
        }
        lines.push(format!("replay {id} --diff json"));
        lines.push(format!("replay {id} --model \"$EVIL\" --json"));
    }
    lines.push(format!("diff {} {}", ids[0], ids[1]));
    lines.push(format!("diff {} {} --json", ids[0], ids[2]));
    lines.push(format!("diff {} {} --diff text", ids[0], ids[3]));
    lines.push("show \"$EVIL\"".into());
    lines.push("chat --profile up --model m1 \"hello $EVIL\"".into());
    lines.push("chat --profile up --model m1 --stream \"hello $EVIL\"".into());
    lines.push("chat --profile up --model m1 --json \"hello $EVIL\"".into());
    lines.push("chat --profile up --model m1 \"please fail\"".into());
    lines.push("chat --profile up --model \"$EVIL\" --stream \"please fail\"".into());
    lines.push("chat --profile \"$EVIL\" \"hi\"".into());
    let mut wrong = Vec::new();
    for line in lines {
        let shell = format!("\"$AIPROXY\" {line}");
        let ended = on_terminal(&server.world, &shell, &server.url()).end();
        assert!(!ended.stdout.is_empty(), "{line}");
        wrong.extend(obeyed(&line, &ended));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The server's own lines, wherever they are read.
    let told = server.process.stderr();
    assert!(told.contains("/up/v1/chat/completions"), "{told}");
    for sequence in OBEYED {
        assert!(
            !told.contains(sequence),
            "{sequence:?} in the server's lines: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_controls_as_text() {
    if !has_terminal() {
        return;
    }
    let upstream = evil().await;
    let server = Server::of(&ProfileText::openai(&upstream));
    for flags in ["", "--raw", "--json"] {
        let pid = server.world.path("home/pid");
        let _ = std::fs::remove_file(&pid);
        let line = format!("\"$AIPROXY\" tail {flags} & echo $! > pid; wait $!");
        let mut process = on_terminal(&server.world, &line, &server.url());
        process.until("that it watches", |process| {
            process.stdout().contains("watching")
        });
        for (extra, stream) in [("one", false), ("two", true), ("please fail", false)] {
            let mut body = asked(extra);
            body["stream"] = stream.into();
            Ask::chat(body.to_string()).whole(&server).await;
        }
        process.until("what was said", |process| {
            process.stdout().matches("pwned").count() > 5 && process.stdout().contains("418")
        });
        let written = std::fs::read_to_string(&pid).unwrap();
        signal(written.trim().parse().unwrap(), "INT");
        let ended = process.end();
        let wrong = obeyed(&format!("tail {flags}"), &ended);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transform_and_profiles_show_controls_as_text() {
    if !has_terminal() {
        return;
    }
    let upstream = evil().await;
    let world = World::new();
    let odd = "\\u001b]0;pwned\\u0007\\u001b[2J\\u009b31m\\u202e";
    let profile = ProfileText::openai(&upstream)
        .line("aiproxy", format!("label = \"{odd}\""))
        .line("ai-request-transformer", format!("prompt = \"{odd}\""))
        .line("ai-request-transformer.llm", "route_type = \"llm/v1/chat\"")
        .line("ai-request-transformer.llm.model", "provider = \"openai\"")
        .line("ai-request-transformer.llm.model", "name = \"gpt-4\"")
        .line(
            "ai-request-transformer.llm.model.options",
            format!("upstream_url = \"http://{}/llm\"", upstream.address),
        );
    let text = format!("description = \"{odd}\"\n{}", profile.toml());
    world.profile("up", &text);
    world.profile(
        "broken",
        &format!("\"{odd}\" = 1\n[ai-proxy]\nroute_type = \"{odd}\"\n"),
    );
    std::fs::write(world.profiles().join("n\u{1b}[2J.toml"), "x").unwrap();
    std::fs::write(world.path("home/body.json"), asked("hello").to_string()).unwrap();
    std::fs::write(
        world.path("home/fail.json"),
        asked("please fail").to_string(),
    )
    .unwrap();
    let mut wrong = Vec::new();
    for line in [
        "transform --profile up body.json",
        "transform --profile up fail.json",
        "transform --profile up --json body.json",
        "transform --profile up --diff text body.json",
        "transform --profile up --no-llm body.json",
        "transform --profile up --text \"$EVIL\"",
        "transform --profile up --header \"x-a: b\" --path \"/$EVIL\" body.json",
        "diff body.json fail.json",
        "profile list",
        "profile list --json",
        "profile show up",
        "profile show up --json",
        "profile check",
        "profile check broken --json",
        "profile check \"$EVIL\"",
        "doctor --offline",
        "doctor --offline --json",
        "\"$EVIL\"",
    ] {
        let shell = format!("export AIPROXY_PROFILES=\"$PWD/../profiles\"; \"$AIPROXY\" {line}");
        let process = on_terminal(&world, &shell, "http://127.0.0.1:1");
        let ended = process.end();
        assert!(!ended.stdout.is_empty(), "{line}");
        wrong.extend(obeyed(line, &ended));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
