//! Ollama: <https://docs.ollama.com/api>. Its own API, unless the profile's URL is that of its OpenAI-compatible one
//! (<https://docs.ollama.com/api/openai-compatibility>).

use super::{Call, Fault, Loss, Operation, Provider, openai};
use crate::{
    dialect::{
        Egress,
        ollama::{Generate, Ollama as Chat},
    },
    wire::envelope::Envelope,
};

pub(super) struct Ollama;

/// Where `ollama serve` listens, and where its own SDKs look.
const ROOT: &str = "http://127.0.0.1:11434";

/// The format in which Ollama's own API does an operation; other providers offer it too (`llama2_format`, `mistral_format`).
pub(super) fn egress(operation: Operation) -> Option<&'static dyn Egress> {
    match operation {
        Operation::Chat | Operation::Embeddings => Some(&Chat),
        Operation::Completions => Some(&Generate),
        _ => None,
    }
}

/// The path of an operation of its own API.
pub(super) fn path(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Chat => Some("/api/chat"),
        Operation::Completions => Some("/api/generate"),
        Operation::Embeddings => Some("/api/embed"),
        _ => None,
    }
}

/// Whether the profile's URL is one of OpenAI's API: its path begins with or, as a root, ends in `/v1`.
fn speaks_openai(call: &Call<'_>) -> bool {
    let options = call.options;
    let path = |url: &str| -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..));
        let path = path.unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        format!("{}/", path.trim_end_matches('/'))
    };
    if let Some(replaced) = &options.upstream_path {
        return path(&format!("/{}", replaced.trim_start_matches('/'))).contains("/v1/");
    }
    match (&options.upstream_url, &options.base_url) {
        (Some(url), _) => path(url).contains("/v1/"),
        (None, Some(base)) => path(base).ends_with("/v1/"),
        (None, None) => false,
    }
}

impl Provider for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn egress(&self, call: &Call<'_>) -> Option<&'static dyn Egress> {
        if speaks_openai(call) {
            openai::egress(call.operation)
        } else {
            egress(call.operation).or_else(|| openai::egress(call.operation))
        }
    }

    /// What its own API does not have is asked of the compatible one, below `/v1` like everything that SDKs send there.
    fn root(&self, call: &Call<'_>) -> Result<String, Fault> {
        Ok(match path(call.operation) {
            Some(_) => ROOT.into(),
            None => format!("{ROOT}/v1"),
        })
    }

    fn path(&self, call: &Call<'_>) -> String {
        if speaks_openai(call) {
            return call.path.to_owned();
        }
        match path(call.operation) {
            Some(path) => path.into(),
            None => call.path.to_owned(),
        }
    }

    /// Its own API tells the usage unasked.
    fn adjust(&self, body: &mut Envelope<'_>, call: &Call<'_>, _: &str, _: &mut Vec<Loss>) {
        if !speaks_openai(call) && path(call.operation).is_some() {
            body.remove("stream_options");
        }
    }

    fn takes_stream_options(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        llm::Format,
        provider::{Options, unread_uri, uri},
    };

    fn asks(operation: Operation, options: &Options) -> (String, Option<Format>) {
        let call = call(operation, options);
        let uri = uri(&Ollama, &call).unwrap().to_string();
        (uri, Ollama.egress(&call).map(Egress::format))
    }

    fn call(operation: Operation, options: &Options) -> Call<'_> {
        Call {
            operation,
            path: operation.path(),
            model: "gemma3",
            stream: false,
            tools: false,
            native: false,
            options,
        }
    }

    #[test]
    fn its_own_api_is_asked() {
        let none = Options::default();
        for (operation, path) in [
            (Operation::Chat, "/api/chat"),
            (Operation::Completions, "/api/generate"),
            (Operation::Embeddings, "/api/embed"),
        ] {
            let expected = (
                format!("http://127.0.0.1:11434{path}"),
                Some(Format::Ollama),
            );
            assert_eq!(asks(operation, &none), expected);
            let base = Options {
                base_url: Some("http://gpu:11434/".into()),
                ..Options::default()
            };
            let expected = (format!("http://gpu:11434{path}"), Some(Format::Ollama));
            assert_eq!(asks(operation, &base), expected);
        }
        assert_eq!(
            asks(Operation::Files, &none).0,
            "http://127.0.0.1:11434/v1/files"
        );
    }

    #[test]
    fn urls_of_openais_api_are_asked_in_its_format() {
        let base = Options {
            base_url: Some("http://gpu:11434/v1/".into()),
            ..Options::default()
        };
        assert_eq!(
            asks(Operation::Chat, &base),
            (
                "http://gpu:11434/v1/chat/completions".into(),
                Some(Format::OpenAi)
            )
        );
        let url = |url: &str| Options {
            upstream_url: Some(url.into()),
            ..Options::default()
        };
        let openai = url("http://gpu/v1/chat/completions?x=1");
        assert_eq!(asks(Operation::Chat, &openai).1, Some(Format::OpenAi));
        for own in ["http://gpu/api/chat", "http://v1/api/chat", "http://gpu"] {
            assert_eq!(asks(Operation::Chat, &url(own)).1, Some(Format::Ollama));
        }
        let path = Options {
            upstream_path: Some("v1/chat/completions".into()),
            ..Options::default()
        };
        assert_eq!(
            asks(Operation::Chat, &path),
            (
                "http://127.0.0.1:11434/v1/chat/completions".into(),
                Some(Format::OpenAi)
            )
        );
    }

    #[test]
    fn other_paths_reach_both_apis() {
        let at = |options: &Options, path: &str| {
            unread_uri(&Ollama, &call(Operation::Preserve, options), path)
                .unwrap()
                .to_string()
        };
        let none = Options::default();
        let base = Options {
            base_url: Some("http://127.0.0.1:11434".into()),
            ..Options::default()
        };
        for options in [&none, &base] {
            assert_eq!(
                at(options, "/v1/models"),
                "http://127.0.0.1:11434/v1/models"
            );
            assert_eq!(at(options, "/api/tags"), "http://127.0.0.1:11434/api/tags");
        }
    }
}
