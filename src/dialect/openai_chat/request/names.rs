//! Tool names. OpenAI takes letters, digits, `_` and `-`, 64 at most; Anthropic's may be longer, Gemini's have dots and colons.

use crate::{
    dialect::Restore,
    llm::{ChatRequest, Part},
};

/// OpenAI's limit: <https://platform.openai.com/docs/api-reference/chat/create>.
const LONGEST: usize = 64;

/// The names of a request's tools that have to change.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Names {
    /// The name sent, the client's own.
    changed: Vec<(String, String)>,
}

impl Names {
    /// Of the tools on offer and of those called before.
    pub(in crate::dialect) fn of(request: &ChatRequest) -> Names {
        let called = request
            .messages
            .iter()
            .flat_map(|message| &message.parts)
            .filter_map(|part| match part {
                Part::ToolCall { name, .. } => Some(name.as_str()),
                _ => None,
            });
        let all: Vec<&str> = request
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .chain(called)
            .collect();
        let mut names = Names::default();
        for name in &all {
            if fits(name) || names.changed.iter().any(|(_, own)| own == name) {
                continue;
            }
            let taken = |sent: &str| {
                all.contains(&sent) || names.changed.iter().any(|(other, _)| other == sent)
            };
            let sent = (1u32..)
                .map(|number| shorten(name, number))
                .find(|sent| !taken(sent))
                .unwrap_or_default();
            names.changed.push((sent, (*name).to_owned()));
        }
        names
    }

    /// The name to send.
    pub(in crate::dialect) fn sent<'a>(&'a self, own: &'a str) -> &'a str {
        let changed = self.changed.iter().find(|(_, name)| name == own);
        changed.map_or(own, |(sent, _)| sent)
    }

    /// How answers are undone.
    pub(in crate::dialect) fn restore(self) -> Restore {
        Restore {
            tools: self.changed,
            answer_tool: None,
        }
    }
}

fn takes(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

fn fits(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(takes)
}

/// The name with what does not fit replaced and cut; from the second try on, with a number.
fn shorten(name: &str, number: u32) -> String {
    let suffix = if number == 1 {
        String::new()
    } else {
        format!("_{number}")
    };
    let kept = name
        .chars()
        .map(|char| if takes(char) { char } else { '_' })
        .take(LONGEST - suffix.len());
    kept.chain(suffix.chars()).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Tool;

    #[test]
    fn names_that_do_not_fit_are_changed_and_known_again() {
        let long = "mcp__server__".to_owned() + &"x".repeat(80);
        let longer = long.clone() + "y";
        let request = ChatRequest {
            tools: ["a.b", "a_b", "a:b", &long, &longer, "fine-1"]
                .iter()
                .map(|name| Tool {
                    name: (*name).to_owned(),
                    description: None,
                    parameters: None,
                    strict: None,
                })
                .collect(),
            ..ChatRequest::default()
        };
        let names = Names::of(&request);
        assert_eq!(
            ["a.b", "a_b", "a:b", "fine-1"].map(|name| names.sent(name)),
            ["a_b_2", "a_b", "a_b_3", "fine-1"]
        );
        for name in [&long, &longer] {
            assert!(fits(names.sent(name)));
        }
        assert_ne!(names.sent(&long), names.sent(&longer));
        assert_eq!(names.restore().tools.len(), 4);
    }
}
