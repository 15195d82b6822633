//! A whole answer as a script: what is sent, step by step, and when.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use super::{
    model::{Behaviour, Calls, Failure, Speech},
    words::tokens,
};
use crate::llm::{ChatResponse, Event, Finish, Kind, Part, Usage};

/// Failures in the middle of a stream come after so many tokens.
const TOKENS_BEFORE_FAILURE: u32 = 4;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// How long after the last one.
    pub(super) after: Duration,
    /// What happens.
    pub(super) act: Act,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Sends an event, in whichever format the client speaks.
    Send(Event<'static>),
    /// Sends half of an event, then breaks the connection.
    Break(Event<'static>),
    /// Breaks the connection.
    Abort,
    /// Sends bytes as they are.
    Raw(Bytes),
    /// Sends nothing, for ever.
    Silence,
}

/// The steps of a streamed answer. Steps are made when they are due: a long answer is held once, as its text.
#[derive(Debug)]
pub(super) struct Script {
    start: Option<Event<'static>>,
    voices: Vec<Voice>,
    /// Whose turn it is; choices take turns, as OpenAI's do.
    turn: usize,
    parts: u32,
    usage: Option<Usage>,
    end: bool,
    behaviour: Behaviour,
    /// Tokens sent, until the failure has come.
    tokens: Option<u32>,
    /// The event that waits behind an inserted step.
    waiting: Option<Event<'static>>,
    malformed: Bytes,
}

impl Script {
    /// The script of an answer.
    /// `malformed`: an event of the client's format that cannot be read.
    pub(super) fn new(response: ChatResponse, behaviour: Behaviour, malformed: Bytes) -> Script {
        let bare = behaviour.speech == Speech::Tools(Calls::NoArguments);
        Script {
            start: Some(Event::Start {
                id: response.id.into(),
                model: response.model.into(),
                created: response.created,
                fingerprint: response.fingerprint.map(Into::into),
            }),
            voices: response
                .choices
                .into_iter()
                .zip(0..)
                .map(|(choice, number)| Voice::new(choice, number, bare))
                .collect(),
            turn: 0,
            parts: 0,
            usage: response.usage,
            end: behaviour.failure != Some(Failure::NoEnd),
            behaviour,
            tokens: Some(0),
            waiting: None,
            malformed,
        }
    }

    fn event(&mut self) -> Option<Event<'static>> {
        if let Some(event) = self.start.take() {
            return Some(event);
        }
        while !self.voices.is_empty() {
            self.turn = if self.turn < self.voices.len() {
                self.turn
            } else {
                0
            };
            if let Some(event) = self
                .voices
                .get_mut(self.turn)
                .and_then(|voice| voice.next(&mut self.parts))
            {
                self.turn += 1;
                return Some(event);
            }
            self.voices.remove(self.turn);
        }
        if let Some(usage) = self.usage.take() {
            return Some(Event::Usage(usage));
        }
        std::mem::take(&mut self.end).then_some(Event::End)
    }

    /// Lets nothing follow.
    fn stop(&mut self) {
        self.voices.clear();
        (self.usage, self.end) = (None, false);
    }

    /// The failure that comes in place of, or before, the event that is due.
    fn fail(&mut self, event: Event<'static>) -> Act {
        match self.behaviour.failure {
            Some(Failure::Late) => {
                self.stop();
                Act::Send(Event::Failed {
                    kind: "server_error".into(),
                    message:
                        "The server had an error while processing your request. Sorry about that!"
                            .into(),
                    status: Some(500),
                })
            }
            Some(Failure::Cut(None)) => {
                self.stop();
                Act::Break(event)
            }
            Some(Failure::Silence) => {
                self.stop();
                Act::Silence
            }
            Some(Failure::Malformed) => {
                self.waiting = Some(event);
                Act::Raw(self.malformed.clone())
            }
            _ => Act::Send(event),
        }
    }
}

impl Iterator for Script {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(event) = self.waiting.take() {
            return Some(Step {
                after: Duration::ZERO,
                act: Act::Send(event),
            });
        }
        let event = self.event()?;
        let is_token = matches!(
            event,
            Event::Text { .. } | Event::Thinking { .. } | Event::Arguments { .. }
        );
        let after = if is_token {
            self.behaviour.pace
        } else {
            Duration::ZERO
        };
        // Answers of a few tokens fail too: at their end at the latest.
        let fails = match &mut self.tokens {
            Some(tokens) if is_token && *tokens < TOKENS_BEFORE_FAILURE => {
                *tokens += 1;
                false
            }
            Some(_) => is_token || matches!(event, Event::Finish { .. }),
            None => false,
        };
        if fails {
            self.tokens = None;
            return Some(Step {
                after,
                act: self.fail(event),
            });
        }
        Some(Step {
            after,
            act: Act::Send(event),
        })
    }
}

/// One choice, told event by event.
#[derive(Debug)]
struct Voice {
    choice: u32,
    parts: std::vec::IntoIter<Part>,
    /// The part being told, its number, and how much of it is out.
    open: Option<(u32, Part, usize)>,
    stopped: Option<String>,
    finish: Option<Finish>,
    /// A call without arguments has no arguments event (TRAPS 1.2).
    bare: bool,
}

impl Voice {
    fn new(choice: crate::llm::Choice, number: u32, bare: bool) -> Voice {
        Voice {
            choice: number,
            parts: choice.parts.into_iter(),
            open: None,
            stopped: choice.stopped,
            finish: choice.finish,
            bare,
        }
    }

    fn next(&mut self, parts: &mut u32) -> Option<Event<'static>> {
        if let Some((number, part, told)) = &mut self.open {
            let number = *number;
            if let Some(event) = tell(number, part, told, self.bare) {
                return Some(event);
            }
            if let Part::Thinking { signature, .. } = part
                && let Some(value) = signature.take()
            {
                return Some(Event::Signature {
                    part: number,
                    value: value.into(),
                });
            }
            self.open = None;
            return Some(Event::Close { part: number });
        }
        if let Some(part) = self.parts.next() {
            let number = *parts;
            *parts += 1;
            let kind = match &part {
                Part::Thinking { .. } => Kind::Thinking,
                Part::Refusal(_) => Kind::Refusal,
                Part::ToolCall { id, name, .. } => Kind::ToolCall {
                    id: Cow::Owned(id.clone()),
                    name: Cow::Owned(name.clone()),
                },
                // The mock's answers hold no other kinds.
                _ => Kind::Text,
            };
            self.open = Some((number, part, 0));
            return Some(Event::Open {
                part: number,
                choice: self.choice,
                kind,
            });
        }
        if let Some(sequence) = self.stopped.take() {
            return Some(Event::Stopped {
                choice: self.choice,
                sequence: sequence.into(),
            });
        }
        self.finish.take().map(|reason| Event::Finish {
            choice: self.choice,
            reason,
        })
    }
}

/// The next token of a part.
fn tell(number: u32, part: &Part, told: &mut usize, bare: bool) -> Option<Event<'static>> {
    let text = match part {
        Part::ToolCall { arguments, .. } if bare && arguments == "{}" => return None,
        Part::Text(text)
        | Part::Refusal(text)
        | Part::Thinking { text, .. }
        | Part::ToolCall {
            arguments: text, ..
        } => text,
        _ => return None,
    };
    let token = tokens(text.get(*told..)?).next()?.to_owned();
    *told += token.len();
    Some(match part {
        Part::Thinking { .. } => Event::Thinking {
            part: number,
            text: token.into(),
        },
        Part::ToolCall { .. } => Event::Arguments {
            part: number,
            json: token.into(),
        },
        _ => Event::Text {
            part: number,
            text: token.into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Accumulator, Choice, Sink};

    fn response() -> ChatResponse {
        let call = |arguments: &str| Part::ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        };
        ChatResponse {
            id: "r".into(),
            model: "m".into(),
            created: Some(7),
            choices: vec![
                Choice {
                    parts: vec![
                        Part::Thinking {
                            text: "let me see".into(),
                            signature: None,
                        },
                        Part::Text("one two three".into()),
                        call("{}"),
                    ],
                    finish: Some(Finish::ToolCalls),
                    ..Choice::default()
                },
                Choice {
                    parts: vec![Part::Text("a b c d e".into()), call(r#"{"a": 1}"#)],
                    finish: Some(Finish::Length),
                    ..Choice::default()
                },
            ],
            usage: Some(Usage {
                input: 1,
                output: 9,
                ..Usage::default()
            }),
            ..ChatResponse::default()
        }
    }

    fn play(model: &str) -> (Vec<Step>, Accumulator) {
        let steps: Vec<Step> =
            Script::new(response(), Behaviour::of(model).unwrap(), Bytes::new()).collect();
        let mut sink = Accumulator::default();
        for step in &steps {
            if let Act::Send(event) = &step.act {
                sink.event(event.clone());
            }
        }
        (steps, sink)
    }

    #[test]
    fn a_script_spells_the_answer() {
        for model in [
            "mock",
            "mock-malformed",
            "mock-tools-noargs",
            "mock-no-done",
        ] {
            let (_, sink) = play(model);
            assert_eq!(
                format!("{:?}", sink.into_response()),
                format!("{:?}", response()),
                "{model}"
            );
        }
    }

    #[test]
    fn only_tokens_take_time() {
        for (model, pace) in [("mock", 20), ("mock-fast", 0), ("mock-slow", 500)] {
            let (steps, _) = play(model);
            for step in steps {
                let is_token = matches!(
                    step.act,
                    Act::Send(
                        Event::Text { .. } | Event::Thinking { .. } | Event::Arguments { .. }
                    )
                );
                assert_eq!(
                    step.after,
                    Duration::from_millis(if is_token { pace } else { 0 }),
                    "{model}: {step:?}"
                );
            }
        }
    }

    #[test]
    fn choices_take_turns() {
        let (steps, _) = play("mock");
        let texts = steps.iter().filter_map(|step| match &step.act {
            Act::Send(Event::Text { text, .. } | Event::Thinking { text, .. }) => {
                Some(text.as_ref())
            }
            _ => None,
        });
        assert_eq!(texts.take(4).collect::<Vec<_>>(), ["let", "a", " me", " b"]);
    }

    #[test]
    fn trap_1_2_a_call_without_arguments_has_no_delta() {
        let deltas = |model| {
            play(model)
                .0
                .iter()
                .filter(|step| matches!(step.act, Act::Send(Event::Arguments { .. })))
                .count()
        };
        assert_eq!(deltas("mock") - deltas("mock-tools-noargs"), 1);
    }

    #[test]
    fn failures_come_after_a_few_tokens_and_nothing_after_them() {
        let tokens = |steps: &[Step]| {
            steps
                .iter()
                .filter(|step| {
                    matches!(
                        step.act,
                        Act::Send(Event::Text { .. } | Event::Thinking { .. })
                    )
                })
                .count()
        };
        for model in ["mock-error-stream", "mock-cut", "mock-silent"] {
            let (steps, _) = play(model);
            assert_eq!(tokens(&steps), TOKENS_BEFORE_FAILURE as usize, "{model}");
            let last = &steps.last().unwrap().act;
            assert!(
                matches!(
                    last,
                    Act::Send(Event::Failed { .. }) | Act::Break(_) | Act::Silence
                ),
                "{model}: {last:?}"
            );
        }
    }

    #[test]
    fn a_short_answer_fails_too() {
        let short = || ChatResponse {
            choices: vec![Choice {
                parts: vec![Part::Text("hi".into())],
                finish: Some(Finish::Stop),
                ..Choice::default()
            }],
            ..ChatResponse::default()
        };
        let steps: Vec<Step> = Script::new(
            short(),
            Behaviour::of("mock-error-stream").unwrap(),
            Bytes::new(),
        )
        .collect();
        assert!(matches!(
            steps.last().unwrap().act,
            Act::Send(Event::Failed { .. })
        ));
        let steps: Vec<Step> = Script::new(
            short(),
            Behaviour::of("mock-malformed").unwrap(),
            Bytes::from_static(b"oh"),
        )
        .collect();
        assert!(matches!(steps.last().unwrap().act, Act::Send(Event::End)));
        assert!(steps.iter().any(|step| matches!(step.act, Act::Raw(_))));
    }
}
