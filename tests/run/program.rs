//! What a program finds in its environment, and how it ends.

use std::os::unix::fs::PermissionsExt;

use crate::{
    ASK, aiproxy, has, sh,
    support::{Process, World},
    value,
};

#[test]
fn a_program_finds_urls_and_keys() {
    let world = World::new();
    let ran = sh(&world, &[], "env").exits(0);
    let root = value(&ran.stdout, "AIPROXY_SERVER").unwrap();
    let token = value(&ran.stdout, "OPENAI_API_KEY").unwrap();
    assert!(root.starts_with("http://127.0.0.1:"), "{root}");
    assert!(token.starts_with("sk-aiproxy-") && token.len() > 50);
    for (name, expected) in [
        ("OPENAI_BASE_URL", format!("{root}/v1")),
        ("OPENAI_API_BASE", format!("{root}/v1")),
        ("ANTHROPIC_BASE_URL", root.to_owned()),
        ("AZURE_OPENAI_ENDPOINT", format!("{root}/mock")),
        ("GOOGLE_GEMINI_BASE_URL", root.to_owned()),
        ("OLLAMA_HOST", root.to_owned()),
        ("CO_API_URL", root.to_owned()),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", root.to_owned()),
    ] {
        assert_eq!(value(&ran.stdout, name), Some(&*expected), "{name}");
    }
    for name in [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "AZURE_OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "OLLAMA_API_KEY",
        "CO_API_KEY",
        "AWS_BEARER_TOKEN_BEDROCK",
    ] {
        assert_eq!(value(&ran.stdout, name), Some(token), "{name}");
    }
    assert_eq!(value(&ran.stdout, "NO_PROXY"), None);
    let again = sh(&world, &["--profile", "mock"], "env").exits(0);
    let root = value(&again.stdout, "AIPROXY_SERVER").unwrap();
    assert_eq!(
        value(&again.stdout, "OPENAI_BASE_URL"),
        Some(&*format!("{root}/mock/v1"))
    );
    assert_ne!(value(&again.stdout, "OPENAI_API_KEY"), Some(token));
}

#[test]
fn loopback_is_reached_past_a_proxy() {
    let world = World::new();
    let mut command = aiproxy(&world, ["run", "--", "sh", "-c", &format!("env; {ASK}")]);
    command
        .env("http_proxy", "http://127.0.0.1:9")
        .env("NO_PROXY", "intern.example");
    let ran = Process::start(command).end().exits(0);
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(
            value(&ran.stdout, name),
            Some("intern.example,127.0.0.1,localhost")
        );
    }
    if has("curl") {
        assert!(ran.stdout.contains("hello there"), "{ran:?}");
    }
}

/// A program of this name, in the folder that programs are run in.
fn program(world: &World, name: &str, lines: &str) {
    let path = world.path(&format!("home/{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn codex_gets_its_settings_as_arguments() {
    let world = World::new();
    program(&world, "codex", "printf '%s\\n' \"$@\"; env");
    let run = |profile: &str| {
        let args = [
            "run",
            "--mock",
            "--profile",
            profile,
            "--",
            "./codex",
            "exec",
            "hi",
        ];
        Process::start(aiproxy(&world, args)).end().exits(0)
    };
    let ran = run("gemini");
    let root = value(&ran.stdout, "AIPROXY_SERVER").unwrap();
    let provider = format!(
        r#"model_providers.aiproxy={{name="aiproxy",base_url="{root}/gemini/v1",env_key="OPENAI_API_KEY",wire_api="responses"}}"#
    );
    let said: Vec<&str> = ran.stdout.lines().take(10).collect();
    assert_eq!(
        said,
        [
            "-c",
            &provider,
            "-c",
            r#"model_provider="aiproxy""#,
            "-c",
            r#"web_search="disabled""#,
            "-c",
            r#"model="gemini-3.6-flash""#,
            "exec",
            "hi"
        ]
    );
    // OpenAI has them both.
    let ran = run("openai");
    let said: Vec<&str> = ran.stdout.lines().skip(4).take(2).collect();
    assert_eq!(said, ["exec", "hi"]);
}

#[test]
fn claude_code_is_told_of_a_model_that_is_not_its_own() {
    let world = World::new();
    program(&world, "claude", "env");
    let run = |profile: &str, own: &str| {
        let args = ["run", "--mock", "--profile", profile, "--", "./claude"];
        let mut command = aiproxy(&world, args);
        command.env("ANTHROPIC_MODEL", own);
        Process::start(command).end().exits(0).stdout
    };
    let env = run("gemini", "");
    for name in ["ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"] {
        assert_eq!(value(&env, name), Some("gemini-3.6-flash"), "{name}");
    }
    assert_eq!(
        value(&run("gemini", "mine"), "ANTHROPIC_MODEL"),
        Some("mine")
    );
    let env = run("anthropic", "");
    assert_eq!(value(&env, "ANTHROPIC_DEFAULT_HAIKU_MODEL"), None);
}

#[test]
fn claude_code_is_not_given_two_credentials() {
    let world = World::new();
    program(&world, "claude", "env");
    let mut command = aiproxy(&world, ["run", "--", "./claude", "-p", "hi"]);
    command.env("ANTHROPIC_API_KEY", "the-persons-own");
    let ran = Process::start(command).end().exits(0);
    assert_eq!(value(&ran.stdout, "ANTHROPIC_API_KEY"), None);
    assert!(value(&ran.stdout, "ANTHROPIC_AUTH_TOKEN").is_some());
}

#[test]
fn requests_go_through_the_private_server_alone_with_its_token() {
    if !has("curl") {
        return;
    }
    let world = World::new();
    let wrong = "OPENAI_API_KEY=wrong";
    let azure = r#"curl -s "$AZURE_OPENAI_ENDPOINT/openai/deployments/mock-echo/chat/completions?api-version=1" -H "api-key: $AZURE_OPENAI_API_KEY" -H 'content-type: application/json' -d '{"model":"mock-echo","messages":[{"role":"user","content":"from azure"}]}'"#;
    let lines = format!("{ASK}; echo; ({wrong}; {ASK}); echo; {azure}");
    let ran = sh(&world, &[], &lines).exits(0);
    let answers: Vec<&str> = ran.stdout.lines().collect();
    let [right, refused, azure] = answers.as_slice() else {
        panic!("{ran:?}");
    };
    assert!(
        right.contains("hello there") && right.ends_with("200"),
        "{right}"
    );
    assert!(
        refused.contains("asks for its token") && refused.ends_with("401"),
        "{refused}"
    );
    assert!(azure.contains("from azure"), "{azure}");
    // A refusal is no exchange; Azure's path is read, so its tokens are known.
    assert!(
        ran.stderr.starts_with("aiproxy: 2 exchanges in "),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("sk-aiproxy-"), "{ran:?}");
}

#[test]
fn the_server_ends_with_its_program() {
    let world = World::new();
    let ran = sh(&world, &[], "env; ls \"$AIPROXY_STATE_DIR\"/aiproxy").exits(0);
    assert!(ran.stdout.contains("server-"), "{ran:?}");
    let left: Vec<_> = std::fs::read_dir(world.path("state/aiproxy"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let address = value(&ran.stdout, "AIPROXY_SERVER").unwrap();
    let address = address.trim_start_matches("http://");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn it_ends_as_its_program_does() {
    let world = World::new();
    for (line, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        assert_eq!(sh(&world, &[], line).code(), code, "{line}");
    }
    let home = world.path("home");
    std::fs::write(home.join("text"), "echo hi\n").unwrap();
    std::fs::write(home.join("lost"), "#!/nowhere/sh\n").unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(home.join("lost"), executable).unwrap();
    for (program, code, error) in [
        (
            "no-such-program",
            127,
            "error: `no-such-program` was not found\nhint: ",
        ),
        (
            "./no-such-program",
            127,
            "error: `./no-such-program` was not found\n",
        ),
        ("./text", 126, "error: `./text` may not be run: "),
        ("./lost", 126, "error: `./lost` cannot be run: "),
        ("/", 126, "error: `/` is a folder\n"),
    ] {
        let ran = Process::start(aiproxy(&world, ["run", "--", program]))
            .end()
            .exits(code);
        assert!(ran.stderr.starts_with(error), "{ran:?}");
        assert!(!ran.stderr.contains("exchange"), "{ran:?}");
    }
    let ran = world.run(["run"]).exits(2);
    assert!(
        ran.stderr.contains("aiproxy run [OPTIONS] -- CMD"),
        "{ran:?}"
    );
}

#[test]
fn stdin_and_arguments_are_the_programs() {
    let world = World::new();
    // Flags after the program's name are its own, with and without `--`.
    for args in [
        &[
            "run",
            "--",
            "sh",
            "-c",
            "cat; echo \"$@\"",
            "sh",
            "--quiet",
            "-v",
        ][..],
        &["run", "sh", "-c", "cat; echo \"$@\"", "sh", "--quiet", "-v"],
    ] {
        let command = aiproxy(&world, args.iter().copied());
        let ran = Process::start_with(command, "from stdin\n").end().exits(0);
        assert_eq!(ran.stdout, "from stdin\n--quiet -v\n");
        assert!(ran.stderr.starts_with("aiproxy: no exchange"), "{ran:?}");
    }
}

#[test]
fn a_broken_profile_is_told_before_anything_runs() {
    let world = World::new();
    let ran = sh(&world, &["--profile", "nonesuch"], "echo ran").exits(1);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("nonesuch"), "{ran:?}");
}

#[test]
fn settings_of_serve_are_its_own_too() {
    let world = World::new();
    let folder = world.path("home/.config/aiproxy");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "profile = [\"mock\"]\nrecord = true\nlisten = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let ran = sh(&world, &[], "env").exits(0);
    let url = value(&ran.stdout, "OPENAI_BASE_URL").unwrap();
    assert!(url.ends_with("/mock/v1"), "{url}");
    assert!(world.path("state/aiproxy/history.db").exists());
}
