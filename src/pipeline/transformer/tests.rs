//! The transformers with a transport of the test's own: stages, calls, and what is not sent.

use std::{io, path::Path, sync::Mutex, time::SystemTime};

use http::{HeaderValue, Request as HttpRequest, Response};

use super::*;
use crate::{
    dialect::openai_chat::OpenAiChat,
    exchange::{Ledger, Snapshot},
    keys::{Fetching, Keys, Wanted},
    pipeline::{Asked, Target, prepare, respond},
    profile::{
        Origin, Vault,
        load::{Input, load},
        source::Syntax,
    },
    provider::Operation,
    transport::{Body, Dial, Sending, Transport, full},
};

/// Answers every request with one text, as OpenAI would.
struct Llm {
    text: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Transport for Llm {
    fn send<'a>(&'a self, request: HttpRequest<Body>, _: &'a Dial) -> Sending<'a> {
        self.asked.lock().unwrap().push(request.uri().to_string());
        let body = serde_json::json!({
            "object": "chat.completion",
            "model": "m-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.text}}],
        });
        let mut response = Response::new(full(body.to_string()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Box::pin(async move { Ok(response) })
    }
}

struct Nothing;

impl Keys for Nothing {
    fn fetch<'a>(&'a self, _: &'a Wanted) -> Fetching<'a> {
        Box::pin(async { Err("no cloud".into()) })
    }
}

impl Vault for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        Some("key-0123456789".into())
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn keyring(&self, _: &str) -> Result<String, String> {
        Err("none".into())
    }
}

const PROFILE: &str = r#"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.auth]
header_name = "x-own"
header_value = "{vault://env/a}"
[ai-proxy.model]
provider = "anthropic"
name = "claude"
[ai-proxy.model.options]
anthropic_version = "2023-06-01"
upstream_url = "http://final/x"
[ai-request-transformer]
prompt = "change"
transformation_extract_pattern = '\{.*\}'
[ai-request-transformer.llm]
route_type = "llm/v1/chat"
[ai-request-transformer.llm.auth]
param_name = "token"
param_value = "{vault://env/a}"
param_location = "query"
[ai-request-transformer.llm.model]
provider = "openai"
name = "m"
[ai-request-transformer.llm.model.options]
upstream_url = "http://llm/y"
input_cost = 1.0
output_cost = 1.0
[ai-response-transformer]
prompt = "check"
[ai-response-transformer.llm]
route_type = "llm/v1/chat"
[ai-response-transformer.llm.model]
provider = "openai"
name = "m"
[ai-response-transformer.llm.model.options]
upstream_url = "http://llm/z"
"#;

fn profile(text: &str) -> Profile {
    load(Input {
        name: "test",
        origin: &Origin::BuiltIn,
        syntax: Syntax::Toml,
        bytes: text.as_bytes(),
    })
    .unwrap()
}

fn inbound(llm: bool) -> Inbound {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer client"));
    Inbound {
        profile: Arc::new(profile(PROFILE)),
        ingress: &OpenAiChat,
        target: Target::Operation(Operation::Chat, "/chat/completions".into()),
        native: None,
        asked: Asked::Body,
        method: Method::POST,
        query: Some("key=client-key&a=1".into()),
        headers,
        captures: Vec::new(),
        earlier: None,
        llm,
    }
}

fn watching() -> Recorder {
    let mut recorder = Ledger::new(Vec::new()).open("test".into());
    recorder.watch();
    recorder
}

fn names(stages: &[Snapshot]) -> Vec<&'static str> {
    stages
        .iter()
        .map(|snapshot| snapshot.stage.name())
        .collect()
}

const BODY: &str = r#"{"messages":[{"role":"user","content":"old"}],"logprobs":true}"#;
const NEW: &str = r#"So: {"messages":[{"role":"user","content":"new"}],"logprobs":true}."#;

#[tokio::test]
async fn every_stage_of_a_request_is_seen_without_secrets() {
    let net = Llm {
        text: NEW,
        asked: Mutex::default(),
    };
    let vault: Arc<dyn Vault> = Arc::new(Nothing);
    let env = Env {
        net: &net,
        vault: &vault,
        keys: &Nothing,
        now: SystemTime::UNIX_EPOCH,
    };
    let mut recorder = watching();
    let payload = Payload::Whole(Bytes::from_static(BODY.as_bytes()));
    prepare(env, &mut inbound(true), payload, &mut recorder)
        .await
        .unwrap();
    // The final upstream is not asked.
    assert_eq!(
        *net.asked.lock().unwrap(),
        ["http://llm/y?token=key-0123456789"]
    );
    let stages = recorder.stages();
    assert_eq!(names(stages), ["client", "request-transformed", "sent"]);
    assert_eq!(stages[0].body, BODY);
    assert_eq!(stages[0].headers["authorization"], "(secret)");
    assert_eq!(
        stages[0].url.as_deref(),
        Some("/chat/completions?key=(secret)&a=1")
    );
    assert_eq!(stages[1].body, NEW[4..NEW.len() - 1]);
    assert_eq!(stages[1].headers["content-type"], "application/json");
    let sent = &stages[2];
    assert_eq!(sent.url.as_deref(), Some("http://final/x?a=1"));
    assert_eq!(sent.headers["x-own"], "(secret)");
    let wire: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(wire["model"], "claude");
    assert!(sent.body.windows(3).any(|w| w == b"new"));
    assert!(recorder.warnings().contains(&"dropped:logprobs".to_owned()));

    let calls = recorder.calls();
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(call.plugin, "ai-request-transformer");
    assert_eq!(
        (call.provider.as_str(), call.model.as_str()),
        ("openai", "m")
    );
    assert_eq!(call.url, "http://llm/y?token=(secret)");
    assert_eq!(call.status, Some(200));
    assert_eq!(call.answer.as_deref(), Some(NEW));
    assert_eq!(call.pattern.as_deref(), Some(r"\{.*\}"));
    assert_eq!(call.matched.as_deref(), Some(&NEW[4..NEW.len() - 1]));
    let usage = call.usage.unwrap();
    assert!(usage.estimated && usage.output > 10, "{usage:?}");
    assert!(call.cost.unwrap() > 0.0);
    let asked: serde_json::Value = serde_json::from_slice(&call.request).unwrap();
    assert_eq!(asked["messages"][0]["content"], "change");
    assert_eq!(asked["messages"][1]["content"], BODY);
    assert_eq!(asked["stream"], false);
}

#[tokio::test]
async fn without_its_llm_the_body_goes_on_and_nothing_is_sent() {
    let net = Llm {
        text: NEW,
        asked: Mutex::default(),
    };
    let vault: Arc<dyn Vault> = Arc::new(Nothing);
    let env = Env {
        net: &net,
        vault: &vault,
        keys: &Nothing,
        now: SystemTime::UNIX_EPOCH,
    };
    let mut recorder = watching();
    let payload = Payload::Whole(Bytes::from_static(BODY.as_bytes()));
    prepare(env, &mut inbound(false), payload, &mut recorder)
        .await
        .unwrap();
    assert!(net.asked.lock().unwrap().is_empty());
    assert_eq!(names(recorder.stages()), ["client", "sent"]);
    assert!(recorder.stages()[1].body.windows(3).any(|w| w == b"old"));
    let calls = recorder.calls();
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!((call.answer.as_deref(), call.status), (None, None));
    assert!(!call.request.is_empty());
}

#[tokio::test]
async fn a_given_answer_goes_through_the_response_side_alone() {
    let net = Llm {
        text: "fine",
        asked: Mutex::default(),
    };
    let vault: Arc<dyn Vault> = Arc::new(Nothing);
    let env = Env {
        net: &net,
        vault: &vault,
        keys: &Nothing,
        now: SystemTime::UNIX_EPOCH,
    };
    for (llm, stages) in [
        (true, &["received", "response-transformed", "returned"][..]),
        (false, &["received", "returned"]),
    ] {
        let answer = r#"{"id":"a","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"apple"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
        let mut given = Response::new(full(answer));
        let json = HeaderValue::from_static("application/json");
        given.headers_mut().insert(CONTENT_TYPE, json);
        let mut slot = Some(watching());
        let out = respond(env, inbound(llm), given, &mut slot).await.unwrap();
        let recorder = slot.unwrap();
        assert_eq!(names(recorder.stages()), stages);
        assert_eq!(recorder.stages()[0].body, answer);
        let body = out.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(recorder.stages().last().unwrap().body, body);
        let asked: serde_json::Value =
            serde_json::from_slice(&recorder.calls()[0].request).unwrap();
        // As the client would have got it, in its own format.
        let shown = asked["messages"][1]["content"].as_str().unwrap();
        assert!(shown.contains("chat.completion"), "{shown}");
        assert_eq!(body == "fine", llm);
    }
    assert_eq!(*net.asked.lock().unwrap(), ["http://llm/z"]);
}

#[test]
fn the_strictest_limit_counts() {
    let with = |table: &str, limit: &str| {
        let from = format!("[{table}]\n");
        let to = format!("[{table}]\nmax_request_body_size = {limit}\n");
        limit_of(&PROFILE.replace(&from, &to))
    };
    fn limit_of(text: &str) -> u64 {
        limit(&profile(text))
    }
    assert_eq!(limit_of(PROFILE), 64 << 20);
    for table in [
        "ai-proxy",
        "ai-request-transformer",
        "ai-response-transformer",
    ] {
        assert_eq!(with(table, "10"), 10);
        assert_eq!(with(table, "0"), 64 << 20);
    }
}
