//! `aiproxy doctor` on sound and on broken set-ups.

use serde_json::{Value, json};

use crate::home::{ANSWER, Home, Ran, profile_to, upstream};

/// The report, with what differs between machines replaced; the exit code says the same as `ok`.
fn report(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Value {
    let line = ["doctor", "--json"].into_iter().chain(args.iter().copied());
    let mut command = home.command(line);
    for (name, value) in variables {
        command.env(name, value);
    }
    let ran = Ran::of(command.output().unwrap());
    let mut report: Value = serde_json::from_str(&home.without_places(&ran.out))
        .unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(ran.code, Some(if report["ok"] == true { 0 } else { 1 }));
    for check in report["checks"].as_array_mut().unwrap() {
        if check["name"] == "roots" {
            let message = check["message"].as_str().unwrap();
            assert!(message.contains(" trusted, from "), "{message}");
            check["message"] = "[ROOTS]".into();
        }
    }
    report
}

/// The checks of a name, as one line each.
fn told(report: &Value, name: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["name"] == name)
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}: {}",
                text("status"),
                text("subject"),
                text("message")
            )
        })
        .collect()
}

#[test]
fn a_sound_set_up() {
    let home = Home::new();
    let report = report(&home, &["--profile", "mock"], &[]);
    let check = |name: &str, subject: &str, message: &str| json!({"name": name, "subject": subject, "status": "ok", "message": message, "hint": null});
    assert_eq!(
        report,
        json!({
            "checks": [
                check("version", "aiproxy", "[VERSION] for [OS] [ARCH]"),
                check("settings", "~/config/aiproxy/config.toml", "there is none, so the defaults hold"),
                check("state", "~/state/aiproxy", "writable, and private"),
                check("listen", "[USUAL]", "free"),
                check("roots", "certificates", "[ROOTS]"),
                check("proxy", "environment", "none"),
                check("profile", "mock", "loads (built in), and needs no key"),
                check("endpoint", "mock", "aiproxy itself answers"),
            ],
            "ok": true,
        })
    );
    assert_eq!(crate::home::mode(&home.state()), 0o700);
}

#[test]
fn without_names_what_lacks_a_key_or_is_not_running_is_a_warning() {
    let home = Home::new();
    let report = report(&home, &["--offline"], &[]);
    assert_eq!(report["ok"], true);
    let profiles = told(&report, "profile");
    assert!(
        profiles.contains(&"warn openai: skipped: OPENAI_API_KEY is not set".to_owned()),
        "{profiles:?}"
    );
    assert!(profiles.contains(&"ok mock: loads (built in), and needs no key".to_owned()));
    let endpoints = told(&report, "endpoint");
    assert!(
        endpoints
            .contains(&"ok ollama: http://127.0.0.1:11434 was not asked (--offline)".to_owned()),
        "{endpoints:?}"
    );
}

#[test]
fn a_broken_set_up() {
    let home = Home::new();
    let down = crate::home::free_address();
    home.settings("tokn = 's3cret-of-mine'\n");
    home.profile(
        "broken",
        "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.model]\nprovider = 'opnai'\n",
    );
    home.profile("down", &profile_to(down, "own-key"));
    let held = std::net::TcpListener::bind(home.usual).unwrap();
    let report = report(
        &home,
        &[
            "--profile",
            "broken",
            "--profile",
            "down",
            "--profile",
            "openai",
            "--profile",
            "opnai",
        ],
        &[
            ("OWN_KEY", "s3cret-of-mine"),
            ("SSL_CERT_FILE", "/nowhere.pem"),
            ("https_proxy", "http://user:s3cret@p.example:3128"),
        ],
    );
    drop(held);
    assert!(!report.to_string().contains("s3cret"), "{report:#}");
    assert_eq!(report["ok"], false);
    let checks: Vec<String> = [
        "settings", "listen", "roots", "proxy", "profile", "endpoint",
    ]
    .iter()
    .flat_map(|name| told(&report, name))
    .collect();
    assert_eq!(
        checks,
        [
            "fail ~/config/aiproxy/config.toml: [HOME]/config/aiproxy/config.toml:1:1: unknown key `tokn`",
            "fail [USUAL]: another program has it",
            "warn SSL_CERT_FILE: [ROOTS]",
            "ok https_proxy: in force, p.example:3128",
            "fail broken: [HOME]/config/aiproxy/profiles/broken.toml:4:12: `ai-proxy.model.provider` cannot be `opnai`",
            "ok down: loads ([HOME]/config/aiproxy/profiles/down.toml), and its key is there",
            "fail openai: OPENAI_API_KEY is not set",
            "fail opnai: there is no profile `opnai`",
            &format!("fail down: http://{down} is not running: {down} refused the connection"),
        ]
        .map(str::to_owned)
    );
    let hints: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| check["hint"].as_str())
        .collect();
    assert!(hints.contains(&"did you mean `token`?"), "{hints:?}");
    assert!(
        hints
            .iter()
            .any(|hint| hint.starts_with("there are openai, ")),
        "{hints:?}"
    );
}

#[test]
fn an_endpoint_is_asked_without_a_key() {
    let home = Home::new();
    let (address, requests) = upstream(ANSWER);
    home.profile("own", &profile_to(address, "own-key"));
    let report = report(
        &home,
        &["--profile", "own"],
        &[("OWN_KEY", "s3cret-of-mine")],
    );
    assert_eq!(
        told(&report, "endpoint"),
        [format!("ok own: http://{address} answers (status 200)")]
    );
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("GET /v1/models HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.contains("s3cret") && !request.to_ascii_lowercase().contains("authorization"));
}

#[test]
fn a_broken_profile_that_would_be_served_is_a_failure() {
    let home = Home::new();
    home.profile("broken", "[ai-proxy\n");
    let report = report(&home, &["--offline"], &[]);
    assert_eq!(report["ok"], false);
    let failed: Vec<String> = told(&report, "profile")
        .into_iter()
        .filter(|line| line.starts_with("fail"))
        .collect();
    assert!(
        failed.len() == 1 && failed[0].starts_with("fail broken: "),
        "{failed:?}"
    );
}

#[test]
fn a_server_that_runs_is_named_and_settings_decide_what_is_checked() {
    let home = Home::new();
    let server = crate::home::Server::start(home.command(["serve", "--profile", "mock"]));
    let path = home.settings("profile = ['openai']\ntoken = 't'\n");
    std::process::Command::new("chmod")
        .arg("644")
        .arg(&path)
        .status()
        .unwrap();
    let report = report(&home, &[], &[]);
    let listen = told(&report, "listen");
    let begins = format!(
        "ok [USUAL]: aiproxy [VERSION] runs there (pid {}, since ",
        server.pid()
    );
    assert!(
        listen[0].starts_with(&begins) && listen[0].ends_with(") and serves mock"),
        "{listen:?}"
    );
    assert_eq!(
        told(&report, "profile"),
        ["fail openai: OPENAI_API_KEY is not set"]
    );
    assert_eq!(
        told(&report, "settings"),
        ["warn ~/config/aiproxy/config.toml: it holds a token that others can read"]
    );
}

#[test]
fn a_variable_that_its_flag_does_not_take() {
    let home = Home::new();
    let report = report(&home, &["--profile", "mock"], &[("AIPROXY_DRAIN", "soon")]);
    let settings = told(&report, "settings");
    assert!(
        settings[1].starts_with("fail environment: invalid value 'soon' for '--drain <S>'"),
        "{settings:?}"
    );
}

#[test]
fn lines_for_people() {
    let home = Home::new();
    let ran = home
        .run(["doctor", "--profile", "mock", "--profile", "openai"])
        .failed(1);
    for line in [
        "ok    profile   mock: loads (built in), and needs no key",
        "fail  profile   openai: OPENAI_API_KEY is not set",
        "                hint: export OPENAI_API_KEY=..., or write it into a file for --env-file",
        "9 checks, 0 warnings, 1 failure",
    ] {
        assert!(
            ran.out.lines().any(|found| found == line),
            "{line}\n{}",
            ran.out
        );
    }
}
