//! How much to reason, in the words of each generation: <https://platform.claude.com/docs/en/build-with-claude/thinking>,
//! <https://platform.claude.com/docs/en/build-with-claude/effort>.

use serde_json::{Value, json};

use super::{
    blocks::Block,
    messages::Turn,
    model::{Model, Off, Thinking},
};
use crate::{dialect::Loss, llm::ReasoningRequest};

/// The field that a loss names.
const FIELD: &str = "reasoning_effort";

/// The smallest budget that is taken.
const LEAST: u64 = 1_024;

/// What is left of `max_tokens` for the answer where the budget was only hinted at.
const ROOM: u64 = 4_096;

/// What a request says about reasoning.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `thinking`.
    pub(super) thinking: Option<Value>,
    /// `output_config.effort`.
    pub(super) effort: Option<String>,
    /// Reasoning was asked for, which restricts sampling.
    pub(super) on: bool,
}

/// Decides; `forced`: a call of a tool is forced.
pub(super) fn plan(
    model: &Model,
    asked: &ReasoningRequest,
    max_tokens: u64,
    forced: bool,
    turns: &[Turn<'_>],
    lost: &mut Vec<Loss>,
) -> Plan {
    if asked.is_unset() {
        return Plan::default();
    }
    let off = asked.tokens() == Some(0);
    match model.thinking {
        Thinking::None | Thinking::Budget if off => Plan::default(),
        Thinking::None => {
            lost.push(Loss::dropped(FIELD));
            Plan::default()
        }
        Thinking::Budget => budget(asked, max_tokens, forced, turns, lost),
        Thinking::Adaptive { off: how, .. } if off => match how {
            Off::Omit => Plan::default(),
            Off::Say(kind) => Plan {
                thinking: Some(json!({"type": kind})),
                ..Plan::default()
            },
            Off::Never => {
                lost.push(Loss::clamped(FIELD));
                Plan {
                    effort: model.efforts.first().map(|&least| least.to_owned()),
                    ..Plan::default()
                }
            }
        },
        Thinking::Adaptive { hidden, .. } => adaptive(model, asked, hidden, lost),
    }
}

fn budget(
    asked: &ReasoningRequest,
    max_tokens: u64,
    forced: bool,
    turns: &[Turn<'_>],
    lost: &mut Vec<Loss>,
) -> Plan {
    // Neither goes with a budget: a forced call, and a last turn of the assistant's that does not begin with its reasoning, if it is to be
    // continued or its tools have just answered. The client's tools matter more than how much is reasoned.
    let bare = turns
        .iter()
        .rposition(|turn| turn.assistant)
        .and_then(|at| Some((at, turns.get(at)?)))
        .is_some_and(|(at, turn)| {
            let begins = turn.blocks.first().is_some_and(Block::is_thinking);
            let last = at + 1 == turns.len();
            last || turn.calls() && !begins
        });
    // The limit is the client's, and reasoning counts towards it.
    let most = match asked.budget {
        Some(_) => max_tokens.saturating_sub(1),
        None => max_tokens.saturating_sub(ROOM.min(max_tokens / 2)),
    };
    let wanted = match asked.tokens() {
        Some(wanted) if !bare && !forced && most >= LEAST => wanted,
        _ => {
            lost.push(Loss::dropped(FIELD));
            return Plan::default();
        }
    };
    let tokens = wanted.clamp(LEAST, most);
    if tokens != wanted {
        lost.push(Loss::clamped(FIELD));
    }
    Plan {
        thinking: Some(json!({"type": "enabled", "budget_tokens": tokens})),
        effort: None,
        on: true,
    }
}

fn adaptive(model: &Model, asked: &ReasoningRequest, hidden: bool, lost: &mut Vec<Loss>) -> Plan {
    let level = asked.level().unwrap_or_default();
    let effort = if model.efforts.contains(&level) {
        level
    } else {
        // The nearest below, or the least.
        let nearest = match level {
            "minimal" => "low",
            "xhigh" | "max" => "high",
            _ => {
                lost.push(Loss::dropped(FIELD));
                return Plan::default();
            }
        };
        lost.push(Loss::clamped(FIELD));
        nearest
    };
    let mut thinking = json!({"type": "adaptive"});
    if hidden {
        // Who asks for reasoning gets to see it, and no stream that stands still meanwhile.
        crate::dialect::put(&mut thinking, "display", "summarized");
    }
    Plan {
        thinking: Some(thinking),
        effort: Some(effort.to_owned()),
        on: true,
    }
}
