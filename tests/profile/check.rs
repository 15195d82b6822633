//! `profile check`.

use super::{GPT, Home, built_in};

/// The file, its text, and what a person reads after `error: HOME/config/aiproxy/profiles/`.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "mistyped.toml",
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n[ai-proxy.model.options]\nmax_token = 512\n",
        "mistyped.toml:6:1: unknown key `max_token` in [ai-proxy.model.options]
  |
6 | max_token = 512
  | ^^^^^^^^^
hint: did you mean `max_tokens`?
",
    ),
    (
        "type.yaml",
        "ai-proxy:\n  route_type: llm/v1/chat\n  model:\n    provider: openai\n    options: {temperature: warm}\n",
        "type.yaml:5:28: `ai-proxy.model.options.temperature` must be a number, found the string `warm`
  |
5 |     options: {temperature: warm}
  |                            ^^^^
",
    ),
    (
        "rule.json",
        "{\n \"ai-proxy\": {\n  \"route_type\": \"llm/v1/chat\",\n  \"model\": {\"provider\": \"anthropic\", \"options\": {\"max_tokens\": 5}}\n }\n}\n",
        "rule.json:4:38: must set `ai-proxy.model.options.anthropic_version` for anthropic provider
  |
4 |   \"model\": {\"provider\": \"anthropic\", \"options\": {\"max_tokens\": 5}}
  |                                      ^^^^^^^^^
hint: such as 2023-06-01
",
    ),
    (
        "syntax-a.toml",
        "[ai-proxy\nroute_type = \"llm/v1/chat\"\n",
        "syntax-a.toml:1:10: TOML syntax: ",
    ),
    (
        "syntax-b.yaml",
        "ai-proxy:\n  route_type: [llm\n",
        "syntax-b.yaml:",
    ),
    ("syntax-c.json", "{\"ai-proxy\": }", "syntax-c.json:1:14: JSON syntax: "),
    (
        "secret.toml",
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\nauth.header_nam = \"q7Zp04mXw9\"\nmodel.provider = \"openai\"\n",
        "secret.toml:3:6: unknown key `header_nam` in [ai-proxy.auth]\nhint: did you mean `header_name`?\n",
    ),
    (
        "pattern.toml",
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\nmodel.provider = \"openai\"\n[aiproxy]\npath = '~/(?<tier>[a-z]+'\n",
        "pattern.toml:5:1: `aiproxy.path` is no regular expression: missing closing parenthesis at byte 15 of the pattern
  |
5 | path = '~/(?<tier>[a-z]+'
  | ^^^^
hint: it is a PCRE, as in Kong; in TOML single quotes keep backslashes as they are
",
    ),
    ("empty.yaml", "", "empty.yaml: a profile needs [ai-proxy] or [upstream]\nhint: `aiproxy profile new` writes one\n"),
];

#[test]
fn mistakes_as_people_see_them() {
    let home = Home::new();
    for (file, text, expected) in MISTAKES {
        home.profile(file, text);
        let (name, _) = file.split_once('.').unwrap();
        let done = home.run(&["profile", "check", name]);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{done:?}");
        let expected = format!("error: HOME/config/aiproxy/profiles/{expected}");
        if expected.ends_with('\n') {
            assert_eq!(done.err, format!("{expected}\n"), "{file}");
        } else {
            assert!(done.err.starts_with(&expected), "{file}: {}", done.err);
        }
        assert!(!done.err.contains("q7Zp04mXw9"));
    }
    let all = home.run(&["profile", "check"]);
    assert_eq!(all.code, 1);
    assert_eq!(all.out.lines().count(), built_in().len());
    assert_eq!(all.err.matches("error: ").count(), MISTAKES.len());
}

#[test]
fn sound_ones_are_listed() {
    let home = Home::new().with_variable("MY_KEY", "q7Zp04mXw9");
    home.profile("gpt.toml", GPT);
    let all = home.run(&["profile", "check"]).out();
    assert!(all.contains("ok: gpt (HOME/config/aiproxy/profiles/gpt.toml)\n"));
    assert!(all.contains("ok: openai (built in)\n"));
    assert_eq!(all.lines().count(), built_in().len() + 1);
    let file = home.run(&[
        "profile",
        "check",
        "config/aiproxy/profiles/gpt.toml",
        "mock",
    ]);
    assert_eq!(
        file.out(),
        "ok: gpt (config/aiproxy/profiles/gpt.toml)\nok: mock (built in)\n"
    );
}

#[test]
fn a_reference_without_a_value_is_a_warning() {
    let home = Home::new();
    home.profile("gpt.toml", GPT);
    let warning = "warning: gpt: ai-proxy.auth.header_value: secret {vault://env/my-key} does not resolve: environment variable MY_KEY is not set\n";
    for args in [&["profile", "check"][..], &["profile", "check", "gpt"]] {
        let done = home.run(args);
        assert_eq!((done.code, done.err.as_str()), (0, warning));
        let strict = home.run(&[args, &["--strict"]].concat());
        assert_eq!((strict.code, strict.err.as_str()), (1, warning));
    }
    // Built-in ones without a key are nobody's fault, until they are asked for.
    let asked = home.run(&["profile", "check", "groq"]);
    assert!(asked.err.starts_with("warning: groq: "), "{asked:?}");
}

#[test]
fn as_json() {
    let home = Home::new();
    home.profile("gpt.toml", GPT);
    home.profile("bad.toml", MISTAKES[0].1);
    let done = home.run(&["profile", "check", "gpt", "bad", "nowhere", "--json"]);
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    let checked = done.json();
    assert_eq!(
        checked[0],
        serde_json::json!({
            "name": "gpt",
            "origin": "HOME/config/aiproxy/profiles/gpt.toml",
            "ok": true,
            "problems": [],
            "warnings": [{
                "key": "ai-proxy.auth.header_value",
                "reference": "{vault://env/my-key}",
                "message": "secret {vault://env/my-key} does not resolve: environment variable MY_KEY is not set"
            }]
        })
    );
    assert_eq!(
        checked[1],
        serde_json::json!({
            "name": "bad",
            "origin": "HOME/config/aiproxy/profiles/bad.toml",
            "ok": false,
            "problems": [{
                "file": "HOME/config/aiproxy/profiles/bad.toml",
                "line": 6,
                "column": 1,
                "key": "ai-proxy.model.options.max_token",
                "message": "unknown key `max_token` in [ai-proxy.model.options]",
                "hint": "did you mean `max_tokens`?"
            }],
            "warnings": []
        })
    );
    assert_eq!(checked[2]["origin"], serde_json::Value::Null);
    assert_eq!(checked[2]["problems"][0]["message"], "no profile `nowhere`");
}

#[test]
fn files_that_are_no_profiles() {
    let home = Home::new();
    let folder = home.profiles();
    std::fs::create_dir(folder.join("dir.toml")).unwrap();
    home.profile("latin.toml", b"description = \"\xe9\"");
    home.profile("large.json", vec![b' '; (1 << 20) + 1]);
    home.profile("twice.toml", GPT);
    home.profile("twice.yaml", "");
    home.profile("Bad Name.toml", GPT);
    let hint = "hint: a profile is a text file of at most 1 MiB\n";
    let mut cases = vec![
        ("dir", format!("dir.toml: the profile cannot be read: it is a directory\n{hint}")),
        ("latin", "latin.toml: the file is not UTF-8 text\nhint: save it as UTF-8\n".to_owned()),
        ("large", format!("large.json: the profile cannot be read: it is larger than 1048576 bytes\n{hint}")),
        ("twice", "twice.toml: profile `twice` has two files: HOME/config/aiproxy/profiles/twice.toml and HOME/config/aiproxy/profiles/twice.yaml\nhint: keep one of them\n".to_owned()),
        ("Bad Name", "Bad Name.toml: `Bad Name` cannot be the name of a profile\nhint: a name is up to 64 of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and is not v1, v1beta, api or model\n".to_owned()),
    ];
    if cfg!(unix) {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.join("pipe.toml"))
            .status();
        assert!(made.unwrap().success());
        cases.push((
            "pipe",
            format!("pipe.toml: the profile cannot be read: it is a device, pipe or socket, not a file\n{hint}"),
        ));
    }
    for (name, expected) in &cases {
        let done = home.run(&["profile", "check", name]);
        assert_eq!(done.code, 1, "{done:?}");
        assert_eq!(
            done.err,
            format!("error: HOME/config/aiproxy/profiles/{expected}\n"),
            "{name}"
        );
    }
    // None of them is in the way of the others.
    let list = home.run(&["profile", "list"]);
    assert_eq!(list.code, 0);
    assert_eq!(list.out.matches("broken: ").count(), cases.len());
    let file = home.run(&["profile", "check", "./notes.txt"]);
    assert!(
        file.err.contains("ends with .toml, .yaml, .yml or .json"),
        "{file:?}"
    );
}

#[test]
fn secrets_are_never_shown() {
    let planted = "q7Zp04mXw9";
    let home = Home::new().with_variable("MY_KEY", "q7Zp04mXw9");
    home.profile("env.toml", GPT);
    let plain = GPT.replace("{vault://env/my-key}", planted);
    home.profile("plain.toml", &plain);
    home.profile("broken.toml", plain.replace("openai", "openia"));
    home.profile(
        "unquoted.toml",
        plain.replace("\"Bearer ", "Bearer ").replace("9\"", "9"),
    );
    home.profile(
        "moved.yaml",
        format!("header_value: {planted}\nai-proxy:\n  auth: {planted}\n"),
    );
    home.profile(
        "param.json",
        format!("{{\"ai-proxy\": {{\"route_type\": \"llm/v1/chat\", \"auth\": {{\"param_name\": \"key\", \"param_value\": \"{planted}\", \"param_location\": \"query\"}}, \"model\": {{\"provider\": \"openai\", \"options\": {{\"upstream_url\": \"https://example.com/x?api_key={planted}\"}}}}}}}}"),
    );
    let names = ["env", "plain", "broken", "unquoted", "moved", "param"];
    let mut commands = vec![
        vec!["profile", "list"],
        vec!["profile", "list", "--json", "--all"],
        vec!["profile", "check"],
        vec!["profile", "check", "--json"],
    ];
    for name in names {
        commands.push(vec!["profile", "show", name]);
        commands.push(vec!["profile", "show", name, "--json"]);
    }
    for command in commands {
        let done = home.run(&command);
        assert!(
            !done.out.contains(planted) && !done.err.contains(planted),
            "{command:?}: {done:?}"
        );
    }
}
