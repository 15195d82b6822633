//! What goes through the profile.

use std::{
    io::{IsTerminal, Read},
    path::PathBuf,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::Args;
use crate::{
    diff,
    profile::{Profile, RouteType},
    term::Problem,
};

/// A header of the command line.
pub(super) type Header = (HeaderName, HeaderValue);

/// Reads `NAME: VALUE`.
pub(super) fn header(text: &str) -> Result<Header, String> {
    // The text itself is not repeated: it may be a key.
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| "write NAME: VALUE".to_owned())?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "this cannot be the name of a header".to_owned())?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "this cannot be the value of a header".to_owned())?;
    Ok((name, value))
}

/// A body, and where it comes from.
pub(super) enum Input {
    /// A file, read for every run.
    File(PathBuf),
    /// Stdin, read once.
    Stdin(Bytes),
    /// `--text`.
    Text(String),
}

impl Input {
    /// What the flags name.
    pub(super) fn of(args: &Args) -> Result<Input, Problem> {
        match (&args.text, args.file.as_deref()) {
            (Some(text), _) => Ok(Input::Text(text.clone())),
            (None, Some(file)) if file != "-" => Ok(Input::File(file.into())),
            (None, None) if std::io::stdin().is_terminal() => {
                Err(Problem::usage("there is no body")
                    .hint("aiproxy transform body.json, or --text \"Hello\""))
            }
            (None, _) => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|error| {
                    Problem::new(format!("cannot read the body from stdin: {error}"))
                })?;
                Ok(Input::Stdin(bytes.into()))
            }
        }
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Input::File(path) => Some(path),
            _ => None,
        }
    }

    /// The body now.
    pub(super) fn body(&self, profile: &Profile, response: bool) -> Result<Bytes, Problem> {
        match self {
            Input::Stdin(bytes) => Ok(bytes.clone()),
            Input::File(path) => std::fs::read(path)
                .map(Bytes::from)
                .map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display()))),
            Input::Text(text) => Ok(of_text(text, profile, response).into()),
        }
    }
}

/// Text as a body: JSON, and what goes to a plain upstream, as it is; else as what an LLM is asked, or has answered.
fn of_text(text: &str, profile: &Profile, response: bool) -> String {
    let is_json = matches!(
        serde_json::from_str(text),
        Ok(Value::Object(_) | Value::Array(_))
    );
    let reads = profile.ai_proxy.as_ref().map(|proxy| proxy.route_type);
    let body = match (reads, response) {
        _ if is_json => return text.to_owned(),
        (Some(RouteType::Chat), false) => {
            json!({"messages": [{"role": "user", "content": text}]})
        }
        (Some(RouteType::Completions), false) => json!({"prompt": text}),
        (Some(RouteType::Embeddings | RouteType::Responses), false) => json!({"input": text}),
        (Some(RouteType::Chat), true) => json!({
            "id": "chatcmpl-text", "object": "chat.completion", "created": 0, "model": "text",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }),
        _ => return text.to_owned(),
    };
    body.to_string()
}

/// The headers that go with a body.
pub(super) fn headers(args: &Args, profile: &Profile, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        // What an LLM is asked is JSON or a mistake, and a mistake is told best as what it was meant to be.
        let asks = profile.ai_proxy.is_some() && !args.response;
        let text = if asks || diff::pretty(body).is_some() {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(text));
    }
    headers
}

/// Why a body is no JSON, with the place; nothing if it is.
pub(super) fn not_json(body: &[u8]) -> Option<String> {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(body);
    read.err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests;
