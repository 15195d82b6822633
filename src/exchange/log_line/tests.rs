use std::{
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use bytes::Bytes;

use super::*;
use crate::llm::Event;

fn exchange() -> Exchange {
    Exchange {
        began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        client: Some([127, 0, 0, 1].into()),
        method: http::Method::POST,
        path: "/gpt/v1/chat/completions".into(),
        request_size: Some(Arc::new(AtomicU64::new(120))),
        provider: "openai",
        operation: "llm/v1/chat",
        model: "gpt-4o-mini".into(),
        answered_by: "gpt-4o-mini-2024".into(),
        upstream_status: Some(200),
        status: Some(200),
        usage: Some(Usage {
            input: 20,
            cache_read: 5,
            output: 12,
            ..Usage::default()
        }),
        sent_after: Some(Duration::from_millis(4)),
        headers_after: Some(Duration::from_millis(304)),
        first_token_after: Some(Duration::from_millis(404)),
        took: Duration::from_millis(1004),
        bytes: 400,
        outcome: Outcome::Completed,
        log: Some(Box::new(Material {
            statistics: true,
            countable: true,
            ..Material::default()
        })),
        ..Exchange::new("gpt".into())
    }
}

fn redactor() -> Redactor {
    Redactor::new([
        "Bearer sk-0123456789",
        "Bearer openai-key",
        "sk-llm-0123456789",
    ])
}

fn json(exchange: &Exchange) -> Value {
    let line = Shown::of(exchange, &redactor()).json();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

fn material(exchange: &mut Exchange) -> &mut Material {
    exchange.log.as_deref_mut().unwrap()
}

#[test]
fn a_line_has_kongs_keys() {
    let mut exchange = exchange();
    material(&mut exchange).input_cost = Some(10.0);
    material(&mut exchange).output_cost = Some(10.0);
    material(&mut exchange).stream = true;
    assert_eq!(
        json(&exchange),
        json!({
            "started_at": 1_700_000_000_123_u64,
            "exchange": exchange.id.as_str(),
            "profile": "gpt",
            "client_ip": "127.0.0.1",
            "request": {"method": "POST", "path": "/gpt/v1/chat/completions", "size": 120},
            "response": {"status": 200, "size": 400},
            "latencies": {"request": 1004, "kong": 704, "proxy": 300, "receive": 700},
            "outcome": "completed",
            "ai": {"proxy": {
                "meta": {
                    "provider_name": "openai",
                    "request_model": "gpt-4o-mini",
                    "response_model": "gpt-4o-mini-2024",
                    "request_mode": "stream",
                    "llm_latency": 1000,
                },
                "usage": {
                    "prompt_tokens": 25,
                    "completion_tokens": 12,
                    "total_tokens": 37,
                    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
                    "time_per_token": 83,
                    "time_to_first_token": 400,
                    "cost": 0.00037,
                },
            }},
        })
    );
}

#[test]
fn nothing_of_the_model_is_logged_unasked() {
    let mut exchange = exchange();
    material(&mut exchange).statistics = false;
    assert_eq!(json(&exchange).get("ai"), None);
    exchange.log = None;
    assert_eq!(json(&exchange).get("ai"), None);
}

#[test]
fn cost_needs_both_prices() {
    let mut exchange = exchange();
    material(&mut exchange).input_cost = Some(10.0);
    assert_eq!(json(&exchange)["ai"]["proxy"]["usage"].get("cost"), None);
}

#[test]
fn a_failure_says_why_and_a_client_that_left_is_499() {
    let mut exchange = exchange();
    exchange.outcome = Outcome::Failed("bad key\nsk-0123456789".into());
    exchange.status = Some(401);
    exchange.upstream_status = Some(401);
    exchange.usage = None;
    let line = json(&exchange);
    assert_eq!(line["outcome"], "failed");
    assert_eq!(line["error"], "bad key\n***");
    assert_eq!(line["response"]["status"], 401);
    assert_eq!(line["ai"]["proxy"].get("usage"), None);
    let sentence = Shown::of(&exchange, &redactor()).sentence();
    assert!(
        sentence.ends_with("1.00 s failed: bad key ***"),
        "{sentence}"
    );

    exchange.outcome = Outcome::Cancelled;
    exchange.status = None;
    exchange.headers_after = None;
    let line = json(&exchange);
    assert_eq!(line["outcome"], "cancelled");
    assert_eq!(line["response"]["status"], 499);
    assert_eq!(line["latencies"]["proxy"], -1);
}

#[test]
fn missing_counts_are_estimated() {
    let mut exchange = exchange();
    exchange.usage = None;
    let request = r#"{"messages":[{"role":"user","content":"apple apple"}]}"#;
    material(&mut exchange).request = Some(Kept::of(&Bytes::from(request)));
    material(&mut exchange).said.observe(&Event::Text {
        part: 0,
        text: "apple apple apple".into(),
    });
    let usage = json(&exchange)["ai"]["proxy"]["usage"].take();
    assert_eq!(usage["estimated"], true);
    assert_eq!(usage["prompt_tokens"], 8);
    assert_eq!(usage["completion_tokens"], 3);
    let sentence = Shown::of(&exchange, &redactor()).sentence();
    assert!(sentence.contains(" ~8+3 tokens "), "{sentence}");
}

#[test]
fn payloads_are_texts_without_secrets() {
    let mut exchange = exchange();
    let material = material(&mut exchange);
    material.payloads = true;
    material.request = Some(Kept::of(&Bytes::from(r#"{"a":"openai-key"}"#)));
    material.said.observe(&Event::Text {
        part: 0,
        text: "it is openai-".into(),
    });
    material.said.observe(&Event::Text {
        part: 0,
        text: "key".into(),
    });
    assert_eq!(
        json(&exchange)["ai"]["proxy"]["payload"],
        json!({"request": r#"{"a":"***"}"#, "response": "it is ***"})
    );
}

#[test]
fn a_large_payload_is_cut_and_marked() {
    let mut exchange = exchange();
    let material = material(&mut exchange);
    material.payloads = true;
    material.response = Some(Kept::of(&Bytes::from(vec![b'x'; 2 << 20])));
    let payload = json(&exchange)["ai"]["proxy"]["payload"].take();
    assert_eq!(payload["response"].as_str().unwrap().len(), 1 << 20);
    assert_eq!(payload["response_truncated"], true);
}

/// With a call of a request transformer's LLM, whose key is `sk-llm-0123456789`.
fn transformed(exchange: &mut Exchange) -> &mut CallLog {
    exchange.calls.push(LlmCall {
        plugin: "ai-request-transformer",
        provider: "gemini".into(),
        model: "flash".into(),
        status: Some(200),
        usage: Some(Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        }),
        took: Duration::from_millis(50),
        ..LlmCall::default()
    });
    let log = CallLog {
        answered_by: "flash-002".into(),
        material: Material {
            statistics: true,
            input_cost: Some(2.0),
            output_cost: Some(4.0),
            ..Material::default()
        },
    };
    exchange.call_logs.push(Some(Box::new(log)));
    exchange.call_logs[0].as_deref_mut().unwrap()
}

#[test]
fn each_transformer_has_its_own_part_and_the_cost_is_of_all() {
    let mut exchange = exchange();
    material(&mut exchange).input_cost = Some(10.0);
    material(&mut exchange).output_cost = Some(10.0);
    transformed(&mut exchange);
    let line = json(&exchange);
    let part = &line["ai"]["ai-request-transformer"];
    assert_eq!(part["meta"]["provider_name"], "gemini");
    assert_eq!(part["meta"]["request_model"], "flash");
    assert_eq!(part["meta"]["response_model"], "flash-002");
    assert_eq!(part["meta"]["llm_latency"], 50);
    assert_eq!(part["usage"]["time_per_token"], 10);
    assert_eq!(part["usage"]["cost"], 0.00004);
    assert_eq!(line["ai"]["proxy"]["usage"]["cost"], 0.00037);
    let total = line["cost"].as_f64().unwrap();
    assert!((total - 0.00041).abs() < 1e-12, "{total}");
    let sentence = Shown::of(&exchange, &redactor()).sentence();
    assert!(
        sentence.contains(" 25+12 tokens, 10+5 tokens of ai-request-transformer"),
        "{sentence}"
    );
}

#[test]
fn a_transformers_call_is_logged_only_if_its_own_table_asks() {
    let mut exchange = exchange();
    transformed(&mut exchange).material.statistics = false;
    let line = json(&exchange);
    assert_eq!(line["ai"].get("ai-request-transformer"), None);
    assert!(line["ai"]["proxy"].is_object());
    exchange.call_logs = vec![None];
    assert_eq!(json(&exchange)["ai"].get("ai-request-transformer"), None);
}

#[test]
fn tokens_that_a_transformers_llm_does_not_tell_are_counted() {
    let mut exchange = exchange();
    let log = transformed(&mut exchange);
    log.material.countable = true;
    log.material.request = Some(Kept::of(&bytes::Bytes::from_static(
        br#"{"messages":[{"role":"user","content":"one two"}]}"#,
    )));
    log.material.said.text.push("three");
    exchange.calls[0].usage = None;
    let usage = &json(&exchange)["ai"]["ai-request-transformer"]["usage"];
    assert_eq!(usage["estimated"], true);
    assert_eq!(usage["completion_tokens"], 1);
    exchange.calls[0].status = Some(400);
    let part = &json(&exchange)["ai"]["ai-request-transformer"];
    assert_eq!(part.get("usage"), None);
}

#[test]
fn a_transformers_key_is_in_no_line() {
    let mut exchange = exchange();
    transformed(&mut exchange);
    exchange.outcome = Outcome::Failed("no sk-llm-0123456789 here".into());
    assert_eq!(json(&exchange)["error"], "no *** here");
}
