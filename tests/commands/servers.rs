//! The state folder, and which server a command asks.

use std::fs;

use serde_json::Value;

use crate::home::{Home, Server, mode};

const HERE: &str = "asking from this process";

fn files(home: &Home) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(home.state()) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_server_has_a_private_file_while_it_lives() {
    let home = Home::new();
    let server = home.serve(["--profile", "mock", "--token", "t0ken-of-8"]);
    let files_now = files(&home);
    let [file] = files_now.as_slice() else {
        panic!("{files_now:?}");
    };
    let name = format!("server-{}-{}.json", server.pid(), server.address().port());
    assert_eq!(file.file_name().unwrap().to_str(), Some(name.as_str()));
    assert_eq!((mode(&home.state()), mode(file)), (0o700, 0o600));
    let entry: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(entry["pid"], server.pid());
    assert_eq!(entry["address"], server.address().to_string());
    assert_eq!(entry["profiles"], serde_json::json!(["mock"]));
    assert_eq!(entry["token"], "t0ken-of-8");
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    assert!(entry["started"].as_str().unwrap().ends_with('Z'));
    // The token comes from the file, also for a server that is named.
    let url = server.url.clone();
    for args in [&["chat", "hi"][..], &["chat", "hi", "--server", &url]] {
        let ran = home.run(args.iter().copied()).done();
        assert!(!ran.err.contains(HERE), "{ran:?}");
    }
    server.stop();
    assert_eq!(files(&home), Vec::<std::path::PathBuf>::new());
    assert!(home.run(["chat", "hi"]).done().err.contains(HERE));
}

#[test]
fn a_file_of_a_killed_server_is_ignored_and_removed() {
    let home = Home::new();
    home.serve(["--profile", "mock"]).kill();
    assert_eq!(files(&home).len(), 1);
    let ran = home.run(["chat", "hi"]).done();
    assert_eq!(
        ran.err.lines().next(),
        Some("no server is running: asking from this process")
    );
    assert_eq!(files(&home).len(), 0);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_a_warning() {
    let home = Home::new();
    home.write("state", "a file, no folder");
    let server = home.serve(["--profile", "mock"]);
    let ran = home.run(["chat", "hi", "--server", &server.url]).done();
    assert!(ran.out.ends_with('\n'));
    let err = server.stop();
    assert!(
        err.contains(
            "warning: other commands will not find this server: its state cannot be written"
        ),
        "{err}"
    );
}

#[test]
fn a_server_on_the_usual_address_is_found_without_its_file() {
    let home = Home::new();
    let _server = Server::start(home.command(["serve", "--profile", "mock"]));
    fs::remove_dir_all(home.state()).unwrap();
    let ran = home.run(["chat", "hi"]).done();
    assert!(!ran.err.contains(HERE), "{ran:?}");
}

#[test]
fn of_several_servers_the_usual_one_is_asked_else_one_has_to_be_named() {
    let home = Home::new();
    let first = home.serve(["--profile", "mock"]);
    let second = home.serve(["--profile", "mock", "--profile", "ollama"]);
    let ran = home.run(["chat", "hi"]).failed(1);
    assert!(
        ran.err.starts_with(&format!(
            "error: 2 servers are running, none of them on {}: ",
            home.usual
        )),
        "{ran:?}"
    );
    for named in [
        format!("{} (mock)", first.url),
        format!("{} (mock, ollama)", second.url),
    ] {
        assert!(ran.err.contains(&named), "{ran:?}");
    }
    assert!(ran.err.contains("hint: choose one with --server URL"));
    home.run(["chat", "hi", "--server", &second.url]).done();
    let usual =
        Server::start(home.command(["serve", "--profile", "mock", "--token", "t0ken-of-8"]));
    assert_eq!(usual.address(), home.usual);
    let ran = home.run(["chat", "hi"]).done();
    assert!(!ran.err.contains(HERE), "{ran:?}");
}

#[test]
fn what_a_server_does_not_serve_is_asked_here() {
    let home = Home::new();
    home.profile(
        "own",
        "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'mock'\nname = 'mock-echo'\n",
    );
    let server = home.serve(["--profile", "mock"]);
    let ran = home.run(["chat", "hi", "--profile", "own"]).done();
    assert_eq!(ran.out, "hi\n");
    assert!(
        ran.err.starts_with(&format!(
            "profile `own` is not served at {}: {HERE}\n",
            server.url
        )),
        "{ran:?}"
    );
    // A named server answers for itself.
    let ran = home
        .run(["chat", "hi", "--profile", "own", "--server", &server.url])
        .failed(1);
    assert!(
        ran.err.contains("there is no profile `own` here"),
        "{ran:?}"
    );
    // Named folders are this process's.
    let folder = home.path("config/aiproxy/profiles").display().to_string();
    let ran = home
        .run(["chat", "hi", "--profile", "own", "--profiles", &folder])
        .done();
    assert_eq!(ran.out, "hi\n");
    assert!(!ran.err.contains("is not served"), "{ran:?}");
}

#[test]
fn a_named_server_has_to_be_one_of_ours() {
    let home = Home::new();
    let ran = home
        .run(["chat", "hi", "--server", &home.usual.to_string()])
        .failed(1);
    assert!(
        ran.err.starts_with(&format!(
            "error: no aiproxy answers at http://{}: ",
            home.usual
        )),
        "{ran:?}"
    );
    assert!(ran.err.contains("hint: start one: aiproxy serve"));
    let (other, _) = crate::home::upstream("{}");
    let ran = home
        .run(["chat", "hi", "--server", &format!("http://{other}")])
        .failed(1);
    assert!(
        ran.err.contains("something else is there (status 200 OK)"),
        "{ran:?}"
    );
    home.run(["chat", "hi", "--server", "ftp://h"]).failed(2);
}

#[test]
fn a_token_of_another_place_has_to_be_known() {
    let home = Home::new();
    let elsewhere = Home::new();
    let server = elsewhere.serve(["--profile", "mock", "--token", "t0ken-of-8"]);
    let ran = home.run(["chat", "hi", "--server", &server.url]).failed(1);
    assert!(
        ran.err
            .contains("it asks for a token\nhint: set AIPROXY_TOKEN"),
        "{ran:?}"
    );
    let mut command = home.command(["chat", "hi", "--server", &server.url]);
    command.env("AIPROXY_TOKEN", "t0ken-of-8");
    crate::home::Ran::of(command.output().unwrap()).done();
}

#[test]
fn a_taken_address_names_who_has_it() {
    let home = Home::new();
    let server = home.serve(["--profile", "mock"]);
    let ran = home
        .run(["serve", "--listen", &server.address().to_string()])
        .failed(1);
    let holder = format!(
        "aiproxy {} (pid {})",
        env!("CARGO_PKG_VERSION"),
        server.pid()
    );
    assert!(ran.err.contains(&holder), "{ran:?}");
}
