//! Help, versions, exit codes.

use crate::support::{Process, ProfileText, Server, World};

const COMMANDS: [&str; 4] = ["serve", "chat", "mock", "completions"];

#[test]
fn help_lists_the_commands() {
    let world = World::new();
    for flag in ["--help", "-h", "help"] {
        let ended = world.run([flag]).exits(0);
        for command in COMMANDS {
            assert!(
                ended.stdout.contains(&format!("  {command} ")),
                "{}",
                ended.stdout
            );
        }
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let world = World::new();
    let help = world.run(["--help"]).exits(0).stdout;
    let listed = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    for command in listed {
        let ended = world.run([command, "--help"]).exits(0);
        assert!(
            ended.stdout.contains("Example"),
            "{command}: {}",
            ended.stdout
        );
        assert!(
            ended.stdout.contains("  aiproxy ") || ended.stdout.contains("aiproxy serve"),
            "{command}"
        );
    }
}

#[test]
fn the_version() {
    let ended = World::new().run(["--version"]).exits(0);
    assert_eq!(
        ended.stdout,
        format!("aiproxy {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn bad_usage_is_2_and_told_on_stderr() {
    let world = World::new();
    for args in [
        &[][..],
        &["nothing"],
        &["serve", "--nothing"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--drain", "soon"],
        &["serve", "--allow-origin", "localhost"],
        &["chat", "--nothing"],
        &["chat", "one", "two"],
        &["completions"],
        &["completions", "cmd.exe"],
        &["mock", "--listen"],
    ] {
        let ended = world.run(args).exits(2);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
    for args in [&["serv"][..], &["chat", "--modle", "x"]] {
        let ended = world.run(args).exits(2);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("serve") || ended.stderr.contains("--model"),
            "the nearest is named: {}",
            ended.stderr
        );
    }
}

#[test]
fn completions_of_each_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = world.run(["completions", shell]).exits(0);
        for word in COMMANDS {
            assert!(ended.stdout.contains(word), "{shell}: no {word}");
        }
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn flags_of_serve_stand_in_the_environment() {
    let server = Server::setup()
        .built_in("mock")
        .variable("AIPROXY_ALLOW_HOST", "proxy.test")
        .variable("AIPROXY_TOKEN", "tok-0123456789")
        .start();
    let world = World::new();
    let url = server.url();
    let ended = world
        .run(["chat", "--server", &url, "--model", "mock-echo", "hi"])
        .exits(1);
    assert!(ended.stderr.contains("error: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("tok-0123456789"));
}

#[test]
fn a_file_of_variables() {
    let world = World::new();
    std::fs::write(
        world.path("home/keys.env"),
        "# keys\nexport UP_KEY=\"sk-from-file\"\n",
    )
    .unwrap();
    let profile =
        ProfileText::at("http://127.0.0.1:9/v1").key("Authorization", "{vault://env/up-key}");
    world.profile("up", &profile.toml());
    let folder = world.profiles();
    let args = |extra: &[&'static str]| {
        let mut args = vec![
            "serve",
            "--profile",
            "up",
            "--listen",
            "127.0.0.1:0",
            "--profiles",
        ];
        args.push(folder.to_str().unwrap());
        args.extend(extra);
        args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()
    };
    for (extra, resolves) in [(&["--env-file", "keys.env"][..], true), (&[], false)] {
        let mut process = Process::start(world.aiproxy(args(extra)));
        process.until("the banner", |process| process.stdout().contains("/up/v1"));
        assert_eq!(
            !process.stdout().contains("UP_KEY"),
            resolves,
            "{}",
            process.stdout()
        );
        assert!(!process.stdout().contains("sk-from-file"));
    }
    for (file, words) in [("none.env", "none.env"), ("bad.env", "bad.env:2")] {
        std::fs::write(world.path("home/bad.env"), "A=1\nnot a line\n").unwrap();
        let ended = world.run(args(&["--env-file", file][..])).exits(1);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
