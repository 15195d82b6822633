//! A request as a program that sends it. Keys are variables; no program holds one.

mod curl;
mod node;
mod python;

use crate::{
    cli::request::{Request, unmasked},
    exchange::told::Detail,
    profile::{MASK, Places},
};

/// What the program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Curl,
    Python,
    Node,
}

impl Language {
    /// The program. `key` is the variable of the key, if the request's own headers do not tell it.
    pub(super) fn program(self, request: &Request, key: Option<&str>, stream: bool) -> String {
        let call = Call::of(request, key, stream);
        match self {
            Language::Curl => curl::program(&call),
            Language::Python => python::program(&call),
            Language::Node => node::program(&call),
        }
    }
}

/// A piece of a text in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The value of an environment variable.
    Variable(String),
}

/// A request with variables for its secrets.
#[derive(Debug)]
struct Call<'a> {
    method: &'a str,
    url: Vec<Piece>,
    headers: Vec<(&'a str, Vec<Piece>)>,
    body: &'a [u8],
    stream: bool,
}

impl<'a> Call<'a> {
    fn of(request: &'a Request, key: Option<&str>, stream: bool) -> Call<'a> {
        let url = unmasked(&request.url);
        let of_url = key.unwrap_or("GEMINI_API_KEY");
        let headers = request.headers.iter().map(|(name, value)| {
            let variable = match (credential(name), key) {
                (Some(_), Some(key)) => key.to_owned(),
                (Some(named), None) => named.to_owned(),
                (None, _) => variable(name),
            };
            // The word in front of a key is hidden with it.
            let bare = name == "authorization" && value == MASK;
            let value = if bare {
                format!("Bearer {value}")
            } else {
                value.clone()
            };
            (name.as_str(), pieces(&value, &variable))
        });
        Call {
            method: &request.method,
            url: pieces(&url, of_url),
            headers: headers.collect(),
            body: &request.body,
            stream,
        }
    }

    /// The value of a header.
    fn header(&self, name: &str) -> Option<&[Piece]> {
        let mut found = self.headers.iter().filter(|(own, _)| *own == name);
        found.next().map(|(_, value)| value.as_slice())
    }

    /// The body as text, if it is some.
    fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.body).ok()
    }

    /// The body as JSON, an object or a list.
    fn json(&self) -> Option<&'a str> {
        let text = self.text()?.trim();
        let is_json = text.starts_with(['{', '['])
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        is_json.then_some(text)
    }
}

/// The variable that the SDK which sends this header reads.
fn credential(header: &str) -> Option<&'static str> {
    match header {
        "authorization" => Some("OPENAI_API_KEY"),
        "x-api-key" => Some("ANTHROPIC_API_KEY"),
        "api-key" => Some("AZURE_OPENAI_API_KEY"),
        "x-goog-api-key" => Some("GEMINI_API_KEY"),
        _ => None,
    }
}

/// The variable of the provider's key: the one that the profile reads, else the usual one.
pub(super) fn provider_variable(detail: &Detail, places: &Places) -> String {
    let summary = &detail.summary;
    let profile = places.load(&summary.profile).ok();
    let named = profile.as_ref().and_then(|profile| {
        profile
            .secrets()
            .filter(|(key, _)| key.starts_with("ai-proxy.auth."))
            .flat_map(|(_, secret)| secret.references())
            .find_map(|reference| reference.variable().map(str::to_owned))
    });
    named.unwrap_or_else(|| match summary.provider.as_str() {
        "" => "API_KEY".to_owned(),
        "azure" => "AZURE_OPENAI_API_KEY".to_owned(),
        provider => format!("{}_API_KEY", variable(provider)),
    })
}

/// A name as a variable.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// Cuts a text at its masks.
fn pieces(text: &str, variable: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, part) in text.split(MASK).enumerate() {
        if index > 0 {
            pieces.push(Piece::Variable(variable.to_owned()));
        }
        if !part.is_empty() {
            pieces.push(Piece::Text(part.to_owned()));
        }
    }
    pieces
}

/// The variables of a call, each once.
fn variables<'a>(call: &'a Call<'_>) -> Vec<&'a str> {
    let values = call.headers.iter().map(|(_, value)| value);
    let mut names: Vec<&str> = Vec::new();
    for piece in values.chain([&call.url]).flatten() {
        if let Piece::Variable(name) = piece
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests;
