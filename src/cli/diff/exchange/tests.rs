use serde_json::json;

use super::*;
use crate::exchange::told::{Rest, StageTold, Tokens};

fn stage(name: &str, head: Value, body: &str) -> StageTold {
    let mut told: StageTold = serde_json::from_value(head).unwrap();
    told.stage = name.into();
    told.set_body(body.as_bytes());
    told
}

fn part(kind: &str, name: Option<&str>, text: &str) -> PartTold {
    PartTold {
        kind: kind.into(),
        id: name.map(|_| text.len().to_string()),
        name: name.map(str::to_owned),
        text: text.into(),
        ..PartTold::default()
    }
}

fn detail(id: &str) -> Detail {
    let mut returned = stage("returned", json!({"status": 200}), "");
    (returned.body, returned.same_as) = (None, Some("received".into()));
    Detail {
        summary: Summary {
            id: id.into(),
            began: "2026-11-22T08:00:00.000Z".into(),
            profile: "gpt".into(),
            outcome: "ok".into(),
            status: Some(200),
            provider: "openai".into(),
            model: "m".into(),
            usage: Some(Tokens {
                prompt_tokens: 5,
                completion_tokens: 2,
                total_tokens: 7,
                ..Tokens::default()
            }),
            ..Summary::default()
        },
        rest: Rest {
            stages: vec![
                stage(
                    "client",
                    json!({"method": "POST", "url": "/v1/chat/completions", "headers": {"accept": "*/*"}}),
                    r#"{"model":"m","n":1}"#,
                ),
                stage(
                    "sent",
                    json!({"method": "POST", "url": "https://up.test/v1/chat/completions", "headers": {"accept": "*/*", "authorization": "(secret)"}}),
                    r#"{"model":"m-1","n":1}"#,
                ),
                stage("received", json!({"status": 200}), "{}"),
                returned,
            ],
            parts: vec![
                part("thinking", None, "Hm."),
                part("text", None, "It is Paris."),
            ],
            ..Rest::default()
        },
    }
}

#[test]
fn what_each_stage_changed() {
    let (text, same) = stages(&detail("a"), Mode::Structure, &Term::plain()).unwrap();
    assert!(!same);
    assert_eq!(
        text,
        "\
client → sent
head:
~ url: \"/v1/chat/completions\" → \"https://up.test/v1/chat/completions\"
+ headers.authorization: \"(secret)\"
body:
~ model: \"m\" → \"m-1\"

received → returned
(the body is the same)

"
    );
    let (json, _) = stages_json(&detail("a"));
    assert_eq!(json["stages"][0]["body"]["changes"][0]["path"], "/model");
    assert_eq!(json["stages"][1]["equal"], true);
    let nothing = Detail::default();
    assert!(stages(&nothing, Mode::Structure, &Term::plain()).is_err());
}

#[test]
fn two_exchanges_side_by_side() {
    let (old, mut new) = (detail("a000000000"), detail("b000000000"));
    new.summary.profile = "claude".into();
    new.summary.timings.total_ms = 1500.0;
    new.rest.stages[0] = stage("client", json!({"method": "POST"}), r#"{"n":1}"#);
    new.rest.parts = vec![
        part("text", None, "It is Paris."),
        part("tool_call", Some("weather"), r#"{"city":"Paris"}"#),
    ];
    let (text, same) = two(Mode::Structure, &old, &new, &Term::plain());
    assert!(!same);
    assert_eq!(
        text,
        "\u{20}        a000000000                b000000000
began    2026-11-22T08:00:00.000Z  2026-11-22T08:00:00.000Z
profile  gpt                       claude
model    openai/m                  openai/m
ended    200                       200
usage    5 tokens in, 2 out        5 tokens in, 2 out
total    0 ms                      1.50 s

request:
- model: \"m\"
answer: the same
reasoning:
@@ -1 +0,0 @@
-Hm.
tool calls:
+ [0]: {\"name\":\"weather\",\"arguments\":{\"city\":\"Paris\"}}
"
    );
    let (json, same) = two_json(&old, &old);
    assert!(same);
    assert_eq!(json["tool_calls"], json!({"equal": true, "notes": []}));
    assert_eq!(json["old"]["id"], "a000000000");
}

#[test]
fn ids_of_calls_are_no_difference() {
    let with = |id: &str| {
        let mut detail = detail("a");
        let mut call = part("tool_call", Some("f"), "{\"b\": 1}");
        call.id = Some(id.into());
        detail.rest.parts.push(call);
        detail
    };
    let (text, same) = answers(Mode::Structure, (&with("1"), &with("2")), &Term::plain());
    assert!(same, "{text}");
}
