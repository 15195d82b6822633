//! `aiproxy env`.

use crate::{
    ASK, aiproxy, has,
    support::{Finished, Process, Server, World},
};

/// What a shell has to leave alone.
const TOKEN: &str = "it's $HOME `x` \"y\" \\z";

fn server() -> Server {
    Server::setup()
        .built_in("mock")
        .args(["--token", TOKEN])
        .start()
}

/// Runs a shell where `$AIPROXY` is the binary.
fn shell(server: &Server, program: &str, lines: &str) -> Finished {
    let mut command = server.world.command(program);
    command
        .args(["-c", lines])
        .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"))
        .env("AIPROXY_LISTEN", crate::NOBODY);
    Process::start(command).end()
}

#[test]
fn a_shell_sets_and_unsets_the_variables() {
    let server = server();
    let ask = if has("curl") { ASK } else { "true" };
    for program in ["bash", "sh", "zsh"] {
        if !has(program) {
            continue;
        }
        let lines = format!(
            "eval \"$(\"$AIPROXY\" env --shell bash)\"; sh -c 'printf \"%s\\n\" \"$OPENAI_API_KEY\" \"$OPENAI_BASE_URL\"'; {ask}; \
             eval \"$(\"$AIPROXY\" env --unset)\"; echo; echo \"left:${{OPENAI_API_KEY-}}${{OLLAMA_HOST-}}\""
        );
        let ran = shell(&server, program, &lines).exits(0);
        let told = format!("{TOKEN}\n{}/v1\n", server.url());
        assert!(ran.stdout.starts_with(&told), "{ran:?}");
        assert!(
            ask == "true" || ran.stdout.contains("hello there"),
            "{ran:?}"
        );
        assert!(ran.stdout.ends_with("\nleft:\n"), "{ran:?}");
    }
}

#[test]
fn fish_and_powershell_have_their_own_quotes() {
    let server = server();
    for (program, lines) in [
        (
            "fish",
            "$AIPROXY env --shell fish | source; printf '%s\\n' $OPENAI_API_KEY; $AIPROXY env --shell fish --unset | source; echo \"left:$OPENAI_API_KEY\"",
        ),
        (
            "pwsh",
            "& $env:AIPROXY env --shell powershell | Out-String | Invoke-Expression; $env:OPENAI_API_KEY; & $env:AIPROXY env --shell powershell --unset | Out-String | Invoke-Expression; \"left:$env:OPENAI_API_KEY\"",
        ),
    ] {
        if has(program) {
            let ran = shell(&server, program, lines).exits(0);
            assert_eq!(ran.stdout, format!("{TOKEN}\nleft:\n"));
        }
    }
}

#[test]
fn the_shell_is_that_of_the_environment() {
    let server = server();
    for (shell, expected) in [
        ("/usr/bin/fish", "set -gx OPENAI_BASE_URL 'http://"),
        ("/usr/bin/pwsh", "$env:OPENAI_BASE_URL = 'http://"),
        ("/bin/zsh", "export OPENAI_BASE_URL='http://"),
    ] {
        let mut command = aiproxy(&server.world, ["env"]);
        command.env("SHELL", shell);
        let ran = Process::start(command).end().exits(0);
        assert!(ran.stdout.starts_with(expected), "{ran:?}");
    }
}

#[test]
fn as_json_and_for_a_profile() {
    let server = server();
    let args = ["env", "--json", "--profile", "mock"];
    let ran = Process::start(aiproxy(&server.world, args)).end().exits(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["OPENAI_API_KEY"], TOKEN);
    assert_eq!(json["OPENAI_BASE_URL"], format!("{}/mock/v1", server.url()));
    let args = ["env", "--profile", "openai"];
    let ran = Process::start(aiproxy(&server.world, args)).end().exits(1);
    assert!(ran.stderr.contains("`openai` is not served at"), "{ran:?}");
}

#[test]
fn without_a_server_there_is_a_way_out() {
    let world = World::new();
    let ran = Process::start(aiproxy(&world, ["env"])).end().exits(1);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("hint: start one: aiproxy serve"),
        "{ran:?}"
    );
    // What was set can be removed without one.
    let args = ["env", "--unset", "--shell", "bash"];
    let ran = Process::start(aiproxy(&world, args)).end().exits(0);
    assert!(ran.stdout.starts_with("unset OPENAI_BASE_URL\n"), "{ran:?}");
}
