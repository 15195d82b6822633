//! Names that Bedrock restricts: of tools, calls and documents.

use std::collections::{HashMap, HashSet};

use crate::llm::{ChatRequest, Part, ToolChoice};

/// Longest name of a tool, and longest id of a call:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html>,
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html>.
const LONGEST: usize = 64;

/// Longest name of a document:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>.
const LONGEST_DOCUMENT: usize = 200;

/// The names of one request as they are sent.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Own name to the one sent.
    tools: HashMap<String, String>,
    /// The names sent.
    taken: HashSet<String>,
    /// Own id to the one sent.
    ids: HashMap<String, String>,
    /// Names of documents sent.
    documents: HashSet<String>,
    /// What was renamed: the name sent, the client's own.
    pub(super) renamed: Vec<(String, String)>,
}

impl Names {
    /// Of the tools that a request offers, forces, and has called.
    pub(super) fn of(request: &ChatRequest) -> Names {
        let offered = request.tools.iter().map(|tool| tool.name.as_str());
        let forced = match &request.tool_choice {
            Some(ToolChoice::Named(name)) => Some(name.as_str()),
            _ => None,
        };
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let called = parts.filter_map(|part| match part {
            Part::ToolCall { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let all: Vec<&str> = offered.chain(forced).chain(called).collect();
        let mut names = Names::default();
        // Names that can stay as they are come first, so that no made-up one takes their place.
        names.taken.extend(
            all.iter()
                .filter(|name| fits(name))
                .map(|name| (*name).to_owned()),
        );
        for own in all {
            if !fits(own) && !names.tools.contains_key(own) {
                let sent = names.free(own);
                names.renamed.push((sent.clone(), own.to_owned()));
                names.tools.insert(own.to_owned(), sent);
            }
        }
        names
    }

    /// A tool's name as it is sent.
    pub(super) fn tool<'n>(&'n self, own: &'n str) -> &'n str {
        self.tools.get(own).map_or(own, String::as_str)
    }

    /// A new tool's name, like `wish`.
    pub(super) fn free(&mut self, wish: &str) -> String {
        let base: String = wish
            .chars()
            .map(|c| if allowed(c) { c } else { '_' })
            .take(LONGEST)
            .collect();
        let base = if base.is_empty() { "tool".into() } else { base };
        let sent = unused(&base, LONGEST, "_", &self.taken);
        self.taken.insert(sent.clone());
        sent
    }

    /// A call's id as it is sent. Models never see the client's ids again, so nothing has to be undone.
    pub(super) fn id(&mut self, own: &str) -> String {
        let legal = |c: char| allowed(c) || matches!(c, '.' | ':');
        if (1..=LONGEST).contains(&own.len()) && own.chars().all(legal) {
            return own.to_owned();
        }
        let next = self.ids.len() + 1;
        let sent = self.ids.entry(own.to_owned());
        sent.or_insert_with(|| format!("tooluse_{next}")).clone()
    }

    /// A document's name as it is sent: without its ending and what Bedrock refuses, and different from all others.
    pub(super) fn document(&mut self, own: Option<&str>) -> String {
        let own = own.unwrap_or_default();
        let stem = own.rsplit_once('.').map_or(own, |(stem, _)| stem);
        let words: String = stem
            .chars()
            .map(|c| {
                let legal = c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
                if legal { c } else { ' ' }
            })
            .collect();
        let mut name = words.split_whitespace().collect::<Vec<_>>().join(" ");
        name.truncate(LONGEST_DOCUMENT);
        let name = name.trim_end();
        // A neutral name: the model reads it.
        let name = if name.is_empty() { "document" } else { name };
        let sent = unused(name, LONGEST_DOCUMENT, " ", &self.documents);
        self.documents.insert(sent.clone());
        sent
    }
}

/// Whether a tool may be called so.
fn fits(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(allowed)
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// `base`, or with the first number behind it that makes it a new name. ASCII.
fn unused(base: &str, longest: usize, joint: &str, taken: &HashSet<String>) -> String {
    let mut name = base.to_owned();
    let mut number = 2usize;
    while taken.contains(&name) {
        let ending = format!("{joint}{number}");
        let keep = base.len().min(longest.saturating_sub(ending.len()));
        name = format!("{}{ending}", base.get(..keep).unwrap_or(base));
        number += 1;
    }
    name
}
