//! `--shared`, and which server the other commands choose.

use crate::{
    ASK, aiproxy, has, sh,
    support::{Process, Server, World},
    value,
};

const TOKEN: &str = "t0ken-of-8";

/// A server with a token, in its own world.
fn server() -> Server {
    Server::setup()
        .built_in("mock")
        .built_in("ollama")
        .args(["--token", TOKEN])
        .start()
}

#[test]
fn shared_is_the_running_server() {
    let server = server();
    let ran = sh(&server.world, &["--shared"], &format!("env; {ASK}")).exits(0);
    assert_eq!(
        value(&ran.stdout, "OPENAI_BASE_URL"),
        Some(&*format!("{}/v1", server.url()))
    );
    assert_eq!(value(&ran.stdout, "OPENAI_API_KEY"), Some(TOKEN));
    if !has("curl") {
        return;
    }
    assert!(ran.stderr.starts_with("aiproxy: 1 exchange in "), "{ran:?}");
    let look = ran.stderr.lines().last().unwrap();
    let show = look.trim_start_matches("  look     aiproxy ");
    let (show, _) = show.split_once(", ").unwrap();
    let seen = Process::start(aiproxy(&server.world, show.split(' ')))
        .end()
        .exits(0);
    assert!(seen.stdout.contains("hello there"), "{seen:?}");
    // Only what came since counts.
    let ran = sh(&server.world, &["--shared", "--profile", "mock"], "env").exits(0);
    assert_eq!(
        value(&ran.stdout, "OPENAI_BASE_URL"),
        Some(&*format!("{}/mock/v1", server.url()))
    );
    assert!(
        ran.stderr.starts_with("aiproxy: no exchange in "),
        "{ran:?}"
    );
    let url = server.url();
    let named = sh(&World::new(), &["--shared", "--server", &url], "env").exits(1);
    assert!(named.stderr.contains("it asks for a token"), "{named:?}");
}

#[test]
fn shared_needs_a_server_that_fits() {
    let world = World::new();
    let ran = sh(&world, &["--shared"], "echo ran").exits(1);
    assert_eq!(
        ran.stderr,
        "error: no server is running\nhint: start one: aiproxy serve; or give a program one of its own: aiproxy run -- CMD\n"
    );
    let server = server();
    let ran = sh(
        &server.world,
        &["--shared", "--profile", "openai"],
        "echo ran",
    )
    .exits(1);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.starts_with(&format!(
            "error: profile `openai` is not served at {}, which serves mock, ollama\n",
            server.url()
        )),
        "{ran:?}"
    );
    let two = ["--shared", "--profile", "mock", "--profile", "ollama"];
    sh(&server.world, &two, "echo ran").exits(2);
    for flag in [&["--record"][..], &["--mock"], &["--log-file", "x"]] {
        let flags = [&["--shared"], flag].concat();
        sh(&server.world, &flags, "echo ran").exits(2);
    }
    sh(&world, &["--server", "http://127.0.0.1:1"], "echo ran").exits(2);
}

#[test]
fn a_private_server_is_looked_at_but_not_asked() {
    if !has("curl") {
        return;
    }
    let world = World::new();
    // Outside of the program's environment, as in another terminal.
    let lines = format!(
        "{ASK} >/dev/null; unset AIPROXY_SERVER; \"$AIPROXY\" log --json; \"$AIPROXY\" chat hi >/dev/null"
    );
    let ran = sh(&world, &[], &lines).exits(0);
    assert!(ran.stdout.contains("hello there"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("no server is running: asking from this process"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("aiproxy: 1 exchange in "), "{ran:?}");
    // In it, all commands mean that server.
    let ran = sh(&world, &[], "\"$AIPROXY\" chat hi").exits(0);
    assert!(ran.stderr.contains("\naiproxy: 1 exchange in "), "{ran:?}");
}

#[test]
fn a_private_server_does_not_stand_in_the_way() {
    let server = server();
    let lines = "unset AIPROXY_SERVER; \"$AIPROXY\" env --json; \"$AIPROXY\" chat hi; \"$AIPROXY\" log --json";
    let ran = sh(&server.world, &[], lines).exits(0);
    let (env, rest) = ran.stdout.split_once("}\n").unwrap();
    let env: serde_json::Value = serde_json::from_str(&format!("{env}}}")).unwrap();
    assert_eq!(env["ANTHROPIC_BASE_URL"], server.url());
    // The chat is in the log of the server that others share.
    assert!(rest.contains("\"prompt\":\"hi\""), "{ran:?}");
    assert!(ran.stderr.contains("\naiproxy: no exchange in "), "{ran:?}");
}
