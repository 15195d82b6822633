//! What the encoding of a request did that its answer has to undo.

use std::borrow::Cow;

use crate::llm::{ChatResponse, Event, Finish, Kind, Part};

/// What has to be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// Tools that went out under another name: the name sent, the client's own.
    pub tools: Vec<(String, String)>,
    /// The tool that the model was made to call because its format has no JSON schema for answers: its arguments are the answer's text.
    pub answer_tool: Option<String>,
}

impl Restore {
    /// Nothing has to be undone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.answer_tool.is_none()
    }

    /// The client's name of a tool.
    fn name(&self, sent: &str) -> Option<&str> {
        let (_, own) = self.tools.iter().find(|(name, _)| name == sent)?;
        Some(own)
    }

    /// Undoes it in a whole answer.
    pub fn response(&self, response: &mut ChatResponse) {
        if self.is_empty() {
            return;
        }
        for choice in &mut response.choices {
            let mut calls = false;
            for part in &mut choice.parts {
                let Part::ToolCall {
                    name, arguments, ..
                } = part
                else {
                    continue;
                };
                if self.answer_tool.as_deref() == Some(name) {
                    *part = Part::Text(std::mem::take(arguments));
                    continue;
                }
                calls = true;
                if let Some(own) = self.name(name) {
                    own.clone_into(name);
                }
            }
            if self.answer_tool.is_some() && !calls && choice.finish == Some(Finish::ToolCalls) {
                choice.finish = Some(Finish::Stop);
            }
        }
    }
}

/// Undoes it in a stream, event by event.
#[derive(Debug, Default)]
pub struct Restored {
    restore: Restore,
    /// Parts that are the answer, told as arguments.
    answers: Vec<u32>,
    /// The model calls one of the client's tools.
    calls: bool,
}

impl Restored {
    /// For one stream.
    #[must_use]
    pub fn new(restore: Restore) -> Restored {
        Restored {
            restore,
            ..Restored::default()
        }
    }

    /// The event as the client may see it.
    pub fn event<'e>(&mut self, event: Event<'e>) -> Event<'e> {
        if self.restore.is_empty() {
            return event;
        }
        match event {
            Event::Open {
                part,
                choice,
                kind: Kind::ToolCall { id, name },
            } => {
                let kind = if self.restore.answer_tool.as_deref() == Some(&*name) {
                    self.answers.push(part);
                    Kind::Text
                } else {
                    self.calls = true;
                    let name = match self.restore.name(&name) {
                        Some(own) => Cow::Owned(own.to_owned()),
                        None => name,
                    };
                    Kind::ToolCall { id, name }
                };
                Event::Open { part, choice, kind }
            }
            Event::Arguments { part, json } if self.answers.contains(&part) => {
                Event::Text { part, text: json }
            }
            Event::Finish {
                choice,
                reason: Finish::ToolCalls,
            } if self.restore.answer_tool.is_some() && !self.calls => Event::Finish {
                choice,
                reason: Finish::Stop,
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Accumulator, Choice, Sink, events_of};

    fn answer() -> ChatResponse {
        let call = |name: &str| Part::ToolCall {
            id: "c".into(),
            name: name.into(),
            arguments: "{\"a\":1}".into(),
            signature: None,
        };
        ChatResponse {
            choices: vec![
                Choice {
                    parts: vec![call("answer")],
                    finish: Some(Finish::ToolCalls),
                    ..Choice::default()
                },
                Choice {
                    parts: vec![call("short"), call("other")],
                    finish: Some(Finish::ToolCalls),
                    ..Choice::default()
                },
            ],
            ..ChatResponse::default()
        }
    }

    fn restore() -> Restore {
        Restore {
            tools: vec![("short".into(), "a rather long name".into())],
            answer_tool: Some("answer".into()),
        }
    }

    #[test]
    fn names_and_answers_come_back_whole_and_streamed() {
        let mut whole = answer();
        restore().response(&mut whole);
        assert!(matches!(&whole.choices[0].parts[0], Part::Text(text) if text == "{\"a\":1}"));
        assert_eq!(whole.choices[0].finish, Some(Finish::Stop));
        assert!(
            matches!(&whole.choices[1].parts[0], Part::ToolCall { name, .. } if name == "a rather long name")
        );
        assert_eq!(whole.choices[1].finish, Some(Finish::ToolCalls));

        let mut one = answer();
        one.choices.truncate(1);
        let (mut restored, mut all) = (Restored::new(restore()), Accumulator::default());
        events_of(&one, &mut |event: Event<'_>| {
            all.event(restored.event(event));
        });
        let streamed = all.into_response();
        assert_eq!(
            format!("{:?}", streamed.choices[0]),
            format!("{:?}", whole.choices[0])
        );
    }
}
