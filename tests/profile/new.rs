//! `profile new` by flags; questions need a terminal.

use super::{Home, built_in};

#[test]
fn flags_answer_everything() {
    let home = Home::new();
    let new = home.run(&[
        "profile",
        "new",
        "my-groq",
        "--provider",
        "groq",
        "--model",
        "m1",
        "--key-from",
        "env:MY_GROQ_KEY",
        "--yes",
    ]);
    assert_eq!(
        new.out(),
        "wrote HOME/config/aiproxy/profiles/my-groq.toml\n\n  \
         export MY_GROQ_KEY=...\n  \
         aiproxy profile check my-groq\n  \
         aiproxy chat --profile my-groq \"Hello\"\n  \
         aiproxy serve --profile my-groq\n"
    );
    let check = home.run(&["profile", "check", "my-groq"]);
    assert_eq!(
        (check.code, check.out.as_str(), check.err.as_str()),
        (
            0,
            "ok: my-groq (HOME/config/aiproxy/profiles/my-groq.toml)\n",
            "warning: my-groq: ai-proxy.auth.header_value: secret {vault://env/my-groq-key} does not resolve: environment variable MY_GROQ_KEY is not set\n"
        )
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |below: &str| {
            let metadata = std::fs::metadata(home.path(below)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("config/aiproxy/profiles"), 0o700);
        assert_eq!(mode("config/aiproxy/profiles/my-groq.toml"), 0o600);
    }
}

#[test]
fn every_built_in_profile_is_a_start() {
    let home = Home::new();
    for name in built_in() {
        let mut args = vec!["profile", "new", "--provider", &name, "--yes"];
        match name.as_str() {
            "azure" => args.extend([
                "--option",
                "azure_instance=r",
                "--option",
                "azure_deployment_id=d",
            ]),
            "vertex" => args.extend([
                "--option",
                "gemini.api_endpoint=europe-west4-aiplatform.googleapis.com",
                "--option",
                "gemini.project_id=p",
                "--option",
                "gemini.location_id=europe-west4",
            ]),
            "databricks" => args.extend(["--option", "databricks.workspace_instance_id=dbc-1"]),
            _ => {}
        }
        let new = home.run(&args);
        assert_eq!(new.code, 0, "{name}: {new:?}");
        let check = home.run(&["profile", "check", &format!("my-{name}")]);
        assert_eq!(check.code, 0, "{name}: {check:?}");
    }
}

#[test]
fn nobody_to_ask() {
    let home = Home::new();
    for (args, missing) in [
        (&["profile", "new"][..], "--provider is missing"),
        (
            &["profile", "new", "x", "--provider", "compatible", "--yes"],
            "--key-from, --base-url are missing",
        ),
        (
            &["profile", "new", "x", "--provider", "azure", "--yes"],
            "--option is missing",
        ),
    ] {
        let done = home.run(args);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{done:?}");
        assert!(
            done.err
                .contains(&format!("nobody can be asked here: {missing}\nhint: ")),
            "{done:?}"
        );
    }
}

#[test]
fn wrong_answers() {
    let home = Home::new();
    let new = |flags: &[&str]| {
        let done = home.run(&[&["profile", "new", "--yes"], flags].concat());
        assert_eq!(done.out, "", "{done:?}");
        assert!(!done.err.contains("q7Zp04mXw9"), "{done:?}");
        (done.code, done.err)
    };
    let (code, err) = new(&["x", "--provider", "grok"]);
    assert_eq!(code, 2);
    assert!(
        err.starts_with("error: there is nothing for --provider `grok`\nhint: it takes "),
        "{err}"
    );
    let (code, err) = new(&["V1", "--provider", "groq"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("`V1` cannot be the name of a profile"),
        "{err}"
    );
    // Somebody may well put the key there.
    let (code, err) = new(&["x", "--provider", "groq", "--key-from", "sk-q7Zp04mXw9"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("--key-from: write env:VARIABLE, file:PATH, keyring:NAME or none"),
        "{err}"
    );
    let (code, err) = new(&["x", "--provider", "groq", "--base-url", "groq.com"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("`aiproxy.base_url` must be an http or https URL"),
        "{err}"
    );
    let (code, err) = new(&["x", "--provider", "groq", "--option", "max_token=5"]);
    assert_eq!(code, 1);
    assert!(err.contains("did you mean `max_tokens`?"), "{err}");
    assert!(!home.path("config").join("aiproxy").exists());
}

#[test]
fn nothing_is_replaced_unasked() {
    let home = Home::new();
    let flags = [
        "profile",
        "new",
        "x",
        "--provider",
        "mock",
        "--model",
        "mock",
        "--key-from",
        "none",
    ];
    home.run(&flags).out();
    let again = home.run(&flags);
    assert_eq!(again.code, 1);
    assert_eq!(
        again.err,
        "error: HOME/config/aiproxy/profiles/x.toml is there already\nhint: choose another name, or replace it with --yes\n"
    );
    home.run(&[&flags[..], &["--yes"]].concat()).out();
    home.profile("y.yaml", "");
    let other = home.run(&["profile", "new", "y", "--provider", "mock", "--yes"]);
    assert_eq!(other.code, 1);
    assert!(
        other.err.starts_with(
            "error: there is a profile `y` already: HOME/config/aiproxy/profiles/y.yaml"
        ),
        "{other:?}"
    );
}

#[test]
fn a_test_prompt_goes_through_the_new_profile() {
    let home = Home::new();
    let done = home.run(&[
        "profile",
        "new",
        "x",
        "--provider",
        "mock",
        "--yes",
        "--test",
        "--profiles",
        "here",
    ]);
    assert_eq!(done.code, 0, "{done:?}");
    let (written, answer) = done
        .out
        .split_once("aiproxy serve --profile x --profiles here\n")
        .unwrap();
    assert!(written.starts_with("wrote here/x.toml\n"), "{written}");
    assert!(answer.trim().len() > 3, "{answer}");
}
