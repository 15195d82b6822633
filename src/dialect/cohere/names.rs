//! Tool names as Cohere takes them: `A-Za-z0-9_`, and no digit first. OpenAI's clients use hyphens too.

use crate::llm::{ChatRequest, Part};

/// The names sent, beside the client's own.
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// Of all the tools that a request offers or has called.
    pub(super) fn of(request: &ChatRequest) -> Names {
        let mut names = Names(Vec::new());
        let offered = request.tools.iter().map(|tool| tool.name.as_str());
        let called = request.messages.iter().flat_map(|message| {
            message.parts.iter().filter_map(|part| match part {
                Part::ToolCall { name, .. } => Some(name.as_str()),
                _ => None,
            })
        });
        // Names that can stay come first: a changed one must not take theirs.
        let (fine, others): (Vec<&str>, Vec<&str>) =
            offered.chain(called).partition(|name| safe(name) == *name);
        for own in fine.into_iter().chain(others) {
            if names.0.iter().all(|(_, known)| known != own) {
                let sent = names.free(&safe(own));
                names.0.push((sent, own.to_owned()));
            }
        }
        names
    }

    /// `name`, or with a number where another tool has it.
    fn free(&self, name: &str) -> String {
        let taken = |name: &str| self.0.iter().any(|(sent, _)| sent == name);
        if !taken(name) {
            return name.to_owned();
        }
        let mut number = 2;
        while taken(&format!("{name}_{number}")) {
            number += 1;
        }
        format!("{name}_{number}")
    }

    /// What Cohere knows a tool as.
    pub(super) fn sent<'a>(&'a self, own: &'a str) -> &'a str {
        self.0
            .iter()
            .find(|(_, known)| known == own)
            .map_or(own, |(sent, _)| sent)
    }

    /// The names that have to be put back in the answer: sent, own.
    pub(super) fn changed(self) -> Vec<(String, String)> {
        let mut names = self.0;
        names.retain(|(sent, own)| sent != own);
        names
    }
}

fn safe(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if safe.starts_with(|c: char| c.is_ascii_digit()) {
        safe.insert(0, '_');
    }
    safe
}
