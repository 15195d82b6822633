use super::*;
use crate::exchange::told::{Timings, Tokens};

fn clock() -> Clock {
    Clock {
        zone: TimeZone::UTC,
        now: "2026-11-22T12:00:00Z".parse().unwrap(),
    }
}

fn summaries() -> Vec<Summary> {
    let usual = Summary {
        id: "7k3m9x2q7w".into(),
        profile: "openai".into(),
        began: "2026-11-22T08:00:01.500Z".into(),
        outcome: "ok".into(),
        model: "gpt-4o-mini".into(),
        status: Some(200),
        usage: Some(Tokens {
            prompt_tokens: 12,
            completion_tokens: 345,
            total_tokens: 357,
            ..Tokens::default()
        }),
        cost: Some(0.000_21),
        timings: Timings {
            first_token_ms: Some(412.4),
            total_ms: 1260.0,
            ..Timings::default()
        },
        prompt: "What is\nthe capital of France?".into(),
        ..Summary::default()
    };
    let failed = Summary {
        id: "b000000000".into(),
        profile: "a-profile-with-a-long-name".into(),
        model: "meta-llama/Llama-3.3-70B-Instruct-Turbo".into(),
        began: "2026-11-21T08:00:01.500Z".into(),
        outcome: "failed".into(),
        status: Some(502),
        usage: None,
        cost: None,
        timings: Timings {
            total_ms: 3.0,
            ..Timings::default()
        },
        prompt: "\u{1b}[2J".into(),
        ..Summary::default()
    };
    let live = Summary {
        id: "c000000000".into(),
        began: "2025-11-21T08:00:01.500Z".into(),
        outcome: "live".into(),
        status: Some(200),
        ..usual.clone()
    };
    vec![usual, failed, live]
}

#[test]
fn a_pipe_gets_all_of_it() {
    assert_eq!(
        table(&summaries(), &clock(), None).render(&Term::plain(), None),
        "\
TIME          ID          PROFILE                     MODEL                                    STATUS      TOKENS   FIRST   TOTAL      COST  PROMPT
08:00:01      7k3m9x2q7w  openai                      gpt-4o-mini                              200         12+345  412 ms  1.26 s  $0.00021  What is the capital of France?
Nov 21 08:00  b000000000  a-profile-with-a-long-name  meta-llama/Llama-3.3-70B-Instruct-Turbo  failed 502                    3 ms            \\u{1b}[2J
2025-11-21    c000000000  openai                      gpt-4o-mini                              live        12+345  412 ms  1.26 s  $0.00021  What is the capital of France?
"
    );
}

#[test]
fn a_narrow_screen_keeps_the_prompt() {
    let text = table(&summaries(), &clock(), Some(100)).render(&Term::plain(), Some(100));
    assert_eq!(
        text,
        "\
TIME          ID          PROFILE     MODEL           STATUS      TOKENS   TOTAL  PROMPT
08:00:01      7k3m9x2q7w  openai      gpt-4o-mini     200         12+345  1.26 s  What is the capit…
Nov 21 08:00  b000000000  a-profile…  meta-llama/Ll…  failed 502            3 ms  \\u{1b}[2J
2025-11-21    c000000000  openai      gpt-4o-mini     live        12+345  1.26 s  What is the capit…
"
    );
}

#[test]
fn endings_have_words() {
    let ending = |outcome: &str, status| {
        let summary = Summary {
            outcome: outcome.into(),
            status,
            ..Summary::default()
        };
        super::ending(&summary)
    };
    assert_eq!(ending("ok", Some(200)), (Ink::Good, "200".into()));
    assert_eq!(ending("ok", Some(404)), (Ink::Bad, "404".into()));
    assert_eq!(ending("failed", Some(200)), (Ink::Bad, "failed 200".into()));
    assert_eq!(
        ending("cancelled", Some(200)),
        (Ink::Warn, "cancelled".into())
    );
    assert_eq!(ending("live", None), (Ink::Literal, "live".into()));
}
