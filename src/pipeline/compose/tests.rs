use std::sync::Arc;

use super::*;
use crate::{
    dialect::openai_chat::OpenAiChat,
    pipeline::{Asked, checks, route, warnings::WARNINGS},
    profile::{
        Origin,
        load::{Input, load},
        source::Syntax,
    },
};

/// Composes `body` through an OpenAI profile with these lines under `[ai-proxy.model.options]` and `[aiproxy]`.
fn composed(options: &str, settings: &str, body: &str, query: Option<&str>) -> Prepared {
    let text = format!(
        "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n\
         [ai-proxy.model.options]\n{options}\n[aiproxy]\n{settings}\n"
    );
    let origin = Origin::BuiltIn;
    let profile = load(Input {
        name: "test",
        origin: &origin,
        syntax: Syntax::Toml,
        bytes: text.as_bytes(),
    });
    let inbound = Inbound {
        profile: Arc::new(profile.unwrap()),
        ingress: &OpenAiChat,
        target: route::Target::Operation(Operation::Chat, "/chat/completions".into()),
        native: None,
        asked: Asked::Body,
        method: http::Method::POST,
        query: query.map(str::to_owned),
        headers: HeaderMap::new(),
        captures: Vec::new(),
        earlier: None,
        llm: true,
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = checks::check(&inbound, &body).unwrap();
    let route = route::route(&inbound).unwrap();
    let decided = route::decide(&inbound, &route, &request).unwrap();
    let now = SystemTime::UNIX_EPOCH;
    let secrets = Secrets::default();
    let ingredients = Ingredients {
        inbound: &inbound,
        route: &route,
        decided: &decided,
        secrets: &secrets,
        now,
        exchange: None,
    };
    compose(&ingredients, request, &body).unwrap()
}

fn wire(options: &str, settings: &str, body: &str) -> String {
    let wire = composed(options, settings, body, None).wire.unwrap();
    String::from_utf8(wire.to_vec()).unwrap()
}

const ASK: &str = r#""messages":[{"role":"user","content":"x"}]"#;

#[test]
fn a_body_that_no_rule_touches_keeps_its_bytes() {
    let body = format!("{{ \"model\" : \"m\", \"x\": 1.00, {ASK} }}");
    assert_eq!(wire("", "", &body), body);
}

#[test]
fn options_win_or_fill_in() {
    let body = format!(r#"{{"model":"m",{ASK},"temperature":0.1,"max_completion_tokens":7}}"#);
    assert_eq!(
        wire("max_tokens = 5\ntemperature = 0.5\ntop_p = 0.9", "", &body),
        format!(r#"{{"model":"m",{ASK},"temperature":0.5,"max_tokens":5,"top_p":0.9}}"#)
    );
    assert_eq!(
        wire(
            "max_tokens = 5\ntemperature = 0.5\ntop_p = 0.9",
            "options = \"default\"",
            &body
        ),
        format!(r#"{{"model":"m",{ASK},"temperature":0.1,"max_completion_tokens":7,"top_p":0.9}}"#)
    );
}

#[test]
fn the_limit_has_the_name_that_the_model_takes() {
    for (model, name) in [
        ("gpt-4o", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("gpt-5", "max_completion_tokens"),
        ("gpt-5.1", "max_completion_tokens"),
        ("gpt-50", "max_tokens"),
        ("o1x", "max_tokens"),
    ] {
        let body = format!(r#"{{"model":"{model}",{ASK}}}"#);
        let sent = wire("max_tokens = 5", "", &body);
        assert!(sent.ends_with(&format!(r#","{name}":5}}"#)), "{sent}");
    }
}

#[test]
fn top_k_is_dropped_for_openai_alone_and_said() {
    let body = format!(r#"{{"model":"m",{ASK},"top_k":5}}"#);
    let prepared = composed("", "", &body, None);
    assert!(!String::from_utf8_lossy(&prepared.wire.unwrap()).contains("top_k"));
    assert_eq!(prepared.plan.headers[WARNINGS], "dropped:top_k");
    let prepared = composed(
        "",
        "base_url = \"https://api.groq.com/openai/v1\"",
        &body,
        None,
    );
    assert!(String::from_utf8_lossy(&prepared.wire.unwrap()).contains("top_k"));
    assert!(!prepared.plan.headers.contains_key(WARNINGS));
}

#[test]
fn usage_is_asked_of_known_hosts_and_by_wish() {
    let body = format!(r#"{{"model":"m",{ASK},"stream":true}}"#);
    let asks = |settings: &str| wire("", settings, &body).contains("include_usage");
    assert!(asks(""), "api.openai.com is known");
    assert!(!asks("base_url = \"http://127.0.0.1:9/v1\""));
    assert!(asks(
        "base_url = \"http://127.0.0.1:9/v1\"\nask_usage = \"always\""
    ));
    assert!(!asks("ask_usage = \"never\""));
    let own = format!(
        r#"{{"model":"m",{ASK},"stream":true,"stream_options":{{"x":1,"include_usage":false}}}}"#
    );
    let sent = wire("", "", &own);
    assert!(
        sent.ends_with(r#""stream_options":{"x":1,"include_usage":true}}"#),
        "{sent}"
    );
    assert!(composed("", "", &own, None).plan.hide_usage);
}

#[test]
fn the_clients_query_goes_along_without_its_key() {
    let body = format!(r#"{{"model":"m",{ASK}}}"#);
    let prepared = composed(
        "upstream_url = \"http://h/p?own=1\"",
        "",
        &body,
        Some("a=b%20c&key=secret&d"),
    );
    assert_eq!(prepared.request.uri(), "http://h/p?own=1&a=b%20c&d");
}
