//! The models there are, and how each behaves.

use std::time::Duration;

/// Every model and what it does: the source of `aiproxy mock --help`, the README's table and `/v1/models`.
pub const MODELS: &[(&str, &str)] = &[
    (
        "mock",
        "answers any prompt with a short text; 20 ms per token when streaming",
    ),
    ("mock-fast", "the same without delays"),
    (
        "mock-slow",
        "the same with 500 ms per token; whole answers take 2 s",
    ),
    (
        "mock-slow-start",
        "the same, but nothing at all comes for the first 3 s",
    ),
    (
        "mock-echo",
        "answers with the last user message, word for word",
    ),
    (
        "mock-transform",
        "merges the first JSON object of the system prompt into the JSON of the last user message; an object of `headers`, `status` and `body` becomes the answer, its `body` merged",
    ),
    (
        "mock-unicode",
        "answers in many scripts, with emoji and combining characters",
    ),
    (
        "mock-reasoning",
        "reasons (`reasoning_content`) before it answers",
    ),
    (
        "mock-tools",
        "calls a tool (one that runs commands first), then answers with its result",
    ),
    (
        "mock-tools-parallel",
        "calls two tools at once, or the only one twice",
    ),
    ("mock-tools-noargs", "calls it without arguments"),
    (
        "mock-error-401",
        "fails with 401, wrong API key; `mock-error-NNN` with any status from 400 to 599",
    ),
    ("mock-error-404", "fails with 404, no such model"),
    ("mock-error-408", "fails with 408, request timeout"),
    (
        "mock-error-429",
        "fails with 429, rate limit, `retry-after: 1` and `x-ratelimit-*` headers",
    ),
    ("mock-error-500", "fails with 500, server error"),
    ("mock-error-529", "fails with 529, overloaded"),
    (
        "mock-error-stream",
        "fails with an error event after a few tokens; whole answers are a 500",
    ),
    (
        "mock-cut",
        "the connection breaks inside an event after a few tokens; `mock-cut-200` after 200 bytes",
    ),
    (
        "mock-silent",
        "sends headers and a few tokens, then nothing for ever",
    ),
    (
        "mock-malformed",
        "sends one event that is no JSON; whole answers end in the middle",
    ),
    (
        "mock-split",
        "sends every byte by itself, so that events and characters are split",
    ),
    (
        "mock-no-done",
        "ends its stream after `finish_reason`, without `[DONE]`",
    ),
    (
        "mock-no-usage",
        "never tells the usage, not even when asked",
    ),
];

/// Between two tokens of a stream, unless the model says otherwise: about the pace of a hosted model.
const PACE: Duration = Duration::from_millis(20);

/// What a model does, read from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// What it says.
    pub speech: Speech,
    /// Between two tokens of a stream.
    pub pace: Duration,
    /// Before the headers of a stream.
    pub stream_delay: Duration,
    /// Before the headers of a whole answer.
    pub whole_delay: Duration,
    /// What goes wrong.
    pub failure: Option<Failure>,
}

/// What a model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// A text that fits the prompt.
    Prose,
    /// The last user message.
    Echo,
    /// The last user message, changed as the system prompt says.
    Transform,
    /// A text in many scripts.
    Unicode,
    /// Reasoning, then a text that fits the prompt.
    Reasoning,
    /// Calls of the tools on offer.
    Tools(Calls),
}

/// Which tools a model calls of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// The first.
    One,
    /// The first two, or the only one twice.
    Two,
    /// The first, without arguments.
    NoArguments,
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is an error of this status.
    Status(u16),
    /// It becomes an error after a few tokens.
    Late,
    /// The connection breaks: after so many bytes, or in the middle of the event after a few tokens.
    Cut(Option<u64>),
    /// Nothing comes after a few tokens.
    Silence,
    /// One event is no JSON.
    Malformed,
    /// Every byte comes by itself.
    Split,
    /// The end mark is missing.
    NoEnd,
    /// The usage is missing.
    NoUsage,
}

impl Behaviour {
    /// The behaviour of a model. A name that is none of the mock's own answers as `mock` does, so that an app with another model's name
    /// in its code can be pointed here as it is; `None` for a `mock-...` that there is not.
    #[must_use]
    pub fn of(model: &str) -> Option<Behaviour> {
        let plain = Behaviour {
            speech: Speech::Prose,
            pace: PACE,
            stream_delay: Duration::ZERO,
            whole_delay: Duration::ZERO,
            failure: None,
        };
        let says = |speech| Some(Behaviour { speech, ..plain });
        let fails = |failure| {
            Some(Behaviour {
                failure: Some(failure),
                ..plain
            })
        };
        match model {
            "mock" => Some(plain),
            other if !other.starts_with("mock-") => Some(plain),
            "mock-fast" => Some(Behaviour {
                pace: Duration::ZERO,
                ..plain
            }),
            "mock-slow" => {
                let (pace, whole_delay) = (Duration::from_millis(500), Duration::from_secs(2));
                Some(Behaviour {
                    pace,
                    whole_delay,
                    ..plain
                })
            }
            "mock-slow-start" => {
                let delay = Duration::from_secs(3);
                Some(Behaviour {
                    stream_delay: delay,
                    whole_delay: delay,
                    ..plain
                })
            }
            "mock-echo" => says(Speech::Echo),
            "mock-transform" => says(Speech::Transform),
            "mock-unicode" => says(Speech::Unicode),
            "mock-reasoning" => says(Speech::Reasoning),
            "mock-tools" => says(Speech::Tools(Calls::One)),
            "mock-tools-parallel" => says(Speech::Tools(Calls::Two)),
            "mock-tools-noargs" => says(Speech::Tools(Calls::NoArguments)),
            "mock-error-stream" => fails(Failure::Late),
            "mock-cut" => fails(Failure::Cut(None)),
            "mock-silent" => fails(Failure::Silence),
            "mock-malformed" => fails(Failure::Malformed),
            "mock-split" => fails(Failure::Split),
            "mock-no-done" => fails(Failure::NoEnd),
            "mock-no-usage" => fails(Failure::NoUsage),
            _ => {
                if let Some(bytes) = model.strip_prefix("mock-cut-") {
                    return fails(Failure::Cut(Some(digits(bytes)?)));
                }
                let status = digits(model.strip_prefix("mock-error-")?)?;
                fails(Failure::Status(
                    u16::try_from(status)
                        .ok()
                        .filter(|status| (400..600).contains(status))?,
                ))
            }
        }
    }
}

/// A number as it stands in a name: digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_model_exists_once() {
        for (index, (name, text)) in MODELS.iter().enumerate() {
            assert!(Behaviour::of(name).is_some(), "{name}");
            assert!(!text.is_empty() && !text.ends_with('.'), "{name}");
            assert!(
                MODELS[..index].iter().all(|(other, _)| other != name),
                "{name} twice"
            );
        }
    }

    #[test]
    fn numbers_are_read_from_names() {
        let failure = |name: &str| Behaviour::of(name).and_then(|behaviour| behaviour.failure);
        assert_eq!(failure("mock-cut-200"), Some(Failure::Cut(Some(200))));
        assert_eq!(failure("mock-error-418"), Some(Failure::Status(418)));
        assert_eq!(failure("mock"), None);
    }

    #[test]
    fn other_names_do_not() {
        for name in [
            "mock-",
            "mock-gpt",
            "mock-error-",
            "mock-error-200",
            "mock-error-600",
            "mock-error-+401",
            "mock-error-99999",
            "mock-cut-",
            "mock-cut--1",
            "mock-cut-99999999999999999999",
        ] {
            assert_eq!(Behaviour::of(name), None, "{name}");
        }
        for name in ["Mock", "mocking", "gpt-4o", "claude-sonnet"] {
            assert_eq!(Behaviour::of(name), Behaviour::of("mock"), "{name}");
        }
    }
}
