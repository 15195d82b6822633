//! What a pipe gets: text, and JSON.

use serde_json::json;

use crate::{
    script::{A, B, END, answer, closed, event, events, opening, summary, tail, text},
    support::{Process, Upstream, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn words_are_there_before_the_answer_ends() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut call = events(&mut server).await;
    assert_eq!(call.target(), "GET /_aiproxy/events?bodies=client");
    assert_eq!(call.headers.get("accept"), Some("text/event-stream"));
    call.write(opening(1, A, "Tell me\na story")).await;
    process.until("the header", |process| {
        process.stdout() == "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\n"
    });
    call.write(text(4, A, "Once \u{1b}[2J")).await;
    process.until("the first words", |process| {
        process.stdout().ends_with("Once \u{1b}[2J")
    });
    // One that runs at the same time is printed whole, after the one in front.
    call.write(
        opening(5, B, "other") + &text(8, B, "beside") + &text(9, A, "upon") + &closed(10, B),
    )
    .await;
    process.until("more words", |process| process.stdout().ends_with("upon"));
    call.write(closed(11, A)).await;
    process.until("both ends", |process| process.stdout().contains("a81x ok"));
    process.signal("INT");
    let ended = process.end().exits(0);
    assert_eq!(
        ended.stdout,
        format!(
            "k3f9 14:03:21 up mock/gpt-5 · Tell me a story\nOnce \u{1b}[2Jupon\nk3f9 {END}\n\n\
             a81x 14:03:21 up mock/gpt-5 · other\nbeside\na81x {END}\n"
        )
    );
    assert_eq!(ended.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_line_and_prints_what_waits() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &[]);
    let mut call = events(&mut server).await;
    call.write(opening(1, B, "b") + &opening(4, A, "a") + &closed(7, A) + &text(8, B, "so far"))
        .await;
    process.until("the words", |process| process.stdout().ends_with("so far"));
    process.signal("TERM");
    let ended = process.end().exits(0);
    assert_eq!(
        ended.stdout,
        format!(
            "a81x 14:03:21 up mock/gpt-5 · b\nso far\n\nk3f9 14:03:21 up mock/gpt-5 · a\nk3f9 {END}\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_what_the_server_wrote() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &["--json", "--raw"]);
    let mut call = events(&mut server).await;
    assert_eq!(call.target(), "GET /_aiproxy/events?raw=1");
    let lines = [
        r#"{"seq":1, "exchange":"x","type":"text","part":0,"text":"h\u001b\u0069 你好","more":1.00}"#,
        r#"{"type":"of a later version"}"#,
        r#"{"seq":3,"exchange":"","profile":"","at_ms":0.0,"type":"lost","events":3}"#,
    ];
    for (seq, line) in (1..).zip(lines) {
        call.write(format!("id: {seq}\nevent: x\ndata: {line}\n\n: alive\n\n"))
            .await;
        // Each at once: the next one is not written before.
        process.until("the line", |process| {
            process.stdout().ends_with(&format!("{line}\n"))
        });
    }
    process.signal("INT");
    let ended = process.end().exits(0);
    assert_eq!(ended.stdout, format!("{}\n", lines.join("\n")));
    assert_eq!(ended.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_streams_at_once_stay_exact() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &["--json"]);
    let mut call = events(&mut server).await;
    let mut seq = 0;
    for round in 0..200 {
        let mut written = String::new();
        for stream in 0..10 {
            seq += 1;
            written += &text(seq, &format!("{stream}000000000"), &format!("{round} ç\n"));
        }
        call.write(written).await;
    }
    process.until("all of it", |process| {
        process.stdout().lines().count() == 2000
    });
    let stdout = process.stdout();
    let expected: String = (0..200).map(|round| format!("{round} ç\n")).collect();
    for stream in 0..10 {
        let id = format!("{stream}000000000");
        let told: String = stdout
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|notice| notice["exchange"] == id.as_str())
            .map(|notice| notice["text"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_the_servers() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let args = [
        "--profile",
        "a",
        "--profile",
        "b",
        "--model",
        "gpt 5",
        "--failed",
        "--grep",
        "x&y",
    ];
    let _process = tail(&world, &server, &args);
    let call = events(&mut server).await;
    assert_eq!(
        call.target(),
        "GET /_aiproxy/events?profile=a&profile=b&failed=1&model=gpt+5&grep=x%26y&bodies=client"
    );
    let ended = world.run(["tail", "--follow", "last", "--failed"]).exits(2);
    assert!(ended.stderr.contains("--follow"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_followed_to_its_end() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let process = tail(&world, &server, &["--follow", "k3"]);
    let mut live = summary(A);
    live["outcome"] = json!("live");
    answer(&mut server, "GET /_aiproxy/exchanges/k3", 200, &live).await;
    let mut call = events(&mut server).await;
    assert_eq!(
        call.target(),
        "GET /_aiproxy/events?exchange=k3f9000000&bodies=client"
    );
    call.write(opening(1, A, "hi") + &text(4, A, "one") + &closed(5, A))
        .await;
    let ended = process.end().exits(0);
    assert_eq!(
        ended.stdout,
        format!("k3f9 14:03:21 up mock/gpt-5 · hi\none\nk3f9 {END}\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_ended_is_told_whole() {
    for json in [false, true] {
        let mut server = Upstream::start().await;
        let world = World::new();
        let args: &[&str] = if json {
            &["--follow", "last", "--json"]
        } else {
            &["--follow", "last"]
        };
        let process = tail(&world, &server, args);
        let mut detail = summary(A);
        detail["prompt"] = json!("hi");
        detail["parts"] = json!([
            {"choice": 0, "kind": "thinking", "text": "hm"},
            {"choice": 0, "kind": "text", "text": "one"},
            {"choice": 0, "kind": "tool_call", "name": "f", "text": "{}"},
        ]);
        answer(&mut server, "GET /_aiproxy/exchanges/last", 200, &detail).await;
        let _call = events(&mut server).await;
        answer(
            &mut server,
            "GET /_aiproxy/exchanges/k3f9000000",
            200,
            &detail,
        )
        .await;
        let ended = process.end().exits(0);
        if json {
            let last = ended.stdout.lines().last().unwrap();
            assert!(last.contains(r#""type":"closed""#), "{last}");
            continue;
        }
        assert_eq!(
            ended.stdout,
            format!(
                "k3f9 14:03:21 up mock/gpt-5 · hi\nthinking: hm\nanswer: one\n→ f {{}}\nk3f9 {END}\n"
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_there_is_an_error() {
    for (status, message) in [(404, "no exchange `zz`"), (409, "`zz` is zz1 or zz2")] {
        let mut server = Upstream::start().await;
        let world = World::new();
        let process = tail(&world, &server, &["--follow", "zz"]);
        let error = json!({"error": {"message": message}});
        answer(&mut server, "GET /_aiproxy/exchanges/zz", status, &error).await;
        let ended = process.end().exits(1);
        assert_eq!(ended.stdout, "");
        assert!(
            ended
                .stderr
                .starts_with(&format!("error: {message}\nhint: ")),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure() {
    for json in ["", "--json"] {
        let mut server = Upstream::start().await;
        let world = World::new();
        let line = format!(
            "\"$AIPROXY\" tail {json} --server http://{} | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}",
            server.address
        );
        let mut command = world.command("bash");
        command
            .arg("-c")
            .arg(line)
            .env("AIPROXY", env!("CARGO_BIN_EXE_aiproxy"));
        let process = Process::start(command);
        let mut call = events(&mut server).await;
        let mut written = opening(1, A, "hi");
        for seq in 4.. {
            // Until nobody reads any more.
            written += &text(seq, A, "word\n");
            if !call.try_write(&written).await {
                break;
            }
            written.clear();
        }
        let ended = process.end().exits(0);
        assert_eq!(ended.stdout, "0\n");
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_events_come_with_their_times() {
    let mut server = Upstream::start().await;
    let world = World::new();
    let mut process = tail(&world, &server, &["--raw"]);
    let mut call = events(&mut server).await;
    assert_eq!(call.target(), "GET /_aiproxy/events?raw=1&bodies=client");
    let raw = json!({"type": "raw", "text": "data: {\"x\":1}\n\n"});
    call.write(opening(1, A, "hi") + &event(4, A, &raw)).await;
    process.until("the event", |process| {
        process.stdout() == "k3f9 14:03:21 up mock/gpt-5 · hi\n       1.5 ms  data: {\"x\":1}\n"
    });
}
