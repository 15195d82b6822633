//! How much to reason, each vendor in its own way.
//!
//! Claude: <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html>,
//! Nova: <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html>.

use serde_json::{Map, Value, json};

use super::{
    super::family::{Thinking, Vendor},
    Forced, Writer,
};
use crate::{
    dialect::Loss,
    llm::{ChatRequest, Part, Role},
};

/// The least budget that Claude takes.
const LEAST: u64 = 1_024;

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Reasoning {
    /// Claude reasons: it takes no temperature and no `top_k` then.
    pub(super) claude: bool,
    /// Nova reasons as much as it can: it takes no limits then.
    pub(super) nova_high: bool,
}

pub(super) fn encode(
    request: &ChatRequest,
    forced: Forced,
    writer: &mut Writer<'_>,
    additional: &mut Map<String, Value>,
) -> Reasoning {
    let asked = &request.reasoning;
    let mut reasoning = Reasoning::default();
    if asked.is_unset() {
        return reasoning;
    }
    let Some(tokens) = asked.tokens() else {
        writer.drop("reasoning_effort");
        return reasoning;
    };
    let level = asked.level().unwrap_or("medium");
    match writer.model.vendor {
        Vendor::Anthropic if tokens > 0 => claude(
            request,
            forced,
            tokens,
            level,
            writer,
            additional,
            &mut reasoning,
        ),
        Vendor::Nova if writer.model.name.starts_with("amazon.nova-2") => {
            if tokens > 0 {
                let effort = match level {
                    "minimal" | "low" => "low",
                    "medium" => "medium",
                    _ => "high",
                };
                reasoning.nova_high = effort == "high";
                let config = json!({"type": "enabled", "maxReasoningEffort": effort});
                additional.insert("reasoningConfig".into(), config);
            } else {
                additional.insert("reasoningConfig".into(), json!({"type": "disabled"}));
            }
        }
        Vendor::OpenAi => {
            let effort = match level {
                // gpt-oss always reasons.
                "none" | "minimal" | "low" => "low",
                "medium" => "medium",
                _ => "high",
            };
            if tokens == 0 {
                writer.lose(Loss::clamped("reasoning_effort"));
            }
            additional.insert("reasoning_effort".into(), effort.into());
        }
        // Without being asked, they do not reason, or always do.
        _ if tokens == 0 => {}
        _ => writer.drop("reasoning_effort"),
    }
    reasoning
}

fn claude(
    request: &ChatRequest,
    forced: Forced,
    tokens: u64,
    level: &str,
    writer: &mut Writer<'_>,
    additional: &mut Map<String, Value>,
    reasoning: &mut Reasoning,
) {
    let thinking = writer.model.thinking();
    // A tool cannot be forced while Claude reasons.
    if thinking == Thinking::Never || forced == Forced::Yes {
        return writer.drop("reasoning_effort");
    }
    let by_budget = match thinking {
        Thinking::Budget => true,
        Thinking::Either => request.reasoning.budget.is_some(),
        Thinking::Never | Thinking::Adaptive => false,
    };
    if !by_budget {
        reasoning.claude = true;
        let effort = match level {
            "minimal" | "low" => "low",
            "medium" => "medium",
            "xhigh" if thinking == Thinking::Adaptive => "xhigh",
            "xhigh" => {
                writer.lose(Loss::clamped("reasoning_effort"));
                "high"
            }
            _ => "high",
        };
        additional.insert("thinking".into(), json!({"type": "adaptive"}));
        additional.insert("output_config".into(), json!({"effort": effort}));
        return;
    }
    // A turn that calls tools goes on with its reasoning, or without any.
    if unsigned_turn(request) {
        return writer.drop("reasoning_effort");
    }
    let mut budget = tokens.max(LEAST);
    // The limit of the answer includes the reasoning.
    if let Some(limit) = request.sampling.max_tokens {
        if limit <= LEAST {
            return writer.drop("reasoning_effort");
        }
        if budget >= limit {
            budget = limit.saturating_sub(1);
        }
    }
    if budget != tokens {
        writer.lose(Loss::clamped("reasoning_effort"));
    }
    reasoning.claude = true;
    let thinking = json!({"type": "enabled", "budget_tokens": budget});
    additional.insert("thinking".into(), thinking);
}

/// Whether the conversation ends with results of calls whose turn lost its signed reasoning: Claude refuses to reason about those.
fn unsigned_turn(request: &ChatRequest) -> bool {
    let last = request.messages.iter().rposition(|message| {
        let called = |part: &Part| matches!(part, Part::ToolCall { .. });
        message.role == Role::Assistant && message.parts.iter().any(called)
    });
    let Some((turn, after)) = last.and_then(|last| {
        let (head, after) = request.messages.split_at_checked(last + 1)?;
        Some((head.last()?, after))
    }) else {
        return false;
    };
    let answered = after.iter().any(|message| {
        let result = |part: &Part| matches!(part, Part::ToolResult { .. });
        message.parts.iter().any(result)
    });
    let spoken = after.iter().any(|message| message.role == Role::Assistant);
    let signed = turn.parts.iter().any(|part| match part {
        Part::Thinking { signature, .. } => signature.is_some(),
        Part::Redacted(_) => true,
        _ => false,
    });
    answered && !spoken && !signed
}
