//! Events to a whole answer, and back.

use std::borrow::Cow;

use super::{ChatResponse, Choice, Event, Finish, Kind, Part, Sink, Usage};

/// Collects a stream into the answer that it spells.
#[derive(Debug, Default)]
pub struct Accumulator {
    response: ChatResponse,
    /// Where part number `n` stands: choice and index in it.
    places: Vec<Option<(usize, usize)>>,
    failed: Option<String>,
}

impl Accumulator {
    /// The answer so far.
    #[must_use]
    pub fn into_response(self) -> ChatResponse {
        self.response
    }

    /// What the provider said when it failed.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    fn choice(&mut self, number: u32) -> Option<&mut Choice> {
        // More choices than any provider offers: a wild index must not allocate.
        let number = usize::try_from(number).ok().filter(|n| *n < 128)?;
        if self.response.choices.len() <= number {
            self.response
                .choices
                .resize_with(number + 1, Choice::default);
        }
        self.response.choices.get_mut(number)
    }

    fn part(&mut self, part: u32) -> Option<&mut Part> {
        let (choice, index) = self
            .places
            .get(usize::try_from(part).ok()?)
            .copied()
            .flatten()?;
        self.response.choices.get_mut(choice)?.parts.get_mut(index)
    }
}

impl Sink for Accumulator {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start {
                id,
                model,
                created,
                fingerprint,
            } => {
                self.response.id = id.into_owned();
                self.response.model = model.into_owned();
                self.response.created = created;
                self.response.fingerprint = fingerprint.map(Cow::into_owned);
            }
            Event::Open { part, choice, kind } => {
                let Some(number) = usize::try_from(part)
                    .ok()
                    .filter(|n| *n <= self.places.len())
                else {
                    return;
                };
                let Some(holder) = self.choice(choice) else {
                    return;
                };
                holder.parts.push(match kind {
                    Kind::Text => Part::Text(String::new()),
                    Kind::Refusal => Part::Refusal(String::new()),
                    Kind::Thinking => Part::Thinking {
                        text: String::new(),
                        signature: None,
                    },
                    Kind::Redacted => Part::Redacted(String::new()),
                    Kind::ToolCall { id, name } => Part::ToolCall {
                        id: id.into_owned(),
                        name: name.into_owned(),
                        arguments: String::new(),
                        signature: None,
                    },
                });
                let place = (choice as usize, holder.parts.len() - 1);
                if number == self.places.len() {
                    self.places.push(Some(place));
                } else if let Some(slot) = self.places.get_mut(number) {
                    *slot = Some(place);
                }
            }
            Event::Text { part, text } => {
                if let Some(Part::Text(whole) | Part::Refusal(whole)) = self.part(part) {
                    whole.push_str(&text);
                }
            }
            Event::Thinking { part, text } => {
                if let Some(Part::Thinking { text: whole, .. }) = self.part(part) {
                    whole.push_str(&text);
                }
            }
            Event::Signature { part, value } => match self.part(part) {
                Some(Part::Thinking { signature, .. } | Part::ToolCall { signature, .. }) => {
                    signature.get_or_insert_default().push_str(&value);
                }
                Some(Part::Redacted(data)) => data.push_str(&value),
                _ => {}
            },
            Event::Citation { choice, citation } => {
                if let Some(choice) = self.choice(choice) {
                    choice.citations.push(citation);
                }
            }
            Event::Logprobs { choice, tokens } => {
                if let Some(choice) = self.choice(choice) {
                    choice.logprobs.extend(tokens);
                }
            }
            Event::Arguments { part, json } => {
                if let Some(Part::ToolCall { arguments, .. }) = self.part(part) {
                    arguments.push_str(&json);
                }
            }
            Event::Close { part } => {
                // A call without arguments has no delta (TRAPS 1.2).
                if let Some(Part::ToolCall { arguments, .. }) = self.part(part)
                    && arguments.is_empty()
                {
                    arguments.push_str("{}");
                }
            }
            Event::Stopped { choice, sequence } => {
                if let Some(choice) = self.choice(choice) {
                    choice.stopped = Some(sequence.into_owned());
                }
            }
            Event::Finish { choice, reason } => {
                if let Some(choice) = self.choice(choice) {
                    choice.finish = Some(reason);
                }
            }
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::Failed { message, .. } => self.failed = Some(message.into_owned()),
            Event::End => {}
        }
    }
}

/// Plays a whole answer as the events of a stream.
pub fn events_of(response: &ChatResponse, sink: &mut dyn Sink) {
    sink.event(Event::Start {
        id: Cow::Borrowed(&response.id),
        model: Cow::Borrowed(&response.model),
        created: response.created,
        fingerprint: response.fingerprint.as_deref().map(Cow::Borrowed),
    });
    let mut part = 0;
    for (choice, number) in response.choices.iter().zip(0u32..) {
        for block in &choice.parts {
            if play(block, part, number, sink) {
                sink.event(Event::Close { part });
                part += 1;
            }
        }
        for citation in &choice.citations {
            sink.event(Event::Citation {
                choice: number,
                citation: citation.clone(),
            });
        }
        if !choice.logprobs.is_empty() {
            sink.event(Event::Logprobs {
                choice: number,
                tokens: choice.logprobs.clone(),
            });
        }
        if let Some(sequence) = &choice.stopped {
            sink.event(Event::Stopped {
                choice: number,
                sequence: Cow::Borrowed(sequence),
            });
        }
        sink.event(Event::Finish {
            choice: number,
            reason: choice.finish.unwrap_or(Finish::Stop),
        });
    }
    sink.event(Event::Usage(response.usage.unwrap_or(Usage {
        estimated: true,
        ..Usage::default()
    })));
    sink.event(Event::End);
}

/// Opens and fills one part; `false` for blocks that an answer cannot hold.
fn play(block: &Part, part: u32, choice: u32, sink: &mut dyn Sink) -> bool {
    match block {
        Part::Text(text) | Part::Refusal(text) => {
            let kind = if matches!(block, Part::Text(_)) {
                Kind::Text
            } else {
                Kind::Refusal
            };
            sink.event(Event::Open { part, choice, kind });
            sink.event(Event::Text {
                part,
                text: Cow::Borrowed(text),
            });
        }
        Part::Thinking { text, signature } => {
            sink.event(Event::Open {
                part,
                choice,
                kind: Kind::Thinking,
            });
            sink.event(Event::Thinking {
                part,
                text: Cow::Borrowed(text),
            });
            if let Some(value) = signature {
                sink.event(Event::Signature {
                    part,
                    value: Cow::Borrowed(value),
                });
            }
        }
        Part::Redacted(data) => {
            sink.event(Event::Open {
                part,
                choice,
                kind: Kind::Redacted,
            });
            sink.event(Event::Signature {
                part,
                value: Cow::Borrowed(data),
            });
        }
        Part::ToolCall {
            id,
            name,
            arguments,
            signature,
        } => {
            sink.event(Event::Open {
                part,
                choice,
                kind: Kind::ToolCall {
                    id: Cow::Borrowed(id),
                    name: Cow::Borrowed(name),
                },
            });
            if let Some(value) = signature {
                sink.event(Event::Signature {
                    part,
                    value: Cow::Borrowed(value),
                });
            }
            sink.event(Event::Arguments {
                part,
                json: Cow::Borrowed(arguments),
            });
        }
        Part::Image { .. }
        | Part::Audio { .. }
        | Part::File { .. }
        | Part::ToolResult { .. }
        | Part::Opaque { .. } => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_played_answer_accumulates_to_itself() {
        let response = ChatResponse {
            id: "r".into(),
            model: "m".into(),
            created: Some(7),
            choices: vec![
                Choice {
                    parts: vec![
                        Part::Thinking {
                            text: "hm".into(),
                            signature: Some("s".into()),
                        },
                        Part::Text("hello".into()),
                        Part::ToolCall {
                            id: "c1".into(),
                            name: "f".into(),
                            arguments: r#"{"a":1}"#.into(),
                            signature: None,
                        },
                    ],
                    finish: Some(Finish::ToolCalls),
                    ..Choice::default()
                },
                Choice {
                    parts: vec![Part::Text("other".into())],
                    finish: Some(Finish::Stop),
                    stopped: Some("END".into()),
                    ..Choice::default()
                },
            ],
            usage: Some(Usage {
                input: 3,
                output: 4,
                ..Usage::default()
            }),
            ..ChatResponse::default()
        };
        let mut again = Accumulator::default();
        events_of(&response, &mut again);
        assert_eq!(
            format!("{:?}", again.into_response()),
            format!("{response:?}")
        );
    }

    #[test]
    fn a_call_without_arguments_becomes_an_empty_object() {
        let mut sink = Accumulator::default();
        sink.event(Event::Open {
            part: 0,
            choice: 0,
            kind: Kind::ToolCall {
                id: "c".into(),
                name: "now".into(),
            },
        });
        sink.event(Event::Close { part: 0 });
        let response = sink.into_response();
        assert!(
            matches!(&response.choices[0].parts[0], Part::ToolCall { arguments, .. } if arguments == "{}")
        );
    }

    #[test]
    fn wild_indexes_do_not_allocate() {
        let mut sink = Accumulator::default();
        sink.event(Event::Finish {
            choice: u32::MAX,
            reason: Finish::Stop,
        });
        sink.event(Event::Open {
            part: 900,
            choice: 0,
            kind: Kind::Text,
        });
        sink.event(Event::Text {
            part: 900,
            text: "x".into(),
        });
        assert!(sink.into_response().choices.is_empty());
    }
}
