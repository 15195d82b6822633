//! `aiproxy chat`, in process and through a server.

use crate::support::{
    DONE, Process, ProfileText, STREAM_HEAD, Server, Upstream, World, completion, delta,
    json_response, payloads, response, role, stop, usage,
};

/// A world with the profile `up`, and arguments that ask it in process.
fn up(upstream: &Upstream, args: &[&str]) -> (World, Vec<String>) {
    let world = World::new();
    world.profile("up", &ProfileText::openai(upstream).toml());
    let folder = world.profiles();
    let mut all = vec!["chat", "--profile", "up", "--model", "m1", "--profiles"];
    all.push(folder.to_str().unwrap());
    all.extend(args);
    let all = all.into_iter().map(str::to_owned).collect();
    (world, all)
}

#[test]
fn an_answer_goes_to_stdout_and_the_rest_to_stderr() {
    let world = World::new();
    for stream in [&[][..], &["--stream"]] {
        let mut args = vec!["chat", "--model", "mock-echo", "Hello, ünï"];
        args.extend(stream);
        let ended = world.run(args).exits(0);
        assert_eq!(ended.stdout, "Hello, ünï\n");
        assert!(
            ended.stderr.contains("this process"),
            "it says that no server was asked: {}",
            ended.stderr
        );
        let last = ended.stderr.lines().last().unwrap();
        for word in ["mock-echo", "tokens in", "out"] {
            assert!(last.contains(word), "no `{word}` in: {last}");
        }
        assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
    }
}

#[test]
fn a_stream_tells_its_times() {
    let ended = World::new()
        .run(["chat", "--stream", "--model", "mock", "Tell me a story"])
        .exits(0);
    let last = ended.stderr.lines().last().unwrap().to_owned();
    for word in ["first token", "tokens/s", "mock"] {
        assert!(last.contains(word), "no `{word}` in: {last}");
    }
    assert!(ended.stdout.len() > 20 && ended.stdout.ends_with('\n'));
}

#[test]
fn transformers_calls_are_told_with_their_cost() {
    for stream in [&[][..], &["--stream"]] {
        let mut args = vec!["chat", "--profile", "mock-transformers", "one two three"];
        args.extend(stream);
        let ended = World::new().run(args).exits(0);
        assert_eq!(ended.stdout, "one two three\n");
        let last = ended.stderr.lines().last().unwrap();
        let (answer, calls) = last.split_once(" · + 2 transformer calls: ").unwrap();
        assert!(answer.contains("tokens in"), "{last}");
        for word in ["tokens in, ", " out, $0.0"] {
            assert!(calls.contains(word), "no `{word}` in: {last}");
        }
    }
}

#[test]
fn a_prompt_on_stdin() {
    let world = World::new();
    for args in [
        &["chat", "--model", "mock-echo"][..],
        &["chat", "--model", "mock-echo", "-"],
    ] {
        let ended = world.run_with(args, "line one\nline two\n").exits(0);
        assert_eq!(ended.stdout, "line one\nline two\n");
    }
    for stdin in ["", "\n\n"] {
        let ended = world.run_with(["chat"], stdin).exits(2);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn what_is_asked() {
    let mut upstream = Upstream::start().await;
    let (world, args) = up(&upstream, &["--system", "Be brief.", "Why?"]);
    let process = Process::start(world.aiproxy(args));
    let mut call = upstream.call().await;
    let json = call.json();
    assert_eq!(json["model"], "m1");
    assert_eq!(
        json["messages"],
        serde_json::json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"}
        ])
    );
    assert!(json.get("stream").is_none_or(|stream| stream == false));
    call.write(json_response(200, completion("Because."))).await;
    call.finish().await;
    assert_eq!(process.end().exits(0).stdout, "Because.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_shown_as_it_comes() {
    let mut upstream = Upstream::start().await;
    let (world, args) = up(&upstream, &["--stream", "Count"]);
    let mut process = Process::start(world.aiproxy(args));
    let mut call = upstream.call().await;
    assert_eq!(call.json()["stream"], true);
    call.write(format!("{STREAM_HEAD}{}", role())).await;
    let mut expected = String::new();
    for word in ["one ", "two ", "thr", "ee"] {
        call.write(delta(word)).await;
        expected.push_str(word);
        process.until(word, |process| process.stdout() == expected);
    }
    call.write(format!("{}{}{DONE}", stop(), usage(5, 6))).await;
    call.finish().await;
    let ended = process.end().exits(0);
    assert_eq!(ended.stdout, "one two three\n");
    assert!(
        ended.stderr.contains('5') && ended.stderr.contains('6'),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_the_provider_s() {
    let answer = completion("x").replace("\"created\"", "\"vendor\":1.50,\"created\"");
    let upstream = Upstream::answering(json_response(200, &answer)).await;
    let (world, args) = up(&upstream, &["--json", "hi"]);
    let ended = world.run(args).exits(0);
    assert_eq!(ended.stdout, format!("{answer}\n"));

    let stream = format!("{}{}{}{DONE}", role(), delta("x"), stop());
    let upstream = Upstream::answering(format!("{STREAM_HEAD}{stream}")).await;
    let (world, args) = up(&upstream, &["--json", "--stream", "hi"]);
    let ended = world.run(args).exits(0);
    let mut events = payloads(stream.as_bytes());
    events.pop();
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let got: Vec<_> = ended.stdout.lines().map(read).collect();
    let expected: Vec<_> = events.iter().map(|event| read(event)).collect();
    assert_eq!(got, expected, "one event a line");
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_server() {
    let upstream = Upstream::answering(json_response(200, completion("from the server"))).await;
    let server = Server::of(&ProfileText::openai(&upstream));
    let world = World::new();
    let url = server.url();
    for (args, variable) in [
        (vec!["--server", url.as_str()], None),
        (vec![], Some(url.as_str())),
    ] {
        // The profile is the server's; this world has no such file.
        let mut command = world.aiproxy(["chat", "--profile", "up", "--model", "m1", "hi"]);
        command.args(args);
        if let Some(url) = variable {
            command.env("AIPROXY_SERVER", url);
        }
        let ended = Process::start(command).end().exits(0);
        assert_eq!(ended.stdout, "from the server\n");
        assert!(!ended.stderr.contains("this process"), "{}", ended.stderr);
    }
    let ended = world
        .run(["chat", "--server", &url, "--profile", "other", "hi"])
        .exits(1);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("`up`"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_of_one_s_own_are_asked_in_process() {
    let upstream = Upstream::answering(json_response(200, completion("from here"))).await;
    let (world, args) = up(&upstream, &["hi"]);
    let ended = world.run(args).exits(0);
    assert_eq!(ended.stdout, "from here\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there() {
    let nobody = Upstream::nobody().await;
    let not_ours = Upstream::answering(json_response(200, "{}")).await.address;
    for address in [nobody, not_ours] {
        let url = format!("http://{address}");
        let ended = World::new().run(["chat", "--server", &url, "hi"]).exits(1);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(&url), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn error_statuses_end_with_1() {
    let world = World::new();
    for (model, word) in [
        ("mock-error-401", "401"),
        ("mock-error-429", "429"),
        ("mock-error-500", "500"),
        ("mock-error-529", "529"),
        ("mock-error-404", "404"),
    ] {
        for stream in [&[][..], &["--stream"]] {
            let mut args = vec!["chat", "--model", model, "hi"];
            args.extend(stream);
            let ended = world.run(args).exits(1);
            assert_eq!(ended.stdout, "", "{model}");
            let error = ended
                .stderr
                .lines()
                .find(|line| line.starts_with("error: "))
                .unwrap_or_else(|| panic!("no error: {}", ended.stderr));
            assert!(error.contains(word), "{error}");
        }
    }
}

#[test]
fn answers_that_break_end_with_1_after_what_came() {
    let world = World::new();
    for model in ["mock-error-stream", "mock-cut"] {
        let ended = world
            .run(["chat", "--stream", "--model", model, "Tell me a story"])
            .exits(1);
        assert!(
            ended.stdout.len() > 1 && ended.stdout.ends_with('\n'),
            "{model}: {:?}",
            ended.stdout
        );
        assert!(
            ended.stderr.lines().any(|line| line.starts_with("error: ")),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none() {
    for answer in [
        json_response(200, "{}"),
        response(
            502,
            &[("content-type", "text/html")],
            "<html>\u{1b}[2Jbad</html>",
        ),
        b"garbage".to_vec(),
    ] {
        let upstream = Upstream::answering(answer).await;
        let (world, args) = up(&upstream, &["hi"]);
        let ended = world.run(args).exits(1);
        assert!(
            ended.stderr.lines().any(|line| line.starts_with("error: ")),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_key_that_does_not_resolve_is_named() {
    let ended = World::new()
        .run(["chat", "--profile", "openai", "hi"])
        .exits(1);
    assert!(
        ended.stderr.contains("{vault://env/openai-api-key}")
            || ended.stderr.contains("OPENAI_API_KEY"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_profile_that_is_not_there() {
    let ended = World::new()
        .run(["chat", "--profile", "mok", "hi"])
        .exits(1);
    assert!(ended.stderr.contains("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("mock"), "{}", ended.stderr);
}
