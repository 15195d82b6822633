//! The conversation of a request, as the turns that the API takes: user and assistant in alternation, results of tools before all else
//! in theirs, reasoning before all else in its own (TRAPS 1.12, 1.13).

use std::{borrow::Cow, collections::VecDeque};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::blocks::{Block, Content, Source, input};
use crate::{
    dialect::{Error, Loss},
    llm::{Format, Media, Message, Part, Role},
};

/// One turn.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) assistant: bool,
    pub(super) blocks: Vec<Block<'a>>,
}

/// One turn as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Wire<'a> {
    role: &'static str,
    content: Content<'a>,
}

impl<'a> Turn<'a> {
    pub(super) fn wire(self) -> Wire<'a> {
        Wire {
            role: if self.assistant { "assistant" } else { "user" },
            content: Content::of(self.blocks),
        }
    }

    pub(super) fn calls(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block, Block::ToolUse { .. }))
    }
}

/// What a conversation became.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<&'a str>,
    pub(super) turns: Vec<Turn<'a>>,
    /// Names of the tools that were called, as they are sent.
    pub(super) called: Vec<String>,
}

/// Names and ids that the API takes: letters, digits, `_` and `-`.
#[derive(Debug)]
pub(super) struct Names {
    /// The name given, the name sent.
    pub(super) known: Vec<(String, String)>,
    limit: usize,
}

impl Names {
    pub(super) fn new(limit: usize) -> Names {
        Names {
            known: Vec::new(),
            limit,
        }
    }

    /// The name sent for a name given: always the same one, and no two alike.
    pub(super) fn sent(&mut self, own: &str) -> String {
        if let Some((_, sent)) = self.known.iter().find(|(known, _)| known == own) {
            return sent.clone();
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut base: String = own
            .chars()
            .map(|c| if fits(c) { c } else { '_' })
            .take(self.limit)
            .collect();
        if base.is_empty() {
            base.push('_');
        }
        let mut sent = base.clone();
        let mut number = 1;
        while self.known.iter().any(|(_, known)| *known == sent) {
            number += 1;
            let tail = format!("_{number}");
            base.truncate(self.limit.saturating_sub(tail.len()));
            sent = format!("{base}{tail}");
        }
        self.known.push((own.to_owned(), sent.clone()));
        sent
    }

    /// The names that were changed: the name sent, the name given.
    pub(super) fn changed(self) -> Vec<(String, String)> {
        self.known
            .into_iter()
            .filter(|(own, sent)| own != sent)
            .map(|(own, sent)| (sent, own))
            .collect()
    }
}

/// Turns messages into a conversation.
pub(super) struct Writer<'w> {
    pub(super) tools: &'w mut Names,
    pub(super) lost: &'w mut Vec<Loss>,
    /// The model knows reasoning blocks.
    pub(super) thinks: bool,
    ids: Names,
    /// Ids made up for calls without one, whose results have none either.
    made: VecDeque<String>,
}

impl<'w> Writer<'w> {
    pub(super) fn new(tools: &'w mut Names, lost: &'w mut Vec<Loss>, thinks: bool) -> Writer<'w> {
        Writer {
            tools,
            lost,
            thinks,
            ids: Names::new(256),
            made: VecDeque::new(),
        }
    }

    fn lose(&mut self, what: &str) {
        let loss = Loss::dropped(what);
        if !self.lost.contains(&loss) {
            self.lost.push(loss);
        }
    }

    pub(super) fn conversation<'a>(
        &mut self,
        messages: &'a [Message],
    ) -> Result<Conversation<'a>, Error> {
        let mut all = Conversation::default();
        for message in messages {
            if message.name.is_some() {
                self.lose("name");
            }
            if message.role == Role::System {
                self.system(message, &mut all)?;
                continue;
            }
            let assistant = message.role == Role::Assistant;
            let mut blocks = Vec::new();
            for part in &message.parts {
                if let Some(block) = self.block(part, assistant, &mut all.called)? {
                    blocks.push(block);
                }
            }
            match all.turns.last_mut() {
                _ if blocks.is_empty() => {}
                Some(turn) if turn.assistant == assistant => turn.blocks.append(&mut blocks),
                _ => all.turns.push(Turn { assistant, blocks }),
            }
        }
        if all.turns.is_empty() && !all.system.is_empty() {
            // A conversation needs a turn, and instructions alone are a question.
            let blocks = std::mem::take(&mut all.system);
            all.turns.push(Turn {
                assistant: false,
                blocks: blocks.into_iter().map(Block::text).collect(),
            });
        }
        for turn in &mut all.turns {
            order(turn);
        }
        if let Some(Turn {
            assistant: true,
            blocks,
        }) = all.turns.last_mut()
            && let Some(Block::Text { text, .. }) = blocks.last_mut()
        {
            // A last turn of the assistant's is continued, and must not end in white space.
            *text = Cow::Owned(text.trim_end().to_owned());
        }
        Ok(all)
    }

    fn system<'a>(
        &mut self,
        message: &'a Message,
        all: &mut Conversation<'a>,
    ) -> Result<(), Error> {
        for part in &message.parts {
            match part {
                Part::Text(text) if text.trim().is_empty() => {}
                Part::Text(text) => all.system.push(text),
                Part::Opaque { .. } => self.lose("system"),
                _ => {
                    return Err(Error::Unsupported {
                        what: "anything but text in a system message".into(),
                    });
                }
            }
        }
        Ok(())
    }

    fn block<'a>(
        &mut self,
        part: &'a Part,
        assistant: bool,
        called: &mut Vec<String>,
    ) -> Result<Option<Block<'a>>, Error> {
        let only_user = |what: &str| {
            if assistant {
                return Err(Error::Unsupported {
                    what: format!("{what} in a message of the assistant"),
                });
            }
            Ok(())
        };
        Ok(Some(match part {
            // Blank blocks are refused.
            Part::Text(text) | Part::Refusal(text) if text.trim().is_empty() => return Ok(None),
            Part::Text(text) | Part::Refusal(text) => Block::text(text.as_str()),
            Part::Image { source, detail } => {
                only_user("an image")?;
                if detail.as_ref().is_some_and(|detail| detail != "auto") {
                    self.lose("detail");
                }
                Block::Image {
                    source: media(source),
                }
            }
            Part::Audio { .. } => {
                return Err(Error::Unsupported {
                    what: "audio".into(),
                });
            }
            Part::File { name, source } => {
                only_user("a file")?;
                document(name.as_deref(), source)?
            }
            Part::Thinking { .. } | Part::Redacted(_) if !self.thinks => {
                self.lose("reasoning_content");
                return Ok(None);
            }
            Part::Thinking {
                text,
                signature: Some(signature),
            } if !signature.is_empty() => Block::Thinking {
                thinking: text,
                signature,
            },
            // Without the provider's proof it is refused.
            Part::Thinking { .. } => {
                self.lose("reasoning_content");
                return Ok(None);
            }
            Part::Redacted(data) => Block::RedactedThinking { data },
            Part::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let id = if id.is_empty() {
                    let made = format!("toolu_{}", self.ids.known.len() + 1);
                    self.made.push_back(made.clone());
                    made
                } else {
                    id.clone()
                };
                let name = self.tools.sent(name);
                if !called.contains(&name) {
                    called.push(name.clone());
                }
                Block::ToolUse {
                    id: self.ids.sent(&id),
                    name,
                    input: input(arguments),
                }
            }
            Part::ToolResult {
                id,
                parts,
                is_error,
            } => {
                let id = if id.is_empty() {
                    self.made.pop_front().unwrap_or_default()
                } else {
                    id.clone()
                };
                let mut blocks = Vec::new();
                for part in parts {
                    if let Some(block) = self.block(part, false, called)? {
                        blocks.push(block);
                    }
                }
                Block::ToolResult {
                    tool_use_id: self.ids.sent(&id),
                    content: Content::of(blocks),
                    is_error: *is_error,
                }
            }
            Part::Opaque {
                from: Format::Anthropic,
                json,
            } => Block::Raw(json),
            Part::Opaque { json, .. } => {
                let kind = serde_json::from_str::<serde_json::Value>(json.get())
                    .ok()
                    .and_then(|block| block.get("type")?.as_str().map(str::to_owned));
                self.lose(kind.as_deref().unwrap_or("content"));
                return Ok(None);
            }
        }))
    }
}

/// Results first in a user's turn, reasoning first in the assistant's; else the order stays.
fn order(turn: &mut Turn<'_>) {
    if turn.assistant {
        let first = turn.blocks.first().is_some_and(Block::is_thinking);
        let last = turn.blocks.last().is_some_and(Block::is_thinking);
        if !first || last {
            turn.blocks.sort_by_key(|block| !block.is_thinking());
        }
    } else {
        turn.blocks
            .sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
}

fn media(source: &Media) -> Source<'_> {
    match source {
        Media::Url(url) => Source::Url { url },
        Media::Base64 { media_type, data } => Source::Base64 { media_type, data },
        Media::Id(file_id) => Source::File { file_id },
    }
}

/// PDF and plain text are documents; a picture may come as a file too: <https://platform.claude.com/docs/en/build-with-claude/pdf-support>.
fn document<'a>(title: Option<&'a str>, source: &'a Media) -> Result<Block<'a>, Error> {
    let Media::Base64 { media_type, data } = source else {
        return Ok(Block::Document {
            source: media(source),
            title,
        });
    };
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    let source = if kind == "application/pdf" {
        Source::Base64 {
            media_type: kind,
            data,
        }
    } else if kind.starts_with("image/") {
        return Ok(Block::Image {
            source: media(source),
        });
    } else if let Some(text) = (kind.starts_with("text/") || kind == "application/json")
        .then(|| STANDARD.decode(data).ok())
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
    {
        Source::Text {
            media_type: "text/plain",
            data: text,
        }
    } else {
        return Err(Error::Unsupported {
            what: format!(
                "a file of type {}",
                kind.chars().take(60).collect::<String>()
            ),
        });
    };
    Ok(Block::Document { source, title })
}
