use serde_json::{Value, json};

use super::{CLAUDE, Converse, LLAMA, NEW_CLAUDE, NOVA, OLD_CLAUDE, asked, sent};
use crate::{
    dialect::Egress,
    llm::{Message, Part, ReasoningRequest, Role},
};

const CLAUDE_4_6: &str = "global.anthropic.claude-opus-4-6-v1";
const OSS: &str = "openai.gpt-oss-120b-1:0";

/// Fields and losses that an effort makes.
fn effort(model: &str, effort: &str) -> (Value, Vec<String>) {
    let (body, lost) = sent(model, json!({"reasoning_effort": effort}));
    (body["additionalModelRequestFields"].clone(), lost)
}

#[test]
fn each_vendor_reasons_in_its_own_way() {
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let adaptive = |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    let nova = |effort: &str| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}});
    for (model, word, fields, lost) in [
        (CLAUDE, "low", budget(1024), None),
        (CLAUDE, "high", budget(24_576), None),
        (CLAUDE, "none", Value::Null, None),
        (CLAUDE_4_6, "medium", adaptive("medium"), None),
        (
            CLAUDE_4_6,
            "xhigh",
            adaptive("high"),
            Some("clamped:reasoning_effort"),
        ),
        (NEW_CLAUDE, "minimal", adaptive("low"), None),
        (NEW_CLAUDE, "xhigh", adaptive("xhigh"), None),
        (
            OLD_CLAUDE,
            "high",
            Value::Null,
            Some("dropped:reasoning_effort"),
        ),
        (NOVA, "minimal", nova("low"), None),
        (NOVA, "xhigh", nova("high"), None),
        (
            NOVA,
            "none",
            json!({"reasoningConfig": {"type": "disabled"}}),
            None,
        ),
        (OSS, "medium", json!({"reasoning_effort": "medium"}), None),
        (
            OSS,
            "none",
            json!({"reasoning_effort": "low"}),
            Some("clamped:reasoning_effort"),
        ),
        (
            "amazon.nova-lite-v1:0",
            "low",
            Value::Null,
            Some("dropped:reasoning_effort"),
        ),
        (LLAMA, "low", Value::Null, Some("dropped:reasoning_effort")),
        (LLAMA, "none", Value::Null, None),
    ] {
        let (sent, gone) = effort(model, word);
        assert_eq!(sent, fields, "{model} {word}");
        assert_eq!(gone, Vec::from_iter(lost), "{model} {word}");
    }
}

#[test]
fn a_budget_goes_as_it_is_where_the_model_takes_one() {
    let thinking = |model: &str, tokens: u64, limit: Option<u64>| {
        let mut request = asked(model, json!({"max_tokens": limit}));
        request.reasoning = ReasoningRequest {
            effort: None,
            budget: Some(tokens),
        };
        let encoded = Converse.encode_request(&request).unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        let lost = encoded.lost.first().map(ToString::to_string);
        (body["additionalModelRequestFields"].clone(), lost)
    };
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let clamped = Some("clamped:reasoning_effort".to_owned());
    assert_eq!(thinking(CLAUDE, 3000, Some(4000)), (budget(3000), None));
    assert_eq!(thinking(CLAUDE_4_6, 3000, None), (budget(3000), None));
    assert_eq!(
        thinking(CLAUDE, 3000, Some(2000)),
        (budget(1999), clamped.clone())
    );
    assert_eq!(thinking(CLAUDE, 10, None), (budget(1024), clamped));
    assert_eq!(
        thinking(CLAUDE, 3000, Some(1000)),
        (Value::Null, Some("dropped:reasoning_effort".into()))
    );
    assert_eq!(
        thinking(NEW_CLAUDE, 8000, None).0["output_config"],
        json!({"effort": "medium"})
    );
}

#[test]
fn what_cannot_stand_beside_reasoning_is_left_out() {
    let (body, lost) = sent(
        CLAUDE,
        json!({"reasoning_effort": "low", "temperature": 0.2, "top_p": 0.97, "top_k": 5, "max_tokens": 4000}),
    );
    assert_eq!(
        body["inferenceConfig"],
        json!({"maxTokens": 4000, "topP": 0.97})
    );
    assert_eq!(lost, ["dropped:temperature", "dropped:top_k"]);
    let (body, lost) = sent(
        NOVA,
        json!({"reasoning_effort": "high", "temperature": 0.2, "top_p": 0.9, "top_k": 5, "max_tokens": 4000}),
    );
    assert_eq!(body["inferenceConfig"], Value::Null);
    assert_eq!(
        lost,
        [
            "dropped:max_tokens",
            "dropped:temperature",
            "dropped:top_p",
            "dropped:top_k"
        ]
    );
    // A forced tool and Claude's reasoning exclude each other.
    let (body, lost) = sent(
        CLAUDE,
        json!({"reasoning_effort": "low", "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f"}}]}),
    );
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(lost, ["dropped:reasoning_effort"]);
}

/// A turn with a call, then its result.
fn turn(model: &str, thinking: Option<Part>) -> (Value, Vec<String>) {
    let mut request = asked(
        model,
        json!({"reasoning_effort": "low", "tools": [{"type": "function", "function": {"name": "f"}}]}),
    );
    let call = Part::ToolCall {
        id: "t".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: None,
    };
    request.messages.push(Message {
        role: Role::Assistant,
        name: None,
        parts: thinking.into_iter().chain([call]).collect(),
    });
    request.messages.push(Message {
        role: Role::User,
        name: None,
        parts: vec![Part::ToolResult {
            id: "t".into(),
            parts: vec![Part::Text("1".into())],
            is_error: true,
        }],
    });
    let encoded = Converse.encode_request(&request).unwrap();
    let lost = encoded.lost.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), lost)
}

#[test]
fn trap_1_13_signed_reasoning_is_replayed_as_it_was() {
    let signed = |text: &str| {
        Some(Part::Thinking {
            text: text.into(),
            signature: Some("sig".into()),
        })
    };
    for text in ["hm", ""] {
        let (body, lost) = turn(CLAUDE, signed(text));
        assert_eq!(
            body["messages"][1]["content"][0],
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": "sig"}}})
        );
        assert_eq!(
            body["additionalModelRequestFields"]["thinking"]["type"],
            "enabled"
        );
        assert_eq!(
            body["messages"][2]["content"][0]["toolResult"]["status"],
            "error"
        );
        assert!(lost.is_empty());
    }
    let (body, _) = turn(CLAUDE, Some(Part::Redacted("Q0ND".into())));
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"reasoningContent": {"redactedContent": "Q0ND"}})
    );
}

#[test]
fn trap_2_4_reasoning_without_its_signature_is_no_reason_for_a_400() {
    let unsigned = || {
        Some(Part::Thinking {
            text: "hm".into(),
            signature: None,
        })
    };
    let (body, lost) = turn(CLAUDE, unsigned());
    assert!(body["messages"][1]["content"][0].get("toolUse").is_some());
    assert_eq!(body["additionalModelRequestFields"], Value::Null);
    assert_eq!(
        lost,
        ["dropped:reasoning_content", "dropped:reasoning_effort"]
    );
    // By effort, Claude goes on from any turn.
    let (body, lost) = turn(NEW_CLAUDE, None);
    assert_eq!(
        body["additionalModelRequestFields"]["thinking"]["type"],
        "adaptive"
    );
    assert!(lost.is_empty());
    // Models of OpenAI's take the text back, and refuse signatures.
    let (body, lost) = turn(OSS, unsigned());
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"reasoningContent": {"reasoningText": {"text": "hm"}}})
    );
    assert!(lost.is_empty());
}
