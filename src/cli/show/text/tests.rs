use serde_json::json;

use super::*;
use crate::exchange::told::{CallTold, Rest, Timings};

fn stage(name: &str, head: serde_json::Value, body: &str) -> StageTold {
    let mut told: StageTold = serde_json::from_value(head).unwrap();
    told.stage = name.into();
    told.size = body.len() as u64;
    told.set_body(body.as_bytes());
    told
}

fn detail() -> Detail {
    let request = r#"{"messages":[{"role":"user","content":"Paris?"}],"stream":true}"#;
    let mut sent = stage(
        "sent",
        json!({"method": "POST", "url": "https://api.example.com/v1/chat/completions", "headers": {"authorization": "(secret)"}}),
        request,
    );
    (sent.body, sent.same_as) = (None, Some("client".into()));
    let events = "data: {}\n\n".repeat(30);
    let part = |kind: &str, name: Option<&str>, text: &str| PartTold {
        choice: 0,
        kind: kind.into(),
        id: name.map(|_| "call_1".into()),
        name: name.map(str::to_owned),
        text: text.into(),
    };
    Detail {
        summary: Summary {
            id: "7k3m9x2q7w".into(),
            profile: "shop".into(),
            began: "not a time".into(),
            outcome: "ok".into(),
            client_ip: Some("127.0.0.1".into()),
            method: "POST".into(),
            path: "/shop/v1/chat/completions".into(),
            operation: "llm/v1/chat".into(),
            stream: true,
            provider: "openai".into(),
            model: "gpt".into(),
            answered_by: "gpt-2026".into(),
            upstream_status: Some(200),
            status: Some(200),
            usage: Some(Tokens {
                prompt_tokens: 1200,
                completion_tokens: 80,
                total_tokens: 1280,
                cached_tokens: 1000,
                reasoning_tokens: 30,
                ..Tokens::default()
            }),
            cost: Some(0.0021),
            cost_source: Some("list price of 2026-10-01".into()),
            timings: Timings {
                sent_ms: Some(100.0),
                first_byte_ms: Some(500.0),
                total_ms: 1000.0,
                ..Timings::default()
            },
            warnings: vec!["dropped:logprobs".into()],
            ..Summary::default()
        },
        rest: Rest {
            stages: vec![
                stage(
                    "client",
                    json!({"method": "POST", "url": "/v1/chat/completions", "headers": {"content-type": "application/json"}}),
                    request,
                ),
                sent,
                stage(
                    "received",
                    json!({"status": 200, "headers": {"content-type": "text/event-stream"}}),
                    &events,
                ),
            ],
            calls: vec![CallTold {
                plugin: "ai-request-transformer".into(),
                provider: "openai".into(),
                model: "small".into(),
                url: "https://llm.example.com".into(),
                status: Some(200),
                answer: Some("{}".into()),
                took_ms: 12.0,
                ..CallTold::default()
            }],
            parts: vec![
                part("thinking", None, "The city.\nOf light."),
                part("text", None, "Yes."),
                part("tool_call", Some("weather"), r#"{"city":"Paris"}"#),
                part("refusal", None, "No."),
            ],
            ..Rest::default()
        },
    }
}

#[test]
fn an_exchange_on_the_screen() {
    assert_eq!(
        all(&detail(), &Term::plain()),
        format!(
            "\
7k3m9x2q7w 200 POST /shop/v1/chat/completions
  began    not a time
  profile  shop · llm/v1/chat · streamed
  model    openai/gpt, answered by gpt-2026
  client   127.0.0.1

client POST /v1/chat/completions
  content-type: application/json
{{
  \"messages\": [
    {{
      \"role\": \"user\",
      \"content\": \"Paris?\"
    }}
  ],
  \"stream\": true
}}

ai-request-transformer asks openai/small: https://llm.example.com
(no body)
its answer (status 200 · 12 ms):
{{}}

sent POST https://api.example.com/v1/chat/completions
  authorization: (secret)
(the body is that of client)

received 200
  content-type: text/event-stream
{}… (40 more lines: aiproxy show 7k3m9x2q7w --stage received)

answer
(reasoning)
The city.
Of light.
(end of the reasoning)
Yes.
→ weather({{\"city\":\"Paris\"}})  call_1
refused: No.

warnings: dropped:logprobs
usage 1200 tokens in (1000 from the cache), 80 out (30 reasoning) · $0.0021 (by the list price of 2026-10-01)
times
  prepare  ██████                                                          100 ms
  wait           ████████████████████████                                  400 ms
  answer                                 ██████████████████████████████    500 ms
  total                                                                    1.00 s
",
            "data: {}\n\n".repeat(10).trim_end().to_owned() + "\n"
        )
    );
}

#[test]
fn a_stage_alone_is_whole() {
    let mut detail = detail();
    let received = detail.stage("received").unwrap();
    let text = one(received, &detail, &Term::plain());
    assert_eq!(text.matches("data: {}").count(), 30);
    let sent = detail.stage("sent").unwrap();
    let text = one(sent, &detail, &Term::plain());
    assert!(text.contains("\"content\": \"Paris?\""), "{text}");
    detail.rest.stages[0].truncated = true;
    detail.rest.stages[0].size = 99;
    let text = one(&detail.rest.stages[0], &detail, &Term::plain());
    assert!(
        text.ends_with("(the body of client was cut: 63 of its 99 bytes were kept)\n\n"),
        "{text}"
    );
}

#[test]
fn a_failure_says_where_and_why() {
    let mut detail = detail();
    detail.summary.outcome = "failed".into();
    detail.summary.failed_at = Some("sent".into());
    detail.summary.error = Some("connection refused".into());
    (detail.summary.status, detail.summary.upstream_status) = (Some(502), None);
    let text = all(&detail, &Term::plain());
    assert!(text.starts_with("7k3m9x2q7w failed 502 POST"), "{text}");
    assert!(
        text.contains("\n  failed   at sent: connection refused\n"),
        "{text}"
    );
}
