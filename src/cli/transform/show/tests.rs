use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;

use super::*;
use crate::{cli::transform::dry::Failed, llm::Usage};

fn snapshot(stage: Stage, body: &str) -> Snapshot {
    Snapshot {
        stage,
        method: Some(Method::POST),
        url: (stage == Stage::Sent).then(|| "http://up.test/orders".to_owned()),
        status: None,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn call(answer: Option<&str>, matched: Option<&str>) -> LlmCall {
    LlmCall {
        plugin: "ai-request-transformer",
        provider: "openai".into(),
        model: "gpt".into(),
        url: "http://llm.test/v1/chat/completions".into(),
        headers: HeaderMap::new(),
        request: Bytes::from_static(b"{\"model\":\"gpt\"}"),
        status: answer.map(|_| 200),
        answer: answer.map(str::to_owned),
        pattern: Some(r"\{.*\}".into()),
        matched: matched.map(str::to_owned),
        usage: answer.map(|_| Usage {
            input: 100,
            output: 20,
            ..Usage::default()
        }),
        took: Duration::from_millis(answer.map_or(0, |_| 1200)),
        cost: answer.map(|_| 0.00025),
        error: None,
        ..LlmCall::default()
    }
}

fn run(calls: Vec<LlmCall>, stages: Vec<Snapshot>) -> Run {
    Run {
        profile: Arc::from("p"),
        stages,
        calls,
        warnings: Vec::new(),
        failure: None,
    }
}

fn shown(run: &Run, no_llm: bool) -> String {
    text(run, Mode::Structure, no_llm, &Term::plain())
}

const ASKED: &str = "client POST\n{\n  \"city\": \"Paris\"\n}\n\nai-request-transformer asks openai/gpt: http://llm.test/v1/chat/completions\n{\n  \"model\": \"gpt\"\n}\n";

#[test]
fn the_whole_way_of_a_request() {
    let after = r#"{"city":"Paris","country":"France"}"#;
    let answer = format!("Here: {after}");
    let mut run = run(
        vec![call(Some(&answer), Some(after))],
        vec![
            snapshot(Stage::Client, r#"{"city":"Paris"}"#),
            snapshot(Stage::RequestTransformed, after),
            snapshot(Stage::Sent, after),
        ],
    );
    run.warnings = vec!["dropped:logprobs".into()];
    let pretty = "{\n  \"city\": \"Paris\",\n  \"country\": \"France\"\n}\n";
    assert_eq!(
        shown(&run, false),
        format!(
            "{ASKED}its answer (status 200 · 100 tokens in, 20 out · $0.00025 · 1.20 s):\n{answer}\n\
             of which the pattern `\\{{.*\\}}` takes:\n{after}\n\n\
             request-transformed POST\n{pretty}from client to request-transformed:\n+ country: \"France\"\n\n\
             sent POST http://up.test/orders\n(the body is that of request-transformed)\n\n\
             warnings: dropped:logprobs\n"
        )
    );
    assert_eq!(
        spent(&run).unwrap(),
        "1 LLM call · 100 tokens in, 20 out · $0.00025"
    );
    assert!(problem(&run).is_none());
}

#[test]
fn a_pattern_that_fails_stands_beside_the_answer() {
    let mut run = run(
        vec![call(Some("no JSON here"), None)],
        vec![snapshot(Stage::Client, r#"{"city":"Paris"}"#)],
    );
    run.failure = Some(Failed {
        status: 400,
        message: "AI response did not match specified regular expression".into(),
        hint: None,
    });
    let text = shown(&run, false);
    assert!(
        text.ends_with("no JSON here\nthe pattern `\\{.*\\}` takes nothing of it\n\n"),
        "{text}"
    );
    let problem = problem(&run).unwrap();
    assert_eq!(
        problem.to_string(),
        "AI response did not match specified regular expression (status 400)"
    );
}

#[test]
fn an_llm_that_was_not_asked() {
    let run = run(
        vec![call(None, None)],
        vec![snapshot(Stage::Client, r#"{"city":"Paris"}"#)],
    );
    assert_eq!(
        shown(&run, true),
        format!("{ASKED}(not asked: --no-llm)\n\n")
    );
}

#[test]
fn long_lines_and_bytes_are_cut() {
    let mut picture = snapshot(Stage::Client, &"x".repeat(2500));
    let run_of = |snapshot| run(Vec::new(), vec![snapshot]);
    let text = shown(&run_of(picture.clone()), false);
    assert!(text.ends_with("x… (500 more characters)\n\n"), "{text}");
    picture.body = Bytes::from_static(b"\xff\xfe");
    let text = shown(&run_of(picture), false);
    assert_eq!(text, "client POST\n(2 bytes that are no text)\n\n");
}
