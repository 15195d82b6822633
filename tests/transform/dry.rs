//! The dry run: stages, forms of output, what is not sent and not needed.

use serde_json::{Value, json};

use crate::support::{ProfileText, World};

const BODY: &str = r#"{"messages":[{"role":"user","content":"hi"}],"logprobs":true}"#;

/// A world with a body and a profile whose key is nowhere and whose upstream is nobody.
pub(crate) fn world() -> World {
    let world = World::new();
    std::fs::write(world.path("home/body.json"), BODY).unwrap();
    let profile = ProfileText::at("http://127.0.0.1:9/v1")
        .line("ai-proxy.model", r#"name = "m1""#)
        .key("Authorization", "Bearer {vault://env/no-such-key}");
    world.profile("up", &profile.toml());
    let claude = "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.auth]\nheader_name = \"x-api-key\"\nheader_value = \"sk-ant-literal-0123456789\"\n\
        [ai-proxy.model]\nprovider = \"anthropic\"\nname = \"claude\"\n[ai-proxy.model.options]\nanthropic_version = \"2023-06-01\"\n";
    world.profile("claude", claude);
    world.profile("plain", "[upstream]\nurl = \"http://127.0.0.1:9/base\"\n");
    world
}

/// The arguments with the world's profiles.
pub(crate) fn args<'a>(world: &World, args: &[&'a str]) -> Vec<String> {
    let folder = world.profiles().display().to_string();
    let mut all: Vec<String> = args.iter().map(|arg: &&'a str| (*arg).to_owned()).collect();
    all.extend(["--profiles".to_owned(), folder]);
    all
}

fn json_of(world: &World, extra: &[&str]) -> Value {
    let mut line = vec!["transform", "--json"];
    line.extend(extra);
    let ended = world.run(args(world, &line)).exits(0);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn the_stages_of_a_request_without_any_key() {
    let world = world();
    let line = args(&world, &["transform", "body.json", "--profile", "up"]);
    let ended = world.run(line).exits(0);
    assert!(ended.stdout.starts_with("client POST"), "{}", ended.stdout);
    for words in [
        "\nsent POST http://127.0.0.1:9/v1/chat/completions\n",
        "\n  authorization: (secret)\n",
        "\nfrom client to sent:\n+ model: \"m1\"\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'), "a pipe has no colours");
    assert_eq!(ended.stderr, "");
}

#[test]
fn another_format_has_warnings_and_shows_no_secret() {
    let world = world();
    let line = args(&world, &["transform", "body.json", "--profile", "claude"]);
    let ended = world.run(line).exits(0);
    assert!(
        ended
            .stdout
            .contains("sent POST https://api.anthropic.com/v1/messages\n")
    );
    assert!(
        ended.stdout.ends_with("warnings: dropped:logprobs\n"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("sk-ant"), "{}", ended.stdout);
    let run = json_of(&world, &["body.json", "--profile", "claude"]);
    assert_eq!(run["warnings"], json!(["dropped:logprobs"]));
    assert_eq!(run["stages"][1]["headers"]["x-api-key"], "(secret)");
    assert!(!run.to_string().contains("sk-ant"));
}

#[test]
fn one_stage_alone_is_fit_for_a_pipe() {
    let world = world();
    let of = |stage: &'static str| {
        let line = args(
            &world,
            &["transform", "body.json", "--profile", "up", "--to", stage],
        );
        world.run(line)
    };
    assert_eq!(of("client").exits(0).stdout, BODY);
    let sent = of("sent").exits(0).stdout;
    assert_eq!(sent, BODY.replace("true}", "true,\"model\":\"m1\"}"));
    let none = of("request-transformed").exits(1);
    assert_eq!(none.stdout, "");
    assert!(
        none.stderr
            .contains("this run has no stage `request-transformed`"),
        "{}",
        none.stderr
    );
    assert!(none.stderr.contains("hint: "), "{}", none.stderr);
    assert!(
        of("somewhere")
            .exits(2)
            .stderr
            .contains("request-transformed")
    );
}

#[test]
fn json_has_every_stage() {
    let world = world();
    let run = json_of(&world, &["body.json", "--profile", "up"]);
    assert_eq!((&run["profile"], &run["ok"]), (&json!("up"), &json!(true)));
    let stages = run["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["client", "sent"]);
    assert_eq!(stages[1]["method"], "POST");
    assert_eq!(stages[1]["url"], "http://127.0.0.1:9/v1/chat/completions");
    assert_eq!(stages[1]["body"]["model"], "m1");
    assert_eq!(run["calls"], json!([]));
}

#[test]
fn the_body_comes_from_stdin_or_the_command_line() {
    let world = world();
    for stdin in [&["-"][..], &[]] {
        let mut line = vec!["transform"];
        line.extend(stdin);
        line.extend(["--to", "client", "--profile", "up"]);
        let ended = world.run_with(args(&world, &line), BODY).exits(0);
        assert_eq!(ended.stdout, BODY);
    }
    let run = json_of(&world, &["--text", "hello", "--profile", "up"]);
    assert_eq!(
        run["stages"][0]["body"],
        json!({"messages": [{"role": "user", "content": "hello"}]})
    );
    let run = json_of(
        &world,
        &[
            "--text",
            "hello",
            "--profile",
            "plain",
            "--path",
            "/orders?x=1",
        ],
    );
    assert_eq!(run["stages"][1]["body"], "hello");
    assert_eq!(
        run["stages"][1]["url"],
        "http://127.0.0.1:9/base/orders?x=1"
    );
    assert_eq!(
        run["stages"][0]["headers"]["content-type"],
        "text/plain; charset=utf-8"
    );
}

#[test]
fn a_path_names_another_operation() {
    let world = world();
    let line = [
        "--text",
        r#"{"input":"x"}"#,
        "--profile",
        "up",
        "--path",
        "/v1/embeddings",
    ];
    let run = json_of(&world, &line);
    assert_eq!(run["stages"][1]["url"], "http://127.0.0.1:9/v1/embeddings");
}

#[test]
fn an_answer_goes_the_other_way() {
    let world = world();
    let line = [
        "--response",
        "--text",
        "Hello!",
        "--profile",
        "up",
        "--header",
        "x-request-id: 7",
    ];
    let run = json_of(&world, &line);
    let stages = run["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2, "{run}");
    assert_eq!(
        (&stages[0]["stage"], &stages[0]["status"]),
        (&json!("received"), &json!(200))
    );
    assert_eq!(stages[1]["stage"], "returned");
    assert_eq!(stages[1]["headers"]["x-request-id"], "7");
    assert_eq!(stages[1]["headers"]["x-kong-llm-model"], "openai/m1");
    assert_eq!(
        stages[1]["body"]["choices"][0]["message"]["content"],
        "Hello!"
    );

    let answer = r#"{"id":"1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Salut"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":1}}"#;
    let line = args(
        &world,
        &[
            "transform",
            "-",
            "--response",
            "--profile",
            "claude",
            "--to",
            "returned",
        ],
    );
    let ended = world.run_with(line, answer).exits(0);
    let returned: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(returned["choices"][0]["message"]["content"], "Salut");
}

#[test]
fn an_error_of_the_upstream_is_an_answer_too() {
    let world = world();
    let error = r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let line = [
        "--response",
        "--status",
        "429",
        "--text",
        error,
        "--profile",
        "claude",
        "--header",
        "retry-after: 3",
    ];
    let run = json_of(&world, &line);
    assert_eq!(run["stages"][1]["status"], 429);
    assert_eq!(run["stages"][1]["headers"]["retry-after"], "3");
    assert_eq!(run["stages"][1]["body"]["error"]["message"], "slow down");

    let line = args(
        &world,
        &["transform", "-", "--response", "--profile", "claude"],
    );
    let ended = world.run_with(line, "nonsense").exits(1);
    assert!(
        ended
            .stderr
            .contains("transformation failed from type anthropic"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("returned 500\n"), "{}", ended.stdout);
}

#[test]
fn what_is_wrong_is_told_with_a_way_out() {
    let world = world();
    let fails = |line: &[&'static str], code: i32, words: &[&str]| {
        let ended = world
            .run_with(args(&world, line), "{\"messages\":")
            .exits(code);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        for words in words {
            assert!(ended.stderr.contains(words), "{line:?}: {}", ended.stderr);
        }
    };
    fails(
        &["transform", "nowhere.json"],
        1,
        &["cannot read nowhere.json"],
    );
    fails(
        &["transform", "-", "--profile", "up"],
        1,
        &[
            "bad JSON formatting (status 400)",
            "hint: EOF",
            "line 1 column 12",
        ],
    );
    fails(
        &["transform", "body.json", "--profile", "nobody"],
        1,
        &["no profile `nobody`", "up"],
    );
    fails(
        &[
            "transform",
            "body.json",
            "--profile",
            "up",
            "--path",
            "/nothing",
        ],
        1,
        &["(status 404)"],
    );
    fails(
        &["transform", "body.json", "--status", "500"],
        2,
        &["--response"],
    );
    fails(&["transform", "body.json", "--save"], 2, &["--set"]);
    fails(
        &["transform", "body.json", "--header", "secret-key"],
        2,
        &["NAME: VALUE"],
    );
    let line = args(&world, &["transform", "-", "--profile", "up", "--json"]);
    let ended = world.run_with(line, "{\"messages\":").exits(1);
    let run: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&run["ok"], &run["error"]["status"]),
        (&json!(false), &json!(400))
    );
}

#[test]
fn differences_are_shown_as_asked() {
    let world = world();
    let of = |mode: &'static str| {
        let line = args(
            &world,
            &["transform", "body.json", "--profile", "up", "--diff", mode],
        );
        world.run(line).exits(0).stdout
    };
    assert!(of("unified").contains("--- client\n+++ sent\n@@ "));
    assert!(
        of("side").contains("|   \"logprobs\": true,\n"),
        "{}",
        of("side")
    );
    assert!(
        of("json-patch")
            .contains("[\n  {\"op\":\"add\",\"path\":\"/model\",\"value\":\"m1\"}\n]\n")
    );
    assert!(!of("none").contains("from client"));
}

#[cfg(unix)]
#[test]
fn it_runs_again_when_profile_or_body_change() {
    use crate::support::Process;

    let world = world();
    let line = [
        "transform",
        "body.json",
        "--profile",
        "up",
        "--to",
        "sent",
        "--watch",
    ];
    let mut process = Process::start(world.aiproxy(args(&world, &line)));
    // Two pipes: what came first need not be read first.
    let told = |runs: usize, out: &'static str, err: &'static str| {
        move |process: &Process| {
            process.stderr().matches("waiting for a change").count() == runs
                && process.stdout().contains(out)
                && process.stderr().contains(err)
        }
    };
    process.until("the first run", told(1, "\"hi\"", ""));
    std::fs::write(world.path("home/body.json"), BODY.replace("hi", "changed")).unwrap();
    process.until("the body's run", told(2, "\"changed\"", ""));
    let path = world.profiles().join("up.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    process.until("the broken profile's run", told(3, "", "up.toml:1"));
    std::fs::write(&path, text.replace("m1", "m2")).unwrap();
    process.until("the mended profile's run", told(4, "\"model\":\"m2\"}", ""));
    process.signal("INT");
    let ended = process.end();
    assert_eq!(ended.code(), 130);
}

#[test]
fn a_transformer_is_asked_and_shown_stage_by_stage() {
    let world = world();
    let line = args(
        &world,
        &[
            "transform",
            "body.json",
            "--profile",
            "mock-request-transformer",
        ],
    );
    let shown = world.run(line).exits(0).stdout;
    let at = |words: &str| {
        shown
            .find(words)
            .unwrap_or_else(|| panic!("`{words}` is not shown: {shown}"))
    };
    let order = [
        at("client POST"),
        at("ai-request-transformer asks mock/mock-transform"),
        at("its answer (status 200"),
        at("request-transformed POST"),
        at("+ max_tokens: 8"),
        at("sent POST mock://mock/v1/chat/completions"),
    ];
    assert!(order.is_sorted(), "{shown}");
}

#[test]
fn a_pattern_that_takes_nothing_is_shown_beside_the_answer() {
    let world = world();
    let line = args(
        &world,
        &[
            "transform",
            "body.json",
            "--profile",
            "mock-request-transformer",
            "--set",
            "transformation_extract_pattern=zzz",
        ],
    );
    let ended = world.run(line).exits(1);
    assert!(
        ended.stdout.contains("\"max_tokens\":8")
            && ended.stdout.contains("the pattern `zzz` takes nothing"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stderr
            .contains("AI response did not match specified regular expression"),
        "{}",
        ended.stderr
    );
}
