//! config.toml, AIPROXY_* and --env-file.

use std::process::Stdio;

use crate::home::{ANSWER, Home, Ran, Server, free_address, profile_to, upstream};

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let home = Home::new();
    let (file, variable, flag) = (free_address(), free_address(), free_address());
    home.settings(&format!(
        "listen = '{file}'\nprofile = ['mock']\nallow_host = ['my.example']\ndrain = 1\nmax_connections = 1_000\n"
    ));
    for (from_variable, from_flag, expected) in [
        (false, false, file),
        (true, false, variable),
        (true, true, flag),
    ] {
        let mut command = home.command(["serve"]);
        command.env_remove("AIPROXY_LISTEN");
        if from_variable {
            command.env("AIPROXY_LISTEN", variable.to_string());
        }
        if from_flag {
            command.args(["--listen", &flag.to_string()]);
        }
        let server = Server::start(command);
        assert_eq!(server.address(), expected);
    }
}

#[test]
fn commands_look_where_the_settings_say() {
    let home = Home::new();
    home.settings(&format!("listen = '{}'\nprofile = 'mock'\n", home.usual));
    let mut command = home.command(["serve"]);
    command.env_remove("AIPROXY_LISTEN");
    let server = Server::start(command);
    assert_eq!(server.address(), home.usual);
    let _other = home.serve(["--profile", "mock"]);
    let mut command = home.command(["chat", "hi"]);
    command.env_remove("AIPROXY_LISTEN");
    let ran = Ran::of(command.output().unwrap()).done();
    assert!(!ran.err.contains("this process"), "{ran:?}");
}

#[test]
fn a_broken_file_names_line_and_key() {
    let home = Home::new();
    let path = home.settings("# mine\nlisen = '127.0.0.1:1'\nprofile = 7.5\ntoken = ['s3cret']\n");
    let ran = home.run(["serve"]).failed(1);
    for part in [
        format!(
            "error: {}:2:1: unknown key `lisen`\nhint: did you mean `listen`?",
            path.display()
        ),
        format!(
            "{}:4:9: `token` must be a string or a number",
            path.display()
        ),
    ] {
        assert!(ran.err.contains(&part), "{part}\n{}", ran.err);
    }
    assert!(!ran.err.contains("s3cret"));
    // Other commands take little from it.
    let ran = home.run(["chat", "hi"]).done();
    assert!(
        ran.err.starts_with("warning: settings are left out: "),
        "{ran:?}"
    );
    let named = path.display().to_string();
    home.run(["chat", "hi", "--config", &named]).failed(1);
}

#[test]
fn a_named_file_has_to_be_there() {
    let home = Home::new();
    for args in [&["serve"][..], &["chat", "hi"]] {
        let line = args.iter().copied().chain(["--config", "/nowhere.toml"]);
        let ran = home.run(line).failed(1);
        assert_eq!(ran.err, "error: /nowhere.toml: there is no such file\n");
    }
    let mut command = home.command(["serve"]);
    command
        .env("AIPROXY_CONFIG", "/nowhere.toml")
        .stdin(Stdio::null());
    Ran::of(command.output().unwrap()).failed(1);
}

#[test]
fn another_file_can_be_named() {
    let home = Home::new();
    home.settings("profile = ['nonsense']\n");
    let other = home.write("other.toml", "profile = ['mock']\ntoken = 't0ken-of-8'\n");
    let other = other.display().to_string();
    let server = home.serve(["--config", &other]);
    home.run(["chat", "hi", "--server", &server.url]).done();
    let ran = home.run(["serve"]).failed(1);
    assert!(ran.err.contains("no profile `nonsense`"), "{ran:?}");
}

#[test]
fn folders_of_the_file_hold_for_all_commands() {
    let home = Home::new();
    home.settings("profiles = ['more']\n");
    home.write(
        "config/aiproxy/more/own.toml",
        "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'mock'\nname = 'mock-echo'\n",
    );
    let ran = home.run(["chat", "hi", "--profile", "own"]).done();
    assert_eq!(ran.out, "hi\n");
    let empty = home.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut command = home.command(["chat", "hi", "--profile", "own"]);
    command.env("AIPROXY_PROFILES", &empty);
    Ran::of(command.output().unwrap()).failed(1);
}

#[test]
fn variables_come_from_the_environment_before_the_file() {
    let home = Home::new();
    let (address, requests) = upstream(ANSWER);
    home.profile("own", &profile_to(address, "own-key"));
    let file = home.write("keys.env", "# mine\nexport OWN_KEY='from file'\n");
    let file = file.display().to_string();
    let ask = |variable: Option<&str>, args: &[&str]| {
        let line = ["chat", "hi", "--profile", "own"];
        let mut command = home.command(line.into_iter().chain(args.iter().copied()));
        if let Some(value) = variable {
            command.env("OWN_KEY", value);
        }
        Ran::of(command.output().unwrap())
    };
    let key = || {
        let request = requests.recv().unwrap().to_ascii_lowercase();
        let line = request
            .lines()
            .find(|line| line.starts_with("authorization:"));
        line.unwrap().to_owned()
    };
    ask(None, &["--env-file", &file]).done();
    assert_eq!(key(), "authorization: bearer from file");
    ask(Some("from shell"), &["--env-file", &file]).done();
    assert_eq!(key(), "authorization: bearer from shell");
    ask(Some(""), &["--env-file", &file]).done();
    assert_eq!(key(), "authorization: bearer from file");
    let ran = ask(None, &[]).failed(1);
    assert!(ran.err.contains("OWN_KEY is not set"), "{ran:?}");
    home.settings("env_file = '../../keys.env'\n");
    ask(None, &[]).done();
    assert_eq!(key(), "authorization: bearer from file");
    let ran = ask(None, &["--env-file", "/nowhere"]).failed(1);
    assert!(
        ran.err.contains("cannot read --env-file /nowhere"),
        "{ran:?}"
    );
}

#[test]
fn help_says_where_settings_are_looked_for() {
    let home = Home::new();
    let ran = home.run(["serve", "--help"]).done();
    let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("~/config/aiproxy/config.toml unless --config names another"),
        "{words}"
    );
    for variable in [
        "AIPROXY_PROFILE",
        "AIPROXY_LISTEN",
        "AIPROXY_TOKEN",
        "AIPROXY_ENV_FILE",
        "AIPROXY_CONFIG",
    ] {
        assert!(
            words.contains(&format!("[env: {variable}")),
            "{variable}\n{words}"
        );
    }
}
